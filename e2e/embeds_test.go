package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// waiting is a frame that waits, with further attributes.
func waiting(id, attributes string) string {
	return fmt.Sprintf(`<iframe id=%s %s title="A film" data-stile="functional" data-src="https://video.example/embed/%s"></iframe>`, id, attributes, id)
}

const (
	post = `<template data-stile="functional" data-embed="Post Co"><p id=post>A post</p><script>window.posts = (window.posts || 0) + 1</script>` +
		`<img src="https://video.example/embed/post" alt="" width=40 height=40></template>`
	sized = `<style>.wide{width:100%;aspect-ratio:16/9;border:0;display:block} .grid{display:grid;grid-template-columns:1fr 2fr} .grid iframe{width:100%;height:220px}</style>`
)

// frames are the frames of the usual page of embeds, in order.
var frames = []string{"css", "attr", "percent", "sand", "plain"}

// embeds is the usual page of embeds; markup draws a frame that waits, or one that never will be loaded.
func embeds(markup func(id, attributes string) string) testPage {
	return testPage{head: sized, body: `<main><h1>Films</h1>` + markup("css", `class="wide"`) + markup("attr", `width=420 height=300`) +
		`<div class=grid><p>text</p>` + markup("percent", `width="100%" height=90`) + `</div>` +
		markup("sand", `width=400 height=240 sandbox="allow-scripts"`) + markup("plain", ``) + `<p id=after>After</p></main>`}
}

// held waits until a frame shows its placeholder, and returns what that says.
func (b *tab) held(id string) string {
	b.t.Helper()
	b.await(inFrame(id, ".g") + `?.textContent`)
	return eval[string](b, inFrame(id, "section")+`.innerText`)
}

// inFrame is the expression of what a selector finds in a frame.
func inFrame(id, selector string) string {
	return fmt.Sprintf(`document.querySelector('#%s')?.contentDocument?.querySelector('stile-embed %s')`, id, selector)
}

// clickIn clicks a button of a placeholder in a frame, as a person would.
func (b *tab) clickIn(id, value string) *tab {
	b.t.Helper()
	b.do(chromedp.ScrollIntoView(chromedp.CSS("#" + id)))
	at := eval[[]float64](b, `((f, r) => [f.left + f.width / 2 - f.width / 2 + document.querySelector('#`+id+`').clientLeft + r.left + r.width / 2, f.top + document.querySelector('#`+id+`').clientTop + r.top + r.height / 2])(`+
		`document.querySelector('#`+id+`').getBoundingClientRect(), `+inFrame(id, "[value="+value+"]")+`.getBoundingClientRect())`)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
	return b
}

// shifts notes layout shifts from the next page on, but for those of the shop's own head and foot, whose counters
// are live, and which is drawn while it is still being read.
func (b *tab) shifts() {
	b.t.Helper()
	b.onNewPage(`window.shifts = []; new PerformanceObserver(list => shifts.push(...list.getEntries().filter(e => e.sources.some(s => !s.node?.parentElement?.closest('.top, .strip') && s.node?.localName != 'footer')).map(e => e.value + ' ' + e.sources.map(s => s.node?.nodeName)))).observe({type: 'layout-shift', buffered: true})`)
}

func (b *tab) still(when string) {
	b.t.Helper()
	if got := eval[[]string](b, `shifts`); len(got) > 0 {
		b.t.Errorf("%s: layout shifts %q", when, got)
	}
}

const boxes = `[...document.querySelectorAll('main iframe, #after')].map(e => (r => e.id + ' ' + [r.x + scrollX, r.y + scrollY, r.width, r.height])(e.getBoundingClientRect()))`

