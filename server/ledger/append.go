package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	sqlite3 "modernc.org/sqlite/lib"
)

// pending is a record that is waiting to be stored. Until done is closed it is the writer's alone; then it is its
// caller's, who may be gone.
type pending struct {
	row  row
	got  Record
	err  error
	done chan struct{}
}

// Append stores a record, see Ledger. ID is minted where it is zero; Time and Expiry are kept to the millisecond. When
// ctx ends first, the record may be stored or not.
func (s *SQLite) Append(ctx context.Context, r Record) (Record, error) {
	got, err := s.append(ctx, r)
	if err != nil {
		return Record{}, fmt.Errorf("storing a record of %s: %w", r.Site, err)
	}
	return got, nil
}

func (s *SQLite) append(ctx context.Context, r Record) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	row, err := newRow(r)
	if err != nil {
		return Record{}, err
	}
	p := &pending{row: row, done: make(chan struct{})}
	if err := s.put(p); err != nil {
		return Record{}, err
	}
	select {
	case <-p.done:
		return p.got, p.err
	case <-ctx.Done():
		return Record{}, ctx.Err()
	}
}

func (s *SQLite) put(p *pending) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	select {
	case s.queue <- p:
		return nil
	default:
		s.counts.busy.Add(1)
		return ErrBusy
	}
}

// run writes batch after batch until the queue is closed and empty. While one is being written the next gathers.
func (s *SQLite) run(most int) {
	defer close(s.stopped)
	batch := make([]*pending, 0, most)
	for p := range s.queue {
		batch = append(batch[:0], p)
		batch = s.gather(batch)
		if err := s.commit(batch); err != nil {
			s.retry(batch, err)
		}
		clear(batch)
	}
}

// gather takes what is waiting, as far as the batch holds it.
func (s *SQLite) gather(batch []*pending) []*pending {
	for len(batch) < cap(batch) {
		select {
		case p, ok := <-s.queue:
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
func (s *SQLite) commit(batch []*pending) error {
	ctx := context.Background()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", explain(s.path, err))
	}
	stmts := s.stmts.in(ctx, tx)
	var stored uint64
	for _, p := range batch {
		var added bool
		added, p.got, p.err = stmts.append(ctx, &p.row)
		switch {
		case p.err != nil && !ownFault(p.err):
			return errors.Join(explain(s.path, p.err), rollback(tx))
		case added:
			stored++
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", explain(s.path, err))
	}
	if stored > 0 {
		s.counts.stored.Add(stored)
		s.counts.commits.Add(1)
	}
	for _, p := range batch {
		s.answer(p)
	}
	return nil
}

// retry stores the records of a failed batch one by one, so that one that does not fit spares its neighbours. A database
// that takes nothing is not asked for each of them: three failures in a row are held to be everybody's.
func (s *SQLite) retry(batch []*pending, err error) {
	patience := 3
	if len(batch) == 1 || code(err) == sqlite3.SQLITE_BUSY {
		patience = 0
	}
	for i, p := range batch {
		if patience > 0 {
			if err = s.commit(batch[i : i+1]); err == nil {
				patience = 3
				continue
			}
			patience--
		}
		p.got, p.err = Record{}, err
		s.answer(p)
	}
}

func (s *SQLite) answer(p *pending) {
	if p.err != nil {
		s.counts.failed.Add(1)
	}
	close(p.done)
}

// rollback is content when it was done already: by SQLite, as when the disk is full, or for a context that ended.
func rollback(tx *sql.Tx) error {
	err := tx.Rollback()
	if err == nil || errors.Is(err, sql.ErrTxDone) || code(err) == sqlite3.SQLITE_ERROR {
		return nil
	}
	return fmt.Errorf("rolling back: %w", err)
}

// statements are what the writer does for each record.
type statements struct{ subject, insert, byKey, unmail *sql.Stmt }

const (
	subjectSQL = `SELECT subject FROM records WHERE id = ? AND site = ?`
	insertSQL  = `INSERT INTO records (` + columns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	byKeySQL = `SELECT ` + columns + ` FROM records WHERE site = ? AND key = ?`
)

func prepare(ctx context.Context, db *sql.DB) (st statements, err error) {
	for _, want := range []struct {
		stmt **sql.Stmt
		sql  string
	}{{&st.subject, subjectSQL}, {&st.insert, insertSQL}, {&st.byKey, byKeySQL}, {&st.unmail, unmailSQL}} {
		if *want.stmt, err = db.PrepareContext(ctx, want.sql); err != nil {
			return st, fmt.Errorf("preparing %s: %w", want.sql, err)
		}
	}
	return st, nil
}

func (st statements) in(ctx context.Context, tx *sql.Tx) statements {
	return statements{
		subject: tx.StmtContext(ctx, st.subject),
		insert:  tx.StmtContext(ctx, st.insert),
		byKey:   tx.StmtContext(ctx, st.byKey),
		unmail:  tx.StmtContext(ctx, st.unmail),
	}
}

// append returns the record as it is stored, and whether it was stored now.
func (st statements) append(ctx context.Context, w *row) (added bool, r Record, err error) {
	r = w.record
	if r.Previous != uuid.Nil {
		err := st.subject.QueryRowContext(ctx, r.Previous[:], r.Site).Scan(&r.Subject)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			r.Previous = uuid.Nil
		case err != nil:
			return false, Record{}, fmt.Errorf("finding the record %s before it: %w", r.Previous, err)
		}
	}
	res, err := st.insert.ExecContext(ctx, w.args(&r)...)
	if err != nil {
		return false, Record{}, err
	}
	n, err := res.RowsAffected()
	if n == 1 && r.Previous != uuid.Nil {
		_, err = st.unmail.ExecContext(ctx, r.Site, r.Subject[:], w.granted)
	}
	if err != nil || n == 1 {
		return n == 1, r, err
	}
	r, err = scan(st.byKey.QueryRowContext(ctx, r.Site, r.Key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = errTaken
	}
	return false, r, err
}
