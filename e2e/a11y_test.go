package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// appearance changes how the site's banner looks: `{position: top, accent: "#ffd400"}`.
func appearance(to string) func(string) string {
	return func(text string) string {
		before, rest, _ := strings.Cut(sharedCookie(text), "\nappearance: ")
		_, after, _ := strings.Cut(rest, "\n")
		return before + "\nappearance: " + to + "\n" + after
	}
}

// prominence tells in what accept and reject differ.
const prominence = `(root => {
	const all = root.querySelector('[value=all]'), none = root.querySelector('[value=none]'), wrong = []
	if (all.parentNode != none.parentNode || all.tagName != 'BUTTON' || none.tagName != 'BUTTON') wrong.push('they are no sibling buttons')
	const a = getComputedStyle(all), n = getComputedStyle(none)
	const size = /^(width|inline-size|perspective-origin|transform-origin)$/
	for (const p of a) if (!size.test(p) && a[p] != n[p]) wrong.push(p + ': accept ' + a[p] + ', reject ' + n[p])
	const area = el => { const r = el.getBoundingClientRect(); return r.width * r.height }
	if (Math.abs(area(all) / area(none) - 1) > .05) wrong.push('accept is ' + area(all) / area(none) + ' of the area of reject')
	if (Math.abs(all.getBoundingClientRect().height - none.getBoundingClientRect().height) > 1) wrong.push('their heights differ')
	return wrong
})`

// B1, B2, B8: reject and accept are sibling buttons that look the same and are as large, in every language, on phone and
// desktop, at every position; the same choices are there everywhere.
func TestB2EqualProminence(t *testing.T) {
	for _, position := range []string{"bottom", "top", "corner"} {
		t.Run(position, func(t *testing.T) {
			w := newWorld(t, settings{config: appearance("{position: " + position + "}"), pages: translated()})
			b := w.open()
			for _, lang := range languages {
				b.header(map[string]string{"Accept-Language": lang})
				var choices []string
				for _, screen := range screens {
					b.look(screen.width, screen.height, "light").visit(shopURL + "/test/" + lang)
					for view, root := range map[string]string{"banner": "stile-banner", "dialog": "stile-dialog"} {
						if view == "dialog" {
							b.openDialog()
						}
						what := fmt.Sprintf("%s %s %s", lang, screen.name, view)
						for _, problem := range eval[[]string](b, prominence+`(document.querySelector('`+root+`'))`) {
							t.Errorf("%s: %s", what, problem)
						}
					}
					got := eval[[]string](b, `[...document.querySelectorAll('stile-banner button, stile-dialog button, stile-dialog input, stile-banner li')].map(e => e.tagName + e.value + e.textContent.trim())`)
					if choices != nil && !cmp.Equal(got, choices) {
						t.Errorf("%s: desktop and phone have different choices:\n%s", lang, cmp.Diff(choices, got))
					}
					choices = got
				}
			}
		})
	}
}

// contrast is the contrast of every text of our own with what is behind it, and of borders and toggles: the worst of each.
const contrast = `(root => {
	const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m }
	const lum = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2] }
	const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + .05) / (y + .05) }
	const behind = el => { for (; el; el = el.parentElement) { const c = rgb(getComputedStyle(el).backgroundColor); if (c[3] == 1) return c } return [255, 255, 255] }
	const list = []
	for (const el of root.querySelectorAll('*')) {
		if (!el.getClientRects().length) continue
		const s = getComputedStyle(el)
		if ([...el.childNodes].some(n => n.nodeType == 3 && n.data.trim())) {
			const r = ratio(rgb(s.color), behind(el))
			if (r < 4.5) list.push('text ' + r.toFixed(2) + ' ' + el.outerHTML.slice(0, 80))
		}
		if (el.matches('input:not(:disabled)')) {
			const r = ratio(rgb(s.borderTopColor), behind(el.parentElement))
			if (r < 3) list.push('toggle ' + r.toFixed(2) + ' ' + el.outerHTML)
		}
		if (el.matches('button')) {
			// A button is told by its border or by its surface.
			const r = Math.max(ratio(rgb(s.borderTopColor), behind(el.parentElement)), ratio(behind(el), behind(el.parentElement)))
			if (s.borderTopWidth != '0px' && r < 3) list.push('button ' + r.toFixed(2) + ' ' + el.outerHTML)
		}
	}
	return list
})`

