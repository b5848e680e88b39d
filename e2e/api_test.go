package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// noting is a page script that writes down in window.log what it is told: by a listener from before Stile (an event), by one
// from right after it, and by ready.
const noting = `<script>
	window.log = []
	document.addEventListener('stile:choice', e => log.push('event ' + e.detail.choice.granted + ' first ' + e.detail.first))
	stile.on('choice', c => log.push('early ' + c.made + ' ' + c.granted))
	stile.ready.then(c => log.push('ready ' + c.made + ' ' + c.granted))
</script>`

// window.stile before, at and after a choice, and on the next page.
func TestAPI(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"page": {head: noting}})})
	b := w.open().visit(shopURL + "/test/page")
	log := func(when string, want ...string) {
		t.Helper()
		got := eval[[]string](b, `log.splice(0)`)
		slices.Sort(got)
		slices.Sort(want)
		if !cmp.Equal(got, want) {
			t.Errorf("%s the page was told:\n%s", when, cmp.Diff(want, got))
		}
	}
	log("before a choice", "early false ", "ready false ")
	if got := eval[string](b, `JSON.stringify(stile.choice)`); got != `{"made":false,"granted":[],"denied":["functional","analytics","marketing"],"gpc":false}` {
		t.Errorf("before a choice it is %s", got)
	}
	for _, change := range []string{`stile.choice.granted.push('x')`, `'use strict'; stile.choice.made = true`, `'use strict'; stile.choice.granted = []`, `stile.choice.denied.pop()`} {
		if !eval[bool](b, fmt.Sprintf(`(() => { try { (0, eval)(%q); return false } catch (e) { return e instanceof TypeError } })()`, change)) {
			t.Errorf("%s is no error", change)
		}
	}

	if got := eval[string](b, `stile.accept(['analytics']).then(c => JSON.stringify(c))`); got != `{"granted":["analytics"],"denied":["functional","marketing"]}` {
		t.Errorf("accept gives %s", got)
	}
	b.settle()
	log("after accept", "early true analytics", "event analytics first true")
	b.say(`stile.on('choice', c => log.push('late ' + c.made + ' ' + c.granted))`)
	log("a late listener", "late true analytics")
	for name, want := range map[string]bool{"necessary": true, "analytics": true, "Analytics": true, "house-counter": true, "House counter": true, "marketing": false, "pixel-a": false, "chat": false, "loyalty": false, "what": false} {
		if got := eval[bool](b, fmt.Sprintf(`stile.allows(%q)`, name)); got != want {
			t.Errorf("allows(%q) is %v", name, got)
		}
	}
	if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, map[string]string{"house-counter": "running"}) {
		t.Errorf("stile.tags is %v", got)
	}
	w.received(map[string]int{"counter": 2})

	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	log("after accepting all", "early true functional,analytics,marketing", "late true functional,analytics,marketing", "event functional,analytics,marketing first false")
	w.received(all)

	// What cannot be stopped ends with the page: the promise need not survive, the choice does.
	b.loads(func() { b.say(`stile.withdraw()`) }).settle()
	log("the page after a withdrawal", "early true ", "ready true ")
	b.granted()
	if !strings.Contains(eval[string](b, `JSON.stringify(stile.choice)`), `"made":true`) {
		t.Error("a withdrawal is no choice")
	}
	eval[bool](b, `stile.accept(['functional']).then(() => true)`)
	b.granted("functional")
	b.settle().loads(func() { b.say(`stile.reject()`) }).settle()
	b.granted()

	// show resolves when the dialog is there, and twice opens one.
	if !eval[bool](b, `Promise.all([stile.show(), stile.show()]).then(() => document.querySelectorAll('stile-dialog dialog[open]').length == 1)`) {
		t.Error("show does not open one dialog")
	}
}

