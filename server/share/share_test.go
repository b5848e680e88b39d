package share

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/ledger/postgrestest"
	"github.com/stilehq/stile/server/noise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// now is a Sunday.
var now = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func TestSQLite(t *testing.T) {
	contract(t, func(t *testing.T) ledger.Options { return ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")} })
}

func TestPostgres(t *testing.T) {
	contract(t, func(t *testing.T) ledger.Options { return ledger.Options{URL: postgrestest.Database(t)} })
}

// contract is what links do in every database.
func contract(t *testing.T, options func(*testing.T) ledger.Options) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Links)
	}{
		{"a link is opened by its token until it is over", testOpen},
		{"a revoked link is like one that never was", testRevoke},
		{"a link that cannot be is refused", testRefused},
		{"links of a site share their noise", testSeed},
		{"epsilon is spent once a value, and not without end", testSpent},
		{"two who make links at once spend no more than one after the other", testAtOnce},
		{"what is over is forgotten, but for what was spent", testTidy},
		{"links are on the audit trail, without who they are for", testTrail},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := ledger.Open(t.Context(), options(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test.run(t, Links{db})
		})
	}
}

func mustMake(t *testing.T, s Links, w Wish, at time.Time) (string, Link) {
	t.Helper()
	token, l, err := s.Make(t.Context(), w, "operator:ada", at)
	if err != nil {
		t.Fatal(err)
	}
	return token, l
}

// closed fails unless nobody can open a token.
func closed(t *testing.T, s Links, token string, at time.Time) {
	t.Helper()
	if _, _, err := s.Open(t.Context(), token, at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("at %v the link opens, or says why not: %v", at, err)
	}
}

func testOpen(t *testing.T, s Links) {
	token, made := mustMake(t, s, Wish{"shop", " The agency ", .5, 30}, now)
	other, _ := mustMake(t, s, Wish{"blog", "All", 1, 1}, now)
	got, _, err := s.Open(t.Context(), token, made.Expires.Add(-time.Millisecond))
	if err != nil || got != made || got.Label != "The agency" || got.Epsilon() != .5 || got.Site != "shop" {
		t.Errorf("%+v was made, and is %+v (%v)", made, got, err)
	}
	if !made.Expires.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("30 days end at %v", made.Expires)
	}
	closed(t, s, token, made.Expires)
	closed(t, s, "", now)
	closed(t, s, token[1:], now)
	closed(t, s, strings.ToUpper(token), now)
	if got, _, err := s.Open(t.Context(), other, now); err != nil || got.Site != "blog" {
		t.Errorf("the other site's link opens %q (%v)", got.Site, err)
	}
}

func testRevoke(t *testing.T, s Links) {
	token, made := mustMake(t, s, Wish{"shop", "Agency", 1, 30}, now)
	if _, err := s.Revoke(t.Context(), "blog", made.Name(), "operator:ada", now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another site revokes it: %v", err)
	}
	if _, err := s.Revoke(t.Context(), "shop", made.Name(), "operator:ada", now); err != nil {
		t.Fatal(err)
	}
	closed(t, s, token, now)
	if shelf, err := s.Site(t.Context(), "shop", now); err != nil || len(shelf.Live) != 0 {
		t.Errorf("there are links still: %v (%v)", shelf.Live, err)
	}
	if _, err := s.Revoke(t.Context(), "shop", made.Name(), "operator:ada", now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is revoked again: %v", err)
	}
}

func testRefused(t *testing.T, s Links) {
	for _, c := range []struct {
		wish Wish
		says string
	}{
		{Wish{"shop", "", 1, 30}, "who the link is for"},
		{Wish{"shop", "  ", 1, 30}, "who the link is for"},
		{Wish{"shop", "a\nb", 1, 30}, "who the link is for"},
		{Wish{"shop", strings.Repeat("ü", 61), 1, 30}, "who the link is for"},
		{Wish{"shop", "a", 0, 30}, "epsilon"},
		{Wish{"shop", "a", -1, 30}, "epsilon"},
		{Wish{"shop", "a", .05, 30}, "epsilon"},
		{Wish{"shop", "a", .15, 30}, "epsilon"},
		{Wish{"shop", "a", 2.1, 30}, "epsilon"},
		{Wish{"shop", "a", 1e300, 30}, "epsilon"},
		{Wish{"shop", "a", 1, 0}, "days"},
		{Wish{"shop", "a", 1, 366}, "days"},
	} {
		_, _, err := s.Make(t.Context(), c.wish, "operator:ada", now)
		var refused Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.wish, err)
		}
	}
	for range MostLinks {
		mustMake(t, s, Wish{"shop", "a", 1, 30}, now)
	}
	if _, _, err := s.Make(t.Context(), Wish{"shop", "a", 1, 30}, "operator:ada", now); err == nil {
		t.Error("one link too many is made")
	}
	mustMake(t, s, Wish{"blog", "a", 1, 30}, now)
	mustMake(t, s, Wish{"shop", "a", 1, 30}, now.AddDate(0, 0, 31))
}