// B3: text of at least 4.5:1, borders of buttons and toggles of at least 3:1, whatever the accent, light and dark.
func TestB3Contrast(t *testing.T) {
	for _, accent := range []string{"#0b5fff", "#ffd400", "#111111", "#ffffff", "#777777"} {
		t.Run(accent, func(t *testing.T) {
			w := newWorld(t, settings{config: appearance(`{accent: "` + accent + `"}`)})
			b := w.open()
			for _, theme := range []string{"light", "dark"} {
				b.look(1280, 800, theme).visit(shopURL + "/")
				check := func(view, root string) {
					for _, wrong := range eval[[]string](b, contrast+`(document.querySelector('`+root+`'))`) {
						t.Errorf("%s %s: %s", theme, view, wrong)
					}
				}
				check("banner", "stile-banner")
				b.openDialog()
				eval[bool](b, `(document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true }), true)`)
				check("dialog", "stile-dialog")
				eval[bool](b, `(document.querySelectorAll('stile-dialog input').forEach(d => { d.checked = true }), true)`)
				check("dialog, all on", "stile-dialog")
				b.do(navigate(consentURL + "/stile/shop/preferences"))
				check("preferences", "stile-page")
			}
		})
	}
}

// inSight tells what of the banner is out of sight on a small screen.
const inSight = `(() => {
	const wrong = [], box = document.querySelector('stile-banner').getBoundingClientRect(), text = document.querySelector('stile-banner .t')
	for (const el of document.querySelectorAll('stile-banner .b button')) {
		const r = el.getBoundingClientRect()
		if (r.top < 0 || r.left < 0 || r.bottom > innerHeight || r.right > innerWidth) wrong.push(el.textContent + ' is not in sight')
		if (document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2) != el || document.elementFromPoint(r.left + 3, r.bottom - 3)?.closest('button') != el) wrong.push(el.textContent + ' is covered')
		if (el.scrollWidth > el.clientWidth || el.scrollHeight > el.clientHeight) wrong.push(el.textContent + ' is cut off')
	}
	if (text.clientHeight < 48) wrong.push('the text has ' + text.clientHeight + ' px')
	if (text.scrollHeight <= text.clientHeight) wrong.push('the text does not scroll')
	if (text.scrollWidth > text.clientWidth) wrong.push('the text scrolls sideways')
	text.scrollTop = 9999
	const last = text.lastElementChild.hidden ? text.lastElementChild.previousElementSibling : text.lastElementChild
	if (last.getBoundingClientRect().bottom > text.getBoundingClientRect().bottom + 1) wrong.push('the last line cannot be reached')
	if (box.height > innerHeight - 40) wrong.push('the banner covers ' + box.height + ' px of 256')
	return wrong
})()`

// E: on a screen of 320 by 256 (which is 1280 by 1024 at 400 %) every button of the banner is in sight and works, the text
// scrolls, and something of the page is left.
func TestSmallScreen(t *testing.T) {
	for _, position := range []string{"bottom", "top", "corner"} {
		t.Run(position, func(t *testing.T) {
			w := newWorld(t, settings{config: appearance("{position: " + position + "}"), pages: translated()})
			b := w.open()
			b.look(320, 256, "light")
			for _, lang := range languages {
				b.header(map[string]string{"Accept-Language": lang})
				b.visit(shopURL + "/test/" + lang)
				for _, wrong := range eval[[]string](b, inSight) {
					t.Errorf("%s: %s", lang, wrong)
				}
			}
			b.decide(reject)
		})
	}
}

