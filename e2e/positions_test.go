package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	texts "github.com/stilehq/stile/banner"
)

var positions = []string{"bottom", "top", "corner", "top-corner", "centre"}

// longest are the n languages whose buttons have the most to say.
func longest(t *testing.T, n int) []string {
	t.Helper()
	length := map[string]int{}
	for _, lang := range texts.Languages() {
		w, err := texts.LoadWords(lang)
		if err != nil {
			t.Fatal(err)
		}
		length[lang] = utf8.RuneCountInString(w.RejectAll + w.AcceptAll + w.Choose)
	}
	list := texts.Languages()
	slices.SortFunc(list, func(a, b string) int { return length[b] - length[a] })
	return list[:n]
}

// reach tells what of a page cannot be got at: it does not scroll, or what is in sight is not what a pointer hits.
const reach = `(() => {
	const wrong = [], box = document.querySelector('stile-banner').getBoundingClientRect()
	for (const el of [document.documentElement, document.body]) {
		const s = getComputedStyle(el)
		if (s.overflow != 'visible' || s.position != 'static' || s.pointerEvents != 'auto' || el.style.cssText) wrong.push(el.tagName + ' was changed: ' + s.overflow + ' ' + el.style.cssText)
	}
	if (document.querySelector('[inert],[aria-hidden=true],:modal')) wrong.push('something is inert, hidden or behind a modal')
	scrollTo(0, 0)
	scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })
	const end = document.documentElement.scrollHeight - innerHeight
	if (end < 100 || Math.abs(scrollY - end) > 2) wrong.push('the page scrolls to ' + scrollY + ' of ' + end)
	const last = document.querySelector('[href="#last"]'), at = last.getBoundingClientRect()
	if (document.elementFromPoint(at.left + 3, at.top + at.height / 2) != last) {
		scrollBy(0, at.top - 20) // a banner in the middle or at the top: out from under it
		const now = last.getBoundingClientRect()
		const free = [...Array(Math.floor(end / 20))].some((_, i) => {
			scrollTo({ top: end - 20 * i, behavior: 'instant' })
			const r = last.getBoundingClientRect()
			return r.top > 0 && r.bottom < innerHeight && document.elementFromPoint(r.left + 3, r.top + r.height / 2) == last
		})
		if (!free) wrong.push('the last link is under the banner, however the page is scrolled: ' + now.top)
	}
	scrollTo(0, 0)
	// Beside the banner every point is the page's.
	for (let x = 5; x < innerWidth; x += 40) for (let y = 5; y < innerHeight; y += 40) {
		if ((x < box.left || x > box.right || y < box.top || y > box.bottom) && document.elementFromPoint(x, y)?.closest('stile-banner,stile-room')) return [...wrong, 'at ' + [x, y] + ' something of Stile is in the way']
	}
	return wrong
})()`

// B2, A6, E: at every position, on a phone and on a desktop, accept and reject look the same, nothing of the page is locked,
// and axe-core finds nothing, right to left too; at 320 by 256 every button is in sight: at the bottom in
// every language, elsewhere in those with the longest buttons.
func TestPositions(t *testing.T) {
	w := newWorld(t, settings{config: everyLanguage(nil), pages: plain()})
	b := w.open()
	for i, position := range positions {
		if i > 0 {
			w.reconfigure(func(text string) string {
				before, rest, _ := strings.Cut(text, "\nappearance: ")
				_, after, _ := strings.Cut(rest, "\n")
				return before + "\nappearance: {position: " + position + "}\n" + after
			}, "reloaded")
		}
		b.emptyCache()
		for _, screen := range screens {
			b.look(screen.width, screen.height, "light").visit(shopURL + "/test/-")
			for _, lang := range []string{"en", "el", "ar"} {
				what := strings.Join([]string{position, screen.name, lang}, " ")
				b.speak(lang)
				for _, wrong := range eval[[]string](b, prominence+`(document.querySelector('stile-banner'))`) {
					t.Errorf("%s: %s", what, wrong)
				}
				for _, wrong := range eval[[]string](b, reach) {
					t.Errorf("%s: %s", what, wrong)
				}
				if lang != "el" && screen.name == "phone" {
					b.theme("light").axe(what, "stile-banner")
					b.theme("dark").axeContrast(what+" dark", "stile-banner")
				}
			}
			b.do(chromedp.MouseEvent(chromedp.MouseWheel, 5, 5, wheel(200)))
			b.await(`scrollY > 50`)
		}
		b.look(320, 256, "light").visit(shopURL + "/test/-")
		small := texts.Languages()
		if i > 0 {
			small = longest(t, 12) // the position changes nothing between languages
		}
		for _, wrong := range eval[[]string](b, `(async () => {
			const wrong = []
			for (const lang of '`+strings.Join(small, " ")+`'.split(' ')) {
				document.adoptedStyleSheets = []
				const s = document.createElement('script')
				s.src = '`+consentURL+`/stile/shop.js?s=&lang=' + lang
				document.head.append(s)
				await new Promise((done, fail) => { s.onload = done; s.onerror = fail })
				if (document.querySelector('stile-banner section').lang != lang) wrong.push(lang + ' is not spoken')
				for (const w of `+inSight+`) wrong.push(lang + ': ' + w)
			}
			return wrong
		})()`) {
			t.Errorf("%s 320x256 %s", position, wrong)
		}
		b.decide(reject)
		w.received(nothing)
		b.forget()
	}
}

