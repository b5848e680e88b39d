package crawl

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/reach"
)

// handled answers requests without a network, as a handler says: for tests whose time is synctest's.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func options(t http.RoundTripper) Options {
	return Options{Depth: 5, Pages: 50, Rate: 1000, Size: 1 << 20, Page: 10 * time.Second, All: time.Minute, Agent: "Stile/1 (test)", Transport: t}
}

// crawled are the addresses of the pages that were read, and the errors.
func crawled(t testing.TB, start string, o Options) (pages, troubles []string, left Left) {
	t.Helper()
	u, err := url.Parse(start)
	if err != nil {
		t.Fatal(err)
	}
	c := New(u, o)
	for p, err := range c.Pages(t.Context()) {
		if err != nil {
			troubles = append(troubles, err.Error())
		} else {
			pages = append(pages, p.Address.String())
		}
	}
	return pages, troubles, c.Left()
}

// site is pages by path.
type site map[string]string

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, found := s[r.URL.RequestURI()]
	switch to, redirects := strings.CutPrefix(text, "-> "); {
	case !found:
		http.NotFound(w, r)
	case redirects:
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	default:
		if !strings.HasSuffix(r.URL.Path, ".txt") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}
		_, _ = io.WriteString(w, text)
	}
}

func TestSameOriginEachOnce(t *testing.T) {
	s := site{
		"/": `<a href="/b/">b</a> <a href="b/#part">b again</a> <a href="https://WWW.shop.example:443/b/">and again</a>
			<a href="https://other.example/x">away</a> <a href="http://www.shop.example/plain">plain</a> <a href="mailto:a@shop.example">mail</a>
			<a href="/sheet.pdf">no page</a> <a name="x">no link</a> <a href="/b/?q=1">asked</a> <a href="javascript:go()">go</a> <a href="/b/">b</a>`,
		"/b/":      `<base href="/deep/"><base href="/wrong/"><area href="c"><A HREF=../b/>up</A>`,
		"/b/?q=1":  `<a href="/">home</a>`,
		"/deep/c":  `<a href="d">four</a>`,
		"/deep/d":  `the end`,
		"/plain":   `never`,
		"/wrong/c": `never`,
	}
	pages, troubles, left := crawled(t, "https://www.shop.example", options(handled{s}))
	want := []string{"https://www.shop.example/", "https://www.shop.example/b/", "https://www.shop.example/b/?q=1", "https://www.shop.example/deep/c", "https://www.shop.example/deep/d"}
	if diff := cmp.Diff(want, pages); diff != "" || troubles != nil || left != (Left{}) {
		t.Errorf("%s\n%v %v", diff, troubles, left)
	}
}

