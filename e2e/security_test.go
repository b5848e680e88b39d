package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// guarded is a site with a tag of each kind: a vendor's script, a custom one, pixels, inline ones, and one whose script has
// to have a digest.
var guarded = tags(`
  - {vendor: plausible, id: shop.example, category: analytics, host: stats.plausible.test}
  - {name: House counter, category: analytics, script: "https://counter.example/counter.js?id=HC-1001", storage: ["hc_seen"]}
  - {name: Pixel A, category: marketing, pixel: "https://pixel-a.example/p.gif?u={page}"}
  - {name: Loyalty, category: marketing, inline: "window.loyalty=1"}
  - {name: Widget, category: functional, script: "https://m.shop.test/test/js/widget", integrity: "` + digest("widget") + `"}
`)

// ofCategory are the tags of guarded, and what third parties get for them.
var ofCategory = map[string]struct {
	tags   []string
	counts map[string]int
	vendor string
}{
	"functional": {tags: []string{"widget"}},
	"analytics":  {[]string{"house-counter", "plausible"}, map[string]int{"counter": 2}, "https://stats.plausible.test/js/script.js"},
	"marketing":  {[]string{"loyalty", "pixel-a"}, map[string]int{"pixel-a": 1}, ""},
}

// strict is reported, whatever else is enforced.
const strict = "style-src 'self'; style-src-attr 'none'; script-src-attr 'none'; require-trusted-types-for 'script'; trusted-types stile; object-src 'none'; base-uri 'none'"

// policed serves /test/page under a policy that can be changed.
type policed struct {
	http.Handler
	policy atomic.Value
}

func (p *policed) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if policy, set := p.policy.Load().(string); set && r.URL.Path == "/test/page" {
		rw.Header().Set("Content-Security-Policy", policy)
		rw.Header().Set("Content-Security-Policy-Report-Only", strict)
	}
	p.Handler.ServeHTTP(rw, r)
}

// policies are what stile csp prints for a site, by state.
func (w *world) policies(args ...string) map[string]string {
	w.t.Helper()
	out, err := exec.Command(stileBinary, append([]string{"csp", w.config, "--base", consentURL, "--json"}, args...)...).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	var list []struct {
		States []string
		Policy string
	}
	if err := json.Unmarshal(out, &list); err != nil {
		w.t.Fatal(err)
	}
	states := map[string]string{}
	for _, p := range list {
		for _, state := range p.States {
			states[state] = p.Policy
		}
	}
	return states
}

// watch notes violations of what is enforced and of what is only reported, from before a page's first script.
func (b *tab) watch() {
	b.t.Helper()
	b.onNewPage(`window.violations = []; document.addEventListener('securitypolicyviolation', e => violations.push([e.disposition, e.effectiveDirective, e.blockedURI, e.sample].join(' ')), true)`)
}

func (b *tab) unbroken(when string) {
	b.t.Helper()
	if got := eval[[]string](b, `violations`); len(got) > 0 {
		b.t.Errorf("%s: %q", when, got)
	}
}

// runs checks that just the tags of some categories run on a page that was just visited.
func (b *tab) runs(when string, served *served, categories ...string) {
	b.t.Helper()
	want, counts, third := map[string]string{}, map[string]int{}, []string(nil)
	for _, category := range categories {
		for _, id := range ofCategory[category].tags {
			want[id] = "running"
		}
		for party, n := range ofCategory[category].counts {
			counts[party] = n
		}
		if vendor := ofCategory[category].vendor; vendor != "" {
			third = append(third, vendor)
		}
	}
	if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, want) {
		b.t.Errorf("%s: %s", when, cmp.Diff(want, got))
	}
	ran := eval[string](b, `[window.loyalty, window.ran?.includes('widget') || ''].join()`)
	if expect := map[bool]string{true: "1"}[slices.Contains(categories, "marketing")] + "," + map[bool]string{true: "true"}[slices.Contains(categories, "functional")]; ran != expect {
		b.t.Errorf("%s: the inline tag and the widget: %s, want %s", when, ran, expect)
	}
	for party, n := range counts {
		b.w.until(party, func() bool { return b.w.parties.Count(party) >= n })
	}
	for party, n := range b.w.parties.Counts() {
		if n != counts[party] {
			b.t.Errorf("%s: %s got %d requests, want %d", when, party, n, counts[party])
		}
	}
	for _, address := range third {
		if !slices.Contains(b.w.loaded(), address) {
			b.t.Errorf("%s: nobody asked for %s", when, address)
		}
	}
	if asked := slices.Contains(served.list(), "widget"); asked != slices.Contains(categories, "functional") {
		b.t.Errorf("%s: that the widget was asked for is %v", when, asked)
	}
}

