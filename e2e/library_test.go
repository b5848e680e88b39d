package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	diff "github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// standIn is what every vendor's host answers with: it notes that it ran and what it found, and stores what its vendor is
// known to store. The page tells it what that is, since one script stands for all.
const standIn = `(() => {
  const is = window.vendor || {}
  is.script?.()
  ;(window.ran = window.ran || []).push(is.queue ? is.queue() : null)
  for (const name of is.cookies || []) document.cookie = name.replace('*', '1') + '=1;path=/;max-age=1000'
  for (const key of is.storage || []) localStorage[key.replace('*', '1')] = 1
})()`

// brings is what a vendor's script defines, where its tag calls that without a stub of its own.
var brings = map[string]string{
	"posthog": `window.posthog = {__loaded: true, init() {}, opt_in_capturing() {}, opt_out_capturing() {}, capture() {}}`,
}

// sheets are the addresses of what is no script and no pixel.
var sheets = map[string]string{
	"google-fonts": "https://fonts.googleapis.com/css2?display=swap&family=Open+Sans:wght@400;700&family=Lora",
}

// vendorTag is a vendor's tag as its own example makes it, and the site that has it alone.
func vendorTag(t *testing.T, v *vendors.Vendor) (tag consent.Tag, site string) {
	t.Helper()
	options := map[string]string{}
	line := fmt.Sprintf("{vendor: %s, category: marketing", v.ID)
	if v.Account.Example != "" {
		line += fmt.Sprintf(", id: %q", v.Account.Example)
	}
	for _, o := range v.Options {
		options[o.Name] = o.Example
		line += fmt.Sprintf(", %s: %q", o.Name, o.Example)
	}
	tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
	if err != nil {
		t.Fatal(err)
	}
	return tag, fmt.Sprintf(`site: %s
origins: [%q]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
categories: {necessary: {required: true}, functional: {}, analytics: {}, marketing: {}}
tags: [%s}]
`, v.ID, shopURL, line)
}

// vendorPage embeds the site of the vendor that its query names, and tells the stand-in what that vendor stores.
func vendorPage(tags map[string]consent.Tag) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		tag := tags[r.URL.Query().Get("vendor")]
		var cookies []string
		for _, c := range tag.Cookies {
			cookies = append(cookies, c.Name)
		}
		stored, err := json.Marshal(map[string][]string{"cookies": cookies, "storage": tag.Storage})
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(rw, `<!doctype html><html lang="en"><title>%s</title><script>window.vendor = %s
vendor.queue = () => { try { return !!(%s) } catch (e) { return String(e) } }
vendor.script = () => { %s }</script>
<script src="%s/stile/%s.js"></script><h1>%s</h1>`, tag.ID, stored, queueOf(tag), brings[tag.ID], consentURL, tag.ID, tag.Name)
	}
}

// queueOf is an expression that is true once the tag has prepared what its vendor's script reads.
func queueOf(tag consent.Tag) string {
	if tag.Load.Before == "" {
		return "true"
	}
	object, _, _ := strings.Cut(tag.Load.Queue, "&&")
	return cmp.Or(object, "true")
}

// placeholder is what the page fills in of a pixel's URL.
var placeholder = regexp.MustCompile(`=[^&]*`)

// asksFor are the requests of a tag, without what differs each time.
func asksFor(tag consent.Tag) (list []string) {
	for _, address := range []string{tag.Load.Script, tag.Load.Pixel, sheets[tag.ID]} {
		if address != "" {
			list = append(list, absolute(address))
		}
	}
	return list
}

func absolute(address string) string {
	if strings.HasPrefix(address, "/") {
		return shopURL + address
	}
	return address
}

