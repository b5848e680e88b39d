package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// spa is a site whose pages change without being loaded.
type spa struct {
	name, host string
	home       string         // path of the page that is loaded
	link       string         // selector of what leads to a path, which stands for %s
	there      string         // what is true once the page of the path has been drawn
	walk       []string       // paths, each with a link to the next
	once, each map[string]int // what third parties get of the page on which all is accepted, and of a route after it
	gated      string         // a page that brings a script and an img which wait, and
	film       string         // one that brings an iframe
	settings   func(t *testing.T) settings
}

const drawn = `location.pathname == '%[1]s' && !document.activeViewTransition && document.querySelector('nav a[aria-current]')?.pathname == '%[1]s' && document.querySelector('h1')`

// spas are plain History, a React build, and a router that swaps bodies.
var spas = []spa{
	{
		name: "History", host: "www.shop.test", home: "/app/", link: "#finder a[data-answer]", there: `location.pathname == '%s'`,
		walk: []string{"/app/colour", "/app/size", "/app/result", "/app/", "/app/colour"},
		once: all, each: map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1},
		settings: func(*testing.T) settings {
			return settings{config: func(text string) string { return sharedCookie(text) + "\nsingle_page: true\n" }}
		},
	},
	{
		name: "React", host: "react.shop.test", home: "/", link: `nav a[href="%s"]`, there: drawn,
		walk: []string{"/kettle", "/visit", "/", "/kettle", "/visit"},
		once: map[string]int{"counter": 1, "pixel-a": 1, "chat": 1}, each: map[string]int{"counter": 1, "pixel-a": 1},
		gated: "/visit", film: "/kettle",
		settings: func(t *testing.T) settings {
			return settings{
				hosts:  map[string]http.Handler{"react.shop.test": reactApp(t)},
				config: example(t, "react", "http://localhost:5173", `http://react.shop.test"]`),
			}
		},
	},
	{
		name: "Astro", host: "astro.shop.test", home: "/", link: `nav a[href="%s"]`, there: drawn,
		walk: []string{"/ink/", "/notebook/", "/hours/", "/", "/ink/"},
		once: map[string]int{"counter": 1, "pixel-a": 1, "chat": 1}, each: map[string]int{"counter": 1, "pixel-a": 1},
		gated: "/hours/", film: "/ink/",
		settings: func(t *testing.T) settings {
			return settings{
				hosts:  map[string]http.Handler{"astro.shop.test": examplePages("astro")},
				config: example(t, "astro", "http://127.0.0.1:8080", `http://astro.shop.test"]`+"\ncookie_domain: shop.test"),
			}
		},
	},
}

// example is the stile.yaml of an example under the world's host. Where this stile does not know single_page, the rest of
// it is still tested.
func example(t *testing.T, name, origin, moved string) func(string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", name, "stile.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return func(string) string { return strings.Replace(string(text), origin+`"]`, moved, 1) }
}

// countsRoutes tells whether this stile knows single_page.
var countsRoutes = sync.OnceValue(func() bool {
	schema, err := exec.Command(stileBinary, "schema").Output()
	return err == nil && strings.Contains(string(schema), `"single_page"`)
})

// world opens the site's first page, with what is to happen before.
func (s spa) world(t *testing.T) (*world, *tab) {
	t.Helper()
	set := s.settings(t)
	config := set.config
	set.config = func(text string) string {
		if countsRoutes() {
			return config(text)
		}
		return strings.Replace(config(text), "\nsingle_page: true\n", "\n", 1)
	}
	w := newWorld(t, set)
	b := w.open()
	// Layout shifts that the banner has a part in, and view transitions that were skipped.
	b.onNewPage(`
		window.shifts = []
		new PerformanceObserver(list => shifts.push(...list.getEntries().filter(e => e.sources.some(s => s.node?.closest?.('stile-banner, stile-room'))).map(e => e.value))).observe({type: 'layout-shift', buffered: true})
		window.skipped = []
		window.during = null
		const start = document.startViewTransition
		if (start) document.startViewTransition = function (draw) {
			const transition = start.call(document, draw)
			transition.ready.then(() => { during = document.getAnimations().map(a => a.effect.pseudoElement || '') }, why => skipped.push(String(why)))
			return transition
		}`)
	return w, b
}