// A1, B6: a film that waits for a choice has its box from the start, says who and why there, and asks nobody for anything.
// "Show this once" shows that one, on this page view, and writes nothing down.
func TestEmbedsOnce(t *testing.T) {
	plain := func(id, attributes string) string {
		return fmt.Sprintf(`<iframe id=%s %s title="A film"></iframe>`, id, attributes)
	}
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"films": embeds(waiting), "bare": embeds(plain)})})
	b := w.open()
	b.shifts()
	b.visit(shopURL + "/test/bare")
	want := eval[[]string](b, boxes)
	b.decide(reject)
	for range 2 {
		b.visit(shopURL + "/test/films")
		for _, id := range frames {
			text := b.held(id)
			for _, part := range []string{"video.example learns of your visit", "Show this once", "Always show"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s: the placeholder reads %q", id, text)
				}
			}
			if why := eval[string](b, inFrame(id, ".g")+`.textContent`); why != "Functional: offer extras such as videos and chat" {
				t.Errorf("%s: the purpose is %q", id, why)
			}
		}
		b.frame()
		if got := eval[[]string](b, boxes); !cmp.Equal(got, want) {
			t.Errorf("the boxes changed:\n%s", cmp.Diff(want, got))
		}
		b.still("placeholders")
		w.received(nothing)
		if jar := b.jar(); slices.Contains(jar, "video.example video_id") {
			t.Errorf("the film's company left a cookie: %q", jar)
		}

		before := eval[int](b, "history.length")
		b.clickIn("sand", "once")
		w.received(map[string]int{"video": 1})
		b.await(`document.querySelector('#sand').contentDocument == null`)
		if got := eval[string](b, `(f => f.getAttribute('sandbox') + ' ' + f.getAttribute('src') + ' ' + f.hasAttribute('srcdoc'))(document.querySelector('#sand'))`); got != "allow-scripts https://video.example/embed/sand false" {
			t.Errorf("the frame that was shown has %s", got)
		}
		b.clickIn("css", "once")
		w.received(map[string]int{"video": 2})
		b.await(`document.querySelector('#css').contentDocument == null`)
		if after := eval[int](b, "history.length"); after != before {
			t.Errorf("Back leads to the placeholder: the history had %d entries, and has %d", before, after)
		}
		if got := eval[[]string](b, boxes); !cmp.Equal(got, want) {
			t.Errorf("the boxes changed with the film:\n%s", cmp.Diff(want, got))
		}
		for _, id := range []string{"attr", "percent", "plain"} {
			b.held(id)
		}
		w.reset()
		w.loaded() // the browser may tell of a film after its company was asked
		b.granted()
	}
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want that of the refusal alone", n)
	}
}

// B5, C4, A9: "always show" grants what the film needs and keeps the rest of the choice; all its like are shown, at once and
// on later pages; taken back while it is shown, it is gone.
func TestEmbedsAlways(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"films": embeds(waiting)})})
	b := w.open().visit(shopURL + "/")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	for _, id := range frames {
		b.visit(shopURL + "/test/films").held(id)
	}
	w.reset()
	w.loaded()
	eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
	b.clickIn("attr", "always")
	eval[bool](b, `decided.then(() => true)`)
	b.settle()
	w.received(map[string]int{"video": len(frames), "chat": 1})
	b.granted("functional", "analytics")
	if got := b.decode(".shop.test", w.keys()...); !slices.Equal(got.Denied, []string{"marketing"}) {
		t.Errorf("the choice is %+v", got)
	}
	if n := w.records(); n != 2 {
		t.Errorf("%d records, want two", n)
	}
	b.views(shopURL+"/test/films", map[string]int{"video": len(frames), "chat": 1, "counter": 2})

	w.reset()
	w.loaded()
	b.loads(func() { b.say(`stile.accept(['analytics'])`) }).settle()
	for _, id := range frames {
		b.held(id)
	}
	w.received(map[string]int{"counter": 2})
}

// A1: a visitor who was not asked yet can show one film, is asked still, and can have films always: that is a choice.
func TestEmbedsUndecided(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"film": {body: waiting("one", "width=400 height=240") + waiting("two", "width=400 height=240") + post}})})
	b := w.open().visit(shopURL + "/test/film")
	b.held("one")
	b.clickIn("one", "once")
	b.await(`document.querySelector('#one').contentDocument == null`)
	w.received(map[string]int{"video": 1})
	if !b.shows(banner) || b.cookie("stile_shop") != nil {
		t.Errorf("showing a film once was taken for a choice: %q", b.jar())
	}

	// Elements that are added later wait as well.
	w.reset()
	b.say(`document.body.insertAdjacentHTML('beforeend', '` + waiting("late", "width=300 height=200") + `')`)
	if text := b.held("late"); !strings.Contains(text, "video.example") {
		t.Errorf("the placeholder of what was added later reads %q", text)
	}
	w.received(nothing)

	// A post: its placeholder stands where it would, and names the company that the page names.
	text := eval[string](b, `document.querySelector('body > stile-embed').innerText`)
	if !strings.Contains(text, "Post Co learns of your visit") || eval[bool](b, `!!document.querySelector('#post')`) {
		t.Errorf("the post's placeholder reads %q", text)
	}
	b.tap("body > stile-embed [value=once]").await(`document.querySelector('#post') && window.posts`)
	if n := eval[int](b, `document.querySelectorAll('body > stile-embed').length * 10 + posts`); n != 1 {
		t.Errorf("the post was shown %d times, or its placeholder stayed", n)
	}
	w.received(map[string]int{"video": 1})
	if n := w.records(); n != 0 {
		t.Errorf("%d records of films that were shown once", n)
	}

	w.reset()
	b.visit(shopURL + "/test/film").held("one")
	w.received(nothing)
	eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
	b.tap("body > stile-embed [value=always]")
	eval[bool](b, `decided.then(() => true)`)
	b.settle()
	w.received(map[string]int{"video": 3, "chat": 1})
	b.granted("functional")
	if b.shows(banner) || b.shows("body > stile-embed") {
		t.Error("the banner or the placeholder stays")
	}
}

