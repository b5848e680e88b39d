package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestMorePictures draws what TestPictures leaves out: open details, the page of preferences, the other regimes, the signal,
// a failed choice, other positions and accents; to be looked at with -pictures.
func TestMorePictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("skipped: draws pictures only where -pictures asks for them")
	}
	w := newWorld(t, settings{config: sharedCookie, pages: translated(), args: regions})
	b := w.open()
	open := `document.querySelectorAll('details').forEach(d => { d.open = true })`
	for _, screen := range screens {
		for _, look := range []struct{ name, lang, theme, region string }{
			{"en-light", "en", "light", "DE"}, {"ar-dark", "ar", "dark", "DE"}, {"de-dark", "de", "dark", "DE"}, {"cn", "zh-Hans", "light", "CN"}, {"us", "en", "light", "US-CA"},
		} {
			name := screen.name + "-" + look.name
			w.moves(look.region)
			b.header(map[string]string{"Accept-Language": look.lang})
			b.look(screen.width, screen.height, look.theme).emptyCache().visit(shopURL + "/test/" + look.lang)
			b.picture("more-banner-" + name)
			b.openDialog().say(open)
			b.frame().picture("more-dialog-" + name)
			b.say(`document.querySelectorAll('stile-dialog input').forEach(i => { i.checked = true })`)
			b.say(`document.querySelector('stile-dialog .t').scrollTop = 9999`)
			b.frame().picture("more-dialog-end-" + name)
			b.press(kb.Escape)
			b.do(navigate(consentURL + "/stile/shop/preferences"))
			b.picture("more-page-" + name)
			b.say(open)
			b.loads(func() { b.click("form .b .c") })
			b.picture("more-page-saved-" + name)
			b.say(`scrollTo(0, 99999)`)
			b.frame().picture("more-page-end-" + name)
			b.forget()
		}
	}
	w.moves("US-CA")
	b.signal().look(390, 844, "light").emptyCache().visit(shopURL + "/test/en")
	if b.shows(banner) {
		b.picture("more-banner-gpc")
	}
	b.openDialog().picture("more-dialog-gpc")
	w.moves("DE")
	b.emptyCache().visit(shopURL + "/test/en").picture("more-banner-gpc-de")
	b.noSignal()
	b.emptyCache().visit(shopURL + "/test/en")
	b.say(fmt.Sprintf(`document.querySelector('stile-banner [role=status]').textContent = %q`, wordsIn(t, "en").Failed))
	b.picture("more-banner-failed")
	b.look(320, 256, "light").visit(shopURL + "/test/de").picture("more-banner-small")
}

func TestMorePicturesPositions(t *testing.T) {
	if *pictures == "" {
		t.Skip("skipped: draws pictures only where -pictures asks for them")
	}
	for name, look := range map[string]string{
		"top": "{position: top}", "corner": "{position: corner}", "yellow": `{accent: "#ffd400"}`, "white": `{accent: "#ffffff"}`, "black": `{accent: "#111111"}`,
	} {
		w := newWorld(t, settings{config: appearance(look)})
		b := w.open()
		for _, screen := range screens {
			b.look(screen.width, screen.height, "light").visit(shopURL + "/").picture("more-" + name + "-light-" + screen.name)
			b.look(screen.width, screen.height, "dark").picture("more-" + name + "-dark-" + screen.name)
		}
		b.openDialog().say(`document.querySelectorAll('stile-dialog input').forEach(i => { i.checked = true })`)
		b.frame().picture("more-" + name + "-dialog")
	}
}
