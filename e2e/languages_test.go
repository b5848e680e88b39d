package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	texts "github.com/stilehq/stile/banner"
)

// everyLanguage lets the shop speak all languages that there are words in; change comes after.
func everyLanguage(change func(string) string) func(string) string {
	return func(text string) string {
		text = strings.Replace(sharedCookie(text), "languages: [en, de, zh-Hans, ar]", "languages: ["+strings.Join(texts.Languages(), ", ")+"]", 1)
		if change != nil {
			text = change(text)
		}
		return text
	}
}

// plain serves /test/{language}, a page that scrolls, in that language; "-" has none. With ?opener it has a way to the choices.
func plain() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lang := strings.TrimPrefix(r.URL.Path, "/test/")
		attrs := fmt.Sprintf(" lang=%q dir=%q", lang, texts.Dir(lang))
		if lang == "-" {
			attrs = ""
		}
		opener := ""
		if r.URL.Query().Has("opener") {
			opener = `<button data-stile-open>Cookie choices</button>`
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(rw, `<!doctype html><html%s><head><script src="%s/stile/shop.js"></script><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1"><meta name=color-scheme content="light dark"><title>A page</title></head>
<body><main><h1><a href="#first">First</a></h1>%s<p><a href="#last">Last</a></p></main><footer>%s</footer></body></html>`,
			attrs, consentURL, strings.Repeat(`<p style="margin:70px 0"><a href="#middle">A link</a> and text.</p>`, 12), opener)
	})
}

// speak draws the banner anew in another language, on a page that has none of its own.
func (b *tab) speak(lang string) *tab {
	b.t.Helper()
	b.fetchScript("/stile/shop.js?s=&lang=" + lang)
	if got := eval[string](b, `document.querySelector('stile-banner section').lang`); got != lang {
		b.t.Fatalf("the banner speaks %s, want %s", got, lang)
	}
	return b
}

func (b *tab) fetchScript(path string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(document.adoptedStyleSheets = [], new Promise((done, fail) => {
		const s = document.createElement('script')
		s.src = %q
		s.onload = () => { s.remove(); done(true) }
		s.onerror = fail
		document.head.append(s)
	}))`, consentURL+path))
}

// reads is what an element says, without the spaces around it.
func (b *tab) reads(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q).textContent.replace(/\s+/g, ' ').trim()`, selector))
}

// B6, E: in every language the first layer says who, why, that one may refuse, and who receives; it names its language and
// direction, and so does the second layer. axe-core finds nothing in either, light and dark. One configuration serves all.
func TestB6EveryLanguage(t *testing.T) {
	w := newWorld(t, settings{config: everyLanguage(nil), pages: plain()})
	b := w.open().look(390, 844, "light").visit(shopURL + "/test/-")
	for i, lang := range texts.Languages() {
		words, err := texts.LoadWords(lang)
		if err != nil {
			t.Fatal(err)
		}
		b.speak(lang)
		check := func(view, selector string, want ...string) {
			t.Helper()
			if got := eval[string](b, `(e => e.lang + ' ' + e.dir)(document.querySelector('`+selector+`'))`); got != lang+" "+texts.Dir(lang) {
				t.Errorf("%s %s: language and direction are %q", lang, view, got)
			}
			got := b.reads(selector)
			for _, word := range want {
				if word = strings.ReplaceAll(strings.Join(strings.Fields(word), " "), "{controller}", "EasyDser"); !strings.Contains(got, word) {
					t.Errorf("%s %s does not say %q: %s", lang, view, word, got)
				}
			}
			// Colours are all that the dark theme changes.
			b.theme("light").axe(lang+" "+view+" light", selector)
			b.theme("dark").axeContrast(lang+" "+view+" dark", selector)
		}
		c := words.Categories
		check("banner", "stile-banner section", words.Title, words.IntroOptIn, words.Refuse,
			c.Functional.Title+": "+c.Functional.Purpose, c.Analytics.Title+": "+c.Analytics.Purpose, c.Marketing.Title+": "+c.Marketing.Purpose)
		buttons := eval[[]string](b, `[...document.querySelectorAll('stile-banner button')].map(b => b.textContent)`)
		if want := []string{words.Recipients, words.RejectAll, words.AcceptAll, words.Choose}; !cmp.Equal(buttons, want) {
			t.Errorf("%s: the buttons are %q, want %q", lang, buttons, want)
		}
		b.fetchScript("/stile/shop/dialog.js?lang=" + lang + "&regime=other")
		b.openDialog().say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
		check("dialog", "stile-dialog dialog", words.Preferences, words.PreferencesIntro, words.Always, words.Close, words.Save, words.Policy, words.Rights.Title,
			words.Cookies, words.Lifetime, c.Necessary.Title, words.Span("1 year"))
		b.say(`document.querySelector('stile-dialog dialog').close()`)
		b.await(`!document.querySelector('stile-dialog')`)
		if i == 0 && len(texts.Languages()) < 47 {
			t.Errorf("there are %d languages", len(texts.Languages()))
		}
	}
}

