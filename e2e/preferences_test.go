package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// toggles are the boxes of the dialog: on, off or mixed.
const toggles = `Object.fromEntries([...document.querySelectorAll('stile-dialog input[type=checkbox]')].map(i => [i.name + ' ' + i.value, i.indeterminate ? 'mixed' : i.checked ? 'on' : 'off']))`

// B5: each vendor can be switched off by itself; its category is then neither on nor off; that one vendor alone is withheld,
// on this page and the next; a category's toggle is that of all its vendors.
func TestB5PerVendor(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string { return sharedCookie(text) + "\nper_vendor: true\n" }})
	b := w.open().visit(shopURL + "/").openDialog()
	b.say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
	expect := func(when string, want map[string]string) {
		t.Helper()
		all := map[string]string{"category functional": "off", "service chat": "off"}
		for name, state := range want {
			all[name] = state
		}
		if got := eval[map[string]string](b, toggles); !cmp.Equal(got, all) {
			t.Errorf("%s: %s", when, cmp.Diff(all, got))
		}
	}
	off := map[string]string{"category analytics": "off", "service house-counter": "off", "category marketing": "off", "service pixel-a": "off", "service pixel-b": "off", "service loyalty": "off"}
	expect("at first", off)
	b.click("stile-dialog [value=marketing]").click("stile-dialog [value=analytics]")
	on := map[string]string{"category analytics": "on", "service house-counter": "on", "category marketing": "on", "service pixel-a": "on", "service pixel-b": "on", "service loyalty": "on"}
	expect("both categories on", on)
	b.click("stile-dialog [value=pixel-b]")
	on["category marketing"], on["service pixel-b"] = "mixed", "off"
	expect("one vendor off", on)
	// A switch is on or off to a screen reader, never mixed: what can be mixed is a checkbox.
	if role := eval[string](b, `document.querySelector('stile-dialog [value=marketing]').getAttribute('role') || ''`); role == "switch" {
		t.Error("a toggle that can be mixed has the role switch, which has no such state")
	}
	b.axe("one vendor off", "stile-dialog")
	b.decide(dialogSave)
	want := map[string]int{"counter": 2, "pixel-a": 1}
	w.received(want)
	b.granted("analytics", "marketing") // with the exception of one
	if !eval[bool](b, `stile.allows('pixel-a') && stile.allows('loyalty') && !stile.allows('pixel-b') && !stile.allows('chat') && window.loyalty == 1`) {
		t.Error("the page is told something else than was chosen")
	}
	for _, path := range []string{"/basket", "/"} {
		b.views(shopURL+path, want)
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
	}
	b.openDialog()
	expect("opened again", on)
	// On again, then off as a whole.
	b.say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
	b.click("stile-dialog [value=marketing]")
	if got := eval[map[string]string](b, toggles)["service pixel-b"]; got != eval[map[string]string](b, toggles)["category marketing"] {
		t.Errorf("pixel-b is %s, and its category is not", got)
	}
	b.say(`document.querySelectorAll('stile-dialog [value^=pixel], stile-dialog [value=loyalty]').forEach(i => i.checked && i.click())`)
	off["category analytics"], off["service house-counter"] = "on", "on"
	expect("each vendor off", off)
	b.loads(func() { b.click(dialogSave) }).settle()
	b.views(shopURL+"/", map[string]int{"counter": 2})
}

