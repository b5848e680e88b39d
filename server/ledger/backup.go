package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stilehq/stile/server/sqlite"
)

// Log is what identifies the log of a ledger.
type Log struct {
	Origin string // "stile/" and 32 hex digits; "" in a database of before the log
	Size   int64  // leaves; in a database of before the log, records
}

// CopyFile writes what the SQLite file of a ledger has at this moment into a new file, while others use it: each record
// that was acknowledged before is in the copy. It brings the schema to no other version.
func CopyFile(ctx context.Context, path, to string) error {
	k, err := kindOf()
	if err != nil {
		return err
	}
	return sqlite.Copy(ctx, path, to, k)
}

// CheckFile tells whether a ledger's SQLite file, which nobody uses, is whole and of a version that this stile knows, and
// whose log is in it.
func CheckFile(ctx context.Context, path string) (log Log, err error) {
	k, err := kindOf()
	if err != nil {
		return Log{}, err
	}
	err = sqlite.Check(ctx, path, k, func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, `SELECT origin, size FROM log`).Scan(&log.Origin, &log.Size)
		if err != nil && missing(ctx, db, "log") {
			err = db.QueryRowContext(ctx, `SELECT count(*) FROM records`).Scan(&log.Size)
		}
		return err
	})
	if err != nil {
		return Log{}, fmt.Errorf("checking the database: %w", err)
	}
	return log, nil
}

func missing(ctx context.Context, db *sql.DB, table string) bool {
	err := db.QueryRowContext(ctx, `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1`, table).Scan(new(int))
	return errors.Is(err, sql.ErrNoRows)
}