// axeIn runs axe-core in the document of a frame.
func (b *tab) axeIn(what, id string) {
	b.t.Helper()
	src, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("axe-core is not installed: run npm ci in e2e: %v", err)
	}
	eval[bool](b, fmt.Sprintf(`(document.querySelector('#%s').contentWindow.eval(%q), true)`, id, src))
	for _, v := range eval[[]string](b, `document.querySelector('#`+id+`').contentWindow.axe.run({
		runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'],
	}).then(r => r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html.slice(0, 200) + ' ' + n.failureSummary).join('\n')))`) {
		b.t.Errorf("%s: %s", what, v)
	}
}

// E, B3, B8: placeholders speak the page's language as the banner does, in its direction, light and dark; the keyboard
// reaches them and works; nothing is cut off in a small one.
func TestEmbedsEverybody(t *testing.T) {
	pages := map[string]testPage{}
	for _, lang := range languages {
		pages[lang] = testPage{lang: lang, body: `<main><h1>A</h1><a id=start href="#x">link</a>` + waiting("one", "width=360 height=240") + waiting("small", "width=260 height=120") + post + `</main>`}
	}
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(pages)})
	b := w.open()
	words := map[string]string{"en": "Show this once", "de": "Einmal", "zh-Hans": "一次", "ar": "مرة"}
	for _, decided := range []bool{false, true} {
		if decided {
			b.decide(reject)
		}
		for _, lang := range languages {
			what := fmt.Sprintf("%s, decided %v", lang, decided)
			b.visit(shopURL + "/test/" + lang)
			text := b.held("one")
			b.await(`document.querySelector('main > stile-embed .g')?.textContent`)
			if !strings.Contains(text, words[lang]) || !strings.Contains(eval[string](b, `document.querySelector('main > stile-embed').innerText`), words[lang]) {
				t.Errorf("%s: the placeholder reads %q", what, text)
				continue
			}
			if got, want := eval[string](b, `(d => d.documentElement.lang + ' ' + d.querySelector('section').lang + ' ' + d.querySelector('section').dir)(document.querySelector('#one').contentDocument)`), lang+" "+lang+" "+direction(lang); got != want {
				t.Errorf("%s: lang and dir are %s, want %s", what, got, want)
			}
			if !decided {
				continue
			}
			for i, screen := range screens {
				for j, theme := range []string{"light", "dark"} {
					if *pictures == "" && i != j {
						continue
					}
					b.look(screen.width, screen.height, theme).frame()
					here := what + " " + screen.name + " " + theme
					b.axeIn(here, "one")
					b.axe(here+" post", "main > stile-embed")
					for _, wrong := range eval[[]string](b, contrast+`(document.querySelector('#one').contentDocument.body)`) {
						t.Errorf("%s: %s", here, wrong)
					}
					for _, wrong := range eval[[]string](b, `['one', 'small'].flatMap(id => {
						const d = document.querySelector('#' + id).contentDocument, box = d.querySelector('section'), wrong = []
						if (box.scrollWidth > box.clientWidth) wrong.push(id + ' scrolls sideways')
						if (d.documentElement.scrollHeight > d.documentElement.clientHeight) wrong.push(id + ': the document scrolls beside the box')
						for (const button of d.querySelectorAll('button')) {
							const r = button.getBoundingClientRect()
							if (d.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2) != button) wrong.push(id + ': ' + button.textContent + ' cannot be reached')
							if (r.height < 24) wrong.push(id + ': ' + button.textContent + ' is too small')
						}
						box.scrollTop = 0
						const top = box.firstElementChild.getBoundingClientRect().top
						if (top < 0) wrong.push(id + ': the text begins at ' + top)
						return wrong
					})`) {
						t.Errorf("%s: %s", here, wrong)
					}
					b.picture("embed-" + lang + "-" + screen.name + "-" + theme)
				}
			}
		}
	}
	b.visit(shopURL + "/test/en").held("small")
	w.received(nothing)
	eval[bool](b, `(document.querySelector('#start').focus(), true)`)
	for i := 0; !eval[bool](b, inFrame("one", "[value=once]")+` == document.querySelector('#one').contentDocument.activeElement && document.activeElement.id == 'one'`); i++ {
		if i > 5 {
			t.Fatal("Tab does not reach the placeholder")
		}
		b.press(kb.Tab)
	}
	if got := eval[string](b, `(d => getComputedStyle(d.activeElement).outlineStyle)(document.querySelector('#one').contentDocument)`); got != "solid" {
		t.Errorf("the focused button's outline is %s", got)
	}
	b.press(kb.Enter)
	w.received(map[string]int{"video": 1})
}

