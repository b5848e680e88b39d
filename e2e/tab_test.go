package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a browser that finds every host in a world.
type tab struct {
	t   *testing.T
	w   *world
	ctx context.Context
}

// open starts a browser of its own, with no cookies and an empty cache, and opens a tab.
func (w *world) open(flags ...chromedp.ExecAllocatorOption) *tab {
	w.t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(w.t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("host-resolver-rules", w.resolver()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en"), chromedp.Flag("accept-lang", "en"),
		chromedp.WindowSize(1280, 800),
		// Chromium switches the back/forward cache off for pages under DevTools unless told otherwise.
		chromedp.Flag("enable-features", "BackForwardCache"),
	)
	alloc, cancel := chromedp.NewExecAllocator(w.t.Context(), append(opts, flags...)...)
	w.t.Cleanup(cancel)
	return (&tab{t: w.t, w: w, ctx: alloc}).fresh()
}

// stranger opens a tab of another visitor: a profile of its own, with no cookies and an empty cache, which costs less than
// another browser.
func (b *tab) stranger() *tab {
	b.t.Helper()
	return b.fresh(chromedp.WithNewBrowserContext())
}

// fresh opens a tab in the context of another: the same browser and cookies, unless the options say otherwise.
func (b *tab) fresh(opts ...chromedp.ContextOption) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, opts...)
	b.t.Cleanup(cancel)
	// The first action starts the browser or opens the tab, which lives as long as the context of that action.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		b.t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.w.sent(e.Request.URL)
			if e.Type != network.ResourceTypeDocument { // of a frame, whose own session is told of its end
				b.w.flies(under{ctx, e.RequestID}, e.Request.URL)
			}
		case *network.EventLoadingFinished:
			b.w.lands(under{ctx, e.RequestID})
		case *network.EventLoadingFailed:
			b.w.lands(under{ctx, e.RequestID})
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	return &tab{t: b.t, w: b.w, ctx: ctx}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression, and the promise that it may be.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// visit goes to an address and waits until Stile is done with the page.
func (b *tab) visit(url string) *tab {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	return b.settle()
}

// settled is true when the state is known, no tag is on its way, and the page had time to do more if it would.
const settled = `(async () => {
  if (document.readyState != 'complete') await new Promise(done => addEventListener('load', done, {once: true}))
  await stile.ready
  while (Object.values(stile.tags).some(s => s == 'waiting' || s == 'loading')) await new Promise(done => setTimeout(done, 5))
  // What the page before left to do is fetched when it is needed; a page that cannot fetch it goes on without.
  for (let i = 0; i < 200 && (() => { try { return sessionStorage.stile_left } catch (e) {} })(); i++) await new Promise(done => setTimeout(done, 5))
  for (let i = 0; i < 3; i++) await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
  return true
})()`

func (b *tab) settle() *tab {
	b.t.Helper()
	eval[bool](b, settled)
	return b
}

// click clicks what a selector finds, as a person would.
func (b *tab) click(selector string) *tab {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	return b
}

// The buttons of the banner and the dialog.
const (
	banner     = "stile-banner"
	accept     = "stile-banner [value=all]"
	reject     = "stile-banner [value=none]"
	choose     = "stile-banner [value='']"
	dialog     = "stile-dialog dialog[open]"
	dialogSave = "stile-dialog .b button:last-child"
)

// decide clicks a button that ends in a choice, and waits until the choice is in force.
func (b *tab) decide(selector string) *tab {
	b.t.Helper()
	eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
	b.click(selector)
	eval[bool](b, `decided.then(() => true)`)
	// The copy that later pages use is fetched behind the page's back.
	b.await(`performance.getEntriesByType('resource').some(e => e.initiatorType == 'fetch' && /[/]stile[/][^/?]+[.]js$/.test(e.name))`)
	return b.settle()
}

// shows tells whether something is in the page and takes up room.
func (b *tab) shows(selector string) bool {
	b.t.Helper()
	return eval[bool](b, fmt.Sprintf(`!!document.querySelector(%q)?.getClientRects().length`, selector))
}

// cookies are the names and values that the page's script sees.
func (b *tab) cookies() string { return eval[string](b, "document.cookie") }

// jar are the names of all cookies of the browser, HttpOnly ones too.
func (b *tab) jar() (names []string) {
	b.t.Helper()
	for _, c := range b.allCookies() {
		names = append(names, c.Domain+" "+c.Name)
	}
	return names
}

func (b *tab) allCookies() []*network.Cookie {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{
		URLs: []string{shopURL, mobileURL, outletURL, consentURL, "https://counter.example", "https://pixel-a.example", "https://pixel-b.example", "https://chat.example", "https://video.example"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Cookies
}

// cookie returns a cookie of the browser, or nil.
func (b *tab) cookie(name string) *network.Cookie {
	b.t.Helper()
	for _, c := range b.allCookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// signal switches Global Privacy Control on for what is loaded from now on: the header and the property.
func (b *tab) signal() *tab {
	b.t.Helper()
	b.header(map[string]string{"Sec-GPC": "1"})
	b.onNewPage(`Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true, configurable: true})`)
	return b
}

func (b *tab) header(h map[string]string) {
	b.t.Helper()
	var headers network.Headers
	raw, err := json.Marshal(h)
	if err == nil {
		err = json.Unmarshal(raw, &headers)
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// onNewPage runs a script before any other in each page that is loaded from now on.
func (b *tab) onNewPage(js string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js}); err != nil {
		b.t.Fatal(err)
	}
}

// scripts switches JavaScript on or off.
func (b *tab) scripts(on bool) *tab {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// text is all that a person can read of the page.
func (b *tab) text() string {
	b.t.Helper()
	// By script: a node's number may be that of the document before.
	return strings.TrimSpace(eval[string](b, `(async () => {
		if (document.readyState == 'loading') await new Promise(done => addEventListener('DOMContentLoaded', done))
		return document.body.innerText
	})()`))
}
