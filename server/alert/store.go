package alert

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Database is where alerts are kept: a *ledger.Ledger.
type Database interface {
	Write(ctx context.Context, fn func(*sql.Tx) error) error
	Each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error
	Claim(ctx context.Context, name, holder string, now time.Time, span time.Duration) (bool, error)
	Unclaim(ctx context.Context, name, holder string) error
}

// store keeps alerts.
type store struct{ Database }

const (
	recordColumns  = `a.id, a.site, a.kind, a.subject, a.owner, a.text, a.raised, a.seen, a.cleared`
	tellingColumns = `t.ended, t.way, t.place, t.told, t.due, t.tries, t.error`

	openSQL = `SELECT ` + recordColumns + ` FROM alerts a WHERE a.cleared IS NULL AND a.owner = $1`

	// Those that hold, and then the newest of the others.
	holdSQL    = `SELECT ` + recordColumns + ` FROM alerts a WHERE a.cleared IS NULL ORDER BY a.raised DESC, a.id DESC LIMIT $1`
	historySQL = `SELECT ` + recordColumns + ` FROM alerts a WHERE a.cleared >= $1 ORDER BY a.cleared DESC, a.id DESC LIMIT $2`
	toldSQL    = `SELECT ` + tellingColumns + ` FROM tellings t WHERE t.alert = $1 ORDER BY t.ended, t.way`

	// What reports from anybody can raise comes last.
	dueSQL = `SELECT ` + recordColumns + `, ` + tellingColumns + ` FROM tellings t JOIN alerts a ON a.id = t.alert
		WHERE t.due <= $1 ORDER BY CASE WHEN a.kind IN ('host', 'vendor') THEN 1 ELSE 0 END, t.due, t.alert, t.ended, t.way LIMIT $2`

	raiseSQL = `INSERT INTO alerts (id, site, kind, subject, owner, text, raised, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	tellSQL  = `INSERT INTO tellings (alert, ended, way, place, told, due, tries, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	keepSQL  = `UPDATE alerts SET seen = $2, text = $3 WHERE id = $1 AND cleared IS NULL`
	clearSQL = `UPDATE alerts SET cleared = $2 WHERE id = $1 AND cleared IS NULL`

	// What nobody was told of need not be taken back.
	withdrawSQL = `UPDATE tellings SET due = NULL WHERE alert = $1 AND ended = 0 AND told IS NULL`
	tellEndSQL  = `INSERT INTO tellings (alert, ended, way, place, due, tries, error) SELECT t.alert, 1, t.way, '', CAST($2 AS bigint), 0, ''
		FROM tellings t JOIN alerts a ON a.id = t.alert WHERE t.alert = $1 AND t.ended = 0 AND t.told IS NOT NULL AND a.cleared IS NOT NULL ON CONFLICT DO NOTHING`

	noteSQL = `UPDATE tellings SET place = $4, told = $5, due = $6, tries = $7, error = $8 WHERE alert = $1 AND ended = $2 AND way = $3 AND told IS NULL`

	staleSQL        = `SELECT ` + recordColumns + ` FROM alerts a WHERE a.cleared IS NULL AND a.owner <> '' AND a.seen < $1`
	dropTellingsSQL = `DELETE FROM tellings WHERE alert IN (SELECT id FROM alerts WHERE cleared < $1)`
	dropAlertsSQL   = `DELETE FROM alerts WHERE cleared < $1`
)

func (s store) records(ctx context.Context, query string, args ...any) (all []Record, err error) {
	err = s.Each(ctx, func(rows *sql.Rows) error {
		var r recordRow
		if err := rows.Scan(r.into()...); err != nil {
			return err
		}
		all = append(all, r.record())
		return nil
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading alerts: %w", err)
	}
	return all, nil
}

// list is all that hold, and those that were cleared since, each newest first, with what was told of them.
func (s store) list(ctx context.Context, since time.Time, most int) ([]Record, error) {
	all, err := s.records(ctx, holdSQL, most)
	if err != nil {
		return nil, err
	}
	over, err := s.records(ctx, historySQL, since.UnixMilli(), most)
	if err != nil {
		return nil, err
	}
	all = append(all, over...)
	for i := range all {
		r := &all[i]
		err := s.Each(ctx, func(rows *sql.Rows) error {
			var t tellingRow
			if err := rows.Scan(t.into()...); err != nil {
				return err
			}
			r.Tellings = append(r.Tellings, t.telling())
			return nil
		}, toldSQL, r.ID[:])
		if err != nil {
			return nil, fmt.Errorf("reading what was told: %w", err)
		}
	}
	return all, nil
}

// due is what is to be told now: each an alert with one telling.
func (s store) due(ctx context.Context, now time.Time, most int) (all []Record, err error) {
	err = s.Each(ctx, func(rows *sql.Rows) error {
		var r recordRow
		var t tellingRow
		if err := rows.Scan(append(r.into(), t.into()...)...); err != nil {
			return err
		}
		rec := r.record()
		rec.Tellings = []Telling{t.telling()}
		all = append(all, rec)
		return nil
	}, dueSQL, now.UnixMilli(), most)
	if err != nil {
		return nil, fmt.Errorf("reading what is to be told: %w", err)
	}
	return all, nil
}

// apply keeps what an evaluation found. ways are those by which what is raised at a site is told.
func (s store) apply(ctx context.Context, c change, owner string, now time.Time, ways func(site string) []string) error {
	if len(c.raise)+len(c.keep)+len(c.clear) == 0 {
		return nil
	}
	at := now.UnixMilli()
	err := s.Write(ctx, func(tx *sql.Tx) error {
		for i := range c.clear {
			if err := end(ctx, tx, &c.clear[i], at, c.quiet(&c.clear[i])); err != nil {
				return err
			}
		}
		for i := range c.keep {
			if _, err := tx.ExecContext(ctx, keepSQL, c.keep[i].ID[:], at, c.keep[i].Text); err != nil {
				return err
			}
		}
		for _, a := range c.raise {
			r := Record{ID: uuid.Must(uuid.NewV7()), Alert: a, Owner: owner, Raised: now, Seen: now}
			for _, way := range ways(a.Site) {
				r.Tellings = append(r.Tellings, Telling{Way: way, Due: now})
			}
			if err := raise(ctx, tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping alerts: %w", err)
	}
	return nil
}

// raise keeps an alert, unless the same one holds already.
func raise(ctx context.Context, tx *sql.Tx, r *Record) error {
	res, err := tx.ExecContext(ctx, raiseSQL, r.ID[:], r.Site, string(r.Kind), r.Subject, r.Owner, r.Text, r.Raised.UnixMilli(), r.Seen.UnixMilli())
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return err
	}
	for _, t := range r.Tellings {
		_, err := tx.ExecContext(ctx, tellSQL, r.ID[:], asInt(t.Ended), t.Way, t.Place, milliOrNull(t.Told), milliOrNull(t.Due), t.Tries, t.Error)
		if err != nil {
			return err
		}
	}
	return nil
}

func end(ctx context.Context, tx *sql.Tx, r *Record, at int64, quiet bool) error {
	if _, err := tx.ExecContext(ctx, clearSQL, r.ID[:], at); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, withdrawSQL, r.ID[:]); err != nil || quiet {
		return err
	}
	_, err := tx.ExecContext(ctx, tellEndSQL, r.ID[:], at)
	return err
}

// note keeps what came of an attempt to tell.
func (s store) note(ctx context.Context, r *Record, t Telling) error {
	err := s.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, noteSQL, r.ID[:], asInt(t.Ended), t.Way, t.Place, milliOrNull(t.Told), milliOrNull(t.Due), t.Tries, t.Error)
		if err != nil || t.Ended || t.Told.IsZero() || r.Kind == Due {
			return err
		}
		_, err = tx.ExecContext(ctx, tellEndSQL, r.ID[:], t.Told.UnixMilli()) // it may have ended meanwhile
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping that an alert was told: %w", err)
	}
	return nil
}

// adopt keeps an alert that was raised, and told, while the database was away.
func (s store) adopt(ctx context.Context, r *Record) error {
	if err := s.Write(ctx, func(tx *sql.Tx) error { return raise(ctx, tx, r) }); err != nil {
		return fmt.Errorf("keeping an alert: %w", err)
	}
	return nil
}

// retire clears alerts of processes that are gone, and deletes what is over for long.
func (s store) retire(ctx context.Context, now, unseen, over time.Time) error {
	stale, err := s.records(ctx, staleSQL, unseen.UnixMilli())
	if err != nil {
		return err
	}
	err = s.Write(ctx, func(tx *sql.Tx) error {
		for i := range stale {
			if err := end(ctx, tx, &stale[i], now.UnixMilli(), false); err != nil {
				return err
			}
		}
		for _, query := range []string{dropTellingsSQL, dropAlertsSQL} {
			if _, err := tx.ExecContext(ctx, query, over.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("deleting old alerts: %w", err)
	}
	return nil
}

// recordRow and tellingRow are as the database has them.
type recordRow struct {
	id      []byte
	r       Record
	raised  int64
	seen    int64
	cleared sql.NullInt64
}

func (row *recordRow) into() []any {
	r := &row.r
	return []any{&row.id, &r.Site, &r.Kind, &r.Subject, &r.Owner, &r.Text, &row.raised, &row.seen, &row.cleared}
}

func (row *recordRow) record() Record {
	copy(row.r.ID[:], row.id)
	row.r.Raised, row.r.Seen, row.r.Cleared = time.UnixMilli(row.raised).UTC(), time.UnixMilli(row.seen).UTC(), timeOrZero(row.cleared)
	return row.r
}

type tellingRow struct {
	t         Telling
	ended     int
	told, due sql.NullInt64
}

func (row *tellingRow) into() []any {
	t := &row.t
	return []any{&row.ended, &t.Way, &t.Place, &row.told, &row.due, &t.Tries, &t.Error}
}

func (row *tellingRow) telling() Telling {
	row.t.Ended, row.t.Told, row.t.Due = row.ended == 1, timeOrZero(row.told), timeOrZero(row.due)
	return row.t
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func milliOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func timeOrZero(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}
