package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tags puts other tags into the shop's configuration.
func tags(list string) func(string) string {
	return func(text string) string {
		before, _, _ := strings.Cut(sharedCookie(text), "\ntags:")
		return before + "\ntags:\n" + list
	}
}

// wares answer the scripts of a test's own tags, and write down in which order they were asked for and sent.
type wares struct {
	*served
	mu    sync.Mutex
	order []string
}

func (s *wares) handler() http.Handler {
	inner := s.with(map[string]testPage{"page": {}})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, id, found := strings.Cut(r.URL.Path, "/js/"); found {
			s.mu.Lock()
			s.order = append(s.order, id)
			s.mu.Unlock()
		}
		inner.ServeHTTP(rw, r)
	})
}

func (s *wares) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.order...)
}

// H: a tag runs after those that it needs have loaded, whatever the order in the file and however slow they are; those that
// need nothing do not wait.
func TestOrder(t *testing.T) {
	s := &wares{served: newServed()}
	w := newWorld(t, settings{pages: s.handler(), config: tags(`
  - {name: Last, category: marketing, inline: "ran.push('last')", needs: [Middle, Other]}
  - {name: Middle, category: marketing, script: "https://www.shop.test/test/js/middle", needs: [First]}
  - {name: First, category: marketing, script: "https://www.shop.test/test/js/slow-first"}
  - {name: Other, category: marketing, script: "https://www.shop.test/test/js/other"}
`)})
	b := w.open()
	b.onNewPage(`window.ran = []`)
	b.visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept().then(() => true)`)
	b.settle()
	for range 2 {
		if got, want := eval[[]string](b, `ran`), []string{"other", "slow-first", "middle", "last"}; !cmp.Equal(got, want) {
			t.Errorf("they ran as %q, want %q", got, want)
		}
		want := map[string]string{"first": "running", "middle": "running", "other": "running", "last": "running"}
		if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, want) {
			t.Errorf("stile.tags is %v", got)
		}
		b.visit(shopURL + "/test/page") // and the same on the next page
	}
}

// H: a tag that never answers, is missing or throws holds up no other; what needs one that did not load does not run, and
// stile.tags and the console say so.
func TestOrderFailures(t *testing.T) {
	s := &wares{served: newServed()}
	w := newWorld(t, settings{pages: s.handler(), config: tags(`
  - {name: Hangs, category: analytics, script: "https://www.shop.test/test/js/hang"}
  - {name: After hangs, category: analytics, inline: "ran.push('after-hangs')", needs: [Hangs]}
  - {name: Missing, category: analytics, script: "https://www.shop.test/test/missing"}
  - {name: After missing, category: analytics, script: "https://www.shop.test/test/js/after-missing", needs: [Missing]}
  - {name: And further, category: analytics, inline: "ran.push('further')", needs: [After missing]}
  - {name: Throws, category: analytics, script: "https://www.shop.test/test/js/throws"}
  - {name: After throws, category: analytics, inline: "ran.push('after-throws')", needs: [Throws]}
  - {name: Inline throws, category: analytics, inline: "throw Error('inline')"}
  - {name: After inline, category: analytics, inline: "ran.push('after-inline')", needs: [Inline throws]}
  - {name: Good, category: analytics, script: "https://www.shop.test/test/js/good"}
  - {name: Fine, category: marketing, inline: "ran.push('fine')"}
`)})
	t.Cleanup(s.release)
	b := w.open()
	b.onNewPage(`window.ran = []; window.told = []; const error = console.error; console.error = (...a) => { told.push(a.join(' ')); error(...a) }`)
	b.visit(shopURL + "/test/page")
	eval[bool](b, `stile.accept().then(() => true)`)
	b.await(`ran.length >= 4 && stile.tags['and-further']?.startsWith('failed')`)
	if got, want := b.ran(), []string{"after-throws", "fine", "good", "throws"}; !cmp.Equal(got, want) {
		t.Errorf("%q ran, want %q", got, want)
	}
	missing := "failed: stile: https://www.shop.test/test/missing did not load"
	want := map[string]string{
		"hangs": "loading", "after-hangs": "waiting", "missing": missing, "after-missing": missing, "and-further": missing,
		"throws": "running: Script error.", "after-throws": "running",
		"inline-throws": "failed: inline", "after-inline": "failed: inline", "good": "running", "fine": "running",
	}
	if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, want) {
		t.Errorf("stile.tags: %s", cmp.Diff(want, got))
	}
	for _, id := range []string{"missing", "after-missing", "inline-throws"} {
		if !eval[bool](b, `told.some(line => line.includes('stile: `+id+` failed'))`) {
			t.Errorf("the console does not say that %s failed: %q", id, eval[[]string](b, `told`))
		}
	}
	for _, id := range s.asked() {
		if id == "after-missing" {
			t.Error("what needs a missing tag was asked for")
		}
	}
	// The choice can be changed all the same, while one hangs.
	b.loads(func() { b.say(`stile.reject()`) })
	b.settle()
	if got := eval[int](b, `Object.keys(stile.tags).length`); got != 0 {
		t.Errorf("after a refusal %d tags run", got)
	}
}

// A tag that needs one of a category that was not granted is withheld, and runs as soon as it may.
func TestOrderAcrossCategories(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	eval[bool](b, `stile.accept(['marketing']).then(() => true)`)
	b.settle()
	if got := eval[map[string]string](b, `stile.tags`); !cmp.Equal(got, map[string]string{"pixel-a": "running", "pixel-b": "running"}) {
		t.Errorf("with marketing alone: %v", got)
	}
	eval[bool](b, `stile.accept(['marketing', 'analytics']).then(() => true)`)
	b.settle()
	if got := eval[int](b, `window.loyalty`); got != 1 {
		t.Error("with both, the tag that needs the other did not run")
	}
	w.received(map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1})
}
