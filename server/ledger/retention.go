package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Term is when a site's records are over, and what becomes of them then.
//
// The records of a visitor go together, and their time runs from the moment at which none of them can be in force any more:
// at the end of the last one's expiry. Until then the site may rely on the choice and has to be able to show it, from the
// first record to the last, since each of them says what held until the next; from then on it needs them only for as long as
// somebody may still contest what was done (GDPR 7(1) and 17(3)(e); EDPB Guidelines 05/2020, 5.1). So a record in force is
// never retired, and no chain is left with a gap.
type Term struct {
	Site      string
	Before    time.Time // visitors whose last record ended before it are retired
	Anonymise bool      // what they chose is counted in Past first
	Now       time.Time // of the entries in the audit trail
}

// Retired is what one call of Retire did.
type Retired struct {
	Visitors, Records int
	Next              int64 // where to go on, or -1: that was all
}

const (
	retireSpan = 10_000                // leaves that one query looks at
	retireAsk  = 200                   // visitors that it finds
	retireMost = 1000                  // records that one transaction deletes, unless it is one visitor's who has more
	retireTime = 50 * time.Millisecond // after which it ends with the visitor that it is at: those who choose wait for it
)

const (
	overSQL = `SELECT r.subject FROM records r WHERE r.leaf >= $1 AND r.leaf < $2 AND r.site = $3 AND r.time < $4
		AND NOT EXISTS (SELECT 1 FROM records o WHERE o.site = r.site AND o.subject = r.subject AND (o.time >= $4 OR o.expiry >= $4))
		GROUP BY r.subject ORDER BY min(r.leaf) LIMIT $5`

	countPastSQL = `INSERT INTO history (site, month, action, granted, denied, regime, policy, surface, times) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)
		ON CONFLICT (site, month, action, granted, denied, regime, policy, surface) DO UPDATE SET times = history.times + 1`
)

// Retire deletes records that are over, beginning at a leaf: one step of a walk over the log, which is short so that nobody
// who chooses is held up. The first step begins at 0, each further one where the one before it says. The audit trail gets
// the numbers of what was deleted in the same transaction. Call Purge after the last step.
//
// Policies, notices and vendor lists stay: they are nobody's.
func (l *Ledger) Retire(ctx context.Context, t Term, from int64) (Retired, error) {
	done, err := l.retire(ctx, t, from)
	if err != nil {
		return Retired{}, fmt.Errorf("retiring records of %s: %w", t.Site, l.engine.explain(err))
	}
	return done, nil
}

func (l *Ledger) retire(ctx context.Context, t Term, from int64) (done Retired, err error) {
	var size int64
	if err := l.engine.reader().QueryRowContext(ctx, sizeSQL).Scan(&size); err != nil {
		return done, err
	}
	var over []uuid.UUID
	err = l.each(ctx, func(rows *sql.Rows) error {
		var subject uuid.UUID
		err := rows.Scan(&subject)
		over = append(over, subject)
		return err
	}, overSQL, from, from+retireSpan, t.Site, toMilli(t.Before), retireAsk)
	if err != nil {
		return done, err
	}
	left := len(over) == retireAsk // there may be more between the same leaves
	if len(over) > 0 {
		var all bool
		if done, all, err = l.retireAll(ctx, t, over); err != nil {
			return Retired{}, err
		}
		left = left || !all
	}
	switch done.Next = from + retireSpan; {
	case left:
		done.Next = from
	case done.Next >= size:
		done.Next = -1
	}
	return done, nil
}

// retireAll deletes the records of visitors in one transaction, as far as that is not too many.
func (l *Ledger) retireAll(ctx context.Context, t Term, subjects []uuid.UUID) (done Retired, all bool, err error) {
	var leaves []int64
	err = l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		if err := l.cover(ctx, tx); err != nil {
			return err
		}
		began := time.Now()
		for _, subject := range subjects {
			records, err := within(ctx, tx, t.Site, subject)
			if err != nil {
				return err
			}
			if len(records) == 0 || !t.over(records) { // they came back a moment ago
				continue
			}
			if len(leaves) > 0 && (len(leaves)+len(records) > retireMost || time.Since(began) > l.retiring) {
				break
			}
			if err := t.retire(ctx, tx, records); err != nil {
				return err
			}
			done.Visitors++
			for i := range records {
				leaves = append(leaves, records[i].Leaf)
			}
		}
		if done.Records = len(leaves); done.Records == 0 {
			return nil
		}
		a := Audit{Time: t.Now, Actor: Retention, Act: ActErase, Site: t.Site, Leaves: LeavesOf(leaves...), Count: len(leaves)}
		if t.Anonymise {
			a.Act = ActAnonymise
		}
		return enter(ctx, tx, size, &a)
	})
	l.noteGrowth()
	return done, done.Records < retireMost && done.Visitors == len(subjects), err
}

