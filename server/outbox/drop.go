package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"
)

// Drop does in the file at path what Forget does, sends nothing, and leaves no trace of it there. It may run while another
// process has the outbox open: that one reads a message anew before each attempt, so that only one which is under way at
// this moment still goes out. A file that is not there holds nothing.
func Drop(ctx context.Context, path, site string, subject uuid.UUID) (n int, err error) {
	if _, err := os.Stat(path); subject == uuid.Nil || errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	s, err := openStore(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	err = s.transact([]*task{{run: func(ctx context.Context, tx *sql.Tx) (err error) {
		n, err = forget(ctx, tx, site, subject, nil)
		return err
	}}})
	if err != nil {
		return 0, fmt.Errorf("dropping what waits to be sent: %w", err)
	}
	return n, s.db.Empty(ctx)
}

// Purge makes sure that what was forgotten is not left in the outbox's files.
func (o *Outbox) Purge(ctx context.Context) error { return o.store.db.Empty(ctx) }
