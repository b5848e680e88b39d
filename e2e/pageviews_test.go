package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// figures are what was counted at the shop, once stile serve has ended.
func (w *world) figures() *tally.Report {
	w.t.Helper()
	w.stop()
	db, err := ledger.Open(w.t.Context(), ledger.Options{Path: filepath.Join(w.folder, "stile.db")})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	figures := tally.Open(tally.Options{Database: db})
	defer figures.Close(w.t.Context())
	now := time.Now()
	r, err := figures.Report(w.t.Context(), "shop", tally.Period{From: tally.DayOf(now.AddDate(0, 0, -1)), To: tally.DayOf(now)}, tally.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// views waits until pages have told of so many views, and checks that there are no more of them, and that each was taken.
func (w *world) views(n int) {
	w.t.Helper()
	var all []string
	w.until("page views", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		all = slices.DeleteFunc(slices.Clone(w.requests), func(r string) bool { return !strings.Contains(r, "/view?") })
		return len(all) >= n
	})
	for _, r := range all {
		if !strings.HasPrefix(r, "POST /stile/shop/view?o=") || !strings.HasSuffix(r, " 204") {
			w.t.Error(r)
		}
	}
	if len(all) > n {
		w.t.Errorf("%d views are told of, want %d: %q", len(all), n, all)
	}
}

// Page views are told once each: of a page, of a route, and of a page whose script the browser has kept; not of a choice.
// Without the key nothing is told.
func TestPageViews(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string { return sharedCookie(text) + "\nsingle_page: true\npage_views: true\n" }})
	b := w.open()
	complaints := b.complaints()
	b.visit(shopURL + "/app/")
	w.views(1)
	for i, path := range []string{"/app/colour", "/app/size"} {
		b.say(`document.querySelector("#finder a[data-answer]").click()`) // not by the mouse: the banner may be above it
		b.await("location.pathname == '" + path + "'").settle()
		w.views(2 + i)
	}
	b.decide(accept)
	w.views(3)
	b.say("history.back()")
	b.await("location.pathname == '/app/colour'").settle()
	w.views(4)
	b.load(shopURL + "/basket")
	w.views(5)
	scripts := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(slices.DeleteFunc(slices.Clone(w.requests), func(r string) bool { return !strings.HasPrefix(r, "GET /stile/shop.js") }))
	}
	before := scripts()
	b.load(shopURL + "/")
	w.views(6)
	if n := scripts(); n != before {
		t.Logf("the script was asked for again, %d times", n-before)
	}
	if cookies := eval[string](b, "document.cookie"); strings.Contains(cookies, "view") {
		t.Errorf("cookies: %s", cookies)
	}
	b.quiet(complaints)
	got := w.figures().Total
	if got.Views != 6 || got.Displays != 3 || got.AcceptAll != 1 || got.Interactions() != 1 {
		t.Errorf("%+v", got)
	}
}

// On another site's page a view is told likewise, with what was chosen there.
func TestPageViewsAcrossSites(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string { return text + "\npage_views: true\n" }})
	b := w.open().visit(outletURL + "/")
	w.views(1)
	b.decide(reject)
	b.load(outletURL + "/basket")
	w.views(2)
	got := w.figures().Total
	if got.Views != 2 || got.Displays != 1 || got.Unsure != 0 || got.RejectAll != 1 {
		t.Errorf("%+v", got)
	}
}

// tagLoads is how many pages loaded each of the shop's tags, by what the third parties got.
func (w *world) tagLoads() map[string]int64 {
	first := map[string]string{"/counter.js": "house-counter", "/widget.js": "chat"}
	n := map[string]int64{}
	for _, h := range w.parties.Log() {
		switch tag := first[h.Path]; {
		case tag != "":
			n[tag]++
		case h.Path == "/p.gif":
			n[h.Party]++
		}
	}
	return n
}

// tagsLoad waits until each of the shop's tags was loaded n times.
func (w *world) tagsLoad(n int64) map[string]int64 {
	w.t.Helper()
	want := map[string]int64{"house-counter": n, "pixel-a": n, "pixel-b": n, "chat": n}
	w.until(fmt.Sprintf("each tag to load %d times", n), func() bool { return maps.Equal(w.tagLoads(), want) })
	return want
}

// Without page views the answers are counted, what was counted is there after the end, and pages ask for nothing more. A page
// on which a choice is made is one view, in which the tags that the third parties got were released.
func TestFigures(t *testing.T) {
	page := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte(`<!doctype html><html lang=en><title>A page</title><script src="https://consent.shop.test/stile/shop.js"></script><h1>A page</h1>`))
	})
	w := newWorld(t, settings{pages: page, config: func(text string) string {
		return strings.Replace(sharedCookie(text), `"`+shopURL+`"`, `"https://www.shop.test"`, 1)
	}})
	b := w.open().visit("https://www.shop.test/test/page")
	b.decide(accept)
	loads := w.tagsLoad(1)
	w.views(0)
	r := w.figures()
	// The page asked for the script, for what its choice takes, and for the copy of the page after it.
	asked := strings.Join(w.asked(), "\n")
	if !strings.Contains(asked, "GET /stile/shop.js?s=") || strings.Count(asked, "GET /stile/shop.js ") != 2 {
		t.Errorf("the page asked for\n%s", asked)
	}
	if want := (tally.Figures{Views: 1, Displays: 1, AcceptAll: 1, OptIns: 1}); r.Total != want {
		t.Errorf("%+v, want %+v", r.Total, want)
	}
	loads["loyalty"] = 1 // asks for nothing
	for id, n := range loads {
		if tag := r.Tags[id]; tag == nil || tag.Released != n || tag.Withheld != 0 {
			t.Errorf("%s, which was loaded %d times: %+v", id, n, tag)
		}
	}
}