// E: reflow at 320 px, text at 200 %, and the text spacing of WCAG 1.4.12: nothing is cut off, nothing scrolls sideways.
func TestReflow(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: translated()})
	b := w.open()
	fits := `(() => {
		const wrong = []
		for (const box of document.querySelectorAll('stile-banner section, stile-banner .t, stile-dialog dialog, stile-dialog .t, stile-page')) {
			if (box.scrollWidth > box.clientWidth) wrong.push(box.className + box.tagName + ' scrolls sideways: ' + box.scrollWidth + ' > ' + box.clientWidth)
		}
		for (const el of document.querySelectorAll(':is(stile-banner, stile-dialog, stile-page) :is(button, h1, h2, p, li, label, dt, dd, summary)')) {
			const r = el.getBoundingClientRect()
			if (!r.width) continue
			if (r.left < -1 || r.right > innerWidth + 1 || el.scrollWidth > el.clientWidth + 1 && el.clientWidth) wrong.push('cut off: ' + el.outerHTML.slice(0, 90))
		}
		for (const el of document.querySelectorAll('stile-banner .b button, stile-dialog .b button, stile-dialog .h button')) {
			const r = el.getBoundingClientRect()
			if (r.width && (r.top < -1 || r.bottom > innerHeight + 1)) wrong.push('out of sight: ' + el.textContent)
		}
		return wrong
	})()`
	ways := map[string]string{
		"as it is":     ``,
		"200 % text":   `document.documentElement.style.fontSize = '200%'`,
		"text spacing": `document.head.insertAdjacentHTML('beforeend', '<style>*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}p{margin-bottom:2em!important}</style>')`,
	}
	for _, lang := range languages {
		b.header(map[string]string{"Accept-Language": lang})
		for _, size := range [][2]int64{{320, 640}, {640, 512}, {1280, 800}} {
			for way, js := range ways {
				if size[0] > 320 && way == "text spacing" {
					continue // what fits into the narrowest fits here
				}
				b.look(size[0], size[1], "light").visit(shopURL + "/test/" + lang)
				check := func(view string) {
					b.frame()
					for _, wrong := range eval[[]string](b, fits) {
						t.Errorf("%s %dx%d %s %s: %s", lang, size[0], size[1], way, view, wrong)
					}
				}
				b.say(`(() => {` + js + `})()`)
				check("banner")
				b.openDialog()
				b.say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
				check("dialog")
				b.do(navigate(consentURL + "/stile/shop/preferences"))
				b.say(`(() => {` + js + `;document.querySelectorAll('details').forEach(d => { d.open = true })})()`)
				check("preferences")
				if eval[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
					t.Errorf("%s %dx%d %s: the page of preferences scrolls sideways", lang, size[0], size[1], way)
				}
			}
		}
	}
}

// focus tells what has the focus: the id, or else the text.
const focused = `(() => { const el = document.activeElement; return el == document.body ? 'body' : el.id || el.textContent.trim() || el.tagName })()`