// After a choice in the banner the interface goes on working, on the same page.
func TestAPIAfterBanner(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(reject)
	eval[bool](b, `stile.accept(['marketing']).then(() => true)`)
	b.granted("marketing")
	eval[bool](b, `stile.accept(['marketing', 'analytics']).then(() => true)`)
	b.granted("analytics", "marketing")
	if n := w.records(); n != 3 {
		t.Errorf("there are %d records, want 3", n)
	}
}

// A listener that throws breaks neither the others nor the gate, and its error is told.
func TestAPIListenerThrows(t *testing.T) {
	served := newServed()
	pages := served.with(map[string]testPage{"page": {
		head: `<script>
			window.log = []
			window.errors = []
			addEventListener('error', e => errors.push(e.message))
			stile.on('choice', c => { if (c.made) throw Error('mine') })
			document.addEventListener('stile:choice', () => { throw Error('mine too') })
			stile.on('choice', c => log.push('second ' + c.made))
			document.addEventListener('stile:choice', () => log.push('event'))
		</script>`,
		body: `<script type="text/plain" data-stile="analytics" data-src="/test/js/markup"></script>`,
	}})
	w := newWorld(t, settings{config: sharedCookie, pages: pages})
	b := w.open().visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	w.received(all)
	w.until("the markup", func() bool { return len(served.list()) == 1 })
	if got, want := eval[[]string](b, `log`), []string{"second false", "second true", "event"}; !cmp.Equal(got, want) {
		t.Errorf("the others were told %q, want %q", got, want)
	}
	if got := eval[[]string](b, `errors`); len(got) != 2 {
		t.Errorf("the errors told are %q", got)
	}
	if got := eval[string](b, `stile.ready.then(c => 'resolved')`); got != "resolved" {
		t.Error("ready does not resolve")
	}
}

// A choice that the server refuses is rejected with its reason, and changes nothing.
func TestAPIRefused(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	for call, want := range map[string]string{
		`stile.accept(['nonsense'])`:            "nonsense",
		`stile.accept(['analytics', ''])`:       "stile:",
		`stile.accept(Array(99).fill('x' + 1))`: "stile:",
	} {
		got := eval[string](b, call+`.then(() => 'accepted', e => e instanceof Error ? e.message : 'no Error: ' + e)`)
		if !strings.HasPrefix(got, "stile: ") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", call, got)
		}
	}
	b.asks("after refused choices")
	if n := w.records(); n != 0 {
		t.Errorf("there are %d records", n)
	}
	// With the server down the error is an Error too, here of a page that had not loaded what acts.
	b.decide(reject)
	b.visit(shopURL + "/basket")
	w.stop()
	for _, call := range []string{`stile.show()`, `stile.accept()`} {
		got := eval[string](b, call+`.then(() => 'done', e => e instanceof Error ? e.message : 'no Error: ' + e)`)
		if !strings.HasPrefix(got, "stile: ") {
			t.Errorf("%s without a server: %q", call, got)
		}
	}
	b.granted()
	w.received(nothing)
}

