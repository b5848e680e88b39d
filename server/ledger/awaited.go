package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// When the database was away, each process kept records in a spool of its own. A visitor may come back to another process,
// with the receipt of a record that has not arrived: their next record is stored at once, as that of a new visitor, and it
// is noted who is awaited. When the record arrives the two become one visitor's; and where that visitor had all records
// erased meanwhile, it is not kept.

// awaited is what is known of a record before it arrives.
type awaited struct {
	subject uuid.UUID
	erased  bool
}

// join makes two subjects one.
type join struct {
	site     string
	from, to uuid.UUID
}

// awaitedFor is how long a record is awaited.
const awaitedFor = 90 * 24 * time.Hour

const (
	awaitedSQL = `SELECT site, id, subject, erased FROM awaited WHERE (site, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))`

	awaitSQL = `INSERT INTO awaited (site, id, subject, erased, time) SELECT *, $5::bigint
		FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[]) ON CONFLICT (site, id) DO NOTHING`

	unawaitSQL = `DELETE FROM awaited WHERE time < $1`
)

// lookAwaited finds out about the records of a batch that arrive late, and about those before a record that are not there.
func (b *batch) lookAwaited(ctx context.Context, tx *sql.Tx, all []*pending) error {
	var sites []string
	var ids []pgtype.UUID
	for _, p := range all {
		r := &p.row.record
		if p.late {
			sites, ids = append(sites, r.Site), append(ids, toUUID(r.ID))
		}
		if at, there := b.records[r.Previous]; r.Previous != uuid.Nil && (!there || at.site != r.Site) {
			sites, ids = append(sites, r.Site), append(ids, toUUID(r.Previous))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := rowsOf(ctx, tx, func(rows *sql.Rows) error {
		var at siteID
		var a awaited
		err := rows.Scan(&at.site, &at.id, &a.subject, &a.erased)
		b.awaited[at] = a
		return err
	}, awaitedSQL, sites, ids)
	if err != nil {
		return fmt.Errorf("finding who is awaited: %w", err)
	}
	return nil
}

// follow makes a record that of its visitor, and tells whether it is not to be kept.
func (b *batch) follow(p *pending, r *Record) (drop bool) {
	expected, isExpected := b.awaited[siteID{r.Site, r.ID}]
	isExpected = isExpected && p.late
	before, known := b.records[r.Previous]
	known = known && before.site == r.Site
	switch previous := (siteID{r.Site, r.Previous}); {
	case known:
		before.lead(r)
	case r.Previous != uuid.Nil:
		b.await(r, previous, expected, isExpected)
	case isExpected:
		r.Subject = expected.subject
	}
	switch {
	case !isExpected:
		return false
	case expected.erased:
		if known {
			p.erase = before.subject // the visitor's others, which were not found when they had all erased
		}
		return true
	case r.Subject != expected.subject:
		b.joined = append(b.joined, join{r.Site, expected.subject, r.Subject})
	}
	return false
}

// await makes a record that of the visitor whose earlier one has not arrived either.
func (b *batch) await(r *Record, previous siteID, expected awaited, isExpected bool) {
	r.Previous = uuid.Nil
	other, noted := b.awaited[previous]
	switch {
	case noted && !other.erased:
		r.Subject = other.subject
	case isExpected:
		r.Subject = expected.subject
	}
	if !noted {
		b.awaited[previous] = awaited{r.Subject, isExpected && expected.erased}
		b.missing = append(b.missing, previous)
	}
}

func (b *batch) writeAwaited(ctx context.Context, tx *sql.Tx) error {
	for _, j := range b.joined {
		for _, statement := range []string{
			`UPDATE records SET subject = $3 WHERE site = $1 AND subject = $2`,
			`UPDATE awaited SET subject = $3 WHERE site = $1 AND subject = $2`,
			`INSERT INTO mail_events (site, message, kind, subject, day, category, times)
				SELECT site, message, kind, $3, day, category, times FROM mail_events WHERE site = $1 AND subject = $2
				ON CONFLICT (site, message, kind, subject, day) DO NOTHING`,
		} {
			if _, err := tx.ExecContext(ctx, statement, j.site, toUUID(j.from), toUUID(j.to)); err != nil {
				return fmt.Errorf("making two subjects one: %w", err)
			}
		}
		if _, err := tx.ExecContext(ctx, eraseMailSQL, j.site, toUUID(j.from)); err != nil {
			return fmt.Errorf("making two subjects one: %w", err)
		}
	}
	if len(b.missing) == 0 {
		return nil
	}
	now := time.Now()
	if _, err := tx.ExecContext(ctx, unawaitSQL, toMilli(now.Add(-awaitedFor))); err != nil {
		return fmt.Errorf("forgetting who was awaited: %w", err)
	}
	n := len(b.missing)
	sites, ids, subjects, erased := make([]string, n), make([]pgtype.UUID, n), make([]pgtype.UUID, n), make([]bool, n)
	for i, m := range b.missing {
		a := b.awaited[m]
		sites[i], ids[i], subjects[i], erased[i] = m.site, toUUID(m.id), toUUID(a.subject), a.erased
	}
	if _, err := tx.ExecContext(ctx, awaitSQL, sites, ids, subjects, erased, toMilli(now)); err != nil {
		return fmt.Errorf("noting who is awaited: %w", err)
	}
	return nil
}

func (e *remote) erased(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `UPDATE awaited SET erased = true WHERE site = $1 AND subject = $2`, site, toUUID(subject))
	return err
}

// Disown makes sure that the record of a receipt is not kept when it arrives: its visitor had everything erased while it
// was in another process's spool. For a receipt that is genuine and that Find does not know.
func (l *Ledger) Disown(ctx context.Context, site string, receipt uuid.UUID) error {
	e, ok := l.engine.(*remote)
	if !ok {
		return nil
	}
	_, err := e.db.ExecContext(ctx, `INSERT INTO awaited (site, id, subject, erased, time) VALUES ($1, $2, $3, true, $4)
		ON CONFLICT (site, id) DO UPDATE SET erased = true`, site, toUUID(receipt), toUUID(uuid.Must(uuid.NewV7())), toMilli(time.Now()))
	if err != nil {
		return fmt.Errorf("disowning a receipt of %s: %w", site, e.explain(err))
	}
	return nil
}

// secondKey is the key of a record whose own was taken while it was on its way: the same each time it is brought.
func secondKey(r *Record) uuid.UUID { return uuid.NewSHA1(r.Key, r.ID[:]) }