// E: with the keyboard alone. The banner comes first, then the page, and there is no trap.
func TestKeyboard(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	var order []string
	for range 6 {
		b.press(kb.Tab)
		order = append(order, eval[string](b, focused))
	}
	want := []string{"Who receives data", "Reject all", "Accept all", "Choose", "Skip to the content", "Live log"}
	if !cmp.Equal(order, want) {
		t.Errorf("Tab goes to %q, want %q", order, want)
	}
	b.backTab().backTab()
	if got := eval[string](b, focused); got != "Choose" {
		t.Errorf("Shift+Tab goes to %q", got)
	}
	// Escape in the banner is no choice, and takes nothing away (A4).
	b.press(kb.Escape)
	if !b.shows(banner) {
		t.Error("Escape took the banner away")
	}
	if ring := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth`); ring != "solid3px" {
		t.Errorf("the focus ring is %q", ring)
	}

	// Enter on Choose opens the dialog, with the focus inside; Tab stays inside; Escape closes it, and nothing happened.
	w.asked()
	b.press(kb.Enter).visible(dialog)
	inside := `!!document.activeElement.closest('stile-dialog')`
	if !eval[bool](b, inside) {
		t.Error("the focus is not in the dialog")
	}
	var stops []string
	for range 16 {
		b.press(kb.Tab)
		at := eval[string](b, focused)
		stops = append(stops, at)
		if at != "body" && !eval[bool](b, inside) { // body stands for the browser's own controls
			t.Errorf("Tab left the dialog for %q", at)
		}
	}
	for _, stop := range []string{"Cookie policy", "Your rights", "Reject all", "Accept all", "Save choices", "Close"} {
		if !slices.Contains(stops, stop) {
			t.Errorf("Tab in the dialog does not reach %q: %q", stop, stops)
		}
	}
	b.press(kb.Escape)
	if b.shows(dialog) {
		t.Error("Escape does not close the dialog")
	}
	if got := eval[string](b, focused); got != "Choose" {
		t.Errorf("after Escape the focus is on %q, want what opened the dialog", got)
	}
	for _, request := range w.asked() {
		if strings.HasPrefix(request, "POST") {
			t.Errorf("Escape sent %s", request)
		}
	}
	if n := w.records(); n != 0 || len(b.jar()) > 0 {
		t.Errorf("after Escape there are %d records and the cookies %q", n, b.jar())
	}

	// Enter on Reject all refuses, and the focus goes on with the page.
	b.backTab().backTab()
	if got := eval[string](b, focused); got != "Reject all" {
		t.Fatalf("Shift+Tab goes to %q", got)
	}
	b.say(`window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true}))`)
	b.press(kb.Enter)
	eval[bool](b, `decided.then(() => true)`)
	if got := eval[string](b, focused); got == "body" {
		t.Error("after the choice the focus is on body")
	}
	b.granted()
	w.received(nothing)
}

// E: after a choice the focus is back where it was, and never on body; the page does not jump.
func TestFocusReturns(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	decided := func(b *tab, selector string) {
		b.say(`window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true}))`)
		b.tap(selector)
		eval[bool](b, `decided.then(() => true)`)
	}
	for name, way := range map[string]func(b *tab){
		"reject": func(b *tab) { decided(b, reject) },
		"accept": func(b *tab) { decided(b, accept) },
		"dialog": func(b *tab) { decided(b.tap(choose).visible(dialog), dialogSave) },
	} {
		t.Run(name, func(t *testing.T) {
			b := w.openIn(t).visit(shopURL + "/")
			b.say(`document.querySelector('.top nav a[href^="/basket"]').focus()`)
			y := eval[float64](b, `scrollY`)
			way(b)
			if got := eval[string](b, focused); got != "Basket" {
				t.Errorf("the focus is on %q", got)
			}
			if got := eval[float64](b, `scrollY`); got != y {
				t.Errorf("the page went from %v to %v", y, got)
			}
			fresh := w.openIn(t).visit(shopURL + "/")
			fresh.say(`scrollTo(0, 300)`)
			way(fresh)
			if got := eval[string](fresh, focused); got == "body" {
				t.Error("with no focus before, it is on body")
			}
			if got := eval[float64](fresh, `scrollY`); got != 300 {
				t.Errorf("the page went from 300 to %v", got)
			}
		})
	}
}

// underBanner tells what has the focus if the banner is over it: over any of it where there is room for both, and over so
// much that hardly anything is left where there is not.
const underBanner = `(() => {
	const el = document.activeElement, host = document.querySelector('stile-banner')
	if (!host || el == document.body || host.contains(el)) return ''
	const a = el.getBoundingClientRect(), b = host.getBoundingClientRect()
	const apart = a.bottom <= b.top || a.top >= b.bottom || a.right <= b.left || a.left >= b.right
	const seen = Math.max(b.top - Math.max(a.top, 0), Math.min(a.bottom, innerHeight) - b.bottom)
	const out = a.bottom < 1 || a.top > innerHeight - 1
	if (!out && (apart || a.height + b.height > innerHeight && seen > 20)) return ''
	return (el.textContent.trim() || el.outerHTML) + ' at ' + [a.top, a.bottom] + ' under the banner at ' + [b.top, b.bottom] + ', ' + innerHeight + ' high'
})()`

// WCAG 2.4.11: whatever has the focus, to the last link of the page, is not under the banner, forwards and backwards; on
// any screen, at any position, in pages that scroll by themselves and in those that have something fixed at an edge.
func TestFocusNotObscured(t *testing.T) {
	links := func(n int) string { return strings.Repeat(`<p style="margin:40px 0"><a href="#">A link</a></p>`, n) }
	pages := testPages(map[string]testPage{
		"inner": {head: `<style>html,body{height:100%;margin:0;overflow:hidden}#app{height:100%;overflow:auto}</style>`, body: `<div id=app>` + links(15) + `</div>`},
		"fixed": {head: `<style>nav{position:fixed;left:0;right:0;background:#fff}</style>`, body: `<nav style="top:0"><a href="#">Above</a></nav>` + links(9) + `<nav style="bottom:0"><a href="#">Below</a></nav>`},
		"short": {body: `<p><a href="#">Only one</a></p>`},
		"low":   {head: `<style>body{margin:0;height:100vh;display:flex;flex-direction:column;justify-content:space-between}</style>`, body: `<a href="#">Above</a><a href="#">Below</a>`},
	})
	for _, position := range []string{"bottom", "top", "corner"} {
		t.Run(position, func(t *testing.T) {
			w := newWorld(t, settings{config: appearance("{position: " + position + "}"), pages: pages})
			b := w.open()
			for _, size := range [][2]int64{{320, 256}, {390, 844}, {1280, 800}} {
				for _, path := range []string{"/", "/test/inner", "/test/fixed", "/test/short", "/test/low"} {
					b.look(size[0], size[1], "light").visit(shopURL + path)
					for _, way := range []string{"Tab", "Shift+Tab"} {
						seen := 0
						for range 40 {
							if way == "Tab" {
								b.press(kb.Tab)
							} else {
								b.backTab()
							}
							if wrong := eval[string](b, underBanner); wrong != "" {
								t.Errorf("%s %dx%d %s: %s", path, size[0], size[1], way, wrong)
							}
							if eval[string](b, focused) == "body" || eval[bool](b, `!!document.activeElement.closest('stile-banner')`) && seen > 6 {
								break
							}
							seen++
						}
					}
				}
			}
		})
	}
}