// H: under the policy that stile csp prints for a state, letter by letter, everything works that the state releases: tags of
// each kind, banner, dialog, control, withdrawal, and the frame for those without scripts. Nothing else can be loaded: the
// policy is no looser than the state.
func TestPolicyOfState(t *testing.T) {
	served := newServed()
	body := `<h1>A page</h1><noscript><iframe src="` + consentURL + `/stile/shop/banner" title="Cookie choices"></iframe></noscript>
<script type="text/plain" data-stile="analytics" data-src="/test/js/own"></script><img data-stile="analytics" data-src="/test/gif/own-picture" alt="">`
	site := &policed{Handler: served.with(map[string]testPage{"page": {body: body}})}
	w := newWorld(t, settings{config: guarded, pages: site})
	policies := w.policies()
	if len(policies) != 6 {
		t.Fatalf("stile csp prints %q", policies)
	}
	first := w.open()
	for state, policy := range policies {
		categories := []string{"functional", "analytics", "marketing"}
		switch category, alone := strings.CutSuffix(state, " alone"); {
		case alone:
			categories = []string{category}
		case state != "everything accepted":
			categories = nil
		}
		b := first.stranger()
		said, thrown := b.console(), b.errors()
		b.watch()
		b.visit(shopURL + "/")
		if state != "before a choice" {
			eval[bool](b, `stile.accept(`+jsonOf(t, categories)+`).then(() => true)`)
			b.settle()
		}
		site.policy.Store(policy)
		w.reset()
		w.loaded()
		served.reset()
		b.visit(shopURL + "/test/page")
		b.runs(state, served, categories...)
		if slices.Contains(categories, "analytics") {
			b.await(`window.ran?.includes('own')`)
			w.until("the picture", func() bool { return slices.Contains(served.list(), "own-picture") })
		}
		if state == "before a choice" {
			if got := eval[string](b, `(s => s.position + ' ' + s.zIndex)(getComputedStyle(document.querySelector('stile-banner')))`); got != "fixed 2147483647" {
				t.Errorf("the banner is styled %q", got)
			}
		} else if got := eval[string](b.await(`document.querySelector('stile-control')`), `getComputedStyle(document.querySelector('stile-control')).position`); got != "fixed" {
			t.Errorf("%s: the control is styled %q", state, got)
		}
		b.openDialog()
		if got := eval[string](b, `getComputedStyle(document.querySelector('stile-dialog .h')).display`); got != "flex" {
			t.Errorf("%s: the dialog is styled %q", state, got)
		}
		b.press("\x1b")
		b.unbroken(state)

		// Without scripts the frame is there.
		w.asked()
		b.scripts(false).load(shopURL + "/test/page")
		w.until("the frame", func() bool { return slices.Contains(w.asked(), "GET /stile/shop/banner 200") })
		b.scripts(true).visit(shopURL + "/test/page")

		// What the state withholds the page cannot load by itself either.
		for category, address := range map[string]string{
			"marketing": "https://pixel-a.example/p.gif", "analytics": "https://counter.example/counter.js",
		} {
			if slices.Contains(categories, category) {
				continue
			}
			w.reset()
			for kind, load := range map[string]string{
				"img-src": `new Image().src = '%s'`, "script-src-elem": `document.head.append(Object.assign(document.createElement('script'), {src: '%s'}))`,
				"connect-src": `fetch('%s').catch(() => 0)`, "frame-src": `document.body.append(Object.assign(document.createElement('iframe'), {src: '%s'}))`,
			} {
				b.say(`violations.length = 0`)
				b.say(fmt.Sprintf(load, address))
				origin, _, _ := strings.Cut(address, ".example/") // all that is told of a frame's
				b.await(fmt.Sprintf(`violations.some(v => v.startsWith('enforce %s %s'))`, kind, origin))
			}
			if n := w.parties.Count("pixel-a") + w.parties.Count("counter"); n > 0 && len(categories) == 0 {
				t.Errorf("%s: a company that is withheld got %d requests", state, n)
			}
		}

		// Taken back under the policy of before, what ran is gone.
		if len(categories) > 0 {
			b.await(`Object.values(stile.tags).every(state => state == 'running')`) // what is on its way ends with the page alone
			if slices.Equal(categories, []string{"marketing"}) {                    // which leaves nothing that would run on
				eval[bool](b, `stile.withdraw().then(() => true)`)
			} else {
				b.loads(func() { b.say(`stile.withdraw().catch(() => 0)`) })
			}
			w.reset()
			served.reset()
			w.loaded()
			b.visit(shopURL + "/test/page")
			b.runs(state+", taken back", served)
			b.unbroken(state + ", taken back")
		}
		// Of what the page tried by itself the console tells; of Stile's doing there is nothing to tell.
		for _, line := range said() {
			if !strings.Contains(line, "https://pixel-a.example/") && !strings.Contains(line, "https://counter.example/") {
				t.Errorf("%s: the console says %s", state, line)
			}
		}
		if got := thrown(); len(got) > 0 {
			t.Errorf("%s: scripts threw %q", state, got)
		}
	}
}

