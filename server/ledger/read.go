package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"
)

const findSQL = `SELECT ` + columns + ` FROM records WHERE id = ? AND site = ?`

// Find returns the record of an id, or fs.ErrNotExist.
func (s *SQLite) Find(ctx context.Context, site string, id uuid.UUID) (Record, error) {
	r, err := scan(s.reader.QueryRowContext(ctx, findSQL, id[:], site))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Record{}, fmt.Errorf("finding record %s of %s: %w", id, site, explain(s.path, err))
	}
	return r, nil
}

// FindKey returns the record of an idempotency key, or fs.ErrNotExist.
func (s *SQLite) FindKey(ctx context.Context, site string, key uuid.UUID) (Record, error) {
	r, err := scan(s.reader.QueryRowContext(ctx, byKeySQL, site, key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Record{}, fmt.Errorf("finding the record of key %s of %s: %w", key, site, explain(s.path, err))
	}
	return r, nil
}

const historySQL = `SELECT ` + columns + ` FROM records WHERE site = ? AND subject = ? ORDER BY seq DESC`

// History returns the records of a visitor, newest first: the first is the one in force.
func (s *SQLite) History(ctx context.Context, site string, subject uuid.UUID) ([]Record, error) {
	var all []Record
	err := s.each(ctx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		all = append(all, r)
		return err
	}, historySQL, site, subject[:])
	if err != nil {
		return nil, fmt.Errorf("reading the records of visitor %s of %s: %w", subject, site, err)
	}
	return all, nil
}

const eraseSQL = `DELETE FROM records WHERE site = ? AND subject = ?`

// Erase deletes all records of a visitor, see Ledger. What is deleted is overwritten (secure_delete), and the log that
// SQLite writes ahead, where it still stands, is emptied.
func (s *SQLite) Erase(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	n, err := s.erase(ctx, site, subject)
	if err != nil {
		return 0, fmt.Errorf("erasing the records of a visitor of %s: %w", site, explain(s.path, err))
	}
	if n == 0 {
		return 0, nil
	}
	if _, err := s.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		return int(n), fmt.Errorf("emptying the log of %s: %w", s.path, explain(s.path, err))
	}
	return int(n), nil
}

// erase deletes what a visitor left, all or nothing, and says how many records it was.
func (s *SQLite) erase(ctx context.Context, site string, subject uuid.UUID) (n int64, err error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	res, err := tx.ExecContext(ctx, eraseSQL, site, subject[:])
	if err == nil {
		n, err = res.RowsAffected()
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, eraseMailSQL, site, subject[:])
	}
	if err != nil {
		return 0, errors.Join(err, rollback(tx))
	}
	return n, tx.Commit()
}

const countSQL = `SELECT count(*) FROM records WHERE site = ?`

// Count returns how many records a site has.
func (s *SQLite) Count(ctx context.Context, site string) (n int, err error) {
	if err := s.reader.QueryRowContext(ctx, countSQL, site).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the records of %s: %w", site, explain(s.path, err))
	}
	return n, nil
}

// each calls fn for each row of a query.
func (s *SQLite) each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return explain(s.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return explain(s.path, err)
		}
	}
	if err := rows.Err(); err != nil {
		return explain(s.path, err)
	}
	return nil
}
