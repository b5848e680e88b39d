// Package sqlite opens the SQLite files that Stile keeps: each marked as its own, in WAL mode and with every commit on disk
// before it returns, brought up to the schema that this binary knows. Its errors are one line that says what to do.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kind is what a file is for.
type Kind struct {
	Name       string   // in messages: database
	ID         int      // in the file's header, so that no other program's file is written to, nor one of another kind
	Migrations fs.FS    // the schema, one numbered file a change; a file that was released is never edited
	Damaged    string   // what to do with a damaged one: "restore it from a backup"
	Pragmas    []string // of the writing connection, beside those that all have: wal_autocheckpoint(4000)
}

// File is an open file. The connection that writes is the only one, and takes the write lock when it begins.
type File struct {
	*sql.DB
	Path string // absolute

	kind Kind
	info os.FileInfo // what was at Path when it was opened
}

// BusyTimeout is how long a write waits for that of another process.
const BusyTimeout = 5 * time.Second

// Open opens the file at path, made when it is not there, readable by its owner alone. Its folder must be there. Keep it on
// a local disk; beside it stand PATH-wal and PATH-shm. A second process may open it as well.
func Open(ctx context.Context, path string, kind Kind) (_ *File, err error) {
	f := &File{kind: kind}
	if f.Path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening the %s %s: %w", kind.Name, path, err)
	}
	if f.info, err = create(f.Path, kind.Name); err != nil {
		return nil, err
	}
	// The file is looked at before anything that changes it: going over to WAL is a write.
	plain, err := f.dial()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.claim(ctx, plain), plain.Close()); err != nil {
		return nil, err
	}
	pragmas := append([]string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, kind.Pragmas...)
	if f.DB, err = f.dial(pragmas...); err != nil {
		return nil, err
	}
	f.SetMaxOpenConns(1)
	if err := f.checkWAL(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.migrate(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// create makes the file that is not there, before SQLite would with a mode of its own: -wal and -shm inherit it. A file
// that is there is not opened: closing it would drop the locks that this process may have on it.
func create(path, name string) (os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	folder := filepath.Dir(path)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the folder %s is not there: make it, or name another", folder)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s cannot be written: let this user write the folder %s, or name another (%w)", path, folder, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the %s: %w", name, err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the %s: %w", name, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file in it, such as %s", path, filepath.Join(path, "stile.db"))
	}
	return info, nil
}

// dial does not make a file that is gone, and begins each transaction by taking the write lock: one that took it later
// could not wait for it.
func (f *File) dial(pragmas ...string) (*sql.DB, error) {
	wait := fmt.Sprintf("busy_timeout(%d)", BusyTimeout.Milliseconds())
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{wait}, pragmas...)}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(f.Path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the %s %s: %w", f.kind.Name, f.Path, err)
	}
	return db, nil
}

// Reader opens connections to the same file that cannot write.
func (f *File) Reader(most int) (*sql.DB, error) {
	db, err := f.dial("query_only(1)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// claim marks an empty file as Stile's, and refuses one that is another program's.
func (f *File) claim(ctx context.Context, db *sql.DB) error {
	var id, tables int
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)`).
		Scan(&id, &tables)
	switch {
	case err != nil:
		return f.Explain(err)
	case id == f.kind.ID:
		return nil
	case tables > 0 || id != 0:
		return fmt.Errorf("%s is not a Stile %s: name another file", f.Path, f.kind.Name)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, f.kind.ID)); err != nil {
		return f.Explain(err)
	}
	return nil
}

// checkWAL finds out whether the file system can do what WAL needs: SQLite goes on without it silently.
func (f *File) checkWAL(ctx context.Context) error {
	var mode string
	err := f.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	// Going over to WAL does not heed busy_timeout, and a process that was started at the same time may be at it too.
	for end := time.Now().Add(BusyTimeout); Code(err) == sqlite3.SQLITE_BUSY && time.Now().Before(end); {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		err = f.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	}
	if err != nil {
		return fmt.Errorf("opening the %s %s: %w", f.kind.Name, f.Path, f.Explain(err))
	}
	if mode != "wal" {
		return fmt.Errorf("the file system of %s cannot hold a write-ahead log: put it on a local disk", f.Path)
	}
	return nil
}

func (f *File) migrate(ctx context.Context) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, f.DB, f.kind.Migrations, goose.WithDisableGlobalRegistry(true), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of %s: %w", f.Path, f.Explain(err))
	case have > known:
		return fmt.Errorf("the %s %s is of version %d, this stile knows up to %d: use a newer stile", f.kind.Name, f.Path, have, known)
	}
	for {
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		// Another process that was started at the same time may have been first: then the version has moved on.
		before := have
		var lost error
		if have, _, lost = p.GetVersions(ctx); lost != nil || have == before {
			return fmt.Errorf("bringing %s to version %d: %w", f.Path, known, f.Explain(err))
		}
	}
}

// Same tells whether the file is still the one that was opened.
func (f *File) Same() error {
	now, err := os.Stat(f.Path)
	if err != nil {
		return fmt.Errorf("looking at the %s: %w", f.kind.Name, err)
	}
	if !os.SameFile(f.info, now) {
		return fmt.Errorf("the %s %s was replaced by another file: restart stile", f.kind.Name, f.Path)
	}
	return nil
}

// Empty writes what is in the log that SQLite writes ahead into the file and empties it, so that nothing of what was
// deleted is left there.
func (f *File) Empty(ctx context.Context) error {
	var busy, pages, moved int
	err := f.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		err = errors.New("somebody is reading")
	}
	if err != nil {
		return fmt.Errorf("emptying the log of %s: %w", f.Path, f.Explain(err))
	}
	return nil
}

// Close lets go of the file.
func (f *File) Close() error {
	if err := f.DB.Close(); err != nil {
		return fmt.Errorf("closing the %s %s: %w", f.kind.Name, f.Path, err)
	}
	return nil
}

// Explain says in one line what an operator can do about an error of the file.
func (f *File) Explain(err error) error {
	var words string
	switch Code(err) {
	case sqlite3.SQLITE_NOTADB:
		words = "is not a Stile " + f.kind.Name + ": name another file"
	case sqlite3.SQLITE_CORRUPT:
		words = "is damaged: " + f.kind.Damaged
	case sqlite3.SQLITE_FULL:
		words = "has no room left: free some space on its disk"
	case sqlite3.SQLITE_BUSY:
		words = "is locked by another process: end that process or wait for it"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		words = "cannot be written: let this user write the file and its folder"
	default:
		return err
	}
	return fmt.Errorf("the %s %s %s (%w)", f.kind.Name, f.Path, words, err)
}

// Code is SQLite's primary result code of an error, 0 for an error that is not SQLite's.
func Code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// Rollback is content when it was done already: by Commit, by SQLite, as when the disk is full, or for a context that ended.
func Rollback(tx *sql.Tx) error {
	err := tx.Rollback()
	if err == nil || errors.Is(err, sql.ErrTxDone) || Code(err) == sqlite3.SQLITE_ERROR {
		return nil
	}
	return fmt.Errorf("rolling back: %w", err)
}
