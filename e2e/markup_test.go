package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// markup is a page with one of each kind of markup that waits for a category. {c} stands for the category, {id} for a name.
// What has a src asks for /test/{js,frame,gif,css,film}/{id}; scripts push {id} to window.ran.
var markup = map[string]string{
	"inline":     `<script type="text/plain" data-stile="{c}">(window.ran=window.ran||[]).push("{id}")</script>`,
	"src":        `<script type="text/plain" data-stile="{c}" data-src="/test/js/{id}"></script>`,
	"own-src":    `<script type="text/plain" data-stile="{c}" src="/test/js/{id}"></script>`,
	"async":      `<script type="text/plain" data-stile="{c}" data-src="/test/js/{id}" async></script>`,
	"defer":      `<script type="text/plain" data-stile="{c}" data-src="/test/js/{id}" defer></script>`,
	"module":     `<script type="text/plain" data-type="module" data-stile="{c}">import.meta.url;(window.ran=window.ran||[]).push("{id}")</script>`,
	"iframe":     `<iframe data-stile="{c}" data-src="/test/frame/{id}" title="{id}"></iframe>`,
	"img":        `<img data-stile="{c}" data-src="/test/gif/{id}" alt="">`,
	"object":     `<object data-stile="{c}" data-href="" data-stile-data="/test/frame/{id}"></object>`, // as the gate writes it
	"template":   `<template data-stile="{c}"><script async src="/test/js/{id}"></script><script>(window.ran=window.ran||[]).push("{id}-inline")</script></template>`,
	"module-src": `<script type="text/plain" data-type="module" data-stile="{c}" data-src="/test/js/{id}"></script>`,
	"link":       `<link rel="stylesheet" data-stile="{c}" data-href="/test/css/{id}">`,
	"srcset":     `<img data-stile="{c}" data-srcset="/test/gif/{id} 1x" alt="">`,
	"video":      `<video data-stile="{c}" data-src="/test/film/{id}" preload="auto"></video>`,
	"source":     `<video data-stile="{c}" data-poster="/test/gif/{id}" preload="auto"><source data-src="/test/film/{id}"></video>`,
	"own-source": `<video preload="auto"><source data-stile="{c}" data-src="/test/film/{id}"></video>`,
	"audio":      `<audio data-stile="{c}" preload="auto" controls><source data-src="/test/film/{id}"></audio>`,
	// as the gate writes them
	"style":      `<p data-stile="{c}" data-href="" style="height: 9px; background: url(about:invalid#/test/gif/{id})"></p>`,
	"sheet":      `<style data-stile="{c}" data-href="">.{c}-sheet { height: 9px; background: url("about:invalid#/test/gif/{id}") }</style><p class="{c}-sheet"></p>`,
	"background": `<table data-stile="{c}" data-href="" data-stile-background="/test/gif/{id}"><tr><td>x</table>`,
	// vanilla-cookieconsent
	"cc":         `<script type="text/plain" data-category="{c}">(window.ran=window.ran||[]).push("{id}")</script>`,
	"cc-src":     `<script type="text/plain" data-category="{c}" data-src="/test/js/{id}" data-service="Some Service"></script>`,
	"cc-service": `<script type="text/plain" data-category="nothing-like-it" data-service="{service}">(window.ran=window.ran||[]).push("{id}")</script>`,
	// klaro
	"klaro":        `<script type="text/plain" data-type="application/javascript" data-name="{c}">(window.ran=window.ran||[]).push("{id}")</script>`,
	"klaro-src":    `<script type="text/plain" data-type="text/javascript" data-name="{service}" data-src="/test/js/{id}"></script>`,
	"klaro-img":    `<img data-name="{service}" data-src="/test/gif/{id}" alt="">`,
	"klaro-link":   `<link rel="stylesheet" data-name="{service}" data-href="/test/css/{id}">`,
	"klaro-iframe": `<iframe data-name="{c}" data-src="/test/frame/{id}" title="{id}"></iframe>`,
}

