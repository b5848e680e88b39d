package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var regions = []string{"--region-header", "X-Region"}

// from is a visitor of a region, with a browser of their own. The proxy says where they are.
func (w *world) from(region string) *tab {
	w.t.Helper()
	w.moves(region)
	return w.open()
}

func (w *world) moves(region string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.region = region
}

// What the law of each region lets run before a choice; the visitor is asked, or told, under each.
func TestRegimesBeforeChoice(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.open()
	for region, want := range map[string]map[string]int{
		"DE": nothing, "CH": nothing, "BR": nothing, "CN": nothing, "FR": nothing,
		"GB": {"counter": 2}, "US-CA": all, "US-CO": all,
		"US-TX": nothing, "US": nothing, "JP": nothing, "": nothing, "XX": nothing, "us-ca": nothing, "US-CA,DE": nothing,
	} {
		w.moves(region)
		b.forget().emptyCache()
		b.views(shopURL+"/", want)
		if !b.shows(banner) {
			t.Errorf("%q: the visitor is not asked", region)
		}
		if eval[bool](b, "stile.choice.made") {
			t.Errorf("%q: silence is a choice", region)
		}
		if c := b.cookie("stile_shop"); c != nil {
			t.Errorf("%q: there is a choice cookie", region)
		}
	}
	if n := w.records(); n > 0 {
		t.Errorf("%d records of choices that nobody made", n)
	}
}

// Without a trusted header nobody's region is believed, and the strictest regime holds.
func TestRegimesWithoutHeader(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.from("US-CA").visit(shopURL + "/").asks("the header is not trusted")
}

// Opt-out: tags run until the visitor objects, and stop then, on this page and the next.
func TestRegimeOptOut(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.from("US-CA")
	b.views(shopURL+"/", all)
	b.loads(func() { b.click(reject) }).settle()
	b.clean()
	w.reset()
	w.loaded()
	for _, path := range []string{"/", "/basket", "/product/kettle"} {
		b.views(shopURL+path, nothing)
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
	}
	// The signal is an objection before any choice.
	w.from("US-CA").signal().views(shopURL+"/", map[string]int{"counter": 2, "chat": 1})
}

// Notice only: statistics run in the United Kingdom until the visitor objects, everything else waits for consent.
func TestRegimeNoticeOnly(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.from("GB")
	b.views(shopURL+"/", map[string]int{"counter": 2})
	b.marked().decide(reject)
	if !b.stillMarked() {
		t.Error("the page was loaded anew for a tag that can be stopped")
	}
	w.reset()
	b.say("houseCounter.page()")
	b.clean()
	b.views(shopURL+"/basket", nothing)

	other := w.from("GB")
	other.views(shopURL+"/", map[string]int{"counter": 2})
	other.decide(accept)
	other.views(shopURL+"/", all)
}

// F2: where each recipient is consented separately there is no button for all, and each service has its own toggle.
func TestRegimeSeparate(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.from("CN").visit(shopURL + "/")
	b.asks("before a choice")
	if b.shows(accept) || !b.shows(reject) || !b.shows(choose) {
		t.Error("the banner has a button for all, or lacks one")
	}
	b.openDialog()
	if b.shows(dialog + " [value=all]") {
		t.Error("the dialog has a button for all")
	}
	boxes := eval[[]string](b, `[...document.querySelectorAll('`+dialog+` input')].map(i => i.name + ' ' + i.value + (i.checked ? ' ticked' : ''))`)
	want := []string{"service chat", "service house-counter", "service pixel-a", "service pixel-b", "service loyalty"}
	if d := cmp.Diff(want, boxes); d != "" {
		t.Errorf("toggles (-want +got):\n%s", d)
	}
	b.click(dialog + " [value=pixel-b]").decide(dialogSave)
	w.received(map[string]int{"pixel-b": 1})
	for _, path := range []string{"/", "/basket"} {
		b.views(shopURL+path, map[string]int{"pixel-b": 1})
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
	}
	b.openDialog()
	if !eval[bool](b, `document.querySelector('`+dialog+` [value=pixel-b]').checked && !document.querySelector('`+dialog+` [value=pixel-a]').checked`) {
		t.Error("the dialog does not show what was chosen")
	}
	b.decide(dialog + " [name=accept][value=none]")
	b.views(shopURL+"/", nothing)

	// A request that grants a whole category grants no recipient here.
	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	b.views(shopURL+"/basket", nothing)
}

// Opt-in: nothing before, what was granted after; another region sees the same visitor under its own law.
func TestRegimeOptIn(t *testing.T) {
	w := newWorld(t, settings{args: regions})
	b := w.from("DE").visit(shopURL + "/")
	b.asks("before a choice")
	b.decide(reject)
	b.views(shopURL+"/", nothing)
	w.moves("US-CA") // a refusal holds where silence would not
	b.views(shopURL+"/basket", nothing)
	w.moves("CN")
	b.views(shopURL+"/", nothing)
}

