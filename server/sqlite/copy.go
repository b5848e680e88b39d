package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Copy writes what the file at path has at this moment into a new file, readable by its owner alone and on disk when Copy
// returns. It may be in use: what was committed before is in the copy, and writers do not wait. What was deleted is not in
// it. The schema stays as it is. On an error there is no copy. A kind without an ID is any of Stile's.
//
// It is one read of all pages, by SQLite's backup API: ten times as fast as VACUUM INTO, and the write-ahead log cannot be
// emptied while it lasts. Page by page it would begin anew whenever another process writes. Free pages are in it, which
// secure_delete has overwritten.
func Copy(ctx context.Context, path, to string, kind Kind) (err error) {
	f, err := existing(path, kind)
	if err != nil {
		return err
	}
	// Made first, so that nobody but its owner can ever read it.
	made, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copying the %s: %w", kind.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	defer func() { err = errors.Join(err, made.Close()) }()
	db, err := f.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := f.mine(ctx, db); err != nil {
		return err
	}
	if err := pages(ctx, db, to); err != nil {
		return fmt.Errorf("copying the %s %s to %s: %w", kind.Name, f.Path, to, f.explainCopy(err))
	}
	if err := made.Sync(); err != nil {
		return fmt.Errorf("copying the %s: %w", kind.Name, err)
	}
	return nil
}

// pages copies all pages in one go.
func pages(ctx context.Context, db *sql.DB, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(to), RawQuery: "mode=rw"}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		source, ok := driver.(interface {
			NewBackup(uri string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver makes no backups")
		}
		b, err := source.NewBackup(u.String())
		if err != nil {
			return err
		}
		more, err := b.Step(-1)
		if err == nil && more {
			err = errors.New("it was not read to its end")
		}
		return errors.Join(err, b.Finish())
	})
}

// explainCopy knows that it is the copy's disk that is full.
func (f *File) explainCopy(err error) error {
	switch Code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN:
		return err
	}
	return f.Explain(err)
}

// existing is a file that is there already, and is not opened yet.
func existing(path string, kind Kind) (_ *File, err error) {
	f := &File{kind: kind}
	if f.Path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening the %s %s: %w", kind.Name, path, err)
	}
	f.info, err = os.Stat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s %s", kind.Name, path)
	case err != nil:
		return nil, fmt.Errorf("opening the %s: %w", kind.Name, err)
	case f.info.IsDir():
		return nil, fmt.Errorf("%s is a folder, and no %s", path, kind.Name)
	}
	return f, nil
}

// anyKind is what the ids of all of Stile's kinds begin with: "Sti".
const anyKind = 0x537469

// mine refuses a file of another kind, and changes nothing.
func (f *File) mine(ctx context.Context, db *sql.DB) error {
	var id int
	if err := db.QueryRowContext(ctx, `SELECT application_id FROM pragma_application_id`).Scan(&id); err != nil {
		return f.Explain(err)
	}
	if f.kind.ID != 0 && id != f.kind.ID || id>>8 != anyKind {
		return fmt.Errorf("%s is not a Stile %s", f.Path, f.kind.Name)
	}
	return nil
}

// Check reads all of a file that nobody uses, and tells what is wrong with it: not of its kind, damaged, or of a version
// that this stile does not know. Then it calls look with it. It changes nothing.
func Check(ctx context.Context, path string, kind Kind, look func(*sql.DB) error) (err error) {
	f, err := existing(path, kind)
	if err != nil {
		return err
	}
	db, err := f.dial("query_only(1)", "cell_size_check(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := f.mine(ctx, db); err != nil {
		return err
	}
	var sound string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&sound); err != nil {
		return f.Explain(err)
	}
	if sound != "ok" {
		return fmt.Errorf("the %s %s is damaged: %s", kind.Name, f.Path, sound)
	}
	if err := f.known(ctx, db); err != nil {
		return err
	}
	if look == nil {
		return nil
	}
	return f.Explain(look(db))
}

// known refuses a schema that is newer than the kind's.
func (f *File) known(ctx context.Context, db *sql.DB) error {
	if f.kind.Migrations == nil {
		return nil
	}
	files, err := fs.Glob(f.kind.Migrations, "*.sql") // in order
	if err != nil || len(files) == 0 {
		return fmt.Errorf("reading the migrations: %w", cmp.Or(err, fs.ErrNotExist))
	}
	newest, err := goose.NumericComponent(files[len(files)-1])
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	var have int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of %s: %w", f.Path, f.Explain(err))
	case have > newest:
		return fmt.Errorf("the %s %s is of version %d, this stile knows up to %d: use a newer stile", f.kind.Name, f.Path, have, newest)
	}
	return nil
}

// Idle calls fn while no other process has the file open, nor can open it; where one has, it is an error. What was written
// ahead is in the file then, and nothing stands beside it. A file that is too damaged to be opened is idle.
func Idle(ctx context.Context, path string, kind Kind, fn func() error) (err error) {
	f, err := existing(path, kind)
	if err != nil {
		return err
	}
	db, err := f.dial("locking_mode(EXCLUSIVE)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return f.Explain(err)
	}
	defer conn.Close()
	// A connection in WAL mode has a shared lock for as long as it is open, and leaving that mode takes it alone. Who has the
	// file open does not let go of it soon.
	for _, statement := range []string{`PRAGMA busy_timeout = 200`, `PRAGMA journal_mode = DELETE`, `BEGIN EXCLUSIVE`} {
		if _, err = conn.ExecContext(ctx, statement); err != nil {
			break
		}
	}
	switch Code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("the %s %s is in use: end stile serve first", kind.Name, f.Path)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		err = nil
	}
	if err != nil {
		return f.Explain(err)
	}
	return fn()
}
