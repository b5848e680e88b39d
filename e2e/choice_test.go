package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nothing is what third parties get where zero is promised.
var nothing = map[string]int{}

// A1: before a choice there is no request, no cookie and no storage.
func TestA1BeforeChoice(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	if !b.shows(banner) {
		t.Error("the visitor is not asked")
	}
	w.received(nothing)
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("cookies before a choice: %q", jar)
	}
	if n := eval[int](b, "localStorage.length + sessionStorage.length"); n > 0 {
		t.Errorf("%d storage keys before a choice", n)
	}
	if got := w.asked(); len(got) != 1 || got[0] != "GET /stile/shop.js 200" {
		t.Errorf("the banner took the requests %q, one is promised", got)
	}
	b.visit(shopURL + "/product/kettle")
	w.received(nothing)
}

// A2: after a refusal nothing is sent, on no later page.
func TestA2Reject(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(reject)
	if b.shows(banner) {
		t.Error("the banner is still there")
	}
	for _, path := range []string{"/", "/product/kettle", "/app/", "/privacy"} {
		b.visit(shopURL + path)
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
	}
	b.visit(mobileURL + "/")
	second := b.fresh().visit(shopURL + "/basket")
	if second.shows(banner) {
		t.Error("a second tab asks again")
	}
	w.received(nothing)
	if c := b.cookie("stile_shop"); c == nil || !c.HTTPOnly || c.SameSite != "Lax" || c.Domain != ".shop.test" {
		t.Errorf("the choice cookie is %+v", c)
	}
	if got := b.cookies(); !strings.HasPrefix(got, "stile_shop_state=") || strings.Contains(got, ";") {
		t.Errorf("the page sees the cookies %q, want the mirror alone", got)
	}
}

// Each category alone releases its own tags, all of them, and no other.
func TestEachCategory(t *testing.T) {
	for category, want := range map[string]map[string]int{
		"functional": {"chat": 1},
		"analytics":  {"counter": 2}, // script and beacon
		"marketing":  {"pixel-a": 1, "pixel-b": 1},
	} {
		t.Run(category, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			b.click(choose).click(dialog + " [value=" + category + "]").decide(dialogSave)
			w.received(want)
			w.reset()
			b.visit(shopURL + "/basket")
			w.received(want)
			if got := eval[[]string](b, "stile.choice.granted"); !cmp.Equal(got, []string{category}) {
				t.Errorf("stile.choice.granted is %q", got)
			}
			if loyal := eval[bool](b, "window.loyalty === 1"); loyal {
				t.Error("an inline tag ran without the tag that it needs")
			}
		})
	}
}

func TestAcceptAll(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	all := map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1, "chat": 1}
	w.received(all)
	for _, hit := range w.parties.Log() {
		if hit.Path == "/counter.js" && hit.Query != "id=HC-1001" {
			t.Errorf("the counter was loaded with %q", hit.Query)
		}
		if hit.Path == "/p.gif" && hit.Query != "u=http%3A%2F%2Fwww.shop.test%2F" {
			t.Errorf("a pixel was told %q", hit.Query)
		}
	}
	want := map[string]string{"house-counter": "running", "pixel-a": "running", "pixel-b": "running", "chat": "running", "loyalty": "running"}
	if got := eval[map[string]string](b, "stile.tags"); !cmp.Equal(got, want) {
		t.Errorf("stile.tags is %v", got)
	}
	if !eval[bool](b, "window.loyalty === 1") {
		t.Error("the inline tag did not run")
	}
	w.reset()
	w.asked()
	b.visit(shopURL + "/basket")
	w.received(all)
	if got := w.asked(); len(got) > 0 {
		t.Errorf("a returning visitor cost the requests %q", got)
	}
}
