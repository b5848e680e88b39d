package tally

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/ledger/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// clock is set by the test.
type clock struct{ at atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.at.Store(t.Unix())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(c.at.Load(), 0).UTC() }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d / time.Second)) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const today = Day("2026-11-22")

// failing is a database that is away, or takes a transaction and says that it did not.
type failing struct {
	Database
	away, doubt bool
}

var errAway = errors.New("the database is away")

func (f *failing) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	if f.away {
		return errAway
	}
	if err := f.Database.Write(ctx, fn); err != nil {
		return err
	}
	if f.doubt {
		return errAway
	}
	return nil
}

func (f *failing) Each(ctx context.Context, fn func(*sql.Rows) error, query string, args ...any) error {
	if f.away {
		return errAway
	}
	return f.Database.Each(ctx, fn, query, args...)
}

func openLedger(tb testing.TB, o ledger.Options) *ledger.Ledger {
	tb.Helper()
	l, err := ledger.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

func openFile(tb testing.TB) *ledger.Ledger {
	tb.Helper()
	return openLedger(tb, ledger.Options{Path: filepath.Join(tb.TempDir(), "stile.db")})
}

func openTally(tb testing.TB, db Database, c *clock) *Tally {
	tb.Helper()
	t := Open(Options{Database: db, Now: c.now, Log: slog.New(slog.DiscardHandler)})
	tb.Cleanup(func() { _ = t.Close(context.Background()) })
	return t
}

func visit(country, text string) Visit {
	return Visit{Country: country, Regime: "eu", Language: "de", Banner: "1-abcdef", Outcome: outcome(text)}
}

func (t *Tally) add(n int, v Visit) {
	c := t.Site("shop").Counter(v)
	for range n {
		c.Add(Phone)
	}
}

func report(tb testing.TB, t *Tally, p Period, f Filter) *Report {
	tb.Helper()
	r, err := t.Report(context.Background(), "shop", p, f)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// engines runs a test on each; open opens a further connection to the same database.
func engines(t *testing.T, test func(t *testing.T, open func(testing.TB) *ledger.Ledger)) {
	t.Run("sqlite", func(t *testing.T) {
		l := openFile(t)
		test(t, func(testing.TB) *ledger.Ledger { return l })
	})
	t.Run("postgres", func(t *testing.T) {
		url := postgrestest.Database(t)
		test(t, func(tb testing.TB) *ledger.Ledger { return openLedger(tb, ledger.Options{URL: url}) })
	})
}

// Several processes add up, each of them as often as it is started, and the days that are over become one row each.
func TestSeveral(t *testing.T) {
	engines(t, func(t *testing.T, open func(testing.TB) *ledger.Ledger) {
		c := newClock(noon)
		la, lb := open(t), open(t)
		a, b := openTally(t, la, c), openTally(t, lb, c)
		a.add(6, visit("DE", "a|wnot_chosen:ga4"))
		b.add(7, visit("DE", "|rgranted:ga4"))
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		a = openTally(t, la, c)
		a.add(5, visit("FR", "|rgranted:ga4"))
		a.Site("shop").Choice(&Choice{Country: "FR", Language: "de", Device: "phone", Regime: "eu", Action: consent.AcceptAll, Asked: true, Grants: true, Granted: []string{"analytics"}})
		flush(t, a, b)
		c.pass(24 * time.Hour)
		flush(t, a, b) // midnight
		b.add(10, visit("DE", "|rgranted:ga4"))
		flush(t, a, b)
		p := Period{today, today.next(2)}
		check := func(t *testing.T, tally *Tally, rows int) {
			t.Helper()
			r := report(t, tally, p, Filter{})
			if r.Total.Views != 28 || r.Total.Displays != 6 || r.Total.AcceptAll != 1 || r.Tags["ga4"].Released != 22 || r.Tags["ga4"].Because[consent.NotChosen] != 6 {
				t.Errorf("%+v, %+v", r.Total, r.Tags["ga4"])
			}
			if len(r.Days) != 3 || r.Days[0].Views != 18 || r.Days[1].Views != 10 || r.Days[2].Views != 0 || r.Days[2].Day != today.next(2) {
				t.Errorf("days: %+v", r.Days)
			}
			if got := r.By[Country]; len(got) != 2 || got[0].Value != "DE" || got[0].Views != 23 || got[1].Views != 5 || got[1].AcceptAll != 1 {
				t.Errorf("countries: %+v", got)
			}
			if got := report(t, tally, p, Filter{Country: "FR", Regime: "eu", Device: "phone"}); got.Total.Views != 5 || got.Categories["analytics"].Granted != 1 {
				t.Errorf("of France: %+v", got.Total)
			}
			if n := countRows(t, la); n != rows {
				t.Errorf("%d rows, want %d", n, rows)
			}
		}
		check(t, a, 4)
		check(t, b, 4)
		c.pass((Wait - 1) * 24 * time.Hour)
		retain(t, a, b)
		check(t, a, 4) // somebody may still store something
		c.pass(3 * 24 * time.Hour)
		retain(t, a, b)
		check(t, a, 2)
		check(t, b, 2)
		check(t, openTally(t, lb, c), 2)
		check(t, a, 2) // from what it keeps
		c.at.Store(noon.AddDate(0, Keep, 1).Unix())
		retain(t, a)
		if n := countRows(t, la); n != 1 {
			t.Errorf("after %d months and a day there are %d rows, want that of the second day", Keep, n)
		}
	})
}

func (d Day) next(n int) Day {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		panic(err)
	}
	return DayOf(t.AddDate(0, 0, n))
}

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func flush(tb fataler, all ...*Tally) {
	tb.Helper()
	for _, t := range all {
		if err := t.Flush(context.Background()); err != nil {
			tb.Fatal(err)
		}
	}
}

// retain has all of them merge at once.
func retain(tb testing.TB, all ...*Tally) {
	tb.Helper()
	var wait sync.WaitGroup
	for _, t := range all {
		wait.Go(func() {
			// Of two that merge the same day at once one may fail: it leaves all as it was.
			if err := t.Retain(context.Background()); err != nil {
				tb.Log(err)
			}
		})
	}
	wait.Wait()
	if err := all[0].Retain(context.Background()); err != nil {
		tb.Error(err)
	}
}

func countRows(tb testing.TB, db Database) (n int) {
	tb.Helper()
	if err := db.Each(context.Background(), func(rows *sql.Rows) error { return rows.Scan(&n) }, `SELECT count(*) FROM tallies`); err != nil {
		tb.Fatal(err)
	}
	return n
}

// Whatever becomes of transactions, in whatever order things happen: what is reported in the end is what was counted.
func TestNothingLost(t *testing.T) {
	l := openFile(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		site := fmt.Sprint("site", n)
		c := newClock(noon)
		furthest := c.now()
		db := &failing{Database: l}
		var open []*Tally
		start := func() *Tally {
			return Open(Options{Database: db, Now: c.now, Log: slog.New(slog.DiscardHandler)})
		}
		for range 2 {
			open = append(open, start())
		}
		defer func() {
			for _, o := range open {
				_ = o.Close(context.Background())
			}
		}()
		counters := map[[2]int]*Counter{}
		want := map[string]int64{}
		total := func() (sum int64) {
			for _, n := range want {
				sum += n
			}
			return sum
		}
		which := rapid.IntRange(0, 1)
		t.Repeat(map[string]func(*rapid.T){
			"count": func(t *rapid.T) {
				at, kind := which.Draw(t, "process"), rapid.IntRange(0, 3).Draw(t, "kind")
				key := [2]int{at, kind}
				if counters[key] == nil || rapid.Bool().Draw(t, "look it up") {
					counters[key] = open[at].Site(site).Counter(visit([]string{"DE", "FR"}[kind%2], fmt.Sprintf("|rgranted:tag%d", kind)))
				}
				for range rapid.IntRange(1, 9).Draw(t, "n") {
					counters[key].Add(Tablet)
					want[fmt.Sprint("tag", kind)]++
				}
			},
			"flush": func(t *rapid.T) {
				_ = open[which.Draw(t, "process")].Flush(context.Background()) // what fails is tried again
			},
			"rest": func(t *rapid.T) {
				s := open[which.Draw(t, "process")].Site(site)
				s.mu.Lock()
				defer s.mu.Unlock()
				for _, c := range s.counters {
					c.idle = idleFlushes
				}
			},
			"the database": func(t *rapid.T) {
				db.away, db.doubt = rapid.Bool().Draw(t, "away"), rapid.Bool().Draw(t, "in doubt")
			},
			"a day": func(t *rapid.T) {
				db.away, db.doubt = false, false
				for _, o := range open { // at midnight each flushes, whether that is taken or not
					flush(t, o)
				}
				c.pass(time.Duration(rapid.IntRange(1, Wait+4).Draw(t, "days")) * 24 * time.Hour)
				if c.now().After(furthest) {
					furthest = c.now()
				}
			},
			"back": func(t *rapid.T) { // over midnight or not, and never to a day that is merged
				to := c.now().Add(-time.Duration(rapid.IntRange(1, 40).Draw(t, "hours")) * time.Hour)
				if !to.Before(noon) && furthest.Sub(to) < Wait*24*time.Hour {
					c.at.Store(to.Unix())
				}
			},
			"retain": func(t *rapid.T) {
				_ = open[which.Draw(t, "process")].Retain(context.Background())
			},
			"restart": func(t *rapid.T) {
				db.away, db.doubt = false, false
				at := which.Draw(t, "process")
				if err := open[at].Close(context.Background()); err != nil {
					t.Fatal(err)
				}
				open[at] = start()
				for key := range counters {
					if key[0] == at {
						delete(counters, key)
					}
				}
			},
			"": func(t *rapid.T) {
				if db.away || db.doubt {
					return
				}
				flush(t, open...)
				r, err := open[0].Report(context.Background(), site, Period{today, DayOf(furthest)}, Filter{})
				switch {
				case errors.Is(err, ErrPeriod):
					t.SkipNow() // it has gone on for years
				case err != nil:
					t.Fatal(err)
				}
				if r.Total.Views != total() {
					t.Fatalf("%d views, want %d", r.Total.Views, total())
				}
				for tag, n := range want {
					if r.Tags[tag].Released != n {
						t.Fatalf("%s was released %d times, want %d", tag, r.Tags[tag].Released, n)
					}
				}
			},
		})
	})
}