// The language is that of the page, where Stile speaks it, or else what the browser asks for, or else the site's first.
func TestLanguagePicked(t *testing.T) {
	w := newWorld(t, settings{config: everyLanguage(nil), pages: plain()})
	b := w.open()
	for _, tt := range []struct {
		page, accept, want string
		requests           int
	}{
		{"-", "no", "nb", 1},
		{"-", "nn-NO,nn;q=.9", "nb", 1},
		{"-", "zh-TW", "zh-Hant", 1},
		{"-", "zh-HK", "zh-Hant", 1},
		{"-", "zh", "zh-Hans", 1},
		{"-", "pt", "pt-BR", 1}, // as CLDR has it
		{"-", "pt-PT", "pt", 1},
		{"-", "pt-BR,pt;q=.9", "pt-BR", 1},
		{"-", "sr-RS", "sr", 1},
		{"-", "iw", "he", 1},
		{"-", "in", "id", 1},
		{"-", "de-AT,en;q=.5", "de", 1},
		{"-", "eo,fr;q=.5", "fr", 1},
		{"-", "eo", "en", 1},
		{"-", "not a language!", "en", 1},
		{"de", "de-CH,de;q=.9", "de", 1},
		{"en-GB", "en-US", "en", 1},
		{"no", "nb-NO,no;q=.9", "nb", 1},
		{"zh-TW", "zh-TW", "zh-Hant", 1},
		{"eo", "fr", "fr", 1},
		{"el", "en", "el", 2},
		{"de-AT", "en", "de", 2},
		{"no", "en", "nb", 2},
		{"nn", "en", "nb", 2},
		{"zh-TW", "zh-CN", "zh-Hant", 2},
		{"zh-Hans", "zh-TW", "zh-Hans", 2},
		{"pt-BR", "pt-PT", "pt-BR", 2},
		{"pt", "pt-BR", "pt", 2},
	} {
		b.header(map[string]string{"Accept-Language": tt.accept})
		b.emptyCache()
		w.asked()
		b.visit(shopURL + "/test/" + tt.page).await(`document.querySelector('stile-banner')`)
		what := fmt.Sprintf("a page in %s, a browser in %s", tt.page, tt.accept)
		if got := eval[string](b, `document.querySelector('stile-banner section').lang`); got != tt.want {
			t.Errorf("%s: the banner speaks %s, want %s", what, got, tt.want)
		}
		if got := w.asked(); len(got) != tt.requests {
			t.Errorf("%s: %d requests, want %d: %q", what, len(got), tt.requests, got)
		}
	}
}

// A site's own words, colours, radius and typeface show, in both themes; what it leaves alone stays.
func TestOwnWordsAndLook(t *testing.T) {
	w := newWorld(t, settings{pages: plain(), config: func(text string) string {
		return appearance(`{accent: "#7a1f5c", on_accent: "#ffeeff", background: "#fffaf0", text: "#20140a", radius: 3, font: "Georgia, serif", dark: {accent: "#ffb4e0", background: "#1a0f16", text: "#fbeaf4"}}`)(text) +
			"\nwords:\n  en: {accept_all: Yes to everything, title: A word on cookies, saved: Noted., age: {title: How old}}\n"
	}})
	b := w.open().look(1280, 800, "light").visit(shopURL + "/test/en")
	if got := []string{b.reads("stile-banner h2"), b.reads(accept), b.reads(reject)}; !slices.Equal(got, []string{"A word on cookies", "Yes to everything", "Reject all"}) {
		t.Errorf("the words are %q", got)
	}
	colours := `(() => {
		const box = getComputedStyle(document.querySelector('stile-banner section')), button = getComputedStyle(document.querySelector('stile-banner [value=none]'))
		return [box.backgroundColor, box.color, box.borderTopLeftRadius, box.fontFamily, button.backgroundColor, button.color, button.fontFamily]
	})()`
	for theme, want := range map[string][]string{
		"light": {"rgb(255, 250, 240)", "rgb(32, 20, 10)", "3px", "Georgia, serif", "rgb(122, 31, 92)", "rgb(255, 238, 255)", "Georgia, serif"},
		"dark":  {"rgb(26, 15, 22)", "rgb(251, 234, 244)", "3px", "Georgia, serif", "rgb(255, 180, 224)", "rgb(0, 0, 0)", "Georgia, serif"},
	} {
		if got := eval[[]string](b.theme(theme), colours); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", theme, cmp.Diff(want, got))
		}
		b.axe(theme, "stile-banner")
	}
	b.decide(reject).await(`document.querySelector('stile-status')?.textContent`)
	if got := b.reads("stile-status"); got != "Noted." {
		t.Errorf("the status says %q", got)
	}
	// Another language keeps its own words.
	b.forget().header(map[string]string{"Accept-Language": "de"})
	b.emptyCache().visit(shopURL + "/test/de")
	if got := b.reads(accept); got != "Alle akzeptieren" {
		t.Errorf("in German the button says %q", got)
	}
}
