package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Query is which records an Export is of.
type Query struct {
	Site     string    // "" for all
	From, To time.Time // From <= Record.Time < To; zero for no bound
	Start    int64     // the first number of the log that is looked at: where an export goes on
	End      int64     // and the first that is not; 0 for as many as the log has when the Export begins

	// Page is told, after each page, where an export would go on that ended here. It may be nil.
	Page func(next int64) error
}

// pageSize is how many numbers of the log are read at once. A page is a few MB, and takes some milliseconds.
const pageSize = 1000

// times are in milliseconds, so that the bound of an open side lies past every date that has one.
const (
	earliest = -1 << 53
	latest   = 1 << 53
)

// A range of numbers bounds what a page costs, whatever the filter leaves of it: a LIMIT would not, where few are left.
const (
	pageSQL     = `SELECT ` + columns + ` FROM records WHERE leaf >= $1 AND leaf < $2 AND time >= $3 AND time < $4 ORDER BY leaf`
	sitePageSQL = `SELECT ` + columns + ` FROM records WHERE leaf >= $1 AND leaf < $2 AND time >= $3 AND time < $4 AND site = $5 ORDER BY leaf`
)

// Export calls fn for each record of a query, in the order of storing. Of the records that come while it runs it has none:
// it ends where the log ended when it began. One that is erased while it runs is in it or not.
//
// It reads page by page, and fn is called while no query is open: so nobody waits for a slow reader, and an erased record
// is out of the database's files at once. The whole log is looked at, by its numbers, and filtered: the order of storing is
// not that of times where clocks disagree or a record was delivered late.
func (l *Ledger) Export(ctx context.Context, q Query, fn func(*Record) error) error {
	if q.End == 0 {
		size, err := l.Size(ctx)
		if err != nil {
			return err
		}
		q.End = size
	}
	page := make([]Record, 0, pageSize)
	for start := q.Start; start < q.End; start += pageSize {
		end := min(start+pageSize, q.End)
		var err error
		if page, err = l.page(ctx, page[:0], &q, start, end); err != nil {
			return fmt.Errorf("reading the records from number %d on: %w", start, err)
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
		if q.Page != nil {
			if err := q.Page(end); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Ledger) page(ctx context.Context, page []Record, q *Query, start, end int64) ([]Record, error) {
	from, to := int64(earliest), int64(latest)
	if !q.From.IsZero() {
		from = upMilli(q.From)
	}
	if !q.To.IsZero() {
		to = upMilli(q.To)
	}
	query, args := pageSQL, []any{start, end, from, to}
	if q.Site != "" {
		query, args = sitePageSQL, append(args, q.Site)
	}
	err := l.each(ctx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		page = append(page, r)
		return err
	}, query, args...)
	return page, err
}

// upMilli is the first millisecond that is not before t.
func upMilli(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

const sizeSQL = `SELECT size FROM log`

// Size returns how many numbers the log has given: each record that was acknowledged before has one below it.
func (l *Ledger) Size(ctx context.Context) (size int64, err error) {
	if err := l.engine.reader().QueryRowContext(ctx, sizeSQL).Scan(&size); err != nil {
		return 0, fmt.Errorf("reading the size of the log: %w", l.engine.explain(err))
	}
	return size, nil
}

// sitesSQL leaps from one site to the next by the index, and reads no records.
const sitesSQL = `WITH RECURSIVE found(site) AS (
		SELECT min(site) FROM records
		UNION ALL
		SELECT (SELECT min(site) FROM records WHERE site > found.site) FROM found WHERE found.site IS NOT NULL
	) SELECT site FROM found WHERE site IS NOT NULL UNION SELECT site FROM lists ORDER BY site`

// Sites returns the names of the sites that the ledger knows, those without a record too.
func (l *Ledger) Sites(ctx context.Context) (names []string, err error) {
	err = l.each(ctx, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	}, sitesSQL)
	if err != nil {
		return nil, fmt.Errorf("reading the names of the sites: %w", err)
	}
	return names, nil
}