// services are a tag of each category.
var services = map[string]string{"functional": "Chat", "analytics": "House counter", "marketing": "Pixel A"}

// markupPage has every kind of markup in every category; ids are {kind}.{category}.
func markupPage(kinds []string) (body string) {
	for _, kind := range kinds {
		for category, service := range services {
			body += strings.NewReplacer("{c}", category, "{id}", kind+"."+category, "{service}", service).Replace(markup[kind]) + "\n"
		}
	}
	return body
}

func markupKinds() (kinds []string) {
	for kind := range markup {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// ran is what the page's own list says that ran, sorted, and what ran twice.
func (b *tab) ran() []string {
	b.t.Helper()
	list := eval[[]string](b, `window.ran || []`)
	slices.Sort(list)
	return list
}

// A1, H: markup of every kind is inert until its category is granted, then runs once; of the other categories nothing does.
func TestA1Markup(t *testing.T) {
	served := newServed()
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: markupPage(markupKinds())}})})
	for category := range services {
		t.Run(category, func(t *testing.T) {
			served.reset()
			b := w.openIn(t).visit(shopURL + "/test/page")
			if got := served.list(); len(got) > 0 {
				t.Errorf("before a choice the page asked for %q", got)
			}
			if got := b.ran(); len(got) > 0 {
				t.Errorf("before a choice ran %q", got)
			}
			eval[bool](b, `stile.accept(["`+category+`"]).then(() => true)`)
			var want, asked []string
			for _, kind := range markupKinds() {
				id := kind + "." + category
				for range strings.Count(markup[kind], "/test/") {
					asked = append(asked, id)
				}
				for sign, name := range map[string]string{"/test/js/": id, `push("{id}")`: id, `push("{id}-inline")`: id + "-inline"} {
					if strings.Contains(markup[kind], sign) {
						want = append(want, name)
					}
				}
			}
			slices.Sort(want)
			w.until("the markup", func() bool { return len(served.list()) >= len(asked) && len(b.ran()) >= len(want) })
			b.settle()
			if got := served.list(); !cmp.Equal(got, asked) {
				t.Errorf("asked for, other than expected:\n%s", cmp.Diff(asked, got))
			}
			if got := b.ran(); !cmp.Equal(got, want) {
				t.Errorf("ran, other than expected:\n%s", cmp.Diff(want, got))
			}

			// The same choice again, and a change somewhere in the page: once only.
			eval[bool](b, `stile.accept(["`+category+`"]).then(() => (document.body.append('x'), true))`)
			b.settle()
			if got := served.list(); len(got) != len(asked) {
				t.Errorf("after the same choice again: %q", got)
			}
			if got := b.ran(); len(got) != len(want) {
				t.Errorf("after the same choice again ran %q", got)
			}

			// The next page: at once, without a click.
			served.reset()
			b.visit(shopURL + "/test/page")
			w.until("the markup", func() bool { return len(served.list()) >= len(asked) && len(b.ran()) >= len(want) })
			b.settle()
			if got := served.list(); !cmp.Equal(got, asked) {
				t.Errorf("on the next page:\n%s", cmp.Diff(asked, got))
			}
			if got := b.ran(); len(got) != len(want) {
				t.Errorf("on the next page ran %q", got)
			}
		})
	}
}

