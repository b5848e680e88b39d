package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

const askSQL = `INSERT INTO requests (number, site, kind, contact, details, receipt, time, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`

// Ask keeps a request, see Ledger.
func (s *SQLite) Ask(ctx context.Context, r Request) error {
	if r.Number == "" || r.Site == "" || r.Time.IsZero() {
		return errors.New("a request has a number, a site and a time")
	}
	var receipt any
	if r.Receipt != uuid.Nil {
		receipt = r.Receipt[:]
	}
	_, err := s.writer.ExecContext(ctx, askSQL, r.Number, r.Site, r.Kind, r.Contact, r.Details, receipt, toMilli(r.Time), toMilli(r.Due))
	if err != nil {
		return fmt.Errorf("keeping a request to %s: %w", r.Site, explain(s.path, err))
	}
	return nil
}

const requestsSQL = `SELECT number, site, kind, contact, details, receipt, time, due FROM requests WHERE site = ? ORDER BY due, time`

// Requests returns the requests to a site, see Ledger.
func (s *SQLite) Requests(ctx context.Context, site string) ([]Request, error) {
	var all []Request
	err := s.each(ctx, func(rows *sql.Rows) error {
		var (
			r       Request
			at, due int64
		)
		if err := rows.Scan(&r.Number, &r.Site, &r.Kind, &r.Contact, &r.Details, &r.Receipt, &at, &due); err != nil {
			return err
		}
		r.Time, r.Due = fromMilli(at), fromMilli(due)
		all = append(all, r)
		return nil
	}, requestsSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the requests to %s: %w", site, err)
	}
	return all, nil
}
