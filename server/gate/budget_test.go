package gate

import (
	"testing"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// Budgets in bytes of brotli at its best, for one request (README, "Figures").
const (
	firstVisitBudget = 5 << 10 // 6 KB are allowed, 5 are aimed for
	returningBudget  = 2 << 10 // without tags
	tagBudget        = 400     // what a vendor's tag adds when it is the only one
)

func TestBudgets(t *testing.T) {
	for _, position := range []string{"bottom", "top", "corner"} {
		s := site()
		s.Languages = banner.Languages()
		s.Appearance = consent.Appearance{Position: position, Theme: "auto", Accent: "#0b5fff"} // the longest theme
		g, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		refused := s.Refuse()
		refused.Time = now
		for _, v := range []consent.Visit{{Region: "DE"}, {Region: "US"}, {Region: "DE", GPC: true}, {Choice: &refused}} {
			v.Now = now
			d := consent.Decide(s, v)
			budget := returningBudget
			if d.Ask {
				budget = firstVisitBudget
			}
			for _, lang := range s.Languages {
				if n := best(t, g, &d, lang); n > budget {
					t.Errorf("%s, %s, asked %v: %d bytes, the budget is %d", position, lang, d.Ask, n, budget)
				}
			}
		}
		g.Close()
	}
}

func TestTagBudget(t *testing.T) {
	bare := site()
	for _, tag := range library(t) {
		s := site(tag)
		if len(tag.Needs) > 0 {
			continue
		}
		if got := allGranted(t, s) - allGranted(t, bare); got > tagBudget {
			t.Errorf("%s adds %d bytes, the budget is %d", tag.ID, got, tagBudget)
		} else {
			t.Logf("%s adds %d bytes", tag.ID, got)
		}
	}
}

func allGranted(t *testing.T, s *consent.Site) int {
	t.Helper()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, s)
	if err != nil {
		t.Fatal(err)
	}
	c.Time = now
	d := consent.Decide(s, consent.Visit{Choice: &c, Region: "DE", Now: now})
	return best(t, g, &d, "en")
}

// best is the size of an answer in brotli at its best.
func best(t *testing.T, g *Gate, d *consent.Decision, lang string) int {
	t.Helper()
	text, err := g.compose(d, lang)
	if err != nil {
		t.Fatal(err)
	}
	a := &Answer{Identity: []byte(text)}
	a.compress(bestBrotli)
	return len(a.Brotli())
}
