package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the ledger's own driver

	texts "github.com/stilehq/stile/banner"
)

// busyHost answers POSTs whose body holds a text as a server does that takes nothing now, and notes all bodies.
type busyHost struct {
	mu     sync.Mutex
	status int // 0: the server answers
	what   string
	bodies []string
}

// overload lets POSTs with a text in their body be answered with a status from now on, 0 for the server's own answer.
func (w *world) overload(status int, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy == nil {
		w.busy = &busyHost{}
	}
	w.busy.mu.Lock()
	defer w.busy.mu.Unlock()
	w.busy.status, w.busy.what = status, what
}

func (h *busyHost) answers(rw http.ResponseWriter, r *http.Request) bool {
	if h == nil || r.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // the page hung up
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
	if h.status == 0 || !strings.Contains(string(body), h.what) {
		return false
	}
	header := rw.Header()
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	header.Set("Access-Control-Allow-Credentials", "true")
	header.Set("Access-Control-Expose-Headers", "Retry-After")
	header.Set("Retry-After", "1")
	rw.WriteHeader(h.status)
	_, _ = io.WriteString(rw, `{"error":"too much at once"}`)
	return true
}

// posted waits until there were so many POSTs, and returns their bodies.
func (w *world) posted(n int) (bodies []string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d POSTs", n), func() bool {
		w.busy.mu.Lock()
		defer w.busy.mu.Unlock()
		bodies = slices.Clone(w.busy.bodies)
		return len(bodies) >= n
	})
	return bodies
}

func wordsIn(t *testing.T, lang string) *texts.Words {
	t.Helper()
	w, err := texts.LoadWords(lang)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// says waits until the status line of a surface says something.
func (b *tab) says(surface, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf(`document.querySelector(%q)?.textContent == %q`, surface+" [role=status]", text))
}