func (s spa) url(path string) string { return "http://" + s.host + path }

// to goes to a route by its link.
func (s spa) to(b *tab, path string) {
	b.t.Helper()
	// Not by the mouse: the banner may be above the link.
	b.say(fmt.Sprintf(`document.querySelector(%q).click()`, strings.ReplaceAll(s.link, "%s", path)))
	s.at(b, path)
}

func (s spa) at(b *tab, path string) {
	b.t.Helper()
	b.await(fmt.Sprintf(s.there, path)).settle()
}

// back goes back in history, without a page being loaded.
func (s spa) back(b *tab, path string) {
	b.t.Helper()
	b.say("history.back()")
	s.at(b, path)
}

// reactApp serves the build of examples/react: every path that is no file is a route of it.
func reactApp(t *testing.T) http.Handler {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("skipped: npm is not installed, which builds examples/react")
	}
	if err := buildReact(); err != nil {
		t.Fatal(err)
	}
	dist := http.Dir("../examples/react/dist")
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f, err := dist.Open(r.URL.Path); err != nil {
			r.URL.Path = "/"
		} else {
			f.Close()
		}
		rw.Header().Set("Cache-Control", "no-cache")
		http.FileServer(dist).ServeHTTP(rw, r)
	})
}

var buildReact = sync.OnceValue(func() error {
	if out, err := exec.Command("make", "-s", "-C", "..", "examples/react/dist").CombinedOutput(); err != nil {
		return fmt.Errorf("building examples/react: %w\n%s", err, out)
	}
	return nil
})