func testSeed(t *testing.T, s Links) {
	_, first := mustMake(t, s, Wish{"shop", "a", 1, 1}, now)
	_, second := mustMake(t, s, Wish{"shop", "b", .5, 1}, now.Add(time.Hour))
	_, later := mustMake(t, s, Wish{"shop", "c", 1, 1}, now.AddDate(1, 0, 0)) // all others are over
	_, other := mustMake(t, s, Wish{"blog", "d", 1, 1}, now)
	if first.seed != second.seed || first.seed != later.seed {
		t.Error("two links of a site have noise of their own")
	}
	if first.seed == other.seed || first.seed == [32]byte{} {
		t.Error("two sites have the same noise, or none")
	}
}

func testSpent(t *testing.T, s Links) {
	for _, epsilon := range []float64{1, 1, 2, .5, .5} {
		_, l := mustMake(t, s, Wish{"shop", "a", epsilon, 1}, now)
		if _, err := s.Revoke(context.Background(), "shop", l.Name(), "operator:ada", now); err != nil {
			t.Fatal(err)
		}
	}
	shelf, err := s.Site(t.Context(), "shop", now)
	if err != nil || shelf.Millis != 3500 {
		t.Errorf("%d thousandths were spent of 3500 (%v)", shelf.Millis, err)
	}
	if _, _, err := s.Make(t.Context(), Wish{"shop", "a", .6, 1}, "operator:ada", now); err == nil || !strings.Contains(err.Error(), "used up 3.5 of epsilon, and may use 4") {
		t.Errorf("more than all of epsilon: %v", err)
	}
	mustMake(t, s, Wish{"shop", "a", 2, 1}, now)
}

func testAtOnce(t *testing.T, s Links) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	made := make(chan noise.Seed, 40)
	for i := range cap(made) {
		site, epsilon := "shop", float64(20-i/2)/10 // from 2 down: all of them are 21
		if i%2 == 1 {
			site, epsilon = "blog", 1
		}
		all.Go(func() {
			<-begin
			_, l, err := s.Make(t.Context(), Wish{site, "a", epsilon, 30}, "operator:ada", now)
			var refused Refused
			switch {
			case err == nil && site == "blog":
				made <- l.seed
			case err != nil && !errors.As(err, &refused):
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	close(made)
	if shelf, err := s.Site(t.Context(), "shop", now); err != nil || shelf.Millis > MostSpent || len(shelf.Live) > MostLinks {
		t.Errorf("%d thousandths were spent of %d, by %d links (%v)", shelf.Millis, MostSpent, len(shelf.Live), err)
	}
	seeds := map[noise.Seed]int{}
	for seed := range made {
		seeds[seed]++
	}
	if shelf, err := s.Site(t.Context(), "blog", now); err != nil || len(shelf.Live) != MostLinks || len(seeds) != 1 || seeds[shelf.seed] != MostLinks {
		t.Errorf("%d links of %d, with %d seeds (%v)", len(shelf.Live), MostLinks, len(seeds), err)
	}
}

func testTidy(t *testing.T, s Links) {
	for i := range 20 {
		mustMake(t, s, Wish{"shop", "a", []float64{1, 2}[i%2], 1}, now.AddDate(0, 0, 2*i))
	}
	shelf, err := s.Site(t.Context(), "shop", now)
	if err != nil {
		t.Fatal(err)
	}
	rows := len(shelf.Live) // all were over later than now
	if rows > 4 || shelf.Millis != 3000 {
		t.Errorf("%d links are kept, %d thousandths were spent", rows, shelf.Millis)
	}
}

func testTrail(t *testing.T, s Links) {
	_, made := mustMake(t, s, Wish{"shop", "ada@agency.example", 1.5, 30}, now)
	if _, err := s.Revoke(t.Context(), "shop", made.Name(), "operator:ben", now); err != nil {
		t.Fatal(err)
	}
	all, err := s.Ledger.Trail(t.Context(), "shop", -1, 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d entries (%v)", len(all), err)
	}
	if a := all[0]; a.Act != ledger.ActShare || a.Actor != "operator:ada" || a.Detail != "link "+made.Name()+", epsilon 1.5, until 2026-12-22" {
		t.Errorf("making is %+v", a)
	}
	if a := all[1]; a.Act != ledger.ActRevoke || a.Actor != "operator:ben" || a.Detail != "link "+made.Name() {
		t.Errorf("revoking is %+v", a)
	}
}
