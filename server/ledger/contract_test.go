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
)

// opener opens the same ledger each time it is called: a new one for each test.
type opener func(tb testing.TB) Ledger

func TestSQLite(t *testing.T) {
	contract(t, func(tb testing.TB) opener {
		path := filepath.Join(tb.TempDir(), "stile.db")
		return func(tb testing.TB) Ledger { return open(tb, path) }
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
		{"a record of nothing is refused", testRefused},
		{"what was published stays", testPublish},
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
		want.ID, want.Subject = got.ID, got.Subject
		want.Time = noon
		want.Granted, want.Denied, want.Services = keep(r.Granted), keep(r.Denied), keep(r.Services)
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
		if err := l.Publish(ctx, "shop", step.notices, step.list, step.entries); err != nil {
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
	reader, ok := l.(interface {
		Notice(ctx context.Context, site, hash string) (Notice, error)
	})
	if !ok {
		t.Fatal("the words cannot be read")
	}
	got, err := reader.Notice(ctx, "shop", "h1")
	if diff := cmp.Diff(v1, got); diff != "" || err != nil {
		t.Errorf("the words that were first kept: %v\n%s", err, diff)
	}
	if _, err := reader.Notice(ctx, "blog", "h1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the words of another site: %v", err)
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
