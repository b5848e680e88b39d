package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MailEvent is that a visitor opened a mail, or followed a link in it.
type MailEvent struct {
	Site     string
	Message  string // the newsletter's own name for the mail
	Kind     string // open or click
	Subject  uuid.UUID
	Category string        // whose consent it stands on
	Time     time.Time     // kept to the day
	Keep     time.Duration // events of the site that are older are deleted
}

// MailCount is how often a mail was opened and its links were followed, and by how many visitors. Opens are counted once a
// visitor and day.
type MailCount struct {
	Message                          string
	Opens, Openers, Clicks, Clickers int
}

const (
	agedMailSQL = `DELETE FROM mail_events WHERE site = $1 AND day < $2`

	mailedSQL = `INSERT INTO mail_events (site, message, kind, subject, day, category, times) VALUES ($1, $2, $3, $4, $5, $6, 1)
		ON CONFLICT (site, message, kind, subject, day) DO UPDATE SET times = mail_events.times + $7`

	// What stood on a grant that is gone. $3 is the JSON of the categories that are granted, each in its quotes.
	unmailSQL = `DELETE FROM mail_events WHERE site = $1 AND subject = $2 AND replace($3, '"' || category || '"', '') = $3`

	eraseMailSQL = `DELETE FROM mail_events WHERE site = $1 AND subject = $2`

	mailReportSQL = `SELECT message,
		sum(CASE kind WHEN 'open' THEN times ELSE 0 END), count(DISTINCT CASE kind WHEN 'open' THEN subject END),
		sum(CASE kind WHEN 'click' THEN times ELSE 0 END), count(DISTINCT CASE kind WHEN 'click' THEN subject END)
		FROM mail_events WHERE site = $1 AND day >= $2 GROUP BY message ORDER BY message`
)

// Mailed keeps an event of a mail.
func (l *Ledger) Mailed(ctx context.Context, e MailEvent) error {
	if e.Site == "" || e.Message == "" || e.Subject == uuid.Nil || e.Time.IsZero() || e.Kind != "open" && e.Kind != "click" {
		return errors.New("an event of a mail has a site, a message, a kind, a subject and a time")
	}
	if err := l.mailed(ctx, e); err != nil {
		return fmt.Errorf("keeping that a mail of %s was fetched: %w", e.Site, l.engine.explain(err))
	}
	return nil
}

// mailed keeps an event only on a grant that is in force in the same moment: nobody can take it back meanwhile.
func (l *Ledger) mailed(ctx context.Context, e MailEvent) error {
	return l.transact(ctx, func(tx *sql.Tx) error {
		if _, err := l.engine.lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, agedMailSQL, e.Site, dayOf(e.Time.Add(-e.Keep))); err != nil {
			return err
		}
		last, err := scan(tx.QueryRowContext(ctx, historySQL+` LIMIT 1`, e.Site, e.Subject[:]))
		if errors.Is(err, sql.ErrNoRows) || err == nil && !slices.Contains(last.Granted, e.Category) {
			return nil
		}
		if err != nil {
			return err
		}
		again := 0
		if e.Kind == "click" {
			again = 1 // an open is counted once a day
		}
		_, err = tx.ExecContext(ctx, mailedSQL, e.Site, e.Message, e.Kind, e.Subject[:], dayOf(e.Time), e.Category, again)
		return err
	})
}

// MailReport counts by message.
func (l *Ledger) MailReport(ctx context.Context, site string, since time.Time) ([]MailCount, error) {
	var all []MailCount
	err := l.each(ctx, func(rows *sql.Rows) error {
		var c MailCount
		err := rows.Scan(&c.Message, &c.Opens, &c.Openers, &c.Clicks, &c.Clickers)
		all = append(all, c)
		return err
	}, mailReportSQL, site, dayOf(since))
	if err != nil {
		return nil, fmt.Errorf("counting the mails of %s: %w", site, err)
	}
	return all, nil
}

// dayOf is the number of days since 1970-01-01, UTC.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