// within are the records of a visitor as a transaction sees them.
func within(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) (records []Record, err error) {
	err = rowsOf(ctx, tx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		records = append(records, r)
		return err
	}, historySQL, site, subject[:])
	return records, err
}

// over tells whether none of a visitor's records can have been in force since.
func (t *Term) over(records []Record) bool {
	return !slices.ContainsFunc(records, func(r Record) bool { return !r.Time.Before(t.Before) || !r.Expiry.Before(t.Before) })
}

func (t *Term) retire(ctx context.Context, tx *sql.Tx, records []Record) error {
	if t.Anonymise {
		for i := range records {
			r := &records[i]
			_, err := tx.ExecContext(ctx, countPastSQL, r.Site, r.Time.Format(monthForm), string(r.Action), sorted(r.Granted), sorted(r.Denied),
				r.Regime, r.Policy, r.Surface)
			if err != nil {
				return err
			}
		}
	}
	return drop(ctx, tx, records[0].Site, records[0].Subject)
}

const monthForm = "2006-01"

// sorted is a list as JSON, the same one in whatever order it was.
func sorted(list []string) string {
	list = keep(list)
	slices.Sort(list)
	return asJSON(list)
}

const answeredSQL = `DELETE FROM requests WHERE site = $1 AND answered < $2`

// RetireRequests deletes requests that were answered before a term, and says how many.
func (l *Ledger) RetireRequests(ctx context.Context, t Term) (int, error) {
	var n int64
	err := l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, answeredSQL, t.Site, toMilli(t.Before))
		if err != nil {
			return err
		}
		if n, err = res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return enter(ctx, tx, size, &Audit{Time: t.Now, Actor: Retention, Act: ActErase, Site: t.Site, Count: int(n), Detail: "answered requests"})
	})
	if err != nil {
		return 0, fmt.Errorf("retiring requests to %s: %w", t.Site, l.engine.explain(err))
	}
	return int(n), nil
}

// Past is what is left of records that were made anonymous: how many of a kind there were in a month.
type Past struct {
	Site, Month     string // "2026-11", UTC
	Action          string
	Granted, Denied []string // categories, sorted
	Regime, Policy  string
	Surface         string
	Times           int
}

const pastSQL = `SELECT site, month, action, granted, denied, regime, policy, surface, times FROM history WHERE site = $1
	ORDER BY month, action, granted, denied, regime, policy, surface`

// Past returns what is left of a site's records that were made anonymous, oldest first.
func (l *Ledger) Past(ctx context.Context, site string) ([]Past, error) {
	var all []Past
	err := l.each(ctx, func(rows *sql.Rows) error {
		var (
			p               Past
			granted, denied []byte
		)
		if err := rows.Scan(&p.Site, &p.Month, &p.Action, &granted, &denied, &p.Regime, &p.Policy, &p.Surface, &p.Times); err != nil {
			return err
		}
		for _, list := range []struct {
			text []byte
			into *[]string
		}{{granted, &p.Granted}, {denied, &p.Denied}} {
			if err := json.Unmarshal(list.text, list.into); err != nil {
				return err
			}
		}
		all = append(all, p)
		return nil
	}, pastSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the history of %s: %w", site, err)
	}
	return all, nil
}

const (
	claimSQL = `INSERT INTO claims (name, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE claims.holder = excluded.holder OR claims.until <= $4`

	unclaimSQL = `DELETE FROM claims WHERE name = $1 AND holder = $2`
)

// Claim takes a piece of work for a holder, who is some process, and tells whether it is theirs: nobody else gets it for so
// long. Claiming it again prolongs it.
func (l *Ledger) Claim(ctx context.Context, name, holder string, now time.Time, span time.Duration) (bool, error) {
	var n int64
	err := l.transact(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, claimSQL, name, holder, toMilli(now.Add(span)), toMilli(now))
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claiming %s: %w", name, l.engine.explain(err))
	}
	return n == 1, nil
}

// Unclaim gives back what a holder claimed.
func (l *Ledger) Unclaim(ctx context.Context, name, holder string) error {
	err := l.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, unclaimSQL, name, holder)
		return err
	})
	if err != nil {
		return fmt.Errorf("giving back %s: %w", name, l.engine.explain(err))
	}
	return nil
}
