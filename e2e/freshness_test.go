package e2e

import (
	"slices"
	"strings"
	"testing"
)

// A returning visitor pays no request, and the very next page view after anything changed is right.
func TestFreshAfterChoice(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.click(choose).click(dialog + " [value=analytics]").decide(dialogSave)
	w.received(map[string]int{"counter": 2})
	w.asked()
	for _, url := range []string{shopURL + "/basket", shopURL + "/", mobileURL + "/product/kettle", shopURL + "/privacy"} {
		b.views(url, map[string]int{"counter": 2})
		if strings.Contains(url, "/product/") { // the film waits there: what draws its placeholder is fetched once, and the same for everybody
			w.cost(url, "GET /stile/shop/markup.js 200", "GET /stile/shop/page.js?lang=en&regime=other 200")
			b.views(url, map[string]int{"counter": 2})
		}
		w.cost(url)
		if b.shows(banner) {
			t.Errorf("%s asks again", url)
		}
	}
	eval[bool](b, "stile.accept().then(() => true)")
	b.settle()
	w.asked()
	b.views(shopURL+"/basket", all)
	w.cost("after accepting the rest")

	b.loads(func() { b.say("stile.withdraw()") }).settle()
	w.asked()
	b.views(shopURL+"/", nothing)
	b.views(mobileURL+"/", nothing)
	w.cost("after withdrawing")
	b.granted()
}

// The next page view after cookies went asks again; a lost mirror is set again; a lost choice behind a mirror that is
// left is not seen by the page, and heals with the next request.
func TestFreshAfterDeletedCookies(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)

	mirror := b.cookie("stile_shop_state").Value
	b.forget("stile_shop_state")
	w.asked()
	b.views(shopURL+"/basket", all)
	// The page that is left sees the change as well, when it is hidden, and may ask once more.
	if got := slices.Compact(w.asked()); !slices.Equal(got, []string{"GET /stile/shop.js?s= 200"}) {
		t.Errorf("the mirror deleted: the consent host got %q", got)
	}
	if c := b.cookie("stile_shop_state"); c == nil || c.Value != mirror || c.HTTPOnly {
		t.Errorf("the mirror was not set again: %+v", c)
	}
	b.views(shopURL+"/", all)
	w.cost("the mirror set again")

	b.forget("stile_shop")
	b.views(shopURL+"/", all) // the page cannot see an HttpOnly cookie go
	w.cost("the choice deleted")
	b.emptyCache() // as if the copy had grown old
	w.reset()
	b.visit(shopURL + "/").asks("the choice deleted, copy too old")
	if got := w.asked(); !slices.Contains(got, "GET /stile/shop.js?s="+mirror+" 200") {
		t.Errorf("the choice deleted, copy too old: the consent host got %q", got)
	}
	if c := b.cookie("stile_shop_state"); c != nil {
		t.Errorf("the mirror of no choice is left: %+v", c)
	}

	b.decide(accept)
	w.received(all)
	b.views(shopURL+"/", all)
	b.forget("stile_shop", "stile_shop_state")
	w.reset()
	b.visit(shopURL + "/basket").asks("both cookies deleted")
	b.granted()
	b.visit(shopURL + "/").asks("the page after")
}

// D2: GPC switched on over a grant holds on the very next page view, and off again likewise.
func TestFreshAfterSignal(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	w.asked()

	b.signal()
	for _, url := range []string{shopURL + "/basket", mobileURL + "/", shopURL + "/"} {
		b.views(url, map[string]int{"counter": 2, "chat": 1})
		b.granted("functional", "analytics")
		if !eval[bool](b, "stile.choice.gpc && !stile.allows('marketing') && !window.loyalty") {
			t.Errorf("%s: the signal is on, and the page is not told", url)
		}
		if got := w.asked(); len(got) > 1 {
			t.Errorf("%s cost the requests %q", url, got)
		}
	}
	b.views(shopURL+"/", map[string]int{"counter": 2, "chat": 1})
	w.cost("the signal was seen")
	b.noSignal()
	b.views(shopURL+"/basket", all)
	w.asked()
	b.views(shopURL+"/", all)
	w.cost("the signal off again")
	if eval[bool](b, "stile.choice.gpc") {
		t.Error("the page is told of a signal that is off")
	}
}

// A tab that was open during a choice in another shows the present state as soon as it is looked at.
func TestFreshInSecondTab(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	first := w.open().visit(shopURL + "/")
	second := first.fresh().visit(shopURL + "/basket")
	second.asks("before a choice")
	second.hide()
	first.decide(accept)
	w.received(all)

	w.reset()
	second.unhide().await("stile.choice.made").settle()
	if second.shows(banner) {
		t.Error("the second tab still asks")
	}
	w.received(all)
	second.granted("functional", "analytics", "marketing")

	second.hide()
	first.loads(func() { first.say("stile.withdraw()") }).settle()
	w.reset()
	second.loads(func() { second.unhide() }).settle() // chat runs there, and cannot be stopped otherwise
	second.granted()
	second.say("window.houseCounter && houseCounter.page()")
	second.settle()
	w.received(nothing)
	if tags := eval[int](second, "Object.keys(stile.tags).length"); tags > 0 {
		t.Errorf("%d tags run in the second tab after a withdrawal", tags)
	}
}

