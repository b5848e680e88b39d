package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// common are the vendors that most sites have, and that agree with each other on one page.
var common = []string{
	"ga4", "google-ads", "gtm", "hotjar", "linkedin-insight", "matomo", "meta-pixel", "microsoft-clarity", "microsoft-uet",
	"pinterest-tag", "plausible", "tiktok-pixel",
}

// commonVendors is a site with all of them, each with its example account: the configuration, the hosts, and the script of
// each tag.
func commonVendors(t *testing.T) (config func(string) string, hosts []string, scripts map[string]string) {
	t.Helper()
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	scripts = map[string]string{}
	var list string
	for _, id := range common {
		v := library.Find(id)
		options := map[string]string{}
		line := fmt.Sprintf("  - {vendor: %s, id: %q, category: %s", v.ID, v.Account.Example, v.Category)
		for _, o := range v.Options {
			options[o.Name] = o.Example
			line += fmt.Sprintf(", %s: %q", o.Name, o.Example)
		}
		list += line + "}\n"
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
		if err != nil {
			t.Fatal(err)
		}
		scripts[tag.ID] = tag.Load.Script
		for _, host := range v.Hosts {
			for name, value := range options {
				host = strings.ReplaceAll(host, "{"+name+"}", value)
			}
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return tags(list), slices.Compact(hosts), scripts
}

// A1, A2, A8: with a dozen vendors on a site, no vendor is asked for anything before a choice and after a refusal, Google
// neither; after accepting all each script is asked for once, with its account.
func TestA1Vendors(t *testing.T) {
	config, hosts, scripts := commonVendors(t)
	w := newWorld(t, settings{config: config, vendors: hosts})
	b := w.open()
	thrown := b.errors()
	loaded := func(when string, want []string) {
		t.Helper()
		got := w.loaded()
		slices.Sort(got)
		slices.Sort(want)
		if !cmp.Equal(got, want) {
			t.Errorf("%s pages asked for, other than expected:\n%s", when, cmp.Diff(want, got))
		}
	}
	b.visit(shopURL + "/")
	loaded("before a choice", nil)
	if !strings.Contains(eval[string](b, `document.documentElement.outerHTML`), "stile-banner") {
		t.Error("the visitor is not asked")
	}
	b.decide(reject).visit(shopURL + "/basket")
	loaded("after a refusal", nil)
	for _, name := range []string{"dataLayer", "gtag", "fbq", "ttq", "_paq", "clarity", "uetq", "pintrk", "hj", "lintrk", "plausible"} {
		if eval[bool](b, `window.`+name+` !== undefined`) {
			t.Errorf("after a refusal there is window.%s", name)
		}
	}

	var all []string
	running := map[string]string{"google_consent_mode": "running"}
	for id, script := range scripts {
		all = append(all, script)
		running[id] = "running"
	}
	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	loaded("after accepting all", slices.Clone(all))
	for _, address := range all {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" {
			t.Errorf("%s is no https URL", address)
		}
	}
	if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, running) {
		t.Errorf("stile.tags: %s", cmp.Diff(running, got))
	}
	b.visit(shopURL + "/basket")
	loaded("on the next page", slices.Clone(all))

	// Taken back: the next page has none.
	b.loads(func() { b.say(`stile.withdraw()`) }).settle()
	w.loaded()
	b.visit(shopURL + "/")
	loaded("after a withdrawal", nil)
	if got := thrown(); len(got) > 0 {
		t.Errorf("scripts threw %q", got)
	}
}
