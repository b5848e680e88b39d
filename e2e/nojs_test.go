package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
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

// framed finds what a selector finds in the shop's frame without JavaScript, and clicks it: the frame is another origin's, so
// that the place is looked up in a tab of the same size.
func (b *tab) framed(selector string) {
	b.t.Helper()
	b.say(`document.querySelector('iframe').scrollIntoView({block: 'center', behavior: 'instant'})`)
	at := eval[[]float64](b, `(f => (r => [r.left + f.clientLeft, r.top + f.clientTop, f.clientWidth, f.clientHeight])(f.getBoundingClientRect()))(document.querySelector('iframe'))`)
	src := eval[string](b, `document.querySelector('iframe').src`)
	probe := b.fresh()
	probe.do(chromedp.EmulateViewport(int64(at[2]), int64(at[3])))
	probe.load(src)
	in := eval[[]float64](probe, `(r => [r.left + r.width / 2, r.top + r.height / 2])(document.querySelector(`+"`"+selector+"`"+`).getBoundingClientRect())`)
	if in[1] > at[3] {
		b.t.Errorf("%s is %v px below the frame's top, which is %v px high", selector, in[1], at[3])
	}
	b.w.asked()
	// A click that comes before the frame of another process is on the screen gets lost, and reaches nobody.
	var clicked time.Time
	b.w.until("a click in the frame", func() bool {
		b.w.mu.Lock()
		reached := slices.ContainsFunc(b.w.requests, func(r string) bool {
			return strings.HasPrefix(r, "POST ") || strings.HasPrefix(r, "GET /stile/shop/preferences ")
		})
		b.w.mu.Unlock()
		if !reached && time.Since(clicked) > 2*time.Second {
			clicked = time.Now()
			b.do(chromedp.MouseClickXY(at[0]+in[0], at[1]+in[1]))
		}
		return reached
	})
}

// saved waits until the frame's form was sent and answered.
func (w *world) saved() {
	w.t.Helper()
	var got []string
	w.until("the frame's form", func() bool {
		got = append(got, w.asked()...)
		return slices.ContainsFunc(got, func(r string) bool {
			return strings.HasPrefix(r, "GET /stile/shop/banner?saved=1") && strings.HasSuffix(r, " 200")
		})
	})
	if !slices.Contains(got, "POST /stile/shop/choice 303") {
		w.t.Errorf("the frame's form asked for %q", got)
	}
}

// pixels puts a pixel of analytics beside the shop's own of marketing.
func pixels(text string) string {
	return text + `  - {name: House pixel, category: analytics, pixel: "https://counter.example/hit?site=pixel&u={page}", company: House Counter Ltd}` + "\n"
}

// A7: without JavaScript the page's frame asks, takes a choice, and loads the pixels of what was accepted, and those alone.
func TestA7Frame(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string { return pixels(sharedCookie(text)) }})
	b := w.open().scripts(false)
	policy := func() string {
		b.t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.plain.URL+"/stile/shop/banner", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "consent.shop.test"
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Header.Get("Content-Security-Policy")
	}()
	if want := "frame-ancestors 'self' " + shopURL + " http://*.shop.test"; !strings.HasSuffix(policy, want) || strings.Contains(policy, "script-src") {
		t.Errorf("the frame's policy is %q, want no script, and %q", policy, want)
	}

	b.load(shopURL + "/")
	w.received(nothing)
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("cookies before a choice: %q", jar)
	}
	b.framed("[name=accept][value=none]")
	w.saved()
	b.load(shopURL + "/basket")
	w.received(nothing)
	if got := b.decode(".shop.test", w.keys()...); len(got.Granted) != 0 || len(got.Denied) != 3 {
		t.Errorf("after refusing: %+v", got)
	}

	// The frame is a small way back by now.
	b.framed(`a[href$="/preferences"]`)
	w.until("the preferences", func() bool { return slices.Contains(w.asked(), "GET /stile/shop/preferences 200") })
	b.load(consentURL + "/stile/shop/preferences").click("[value=analytics]").submit("form .b button:last-child")
	for _, path := range []string{"/", "/basket"} {
		w.reset()
		b.load(shopURL + path)
		w.received(map[string]int{"counter": 1})
		if q := w.parties.Log()[0].Query; q != "site=pixel&u=http%3A%2F%2Fwww.shop.test%2F" {
			t.Errorf("the pixel was told %q", q)
		}
	}

	w.reset()
	b.load(consentURL + "/stile/shop/preferences").submit("form[action$=withdraw] button")
	b.load(shopURL + "/")
	w.received(nothing)

	b.forget().load(shopURL + "/")
	b.framed("[name=accept][value=all]")
	w.saved()
	w.received(map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1})
	w.reset()
	b.load(shopURL + "/product/kettle")
	w.received(map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1})

	// D2: the signal withholds what is sold, in the frame as well; D3: a visitor who is asked is told.
	b.signal()
	w.reset()
	b.load(shopURL + "/")
	w.received(map[string]int{"counter": 1})
	b.forget()
	if text := b.load(consentURL + "/stile/shop/banner").text(); !strings.Contains(text, "Global Privacy Control") {
		t.Errorf("the frame does not say that the signal is honoured: %q", text)
	}
	if n := w.records(); n != 4 {
		t.Errorf("%d records, want four", n)
	}
}