// Counting goes on while counters are flushed, made to rest and woken.
func TestConcurrent(t *testing.T) {
	c := newClock(noon)
	tally := openTally(t, openFile(t), c)
	s := tally.Site("shop")
	const workers, each = 8, 20_000
	kinds := make([]*Counter, 5)
	for i := range kinds {
		kinds[i] = s.Counter(visit("DE", fmt.Sprintf("|rgranted:tag%d", i)))
	}
	done := make(chan struct{})
	var wait, flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			s.mu.Lock()
			for _, c := range s.counters {
				c.idle = idleFlushes
			}
			s.mu.Unlock()
			if err := tally.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for w := range workers {
		wait.Go(func() {
			for i := range each {
				kinds[(w+i)%len(kinds)].Add(Class(i % int(classes)))
			}
		})
	}
	wait.Wait()
	close(done)
	flusher.Wait()
	flush(t, tally)
	if r := report(t, tally, Period{today, today}, Filter{}); r.Total.Views != workers*each {
		t.Errorf("%d were counted, want %d", r.Total.Views, workers*each)
	}
}

// Past mostCounters it counts all the same, and what counted nothing for an hour makes room.
func TestManyCounters(t *testing.T) {
	tally := openTally(t, openFile(t), newClock(noon))
	s := tally.Site("shop")
	var all []*Counter
	for i := range mostCounters + 10 {
		all = append(all, s.Counter(visit(fmt.Sprint(i%300), fmt.Sprintf("|rgranted:x%d", i/300))))
	}
	for _, c := range all {
		c.Add(Phone)
	}
	if len(s.counters) != mostCounters {
		t.Errorf("%d counters", len(s.counters))
	}
	for range idleFlushes + 1 {
		flush(t, tally)
	}
	if len(s.counters) != 0 {
		t.Errorf("%d counters are left", len(s.counters))
	}
	for range 3 {
		for _, c := range all {
			c.Add(Phone)
		}
	}
	flush(t, tally)
	r := report(t, tally, Period{today, today}, Filter{})
	if want := int64(4 * len(all)); r.Total.Views != want || r.Tags["x0"].Released != 4*300 {
		t.Errorf("%d views, want %d, of x0 %d", r.Total.Views, want, r.Tags["x0"].Released)
	}
}

