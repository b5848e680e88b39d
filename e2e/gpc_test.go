package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const honoured = "Your browser sends Global Privacy Control. We honour it"

// D2, D3: the signal grants nothing and stores nothing, and the visitor reads that it is honoured.
func TestD3SignalIsShown(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().signal().visit(shopURL + "/")
	b.asks("with the signal")
	if text := eval[string](b, "document.querySelector('stile-banner').innerText"); !strings.Contains(text, honoured) {
		t.Errorf("the banner reads %q", text)
	}
	if !eval[bool](b, "stile.choice.gpc && !stile.choice.made") {
		t.Error("the page is not told of the signal")
	}
	b.openDialog()
	if text := eval[string](b, "document.querySelector('stile-dialog').innerText"); !strings.Contains(text, honoured) {
		t.Errorf("the dialog reads %q", text)
	}
	if jar := b.jar(); len(jar) > 0 {
		t.Errorf("the signal alone set cookies: %q", jar)
	}
	if n := w.records(); n > 0 {
		t.Errorf("%d records", n)
	}
	without := w.open().visit(shopURL + "/")
	if text := without.text(); strings.Contains(text, honoured) {
		t.Error("a visitor without the signal is told that it is honoured")
	}
}

// D5: what is granted while the signal is on was granted against it, and holds; the record says so.
func TestD5GrantUnderSignal(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().signal().visit(shopURL + "/")
	b.decide(accept)
	w.received(all)
	b.granted("functional", "analytics", "marketing")
	w.asked()
	for _, path := range []string{"/", "/basket"} {
		b.views(shopURL+path, all)
		if b.shows(banner) {
			t.Errorf("%s asks again", path)
		}
		w.cost(path)
	}
	if c := b.decode(".shop.test", w.keys()...); !c.GPC {
		t.Errorf("the cookie does not say that the signal was on: %+v", c)
	}
	b.noSignal()
	b.views(shopURL+"/", all)

	// Withdrawn under the signal, everything is off; a later grant without it does not hold against it.
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.views(shopURL+"/", nothing)
	eval[bool](b, "stile.accept().then(() => true)")
	b.settle()
	b.views(shopURL+"/", all)
	b.signal()
	b.views(shopURL+"/basket", map[string]int{"counter": 2, "chat": 1})
	b.granted("functional", "analytics")
	if b.shows(banner) {
		t.Error("the signal alone asks again")
	}
}

// D2: the signal that comes after a plain grant takes sale and sharing away at once, and the dialog says why.
func TestD2SignalAfterGrant(t *testing.T) {
	for name, config := range map[string]func(string) string{"shared": sharedCookie, "not shared": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{config: config})
			b := w.open().visit(shopURL + "/")
			b.decide(accept)
			w.received(all)
			b.signal()
			for _, path := range []string{"/basket", "/", "/privacy"} {
				b.views(shopURL+path, map[string]int{"counter": 2, "chat": 1})
			}
			b.openDialog()
			if text := eval[string](b, "document.querySelector('stile-dialog').innerText"); !strings.Contains(text, honoured) {
				t.Errorf("the dialog reads %q", text)
			}
			if eval[bool](b, "document.querySelector('"+dialog+" [value=marketing]').checked") {
				t.Error("marketing is ticked in the dialog although it is off")
			}
			// Against the signal, on purpose.
			b.click(dialog + " [value=marketing]").decide(dialogSave)
			b.views(shopURL+"/", all)
			if n := w.records(); n != 2 {
				t.Errorf("%d records, want two", n)
			}
		})
	}
}

// D4: the well-known resource says that the signal is honoured, and since when, to every page that asks.
func TestD4WellKnown(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	got := eval[[]any](b, `fetch('`+consentURL+`/.well-known/gpc.json').then(async r => [r.status, r.headers.get('content-type'), await r.json()])`)
	want := []any{200.0, "application/json", map[string]any{"gpc": true, "lastUpdate": "2026-11-01"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("gpc.json (-want +got):\n%s", d)
	}
}
