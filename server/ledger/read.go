package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/uuid"
)

const byKeySQL = `SELECT ` + columns + ` FROM records WHERE site = $1 AND key = $2`

const findSQL = `SELECT ` + columns + ` FROM records WHERE id = $1 AND site = $2`

// Find returns the record of an id, or fs.ErrNotExist.
func (l *Ledger) Find(ctx context.Context, site string, id uuid.UUID) (Record, error) {
	r, err := l.find(ctx, findSQL, id[:], site)
	if err != nil {
		return Record{}, fmt.Errorf("finding record %s of %s: %w", id, site, err)
	}
	return r, nil
}

// FindKey returns the record of an idempotency key, or fs.ErrNotExist.
func (l *Ledger) FindKey(ctx context.Context, site string, key uuid.UUID) (Record, error) {
	r, err := l.find(ctx, byKeySQL, site, key[:])
	if err != nil {
		return Record{}, fmt.Errorf("finding the record of key %s of %s: %w", key, site, err)
	}
	return r, nil
}

// find looks into the spool for what the database does not have. A database that is away may have it.
func (l *Ledger) find(ctx context.Context, query string, args ...any) (Record, error) {
	r, err := scan(l.engine.reader().QueryRowContext(ctx, query, args...))
	if err == nil {
		return r, nil
	}
	if l.spool != nil {
		where := `id = $1 AND site = $2`
		if query == byKeySQL {
			where = `site = $1 AND key = $2`
		}
		waiting, lost := l.spool.waiting(ctx, where, args...)
		if lost != nil || len(waiting) > 0 {
			return append(waiting, Record{})[0], lost
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, fs.ErrNotExist
	}
	return Record{}, l.engine.explain(err)
}

// Latest returns the record in force of whoever the record of an id is of, or fs.ErrNotExist.
func (l *Ledger) Latest(ctx context.Context, site string, id uuid.UUID) (Record, error) {
	r, err := l.Find(ctx, site, id)
	if err != nil {
		return Record{}, err
	}
	all, err := l.History(ctx, site, r.Subject)
	if err != nil {
		return Record{}, err
	}
	return append(all, r)[0], nil // where it was erased meanwhile it was the last one
}

const historySQL = `SELECT ` + columns + ` FROM records WHERE site = $1 AND subject = $2 ORDER BY time DESC, leaf DESC`

// History returns the records of a visitor, newest first: the first is the one in force.
func (l *Ledger) History(ctx context.Context, site string, subject uuid.UUID) (all []Record, err error) {
	if l.spool != nil { // first: what is brought meanwhile is found twice, and not missed
		all, err = l.spool.waiting(ctx, `site = $1 AND subject = $2`, site, subject[:])
	}
	waiting := len(all)
	if err == nil {
		err = l.each(ctx, func(rows *sql.Rows) error {
			r, err := scan(rows)
			all = append(all, r)
			return err
		}, historySQL, site, subject[:])
	}
	if err != nil {
		return nil, fmt.Errorf("reading the records of visitor %s of %s: %w", subject, site, err)
	}
	if waiting > 0 {
		all = newestFirst(all, waiting)
	}
	return all, nil
}

// newestFirst sorts records of which the first came from the spool, and leaves out those that are there twice.
func newestFirst(all []Record, waiting int) []Record {
	stored := map[uuid.UUID]bool{}
	for i := range all[waiting:] {
		stored[all[waiting+i].ID] = true
	}
	left := all[:0:0]
	for i := range all {
		if i >= waiting || !stored[all[i].ID] {
			left = append(left, all[i])
		}
	}
	slices.SortStableFunc(left, func(a, b Record) int { return b.Time.Compare(a.Time) })
	return left
}

// transact runs fn in a transaction that writes: all of it is on disk afterwards or, on an error, nothing.
func (l *Ledger) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := l.engine.begin(ctx)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, l.engine.rollback(tx))
	}
	return tx.Commit()
}

const countSQL = `SELECT count(*) FROM records WHERE site = $1`

// Count returns how many records a site has.
func (l *Ledger) Count(ctx context.Context, site string) (n int, err error) {
	if err := l.engine.reader().QueryRowContext(ctx, countSQL, site).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the records of %s: %w", site, l.engine.explain(err))
	}
	return n, nil
}

// Write runs fn in a transaction of the ledger's database, and Each calls fn for each row of a query, for packages that keep
// tables of their own in it (tally, account). Parameters are $1, times are milliseconds. ErrAway while the database is away.
func (l *Ledger) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	if err := l.transact(ctx, fn); err != nil {
		return l.engine.explain(err)
	}
	return nil
}

// Each is described at Write.
func (l *Ledger) Each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error {
	return l.each(ctx, fn, query, args...)
}

// each calls fn for each row of a query.
func (l *Ledger) each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error {
	return l.engine.explain(rowsOf(ctx, l.engine.reader(), fn, query, args...))
}

// rowsOf calls fn for each row of a query of a database or a transaction.
func rowsOf(ctx context.Context, from querier, fn func(*sql.Rows) error, query string, args ...any) error {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// querier is what can be asked: *sql.DB and *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
