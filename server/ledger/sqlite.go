package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stilehq/stile/server/sqlite"
)

//go:embed migrations
var migrations embed.FS

// lite is the engine in one file. A second process may open the same file, to read or to write: SQLite's own locks keep
// the two apart, and a write waits up to 5 s for the other's.
type lite struct {
	file  *sqlite.File
	read  *sql.DB
	stmts statements
}

var _ engine = (*lite)(nil)

// kindOf is what a ledger's file is.
func kindOf() (sqlite.Kind, error) {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return sqlite.Kind{}, fmt.Errorf("reading the migrations: %w", err)
	}
	return sqlite.Kind{
		Name: "database", ID: 0x5374696c, Migrations: files, Damaged: "restore it from a backup", // "Stil"
		// A log of 4000 pages (16 MB) before it is folded in, instead of 1000, stores a quarter more records a second.
		Pragmas: []string{"wal_autocheckpoint(4000)", "journal_size_limit(67108864)"},
	}, nil
}

func openLite(ctx context.Context, path string) (_ *lite, err error) {
	kind, err := kindOf()
	if err != nil {
		return nil, err
	}
	e := &lite{}
	if e.file, err = sqlite.Open(ctx, path, kind); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.stmts, err = prepare(ctx, e.file.DB); err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", e.file.Path, e.explain(err))
	}
	if e.read, err = e.file.Reader(4); err != nil {
		return nil, err
	}
	return e, e.ping(ctx) // a file that may only be read opens without a word
}

func (e *lite) reader() *sql.DB { return e.read }

func (e *lite) begin(ctx context.Context) (*sql.Tx, error) { return e.file.BeginTx(ctx, nil) }

// patience is SQLite's own, see sqlite.BusyTimeout.
func (e *lite) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// lock has nothing to lock: the transaction has the file since it began.
func (e *lite) lock(ctx context.Context, tx *sql.Tx) (size int64, err error) {
	err = tx.QueryRowContext(ctx, sizeSQL).Scan(&size)
	return size, err
}

func (e *lite) lockTree(ctx context.Context, tx *sql.Tx) (tlog.Tree, error) {
	return scanTree(tx.QueryRowContext(ctx, treeSQL))
}

// ping begins to write, changes nothing, and waits for the batch that is being written.
func (e *lite) ping(ctx context.Context) error {
	if err := e.file.Same(); err != nil {
		return err
	}
	tx, err := e.begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", e.explain(err))
	}
	// SQLite begins to write to a file that it may only read; it fails with the first statement.
	if _, err := tx.ExecContext(ctx, `UPDATE log SET size = size WHERE 1 = 0`); err != nil {
		return errors.Join(fmt.Errorf("beginning to write: %w", e.explain(err)), sqlite.Rollback(tx))
	}
	return sqlite.Rollback(tx)
}

// erased has nothing to note: whatever was acknowledged is here.
func (e *lite) erased(context.Context, *sql.Tx, string, uuid.UUID) error { return nil }

// purge empties the log that SQLite writes ahead. What is deleted from the file itself is overwritten (secure_delete).
func (e *lite) purge(ctx context.Context) error { return e.file.Empty(ctx) }

func (e *lite) rollback(tx *sql.Tx) error { return sqlite.Rollback(tx) }

func (e *lite) explain(err error) error { return explainFile(e.file, err) }

// explainFile marks what is the file's own fault, so that it hits everybody.
func explainFile(f *sqlite.File, err error) error {
	told := f.Explain(err)
	switch sqlite.Code(err) {
	case sqlite3.SQLITE_BUSY:
		return locked{told}
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM:
		return away{told}
	}
	return told
}

// alone is not hopeful about a lock: it is everybody's.
func (e *lite) alone(err error) bool { return sqlite.Code(err) != sqlite3.SQLITE_BUSY }

// close closes the writer last: the last connection to go folds the log into the database.
func (e *lite) close() error {
	var err error
	if e.read != nil {
		err = e.read.Close()
	}
	return errors.Join(err, e.file.Close())
}

// statements are what the writer does for each record.
type statements struct{ previous, insert, byKey, unmail *sql.Stmt }

func prepare(ctx context.Context, db *sql.DB) (st statements, err error) {
	for _, want := range []struct {
		stmt **sql.Stmt
		sql  string
	}{{&st.previous, previousSQL}, {&st.insert, insertSQL}, {&st.byKey, byKeySQL}, {&st.unmail, unmailSQL}} {
		if *want.stmt, err = db.PrepareContext(ctx, want.sql); err != nil {
			return st, fmt.Errorf("preparing %s: %w", want.sql, err)
		}
	}
	return st, nil
}

func (st statements) in(ctx context.Context, tx *sql.Tx) statements {
	return statements{
		previous: tx.StmtContext(ctx, st.previous),
		insert:   tx.StmtContext(ctx, st.insert),
		byKey:    tx.StmtContext(ctx, st.byKey),
		unmail:   tx.StmtContext(ctx, st.unmail),
	}
}

const (
	previousSQL = `SELECT subject, time FROM records WHERE id = $1 AND site = $2`
	insertSQL   = `INSERT INTO records (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
		$18, $19, $20, $21, $22, $23) ON CONFLICT (site, key) DO NOTHING`
)

func (e *lite) store(ctx context.Context, tx *sql.Tx, size int64, batch []*pending) (int64, error) {
	st := e.stmts.in(ctx, tx)
	for _, p := range batch {
		p.got, p.added, p.err = st.append(ctx, &p.row, size)
		switch {
		case p.err != nil && !ownFault(p.err):
			return 0, p.err
		case p.added:
			size++
		}
	}
	return size, nil
}

// ownFault tells whether an error is of one record alone and leaves the transaction as it was.
func ownFault(err error) bool {
	switch sqlite.Code(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return errors.Is(err, errTaken)
}

// append returns the record as it is stored, and whether it was stored now.
func (st statements) append(ctx context.Context, w *row, leaf int64) (r Record, added bool, err error) {
	r = w.record
	r.Leaf = leaf
	if r.Previous != uuid.Nil {
		var before origin
		err := st.previous.QueryRowContext(ctx, r.Previous[:], r.Site).Scan(&before.subject, &before.time)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			r.Previous = uuid.Nil
		case err != nil:
			return Record{}, false, fmt.Errorf("finding the record %s before it: %w", r.Previous, err)
		default:
			before.lead(&r)
		}
	}
	res, err := st.insert.ExecContext(ctx, w.args(&r)...)
	if err != nil {
		return Record{}, false, err
	}
	n, err := res.RowsAffected()
	if n == 1 && r.Previous != uuid.Nil {
		_, err = st.unmail.ExecContext(ctx, r.Site, r.Subject[:], w.granted)
	}
	if err != nil || n == 1 {
		return r, n == 1, err
	}
	r, err = scan(st.byKey.QueryRowContext(ctx, r.Site, r.Key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = errTaken
	}
	return r, false, err
}