// waits checks what a visitor has while an act is not stored: the surface, the focus, the buttons, and no tag.
func (b *tab) waits(surface, pressed string) {
	b.t.Helper()
	if !b.shows(surface) || !b.shows(surface+" [role=status]") {
		b.t.Errorf("%s does not show that it waits", surface)
	}
	if !eval[bool](b, fmt.Sprintf(`document.activeElement == document.querySelector(%q)`, pressed)) {
		b.t.Errorf("the focus is on %s, not on %s", eval[string](b, `document.activeElement.outerHTML.slice(0, 80)`), pressed)
	}
	if got := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].map(x => x.value)`, surface+" [aria-disabled]")); len(got) != 1 {
		b.t.Errorf("the busy buttons are %q, want the one that was pressed", got)
	}
	if eval[bool](b, `stile.choice.made`) {
		b.t.Error("the page takes the choice for made")
	}
	b.whole("while an act waits")
	b.w.received(nothing)
}

// Issue 5: a server that takes nothing now is asked again until it does, with the same id; meanwhile the visitor is told,
// nothing is released, and nothing is kept in the browser.
func TestRetry(t *testing.T) {
	en := wordsIn(t, "en")
	for _, tt := range []struct {
		name, surface, button string
		status                int
	}{
		{"banner", banner, accept, http.StatusServiceUnavailable},
		{"dialog", dialog, dialog + " [name=accept][value=all]", http.StatusServiceUnavailable},
		{"too many requests", banner, accept, http.StatusTooManyRequests},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			thrown := b.errors()
			if tt.surface == dialog {
				b.click(choose).await(`document.querySelector('stile-dialog [open]')`)
			}
			w.overload(tt.status, "")
			b.say(`document.addEventListener('stile:choice', () => { window.made = 1 })`)
			b.click(tt.button)
			b.says(tt.surface, en.Retrying)
			b.waits(tt.surface, tt.button)
			w.posted(3)
			b.waits(tt.surface, tt.button)
			b.axe("waiting", strings.TrimSuffix(tt.surface, "[open]"))
			b.click(tt.button) // once more is the same act
			if n := eval[int](b, `localStorage.length + sessionStorage.length`); n > 0 {
				t.Errorf("%d keys are kept while an act waits", n)
			}
			w.overload(0, "")
			b.await(`window.made`).settle()
			w.received(all)
			if b.shows(banner) || b.shows(dialog) {
				t.Error("the visitor is still asked")
			}
			b.await(fmt.Sprintf(`document.querySelector('stile-status').textContent == %q`, en.Saved))
			if eval[bool](b, `document.activeElement == document.body`) {
				t.Error("the focus got lost")
			}
			if bodies := w.posted(4); len(slices.Compact(bodies)) != 1 {
				t.Errorf("the page sent %q, want the same each time", bodies)
			}
			if n := w.records(); n != 1 {
				t.Errorf("%d records, want one", n)
			}
			b.views(shopURL+"/", all)
			if got := thrown(); len(got) > 0 {
				t.Errorf("the page's console got %q", got)
			}
		})
	}
}

// A newer act takes the place of one that waits, whichever surface it comes from; the older is never stored.
func TestRetryNewer(t *testing.T) {
	en := wordsIn(t, "en")
	for _, tt := range []struct{ name, second string }{{"banner", reject}, {"dialog", dialog + " [name=accept][value=none]"}, {"script", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			w.overload(http.StatusServiceUnavailable, "accept=all")
			b.say(`window.older = stile.accept()`)
			b.says(banner, en.Retrying) // a page's own button, with the banner open
			b.click(accept)
			w.posted(2)
			b.says(banner, en.Retrying)
			switch tt.second {
			case "":
				eval[bool](b, `stile.reject().then(() => true)`)
			case reject:
				b.decide(tt.second)
			default:
				b.openDialog().decide(tt.second)
			}
			b.settle()
			if got := eval[map[string]any](b, `older`); !cmp.Equal(got["granted"], []any{}) {
				t.Errorf("the older act ends with %v, want what is in force", got)
			}
			w.overload(0, "")
			b.views(shopURL+"/basket", nothing)
			b.granted()
			if n := w.records(); n != 1 {
				t.Errorf("%d records, want one", n)
			}
			last, err := url.ParseQuery(w.posted(3)[len(w.posted(3))-1])
			if err != nil || last.Get("accept") != "none" {
				t.Errorf("the last that was sent is %v", last)
			}
			if b.shows(banner) || b.shows(dialog) {
				t.Error("the visitor is still asked")
			}
		})
	}
}

// A choice of another tab takes the place of an older act that waits.
func TestRetryOtherTab(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	w.overload(http.StatusServiceUnavailable, "accept=all")
	b.click(accept)
	b.says(banner, wordsIn(t, "en").Retrying)
	other := b.fresh().visit(shopURL + "/basket")
	other.decide(reject)
	b.await(`stile.choice.made`)
	w.overload(0, "")
	b.await(`!document.querySelector('stile-banner')`).settle()
	b.granted()
	w.received(nothing)
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
	b.views(shopURL+"/", nothing)
}

// After ten minutes the page gives up, says so, and takes another act.
func TestRetryEnds(t *testing.T) {
	en := wordsIn(t, "en")
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	w.overload(http.StatusServiceUnavailable, "")
	b.say(`window.gone = stile.reject().catch(why => why.message)`)
	b.says(banner, en.Retrying)
	b.say(`Date.now = (now => () => now() + 6e5)(Date.now)`)
	b.says(banner, en.Failed)
	if why := eval[string](b, `gone`); !strings.Contains(why, "too much at once") {
		t.Errorf("the promise failed with %q", why)
	}
	b.click(accept)
	b.says(banner, en.Retrying)
	w.overload(0, "")
	b.await(`stile.choice.made`).settle()
	w.received(all)
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
}

// The network is cut and heals; in the dialog the visitor's toggles are kept, and who closes it is left alone.
func TestRetryCut(t *testing.T) {
	en := wordsIn(t, "en")
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/").openDialog()
	w.stop()
	b.click(dialog + " [value=analytics]").click(dialogSave)
	b.says(dialog, en.Retrying)
	b.waits(dialog, dialogSave)
	if !eval[bool](b, `document.querySelector('stile-dialog [value=analytics]').checked`) {
		t.Error("the dialog forgot what the visitor chose")
	}
	b.click(dialog + " [value=close]").await(`!document.querySelector('stile-dialog')`)
	b.await(fmt.Sprintf(`document.querySelector('stile-status').textContent == %q`, en.Retrying))
	if b.shows(dialog) {
		t.Error("the dialog comes back although it was closed")
	}
	w.received(nothing)
	w.start()
	b.await(`stile.choice.made`).settle()
	w.received(map[string]int{"counter": 2})
	b.granted("analytics")
	if n := w.records(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
}

// lockLedger holds the ledger's write lock, so that the server really is busy.
func (w *world) lockLedger() (release func()) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.folder, "stile.db")+"?_pragma=busy_timeout(60000)")
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(w.t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = db.Close() })
	w.t.Cleanup(release)
	return release
}

// A7: without JavaScript a page says it in the visitor's language, and its button sends the same once more.
func TestRetryWithoutJavaScript(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().scripts(false)
	for i, lang := range []string{"en", "ar"} {
		text := wordsIn(t, lang)
		b.header(map[string]string{"Accept-Language": lang})
		b.forget().load(consentURL + "/stile/shop/preferences")
		release := w.lockLedger()
		b.click("[value=analytics]").submit("form .b button:last-child")
		if got := eval[string](b, `document.querySelector('[role=status]').textContent`); got != text.Busy.Intro {
			t.Errorf("%s: the page says %q", lang, got)
		}
		if c := b.cookie("stile_shop"); c != nil {
			t.Errorf("%s: there is a choice: %+v", lang, c)
		}
		b.scripts(true) // for axe-core
		for _, screen := range screens {
			for _, theme := range []string{"light", "dark"} {
				b.look(screen.width, screen.height, theme)
				b.axe(lang+" "+screen.name+" "+theme, "stile-page")
				b.picture("again-" + lang + "-" + screen.name + "-" + theme)
			}
		}
		b.scripts(false)
		release()
		b.submit("stile-page button")
		if at := eval[string](b, "location.href"); at != consentURL+"/stile/shop/preferences?saved=1" {
			t.Errorf("%s: the form led to %s", lang, at)
		}
		if got := b.decode(".shop.test", w.keys()...).Granted; !cmp.Equal(got, []string{"analytics"}) {
			t.Errorf("%s: granted %q", lang, got)
		}
		if n := w.records(); n != i+1 {
			t.Errorf("%s: %d records, want %d", lang, n, i+1)
		}
	}
}

// E: what is said while an act waits is in the page's language and direction, whole and legible.
func TestRetryLooks(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: translated()})
	b := w.open()
	w.overload(http.StatusServiceUnavailable, "")
	for _, lang := range []string{"en", "ar"} {
		text := wordsIn(t, lang)
		b.header(map[string]string{"Accept-Language": lang})
		for _, surface := range []string{banner, dialog} {
			b.emptyCache().visit(shopURL + "/test/" + lang)
			button := reject
			if surface == dialog {
				b.openDialog()
				button = dialogSave
			}
			b.click(button)
			b.says(surface, text.Retrying)
			for _, screen := range screens {
				for _, theme := range []string{"light", "dark"} {
					name := fmt.Sprintf("%s-%s-%s-%s", strings.Fields(surface)[0], lang, screen.name, theme)
					b.look(screen.width, screen.height, theme).frame()
					b.axe(name, strings.Fields(surface)[0])
					if !eval[bool](b, fmt.Sprintf(`(r => r.top >= 0 && r.bottom <= innerHeight && r.width > 100)(document.querySelector(%q).getBoundingClientRect())`, surface+" [role=status]")) {
						t.Errorf("%s: the words are not on the screen", name)
					}
					b.picture("waiting-" + name)
				}
			}
		}
	}
	w.received(nothing)
}
