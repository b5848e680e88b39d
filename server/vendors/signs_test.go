package vendors

import "testing"

func TestSigns(t *testing.T) {
	l := library(t)
	for id, want := range map[string]string{
		"meta-pixel": "_fbq", "hotjar": "_hjSettings", "matomo": "_paq", "pinterest-tag": "pintrk()", "ga4": "gtag('config','{id}')",
	} {
		found := false
		for _, g := range l.Find(id).Globals {
			found = found || g == want
		}
		if !found {
			t.Errorf("%s has %q, not %s", id, l.Find(id).Globals, want)
		}
	}
	for _, v := range l.All() {
		for _, g := range v.Globals {
			if g == "dataLayer" || g == "gtag" {
				t.Errorf("%s is known by %s, which only hands on data", v.ID, g)
			}
		}
	}
}
