package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
)

// The step in which the visitor is asked for their age, and its answers.
const (
	ageStep = "stile-dialog dialog[open][aria-labelledby=stile-age]"
	younger = ageStep + " [value=younger]"
	older   = ageStep + " [value=older]"
	minor   = "stile-dialog dialog[open][aria-labelledby=stile-minor]"
	link    = minor + " input"
)

const guardianPath = consentURL + "/stile/shop/guardian/"

// minors is the shop that protects visitors under 14.
func minors(guardian bool) func(string) string {
	return func(text string) string {
		return sharedCookie(text) + fmt.Sprintf("\nminors: {age: 14, guardian: %v}\n", guardian)
	}
}

// ofAge are words that speak of somebody's age, in the shop's languages. Tools that refuse for a visitor skip a popup that
// has any (B12).
var ofAge = regexp.MustCompile(`(?i)\b(age|aged|older|younger|years? old|1[468]|parent|guardian|child|minor)\b|Alter|Eltern|周岁|年龄|监护|عمر`)

// asksAge waits for the question.
func (b *tab) asksAge() *tab {
	b.t.Helper()
	return b.visible(ageStep).frame()
}

// answers clicks an answer, and waits until the choice is in force.
func (b *tab) answers(age string) *tab {
	b.t.Helper()
	return b.asksAge().decide(age)
}

// inspected runs axe-core on a phone in the light and on a desktop in the dark, and draws both.
func (b *tab) inspected(what, selector, name string) {
	b.t.Helper()
	for i, theme := range []string{"light", "dark"} {
		b.look(screens[i].width, screens[i].height, theme).axe(what+", "+screens[i].name+" "+theme, selector)
		b.picture(name + "-" + screens[i].name + "-" + theme)
	}
}

