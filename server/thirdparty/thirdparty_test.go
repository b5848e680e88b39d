package thirdparty

import "testing"

func TestFind(t *testing.T) {
	for host, want := range map[string]Entity{
		"googleads.g.doubleclick.net": {"Google/Doubleclick Ads", Ad},
		"doubleclick.net":             {"Google/Doubleclick Ads", Ad},
		"ajax.googleapis.com":         {"Google CDN", CDN},
		"fonts.googleapis.com":        {"Google Fonts", CDN},
		"fonts.googleapis.com:8443":   {"Google Fonts", CDN},
		"cdn.taboola.com":             {"Taboola", Ad},
	} {
		if got, found := Find(host); !found || got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
	for _, host := range []string{"", "com", "example.com", "notdoubleclick.net", "localhost", "[::1]:80"} {
		if got, found := Find(host); found {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// Every line is whole, and every kind is one that Category knows of or leaves out on purpose.
func TestTable(t *testing.T) {
	known := map[Kind]bool{}
	for _, k := range []Kind{Ad, Analytics, CDN, CMP, Content, Support, Hosting, Marketing, Other, Social, Manager, Utility, Video} {
		known[k] = true
	}
	if n := len(table()); n < 3000 {
		t.Errorf("%d hosts", n)
	}
	for host, e := range table() {
		if e.Name == "" || !known[e.Kind] {
			t.Errorf("%s: %+v", host, e)
		}
	}
}
