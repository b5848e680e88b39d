package ledger

import "errors"

var (
	// ErrBusy is returned by Append when Options.Queue records wait to be stored, and by what writes when it is
	// ErrLocked: nothing was stored, retry later.
	ErrBusy = errors.New("too many records are waiting to be stored: try again later")

	// ErrClosed is returned by Append after Close: nothing was stored.
	ErrClosed = errors.New("the ledger is closed")

	// ErrLocked is ErrBusy where another process holds the database: an operator is to end it.
	ErrLocked = errors.New("the database is locked by another process")

	// ErrAway is what every error is that says that the database takes nothing now: it cannot be reached, its disk is full or
	// broken, it may only be read. Nothing was stored; an operator has to do something.
	ErrAway = errors.New("the database takes nothing now")

	errTaken = errors.New("its id is that of another record")
)

type locked struct{ error }

func (l locked) Unwrap() error { return l.error }

func (l locked) Is(target error) bool { return target == ErrBusy || target == ErrLocked }

// away makes an error one that is ErrAway.
type away struct{ error }

func (a away) Unwrap() error { return a.error }

func (a away) Is(target error) bool { return target == ErrAway }
