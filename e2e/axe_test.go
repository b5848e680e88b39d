package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/stilehq/stile/examples/shop"
)

// languages are those that the shop speaks.
var languages = []string{"en", "de", "zh-Hans", "ar"}

// screens are a phone and a desktop.
var screens = []struct {
	name          string
	width, height int64
}{{"phone", 390, 844}, {"desktop", 1280, 800}}

// translated serves the shop's first page as /test/{lang}, as a page in that language.
func translated() http.Handler {
	pages := shop.Handler(shop.Options{Script: consentURL + "/stile/shop.js"})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lang := strings.TrimPrefix(r.URL.Path, "/test/")
		dir := "ltr"
		if lang == "ar" {
			dir = "rtl"
		}
		r.URL.Path = "/"
		rec := &recorder{header: http.Header{}}
		pages.ServeHTTP(rec, r)
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(rw, strings.Replace(rec.body.String(), `<html lang="en">`, fmt.Sprintf(`<html lang=%q dir=%q>`, lang, dir), 1))
	})
}

type recorder struct {
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(int)             {}

// axe runs axe-core on what a selector finds, or on the whole page, and reports every violation.
func (b *tab) axe(what, selector string) {
	b.t.Helper()
	b.axeRules(what, selector, "'wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'")
}

// axeContrast runs those rules alone that look at colours.
func (b *tab) axeContrast(what, selector string) {
	b.t.Helper()
	b.axeRules(what, selector, "'color-contrast'")
}

func (b *tab) axeRules(what, selector, rules string) {
	b.t.Helper()
	if !eval[bool](b, `!!window.axe`) {
		src, err := os.ReadFile("node_modules/axe-core/axe.min.js")
		if err != nil {
			b.t.Fatalf("axe-core is not installed: run npm ci in e2e: %v", err)
		}
		eval[bool](b, string(src)+";true")
	}
	context := "document"
	if selector != "" {
		context = fmt.Sprintf("{include: [[%q]]}", selector)
	}
	for _, v := range eval[[]string](b, `axe.run(`+context+`, {
		runOnly: [`+rules+`], resultTypes: ['violations'],
	}).then(r => r.violations.map(v => v.id + ': ' + v.help + '\n' + v.nodes.map(n => '    ' + n.html.slice(0, 200) + ' ' + n.failureSummary).join('\n')))`) {
		b.t.Errorf("%s: %s", what, v)
	}
}

// E: axe-core finds nothing in the banner, the dialog and the page of preferences: in every language, light and dark, on
// a phone and on a desktop.
func TestAxe(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: translated()})
	b := w.open()
	each := func(view string, check func(what string)) {
		for _, screen := range screens {
			for _, theme := range []string{"light", "dark"} {
				b.look(screen.width, screen.height, theme)
				check(view + " " + screen.name + " " + theme)
			}
		}
	}
	for _, lang := range languages {
		b.header(map[string]string{"Accept-Language": lang})
		b.look(1280, 800, "light").visit(shopURL + "/test/" + lang)
		if got := eval[string](b, `document.querySelector('stile-banner section').lang`); got != lang {
			t.Errorf("the banner speaks %s on a page in %s", got, lang)
		}
		each(lang+" banner", func(what string) { b.axe(what, "stile-banner") })
		b.axe(lang+" the whole page with the banner", "")
		b.openDialog()
		b.axe(lang+" dialog", "stile-dialog")
		eval[bool](b, `(document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true }), true)`)
		each(lang+" dialog, details open", func(what string) { b.axe(what, "stile-dialog") })
		b.axe(lang+" the whole page with the dialog", "")

		preferences := consentURL + "/stile/shop/preferences"
		b.do(navigate(preferences))
		each(lang+" preferences", func(what string) { b.axe(what, "") })
		eval[bool](b, `(document.querySelectorAll('input[type=checkbox]').forEach(i => i.click()), document.querySelectorAll('details').forEach(d => { d.open = true }), true)`)
		b.loads(func() { b.click("form .b .c") })
		if got := eval[string](b, `location.search`); got != "?saved=1" {
			t.Errorf("%s: the form led to %q", lang, got)
		}
		each(lang+" preferences saved", func(what string) { b.axe(what, "") })
		b.do(navigate(preferences))
		eval[bool](b, `(document.querySelectorAll('details').forEach(d => { d.open = true }), true)`)
		each(lang+" preferences with a choice", func(what string) { b.axe(what, "") })
		b.forget()
	}
}

// theme changes the colour scheme alone.
func (b *tab) theme(scheme string) *tab {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}); err != nil {
		b.t.Fatal(err)
	}
	return b
}
