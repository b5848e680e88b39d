package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/stilehq/stile/server/merkle"
)

// Health is how the database is.
type Health struct {
	Engine string // SQLite or PostgreSQL
	Schema int64  // version of its tables
	Size   int64  // entries of the log
	Sealed int64  // of those, covered by the newest checkpoint
	Signed time.Time
}

const (
	schemaSQL = `SELECT max(version_id) FROM goose_db_version WHERE is_applied`
	sealedSQL = `SELECT size FROM log`
)

// Health looks at the database.
func (l *Ledger) Health(ctx context.Context) (h Health, err error) {
	if h.Engine = "SQLite"; l.Remote() {
		h.Engine = "PostgreSQL"
	}
	db := l.engine.reader()
	if err = db.QueryRowContext(ctx, schemaSQL).Scan(&h.Schema); err == nil {
		err = db.QueryRowContext(ctx, sealedSQL).Scan(&h.Size)
	}
	if err != nil {
		return h, fmt.Errorf("looking at the database: %w", l.engine.explain(err))
	}
	msg, err := l.Checkpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	c, err := merkle.Unverified(msg)
	if err != nil {
		return h, err
	}
	h.Sealed, h.Signed = c.Size, c.Time
	return h, nil
}

// Remote tells whether the database is a server, and not a file of this process.
func (l *Ledger) Remote() bool {
	_, is := l.engine.(*remote)
	return is
}

// Spool is what waits for a database that is away.
type Spool struct {
	Waiting int       // records
	Oldest  time.Time // when the first of them was made; zero: none waits
}

// Spool looks into the spool; a ledger without one has nothing in it.
func (l *Ledger) Spool(ctx context.Context) (s Spool, err error) {
	if l.spool == nil {
		return s, nil
	}
	if s.Waiting, err = l.spool.count(ctx); err != nil || s.Waiting == 0 {
		return s, err
	}
	batch, _, err := l.spool.next(ctx, 1)
	if err == nil && len(batch) > 0 {
		s.Oldest = batch[0].row.record.Time
	}
	return s, err
}

const dueSQL = `SELECT number, kind, due FROM requests WHERE site = $1 AND due < $2 AND answered IS NULL ORDER BY due LIMIT $3`

// Due is a site's requests that are to be answered before a time, the most pressing first: their numbers, kinds and days.
func (l *Ledger) Due(ctx context.Context, site string, before time.Time, most int) (all []Request, err error) {
	err = l.each(ctx, func(rows *sql.Rows) error {
		r := Request{Site: site}
		var due int64
		err := rows.Scan(&r.Number, &r.Kind, &due)
		r.Due = fromMilli(due)
		all = append(all, r)
		return err
	}, dueSQL, site, toMilli(before), most)
	if err != nil {
		return nil, fmt.Errorf("reading the requests to %s that are due: %w", site, err)
	}
	return all, nil
}
