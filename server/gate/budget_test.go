package gate

import (
	"slices"
	"testing"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// Budgets in bytes of brotli at its best, for one request (README, "Figures").
const (
	firstVisitBudget = 6 << 10 // in every language and layout
	englishBudget    = 5<<10 + 704
	returningBudget  = 2 << 10 // without tags
	tagBudget        = 400     // what a vendor's tag adds when it is the only one
	commonTagBudget  = 250     // for the vendors that most sites have
)

// common are they. A consent mode comes once for all of a vendor's tags, and is no part of one. TikTok is not among them: its
// script wants a stub of its every method, as Mixpanel's does, and PostHog's keys alone are 47 characters.
var common = []string{
	"ga4", "google-ads", "gtm", "hotjar", "linkedin-insight", "matomo", "meta-pixel", "microsoft-clarity", "microsoft-uet",
	"pinterest-tag", "plausible", "hubspot", "youtube", "intercom", "yandex-metrica", "x-pixel", "snap-pixel", "reddit-pixel",
}

// The consent mode of Google comes once for all of its tags.
const modeBudget = 250

func TestBudgets(t *testing.T) {
	for _, position := range []string{"bottom", "top", "corner", "top-corner", "centre"} {
		t.Run(position, func(t *testing.T) {
			t.Parallel()
			s := site()
			s.Languages = banner.Languages()
			s.Appearance = consent.Appearance{Position: position, Theme: "auto", Control: "auto"} // the longest theme
			g, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			refused := s.Refuse()
			refused.Time = now
			for name, v := range map[string]consent.Visit{"opt-in": {Region: "DE"}, "opt-out": {Region: "US"}, "signal": {Region: "DE", GPC: true}, "returning": {Choice: &refused}} {
				v.Now = now
				d := consent.Decide(s, v)
				languages, most, longest := s.Languages, 0, ""
				switch {
				case !d.Ask:
					languages = []string{"en"} // it holds no words
				case position != "bottom" || name != "opt-in":
					languages = []string{"en", "el", "bn"} // the layout and the signal add much the same to each
				}
				for _, lang := range languages {
					n := best(t, g, &d, lang)
					if n > most {
						most, longest = n, lang
					}
					budget := firstVisitBudget
					switch {
					case !d.Ask:
						budget = returningBudget
					case lang == "en" && name == "opt-in":
						budget = englishBudget
					}
					if n > budget {
						t.Errorf("%s, %s: %d bytes, the budget is %d", name, lang, n, budget)
					}
				}
				t.Logf("%s: at most %d bytes, in %s", name, most, longest)
			}
		})
	}
}

func TestTagBudget(t *testing.T) {
	bare := allGranted(t, site())
	sum, n := 0, 0
	for _, tag := range library(t) {
		if len(tag.Needs) > 0 {
			continue
		}
		budget := tagBudget
		if slices.Contains(common, tag.ID) {
			budget = commonTagBudget
		}
		got := allGranted(t, site(tag)) - bare
		if got > budget {
			t.Errorf("%s adds %d bytes, the budget is %d", tag.ID, got, budget)
		} else {
			t.Logf("%s adds %d bytes", tag.ID, got)
		}
		sum, n = sum+got, n+1
	}
	t.Logf("%d tags add %d bytes on average", n, sum/n)
	both := google(t, func(*consent.Mode) {})
	alone := *both
	alone.Modes = nil
	if got := allGranted(t, both) - allGranted(t, &alone); got > modeBudget {
		t.Errorf("Google's consent mode adds %d bytes, the budget is %d", got, modeBudget)
	} else {
		t.Logf("Google's consent mode adds %d bytes", got)
	}
}

func allGranted(t *testing.T, s *consent.Site) int {
	t.Helper()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, s, nil)
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
	text, err := g.compose(d, lang, "")
	if err != nil {
		t.Fatal(err)
	}
	a := &Answer{Identity: []byte(text)}
	a.compress(bestBrotli)
	return len(a.Brotli())
}
