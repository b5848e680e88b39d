package consent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	second = time.Date(2026, 5, 2, 9, 0, 0, 0, time.UTC) // within the 180 days when now is 2026-10-01
)

// shop is a site with a tag in each category, one of which needs a tag of another.
func shop() *Site {
	return &Site{
		Name: "shop", Policy: Policy{Version: "v1", Material: true}, Languages: []string{"en"}, Memory: 180 * 24 * time.Hour,
		Regimes: []Regime{
			{Name: "gdpr", Regions: []string{"EEA", "CH"}},
			{Name: "uk", Regions: []string{"GB"}, NoticeOnly: []string{"analytics"}},
			{Name: "pipl", Regions: []string{"CN"}, Separate: true},
			{Name: "us", Regions: []string{"US-CA", "US-CO"}, Model: OptOut},
			{Name: "other", Regions: []string{"*"}},
		},
		Categories: []Category{{Name: "necessary", Required: true}, {Name: "functional"}, {Name: "analytics"}, {Name: "marketing", Sells: true}},
		Tags: []Tag{
			{ID: "csrf", Name: "CSRF", Category: "necessary"},
			{ID: "chat", Name: "Chat", Category: "functional"},
			{ID: "counter", Name: "Counter", Category: "analytics"},
			{ID: "ads", Name: "Ads", Category: "marketing"},
			{ID: "loyalty", Name: "Loyalty", Category: "marketing", Needs: []string{"counter"}},
		},
	}
}