// H, A8: a page that was served before the choice has the policy of that state: what is then accepted is kept, fails with a
// clear word on that page, and runs on the next.
func TestPolicyOutgrown(t *testing.T) {
	served := newServed()
	site := &policed{Handler: served.with(map[string]testPage{"page": {body: "<h1>A page</h1>"}})}
	w := newWorld(t, settings{config: guarded, pages: site})
	policies := w.policies()
	site.policy.Store(policies["before a choice"])
	b := w.open()
	b.visit(shopURL + "/test/page").decide(accept)
	got := eval[map[string]string](b, `stile.tags`)
	if !strings.HasSuffix(got["house-counter"], "counter.js?id=HC-1001 did not load") || !strings.HasPrefix(got["house-counter"], "failed: ") || got["loyalty"] != "running" {
		t.Errorf("stile.tags is %q", got)
	}
	b.granted("functional", "analytics", "marketing")
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
	site.policy.Store(policies["everything accepted"])
	w.reset()
	w.loaded()
	b.watch()
	b.visit(shopURL + "/test/page")
	b.runs("on the next page", served, "functional", "analytics", "marketing")
	b.unbroken("on the next page")
}

// H: by nonce, and with Trusted Types beside it, all kinds of tags and markup, placeholders, dialog, control, withdrawal and
// the frame without scripts work, and no violation is enforced or reported.
func TestPolicyByNonce(t *testing.T) {
	for name, args := range map[string][]string{"nonce": {"--nonce", "n0nce"}, "trusted types": {"--nonce", "n0nce", "--trusted-types"}} {
		t.Run(name, func(t *testing.T) {
			served := newServed()
			kinds := slices.DeleteFunc(markupKinds(), func(kind string) bool {
				return kind == "object" || kind == "style" || kind == "sheet" // which the policy allows nobody
			})
			body := strings.ReplaceAll(markupPage(kinds)+waiting("film", "width=400 height=240")+post, "<script", "<script nonce=n0nce") +
				`<noscript><iframe src="` + consentURL + `/stile/shop/banner" title="Cookie choices"></iframe></noscript>`
			site := &policed{Handler: served.with(map[string]testPage{"page": {script: "nonce=n0nce", body: body}})}
			// The page's markup names services of the shop, which are tags here as well.
			w := newWorld(t, settings{config: func(text string) string {
				return guarded(text) + "  - {name: Chat, category: functional, inline: \"window.chat=1\"}\n"
			}, pages: site})
			// What the page needs for itself stands beside what Stile needs.
			policy := strings.Replace(w.policies(args...)["everything accepted"], "frame-src ", "frame-src https://video.example ", 1)
			site.policy.Store(strings.Replace(policy, "img-src ", "img-src https://video.example ", 1))
			b := w.open()
			said, thrown := b.console(), b.errors()
			b.watch()
			b.visit(shopURL + "/test/page")
			if got := eval[string](b, `getComputedStyle(document.querySelector('stile-banner')).position`); got != "fixed" {
				t.Errorf("the banner is %q", got)
			}
			b.held("film")
			b.await(`document.querySelector('template[data-embed] + stile-embed')`)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("at last the page asked for %q", served.list())
				}
			})
			if len(served.list()) > 0 || len(b.ran()) > 0 {
				t.Errorf("before a choice: %q, %q", served.list(), b.ran())
			}
			b.click(choose).visible(dialog)
			b.unbroken("before a choice")
			b.decide("stile-dialog [value=all]")
			expect := 0
			for _, kind := range kinds {
				expect += 3 * strings.Count(markup[kind], "/test/")
			}
			check := func(when string) {
				t.Helper()
				w.until("the markup "+when, func() bool { return len(served.list()) > expect }) // with the widget
				b.await(`window.posts && document.querySelector('#post')`)
				w.got(t, when, map[string]int{"counter": 2, "pixel-a": 1, "video": 2})
				for _, want := range append(strings.Fields("inline.analytics module.marketing module-src.functional template.analytics template.analytics-inline cc.marketing klaro.analytics"), "widget") {
					b.await(fmt.Sprintf(`window.ran.includes(%q)`, want))
				}
				for id, state := range eval[map[string]string](b.settle(), `stile.tags`) {
					if state != "running" {
						t.Errorf("%s: %s is %s", when, id, state)
					}
				}
				b.unbroken(when)
			}
			check("after accepting")
			served.reset()
			w.reset()
			b.visit(shopURL + "/test/page")
			check("on the next page")
			if got := eval[string](b, `getComputedStyle(document.querySelector('stile-control')).position`); got != "fixed" {
				t.Errorf("the control is %q", got)
			}

			b.loads(func() { b.say(`stile.withdraw().catch(() => 0)`) }).settle()
			served.reset()
			w.reset()
			b.visit(shopURL + "/test/page").held("film")
			b.unbroken("taken back")
			if len(served.list()) > 0 || len(b.ran()) > 0 {
				t.Errorf("taken back: %q, %q", served.list(), b.ran())
			}
			b.clickIn("film", "once").await(`document.querySelector('#film').contentDocument == null`)
			b.click("template[data-embed] + stile-embed [value=once]").await(`window.posts`)
			w.got(t, "shown once", map[string]int{"video": 2})
			b.unbroken("shown once")

			w.asked()
			b.scripts(false).load(shopURL + "/test/page")
			w.until("the frame", func() bool { return slices.Contains(w.asked(), "GET /stile/shop/banner 200") })
			if got := said(); len(got) > 0 {
				t.Errorf("the console says %q", got)
			}
			if got := thrown(); len(got) > 0 {
				t.Errorf("scripts threw %q", got)
			}
		})
	}
}

