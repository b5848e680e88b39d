package ledger

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger/postgrestest"
)

// opener opens the same ledger each time it is called: a new one for each test.
type opener func(tb testing.TB) *Ledger

func TestSQLite(t *testing.T) {
	contract(t, func(tb testing.TB) opener {
		path := filepath.Join(tb.TempDir(), "stile.db")
		return func(tb testing.TB) *Ledger { return open(tb, path) }
	})
}

func TestPostgres(t *testing.T) {
	contract(t, func(tb testing.TB) opener {
		o := Options{URL: postgrestest.Database(tb), Spool: filepath.Join(tb.TempDir(), "spool.db")}
		return func(tb testing.TB) *Ledger { return openWith(tb, o) }
	})
}

// contract is what every Ledger does.
func contract(t *testing.T, made func(testing.TB) opener) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, opener)
	}{
		{"a record is read as it was stored", testRoundTrip},
		{"a key stores once in a site", testOnce},
		{"a visitor is followed by the record before", testSubject},
		{"a visitor's later record is newer", testClocks},
		{"a record of nothing is refused", testRefused},
		{"what was published stays", testPublish},
		{"what was erased is gone", testErase},
		{"the log is signed, and proves", testTree},
		{"the whole ledger is verified", testVerify},
		{"versions of the policy stay in order", testPolicies},
		{"requests are due in order", testRequests},
		{"events of mails stand on a grant", testMails},
		{"the audit trail is part of the log", testAudit},
		{"an entry of the audit trail names nobody", testAuditRefused},
		{"what was erased is on the audit trail", testEraseTrail},
		{"requests are answered once", testAnswers},
		{"requests are read page by page", testRequestPages},
		{"the audit trail is read backwards", testTrailBack},
		{"a leaf is under a checkpoint", testCovering},
		{"pages are read by an index", testPlans},
		{"records are retired when they are over", testRetire},
		{"a visitor who came back is not retired", testRetireReturning},
		{"retiring goes on in steps", testRetireSteps},
		{"what is anonymous is counted", testAnonymise},
		{"answered requests are retired", testRetireRequests},
		{"one at a time has a claim", testClaims},
		{"an export has what was asked for", testExport},
		{"an export beside a writer has all that was there", testExportWhileWriting},
		{"an export ends when it is told to", testExportStops},
		{"the sites are known", testSites},
		{"the database tells how it is", testHealth},
		{"requests that are due are found", testDue},
		{"a closed ledger says so", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, made(t)) })
	}
}

