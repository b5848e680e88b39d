package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// What people look at page by page. Each query is bounded, and answered from an index in its order.

// TrailQuery is which entries of the audit trail a page is of.
type TrailQuery struct {
	Site   string // and those that are of all sites
	Before int64  // only entries with a lower number; 0 for all
	Actor  string // "" for all
	Act    Act    // "" for all
	Limit  int
}

// TrailBack returns entries of the audit trail, newest first.
func (l *Ledger) TrailBack(ctx context.Context, q TrailQuery) (all []Audit, err error) {
	for _, site := range slices.Compact([]string{q.Site, ""}) { // each in the order of its index
		query, args := q.sql(site)
		err = l.each(ctx, func(rows *sql.Rows) error {
			a, err := scanAudit(rows)
			all = append(all, a)
			return err
		}, query, args...)
		if err != nil {
			return nil, fmt.Errorf("reading the audit trail backwards: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b Audit) int { return int(b.Leaf - a.Leaf) })
	return all[:min(len(all), q.Limit)], nil
}

func (q *TrailQuery) sql(site string) (query string, args []any) {
	args = []any{site, q.Limit}
	var and strings.Builder
	for _, f := range []struct {
		condition string
		value     any
		wanted    bool
	}{
		{"leaf <", q.Before, q.Before > 0},
		{"actor =", q.Actor, q.Actor != ""},
		{"act =", string(q.Act), q.Act != ""},
	} {
		if f.wanted {
			args = append(args, f.value)
			fmt.Fprintf(&and, " AND %s $%d", f.condition, len(args))
		}
	}
	return `SELECT ` + auditColumns + ` FROM audit WHERE site = $1` + and.String() + ` ORDER BY leaf DESC LIMIT $2`, args
}

// Place is where a page of requests goes on: behind a request that has these.
type Place struct {
	Time   time.Time // Due of a request that waits, Answered of another
	Number string
}

const (
	openSQL = `SELECT ` + requestColumns + ` FROM requests WHERE site = $1 AND answered IS NULL AND (due, number) > ($2, $3)
		ORDER BY due, number LIMIT $4`
	closedSQL = `SELECT ` + requestColumns + ` FROM requests WHERE site = $1 AND answered IS NOT NULL AND (answered, number) < ($2, $3)
		ORDER BY answered DESC, number DESC LIMIT $4`
)

// OpenRequests returns requests to a site that wait for an answer, the one that is due first before the others, behind a
// place; the zero Place is before all.
func (l *Ledger) OpenRequests(ctx context.Context, site string, after Place, limit int) ([]Request, error) {
	from := int64(earliest)
	if after != (Place{}) {
		from = toMilli(after.Time)
	}
	return l.requestsOf(ctx, openSQL, site, from, after.Number, limit)
}

// AnsweredRequests returns requests to a site that were answered, the last one first, behind a place; the zero Place is
// before all.
func (l *Ledger) AnsweredRequests(ctx context.Context, site string, after Place, limit int) ([]Request, error) {
	from := int64(latest)
	if after != (Place{}) {
		from = toMilli(after.Time)
	}
	return l.requestsOf(ctx, closedSQL, site, from, after.Number, limit)
}

func (l *Ledger) requestsOf(ctx context.Context, query string, args ...any) (all []Request, err error) {
	err = l.each(ctx, func(rows *sql.Rows) error {
		r, err := scanRequest(rows)
		all = append(all, r)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading a page of requests to %s: %w", args[0], err)
	}
	return all, nil
}

const coveringSQL = `SELECT size, time FROM checkpoints WHERE size > $1 ORDER BY size LIMIT 1`

// Covering returns the first checkpoint that is kept and has a leaf: its size, and when it was signed; or fs.ErrNotExist
// before there is one.
func (l *Ledger) Covering(ctx context.Context, leaf int64) (size int64, signed time.Time, err error) {
	var at int64
	err = l.engine.reader().QueryRowContext(ctx, coveringSQL, leaf).Scan(&size, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("finding the checkpoint of leaf %d: %w", leaf, l.engine.explain(err))
	}
	return size, fromMilli(at), nil
}
