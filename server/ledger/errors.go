package ledger

import "errors"

var (
	// ErrBusy is returned by Append when more is waiting than the ledger takes: nothing was stored, retry later.
	ErrBusy = errors.New("too many records are waiting to be stored: try again later")

	// ErrClosed is returned by Append after Close: nothing was stored.
	ErrClosed = errors.New("the ledger is closed")

	errTaken = errors.New("its id is that of another record")
)
