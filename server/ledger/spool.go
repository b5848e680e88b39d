package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/sqlite"
)

// spool is the file in which a process keeps the records that it acknowledges while the database is away. They are brought
// to it, in their order, once it is back; each is deleted here only when it is there, and bringing one twice stores it once.
type spool struct {
	file *sqlite.File

	mu sync.Mutex // held while a batch is on its way, and while records are erased
}

func openSpool(ctx context.Context, path string) (*spool, error) {
	files, err := fs.Sub(migrations, "migrations/spool")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	f, err := sqlite.Open(ctx, path, sqlite.Kind{
		Name: "spool", ID: 0x53746973, Migrations: files, // "Stis"
		Damaged: "keep a copy of it, since it holds choices that nothing else does, and try sqlite3's .recover",
	})
	if err != nil {
		return nil, err
	}
	return &spool{file: f}, nil
}

// count is how many records wait.
func (s *spool) count(ctx context.Context) (n int, err error) {
	err = s.file.QueryRowContext(ctx, `SELECT count(*) FROM spool`).Scan(&n)
	return n, s.file.Explain(err)
}

const (
	spoolSQL     = `INSERT INTO spool (id, key, site, subject, record) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (site, key) DO NOTHING`
	spooledSQL   = `SELECT subject, record FROM spool WHERE `
	unspoolSQL   = `DELETE FROM spool WHERE seq = $1`
	spoolNextSQL = `SELECT seq, subject, record FROM spool ORDER BY seq LIMIT $1`
)

// keep stores a batch in one transaction: all or, on an error, nothing.
func (s *spool) keep(ctx context.Context, batch []*pending) error {
	tx, err := s.file.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to spool: %w", s.file.Explain(err))
	}
	for _, p := range batch {
		if err := s.add(ctx, tx, p); err != nil {
			return errors.Join(fmt.Errorf("spooling a record: %w", s.file.Explain(err)), sqlite.Rollback(tx))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("spooling %d records: %w", len(batch), s.file.Explain(err))
	}
	return nil
}