// A6: the page stays usable while undecided: it scrolls, what is beside the banner is clicked, and the page's end comes out
// from under the banner for the pointer too; a click into the page does not make it jump.
func TestA6PageUsable(t *testing.T) {
	for _, screen := range screens {
		t.Run(screen.name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().look(screen.width, screen.height, "light").visit(shopURL + "/")
			if got := eval[string](b, `getComputedStyle(document.body).overflow + ' ' + getComputedStyle(document.documentElement).overflow`); got != "visible visible" {
				t.Errorf("overflow is %q", got)
			}
			// A click into main, which takes the focus by its tabindex.
			b.do(chromedp.Click(chromedp.CSS("h1"), chromedp.NodeVisible))
			if y := eval[float64](b.frame(), `scrollY`); y != 0 {
				t.Errorf("a click into the page scrolled it to %v", y)
			}
			b.do(chromedp.MouseEvent(chromedp.MouseWheel, 100, 100, wheel(200)))
			b.await(`scrollY > 50`)
			b.say(`scrollTo(0, document.documentElement.scrollHeight)`)
			b.frame()
			for _, wrong := range eval[[]string](b, `[...document.querySelectorAll('footer a, footer button')].filter(el => { const r = el.getBoundingClientRect(); return document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2) != el }).map(el => el.textContent)`) {
				t.Errorf("at the end of the page %q cannot be clicked", wrong)
			}
			b.loads(func() { b.click(`footer a[href="/privacy"]`) }).settle()
			if got := eval[string](b, `location.pathname`); got != "/privacy" {
				t.Errorf("the link led to %q", got)
			}
			if !b.shows(banner) {
				t.Error("the next page does not ask")
			}
			// Gone, the banner leaves no room behind.
			b.decide(reject)
			if eval[bool](b, `!!document.querySelector('stile-room, stile-banner')`) {
				t.Error("something of the banner is left")
			}
		})
	}
}

