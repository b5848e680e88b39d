package gate

import (
	"strings"
	"testing"

	"github.com/stilehq/stile/server/consent"
)

// What an answer says when the site changed after the choice: what is new and nothing else (B11), that the policy changed
// and how, and who is answerable now (F9).
func TestAnswerAfterChange(t *testing.T) {
	first := consent.Tag{ID: "first", Name: "First", Company: "First Co", Category: "marketing", Load: consent.Load{Pixel: "https://first.test/p"}}
	later := consent.Tag{ID: "later", Name: "Later", Company: "Later Co", Category: "marketing", Load: consent.Load{Pixel: "https://later.test/p"}}
	before := site(first)
	for _, test := range []struct {
		name   string
		accept string
		change func(*consent.Site)
		want   []string
		absent []string
	}{
		{
			name: "B11 a vendor", accept: "all", change: func(s *consent.Site) { s.Tags = append(s.Tags, later) },
			want:   []string{"New since your choice", "Later (Later Co)", `value=new`, `value=kept`, "first.test"},
			absent: []string{"Analytics", "later.test", `value=all`},
		},
		{
			name: "a material policy", accept: "all", change: func(s *consent.Site) {
				s.Policy = consent.Policy{Version: "2", Material: true, Summary: map[string]string{"": "Ages are kept."}}
				s.History = []consent.Version{{Name: before.Policy.Version}, {Name: "2", Material: true}}
			},
			want:   []string{"Our cookie policy has changed", "Ages are kept.", `value=all`, "Analytics"},
			absent: []string{"first.test", "New since"},
		},
		{
			name: "a small policy", accept: "all", change: func(s *consent.Site) {
				s.Policy = consent.Policy{Version: "2", Summary: map[string]string{"en": "Typing errors.", "de": "Tippfehler."}}
				s.History = []consent.Version{{Name: before.Policy.Version, Material: true}, {Name: "2"}}
			},
			want:   []string{"Our cookie policy was updated.", "Typing errors.", "first.test", "stile-note"},
			absent: []string{"Tippfehler", "Reject all"},
		},
		{
			name: "F9 another controller", accept: "none", change: func(s *consent.Site) { s.Controller.Name = "Other Ltd" },
			want:   []string{"Other Ltd is now responsible", "Reject all"},
			absent: []string{"first.test", "EasyDser"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			choice, _, err := consent.Parse(map[string][]string{"accept": {test.accept}}, before, nil)
			if err != nil {
				t.Fatal(err)
			}
			choice.Time = now
			s := site(first)
			test.change(s)
			s.Lists = map[string][]string{before.List(): before.Entries()}
			g, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			d := consent.Decide(s, consent.Visit{Choice: &choice, Region: "DE", Now: now})
			a, err := g.Answer(&d, "en")
			if err != nil {
				t.Fatal(err)
			}
			text := string(a.Identity)
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("it lacks %q", want)
				}
			}
			for _, absent := range test.absent {
				if strings.Contains(text, absent) {
					t.Errorf("it says %q", absent)
				}
			}
		})
	}
}

// A crawler's answer asks nothing and holds nothing optional, under a law that lets tags run until an objection too.
func TestAnswerForCrawler(t *testing.T) {
	s := site(consent.Tag{ID: "first", Name: "First", Category: "marketing", Load: consent.Load{Pixel: "https://first.test/p"}})
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	visitor, robot := consent.Decide(s, consent.Visit{Region: "US", Now: now}), consent.Decide(s, consent.Visit{Region: "US", Crawler: true, Now: now})
	for _, c := range []struct {
		d    consent.Decision
		runs bool
	}{{visitor, true}, {robot, false}, {visitor, true}} { // in turns: neither is given the other's
		a, err := g.Answer(&c.d, "en")
		if err != nil {
			t.Fatal(err)
		}
		text := string(a.Identity)
		if strings.Contains(text, "first.test") != c.runs || strings.Contains(text, "Reject all") != c.runs {
			t.Errorf("crawler %v: tag %v, banner %v", c.d.Crawler, strings.Contains(text, "first.test"), strings.Contains(text, "Reject all"))
		}
	}
}
