package e2e

import (
	"strings"
	"testing"
)

// B11: a tag that is added after the choice is withheld and asked about, and what was granted holds meanwhile.
func TestB11TagAdded(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	refuser := w.open().visit(shopURL + "/")
	refuser.decide(reject)

	w.reconfigure(func(text string) string {
		return text + "\n  - name: Film\n    category: marketing\n    pixel: \"https://video.example/embed/new\"\n    company: Film Ltd\n"
	}, "reloaded")

	b.views(shopURL+"/basket", all)
	if !b.shows(banner) {
		t.Error("a new tag is not asked about")
	}
	b.granted("functional", "analytics", "marketing")
	if eval[bool](b, "stile.allows('Film')") {
		t.Error("the new tag is said to be allowed")
	}
	if got := eval[[]string](b, `[...document.querySelectorAll('stile-banner li')].map(li => li.textContent)`); len(got) != 1 || !strings.HasPrefix(got[0], "Film") {
		t.Errorf("the banner lists %q as new, want the film alone", got)
	}
	if b.shows(accept) || b.shows(reject) || !b.shows("stile-banner [value=kept]") {
		t.Error("the banner about what is new asks for everything")
	}
	b.decide("stile-banner [value=new]")
	withFilm := map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1, "chat": 1, "video": 1}
	w.received(withFilm)
	b.views(shopURL+"/", withFilm)
	if b.shows(banner) {
		t.Error("the visitor is asked again")
	}
	w.reset()
	refuser.visit(shopURL + "/basket")
	w.received(nothing)
	if refuser.shows(banner) {
		t.Error("who refused everything is asked again for one more of the same (F6)")
	}
}

// A tag that is taken out of the file is gone with the next request, and so is a category.
func TestReloadTagRemoved(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	w.reconfigure(func(text string) string {
		return strings.Replace(text, "category: functional\n    script: \"https://chat", "category: marketing\n    script: \"https://chat", 1)
	}, "reloaded")
	b.views(shopURL+"/", map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1})
	if !b.shows(banner) {
		t.Error("a tag that moved to another category is not asked about")
	}
}

// A bad file keeps the old snapshot and is said so, with the line; a good one heals it.
func TestReloadBadFile(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	var good string
	w.reconfigure(func(text string) string {
		good = text
		return strings.Replace(text, "category: analytics", "category: statistics", 1)
	}, "not used")
	if w.said("statistics") == 0 || w.said("stile.yaml") == 0 {
		t.Error("the server does not say what is wrong, and where")
	}
	w.asked()
	b.views(shopURL+"/basket", all)
	w.cost("a bad file", "GET /stile/shop.js 304")
	fresh := w.open().visit(shopURL + "/")
	if !fresh.shows(banner) {
		t.Error("a new visitor is not asked")
	}
	counted := map[string]int{"counter": 2}
	w.reset()
	eval[bool](fresh, `stile.accept(["analytics"]).then(() => true)`)
	// What was just released is waited for, or it would be counted with the next page.
	w.received(counted)
	fresh.views(shopURL+"/", counted)

	w.reconfigure(func(string) string { return "" }, "not used")
	b.views(shopURL+"/", all)
	w.reconfigure(func(string) string { return strings.Replace(good, "HC-1001", "HC-2002", 1) }, "reloaded")
	b.views(shopURL+"/", all)
	if hits := w.parties.Log(); !strings.Contains(hits[0].Query+hits[1].Query+hits[2].Query+hits[3].Query+hits[4].Query, "HC-2002") {
		t.Errorf("the new account is not used: %+v", hits)
	}
}

// A policy that changed materially asks again, and grants nothing until then; refusals hold.
func TestB11PolicyChanged(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	w.received(all)
	b.views(shopURL+"/", all)
	w.reconfigure(func(text string) string {
		return strings.Replace(text, "version: 2026-11-01", "version: 2026-12-01", 1)
	}, "reloaded")
	w.reset()
	b.visit(shopURL + "/basket").asks("another policy")
	b.decide(accept)
	w.received(all)
	b.views(shopURL+"/", all)
	if b.shows(banner) {
		t.Error("the visitor is asked again")
	}
}