func (s *spool) add(ctx context.Context, tx *sql.Tx, p *pending) error {
	r := p.row.record
	r.Leaf = -1
	if r.Previous != uuid.Nil { // one of the database's may be known there
		before, err := spooled(tx.QueryRowContext(ctx, spooledSQL+`id = $1 AND site = $2`, r.Previous[:], r.Site))
		switch {
		case err == nil:
			origin{before.Subject, toMilli(before.Time)}.lead(&r)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
	}
	res, err := tx.ExecContext(ctx, spoolSQL, r.ID[:], r.Key[:], r.Site, r.Subject[:], string(Leaf(&r)))
	if ownFault(err) {
		p.err = errTaken
		return nil
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	p.got, p.added, p.err = r, n == 1, nil
	if n == 0 {
		p.got, err = spooled(tx.QueryRowContext(ctx, spooledSQL+`site = $1 AND key = $2`, r.Site, r.Key[:]))
	}
	return err
}

// spooled reads a record that has no number yet.
func spooled(from interface{ Scan(into ...any) error }) (Record, error) {
	var subject uuid.UUID
	var text []byte
	if err := from.Scan(&subject, &text); err != nil {
		return Record{}, err
	}
	r, err := ParseLeaf(text)
	r.Subject, r.Leaf = subject, -1
	return r, err
}

// waiting are the records that satisfy a condition, newest first.
func (s *spool) waiting(ctx context.Context, where string, args ...any) (all []Record, err error) {
	rows, err := s.file.QueryContext(ctx, spooledSQL+where+` ORDER BY seq DESC`, args...)
	if err != nil {
		return nil, fmt.Errorf("looking into the spool: %w", s.file.Explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		r, err := spooled(rows)
		if err != nil {
			return nil, fmt.Errorf("looking into the spool: %w", err)
		}
		all = append(all, r)
	}
	return all, s.file.Explain(rows.Err())
}

// next are the records that were spooled first, and where they stand in the spool.
func (s *spool) next(ctx context.Context, most int) (batch []*pending, places []int64, err error) {
	rows, err := s.file.QueryContext(ctx, spoolNextSQL, most)
	if err != nil {
		return nil, nil, s.file.Explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var place int64
		r, err := spooled(numbered{rows, &place})
		if err != nil {
			return nil, nil, fmt.Errorf("record %d of the spool: %w", place, err)
		}
		row, err := newRow(r)
		if err != nil {
			return nil, nil, fmt.Errorf("record %d of the spool: %w", place, err)
		}
		row.record.Subject = r.Subject
		batch, places = append(batch, &pending{row: row, late: true, done: make(chan struct{})}), append(places, place)
	}
	return batch, places, s.file.Explain(rows.Err())
}

// numbered scans what stands before the rest.
type numbered struct {
	rows  *sql.Rows
	place *int64
}

func (p numbered) Scan(into ...any) error { return p.rows.Scan(append([]any{p.place}, into...)...) }

// drop deletes what the database has.
func (s *spool) drop(ctx context.Context, places []int64) error {
	tx, err := s.file.BeginTx(ctx, nil)
	if err != nil {
		return s.file.Explain(err)
	}
	for _, place := range places {
		if _, err := tx.ExecContext(ctx, unspoolSQL, place); err != nil {
			return errors.Join(s.file.Explain(err), sqlite.Rollback(tx))
		}
	}
	return s.file.Explain(tx.Commit())
}

// erase deletes a visitor's records that have not been brought yet, and says how many they were. What is under way is
// awaited: then the database has it.
func (s *spool) erase(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res, err := s.file.ExecContext(ctx, `DELETE FROM spool WHERE site = $1 AND subject = $2`, site, subject[:])
	if err != nil {
		return 0, fmt.Errorf("erasing from the spool: %w", s.file.Explain(err))
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return 0, err
	}
	return int(n), s.file.Empty(ctx)
}

func (s *spool) close() error { return s.file.Close() }

// bringMost is how many records are brought at once.
const bringMost = 2048

// spooled keeps a batch in the spool while the database is away, and tells whether that was so. As long as anything waits
// there, what comes goes behind it, so that a visitor's records arrive in their order.
func (l *Ledger) spooled(batch []*pending) bool {
	l.turn.RLock()
	defer l.turn.RUnlock()
	if !l.away {
		return false
	}
	err := l.spool.keep(context.Background(), batch)
	for _, p := range batch {
		if err != nil {
			p.got, p.err = Record{}, err
		} else if p.added {
			l.counts.spooled.Add(1)
		}
		l.answer(p)
	}
	return true
}

// leave notes that the database is away.
func (l *Ledger) leave(why error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if !l.away {
		l.log.Error("the database is away: choices are kept in the spool until it is back", "error", l.engine.explain(why))
	}
	l.away = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// courier brings what is in the spool until the ledger is closed.
func (l *Ledger) courier(every time.Duration) {
	defer close(l.couriered)
	said := ""
	for {
		var again <-chan time.Time
		if l.Away() {
			again = time.After(every)
		}
		select {
		case <-l.stop:
			return
		case <-l.wake:
		case <-again:
			err := l.bring()
			if err != nil && err.Error() != said {
				said = err.Error()
				l.log.Warn("the spool cannot be brought to the database yet", "error", err)
			}
		}
	}
}

// bring delivers until the spool is empty, and then the database is used again.
func (l *Ledger) bring() error {
	ctx := context.Background()
	for {
		n, err := l.bringSome(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if back, err := l.back(ctx); back || err != nil {
			return err
		}
	}
}

// back goes over to the database, unless something was spooled meanwhile.
func (l *Ledger) back(ctx context.Context) (bool, error) {
	if err := l.engine.ping(ctx); err != nil {
		return false, err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	n, err := l.spool.count(ctx)
	if err != nil || n > 0 {
		return false, err
	}
	l.away = false
	l.log.Info("the database is back, and has all that was spooled")
	return true, nil
}

// bringSome delivers the first records of the spool.
func (l *Ledger) bringSome(ctx context.Context) (n int, err error) {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	batch, places, err := l.spool.next(ctx, bringMost)
	if err == nil && len(batch) > 0 {
		if err = l.commit(batch); err == nil {
			err = l.brought(ctx, batch, places)
		}
	}
	return len(batch), err
}

// brought takes from the spool what the database has.
func (l *Ledger) brought(ctx context.Context, batch []*pending, places []int64) error {
	var there []int64
	var errs []error
	for i, p := range batch {
		if p.erase != uuid.Nil {
			if _, err := l.erase(ctx, p.row.record.Site, p.erase, By{Actor: Visitor, Time: time.Now()}); err != nil {
				return err
			}
		}
		if p.err != nil { // it stays
			errs = append(errs, fmt.Errorf("record %s: %w", p.row.record.ID, p.err))
			continue
		}
		there = append(there, places[i])
		if p.added {
			l.counts.brought.Add(1)
		}
	}
	return errors.Join(append(errs, l.spool.drop(ctx, there))...)
}

// Away tells whether the database is held to be away, so that choices go to the spool.
func (l *Ledger) Away() bool {
	l.turn.RLock()
	defer l.turn.RUnlock()
	return l.away
}
