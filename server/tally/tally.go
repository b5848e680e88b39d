// Package tally counts what happens at a site: answers and what they released, displays of the banner, choices. It counts
// for everybody and knows nobody: no identifier, no address, and no small groups (Smallest).
//
// Each process counts in memory, and replaces a row of its own for each site and day every ten seconds (FlushEvery). So a
// commit of which nobody knows whether it took place is simply done again, nothing is counted twice, and what cannot be
// stored stays where it is until it can: for a week, see Wait. A process that is killed loses what it counted since the last
// time. What was counted is the sum of all rows.
package tally

import (
	"context"
	"database/sql"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Database is where sheets are kept: a *ledger.Ledger.
type Database interface {
	// Write runs fn in a transaction. After an error nothing of it took place, or nobody knows.
	Write(ctx context.Context, fn func(*sql.Tx) error) error
	// Each calls fn for each row of a query.
	Each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error
}

// Options are what a tally is opened with.
type Options struct {
	Database Database
	Now      func() time.Time // nil: the clock
	Log      *slog.Logger     // nil: slog.Default()
}

const (
	// FlushEvery is how often what was counted is stored. It is at a day's end besides.
	FlushEvery = 10 * time.Second
	// Wait is for how many days what was counted waits for a database that is away.
	Wait = 7
	// flushTime bounds one flush.
	flushTime = 5 * time.Second
)

// Tally counts. Its methods are for any number of goroutines.
type Tally struct {
	db  Database
	now func() time.Time
	log *slog.Logger

	mu    sync.RWMutex
	sites map[string]*Site

	flushing sync.Mutex // held through a flush, so that no older sheet follows a newer one
	failing  bool       // guarded by flushing
	flushed  time.Time  // guarded by flushing

	days   days
	unread sync.Map // what was said of figures that cannot be read

	wake    chan struct{} // flushes before its time
	stop    context.CancelFunc
	stopped chan struct{}
}

// Open begins to count. Close it before its database.
func Open(o Options) *Tally {
	t := &Tally{
		db: o.Database, now: o.Now, log: o.Log, sites: map[string]*Site{}, stopped: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.log == nil {
		t.log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	go t.run(ctx)
	return t
}

// Close stores what was counted. Where that cannot be done it says in the log what is lost, and gives no error: evidence
// does not hang on it.
func (t *Tally) Close(ctx context.Context) error {
	t.stop()
	<-t.stopped
	if err := t.Flush(ctx); err != nil {
		t.log.Warn("figures of the last moments are lost: they could not be stored before the end", "error", err)
	}
	return nil
}

// Site is what counts at a site. It is the same for as long as the process runs.
func (t *Tally) Site(name string) *Site {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	if s == nil {
		s = &Site{tally: t, name: name, counters: map[Visit]*Counter{}, day: DayOf(t.now()), pages: map[Day]*page{}}
		t.sites[name] = s
	}
	return s
}

func (t *Tally) run(ctx context.Context) {
	defer close(t.stopped)
	for {
		now := t.now().UTC()
		midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-time.After(min(FlushEvery, midnight.Sub(now))):
		}
		_ = t.Flush(ctx) // it has said so
	}
}

const storeSQL = `INSERT INTO tallies (site, day, writer, sheet) VALUES ($1, $2, $3, $4)
	ON CONFLICT (site, day, writer) DO UPDATE SET sheet = excluded.sheet`

// entry is a page on its way to the database.
type entry struct {
	site    *Site
	day     Day
	page    *page
	sheet   *sheet
	changed int
}

// Flush stores what was counted. After an error it is all still here.
func (t *Tally) Flush(ctx context.Context) error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	now := t.now()
	entries := t.collect(now)
	err := t.store(ctx, entries)
	switch {
	case err != nil && !t.failing && ctx.Err() == nil:
		t.log.Error("figures cannot be stored now; they wait", "error", err)
	case err == nil && t.failing && len(entries) > 0:
		t.log.Info("figures are stored again")
	}
	if err != nil {
		t.failing = true
		return err
	}
	t.failing = t.failing && len(entries) == 0
	t.flushed = now
	for _, e := range entries {
		e.site.kept(e)
	}
	return nil
}

// collect gathers what has changed. What was counted until now is of the day that was, so that a flush at midnight ends it.
func (t *Tally) collect(now time.Time) (entries []entry) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.sites {
		entries = append(entries, s.collect(now)...)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return strings.Compare(a.site.name+"\x00"+string(a.day), b.site.name+"\x00"+string(b.day))
	})
	return entries
}

func (s *Site) collect(now time.Time) (entries []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain(minuteOf(now))
	if day := DayOf(now); day != s.day {
		s.day = day
		s.announced.turn()
	}
	oldest := DayOf(now.AddDate(0, 0, -Wait))
	for day, p := range s.pages {
		switch {
		case day < oldest:
			s.tally.log.Error("figures are lost: they could not be stored for too long", "site", s.name, "day", day)
			delete(s.pages, day)
		case p.changed != p.stored:
			entries = append(entries, entry{s, day, p, p.sheet.copy(), p.changed})
		case day != s.day:
			delete(s.pages, day)
		}
	}
	return entries
}

// kept notes that a page is stored as it was.
func (s *Site) kept(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.page.stored = e.changed
}

func (t *Tally) store(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	sheets := make([][]byte, len(entries))
	for i, e := range entries {
		b, err := t.stored(e.site.name, e.day, e.sheet.coarse())
		if err != nil { // which is no reason to keep back the others
			t.log.Error("figures cannot be stored", "site", e.site.name, "day", e.day, "error", err)
		}
		sheets[i] = b
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	return t.db.Write(ctx, func(tx *sql.Tx) error {
		for i, e := range entries {
			if sheets[i] == nil {
				continue
			}
			if _, err := tx.ExecContext(ctx, storeSQL, e.site.name, string(e.day), e.page.writer, sheets[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// stored is a sheet as it is stored, and says what was dropped of it.
func (t *Tally) stored(site string, day Day, s *sheet) ([]byte, error) {
	b, dropped, err := s.stored()
	if dropped {
		t.log.Warn("what pages were seen to load is dropped: there is too much of it", "site", site, "day", day)
	}
	return b, err
}
