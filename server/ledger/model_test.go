package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// TestModel holds the ledger against a map, over any order of calls and restarts. Making a database is slow: each run has
// sites of its own in the same one.
func TestModel(t *testing.T) {
	db := &database{path: filepath.Join(t.TempDir(), "stile.db")}
	if err := db.open(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	run, leaves := 0, int64(0)
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &model{ledger: db, kept: map[[2]string]Record{}, leaves: leaves}
		defer func() { leaves = m.leaves }()
		m.sites = []string{fmt.Sprintf("shop-%d", run), fmt.Sprintf("blog-%d", run)}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"append":  m.append,
			"reopen":  m.reopen,
			"find":    m.find,
			"history": m.history,
		})
	})
}

type database struct {
	*Ledger
	path string
}

func (db *database) open() (err error) {
	db.Ledger, err = Open(context.Background(), Options{Path: db.path})
	return err
}

type model struct {
	ledger *database
	sites  []string
	kept   map[[2]string]Record // by site and key
	order  []Record
	leaves int64 // of this run and of those before it, in the same database
}

func (m *model) reopen(t *rapid.T) {
	if rapid.IntRange(0, 7).Draw(t, "really") > 0 {
		t.Skip("it is slow")
	}
	if err := errors.Join(m.ledger.Close(), m.ledger.open()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) draw(t *rapid.T) Record {
	words := rapid.SliceOfN(rapid.StringMatching(`[a-z"\\é語<]{0,8}`), 0, 3)
	r := record(rapid.SampledFrom(m.sites).Draw(t, "site"))
	r.Granted, r.Services, r.Refused = words.Draw(t, "granted"), words.Draw(t, "services"), words.Draw(t, "refused")
	r.GPC = rapid.Bool().Draw(t, "gpc")
	r.Time = r.Time.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "clock")) * time.Second) // those of several servers differ
	r.Key = uuid.UUID{15: rapid.ByteRange(1, 20).Draw(t, "key")}                             // few, so that they meet
	if len(m.order) > 0 && rapid.Bool().Draw(t, "returning") {
		r.Previous = rapid.SampledFrom(m.order).Draw(t, "previous").ID
	}
	return r
}

func (m *model) append(t *rapid.T) {
	r := m.draw(t)
	got, err := m.ledger.Append(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	id := [2]string{r.Site, r.Key.String()}
	want, known := m.kept[id]
	if !known {
		if got.Leaf != m.leaves || got.Salt == [16]byte{} {
			t.Fatalf("its number is %d and its salt %x, of %d leaves before", got.Leaf, got.Salt, m.leaves)
		}
		m.leaves++
		r.Leaf, r.Salt = got.Leaf, got.Salt
		want = m.next(t, r, got.Subject)
		m.kept[id] = want
		m.order = append(m.order, want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("known %t (-want +got):\n%s", known, diff)
	}
}

// next is what a new record becomes. The visitor of a first record is the ledger's to choose, but is nobody else.
func (m *model) next(t *rapid.T, r Record, subject uuid.UUID) Record {
	r.Granted, r.Services, r.Refused = keep(r.Granted), keep(r.Services), keep(r.Refused)
	for _, before := range m.order {
		if before.ID == r.Previous && before.Site == r.Site {
			r.Subject = before.Subject
			if !r.Time.After(before.Time) {
				r.Time = before.Time.Add(time.Millisecond)
			}
			return r
		}
	}
	for _, other := range m.order {
		if other.Subject == subject {
			t.Fatalf("two visitors are %s", subject)
		}
	}
	r.Previous, r.Subject = uuid.Nil, subject
	return r
}

func (m *model) find(t *rapid.T) {
	if _, err := m.ledger.Find(context.Background(), m.sites[0], uuid.New()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("finding what is not there: %v", err)
	}
	if len(m.order) == 0 {
		t.Skip("nothing to find")
	}
	want := rapid.SampledFrom(m.order).Draw(t, "record")
	got, err := m.ledger.Find(context.Background(), want.Site, want.ID)
	if err != nil || !cmp.Equal(want, got) {
		t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
}

func (m *model) history(t *rapid.T) {
	if len(m.order) == 0 {
		t.Skip("nobody")
	}
	who := rapid.SampledFrom(m.order).Draw(t, "of")
	var want []Record
	for _, r := range m.order {
		if r.Site == who.Site && r.Subject == who.Subject {
			want = append([]Record{r}, want...)
		}
	}
	slices.SortStableFunc(want, func(a, b Record) int { return b.Time.Compare(a.Time) })
	got, err := m.ledger.History(context.Background(), who.Site, who.Subject)
	if err != nil || !cmp.Equal(want, got) {
		t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
}

func (m *model) check(t *rapid.T) {
	want := map[string]int{}
	for _, r := range m.order {
		want[r.Site]++
	}
	for _, site := range m.sites {
		if n, err := m.ledger.Count(context.Background(), site); n != want[site] || err != nil {
			t.Fatalf("%d records of %s, want %d, %v", n, site, want[site], err)
		}
	}
}
