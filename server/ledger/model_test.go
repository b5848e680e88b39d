package ledger

import (
	"context"
	"database/sql"
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
			"erase":   m.erase,
			"note":    m.note,
			"trail":   m.trail,
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
	noted  []Audit
}

func (m *model) erase(t *rapid.T) {
	if len(m.order) == 0 {
		t.Skip("nobody")
	}
	who := rapid.SampledFrom(m.order).Draw(t, "of")
	var erased []int64
	for _, r := range m.order {
		if r.Subject == who.Subject {
			erased = append(erased, r.Leaf)
			delete(m.kept, [2]string{r.Site, r.Key.String()})
		}
	}
	m.order = slices.DeleteFunc(m.order, func(r Record) bool { return r.Subject == who.Subject })
	n, err := m.ledger.Erase(context.Background(), who.Site, who.Subject, byVisitor)
	if n != len(erased) || err != nil {
		t.Fatalf("erased %d, %v, want %d", n, err, len(erased))
	}
	m.noted = append(m.noted, Audit{
		Leaf: m.leaves, Time: noon, Actor: Visitor, Act: ActErase, Site: who.Site, Leaves: LeavesOf(erased...), Count: len(erased),
	})
	m.leaves++
}

func (m *model) note(t *rapid.T) {
	a := Audit{
		Time: noon, Actor: Operator(rapid.StringMatching(`[a-zé"\<]{0,8}`).Draw(t, "name")), Act: ActShow,
		Site: rapid.SampledFrom(m.sites).Draw(t, "site"), Leaves: LeavesOf(rapid.SliceOfN(rapid.Int64Range(0, 99), 0, 9).Draw(t, "leaves")...),
	}
	got, err := m.ledger.Note(context.Background(), a)
	if err != nil || got.Leaf != m.leaves || got.Salt == [16]byte{} {
		t.Fatalf("%+v, %v, of %d leaves before", got, err, m.leaves)
	}
	m.leaves++
	m.noted = append(m.noted, got)
}

// trail also holds what makes the log whole: each number there ever was is a record's, or an entry's, or is named by an
// erasure, and never two of them.
func (m *model) trail(t *rapid.T) {
	ctx := context.Background()
	all, err := m.ledger.Trail(ctx, "", -1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]string{}
	see := func(leaf int64, what string) {
		if before, twice := seen[leaf]; twice || leaf < 0 || leaf >= m.leaves {
			t.Fatalf("leaf %d of %d is %s, and %s", leaf, m.leaves, before, what)
		}
		seen[leaf] = what
	}
	var own []Audit
	for _, a := range all {
		see(a.Leaf, "an entry's")
		if a.Act == ActErase {
			for _, r := range a.Leaves {
				for n := r.First; n <= r.Last; n++ {
					see(n, "erased")
				}
			}
		}
		back, err := ParseAuditLeaf(AuditLeaf(&a))
		back.Leaf = a.Leaf
		if err != nil || !cmp.Equal(a, back) {
			t.Fatalf("%v, read back:\n%s", err, cmp.Diff(a, back))
		}
		if slices.Contains(m.sites, a.Site) {
			if a.Act == ActErase {
				a.Salt = [16]byte{} // the ledger's to choose
			}
			own = append(own, a)
		}
	}
	if diff := cmp.Diff(m.noted, own); diff != "" {
		t.Fatalf("the trail (-want +got):\n%s", diff)
	}
	if err := m.ledger.each(ctx, func(rows *sql.Rows) error {
		var leaf int64
		err := rows.Scan(&leaf)
		see(leaf, "a record's")
		return err
	}, `SELECT leaf FROM records`); err != nil {
		t.Fatal(err)
	}
	if len(seen) != int(m.leaves) {
		t.Fatalf("%d leaves are accounted for, of %d", len(seen), m.leaves)
	}
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
