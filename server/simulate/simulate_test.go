package simulate

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
)

// What Values writes, Parse reads.
func TestValuesAreRead(t *testing.T) {
	names := rapid.SliceOfN(rapid.StringMatching(`[a-z][a-z0-9-]{0,12}`), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		v := Visit{
			Region: rapid.SampledFrom([]string{"", "DE", "US-CA"}).Draw(t, "region"), Language: rapid.SampledFrom([]string{"", "en", "zh-Hans"}).Draw(t, "language"),
			GPC: rapid.Bool().Draw(t, "gpc"), Crawler: rapid.Bool().Draw(t, "crawler"), Choice: rapid.SampledFrom(choices).Draw(t, "choice"),
		}
		if v.Choice == Some {
			v.Categories, v.Services = names.Draw(t, "categories"), names.Draw(t, "services")
		}
		if v.Choice != None {
			v.Policy, v.ChosenGPC, v.Minor = rapid.SampledFrom([]string{"", "2026-11-01"}).Draw(t, "policy"), rapid.Bool().Draw(t, "then"), rapid.Bool().Draw(t, "minor")
			if days := rapid.IntRange(0, 1000).Draw(t, "days"); days > 0 {
				v.Chosen = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -days)
			}
		}
		q, err := url.ParseQuery(v.Values().Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOf(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	site := &consent.Site{
		Policy: consent.Policy{Version: "2"}, Languages: []string{"en"}, Regimes: []consent.Regime{{Name: "all", Regions: []string{"*"}}},
		Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "analytics"}, {Name: "marketing", Sells: true}},
		Tags:       []consent.Tag{{ID: "a", Name: "A", Category: "analytics"}},
	}
	for name, c := range map[string]struct {
		visit Visit
		want  func(*consent.Choice) // of the choice of all
		none  bool
	}{
		"nobody":     {visit: Visit{Region: "DE", GPC: true}, none: true},
		"all":        {visit: Visit{Choice: All}, want: func(*consent.Choice) {}},
		"long ago":   {visit: Visit{Choice: All, Chosen: now.AddDate(-1, 0, 0)}, want: func(c *consent.Choice) { c.Time = now.AddDate(-1, 0, 0) }},
		"an old one": {visit: Visit{Choice: All, Policy: "1", ChosenGPC: true, Minor: true}, want: func(c *consent.Choice) { c.Policy, c.GPC, c.Minor = "1", true, true }},
		"some":       {visit: Visit{Choice: Some, Categories: []string{"analytics"}}, want: func(c *consent.Choice) { c.Granted, c.Denied = []string{"analytics"}, []string{"marketing"} }},
		"a service": {visit: Visit{Choice: Some, Services: []string{"a"}}, want: func(c *consent.Choice) {
			c.Granted, c.Denied, c.Services = []string{}, []string{"analytics", "marketing"}, []string{"a"}
		}},
	} {
		got, err := c.visit.Of(site, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := consent.Visit{Region: c.visit.Region, GPC: c.visit.GPC, Now: now}
		if !c.none {
			want.Choice = &consent.Choice{Time: now, Policy: "2", List: site.List(), Granted: []string{"analytics", "marketing"}, Denied: []string{}}
			c.want(want.Choice)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got, _ := (&Visit{Crawler: true, Choice: All}).Of(site, now); got.Crawler {
		t.Error("who has chosen is a crawler")
	}
	for want, v := range map[string]Visit{
		`region "QX" is not a region: use ISO 3166, DE or US-CA`:            {Region: "QX"},
		`language "xx" is not one of this site's: it speaks en`:             {Language: "xx"},
		`category "games" is not one of this site's`:                        {Choice: Some, Categories: []string{"games"}},
		`service "games" is not one of this site's`:                         {Choice: Some, Services: []string{"games"}},
		`the choice of 2026-11-23 is still to come: name a day up to today`: {Choice: All, Chosen: now.AddDate(0, 0, 1)},
	} {
		if _, err := v.Of(site, now); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, v := range map[string]Visit{
		"a visitor who has not chosen":            {},
		"a crawler from US-CA who has not chosen": {Region: "US-CA", Crawler: true},
		"a visitor from DE in de who accepted analytics, pixel on 1 Nov 2026 under policy 7, with Sec-GPC": {Region: "DE", Language: "de", GPC: true, Choice: Some, Categories: []string{"analytics"}, Services: []string{"pixel"}, Chosen: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Policy: "7"},
		"a visitor who rejected all":     {Choice: Rejected},
		"a visitor who accepted all":     {Choice: All},
		"a visitor who accepted nothing": {Choice: Some},
	} {
		if got := v.Describe(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A form is never more than what can be decided or refused in a line.
func FuzzParse(f *testing.F) {
	f.Add("region=de&choice=some&category=analytics&chosen=2026-11-22")
	f.Add("gpc=2&choice=;")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		v, err := Parse(q)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("%q", err)
			}
			return
		}
		if again, err := Parse(v.Values()); err != nil || again.Describe() != v.Describe() {
			t.Errorf("%+v is written so that it is read as %+v (%v)", v, again, err)
		}
	})
}
