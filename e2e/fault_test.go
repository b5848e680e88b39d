package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// whole checks that the shop's page is there and its own scripts work, with or without Stile.
func (b *tab) whole(when string) {
	b.t.Helper()
	if text := b.text(); !strings.Contains(text, "A demonstration shop") {
		b.t.Errorf("%s: the page reads %q", when, text)
	}
	if n := eval[int](b, "document.querySelectorAll('main a').length"); n == 0 {
		b.t.Errorf("%s: the page has no content", when)
	}
	if locked := eval[bool](b, "/hidden|clip/.test(getComputedStyle(document.body).overflow + getComputedStyle(document.documentElement).overflow)"); locked {
		b.t.Errorf("%s: the page cannot be scrolled", when)
	}
}

// A7: with the consent host down nothing is sent, and the page is as it would be without Stile.
func TestA7HostDown(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	thrown := b.errors()
	w.stop()
	for _, path := range []string{"/", "/basket", "/product/kettle"} {
		b.load(shopURL + path).whole("host down, " + path)
		if b.shows(banner) || eval[bool](b, "'stile' in window") {
			t.Errorf("%s: there is something of Stile", path)
		}
	}
	b.load(shopURL + "/app/").click("#finder a[data-answer]").await("location.pathname == '/app/colour'")
	if heading := eval[string](b, "document.querySelector('#finder h1').textContent"); heading != "Which colours do they wear?" {
		t.Errorf("the shop's own script shows %q", heading)
	}
	w.received(nothing)

	w.start()
	b.visit(shopURL + "/").asks("the host is back")
	b.decide(accept)
	b.views(shopURL+"/", all)

	// A choice that the page cannot have checked releases nothing: the mirror says otherwise than the copy.
	w.stop()
	b.plant(".shop.test", "stile_shop_state", "AAAAAAAA")
	w.reset()
	w.loaded()
	b.load(shopURL + "/basket").whole("host down, another state")
	b.frame()
	w.received(nothing)
	if got := thrown(); len(got) > 0 {
		t.Errorf("the page's console got %q", got)
	}
}

// A7: the host goes down between the banner and the click: the banner comes back and says so, and what is chosen in the
// dialog meanwhile is what is stored when the host is back.
func TestA7HostDownAtClick(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").openDialog() // it is here by then
	b.press(kb.Escape)
	thrown := b.errors()
	w.stop()
	b.click(reject)
	b.says(banner, wordsIn(t, "en").Retrying)
	b.whole("while a choice is not stored")
	w.received(nothing)
	if c := b.cookie("stile_shop"); c != nil {
		t.Errorf("there is a choice: %+v", c)
	}

	// The same in the dialog.
	b.openDialog()
	b.click(dialog + " [name=accept][value=all]")
	b.says(dialog, wordsIn(t, "en").Retrying)
	w.received(nothing)

	w.start()
	b.await(`stile.choice.made`).settle()
	w.received(all)
	if b.shows(banner) || b.shows(dialog) {
		t.Error("the visitor is still asked")
	}
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
	b.views(shopURL+"/", all)
	if got := thrown(); len(got) > 0 {
		t.Errorf("the page's console got %q", got)
	}
}

// A9: a withdrawal stops the tags although it cannot be stored, and the visitor is told that it was not.
func TestA9HostDownAtWithdrawal(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	b.click(choose).click(dialog + " [value=analytics]").decide(dialogSave)
	w.received(map[string]int{"counter": 2})
	b.openDialog()
	w.stop()
	w.reset()
	b.click(dialog + " [name=accept][value=none]")
	b.do(chromedp.WaitVisible(chromedp.CSS(dialog + " [role=status]")))
	b.say("houseCounter.page()")
	b.frame()
	w.received(nothing)
	if c := b.cookie("hc_id"); c != nil {
		t.Errorf("hc_id is left: %+v", c)
	}
	w.start()
	b.decide(dialog + " [name=accept][value=none]")
	b.views(shopURL+"/basket", nothing)
}

// Retries and double clicks store one record: the page repeats its request with the same id.
func TestOneRecord(t *testing.T) {
	t.Run("the answer was lost", func(t *testing.T) {
		w := newWorld(t, settings{config: sharedCookie})
		b := w.open().visit(shopURL + "/")
		w.loses(2)
		w.asked()
		b.decide(accept)
		w.received(all)
		if n := strings.Count(strings.Join(w.asked(), "\n"), "POST "); n != 3 {
			t.Errorf("%d requests, want three", n)
		}
		if n := w.records(); n != 1 {
			t.Errorf("%d records, want one", n)
		}
	})
	for name, selector := range map[string]string{"banner": reject, "dialog": dialog + " [name=accept][value=none]"} {
		t.Run("clicks of a script in the "+name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			if name == "dialog" {
				b.openDialog()
			}
			eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
			eval[bool](b, `(b => { b.click(); b.click(); b.click(); return true })(document.querySelector('`+selector+`'))`)
			eval[bool](b, "decided.then(() => true)")
			b.settle()
			b.views(shopURL+"/basket", nothing)
			if n := w.records(); n != 1 {
				t.Errorf("%d records, want one", n)
			}
		})
	}
	t.Run("double click of the mouse", func(t *testing.T) {
		w := newWorld(t, settings{config: sharedCookie})
		b := w.open().visit(shopURL + "/")
		eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
		b.do(chromedp.DoubleClick(chromedp.CSS(reject), chromedp.NodeVisible))
		eval[bool](b, "decided.then(() => true)")
		b.settle()
		w.received(nothing)
		if n := w.records(); n != 1 {
			t.Errorf("%d records, want one", n)
		}
	})
}

// A7: a browser that blocks the script gets a page without a banner and without tags.
func TestA7ScriptBlocked(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	thrown := b.errors()
	if _, err := chromedp.Call(b.ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{
		URLPatterns: []*network.BlockPattern{{URLPattern: consentURL + "/*", Block: true}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/product/kettle", "/app/"} {
		b.load(shopURL + path)
		if path != "/app/" {
			b.whole("script blocked, " + path)
		}
		if b.shows(banner) {
			t.Errorf("%s: there is a banner", path)
		}
	}
	b.click("#finder a[data-answer]").await("location.pathname == '/app/colour'")
	w.received(nothing)
	w.cost("the script is blocked")
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("cookies: %q", jar)
	}
	if got := thrown(); len(got) > 0 {
		t.Errorf("the page's console got %q", got)
	}
}
