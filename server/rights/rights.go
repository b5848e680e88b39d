// Package rights is what an operator does for a visitor who asks for it by post or telephone (C10, F7): finds their records,
// takes their consent back, erases what is kept of them. The command line and the dashboard do the same thing by it.
package rights

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

// Drop drops what waits to be sent on a visitor's consent, and says how many messages that were. nil: nothing waits.
type Drop func(ctx context.Context, site string, subject uuid.UUID) (int, error)

func (d Drop) drop(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	if d == nil {
		return 0, nil
	}
	return d(ctx, site, subject)
}

// Form is how a receipt is written.
const Form = "a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

// ParseReceipt reads the id of a record as people write it: in one form only, which is that of the visitor's page.
func ParseReceipt(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 || id == uuid.Nil {
		return uuid.Nil, fmt.Errorf("%.80q is no receipt: that is %s", text, Form)
	}
	return id, nil
}

// Find returns the record of an id, a receipt or the key that the page sent with the choice, and all records of its visitor,
// newest first; or fs.ErrNotExist.
func Find(ctx context.Context, db *ledger.Ledger, site string, id uuid.UUID) (found ledger.Record, history []ledger.Record, err error) {
	found, err = db.Find(ctx, site, id)
	if errors.Is(err, fs.ErrNotExist) {
		found, err = db.FindKey(ctx, site, id)
	}
	if err != nil {
		return found, nil, err
	}
	if history, err = db.History(ctx, site, found.Subject); err == nil && len(history) == 0 {
		err = fs.ErrNotExist // it was erased meanwhile
	}
	return found, history, err
}

// State is what a record is worth at a moment: "in force", "taken back", "expired" or "superseded". The newest one of a
// visitor counts.
func State(r *ledger.Record, newest bool, now time.Time) string {
	switch {
	case !newest:
		return "superseded"
	case r.Action == consent.Withdraw:
		return "taken back"
	case !r.Expiry.IsZero() && !now.Before(r.Expiry):
		return "expired"
	}
	return "in force"
}

// Done is what was done.
type Done struct {
	Record  ledger.Record // the withdrawal
	Records int           // erased
	Dropped int           // messages that waited to be sent
}

// ErrNothingGranted is returned by Withdraw where there is nothing to take back: nothing was changed.
var ErrNothingGranted = errors.New("nothing is granted")

// Withdraw adds a record that takes back all that a visitor's record in force grants, notes it in the audit trail, and drops
// what waits to be sent. Done for the same record twice it is one record. An error with a record says that it is stored.
func Withdraw(ctx context.Context, db *ledger.Ledger, drop Drop, last *ledger.Record, by ledger.By) (done Done, err error) {
	if len(last.Granted)+len(last.Services) == 0 {
		return done, ErrNothingGranted
	}
	if done.Record, err = db.Append(ctx, withdrawal(last, by.Time.UTC())); err != nil {
		return Done{}, err
	}
	_, err = db.Note(ctx, ledger.Audit{
		Time: by.Time, Actor: by.Actor, Act: ledger.ActWithdraw, Site: last.Site, Leaves: ledger.LeavesOf(done.Record.Leaf), Count: 1, Detail: by.Detail,
	})
	var failed error
	done.Dropped, failed = drop.drop(ctx, last.Site, last.Subject)
	return done, errors.Join(err, failed)
}

// withdrawal is the record that takes back all that the last one grants. Made twice for the same one it is one.
func withdrawal(last *ledger.Record, now time.Time) ledger.Record {
	r := *last
	r.ID, r.Salt, r.Previous, r.Time = uuid.Nil, [16]byte{}, last.ID, now
	r.Key = uuid.NewSHA1(last.ID, []byte("withdrawn by the operator"))
	r.Action, r.Surface, r.GPC = consent.Withdraw, "api", false
	r.Granted, r.Services, r.Refused = nil, nil, nil
	r.Denied = slices.Concat(last.Denied, last.Granted)
	slices.Sort(r.Denied)
	r.Denied = slices.Compact(r.Denied)
	if !last.Expiry.IsZero() {
		r.Expiry = now.Add(last.Expiry.Sub(last.Time))
	}
	return r
}

// Erase erases all that is kept of a visitor, notes it in the audit trail, and drops what waits to be sent: before, while it
// is known whose it is, and after, since more may have come meanwhile. Done with no records and no error says that there
// were none. An error with records says that they are erased, and what else is left to do.
func Erase(ctx context.Context, db *ledger.Ledger, drop Drop, site string, subject uuid.UUID, by ledger.By) (done Done, err error) {
	if done.Dropped, err = drop.drop(ctx, site, subject); err != nil {
		return Done{}, err
	}
	if done.Records, err = db.Erase(ctx, site, subject, by); done.Records == 0 {
		return Done{}, err // the visitor was faster
	}
	if err != nil {
		err = fmt.Errorf("the records are erased, and traces of them may be left in the database's files until the next day: %w", err)
	}
	late, failed := drop.drop(ctx, site, subject)
	done.Dropped += late
	return done, errors.Join(err, failed)
}

// ParseNumber is a request's number as it is kept, however it is typed.
func ParseNumber(text string) string { return strings.ToUpper(strings.TrimSpace(text)) }

// Answered is the note of a request that was answered by an erasure.
func Answered(records int) string { return "erased " + Counted(records, "record") }

// DaysLeft is how many days are left until a request is due, by the calendar in UTC: the day on which it is due is still in
// time, with 0; less than 0 is overdue.
func DaysLeft(r *ledger.Request, now time.Time) int {
	day := func(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
	return int(day(r.Due).Sub(day(now)) / (24 * time.Hour))
}

// Counted is a number of things: "1 record", "2 records".
func Counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
