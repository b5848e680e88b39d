package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// What stands in the place of the banner's buttons where something is new, and the note.
const (
	keep = "stile-banner [value=kept]"
	take = "stile-banner [value=new]"
	note = "stile-note"
)

// film is a vendor that comes later, beside the two pixels of its category.
const film = `
  - name: Film
    category: marketing
    pixel: "https://video.example/embed/new"
    company: Film Ltd
`

func withFilm(text string) string {
	return strings.Replace(text, "\n  - name: Loyalty", film+"\n  - name: Loyalty", 1)
}

var policyBlock = regexp.MustCompile(`(?s)\npolicy:.*?\nlanguages:`)

// policy is a change of stile.yaml to another policy, without an archive: the ledger keeps what was served.
func policy(entries string) func(string) string {
	return func(text string) string {
		return policyBlock.ReplaceAllString(text, "\npolicy: {"+entries+", file: policy/2026-11-01.md}\nlanguages:")
	}
}

// told is what an element says.
func (b *tab) told(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText || ''`, selector))
}

// lists checks what the banner lists.
func (b *tab) lists(want ...string) {
	b.t.Helper()
	if got := eval[[]string](b, `[...document.querySelectorAll('stile-banner li')].map(li => li.innerText)`); !cmp.Equal(got, want) {
		b.t.Errorf("the banner lists %q, want %q", got, want)
	}
}

// notAsked checks that nothing is asked and nothing said.
func (b *tab) notAsked(when string) {
	b.t.Helper()
	if b.shows(banner) || b.shows(note) {
		b.t.Errorf("%s: the visitor is asked or told again", when)
	}
}

// with is what third parties get of a page view with everything accepted, and something more.
func with(party string) map[string]int {
	return map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1, "chat": 1, party: 1}
}

// B11: a vendor that is added asks again for itself alone; what was chosen holds meanwhile, whatever is answered.
func TestB11VendorAdded(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	keeper := w.open()
	taker, refuser := keeper.stranger(), keeper.stranger()
	keeper.visit(shopURL + "/").decide(accept)
	w.received(all)
	w.reset()
	taker.visit(shopURL + "/").decide(accept)
	w.received(all)
	refuser.visit(shopURL + "/").decide(reject)
	before := keeper.decode(".shop.test", w.keys()...)
	w.reconfigure(withFilm, "reloaded")
	w.loaded()
	for _, b := range []*tab{keeper, taker, refuser} {
		b.emptyCache() // a copy holds for an hour
	}

	keeper.views(shopURL+"/basket", all)
	if title := keeper.told(banner + " h2"); title != "New since your choice" {
		t.Errorf("the banner is headed %q", title)
	}
	keeper.lists("Film (Film Ltd): Marketing – show and measure advertising")
	if eval[bool](keeper, "stile.allows('Film')") {
		t.Error("the new tag is said to be allowed")
	}
	keeper.openDialog().await(`!document.querySelector('stile-dialog .w').hidden`)
	if text := keeper.told("stile-dialog .w"); text != "New since your choice: Film" {
		t.Errorf("the dialog says %q of what is new", text)
	}
	keeper.click("stile-dialog [value=close]")
	w.reset()
	keeper.marked().decide(keep)
	w.received(nothing) // what runs goes on, and nothing runs twice
	if !keeper.stillMarked() {
		t.Error("the page was loaded anew although nothing had to be stopped")
	}
	for _, path := range []string{"/", "/basket"} {
		keeper.views(shopURL+path, all)
		keeper.notAsked("B11, kept")
	}
	keeper.granted("functional", "analytics", "marketing")
	after := keeper.decode(".shop.test", w.keys()...)
	if !slices.Equal(after.Refused, []string{"film"}) || !slices.Equal(after.Granted, before.Granted) {
		t.Errorf("kept: the cookie is %+v", after)
	}
	if r := keeper.ownRecords()[0]; r.Action != "custom" || r.Surface != "banner" || !slices.Equal(r.Refused, []string{"film"}) {
		t.Errorf("kept: the record is %v", r)
	}

	taker.views(shopURL+"/", all)
	w.reset()
	taker.decide(take)
	w.received(map[string]int{"video": 1})
	for _, path := range []string{"/", "/basket"} {
		taker.views(shopURL+path, with("video"))
		taker.notAsked("B11, new")
	}

	// F6: who refused the category is not asked about one more of the same.
	refuser.views(shopURL+"/", nothing)
	refuser.notAsked("refused")
}

// B11: a purpose that is added asks everybody who has not said anything of it, for it alone.
func TestB11PurposeAdded(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	keeper := w.open()
	taker, refuser := keeper.stranger(), keeper.stranger()
	keeper.visit(shopURL + "/").decide(accept)
	w.received(all)
	w.reset()
	taker.visit(shopURL + "/").decide(accept)
	w.received(all)
	refuser.visit(shopURL + "/").decide(reject)
	w.reconfigure(func(text string) string {
		return strings.Replace(text, "  marketing:  {}\n", "  marketing:  {}\n  films: {title: {en: Films, de: Filme, zh-Hans: 电影, ar: أفلام}, purpose: {en: show films, de: Filme zeigen, zh-Hans: 放映电影, ar: عرض الأفلام}}\n", 1) +
			strings.Replace(film, "category: marketing", "category: films", 1)
	}, "reloaded")
	w.loaded()
	for _, b := range []*tab{keeper, taker, refuser} {
		b.emptyCache()
	}

	keeper.views(shopURL+"/", all)
	keeper.lists("Films: show films")
	keeper.decide(keep)
	keeper.views(shopURL+"/", all)
	keeper.notAsked("kept")
	if c := keeper.decode(".shop.test", w.keys()...); !slices.Equal(c.Denied, []string{"films"}) {
		t.Errorf("kept: the cookie is %+v", c)
	}

	taker.views(shopURL+"/", all)
	w.reset()
	taker.decide(take)
	w.received(map[string]int{"video": 1})
	taker.views(shopURL+"/basket", with("video"))
	taker.notAsked("new")

	// A new purpose is news to a refuser too; the refusal of the rest holds beside either answer.
	refuser.views(shopURL+"/", nothing)
	refuser.lists("Films: show films")
	refuser.decide(take)
	w.received(map[string]int{"video": 1})
	refuser.views(shopURL+"/basket", map[string]int{"video": 1})
	refuser.granted("films")
}

// B11, F9: a material version asks again with its summary, and grants nothing until then; a small one that comes after it
// does not hide it. A refusal holds over every version.
func TestB11PolicyMaterial(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	refuser := b.stranger()
	b.visit(shopURL + "/").decide(accept)
	w.received(all)
	refuser.visit(shopURL + "/").decide(reject)
	second := policy(`version: v2, material: true, summary: {en: "Pixel C reads more.", de: "Pixel C liest mehr."}`)
	w.reconfigure(second, "reloaded")
	w.loaded()

	look := func(when, summary string) {
		t.Helper()
		w.reset()
		b.emptyCache().visit(shopURL + "/basket").asks(when)
		if title := b.told(banner + " h2"); title != "Your choice on cookies" {
			t.Errorf("%s: the banner is headed %q", when, title)
		}
		if text := b.told(banner); !strings.Contains(text, "Our cookie policy has changed, so we ask you again."+summary) {
			t.Errorf("%s: the banner reads %q", when, text)
		}
		b.granted()
	}
	look("B11, material", " Pixel C reads more.")
	w.reconfigure(policy(`version: v3, summary: {en: "A comma moved."}`), "reloaded")
	look("B11, material and then small", "")
	b.decide(accept)
	w.received(all)
	b.views(shopURL+"/", all)
	b.notAsked("chosen again")
	if c := b.decode(".shop.test", w.keys()...); c.Policy != "v3" {
		t.Errorf("the choice is of policy %s", c.Policy)
	}
	refuser.emptyCache().views(shopURL+"/", nothing)
	if refuser.shows(banner) {
		t.Error("F6: who refused everything is asked again for a new text")
	}
}

// B11: a small version is told of in a line. It asks nothing: the choice holds, and stays as old as it is.
func TestB11PolicySmall(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	refuser := b.stranger()
	b.visit(shopURL + "/").decide(accept)
	w.received(all)
	refuser.visit(shopURL + "/").decide(reject)
	before := b.decode(".shop.test", w.keys()...)
	w.reconfigure(policy(`version: v2, summary: {en: "We say more clearly who Chat Desk is."}`), "reloaded")
	w.loaded()

	second := b.fresh()
	refuser.emptyCache().views(shopURL+"/", nothing)
	if !refuser.shows(note) {
		t.Error("who refused is not told")
	}
	b.emptyCache().views(shopURL+"/basket", all)
	b.granted("functional", "analytics", "marketing")
	if b.shows(banner) || !b.shows(note) {
		t.Fatal("a small version asks, or is not told of")
	}
	if text := b.told(note); !strings.Contains(text, "Our cookie policy was updated. We say more clearly who Chat Desk is.") {
		t.Errorf("the note reads %q", text)
	}
	if to := eval[string](b, `document.querySelector('stile-note a').href`); to != consentURL+"/stile/shop/policy?lang=en" {
		t.Errorf("the note's link leads to %s", to)
	}
	if eval[bool](b, `document.querySelector('stile-note').contains(document.activeElement)`) {
		t.Error("the note took the focus")
	}
	b.inspected("the note", "stile-note", "change-note")
	b.axe("the page with the note", "")

	second.visit(shopURL + "/basket")
	if !second.shows(note) {
		t.Error("a second tab is not told")
	}
	second.hide()
	b.visit(shopURL + "/") // the page before goes to the back/forward cache with its note
	w.reset()
	w.loaded()
	w.asked()
	b.marked().click("stile-note button")
	w.until("the answer", func() bool { return slices.Contains(w.peek(), "POST /stile/shop/seen 200") })
	b.await(`!document.querySelector('stile-note')`).settle()
	w.received(nothing)
	if !b.stillMarked() {
		t.Error("OK loaded the page anew")
	}
	after := b.decode(".shop.test", w.keys()...)
	if after.Policy != "v2" || !after.Time.Equal(before.Time) || after.Receipt != before.Receipt || !slices.Equal(after.Granted, before.Granted) {
		t.Errorf("after OK the cookie is %+v, before it was %+v", after, before)
	}
	if n := w.records(); n != 2 {
		t.Errorf("%d records, want two: OK is no act of consent", n)
	}
	second.unhide().await(`!document.querySelector('stile-note')`).settle()
	second.notAsked("in the second tab")
	if !b.previous() {
		t.Error("Chromium did not use the back/forward cache: this test saw an ordinary page view")
	}
	b.await(`stile.choice && !document.querySelector('stile-note')`).settle()
	for _, path := range []string{"/", "/basket"} {
		b.views(shopURL+path, all)
		b.notAsked("after OK")
	}
}

// peek are the requests that reached the consent host, which are not forgotten.
func (w *world) peek() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// F9: somebody else is answerable: everybody is asked for everything again, who refused as well, and nothing runs before.
func TestF9ControllerChanged(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	refuser := b.stranger()
	b.visit(shopURL + "/").decide(accept)
	w.received(all)
	refuser.visit(shopURL + "/").decide(reject)
	w.reconfigure(func(text string) string { return strings.Replace(text, "name: EasyDser", "name: Newfield Shops", 1) }, "reloaded")
	w.loaded()
	for _, visitor := range []*tab{b, refuser} {
		w.reset()
		visitor.emptyCache().visit(shopURL + "/basket").asks("F9")
		if text := visitor.told(banner); !strings.Contains(text, "Newfield Shops is now responsible for this site, so we ask you again.") || strings.Contains(text, "EasyDser") {
			t.Errorf("the banner reads %q", text)
		}
		visitor.lists("Functional: offer extras such as videos and chat", "Analytics: measure how the site is used", "Marketing: show and measure advertising")
		visitor.granted()
	}
	b.decide(accept)
	w.received(all)
	b.views(shopURL+"/", all)
	b.notAsked("accepted again")
	refuser.decide(reject)
	refuser.views(shopURL+"/", nothing)
	refuser.notAsked("refused again")
}

// F9, C6: the next policy is announced where the policy stands until its day, and is in force from then on.
func TestF9NextPolicy(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	w.received(all)
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.config), "next.md"), []byte("# The policy of tomorrow\n\nWe **sell** nothing.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	next := func(from string) func(string) string {
		return policy(`version: 2026-11-01, next: {version: tomorrow, from: "` + from + `", material: true, file: next.md, summary: {en: "Nothing is sold any more."}}`)
	}
	w.reconfigure(next(day(9)), "reloaded")
	b.emptyCache().views(shopURL+"/", all)
	b.notAsked("before its day")
	b.do(navigate(consentURL + "/stile/shop/policy"))
	text := b.text()
	for _, part := range []string{"Version 2026-11-01", "Version tomorrow", "In force from " + day(9) + " on", "Nothing is sold any more."} {
		if !strings.Contains(text, part) {
			t.Errorf("the policy page does not say %q", part)
		}
	}
	if strings.Contains(text, "The policy of tomorrow") {
		t.Error("the next policy stands in the place of the one in force")
	}
	b.do(navigate(consentURL + "/stile/shop/policy/tomorrow"))
	if text := b.text(); !strings.Contains(text, "The policy of tomorrow") || strings.Contains(text, "no longer in force") {
		t.Errorf("the next policy reads %q", text)
	}
	// D4: a signal's support does not date from the future.
	b.do(navigate(consentURL + "/.well-known/gpc.json"))
	if got := eval[string](b, `JSON.parse(document.body.innerText).lastUpdate`); got > day(0) {
		t.Errorf("D4: lastUpdate is %s, which is to come", got)
	}

	// Its day comes while Stile is down.
	w.stop()
	w.writeConfig(next(day(-1)))
	w.start()
	w.reset()
	b.emptyCache().visit(shopURL + "/basket").asks("on its day")
	if text := b.told(banner); !strings.Contains(text, "so we ask you again. Nothing is sold any more.") {
		t.Errorf("the banner reads %q", text)
	}
	b.do(navigate(consentURL + "/stile/shop/policy"))
	if text := b.text(); !strings.Contains(text, "The policy of tomorrow") || !strings.Contains(text, "In force since "+day(-1)) {
		t.Errorf("on its day the policy page reads %q", text)
	}
}

// A2: a page that was left with its banner comes back without it, and with what was chosen meanwhile; a choice on one host
// holds on the other where cookie_domain says so, there and in what comes back.
func TestB10BackAfterChoice(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.asks("before a choice")
	b.visit(mobileURL + "/basket").decide(accept)
	w.received(all)
	w.reset()
	if !b.previous() {
		t.Error("Chromium did not use the back/forward cache: this test saw an ordinary page view")
	}
	b.await("stile.choice && stile.choice.made").settle()
	if at := eval[string](b, "location.href"); at != shopURL+"/" {
		t.Errorf("back led to %s", at)
	}
	b.notAsked("after going back")
	w.received(all)
	b.granted("functional", "analytics", "marketing")

	// Refused meanwhile, the page that comes back runs nothing.
	w.reset()
	other := b.stranger().visit(shopURL + "/")
	other.asks("before a choice")
	other.visit(mobileURL + "/").decide(reject)
	if !other.previous() {
		t.Error("Chromium did not use the back/forward cache: this test saw an ordinary page view")
	}
	other.await("stile.choice && stile.choice.made").settle()
	other.notAsked("after going back")
	w.received(nothing)
}

// Every view that a change brings, to be looked at.
func TestPicturesOfChange(t *testing.T) {
	if *pictures == "" {
		t.Skip("skipped: draws pictures only where -pictures asks for them")
	}
	w := newWorld(t, settings{config: sharedCookie, args: regions, pages: translated()})
	b := w.open()
	each := func(name string, step func(lang string)) {
		for _, screen := range screens {
			for _, theme := range []string{"light", "dark"} {
				for _, lang := range []string{"en", "ar"} {
					b.header(map[string]string{"Accept-Language": lang})
					b.look(screen.width, screen.height, theme)
					step(lang)
					b.picture(strings.Join([]string{"change", name, screen.name, theme, lang}, "-"))
				}
			}
		}
	}
	view := func(lang string) { b.emptyCache().visit(shopURL + "/test/" + lang) }
	for _, region := range []string{"GB", "US-CA", "CN"} {
		w.moves(region)
		each(region, view)
	}
	w.moves("US-CA")
	each("dialog", func(lang string) { view(lang); b.openDialog() })
	w.moves("DE")
	view("en")
	b.decide(accept)
	w.reconfigure(withFilm, "reloaded")
	each("new", view)
	b.decide(take)
	w.reconfigure(policy(`version: v2, summary: {en: "We say more clearly who Chat Desk is, and for how long it keeps what you write."}`), "reloaded")
	each("note", view)
	b.click("stile-note button").await(`!document.querySelector('stile-note')`)
	w.reconfigure(policy(`version: v3, material: true, summary: {en: "Pixel C reads more."}`), "reloaded")
	each("material", view)
	b.do(chromedp.ResetViewport())
}