// A2: after a refusal nothing of the markup wakes up, and a name that is empty or unknown is no permission.
func TestA2Markup(t *testing.T) {
	served := newServed()
	body := markupPage(markupKinds()) + strings.NewReplacer("{c}", "", "{id}", "empty", "{service}", "").Replace(markup["src"]+markup["iframe"]+markup["cc-src"]+markup["klaro-src"]+markup["template"]) +
		strings.NewReplacer("{c}", "analytics2", "{id}", "unknown").Replace(markup["src"]+markup["cc-src"])
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: body}})})
	b := w.open().visit(shopURL + "/test/page")
	for _, step := range []string{"before a choice", "after a refusal", "on the next page"} {
		switch step {
		case "after a refusal":
			b.decide(reject)
		case "on the next page":
			b.visit(shopURL + "/test/page")
		}
		if got := served.list(); len(got) > 0 {
			t.Errorf("%s the page asked for %q", step, got)
		}
		if got := b.ran(); len(got) > 0 {
			t.Errorf("%s ran %q", step, got)
		}
		for _, name := range []string{"", " ", "functional", "chat", "-", "!"} {
			if eval[bool](b, fmt.Sprintf(`stile.allows(%q)`, name)) {
				t.Errorf("%s %q is allowed", step, name)
			}
		}
	}
	if !eval[bool](b, `stile.allows('necessary')`) {
		t.Error("what is necessary is not allowed")
	}
}

// The film of the shop's product page comes with its category, and not before (A1).
func TestA1Film(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/product/kettle")
	if got := eval[string](b, `document.querySelector('iframe[data-stile]').src`); got != "" {
		t.Errorf("before a choice the frame shows %q", got)
	}
	eval[bool](b, `stile.accept(['functional']).then(() => true)`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.parties.Wait(ctx, "video", 1); err != nil {
		t.Error("the film does not come")
	}
	// Taken back, it goes (A9, C3): the frame is not left running.
	b.loads(func() { b.say(`stile.reject()`) }).settle()
	if got := eval[string](b, `document.querySelector('iframe[data-stile]').src`); got != "" {
		t.Errorf("after a refusal the frame still shows %q", got)
	}
}

// A9, C3: markup that ran is taken back with its category, where no tag of the configuration asks for a reload.
func TestA9MarkupTakenBack(t *testing.T) {
	served := newServed()
	body := strings.NewReplacer("{c}", "marketing", "{id}", "frame").Replace(markup["iframe"]) + `<script>addEventListener('pagehide', () => sessionStorage.went = 1)</script>`
	noTags := func(text string) string { return sharedCookie(text[:strings.Index(text, "\ntags:")+1]) }
	w := newWorld(t, settings{config: noTags, pages: served.with(map[string]testPage{"page": {body: body}})})
	b := w.open().visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept(['marketing', 'analytics']).then(() => true)`)
	w.until("the frame", func() bool { return len(served.list()) == 1 })
	eval[bool](b, `stile.accept(['marketing']).then(() => true)`)
	if eval[bool](b, `!!sessionStorage.went`) {
		t.Error("the page was loaded anew although everything that ran is still granted")
	}
	b.loads(func() { b.say(`stile.accept(['analytics'])`) }).settle()
	if got := eval[string](b, `document.querySelector('iframe[data-stile]').src`); got != "" {
		t.Errorf("after it was taken back the frame still shows %q", got)
	}
}

// H: scripts of a category run in the order of the page, as they would without Stile: what follows a script with a src
// waits for it, unless that is async; one that is missing or never comes does not hold up another category.
func TestMarkupOrder(t *testing.T) {
	served := newServed()
	push := func(id string) string { return `(window.ran=window.ran||[]).push("` + id + `")` }
	body := `<script type="text/plain" data-stile="analytics" data-src="/test/js/slow-first"></script>
<script type="text/plain" data-stile="analytics">` + push("second") + `</script>
<script type="text/plain" data-stile="analytics" data-src="/test/missing"></script>
<script type="text/plain" data-stile="analytics" data-src="/test/js/fourth"></script>
<template data-stile="analytics"><p id=kept>A widget</p><script src="/test/js/slow-fifth"></script><script>` + push("sixth") + `</script></template>
<script type="text/plain" data-stile="functional" data-src="/test/js/hang"></script>
<script type="text/plain" data-stile="functional">` + push("never") + `</script>`
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: body}})})
	t.Cleanup(served.release)
	b := w.open().visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept(['analytics', 'functional']).then(() => true)`)
	b.await(`window.ran?.length >= 5`)
	want := []string{"slow-first", "second", "fourth", "slow-fifth", "sixth"}
	if got := eval[[]string](b, `window.ran`); !cmp.Equal(got, want) {
		t.Errorf("they ran as %q, want %q", got, want)
	}
	if !b.shows("#kept") {
		t.Error("what else a template holds is gone")
	}
}

