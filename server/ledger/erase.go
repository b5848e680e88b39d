package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

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
func (l *Ledger) Erase(ctx context.Context, site string, subject uuid.UUID, by By) (n int, err error) {
	if l.spool == nil {
		n, err = l.erase(ctx, site, subject, by)
	} else {
		n, err = l.eraseSpooled(ctx, site, subject, by)
	}
	if err != nil {
		return 0, fmt.Errorf("erasing the records of a visitor of %s: %w", site, l.engine.explain(err))
	}
	if n == 0 {
		return 0, nil
	}
	return n, l.Purge(ctx)
}

// eraseSpooled erases a visitor of whom records may wait in the spool: there they are of a subject of their own, and what
// they follow says who that is in the database. It comes first, so that an error leaves everything as it was.
func (l *Ledger) eraseSpooled(ctx context.Context, site string, subject uuid.UUID, by By) (n int, err error) {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	waiting, err := l.spool.waiting(ctx, `site = $1 AND subject = $2`, site, subject[:])
	if err != nil {
		return 0, err
	}
	for i := range waiting {
		r := &waiting[i]
		if err := l.Disown(ctx, site, r.ID); err != nil { // another process's may follow it
			return 0, err
		}
		if r.Previous == uuid.Nil || slices.ContainsFunc(waiting, func(w Record) bool { return w.ID == r.Previous }) {
			continue
		}
		more, err := l.eraseOf(ctx, site, r.Previous, by)
		if err != nil {
			return 0, err
		}
		n += more
	}
	more, err := l.erase(ctx, site, subject, by)
	if err != nil {
		return 0, err
	}
	n += more
	gone, err := l.spool.erase(ctx, site, subject)
	return n + gone, err
}

// erase erases what the database has of a visitor.
func (l *Ledger) erase(ctx context.Context, site string, subject uuid.UUID, by By) (n int, err error) {
	err = l.transact(ctx, func(tx *sql.Tx) error {
		size, err := l.engine.lock(ctx, tx)
		if err != nil {
			return err
		}
		n, err = l.eraseIn(ctx, tx, size, site, subject, by)
		return err
	})
	l.noteGrowth()
	return n, err
}

// eraseIn erases what the database has of a visitor, in a transaction that has the log locked, whose size is given. Where it
// erases anything the log grows by one.
func (l *Ledger) eraseIn(ctx context.Context, tx *sql.Tx, size int64, site string, subject uuid.UUID, by By) (int, error) {
	if err := l.engine.erased(ctx, tx, site, subject); err != nil {
		return 0, err
	}
	leaves, err := numbers(ctx, tx, site, subject)
	if err != nil || len(leaves) == 0 {
		return 0, err
	}
	if err := l.cover(ctx, tx); err != nil {
		return 0, err
	}
	if err := drop(ctx, tx, site, subject); err != nil {
		return 0, err
	}
	return len(leaves), enter(ctx, tx, size, &Audit{
		Time: by.Time, Actor: by.Actor, Act: ActErase, Site: site, Leaves: LeavesOf(leaves...), Count: len(leaves), Detail: by.Detail,
	})
}

// eraseArrived erases the others of whoever had everything erased while a record of theirs was on its way. It is done with
// its arrival: afterwards another process may have found out that the visitor is one with another.
func (l *Ledger) eraseArrived(ctx context.Context, tx *sql.Tx, size int64, batch []*pending) error {
	for _, p := range batch {
		if p.erase == uuid.Nil {
			continue
		}
		n, err := l.eraseIn(ctx, tx, size, p.row.record.Site, p.erase, By{Actor: Visitor, Time: time.Now()})
		if err != nil {
			return err
		}
		if n > 0 {
			size++
		}
	}
	return nil
}

// Purge makes sure that what was erased is not left in any file that this process can reach.
func (l *Ledger) Purge(ctx context.Context) error { return l.engine.purge(ctx) }

// numbers are the leaves of a visitor.
func numbers(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID) (leaves []int64, err error) {
	err = rowsOf(ctx, tx, func(rows *sql.Rows) error {
		var leaf int64
		err := rows.Scan(&leaf)
		leaves = append(leaves, leaf)
		return err
	}, leavesSQL, site, subject[:])
	return leaves, err
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