// C9: in a frame on another site the choice is kept in a cookie of that site's own partition, and holds there alone.
func TestC9Frame(t *testing.T) {
	page := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte(`<!doctype html><title>A page</title><noscript><iframe src="https://consent.shop.test/stile/shop/banner" width=900 height=420></iframe></noscript>`))
	})
	w := newWorld(t, settings{pages: page, config: func(text string) string {
		return pixels(strings.Replace(text, `"`+outletURL+`"`, `"https://www.outlet.test", "https://www.shop.test"`, 1))
	}})
	b := w.open().scripts(false).load("https://www.outlet.test/test/page")
	w.received(nothing)
	b.framed("[name=accept][value=all]")
	w.saved()
	w.received(map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1})
	var found int
	r, err := chromedp.Call(b.ctx, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Cookies {
		if c.Name != "stile_shop" {
			continue
		}
		found++
		if !c.Secure || !c.HTTPOnly || c.SameSite != "None" || c.PartitionKey == nil || c.PartitionKey.TopLevelSite != "https://outlet.test" {
			t.Errorf("the frame's choice is kept in %+v, partition %+v", c, c.PartitionKey)
		}
	}
	if found != 1 {
		t.Errorf("%d cookies of the choice", found)
	}
	for range 2 {
		w.reset()
		b.load("https://www.outlet.test/test/page")
		w.received(map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1})
	}
	w.reset()
	b.load("https://www.shop.test/test/page")
	w.received(nothing)
	b.framed("[name=accept][value=none]")
	w.saved()
	w.received(nothing)
	b.load("https://www.outlet.test/test/page")
	w.received(map[string]int{"counter": 1, "pixel-a": 1, "pixel-b": 1})
}

// A7, E: the frame is whole and accessible in every language, and looks like the banner.
func TestA7FrameLooks(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	for i, screen := range screens {
		for _, lang := range languages {
			theme := []string{"light", "dark"}[i]
			b.header(map[string]string{"Accept-Language": lang})
			b.look(screen.width, screen.height, theme).load(consentURL + "/stile/shop/banner")
			b.axe(lang+" "+screen.name+" "+theme, "stile-banner")
			// B2: reject and accept are alike here as well, and as large as a finger.
			if got := eval[string](b, `(([n, a]) => {
				const x = getComputedStyle(a), y = getComputedStyle(n), r = a.getBoundingClientRect(), q = n.getBoundingClientRect()
				return ['color', 'backgroundColor', 'fontSize', 'fontWeight', 'borderTopColor', 'borderTopWidth'].filter(p => x[p] != y[p]) + '|' +
					(r.height >= 44 && q.height == r.height && Math.abs(q.width / r.width - 1) < .05)
			})(['none', 'all'].map(v => document.querySelector('[value=' + v + ']')))`); got != "|true" {
				t.Errorf("%s %s: reject and accept differ in %s", lang, screen.name, got)
			}
			b.picture("frame-" + lang + "-" + screen.name + "-" + theme)
		}
	}
}