// everySPA runs a test on each of the sites.
func everySPA(t *testing.T, test func(t *testing.T, s spa)) {
	for _, s := range spas {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

// complaints returns what the page's console got of errors from now on, whenever it is called.
func (b *tab) complaints() func() []string {
	b.t.Helper()
	thrown := b.errors()
	var mu sync.Mutex
	var list []string
	if err := chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				for _, arg := range e.Args {
					list = append(list, string(arg.Value)+arg.Description)
				}
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError && !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
				list = append(list, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append(thrown(), list...)
	}
}

func (b *tab) quiet(complaints func() []string) {
	b.t.Helper()
	if got := complaints(); len(got) > 0 {
		b.t.Errorf("the page's console got %q", got)
	}
}

// one checks that there is one banner, in sight and the one that was marked.
func (b *tab) one(when string) {
	b.t.Helper()
	got := eval[string](b, `(all => [all.length, all[0] == window.first, all[0]?.getClientRects().length, document.querySelectorAll('stile-room').length, document.body.firstElementChild == all[0]])([...document.querySelectorAll('stile-banner')]).join(' ')`)
	if got != "1 true 1 1 true" {
		b.t.Errorf("%s: banners, the same one, in sight, rooms, first in body: %s", when, got)
	}
}

// markBanner notes which banner is there.
func (b *tab) markBanner() *tab {
	b.t.Helper()
	eval[bool](b, `(window.first = document.querySelector('stile-banner'), true)`)
	return b
}

// pages are the addresses of which a third party was told as page views, in order.
func (w *world) pages(party string) (list []string) {
	for _, hit := range w.parties.Log() {
		if query, err := url.ParseQuery(hit.Query); err == nil && hit.Party == party && query.Has("u") {
			list = append(list, query.Get("u"))
		}
	}
	return list
}

// times is what third parties get of the page on which all is accepted and of n routes.
func (s spa) times(n int) map[string]int {
	want := maps.Clone(s.once)
	for party, k := range s.each {
		want[party] += n * k
	}
	return want
}

// spared checks that routes asked the consent host for nothing but, once, what draws and lets in their markup.
func (w *world) spared() {
	w.t.Helper()
	parts := map[string]int{}
	for _, request := range w.asked() {
		part, _, _ := strings.Cut(strings.TrimPrefix(request, "GET /stile/shop/"), ".js")
		if parts[part]++; part != "page" && part != "markup" || parts[part] > 1 {
			w.t.Errorf("routes asked the consent host for %q", request)
		}
	}
}

// H: until there is a choice the banner stays, the same one and in its place, over routes forward and back, and nothing is
// sent; after one it is gone on all routes.
func TestSPABannerStays(t *testing.T) {
	everySPA(t, func(t *testing.T, s spa) {
		w, b := s.world(t)
		complaints := b.complaints()
		b.visit(s.url(s.home)).markBanner()
		rect := `JSON.stringify(document.querySelector('stile-banner').getBoundingClientRect())`
		place := eval[string](b, rect)
		w.asked()
		for _, path := range s.walk[:2] {
			s.to(b, path)
			b.one(path)
			if now := eval[string](b, rect); now != place {
				t.Errorf("%s: the banner went from %s to %s", path, place, now)
			}
		}
		s.back(b, s.walk[0])
		b.one("back on " + s.walk[0])
		b.still("before the choice")
		w.spared()
		w.received(nothing)

		b.decide(accept)
		for _, path := range s.walk[1:3] {
			s.to(b, path)
			if n := eval[int](b, `document.querySelectorAll('stile-banner, stile-room').length`); n > 0 {
				t.Errorf("%s: %d parts of the banner are left", path, n)
			}
		}
		if skipped := eval[[]string](b, `skipped`); len(skipped) > 0 {
			t.Errorf("view transitions were skipped: %q", skipped)
		}
		b.quiet(complaints)
	})
}

// Page views are sent once a route and never twice: for a pixel by the runtime, for the shop's counter by the shop.
func TestSPAPageViewsOnce(t *testing.T) {
	everySPA(t, func(t *testing.T, s spa) {
		w, b := s.world(t)
		if !countsRoutes() {
			t.Skip("skipped: this stile does not know single_page")
		}
		complaints := b.complaints()
		b.visit(s.url(s.home))
		var want []string
		// The choice falls on the third page, so that what was walked before it is not counted.
		s.to(b, s.walk[0])
		s.to(b, s.walk[1])
		b.decide(accept)
		for i, path := range s.walk[1:] {
			if i > 0 {
				s.to(b, path)
			}
			want = append(want, s.url(path))
		}
		s.back(b, s.walk[3])
		want = append(want, s.url(s.walk[3]))
		// None of these is another page.
		b.say(`history.replaceState(history.state, '', location.href)`)
		if s.name != "History" { // the shop draws anew, and calls its counter, whenever history moves
			b.say(`history.pushState(history.state, '', '#part')`)
			b.say(`history.back()`)
			b.await(`!location.hash`).settle()
		}
		w.received(s.withMarkup(s.times(len(want)-1), w))
		for _, party := range []string{"counter", "pixel-a"} {
			got := w.pages(party)
			if s.name == "History" && party == "counter" { // the shop's own call tells the path
				for i := range got {
					got[i] = s.url(got[i])
				}
			}
			if !cmp.Equal(got, want) {
				t.Errorf("%s was told of %s", party, cmp.Diff(want, got))
			}
		}
		b.quiet(complaints)
	})
}

// withMarkup adds what the markup of the routes sent, which TestSPAGatedMarkup looks after.
func (s spa) withMarkup(want map[string]int, w *world) map[string]int {
	want = maps.Clone(want)
	w.landed()
	for _, hit := range w.parties.Log() {
		if strings.Contains(hit.Query, "event=") || hit.Party == "video" {
			want[hit.Party]++
		}
	}
	return want
}

// A2: after a refusal nothing at all is sent over five routes and back, and nobody is asked again.
func TestSPARefusal(t *testing.T) {
	everySPA(t, func(t *testing.T, s spa) {
		w, b := s.world(t)
		complaints := b.complaints()
		b.visit(s.url(s.home)).decide(reject)
		w.asked()
		for _, path := range s.walk {
			s.to(b, path)
			if b.shows(banner) {
				t.Errorf("%s asks again", path)
			}
		}
		s.back(b, s.walk[3])
		w.received(nothing)
		w.spared()
		b.quiet(complaints)
	})
}

// A1, A2: a script, an img and an iframe that a route brings are let in once after a grant, and wait before a choice and
// after a refusal.
func TestSPAGatedMarkup(t *testing.T) {
	const waits = `document.querySelectorAll('iframe[data-stile][data-src]:not([src]), img[data-stile][data-src]:not([src]), script[type="text/plain"][data-stile]').length`
	everySPA(t, func(t *testing.T, s spa) {
		if s.gated == "" {
			t.Skip("skipped: the shop's section has no markup that waits; embeds_test.go has")
		}
		w, b := s.world(t)
		complaints := b.complaints()
		b.visit(s.url(s.home))
		walk := func(first, second int) {
			t.Helper()
			s.to(b, s.film)
			b.await(fmt.Sprintf(waits+` == %d`, first))
			w.until("the film, if it may come", func() bool { return first > 0 || w.events("video", "") > 0 })
			s.to(b, s.gated)
			b.await(fmt.Sprintf(waits+` == %d`, second))
		}
		walk(1, 2)
		w.received(nothing)
		b.decide(reject)
		s.to(b, "/")
		walk(1, 2)
		w.received(nothing)

		// What stands in the page already is let in where it stands.
		eval[bool](b, `stile.accept().then(() => true)`)
		b.settle()
		markup := func(party, event string, want int) {
			t.Helper()
			w.until(party+" to get "+event, func() bool { return w.events(party, event) >= want })
		}
		markup("counter", "event=hours", 1)
		markup("pixel-b", "event=hours", 1)
		// On another document: Chromium takes a picture that this one had already from its memory.
		b.visit(s.url(s.home))
		w.reset()
		walk(0, 0)
		markup("video", "", 1)
		markup("counter", "event=hours", 1)
		markup("pixel-b", "event=hours", 1)
		// React draws anew what it draws anew; what was let in is not let in again.
		eval[bool](b, `stile.accept(['functional', 'analytics', 'marketing']).then(() => true)`)
		b.settle()
		for party, event := range map[string]string{"video": "", "counter": "event=hours", "pixel-b": "event=hours"} {
			if n := w.events(party, event); n != 1 {
				t.Errorf("%s got %d times %q, want once", party, n, event)
			}
		}
		b.quiet(complaints)
	})
}

// events counts the requests of a third party whose query is about an event.
func (w *world) events(party, event string) (n int) {
	for _, hit := range w.parties.Log() {
		if hit.Party == party && strings.Contains(hit.Query, event) {
			n++
		}
	}
	return n
}

// A2: a page that comes out of the back/forward cache is the page that was left: its route, its choice, and what was let in.
// It was counted when it was first seen, and coming back to it is not another page view of ours; a vendor's script that
// counts such a return by itself may do so, as it runs with consent.
func TestSPABackForwardCache(t *testing.T) {
	everySPA(t, func(t *testing.T, s spa) {
		w, b := s.world(t)
		complaints := b.complaints()
		b.visit(s.url(s.home)).decide(accept)
		s.to(b, s.walk[0])
		// A page whose frame, or anything else, is still on its way is not kept.
		b.settle()
		w.landed()
		b.await(`[...document.querySelectorAll('iframe[src]')].every(f => performance.getEntriesByName(f.src).length)`)
		b.visit(s.url(s.home))
		w.until("pixel-a to be told of the second visit", func() bool { return w.events("pixel-a", "u=") >= 2 })
		w.reset()
		w.loaded()

		if !b.previous() {
			t.Error("Chromium did not use the back/forward cache: this test saw an ordinary page view")
		}
		s.at(b, s.walk[0])
		b.granted("functional", "analytics", "marketing")
		if b.shows(banner) {
			t.Error("the page that came back asks again")
		}
		b.settle()
		w.received(nothing)

		s.to(b, s.walk[1])
		if countsRoutes() {
			w.until("pixel-a to be told", func() bool { return w.events("pixel-a", "u=") >= 1 })
			if got, want := w.pages("pixel-a"), []string{s.url(s.walk[1])}; !cmp.Equal(got, want) {
				t.Errorf("the route after a return: pixel-a was told of %q, want %q", got, want)
			}
		}
		b.quiet(complaints)
	})
}

// A2, A9: after a withdrawal in the middle the next routes are silent, whether the page was loaded anew for it or not.
func TestSPAWithdrawal(t *testing.T) {
	for _, tt := range []struct{ name, accept string }{
		{"stopped", `stile.accept(['analytics'])`},
		{"reloaded", `stile.accept()`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everySPA(t, func(t *testing.T, s spa) {
				w, b := s.world(t)
				complaints := b.complaints()
				b.visit(s.url(s.home))
				eval[bool](b, tt.accept+`.then(() => true)`)
				b.settle()
				s.to(b, s.walk[0])
				// What was sent before the withdrawal is not to be taken for something after it.
				w.until("the counter to be told", func() bool { return w.events("counter", "u=") >= 2 })
				if tt.name == "reloaded" {
					b.loads(func() { b.say("stile.withdraw()") })
				} else {
					eval[bool](b, `stile.withdraw().then(() => true)`)
				}
				s.at(b, s.walk[0])
				b.granted()
				w.reset()
				w.loaded()
				for _, path := range s.walk[1:] {
					s.to(b, path)
				}
				w.received(nothing)
				b.quiet(complaints)
			})
		})
	}
}

// H: the banner is captured apart from the page that changes under it, once: it neither fades nor slides with the page, the
// transition is not skipped, and the first click after it is taken.
func TestSPAViewTransition(t *testing.T) {
	s := spas[2]
	_, b := s.world(t)
	complaints := b.complaints()
	b.visit(s.url(s.home)).markBanner()
	b.click(`nav a[href="/ink/"]`).await(`during`)
	during := eval[[]string](b, `during.filter(name => name.includes('(stile-banner)'))`)
	seen := map[string]int{}
	for _, name := range during {
		seen[name]++
	}
	if seen["::view-transition-group(stile-banner)"] > 1 || len(seen) == 0 {
		t.Errorf("the banner was captured as %v", seen)
	}
	s.at(b, "/ink/")
	b.one("after the transition")
	if skipped := eval[[]string](b, `skipped`); len(skipped) > 0 {
		t.Errorf("view transitions were skipped: %q", skipped)
	}
	b.decide(accept)
	if b.shows(banner) {
		t.Error("the click was not taken")
	}
	b.quiet(complaints)
}

// H: however a page puts its parts in place of others, the banner stays the same one, and the focus in it is not lost, unless
// the page itself puts it elsewhere.
func TestSPASwaps(t *testing.T) {
	const body = `<main><h1 tabindex="-1">A page</h1><a href="#x">A link</a></main>`
	for name, swap := range map[string]string{
		"another body":       `(b => { b.innerHTML = html; document.body.replaceWith(b) })(document.createElement('body'))`,
		"the whole document": `(d => document.documentElement.replaceChildren(...d.documentElement.children))(new DOMParser().parseFromString(html, 'text/html'))`,
		"innerHTML":          `document.body.innerHTML = html`,
		"replaceChildren":    `document.body.replaceChildren(...new DOMParser().parseFromString(html, 'text/html').body.children)`,
		"emptied, then full": `(document.body.textContent = '', document.body.insertAdjacentHTML('beforeend', html))`,
		"morphed":            `(document.querySelectorAll('stile-banner, stile-room').forEach(e => e.remove()), document.querySelector('h1').textContent = 'Another')`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"page": {body: body}})})
			b := w.open()
			complaints := b.complaints()
			b.visit(shopURL + "/test/page").markBanner()
			b.say(`(window.html = '` + body + `')`)
			if _, err := chromedp.Call(b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
				t.Fatal(err) // without a window manager, no window has the focus
			}
			b.say(`document.querySelector('stile-banner [value=none]').focus()`)
			for range 3 {
				b.say(swap)
				b.frame().one(name)
				if got := eval[string](b, `document.activeElement.getAttribute('value')`); got != "none" {
					t.Errorf("the focus is on %q", eval[string](b, focused))
				}
			}
			// A router that looks after the focus itself has the last word.
			b.say(`(` + swap + `, document.querySelector('h1').focus())`)
			b.frame().one(name)
			if got := eval[string](b, `document.activeElement.localName`); got != "h1" {
				t.Errorf("the page put the focus on its heading, and it is on %q", got)
			}
			b.say(`document.activeElement.blur()`)
			b.frame().say(swap)
			b.frame()
			if got := eval[string](b, focused); got != "body" {
				t.Errorf("nothing had the focus, and now %q has", got)
			}
			w.received(nothing)
			b.decide(accept)
			b.say(swap)
			if b.frame().shows(banner) {
				t.Error("the banner came back after the choice")
			}
			b.quiet(complaints)
		})
	}
}