// A2: a page that comes back from the back/forward cache does not bring back what was withdrawn meanwhile.
func TestFreshFromBackForwardCache(t *testing.T) {
	for _, tt := range []struct {
		name, categories string
		reload           bool
	}{
		{name: "stopped", categories: `["analytics"]`},
		{name: "reloaded", categories: `["analytics", "functional", "marketing"]`, reload: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			eval[bool](b, "stile.accept("+tt.categories+").then(() => true)")
			b.settle()
			w.landed() // a page that is left with a request under way is not kept
			b.visit(shopURL + "/basket").await(`Object.values(stile.tags).every(state => state == 'running')`)
			if tt.reload {
				b.loads(func() { b.say("stile.withdraw()") }).settle()
			} else {
				eval[bool](b, "stile.withdraw().then(() => true)")
			}
			b.settle()
			w.reset()
			w.loaded()
			var cached bool
			if tt.reload {
				b.loads(func() { cached = b.previous() })
			} else {
				cached = b.previous()
			}
			if !cached {
				t.Error("Chromium did not use the back/forward cache: this test saw an ordinary page view")
			}
			b.await("stile.choice && stile.choice.made && !stile.choice.granted.length").settle()
			b.say("window.houseCounter && houseCounter.page()")
			b.settle()
			w.received(nothing)
			if at := eval[string](b, "location.pathname"); at != "/" {
				t.Errorf("back led to %s", at)
			}
			if n := eval[int](b, "localStorage.length"); n > 0 {
				t.Errorf("%d storage keys are left", n)
			}
		})
	}
}

// A2: in a single-page section nothing is sent after a refusal, and each route is counted after a grant.
func TestFreshInSinglePageApp(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/app/")
	b.decide(reject)
	walk := func() {
		t.Helper()
		for _, path := range []string{"/app/colour", "/app/size", "/app/result"} {
			b.click("#finder a[data-answer]").await("location.pathname == '" + path + "'").settle()
		}
		b.say("history.back()")
		b.await("location.pathname == '/app/size'").settle()
	}
	walk()
	w.received(nothing)
	if b.shows(banner) {
		t.Error("a route asks again")
	}
	b.visit(shopURL + "/app/")
	eval[bool](b, `stile.accept(["analytics"]).then(() => true)`)
	b.settle()
	walk()
	w.received(map[string]int{"counter": 6}) // script, first page, four routes
}

// Without a cookie domain the page cannot see the mirror that the consent host sets: each page view costs a 304, and is
// right all the same.
func TestFreshWithoutCookieDomain(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	w.received(all)
	w.asked()
	for _, path := range []string{"/basket", "/", "/privacy"} {
		b.views(shopURL+path, all)
		w.cost(path, "GET /stile/shop.js 304")
	}

	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.granted()
	w.asked()
	b.views(shopURL+"/basket", nothing)
	w.cost("after withdrawing", "GET /stile/shop.js 304")
	if b.shows(banner) {
		t.Error("the visitor is asked after withdrawing")
	}

	eval[bool](b, "stile.accept().then(() => true)")
	b.settle()
	b.views(shopURL+"/", all)
	b.forget()
	w.reset()
	b.visit(shopURL + "/basket").asks("all cookies deleted")

	b.decide(accept)
	b.settle()
	w.received(all)
	// One of the two copies of the choice is gone: the other one holds.
	b.forgetOn("www.shop.test")
	for range 2 {
		b.views(shopURL+"/", all)
		if b.shows(banner) {
			t.Error("the page's copy is gone, and the visitor is asked")
		}
	}
	eval[bool](b, "stile.accept().then(() => true)")
	b.forgetOn("consent.shop.test")
	for range 2 {
		b.views(shopURL+"/basket", all)
		if b.shows(banner) {
			t.Error("the consent host's copy is gone, and the visitor is asked")
		}
	}
}

// Without a cookie domain hosts of one site have a mirror each: a withdrawal on one holds on the others' next page view.
func TestFreshOnSisterHost(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	b.views(mobileURL+"/", all)
	if b.shows(banner) {
		t.Error("the sister host asks again")
	}
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.granted()
	for i := range 2 {
		b.views(shopURL+"/basket", nothing)
		b.granted()
		if b.shows(banner) {
			t.Errorf("page view %d asks again", i)
		}
	}
	eval[bool](b, `stile.accept(["analytics"]).then(() => true)`)
	b.settle()
	b.views(mobileURL+"/", map[string]int{"counter": 2})
	b.views(shopURL+"/", map[string]int{"counter": 2})
}

// The copies that the browser keeps are never of another language, signal or state than the address says.
func TestFreshWhenTheSignalComesFirst(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().signal().visit(shopURL + "/")
	eval[bool](b, `stile.accept(["analytics", "functional"]).then(() => true)`)
	b.settle()
	b.views(shopURL+"/", map[string]int{"counter": 2, "chat": 1})
	b.noSignal()
	b.views(shopURL+"/basket", map[string]int{"counter": 2, "chat": 1})
	if eval[bool](b, "stile.choice.gpc") {
		t.Error("the page is told of a signal that is off")
	}
}