// H: markup that is added later is found, before and after the choice.
func TestMarkupLater(t *testing.T) {
	served := newServed()
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: `<div id=app></div>`}})})
	b := w.open().visit(shopURL + "/test/page")
	some := func(id string) string {
		return strings.NewReplacer("{c}", "analytics", "{id}", id).Replace(markup["iframe"] + markup["src"])
	}
	add := func(id string) {
		eval[bool](b, fmt.Sprintf(`(document.querySelector('#app').insertAdjacentHTML('beforeend', '<div>%s</div>'), true)`, some(id)))
		b.frame()
	}
	add("early")
	if got := served.list(); len(got) > 0 {
		t.Errorf("before the choice the page asked for %q", got)
	}
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	add("late")
	w.until("the markup", func() bool { return len(served.list()) >= 4 })
	b.settle()
	if got, want := served.list(), []string{"early", "early", "late", "late"}; !cmp.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	// In another body, as Turbo and its like put one in place of the old.
	served.reset()
	b.say(fmt.Sprintf(`document.documentElement.replaceChild(Object.assign(document.createElement('body'), {innerHTML: '%s'}), document.body)`, some("turbo")))
	w.until("the markup of the new body", func() bool { return len(served.list()) >= 2 })
	b.settle()
	if got, want := served.list(), []string{"turbo", "turbo"}; !cmp.Equal(got, want) {
		t.Errorf("of the new body asked for %q, want %q", got, want)
	}
}

// A script keeps its other attributes, its place and its nonce.
func TestMarkupAttributes(t *testing.T) {
	served := newServed()
	body := `<div id=place><script type="text/plain" data-stile="analytics" data-src="/test/js/a" id="own" class="k" crossorigin="anonymous" referrerpolicy="no-referrer" data-account="7" nonce="n0nce"></script></div>`
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: body}})})
	b := w.open().visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	w.until("the script", func() bool { return len(served.list()) == 1 })
	got := eval[map[string]string](b, `(() => { const s = document.querySelector('#place > script'); return {id: s.id, class: s.className,
		cross: s.crossOrigin, referrer: s.referrerPolicy, account: s.dataset.account, nonce: s.nonce} })()`)
	want := map[string]string{"id": "own", "class": "k", "cross": "anonymous", "referrer": "no-referrer", "account": "7", "nonce": "n0nce"}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

// H: digests are kept: what fits runs, what does not is refused by the browser, which says so, and the rest goes on in order.
func TestMarkupIntegrity(t *testing.T) {
	served := newServed()
	wait := func(id, attributes string) string {
		return fmt.Sprintf(`<script type="text/plain" data-stile="analytics" data-src="/test/js/%s" %s></script>`, id, attributes)
	}
	body := wait("slow-right", `integrity="`+digest("slow-right")+`"`) + wait("wrong", `integrity="`+digest("other")+`" crossorigin`) +
		`<script type="text/plain" data-stile="analytics">(window.ran=window.ran||[]).push("inline")</script>` +
		wait("last", `integrity="`+digest("last")+`" crossorigin="anonymous"`)
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: body}})})
	b := w.open()
	said := b.console()
	b.visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.await(`window.ran?.includes('last')`)
	if got, want := eval[[]string](b, `window.ran`), []string{"slow-right", "inline", "last"}; !cmp.Equal(got, want) {
		t.Errorf("they ran as %q, want %q", got, want)
	}
	w.until("the browser's word", func() bool { return len(said()) > 0 })
	if got := said(); len(got) != 1 || !strings.Contains(got[0], "integrity") || !strings.Contains(got[0], "/test/js/wrong") {
		t.Errorf("the console says %q", got)
	}
}

