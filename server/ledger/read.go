package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/sqlite"
)

const byKeySQL = `SELECT ` + columns + ` FROM records WHERE site = $1 AND key = $2`

const findSQL = `SELECT ` + columns + ` FROM records WHERE id = $1 AND site = $2`

// Find returns the record of an id, or fs.ErrNotExist.
func (l *Ledger) Find(ctx context.Context, site string, id uuid.UUID) (Record, error) {
	r, err := scan(l.engine.reader().QueryRowContext(ctx, findSQL, id[:], site))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Record{}, fmt.Errorf("finding record %s of %s: %w", id, site, l.engine.explain(err))
	}
	return r, nil
}

// FindKey returns the record of an idempotency key, or fs.ErrNotExist.
func (l *Ledger) FindKey(ctx context.Context, site string, key uuid.UUID) (Record, error) {
	r, err := scan(l.engine.reader().QueryRowContext(ctx, byKeySQL, site, key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Record{}, fmt.Errorf("finding the record of key %s of %s: %w", key, site, l.engine.explain(err))
	}
	return r, nil
}

const latestSQL = `SELECT ` + columns + ` FROM records
	WHERE site = $1 AND subject = (SELECT subject FROM records WHERE id = $2 AND site = $1) ORDER BY time DESC, leaf DESC LIMIT 1`

// Latest returns the record in force of whoever the record of an id is of, or fs.ErrNotExist.
func (l *Ledger) Latest(ctx context.Context, site string, id uuid.UUID) (Record, error) {
	r, err := scan(l.engine.reader().QueryRowContext(ctx, latestSQL, site, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Record{}, fmt.Errorf("finding the record of %s that follows %s: %w", site, id, l.engine.explain(err))
	}
	return r, nil
}

const historySQL = `SELECT ` + columns + ` FROM records WHERE site = $1 AND subject = $2 ORDER BY time DESC, leaf DESC`

// History returns the records of a visitor, newest first: the first is the one in force.
func (l *Ledger) History(ctx context.Context, site string, subject uuid.UUID) ([]Record, error) {
	var all []Record
	err := l.each(ctx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		all = append(all, r)
		return err
	}, historySQL, site, subject[:])
	if err != nil {
		return nil, fmt.Errorf("reading the records of visitor %s of %s: %w", subject, site, err)
	}
	return all, nil
}

// transact runs fn in a transaction that writes: all of it is on disk afterwards or, on an error, nothing.
func (l *Ledger) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := l.engine.begin(ctx)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, sqlite.Rollback(tx))
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

// each calls fn for each row of a query.
func (l *Ledger) each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error {
	rows, err := l.engine.reader().QueryContext(ctx, query, args...)
	if err != nil {
		return l.engine.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return l.engine.explain(err)
		}
	}
	if err := rows.Err(); err != nil {
		return l.engine.explain(err)
	}
	return nil
}
