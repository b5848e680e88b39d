package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stilehq/stile/server/account"
)

// theme is a page in which somebody has put the chat's script, which is a tag of the site's, and a picture of nobody knows whom.
const theme = `<!DOCTYPE html><html lang="en"><head><title>Theme</title><script src="` + consentURL + `/stile/shop.js"></script></head>
<body><h1>Theme</h1><script src="https://chat.example/widget.js?visitor=id-7#part"></script><img src="https://tracker.example/path-7/p.gif?visitor=id-7" alt=""></body></html>`

// early is a page with Meta's script in it, which is a tag of the site's too. With "?now" it accepts while it loads, and says when
// that is in force.
const early = `<!DOCTYPE html><html lang="en"><head><title>Early</title><script src="` + consentURL + `/stile/shop.js"></script></head>
<body><h1>Early</h1><script src="https://connect.facebook.net/en_US/fbevents.js"></script><script>
if (location.search == '?now') {
  document.addEventListener('stile:choice', () => { new Image().src = '` + consentURL + `/chosen' })
  stile.accept()
}
</script></body></html>`

func themePages() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/test/early" {
			_, _ = io.WriteString(rw, early)
			return
		}
		if r.URL.Path == "/test/policed" {
			rw.Header().Set("Content-Security-Policy", "img-src 'self'; report-uri "+consentURL+"/stile/shop/reports")
		}
		_, _ = io.WriteString(rw, theme)
	})
}

// posted are the reports that browsers send, as they send them.
type posted struct {
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

func (p *posted) hold(r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/reports") {
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bodies, p.heads = append(p.bodies, string(body)), append(p.heads, r.Header.Clone())
}

func (p *posted) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.bodies)
}

// sighted is a world whose every page view reports, and what it reports.
func sighted(t *testing.T) (*world, *posted) {
	t.Helper()
	w := newWorld(t, settings{config: func(text string) string { return sharedCookie(text) + "\nsightings: 1\n" }, pages: themePages()})
	p := &posted{}
	w.mu.Lock()
	w.hold = p.hold
	w.mu.Unlock()
	return w, p
}

// reported leaves the page, and waits for the nth report.
func (b *tab) reported(p *posted, n int) {
	b.t.Helper()
	b.load("about:blank")
	b.w.until(fmt.Sprintf("report %d", n), func() bool { return len(p.list()) >= n })
}

// What stands in the theme is seen with visitors who declined, and said so; with those who accepted it is as expected. What is
// posted holds hosts, and nothing of the page or of the visitor.
func TestSightings(t *testing.T) {
	w, p := sighted(t)
	w.user(account.Viewer)
	b := w.open()
	b.visit(shopURL + "/test/theme").decide(reject) // the choice ends the first report
	w.until("the first report", func() bool { return len(p.list()) == 1 })
	b.load("about:blank")
	b.visit(shopURL+"/test/theme").reported(p, 2)

	other := b.stranger()
	other.visit(shopURL + "/test/theme").decide(accept)
	w.until("the third report", func() bool { return len(p.list()) == 3 })
	other.load("about:blank")
	other.visit(shopURL+"/test/theme").reported(p, 4)

	want := []struct {
		chosen  bool
		allowed string
	}{{false, "[]"}, {true, "[]"}, {false, "[]"}, {true, "[functional analytics marketing]"}}
	for i, body := range p.list() {
		var r struct {
			Regime  string
			Chosen  bool
			Allowed []string
			Hosts   []struct{ Host, As string }
		}
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		if r.Chosen != want[i].chosen || fmt.Sprint(r.Allowed) != want[i].allowed || r.Regime == "" {
			t.Errorf("report %d: %s", i+1, body)
		}
		hosts := fmt.Sprint(r.Hosts)
		if !strings.Contains(hosts, "{chat.example script}") || !strings.Contains(hosts, "{tracker.example img}") || strings.Contains(hosts, "shop.test") {
			t.Errorf("report %d names %s", i+1, hosts)
		}
		if counts := strings.Contains(hosts, "counter.example"); counts != (i == 3) {
			t.Errorf("report %d names the counter: %v", i+1, counts)
		}
		for _, private := range []string{"id-7", "path-7", "visitor", "/test/", "theme", "HC-1001", "http"} {
			if strings.Contains(body, private) {
				t.Errorf("report %d tells %s: %s", i+1, private, body)
			}
		}
		if h := p.heads[i]; h.Get("Cookie") != "" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || h.Get("X-Stile-Choice") != "" {
			t.Errorf("report %d has %v", i+1, h)
		}
	}
	w.until("the last report's answer", func() bool { // it is noted once the report has been read
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Count(strings.Join(w.requests, "\n"), "POST /stile/shop/reports 204") >= 4
	})
	asked := strings.Join(w.asked(), "\n")
	if n := strings.Count(asked, "POST /stile/shop/reports 204"); n != 4 || strings.Contains(asked, "OPTIONS /stile/shop/reports") {
		t.Errorf("the consent host got %d reports, or was asked beforehand:\n%s", n, asked)
	}

	b.look(1280, 900, "light").as(account.Viewer, "sites/shop/sightings").counts(`document.querySelector('main').innerText.includes('tracker.example was seen on 4 pages')`)
	page := eval[string](b, `document.querySelector('main').innerText`)
	for _, says := range []string{
		"Chat was seen on 1 page of visitors who declined functional: it stands in the theme.",
		"tracker.example was seen on 4 pages, 1 of them of visitors who declined everything: nobody has said what it is.",
	} {
		if !strings.Contains(page, says) {
			t.Errorf("the page does not say %q:\n%s", says, page)
		}
	}
	for host, badge := range map[string]string{"counter.example": "gated", "pixel-a.example": "gated", "chat.example": "slipped through", "tracker.example": "unknown"} {
		if got := eval[string](b, fmt.Sprintf(`[...document.querySelectorAll('.seen tbody tr')].find(r => r.querySelector('bdi').innerText == %q)?.querySelector('.badge').innerText ?? 'missing'`, host)); got != badge {
			t.Errorf("%s is %s, not %s", host, got, badge)
		}
	}
	eval[bool](b, `(document.querySelectorAll('main details').forEach(d => { d.open = true }), true)`)
	for _, screen := range screens {
		for _, theme := range []string{"light", "dark"} {
			b.look(screen.width, screen.height, theme)
			b.axe("sightings "+screen.name+" "+theme, "")
			if over := eval[float64](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				t.Errorf("on a %s the page is %v px too wide", screen.name, over)
			}
		}
	}
}