// A visitor's own tool that takes the banner out of the page again and again has its way, and the page is not held up.
func TestSPABannerTakenAway(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	b.onNewPage(`new MutationObserver(() => document.querySelector('stile-banner')?.remove()).observe(document, {childList: true, subtree: true})`)
	b.visit(shopURL + "/").frame()
	if b.shows(banner) {
		t.Error("the banner is back")
	}
	b.click(`nav a[href="/basket"]`)
	w.received(nothing)
}

// A router that inserts Stile's tag once more, because heads differ, starts no tag twice, draws no second banner, and
// loses no choice.
func TestSPAScriptAgain(t *testing.T) {
	again := `new Promise(done => {
		const script = document.createElement('script')
		script.src = '` + consentURL + `/stile/shop.js'
		script.onload = () => done(true)
		document.head.append(script)
	})`
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	complaints := b.complaints()
	b.visit(shopURL + "/")
	for range 2 {
		eval[bool](b, again)
		if n := eval[int](b.settle(), `document.querySelectorAll('stile-banner').length`); n != 1 {
			t.Errorf("there are %d banners", n)
		}
	}
	w.received(nothing)
	b.decide(accept)
	w.received(all)
	for range 2 {
		eval[bool](b, again)
		b.settle()
		if b.shows(banner) {
			t.Error("the visitor is asked again")
		}
		b.granted("functional", "analytics", "marketing")
	}
	w.received(all)
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	w.reset()
	eval[bool](b, again)
	b.settle().granted()
	w.received(nothing)
	b.quiet(complaints)
}

// TestSPAPictures draws both examples, with the banner open and after accepting; to be looked at with -pictures.
func TestSPAPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("skipped: draws pictures only where -pictures asks for them")
	}
	for _, s := range spas[1:] {
		t.Run(s.name, func(t *testing.T) {
			_, b := s.world(t)
			for _, screen := range screens {
				for _, theme := range []string{"light", "dark"} {
					name := "spa-" + s.name + "-" + screen.name + "-" + theme
					b := b.stranger()
					b.look(screen.width, screen.height, theme).visit(s.url(s.home)).picture(name)
					s.to(b, s.film)
					b.say(`document.querySelector('.film').scrollIntoView({block: 'center'})`)
					b.frame().picture(name + "-film-waits")
					b.decide(accept)
					b.frame().picture(name + "-film")
					b.say(`scrollTo(0, 99999)`)
					b.frame().picture(name + "-end")
					b.say(`scrollTo(0, 0)`)
					s.to(b, s.gated)
					b.frame().picture(name + "-visit")
				}
			}
		})
	}
}
