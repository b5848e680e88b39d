package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

// Verified is what a look at the whole ledger came to.
type Verified struct {
	Origin      string
	Size        int64 // leaves of the log
	Records     int64 // that are there
	Erased      int64 // leaves whose records were erased, as the audit trail says
	Entries     int64 // of the audit trail
	Unsealed    int64 // leaves that no checkpoint vouches for yet
	Checkpoints int   // that were checked
	Found       []string
	More        int64 // findings beyond mostFound
}

// OK tells whether nothing was found.
func (v *Verified) OK() bool { return len(v.Found) == 0 }

// mostFound bounds the findings that are told one by one.
const mostFound = 100

func (v *Verified) find(format string, args ...any) {
	if len(v.Found) == mostFound {
		v.More++
		return
	}
	v.Found = append(v.Found, fmt.Sprintf(format, args...))
}

const verifyStep = 4096 // leaves that are looked at at once

// VerifyAll holds the database against its signed checkpoints: a record that was changed, one that is missing and that the
// audit trail does not name as erased, one that is there although it was erased, one that was added past the log. older are
// checkpoints from elsewhere, as an auditor keeps them, in addition to those that are kept here. seen, where it is not nil,
// is told how far the look has come. It takes the same memory for a log of any length, and visitors are served meanwhile.
//
// An error says that the look could not be finished.
func (l *Ledger) VerifyAll(ctx context.Context, keys note.Verifiers, older [][]byte, seen func(done, of int64)) (*Verified, error) {
	v := &Verified{}
	look := verification{l: l, v: v, seen: seen}
	if err := look.run(ctx, keys, older); err != nil {
		return nil, fmt.Errorf("verifying the log: %w", l.engine.explain(err))
	}
	return v, nil
}

type verification struct {
	l    *Ledger
	v    *Verified
	tree tlog.Tree
	seen func(done, of int64)

	erased Leaves // as the audit trail says
	gone   Leaves // that are in no row
}

func (w *verification) run(ctx context.Context, keys note.Verifiers, older [][]byte) (err error) {
	if w.v.Origin, err = w.l.Origin(ctx); err != nil {
		return err
	}
	// First the tree, then the log: so the log is the longer one.
	if w.tree, err = scanTree(w.l.engine.reader().QueryRowContext(ctx, treeSQL)); err != nil {
		return err
	}
	if w.v.Size, err = w.l.Size(ctx); err != nil {
		return err
	}
	w.v.Unsealed = w.v.Size - w.tree.N
	if err := w.checkpoints(ctx, keys, older); err != nil {
		return err
	}
	return w.rows(ctx)
}

// checkpoints checks what was signed against the tree that is stored.
func (w *verification) checkpoints(ctx context.Context, keys note.Verifiers, older [][]byte) error {
	msgs := older
	err := w.l.each(ctx, func(rows *sql.Rows) error {
		var msg []byte
		err := rows.Scan(&msg)
		msgs = append(msgs, msg)
		return err
	}, `SELECT note FROM checkpoints ORDER BY size`)
	if err != nil {
		return err
	}
	if len(msgs) == 0 && w.v.Size > 0 {
		w.v.find("the log was never signed: serve it once, or name the data folder or database that stile serve uses")
	}
	for _, msg := range msgs {
		c, err := merkle.Parse(msg, w.v.Origin, keys)
		if err != nil {
			w.v.find("a checkpoint is not genuine: %v", err)
			continue
		}
		w.v.Checkpoints++
		if c.Size > w.tree.N {
			w.v.find("the log had %d leaves on %s, and its tree has %d now: leaves were cut off", c.Size, c.Time.Format(leafTime), w.tree.N)
			continue
		}
		_, err = merkle.ProveConsistency(ctx, w.l, c.Tree(), w.tree)
		switch {
		case errors.Is(err, merkle.ErrDamaged):
			w.v.find("the log is not what it was when it had %d leaves, on %s: %v", c.Size, c.Time.Format(leafTime), err)
		case err != nil:
			return err
		}
	}
	return nil
}

