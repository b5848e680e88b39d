package ledger

import (
	"context"
	"database/sql"
	"errors"
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
	time    int64 // since when, or of the erasure
}

// joining makes two subjects one.
type joining struct {
	site     string
	from, to uuid.UUID
}

// awaitedFor is how long a record is awaited.
const awaitedFor = 90 * 24 * time.Hour

const (
	awaitedSQL = `SELECT site, id, subject, erased, time FROM awaited WHERE (site, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))`

	awaitSQL = `INSERT INTO awaited (site, id, subject, erased, time) SELECT *, $5::bigint
		FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[])
		ON CONFLICT (site, id) DO UPDATE SET erased = true, time = excluded.time WHERE excluded.erased`

	unawaitSQL = `DELETE FROM awaited WHERE time < $1`
)

// lookAwaited finds out about the records of a batch that arrive late, and about those before a record that are not there.
func (b *batch) lookAwaited(ctx context.Context, tx *sql.Tx, all []*pending) error {
	var sites []string
	var ids []pgtype.UUID
	for _, p := range all {
		r := &p.row.record
		if p.late {
			sites, ids = append(sites, r.Site, r.Site), append(ids, toUUID(r.ID), toUUID(r.Key))
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
		err := rows.Scan(&at.site, &at.id, &a.subject, &a.erased, &a.time)
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
	if twin := b.awaited[siteID{r.Site, p.row.record.Key}]; twin.erased {
		expected, isExpected = twin, true
	}
	isExpected = isExpected && p.late
	before, known := b.records[r.Previous]
	known = known && before.site == r.Site
	other, noted := b.awaited[siteID{r.Site, r.Previous}]
	if p.late && !known && noted && other.erased && toMilli(r.Time) <= other.time {
		expected, isExpected = other, true // what it follows was erased after it was made
	}
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
		switch {
		case known:
			p.erase = before.subject // the visitor's others, which were not found when they had all erased
		case noted && !other.erased:
			p.erase = other.subject // those that came before the one that is awaited still, and that one
		}
		b.forget(p)
		return true
	case r.Subject != expected.subject:
		b.joined = append(b.joined, joining{r.Site, expected.subject, r.Subject})
	}
	return false
}

// forget notes that a record is not kept, for those that follow it, and for its act under another receipt. Where that one
// is here already it is the same visitor's, and goes.
func (b *batch) forget(p *pending) {
	r := &p.row.record
	for _, id := range []uuid.UUID{r.ID, r.Key} {
		at := siteID{r.Site, id}
		if !b.awaited[at].erased {
			b.awaited[at] = awaited{r.Subject, true, toMilli(time.Now())}
			b.missing = append(b.missing, at)
		}
	}
	twin, there := b.known[siteID{r.Site, r.Key}]
	switch {
	case !there || twin.ID == r.ID || twin.Subject == p.erase:
	case p.erase == uuid.Nil:
		p.erase = twin.Subject
	default:
		b.joined = append(b.joined, joining{r.Site, twin.Subject, p.erase})
	}
	if p.erase != uuid.Nil {
		b.erasing = append(b.erasing, p)
	}
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
		b.awaited[previous] = awaited{r.Subject, isExpected && expected.erased, toMilli(time.Now())}
		b.missing = append(b.missing, previous)
	}
}

func (b *batch) writeAwaited(ctx context.Context, tx *sql.Tx) error {
	one := merge(b.joined)
	for _, p := range b.erasing {
		if to, joined := one[siteID{p.row.record.Site, p.erase}]; joined {
			p.erase = to
		}
	}
	if err := join(ctx, tx, one); err != nil {
		return fmt.Errorf("making two subjects one: %w", err)
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
		if to, joined := one[siteID{m.site, a.subject}]; joined {
			a.subject = to
		}
		sites[i], ids[i], subjects[i], erased[i] = m.site, toUUID(m.id), toUUID(a.subject), a.erased
	}
	if _, err := tx.ExecContext(ctx, awaitSQL, sites, ids, subjects, erased, toMilli(now)); err != nil {
		return fmt.Errorf("noting who is awaited: %w", err)
	}
	return nil
}

// merge is what becomes of each subject that is one with another, directly or through others. Who chose at many processes
// is found to be the same person in any order.
func merge(joined []joining) (one map[siteID]uuid.UUID) {
	one = map[siteID]uuid.UUID{}
	find := func(site string, id uuid.UUID) uuid.UUID {
		for {
			to, there := one[siteID{site, id}]
			if !there {
				return id
			}
			id = to
		}
	}
	for _, j := range joined {
		if from, to := find(j.site, j.from), find(j.site, j.to); from != to {
			one[siteID{j.site, from}] = to
		}
	}
	for from := range one {
		one[from] = find(from.site, from.id)
	}
	return one
}

