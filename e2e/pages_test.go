package e2e

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// testPage is a page beside the shop's: what goes into its head after Stile's script, and its body.
type testPage struct {
	lang   string // en unless said otherwise
	csp    string
	script string // attributes of Stile's script element, beside src
	head   string
	body   string
}

// testPages serves pages under /test/{name}.
func testPages(pages map[string]testPage) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, found := pages[strings.TrimPrefix(r.URL.Path, "/test/")]
		if !found {
			http.NotFound(rw, r)
			return
		}
		if p.csp != "" {
			rw.Header().Set("Content-Security-Policy", p.csp)
		}
		if p.lang == "" {
			p.lang = "en"
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		dir := "ltr"
		if p.lang == "ar" {
			dir = "rtl"
		}
		fmt.Fprintf(rw, `<!doctype html><html lang=%q dir=%q><head><script src="%s/stile/shop.js" %s></script>
<meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1"><title>A page</title>%s</head><body>%s</body></html>`,
			p.lang, dir, consentURL, p.script, p.head, p.body)
	})
}

// press types keys as a person does.
func (b *tab) press(keys ...string) *tab {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
	return b
}

// backTab presses Shift+Tab.
func (b *tab) backTab() *tab {
	b.t.Helper()
	b.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	return b
}

// openDialog opens the preferences and waits until they are there.
func (b *tab) openDialog() *tab {
	b.t.Helper()
	eval[bool](b, `stile.show().then(() => true)`)
	return b.frame()
}

// frame waits until the screen was drawn anew.
func (b *tab) frame() *tab {
	b.t.Helper()
	eval[bool](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true)))))`)
	return b
}

// navigate goes to an address.
func navigate(url string) chromedp.Action[chromedp.Void] { return chromedp.Navigate(url) }

// tap clicks where something is, without moving the page as click may.
func (b *tab) tap(selector string) *tab {
	b.t.Helper()
	at := eval[[]float64](b, fmt.Sprintf(`(r => [r.left + r.width / 2, r.top + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector))
	b.do(chromedp.MouseClickXY(at[0], at[1]))
	return b
}