func wheel(y float64) chromedp.MouseOption {
	return func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 1, y } // zero would be left out
}

// A4: scrolling, Escape, a click on the backdrop and a click on a link write nothing.
func TestA4NoGrant(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.do(chromedp.MouseEvent(chromedp.MouseWheel, 600, 200, wheel(400)))
	b.await(`scrollY > 50`)
	b.say(`scrollTo(0, 0)`)
	b.click(choose).visible(dialog)
	b.do(chromedp.MouseClickXY(20, 20))
	if b.shows(dialog) {
		t.Error("a click on the backdrop does not close the dialog")
	}
	b.click(choose).visible(dialog).tap("stile-dialog label")
	b.press(kb.Escape)
	if b.shows(dialog) {
		t.Error("Escape does not close the dialog")
	}
	b.click(choose).visible(dialog)
	if eval[bool](b, `!!document.querySelector('stile-dialog :checked')`) {
		t.Error("what was switched on and not saved is still on")
	}
	b.click("stile-dialog [value=close]")
	// Enter on a toggle sends nothing (E: no submit on focus or toggle).
	b.click(choose).visible(dialog)
	b.say(`document.querySelector('stile-dialog input:not(:disabled)').focus()`)
	b.press(kb.Enter, " ")
	if !b.shows(dialog) {
		t.Error("Enter on a toggle sent the form")
	}
	b.press(kb.Escape)
	b.loads(func() { b.tap(`.top nav a[href^="/app/"]`) }).settle()
	b.asks("after all that")
	if n := w.records(); n != 0 || len(b.jar()) > 0 {
		t.Errorf("there are %d records and the cookies %q", n, b.jar())
	}
	// The same in the page of preferences: Enter on a toggle, Escape.
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	b.say(`document.querySelector('input:not(:disabled):not([type=hidden])').focus()`)
	b.press(kb.Enter, kb.Escape)
	b.frame()
	if n := w.records(); n != 0 {
		t.Errorf("Enter on a toggle of the page left %d records", n)
	}
}

// A5: nothing is ticked on first sight, in no regime that asks.
func TestA5NothingTicked(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.open()
	for region, regime := range map[string]string{"DE": "gdpr", "GB": "uk", "CN": "pipl", "JP": "other"} {
		w.moves(region)
		b.emptyCache().visit(shopURL + "/").openDialog()
		if got := strings.Join(w.asked(), " "); !strings.Contains(got, "regime="+regime) {
			t.Errorf("%s: not under %s: %s", region, regime, got)
		}
		if got := eval[int](b, `document.querySelectorAll('stile-dialog :checked').length`); got > 0 && region != "GB" {
			t.Errorf("%s: %d are ticked", region, got)
		}
		if got := eval[int](b, `document.querySelectorAll('stile-dialog input:not(:disabled)').length`); got < 3 {
			t.Errorf("%s: there are %d toggles", region, got)
		}
		b.do(navigate(consentURL + "/stile/shop/preferences"))
		if got := eval[int](b, `document.querySelectorAll(':checked').length`); got > 0 && region != "GB" {
			t.Errorf("%s: %d are ticked on the page", region, got)
		}
	}
}