// got waits until third parties got what is wanted, and checks that they got no more.
func (w *world) got(t *testing.T, when string, want map[string]int) {
	t.Helper()
	for party, n := range want {
		w.until(party+" "+when, func() bool { return w.parties.Count(party) >= n })
	}
	for party, n := range w.parties.Counts() {
		if n != want[party] {
			t.Errorf("%s: %s got %d requests, want %d", when, party, n, want[party])
		}
	}
}

// H: a script whose digest does not match is refused by the browser: the tag says that it failed, its like run, it is told
// nothing more, and the choice stands.
func TestIntegrityMismatch(t *testing.T) {
	served := newServed()
	config := tags(`
  - {name: Broken, category: functional, script: "https://m.shop.test/test/js/broken", integrity: "` + digest("other") + `", stop: "window.stopped=1"}
  - {name: Needy, category: functional, inline: "window.needy=1", needs: [Broken]}
  - {name: Widget, category: functional, script: "https://m.shop.test/test/js/widget", integrity: "` + digest("widget") + `"}
  - {name: Chat, category: functional, script: "https://chat.example/widget.js"}
`)
	w := newWorld(t, settings{config: config, pages: served.with(map[string]testPage{"page": {body: "<h1>A page</h1>"}})})
	b := w.open()
	said, thrown := b.console(), b.errors()
	b.visit(shopURL + "/test/page").decide(accept)
	for _, when := range []string{"after accepting", "on the next page"} {
		w.until("the scripts", func() bool { return len(served.list()) >= 2 })
		got := eval[map[string]string](b.settle(), `stile.tags`)
		if got["broken"] != "failed: stile: https://m.shop.test/test/js/broken did not load" || !strings.HasPrefix(got["needy"], "failed") || got["widget"] != "running" || got["chat"] != "running" {
			t.Errorf("%s stile.tags is %q", when, got)
		}
		if ran := eval[string](b, `window.ran.join() + window.needy`); ran != "widgetundefined" {
			t.Errorf("%s ran %q", when, ran)
		}
		// Asked for once a page view, and not again.
		if got, want := served.list(), []string{"broken", "widget"}; !cmp.Equal(got, want) {
			t.Errorf("%s the page asked for %q, want %q", when, got, want)
		}
		w.received(map[string]int{"chat": 1})
		b.granted("functional", "analytics", "marketing")
		if when == "after accepting" {
			served.reset()
			w.reset()
			b.visit(shopURL + "/test/page")
		}
	}
	lines := said()
	for _, part := range []string{"integrity", "stile: broken failed"} {
		if n := len(slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, part) })); n != 2 {
			t.Errorf("%d lines say %q, want one a page: %q", n, part, lines)
		}
	}
	if got := thrown(); len(got) > 0 {
		t.Errorf("scripts threw %q", got)
	}
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
}

