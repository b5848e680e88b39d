package ledger

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func exportAll(tb testing.TB, l *Ledger, q Query) (all []Record) {
	tb.Helper()
	if err := l.Export(tb.Context(), q, func(r *Record) error { all = append(all, *r); return nil }); err != nil {
		tb.Fatal(err)
	}
	return all
}

func testExport(t *testing.T, open opener) {
	l := open(t)
	var stored []Record
	add := func(site string, at time.Time) Record {
		r := record(site)
		r.Time = at
		r = mustAppend(t, l, r)
		stored = append(stored, r)
		return r
	}
	first, second := add("shop", noon), add("blog", noon.Add(time.Hour))
	late := add("shop", noon.Add(-time.Hour)) // delivered late: the order of times is not that of storing
	gone := add("shop", noon)
	last := add("shop", noon.Add(2*time.Hour))
	if _, err := l.Erase(t.Context(), "shop", gone.Subject, By{Actor: Visitor, Time: noon}); err != nil {
		t.Fatal(err)
	}
	if size, err := l.Size(t.Context()); size != 6 || err != nil {
		t.Errorf("size: %d, %v", size, err)
	}
	for _, test := range []struct {
		name string
		q    Query
		want []Record
	}{
		{"all", Query{}, []Record{first, second, late, last}},
		{"a site", Query{Site: "shop"}, []Record{first, late, last}},
		{"no such site", Query{Site: "none"}, nil},
		{"from its moment on", Query{From: noon}, []Record{first, second, last}},
		{"from just after it", Query{From: noon.Add(time.Nanosecond)}, []Record{second, last}},
		{"until its moment", Query{To: noon}, []Record{late}},
		{"until just after it", Query{To: noon.Add(time.Nanosecond)}, []Record{first, late}},
		{"between", Query{Site: "shop", From: noon, To: noon.Add(2 * time.Hour)}, []Record{first}},
		{"of one moment", Query{From: noon, To: noon}, nil},
		{"from a number on", Query{Start: 2}, []Record{late, last}},
		{"up to a number", Query{End: 2}, []Record{first, second}},
		{"past the end", Query{Start: 5}, nil},
	} {
		if diff := cmp.Diff(test.want, exportAll(t, l, test.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Each record that was acknowledged before the export began is in it once, and none that came later.
func testExportWhileWriting(t *testing.T, open opener) {
	l, other := open(t), open(t)
	acknowledged := map[uuid.UUID]bool{}
	var mu sync.Mutex
	stop := make(chan struct{})
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(stop)
	enough := make(chan struct{})
	for range 8 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r, err := l.Append(context.Background(), record("shop"))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[r.ID] = true
				if len(acknowledged) == 3*pageSize/2 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	for round := range 3 {
		before := func() []uuid.UUID {
			mu.Lock()
			defer mu.Unlock()
			ids := make([]uuid.UUID, 0, len(acknowledged))
			for id := range acknowledged {
				ids = append(ids, id)
			}
			return ids
		}()
		size, err := other.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[uuid.UUID]int{}
		next := int64(0)
		for _, r := range exportAll(t, other, Query{End: size}) {
			got[r.ID]++
			if r.Leaf != next {
				t.Fatalf("round %d: number %d after %d", round, r.Leaf, next-1)
			}
			next++
		}
		if next != size {
			t.Errorf("round %d: %d records of %d", round, next, size)
		}
		for _, id := range before {
			if got[id] != 1 {
				t.Fatalf("round %d: an acknowledged record is in it %d times", round, got[id])
			}
		}
	}
}

// Whoever is told where an export would go on can go on there, whatever ended it.
func testExportStops(t *testing.T, open opener) {
	l := open(t)
	var want []int64
	for range 7 {
		want = append(want, mustAppend(t, l, record("shop")).Leaf)
	}
	enough := errors.New("enough")
	for cut := range want {
		var got []int64
		err := l.Export(t.Context(), Query{}, func(r *Record) error {
			if len(got) == cut {
				return enough
			}
			got = append(got, r.Leaf)
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatalf("ended with %v", err)
		}
		for _, r := range exportAll(t, l, Query{Start: int64(cut)}) {
			got = append(got, r.Leaf)
		}
		if !slices.Equal(want, got) {
			t.Errorf("cut after %d: %v", cut, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Export(ctx, Query{}, func(*Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("in a context that has ended: %v", err)
	}
}

func testSites(t *testing.T, open opener) {
	l := open(t)
	if names, err := l.Sites(t.Context()); len(names) > 0 || err != nil {
		t.Errorf("of an empty ledger: %v, %v", names, err)
	}
	for _, site := range []string{"shop", "blog", "shop", "news"} {
		mustAppend(t, l, record(site))
	}
	if err := l.Publish(t.Context(), "quiet", Publication{List: "l"}); err != nil {
		t.Fatal(err)
	}
	names, err := l.Sites(t.Context())
	if diff := cmp.Diff([]string{"blog", "news", "quiet", "shop"}, names); diff != "" || err != nil {
		t.Errorf("sites: %v\n%s", err, diff)
	}
}

var many = flag.Int("export-records", 30_000, "records of TestExportMemory; 1000000 for a measurement")

// TestExportMemory is that an export takes the memory of a page, whatever the ledger has.
func TestExportMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	l := open(t, path)
	fill(t, l, *many)
	var least, most uint64
	pages := 0
	begun := time.Now()
	n := 0
	err := l.Export(t.Context(), Query{Page: func(int64) error {
		if pages++; pages%10 != 5 {
			return nil
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if least == 0 {
			least = m.HeapAlloc
		}
		most = max(most, m.HeapAlloc)
		return nil
	}}, func(*Record) error { n++; return nil })
	if err != nil || n != *many {
		t.Fatalf("%d records, %v", n, err)
	}
	t.Logf("%d records, %.0f/s, heap from %d to %d KB", n, float64(n)/time.Since(begun).Seconds(), least>>10, most>>10)
	if most > least+4<<20 {
		t.Errorf("the heap grew from %d to %d KB", least>>10, most>>10)
	}
}

// fill stores records of as many visitors, in batches.
func fill(tb testing.TB, l *Ledger, n int) {
	tb.Helper()
	for n > 0 {
		all := records(min(n, 4000))
		_, errs := appendAll(l, all)()
		if err := errors.Join(errs...); err != nil {
			tb.Fatal(err)
		}
		n -= len(all)
	}
}

func BenchmarkExport(b *testing.B) {
	l := fresh(b)
	fill(b, l, 20_000)
	for _, q := range []Query{{}, {Site: "shop"}, {Site: "none"}, {From: noon.AddDate(1, 0, 0)}} {
		b.Run(fmt.Sprintf("site=%s,later=%t", q.Site, !q.From.IsZero()), func(b *testing.B) {
			for b.Loop() {
				if err := l.Export(b.Context(), q, func(*Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "looked-at/s")
		})
	}
}