// E: targets are at least 24 by 24.
func TestTargets(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: translated()})
	b := w.open()
	small := func(what string) {
		for _, wrong := range eval[[]string](b, `[...document.querySelectorAll(':is(stile-banner, stile-dialog, stile-page) :is(button, input, summary, a, label)')]
			.filter(el => el.getClientRects().length && !(el.matches('dd a, p a'))).filter(el => { const r = el.getBoundingClientRect(); return r.width < 24 || r.height < 24 }).map(el => el.outerHTML.slice(0, 80))`) {
			t.Errorf("%s: smaller than 24 px: %s", what, wrong)
		}
	}
	for _, lang := range languages {
		b.header(map[string]string{"Accept-Language": lang})
		b.look(390, 844, "light").visit(shopURL + "/test/" + lang)
		small(lang + " banner")
		b.openDialog()
		small(lang + " dialog")
		b.do(navigate(consentURL + "/stile/shop/preferences"))
		small(lang + " preferences")
	}
}

// E: after a choice a status says so, in the visitor's language; before, there is nothing in it.
func TestStatusAnnounced(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: translated()})
	b := w.open()
	for lang, want := range map[string]string{"en": "Your choice was saved.", "de": "Ihre Wahl wurde gespeichert."} {
		b.header(map[string]string{"Accept-Language": lang})
		b.visit(shopURL + "/test/" + lang)
		b.decide(reject)
		b.await(`document.querySelector('stile-status')?.textContent`)
		if got := eval[string](b, `document.querySelector('stile-status').textContent`); got != want {
			t.Errorf("%s: the status says %q", lang, got)
		}
		if got := eval[string](b, `document.querySelector('stile-status').role`); got != "status" {
			t.Errorf("its role is %q", got)
		}
		if !eval[bool](b, `(() => { const r = document.querySelector('stile-status').getBoundingClientRect(); return r.width <= 1 && r.height <= 1 && getComputedStyle(document.querySelector('stile-status')).display != 'none' })()`) {
			t.Error("the status is to be seen, or is not there for a screen reader")
		}
		b.forget()
	}
}

// B9: taking back takes no more clicks than giving: one for each, from any page.
func TestB9Withdraw(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(accept) // 1 click on layer 1
	w.received(all)
	b.visit(shopURL + "/basket")
	clicks := 0
	click := func(selector string) { clicks++; b.click(selector) }
	click("footer [data-stile-open]")
	b.visible(dialog)
	b.loads(func() { click("stile-dialog [value=none]") }).settle()
	b.granted()
	withdrawn := clicks
	// Accepting by the same way, from the same state.
	clicks = 0
	click("footer [data-stile-open]")
	b.visible(dialog)
	b.say(`window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true}))`)
	click("stile-dialog [value=all]")
	eval[bool](b, `decided.then(() => true)`)
	b.granted("functional", "analytics", "marketing")
	if withdrawn > clicks {
		t.Errorf("withdrawing takes %d clicks, accepting %d", withdrawn, clicks)
	}
	// And the page of preferences has one button for it.
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	b.loads(func() { b.click(`form[action$="/withdraw"] button`) })
	if got := eval[int](b, `document.querySelectorAll(':checked').length`); got > 0 {
		t.Errorf("after withdrawing on the page %d are ticked", got)
	}
}

