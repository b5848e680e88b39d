package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// WriteNoted is Write with an entry of the audit trail for what fn does: both are kept, or neither. Others that write to the
// log wait until it is done, so that what fn reads of tables that are written by WriteNoted alone holds.
func (l *Ledger) WriteNoted(ctx context.Context, a Audit, fn func(*sql.Tx) error) error {
	err := l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		if err := enter(ctx, tx, size, &a); err != nil {
			return fmt.Errorf("writing to the audit trail: %w", err)
		}
		return nil
	})
	if err != nil {
		return l.engine.explain(err)
	}
	l.noteGrowth()
	return nil
}
