package audit

import (
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// The report asks for nothing and runs nothing, whatever the page's words are, and each finding leads to its states.
func TestHTML(t *testing.T) {
	evil := `"><script>alert(1)</script>`
	f := Finding{Verdict: Wrong, What: ACookie, Subject: evil, Who: evil, Category: "marketing", Because: "it was declined", Times: 1, By: Origin{Kind: "script", URL: "https://x.example/" + evil}}
	r := &Report{Page: "https://www.shop.example/a", Stile: "https://consent.shop.example/stile/shop.js", Site: "shop", Wrong: 1, States: []State{
		{ID: "before", Title: "Before a choice", Findings: []Finding{f}, Screenshot: []byte("x"), Cookies: []Cookie{{Name: evil, Domain: ".shop.example", Days: 2}}},
		{ID: "refused", Title: "After refusal", Screenshot: []byte("y"), Requests: []Request{{URL: "https://x.example/" + evil, Host: "x.example", Type: "script"}}, Storage: []Key{{Kind: Local, Name: evil}}},
	}}
	var out strings.Builder
	if err := HTML(r).Render(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := doc.Find("script, iframe, object, [onload], [onclick]").Length(); n > 0 {
		t.Errorf("%d elements that run something", n)
	}
	doc.Find("[src], link[href]").Each(func(_ int, s *goquery.Selection) {
		if address := s.AttrOr("src", s.AttrOr("href", "")); !strings.HasPrefix(address, "data:") {
			t.Errorf("the report asks for %s", address)
		}
	})
	if n := doc.Find(".state img[alt]").Length(); n != 2 {
		t.Errorf("%d pictures with words, want 2", n)
	}
	if got := doc.Find(".found .in a").AttrOr("href", ""); got != "#before" || doc.Find(got).Length() != 1 {
		t.Errorf("the finding leads to %q", got)
	}
	if got := doc.Find("h1").Text(); got != "www.shop.example/a" {
		t.Errorf("the heading is %q", got)
	}
}

func TestLasts(t *testing.T) {
	for days, want := range map[float64]string{
		0: "until the browser is closed", 1.0 / 1440: "1 minute", 30.0 / 1440: "30 minutes", 2.0 / 24: "2 hours", 1.2: "1 day", 180: "180 days",
	} {
		if got := (&Cookie{Days: days}).lasts(); got != want {
			t.Errorf("%v days are %q, want %q", days, got, want)
		}
	}
}