// rows checks each leaf against the hash that the tree has of it.
func (w *verification) rows(ctx context.Context) error {
	number := int64(0)
	var rows map[int64]leafRow
	for hash, err := range merkle.Leaves(ctx, w.l, w.tree) {
		if errors.Is(err, merkle.ErrDamaged) {
			w.v.find("the tree does not come to the root that is stored with it: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		if number%verifyStep == 0 {
			if rows, err = w.read(ctx, number, number+verifyStep); err != nil {
				return err
			}
		}
		w.leaf(number, hash, rows)
		number++
	}
	for ; number < w.v.Size; number++ { // what no tree is over yet
		if rows == nil || number%verifyStep == 0 {
			var err error
			if rows, err = w.read(ctx, number, number+verifyStep); err != nil {
				return err
			}
		}
		w.leaf(number, rows[number].hash, rows)
	}
	if err := w.past(ctx); err != nil {
		return err
	}
	return w.erasures(ctx)
}

// leafRow is what a row comes to.
type leafRow struct {
	hash   tlog.Hash
	record bool
	what   string
}

// read reads the rows of a run of leaves, and what the audit trail says of others.
func (w *verification) read(ctx context.Context, from, end int64) (map[int64]leafRow, error) {
	if w.seen != nil {
		w.seen(from, w.v.Size)
	}
	end = min(end, w.v.Size)
	rows := make(map[int64]leafRow, end-from)
	var all []Record
	err := w.l.each(ctx, func(r *sql.Rows) error {
		record, err := scan(r)
		all = append(all, record)
		return err
	}, `SELECT `+columns+` FROM records WHERE leaf >= $1 AND leaf < $2`, from, end)
	if err != nil {
		return nil, err
	}
	for i := range all {
		r := &all[i]
		rows[r.Leaf] = leafRow{tlog.RecordHash(Leaf(r)), true, "record " + r.ID.String() + " of " + r.Site}
		if r.Previous == uuid.Nil {
			continue
		}
		before, err := w.l.Find(ctx, r.Site, r.Previous)
		if err == nil && before.Subject != r.Subject {
			w.v.find("leaf %d: record %s follows %s, and is kept as another visitor's", r.Leaf, r.ID, r.Previous)
		}
	}
	return rows, w.l.each(ctx, func(r *sql.Rows) error {
		a, err := scanAudit(r)
		if err != nil {
			return err
		}
		if other, twice := rows[a.Leaf]; twice {
			w.v.find("leaf %d is of two rows: %s, and an entry of the audit trail", a.Leaf, other.what)
		}
		rows[a.Leaf] = leafRow{tlog.RecordHash(AuditLeaf(&a)), false, "an entry of the audit trail"}
		if a.Act == ActErase || a.Act == ActAnonymise {
			w.erased = append(w.erased, a.Leaves...)
		}
		return nil
	}, `SELECT `+auditColumns+` FROM audit WHERE leaf >= $1 AND leaf < $2`, from, end)
}

// leaf checks one leaf.
func (w *verification) leaf(number int64, want tlog.Hash, rows map[int64]leafRow) {
	got, there := rows[number]
	switch {
	case !there:
		if last := len(w.gone) - 1; last >= 0 && w.gone[last].Last == number-1 {
			w.gone[last].Last = number
		} else {
			w.gone = append(w.gone, Range{number, number})
		}
		return
	case got.hash != want:
		w.v.find("leaf %d, %s, was changed after it was stored", number, got.what)
	}
	if got.record {
		w.v.Records++
	} else {
		w.v.Entries++
	}
}

// past finds rows beyond the log.
func (w *verification) past(ctx context.Context) error {
	for _, table := range []string{"records", "audit"} {
		// The log is looked at again: it grows meanwhile.
		err := w.l.each(ctx, func(rows *sql.Rows) error {
			var leaf int64
			err := rows.Scan(&leaf)
			w.v.find("a row of %s has the number %d, which the log has not given out: it was added", table, leaf)
			return err
		}, `SELECT leaf FROM `+table+` WHERE leaf < 0 OR leaf >= (SELECT size FROM log) ORDER BY leaf LIMIT 10`)
		if err != nil {
			return err
		}
	}
	return nil
}

// erasures holds what is gone against what the audit trail says was erased, up to this moment.
func (w *verification) erasures(ctx context.Context) error {
	late := w.erased
	err := w.l.each(ctx, func(r *sql.Rows) error {
		a, err := scanAudit(r)
		if a.Act == ActErase || a.Act == ActAnonymise {
			late = append(late, a.Leaves...)
		}
		return err
	}, `SELECT `+auditColumns+` FROM audit WHERE leaf >= $1`, w.v.Size)
	if err != nil {
		return err
	}
	w.missing(unite(late))
	w.back(unite(w.erased))
	return nil
}

// missing finds what is gone and was not erased.
func (w *verification) missing(erased Leaves) {
	for _, r := range w.gone {
		for n := r.First; n <= r.Last; {
			at, ok := covering(erased, n)
			if ok {
				end := min(at.Last, r.Last)
				w.v.Erased += end - n + 1
				n = end + 1
				continue
			}
			end := r.Last // up to where an erasure begins again
			if next, ok := following(erased, n); ok {
				end = min(end, next-1)
			}
			w.v.find("%s missing, and not erased by Stile", theLeaves(n, end))
			n = end + 1
		}
	}
}

// back finds what was erased and is there.
func (w *verification) back(erased Leaves) {
	gone := unite(w.gone)
	for _, r := range erased {
		for n := r.First; n <= r.Last && n < w.v.Size; n++ {
			if at, ok := covering(gone, n); ok {
				n = at.Last
				continue
			}
			w.v.find("leaf %d was erased, and is there", n)
		}
	}
}

func theLeaves(first, last int64) string {
	if first == last {
		return fmt.Sprintf("leaf %d is", first)
	}
	return fmt.Sprintf("leaves %d to %d are", first, last)
}