// B7, B11, E: the dialog shows the receipt of the choice in force, what came since, and links that lead somewhere; a saved
// choice is announced, and the focus is back on what opened the dialog.
func TestPreferencesTellTheTruth(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	b.onNewPage(`{ const ask = fetch; window.fetch = async (...a) => { const r = await ask(...a); if (a[1]?.method == 'POST') r.clone().json().then(j => { window.answer = j }); return r } }`)
	b.visit(shopURL + "/").openDialog()
	b.await(`performance.getEntriesByType('resource').some(e => e.name.includes('/receipt') && e.responseEnd)`).frame()
	if b.shows("stile-dialog .r") || b.shows("stile-dialog .w") {
		t.Error("before a choice there is a receipt, or something new")
	}
	b.press(kb.Escape)
	b.click("footer [data-stile-open]").visible(dialog).click("stile-dialog [value=analytics]").decide(dialogSave)
	if got := eval[string](b, focused); got != "Cookie choices" {
		t.Errorf("after saving the focus is on %q", got)
	}
	b.await(`document.querySelector('stile-status')?.textContent`)
	if got := b.reads("stile-status[role=status]"); got != "Your choice was saved." {
		t.Errorf("the status says %q", got)
	}
	receipt := eval[string](b, `(async () => { while (!window.answer) await new Promise(done => setTimeout(done, 5)); return answer.receipt })()`)
	b.openDialog().visible("stile-dialog .r")
	if got := b.reads("stile-dialog .r code"); got != receipt || len(receipt) != 36 {
		t.Errorf("the dialog shows the receipt %q, the answer was %q", got, receipt)
	}
	if got, today := b.reads("stile-dialog .r time"), eval[string](b, `new Date().toISOString().slice(0, 10)`); got != today {
		t.Errorf("the dialog dates the receipt %s, today is %s", got, today)
	}
	if b.shows("stile-dialog .w") {
		t.Error("something is new, and nothing was added")
	}
	w.reconfigure(func(text string) string {
		return strings.Replace(text, "\ntags:\n", "\ntags:\n  - name: Film\n    category: analytics\n    pixel: \"https://video.example/embed/new\"\n    company: Film Ltd\n", 1)
	}, "reloaded")
	b.emptyCache().visit(shopURL + "/basket").openDialog().visible("stile-dialog .w")
	if got := b.reads("stile-dialog .w"); got != "New since your choice: Film" {
		t.Errorf("the dialog says %q", got)
	}
	b.axe("with receipt and news", "stile-dialog")
	links := eval[[]string](b, `[...document.querySelectorAll('stile-dialog a[data-to]')].map(a => a.href)`)
	if want := []string{consentURL + "/stile/shop/policy?lang=en", consentURL + "/stile/shop/policy?lang=en#rights"}; !cmp.Equal(links, want) {
		t.Errorf("the links are %q, want %q", links, want)
	}
	for _, link := range links {
		w.asked()
		b.do(navigate("about:blank"), navigate(link))
		w.cost(link, "GET /stile/shop/policy?lang=en 200", "GET /stile/shop/page.css 200")
		if !eval[bool](b, `!!document.querySelector('h1') && (!location.hash || document.querySelector(location.hash).getBoundingClientRect().top < innerHeight)`) {
			t.Errorf("%s leads to nothing", link)
		}
		b.emptyCache()
	}
}

// B9: the small permanent control. It stands where a page has no way to the choices of its own, after a choice alone; it is
// reached by the keyboard, opens the dialog, is given the focus back, and is not printed. Withdrawing by it takes as many
// clicks as accepting.
func TestB9Control(t *testing.T) {
	const control = "stile-control button"
	w := newWorld(t, settings{config: everyLanguage(nil), pages: plain()})
	b := w.open().look(390, 844, "light").visit(shopURL + "/test/en")
	if b.shows(control) {
		t.Error("the control stands beside the banner")
	}
	b.decide(accept).visible(control)
	w.received(all)
	b.visit(shopURL + "/test/en").visible(control)
	b.axe("control", "stile-control")
	b.theme("dark").axeContrast("control, dark", "stile-control")
	if r := eval[[]float64](b, `(r => [r.width, r.height, r.left, innerHeight - r.bottom])(document.querySelector('stile-control button').getBoundingClientRect())`); r[0] < 24 || r[1] < 24 || r[2] != 12 || r[3] != 12 {
		t.Errorf("the control is at %v", r)
	}

	// By the keyboard: the last stop of the page, but for the chat, which comes before it or after it.
	b.backTab()
	if eval[string](b, focused) != "Cookie choices" {
		b.backTab()
	}
	if got := eval[string](b, focused); got != "Cookie choices" {
		t.Errorf("Shift+Tab goes to %q", got)
	}
	b.press(kb.Enter).visible(dialog).press(kb.Escape)
	if got := eval[string](b, focused); got != "Cookie choices" {
		t.Errorf("after Escape the focus is on %q", got)
	}
	b.click(control).visible(dialog)
	b.loads(func() { b.click("stile-dialog [value=none]") }).settle() // two clicks, as for accepting:
	b.granted()
	b.visit(shopURL + "/test/en").click(control).visible(dialog).decide("stile-dialog [value=all]")
	b.granted("functional", "analytics", "marketing")

	b.media(emulation.SetEmulatedMediaParams{Media: "print"})
	if b.shows(control) {
		t.Error("the control is printed")
	}
	b.media(emulation.SetEmulatedMediaParams{})
	b.visit(shopURL + "/test/en?opener")
	if b.shows(control) {
		t.Error("auto: the control stands on a page with a way of its own")
	}
	for _, tt := range []struct {
		control, page string
		side          string // "" for none
	}{
		{"start", "en?opener", "left"}, {"start", "ar", "right"}, {"end", "en", "right"}, {"end", "ar?opener", "left"}, {"off", "en", ""},
	} {
		w.reconfigure(func(text string) string { return appearance("{control: " + tt.control + "}")(text) }, "reloaded")
		b.emptyCache().visit(shopURL + "/test/" + tt.page)
		what := tt.control + " on " + tt.page
		if tt.side == "" {
			if b.shows("stile-control") {
				t.Errorf("%s: there is a control", what)
			}
			continue
		}
		b.visible(control)
		if side := eval[string](b, `(r => Math.abs(r.left - 12) < 1 ? 'left' : Math.abs(document.documentElement.clientWidth - r.right - 12) < 1 ? 'right' : 'nowhere')(document.querySelector('stile-control button').getBoundingClientRect())`); side != tt.side {
			t.Errorf("%s: the control is at the %s, want the %s", what, side, tt.side)
		}
		if got, want := eval[string](b, `document.querySelector('stile-control button').lang`), tt.page[:2]; got != want {
			t.Errorf("%s: the control speaks %s", what, got)
		}
	}
}