func choose(t *testing.T, s *Site, at time.Time, form map[string][]string) *Choice {
	t.Helper()
	c, _, err := Parse(form, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Time = at
	return &c
}

func through(d Decision, s *Site) string {
	var ids []string
	for i, v := range d.Tags {
		if v.Released {
			ids = append(ids, s.Tags[i].ID)
		}
	}
	return strings.Join(ids, " ")
}

func TestDecide(t *testing.T) {
	all, none := map[string][]string{"accept": {"all"}}, map[string][]string{"accept": {"none"}}
	only := func(names ...string) map[string][]string { return map[string][]string{"category": names} }
	alone := func(ids ...string) map[string][]string { return map[string][]string{"service": ids} }
	tests := []struct {
		name    string
		visit   Visit
		form    map[string][]string // nil: no choice
		at      time.Time           // of the choice; now unless given
		gpc     bool                // at the choice
		change  func(*Site)         // after the choice
		want    string              // released tags
		ask     bool
		because map[string]string // tag or category to reason
	}{
		{name: "A1 silence is refusal", visit: Visit{Region: "DE"}, want: "csrf", ask: true, because: map[string]string{
			"csrf": "released: necessary", "ads": "withheld: marketing was not chosen yet",
		}},
		{name: "reject", visit: Visit{Region: "DE"}, form: none, want: "csrf", because: map[string]string{
			"ads": "withheld: marketing was declined on 22 Nov 2026",
		}},
		{name: "accept all", visit: Visit{Region: "DE"}, form: all, want: "csrf chat counter ads loyalty", because: map[string]string{
			"ads": "released: marketing was accepted on 22 Nov 2026",
		}},
		{name: "one category", form: only("functional"), want: "csrf chat"},
		{name: "a need that is withheld", form: only("marketing"), want: "csrf ads", because: map[string]string{
			"loyalty": "withheld: it needs counter, which is withheld",
		}},
		{name: "one service", form: alone("ads"), want: "csrf ads", because: map[string]string{
			"ads": "released: Ads was accepted by itself on 22 Nov 2026",
		}},
		{name: "B10 day 179", form: all, at: now.AddDate(0, 0, -179), want: "csrf chat counter ads loyalty"},
		{name: "B10 a refusal on day 179", form: none, at: now.AddDate(0, 0, -179), want: "csrf"},
		{name: "B10 day 180", form: all, at: now.AddDate(0, 0, -180), want: "csrf", ask: true, because: map[string]string{
			"ads": "withheld: the choice has expired",
		}},
		{name: "A3 from the future", form: all, at: now.Add(time.Hour), want: "csrf", ask: true},
		{name: "a clock that is a minute fast", form: all, at: now.Add(time.Minute), want: "csrf chat counter ads loyalty"},
		{name: "D2 GPC over a stored grant", visit: Visit{GPC: true}, form: all, want: "csrf chat counter", because: map[string]string{
			"ads": "withheld: Sec-GPC", "marketing": "withheld: Sec-GPC",
		}},
		{name: "D5 a grant made with the signal on", visit: Visit{GPC: true}, form: all, gpc: true, want: "csrf chat counter ads loyalty"},
		{name: "D5 a service granted with the signal on", visit: Visit{GPC: true}, form: alone("ads"), gpc: true, want: "csrf ads"},
		{name: "D2 GPC over a service", visit: Visit{GPC: true}, form: alone("ads"), want: "csrf"},
		{name: "GPC grants nothing", visit: Visit{GPC: true}, want: "csrf", ask: true},
		{name: "opt-out, nothing chosen", visit: Visit{Region: "US-CA"}, want: "csrf chat counter ads loyalty", ask: true, because: map[string]string{
			"ads": "released: marketing is opt-out under us, and was not declined",
		}},
		{name: "opt-out, declined", visit: Visit{Region: "US-CA"}, form: none, want: "csrf"},
		{name: "opt-out with GPC", visit: Visit{Region: "US-CO", GPC: true}, want: "csrf chat counter", ask: true},
		{name: "another state", visit: Visit{Region: "US-TX"}, want: "csrf", ask: true},
		{name: "F10 notice only", visit: Visit{Region: "GB"}, want: "csrf counter", ask: true, because: map[string]string{
			"counter": "released: analytics needs notice only under uk, and was not declined",
		}},
		{name: "F10 objected", visit: Visit{Region: "GB"}, form: none, want: "csrf"},
		{name: "F2 a category is not an act for each", visit: Visit{Region: "CN"}, form: all, want: "csrf", because: map[string]string{
			"ads": "withheld: pipl asks for consent to Ads by itself",
		}},
		{name: "F2 each by itself", visit: Visit{Region: "CN"}, form: alone("ads", "counter"), want: "csrf counter ads"},
		{name: "region not known", visit: Visit{}, want: "csrf", ask: true},
		{
			name: "B11 a vendor came later", form: all, want: "csrf chat counter ads loyalty", ask: true,
			change:  func(s *Site) { s.Tags = append(s.Tags, Tag{ID: "new", Name: "New", Category: "analytics"}) },
			because: map[string]string{"new": "withheld: New was added after the choice of 22 Nov 2026"},
		},
		{
			name: "B11 a vendor came after a refusal", form: none, want: "csrf",
			change: func(s *Site) { s.Tags = append(s.Tags, Tag{ID: "new", Name: "New", Category: "analytics"}) },
		},
		{
			name: "B11 a tag moved to a category that was accepted", form: all, want: "csrf chat counter ads loyalty", ask: true,
			change: func(s *Site) { s.Tags = append(s.Tags, Tag{ID: "moved", Name: "Moved", Category: "marketing"}) },
		},
		{
			name: "B11 a purpose came later", form: all, want: "csrf chat counter ads loyalty", ask: true,
			change:  func(s *Site) { s.Categories = append(s.Categories, Category{Name: "games"}) },
			because: map[string]string{"games": "withheld: games was added after the choice of 22 Nov 2026"},
		},
		{
			name: "the policy changed materially", form: all, want: "csrf", ask: true,
			change:  func(s *Site) { s.Policy.Version = "v2" },
			because: map[string]string{"ads": "withheld: the policy changed materially after the choice of 22 Nov 2026"},
		},
		{name: "a refusal outlives a policy", form: none, want: "csrf", change: func(s *Site) { s.Policy.Version = "v2" }},
		{name: "the policy changed a little", form: all, want: "csrf chat counter ads loyalty", change: func(s *Site) {
			s.Policy = Policy{Version: "v2"}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, v := shop(), test.visit
			v.Now = now
			if test.form != nil {
				at := test.at
				if at.IsZero() {
					at = now
				}
				v.Choice = choose(t, s, at, test.form)
				v.Choice.GPC = test.gpc
			}
			s.Lists = map[string][]string{s.List(): s.Entries()}
			if test.change != nil {
				test.change(s)
			}
			d := Decide(s, v)
			if got := through(d, s); got != test.want {
				t.Errorf("released %q, want %q", got, test.want)
			}
			if d.Ask != test.ask {
				t.Errorf("ask is %v, want %v (new: %v)", d.Ask, test.ask, d.New)
			}
			for name, want := range test.because {
				if got := verdict(s, d, name).String(); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func verdict(s *Site, d Decision, name string) Verdict {
	for i := range s.Tags {
		if s.Tags[i].ID == name {
			return d.Tags[i]
		}
	}
	i := slices.IndexFunc(s.Categories, func(c Category) bool { return c.Name == name })
	return d.Categories[i]
}

// The rule that matters, over generated sites and visits: in an opt-in regime a tag is released only if its category is
// required or granted, or it was granted by itself; and whatever the visit, a signal, a refusal and a need only take away.
func TestReleasedOnlyIfGranted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSite(t)
		v := genVisit(t, s)
		d := Decide(s, v)
		for i, verdict := range d.Tags {
			tag := s.Tags[i]
			c := s.Categories[slices.IndexFunc(s.Categories, func(c Category) bool { return c.Name == tag.Category })]
			if !verdict.Released || c.Required {
				continue
			}
			granted := d.Choice != nil && (slices.Contains(d.Choice.Granted, c.Name) || slices.Contains(d.Choice.Services, tag.ID))
			declined := d.Choice != nil && slices.Contains(d.Choice.Denied, c.Name) && !slices.Contains(d.Choice.Services, tag.ID)
			lawful := d.Regime.Model == OptOut || slices.Contains(d.Regime.NoticeOnly, c.Name)
			switch {
			case declined:
				t.Fatalf("%s is released though %s was declined: %v", tag.ID, c.Name, verdict)
			case !granted && !lawful:
				t.Fatalf("%s is released though nobody granted it: %v", tag.ID, verdict)
			case v.GPC && c.Sells && (d.Choice == nil || !d.Choice.GPC):
				t.Fatalf("%s is released against Sec-GPC: %v", tag.ID, verdict)
			case d.Regime.Separate && !lawful && !slices.Contains(d.Choice.Services, tag.ID):
				t.Fatalf("%s is released without an act of its own: %v", tag.ID, verdict)
			}
			for _, need := range tag.Needs {
				if !d.Allows(s, need) {
					t.Fatalf("%s is released without %s, which it needs", tag.ID, need)
				}
			}
		}
		// Taking away the choice's grants, or switching the signal on, never releases more.
		less := v
		less.GPC = true
		if more := Decide(s, less); !v.GPC && !subset(through(more, s), through(d, s)) {
			t.Fatalf("the signal released %q beyond %q", through(more, s), through(d, s))
		}
	})
}

func subset(a, b string) bool {
	have := strings.Fields(b)
	return !slices.ContainsFunc(strings.Fields(a), func(id string) bool { return !slices.Contains(have, id) })
}

func genSite(t *rapid.T) *Site {
	names := []string{"necessary", "functional", "analytics", "marketing"}
	s := &Site{Name: "gen", Memory: 180 * 24 * time.Hour, Policy: Policy{Version: "1", Material: rapid.Bool().Draw(t, "material")}}
	for i, name := range names {
		s.Categories = append(s.Categories, Category{Name: name, Required: i == 0, Sells: rapid.Bool().Draw(t, "sells")})
	}
	s.Regimes = []Regime{{
		Name: "only", Regions: []string{"*"}, Model: Model(rapid.IntRange(0, 1).Draw(t, "model")),
		NoticeOnly: rapid.SliceOfDistinct(rapid.SampledFrom(names[1:]), rapid.ID[string]).Draw(t, "notice only"),
		Separate:   rapid.Bool().Draw(t, "separate"),
	}}
	if s.Regimes[0].Model == OptOut {
		s.Regimes[0].Separate = false
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "tags") {
		tag := Tag{ID: string(rune('a' + i)), Category: rapid.SampledFrom(names).Draw(t, "category")}
		tag.Name = tag.ID
		if i > 0 && rapid.Bool().Draw(t, "needy") {
			tag.Needs = []string{s.Tags[rapid.IntRange(0, i-1).Draw(t, "need")].ID}
		}
		s.Tags = append(s.Tags, tag)
	}
	return s
}

func genVisit(t *rapid.T, s *Site) Visit {
	v := Visit{Now: now, GPC: rapid.Bool().Draw(t, "gpc"), Region: rapid.SampledFrom([]string{"", "DE", "US-CA"}).Draw(t, "region")}
	if !rapid.Bool().Draw(t, "chosen") {
		return v
	}
	form := map[string][]string{}
	for _, c := range s.Categories[1:] {
		if rapid.Bool().Draw(t, "grant "+c.Name) {
			form["category"] = append(form["category"], c.Name)
		}
	}
	for _, tag := range s.Tags {
		if rapid.IntRange(0, 3).Draw(t, "alone "+tag.ID) == 0 {
			form["service"] = append(form["service"], tag.ID)
		}
	}
	c, _, err := Parse(form, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Time = now.AddDate(0, 0, -rapid.IntRange(-1, 200).Draw(t, "age"))
	c.GPC = rapid.Bool().Draw(t, "gpc then")
	if rapid.Bool().Draw(t, "other policy") {
		c.Policy = "0"
	}
	v.Choice = &c
	return v
}

func TestRegime(t *testing.T) {
	s := shop()
	for region, want := range map[string]string{
		"DE": "gdpr", "NO": "gdpr", "CH": "gdpr", "GB": "uk", "CN": "pipl", "US-CA": "us", "US-TX": "other", "US": "other", "JP": "other",
		"": "other",
	} {
		if got := s.Regime(region).Name; got != want {
			t.Errorf("region %q is under %s, want %s", region, got, want)
		}
	}
	s.Regimes[4].Model = OptOut
	s.Regimes[2], s.Regimes[0] = s.Regimes[0], s.Regimes[2]
	if got := s.Regime("").Name; got != "gdpr" {
		t.Errorf("where everywhere else is opt-out, an unknown region is under %s, want gdpr", got)
	}
}

func TestParse(t *testing.T) {
	s := shop()
	tests := []struct {
		name            string
		form            map[string][]string
		granted, denied string
		services        string
		refused         string
		action          Action
		err             string
	}{
		{name: "all", form: map[string][]string{"accept": {"all"}}, granted: "analytics functional marketing", action: AcceptAll},
		{name: "none", form: map[string][]string{"accept": {"none"}}, denied: "analytics functional marketing", action: RejectAll},
		{name: "A1 nothing is none", denied: "analytics functional marketing", action: RejectAll},
		{name: "some", form: map[string][]string{"category": {"marketing", "analytics"}}, granted: "analytics marketing", denied: "functional", action: Custom},
		{name: "twice", form: map[string][]string{"category": {"analytics", "analytics"}}, granted: "analytics", denied: "functional marketing", action: Custom},
		{name: "the required one", form: map[string][]string{"category": {"necessary"}}, denied: "analytics functional marketing", action: RejectAll},
		{name: "a service", form: map[string][]string{"service": {"ads"}}, denied: "analytics functional marketing", services: "ads", action: Custom},
		{name: "F13 what sells is off", form: map[string][]string{"accept": {"unsold"}}, granted: "analytics functional", denied: "marketing", action: Custom},
		{name: "new, with nothing before", form: map[string][]string{"accept": {"new"}}, granted: "analytics functional marketing", action: AcceptAll},
		{name: "kept, with nothing before", form: map[string][]string{"accept": {"kept"}}, denied: "analytics functional marketing", action: RejectAll},
		{name: "B5 one of two", form: map[string][]string{"services": {"each"}, "category": {"marketing"}, "service": {"ads"}}, granted: "marketing", denied: "analytics functional", services: "ads", refused: "loyalty", action: Custom},
		{name: "B5 none of two is all of them", form: map[string][]string{"services": {"each"}, "category": {"marketing"}}, granted: "marketing", denied: "analytics functional", action: Custom},
		{name: "not each", form: map[string][]string{"category": {"marketing"}, "service": {"ads"}}, granted: "marketing", denied: "analytics functional", services: "ads", action: Custom},
		{name: "services that are not each", form: map[string][]string{"services": {"some"}}, err: `services is "some": it is one of each`},
		{name: "the button counts", form: map[string][]string{"accept": {"none"}, "category": {"analytics"}}, denied: "analytics functional marketing", action: RejectAll},
		{name: "unknown category", form: map[string][]string{"category": {"marketting"}}, err: `category "marketting" is not one of this site's`},
		{name: "unknown service", form: map[string][]string{"service": {"x"}}, err: `service "x" is not one of this site's`},
		{name: "unknown accept", form: map[string][]string{"accept": {"yes"}}, err: `accept is "yes": it is one of all, none, unsold, new, kept`},
		{name: "two accepts", form: map[string][]string{"accept": {"all", "none"}}, err: `accept is "all, none": it is one of all, none, unsold, new, kept`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, action, err := Parse(test.form, s, nil)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{strings.Join(c.Granted, " "), strings.Join(c.Denied, " "), strings.Join(c.Services, " "), strings.Join(c.Refused, " "), string(action)}
			if want := []string{test.granted, test.denied, test.services, test.refused, string(test.action)}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The mirror names what was chosen and nothing of who chose.
func TestState(t *testing.T) {
	s := shop()
	a, b := choose(t, s, now, map[string][]string{"accept": {"all"}}), choose(t, s, second, map[string][]string{"accept": {"all"}})
	b.Receipt[0] = 1
	if a.State() != b.State() || len(a.State()) != 8 {
		t.Errorf("two visitors who chose the same have the states %q and %q", a.State(), b.State())
	}
	if none := choose(t, s, now, nil); none.State() == a.State() {
		t.Error("a refusal has the state of a grant")
	}
	if (*Choice)(nil).State() != "" {
		t.Error("no choice has a state")
	}
}
