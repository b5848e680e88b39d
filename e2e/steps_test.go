package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	sumdb "golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
)

// all is what third parties get of a page view when everything was accepted.
var all = map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1, "chat": 1}

// load goes to an address and does not wait for Stile, which may not be there.
func (b *tab) load(url string) *tab {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	return b
}

// loads does something that makes the page load anew, or another one, and waits for that.
func (b *tab) loads(step func()) *tab {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	events := chromedp.Events(ctx, page.LoadEventFired)
	step()
	var failed error
	for _, err := range events {
		failed = err
		break
	}
	if failed != nil {
		b.t.Fatalf("waiting for a page to load: %v; %s is %s", failed, eval[string](b, "location.href"), eval[string](b, "document.readyState"))
	}
	return b
}

// say starts something in the page and does not wait for what comes of it.
func (b *tab) say(js string) {
	b.t.Helper()
	eval[bool](b, "("+js+", true)")
}

// await waits until an expression is true.
func (b *tab) await(js string) *tab {
	b.t.Helper()
	eval[bool](b, `(async () => { while (!(`+js+`)) await new Promise(done => setTimeout(done, 5)); return true })()`)
	return b
}

// previous goes back in history and tells whether the page came out of the back/forward cache.
func (b *tab) previous() (cached bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	main := func(e page.EventFrameNavigated) bool { return e.Frame.ParentID == "" }
	e, err := chromedp.Run(ctx, chromedp.WaitEvent(page.FrameNavigated, main, chromedp.Evaluate[chromedp.Void]("history.back()")))
	if err != nil {
		b.t.Fatal(err)
	}
	return e.Type == page.NavigationTypeBackForwardCacheRestore
}

// hide minimizes the tab's window, so that its page is hidden: without a screen, Chromium shows every tab but those.
func (b *tab) hide() { b.window(browser.WindowStateMinimized, "hidden") }

// unhide lets the visitor look at the tab again.
func (b *tab) unhide() *tab { return b.window(browser.WindowStateNormal, "visible") }

