package e2e

import (
	"net/http"
	"os"
	"slices"
	"testing"
)

// moved serves a page of a site that had another consent manager, in which nothing but the script element was changed.
func moved(t *testing.T, served *served, name string) http.Handler {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", served.with(nil))
	mux.HandleFunc("/test/page", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(text)
	})
	return mux
}

// H: pages of sites that come from vanilla-cookieconsent and klaro need no other markup: before a choice, after each, on that
// page and the next, just what their attributes ask for is let in.
func TestMoved(t *testing.T) {
	pages := map[string]map[string][]string{
		"vanilla-cookieconsent.html": {
			"":           {"necessary"},
			"none":       {"necessary", "no analytics", "no pixel"},
			"functional": {"functional", "necessary", "no analytics", "no pixel"},
			"analytics":  {"analytics own service", "analytics service", "analytics-module", "analytics-module*", "necessary", "no pixel"},
			"marketing":  {"marketing-src", "marketing-src*", "necessary", "no analytics"},
			"all":        {"analytics own service", "analytics service", "analytics-module", "analytics-module*", "functional", "marketing-src", "marketing-src*", "necessary"},
		},
		"klaro.html": {
			"":           nil,
			"none":       nil,
			"functional": {"chat-frame*", "chat-sheet*"},
			"analytics":  {"counter", "counter-src", "counter-src*"},
			"marketing":  {"pixel-picture*"},
			"all":        {"chat-frame*", "chat-sheet*", "counter", "counter-src", "counter-src*", "pixel-picture*"},
		},
	}
	for name, states := range pages {
		t.Run(name, func(t *testing.T) {
			served := newServed()
			w := newWorld(t, settings{config: sharedCookie, pages: moved(t, served, name)})
			first := w.open()
			for state, want := range states {
				served.reset()
				b := first.stranger().visit(shopURL + "/test/page")
				// What ran, and with a star what was asked for.
				got := func() []string {
					list := b.ran()
					for _, id := range served.list() {
						list = append(list, id+"*")
					}
					slices.Sort(list)
					return list
				}
				expect := func(when string, want []string) {
					t.Helper()
					w.until("markup "+when, func() bool { return len(got()) >= len(want) })
					if b.settle(); !slices.Equal(got(), want) {
						t.Errorf("%s: %q, want %q", when, got(), want)
					}
				}
				expect("before a choice", states[""])
				switch state {
				case "":
					continue
				case "all":
					b.decide(accept)
				case "none":
					b.decide(reject)
				default:
					eval[bool](b, `stile.accept(["`+state+`"]).then(() => true)`)
				}
				expect("after "+state, want)
				served.reset()
				b.visit(shopURL + "/test/page")
				expect("on the page after "+state, want)
				if name != "klaro.html" {
					continue
				}
				shown := map[bool]string{false: "block flex", true: "none flex"}[slices.Contains([]string{"functional", "all"}, state)]
				if state == "marketing" || state == "all" {
					shown = shown[:len(shown)-len("flex")] + "none"
				}
				if is := eval[string](b, `['chat-instead', 'pixel-instead'].map(id => getComputedStyle(document.getElementById(id)).display).join(' ')`); is != shown {
					t.Errorf("after %s the page's own placeholders are %s, want %s", state, is, shown)
				}
			}
		})
	}
}

// B9: buttons of the page's own that ask for an action of vanilla-cookieconsent's do it: they open the choices, accept or
// refuse, and a link does not lead away.
func TestMovedButtons(t *testing.T) {
	served := newServed()
	w := newWorld(t, settings{config: sharedCookie, pages: moved(t, served, "vanilla-cookieconsent.html")})
	b := w.open()
	chosen := func(selector string) {
		eval[bool](b, `(window.decided = new Promise(done => document.addEventListener('stile:choice', done, {once: true})), true)`)
		b.say(`document.querySelector('` + selector + `').click()`) // as by a person, wherever the banner is
		eval[bool](b, `decided.then(() => true)`)
		b.settle()
	}
	for _, opener := range []string{"preferences", "consent", "custom"} {
		b.visit(shopURL + "/test/page").say(`document.querySelector('#` + opener + `').click()`)
		b.visible(dialog)
		if at := eval[string](b, `location.pathname`); at != "/test/page" {
			t.Errorf("%s leads to %s", opener, at)
		}
	}
	if n := w.records(); n != 0 {
		t.Errorf("%d records of looking", n)
	}
	b.visit(shopURL + "/test/page")
	chosen("#necessary")
	b.granted()
	if b.shows(banner) {
		t.Error("after a refusal the banner stays")
	}
	chosen("#all span")
	b.granted("functional", "analytics", "marketing")
	if n := w.records(); n != 2 {
		t.Errorf("%d records, want two", n)
	}
}
