package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite is a Ledger in one file. An Append is answered after an fsync that many of them share: one goroutine writes, and
// takes everything that is waiting into one transaction.
//
// A second process may open the same file, to read or to write: SQLite's own locks keep the two apart, and a write waits
// up to 5 s for the other's. Keep the file on a local disk; beside it stand PATH-wal and PATH-shm.
type SQLite struct {
	path   string
	file   os.FileInfo // what was at path when it was opened
	writer *sql.DB     // one connection
	reader *sql.DB
	stmts  statements

	mu      sync.RWMutex // held for reading while putting into queue, so that Close can close it
	closed  bool
	queue   chan *pending
	stopped chan struct{} // closed when the writing goroutine has ended
	close   func() error
	counts  counters
}

var _ Ledger = (*SQLite)(nil)

// Stats counts what happened since the ledger was opened.
type Stats struct {
	Stored  uint64 // records, without those that were stored already
	Commits uint64 // transactions that stored them
	Busy    uint64 // Appends refused with ErrBusy
	Failed  uint64 // Appends that failed otherwise
	Waiting int    // Appends waiting now
}

type counters struct{ stored, commits, busy, failed atomic.Uint64 }

// limits bound what waits: queue is how many records, batch is how many go into one transaction.
type limits struct{ queue, batch int }

// OpenSQLite opens the ledger at path, made when it is not there, readable by its owner alone. Its folder must be there.
// Every error is one line that says what to do.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	return openSQLite(ctx, path, limits{queue: 4096, batch: 4096})
}

func openSQLite(ctx context.Context, path string, l limits) (_ *SQLite, err error) {
	s := &SQLite{queue: make(chan *pending, l.queue), stopped: make(chan struct{})}
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	if s.file, err = create(s.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err = s.connect(ctx); err != nil {
		return nil, err
	}
	s.close = sync.OnceValue(s.shut)
	go s.run(l.batch)
	return s, nil
}

// create makes the file that is not there, before SQLite would with a mode of its own: -wal and -shm inherit it. A file
// that is there is not opened: closing it would drop the locks that this process may have on it.
func create(path string) (os.FileInfo, error) {
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
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the database: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file in it, such as %s", path, filepath.Join(path, "stile.db"))
	}
	return info, nil
}

func (s *SQLite) connect(ctx context.Context) error {
	// The file is looked at before anything that changes it: going over to WAL is a write.
	plain, err := dial(s.path)
	if err != nil {
		return err
	}
	if err := errors.Join(claim(ctx, plain, s.path), plain.Close()); err != nil {
		return err
	}
	// A log of 4000 pages (16 MB) before it is folded in, instead of 1000, stores a quarter more records a second.
	s.writer, err = dial(s.path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "secure_delete(1)")
	if err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := checkWAL(ctx, s.writer, s.path); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer, s.path); err != nil {
		return err
	}
	if s.stmts, err = prepare(ctx, s.writer); err != nil {
		return fmt.Errorf("opening the database %s: %w", s.path, explain(s.path, err))
	}
	if s.reader, err = dial(s.path, "query_only(1)"); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(4)
	s.reader.SetMaxIdleConns(4)
	return s.Ping(ctx) // a file that may only be read opens without a word
}

// busyTimeout is how long a write waits for that of another process.
const busyTimeout = 5 * time.Second

// dial does not make a file that is gone, and begins each transaction by taking the write lock: one that took it later
// could not wait for it.
func dial(path string, pragmas ...string) (*sql.DB, error) {
	wait := fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{wait}, pragmas...)}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	return db, nil
}

// checkWAL finds out whether the file system can do what WAL needs: SQLite goes on without it silently.
func checkWAL(ctx context.Context, db *sql.DB, path string) error {
	var mode string
	err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	// Going over to WAL does not heed busy_timeout, and a process that was started at the same time may be at it too.
	for end := time.Now().Add(busyTimeout); code(err) == sqlite3.SQLITE_BUSY && time.Now().Before(end); {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		err = db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	}
	if err != nil {
		return fmt.Errorf("opening the database %s: %w", path, explain(path, err))
	}
	if mode != "wal" {
		return fmt.Errorf("the file system of %s cannot hold a write-ahead log: put it on a local disk", path)
	}
	return nil
}

// Stats returns what happened so far.
func (s *SQLite) Stats() Stats {
	return Stats{
		Stored: s.counts.stored.Load(), Commits: s.counts.commits.Load(),
		Busy: s.counts.busy.Load(), Failed: s.counts.failed.Load(),
		Waiting: len(s.queue),
	}
}

// Ping tells whether records can be stored now: that the file is still the one that was opened, and that a write
// transaction can begin. It changes nothing and waits for the batch that is being written.
func (s *SQLite) Ping(ctx context.Context) error {
	now, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("looking at the database: %w", err)
	}
	if !os.SameFile(s.file, now) {
		return fmt.Errorf("the database %s was replaced by another file: restart stile", s.path)
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", explain(s.path, err))
	}
	// SQLite begins to write to a file that it may only read; it fails with the first statement.
	if _, err := tx.ExecContext(ctx, `UPDATE lists SET id = id WHERE 1 = 0`); err != nil {
		return errors.Join(fmt.Errorf("beginning to write: %w", explain(s.path, err)), rollback(tx))
	}
	return rollback(tx)
}

// Close stores what is waiting and lets go of the file. It may be called again, and answers the same.
func (s *SQLite) Close() error { return s.close() }

func (s *SQLite) shut() error {
	s.mu.Lock()
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.stopped
	return s.release()
}

// release closes the writer last: the last connection to go folds the log into the database.
func (s *SQLite) release() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the database %s: %w", s.path, err)
	}
	return nil
}