// What was counted is stored every ten seconds, and at midnight, where a day ends.
func TestFlushTimes(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(folder, "stile.db")})
		if err != nil {
			t.Fatal(err)
		}
		tally := Open(Options{Database: l})
		began := time.Now() // midnight
		views := func() (all []int64) {
			synctest.Wait()
			r := newReading([]Day{DayOf(began), DayOf(began).next(1)}, Filter{})
			if _, err := tally.sheets(t.Context(), "shop", []Day{DayOf(began), DayOf(began).next(1)}, r.sheet); err != nil {
				t.Fatal(err)
			}
			for _, d := range r.report(time.Time{}).Days {
				all = append(all, d.Views)
			}
			return all
		}
		for _, step := range []struct {
			at   time.Duration
			add  int
			want []int64
		}{
			{9 * time.Second, 1, []int64{0, 0}},
			{FlushEvery, 2, []int64{1, 0}},
			{FlushEvery + 9*time.Second, 0, []int64{1, 0}},
			{2 * FlushEvery, 0, []int64{3, 0}},
			{24*time.Hour - 4*time.Second, 5, []int64{3, 0}},
			{24 * time.Hour, 7, []int64{8, 0}},
			{24*time.Hour + FlushEvery, 0, []int64{8, 7}},
		} {
			time.Sleep(time.Until(began.Add(step.at)))
			if diff := cmp.Diff(step.want, views()); diff != "" {
				t.Errorf("after %s: %s", step.at, diff)
			}
			tally.add(step.add, visit("DE", "a"))
		}
		tally.add(1, visit("DE", "a"))
		if err := tally.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{8, 8}, views()); diff != "" {
			t.Error("after the end:", diff)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// While the database is away days wait, each in its own sheet, and no longer than Wait. The log says it once.
func TestAway(t *testing.T) {
	c, log := newClock(noon), &bytes.Buffer{}
	db := &failing{Database: openFile(t), away: true}
	tally := Open(Options{Database: db, Now: c.now, Log: slog.New(slog.NewTextHandler(log, nil))})
	for range Wait + 2 {
		tally.add(5, visit("DE", "a"))
		c.pass(24 * time.Hour)
		if err := tally.Flush(t.Context()); !errors.Is(err, errAway) {
			t.Fatal(err)
		}
	}
	if _, err := tally.Report(t.Context(), "shop", Period{today, today}, Filter{}); !errors.Is(err, errAway) {
		t.Error(err)
	}
	db.away = false
	flush(t, tally)
	r := report(t, tally, Period{today, today.next(Wait + 2)}, Filter{})
	for i, d := range r.Days {
		want := int64(5)
		if i < 2 || i > Wait+1 {
			want = 0
		}
		if d.Views != want {
			t.Errorf("%s: %d views, want %d", d.Day, d.Views, want)
		}
	}
	if err := tally.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for text, times := range map[string]int{"figures cannot be stored now": 1, "figures are lost": 2, "figures are stored again": 1} {
		if n := strings.Count(log.String(), text); n != times {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, log)
		}
	}
	db.away = true
	tally = Open(Options{Database: db, Now: c.now, Log: slog.New(slog.NewTextHandler(log, nil))})
	tally.add(1, visit("DE", "a"))
	if err := tally.Close(t.Context()); err != nil || !strings.Contains(log.String(), "figures of the last moments are lost") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestPeriods(t *testing.T) {
	tally := openTally(t, openFile(t), newClock(noon))
	for _, test := range []struct {
		from, to Day
		want     string
	}{
		{"2026-11-22", "2026-11-21", "it ends on 2026-11-21, before it begins on 2026-11-22"},
		{"2024-01-01", "2026-11-22", "it has 1057 days, the most is 800"},
		{"0001-01-01", "9999-12-31", "the most is 800"},
		{"", "2026-11-22", `it begins on "", which is no day`},
		{"2026-11-22", "2026-02-30", `it ends on "2026-02-30", which is no day`},
	} {
		_, err := tally.Report(t.Context(), "shop", Period{test.from, test.to}, Filter{})
		if !errors.Is(err, ErrPeriod) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s to %s: %v", test.from, test.to, err)
		}
	}
	r := report(t, tally, Period{today, today}, Filter{Country: "DE"})
	if len(r.Days) != 1 || r.Total != (Figures{}) || r.Tags == nil || r.By == nil || r.Categories == nil {
		t.Errorf("of nothing: %+v", r)
	}
}

