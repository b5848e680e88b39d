package gate

import (
	"strings"
	"testing"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// google is a site with two Google tags, its consent mode run as change says.
func google(t *testing.T, change func(*consent.Mode)) *consent.Site {
	t.Helper()
	l, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	var tags []consent.Tag
	for id, account := range map[string]string{"ga4": "G-AB12CD34EF", "google-ads": "AW-123456789"} {
		tag, err := l.Find(id).Tag(consent.Tag{}, account, nil)
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	s := site(tags...)
	m := l.Mode("google")
	change(m)
	s.Modes = []consent.Mode{*m}
	return s
}

func answer(t *testing.T, s *consent.Site, v consent.Visit) string {
	t.Helper()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	v.Now = now
	d := consent.Decide(s, v)
	a, err := g.Answer(&d, "en")
	if err != nil {
		t.Fatal(err)
	}
	return string(a.Identity)
}

// In the basic mode nothing of Google's is in an answer that releases none of its tags; with one, the default is queued
// before the update, and the signals follow the categories.
func TestModeBasic(t *testing.T) {
	s := google(t, func(*consent.Mode) {})
	for _, accept := range []string{"none", ""} {
		v := consent.Visit{Region: "DE"}
		if accept != "" {
			v.Choice = choose(t, s, map[string][]string{"accept": {accept}})
		}
		if text := answer(t, s, v); strings.Contains(text, "gtag") || strings.Contains(text, "ad_storage") {
			t.Errorf("accept=%s: the answer speaks to Google", accept)
		}
	}
	text := answer(t, s, consent.Visit{Region: "DE", Choice: choose(t, s, map[string][]string{"category": {"analytics"}})})
	holds(t, text, `security_storage:"granted"`, `wait_for_update:500`, `"consent","default"`, `"consent","update"`, `analytics_storage:"analytics"`, "G-AB12CD34EF")
	lacks(t, text, "AW-123456789", "region")
	alone := answer(t, s, consent.Visit{Region: "DE", Choice: choose(t, s, map[string][]string{"service": {"ga4"}})})
	holds(t, alone, `analytics_storage:"analytics ga4"`)
}

// In the advanced mode the default comes before everything, with the regions where tags run until an objection, and what
// was not accepted is sent restricted, except to crawlers, and granted by region except against Sec-GPC.
func TestModeAdvanced(t *testing.T) {
	s := google(t, func(m *consent.Mode) { m.Advanced = true })
	s.Regimes = []consent.Regime{{Name: "us", Regions: []string{"US-CA", "US-CO"}, Model: consent.OptOut}, {Name: "other", Regions: []string{"*"}}}
	text := answer(t, s, consent.Visit{Region: "DE"})
	if !strings.HasPrefix(text, "(function(){") || strings.Index(text, `"default"`) > strings.Index(text, "currentScript") {
		t.Errorf("the default is not first: %.200s", text)
	}
	holds(t, text, `region:["US-CA","US-CO"]`, `{r:1,i:"ga4"`, `{r:1,i:"google-ads"`)
	crawler := answer(t, s, consent.Visit{Region: "DE", Crawler: true})
	lacks(t, crawler, "G-AB12CD34EF", "AW-123456789")
	holds(t, crawler, `"default"`)
	lacks(t, answer(t, s, consent.Visit{Region: "DE", GPC: true}), "region:")
	half := answer(t, s, consent.Visit{Region: "DE", Choice: choose(t, s, map[string][]string{"category": {"analytics"}})})
	holds(t, half, `{i:"ga4"`, `{r:1,i:"google-ads"`)
}

func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the answer lacks %s", part)
		}
	}
}

func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("the answer has %s", part)
		}
	}
}

func choose(t *testing.T, s *consent.Site, form map[string][]string) *consent.Choice {
	t.Helper()
	c, _, err := consent.Parse(form, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Time = now
	return &c
}