// WCAG 2.4.11 at the positions that TestFocusNotObscured leaves out: what has the focus is not under the banner.
func TestFocusNotObscuredElsewhere(t *testing.T) {
	for _, position := range []string{"top-corner", "centre"} {
		t.Run(position, func(t *testing.T) {
			w := newWorld(t, settings{config: appearance("{position: " + position + "}"), pages: plain()})
			b := w.open()
			for _, size := range [][2]int64{{320, 256}, {390, 844}, {1280, 800}} {
				b.look(size[0], size[1], "light").visit(shopURL + "/test/en")
				for _, way := range []string{"Tab", "Shift+Tab"} {
					for range 18 {
						if way == "Tab" {
							b.press(kb.Tab)
						} else {
							b.backTab()
						}
						if wrong := eval[string](b, underBanner); wrong != "" {
							t.Errorf("%dx%d %s: %s", size[0], size[1], way, wrong)
						}
					}
				}
			}
		})
	}
}

// E, B: from the first paint through the banner, the dialog and the choice nothing of the page moves, at any position.
func TestNoLayoutShift(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	// The demonstration's own figures are left out: they change while they are looked at, and take a line more at times. So is
	// system-ui, which a new renderer of Chromium's may be told late, and the page itself until the parser has all of it: what
	// was painted before moves by what is parsed next, while what cannot be seen does not count.
	b.onNewPage(`window.shifts = []
		const sheet = new CSSStyleSheet()
		sheet.replaceSync('.strip{display:none}html{font-family:"DejaVu Sans",sans-serif!important}')
		document.adoptedStyleSheets = [sheet]
		const unseen = new CSSStyleSheet()
		unseen.replaceSync('body>:not(stile-banner){visibility:hidden}')
		document.adoptedStyleSheets.push(unseen)
		addEventListener('DOMContentLoaded', () => { document.adoptedStyleSheets = document.adoptedStyleSheets.filter(s => s != unseen) })
		new PerformanceObserver(list => { for (const e of list.getEntries()) shifts.push(e.value + ' ' + e.sources.map(s => (s.node?.outerHTML?.slice(0, 60) || s.node?.nodeName) + JSON.stringify([s.previousRect, s.currentRect])).join()) }).observe({ type: 'layout-shift', buffered: true })`)
	still := func(when string) {
		t.Helper()
		for _, shift := range eval[[]string](b.frame(), `shifts.splice(0)`) {
			t.Errorf("%s: moved by %s", when, shift)
		}
	}
	for i, position := range positions {
		if i > 0 {
			w.reconfigure(func(text string) string {
				return appearance("{position: " + position + ", control: end}")(text)
			}, "reloaded")
		}
		for _, screen := range screens {
			what := fmt.Sprintf("%s %s ", position, screen.name)
			b.forget().emptyCache()
			b.look(screen.width, screen.height, "light").visit(shopURL + "/product/kettle")
			still(what + "banner")
			b.openDialog()
			still(what + "dialog")
			b.press(kb.Escape)
			still(what + "closed")
			b.decide(reject)
			still(what + "choice")
			b.visit(shopURL + "/basket")
			still(what + "next page")
		}
	}
	// The observer does see what moves.
	b.say(`document.body.prepend(Object.assign(document.createElement('p'), {textContent: 'moves', style: 'height:200px'}))`)
	b.await(`shifts.length > 0`)
}
