package ledger

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// engine is the database that a ledger is kept in. All statements but those of engines themselves are written once, for
// both: parameters are $1, ids are 16 bytes, times are milliseconds, lists are JSON.
type engine interface {
	// reader answers queries.
	reader() *sql.DB

	// patience bounds how long a transaction may take before the database is held to be away.
	patience(ctx context.Context) (context.Context, context.CancelFunc)

	// begin begins a transaction that writes. What it commits is on disk before Commit returns.
	begin(ctx context.Context) (*sql.Tx, error)

	// lock keeps other writers of the log away until the transaction ends, and returns how many leaves the log has.
	lock(ctx context.Context, tx *sql.Tx) (size int64, err error)

	// lockTree keeps others from making the tree until the transaction ends, and returns it.
	lockTree(ctx context.Context, tx *sql.Tx) (tlog.Tree, error)

	// store settles each record of a batch: stored now, with the next number of the log, or found to be stored already, or
	// in error by its own fault. An error says that nothing of the transaction may be kept.
	store(ctx context.Context, tx *sql.Tx, size int64, batch []*pending) (grown int64, err error)

	// alone tells whether a batch that failed with an error may hold one record at fault, so that the others are worth
	// another try by themselves.
	alone(err error) bool

	// erased notes that a visitor's records were erased, for those that have not arrived.
	erased(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) error

	// purge makes sure that what a committed transaction deleted is not left in any file that this engine can reach.
	purge(ctx context.Context) error

	// ping tells whether records can be stored now.
	ping(ctx context.Context) error

	// rollback undoes a transaction.
	rollback(tx *sql.Tx) error

	// explain says in one line what an operator can do about an error.
	explain(err error) error

	close() error
}
