package server

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stilehq/stile/server/cookie"
)

// clock is one that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// B10: a refusal is remembered as long as a grant, and an answer in part: nobody is asked again for 180 days, and everybody
// after. What was granted ends with it.
func TestB10Memory(t *testing.T) {
	start := time.Now().UTC()
	const day = 24 * time.Hour
	for name, form := range map[string]string{"grant": "accept=all", "refusal": "accept=none", "in part": "category=analytics"} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: start}
			w := newWorld(t, func(o *Options) { o.Now = c.read })
			resp, _ := w.choose(form)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d", resp.StatusCode)
			}
			for _, set := range resp.Cookies() {
				if set.Name == cookie.Name("shop") && set.MaxAge != 180*24*60*60 {
					t.Errorf("C1: the cookie is kept for %d seconds", set.MaxAge)
				}
			}
			grants := form != "accept=none"
			for _, at := range []struct {
				after time.Duration
				asked bool
			}{{0, false}, {day, false}, {90 * day, false}, {179 * day, false}, {180*day - time.Minute, false}, {180 * day, true}, {181 * day, true}, {300 * day, true}} {
				c.set(start.Add(at.after))
				// Twice: the second answer may come from what the server remembers of the first.
				for range 2 {
					_, body := w.get("/stile/shop.js")
					if asked := strings.Contains(body, "Reject all"); asked != at.asked {
						t.Errorf("after %v the visitor is asked: %v", at.after, asked)
					}
					if runs := strings.Contains(body, "G-AB12CD34EF"); runs != (grants && !at.asked) {
						t.Errorf("after %v the tag is released: %v", at.after, runs)
					}
				}
				if _, body := w.get("/stile/shop/preferences"); strings.Contains(body, " checked") != (grants && !at.asked) {
					t.Errorf("after %v the page of preferences shows another choice", at.after)
				}
			}
			// Asked again, the answer is remembered as long again.
			c.set(start.Add(200 * day))
			w.choose(form)
			c.set(start.Add(379 * day))
			if _, body := w.get("/stile/shop.js"); strings.Contains(body, "Reject all") {
				t.Error("the second answer is not remembered as long as the first")
			}
		})
	}
}

// Where tags run until an objection, the end of one would let them run again: it holds for a year (F13).
func TestF13ObjectionHolds(t *testing.T) {
	start := time.Now().UTC()
	const day = 24 * time.Hour
	c := &clock{now: start}
	w := newWorld(t, func(o *Options) { o.Now = c.read })
	california := []string{"X-Region", "US-CA"}
	if _, body := w.get("/stile/shop.js", california...); !strings.Contains(body, "pixel.example") {
		t.Fatal("before an objection the pixel runs there")
	}
	resp, _ := w.choose("accept=none", california...)
	for _, set := range resp.Cookies() {
		if set.MaxAge != 365*24*60*60 {
			t.Errorf("%s is kept for %d seconds", set.Name, set.MaxAge)
		}
	}
	for after, runs := range map[time.Duration]bool{day: false, 181 * day: false, 364 * day: false, 366 * day: true} {
		c.set(start.Add(after))
		if _, body := w.get("/stile/shop.js", california...); strings.Contains(body, "pixel.example") != runs || strings.Contains(body, "Reject all") != runs {
			t.Errorf("after %v the pixel runs, or the visitor is asked: want %v", after, runs)
		}
	}
}
