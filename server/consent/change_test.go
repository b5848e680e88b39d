package consent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// renewed is the shop after a change, with what the one before it published.
func renewed(change func(*Site)) *Site {
	before, after := shop(), shop()
	change(after)
	after.Lists = map[string][]string{before.List(): before.Entries(), after.List(): after.Entries()}
	return after
}

func addTag(s *Site) {
	s.Tags = append(s.Tags, Tag{ID: "pins", Name: "Pins", Category: "marketing"})
}

func addCategory(s *Site) {
	s.Categories = append(s.Categories, Category{Name: "games"})
	s.Tags = append(s.Tags, Tag{ID: "scores", Name: "Scores", Category: "games"})
}

// TestChange is what becomes of a choice when the site changes (B10, B11, F9).
func TestChange(t *testing.T) {
	all, none := map[string][]string{"accept": {"all"}}, map[string][]string{"accept": {"none"}}
	everything := "csrf chat counter ads loyalty"
	history := func(versions ...Version) func(*Site) {
		return func(s *Site) {
			last := versions[len(versions)-1]
			s.Policy.Version, s.Policy.Material, s.History = last.Name, last.Material, versions
		}
	}
	first := Version{"v1", true}
	tests := []struct {
		name    string
		change  func(*Site)
		form    map[string][]string
		region  string
		through string
		ask     bool
		tell    bool
		added   string
	}{
		{name: "B11 a tag is added", change: addTag, form: all, through: everything, ask: true, added: "Pins"},
		{name: "B11 a tag is added after a refusal", change: addTag, form: none, through: "csrf"},
		{name: "B11 a recipient is added where each is separate", change: addTag, form: all, region: "CN", through: "csrf", ask: true, added: "Pins"},
		{name: "B11 a purpose is added", change: addCategory, form: all, through: everything, ask: true, added: "games"},
		{name: "B11 a purpose is added after a refusal", change: addCategory, form: none, through: "csrf", ask: true, added: "games"},
		{
			name: "a tag moves to another purpose", change: func(s *Site) { s.Tags[2].Category = "marketing" }, form: all, through: "csrf chat ads", ask: true, added: "Counter",
		},
		{
			name: "a tag accepted by itself moves", change: func(s *Site) { s.Tags[2].Category = "marketing" },
			form: map[string][]string{"service": {"counter"}}, through: "csrf", ask: true, added: "Counter",
		},
		{name: "a material version", change: history(first, Version{"v2", true}), form: all, through: "csrf", ask: true},
		{name: "F6 a material version after a refusal is told", change: history(first, Version{"v2", true}), form: none, through: "csrf", tell: true},
		{name: "a small version is told", change: history(first, Version{"v2", false}), form: all, through: everything, tell: true},
		{name: "a material version before a small one", change: history(first, Version{"v2", true}, Version{"v3", false}), form: all, through: "csrf", ask: true},
		{name: "small versions only", change: history(first, Version{"v2", false}, Version{"v3", false}), form: all, through: everything, tell: true},
		{name: "a version nobody knows", change: history(Version{"v2", true}, Version{"v3", false}), form: all, through: "csrf", ask: true},
		{name: "F9 another controller", change: func(s *Site) { s.Controller.Name = "Other Ltd" }, form: all, through: "csrf", ask: true},
		{name: "F9 another controller after a refusal", change: func(s *Site) { s.Controller.Name = "Other Ltd" }, form: none, through: "csrf", ask: true},
		{
			name: "another controller does not undo an objection", change: func(s *Site) { s.Controller.Name = "Other Ltd" }, form: none, region: "US-CA",
			through: "csrf", ask: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := renewed(test.change)
			choice := choose(t, shop(), now.Add(-time.Hour), test.form)
			region := test.region
			if region == "" {
				region = "DE"
			}
			d := Decide(s, Visit{Choice: choice, Region: region, Now: now})
			if got := through(d, s); got != test.through {
				t.Errorf("released %q, want %q", got, test.through)
			}
			if added := strings.Join(d.New, " "); d.Ask != test.ask || d.Tell != test.tell || added != test.added {
				t.Errorf("ask %v, tell %v, new %q, want %v, %v, %q", d.Ask, d.Tell, added, test.ask, test.tell, test.added)
			}
		})
	}
}

// TestNewAlone is B11: what is new is decided by itself, and what was chosen before holds either way.
func TestNewAlone(t *testing.T) {
	for _, change := range []func(*Site){addTag, addCategory} {
		s := renewed(change)
		before := choose(t, shop(), now.Add(-time.Hour), map[string][]string{"category": {"marketing", "analytics"}})
		old := Decide(shop(), Visit{Choice: before, Region: "DE", Now: now})
		id := s.Tags[len(s.Tags)-1].ID
		for accept, want := range map[string]string{"new": through(old, s) + " " + id, "kept": through(old, s)} {
			c, _, err := Parse(map[string][]string{"accept": {accept}}, s, before)
			if err != nil {
				t.Fatal(err)
			}
			c.Time = now
			d := Decide(s, Visit{Choice: &c, Region: "DE", Now: now})
			if got := through(d, s); got != want || d.Ask {
				t.Errorf("after %s of %s: released %q, ask %v, want %q", accept, id, got, d.Ask, want)
			}
		}
	}
}