func (b *tab) window(state browser.WindowState, visibility string) *tab {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(window.turned = new Promise(done => document.addEventListener('visibilitychange', () => document.visibilityState == %q && done(true))), true)`, visibility))
	r, err := chromedp.Call(b.ctx, browser.GetWindowForTarget, browser.GetWindowForTargetParams{})
	if err == nil {
		_, err = chromedp.Call(b.ctx, browser.SetWindowBounds, browser.SetWindowBoundsParams{WindowID: r.WindowID, Bounds: &browser.Bounds{WindowState: state}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if visibility == "hidden" { // a page that is looked at again may load anew before it can tell
		eval[bool](b, "turned")
	}
	return b
}

// noSignal switches Global Privacy Control off again, as a browser that has the property shows it.
func (b *tab) noSignal() {
	b.t.Helper()
	b.header(map[string]string{})
	b.onNewPage(`Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => false, configurable: true})`)
}

// forget deletes cookies by name, on every host; all of them when none is named.
func (b *tab) forget(names ...string) *tab {
	b.t.Helper()
	return b.drop(func(c *network.Cookie) bool { return len(names) == 0 || slices.Contains(names, c.Name) })
}

// forgetOn deletes all cookies of a host.
func (b *tab) forgetOn(domain string) {
	b.t.Helper()
	b.drop(func(c *network.Cookie) bool { return c.Domain == domain })
}

func (b *tab) drop(which func(*network.Cookie) bool) *tab {
	b.t.Helper()
	for _, c := range b.allCookies() {
		if !which(c) {
			continue
		}
		if _, err := chromedp.Call(b.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain, Path: c.Path}); err != nil {
			b.t.Fatal(err)
		}
	}
	return b
}

// plant sets a cookie in the browser: of a host, or of a domain where it starts with a dot.
func (b *tab) plant(domain, name, value string) *tab {
	b.t.Helper()
	p := network.SetCookieParams{Name: name, Value: value, Path: "/", SameSite: network.CookieSameSiteLax}
	if strings.HasPrefix(domain, ".") {
		p.Domain = domain
	} else {
		p.URL = "http://" + domain + "/"
	}
	if _, err := chromedp.Call(b.ctx, network.SetCookie, p); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// of returns a cookie of one host, or nil.
func (b *tab) of(domain, name string) *network.Cookie {
	b.t.Helper()
	for _, c := range b.allCookies() {
		if c.Domain == domain && c.Name == name {
			return c
		}
	}
	return nil
}

// emptyCache lets the browser forget its copies.
func (b *tab) emptyCache() *tab {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// errors returns what went wrong in the page's scripts from now on, whenever it is called.
func (b *tab) errors() func() []string {
	b.t.Helper()
	var mu sync.Mutex
	var thrown []string
	if err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			mu.Lock()
			defer mu.Unlock()
			what := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				what += " " + e.ExceptionDetails.Exception.Description
			}
			thrown = append(thrown, what)
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(thrown)
	}
}

// asks checks that the visitor is asked and nothing was released.
func (b *tab) asks(when string) {
	b.t.Helper()
	if !b.shows(banner) {
		b.t.Errorf("%s: the visitor is not asked", when)
	}
	b.w.received(nothing)
}

// granted checks what the page is told to be granted.
func (b *tab) granted(want ...string) {
	b.t.Helper()
	if got := eval[[]string](b, "stile.choice.granted"); !cmp.Equal(got, append([]string{}, want...)) {
		b.t.Errorf("stile.choice.granted is %q, want %q", got, want)
	}
}

// views goes to a page, on which third parties get what is wanted and no more.
func (b *tab) views(url string, want map[string]int) {
	b.t.Helper()
	b.w.reset()
	b.visit(url)
	b.w.received(want)
}

// cost checks the requests that reached the consent host since the last look at them.
func (w *world) cost(when string, want ...string) {
	w.t.Helper()
	if got := w.asked(); !slices.Equal(got, want) {
		w.t.Errorf("%s: the consent host got %q, want %q", when, got, want)
	}
}

// loses lets the next answers to POST be lost on their way.
func (w *world) loses(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = n
}

// records counts the records in the ledger.
func (w *world) records() int {
	w.t.Helper()
	db, err := ledger.Open(w.t.Context(), ledger.Options{Path: filepath.Join(w.folder, "stile.db")})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	n, err := db.Count(w.t.Context(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// reconfigure changes stile.yaml and waits for the server to notice, which it says with a word.
func (w *world) reconfigure(change func(string) string, word string) {
	w.t.Helper()
	before := w.said(word)
	w.writeConfig(change)
	w.until("the server to notice the file", func() bool { return w.said(word) > before })
}

// keys are the signing keys of the world, newest first.
func (w *world) keys() []keys.Secret {
	w.t.Helper()
	ring, err := keys.Read(filepath.Join(w.folder, "keys"))
	if err != nil {
		w.t.Fatal(err)
	}
	return ring.Cookie
}

// verifiers are the public keys of receipts and of the log.
func (w *world) verifiers() sumdb.Verifiers {
	w.t.Helper()
	ring, err := keys.Read(filepath.Join(w.folder, "keys"))
	if err != nil {
		w.t.Fatal(err)
	}
	var list []sumdb.Verifier
	for _, k := range append(ring.Receipt, ring.Log...) {
		list = append(list, k.NoteVerifier())
	}
	return sumdb.VerifierList(list...)
}

// codec signs and reads as the server does with these keys.
func codec(t *testing.T, secrets ...keys.Secret) *cookie.Codec {
	t.Helper()
	c, err := cookie.NewCodec(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// decode reads the choice cookie that the browser has for a domain.
func (b *tab) decode(domain string, secrets ...keys.Secret) *consent.Choice {
	b.t.Helper()
	c := b.of(domain, "stile_shop")
	if c == nil {
		b.t.Fatalf("there is no choice cookie on %s", domain)
	}
	choice, err := codec(b.t, secrets...).Decode("shop", c.Value)
	if err != nil {
		b.t.Fatal(err)
	}
	return choice
}
