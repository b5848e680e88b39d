package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// films is a page of films that wait, or that never will be loaded, in several places of a page.
func films(waits bool) string {
	video := func(id, attributes string) string {
		if !waits {
			return `<video id=` + id + ` ` + attributes + `></video>`
		}
		return `<video id=` + id + ` ` + attributes + ` data-stile="functional" data-embed="Film Ltd" preload="auto"><source data-src="/test/film/` + id + `"></video>`
	}
	return `<main><h1>Films</h1><p>before ` + video("line", `width=400 height=240 controls`) + ` after</p>` +
		`<div class=grid><p>text</p>` + video("cell", `class=cell`) + `</div>` + video("wide", `class=wide controls`) +
		`<div class=flex><p>text</p>` + video("flex", `width=300 height=200`) + `</div>` + video("small", `width=280 height=120`) + `<p id=after>After</p></main>`
}

const filmBoxes = `[...document.querySelectorAll('main p, main h1, main video, main stile-embed')].filter(e => !e.closest('stile-embed p') && e.getClientRects().length).map(e => (r => (e.localName == 'p' ? 'p ' : 'box ') + [r.x + scrollX, r.y + scrollY, r.width, r.height].map(n => Math.round(n * 10) / 10))(e.getBoundingClientRect()))`

// A1, B6: a video that waits has a placeholder of its very size, in its very place; the keyboard reaches it, "once" loads that
// one alone and is not drawn over again, "always" grants what it needs.
func TestVideos(t *testing.T) {
	served := newServed()
	const sizes = `<style>video{display:block;background:#000} #line{display:inline} .wide{width:100%;aspect-ratio:16/9;margin:12px 0} .grid{display:grid;grid-template-columns:1fr 2fr} .cell{grid-area:1/2;width:100%;height:220px} .flex{display:flex;gap:8px}</style>`
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"films": {head: sizes, body: films(true)}, "bare": {head: sizes, body: films(false)}})})
	b := w.open()
	b.shifts()
	b.visit(shopURL + "/test/bare")
	want := eval[[]string](b, filmBoxes)
	b.decide(reject)
	thrown := b.errors()

	b.visit(shopURL + "/test/films").await(`document.querySelectorAll('main stile-embed').length == 5`)
	b.frame()
	if got := eval[[]string](b, filmBoxes); !cmp.Equal(got, want) {
		t.Errorf("the boxes changed:\n%s", cmp.Diff(want, got))
	}
	b.still("placeholders")
	if text := eval[string](b, `document.querySelector('#line + stile-embed').innerText`); !strings.Contains(text, "Film Ltd learns of your visit") {
		t.Errorf("the placeholder reads %q", text)
	}
	for _, wrong := range eval[[]string](b, `[...document.querySelectorAll('main stile-embed')].flatMap(host => [...host.querySelectorAll('button')].flatMap(button => {
		button.scrollIntoView({block: 'center'})
		const r = button.getBoundingClientRect()
		return document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2) == button ? [] : [host.previousSibling.id + ': ' + button.textContent + ' cannot be reached']
	}))`) {
		t.Error(wrong)
	}
	if got := served.list(); len(got) > 0 {
		t.Errorf("before a grant the page asked for %q", got)
	}

	// Tab and Enter: that film alone, and the focus is on it.
	b.say(`document.querySelector('#line + stile-embed [value=once]').focus()`)
	b.press(kb.Enter)
	w.until("the film", func() bool { return len(served.list()) > 0 })
	b.settle().say(`document.body.append('more')`)
	b.settle()
	if got, want := served.list(), []string{"line"}; !cmp.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	if got := eval[string](b, `document.activeElement.id + ' ' + document.querySelectorAll('main stile-embed').length`); got != "line 4" {
		t.Errorf("the focus and the placeholders that are left: %s", got)
	}
	// Without controls a film takes no focus by itself.
	b.say(`document.querySelector('#cell + stile-embed [value=once]').focus()`)
	b.press(kb.Enter)
	b.await(`document.activeElement.id == 'cell'`)
	w.until("the second film", func() bool { return slices.Contains(served.list(), "cell") })
	if got := eval[[]string](b, filmBoxes); !cmp.Equal(got, want) {
		t.Errorf("with films shown the boxes changed:\n%s", cmp.Diff(want, got))
	}
	b.granted()
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want that of the refusal alone", n)
	}

	served.reset()
	eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
	b.click("#wide + stile-embed [value=always]")
	eval[bool](b, `decided.then(() => true)`)
	w.until("the other films", func() bool { return len(served.list()) >= 3 })
	b.settle()
	if got, want := served.list(), []string{"flex", "small", "wide"}; !cmp.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	b.granted("functional")
	if got := eval[[]string](b, filmBoxes); !cmp.Equal(got, want) || b.shows("main stile-embed") {
		t.Errorf("with all films the boxes changed:\n%s", cmp.Diff(want, got))
	}
	b.still("films")
	if got := thrown(); len(got) > 0 {
		t.Errorf("scripts threw %q", got)
	}
}

// A1: a choice that is made while the placeholders are still being fetched holds: what it lets in is not drawn over.
func TestEmbedsOvertaken(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"film": {body: waiting("one", "width=400 height=240")}})})
	b := w.open().visit(shopURL + "/").decide(reject)
	b.onNewPage(`addEventListener('DOMContentLoaded', () => {
		// Placeholders are asked for and come once they are let through.
		const append = document.head.append
		document.head.append = function (el) {
			if (!/page\.js/.test(el.src)) return append.call(this, el)
			window.later = () => append.call(this, el)
		}
	})`)
	b.load(shopURL + "/test/film").await(`window.later`)
	eval[bool](b, `stile.accept(['functional']).then(() => true)`)
	w.received(map[string]int{"video": 1, "chat": 1})
	b.say(`later()`)
	b.settle()
	if got := eval[string](b, `(f => f.hasAttribute('srcdoc') + ' ' + f.getAttribute('src'))(document.querySelector('#one'))`); got != "false https://video.example/embed/one" {
		t.Errorf("the film's frame has srcdoc and src %s", got)
	}
}
