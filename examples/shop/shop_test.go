package shop

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/examples/shop/thirdparty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	script = "https://consent.shop.example/stile/shop.js"
	video  = "https://video.example"
	csp    = "default-src 'self'"
)

func open(parties *thirdparty.Parties) http.Handler {
	return Handler(Options{Script: script, Video: video, Parties: parties, CSP: csp})
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	if w.Header().Get("Set-Cookie") != "" {
		t.Errorf("%s sets a cookie", target)
	}
	return w
}

func document(t *testing.T, w *httptest.ResponseRecorder) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestEveryPage walks the shop from its front page, and looks at each page and file that a page leads to.
func TestEveryPage(t *testing.T) {
	parties := thirdparty.New()
	for _, name := range []string{"counter", "chat"} {
		parties.Handler(name).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x?a=b", nil))
	}
	h := open(parties)
	seen := map[string]bool{}
	queue := []string{"/", "/basket?kettle=2&ink=1", "/app/", "/app/colour", "/app/size", "/app/result"}
	for len(queue) > 0 {
		target := queue[0]
		queue = queue[1:]
		if seen[target] || len(seen) > 500 {
			continue
		}
		seen[target] = true

		w := get(t, h, target)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", target, w.Code)
			continue
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Run(target, func(t *testing.T) { queue = append(queue, page(t, w, target)...) })
		}
	}
	for _, want := range []string{"/privacy", "/received", "/product/letters", "/shop.css", "/shop.js", "/app.js", "/received.js", "/img/pen.svg"} {
		if !seen[want] {
			t.Errorf("no page leads to %s", want)
		}
	}
}

// page checks one page and returns the addresses in the shop that it names.
func page(t *testing.T, w *httptest.ResponseRecorder, target string) (links []string) {
	if got := w.Header().Get("Content-Security-Policy"); got != csp {
		t.Errorf("policy %q, want %q", got, csp)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control %q would keep the page out of the back/forward cache", got)
	}
	doc := document(t, w)
	first := doc.Find("head").Children().First()
	if src, _ := first.Attr("src"); goquery.NodeName(first) != "script" || src != script {
		t.Error("Stile's script is not first in the head")
	}
	if lang, _ := doc.Find("html").Attr("lang"); lang != "en" {
		t.Errorf("lang is %q", lang)
	}
	for selector, want := range map[string]int{
		"main#main":                        1,
		"main > * h1, main > h1":           -1,
		"footer button[data-stile-open]":   1,
		`footer a[href^="/privacy"]`:       1,
		".strip [data-parties]":            4,
		"a.skip":                           1,
		"[style], style":                   0,
		"script:not([src])":                0,
		"[onclick], [onload], [onsubmit]":  0,
		"img:not([alt]), img:not([width])": 0,
	} {
		if got := doc.Find(selector).Length(); got != want && (want >= 0 || got == 0) {
			t.Errorf("%d of %s, want %d", got, selector, want)
		}
	}
	// The gift finder's heading is in its templates; everywhere else there is one.
	if got := doc.Find("h1").Length(); got != 1 && !strings.HasPrefix(target, "/app/") {
		t.Errorf("%d headings of the first level, want one", got)
	}

	doc.Find("[href], [src], [data-src], [action], [srcset], [poster]").Each(func(_ int, el *goquery.Selection) {
		for _, attr := range []string{"href", "src", "data-src", "action", "srcset", "poster"} {
			value, ok := el.Attr(attr)
			if !ok || strings.HasPrefix(value, "#") || value == script || strings.HasPrefix(value, video+"/embed/") {
				continue
			}
			u, err := url.Parse(value)
			if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, "/") {
				t.Errorf("%s=%q leads out of the shop", attr, value)
				continue
			}
			if attr != "action" {
				links = append(links, value)
			}
		}
	})
	return links
}

