package gate

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/consent"
)

// The banner's version changes with what is shown, and with nothing else.
func TestVersion(t *testing.T) {
	version := func(change func(*consent.Site)) string {
		t.Helper()
		s := site(consent.Tag{ID: "first", Name: "First", Company: "First Co", Category: "marketing", Load: consent.Load{Pixel: "https://first.test/p"}})
		change(s)
		g, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		return g.Version()
	}
	was := version(func(*consent.Site) {})
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\d-[0-9a-f]{6}$`).MatchString(was) {
		t.Errorf("it is %q", was)
	}
	for name, change := range map[string]func(*consent.Site){
		"a word":     func(s *consent.Site) { s.Words = map[string]map[string]string{"en": {"reject_all": "No"}} },
		"a colour":   func(s *consent.Site) { s.Appearance.Light.Accent = "#7a1f1f" },
		"the place":  func(s *consent.Site) { s.Appearance.Position = "centre" },
		"a vendor":   func(s *consent.Site) { s.Tags[0].Company = "Second Co" },
		"the policy": func(s *consent.Site) { s.Policy.Version = "2027-01-01" },
	} {
		if version(change) == was {
			t.Errorf("%s: it is the same", name)
		}
	}
	for name, change := range map[string]func(*consent.Site){
		"nothing":       func(*consent.Site) {},
		"how it counts": func(s *consent.Site) { s.PageViews = true },
		"its origins":   func(s *consent.Site) { s.Origins = []string{"https://other.example"} },
	} {
		if got := version(change); got != was {
			t.Errorf("%s: it is %s, and was %s", name, got, was)
		}
	}
}

// Only the answers of a site that counts page views tell of them, and each by its own outcome.
func TestViewed(t *testing.T) {
	s := site()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	refused := s.Refuse()
	refused.Time = now
	for name, v := range map[string]consent.Visit{"asked": {Region: "DE", Now: now}, "not asked": {Region: "DE", Choice: &refused, Now: now}} {
		d := consent.Decide(s, v)
		plain, err := g.Answer(&d, "en")
		if err != nil {
			t.Fatal(err)
		}
		one, err := g.Viewed(&d, "en", "AAAAAAAA")
		if err != nil {
			t.Fatal(err)
		}
		two, err := g.Viewed(&d, "en", "BBBBBBBB")
		if err != nil {
			t.Fatal(err)
		}
		has := func(a *Answer, text string) bool { return strings.Contains(string(a.Identity), text) }
		if has(plain, "/view") || !has(one, "/view") || !has(one, "AAAAAAAA") || !has(two, "BBBBBBBB") || has(two, "AAAAAAAA") {
			t.Errorf("%s: who tells of what is wrong", name)
		}
		if n := len(one.Best()) - len(plain.Best()); n > 350 {
			t.Errorf("%s: to tell costs %d bytes", name, n)
		} else {
			t.Logf("%s: to tell costs %d bytes", name, n)
		}
	}
}
