package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// submit presses a button of a page that works without scripts, and waits for the page that follows.
func (b *tab) submit(selector string) {
	b.t.Helper()
	b.loads(func() { b.click(selector) })
}

// A7: without JavaScript nothing is sent, and all choices can be made on a page of plain forms.
func TestA7WithoutJavaScript(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config func(string) string
		domain string
	}{{"shared", sharedCookie, ".shop.test"}, {"not shared", nil, "consent.shop.test"}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, settings{config: tt.config})
			b := w.open().scripts(false)
			for _, path := range []string{"/", "/basket", "/product/kettle"} {
				b.load(shopURL + path)
				if text := b.text(); !strings.Contains(text, "A demonstration shop") {
					t.Errorf("%s reads %q", path, text)
				}
			}
			if jar := b.jar(); len(jar) > 0 {
				t.Errorf("cookies: %q", jar)
			}
			w.received(nothing)

			preferences := consentURL + "/stile/shop/preferences"
			b.load(preferences)
			for _, box := range []string{"functional", "analytics", "marketing"} {
				if eval[bool](b, `document.querySelector('[value=`+box+`]').checked`) {
					t.Errorf("%s is ticked before a choice", box)
				}
			}
			b.click("[value=analytics]")
			w.asked()
			b.submit("form .b button:last-child")
			w.cost("the form", "POST /stile/shop/choice 303", "GET /stile/shop/preferences?saved=1 200")
			if at := eval[string](b, "location.href"); at != preferences+"?saved=1" {
				t.Errorf("the form led to %s", at)
			}
			if text := b.text(); !strings.Contains(text, "saved") {
				t.Errorf("the page does not say that the choice was saved: %q", text)
			}
			if !eval[bool](b, `document.querySelector('[value=analytics]').checked && !document.querySelector('[value=marketing]').checked`) {
				t.Error("the page does not show what was chosen")
			}
			if c := b.of(tt.domain, "stile_shop"); c == nil || !c.HTTPOnly || c.SameSite != "Lax" || c.Session {
				t.Fatalf("the choice cookie is %+v", c)
			}
			if got := b.decode(tt.domain, w.keys()...).Granted; len(got) != 1 || got[0] != "analytics" {
				t.Errorf("granted: %q", got)
			}
			b.load(shopURL + "/")
			w.received(nothing)

			// With scripts the choice is in force, and only that.
			b.scripts(true)
			for range 2 {
				b.views(shopURL+"/basket", map[string]int{"counter": 2})
				b.granted("analytics")
				if b.shows(banner) {
					t.Error("the visitor is asked again")
				}
			}

			// Withdrawn by the form on the same page.
			b.scripts(false)
			b.load(preferences)
			b.submit("form[action$=withdraw] button")
			if got := b.decode(tt.domain, w.keys()...); len(got.Granted) != 0 || len(got.Denied) != 3 {
				t.Errorf("after withdrawing: %+v", got)
			}
			b.scripts(true)
			b.views(shopURL+"/", nothing)
			b.granted()
			if b.shows(banner) {
				t.Error("the visitor is asked after withdrawing")
			}
			if n := w.records(); n != 2 {
				t.Errorf("%d records, want two", n)
			}

			b.scripts(false)
			b.load(preferences).submit("form [name=accept][value=all]")
			b.scripts(true)
			b.views(shopURL+"/", all)
		})
	}
}

// A form on another site is refused and changes nothing: it would be a choice that the visitor did not make.
func TestForeignForm(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().load(consentURL + "/stile/shop/preferences")
	form := eval[string](b, `new URLSearchParams(new FormData(document.querySelector('form'))).toString()`)
	b.load(outletURL + "/missing")
	eval[bool](b, `(() => {
		const f = document.createElement('form')
		f.method = 'post'
		f.action = '`+consentURL+`/stile/shop/choice'
		for (const [k, v] of new URLSearchParams('`+form+`&accept=all')) {
			const i = document.createElement('input')
			i.name = k
			i.value = v
			f.append(i)
		}
		document.body.append(f)
		window.foreign = f
		return true
	})()`)
	statuses := chromedp.Events(b.ctx, network.ResponseReceived)
	b.loads(func() { b.say("foreign.submit()") })
	for e, err := range statuses {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Response.URL, "/choice") {
			if e.Response.Status != 403 {
				t.Errorf("a foreign form is answered %d", e.Response.Status)
			}
			break
		}
	}
	if c := b.cookie("stile_shop"); c != nil {
		t.Errorf("a foreign form set %+v", c)
	}
	if n := w.records(); n > 0 {
		t.Errorf("%d records", n)
	}
	b.visit(shopURL + "/").asks("a foreign form was sent")
}