// What stands in the theme runs before a choice, though the choice on the same page releases it: it is judged by what was
// released before. So it is where Google's consent mode runs too, which is no tag of the site's.
func TestSightingsBeforeAChoice(t *testing.T) {
	for name, google := range map[string]string{"without Google": "", "basic": "basic", "advanced": "advanced"} {
		t.Run(name, func(t *testing.T) {
			config := func(text string) string {
				text = strings.Replace(sharedCookie(text), "\ntags:\n", "\ntags:\n  - {vendor: meta-pixel, id: \"123456789012345\", category: marketing}\n", 1)
				if google != "" {
					text = strings.Replace(text, "\ntags:\n", "\ntags:\n  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}\n", 1) + "\ngoogle: {mode: " + google + "}"
				}
				return text + "\nsightings: 1\n"
			}
			w := newWorld(t, settings{config: config, pages: themePages(), vendors: []string{"connect.facebook.net", "www.facebook.com", "www.googletagmanager.com"}})
			w.user(account.Viewer)
			p, chosen, once := &posted{}, make(chan bool), sync.Once{}
			w.mu.Lock()
			w.hold = func(r *http.Request) {
				switch {
				case r.URL.Path == "/chosen":
					once.Do(func() { close(chosen) })
				case strings.HasSuffix(r.URL.Path, "/watch.js"): // the first visitor has it after the choice, the next before
					<-chosen
				}
				p.hold(r)
			}
			w.mu.Unlock()
			b := w.open()
			b.visit(shopURL + "/test/early?now")
			w.until("the first report", func() bool { return len(p.list()) == 1 })
			b.load("about:blank")
			other := b.stranger()
			other.visit(shopURL + "/test/early").decide(accept)
			w.until("the second report", func() bool { return len(p.list()) == 2 })
			other.load("about:blank")
			other.visit(shopURL+"/test/early").reported(p, 3)

			for i, body := range p.list() {
				if !strings.Contains(body, `"with":[]`) || !strings.Contains(body, `"failed":[]`) || !strings.Contains(body, `{"host":"connect.facebook.net","as":"script"}`) {
					t.Errorf("report %d: %s", i+1, body)
				}
			}
			w.until("the answers", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return strings.Count(strings.Join(w.requests, "\n"), "POST /stile/shop/reports ") >= 3
			})
			if asked := strings.Join(w.asked(), "\n"); strings.Count(asked, "POST /stile/shop/reports 204") != 3 {
				t.Errorf("not all reports were taken:\n%s", asked)
			}
			b.as(account.Viewer, "sites/shop/sightings").counts(`document.querySelector('main').innerText.includes('Meta Pixel was seen on 2 pages before a choice: it stands in the theme.')`)
			row := eval[string](b, `[...document.querySelectorAll('.seen tbody tr')].find(r => r.querySelector('bdi').innerText == 'connect.facebook.net').innerText`)
			for _, says := range []string{"slipped through", "before a choice 2", "accepted everything 1"} {
				if !strings.Contains(strings.Join(strings.Fields(row), " "), says) {
					t.Errorf("the row does not say %q: %q", says, row)
				}
			}
		})
	}
}

// What a security policy stops is reported by the browser itself, and its host is all that is kept of it.
func TestSightingsOfPolicy(t *testing.T) {
	w, p := sighted(t)
	w.user(account.Viewer)
	b := w.open()
	b.visit(shopURL+"/test/policed?order=77").reported(p, 2)
	if !slices.ContainsFunc(p.list(), func(body string) bool { return strings.Contains(body, "csp-report") }) {
		t.Fatalf("no policy was reported: %q", p.list())
	}
	w.until("both to be answered", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Count(strings.Join(w.requests, "\n"), "POST /stile/shop/reports 204") >= 2
	})
	b.as(account.Viewer, "sites/shop/sightings?show=unknown").counts(`!!document.querySelector('.seen tbody tr')`)
	rows := eval[[]string](b, `[...document.querySelectorAll('.seen tbody tr')].map(r => r.innerText.replace(/\s+/g, ' '))`)
	if !slices.ContainsFunc(rows, func(row string) bool {
		return strings.HasPrefix(row, "tracker.example img, told by the security policy") && strings.Contains(row, "not known 1")
	}) {
		t.Errorf("the page shows %q", rows)
	}
}

// Where sightings are off nothing is sent and nothing is fetched for them.
func TestSightingsOff(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: themePages()})
	b := w.open()
	b.visit(shopURL + "/test/theme").decide(accept)
	b.visit(shopURL + "/test/theme").load("about:blank")
	b.visit(shopURL + "/test/theme") // whatever the page before sent has been sent by now
	for _, request := range w.asked() {
		if strings.Contains(request, "watch.js") || strings.Contains(request, "reports") {
			t.Errorf("the consent host got %s", request)
		}
	}
}
