package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestLooks draws banner and dialog in a dozen languages, on a phone and a desktop, light and dark; to be looked at with
// -pictures.
func TestLooks(t *testing.T) {
	if *pictures == "" {
		t.Skip("skipped: draws pictures only where -pictures asks for them")
	}
	w := newWorld(t, settings{config: everyLanguage(nil), pages: translated()})
	b := w.open()
	for i, lang := range []string{"en", "de", "fr", "el", "ar", "he", "fa", "hi", "th", "ja", "zh-Hant", "ru"} {
		theme := []string{"light", "dark"}[i%2]
		b.header(map[string]string{"Accept-Language": lang})
		for _, screen := range screens {
			name := fmt.Sprintf("%s-%s-%s", screen.name, lang, theme)
			b.emptyCache().look(screen.width, screen.height, theme).visit(shopURL + "/test/" + lang).picture("looks-banner-" + name)
			b.openDialog().say(`document.querySelectorAll('stile-dialog details').forEach(d => { d.open = true })`)
			b.frame().picture("looks-dialog-" + name)
			b.press(kb.Escape)
		}
		b.look(320, 256, theme).frame().picture("looks-small-" + lang)
	}
}
