package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// pending is a record that is waiting to be stored. Until done is closed it is the writer's alone; then it is its
// caller's, who may be gone.
type pending struct {
	row   row
	late  bool      // it was acknowledged before, and comes from the spool
	got   Record    // as it is stored
	added bool      // now, and not before
	erase uuid.UUID // subject whose records are to be erased, see awaited
	err   error
	done  chan struct{}
}

// origin is what a record takes from the one before it.
type origin struct {
	subject uuid.UUID
	time    int64
}

// lead makes a record follow another one of the same visitor: it is the newer one, whatever the clocks of two servers say.
func (o origin) lead(r *Record) {
	r.Subject = o.subject
	if before := fromMilli(o.time); !r.Time.After(before) {
		r.Time = before.Add(time.Millisecond)
	}
}

// Append stores a record and returns once it is durable. A record whose Site and Key are stored already is not stored
// again: the stored one is returned. ID and Salt are minted where they are zero; Time and Expiry are kept to the
// millisecond. Subject is that of Previous where Previous is a record of the same site, and then Time is moved past that
// one's where two clocks disagree; a Previous that is not known is cleared, and the visitor is a new one.
//
// Errors: ErrBusy when more is waiting than the ledger takes (retry later), ErrClosed. After any other error nothing is
// known to be stored, as when ctx ends first, and the same call may be made again.
func (l *Ledger) Append(ctx context.Context, r Record) (Record, error) {
	got, err := l.append(ctx, r)
	if err != nil {
		return Record{}, fmt.Errorf("storing a record of %s: %w", r.Site, err)
	}
	return got, nil
}

func (l *Ledger) append(ctx context.Context, r Record) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	row, err := newRow(r)
	if err != nil {
		return Record{}, err
	}
	p := &pending{row: row, done: make(chan struct{})}
	if err := l.put(p); err != nil {
		return Record{}, err
	}
	select {
	case <-p.done:
		return p.got, p.err
	case <-ctx.Done():
		return Record{}, ctx.Err()
	}
}

func (l *Ledger) put(p *pending) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	select {
	case l.queue <- p:
		return nil
	default:
		l.counts.busy.Add(1)
		return ErrBusy
	}
}

// run writes batch after batch until the queue is closed and empty. While one is being written the next gathers.
func (l *Ledger) run(most int) {
	defer close(l.stopped)
	batch := make([]*pending, 0, most)
	for p := range l.queue {
		batch = append(batch[:0], p)
		batch = l.gather(batch)
		l.write(batch)
		clear(batch)
	}
}

// write stores a batch and answers it: in the database or, while that is away, in the spool.
func (l *Ledger) write(batch []*pending) {
	if l.spool != nil && l.spooled(batch) {
		return
	}
	err := l.commit(batch)
	switch {
	case err == nil:
		l.held = false
	case l.spool != nil && gone(err):
		l.leave(err)
		l.spooled(batch)
	default:
		l.tell(err)
		l.retry(batch, err)
	}
}

// tell logs once that another process holds the database, until a batch is stored again: whoever waited for this one may
// be gone by now, and would not hear of it.
func (l *Ledger) tell(err error) {
	if errors.Is(err, ErrLocked) && !l.held {
		l.held = true
		l.log.Warn("no choice can be stored now", "error", err)
	}
}

// gather takes what is waiting, as far as the batch holds it.
func (l *Ledger) gather(batch []*pending) []*pending {
	for len(batch) < cap(batch) {
		select {
		case p, ok := <-l.queue:
			if !ok {
				return batch
			}
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// commit stores a batch in one transaction and then answers it. On an error nothing is stored and nobody is answered.
//
// No caller's context is used: the end of one must not undo the others.
func (l *Ledger) commit(batch []*pending) error {
	ctx, cancel := l.engine.patience(context.Background())
	defer cancel()
	tx, err := l.engine.begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", l.engine.explain(err))
	}
	size, err := l.engine.lock(ctx, tx)
	if err != nil {
		return errors.Join(l.engine.explain(err), l.engine.rollback(tx))
	}
	grown, err := l.engine.store(ctx, tx, size, batch)
	if err == nil && grown > size {
		_, err = tx.ExecContext(ctx, growSQL, grown)
	}
	if err == nil {
		err = l.eraseArrived(ctx, tx, grown, batch)
	}
	if err != nil {
		return errors.Join(l.engine.explain(err), l.engine.rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", l.engine.explain(err))
	}
	if stored := grown - size; stored > 0 {
		l.counts.stored.Add(uint64(stored))
		l.counts.commits.Add(1)
		l.noteGrowth()
	}
	l.failing.Store(false)
	for _, p := range batch {
		l.answer(p)
	}
	return nil
}

const growSQL = `UPDATE log SET size = $1`

// retry stores the records of a failed batch one by one, so that one that does not fit spares its neighbours. A database
// that takes nothing is not asked for each of them: three failures in a row are held to be everybody's.
func (l *Ledger) retry(batch []*pending, err error) {
	patience := 3
	if len(batch) == 1 || !l.engine.alone(err) {
		patience = 0
	}
	for i, p := range batch {
		if patience > 0 {
			if err = l.commit(batch[i : i+1]); err == nil {
				patience = 3
				continue
			}
			patience--
		}
		l.failing.Store(errors.Is(err, ErrAway))
		p.got, p.err = Record{}, err
		l.answer(p)
	}
}

func (l *Ledger) answer(p *pending) {
	if p.err != nil {
		l.counts.failed.Add(1)
	}
	close(p.done)
}