// A site's Content-Security-Policy: by nonce, by host, and with Trusted Types. The banner is styled, the choice works, tags
// and markup run, and nothing is reported.
func TestCSP(t *testing.T) {
	const hosts = "https://counter.example https://pixel-a.example https://pixel-b.example https://chat.example"
	common := "default-src 'none'; style-src 'self'; connect-src " + consentURL + " https://counter.example; img-src 'self' https:; frame-src 'self'; base-uri 'none'; form-action 'none'; "
	watch := func(nonce string) string {
		return `<script` + nonce + `>window.violations = []; document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))</script>`
	}
	markup := func(nonce string) string {
		return `<script` + nonce + ` type="text/plain" data-stile="analytics" data-src="/test/js/a"></script>
			<template data-stile="analytics"><script` + nonce + ` src="/test/js/b"></script></template>
			<img data-stile="analytics" data-src="/test/gif/c" alt="">`
	}
	inline := func(nonce string) string {
		return `<script` + nonce + ` type="text/plain" data-stile="analytics">(window.ran=window.ran||[]).push("inline")</script>
			<template data-stile="analytics"><script` + nonce + `>(window.ran=window.ran||[]).push("inline-template")</script></template>`
	}
	for name, p := range map[string]testPage{
		"nonce":          {csp: common + "script-src 'nonce-n0nce' 'strict-dynamic'", script: "nonce=n0nce", head: watch(" nonce=n0nce"), body: markup(" nonce=n0nce") + inline(" nonce=n0nce")},
		"hosts":          {csp: common + "script-src 'self' " + consentURL + " " + hosts + " 'nonce-watch'", head: watch(" nonce=watch"), body: markup("")},
		"trusted types":  {csp: common + "script-src 'nonce-n0nce' 'strict-dynamic'; require-trusted-types-for 'script'", script: "nonce=n0nce", head: watch(" nonce=n0nce"), body: markup(" nonce=n0nce") + inline(" nonce=n0nce")},
		"types by name":  {csp: common + "script-src 'nonce-n0nce' 'strict-dynamic'; require-trusted-types-for 'script'; trusted-types stile", script: "nonce=n0nce", head: watch(" nonce=n0nce"), body: markup(" nonce=n0nce") + inline(" nonce=n0nce")},
		"types, by host": {csp: common + "script-src 'self' " + consentURL + " " + hosts + " 'nonce-watch'; require-trusted-types-for 'script'; trusted-types stile", head: watch(" nonce=watch"), body: markup("")},
	} {
		t.Run(name, func(t *testing.T) {
			served := newServed()
			w := newWorld(t, settings{config: sharedCookie, pages: served.with(map[string]testPage{"page": p})})
			b := w.open().visit(shopURL + "/test/page")
			if got := eval[string](b, `(s => s.position + ' ' + s.zIndex)(getComputedStyle(document.querySelector('stile-banner')))`); got != "fixed 2147483647" {
				t.Errorf("the banner is styled %q", got)
			}
			if len(served.list()) > 0 {
				t.Errorf("before a choice the page asked for %q", served.list())
			}
			b.click(choose).visible(dialog)
			if got := eval[string](b, `getComputedStyle(document.querySelector('stile-dialog .h')).display`); got != "flex" {
				t.Errorf("the dialog is styled %q", got)
			}
			b.decide("stile-dialog [value=all]")
			w.received(all)
			want := []string{"a", "b"}
			if strings.Contains(p.body, "push") {
				want = []string{"a", "b", "inline", "inline-template"}
			}
			b.await(fmt.Sprintf(`window.ran?.length >= %d`, len(want)))
			if got := b.ran(); !cmp.Equal(got, want) {
				t.Errorf("of the markup ran %q, want %q", got, want)
			}
			w.until("the picture", func() bool { return slices.Contains(served.list(), "c") })
			if got := eval[int](b, `window.loyalty`); got != 1 {
				t.Error("the inline tag did not run")
			}
			// The next page: the released tags run at once.
			w.reset()
			before := eval[[]string](b, `violations`)
			b.visit(shopURL + "/test/page")
			w.received(all)
			for _, v := range append(before, eval[[]string](b, `violations`)...) {
				t.Errorf("reported: %s", v)
			}
		})
	}
}

