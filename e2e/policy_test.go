package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/receipt"
)

const policyURL = consentURL + "/stile/shop/policy"

// fetch asks the consent host as a client with the browser's cookies does.
func (b *tab) fetch(path, accept string) (*http.Response, []byte) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.w.plain.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Host = "consent.shop.test"
	r.Header.Set("Accept", accept)
	for _, c := range b.allCookies() {
		if c.Domain == ".shop.test" {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, body
}

// tables are the cookies that a page lists, as "category: name, purpose, lifetime, who".
const tables = `[...document.querySelectorAll('article table')].filter(t => t.caption?.textContent == 'Cookies').flatMap(t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent.trim()).join(', ')))`

// B7, C6: the policy is the site's own text, with its tables filled in from the configuration: all of it, and nothing besides.
func TestB7Policy(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().scripts(false).load(policyURL)
	want := []string{
		"chat_*, offer extras such as videos and chat, 6 months, Chat Desk Ltd",
		"hc_id, recognises a visit, 12 months, House Counter Ltd",
	}
	if got := eval[[]string](b, tables); !cmp.Equal(got, want) {
		t.Errorf("the tables of cookies: %s", cmp.Diff(want, got))
	}
	text := b.text()
	for _, part := range []string{"Version 2026-11-01", "In force since 2026-11-01", "House Counter Ltd", "Pixel A Ads Inc.", "Pixel B Network", "Chat Desk Ltd", "We answer requests within 15 days"} {
		if !strings.Contains(text, part) {
			t.Errorf("the policy has no %q", part)
		}
	}
	if strings.Contains(text, "{cookies") || strings.Contains(text, "{recipients") {
		t.Error("a place is not filled in")
	}
	if got := eval[[]string](b, `[...document.querySelectorAll('article strong')].map(e => e.textContent)`); !slices.Contains(got, "Card details go to the payment company straight from your browser; we never see the full number.") {
		t.Errorf("bold are %q", got)
	}
	if n := eval[int](b, `document.querySelectorAll('h1').length`); n != 1 {
		t.Errorf("the page has %d headings of the first level", n)
	}
	if strings.Contains(text, "no longer in force") {
		t.Error("the version in force is said to be old")
	}

	b.load(policyURL + "/2026-03-03")
	text = b.text()
	for _, part := range []string{"Version 2026-03-03", "In force since 2026-03-03", "no longer in force"} {
		if !strings.Contains(text, part) {
			t.Errorf("the old policy has no %q", part)
		}
	}
	b.load(policyURL)
	b.submit(`a[href$="?against=2026-03-03"]`)
	if got := eval[string](b, `[document.querySelectorAll('article ins').length > 5, document.querySelectorAll('article del').length > 5, document.querySelectorAll('article details').length > 0]+''`); got != "true,true,true" {
		t.Errorf("the comparison has ins, del and folded parts: %s", got)
	}
	for path, part := range map[string]string{"/2025-01-01": "never had a policy", "?against=1999": "never had a policy", "/2026-03-03?against=..%2f": "never had a policy"} {
		resp, body := b.fetch("/stile/shop/policy"+path, "text/html")
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), part) {
			t.Errorf("%s is answered %d %s", path, resp.StatusCode, body)
		}
	}
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("reading the policy left cookies: %q", jar)
	}
	w.received(nothing)
}

