package alert

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/tally"
)

// now is a Monday.
var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// days are the five weeks and a day up to yesterday, a Sunday; each has so many answers, of which so many allow something.
func days(answers int64, rate func(ago int) float64) (all []tally.DayFigures) {
	for ago := 36; ago >= 1; ago-- {
		optIns := int64(float64(answers) * rate(ago))
		all = append(all, tally.DayFigures{
			Day: tally.DayOf(now.AddDate(0, 0, -ago)),
			Figures: tally.Figures{
				Views: 9 * answers, Displays: 3 * answers, AcceptAll: optIns, OptIns: optIns, RejectAll: answers - optIns,
			},
		})
	}
	return all
}

func steady(rate float64) func(int) float64 { return func(int) float64 { return rate } }

// fallen is steady, but for yesterday.
func fallen(rate, last float64) func(int) float64 {
	return func(ago int) float64 {
		if ago == 1 {
			return last
		}
		return rate
	}
}

func TestRules(t *testing.T) {
	for _, test := range []struct {
		name   string
		site   SiteFacts
		sealed time.Time
		want   []Alert // without Text
		text   string  // part of that of the first
	}{
		{name: "nothing"},
		{name: "a rate that stays", site: SiteFacts{OptInDrop: 20, Days: days(1000, steady(.5))}},
		{name: "a rate that fell", site: SiteFacts{OptInDrop: 20, Days: days(1000, fallen(.5, .3))}, want: []Alert{{Site: "shop", Kind: OptIn}}, text: "fell to 30.0% on Sunday 22 November 2026; on the Sundays before it was 50.0%"},
		{name: "a rate that fell by just the share", site: SiteFacts{OptInDrop: 20, Days: days(1000, fallen(.5, .4))}},
		{name: "a rate that fell by less than a larger share", site: SiteFacts{OptInDrop: 50, Days: days(1000, fallen(.5, .3))}},
		{name: "a rate that rose", site: SiteFacts{OptInDrop: 20, Days: days(1000, fallen(.5, .9))}},
		{name: "a rate that is lower on Sundays", site: SiteFacts{OptInDrop: 20, Days: days(1000, func(ago int) float64 {
			if ago%7 == 1 {
				return .2
			}
			return .6
		})}},
		{name: "too few answers", site: SiteFacts{OptInDrop: 20, Days: days(99, fallen(.5, .1))}},
		{name: "few answers, and a fall that may be chance", site: SiteFacts{OptInDrop: 20, Days: days(100, fallen(.2, .15))}},
		{name: "a site of a week", site: SiteFacts{OptInDrop: 20, Days: days(1000, fallen(.5, .1))[27:]}},
		{name: "a site of two weeks", site: SiteFacts{OptInDrop: 20, Days: days(1000, fallen(.5, .1))[21:]}, want: []Alert{{Site: "shop", Kind: OptIn}}},

		{name: "a host", site: SiteFacts{Ungated: []HostFacts{{Name: "static.hotjar.com", Pages: 14, Text: "Hotjar was seen on 14 pages."}, {Name: "extension.example", Pages: 4}}}, want: []Alert{{Site: "shop", Kind: Host, Subject: "static.hotjar.com"}}, text: "Hotjar was seen on 14 pages. This is of the last week"},

		{name: "requests", site: SiteFacts{Ahead: 72 * time.Hour, Requests: []RequestFacts{
			{Number: "7KQ4-M2XD", Kind: "access", Due: now.Add(-time.Minute)},
			{Number: "8KQ4-M2XD", Kind: "delete", Due: now.Add(72 * time.Hour)},
			{Number: "9KQ4-M2XD", Kind: "copy", Due: now.Add(73 * time.Hour)},
		}}, want: []Alert{{Site: "shop", Kind: Overdue, Subject: "7KQ4-M2XD"}, {Site: "shop", Kind: Due, Subject: "8KQ4-M2XD"}}, text: "Request 7KQ4-M2XD (access) was due on Monday 23 November 2026 and is not answered."},

		{name: "tags", site: SiteFacts{Tags: []TagFacts{
			{ID: "ga4", Name: "Google Analytics 4", Released: 399, Errors: 20}, {ID: "many", Released: 100_000, Errors: 900}, {ID: "few", Released: 20, Errors: 19},
		}}, want: []Alert{{Site: "shop", Kind: Vendor, Subject: "ga4"}}, text: "Google Analytics 4 failed 20 times since yesterday, of 399 times"},

		{name: "a log that is sealed soon", sealed: now.Add(-15 * time.Minute)},
		{name: "a log that nothing seals", sealed: now.Add(-16 * time.Minute), want: []Alert{{Kind: Checkpoint}}, text: "since 09:14 UTC on 23 November 2026"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.site.Name = "shop"
			got := Rules(Facts{Now: now, Sites: []SiteFacts{test.site}, Unsealed: test.sealed})
			check(t, got, test.want, test.text)
		})
	}
}

