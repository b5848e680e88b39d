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
	load int // how many records are brought at once; the courier's

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
	return &spool{file: f, load: bringFirst}, nil
}

// count is how many records wait.
func (s *spool) count(ctx context.Context) (n int, err error) {
	err = s.file.QueryRowContext(ctx, `SELECT count(*) FROM spool`).Scan(&n)
	return n, explainFile(s.file, err)
}

// probe finds out whether it can be written to. It changes nothing.
func (s *spool) probe(ctx context.Context) error {
	tx, err := s.file.BeginTx(ctx, nil)
	if err != nil {
		return explainFile(s.file, err)
	}
	if err := probe(ctx, `UPDATE goose_db_version SET version_id = version_id + $1`)(tx); err != nil {
		return errors.Join(explainFile(s.file, err), sqlite.Rollback(tx))
	}
	return explainFile(s.file, tx.Commit())
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
		return fmt.Errorf("beginning to spool: %w", explainFile(s.file, err))
	}
	for _, p := range batch {
		if err := s.add(ctx, tx, p); err != nil {
			return errors.Join(fmt.Errorf("spooling a record: %w", explainFile(s.file, err)), sqlite.Rollback(tx))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("spooling %d records: %w", len(batch), explainFile(s.file, err))
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
		return nil, fmt.Errorf("looking into the spool: %w", explainFile(s.file, err))
	}
	defer rows.Close()
	for rows.Next() {
		r, err := spooled(rows)
		if err != nil {
			return nil, fmt.Errorf("looking into the spool: %w", err)
		}
		all = append(all, r)
	}
	return all, explainFile(s.file, rows.Err())
}

// next are the records that were spooled first, and where they stand in the spool.
func (s *spool) next(ctx context.Context, most int) (batch []*pending, places []int64, err error) {
	rows, err := s.file.QueryContext(ctx, spoolNextSQL, most)
	if err != nil {
		return nil, nil, explainFile(s.file, err)
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
	return batch, places, explainFile(s.file, rows.Err())
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
		return explainFile(s.file, err)
	}
	for _, place := range places {
		if _, err := tx.ExecContext(ctx, unspoolSQL, place); err != nil {
			return errors.Join(explainFile(s.file, err), sqlite.Rollback(tx))
		}
	}
	return explainFile(s.file, tx.Commit())
}

// erase deletes a visitor's records that have not been brought yet, and says how many they were. Its caller has mu, so that
// none is under way.
func (s *spool) erase(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	res, err := s.file.ExecContext(ctx, `DELETE FROM spool WHERE site = $1 AND subject = $2`, site, subject[:])
	if err != nil {
		return 0, fmt.Errorf("erasing from the spool: %w", explainFile(s.file, err))
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return 0, err
	}
	return int(n), s.file.Empty(ctx)
}

func (s *spool) close() error { return s.file.Close() }

const (
	bringMost  = 2048 // records that are brought at once, at most
	bringFirst = 512  // and the first time
)

// load is how many records are brought at once after so many could be brought, or could not: so many may be more than the
// database takes within its patience, and would never arrive.
func load(now int, err error) int {
	if err != nil {
		return max(1, now/2)
	}
	return min(bringMost, now*2)
}

// spooled keeps a batch in the spool while the database is away, and tells whether that was so. As long as anything waits
// there, what comes goes behind it, so that a visitor's records arrive in their order.
func (l *Ledger) spooled(batch []*pending) bool {
	l.turn.RLock()
	defer l.turn.RUnlock()
	if !l.away {
		return false
	}
	err := l.spool.keep(context.Background(), batch)
	l.failing.Store(errors.Is(err, ErrAway))
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
		most := l.spool.load
		n, err := l.bringSome(ctx, most)
		l.spool.load = load(most, err)
		if err != nil {
			return err
		}
		if n < most {
			return l.back(ctx)
		}
	}
}

// back goes over to the database. What was spooled since the last look is little: it is brought while what comes waits, or
// a busy hour would have to end first.
func (l *Ledger) back(ctx context.Context) error {
	if err := l.engine.ping(ctx); err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	for n := 1; n > 0; {
		var err error
		if n, err = l.bringSome(ctx, l.spool.load); err != nil {
			return err
		}
	}
	l.away = false
	l.log.Info("the database is back, and has all that was spooled")
	return nil
}

// bringSome delivers the first records of the spool.
func (l *Ledger) bringSome(ctx context.Context, most int) (n int, err error) {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	batch, places, err := l.spool.next(ctx, most)
	if err == nil && len(batch) > 0 {
		if err = l.commit(batch); err == nil {
			err = l.brought(ctx, batch, places)
		}
	}
	return len(batch), err
}

// brought takes from the spool what the database has.
func (l *Ledger) brought(ctx context.Context, batch []*pending, places []int64) error {
	l.noteGrowth() // of the audit trail as well
	var there []int64
	var errs []error
	for i, p := range batch {
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
