package share

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/noise"
	"github.com/stilehq/stile/server/tally"
)

// processes are two that count into one database.
type processes [2]*tally.Tally

func newProcesses(t *testing.T) processes {
	t.Helper()
	db, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var p processes
	for i := range p {
		p[i] = tally.Open(tally.Options{Database: db, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
		t.Cleanup(func() { _ = p[i].Close(context.Background()) })
	}
	return p
}

// act is something that is counted, at one of the processes.
type act struct {
	process           int
	country, language string
	device            tally.Class
	choice, grants    bool // a choice; else a display
}

// wide has as many categories as a site may have.
var wide = func() *consent.Site {
	s := &consent.Site{Name: "wide"}
	for i := range mostCategories {
		s.Categories = append(s.Categories, consent.Category{Name: fmt.Sprint("c", i)})
	}
	return s
}()

func (p processes) count(site string, acts ...act) {
	for _, a := range acts {
		at := p[a.process].Site(site)
		if !a.choice {
			asked := tally.OutcomeOf(wide, &consent.Decision{Ask: true})
			at.Counter(tally.Visit{Country: a.country, Language: a.language, Regime: "eu", Banner: "1", Outcome: asked}).Add(a.device)
			continue
		}
		c := tally.Choice{Country: a.country, Language: a.language, Regime: "eu", Banner: "1", Device: a.device.String(), Action: consent.Custom, Asked: true, Grants: a.grants}
		list := &c.Denied
		if a.grants {
			list = &c.Granted
		}
		*list = optional(wide)
		at.Choice(&c)
	}
}

// exact are all counts of a site that noise is added to, without any, by release.
func (p processes) exact(site string) (all [3]map[string]int64, err error) {
	week := tally.Period{From: "2026-11-16", To: "2026-11-22"}
	for _, one := range p {
		if err := one.Flush(context.Background()); err != nil {
			return all, err
		}
	}
	r, err := p[0].Report(context.Background(), site, week, tally.Filter{})
	if err != nil {
		return all, err
	}
	still := noise.Scale{Sensitivity: 1, Millis: 1_000_000} // noise of next to nothing, which is none
	n := &noisy{from: noise.NewSource(noise.Seed{}), totals: still, listed: still, by: still, site: site, groups: map[[2]string]*[2]int64{}}
	n.week(wide, week, r)
	for i := range all {
		all[i] = map[string]int64{}
	}
	for i, counts := range n.counts {
		for day, v := range counts {
			all[0][fmt.Sprint(day, i)] = v
		}
	}
	for name, g := range n.groups {
		release := 2
		if name[0] == "category" {
			release = 1
		}
		for i, v := range g {
			all[release][fmt.Sprint(name, i)] = v
		}
	}
	return all, nil
}

// changed is by how much an event changes the counts of each release, at a site where others act, too.
func (p processes) changed(site string, others, event []act) (by [3]int64, err error) {
	p.count(site, others...)
	p.count(site+"+1", append(event, others...)...)
	before, err := p.exact(site)
	if err != nil {
		return by, err
	}
	after, err := p.exact(site + "+1")
	for i := range by {
		for name, v := range after[i] {
			by[i] += max(v-before[i][name], before[i][name]-v)
		}
	}
	return by, err
}

var allowed = [3]int64{totalsChanged, listedChanged, groupsChanged}

// One event changes all counts by no more than the noise is made for, wherever its display and its choice are counted.
func TestSensitivityHolds(t *testing.T) {
	p := newProcesses(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func() act {
			return act{
				process: rapid.IntRange(0, 1).Draw(t, "process"), country: rapid.SampledFrom([]string{"DE", "FR"}).Draw(t, "country"),
				language: rapid.SampledFrom([]string{"de", "fr"}).Draw(t, "language"), device: rapid.SampledFrom([]tally.Class{tally.Desktop, tally.Phone}).Draw(t, "device"),
				choice: rapid.Bool().Draw(t, "choice"), grants: rapid.Bool().Draw(t, "grants"),
			}
		}
		var others []act
		for range rapid.IntRange(0, 24).Draw(t, "others") {
			others = append(others, draw())
		}
		display, choice := draw(), draw()
		display.choice, choice.choice = false, true
		n++
		by, err := p.changed(fmt.Sprint("site", n), others, []act{display, choice})
		if err != nil {
			t.Fatal(err)
		}
		for i := range by {
			if by[i] > allowed[i] {
				t.Fatalf("one event changes the counts by %d, and the noise is for %d", by, allowed)
			}
		}
	})
}

// And there is an event that changes them by as much: its display and its choice each find four choices at a process, and
// bring them over tally.Smallest.
func TestSensitivityIsReached(t *testing.T) {
	p := newProcesses(t)
	var others []act
	for i := range 2 * (tally.Smallest - 1) {
		others = append(others, act{process: i % 2, country: "DE", language: "de", device: tally.Phone, choice: true, grants: true})
	}
	event := []act{{0, "DE", "de", tally.Phone, false, false}, {1, "DE", "de", tally.Phone, true, true}}
	by, err := p.changed("shop", others, event)
	if err != nil || by != allowed {
		t.Errorf("the event changes the counts by %d, and not by %d (%v)", by, allowed, err)
	}
}
