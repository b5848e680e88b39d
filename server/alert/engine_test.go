package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/ledger/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// heard is a way that remembers what it told.
type heard struct {
	name    string
	sites   []string
	fails   error
	mu      sync.Mutex // of what is below
	tries   int
	told    []string // "raised opt-in shop"
	letters int      // calls that told
}

func (h *heard) Name() string             { return h.name }
func (h *heard) Place() string            { return h.name }
func (h *heard) Reaches(site string) bool { return slices.Contains(h.sites, site) }

func (h *heard) Tell(_ context.Context, site string, all []Message) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries++
	if h.fails != nil {
		return h.name + ".example", h.fails
	}
	h.letters++
	for _, m := range all {
		if m.Site != site {
			return "", fmt.Errorf("%s is told of %s", site, m.Site)
		}
		what := "raised"
		if m.Ended {
			what = "ended"
		}
		h.told = append(h.told, strings.TrimSpace(fmt.Sprint(what, " ", m.Kind, " ", m.Site)+" "+m.Subject))
	}
	return h.name + ".example", nil
}

// desk is an engine whose facts a test makes up, and whose clock it sets.
type desk struct {
	t        *testing.T
	e        *Engine
	now      time.Time
	mu       sync.Mutex // held while here is read, and written beside a running engine
	here     Here
	facts    Facts
	asked    atomic.Int32 // how often all sites were looked at
	hook, by *heard
}

func newDesk(t *testing.T, db *ledger.Ledger) *desk {
	t.Helper()
	k := &desk{t: t, now: now, hook: &heard{name: "webhook", sites: []string{"", "shop", "blog"}}, by: &heard{name: "mail", sites: []string{"shop"}}}
	k.e = k.engine(db, "here")
	return k
}

func (k *desk) engine(db *ledger.Ledger, process string) *Engine {
	return New(Options{
		Database: db, Process: process, Address: "https://consent.shop.example", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return k.now },
		Sites: func(context.Context) (Facts, error) { k.asked.Add(1); k.facts.Now = k.now; return k.facts, nil },
		Here: func(context.Context) Here {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.here.Now = k.now
			return k.here
		},
		Ways: []Way{k.hook, k.by},
	})
}