// TestLibrary runs each vendor through the gate (A1, A2, A8, C3): with its own host standing in there is no request before
// consent and after a refusal; with consent there is one to the right address with the right account, after what prepares
// it; the next choice does not make it run again; and after a withdrawal what it stored is gone and it is silent.
func TestLibrary(t *testing.T) {
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	// Several browsers, since a vendor waits for pages more than for the processor.
	const browsers = 2
	for n := range browsers {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			tags, sites, hosts := map[string]consent.Tag{}, map[string]string{}, []string{}
			for i, v := range library.All() {
				if i%browsers != n {
					continue
				}
				tag, site := vendorTag(t, v)
				tags[v.ID], sites[v.ID] = tag, site
				for _, address := range asksFor(tag) {
					if u, err := url.Parse(address); err == nil && u.Host != "" && !slices.Contains(hosts, u.Hostname()) {
						hosts = append(hosts, u.Hostname())
					}
				}
			}
			w := newWorld(t, settings{sites: sites, vendors: hosts, vendorScript: standIn, pages: vendorPage(tags)})
			b := w.open()
			thrown := b.errors()
			for id, tag := range tags {
				w.throughGate(b.forget(), id, tag)
				if got := thrown(); len(got) > 0 {
					t.Errorf("%s: scripts threw %q", id, got)
				}
			}
		})
	}
}

func (w *world) throughGate(b *tab, id string, tag consent.Tag) {
	w.t.Helper()
	page := shopURL + "/test/vendor?vendor=" + id
	want := asksFor(tag)
	asked := func(when string, want []string) {
		w.t.Helper()
		got, expected := w.vendorLoads(), slices.Clone(want)
		if tag.Load.Pixel != "" {
			for _, list := range [][]string{got, expected} {
				for i := range list {
					list[i] = placeholder.ReplaceAllString(list[i], "=")
				}
			}
		}
		if !slices.Equal(got, expected) {
			w.t.Errorf("%s %s: pages asked for other than expected:\n%s", id, when, diff.Diff(expected, got))
		}
	}
	w.loaded()
	b.visit(page)
	asked("before a choice", nil)
	eval[bool](b, `stile.reject().then(() => true)`)
	b.visit(page)
	asked("after a refusal", nil)
	if got := eval[int](b, `Object.keys(stile.tags).length`); got != 0 {
		w.t.Errorf("%s: after a refusal %d tags", id, got)
	}

	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	asked("after a grant", want)
	if got := eval[string](b, fmt.Sprintf(`stile.tags[%q] || 'not there'`, id)); got != "running" {
		w.t.Errorf("%s is %s", id, got)
	}
	eval[bool](b, `stile.accept(['marketing']).then(() => true)`)
	b.settle()
	asked("after one more choice", nil)
	b.visit(page)
	asked("on the next page", want)
	if tag.Load.Script != "" {
		if got := eval[[]bool](b, `window.ran || []`); !slices.Equal(got, []bool{true}) {
			w.t.Errorf("%s: its script found its queue as %v, want once and prepared", id, got)
		}
	}

	w.asked()
	b.say(`stile.withdraw()`)
	w.until("the withdrawal of "+id, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.ContainsFunc(w.requests, func(r string) bool { return strings.Contains(r, "/withdraw") })
	})
	b.overtake(page).settle()
	w.loaded() // the page before may have asked once more while it went
	b.visit(page)
	asked("after a withdrawal", nil)
	stored := eval[[]string](b, `[...document.cookie.split('; ').map(c => c.split('=')[0]), ...Object.keys(localStorage)].filter(x => x && !x.startsWith('stile'))`)
	if len(stored) > 0 {
		w.t.Errorf("%s: after a withdrawal %q is still there", id, stored)
	}
}

// overtake goes to an address from a page that may be about to load itself anew, which stops whoever is on the way: then it
// goes once more.
func (b *tab) overtake(url string) *tab {
	b.t.Helper()
	for range 3 {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Do(ctx, chromedp.Navigate(url))
		cancel()
		if err == nil {
			return b
		}
		if !strings.Contains(err.Error(), "net::ERR_ABORTED") {
			b.t.Fatal(err)
		}
	}
	return b.load(url)
}

// vendorLoads are what pages asked for beside themselves, the consent host and the shop.
func (w *world) vendorLoads() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, address := range w.loads {
		if !strings.HasPrefix(address, consentURL) && !strings.HasPrefix(address, shopURL+"/test/") && !strings.HasPrefix(address, shopURL+"/favicon") && !strings.HasPrefix(address, "data:") {
			list = append(list, address)
		}
	}
	w.loads = nil
	return list
}
