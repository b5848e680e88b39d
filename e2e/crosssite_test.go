package e2e

import (
	"slices"
	"strings"
	"testing"
)

// Where the consent host is another site than the page, the page keeps the signed choice in its own first-party cookie.
func TestCrossSite(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(outletURL + "/")
	b.asks("the first page")
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("cookies before a choice: %q", jar)
	}
	b.decide(accept)
	w.received(all)
	signed, mirror := b.of("www.outlet.test", "stile_shop"), b.of("www.outlet.test", "stile_shop_state")
	if signed == nil || mirror == nil {
		t.Fatalf("the page keeps no choice: %q", b.jar())
	}
	if signed.SameSite != "Lax" || signed.Path != "/" || signed.Session || mirror.Session {
		t.Errorf("the page's own choice cookie is %+v, its mirror %+v", signed, mirror)
	}
	if c := b.of("consent.shop.test", "stile_shop"); c != nil {
		t.Errorf("a third-party cookie was taken: %+v", c)
	}
	if got := b.decode("www.outlet.test", w.keys()...).Granted; len(got) != 3 {
		t.Errorf("the choice grants %q", got)
	}
	w.asked()
	for _, path := range []string{"/basket", "/", "/privacy"} {
		b.views(outletURL+path, all)
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
		// Over HTTPS, where browsers send Sec-Fetch-Site, the second request is not made either (server: TestD6Caching).
		for i, request := range w.asked() {
			if i > 1 || !strings.HasPrefix(request, "GET /stile/shop.js") || !strings.HasSuffix(request, " 304") {
				t.Errorf("%s cost the request %q", path, request)
			}
		}
	}

	b.loads(func() { b.say("stile.withdraw()") }).settle()
	for _, path := range []string{"/", "/basket", "/app/"} {
		b.views(outletURL+path, nothing)
		b.granted()
		if b.shows(banner) {
			t.Errorf("%s asks after a withdrawal", path)
		}
	}
	if n := w.records(); n != 2 {
		t.Errorf("%d records, want two", n)
	}

	eval[bool](b, `stile.accept(["functional"]).then(() => true)`)
	b.settle()
	b.views(outletURL+"/", map[string]int{"chat": 1})
	b.forget()
	w.reset()
	b.visit(outletURL + "/basket").asks("all cookies deleted")
}

// A3: a choice that the page made up, or changed, is none.
func TestCrossSiteForged(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(outletURL + "/")
	b.decide(accept)
	b.views(outletURL+"/", all)
	good := b.of("www.outlet.test", "stile_shop").Value
	for name, value := range map[string]string{
		"cut short": good[:len(good)-8], "changed": "A" + good[1:], "made up": "analytics,functional,marketing", "empty": "",
	} {
		b.plant("www.outlet.test", "stile_shop", value)
		w.reset()
		b.visit(outletURL + "/basket").asks(name)
	}
	b.plant("www.outlet.test", "stile_shop", good)
	b.views(outletURL+"/basket", all)
}

// C9: a choice on one site is none on another, in the same browser and on the same consent host.
func TestCrossSiteDoesNotLeak(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	w.reset()
	b.visit(outletURL + "/").asks("another site")
	b.granted()

	eval[bool](b, `stile.accept(["functional"]).then(() => true)`)
	b.settle()
	b.views(outletURL+"/", map[string]int{"chat": 1})
	b.views(shopURL+"/", all)
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.views(shopURL+"/basket", nothing)
	b.views(outletURL+"/basket", map[string]int{"chat": 1})
	var domains []string
	for _, c := range b.allCookies() {
		if c.Name == "stile_shop" {
			domains = append(domains, strings.TrimPrefix(c.Domain, "."))
		}
	}
	slices.Sort(domains)
	if want := []string{"consent.shop.test", "www.outlet.test", "www.shop.test"}; !slices.Equal(domains, want) {
		t.Errorf("choice cookies of %q, want %q", domains, want)
	}
}

// The signal counts across sites as well.
func TestCrossSiteSignal(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(outletURL + "/")
	b.decide(accept)
	w.received(all)
	b.signal()
	for range 2 {
		b.views(outletURL+"/basket", map[string]int{"counter": 2, "chat": 1})
	}
	b.noSignal()
	b.views(outletURL+"/", all)
}