func TestBounds(t *testing.T) {
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<a href="%s1/">on</a><a href="%s2/">on</a>`, r.URL.Path, r.URL.Path)
	})
	o := options(handled{endless})
	o.Depth = 2
	pages, _, left := crawled(t, "https://shop.example/", o)
	if len(pages) != 7 || left.More {
		t.Errorf("two links deep there are 1+2+4 pages, not %v (%v)", pages, left)
	}
	o.Depth, o.Pages = 100, 10
	if pages, _, left = crawled(t, "https://shop.example/", o); len(pages) != 10 || !left.More {
		t.Errorf("%d pages of 10, %v", len(pages), left)
	}
	o.Depth = 0
	if pages, _, left = crawled(t, "https://shop.example/", o); len(pages) != 1 || left != (Left{}) {
		t.Errorf("%d pages, not the first alone, %v", len(pages), left)
	}
}

func TestRedirects(t *testing.T) {
	for _, test := range []struct {
		name      string
		site      site
		start     string
		pages     []string
		trouble   string
		elsewhere bool
	}{
		{
			"to www, once",
			site{"/": "-> https://www.shop.example/home", "/home": `<a href="/a">a</a><a href="https://shop.example/b">not the origin</a>`, "/a": "a", "/b": "b"},
			"https://shop.example/",
			[]string{"https://www.shop.example/home", "https://www.shop.example/a"},
			"", false,
		},
		{"to another site", site{"/": "-> https://evil.example/"}, "https://shop.example/", nil, "which is another site", false},
		{"a public suffix is no site", site{"/": "-> https://b.github.io/"}, "https://a.github.io/", nil, "which is another site", false},
		{"a later page to another host", site{"/": `<a href="/a">a</a>`, "/a": "-> https://www.shop.example/"}, "https://shop.example/", []string{"https://shop.example/"}, "which is another site", false},
		{"in a circle", site{"/": "-> /a", "/a": "-> /b", "/b": "-> /a"}, "https://shop.example/", nil, "https://shop.example/: it redirects in a circle", false},
		{"to no address", site{"/": "-> javascript:alert(1)"}, "https://shop.example/", nil, "which is no address", false},
		{"to a page that was read", site{"/": `<a href="/a">a</a>`, "/a": "-> /"}, "https://shop.example/", []string{"https://shop.example/"}, "", false},
	} {
		pages, troubles, _ := crawled(t, test.start, options(handled{test.site}))
		if !slices.Equal(pages, test.pages) || (test.trouble == "") != (len(troubles) == 0) || !strings.Contains(strings.Join(troubles, "\n"), test.trouble) {
			t.Errorf("%s: %v %v", test.name, pages, troubles)
		}
	}
	long := site{}
	for i := range 20 {
		long[fmt.Sprintf("/%d", i)] = fmt.Sprintf("-> /%d", i+1)
	}
	if _, troubles, _ := crawled(t, "https://shop.example/0", options(handled{long})); len(troubles) != 1 || !strings.Contains(troubles[0], "more than 10 times") {
		t.Errorf("a chain of twenty: %v", troubles)
	}
}

func TestRobots(t *testing.T) {
	pages := site{"/": `<a href="/a">a</a> <a href="/private/b">b</a> <a href="/private/open">c</a> <a href="/d?print=1">d</a>`, "/a": "a", "/private/b": "b", "/private/open": "c", "/d?print=1": "d"}
	for _, test := range []struct {
		name, robots string
		status       int
		want         int // pages
		skipped      int
		trouble      string
	}{
		{"none", "", 404, 5, 0, ""},
		{"forbidden", "", 403, 5, 0, ""},
		{"broken", "", 500, 1, 4, "robots.txt: no link is followed, since the rules cannot be read: it answers 500"},
		{"everybody", "User-agent: *\nDisallow: /private/\nAllow: /private/open\nDisallow: /*?print=\n", 200, 3, 2, ""},
		{"named", "User-agent: *\nDisallow: /\n\nUser-agent: stile\nDisallow: /a\n", 200, 4, 1, ""},
		{"another is named", "User-agent: Googlebot\nDisallow: /\n", 200, 5, 0, ""},
		{"everything", "User-agent: *\nDisallow: /\n", 200, 1, 4, ""},
		{"empty", "", 200, 5, 0, ""},
		{"what can be read counts", "\xef\xbb\xbfDisallow: /\nhello\nUser-agent: *\nCrawl-delay: soon\nCrawl-delay: 1e300\nDisallow: /a # so\n", 200, 4, 1, ""},
		{"of several agents", "User-agent: a\nUser-agent: *\nUser-agent: b\nDisallow: /a\nUser-agent: c\nDisallow: /\n", 200, 4, 1, ""},
		{"one that allows everything before another", "User-agent: stile\nDisallow:\n\nUser-agent: *\nDisallow: /\n", 200, 5, 0, ""},
		{"and after another", "User-agent: *\rDisallow:\r\rUser-agent: Badbot\rDisallow: /\r", 200, 5, 0, ""},
		{"no text at all", "\x00\xff<html>:\n\n:", 200, 5, 0, ""},
		{"larger than is read", "User-agent: *\nDisallow: /a\n" + strings.Repeat("#\n", 300<<10) + "Disallow: /\n", 200, 4, 1, ""},
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/robots.txt" {
				pages.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.robots)
		})
		got, troubles, left := crawled(t, "https://shop.example/", options(handled{h}))
		if len(got) != test.want || left.Robots != test.skipped || (test.trouble == "") != (troubles == nil) || !strings.Contains(strings.Join(troubles, "\n"), test.trouble) {
			t.Errorf("%s: %v %v %v", test.name, got, troubles, left)
		}
	}
}

// Rules and links of which there are too many end in time: not all are looked at, and that is said.
func TestEndlessRobots(t *testing.T) {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct {
		name, robots string
		links        int
		left         Left
	}{
		{"rules", "User-agent: *\nDisallow: /l/\n" + many("Disallow: /x%d\n", 5_000), 60_000, Left{Robots: 10_049, Links: true}},
		{"wildcards", "User-agent: *\nDisallow: /*l/0$\n" + many("Disallow: /*x%d\n", 6_000) + "Disallow: /*l/1$\nDisallow: /l/2\n", 3, Left{Robots: 2, Rules: true}},
		{"agents", many("User-agent: a%d\n", 12_000) + many("Disallow: /%d\n", 12_000) + "User-agent: *\nDisallow: /l/\n", 60_000, Left{Robots: 10_049, Links: true}},
	} {
		s := site{"/": many("<a href=/l/%d>", test.links), "/robots.txt": test.robots, "/l/1": "<p>"}
		_, troubles, left := crawled(t, "https://shop.example/", options(handled{s}))
		if troubles != nil || left != test.left {
			t.Errorf("%s: %v, %+v", test.name, troubles, left)
		}
	}
}

// Whoever stops it need not wait until all links of a page were looked at, and is told that not all were.
func TestTimeOfLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(handled{site{"/": `<a href="/a">a</a>`, "/a": "a"}})
		u := &url.URL{Scheme: "https", Host: "shop.example"}
		c := New(u, o)
		for range c.Pages(t.Context()) {
			time.Sleep(o.All + 1)
		}
		if left := c.Left(); !left.Time || c.Known() != 1 {
			t.Errorf("%+v, and %d are known", left, c.Known())
		}
	})
}

// What a page shows in its frames, and where it takes its visitors by itself, is a part of it; what it links to is farther away.
func TestFramesAndRefreshes(t *testing.T) {
	s := site{
		"/":       `<meta http-equiv="Refresh" content="0; URL='/en/'">`,
		"/en/":    `<iframe src="frame"></iframe><frame src="/old"><a href="/linked">a</a><meta name="refresh" content="0;url=/never"><iframe src="//other.example/"></iframe>`,
		"/linked": `<meta http-equiv=refresh content="3,../next">`, "/en/frame": "<p>", "/old": "<p>", "/never": "<p>", "/next": "<p>",
	}
	o := options(handled{s})
	for depth, want := range map[int][]string{
		0: {"/", "/en/", "/en/frame", "/old"},
		1: {"/", "/en/", "/en/frame", "/old", "/linked", "/next"},
	} {
		o.Depth = depth
		for i := range want {
			want[i] = "https://shop.example" + want[i]
		}
		if pages, troubles, _ := crawled(t, "https://shop.example/", o); !slices.Equal(pages, want) || troubles != nil {
			t.Errorf("%d: %v %v", depth, pages, troubles)
		}
	}
	for content, want := range map[string]string{"5": "", "0;url=/a": "/a", "0 URL = \"/a\" b": "/a", "1.5; /a": "/a", "url=/a": "", "0;url='/a": "/a", "0; urls": "urls"} {
		if got := refresh(map[string]string{"http-equiv": "refresh", "content": content}); got != want {
			t.Errorf("%q leads to %q", content, got)
		}
	}
}

// No more often than asked for, and no more often than robots.txt asks for, which cannot ask for hours.
func TestRate(t *testing.T) {
	for _, test := range []struct {
		robots string
		want   time.Duration
	}{
		{"User-agent: *\nDisallow:\n", 5 * 500 * time.Millisecond},
		{"User-agent: *\nCrawl-delay: 3\n", 2*500*time.Millisecond + 3*3*time.Second},
		{"User-agent: *\nCrawl-delay: 86400\n", 2*500*time.Millisecond + 3*mostDelay},
	} {
		synctest.Test(t, func(t *testing.T) {
			var times []time.Time
			s := site{"/robots.txt": test.robots, "/": `<a href="/1"><a href="/2"><a href="/3"><a href="/4">`, "/1": "", "/2": "", "/3": "", "/4": ""}
			o := options(handled{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				times = append(times, time.Now())
				s.ServeHTTP(w, r)
			})})
			o.Rate = 2
			pages, troubles, _ := crawled(t, "https://shop.example/", o)
			if len(pages) != 5 || troubles != nil {
				t.Fatal(pages, troubles)
			}
			if took := times[len(times)-1].Sub(times[0]); took != test.want {
				t.Errorf("%q: six requests took %s, want %s", test.robots, took, test.want)
			}
		})
	}
}

// waiting is a body that never comes.
func waiting(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := http.NewServeMux()
		m.HandleFunc("/slow", waiting)
		m.Handle("/", site{"/": `<a href="/slow">slow</a><a href="/quick">quick</a>`, "/quick": "quick"})
		begun := time.Now()
		pages, troubles, _ := crawled(t, "https://shop.example/", options(handled{m}))
		if len(pages) != 2 || len(troubles) != 1 || troubles[0] != "https://shop.example/slow: no whole answer came within 10s" {
			t.Errorf("%v %v", pages, troubles)
		}
		if took := time.Since(begun); took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := http.NewServeMux()
		m.HandleFunc("/slow", waiting)
		m.Handle("/", site{"/": `<a href="/slow">slow</a><a href="/quick">quick</a>`, "/quick": "quick"})
		o := options(handled{m})
		o.All = 5 * time.Second
		pages, troubles, left := crawled(t, "https://shop.example/", o)
		if len(pages) != 1 || troubles != nil || !left.Time {
			t.Errorf("%v %v %v", pages, troubles, left)
		}
	})
}

// Whoever stops it is not told that the time is over.
func TestStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c := New(&url.URL{Scheme: "https", Host: "shop.example"}, options(handled{site{"/": "a"}}))
	for range c.Pages(ctx) {
		t.Error("it went on")
	}
	if c.Left().Time {
		t.Error("the time was not over")
	}
}

// What a real server can do, over a real connection.
func TestBadAnswers(t *testing.T) {
	m := http.NewServeMux()
	m.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		for zeros := make([]byte, 1<<20); ; {
			if _, err := z.Write(zeros); err != nil {
				return // the other side has seen enough
			}
		}
	})
	m.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20+1))
	})
	m.HandleFunc("/exact", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	m.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "<p>")
	})
	m.HandleFunc("/picture", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
	})
	m.HandleFunc("/unnamed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "%PDF-1.7")
	})
	m.HandleFunc("/brotli", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
	})
	m.HandleFunc("/false", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "<p>plain text, and long enough for a header")
	})
	m.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		if agent := r.Header.Get("User-Agent"); agent != "Stile/1 (test)" {
			t.Errorf("it calls itself %q", agent)
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = io.WriteString(z, "<p>fine")
	})
	m.HandleFunc("/away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(m)
	defer s.Close()
	transport := reach.NewPageTransport([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, time.Minute)
	defer transport.CloseIdle()
	for _, test := range []struct{ path, want string }{
		{"/bomb", "it is larger than 1 MB"},
		{"/large", "it is larger than 1 MB"},
		{"/exact", ""},
		{"/cut", "it is cut short"},
		{"/picture", "it is image/png, not HTML"},
		{"/unnamed", "it is application/pdf, not HTML"},
		{"/brotli", `it is compressed by "br", which was not asked for`},
		{"/false", "it is said to be gzip: gzip: invalid header"},
		{"/gzip", ""},
		{"/missing", "it answers 404 Not Found"},
		{"/away", "EOF"},
	} {
		pages, troubles, _ := crawled(t, s.URL+test.path, options(transport))
		switch {
		case test.want == "" && (len(pages) != 1 || troubles != nil):
			t.Errorf("%s: %v %v", test.path, pages, troubles)
		case test.want != "" && (pages != nil || len(troubles) != 1 || !strings.HasSuffix(troubles[0], test.want)):
			t.Errorf("%s: %v %q, want %s", test.path, pages, troubles, test.want)
		}
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for page, err := range New(u, options(reach.NewPageTransport(nil, time.Minute))).Pages(t.Context()) {
		if n++; page != nil || !errors.Is(err, reach.ErrRefused) || err.Error() != s.URL+"/: the address is not public" {
			t.Errorf("%v %v", page, err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers", n)
	}
}

// An address is written in one way only, and writing it again changes nothing.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"HTTPS://Shop.Example:443":              "https://shop.example/",
		"http://shop.example:80/a/../b/./c#x":   "http://shop.example/b/c",
		"http://ada:secret@shop.example:8080/?": "http://shop.example:8080/",
		"https://Bücher.example/ü?b=2&a=1":      "https://xn--bcher-kva.example/%C3%BC?b=2&a=1",
		"http://[::1]:80/":                      "http://[::1]/",
	} {
		u, err := url.Parse("https://shop.example/")
		if err != nil {
			t.Fatal(err)
		}
		if u, err = u.Parse(in); err != nil {
			t.Fatal(err)
		}
		if got := canonical(u).String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		u, err := url.Parse(rapid.StringMatching(`https?://([a-zA-Zü0-9-]{1,5}\.){1,2}example(:(443|80|8080))?(/[a-zA-Z%.]{0,3}){0,3}(\?[a-z=&]{0,5})?(#x)?`).Draw(t, "address"))
		if err != nil {
			return
		}
		once := canonical(u)
		again, err := url.Parse(once.String())
		if err != nil || canonical(again).String() != once.String() {
			t.Fatalf("%s is %s, then %v (%v)", u, once, again, err)
		}
	})
}