func testRoundTrip(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	full, least := record("shop"), Record{Key: uuid.New(), Site: "shop", Time: noon}
	zone := time.FixedZone("", 3600)
	full.Time = noon.Add(456 * time.Microsecond).In(zone)
	for _, r := range []Record{full, least} {
		got := mustAppend(t, l, r)
		want := r
		want.ID, want.Subject, want.Leaf, want.Salt = got.ID, got.Subject, got.Leaf, got.Salt
		want.Time = noon
		want.Granted, want.Denied, want.Services, want.Refused = keep(r.Granted), keep(r.Denied), keep(r.Services), keep(r.Refused)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		if r.ID != uuid.Nil && got.ID != r.ID || got.ID.Version() != 7 || got.Subject == uuid.Nil {
			t.Errorf("stored as %s of visitor %s", got.ID, got.Subject)
		}
		found, err := l.Find(ctx, "shop", got.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, found); diff != "" {
			t.Errorf("found (-stored +found):\n%s", diff)
		}
		if byKey, err := l.FindKey(ctx, "shop", got.Key); err != nil || !cmp.Equal(got, byKey) {
			t.Errorf("found by its key: %v\n%s", err, cmp.Diff(got, byKey))
		}
		if _, err := l.FindKey(ctx, "other", got.Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("finding its key in another site: %v", err)
		}
		if _, err := l.Find(ctx, "other", got.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("finding it in another site: %v", err)
		}
	}
	if err := l.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func testOnce(t *testing.T, open opener) {
	l := open(t)
	first := mustAppend(t, l, record("shop"))
	again := record("shop")
	again.Key, again.Language = first.Key, "fr"
	if diff := cmp.Diff(first, mustAppend(t, l, again)); diff != "" {
		t.Errorf("a second time (-first +second):\n%s", diff)
	}
	again.Site = "blog"
	if got := mustAppend(t, l, again); got.ID != again.ID {
		t.Error("a key of one site was taken for that of another")
	}
	taken := record("shop")
	taken.ID = first.ID
	if _, err := l.Append(context.Background(), taken); err == nil {
		t.Error("an id was stored twice")
	}
}

func testSubject(t *testing.T, open opener) {
	l := open(t)
	first := mustAppend(t, l, record("shop"))
	for _, test := range []struct {
		name     string
		site     string
		previous uuid.UUID
		same     bool
	}{
		{"the one before", "shop", first.ID, true},
		{"none before", "shop", uuid.Nil, false},
		{"one that is not known", "shop", uuid.New(), false},
		{"one of another site", "blog", first.ID, false},
	} {
		r := record(test.site)
		r.Previous, r.Subject = test.previous, uuid.New()
		got := mustAppend(t, l, r)
		if got.Subject == r.Subject || got.Subject == uuid.Nil {
			t.Errorf("%s: the visitor %s was not filled in", test.name, got.Subject)
		}
		if same := got.Subject == first.Subject; same != test.same {
			t.Errorf("%s: same visitor %t, want %t", test.name, same, test.same)
		}
		want := uuid.Nil
		if test.same {
			want = first.ID
		}
		if got.Previous != want {
			t.Errorf("%s: previous is %s, want %s", test.name, got.Previous, want)
		}
	}
}

// Two servers answer the same visitor, and the clock of the second is behind.
func testClocks(t *testing.T, open opener) {
	l := open(t)
	first := mustAppend(t, l, record("shop"))
	late := record("shop")
	late.Previous, late.Time = first.ID, noon.Add(-time.Hour)
	second := mustAppend(t, l, late)
	if want := noon.Add(time.Millisecond); !second.Time.Equal(want) {
		t.Errorf("the record after it is of %s, want %s", second.Time, want)
	}
	if all, err := l.History(context.Background(), "shop", first.Subject); err != nil || len(all) != 2 || all[0].ID != second.ID {
		t.Errorf("history: %v, %v", all, err)
	}
}

func testRefused(t *testing.T, open opener) {
	l := open(t)
	for name, spoil := range map[string]func(*Record){
		"no site":   func(r *Record) { r.Site = "" },
		"no key":    func(r *Record) { r.Key = uuid.Nil },
		"no time":   func(r *Record) { r.Time = time.Time{} },
		"a NUL":     func(r *Record) { r.Language = "d\x00e" },
		"not UTF-8": func(r *Record) { r.Granted = []string{"\xff"} },
	} {
		r := record("shop")
		spoil(&r)
		if _, err := l.Append(context.Background(), r); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
}

func testPublish(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	v1 := Notice{Hash: "h1", Site: "shop", Language: "en", Regime: "gdpr", Policy: "1", Text: []byte(`{"title":"Cookies"}`), Time: noon}
	v2 := v1
	v2.Hash, v2.Text = "h2", []byte(`{"title":"Biscuits"}`)
	changed := v1
	changed.Text = []byte(`{"title":"Other words"}`)
	for _, step := range []struct {
		notices []Notice
		list    string
		entries []string
	}{
		{[]Notice{v1}, "list-1", []string{"ga4@analytics"}},
		{[]Notice{changed, v2}, "list-1", []string{"other@marketing"}},
		{nil, "list-2", nil},
	} {
		if err := l.Publish(ctx, "shop", Publication{Notices: step.notices, List: step.list, Entries: step.entries}); err != nil {
			t.Fatal(err)
		}
	}
	notices, err := l.Notices(ctx, "shop")
	if diff := cmp.Diff(map[string]string{"h1": "en", "h2": "en"}, notices); diff != "" || err != nil {
		t.Errorf("notices: %v\n%s", err, diff)
	}
	lists, err := l.Lists(ctx, "shop")
	if diff := cmp.Diff(map[string][]string{"list-1": {"ga4@analytics"}, "list-2": {}}, lists); diff != "" || err != nil {
		t.Errorf("lists: %v\n%s", err, diff)
	}
	if notices, err := l.Notices(ctx, "blog"); len(notices) > 0 || err != nil {
		t.Errorf("notices of another site: %v, %v", notices, err)
	}
	got, err := l.Notice(ctx, "shop", "h1")
	if diff := cmp.Diff(v1, got); diff != "" || err != nil {
		t.Errorf("the words that were first kept: %v\n%s", err, diff)
	}
	if _, err := l.Notice(ctx, "blog", "h1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the words of another site: %v", err)
	}
}

func testErase(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	first := mustAppend(t, l, record("shop"))
	next := record("shop")
	next.Previous = first.ID
	second, other, elsewhere := mustAppend(t, l, next), mustAppend(t, l, record("shop")), mustAppend(t, l, record("blog"))
	if all, err := l.History(ctx, "shop", first.Subject); err != nil || len(all) != 2 || all[0].ID != second.ID {
		t.Fatalf("history: %v, %v", all, err)
	}
	if n, err := l.Erase(ctx, "blog", first.Subject, byVisitor); n != 0 || err != nil {
		t.Errorf("erased in another site: %d, %v", n, err)
	}
	if n, err := l.Erase(ctx, "shop", first.Subject, byVisitor); n != 2 || err != nil {
		t.Errorf("erased: %d, %v", n, err)
	}
	for _, r := range []Record{first, second} {
		if _, err := l.Find(ctx, "shop", r.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("finding what was erased: %v", err)
		}
	}
	for _, r := range []Record{other, elsewhere} {
		if _, err := l.Find(ctx, r.Site, r.ID); err != nil {
			t.Errorf("finding somebody else's: %v", err)
		}
	}
	// Whoever comes back with the old receipt is somebody new.
	again := record("shop")
	again.Previous = second.ID
	if got := mustAppend(t, l, again); got.Subject == first.Subject || got.Previous != uuid.Nil {
		t.Errorf("after erasing: %+v", got)
	}
}

func testPolicies(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	v1 := Policy{Site: "shop", Version: "1", Hash: "h1", Text: []byte("# One"), Summary: map[string]string{"": "first"}, Controller: "EasyDser", Since: noon}
	v2, mended := v1, v1
	v2.Version, v2.Hash, v2.Text, v2.Material, v2.Since = "2", "h2", []byte{}, true, noon.AddDate(0, 1, 0)
	mended.Hash, mended.Text = "h3", []byte("# One, mended")
	for _, list := range [][]Policy{{v1}, {v1, v2}, {v2, mended}} {
		if err := l.Publish(ctx, "shop", Publication{List: "list", Policies: list}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Policies(ctx, "shop")
	if diff := cmp.Diff([]Policy{v1, v2, mended}, got); diff != "" || err != nil {
		t.Errorf("policies: %v\n%s", err, diff)
	}
	if got, err := l.Policies(ctx, "blog"); len(got) > 0 || err != nil {
		t.Errorf("policies of another site: %v, %v", got, err)
	}
}

func testRequests(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	later := Request{
		Number: "AAAA-BBBB", Site: "shop", Kind: "access", Contact: "a@b.example", Details: "all of it", Receipt: uuid.New(), Time: noon, Due: noon.AddDate(0, 0, 15),
	}
	sooner := Request{Number: "CCCC-DDDD", Site: "shop", Kind: "delete", Contact: "c@d.example", Time: noon.AddDate(0, 0, -3), Due: noon.AddDate(0, 0, 12)}
	for _, r := range []Request{later, sooner} {
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Ask(ctx, later); err == nil {
		t.Error("a number was given twice")
	}
	if err := l.Ask(ctx, Request{}); err == nil {
		t.Error("a request of nothing was kept")
	}
	got, err := l.Requests(ctx, "shop")
	if diff := cmp.Diff([]Request{sooner, later}, got); diff != "" || err != nil {
		t.Errorf("requests: %v\n%s", err, diff)
	}
	if got, err := l.Requests(ctx, "blog"); len(got) > 0 || err != nil {
		t.Errorf("requests to another site: %v, %v", got, err)
	}
}

func testClosed(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	kept := mustAppend(t, l, record("shop"))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(ctx, record("shop")); !errors.Is(err, ErrClosed) {
		t.Errorf("append to a closed ledger: %v", err)
	}
	if _, err := l.Find(ctx, "shop", kept.ID); err == nil {
		t.Error("a closed ledger found a record")
	}
	if err := l.Ping(ctx); err == nil {
		t.Error("a closed ledger can store records")
	}
	l = open(t)
	if found, err := l.Find(ctx, "shop", kept.ID); err != nil || !cmp.Equal(kept, found) {
		t.Errorf("after opening again: %v\n%s", err, cmp.Diff(kept, found))
	}
}