// B7: the list of the second layer equals the gate's tags, both ways, each with its recipient; and the cookies are in tables:
// name, purpose, lifetime, who.
func TestB7ListEqualsTags(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").openDialog()
	read := `(root => Object.fromEntries([...root.querySelectorAll('dl > div')].map(d => [d.querySelector('dt').textContent.trim(), [...d.querySelectorAll('dd')].map(x => x.textContent.replace(/\s+/g, ' ').trim()).filter(Boolean).join(' | ')])))`
	want := map[string]string{
		"House counter": "Recipient: House Counter Ltd", "Pixel A": "Recipient: Pixel A Ads Inc.", "Pixel B": "Recipient: Pixel B Network",
		"Chat": "Recipient: Chat Desk Ltd", "Loyalty": "Recipient: EasyDser",
	}
	// Rows of the tables of cookies, below their headings.
	tables := `(root => [...root.querySelectorAll('table')].flatMap(t => [...t.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.textContent.trim()).join(' | '))))`
	heading := "Name | Purpose | Lifetime | Recipient"
	rows := []string{
		heading, "chat_* | offer extras such as videos and chat | 6 months | Chat Desk Ltd",
		heading, "hc_id | recognises a visit | 12 months | House Counter Ltd",
	}
	same := func(where, root string) {
		t.Helper()
		if got := eval[map[string]string](b, read+root); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", where, cmp.Diff(want, got))
		}
		if got := eval[[]string](b, tables+root); !cmp.Equal(got, rows) {
			t.Errorf("cookies of %s: %s", where, cmp.Diff(rows, got))
		}
	}
	same("the dialog", `(document.querySelector('stile-dialog'))`)
	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	released := eval[[]string](b, `Object.keys(stile.tags).sort()`)
	listed := eval[[]string](b, `[...document.querySelectorAll('stile-dialog dt')].map(d => d.textContent.trim().toLowerCase().replaceAll(' ', '-')).sort()`)
	if !cmp.Equal(released, listed) {
		t.Errorf("tags and list: %s", cmp.Diff(released, listed))
	}
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	same("the page", `(document)`)
}

// E: forced colours and print. Toggles are the system's own, buttons keep a border; the banner is not printed.
func TestForcedColoursAndPrint(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").openDialog()
	media := func(p emulation.SetEmulatedMediaParams) {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, p); err != nil {
			t.Fatal(err)
		}
		b.frame()
	}
	media(emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
	b.picture("forced-colours-dialog")
	if got := eval[string](b, `getComputedStyle(document.querySelector('stile-dialog input')).appearance`); got != "auto" {
		t.Errorf("in forced colours a toggle has the appearance %q", got)
	}
	b.press(kb.Escape)
	b.picture("forced-colours-banner")
	for _, wrong := range eval[[]string](b, `[...document.querySelectorAll('stile-banner .b button, stile-banner section')].filter(el => getComputedStyle(el).borderTopStyle != 'solid' || getComputedStyle(el).borderTopWidth == '0px').map(el => el.outerHTML.slice(0, 60))`) {
		t.Errorf("in forced colours without a border: %s", wrong)
	}
	media(emulation.SetEmulatedMediaParams{Media: "print"})
	b.picture("print")
	if b.shows(banner) {
		t.Error("the banner is printed")
	}
}

// A visitor's own tools hide what EasyList Cookie lists: nothing of ours has such an id, class or path (DESIGN 5).
func TestNotOnEasyList(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").openDialog()
	eval[bool](b, `stile.reject().then(() => true)`)
	for _, name := range eval[[]string](b, `[...document.querySelectorAll('stile-banner, stile-banner *, stile-dialog, stile-dialog *, stile-status, stile-room')].flatMap(el => [el.localName, '#' + el.id, ...[...el.classList].map(c => '.' + c)])`) {
		for _, listed := range []string{"cookie", "privacy", "consent", "gdpr", "ccpa", "cmp", "notice", "banner", "popup", "overlay", "modal"} {
			if name != "stile-banner" && strings.Contains(strings.ToLower(name), listed) {
				t.Errorf("%s is a name that filter lists look for", name)
			}
		}
	}
	for _, request := range w.asked() {
		for _, listed := range []string{"/cookie-banner", "/cookieconsent", "/cmp", "/consent-manager", "/cookie", "/consent", "/gdpr"} {
			if strings.Contains(request, listed) {
				t.Errorf("%s is a path that filter lists block", request)
			}
		}
	}
}

// After a choice on the page of preferences the way back leads to the site, not to the page itself.
func TestBackToSite(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	b.loads(func() { b.click(`form .b [value=none]`) })
	if got := eval[string](b, `document.querySelector('stile-page .h a').href`); got != shopURL+"/" {
		t.Errorf("back leads to %s", got)
	}
}
