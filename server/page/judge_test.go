package page

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

func library(t testing.TB) *vendors.Library {
	t.Helper()
	l, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func address(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// who is a party in short: its vendor's id or its name, its account and its category.
func who(p Party) string {
	name := p.Name
	if p.Vendor != nil {
		name = p.Vendor.ID
	}
	if p.Tag != nil {
		name += " as " + p.Tag.ID
	}
	return strings.TrimRight(name+" "+p.Account+" "+p.Category, " ")
}

func TestAddress(t *testing.T) {
	j := NewJudge(nil, library(t))
	page := address(t, "https://www.shop.example/a/b.html")
	for _, test := range []struct{ address, want string }{
		{"https://www.googletagmanager.com/gtm.js?id=GTM-ABCD123", "gtm GTM-ABCD123 functional"},
		{"https://www.googletagmanager.com/ns.html?id=GTM-ABCD123", "gtm GTM-ABCD123 functional"},
		{"//www.googletagmanager.com/gtag/js?id=G-AB12CD34EF", "ga4 G-AB12CD34EF analytics"},
		{"https://www.googletagmanager.com/gtag/js?l=x&id=AW-123456789", "google-ads AW-123456789 marketing"},
		{"https://www.googletagmanager.com/gtag/js?id=DC-12345678", "floodlight DC-12345678 marketing"},
		{"https://www.googletagmanager.com/gtag/js?id=UA-12345-6", "Google Analytics (Universal Analytics) UA-12345-6 analytics"},
		{"https://www.googletagmanager.com/gtag/js?id=GT-ABC", "Google Tag Manager  functional"},
		{"https://www.google-analytics.com/analytics.js", "Google Analytics (Universal Analytics)  analytics"},
		{"https://region1.google-analytics.com/g/collect?tid=G-AB12CD34EF", "ga4 G-AB12CD34EF analytics"},
		{"https://www.facebook.com/tr?id=123456789012345&ev=PageView&noscript=1", "meta-pixel 123456789012345 marketing"},
		{"https://www.facebook.com/plugins/like.php", "Facebook  marketing"},
		{"https://connect.facebook.net/de_DE/fbevents.js", "meta-pixel  marketing"},
		{"https://connect.facebook.net/signals/config/123456789012345?v=2", "meta-pixel 123456789012345 marketing"},
		{"https://connect.facebook.net/de_DE/sdk.js", "Facebook  marketing"},
		{"https://static.hotjar.com/c/hotjar-1234567.js?sv=6", "hotjar 1234567 analytics"},
		{"https://hotjar.com/x.js", "hotjar  analytics"},
		{"https://mc.yandex.ru/watch/12345678", "yandex-metrica 12345678 analytics"},
		{"https://js-eu1.hs-scripts.com/12345678.js", "hubspot 12345678 marketing"},
		{"https://www.google.com/recaptcha/api.js?render=explicit", "recaptcha explicit functional"},
		{"https://www.google.com/maps/embed?pb=1", "google-maps  functional"},
		{"https://www.google.com/images/logo.png", "Other Google APIs/SDKs"},
		{"https://googleads.g.doubleclick.net/pagead/viewthroughconversion/1/", "google-ads  marketing"},
		{"https://pagead2.googlesyndication.com/pagead/js/adsbygoogle.js?client=ca-pub-1234567890123456", "adsense ca-pub-1234567890123456 marketing"},
		{"https://fonts.googleapis.com", "google-fonts  functional"},
		{"https://js.stripe.com/v3/", "stripe  necessary"},
		{"//counts.other.example/m/matomo.php?idsite=1&rec=1", "matomo 1 analytics"},
		{"https://counts.other.example/piwik.php?rec=1&idsite=12", "matomo 12 analytics"},
		{"https://www.shop.example/matomo.php?idsite=1", "matomo 1 analytics"},
		{"/piwik/piwik.php?idsite=3", "matomo 3 analytics"},
		{"https://consent.cookiebot.com/uc.js", "Cookiebot"},
		{"https://cdn.jsdelivr.net/npm/vue", "JSDelivr CDN"},
		{"https://cdn.permutive.app/x.js", "Permutive  marketing"},
		{"https://t.co/i/adsct?bci=3", "x-pixel  marketing"},
		{"HTTPS://MC.Yandex.RU./watch/12345678?%zz#x", "yandex-metrica 12345678 analytics"},
		{"https://mc.yandex.ru/watch/%zz", "yandex-metrica  analytics"},
		{`\\mc.yandex.ru\\watch`, "yandex-metrica  analytics"},
		{`/\\mc.yandex.ru/watch`, "yandex-metrica  analytics"},
		{"ht\ntps:\t///mc.yandex.ru:443/watch", "yandex-metrica  analytics"},
		{"https://me@mc.yandex.ru/", "yandex-metrica  analytics"},
		{"https://bücher.example/a.js", ""},
		{"https://nobody.example.net/x.js", ""},
	} {
		p, found := j.Address(test.address, page)
		if got := who(p); !found || got != test.want {
			t.Errorf("%s: %q %v, want %q", test.address, got, found, test.want)
		}
	}
}

// What belongs to the page's own site, or is asked of nobody, is no party.
// A tag of the site's file waits though the site hosts it itself, and nothing else that is there does.
func TestOwnTags(t *testing.T) {
	site := &consent.Site{
		Origins: []string{"https://www.shop.example", "https://*.shop.example"},
		Tags: []consent.Tag{
			{ID: "counter", Category: "analytics", Load: consent.Load{Pixel: "https://stats.shop.example/p.gif?u={page}"}, Hosts: []string{"stats.shop.example"}},
			{ID: "loyalty", Category: "marketing", Load: consent.Load{Script: "https://www.shop.example/js/loyalty.js"}, Hosts: []string{"www.shop.example"}},
		},
	}
	for given, want := range map[string]string{
		"https://stats.shop.example/p.gif?u=1": "counter", "//stats.shop.example/other.js": "counter", "/js/loyalty.js?v=2": "loyalty", "js/loyalty.js": "loyalty",
		"https://www.shop.example/js/loyalty.js": "loyalty", "/js/shop.js": "", "https://img.shop.example/1.png": "", "https://www.shop.example/": "", "#": "", "": "",
		"data:text/plain,x": "", "mailto:a@www.shop.example": "", "/matomo.php": "", "/page?to=matomo.php&idsite=3": "", "data:,matomo.php?idsite=1": "",
	} {
		p, third := NewJudge(site, library(t)).Address(given, address(t, "https://www.shop.example/"))
		if third != (want != "") || third && (p.Tag.ID != want || p.Basis != BySite) {
			t.Errorf("%q: %+v, want %q", given, p, want)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	site := &consent.Site{Origins: []string{"https://www.shop.example"}, Own: []string{"*.shop-cdn.example"}}
	for _, test := range []struct {
		page, address string
		own           bool
	}{
		{"https://www.shop.co.uk/", "https://cdn.shop.co.uk/a.js", true},
		{"https://www.shop.co.uk/", "https://shop.co.uk/a.js", true},
		{"https://www.shop.co.uk/", "https://other.co.uk/a.js", false},
		{"https://a.github.io/", "https://b.github.io/a.js", false},
		{"https://a.github.io/", "https://a.github.io/a.js", true},
		{"https://shop.example/", "https://notshop.example/a.js", false},
		{"https://shop.example/", "https://a.shop-cdn.example/a.js", true},
		{"https://shop.example:8443/", "https://www.shop.example/a.js", true},
		{"http://192.0.2.7/", "http://198.2.0.7/a.js", false},
		{"http://192.0.2.7:8080/", "http://192.0.2.7:9090/a.js", true},
		{"http://localhost:8080/", "http://localhost:9090/a.js", true},
		{"https://shop.example/", "a.js", true},
		{"https://shop.example/", "/a.js", true},
		{"https://shop.example/", "#", true},
		{"https://shop.example/", "", true},
		{"https://shop.example/", "data:text/plain,x", true},
		{"https://shop.example/", "mailto:a@b.example", true},
		{"https://shop.example/", "https://", true},
		{"https://shop.example/", "https://%zz/", true},
		{"https://shop.example/", "\n https://b.example/x ", false},
	} {
		_, third := NewJudge(site, library(t)).Address(test.address, address(t, test.page))
		if third == test.own {
			t.Errorf("%s in %s: third party %v", test.address, test.page, third)
		}
	}
	if _, third := NewJudge(nil, library(t)).Address("a.js", nil); third {
		t.Error("a relative address in a page without one is a third party's")
	}
}

// A tag of the site's own file comes before the library, but only for its own vendor where several share a host.
func TestSiteTags(t *testing.T) {
	l := library(t)
	tag := func(id, vendor, account, category string) consent.Tag {
		tag, err := l.Find(vendor).Tag(consent.Tag{ID: id, Category: category}, account, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	site := &consent.Site{
		Tags: []consent.Tag{
			tag("numbers", "ga4", "G-AB12CD34EF", "statistics"), tag("more-numbers", "ga4", "G-ZZ12CD34EF", "statistics"),
			{ID: "own", Name: "Chat", Category: "functional", Hosts: []string{"*.chat.example"}},
		},
		Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "statistics"}, {Name: "functional", Required: true}},
	}
	j := NewJudge(site, l)
	page := address(t, "https://www.shop.example/")
	for a, want := range map[string]string{
		"https://www.googletagmanager.com/gtag/js?id=G-ZZ12CD34EF": "ga4 as more-numbers G-ZZ12CD34EF statistics",
		"https://www.googletagmanager.com/gtag/js?id=G-AB12CD34EF": "ga4 as numbers G-AB12CD34EF statistics",
		"https://www.googletagmanager.com/gtm.js?id=GTM-ABCD123":   "gtm GTM-ABCD123 functional",
		"https://w.chat.example/w.js":                              "Chat as own  functional",
	} {
		p, _ := j.Address(a, page)
		if got := who(p); got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	list := j.Snippet(`gtag('config', 'G-ZZ12CD34EF')`)
	if len(list) != 1 || who(list[0]) != "ga4 as more-numbers G-ZZ12CD34EF statistics" || !j.Waits(list[0]) {
		t.Errorf("%+v", list)
	}
	if p, _ := j.Address("https://w.chat.example/w.js", page); j.Waits(p) {
		t.Error("a tag of a required category waits")
	}
}

// Every script and pixel of the library is its vendor's, with its account where the address has one.
func TestLibraryAddresses(t *testing.T) {
	l := library(t)
	j := NewJudge(nil, l)
	page := address(t, "https://www.shop.example/")
	for _, v := range l.All() {
		options := map[string]string{}
		own := false
		for _, o := range v.Options {
			options[o.Name] = o.Default
			if o.Default == "" {
				options[o.Name] = o.Example
				own = own || strings.Contains(v.Load.Script, "//{"+o.Name+"}")
			}
		}
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{tag.Load.Script, tag.Load.Pixel} {
			if a == "" || strings.HasPrefix(a, "/") || own {
				continue // what people host themselves, an address says nothing of
			}
			p, found := j.Address(a, page)
			switch {
			case !found || p.Vendor != v:
				t.Errorf("%s: %s is said to be %q", v.ID, a, who(p))
			case strings.Contains(v.Load.Script, "{id}") && p.Account != v.Account.Example && !strings.Contains(v.Account.Pattern, "/"):
				t.Errorf("%s: %s has the account %q", v.ID, a, p.Account)
			}
		}
	}
}

func TestJudgeIsSafe(t *testing.T) {
	j := NewJudge(nil, library(t))
	page := address(t, "https://www.shop.example/")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				j.Address("https://www.facebook.com/tr?id=123456789012345", page)
				j.Snippet(`fbq('init','123456789012345')`)
			}
		})
	}
	wg.Wait()
}

func BenchmarkAddress(b *testing.B) {
	j := NewJudge(nil, library(b))
	page := address(b, "https://www.shop.example/")
	for b.Loop() {
		j.Address("https://www.googletagmanager.com/gtag/js?id=G-AB12CD34EF", page)
		j.Address("/own.js", page)
		j.Address("https://nobody.example.net/a.js", page)
	}
}