// F10: the law asks for clear information and a free objection: the banner says which purpose is on until the visitor
// objects, and the dialog switches it off by itself.
func TestF10NoticeOnlySaysSo(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.from("GB")
	b.views(shopURL+"/", map[string]int{"counter": 2})
	b.lists("Functional: offer extras such as videos and chat", "Marketing: show and measure advertising", "Analytics: measure how the site is used")
	terms := eval[[]string](b, `[...document.querySelectorAll('stile-banner ul')].map(ul => ul.previousElementSibling.innerText)`)
	if len(terms) != 2 || !strings.HasSuffix(terms[0], "only if you agree:") || !strings.HasSuffix(terms[1], "until you say no:") {
		t.Errorf("the terms of the two lists are %q", terms)
	}
	b.openDialog()
	if text := b.told(dialog); !strings.Contains(text, "(on until you object)") {
		t.Errorf("the dialog does not say what is on until the visitor objects: %s", text)
	}
	if on := eval[[]string](b, `[...document.querySelectorAll('`+dialog+` input')].filter(i => i.checked).map(i => i.value)`); !cmp.Equal(on, []string{"analytics"}) {
		t.Errorf("the dialog shows %q as on", on)
	}
	w.reset()
	b.click(dialog + " [value=analytics]").click(dialog + " [value=functional]").decide(dialogSave)
	w.received(map[string]int{"chat": 1})
	b.say("window.houseCounter && houseCounter.page()")
	b.views(shopURL+"/basket", map[string]int{"chat": 1})
	b.notAsked("objected")
	if r := b.ownRecords()[0]; r.Regime != "uk" || r.Country != "GB" || !cmp.Equal(r.Denied, []string{"analytics", "marketing"}) {
		t.Errorf("the record is %v", r)
	}
	// Advertising still takes consent, and where the law is another one nothing is on.
	w.moves("DE")
	other := b.stranger()
	other.views(shopURL+"/", nothing)
	if text := other.told(banner); strings.Contains(text, "until you object") {
		t.Errorf("in Germany the banner reads %q", text)
	}
}

// F13: one click on "Do not sell or share" leaves on what is not sold, and is remembered; what opens the choices is called
// by the law's name. GPC is the same objection before any click, and the banner says that it is honoured (D2, D3).
func TestF13DoNotSell(t *testing.T) {
	w := newWorld(t, settings{args: regions, config: func(text string) string {
		return strings.Replace(sharedCookie(text), "appearance: {", "appearance: {control: end, ", 1)
	}})
	unsold := map[string]int{"counter": 2, "chat": 1}
	const doNotSell = "stile-banner [value=unsold]"
	b := w.from("US-CA")
	b.views(shopURL+"/", all)
	if title, says := b.told(banner+" h2"), b.told(doNotSell); title != "Your privacy choices" || says != "Do not sell or share my personal information" {
		t.Errorf("the banner is headed %q, and offers %q", title, says)
	}
	w.reset()
	b.loads(func() { b.click(doNotSell) }).settle()
	w.reset()
	w.loaded()
	for _, path := range []string{"/", "/basket"} {
		b.views(shopURL+path, unsold)
		b.granted("functional", "analytics")
		b.notAsked("not sold")
	}
	if r := b.ownRecords()[0]; r.Action != "custom" || r.Surface != "banner" || r.Regime != "us" || !cmp.Equal(r.Granted, []string{"analytics", "functional"}) || !cmp.Equal(r.Denied, []string{"marketing"}) || r.GPC {
		t.Errorf("the record is %v", r)
	}
	b.visible("stile-control button")
	if name := b.told("stile-control"); name != "Your privacy choices" {
		t.Errorf("the control is called %q", name)
	}
	b.click("stile-control button").visible(dialog)
	if title := b.told(dialog + " h2"); title != "Your privacy choices" {
		t.Errorf("the dialog is headed %q", title)
	}
	w.moves("DE") // an objection is a refusal everywhere
	b.emptyCache().views(shopURL+"/", unsold)
	w.moves("US-CA")

	signal := b.stranger().signal()
	signal.views(shopURL+"/", unsold)
	if text := signal.told(banner); !strings.Contains(text, honoured) {
		t.Errorf("D3: the banner reads %q", text)
	}
	signal.decide(accept) // against the signal, on purpose (D5)
	w.received(all)
	signal.views(shopURL+"/basket", all)
	if r := signal.ownRecords()[0]; r.Action != "accept_all" || !r.GPC {
		t.Errorf("D5: the record is %v", r)
	}

	// Without JavaScript it is the same button.
	plain := b.stranger().scripts(false)
	plain.do(navigate(consentURL + "/stile/shop/banner"))
	plain.submit("[value=unsold]")
	if text := plain.text(); !strings.Contains(text, "saved") || !strings.Contains(text, "Your privacy choices") {
		t.Errorf("the frame reads %q", text)
	}
	w.loaded() // the frame had the pixels, which run until the visitor objects
	plain.scripts(true).views(shopURL+"/", unsold)
}

// F2, B11: where each recipient is consented to separately, a new one asks again by itself, and is not part of anything.
func TestF2NewRecipient(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: regions})
	b := w.from("CN").visit(shopURL + "/")
	b.openDialog().click(dialog + " [value=pixel-b]").decide(dialogSave)
	only := map[string]int{"pixel-b": 1}
	w.received(only)
	b.views(shopURL+"/", only)
	refuser := b.stranger().visit(shopURL + "/")
	refuser.decide(reject)
	w.reconfigure(withFilm, "reloaded")
	w.loaded()

	b.emptyCache().views(shopURL+"/basket", only)
	if !b.shows(banner) {
		t.Fatal("a new recipient is not asked about")
	}
	b.lists("Film (Film Ltd): Marketing – show and measure advertising")
	if b.shows(take) || b.shows(accept) {
		t.Error("the banner has a button for all")
	}
	b.decide(keep)
	b.views(shopURL+"/", only)
	b.notAsked("kept")
	w.reset()
	b.openDialog().click(dialog + " [value=film]").decide(dialogSave)
	w.received(map[string]int{"video": 1})
	b.views(shopURL+"/", map[string]int{"pixel-b": 1, "video": 1})
	if r := b.ownRecords()[0]; !cmp.Equal(r.Services, []string{"film", "pixel-b"}) || r.Regime != "pipl" {
		t.Errorf("the record is %v", r)
	}
	refuser.emptyCache().views(shopURL+"/", nothing)
	refuser.notAsked("refused")
}
