package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

const choirURL = "http://choir.shop.test"

// gateBefore starts stile proxy with the example's stile.yaml in front of the example's site, which knows nothing of Stile.
func gateBefore(t *testing.T, site string, more ...string) *deployed {
	t.Helper()
	config := filepath.Join(t.TempDir(), "stile.yaml")
	text := strings.Replace(exampleFile(t, "proxied", "stile.yaml"), "http://127.0.0.1:8081", choirURL, 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveAs(t, stileBinary, append([]string{"proxy", config, "--to", site, "--listen", "", "--data", ""}, more...), t.TempDir())
}

// Where the policy of the visitor's state is enforced, what they accept loads all the same: the page is loaded anew, once. One
// that learns of a choice that was made in another tab stays, with what was written there.
func TestProxiedUnderItsPolicy(t *testing.T) {
	var views atomic.Int32
	files := http.FileServer(http.Dir("../examples/proxied/site"))
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			views.Add(1)
		}
		files.ServeHTTP(rw, r)
	}))
	t.Cleanup(site.Close)
	w := newWorld(t, settings{vendors: []string{"www.googletagmanager.com", "connect.facebook.net", "www.facebook.com", "player.vimeo.com"}})
	gate := gateBefore(t, site.URL, "--csp", "enforce", "--csp-allow", "script-src 'unsafe-inline'; style-src 'unsafe-inline'")
	b := w.open(chromedp.Flag("host-resolver-rules", "MAP choir.shop.test:80 "+strings.TrimPrefix(gate.address, "http://")+", "+w.resolver()))
	b.visit(choirURL + "/").asksOthers("before a choice")
	other := b.fresh().visit(choirURL + "/")
	eval[bool](other, `window.stays = true`)
	ran := func(b *tab) bool {
		return eval[bool](b, `document.readyState == 'complete' && performance.getEntriesByType('resource').some(e => e.name.includes('googletagmanager') && e.responseEnd)`)
	}

	eval[bool](b, `window.before = true`)
	b.click(accept)
	w.until("the page is loaded anew", func() bool { return views.Load() == 3 })
	w.until("what was accepted loads", func() bool { return eval[bool](b, `!window.before && !!window.stile`) && ran(b) })
	if b.settle(); b.shows(banner) {
		t.Error("the visitor is asked again")
	}
	eval[bool](other, `document.dispatchEvent(new Event('visibilitychange')), new Promise(done => stile.on('choice', c => c.made && done(true)))`)
	if other.settle(); !eval[bool](other, `window.stays == true && stile.allows('analytics')`) {
		t.Error("another tab does not stay as it is, or does not know of the choice")
	}
	if n := views.Load(); n != 3 {
		t.Errorf("the page was asked for %d times", n)
	}
}

// A site that nobody edits is gated on its way: before a choice and after a refusal its pages ask nobody for anything, and
// each category lets in what stands in the pages for it. What is read and the files beside the pages stay what they were.
func TestProxied(t *testing.T) {
	site := httptest.NewServer(http.FileServer(http.Dir("../examples/proxied/site")))
	t.Cleanup(site.Close)
	w := newWorld(t, settings{vendors: []string{"www.googletagmanager.com", "connect.facebook.net", "www.facebook.com", "player.vimeo.com"}})
	gate := gateBefore(t, site.URL)
	b := w.open(chromedp.Flag("host-resolver-rules", "MAP choir.shop.test:80 "+strings.TrimPrefix(gate.address, "http://")+", "+w.resolver()))
	thrown := b.errors()
	home, concert := choirURL+"/", choirURL+"/concert.html"
	pixel := "https://www.facebook.com/tr?id=123456789012345&ev=ViewContent"

	for _, page := range []string{home, concert} {
		b.visit(page).asksOthers("before a choice")
		if !b.shows(banner) {
			t.Errorf("%s: the visitor is not asked", page)
		}
	}
	if title := eval[string](b, `document.title + ' ' + document.querySelector('h1').textContent`); title != "The concert · EasyDser Midsummer, in the old customs house" {
		t.Errorf("the page reads %q", title)
	}
	b.look(390, 844, "light").visit(home).picture("example-proxied-phone-light")
	b.decide(reject).look(1280, 800, "dark").visit(home).picture("example-proxied-desktop-dark-after")
	for _, page := range []string{home, concert} {
		b.visit(page).asksOthers("after a refusal")
	}
	for category, want := range map[string][2][]string{
		"functional": {{filmFrame}, nil}, "analytics": {{gtagScript}, nil}, "marketing": {nil, {metaScript, pixel}},
	} {
		stranger := b.stranger().visit(home)
		eval[bool](stranger, fmt.Sprintf(`stile.accept([%q]).then(() => true)`, category))
		stranger.asksOthers("after "+category, want[0]...)
		stranger.visit(home).asksOthers("on the page after "+category, want[0]...)
		stranger.visit(concert).asksOthers("on the other page after "+category, want[1]...)
	}
	if got := thrown(); len(got) > 0 {
		t.Errorf("scripts threw %q", got)
	}

	// The same for everybody, and what is no page is passed on as it is.
	for _, path := range []string{"/", "/concert.html", "/site.css", "/note.svg"} {
		_, first := asked(t, http.DefaultClient, http.MethodGet, gate.address+path, map[string]string{"Sec-GPC": "1"}, nil)
		_, second := asked(t, http.DefaultClient, http.MethodGet, gate.address+path, map[string]string{"Cookie": "stile_shop=x"}, nil)
		_, bare := asked(t, http.DefaultClient, http.MethodGet, site.URL+path, nil, nil)
		if first != second {
			t.Errorf("%s is not the same for every visitor", path)
		}
		if gated, isPage := first != bare, !strings.Contains(path, ".css") && !strings.Contains(path, ".svg"); gated != isPage {
			t.Errorf("%s is gated: %v", path, gated)
		}
	}
	if resp, _ := asked(t, http.DefaultClient, http.MethodGet, gate.address+"/admin/", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the dashboard is published: %d", resp.StatusCode)
	}
}