// Hostile style sheets of a page leave ours alone, and ours leave the page alone.
func TestHostileCSS(t *testing.T) {
	content := `<main id=page><h1>Title</h1><p>Text <a href="#x">link</a> <b>bold</b></p><ul><li>one</li></ul><button>Button</button><button class="t b c g e h k l f">Classes</button>
		<div class="t">t</div><div class="b">b</div><section class="e">s</section><dialog open>d</dialog><fieldset><legend>l</legend><label><input type=checkbox> x</label></fieldset><details open><summary>s</summary>d</details></main>`
	sheets := map[string]string{
		"hidden":    `button{display:none} section{display:none} div{position:absolute} dialog{display:none} input{display:none} p{color:red;font-size:40px} fieldset{float:left;border:9px solid red}`,
		"box":       `*{box-sizing:content-box;letter-spacing:3px;line-height:3;text-transform:uppercase;margin:7px;padding:7px;color:red} *::before{content:"x"} body *{font-family:cursive;text-align:right}`,
		"ids":       `body div{display:flex} #stile-title{color:red} body :is(h2,p,li,button,label){font:italic 9px/1 serif;opacity:.5;transform:rotate(9deg)}`,
		"bootstrap": `*,*::before,*::after{box-sizing:border-box} [role=button]{cursor:pointer} button{border-radius:0;text-transform:none} button:focus:not(:focus-visible){outline:0} legend{float:left;width:100%} .t{color:red} .b{display:none} .c{color:red} .h{display:none} .f{bottom:0} .g{color:red} .e{display:none} .k{display:none} .l{display:none} ul{padding-left:2rem} dl,ol,ul{margin-bottom:1rem} dd{margin-left:0} label{display:inline-block} svg{vertical-align:middle} [hidden]{display:none!important}`,
		"tailwind":  `*,::after,::before{border:0 solid;box-sizing:border-box;margin:0;padding:0} button,input{font:inherit;color:inherit;background:transparent;border-radius:0;opacity:1} ol,ul,menu{list-style:none} h1,h2,h3{font-size:inherit;font-weight:inherit} a{color:inherit;text-decoration:inherit} dialog{margin:0} summary{display:list-item}`,
	}
	pages := map[string]testPage{"clean": {body: content}}
	for name, css := range sheets {
		pages[name] = testPage{body: content, head: "<style>" + css + "</style>"}
	}
	w := newWorld(t, settings{config: sharedCookie, pages: testPages(pages)})
	b := w.open()
	// Every computed value of every element of ours, and of its markers, in order.
	const all = `(root => [...document.querySelectorAll(root + ',' + root + ' *')].flatMap(el => [null, '::before', '::after', '::backdrop'].filter(p => p != '::backdrop' || el.localName == 'dialog').map(p => {
		const s = getComputedStyle(el, p)
		return el.localName + '.' + el.className + (p || '') + ' ' + [...s].map(k => k + ':' + s[k]).join(';')
	})))`
	read := func(name string) (ours [2][]string) {
		b.visit(shopURL + "/test/" + name)
		ours[0] = eval[[]string](b, all+`('stile-banner')`)
		b.openDialog()
		b.say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
		ours[1] = eval[[]string](b.frame(), all+`('stile-dialog')`)
		return ours
	}
	clean := read("clean")
	for name := range sheets {
		got := read(name)
		for i, view := range []string{"banner", "dialog"} {
			if len(got[i]) != len(clean[i]) {
				t.Errorf("%s: the %s has %d elements, %d are expected", name, view, len(got[i]), len(clean[i]))
				continue
			}
			for j, is := range got[i] {
				if is == clean[i][j] {
					continue
				}
				was := strings.Split(clean[i][j], ";")
				var differ []string
				for n, part := range strings.Split(is, ";") {
					if n < len(was) && part != was[n] {
						differ = append(differ, part+" for "+was[n])
					}
				}
				t.Errorf("%s: %s: %.40s: %.400s", name, view, is, differ)
			}
		}
	}

	// Ours and the page: its elements look the same with the banner and the dialog and without.
	const page = `[document.documentElement, document.body, ...document.querySelectorAll('#page, #page *')].map(el => { const s = getComputedStyle(el); return el.localName + '.' + el.className + ' ' + [...s].map(k => k + ':' + s[k]).join(';') })`
	b.visit(shopURL + "/test/clean")
	with := eval[[]string](b, page)
	b.openDialog()
	dialogs := eval[[]string](b, page)
	b.press("\x1b")
	b.decide(reject)
	without := eval[[]string](b, page)
	b.visit(shopURL + "/test/clean")
	never := eval[[]string](b, page)
	for what, got := range map[string][]string{"with the banner": with, "with the dialog": dialogs, "after the choice": without} {
		for i := range never {
			if i < len(got) && got[i] != never[i] {
				t.Errorf("%s the page differs: %.60s", what, got[i])
			}
		}
	}
}
