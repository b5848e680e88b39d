package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

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

const (
	requestColumns = `number, site, kind, contact, details, receipt, time, due, answered, note`

	requestsSQL = `SELECT ` + requestColumns + ` FROM requests WHERE site = $1 ORDER BY answered IS NOT NULL, due, time`
	requestSQL  = `SELECT ` + requestColumns + ` FROM requests WHERE number = $1`
	answerSQL   = `UPDATE requests SET answered = $1, note = $2 WHERE number = $3 AND answered IS NULL`
)

// Requests returns the requests to a site: those that wait for an answer first, and each of both as they are due.
func (l *Ledger) Requests(ctx context.Context, site string) ([]Request, error) {
	var all []Request
	err := l.each(ctx, func(rows *sql.Rows) error {
		r, err := scanRequest(rows)
		all = append(all, r)
		return err
	}, requestsSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the requests to %s: %w", site, err)
	}
	return all, nil
}

// Request returns the request of a number, or fs.ErrNotExist.
func (l *Ledger) Request(ctx context.Context, number string) (Request, error) {
	r, err := scanRequest(l.engine.reader().QueryRowContext(ctx, requestSQL, number))
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Request{}, fmt.Errorf("finding request %s: %w", number, l.engine.explain(err))
	}
	return r, nil
}

func scanRequest(from interface{ Scan(into ...any) error }) (r Request, err error) {
	var (
		at, due  int64
		answered *int64
	)
	err = from.Scan(&r.Number, &r.Site, &r.Kind, &r.Contact, &r.Details, &r.Receipt, &at, &due, &answered, &r.Note)
	if err != nil {
		return Request{}, err
	}
	r.Time, r.Due = fromMilli(at), fromMilli(due)
	if answered != nil {
		r.Answered = fromMilli(*answered)
	}
	return r, nil
}

// ErrAnswered is returned by Answer for a request that was answered before: nothing was changed.
var ErrAnswered = errors.New("it was answered before")

// Answer notes that a request was answered, and how. It stays, for proof, as long as its site keeps records (F7). The audit
// trail gets the request's number. Errors: fs.ErrNotExist for an unknown number, ErrAnswered.
func (l *Ledger) Answer(ctx context.Context, number, note string, by By) (Request, error) {
	r, err := l.answerRequest(ctx, number, note, by)
	if err != nil {
		return Request{}, fmt.Errorf("answering request %s: %w", number, l.engine.explain(err))
	}
	return r, nil
}

func (l *Ledger) answerRequest(ctx context.Context, number, note string, by By) (r Request, err error) {
	if !utf8.ValidString(note) || len(note) > 4000 {
		return r, errors.New("its note is no text of at most 4000 bytes")
	}
	err = l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		r, err = scanRequest(tx.QueryRowContext(ctx, requestSQL, number))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fs.ErrNotExist
		case err != nil:
			return err
		case !r.Answered.IsZero():
			return ErrAnswered
		}
		r.Answered, r.Note = fromMilli(toMilli(by.Time)), note
		if _, err := tx.ExecContext(ctx, answerSQL, toMilli(by.Time), note, number); err != nil {
			return err
		}
		return enter(ctx, tx, size, &Audit{
			Time: by.Time, Actor: by.Actor, Act: ActAnswer, Site: r.Site, Count: 1, Detail: "request " + number,
		})
	})
	return r, err
}
