package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stilehq/stile/server/sqlite"
)

// appendAll appends records at once, and returns what became of each.
func appendAll(s *Ledger, records []Record) (wait func() ([]Record, []error)) {
	got, errs := make([]Record, len(records)), make([]error, len(records))
	var wg sync.WaitGroup
	for i, r := range records {
		wg.Go(func() { got[i], errs[i] = s.Append(context.Background(), r) })
	}
	return func() ([]Record, []error) {
		wg.Wait()
		return got, errs
	}
}

func records(n int) []Record {
	all := make([]Record, n)
	for i := range all {
		all[i] = record("shop")
	}
	return all
}

func until(what func() bool) {
	for !what() {
		runtime.Gosched()
	}
}

func TestSameKeyAtOnce(t *testing.T) {
	s := fresh(t)
	all := records(64)
	for i := range all {
		all[i].Key = all[0].Key
	}
	got, errs := appendAll(s, all)()
	for i, r := range got {
		if errs[i] != nil || !cmp.Equal(got[0], r) {
			t.Errorf("caller %d got %v:\n%s", i, errs[i], cmp.Diff(got[0], r))
		}
	}
	if n, err := s.Count(context.Background(), "shop"); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	if st := s.Stats(); st.Stored != 1 || st.Commits != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func TestGroups(t *testing.T) {
	s := fresh(t)
	release := block(t, s)
	first := appendAll(s, records(1))
	until(func() bool { return file(s).Stats().InUse == 1 })
	rest := appendAll(s, records(64))
	until(func() bool { return s.Stats().Waiting == 64 })
	release()
	for _, wait := range []func() ([]Record, []error){first, rest} {
		if _, errs := wait(); errors.Join(errs...) != nil {
			t.Error(errors.Join(errs...))
		}
	}
	if st := s.Stats(); st.Stored != 65 || st.Commits != 2 {
		t.Errorf("stats: %+v, want 65 stored in 2 commits", st)
	}
}

func TestBusy(t *testing.T) {
	s := openWith(t, Options{Path: t.TempDir() + "/stile.db", Queue: 4, Batch: 4})
	release := block(t, s)
	first := appendAll(s, records(1))
	until(func() bool { return file(s).Stats().InUse == 1 })
	rest := appendAll(s, records(10))
	until(func() bool { return s.Stats().Busy == 6 })
	release()
	_, errs := first()
	_, more := rest()
	busy := 0
	for _, err := range append(errs, more...) {
		switch {
		case errors.Is(err, ErrBusy):
			busy++
		case err != nil:
			t.Error(err)
		}
	}
	if n, err := s.Count(context.Background(), "shop"); n != 5 || busy != 6 || err != nil {
		t.Errorf("%d stored and %d refused, %v; want 5 and 6", n, busy, err)
	}
}

// A visitor chooses twice before the first choice is written.
func TestPreviousInTheSameBatch(t *testing.T) {
	s := fresh(t)
	all := records(3)
	all[1].Previous, all[2].Previous = all[0].ID, all[1].ID
	batch := pend(t, all...)
	if err := s.commit(batch); err != nil {
		t.Fatal(err)
	}
	for _, p := range batch[1:] {
		if p.err != nil || p.got.Subject != batch[0].got.Subject || p.got.Previous == uuid.Nil {
			t.Errorf("%v, visitor %s after %s", p.err, p.got.Subject, p.got.Previous)
		}
	}
	history, err := s.History(context.Background(), "shop", batch[0].got.Subject)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Record{batch[2].got, batch[1].got, batch[0].got}, history); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestOneWrongRecordFailsAlone(t *testing.T) {
	s := fresh(t)
	there := mustAppend(t, s, record("shop"))
	all := records(3)
	all[1].ID = there.ID
	batch := pend(t, all...)
	if err := s.commit(batch); err != nil {
		t.Fatal(err)
	}
	for i, p := range batch {
		if wrong := p.err != nil; wrong != (i == 1) {
			t.Errorf("record %d: %v", i, p.err)
		}
	}
	if st := s.Stats(); st.Stored != 3 || st.Failed != 1 {
		t.Errorf("stats: %+v", st)
	}
}

// A record too big for what is left of the disk does not take its neighbours with it.
func TestFull(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	kept := mustAppend(t, s, record("shop"))
	limit := func(pages int) {
		if _, err := file(s).ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	if err := file(s).QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit(pages)

	all := records(3)
	all[1].Services = []string{strings.Repeat("x", 1<<20)}
	batch := pend(t, all...)
	err := s.commit(batch)
	if sqlite.Code(err) != sqlite3.SQLITE_FULL || !strings.Contains(err.Error(), "free some space") {
		t.Fatalf("a batch that does not fit: %v", err)
	}
	s.retry(batch, err)
	for i, p := range batch {
		if full := sqlite.Code(p.err) == sqlite3.SQLITE_FULL; full != (i == 1) {
			t.Errorf("record %d: %v", i, p.err)
		}
	}

	stored := []uuid.UUID{kept.ID, batch[0].got.ID, batch[2].got.ID}
	var refused []Record
	for len(refused) == 0 {
		more := records(50)
		got, errs := appendAll(s, more)()
		for i, err := range errs {
			if err != nil {
				refused = append(refused, more[i])
			} else {
				stored = append(stored, got[i].ID)
			}
		}
	}

	limit(1 << 20)
	for _, r := range append(refused, all[1]) {
		stored = append(stored, mustAppend(t, s, r).ID)
	}
	for _, id := range stored {
		if _, err := s.Find(ctx, "shop", id); err != nil {
			t.Error(err)
		}
	}
	if n, err := s.Count(ctx, "shop"); n != len(stored) || err != nil {
		t.Errorf("%d records, want %d, %v", n, len(stored), err)
	}
}

// A database that takes nothing is not asked for every record.
func TestFailsAllSoon(t *testing.T) {
	s := fresh(t)
	if _, err := file(s).Exec(`PRAGMA query_only = 1`); err != nil {
		t.Fatal(err)
	}
	batch := pend(t, records(10)...)
	err := s.commit(batch)
	if err == nil {
		t.Fatal("stored in a database that cannot be written")
	}
	s.retry(batch, err)
	for i, p := range batch {
		<-p.done
		if p.err == nil || p.got.ID != uuid.Nil {
			t.Errorf("record %d: %v, %v", i, p.got.ID, p.err)
		}
	}
}

func TestCallerGivesUp(t *testing.T) {
	s := fresh(t)
	release := block(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	gone := record("shop")
	left := make(chan error)
	go func() {
		_, err := s.Append(ctx, gone)
		left <- err
	}()
	until(func() bool { return file(s).Stats().InUse == 1 })
	others := appendAll(s, records(8))
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who gave up: %v", err)
	}
	if _, err := s.Append(ctx, record("shop")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who had given up before: %v", err)
	}
	release()
	if _, errs := others(); errors.Join(errs...) != nil {
		t.Error(errors.Join(errs...))
	}
	again := mustAppend(t, s, gone)
	if n, err := s.Count(context.Background(), "shop"); n != 9 || again.ID != gone.ID || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestCloseStoresWhatWaits(t *testing.T) {
	path := t.TempDir() + "/stile.db"
	s := open(t, path)
	release := block(t, s)
	wait := appendAll(s, records(32))
	until(func() bool { return file(s).Stats().InUse == 1 })
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	until(func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.closed
	})
	release()
	_, errs := wait()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, err := range errs {
		switch {
		case err == nil:
			stored++
		case !errors.Is(err, ErrClosed):
			t.Error(err)
		}
	}
	n, err := open(t, path).Count(context.Background(), "shop")
	if err != nil || n != stored || n == 0 {
		t.Errorf("%d records are there, %d were acknowledged, %v", n, stored, err)
	}
}

func pend(t *testing.T, all ...Record) []*pending {
	t.Helper()
	var batch []*pending
	for _, r := range all {
		row, err := newRow(r)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, &pending{row: row, done: make(chan struct{})})
	}
	return batch
}