// visitors are a visitor's records, newest first, as the ledger has them.
func (w *world) visitors(subject uuid.UUID) []ledger.Record {
	w.t.Helper()
	db, err := ledger.Open(w.t.Context(), ledger.Options{Path: filepath.Join(w.folder, "stile.db")})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	list, err := db.History(w.t.Context(), "shop", subject)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// record is the ledger's record of the choice that the browser has.
func (b *tab) record() ledger.Record {
	b.t.Helper()
	db, err := ledger.Open(b.t.Context(), ledger.Options{Path: filepath.Join(b.w.folder, "stile.db")})
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	r, err := db.Find(b.t.Context(), "shop", b.decode(".shop.test", b.w.keys()...).Receipt)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// F4, B12: the age is asked in a step of its own, after the choice and outside its text; who is old enough goes on.
func TestF4Older(t *testing.T) {
	w := newWorld(t, settings{config: minors(true), pages: translated()})
	b := w.open()
	for _, lang := range languages {
		b.header(map[string]string{"Accept-Language": lang})
		b.emptyCache().visit(shopURL + "/test/" + lang)
		b.openDialog()
		if text := b.told(banner) + b.told("stile-dialog"); ofAge.MatchString(text) || len(text) < 200 {
			t.Errorf("B12: the text of consent in %s speaks of age (%q): %q", lang, ofAge.FindString(text), text)
		}
	}
	b.header(map[string]string{"Accept-Language": "en"})
	b.emptyCache().visit(shopURL + "/")
	w.asked()
	b.marked().click(accept).asksAge()
	if text := b.told(ageStep); !strings.Contains(text, "Are you 14 or older?") || strings.Contains(text, "cookie") {
		t.Errorf("the age step reads %q", text)
	}
	if id := eval[string](b, `document.activeElement.value`); id != "younger" {
		t.Errorf("the focus is on %q, not on the first answer", id)
	}
	unchosen := func(when string) {
		t.Helper()
		w.received(nothing)
		if n := w.records(); n > 0 || b.cookie("stile_shop") != nil || slices.ContainsFunc(w.peek(), func(r string) bool { return strings.HasPrefix(r, "POST") }) {
			t.Errorf("A4: %s is a choice: %d records, requests %q", when, n, w.peek())
		}
	}
	unchosen("the question alone")
	b.inspected("the age step", "stile-dialog", "minors-question")

	// A4: Escape chooses nothing, the banner is back, and it does not say that anything failed.
	b.press(kb.Escape).await(`!document.querySelector('stile-dialog dialog[open]') && document.querySelector('stile-banner')`).settle()
	unchosen("Escape")
	if eval[bool](b, `document.querySelector('stile-banner [role=status]').textContent != ''`) {
		t.Errorf("after Escape the banner says %q", b.told("stile-banner [role=status]"))
	}
	b.click(accept).asksAge().tap("stile-dialog dialog h2")
	b.press(kb.Escape).await(`!document.querySelector('stile-dialog dialog[open]')`).settle()
	unchosen("a click on the question, and Escape again")

	// By keyboard alone.
	eval[bool](b, `(document.querySelector('stile-banner [value=all]').focus(), true)`)
	b.press(kb.Enter).asksAge()
	eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
	b.press(kb.Tab)
	if value := eval[string](b, `document.activeElement.value`); value != "older" {
		t.Fatalf("Tab leads to %q", value)
	}
	b.press(kb.Enter)
	eval[bool](b, `decided.then(() => true)`)
	b.settle()
	w.received(all)
	if !b.stillMarked() || b.shows("stile-dialog dialog") {
		t.Error("the page was loaded anew, or the step is still there")
	}
	if r := b.record(); r.Age != "older" || r.Action != "accept_all" || r.Surface != "banner" || b.decode(".shop.test", w.keys()...).Minor {
		t.Errorf("the record is %+v", r)
	}
	for _, path := range []string{"/", "/basket"} {
		b.views(shopURL+path, all)
		b.notAsked("chosen")
	}
	// Taking away asks nothing.
	b.openDialog()
	b.loads(func() { b.click(dialog + " [name=accept][value=none]") }).settle()
	b.views(shopURL+"/", nothing)

	// From the dialog it is the same step.
	other := b.stranger().visit(shopURL + "/")
	other.openDialog().click(dialog + " [value=analytics]").click(dialogSave)
	other.answers(older)
	w.received(map[string]int{"counter": 2})
	if r := other.record(); r.Age != "older" || r.Surface != "preferences" {
		t.Errorf("the record is %+v", r)
	}
	// A refusal asks for no age.
	refuser := b.stranger().visit(shopURL + "/")
	refuser.decide(reject)
	if r := refuser.record(); r.Age != "" {
		t.Errorf("the record of a refusal is %+v", r)
	}
}

// guardianLink makes a younger visitor, who accepts all in the banner, and returns the link that they are shown.
func (b *tab) guardianLink() string {
	b.t.Helper()
	b.visit(shopURL + "/").click(accept)
	b.asksAge().decide(younger)
	b.visible(link)
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q).value`, link))
}

// F4: a younger visitor gets nothing but a link, by which a guardian decides on another device, once.
func TestF4Guardian(t *testing.T) {
	w := newWorld(t, settings{config: minors(true)})
	child := w.open()
	address := child.guardianLink()
	w.received(nothing)
	if !strings.HasPrefix(address, guardianPath) || len(address) > 400 {
		t.Fatalf("the link is %q", address)
	}
	if text := child.told(minor); !strings.Contains(text, "Everything optional stays off.") || !strings.Contains(text, time.Now().UTC().AddDate(0, 0, 7).Format(time.DateOnly)) {
		t.Errorf("the step reads %q", text)
	}
	if value := eval[string](child, `document.activeElement.value`); value != "close" {
		t.Errorf("the focus is on %q", value)
	}
	child.inspected("the link", "stile-dialog", "minors-link")
	child.press(kb.Enter).await(`!document.querySelector('stile-dialog dialog[open]')`)
	refused := child.record()
	if refused.Age != "younger" || refused.Action != "reject_all" || len(refused.Granted)+len(refused.Services) > 0 || !child.decode(".shop.test", w.keys()...).Minor {
		t.Errorf("the record is %+v", refused)
	}
	for _, path := range []string{"/", "/basket"} {
		child.views(shopURL+path, nothing)
		child.notAsked("younger")
	}

	// The guardian, in a browser of their own.
	guardian := child.stranger()
	guardian.do(navigate(address))
	text := guardian.text()
	for _, part := range []string{"Consent of a parent or guardian", "EasyDser", "Analytics, Functional, Marketing"} {
		if !strings.Contains(text, part) {
			t.Errorf("the guardian's page does not say %q:\n%s", part, text)
		}
	}
	if ticked := eval[[]string](guardian, `[...document.querySelectorAll('input')].filter(i => i.checked).map(i => i.value)`); len(ticked) > 0 {
		t.Errorf("A5: ticked beforehand: %q", ticked)
	}
	guardian.inspected("the guardian's page", "", "minors-guardian")
	unchanged := func(when string) {
		t.Helper()
		if n := w.records(); n != 1 {
			t.Errorf("%s: %d records, want one", when, n)
		}
		if jar := guardian.jar(); len(jar) > 0 {
			t.Errorf("%s: the guardian's browser has %q", when, jar)
		}
		child.views(shopURL+"/", nothing)
	}
	// Without the declaration the browser sends nothing, and the server takes nothing.
	guardian.tick("analytics")
	w.asked()
	guardian.click("form .b button:last-child").frame()
	if got := w.asked(); len(got) > 0 {
		t.Errorf("without the declaration: %q", got)
	}
	if status, says := guardian.sends("", "category=analytics"); status != 400 || !strings.Contains(says, "only a parent or guardian can decide") {
		t.Errorf("without the declaration: %d %s", status, says)
	}
	unchanged("without the declaration")

	guardian.tick("yes")
	guardian.submit("form .b button:last-child")
	if text := guardian.text(); !strings.Contains(text, "Confirmed. Open the same link on the child's device now") {
		t.Errorf("confirmed, the page says %q", text)
	}
	if jar := guardian.jar(); len(jar) > 0 {
		t.Errorf("confirming is a choice in the guardian's browser: %q", jar)
	}
	guardian.axe("confirmed", "")
	list := w.visitors(refused.Subject)
	if len(list) != 2 || list[0].Action != "guardian" || list[0].Previous != refused.ID || list[0].Age != "younger" || !slices.Equal(list[0].Granted, []string{"analytics"}) {
		t.Fatalf("the child's records are %+v", list)
	}

	// A third browser: used, forged and expired links change nothing.
	stranger := child.stranger()
	w.refusesLink(stranger, address, 410, "was used on")
	token := strings.TrimPrefix(address, guardianPath)
	w.refusesLink(stranger, guardianPath+token[:len(token)-4]+"AAAA", 403, "this is not a link that shop made")
	choice := child.decode(".shop.test", w.keys()...)
	signed := codec(t, w.keys()...)
	forged, err := signed.Encode("shop", choice) // a choice is no link
	if err != nil {
		t.Fatal(err)
	}
	w.refusesLink(stranger, guardianPath+forged, 403, "this is not a link that shop made")
	choice.Time = time.Now().Add(-8 * 24 * time.Hour)
	choice.Granted, choice.Receipt = []string{"analytics"}, uuid.New()
	old, err := signed.Encode("shop.guardian", choice)
	if err != nil {
		t.Fatal(err)
	}
	w.refusesLink(stranger, guardianPath+old, 410, "this link held until "+time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly))

	// The same link in the child's browser: there it takes effect.
	child.views(shopURL+"/", nothing)
	child.do(navigate(address))
	if at := eval[string](child, "location.href"); at != consentURL+"/stile/shop/preferences?saved=1" {
		t.Errorf("the link led the child to %s", at)
	}
	for _, path := range []string{"/", "/basket"} {
		child.views(shopURL+path, map[string]int{"counter": 2})
		child.granted("analytics")
	}
	child.do(navigate(address)) // again
	child.views(shopURL+"/", map[string]int{"counter": 2})
	if n := w.records(); n != 2 {
		t.Errorf("%d records, want two", n)
	}

	// More than that the child cannot switch on, but all of it off.
	child.cannotSwitchOn(map[string]int{"counter": 2}, "analytics")
	child.marked()
	eval[bool](child, `stile.withdraw().then(() => true)`)
	child.settle()
	if r := child.record(); r.Action != "withdraw" || r.Age != "younger" || r.Subject != refused.Subject {
		t.Errorf("the record of the withdrawal is %+v", r)
	}
	child.views(shopURL+"/", nothing)
	child.say(`stile.accept()`)
	child.toldMinor("after the withdrawal")
	child.do(navigate(address)) // what was taken back does not come back by the old link
	child.views(shopURL+"/", nothing)
}

// F4: what comes after a guardian's consent, a vendor or another policy, is not for the child to accept either; what they
// decline beside that goes.
func TestF4Change(t *testing.T) {
	w := newWorld(t, settings{config: minors(true)})
	child := w.open()
	address := child.guardianLink()
	guardian := child.stranger()
	guardian.do(navigate(address))
	guardian.tick("analytics")
	guardian.tick("marketing")
	guardian.tick("yes")
	guardian.submit("form .b button:last-child")
	child.do(navigate(address))
	runs := map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1}
	child.views(shopURL+"/", runs)

	w.reconfigure(withFilm, "reloaded")
	child.emptyCache().views(shopURL+"/", runs)
	child.click(take)
	child.toldMinor("a new vendor")
	child.views(shopURL+"/", runs)
	child.notAsked("a new vendor")

	// Analytics off and functional on, in one act.
	child.openDialog().click(dialog + " [value=analytics]").click(dialog + " [value=functional]")
	child.loads(func() { child.click(dialogSave) }).settle() // loyalty needs the counter, and ends with the page
	child.views(shopURL+"/", map[string]int{"pixel-a": 1, "pixel-b": 1})
	child.granted("marketing")

	w.reconfigure(func(text string) string { return policy(`version: v2, material: true`)(text) }, "reloaded")
	child.emptyCache().views(shopURL+"/", nothing)
	if !child.shows(banner) {
		t.Error("a material policy does not ask")
	}
	child.openDialog().click(dialog + " [value=marketing]").click(dialogSave) // no more than what the guardian allowed once
	child.toldMinor("a material policy")
	child.views(shopURL+"/", nothing)
	child.granted()
}

// tick ticks a box of a page of Stile's.
func (b *tab) tick(value string) {
	b.t.Helper()
	b.click("input[value=" + value + "]")
}

// sends posts a form as the page that is shown would, with its id and notice and the browser's cookies; to is a path, or ""
// for the page's own.
func (b *tab) sends(to, fields string) (status int, says string) {
	b.t.Helper()
	form := eval[[]string](b, `[location.pathname, document.querySelector('[name=id]').value, document.querySelector('[name=notice]').value]`)
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.w.plain.URL+cmp.Or(to, form[0]), strings.NewReader(fields+"&id="+form[1]+"&notice="+form[2]))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Host = "consent.shop.test"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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
	return resp.StatusCode, string(body)
}

// refusesLink checks that a guardian's link is refused, opened and sent, and that nothing was changed by that.
func (w *world) refusesLink(b *tab, address string, want int, why string) {
	w.t.Helper()
	before := w.records()
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	status, says := b.sends(strings.TrimPrefix(address, consentURL), "category=marketing&guardian=yes")
	if status != want || !strings.Contains(says, why) {
		w.t.Errorf("sent: %d %s, want %d and %q", status, says, want, why)
	}
	b.do(navigate(address))
	if text := b.text(); !strings.Contains(text, why) {
		w.t.Errorf("opened: it says %q, want %q", text, why)
	}
	if seen := w.peek(); !strings.HasSuffix(seen[len(seen)-1], fmt.Sprint(" ", want)) && !slices.ContainsFunc(seen, func(r string) bool {
		return strings.HasPrefix(r, "GET "+strings.TrimPrefix(address, consentURL)) && strings.HasSuffix(r, fmt.Sprint(" ", want))
	}) {
		w.t.Errorf("opened: the requests were %q, want status %d", seen, want)
	}
	if jar := b.jar(); len(jar) > 0 || w.records() != before {
		w.t.Errorf("a refused link changed something: cookies %q, %d records of %d", jar, w.records(), before)
	}
}

// cannotSwitchOn checks that a younger visitor adds nothing to what is allowed, whichever way and whatever they answer.
func (b *tab) cannotSwitchOn(has map[string]int, granted ...string) {
	b.t.Helper()
	check := func(way string) {
		b.t.Helper()
		b.views(shopURL+"/", has)
		b.granted(granted...)
		if r := b.record(); r.Age != "younger" {
			b.t.Errorf("%s: the record is %+v", way, r)
		}
		if !b.decode(".shop.test", b.w.keys()...).Minor {
			b.t.Errorf("%s: the visitor grew up", way)
		}
	}
	b.visit(shopURL + "/").openDialog()
	b.click(dialog + " [name=accept][value=all]")
	b.toldMinor("dialog")
	check("the dialog")

	b.say(`stile.accept()`)
	b.toldMinor("API")
	check("the API")

	b.do(navigate(consentURL + "/stile/shop/preferences"))
	if !eval[bool](b, `document.querySelector('input[value=marketing]').checked`) {
		b.tick("marketing")
	}
	b.submit("form .b button:last-child")
	if text := b.text(); !strings.Contains(text, "You cannot allow this by yourself yet.") {
		b.t.Errorf("the plain form led to %q", text)
	}
	check("the plain form")
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	status, says := b.sends("/stile/shop/choice", "accept=all&age=older")
	var answer struct {
		Choice struct{ Granted []string }
	}
	if err := json.Unmarshal([]byte(says), &answer); err != nil || status != 200 || !slices.Equal(answer.Choice.Granted, append([]string{}, granted...)) {
		b.t.Errorf("sent as older: %d %s", status, says)
	}
	check("sent as older")
}

// toldMinor waits until a visitor who said that they are younger is told that they cannot: at once, since they are not
// asked again, and "older" would be of no use.
func (b *tab) toldMinor(way string) {
	b.t.Helper()
	b.await(fmt.Sprintf(`document.querySelector(%q) || document.querySelector(%q)`, minor, ageStep))
	if b.shows(ageStep) {
		b.t.Fatalf("%s: who is known to be younger is asked again", way)
	}
	b.visible(link)
	b.click(minor + " [value=close]").await(`!document.querySelector('stile-dialog dialog[open]')`).settle()
}

// F4: without guardians there is no link, and none works.
func TestF4WithoutGuardian(t *testing.T) {
	w := newWorld(t, settings{config: minors(false)})
	b := w.open().visit(shopURL + "/")
	b.click(accept).asksAge().decide(younger)
	if b.shows(link) || strings.Contains(b.told(minor), "guardian") {
		t.Errorf("the step reads %q", b.told(minor))
	}
	if text := b.told(minor); !strings.Contains(text, "Everything optional stays off.") {
		t.Errorf("the step reads %q", text)
	}
	b.click(minor + " [value=close]")
	b.views(shopURL+"/", nothing)
	choice := b.decode(".shop.test", w.keys()...)
	choice.Granted = []string{"analytics"}
	token, err := codec(t, w.keys()...).Encode("shop.guardian", choice)
	if err != nil {
		t.Fatal(err)
	}
	w.refusesLink(b.stranger(), guardianPath+token, 403, "this is not a link that shop made")
}

// F4, A7: the same by plain forms, without JavaScript: on the page of preferences and in the banner's frame.
func TestF4WithoutJavaScript(t *testing.T) {
	w := newWorld(t, settings{config: minors(true)})
	b := w.open().scripts(false)
	preferences := consentURL + "/stile/shop/preferences"
	b.load(preferences)
	if text := b.text(); ofAge.MatchString(text) {
		t.Errorf("B12: the page of preferences speaks of age: %q", ofAge.FindString(text))
	}
	b.tick("analytics")
	b.submit("form .b button:last-child")
	if text := b.text(); !strings.Contains(text, "Are you 14 or older?") {
		t.Fatalf("the form led to %q", text)
	}
	if w.records() > 0 || len(b.jar()) > 0 {
		t.Error("A4: the question alone is a choice")
	}
	b.scripts(true).axe("the question", "") // it was drawn without, and axe-core is one
	for _, screen := range screens {
		b.look(screen.width, screen.height, "light").picture("minors-plain-question-" + screen.name)
	}
	b.scripts(false).submit("[value=older]")
	if r := b.record(); r.Age != "older" || !slices.Equal(r.Granted, []string{"analytics"}) || r.Surface != "page" {
		t.Errorf("the record is %+v", r)
	}
	b.scripts(true).views(shopURL+"/", map[string]int{"counter": 2})

	child := b.stranger().scripts(false).load(preferences)
	child.tick("analytics")
	child.submit("form .b button:last-child")
	child.submit("[value=younger]")
	if text := child.text(); !strings.Contains(text, "Everything optional stays off.") || !strings.Contains(text, "Give them this link") {
		t.Fatalf("younger: the form led to %q", text)
	}
	child.scripts(true).axe("younger", "")
	for _, screen := range screens {
		child.look(screen.width, screen.height, "light").picture("minors-plain-link-" + screen.name)
	}
	refused := child.record()
	if refused.Age != "younger" || refused.Action != "reject_all" {
		t.Errorf("the record is %+v", refused)
	}
	address := eval[string](child, `document.querySelector('.t a').innerText`) // it is handed over as it reads
	if !strings.HasPrefix(address, guardianPath) {
		t.Fatalf("the link reads %q", address)
	}

	// The guardian sits down at the child's own device: it takes effect at once.
	child.scripts(false).load(address)
	if text := child.text(); !strings.Contains(text, "would like to allow: Analytics.") {
		t.Errorf("the guardian's page reads %q", text)
	}
	child.tick("analytics")
	child.tick("yes")
	child.submit("form .b button:last-child")
	if at := eval[string](child, "location.href"); at != preferences+"?saved=1" {
		t.Errorf("confirming led to %s", at)
	}
	if r := child.record(); r.Action != "guardian" || r.Subject != refused.Subject {
		t.Errorf("the record is %+v", r)
	}
	w.reset()
	w.loaded()
	child.scripts(true).views(shopURL+"/", map[string]int{"counter": 2})

	// In the frame that stands in <noscript>, the question and what follows are shown in the frame.
	framed := b.stranger().scripts(false).load(shopURL + "/")
	framed.inFrame("button[value=all]", "Accept all", true)
	framed.inFrame("h2", "Are you 14 or older?", false)
	if framed.cookie("stile_shop") != nil {
		t.Error("A4: the question alone is a choice")
	}
	framed.picture("minors-frame-question")
	framed.inFrame("[value=younger]", "No, younger", true)
	framed.inFrame(".t", "Everything optional stays off.", false)
	framed.picture("minors-frame-link")
	if r := framed.record(); r.Age != "younger" || r.Surface != "noscript" {
		t.Errorf("the record is %+v", r)
	}
	framed.scripts(true).views(shopURL+"/", nothing)
}

// inFrame waits until an element in the page's first frame says something, and clicks it where it is to be pressed.
func (b *tab) inFrame(selector, says string, press bool) {
	b.t.Helper()
	js := fmt.Sprintf(`(el => { const says = el ? el.innerText : document.body.innerText; if (el && says.includes(%q) && %v) el.click(); return says })(document.querySelector(%q))`, says, press, selector)
	last := ""
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the frame reads %q", last)
		}
	}()
	b.w.until("the frame to say "+says, func() bool {
		last = b.evalInFrame(js)
		return strings.Contains(last, says)
	})
}

func (b *tab) evalInFrame(js string) string {
	b.t.Helper()
	tree, err := chromedp.Call(b.ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(tree.FrameTree.ChildFrames) == 0 {
		return ""
	}
	world, err := chromedp.Call(b.ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.ChildFrames[0].Frame.ID})
	if err != nil {
		return "" // it is about to show another page
	}
	got, err := chromedp.Call(b.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: js, ContextID: world.ExecutionContextID})
	if err != nil || got.Result == nil {
		return ""
	}
	return strings.Trim(string(got.Result.Value), `"`)
}