// failing are the places that health complains of.
func (k *desk) failing() string {
	var all []string
	for place, f := range k.e.Failing() {
		all = append(all, fmt.Sprint(place, " ", f.At.Sub(now), " ", f.Err))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// reload is that a configuration was refused, or taken.
func (k *desk) reload(why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.here.Reload, k.here.Reloaded = why, k.now
}

func (k *desk) look() {
	k.t.Helper()
	if err := k.e.Look(k.t.Context(), "holder", true); err != nil {
		k.t.Fatal(err)
	}
}

// heardBy compares what was told since the last time.
func heardBy(t *testing.T, h *heard, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.told); diff != "" {
		t.Errorf("%s told -want +got\n%s", h.name, diff)
	}
	h.told = nil
}

func open(t *testing.T, o ledger.Options) *ledger.Ledger {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	db, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// both runs a test with each engine.
func both(t *testing.T, run func(*testing.T, ledger.Options)) {
	t.Run("SQLite", func(t *testing.T) { run(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, ledger.Options{URL: postgrestest.Database(t)}) })
}

var overdue = SiteFacts{Name: "shop", Requests: []RequestFacts{{Number: "7KQ4-M2XD", Kind: "access", Due: now.Add(-time.Hour)}}}

// Raised once and told once, by each way that reaches somebody; over once; and again when it comes back, whatever restarts.
func TestAlertsAreToldOnce(t *testing.T) {
	both(t, func(t *testing.T, o ledger.Options) {
		db := open(t, o)
		k := newDesk(t, db)
		k.look()
		heardBy(t, k.hook)
		k.facts.Sites, k.here.Reload, k.here.Reloaded = []SiteFacts{overdue}, "stile.yaml: no", now
		k.look()
		heardBy(t, k.hook, "raised configuration", "raised overdue shop 7KQ4-M2XD")
		heardBy(t, k.by, "raised overdue shop 7KQ4-M2XD")
		for range 3 { // nothing new, before a restart and after it
			k.now = k.now.Add(evaluateEvery)
			k.look()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, o)
			k.e = k.engine(db, "here")
			k.look()
		}
		heardBy(t, k.hook)
		heardBy(t, k.by)
		all, err := k.e.List(t.Context())
		if err != nil || len(all) != 2 || all[0].Cleared != (time.Time{}) || !all[0].Raised.Equal(now) || !all[0].Seen.Equal(k.now) {
			t.Errorf("the list is %+v: %v", all, err)
		}
		k.facts.Sites, k.here.Reload = nil, ""
		k.look()
		heardBy(t, k.hook, "ended configuration", "ended overdue shop 7KQ4-M2XD")
		heardBy(t, k.by, "ended overdue shop 7KQ4-M2XD")
		ended := k.now
		k.now = k.now.Add(24 * time.Hour)
		k.facts.Sites = []SiteFacts{overdue}
		k.look()
		heardBy(t, k.hook, "raised overdue shop 7KQ4-M2XD")
		all, err = k.e.List(t.Context())
		if err != nil || len(all) != 3 {
			t.Fatalf("the list is %+v: %v", all, err)
		}
		first := all[slices.IndexFunc(all, func(r Record) bool { return r.Kind == Overdue && !r.Cleared.IsZero() })]
		want := []Telling{
			{Way: "mail", Place: "mail.example", Told: now, Tries: 1},
			{Way: "webhook", Place: "webhook.example", Told: now, Tries: 1},
			{Ended: true, Way: "mail", Place: "mail.example", Told: ended, Tries: 1},
			{Ended: true, Way: "webhook", Place: "webhook.example", Told: ended, Tries: 1},
		}
		if diff := cmp.Diff(want, first.Tellings); diff != "" || !first.Cleared.Equal(ended) {
			t.Errorf("cleared at %s; -want +got\n%s", first.Cleared, diff)
		}
	})
}

// What anybody can raise by a forged report does not keep back what presses.
func TestHostsAreToldLast(t *testing.T) {
	both(t, func(t *testing.T, o ledger.Options) {
		k := newDesk(t, open(t, o))
		site := overdue
		for i := range tellMost {
			site.Ungated = append(site.Ungated, HostFacts{Name: fmt.Sprintf("h%d.example", i), Pages: 9, Known: i < mostHosts})
		}
		k.facts.Sites, k.by.sites = []SiteFacts{site}, nil
		k.look()
		if got := k.hook.told; len(got) != tellMost || got[0] != "raised overdue shop 7KQ4-M2XD" {
			t.Errorf("it told %q", got)
		}
		if all, err := k.e.Holding(t.Context()); err != nil || len(all) != tellMost+1 {
			t.Errorf("%d hold: %v", len(all), err)
		}
		k.facts.Sites = nil
		k.look()
		if all, err := k.e.Holding(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("%+v still holds: %v", all, err)
		}
	})
}

// A way that fails is tried again, less and less often, through a restart, and the others are not told twice for it.
func TestTellingIsTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, o ledger.Options) {
		db := open(t, o)
		k := newDesk(t, db)
		k.hook.fails = errors.New("it answered 500 Internal Server Error")
		k.facts.Sites = []SiteFacts{overdue}
		k.look()
		heardBy(t, k.by, "raised overdue shop 7KQ4-M2XD")
		k.now = k.now.Add(firstWait - time.Millisecond)
		k.look()
		if k.hook.tries != 1 {
			t.Errorf("%d attempts before it is due again", k.hook.tries)
		}
		k.now = k.now.Add(time.Millisecond)
		k.look()
		k.now = k.now.Add(firstWait) // twice that now
		k.look()
		if k.hook.tries != 2 {
			t.Errorf("%d attempts", k.hook.tries)
		}
		all, err := k.e.List(t.Context())
		if err != nil || len(all) != 1 || all[0].Tellings[1].Error != k.hook.fails.Error() || all[0].Tellings[1].GivenUp() || all[0].Tellings[1].Place != "webhook.example" {
			t.Errorf("the list is %+v: %v", all, err)
		}
		k.e = k.engine(db, "here")
		k.hook.fails = nil
		k.now = k.now.Add(time.Hour)
		k.look()
		heardBy(t, k.hook, "raised overdue shop 7KQ4-M2XD")
		heardBy(t, k.by)
	})
}

func TestTellingIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails error
		tries int
	}{
		{"for good", fmt.Errorf("it answered 410 Gone: nobody is there any more; %w", errFinal), 1},
		{"after more than a day", errors.New("it answered 500"), mostTries},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
			k.hook.fails, k.facts.Sites = test.fails, []SiteFacts{overdue}
			for range mostTries + 5 {
				k.look()
				k.now = k.now.Add(longestWait)
			}
			all, err := k.e.List(t.Context())
			if err != nil || k.hook.tries != test.tries || !all[0].Tellings[1].GivenUp() {
				t.Errorf("%d attempts, and then %+v: %v", k.hook.tries, all, err)
			}
			if k.now.Sub(now) < 24*time.Hour {
				t.Error("a day was not reached")
			}
			k.hook.fails, k.facts.Sites = nil, nil
			k.look()
			heardBy(t, k.hook) // who was not told that it was raised is not told that it is over
			heardBy(t, k.by, "raised overdue shop 7KQ4-M2XD", "ended overdue shop 7KQ4-M2XD")
		})
	}
}

// What was over before it could be told is not told at all.
func TestOverBeforeItWasTold(t *testing.T) {
	k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	k.hook.fails, k.by.fails = errors.New("away"), errors.New("away")
	k.facts.Sites = []SiteFacts{overdue}
	k.look()
	k.facts.Sites, k.hook.fails, k.by.fails = nil, nil, nil
	k.now = k.now.Add(time.Hour)
	k.look()
	heardBy(t, k.hook)
	heardBy(t, k.by)
}

// A request that is overdue is not told to be no longer nearly due.
func TestDueBecomesOverdue(t *testing.T) {
	k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	k.facts.Sites = []SiteFacts{{Name: "shop", Ahead: 72 * time.Hour, Requests: []RequestFacts{{Number: "7KQ4-M2XD", Kind: "access", Due: now.Add(time.Hour)}}}}
	k.look()
	k.now = k.now.Add(2 * time.Hour)
	k.look()
	heardBy(t, k.hook, "raised request shop 7KQ4-M2XD", "raised overdue shop 7KQ4-M2XD")
	k.facts.Sites = nil
	k.look()
	heardBy(t, k.hook, "ended overdue shop 7KQ4-M2XD")
}

// All of a site goes into one mail; the webhook gets each by itself.
func TestMailGathers(t *testing.T) {
	k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	k.facts.Sites = []SiteFacts{{Name: "shop", Ungated: []HostFacts{{Name: "a.example", Pages: 9}, {Name: "b.example", Pages: 9}}}, {Name: "blog", Ungated: []HostFacts{{Name: "a.example", Pages: 9}}}}
	k.look()
	if k.by.letters != 1 || len(k.by.told) != 2 || k.hook.letters != 3 || len(k.hook.told) != 3 {
		t.Errorf("%d mails of %v, and %d calls of %v", k.by.letters, k.by.told, k.hook.letters, k.hook.told)
	}
}

// Of several processes each looks at itself, and one at the sites; what is of one that is gone is cleared.
func TestSeveralProcesses(t *testing.T) {
	both(t, func(t *testing.T, o ledger.Options) {
		db := open(t, o)
		k := newDesk(t, db)
		other := k.engine(db, "there")
		if mine, err := db.Claim(t.Context(), claimName, "other", k.now, claimTime); !mine || err != nil {
			t.Fatal(mine, err)
		}
		k.here.Reload, k.here.Reloaded, k.facts.Sites = "stile.yaml: no", now, []SiteFacts{overdue}
		k.look() // another process is at it
		heardBy(t, k.hook)
		if k.asked.Load() != 0 {
			t.Error("two processes looked at the sites")
		}
		if err := other.Look(t.Context(), "other", true); err != nil {
			t.Fatal(err)
		}
		heardBy(t, k.hook, "raised configuration", "raised configuration", "raised overdue shop 7KQ4-M2XD")
		k.look()
		k.here.Reload = ""
		k.now = k.now.Add(staleTime + time.Minute)
		k.look() // the other one does not look any more
		k.look()
		heardBy(t, k.hook, "ended configuration", "ended configuration")
		k.facts.Sites = nil
		k.look()
		k.now = k.now.Add(keepFor + time.Hour)
		k.look()
		if all, err := k.e.store.list(t.Context(), now, 99); err != nil || len(all) != 0 {
			t.Errorf("after 90 days there are %+v: %v", all, err)
		}
	})
}

