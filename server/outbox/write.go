package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"
)

// task is something that is written together with others: run in their transaction, and after with what came of that. run
// may be called again, after a transaction that failed.
type task struct {
	run   func(context.Context, *sql.Tx) error
	after func(error)
	keep  bool // it is tried again until it is done: nobody waits for it
}

const (
	mostTasks = 1024            // in a transaction
	writeWait = 2 * time.Second // before what has to be written is tried again
)

// write stores what comes, all that waits in one transaction, until the outbox is closed and nothing is left.
func (o *Outbox) write() {
	defer close(o.written)
	var kept []*task // of a transaction that failed
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for last := false; !last; {
		batch := kept
		select {
		case t := <-o.tasks:
			batch = append(batch, t)
		case <-o.soon.C:
			o.armed.Store(false) // first: what is offered from now on sets it again
		case <-again.C:
		case <-o.drain:
			last = true // nothing more is put in
		}
		batch = o.gather(batch, last)
		// After the tasks: what was offered before one of them, a Forget perhaps, is here by now.
		if offered := o.offered(); len(offered) > 0 {
			batch = append([]*task{o.addOffered(offered)}, batch...)
		}
		kept = o.commit(batch)
		again.Stop()
		if len(kept) > 0 {
			again.Reset(writeWait)
		}
	}
}

func (o *Outbox) gather(batch []*task, all bool) []*task {
	for len(batch) < mostTasks || all {
		select {
		case t := <-o.tasks:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

func (o *Outbox) offered() (list []Message) {
	for range cap(o.offers) {
		select {
		case m := <-o.offers:
			list = append(list, m)
		default:
			return list
		}
	}
	return list
}

// commit writes a batch, answers it, and returns what has to be tried again.
func (o *Outbox) commit(batch []*task) (again []*task) {
	if len(batch) == 0 {
		return nil
	}
	err := o.store.transact(batch)
	if err != nil {
		o.log.Error("the outbox cannot be written", "error", err)
	}
	for _, t := range batch {
		if err != nil && t.keep {
			again = append(again, t)
			continue
		}
		t.after(err)
	}
	return again
}

// addOffered is the task that adds what was offered, as far as there is room.
func (o *Outbox) addOffered(offered []Message) *task {
	var list []Message
	var entries []*entry
	ctx := context.Background()
	for i := range offered {
		if err := o.complete(&offered[i]); err != nil {
			o.refuse(ctx, &offered[i], err)
			continue
		}
		list = append(list, offered[i])
	}
	return &task{
		run: func(ctx context.Context, tx *sql.Tx) (err error) {
			// Here, while nobody else can write: whoever is found and erased a moment later is in the file for Drop to see.
			var known []Message
			for i := range list {
				if err := o.find(ctx, &list[i]); err != nil {
					o.refuse(ctx, &list[i], err)
					continue
				}
				known = append(known, list[i])
			}
			list = known
			entries, err = o.insert(ctx, tx, list, false)
			return err
		},
		after: func(err error) {
			if err != nil {
				o.counts.dropped.Add(uint64(len(list)))
			}
			o.admit(entries, err)
		},
	}
}

// refuse says of what was offered why it is not sent.
func (o *Outbox) refuse(ctx context.Context, m *Message, err error) {
	o.counts.dropped.Add(1)
	level := slog.LevelWarn
	if errors.Is(err, fs.ErrNotExist) {
		level = slog.LevelDebug // whose consent it was has been erased since
	}
	o.log.Log(ctx, level, "a message is not sent", "site", m.Site, "tag", m.Tag, "error", err)
}

// insert writes messages that are new, and makes room for them in the count of what waits. Where there is not enough, all
// or nothing tells whether none is written, and ErrFull returned, or those that fit.
func (o *Outbox) insert(ctx context.Context, tx *sql.Tx, list []Message, all bool) (entries []*entry, err error) {
	if all {
		for i := range list {
			if err := o.find(ctx, &list[i]); err != nil {
				return nil, err
			}
		}
	}
	list, err = fresh(ctx, tx, list, o.now())
	if err != nil {
		return nil, err
	}
	if all && int(o.waiting.Load())+len(list) > o.opt.Max {
		o.counts.dropped.Add(uint64(len(list)))
		if err := free(ctx, tx, list); err != nil {
			return nil, err
		}
		return nil, ErrFull
	}
	for i := range list {
		if int(o.waiting.Load()) >= o.opt.Max {
			o.counts.dropped.Add(uint64(len(list) - i)) //nolint:gosec // a count
			return entries, free(ctx, tx, list[i:])
		}
		e, err := insert(ctx, tx, &list[i], o.now())
		if err != nil {
			return entries, fmt.Errorf("storing a message of %s for %s: %w", list[i].Site, list[i].Tag, err)
		}
		if e != nil {
			o.waiting.Add(1)
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// admit lets senders at what was stored, or takes its room back where it was not.
func (o *Outbox) admit(entries []*entry, err error) {
	if err != nil {
		o.waiting.Add(-int64(len(entries)))
		return
	}
	for _, e := range entries {
		o.line.push(e)
	}
	if len(entries) > 0 {
		o.look()
	}
}

// look has the dispatcher look at the line again.
func (o *Outbox) look() {
	select {
	case o.wake <- struct{}{}:
	default: // it will
	}
}

// left notes that a message waits no longer. The line's lock is held.
func (o *Outbox) left(e *entry) {
	if !e.left {
		e.left = true
		o.waiting.Add(-1)
	}
}