// join gives all that is of some subjects to others, in a few statements however many they are.
func join(ctx context.Context, tx *sql.Tx, one map[siteID]uuid.UUID) error {
	if len(one) == 0 {
		return nil
	}
	var sites []string
	var from, to []pgtype.UUID
	for of, subject := range one {
		sites, from, to = append(sites, of.site), append(from, toUUID(of.id)), append(to, toUUID(subject))
	}
	for _, statement := range []string{
		`UPDATE records SET subject = now.subject` + joinedSQL + `WHERE records.site = now.site AND records.subject = was`,
		`UPDATE awaited SET subject = now.subject` + joinedSQL + `WHERE awaited.site = now.site AND awaited.subject = was`,
		`INSERT INTO mail_events (site, message, kind, subject, day, category, times)
			SELECT e.site, e.message, e.kind, now.subject, e.day, e.category, e.times` + joinedSQL + `JOIN mail_events e ON e.site = now.site AND e.subject = was
			ON CONFLICT (site, message, kind, subject, day) DO NOTHING`,
		`DELETE FROM mail_events USING unnest($1::text[], $2::uuid[], $3::uuid[]) AS now (site, was, subject)
			WHERE mail_events.site = now.site AND mail_events.subject = was`,
	} {
		if _, err := tx.ExecContext(ctx, statement, sites, from, to); err != nil {
			return err
		}
	}
	return nil
}

const joinedSQL = ` FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS now (site, was, subject) `

const disownAllSQL = `INSERT INTO awaited (site, id, subject, erased, time)
	SELECT site, id, subject, true, $3::bigint FROM records WHERE site = $1 AND subject = $2 UNION
	SELECT site, key, subject, true, $3::bigint FROM records WHERE site = $1 AND subject = $2
	ON CONFLICT (site, id) DO UPDATE SET erased = true, time = excluded.time`

// erased also notes what is erased: a record that follows it may be on its way, and the same act under another receipt.
func (e *remote) erased(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `UPDATE awaited SET erased = true, time = $3 WHERE site = $1 AND subject = $2`, site, toUUID(subject), toMilli(time.Now()))
	if err == nil {
		_, err = tx.ExecContext(ctx, disownAllSQL, site, toUUID(subject), toMilli(time.Now()))
	}
	return err
}

// Disown makes sure that the record of a receipt is not kept when it arrives: its visitor had everything erased while it
// was in another process's spool. For a receipt that is genuine and that Find does not know. Where it has arrived since, it
// is erased, and with it all that is its visitor's.
func (l *Ledger) Disown(ctx context.Context, site string, receipt uuid.UUID) error {
	if _, ok := l.engine.(*remote); !ok {
		return nil
	}
	if _, err := l.eraseOf(ctx, site, receipt, By{Actor: Visitor, Time: time.Now()}); err != nil {
		return fmt.Errorf("disowning a receipt of %s: %w", site, l.engine.explain(err))
	}
	return nil
}

const disownSQL = `INSERT INTO awaited (site, id, subject, erased, time) VALUES ($1, $2, $3, true, $4)
	ON CONFLICT (site, id) DO UPDATE SET erased = true, time = excluded.time`

// eraseOf erases whoever a record is of, or else sees to it that it is not kept when it arrives. No other record arrives
// meanwhile: the log is locked.
func (l *Ledger) eraseOf(ctx context.Context, site string, id uuid.UUID, by By) (n int, err error) {
	err = l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		r, err := scan(tx.QueryRowContext(ctx, findSQL, id[:], site))
		if errors.Is(err, sql.ErrNoRows) {
			if r.Subject, err = follower(ctx, tx, site, id); err == nil && r.Subject != uuid.Nil { // it is awaited, by records that are here
				if n, err = l.eraseIn(ctx, tx, size, site, r.Subject, by); err != nil {
					return err
				}
			}
			if err == nil {
				_, err = tx.ExecContext(ctx, disownSQL, site, toUUID(id), toUUID(uuid.Must(uuid.NewV7())), toMilli(time.Now()))
			}
			return err
		}
		if err == nil {
			n, err = l.eraseIn(ctx, tx, size, site, r.Subject, by)
		}
		return err
	})
	l.noteGrowth()
	return n, err
}

// follower is the visitor of whom a record is awaited, or zero.
func follower(ctx context.Context, tx *sql.Tx, site string, id uuid.UUID) (subject uuid.UUID, err error) {
	err = tx.QueryRowContext(ctx, `SELECT subject FROM awaited WHERE site = $1 AND id = $2 AND NOT erased`, site, toUUID(id)).Scan(&subject)
	return subject, ignoreNone(err)
}

// secondKey is the key of a record whose own was taken while it was on its way: the same each time it is brought.
func secondKey(r *Record) uuid.UUID { return uuid.NewSHA1(r.Key, r.ID[:]) }