// What cannot be read is said, with site and day, and nothing is made of it; the rest is there.
func TestUnreadable(t *testing.T) {
	l, c := openFile(t), newClock(noon)
	var said bytes.Buffer
	tally := openTally(t, l, c)
	tally.log = slog.New(slog.NewTextHandler(&said, nil))
	tally.add(5, visit("DE", "a"))
	flush(t, tally)
	wrong := &sheet{}
	wrong.add(form{name: "answers", labels: 1, rules: "+"}, []string{"DE"}, 1)
	for writer, test := range map[string]struct {
		sheet []byte
		want  string
	}{
		"newer":   {[]byte{version + 1, 0}, "the figures of shop on 2026-11-22 cannot be read: it was stored by a newer stile: use that"},
		"damaged": {[]byte{version, plain, 1}, "the figures of shop on 2026-11-22 cannot be read: it is damaged"},
		"another": {encode(wrong), "the figures of shop on 2026-11-22 cannot be read: it is damaged"},
	} {
		execute := func(query string, args ...any) {
			t.Helper()
			if err := l.Write(t.Context(), func(tx *sql.Tx) error { _, err := tx.ExecContext(t.Context(), query, args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		execute(storeSQL, "shop", string(today), writer, test.sheet)
		said.Reset()
		for _, at := range []time.Time{noon, noon, noon.AddDate(0, 0, Wait+3), noon.AddDate(0, 0, Wait+3)} {
			c.at.Store(at.Unix())
			if r := report(t, tally, Period{today, today}, Filter{}); r.Total.Views != 5 || len(r.Missing) != 1 || r.Missing[0] != today {
				t.Errorf("%s at %s: %d views, missing are %v", writer, at, r.Total.Views, r.Missing)
			}
		}
		if n := strings.Count(said.String(), test.want); n != 1 && writer != "another" {
			t.Errorf("%s: the log says it %d times: %s", writer, n, said.String())
		}
		tally.unread.Clear()
		if err := tally.Retain(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("merging %s: %v", writer, err)
		}
		c.at.Store(noon.Unix())
		if n := countRows(t, l); n != 2 {
			t.Errorf("%s: %d rows are left", writer, n)
		}
		execute(`DELETE FROM tallies WHERE writer = $1`, writer)
	}
}

// Whatever is reported as seen, a day's figures stay, in one process and where several are merged.
func TestManyStates(t *testing.T) {
	l, c := openFile(t), newClock(noon)
	views := func(tally *Tally, want int64) {
		t.Helper()
		if r := report(t, tally, Period{today, today}, Filter{}); r.Total.Views != want || len(r.Missing) > 0 {
			t.Errorf("%d views, want %d; missing are %v", r.Total.Views, want, r.Missing)
		}
	}
	var a *Tally
	for i := range 2 {
		a = openTally(t, l, c)
		a.add(7, visit("DE", "a|wnot_chosen:"+strings.Repeat("a-very-long-id ", 900)))
		for j := range 4100 {
			for _, length := range []int{110, 200, 400} {
				state := fmt.Sprintf("%d-%06d%s", i, j, strings.Repeat(" +abcdefg", length))
				a.Site("shop").Sight(&Seen{Source: Observer, Regime: "eu", State: state, Hosts: []Loaded{{Host: "h.example", As: "script"}}})
			}
		}
		flush(t, a)
		views(a, int64(7*(i+1)))
	}
	c.pass(10 * 24 * time.Hour)
	flush(t, a)
	if err := a.Retain(t.Context()); err != nil {
		t.Error(err)
	}
	if n := countRows(t, l); n != 1 {
		t.Errorf("%d rows are left", n)
	}
	views(openTally(t, l, c), 14)
}

// What was seen makes room for what was counted; what cannot be read again does not take the place of what can.
func TestTooMuchToMerge(t *testing.T) {
	l, c := openFile(t), newClock(noon)
	tally := openTally(t, l, c)
	for i, f := range []form{sightForm, answerForm} {
		for writer := range 2 {
			s := &sheet{}
			s.add(answerForm, []string{"DE", "de", "phone", "eu", "1", "a"}, 7, 10)
			for j := range 10 {
				labels := make([]string, f.labels)
				labels[1] = fmt.Sprint(writer, j) + strings.Repeat("x", 1<<20)
				s.add(f, labels, make([]int64, len(f.rules))...)
			}
			if err := l.Write(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), storeSQL, "shop", string(today.next(i)), fmt.Sprint(writer), encode(s))
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.pass(20 * 24 * time.Hour)
	if err := tally.Retain(t.Context()); err == nil || !strings.Contains(err.Error(), "2026-11-23") || strings.Contains(err.Error(), "2026-11-22") {
		t.Error(err)
	}
	if n := countRows(t, l); n != 3 {
		t.Errorf("%d rows are left", n)
	}
	if r := report(t, tally, Period{today, today.next(1)}, Filter{}); r.Total.Views != 28 || len(r.Missing) > 0 {
		t.Errorf("%d views, missing are %v", r.Total.Views, r.Missing)
	}
}

// What one process announced another knows, also after both were started anew; not two days later, unless it was told of.
func TestAnnounced(t *testing.T) {
	l, c := openFile(t), newClock(noon)
	a, b := openTally(t, l, c), openTally(t, l, c)
	did := outcome("a|wnot_chosen:ga4")
	id := a.Site("shop").Announce(did)
	if id != did.id() || len(id) != 8 {
		t.Fatalf("it is called %q", id)
	}
	flush(t, a)
	known := func(tally *Tally, id string) bool {
		t.Helper()
		c.pass(time.Second)
		o, known, err := tally.Site("shop").Announced(t.Context(), id)
		if err != nil || known && o != did {
			t.Fatal(o, err)
		}
		return known
	}
	if !known(a, id) || !known(b, id) || known(b, "AAAAAAAA") || known(b, "") || known(b, strings.Repeat("A", 99)) {
		t.Error("it is known by its name, and nothing else is")
	}
	for day := range 3 { // told of once a day, by one of them
		flush(t, a, b)
		c.pass(24 * time.Hour)
		flush(t, a, b)
		if !known(b, id) {
			t.Fatalf("day %d: it is forgotten", day)
		}
	}
	flush(t, a, b)
	if a = openTally(t, l, c); !known(a, id) {
		t.Error("it is forgotten with a new start")
	}
	c.pass(24 * time.Hour)
	flush(t, a, b)
	c.pass(24 * time.Hour)
	flush(t, a, b)
	if known(a, id) || known(b, id) {
		t.Error("it is known two days later")
	}
	for i := range mostAnnounced + 5 {
		a.Site("shop").Announce(outcome(fmt.Sprint("|", i)))
	}
	if a.Site("shop").Announce(outcome("|more")) != "" || a.Site("shop").page().sheet.section(announcedForm).rows() != mostOutcomes {
		t.Error("there is no end to them")
	}
}

func TestOutcomeOf(t *testing.T) {
	s := &consent.Site{
		Regimes:    []consent.Regime{{Name: "us", Regions: []string{"US"}, Model: consent.OptOut}, {Name: "eu", Regions: []string{"*"}}},
		Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "analytics"}, {Name: "marketing", Sells: true}},
		Tags: []consent.Tag{
			{ID: "z", Category: "analytics"}, {ID: "ga4", Category: "analytics"}, {ID: "pixel", Category: "marketing"}, {ID: "core", Category: "necessary"},
		},
		Memory: time.Hour,
	}
	for _, test := range []struct {
		v    consent.Visit
		want string
	}{
		{consent.Visit{Region: "DE"}, "a|rrequired:core|wnot_chosen:ga4 pixel z"},
		{consent.Visit{Region: "US"}, "a|rrequired:core|rnot_objected:ga4 pixel z"},
		{consent.Visit{Region: "US", GPC: true}, "ag|rrequired:core|rnot_objected:ga4 z|wsignal:pixel"},
		{consent.Visit{Region: "DE", Crawler: true}, "c|rrequired:core|wcrawler:ga4 pixel z"},
	} {
		d := consent.Decide(s, test.v)
		if got := OutcomeOf(s, &d).text.Value(); got != test.want {
			t.Errorf("%+v: %s, want %s", test.v, got, test.want)
		}
	}
	d := consent.Decide(s, consent.Visit{Region: "DE"})
	d.Tags[0].Restricted = true
	if got := OutcomeOf(s, &d).text.Value(); got != "a|rrequired:core|snot_chosen:z|wnot_chosen:ga4 pixel" {
		t.Error(got)
	}
}

// What a choice lets out on its page is so in that view after all: one view is one of released, restricted and withheld.
func TestChoosing(t *testing.T) {
	s := &consent.Site{
		Regimes:    []consent.Regime{{Name: "eu", Regions: []string{"*"}}},
		Categories: []consent.Category{{Name: "analytics"}, {Name: "marketing"}},
		Tags:       []consent.Tag{{ID: "ga4", Category: "analytics"}, {ID: "clarity", Category: "analytics"}, {ID: "pixel", Category: "marketing"}},
		Memory:     time.Hour,
	}
	decide := func(granted ...string) *consent.Decision {
		v := consent.Visit{Region: "DE", Now: noon}
		if granted != nil {
			v.Choice = &consent.Choice{Time: noon, Granted: granted, Denied: []string{"analytics", "marketing"}, List: s.List()}
			v.Choice.Denied = slices.DeleteFunc(v.Choice.Denied, func(name string) bool { return slices.Contains(granted, name) })
		}
		d := consent.Decide(s, v)
		d.Tags[0].Restricted = !d.Tags[0].Released // as in an advanced consent mode
		return &d
	}
	for _, test := range []struct {
		before, after *consent.Decision
		fresh         bool
		want          string
	}{
		{decide(), decide("analytics"), false, "n|Snot_chosen:ga4|Wnot_chosen:clarity pixel|rgranted:clarity ga4|wdeclined:pixel"},
		{decide(), decide("analytics"), true, "n|rgranted:clarity ga4"},
		{decide("analytics"), decide("marketing"), false, "n|Wdeclined:pixel|rgranted:pixel"},
		{decide(), decide("none"), false, "n|Snot_chosen:ga4|Wnot_chosen:clarity pixel|sdeclined:ga4|wdeclined:clarity pixel"},
		{decide(), decide("none"), true, ""},
		{decide("none"), decide("none"), false, ""},
		{decide("analytics"), decide("none"), false, ""},
	} {
		did, ok := Choosing(s, test.before, test.after, test.fresh)
		if ok != (test.want != "") || ok && did.text.Value() != test.want {
			t.Errorf("%q, want %q", did.text.Value(), test.want)
		}
	}

	l, c := openFile(t), newClock(noon)
	a := openTally(t, l, c)
	a.add(20, visit("DE", "a|snot_chosen:ga4|wnot_chosen:clarity pixel"))
	chosen := func(before, after *consent.Decision) Visit {
		v := visit("DE", "")
		v.Outcome, _ = Choosing(s, before, after, false)
		return v
	}
	a.add(15, chosen(decide(), decide("analytics")))
	for range 2 {
		flush(t, a)
		r := report(t, a, Period{today, today}, Filter{})
		for id, want := range map[string]Tag{
			"ga4":     {Released: 15, Restricted: 5, RestrictedBecause: map[consent.Kind]int64{consent.NotChosen: 5}},
			"clarity": {Released: 15, Withheld: 5, Because: map[consent.Kind]int64{consent.NotChosen: 5}},
			"pixel":   {Withheld: 20, Because: map[consent.Kind]int64{consent.NotChosen: 5, consent.Declined: 15}},
		} {
			got := *r.Tags[id]
			got.Last = time.Time{}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
		if r.Total.Views != 20 || r.Total.Displays != 20 {
			t.Errorf("%+v", r.Total)
		}
		a = openTally(t, l, c) // and after a new start
	}

	// A choice of the day after its page takes back nothing of others' views.
	c.pass(24 * time.Hour)
	flush(t, a)
	a.add(2, chosen(decide(), decide("analytics")))
	flush(t, a)
	if got := report(t, a, Period{today.next(1), today.next(1)}, Filter{}).Tags["clarity"]; got.Released != 2 || got.Withheld != 0 || len(got.Because) != 0 {
		t.Errorf("%+v", got)
	}
}

var browser = http.Header{
	"User-Agent": {"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"},
}

// Counting an answer allocates nothing.
func TestCountAllocates(t *testing.T) {
	tally := openTally(t, openFile(t), newClock(noon))
	c := tally.Site("shop").Counter(visit("DE", "a"))
	if n := testing.AllocsPerRun(1000, func() { c.Add(ClassOf(browser)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	tally := openTally(b, openFile(b), newClock(noon))
	c := tally.Site("shop").Counter(visit("DE", "a"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(ClassOf(browser))
		}
	})
}

// BenchmarkYear is a report of a year, the first time and again, and of two weeks, most of whose days may change.
func BenchmarkYear(b *testing.B) {
	l, c := openFile(b), newClock(noon)
	stored := encode(yearSheet().coarse())
	if err := l.Write(b.Context(), func(tx *sql.Tx) error {
		for i := range 365 {
			if _, err := tx.ExecContext(b.Context(), storeSQL, "shop", string(today.next(-i)), "", stored); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	tally := openTally(b, l, c)
	p := Period{today.next(-364), today}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			tally.days = days{}
			report(b, tally, p, Filter{})
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			report(b, tally, p, Filter{})
		}
	})
	b.Run("fortnight", func(b *testing.B) {
		for b.Loop() {
			report(b, tally, Period{today.next(-13), today}, Filter{})
		}
	})
}