// While the database is away it is told that it is, once, by the process itself; and that it is back, through the database.
func TestDatabaseAway(t *testing.T) {
	line := postgrestest.NewProxy(t, postgrestest.Database(t))
	db := open(t, ledger.Options{URL: line.URL(), Spool: filepath.Join(t.TempDir(), "spool.db"), Retry: 50 * time.Millisecond})
	k := newDesk(t, db)
	k.facts.Sites = []SiteFacts{overdue}
	line.Cut() // and no choice comes by which the ledger would know
	away := func() {
		t.Helper()
		if err := k.e.Look(t.Context(), "holder", true); !errors.Is(err, ledger.ErrAway) {
			t.Fatalf("the database is away, and the error is %v", err)
		}
	}
	away()
	heardBy(t, k.hook)
	k.now = k.now.Add(awayTime + time.Minute)
	k.hook.fails = errors.New("it answered 500")
	away()
	k.hook.fails = nil
	away()
	k.now = k.now.Add(firstWait)
	for range 3 {
		away()
	}
	heardBy(t, k.hook, "raised database")
	line.Heal()
	k.here.Away = now
	k.look() // it holds still: what was told is kept
	heardBy(t, k.hook, "raised overdue shop 7KQ4-M2XD")
	k.here.Away = time.Time{}
	k.look()
	heardBy(t, k.hook, "ended database")
}

// Run looks at once, then every few minutes, and at once again when it is woken.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := ledger.Open(t.Context(), ledger.Options{Path: path, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		k := newDesk(t, db)
		k.e.Now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { k.e.Run(ctx); close(done) }()
		synctest.Wait()
		if k.asked.Load() != 1 {
			t.Errorf("the sites were looked at %d times at once", k.asked.Load())
		}
		k.reload("stile.yaml: no")
		k.e.Wake()
		synctest.Wait()
		heardBy(t, k.hook, "raised configuration")
		k.reload("")
		time.Sleep(deliverEvery + time.Second)
		synctest.Wait()
		heardBy(t, k.hook, "ended configuration")
		if k.asked.Load() != 1 {
			t.Errorf("the sites were looked at %d times", k.asked.Load())
		}
		time.Sleep(2 * evaluateEvery)
		synctest.Wait()
		if k.asked.Load() != 3 {
			t.Errorf("the sites were looked at %d times in ten minutes", k.asked.Load())
		}
		cancel()
		<-done
	})
}

func TestLinks(t *testing.T) {
	for want, a := range map[string]Alert{
		"/admin/health": {Kind: Away}, "/admin/sites/shop/": {Site: "shop", Kind: OptIn}, "/admin/sites/shop/sightings": {Site: "shop", Kind: Host},
		"/admin/sites/shop/tags/ga4": {Site: "shop", Kind: Vendor, Subject: "ga4"}, "/admin/sites/shop/requests": {Site: "shop", Kind: Overdue},
	} {
		if got := Path(a); got != want {
			t.Errorf("%+v is at %s", a, got)
		}
	}
}

func TestTestSaysWhatHappened(t *testing.T) {
	k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	k.hook.fails = errors.New("it answered 404 Not Found")
	all := k.e.Test(t.Context(), "shop", "ada")
	if len(all) != 2 || all[0].Err == nil || all[0].Place != "webhook.example" || all[1].Err != nil || len(k.by.told) != 1 {
		t.Errorf("%+v", all)
	}
	if all := k.e.Test(t.Context(), "", "ada"); len(all) != 1 {
		t.Errorf("nobody has an address for all sites: %+v", all)
	}
	if list, err := k.e.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a test is in the history: %+v %v", list, err)
	}
}

// A way whose last attempt failed is known to fail until one works, be they tests or alerts.
func TestFailing(t *testing.T) {
	k := newDesk(t, open(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	is := func(want string) {
		t.Helper()
		if got := k.failing(); got != want {
			t.Errorf("%q fails, not %q", got, want)
		}
	}
	is("")
	k.hook.fails = errors.New("it answered 500")
	k.e.Test(t.Context(), "shop", "ada")
	is("webhook 0s it answered 500")
	k.now = k.now.Add(time.Minute)
	k.hook.fails = nil
	k.e.Test(t.Context(), "", "ada")
	is("")
	k.by.fails = errors.New("no such user")
	k.facts.Sites = []SiteFacts{overdue}
	k.look()
	is("mail 1m0s no such user")
	k.e.Test(t.Context(), "", "ada") // nobody is told by mail of all sites
	is("mail 1m0s no such user")
	k.now, k.by.fails = k.now.Add(firstWait), nil
	k.look()
	is("")
	ended, end := context.WithCancel(t.Context())
	end()
	k.by.fails = context.Canceled
	k.e.Test(ended, "shop", "ada")
	is("")
}
