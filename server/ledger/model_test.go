package ledger

import (
	"context"
	"crypto/rand"
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
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger/postgrestest"
	"github.com/stilehq/stile/server/merkle"
)

// TestModel holds the ledger against a map, over any order of calls and restarts. Making a database is slow: each run has
// sites of its own in the same one.
func TestModel(t *testing.T) {
	testModel(t, Options{Path: filepath.Join(t.TempDir(), "stile.db")})
}

func TestModelPostgres(t *testing.T) {
	testModel(t, Options{URL: postgrestest.Database(t), Spool: filepath.Join(t.TempDir(), "spool.db")})
}

func testModel(t *testing.T, o Options) {
	db := &database{options: o}
	if err := db.open(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	run, leaves := 0, int64(0)
	keys := &signing{}
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &model{ledger: db, kept: map[[2]string]Record{}, leaves: leaves, signing: keys}
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
			"retire":  m.retire,
			"rotate":  m.rotate,
			"prove":   m.prove,
			"verify":  m.verify,
		})
	})
}

type database struct {
	*Ledger
	options Options
}

func (db *database) open() (err error) {
	if db.Ledger, err = Open(context.Background(), db.options); err == nil {
		db.retiring = time.Hour // one step, and one entry of the audit trail, however long it takes
	}
	return err
}

// signing are the keys that sign the log, and all that ever did.
type signing struct {
	now   note.Signer
	known []note.Verifier
}

type model struct {
	ledger *database
	sites  []string
	kept   map[[2]string]Record // by site and key
	order  []Record
	leaves int64 // of this run and of those before it, in the same database
	noted  []Audit
	*signing
}

// rotate has another key sign from now on. What the others signed is still believed.
func (m *model) rotate(t *rapid.T) {
	private, public, err := note.GenerateKey(rand.Reader, "stile")
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	if m.now, err = note.NewSigner(private); err != nil {
		t.Fatal(err)
	}
	m.known = append(m.known, v)
	m.sign()
}

// sign is Sign without the keeper, so that a run is the same each time.
func (m *model) sign() {
	if m.now != nil {
		m.ledger.signers.Store(&[]note.Signer{m.now})
	}
}

// prove proves that a record is in the log, by the keys.
func (m *model) prove(t *rapid.T) {
	if len(m.order) == 0 || m.now == nil {
		t.Skip("nothing to prove, or nobody who signs")
	}
	r := rapid.SampledFrom(m.order).Draw(t, "record")
	proofs, msg, err := m.ledger.Prove(context.Background(), r.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := m.ledger.Origin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c, err := merkle.Parse(msg, origin, note.VerifierList(m.known...))
	if err == nil {
		err = proofs[0].Check(tlog.RecordHash(Leaf(&r)), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// verify finds nothing, whatever was done, since it was done by Stile.
func (m *model) verify(t *rapid.T) {
	if m.now == nil {
		t.Skip("nobody signs")
	}
	if _, err := m.ledger.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	v, err := m.ledger.VerifyAll(context.Background(), note.VerifierList(m.known...), nil, nil)
	if err != nil || !v.OK() || v.Size != m.leaves {
		t.Fatalf("%v, %+v, of %d leaves", err, v, m.leaves)
	}
}

// over is after the expiry of those records that have one that soon.
var over = noon.Add(time.Hour)

// retire deletes the records of visitors all of whose choices have run out.
func (m *model) retire(t *rapid.T) {
	site := rapid.SampledFrom(m.sites).Draw(t, "site")
	held := map[uuid.UUID]bool{}
	for _, r := range m.order {
		held[r.Subject] = held[r.Subject] || !r.Expiry.Before(over)
	}
	var retired []int64
	m.order = slices.DeleteFunc(m.order, func(r Record) bool {
		if r.Site != site || held[r.Subject] {
			return false
		}
		retired = append(retired, r.Leaf)
		delete(m.kept, [2]string{r.Site, r.Key.String()})
		return true
	})
	n := 0
	for next := int64(0); next >= 0; {
		done, err := m.ledger.Retire(context.Background(), Term{Site: site, Before: over, Now: noon}, next)
		if err != nil {
			t.Fatal(err)
		}
		next, n = done.Next, n+done.Records
	}
	if n != len(retired) {
		t.Fatalf("retired %d records, want %d", n, len(retired))
	}
	if n > 0 {
		m.noted = append(m.noted, Audit{Leaf: m.leaves, Time: noon, Actor: Retention, Act: ActErase, Site: site, Leaves: LeavesOf(retired...), Count: n})
		m.leaves++
	}
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
	m.sign()
}

func (m *model) draw(t *rapid.T) Record {
	words := rapid.SliceOfN(rapid.StringMatching(`[a-z"\\é語<]{0,8}`), 0, 3)
	r := record(rapid.SampledFrom(m.sites).Draw(t, "site"))
	r.Granted, r.Services, r.Refused = words.Draw(t, "granted"), words.Draw(t, "services"), words.Draw(t, "refused")
	r.GPC = rapid.Bool().Draw(t, "gpc")
	r.Action = rapid.SampledFrom([]consent.Action{consent.Custom, consent.AcceptAll, consent.RejectAll, consent.Withdraw}).Draw(t, "action")
	if rapid.Bool().Draw(t, "expired") {
		r.Expiry = noon.Add(time.Minute)
	}
	r.Time = r.Time.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "clock")) * time.Second) // those of several servers differ
	r.Key = uuid.UUID{15: rapid.ByteRange(1, 20).Draw(t, "key")}                             // few, so that they meet
	var before []Record
	for _, other := range m.order {
		if other.Site == r.Site {
			before = append(before, other)
		}
	}
	if len(before) > 0 && rapid.Bool().Draw(t, "returning") {
		r.Previous = rapid.SampledFrom(before).Draw(t, "previous").ID
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
