package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

const askSQL = `INSERT INTO requests (number, site, kind, contact, details, receipt, time, due) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// Ask keeps a request.
func (l *Ledger) Ask(ctx context.Context, r Request) error {
	if r.Number == "" || r.Site == "" || r.Time.IsZero() {
		return errors.New("a request has a number, a site and a time")
	}
	var receipt any
	if r.Receipt != uuid.Nil {
		receipt = r.Receipt[:]
	}
	err := l.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, askSQL, r.Number, r.Site, r.Kind, r.Contact, r.Details, receipt, toMilli(r.Time), toMilli(r.Due))
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping a request to %s: %w", r.Site, l.engine.explain(err))
	}
	return nil
}

const requestsSQL = `SELECT number, site, kind, contact, details, receipt, time, due FROM requests WHERE site = $1 ORDER BY due, time`

// Requests returns the requests to a site.
func (l *Ledger) Requests(ctx context.Context, site string) ([]Request, error) {
	var all []Request
	err := l.each(ctx, func(rows *sql.Rows) error {
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
