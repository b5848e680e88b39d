package e2e

import (
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
	w.parties.Reset()
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
	w.parties.Reset()
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
