package ledger

import (
	"context"
	"database/sql"
)

// engine is the database that a ledger is kept in. All statements but those of engines themselves are written once, for
// both: parameters are $1, ids are 16 bytes, times are milliseconds, lists are JSON.
type engine interface {
	// reader answers queries.
	reader() *sql.DB

	// begin begins a transaction that writes. What it commits is on disk before Commit returns.
	begin(ctx context.Context) (*sql.Tx, error)

	// lock keeps other writers of the log away until the transaction ends, and returns how many leaves the log has.
	lock(ctx context.Context, tx *sql.Tx) (size int64, err error)

	// store settles each record of a batch: stored now, with the next number of the log, or found to be stored already, or
	// in error by its own fault. An error says that nothing of the transaction may be kept.
	store(ctx context.Context, tx *sql.Tx, size int64, batch []*pending) (grown int64, err error)

	// alone tells whether a batch that failed with an error may hold one record at fault, so that the others are worth
	// another try by themselves.
	alone(err error) bool

	// purge makes sure that what a committed transaction deleted is not left in any file that this engine can reach.
	purge(ctx context.Context) error

	// ping tells whether records can be stored now.
	ping(ctx context.Context) error

	// explain says in one line what an operator can do about an error.
	explain(err error) error

	close() error
}