func direction(lang string) string {
	if lang == "ar" {
		return "rtl"
	}
	return "ltr"
}

// H: placeholders are drawn, styled and work under the security policies that sites have; a page whose own policy forbids
// the film gets no more than the browser's refusal of it.
func TestEmbedsCSP(t *testing.T) {
	const common = "default-src 'none'; style-src 'self'; connect-src " + consentURL + "; img-src https:; base-uri 'none'; form-action 'none'; "
	watch := `<script nonce=n0nce>window.violations = []; document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))</script>`
	pages := map[string]testPage{}
	for name, policy := range map[string]string{
		"nonce":     "frame-src https://video.example; script-src 'nonce-n0nce' 'strict-dynamic'",
		"hosts":     "frame-src https://video.example; script-src 'self' 'nonce-n0nce' " + consentURL,
		"types":     "frame-src https://video.example; script-src 'nonce-n0nce' 'strict-dynamic'; require-trusted-types-for 'script'; trusted-types stile",
		"forbidden": "frame-src 'none'; script-src 'nonce-n0nce' 'strict-dynamic'",
	} {
		body := strings.Replace(waiting("one", "width=400 height=240")+post, "<script", "<script nonce=n0nce", 1)
		pages[name] = testPage{csp: common + policy, script: "nonce=n0nce", head: watch, body: body}
	}
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(pages)})
	b := w.open().visit(shopURL + "/").decide(reject)
	thrown := b.errors()
	for name := range pages {
		w.reset()
		b.visit(shopURL + "/test/" + name)
		b.held("one")
		if got := eval[string](b, `(e => getComputedStyle(e).position + ' ' + e.getBoundingClientRect().width)(document.querySelector('#one').contentDocument.querySelector('stile-embed'))`); got != "fixed 400" {
			t.Errorf("%s: the placeholder is styled %q", name, got)
		}
		w.received(nothing)
		b.clickIn("one", "once").await(`document.querySelector('#one').contentDocument == null`)
		b.say(`document.querySelector('body > stile-embed [value=once]').click()`)
		b.await(`document.querySelector('#post')`)
		if name == "forbidden" {
			b.await(`violations.length`)
			if got := eval[[]string](b, `violations`); len(got) != 1 || !strings.HasPrefix(got[0], "frame-src https://video.example") {
				t.Errorf("%s: reported %q", name, got)
			}
			if n := w.parties.Count("video"); n > 1 { // the post's picture
				t.Errorf("the frame that the page forbids was asked for")
			}
			w.loaded()
			continue
		}
		w.received(map[string]int{"video": 2})
		b.frame()
		if got := eval[[]string](b, `violations`); len(got) > 0 {
			t.Errorf("%s: reported %q", name, got)
		}
		if got := eval[int](b, `window.posts || 0`); got != 1 {
			t.Errorf("%s: the post's script ran %d times", name, got)
		}
	}
	if got := thrown(); len(got) > 0 {
		t.Errorf("scripts threw %q", got)
	}
}

// B6: the shop's own film says in its place who and why, on a phone and on a desktop.
func TestShopFilm(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").decide(reject)
	for _, screen := range screens {
		for _, theme := range []string{"light", "dark"} {
			b.look(screen.width, screen.height, theme).visit(shopURL + "/product/kettle")
			b.await(`document.querySelector('.film iframe').contentDocument?.querySelector('stile-embed .g')?.textContent`)
			b.say(`document.querySelector('.film').scrollIntoView({block: 'center'})`)
			b.frame()
			if got := eval[string](b, `(r => document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2).localName + ' ' + getComputedStyle(document.querySelector('.film iframe')).visibility)(document.querySelector('.film').getBoundingClientRect())`); got != "iframe visible" {
				t.Errorf("%s: in the film's place is %s", screen.name, got)
			}
			b.picture("film-" + screen.name + "-" + theme)
		}
	}
	w.received(nothing)
}