// H: of a mixed list each kind keeps its own attributes, and those that load at once do not wait for a slow script.
func TestMarkupMixed(t *testing.T) {
	served := newServed()
	body := `<script type="text/plain" data-stile="analytics" data-src="/test/js/hang" id="first" defer></script>
<script type="text/plain" data-stile="analytics" data-src="/test/js/free" id="second" async onload="window.told = this.id"></script>
<img id="picture" data-stile="analytics" data-src="/test/gif/p" alt="A" referrerpolicy="no-referrer" crossorigin="anonymous" loading="eager" data-own="1">
<iframe id="frame" data-stile="analytics" data-src="/test/frame/f" title="f" allow="fullscreen" referrerpolicy="origin" sandbox=""></iframe>
<link id="sheet" rel="stylesheet" data-stile="analytics" data-href="/test/css/s" media="screen" crossorigin="anonymous" integrity="` + digestOf(sheet) + `">
<a id="link" data-stile="analytics" data-href="/test/page">x</a><a id="smuggled" data-stile="analytics" data-href=" java&#9;script:alert(1)">x</a>
<script type="text/plain" data-stile="analytics" id="third">(window.ran=window.ran||[]).push("third")</script>`
	w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": {body: body}})})
	b := w.open().visit(shopURL + "/test/page")
	if got := eval[string](b, `getComputedStyle(document.body).color`); got == "rgb(1, 2, 3)" {
		t.Error("the style sheet applies before a choice")
	}
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.await(`window.told && getComputedStyle(document.body).color == 'rgb(1, 2, 3)'`)
	w.until("all of it", func() bool { return len(served.list()) == 5 })
	if got, want := eval[[]string](b, `window.ran`), []string{"free"}; !cmp.Equal(got, want) {
		t.Errorf("while the first is on its way ran %q, want %q", got, want)
	}
	served.release()
	b.await(`window.ran.length == 2`)
	got := eval[map[string]string](b, `(() => { const [first, second, picture, frame, sheet] = ['first', 'second', 'picture', 'frame', 'sheet'].map(id => document.getElementById(id))
		return {defer: first.hasAttribute('defer') + '', async: second.hasAttribute('async') + '', told: window.told,
			picture: [picture.referrerPolicy, picture.crossOrigin, picture.loading, picture.alt, picture.dataset.own, picture.dataset.src].join(),
			links: ['link', 'smuggled'].map(id => document.getElementById(id).getAttribute('href')).join(),
			frame: [frame.getAttribute('allow'), frame.referrerPolicy, frame.getAttribute('sandbox'), frame.dataset.src].join(), sheet: [sheet.media, sheet.crossOrigin, sheet.integrity.slice(0, 7)].join()} })()`)
	want := map[string]string{"defer": "true", "async": "true", "told": "second", "picture": "no-referrer,anonymous,eager,A,1,", "links": "/test/page,", "frame": "fullscreen,origin,,", "sheet": "screen,anonymous,sha384-"}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

// A1, B5: what asks for a tag that the visitor switched off by itself waits, though its category is granted; what asks for
// the contrary of a category or a service ("!") is let in once that was declined: not before a choice, not after a grant,
// and never for a name that nobody knows.
func TestMarkupDeclined(t *testing.T) {
	push := func(id, attributes string) string {
		return `<script type="text/plain" ` + attributes + `>(window.ran=window.ran||[]).push("` + id + `")</script>`
	}
	body := push("pixel-b", `data-category="marketing" data-service="Pixel B"`) + push("klaro-b", `data-name="pixel-b"`) + push("stile-b", `data-stile="pixel-b"`) +
		push("pixel-a", `data-category="marketing" data-service="Pixel A"`) + push("marketing", `data-category="marketing"`) +
		push("not-analytics", `data-category="!analytics"`) + push("not-marketing", `data-stile="!marketing"`) +
		push("not-a", `data-category="marketing" data-service="!Pixel A"`) + push("not-b", `data-category="marketing" data-service="!Pixel B"`) +
		push("not-unknown", `data-category="!nothing-like-it"`) + push("not-empty", `data-category="!"`) + push("not-necessary", `data-category="!necessary"`)
	w := newWorld(t, settings{
		config: func(text string) string { return sharedCookie(text) + "\nper_vendor: true\n" },
		pages:  testPages(map[string]testPage{"page": {body: body}}),
	})
	first := w.open()
	expect := func(b *tab, when string, want ...string) {
		t.Helper()
		if len(want) > 0 {
			b.await(fmt.Sprintf(`window.ran?.length >= %d`, len(want)))
		}
		slices.Sort(want)
		if got := b.settle().ran(); !slices.Equal(got, want) {
			t.Errorf("%s ran %q, want %q", when, got, want)
		}
	}
	for _, tt := range []struct {
		name   string
		choose func(b *tab)
		want   []string
	}{
		{"refused", func(b *tab) { b.decide(reject) }, []string{"not-analytics", "not-marketing", "not-a", "not-b"}},
		{"all accepted", func(b *tab) { b.decide(accept) }, []string{"pixel-a", "pixel-b", "klaro-b", "stile-b", "marketing"}},
		{"one switched off", func(b *tab) {
			b.openDialog().say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
			b.click("stile-dialog [value=marketing]").click("stile-dialog [value=pixel-b]").decide(dialogSave)
		}, []string{"pixel-a", "marketing", "not-analytics", "not-b"}},
	} {
		b := first.stranger().visit(shopURL + "/test/page")
		expect(b, "before a choice, then "+tt.name)
		tt.choose(b)
		expect(b, tt.name, tt.want...)
		b.visit(shopURL + "/test/page")
		expect(b, "on the page after "+tt.name, tt.want...)
	}
}

// B9: any button or link that says so opens the preferences, and a link does not lead away.
func TestB9Openers(t *testing.T) {
	for name, opener := range map[string]string{
		"stile button":          `<button id=opener data-stile-open><span id=inside>Cookies</span></button>`,
		"stile link":            `<a id=opener href="/elsewhere" data-stile-open><span id=inside>Cookies</span></a>`,
		"vanilla-cookieconsent": `<button id=opener type=button data-cc="show-preferencesModal"><span id=inside>Cookies</span></button>`,
		"its consent modal":     `<button id=opener type=button data-cc="show-consentModal"><span id=inside>Cookies</span></button>`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"page": {body: opener}})})
			b := w.open().visit(shopURL + "/test/page")
			b.decide(reject)
			b.click("#inside")
			b.visible(dialog)
			if got := eval[string](b, `location.pathname`); got != "/test/page" {
				t.Errorf("the page is %s now", got)
			}
			b.press("\x1b")
			if got := eval[string](b, `document.activeElement.id`); got != "opener" {
				t.Errorf("after Escape the focus is on %q, want the opener", got)
			}
		})
	}
}

// H: where a page puts another body in place of its own (Turbo and its like), the banner moves along until there is a choice,
// and does not come back after it.
func TestBodyReplaced(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	replace := func() {
		b.say(`document.documentElement.replaceChild(document.createElement('body'), document.body)`)
		b.frame()
	}
	replace()
	if got := eval[string](b, `document.body.firstElementChild?.localName + getComputedStyle(document.body.firstElementChild).position`); got != "stile-bannerfixed" {
		t.Errorf("the new body begins with %q", got)
	}
	b.decide(reject)
	replace()
	if eval[bool](b, `!!document.querySelector('stile-banner, stile-room')`) {
		t.Error("after the choice the banner comes back")
	}
}