func TestRulesHere(t *testing.T) {
	for _, test := range []struct {
		name string
		here Here
		want []Alert
		text string
	}{
		{name: "nothing"},
		{name: "a database that is away for a moment", here: Here{Away: now.Add(-10 * time.Minute), Spooled: 90}},
		{name: "a database that is away", here: Here{Away: now.Add(-11 * time.Minute), Spooled: 1, Spools: true}, want: []Alert{{Kind: Away}}, text: "taken nothing since 09:19 UTC on 23 November 2026. 1 choice waits in the spool."},
		{name: "a disk that is full", here: Here{Away: now.Add(-11 * time.Minute)}, want: []Alert{{Kind: Away}}, text: "2026. Choices cannot be stored"},
		{name: "a configuration that was refused", here: Here{Reload: "stile.yaml:3:1: error: controller: it is missing\nstile.yaml:4: error: tags: no", Reloaded: now}, want: []Alert{{Kind: Reload}}, text: "refused at 09:30 UTC on 23 November 2026, and the old one goes on: stile.yaml:3:1: error: controller: it is missing (and more)"},
		{name: "a cause without end", here: Here{Reload: strings.Repeat("é", 9999)}, want: []Alert{{Kind: Reload}}, text: strings.Repeat("é", 300) + "…"},
		{name: "a few choices refused", here: Here{Refused: 9}},
		{name: "choices refused", here: Here{Refused: 10}, want: []Alert{{Kind: Busy}}, text: "10 choices were refused"},
		{name: "vendors", here: Here{Late: []Late{
			{Site: "shop", Tag: "meta", Host: "graph.facebook.com", Waiting: 12, Oldest: now.Add(-61 * time.Minute)},
			{Site: "shop", Tag: "ga4", Host: "www.google-analytics.com", Waiting: 1, Oldest: now.Add(-time.Hour)},
		}}, want: []Alert{{Site: "shop", Kind: Vendor, Subject: "meta"}}, text: "graph.facebook.com has taken nothing for meta since 08:29 UTC on 23 November 2026: 12 events wait."},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.here.Now = now
			check(t, RulesHere(test.here), test.want, test.text)
		})
	}
}

func check(t *testing.T, got, want []Alert, text string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Alert{}, "Text"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(got) > 0 && !strings.Contains(got[0].Text, text) {
		t.Errorf("it says %q, without %q", got[0].Text, text)
	}
}

// Hosts that are many are told as one for each site, in words that may change while the alert stays; those of vendors are not
// told less for what somebody makes up.
func TestRulesOfManyHosts(t *testing.T) {
	s := SiteFacts{Name: "shop"}
	for i := range 12 {
		s.Ungated = append(s.Ungated, HostFacts{Name: fmt.Sprintf("v%d.example", i), Pages: 9, Text: fmt.Sprintf("Vendor %d was seen.", i), Known: true})
	}
	for i := range 500 {
		s.Ungated = append(s.Ungated, HostFacts{Name: fmt.Sprintf("h%d.example", i), Pages: 900, Text: "Somebody was seen."})
	}
	many := Alert{Site: "shop", Kind: Host}
	check(t, s.hosts(), []Alert{many}, "load from 512 hosts and vendors")
	if text := s.hosts()[0].Text; !strings.Contains(text, "Vendor 0 was seen.") {
		t.Errorf("the worst is not named: %s", text)
	}
	s.Ungated = s.Ungated[10:]
	check(t, s.hosts(), []Alert{{Site: "shop", Kind: Host, Subject: "v10.example"}, {Site: "shop", Kind: Host, Subject: "v11.example"}, many}, "Vendor 10 was seen. This is of the last week")
	open := []Record{{Alert: Alert{Site: "shop", Kind: Host, Subject: "h1.example"}, Owner: ""}, {Alert: Alert{Site: "blog", Kind: Host, Subject: "h1.example"}}}
	c := compare(open, s.hosts(), "")
	if len(c.clear) != 2 || !c.quiet(&c.clear[0]) || c.quiet(&c.clear[1]) {
		t.Errorf("what is told with others ended: %+v", c)
	}
}

// Whatever held and holds, each alert is kept, raised or cleared, and none twice.
func TestCompareProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.Map(rapid.IntRange(0, 9), func(n int) Alert {
			return Alert{Site: []string{"", "shop"}[n%2], Kind: Kinds()[n%3], Subject: string(rune('a' + n))}
		}), func(a Alert) Alert { return a })
		before, holding := some.Draw(t, "before"), some.Draw(t, "holding")
		var open []Record
		for i, a := range before {
			open = append(open, Record{ID: [16]byte{byte(i)}, Alert: a, Owner: "here"})
		}
		c := compare(open, holding, "here")
		if len(c.raise)+len(c.keep) != len(holding) || len(c.keep)+len(c.clear) != len(before) {
			t.Fatalf("of %d before and %d now, %d are raised, %d kept and %d cleared", len(before), len(holding), len(c.raise), len(c.keep), len(c.clear))
		}
		held := map[Alert]bool{}
		for _, a := range holding {
			held[a] = true
		}
		for _, r := range c.clear {
			if held[r.Alert] {
				t.Fatalf("%+v is cleared, and holds", r.Alert)
			}
		}
	})
}
