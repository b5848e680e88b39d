package tally

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Keep is for how many months figures are kept.
const Keep = 25

// mergeable is the first day of which somebody may still store something: a process that counted on a day before it has
// given up.
func (t *Tally) mergeable() Day { return DayOf(t.now().AddDate(0, 0, -Wait-1)) }

// What Retain asks. One statement takes the rows away and returns them, so that two processes never merge the same ones.
const (
	severalSQL = `SELECT site, day FROM tallies WHERE day < $1 AND writer <> '' GROUP BY site, day ORDER BY day, site`
	takeSQL    = `DELETE FROM tallies WHERE site = $1 AND day = $2 RETURNING sheet`
	mergedSQL  = `INSERT INTO tallies (site, day, writer, sheet) VALUES ($1, $2, '', $3)`
	retireSQL  = `DELETE FROM tallies WHERE day < $1`
)

// Retain makes one row of all that belong to a day that is over, and deletes figures that are older than Keep, of all sites.
// It may be run by any number of processes; what one cannot do it leaves as it is, and goes on.
func (t *Tally) Retain(ctx context.Context) error {
	err := t.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, retireSQL, string(DayOf(t.now().AddDate(0, -Keep, 0))))
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting figures older than %d months: %w", Keep, err)
	}
	var over []siteDay
	err = t.db.Each(ctx, func(rows *sql.Rows) error {
		var d siteDay
		err := rows.Scan(&d.site, &d.day)
		over = append(over, d)
		return err
	}, severalSQL, string(t.mergeable()))
	if err != nil {
		return fmt.Errorf("looking for figures of days that are over: %w", err)
	}
	var errs []error
	for _, d := range over {
		if err := t.merge(ctx, d); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (t *Tally) merge(ctx context.Context, d siteDay) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := t.db.Write(ctx, func(tx *sql.Tx) error {
		all, err := take(ctx, tx, d)
		if err != nil || len(all) == 0 {
			return err
		}
		sum := &sheet{}
		for _, s := range all {
			if !sum.fits(s) {
				return of(d.site, d.day, errDamaged)
			}
			sum.merge(s)
		}
		stored, err := t.stored(d.site, d.day, sum)
		if err == nil {
			_, err = decode(stored) // all that there is of the day is deleted in its favour
		}
		if err != nil {
			return of(d.site, d.day, fmt.Errorf("once they are merged: %w", err))
		}
		_, err = tx.ExecContext(ctx, mergedSQL, d.site, string(d.day), stored)
		return err
	})
	if err != nil {
		return fmt.Errorf("merging figures: %w", err)
	}
	return nil
}

func take(ctx context.Context, tx *sql.Tx, d siteDay) (all []*sheet, err error) {
	rows, err := tx.QueryContext(ctx, takeSQL, d.site, string(d.day))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var stored []byte
		if err := rows.Scan(&stored); err != nil {
			return nil, err
		}
		s, err := decode(stored)
		if err != nil {
			return nil, of(d.site, d.day, err)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
