package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var pictures = flag.String("pictures", "", "write screenshots into this folder")

// look sets what the visitor's screen is like.
func (b *tab) look(width, height int64, theme string) *tab {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// picture writes what the screen shows, where -pictures asks for it.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name+".png"), png, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestPictures draws every view on phone and desktop, light and dark, in both directions; to be looked at with -pictures.
func TestPictures(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"desktop", 1280, 800}} {
		for _, theme := range []string{"light", "dark"} {
			for _, lang := range []string{"en", "ar", "zh-Hans"} {
				name := fmt.Sprintf("%s-%s-%s", size.name, theme, lang)
				b.header(map[string]string{"Accept-Language": lang})
				b.look(size.width, size.height, theme)
				b.visit(shopURL + "/?lang=" + lang)
				eval[bool](b, fmt.Sprintf(`(async () => {
					document.documentElement.lang = %q
					await new Promise((done, fail) => { const s = document.createElement('script'); s.src = %q; s.onload = done; s.onerror = fail; document.head.append(s) })
					return true
				})()`, lang, consentURL+"/stile/shop.js?s=&lang="+lang))
				b.settle().picture("banner-" + name)
				b.click(choose)
				b.do(chromedp.WaitVisible(chromedp.CSS(dialog)))
				b.picture("dialog-" + name)
			}
		}
	}
}