// media sets what the page is shown on.
func (b *tab) media(p emulation.SetEmulatedMediaParams) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, p); err != nil {
		b.t.Fatal(err)
	}
	b.frame()
}

// agent gives the browser another name.
func (b *tab) agent(name string) *tab {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: name}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// A crawler gets no banner and no tags, under a regime too where tags run until an objection; who only sounds like one does.
func TestCrawlers(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.open()
	for _, name := range []string{
		"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/136.0.0.0 Safari/537.36",
	} {
		b.agent(name)
		for _, region := range []string{"DE", "US-CA", "GB"} {
			w.moves(region)
			b.emptyCache().views(shopURL+"/", nothing)
			b.visit(shopURL + "/product/kettle")
			w.received(nothing)
			if eval[bool](b, `!!document.querySelector('stile-banner, stile-room, stile-note, stile-control')`) {
				t.Errorf("%s: a crawler is asked", region)
			}
			if len(b.jar()) > 0 {
				t.Errorf("%s: a crawler has the cookies %q", region, b.jar())
			}
		}
	}
	b.agent("Mozilla/5.0 (Linux; Android 11; CUBOT P50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36")
	w.moves("DE")
	b.emptyCache().visit(shopURL + "/").asks("on a telephone by Cubot")
	w.moves("US-CA")
	b.emptyCache().views(shopURL+"/", all)
}

// H: a content blocker that hides the banner leaves a page that can be used, as long as it would be without Stile, and
// nothing is released.
func TestBannerHiddenByBlocker(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: plain()})
	b := w.open().look(390, 844, "light")
	b.onNewPage(`new MutationObserver((_, o) => { if (!document.head) return; o.disconnect(); document.head.insertAdjacentHTML('beforeend', '<style>stile-banner{display:none!important}</style>') }).observe(document, {childList: true, subtree: true})`)
	b.visit(shopURL + "/test/en")
	if b.shows(banner) {
		t.Fatal("the banner is not hidden")
	}
	if length := eval[[]int](b, `(() => { const with_ = document.documentElement.scrollHeight; document.querySelectorAll('stile-banner, stile-room').forEach(e => e.remove()); return [with_, document.documentElement.scrollHeight] })()`); length[0] != length[1] {
		t.Errorf("the page is %d px long with the hidden banner, and %d without", length[0], length[1])
	}
	b.visit(shopURL + "/")
	b.do(chromedp.MouseEvent(chromedp.MouseWheel, 100, 100, wheel(200)))
	b.await(`scrollY > 50`)
	b.say(`scrollTo(0, 0)`)
	for range 4 {
		b.press(kb.Tab)
	}
	if eval[bool](b, `!!document.activeElement.closest('stile-banner')`) {
		t.Error("the focus is in the hidden banner")
	}
	b.loads(func() { b.click(`footer a[href="/privacy"]`) }).settle()
	if got := eval[string](b, `location.pathname`); got != "/privacy" {
		t.Errorf("the link led to %s", got)
	}
	w.received(nothing)
	if n := w.records(); n > 0 || len(b.jar()) > 0 {
		t.Errorf("%d records, and the cookies %q", n, b.jar())
	}
	// The choices can be had all the same.
	b.click("footer [data-stile-open]").visible(dialog).click("stile-dialog [value=analytics]").decide(dialogSave)
	w.received(map[string]int{"counter": 2})
}
