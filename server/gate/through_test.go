package gate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
)

// A pixel that goes through the gate is named by its tag alone: whatever is granted, its vendor's URL is in no answer, and
// the page's own path to it is there exactly when the tag is released.
func TestThroughTheGate(t *testing.T) {
	quiet := consent.Tag{
		ID: "quiet", Name: "Quiet", Category: "analytics", Through: true, Hosts: []string{"quiet.example"}, Load: consent.Load{Pixel: "https://quiet.example/p.gif?account=secret-42&u={page}&r={referrer}"},
	}
	s := site(library(t)[0], quiet)
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	rapid.Check(t, func(t *rapid.T) {
		form := map[string][]string{"category": rapid.SliceOfDistinct(rapid.SampledFrom([]string{"functional", "analytics", "marketing"}), rapid.ID).Draw(t, "granted")}
		if len(form["category"]) == 0 {
			form = map[string][]string{"accept": {"none"}}
		}
		v := consent.Visit{Region: rapid.SampledFrom([]string{"DE", "GB", "CN", "US", ""}).Draw(t, "region"), GPC: rapid.Bool().Draw(t, "gpc"), Now: now}
		if rapid.Bool().Draw(t, "chosen") {
			c, _, err := consent.Parse(form, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.Time = now
			v.Choice = &c
		}
		d := consent.Decide(s, v)
		text, err := g.compose(&d, "en", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"quiet.example", "secret-42"} {
			if strings.Contains(text, secret) {
				t.Fatalf("the answer holds %s", secret)
			}
		}
		const path = `p:"/pixel/quiet.gif?page={page}&referrer={referrer}&choice={choice}&r={random}"`
		if csp := ContentSecurityPolicy(s, &d, Security{Host: "https://consent.shop.example"}); strings.Contains(csp, "quiet.example") {
			t.Fatalf("the page's policy names the vendor: %s", csp)
		}
		if strings.Contains(text, path) != d.Allows(s, "quiet") {
			t.Fatalf("released: %v", d.Allows(s, "quiet"))
		}
	})
}
