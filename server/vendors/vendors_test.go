package vendors

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
)

func library(t testing.TB) *Library {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// examples are the options of a vendor, as its file shows them.
func examples(v *Vendor) map[string]string {
	options := map[string]string{}
	for _, o := range v.Options {
		options[o.Name] = o.Example
	}
	return options
}

// example is the tag that a vendor's own example makes.
func example(t testing.TB, v *Vendor) consent.Tag {
	t.Helper()
	tag, err := v.Tag(consent.Tag{}, v.Account.Example, examples(v))
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func TestLibrary(t *testing.T) {
	all := library(t).All()
	for i, v := range all {
		if i > 0 && all[i-1].ID >= v.ID {
			t.Errorf("%s stands behind %s", v.ID, all[i-1].ID)
		}
		if v.Load.Script+v.Load.Pixel != "" && len(v.Hosts) == 0 {
			t.Errorf("%s loads something and contacts no host", v.ID)
		}
		if v.Policy == "" && len(v.Options) == 0 { // what people host themselves has the policy of whoever does
			t.Errorf("%s has no privacy policy", v.ID)
		}
		if len(v.Sources) == 0 {
			t.Errorf("%s: nothing says where its facts are from", v.ID)
		}
	}
}

func TestFind(t *testing.T) {
	l := library(t)
	for name, want := range map[string]string{
		"ga4": "ga4", "tiktok": "tiktok-pixel", "linkedin": "linkedin-insight", "clarity": "microsoft-clarity",
		"pinterest": "pinterest-tag", "meta": "meta-pixel", "uet": "microsoft-uet", "matomo": "matomo",
	} {
		if v := l.Find(name); v == nil || v.ID != want {
			t.Errorf("Find(%q) is %v, want %s", name, v, want)
		}
	}
	for _, name := range []string{"", "GA4", "ga4 ", "nobody"} {
		if v := l.Find(name); v != nil {
			t.Errorf("Find(%q) is %s, want nothing", name, v.ID)
		}
	}
}

// What belongs to the library cannot be changed through what it hands out.
func TestAllIsACopy(t *testing.T) {
	l := library(t)
	l.All()[0] = nil
	if l.All()[0] == nil {
		t.Error("All hands out the library's own slice")
	}
	v := l.Find("plausible")
	example(t, v).Load.Attrs[0].Value = "changed"
	example(t, v).Storage[0] = "changed"
	if v.Load.Attrs[0].Value != "{id}" || v.Storage[0] == "changed" {
		t.Error("Tag hands out the library's own slices")
	}
}

func TestTagFillsIn(t *testing.T) {
	v := library(t).Find("meta-pixel")
	got := example(t, v)
	got.Load = consent.Load{}
	want := consent.Tag{
		ID: "meta-pixel", Name: "Meta Pixel", Vendor: "meta-pixel", Company: "Meta", Account: "123456789012345", Category: "marketing",
		Hosts: v.Hosts, Cookies: v.Cookies, Storage: v.Storage, Policy: "https://www.facebook.com/privacy/policy/",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	named := consent.Tag{
		ID: "shop-stats", Name: "Shop statistics", Company: "EasyDser", Category: "statistics", Policy: "https://shop.example/p",
		Needs: []string{"gtm"},
	}
	got, err := v.Tag(named, "123456789012345", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Load.Signal, "ok('shop-stats')") {
		t.Errorf("Signal asks for another tag:\n%s", got.Load.Signal)
	}
	named.Vendor, named.Account, named.Load = "meta-pixel", "123456789012345", got.Load
	named.Hosts, named.Cookies, named.Storage = v.Hosts, v.Cookies, v.Storage
	if diff := cmp.Diff(named, got); diff != "" {
		t.Error("what the operator said does not stand:", diff)
	}
}

// A vendor's own consent signals follow the categories that its file says, unless the site maps them otherwise.
func TestSignalsCanBeMapped(t *testing.T) {
	v := library(t).Find("clarity")
	for _, test := range []struct {
		follows map[string]string
		want    []string
	}{
		{nil, []string{"ad_Storage:y(ok('marketing'))", "analytics_Storage:y(ok('analytics')||"}},
		{map[string]string{"ad_Storage": "analytics"}, []string{"ad_Storage:y(ok('analytics'))", "analytics_Storage:y(ok('analytics')||"}},
		{map[string]string{"analytics_Storage": "statistics"}, []string{"ad_Storage:y(ok('marketing'))", "analytics_Storage:y(ok('statistics')||"}},
	} {
		tag, err := v.Tag(consent.Tag{Follows: test.follows}, "abcdef1234", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(tag.Load.Signal, want) {
				t.Errorf("with %v the signal lacks %s:\n%s", test.follows, want, tag.Load.Signal)
			}
		}
	}
}

func TestTagErrors(t *testing.T) {
	for _, test := range []struct {
		vendor, account string
		options         map[string]string
		want            string
	}{
		{"ga4", "UA-1", nil, `ga4: id "UA-1" does not look like G-AB12CD34EF`},
		{"ga4", "", nil, `ga4: id is missing: it looks like G-AB12CD34EF`},
		{"ga4", "G-AB12CD34EF\n", nil, `ga4: id "G-AB12CD34EF\n" does not look like G-AB12CD34EF`},
		{"ga4", "XG-AB12CD34EF", nil, `ga4: id "XG-AB12CD34EF" does not look like G-AB12CD34EF`},
		{"ga4", "G-AB12CD34EF", map[string]string{"host": "x"}, `ga4: unknown option "host": it takes none`},
		{"matomo", "1", nil, `matomo: option host is missing: it looks like stats.example.org`},
		{"matomo", "1", map[string]string{"host": "a b"}, `matomo: option host "a b" does not look like stats.example.org`},
		{"matomo", "1", map[string]string{"host": "a.b", "zone": "", "hots": ""}, `matomo: unknown option "hots": it takes host`},
		{"plausible", "https://shop.example", nil, `plausible: id "https://shop.example" does not look like example.com`},
	} {
		_, err := library(t).Find(test.vendor).Tag(consent.Tag{}, test.account, test.options)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s %q %v:\n got %v\nwant %s", test.vendor, test.account, test.options, err, test.want)
		}
	}
}

func TestOptions(t *testing.T) {
	l := library(t)
	for _, test := range []struct {
		vendor, account string
		options         map[string]string
		script          string
	}{
		{"plausible", "shop.example", nil, "https://plausible.io/js/script.js"},
		{"plausible", "shop.example", map[string]string{"host": "stats.shop.example:8443"}, "https://stats.shop.example:8443/js/script.js"},
		{"matomo", "7", map[string]string{"host": "shop.example/matomo"}, "https://shop.example/matomo/matomo.js"},
	} {
		tag, err := l.Find(test.vendor).Tag(consent.Tag{}, test.account, test.options)
		if err != nil || tag.Load.Script != test.script {
			t.Errorf("%s %v: %s, %v, want %s", test.vendor, test.options, tag.Load.Script, err, test.script)
		}
	}
}

func TestScriptsAreHTTPSOnListedHosts(t *testing.T) {
	for _, v := range library(t).All() {
		hosts := slices.Clone(v.Hosts)
		for i := range hosts {
			for name, value := range examples(v) {
				hosts[i] = strings.ReplaceAll(hosts[i], "{"+name+"}", value)
			}
		}
		load := example(t, v).Load
		for _, raw := range []string{load.Script, load.Pixel} {
			if raw == "" {
				continue
			}
			u, err := url.Parse(raw)
			if err != nil || u.Scheme != "https" {
				t.Errorf("%s: %s: %v", v.ID, raw, err)
				continue
			}
			if !slices.ContainsFunc(hosts, func(host string) bool {
				suffix, wild := strings.CutPrefix(host, "*")
				return host == u.Host || wild && strings.HasSuffix(u.Host, suffix)
			}) {
				t.Errorf("%s: %s is not on one of %s", v.ID, raw, hosts)
			}
		}
	}
}

// The gate deletes these on the site's own domain, where another domain's cookies are not.
func TestCookiesAreTheSitesOwn(t *testing.T) {
	for _, v := range library(t).All() {
		for _, c := range v.Cookies {
			name := strings.TrimSuffix(c.Name, "*")
			if name == "" || strings.ContainsAny(name, "*@ ;=") || c.Lifetime == "" {
				t.Errorf("%s: cookie %q, lifetime %q", v.ID, c.Name, c.Lifetime)
			}
		}
	}
}

// A vendor without a Stop says so in its notes, and one with a Stop says why it is believed.
func TestNotesSayWhyItCanBeStopped(t *testing.T) {
	for _, v := range library(t).All() {
		if !strings.Contains(v.Notes, "Stop") && !strings.Contains(v.Notes, "stop") {
			t.Errorf("%s: the notes do not speak of stopping", v.ID)
		}
	}
}
