package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	agedMailSQL = `DELETE FROM mail_events WHERE site = ? AND day < ?`

	// An event is kept only on a grant that is in force in the same moment.
	mailedSQL = `INSERT INTO mail_events (site, message, kind, subject, day, category, times)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1 FROM records WHERE site = ?1 AND subject = ?4
		AND seq = (SELECT max(seq) FROM records WHERE site = ?1 AND subject = ?4)
		AND EXISTS (SELECT 1 FROM json_each(granted) WHERE value = ?6)
		ON CONFLICT DO UPDATE SET times = times + (kind = 'click')`

	// What stood on a grant that is gone.
	unmailSQL = `DELETE FROM mail_events WHERE site = ? AND subject = ? AND category NOT IN (SELECT value FROM json_each(?))`

	eraseMailSQL = `DELETE FROM mail_events WHERE site = ? AND subject = ?`

	mailReportSQL = `SELECT message,
		sum(CASE kind WHEN 'open' THEN times ELSE 0 END), count(DISTINCT CASE kind WHEN 'open' THEN subject END),
		sum(CASE kind WHEN 'click' THEN times ELSE 0 END), count(DISTINCT CASE kind WHEN 'click' THEN subject END)
		FROM mail_events WHERE site = ? AND day >= ? GROUP BY message ORDER BY message`
)

// Mailed keeps an event of a mail, see Ledger.
func (s *SQLite) Mailed(ctx context.Context, e MailEvent) error {
	if e.Site == "" || e.Message == "" || e.Subject == uuid.Nil || e.Time.IsZero() || e.Kind != "open" && e.Kind != "click" {
		return errors.New("an event of a mail has a site, a message, a kind, a subject and a time")
	}
	if err := s.mailed(ctx, e); err != nil {
		return fmt.Errorf("keeping that a mail of %s was fetched: %w", e.Site, explain(s.path, err))
	}
	return nil
}

func (s *SQLite) mailed(ctx context.Context, e MailEvent) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, agedMailSQL, e.Site, dayOf(e.Time.Add(-e.Keep))); err == nil {
		_, err = tx.ExecContext(ctx, mailedSQL, e.Site, e.Message, e.Kind, e.Subject[:], dayOf(e.Time), e.Category)
	}
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// MailReport counts by message, see Ledger.
func (s *SQLite) MailReport(ctx context.Context, site string, since time.Time) ([]MailCount, error) {
	var all []MailCount
	err := s.each(ctx, func(rows *sql.Rows) error {
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