// TestFiles: what the pages load names no other host either.
func TestFiles(t *testing.T) {
	h := open(nil)
	outside := regexp.MustCompile(`(https?:)?//[a-zA-Z0-9]|@import|url\(`)
	err := fs.WalkDir(web, "web/static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		w := get(t, h, strings.TrimPrefix(name, "web/static"))
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", name, w.Code)
		}
		text := strings.ReplaceAll(w.Body.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
		text = strings.ReplaceAll(text, `url(#`, "") // a pattern in the same picture
		if found := outside.FindString(text); found != "" {
			t.Errorf("%s names another host: %s", name, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilm(t *testing.T) {
	doc := document(t, get(t, open(nil), "/product/kettle"))
	film := doc.Find(`iframe[data-stile="functional"]`)
	if src, _ := film.Attr("data-src"); src != video+"/embed/kettle" {
		t.Errorf("the film is at %q", src)
	}
	if _, ok := film.Attr("src"); ok {
		t.Error("the film is loaded before a choice")
	}
	if title, _ := film.Attr("title"); title == "" {
		t.Error("the film has no title")
	}
	if doc.Find(".film [data-stile-open]").Length() != 1 {
		t.Error("the note on the film has no way to the choices")
	}
}

func TestWithoutSurroundings(t *testing.T) {
	h := Handler(Options{})
	doc := document(t, get(t, h, "/product/kettle"))
	if n := doc.Find(".strip, iframe, a[href^='/received']").Length(); n != 0 {
		t.Errorf("%d traces of what is not there", n)
	}
	if w := get(t, h, "/received"); w.Code != http.StatusNotFound {
		t.Errorf("/received: status %d without a log", w.Code)
	}
	w := get(t, Handler(Options{Frame: "https://consent.shop.example/stile/shop/banner"}), "/")
	if !strings.Contains(w.Body.String(), `<noscript><iframe class="choice-frame" src="https://consent.shop.example/stile/shop/banner"`) {
		t.Error("the banner's frame is missing")
	}
}

func TestNotFound(t *testing.T) {
	for _, target := range []string{"/nothing", "/product/nothing", "/img/nothing.svg", "/favicon.ico"} {
		if w := get(t, open(nil), target); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, w.Code)
		}
	}
}

func TestBasket(t *testing.T) {
	h := open(nil)
	w := get(t, h, "/basket?ink=9&add=ink&add=kettle&nonsense=3&pen=-1&cups=x")
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "/basket?ink=9" {
		t.Errorf("status %d to %q, want 303 to a basket of nine inks, which is full", w.Code, to)
	}
	doc := document(t, get(t, h, "/basket?ink=1&kettle=1"))
	if total := doc.Find(".sum-total dd").Text(); total != "€103.00" {
		t.Errorf("total %q", total)
	}
	if got := doc.Find(".sum div:nth-child(2) dd").Text(); got != "free" {
		t.Errorf("delivery %q, want free", got)
	}
	doc = document(t, get(t, h, "/basket?ink=1"))
	if total := doc.Find(".sum-total dd").Text(); total != "€18.90" {
		t.Errorf("total with delivery %q", total)
	}
	doc = document(t, get(t, h, "/?ink=2"))
	if doc.Find(`a.card[href="/product/kettle?ink=2"]`).Length() != 1 {
		t.Error("a link loses the basket")
	}
}

func TestReceived(t *testing.T) {
	parties := thirdparty.New()
	h := open(parties)
	if text := document(t, get(t, h, "/received")).Find("[role=status] p:not([hidden])").Text(); text != "Nothing. Declined tags never left the server." {
		t.Errorf("an empty log says %q", text)
	}

	for range 60 {
		r := httptest.NewRequest("GET", "https://pixel-a.example/p.gif?u=<b>", nil)
		r.Header.Set("Cookie", "pixel-a_id=1")
		parties.Handler("pixel-a").ServeHTTP(httptest.NewRecorder(), r)
	}
	doc := document(t, get(t, h, "/received"))
	if got := doc.Find("#total").Text(); got != "60" {
		t.Errorf("total %q", got)
	}
	if got := doc.Find("[data-party=pixel-a] .hits li").Length(); got != shown {
		t.Errorf("%d lines, want %d", got, shown)
	}
	if got := doc.Find("[data-party=pixel-a] .hit-cookie").Length(); got != shown {
		t.Errorf("%d lines say that there was a cookie", got)
	}
	if doc.Find(".hits b").Length() != 0 {
		t.Error("what was received is drawn as HTML")
	}
	if got := doc.Find(`.strip [data-parties="pixel-a pixel-b"] b`).Text(); got != "60" {
		t.Errorf("the strip counts %q pixels", got)
	}
	if w := get(t, h, "/received/log"); !strings.Contains(w.Body.String(), `"pixel-a":60`) {
		t.Errorf("log %.200s", w.Body)
	}
}

func TestClear(t *testing.T) {
	for _, tt := range []struct {
		name, site string
		status     int
		left       int
	}{
		{name: "from the page", site: "same-origin", status: http.StatusSeeOther, left: 0},
		{name: "from elsewhere", site: "cross-site", status: http.StatusForbidden, left: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parties := thirdparty.New()
			parties.Handler("chat").ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			r := httptest.NewRequest("POST", "/received/clear", nil)
			r.Header.Set("Sec-Fetch-Site", tt.site)
			w := httptest.NewRecorder()
			open(parties).ServeHTTP(w, r)
			if w.Code != tt.status || parties.Count("chat") != tt.left {
				t.Errorf("status %d and %d left, want %d and %d", w.Code, parties.Count("chat"), tt.status, tt.left)
			}
		})
	}
}

// TestPictures: every product has its picture, and every answer of the gift finder leads somewhere.
func TestPictures(t *testing.T) {
	for _, p := range products {
		if _, err := fs.Stat(web, path.Join("web/static/img", p.Slug+".svg")); err != nil {
			t.Error(err)
		}
		if !slices.Contains([]string{"tea", "writing"}, p.For) || !slices.Contains([]string{"deep", "light"}, p.Colour) ||
			!slices.Contains([]string{"pocket", "table"}, p.Size) {
			t.Errorf("the gift finder never finds %s", p.Slug)
		}
	}
}
