package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"
)

const (
	leavesSQL = `SELECT leaf FROM records WHERE site = $1 AND subject = $2`

	// A request stays until it is answered, and as proof afterwards: it stands on its own contact. What it says of the
	// choice goes.
	unlinkSQL = `UPDATE requests SET receipt = NULL
		WHERE site = $1 AND receipt IN (SELECT id FROM records WHERE site = $1 AND subject = $2)`

	eraseSQL = `DELETE FROM records WHERE site = $1 AND subject = $2`
)

// Erase deletes all records of a visitor for good, and the events of their mails, and says how many records they were
// (C10). Requests of theirs stay, and no longer say which choice they came with. In the same transaction the audit trail
// gets the numbers of what was erased; where there is nothing to erase it gets no entry.
//
// Nothing of the visitor is left in the database's files. An error with a number that is not zero says that the records are
// erased, and that traces of them may be left in the files until the next erasure or the next run of the retention.
func (l *Ledger) Erase(ctx context.Context, site string, subject uuid.UUID, by By) (int, error) {
	var waiting int
	if l.spool != nil {
		var err error
		if waiting, err = l.spool.erase(ctx, site, subject); err != nil {
			return 0, err
		}
	}
	n, err := l.erase(ctx, site, subject, by)
	if err != nil {
		return 0, fmt.Errorf("erasing the records of a visitor of %s: %w", site, l.engine.explain(err))
	}
	if n == 0 {
		return waiting, nil
	}
	return waiting + n, l.Purge(ctx)
}

// erase erases what the database has of a visitor.
func (l *Ledger) erase(ctx context.Context, site string, subject uuid.UUID, by By) (int, error) {
	var leaves []int64
	err := l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		if err := l.engine.erased(ctx, tx, site, subject); err != nil {
			return err
		}
		if leaves, err = numbers(ctx, tx, site, subject); err != nil || len(leaves) == 0 {
			return err
		}
		if err := l.cover(ctx, tx); err != nil {
			return err
		}
		if err := drop(ctx, tx, site, subject); err != nil {
			return err
		}
		return enter(ctx, tx, size, &Audit{
			Time: by.Time, Actor: by.Actor, Act: ActErase, Site: site, Leaves: LeavesOf(leaves...), Count: len(leaves), Detail: by.Detail,
		})
	})
	l.noteGrowth()
	return len(leaves), err
}

// Purge makes sure that what was erased is not left in any file that this process can reach.
func (l *Ledger) Purge(ctx context.Context) error { return l.engine.purge(ctx) }

// numbers are the leaves of a visitor.
func numbers(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) (leaves []int64, err error) {
	rows, err := tx.QueryContext(ctx, leavesSQL, site, subject[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var leaf int64
		if err := rows.Scan(&leaf); err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
	}
	return leaves, rows.Err()
}

// drop deletes what a visitor left.
func drop(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) error {
	for _, query := range []string{unlinkSQL, eraseMailSQL, eraseSQL} { // records last: the first one looks at them
		if _, err := tx.ExecContext(ctx, query, site, subject[:]); err != nil {
			return err
		}
	}
	return nil
}
