package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
)

// Store is the database that users and sessions are kept in: a *ledger.Ledger.
type Store interface {
	Write(ctx context.Context, fn func(*sql.Tx) error) error
	Each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error
	WriteNoted(ctx context.Context, a ledger.Audit, fn func(*sql.Tx) error) error
}

// Options are what accounts are kept with.
type Options struct {
	Store Store
	Keys  func() []keys.Secret // that sign sessions, newest first; nil: no session is begun here
	Now   func() time.Time     // nil: the clock
	Log   *slog.Logger         // nil: the default one
	OIDC  *OIDC                // nil: users log in by password alone
}

// Accounts are the users of a Stile and their sessions. They are safe for concurrent use.
type Accounts struct {
	Options
	hasher  *hasher
	limit   *limit
	refused *refused
}

// New makes accounts. Close them.
func New(o Options) *Accounts {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &Accounts{Options: o, hasher: newHasher(), limit: newLimit()}
	a.refused = &refused{note: a.noteRefused}
	return a
}

// Close writes down what was counted of refused log-ins.
func (a *Accounts) Close() error { return a.refused.flush() }

var (
	// ErrRefused is returned for a name and a password that do not go together, whichever of them is wrong.
	ErrRefused = errors.New("this name and this password do not go together")

	// ErrCrowded is returned while too many passwords are being checked: nothing was checked or changed, try again.
	ErrCrowded = errors.New("too many people log in at once")

	// ErrEnded is returned for what is no session, or none any more.
	ErrEnded = errors.New("this session has ended")
)

// Invalid is an error of who asks: a sentence that says what was wrong and what to do. Nothing was changed.
type Invalid struct{ what string }

func (i *Invalid) Error() string { return i.what }

func invalid(format string, args ...any) error { return &Invalid{fmt.Sprintf(format, args...)} }

// Wait is returned for a log-in after too many that were refused: nothing was checked.
type Wait struct {
	For     time.Duration
	Address bool // for the address; else for the user
}

func (w *Wait) Error() string {
	what := "for this user"
	if w.Address {
		what = "from this address"
	}
	return fmt.Sprintf("too many log-ins %s were refused: wait %s, then try again", what, minutes(w.For))
}

func minutes(d time.Duration) string {
	if n := int((d + time.Minute - 1) / time.Minute); n > 1 {
		return fmt.Sprintf("%d minutes", n)
	}
	return "a minute"
}

func milli(t time.Time) int64 { return t.UnixMilli() }

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