// C6: a version that left stile.yaml stays readable with its words; a text that was changed under its version is warned of.
func TestC6Archive(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().scripts(false).load(policyURL + "/2026-03-03")
	article := `document.querySelector('article').innerText`
	old := eval[string](b, article)
	w.reconfigure(func(text string) string {
		text = strings.Replace(text, "  former:\n    - {version: 2026-03-03, from: \"2026-03-03\", material: true, file: policy/2026-03-03.md}\n", "", 1)
		return strings.Replace(text, "version: 2026-11-01\n  from: \"2026-11-01\"\n  material: true\n  file: policy/2026-11-01.md", "version: \"2026-11-20\"\n  material: true\n  file: policy/new.md", 1)
	}, "not used") // the new text is not there yet
	file := filepath.Join(w.folder, "site", "policy", "new.md")
	if err := os.WriteFile(file, []byte("# Cookies\n\nThe text of **November**.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.hangup()
	if text := b.load(policyURL).text(); !strings.Contains(text, "The text of November") || !strings.Contains(text, "Version 2026-11-20") {
		t.Errorf("the new policy reads %q", text)
	}
	links := eval[[]string](b, `[...document.querySelectorAll('li > a:first-child')].map(a => a.textContent).filter(t => t.startsWith('Version'))`)
	if want := []string{"Version 2026-11-20", "Version 2026-11-01", "Version 2026-03-03"}; !slices.Equal(links, want) {
		t.Errorf("the archive has %q, want %q", links, want)
	}
	if got := eval[string](b.load(policyURL+"/2026-03-03"), article); got != old {
		t.Errorf("the old policy reads otherwise: %s", cmp.Diff(old, got))
	}
	if got := eval[string](b.load(policyURL+"/2026-11-20?against=2026-11-01"), article); !strings.Contains(got, "The text of November") {
		t.Errorf("the comparison reads %q", got)
	}

	if w.said("changed under its version") > 0 {
		t.Error("warned of a text that nobody changed")
	}
	if err := os.WriteFile(file, []byte("# Cookies\n\nAnother text.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.hangup()
	w.until("the warning", func() bool { return w.said("changed under its version") > 0 })
	if text := b.load(policyURL).text(); !strings.Contains(text, "Another text") {
		t.Errorf("the policy reads %q", text)
	}
	w.stop()
	w.start()
	if got := eval[string](b.load(policyURL+"/2026-03-03"), article); got != old {
		t.Error("the old policy reads otherwise after a restart")
	}
}

// C10, A7: a visitor sees, gets, takes back and erases what is recorded of their choices, without a script; nobody else's
// records change, and no file holds the receipt afterwards.
func TestC10Rights(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(reject)
	other := b.decode(".shop.test", w.keys()...).Receipt
	b.forget().scripts(false).load(policyURL + "#rights")
	if text := b.text(); !strings.Contains(text, "There are no records of your choices.") || b.shows("form[action$=erase]") {
		t.Errorf("a visitor without a choice reads %q", text)
	}
	b.scripts(true).visit(shopURL + "/")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.settle()
	var receipts [][]byte
	first := b.decode(".shop.test", w.keys()...).Receipt
	receipts = append(receipts, first[:])

	b.scripts(false).load(policyURL)
	w.asked()
	b.submit(`form[action$=withdraw] button`)
	if at := eval[string](b, "location.href"); at != consentURL+"/stile/shop/preferences?saved=1" {
		t.Errorf("taking back led to %s", at)
	}
	second := b.decode(".shop.test", w.keys()...).Receipt
	receipts = append(receipts, second[:])
	b.load(policyURL).submit(`a[href$="/receipt"]`)
	text := b.text()
	for _, part := range []string{first.String(), second.String(), "Analytics", "2026-11-01"} {
		if !strings.Contains(text, part) {
			t.Errorf("the visitor's records have no %q: %q", part, text)
		}
	}
	if strings.Contains(text, other.String()) {
		t.Error("the records of somebody else are shown")
	}

	b.load(policyURL)
	if !eval[bool](b, `document.querySelector('a[href$="/receipt?download=1"]').hasAttribute('download')`) {
		t.Error("there is no download")
	}
	resp, body := b.fetch("/stile/shop/receipt?download=1", "text/html")
	checked, err := receipt.Check(body, w.verifiers())
	if err != nil || resp.Header.Get("Content-Disposition") != `attachment; filename="consent-shop.json"` || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Fatalf("the download is %v %v %s", err, resp.Header, body)
	}
	if got := checked.Entries; len(got) != 2 || got[1].Record.ID != second || got[1].Record.Action != consent.Withdraw || got[0].Record.ID != first ||
		!slices.Equal(got[0].Record.Granted, []string{"analytics"}) || got[0].Record.Policy != "2026-11-01" || len(checked.Words[got[0].Record.Notice]) == 0 {
		t.Errorf("the download holds %+v", got)
	}

	if n := w.records(); n != 3 {
		t.Fatalf("%d records, want three", n)
	}
	b.load(policyURL)
	if eval[bool](b, `document.querySelector('form[action$=erase] button').checkVisibility({contentVisibilityAuto: true})`) {
		t.Error("one click erases, with no word before")
	}
	b.click("details summary")
	b.submit("form[action$=erase] button")
	if text := b.text(); !strings.Contains(text, "Your records were erased.") || !strings.Contains(text, "There are no records of your choices.") {
		t.Errorf("after erasing the page reads %q", text)
	}
	for _, name := range []string{"stile_shop", "stile_shop_state"} {
		if c := b.cookie(name); c != nil {
			t.Errorf("the cookie is left: %+v", c)
		}
	}
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want that of the other visitor", n)
	}
	w.reset()
	w.loaded()
	b.scripts(true).visit(shopURL + "/").asks("the records were erased")
	w.stop()
	kept := 0
	if err := filepath.WalkDir(w.folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, receipt := range receipts {
			if bytes.Contains(data, receipt) {
				t.Errorf("%s holds an erased receipt", path)
			}
		}
		if bytes.Contains(data, other[:]) {
			kept++
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if kept == 0 {
		t.Error("no file holds the other visitor's receipt: the search cannot find any")
	}
}

func (w *world) requestsKept() []ledger.Request {
	w.t.Helper()
	db, err := ledger.Open(w.t.Context(), ledger.Options{Path: filepath.Join(w.folder, "stile.db")})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	list, err := db.Requests(w.t.Context(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// F7, A7: a request is written with the keyboard and without a script; it gets a number, and a date 15 days ahead.
func TestF7Request(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").decide(reject).scripts(false)
	b.load(policyURL)
	eval[bool](b, `(document.querySelector('#kind').focus(), true)`)
	b.press(kb.ArrowDown, kb.ArrowDown, kb.Tab)
	b.press(strings.Split("visitor@mail.example", "")...)
	b.press(kb.Tab)
	b.press(strings.Split("My street is another one now <b>.", "")...)
	b.press(kb.Tab)
	due := time.Now().UTC().AddDate(0, 0, 15).Format(time.DateOnly)
	b.loads(func() { b.press(kb.Enter) })
	list := w.requestsKept()
	if len(list) != 1 {
		t.Fatalf("%d requests", len(list))
	}
	got := list[0]
	receipt := b.decode(".shop.test", w.keys()...).Receipt
	if got.Kind != "correct" || got.Contact != "visitor@mail.example" || got.Details != "My street is another one now <b>." || got.Due.Format(time.DateOnly) != due || got.Receipt != receipt {
		t.Errorf("the request is kept as %+v", got)
	}
	if text := b.text(); !strings.Contains(text, fmt.Sprintf("Your request has the number %s. You will have an answer by %s.", got.Number, due)) {
		t.Errorf("the page reads %q", text)
	}
	if !eval[bool](b, `(r => r.top >= 0 && r.bottom <= innerHeight)(document.querySelector('[role=status]').getBoundingClientRect())`) {
		t.Error("the number is not in sight")
	}

	// What the browser does not stop is told in words, and nothing is kept.
	b.load(policyURL).say(`document.querySelector('.q').noValidate = true`)
	b.click("#contact").press("x").submit(".q button")
	if text := b.text(); !strings.Contains(text, "e-mail address") || len(w.requestsKept()) != 1 {
		t.Errorf("a wrong address: %q, %d requests", text, len(w.requestsKept()))
	}
	if !b.shows("h1") || !eval[bool](b, `document.documentElement.lang == 'en' && document.querySelector('#contact')?.value == 'x'`) {
		t.Errorf("what is wrong is not told on the page itself, with what was written: %q", eval[string](b, `document.documentElement.outerHTML`))
	}
	b.load(policyURL).say(`document.querySelector('#kind option').value = 'everything'`)
	b.click("#contact").press(strings.Split("a@b.example", "")...).submit(".q button")
	if text := b.text(); !strings.Contains(text, "kind") || len(w.requestsKept()) != 1 {
		t.Errorf("a wrong kind: %q", text)
	}
}

// E: the policy, the comparison, the rights and the records: axe-core finds nothing, in every language, light and dark, and
// nothing is wider than a phone.
func TestPolicyEverybody(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").decide(reject)
	eval[bool](b, `stile.accept(['analytics', 'functional']).then(() => true)`)
	sent := "?sent=7KQ4-M2XD&due=" + time.Now().UTC().AddDate(0, 0, 15).Format(time.DateOnly)
	for i, lang := range []string{"en", "de", "ar"} {
		b.header(map[string]string{"Accept-Language": lang})
		for j, screen := range screens {
			if *pictures == "" && i > 0 && i%2 == j { // German on a phone, Arabic on a desktop
				continue
			}
			theme := []string{"light", "dark"}[(i+j)%2]
			b.look(screen.width, screen.height, theme)
			for name, path := range map[string]string{
				"policy": "/policy" + sent, "old": "/policy/2026-03-03", "compare": "/policy/2026-11-01?against=2026-03-03", "receipt": "/receipt", "preferences": "/preferences",
			} {
				if *pictures == "" && (name == "old" || name == "preferences") { // drawn as the others, and looked at by TestAxe
					continue
				}
				what := strings.Join([]string{name, lang, screen.name, theme}, "-")
				b.load(consentURL + "/stile/shop" + path)
				b.picture(what)
				b.say(`document.querySelectorAll('details').forEach(d => { d.open = true })`)
				b.axe(what, "")
				if got := eval[string](b, `document.documentElement.lang + ' ' + document.documentElement.dir`); got != lang+" "+direction(lang) {
					t.Errorf("%s: lang and dir are %s", what, got)
				}
				if eval[bool](b, `(a => !!a && getComputedStyle(a).direction != 'ltr')(document.querySelector('article'))`) {
					t.Errorf("%s: the site's English text runs from right to left", what)
				}
				if wide := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("%s is %d px too wide", what, wide)
				}
				if *pictures == "" {
					continue
				}
				for _, at := range []string{"article table", "#rights", "#request", "fieldset:nth-of-type(3)"} {
					if eval[bool](b, fmt.Sprintf(`(e => e && (e.scrollIntoView(), true) || false)(document.querySelector(%q))`, at)) {
						b.picture(what + "-" + strings.Trim(strings.ReplaceAll(at, " ", "-"), "#"))
					}
				}
			}
		}
	}
}

// Budgets: on a phone the banner is never the largest thing that a page with a picture paints, and it moves nothing.
func TestLargestPaint(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().look(390, 844, "light")
	b.shifts()
	b.onNewPage(`window.paints = []; new PerformanceObserver(list => paints.push(...list.getEntries().map(e => (e.element?.closest('stile-banner') ? 'banner' : e.element?.localName) + ' ' + e.size))).observe({type: 'largest-contentful-paint', buffered: true})`)
	for _, lang := range []string{"en", "de"} {
		b.header(map[string]string{"Accept-Language": lang})
		for _, path := range []string{"/", "/product/kettle", "/product/teapot", "/basket"} {
			b.forget().visit(shopURL + path)
			pictured := eval[bool](b, `[...document.images].some(i => (r => r.top < innerHeight && r.width > 100)(i.getBoundingClientRect()))`)
			b.await(`paints.length`).frame()
			if pictured { // it is painted, and then told
				b.await(`paints.some(p => !p.startsWith('banner'))`)
			}
			got := eval[[]string](b, `paints`)
			if !b.shows(banner) {
				t.Errorf("%s: there is no banner", path)
			}
			if pictured && strings.HasPrefix(got[len(got)-1], "banner") {
				t.Errorf("%s %s: the largest paint is %q", lang, path, got)
			}
			b.still(path)
		}
	}
}