// TestCrawler: a crawler gets nothing optional under any regime, and is not asked.
func TestCrawler(t *testing.T) {
	s := shop()
	for _, region := range []string{"", "DE", "GB", "CN", "US-CA"} {
		d := Decide(s, Visit{Region: region, Crawler: true, Now: now})
		if got := through(d, s); got != "csrf" || d.Ask || d.Tell {
			t.Errorf("%s: released %q, ask %v, tell %v", region, got, d.Ask, d.Tell)
		}
	}
}

// TestRefusedAlone is B5: a vendor that was switched off alone stays off under every regime, and what needs it too.
func TestRefusedAlone(t *testing.T) {
	s := shop()
	choice := choose(t, s, now.Add(-time.Hour), map[string][]string{"services": {"each"}, "category": {"marketing", "analytics"}, "service": {"loyalty"}})
	d := Decide(s, Visit{Choice: choice, Region: "DE", Now: now})
	if got := through(d, s); got != "csrf counter loyalty" || d.Ask {
		t.Errorf("released %q, ask %v", got, d.Ask)
	}
	if why := d.Tags[3].String(); why != "withheld: Ads was declined on 22 Nov 2026" {
		t.Errorf("Ads is %s", why)
	}
}

// TestAmendProperties: whatever was chosen and whatever was added, keeping adds nothing to what runs, allowing takes
// nothing away, and either is the last word.
func TestAmendProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := genSite(t)
		old.Policy.Material = false
		v := genVisit(t, old)
		if Decide(old, v).Choice == nil {
			t.Skip("no choice that could be amended was drawn")
		}
		v.Choice.Policy = ""
		v.Region, v.GPC = "DE", false
		s := *old
		s.Tags = slices.Clone(old.Tags)
		for _, id := range []string{"x", "y"} {
			s.Tags = append(s.Tags, Tag{ID: id, Name: id, Category: rapid.SampledFrom(s.Categories).Draw(t, "category").Name})
		}
		s.Lists = map[string][]string{old.List(): old.Entries()}
		before := Decide(&s, v)
		for _, accept := range []string{"new", "kept"} {
			c, _, err := Parse(map[string][]string{"accept": {accept}}, &s, v.Choice)
			if err != nil {
				t.Fatal(err)
			}
			c.Time = now
			after := Decide(&s, Visit{Choice: &c, Region: v.Region, Now: now})
			if after.Ask {
				t.Fatalf("%s asks again about %v", accept, after.New)
			}
			more, less := through(after, &s), through(before, &s)
			if accept == "kept" {
				more, less = less, more
			}
			if !subset(less, more) {
				t.Fatalf("%s: %q is not within %q", accept, less, more)
			}
		}
	})
}

// TestWithin: who may not add to their grants alone (F4) can still take from them.
func TestWithin(t *testing.T) {
	s := shop()
	some := choose(t, s, now, map[string][]string{"category": {"analytics"}})
	tests := []struct {
		name   string
		form   map[string][]string
		before *Choice
		want   bool
	}{
		{"nothing, from nothing", nil, nil, true},
		{"something, from nothing", map[string][]string{"category": {"analytics"}}, nil, false},
		{"a service, from nothing", map[string][]string{"service": {"ads"}}, nil, false},
		{"the same", map[string][]string{"category": {"analytics"}}, some, true},
		{"less", nil, some, true},
		{"more", map[string][]string{"category": {"analytics", "marketing"}}, some, false},
	}
	for _, test := range tests {
		if got := choose(t, s, now, test.form).Within(test.before); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestLimit is what is left of a choice where its visitor may only take away.
func TestLimit(t *testing.T) {
	s := shop()
	for name, test := range map[string]struct{ before, wanted, want map[string][]string }{
		"more":               {map[string][]string{"category": {"analytics"}}, map[string][]string{"accept": {"all"}}, map[string][]string{"category": {"analytics"}}},
		"one for another":    {map[string][]string{"category": {"analytics"}}, map[string][]string{"category": {"marketing"}}, nil},
		"a service, another": {map[string][]string{"service": {"ads"}}, map[string][]string{"category": {"analytics"}}, nil},
		"a service, whole":   {map[string][]string{"service": {"ads"}}, map[string][]string{"accept": {"all"}}, map[string][]string{"service": {"ads"}}},
		"whole, a service":   {map[string][]string{"accept": {"all"}}, map[string][]string{"service": {"ads"}}, map[string][]string{"service": {"ads"}}},
	} {
		before, wanted, want := choose(t, s, now, test.before), choose(t, s, now, test.wanted), choose(t, s, now, test.want)
		got := s.Limit(before, wanted)
		if !got.Within(before) && name != "whole, a service" || got.State() != want.State() {
			t.Errorf("%s: left is %+v, want %+v", name, got, want)
		}
	}
}