func jsonOf(t *testing.T, v []string) string {
	t.Helper()
	out, err := json.Marshal(append([]string{}, v...))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Under a policy by nonce Stile is no way around it: a script that was smuggled into the page, and says that it waits for
// what is allowed, has no nonce and is not let in; the console says so.
func TestPolicyNoGadget(t *testing.T) {
	smuggled := func(category string) string {
		return `<script type="text/plain" data-stile="` + category + `">smuggled.push("inline")</script>
			<script type="text/plain" data-stile="` + category + `" data-src="/test/js/evil"></script>
			<script nonce=other type="text/plain" data-stile="` + category + `">smuggled.push("another nonce")</script>
			<template data-stile="` + category + `"><script>smuggled.push("template")</script></template>`
	}
	served := newServed()
	body := `<script nonce=n0nce>window.smuggled = []</script>` + smuggled("necessary") + smuggled("analytics") + `<div id=later></div>
		<script nonce=n0nce type="text/plain" data-stile="necessary">window.own = 1</script>`
	w := newWorld(t, settings{pages: served.with(map[string]testPage{
		"page": {csp: "script-src 'nonce-n0nce' 'strict-dynamic'", script: "nonce=n0nce", body: body},
	})})
	b := w.open()
	said := b.console()
	b.visit(shopURL + "/test/page").await(`window.own`)
	eval[bool](b, `stile.accept().then(() => true)`)
	b.say("document.querySelector('#later').innerHTML = `" + smuggled("necessary") + "`")
	b.settle()
	if got := eval[[]string](b, `smuggled`); len(got) > 0 {
		t.Errorf("%q ran", got)
	}
	if got := served.list(); len(got) > 0 {
		t.Errorf("the page asked for %q", got)
	}
	if lines := strings.Join(said(), "\n"); strings.Count(lines, "without the page's nonce") < 8 {
		t.Errorf("the console says\n%s", lines)
	}
}
