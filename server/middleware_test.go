package server

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
)

// tagged is a page with a tag of the site's own file in it. What of it must not be there once it is gated is that the tag runs.
const tagged = `<!doctype html><html><head><meta charset="utf-8"><title>A page</title></head>` +
	`<body><p>Words</p><img src="https://pixel.example/p.gif" alt=""></body></html>`

// front is a site of a test behind a middleware.
type frontTest struct {
	t     *testing.T
	m     *Middleware
	codec *cookie.Codec
	log   *syncBuffer
	path  string
	base  string
}

func newFront(t *testing.T, site http.HandlerFunc, change ...func(*MiddlewareOptions)) *frontTest {
	t.Helper()
	f := &frontTest{t: t, log: &syncBuffer{}, path: filepath.Join(t.TempDir(), "stile.yaml")}
	if err := os.WriteFile(f.path, []byte(siteText), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Parse([]string{strings.Repeat("ab", 32)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.codec, err = cookie.NewCodec(ring.Cookie); err != nil {
		t.Fatal(err)
	}
	o := MiddlewareOptions{Config: f.path, Keys: ring, RegionHeader: "X-Region", Log: slog.New(slog.NewTextHandler(f.log, nil))}
	for _, c := range change {
		c(&o)
	}
	if f.m, err = NewMiddleware(o); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(f.m.Handler(site))
	t.Cleanup(s.Close)
	f.base = s.URL
	return f
}

// get gets a page as a browser does that goes there; headers come in pairs, of which one with an empty value is not sent.
func (f *frontTest) get(path string, headers ...string) (*http.Response, string) {
	f.t.Helper()
	resp, body, err := f.ask(http.MethodGet, path, headers...)
	if err != nil {
		f.t.Fatalf("%v; the log says %s", err, f.log)
	}
	return resp, body
}

func (f *frontTest) ask(method, path string, headers ...string) (*http.Response, string, error) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.base+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*")
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// choice is the cookie of a visitor who accepted some categories, and no other.
func (f *frontTest) choice(list string, granted ...string) string {
	f.t.Helper()
	c := &consent.Choice{Receipt: uuid.New(), Time: time.Now().Add(-time.Minute), Policy: "2026-11-01", List: list, Granted: granted}
	for _, category := range []string{"analytics", "marketing"} {
		if !strings.Contains(strings.Join(granted, " "), category) {
			c.Denied = append(c.Denied, category)
		}
	}
	value, err := f.codec.Encode("shop", c)
	if err != nil {
		f.t.Fatal(err)
	}
	return "stile_shop=" + value
}

func (f *frontTest) list() string { return f.m.current().List() }

// gated checks that a page is one whose tag waits, and that Stile's script is in it.
func gated(t *testing.T, body string) {
	t.Helper()
	if !strings.Contains(body, `src="/stile/shop.js"`) || !strings.Contains(body, "Words") {
		t.Errorf("this is no gated page: %q", body)
	}
	if strings.Contains(body, ` src="https://pixel.example`) {
		t.Errorf("the tag does not wait: %q", body)
	}
}

func writes(contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// fatal is a test, or a part of one.
type fatal interface{ Fatal(args ...any) }

func pack(t fatal, coding, text string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		w, err = flate.NewWriter(&b, 6)
	default:
		return text
	}
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unpack(t fatal, coding, packed string) string {
	var r io.Reader = strings.NewReader(packed)
	var err error
	switch coding {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPageIsGated(t *testing.T) {
	for name, site := range map[string]http.HandlerFunc{
		"said":           writes("text/html; charset=utf-8", tagged),
		"without":        writes("text/html", tagged),
		"in capitals":    writes("Text/HTML;charset=\"UTF-8\"", tagged),
		"bad parameters": writes("text/html; charset", tagged),
		"sniffed":        writes("", tagged),
		"suppressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, tagged)
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, tagged)
		},
		"with its length": writes("text/html", tagged, "Content-Length", strconv.Itoa(len(tagged))),
		"in bytes": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for i := range len(tagged) {
				_, _ = io.WriteString(w, tagged[i:i+1])
			}
		},
		"Shift JIS":      writes("text/html; charset=shift_jis", tagged),
		"in no coding":   writes("text/html", tagged, "Content-Encoding", "identity"),
		"in none":        writes("text/html", tagged, "Content-Encoding", "none"),
		"in UTF-8":       writes("text/html", tagged, "Content-Encoding", "UTF-8"),
		"sniffed, in it": writes("", tagged, "Content-Encoding", "UTF-8"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, site)
			resp, body := f.get("/")
			gated(t, body)
			if resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
				t.Errorf("Content-Length is %d, of %d bytes", resp.ContentLength, len(body))
			}
			if strings.Contains(resp.Header.Get("Vary")+resp.Header.Get("Cache-Control"), "ookie") || resp.Header.Get("Cache-Control") != "" {
				t.Errorf("the page is the same for everybody, and its header says %v", resp.Header)
			}
		})
	}
}

func TestNoPagePasses(t *testing.T) {
	utf16 := "\xff\xfe" + strings.Join(strings.Split(tagged, ""), "\x00") + "\x00"
	for name, test := range map[string]struct {
		site    http.HandlerFunc
		headers []string
		body    string
		said    string // in the log
	}{
		"text":        {site: writes("text/plain", tagged), body: tagged},
		"script":      {site: writes("text/javascript", tagged, "Content-Length", strconv.Itoa(len(tagged)), "Etag", `"a"`), body: tagged},
		"JSON":        {site: writes("application/json", `{"a":"<img>"}`), body: `{"a":"<img>"}`},
		"XHTML":       {site: writes("application/xhtml+xml", tagged), body: tagged, said: "XHTML"},
		"UTF-16":      {site: writes("text/html; charset=utf-16le", utf16), body: utf16, said: "utf-16le"},
		"UTF-16 mark": {site: writes("text/html", utf16), body: utf16, said: "utf-16le"},
		"UTF-16 despite": {
			site: writes("text/html; charset=utf-8", utf16), body: utf16, said: "utf-16le",
		},
		"JIS": {
			site: writes("text/html", `<meta charset="iso-2022-jp">`+tagged), body: `<meta charset="iso-2022-jp">` + tagged, said: "iso-2022-jp",
		},
		"a picture":       {site: writes("text/html", "\x89PNG\x0d\x0a\x1a\x0a<img>"), body: "\x89PNG\x0d\x0a\x1a\x0a<img>", said: "image/png"},
		"zstd":            {site: writes("text/html", "(\xb5/\xfd", "Content-Encoding", "zstd"), body: "(\xb5/\xfd", said: "zstd"},
		"zstd and more":   {site: writes("text/html", "(\xb5/\xfd", "Content-Encoding", "identity", "Content-Encoding", "zstd"), body: "(\xb5/\xfd", said: "zstd"},
		"odd coding":      {site: writes("text/html", "\x01<img>", "Content-Encoding", "exi"), body: "\x01<img>", said: "octet-stream"},
		"data for script": {site: writes("text/html", ` {"a":"<b>"}`), headers: []string{"Accept", "*/*", "Sec-Fetch-Dest", "empty"}, body: ` {"a":"<b>"}`, said: "data"},
		"no content": {site: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNoContent)
		}},
		"nothing": {site: func(http.ResponseWriter, *http.Request) {}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, test.site)
			for range 2 {
				resp, body := f.get("/", test.headers...)
				if body != test.body {
					t.Errorf("it came out as %q", body)
				}
				if name == "script" && (resp.ContentLength != int64(len(tagged)) || resp.Header.Get("Etag") != `"a"`) {
					t.Errorf("its header came out as %v", resp.Header)
				}
			}
			if got := strings.Count(f.log.String(), "a page is not gated"); test.said == "" && got != 0 || test.said != "" && (got != 1 || !strings.Contains(f.log.String(), test.said)) {
				t.Errorf("the log says %s", f.log)
			}
		})
	}
}

// What a script asks for may be labelled HTML and be none, or a part of a page: it gets no tag of Stile's, and its own wait.
func TestPartsOfPages(t *testing.T) {
	text := ""
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, text)
	})
	scripts := [][]string{
		{"Sec-Fetch-Dest", "empty"}, {"Sec-Fetch-Dest", "empty", "Accept", "*/*"}, {"X-Requested-With", "XMLHttpRequest"}, {"Accept", "*/*"}, {"Accept", ""},
	}
	for _, headers := range scripts {
		for _, text = range []string{"0", "OK", `"ok"`, ` {"a":"<b>"}`, "[1]", "<tr><td>1</td></tr>", "<p>Words</p>", "<!-- a <html> --><li>", "<header>"} {
			if _, body := f.get("/", headers...); body != text {
				t.Errorf("%v: %q came out as %q", headers, text, body)
			}
		}
		for _, text = range []string{tagged, "\ufeff <?xml version='1.0'?><!-- a --><HTML>" + tagged, "<head></head>" + tagged} {
			_, body := f.get("/", headers...)
			gated(t, body)
		}
		text = `<p>Words</p><img src="https://pixel.example/p.gif">`
		if _, body := f.get("/", headers...); strings.Contains(body, ` src="https://pixel`) || strings.Contains(body, "/stile/") {
			t.Errorf("%v: a part came out as %q", headers, body)
		}
	}
	text = "Words"
	for _, headers := range [][]string{{}, {"Sec-Fetch-Dest", "document", "X-Requested-With", "app.example"}, {"Sec-Fetch-Dest", "iframe", "Accept", "*/*"}, {"X-Requested-With", "app.example"}} {
		_, body := f.get("/", headers...)
		gated(t, body)
	}
	// A part may well name Stile's own host.
	other := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<script src="https://consent.other.example/stile/shop.js"></script>`)
	}, func(o *MiddlewareOptions) {
		o.Script, o.Unknown = "https://consent.other.example/stile/shop.js", "marketing"
	})
	if _, body := other.get("/", "Accept", "*/*"); body != `<script src="https://consent.other.example/stile/shop.js"></script>` {
		t.Errorf("Stile's own script came out as %q", body)
	}
}

// Nobody is sent a page in a coding in which it cannot be gated: a cache would give it to others.
func TestAsksForWhatCanBeGated(t *testing.T) {
	asked := ""
	f := newFront(t, func(_ http.ResponseWriter, r *http.Request) { asked = strings.Join(r.Header["Accept-Encoding"], "|") })
	for _, headers := range [][]string{
		{}, {"Accept", "*/*"}, {"Accept", "*/*", "Sec-Fetch-Dest", "empty"}, {"Accept", "image/*", "Sec-Fetch-Dest", "image"}, {"Accept", ""},
	} {
		f.get("/", append(headers, "Accept-Encoding", "gzip, deflate, br, zstd")...)
		if asked != "br, gzip, deflate, identity" {
			t.Errorf("%v: the handler is asked for %q", headers, asked)
		}
	}
	if f.get("/", "Accept", "*/*"); asked != "" {
		t.Errorf("without Accept-Encoding the handler is asked for %q", asked)
	}
}

func TestKeepsCompression(t *testing.T) {
	large := strings.Replace(tagged, "Words", "Words"+strings.Repeat(" and more of them", 20000), 1)
	for _, coding := range []string{"gzip", "x-gzip", "br", "deflate", "raw"} {
		for name, text := range map[string]string{"small": tagged, "large": large} {
			t.Run(coding+" "+name, func(t *testing.T) {
				packed, says := pack(t, coding, text), strings.Replace(coding, "raw", "deflate", 1)
				sizes := []int{1, 37, len(packed)}
				if testing.Short() {
					sizes = sizes[1:]
				}
				for _, size := range sizes {
					f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
						if got := r.Header.Get("Accept-Encoding"); got != "br, gzip, deflate, identity" {
							t.Errorf("the handler is asked for %q", got)
						}
						w.Header().Set("Content-Type", "text/html")
						w.Header().Set("Content-Encoding", says)
						for p := packed; p != ""; {
							n := min(size, len(p))
							_, _ = io.WriteString(w, p[:n])
							p = p[n:]
						}
					})
					resp, body := f.get("/", "Accept-Encoding", "gzip, deflate, br, zstd")
					if got := resp.Header.Get("Content-Encoding"); got != says {
						t.Errorf("Content-Encoding is %q", got)
					}
					got := unpack(t, says, body)
					gated(t, got)
					if strings.Count(got, "of them") != strings.Count(text, "of them") || !strings.HasSuffix(got, "</body></html>") {
						t.Errorf("%d bytes in parts of %d came out as %d", len(text), size, len(got))
					}
					if name == "large" && len(body) > len(text)/20 {
						t.Errorf("%d bytes went out as %d", len(text), len(body))
					}
				}
			})
		}
	}
}

// What stands behind the end of a packed page is nothing; several gzip members are one page.
func TestBehindTheEnd(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br"} {
		for _, more := range []string{"\n", "\x00\x00\x00\x00", "<!-- 1.2 s -->", "\x1f\x8b"} {
			f := newFront(t, writes("text/html", pack(t, coding, tagged)+more, "Content-Encoding", coding))
			_, body := f.get("/")
			if gated(t, unpack(t, coding, body)); t.Failed() {
				t.Fatalf("%s with %q", coding, more)
			}
		}
	}
	beginning, end, _ := strings.Cut(tagged, "<p>")
	f := newFront(t, writes("text/html", pack(t, "gzip", beginning)+pack(t, "gzip", "<p>"+end)+"\n", "Content-Encoding", "gzip"))
	_, body := f.get("/")
	gated(t, unpack(t, "gzip", body))
	cut := newFront(t, writes("text/html", pack(t, "gzip", beginning)+"\x1f\x8b\x08\x00", "Content-Encoding", "gzip"))
	if _, body, err := cut.ask(http.MethodGet, "/"); err == nil {
		t.Errorf("without its second half it ended as if it were whole: %q", body)
	}
}

// What is flushed is there before the handler goes on, packed or not.
func TestStreams(t *testing.T) {
	for _, coding := range []string{"", "gzip", "br", "deflate"} {
		t.Run(coding, func(t *testing.T) {
			beginning, _, _ := strings.Cut(tagged, "<p>")
			seen, parts := make(chan bool), []string{beginning, "<p>Words</p>", "<p>more</p></body></html>"}
			f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				var to io.Writer = w
				flush := func() error { return nil }
				if c, found := codings[coding]; found {
					w.Header().Set("Content-Encoding", coding)
					packer := c.pool.New().(interface {
						io.WriteCloser
						Flush() error
						Reset(io.Writer)
					})
					packer.Reset(w)
					defer packer.Close()
					to, flush = packer, packer.Flush
				}
				for _, part := range parts {
					_, _ = io.WriteString(to, part)
					if err := flush(); err != nil {
						t.Error(err)
					}
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Error(err)
					}
					select {
					case <-seen:
					case <-r.Context().Done():
						return
					}
				}
			})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.base, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body io.Reader = resp.Body
			if c, found := codings[coding]; found {
				if body, err = c.open(body); err != nil {
					t.Fatal(err)
				}
			}
			got, buffer := "", make([]byte, 4096)
			for _, sign := range []string{"<title>A page</title>", "Words", "more"} {
				for !strings.Contains(got, sign) {
					n, err := body.Read(buffer)
					if got += string(buffer[:n]); err != nil {
						t.Fatalf("%v after %q", err, got)
					}
				}
				seen <- true
			}
		})
	}
}

func TestETag(t *testing.T) {
	asked := ""
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Last-Modified", "Mon, 23 Nov 2026 11:00:00 GMT")
		w.Header().Set("Etag", `"one,two"`)
		if strings.Contains(asked, `"one,two"`) || asked == "Mon, 23 Nov 2026 11:00:00 GMT" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, tagged)
	})
	resp, body := f.get("/")
	gated(t, body)
	tag := resp.Header.Get("Etag")
	if !strings.HasPrefix(tag, `"one,two.stile-`) || resp.Header.Get("Last-Modified") != "" {
		t.Fatalf("the header is %v", resp.Header)
	}
	head, _, err := f.ask(http.MethodHead, "/")
	if err != nil || head.Header.Get("Etag") != tag || head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %v, %v", head.Header, err)
	}
	if resp, _ := f.get("/", "If-None-Match", `"other", W/`+tag, "If-Modified-Since", "Mon, 23 Nov 2026 11:00:00 GMT"); resp.StatusCode != http.StatusNotModified || resp.Header.Get("Etag") != tag || asked != `W/"one,two"` {
		t.Errorf("status %d, the handler was asked for %q", resp.StatusCode, asked)
	}
	// What the browser has from before Stile, of which nothing was gated.
	for _, header := range [][]string{{"If-None-Match", `"one,two"`}, {"If-Modified-Since", "Mon, 23 Nov 2026 11:00:00 GMT"}, {"If-None-Match", `"one,two.stile-00000000"`}} {
		if resp, body := f.get("/", header...); resp.StatusCode != http.StatusOK || asked != "" {
			t.Errorf("%v: status %d, the handler was asked for %q", header, resp.StatusCode, asked)
		} else {
			gated(t, body)
		}
	}
	// A picture's stay.
	if _, _ = f.get("/", "Accept", "image/*", "If-None-Match", `"three"`); asked != `"three"` {
		t.Errorf("the handler was asked for %q", asked)
	}
	// Another configuration gates otherwise.
	text := strings.Replace(siteText, "pixel.example", "pixel2.example", 1)
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.m.Reload(); err != nil {
		t.Fatal(err)
	}
	if resp, _ := f.get("/", "If-None-Match", tag); resp.StatusCode != http.StatusOK || resp.Header.Get("Etag") == tag {
		t.Errorf("after a reload: status %d, ETag %s", resp.StatusCode, resp.Header.Get("Etag"))
	}
	if err := os.WriteFile(f.path, []byte("site: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.m.Reload(); err == nil || !strings.Contains(f.log.String(), "the old one goes on") {
		t.Errorf("a bad file: %v; the log says %s", err, f.log)
	}
}

// What a browser is told of a page that it has takes the place of what it was told with the page: it is gated as that was.
func TestNotModifiedIsGated(t *testing.T) {
	const own = "script-src 'nonce-abc' 'self'"
	for name, again := range map[string]bool{"with its policy": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				for name, value := range map[string]string{
					"Link": `<https://pixel.example/a.js>; rel=preload, </own.css>; rel=preload`, "Cache-Control": "public, max-age=600", "Etag": `"a"`,
					"Last-Modified": "Mon, 23 Nov 2026 11:00:00 GMT", "Content-Type": "text/html",
				} {
					h.Set(name, value)
				}
				known := r.Header.Get("If-None-Match") == `"a"`
				if !known || again {
					h.Set("Content-Security-Policy", own)
				}
				if known {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = io.WriteString(w, tagged)
			}, func(o *MiddlewareOptions) { o.CSP = CSPEnforce })
			page, _ := f.get("/")
			same, _ := f.get("/", "If-None-Match", page.Header.Get("Etag"))
			if same.StatusCode != http.StatusNotModified {
				t.Fatalf("status %d", same.StatusCode)
			}
			for _, name := range []string{"Link", "Cache-Control", "Vary", "Etag", "Last-Modified", "Content-Security-Policy"} {
				want := strings.Join(page.Header.Values(name), " | ")
				if name == "Content-Security-Policy" && !again {
					want = "" // the browser keeps those that it has
				}
				if got := strings.Join(same.Header.Values(name), " | "); got != want {
					t.Errorf("%s is %q, with the page it was %q", name, got, want)
				}
			}
		})
	}
}

// Whatever ETag a handler has, it gets that back from a browser that has the gated page, and none from one that has another.
func TestETagComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.StringMatching(`(W/)?"[!#-~]{0,20}(\.stile-[0-9a-f]{8})?"`).Draw(t, "tag")
		other := rapid.StringMatching(`"[a-z,.-]{0,8}"`).Draw(t, "other")
		w := &pageWriter{mark: "0123abcd"}
		h := http.Header{"Etag": {tag}}
		addMark(h, w.mark)
		marked := h.Get("Etag")
		addMark(h, "ffffffff")
		back := http.Header{}
		w.unmark(back, strings.Join([]string{other, h.Get("Etag"), marked}, ", "), true)
		if got := back.Get("If-None-Match"); got != tag || !w.matched {
			t.Fatalf("%s went out as %s and came back as %s", tag, marked, got)
		}
	})
}

// A page is unpacked to what was packed, however it is cut into parts.
func TestUnpacksAnyParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coding := rapid.SampledFrom([]string{"gzip", "br", "deflate", "raw"}).Draw(t, "coding")
		text := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 3000).Draw(t, "times"))
		packed := pack(t, coding, text)
		var got strings.Builder
		u := newUnpacker(codings[strings.Replace(coding, "raw", "deflate", 1)].open, &got)
		defer u.stop()
		for rest := packed; rest != ""; {
			n := min(rapid.IntRange(1, 300).Draw(t, "part"), len(rest))
			if _, err := io.WriteString(u, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := u.Close(); err != nil || got.String() != text {
			t.Fatalf("%d bytes came out as %d, %v", len(text), got.Len(), err)
		}
	})
}

func TestRange(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		http.ServeContent(w, r, "page.html", time.Time{}, strings.NewReader(tagged))
	})
	resp, body := f.get("/", "Range", "bytes=0-9")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Accept-Ranges") != "" {
		t.Errorf("a page by its range: status %d, %v", resp.StatusCode, resp.Header)
	}
	gated(t, body)
	if resp, body := f.get("/", "Range", "bytes=0-9", "Accept", "*/*"); resp.StatusCode != http.StatusPartialContent || body != tagged[:10] {
		t.Errorf("a part: status %d, %q", resp.StatusCode, body)
	}
	if resp, _ := f.get("/", "Range", "bytes=0-9", "Accept", "*/*", "If-Range", `"a.stile-00000000"`); resp.StatusCode != http.StatusOK {
		t.Errorf("the rest of a gated page: status %d", resp.StatusCode)
	}
}

// A page that does not end as it should is cut off for the visitor too, and one that unpacks without end is ended.
func TestCutShort(t *testing.T) {
	packed := pack(t, "gzip", tagged)
	bomb := &bytes.Buffer{}
	z := gzip.NewWriter(bomb)
	for range 300 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	for name, site := range map[string]http.HandlerFunc{
		"packed":     writes("text/html", packed[:len(packed)-12], "Content-Encoding", "gzip"),
		"brotli":     writes("text/html", pack(t, "br", tagged)[:60], "Content-Encoding", "br"),
		"not packed": writes("text/html", tagged, "Content-Encoding", "gzip"),
		"not brotli": writes("text/html", tagged, "Content-Encoding", "br"),
		"its length": writes("text/html", tagged, "Content-Length", strconv.Itoa(len(tagged)+1)),
		"a panic": func(w http.ResponseWriter, r *http.Request) {
			writes("text/html", tagged)(w, r)
			panic(http.ErrAbortHandler)
		},
		"bomb":         writes("text/html", bomb.String(), "Content-Encoding", "gzip"),
		"bomb in part": writes("text/html", bomb.String()[:bomb.Len()/2], "Content-Encoding", "gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, site)
			if _, body, err := f.ask(http.MethodGet, "/"); err == nil {
				t.Errorf("it ended as if it were whole: %.200q", body)
			}
			if want := map[bool]string{true: "MB came out of", false: "a page was cut off"}[strings.HasPrefix(name, "bomb")]; name != "a panic" && !strings.Contains(f.log.String(), want) {
				t.Errorf("the log says %s", f.log)
			}
		})
	}
}

func TestChoiceFrom(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		c := ChoiceFrom(r)
		w.Header().Set("Cache-Control", "public, s-maxage=600")
		w.Header().Set("Vary", "Accept-Encoding")
		fmt.Fprint(w, c.Allows("analytics"), c.Allows("marketing"), c.Allows("necessary"), c.Allows("ga4"), c.Allows("nothing"))
	})
	all := []string{"analytics", "marketing"}
	for name, test := range map[string]struct {
		headers []string
		want    string
	}{
		"no choice":     {nil, "false false true false false"},
		"not signed":    {[]string{"Cookie", "stile_shop=abc"}, "false false true false false"},
		"all":           {[]string{"Cookie", f.choice(f.list(), all...)}, "true true true true false"},
		"analytics":     {[]string{"Cookie", f.choice(f.list(), "analytics")}, "true false true true false"},
		"none":          {[]string{"Cookie", f.choice(f.list())}, "false false true false false"},
		"GPC":           {[]string{"Cookie", f.choice(f.list(), all...), "Sec-GPC", "1"}, "true false true true false"},
		"opt-out":       {[]string{"X-Region", "US"}, "true true true true false"},
		"objected":      {[]string{"X-Region", "US", "Cookie", f.choice(f.list())}, "false false true false false"},
		"unknown list":  {[]string{"Cookie", f.choice("xxxxxx", all...)}, "false false true false false"},
		"and objection": {[]string{"X-Region", "US", "Cookie", f.choice("xxxxxx", "analytics")}, "true false true true false"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := f.get("/", test.headers...)
			if body != test.want {
				t.Errorf("allows %s, want %s", body, test.want)
			}
			if h := resp.Header; h.Get("Cache-Control") != "private, no-cache" || strings.Join(h.Values("Vary"), ", ") != "Accept-Encoding, Cookie, Sec-GPC" {
				t.Errorf("it is one visitor's, and its header says %v", h)
			}
		})
	}
	if ChoiceFrom(httptest.NewRequest(http.MethodGet, "/", nil)).Allows("necessary") {
		t.Error("without a middleware something is allowed")
	}
}

// On the day of a new policy what was accepted under the old one is asked again (B11), although nothing was read anew.
func TestChoiceFromUnderNextPolicy(t *testing.T) {
	var days atomic.Int64
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, ChoiceFrom(r).Allows("analytics")) }, func(o *MiddlewareOptions) {
		next := time.Now().UTC().AddDate(0, 0, 10).Format(time.DateOnly)
		text := strings.Replace(siteText, "material: true}", "material: true, next: {version: v2, from: "+next+", material: true, file: v2.md}}", 1)
		for path, text := range map[string]string{o.Config: text, filepath.Join(filepath.Dir(o.Config), "v2.md"): "New words\n"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o.Now = func() time.Time { return time.Now().AddDate(0, 0, int(days.Load())) }
	})
	cookie := f.choice(f.list(), "analytics")
	for _, test := range []struct {
		days int64
		want string
	}{{0, "true"}, {8, "true"}, {12, "false"}} {
		days.Store(test.days)
		if _, body := f.get("/", "Cookie", cookie); body != test.want {
			t.Errorf("after %d days analytics is allowed: %s", test.days, body)
		}
	}
	if err := f.m.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, body := f.get("/", "Cookie", cookie); body != "false" {
		t.Errorf("after a reload analytics is allowed: %s", body)
	}
}

// A signal may come while a changed file is read.
func TestMiddlewareReloadsBesideItself(t *testing.T) {
	f := newFront(t, writes("text/html", tagged))
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 20 {
				if err := f.m.Reload(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
}

func TestCSP(t *testing.T) {
	site := writes("text/html", tagged, "Content-Security-Policy", "script-src 'nonce-abc' 'self'", "Etag", `"a"`)
	enforce := func(o *MiddlewareOptions) {
		o.CSP, o.Allow = CSPEnforce, "font-src https://fonts.example; img-src data:"
	}
	f := newFront(t, site, enforce)
	before, body := f.get("/")
	gated(t, body)
	if again := `</script><script src="/stile/shop/again.js" nonce="abc"></script>`; !strings.Contains(body, `nonce="abc"`) || !strings.Contains(body, again) {
		t.Errorf("Stile's scripts are not there with the page's nonce: %s", body)
	}
	lines := before.Header.Values("Content-Security-Policy")
	if len(lines) != 2 || lines[0] != "script-src 'nonce-abc' 'self'" || !strings.Contains(lines[1], "script-src 'self' 'nonce-abc';") || !strings.Contains(lines[1], "font-src 'self' https://fonts.example") ||
		!strings.Contains(lines[1], "img-src 'self' data:") || strings.Contains(lines[1], "pixel.example") {
		t.Errorf("the policies are %q", lines)
	}
	if before.Header.Get("Cache-Control") != "private, no-cache" || !strings.Contains(strings.Join(before.Header.Values("Vary"), ","), "Cookie") {
		t.Errorf("the policy is one visitor's, and the header says %v", before.Header)
	}
	cookie := f.choice(f.list(), "marketing")
	after, _ := f.get("/", "Cookie", cookie, "If-None-Match", before.Header.Get("Etag"))
	if lines := after.Header.Values("Content-Security-Policy"); after.StatusCode != http.StatusOK || len(lines) != 2 || !strings.Contains(lines[1], "https://pixel.example") && !strings.Contains(lines[1], " pixel.example") {
		t.Errorf("after a choice: status %d, policies %q", after.StatusCode, lines)
	}
	if after.Header.Get("Etag") == before.Header.Get("Etag") {
		t.Error("a page with another policy has the same ETag")
	}
	report := newFront(t, site, func(o *MiddlewareOptions) { o.CSP = CSPReport })
	if resp, body := report.get("/"); strings.Contains(body, "again.js") || len(resp.Header.Values("Content-Security-Policy")) != 1 || !strings.Contains(resp.Header.Get("Content-Security-Policy-Report-Only"), "default-src 'self'") {
		t.Errorf("reported only: %v", resp.Header)
	}
}

// How a page's policies let in scripts. One that is enforced and goes by hosts has the last word.
func TestScriptsOfPolicies(t *testing.T) {
	for _, test := range []struct {
		enforced, reported []string
		want               scripts
	}{
		{nil, nil, scripts{}},
		{[]string{"script-src 'self' 'nonce-a' https://shop.example"}, nil, scripts{"a", false}},
		{[]string{"default-src 'none'; Script-Src 'NONCE-a' 'Strict-Dynamic'"}, nil, scripts{"a", true}},
		{[]string{"script-src 'nonce-a' 'strict-dynamic', script-src 'self' 'nonce-b'"}, nil, scripts{"a", false}},
		{[]string{"script-src 'nonce-a' 'strict-dynamic'", "img-src 'self'"}, nil, scripts{"a", true}},
		{[]string{"script-src 'nonce-a' 'strict-dynamic'; script-src-elem 'self' 'nonce-b'"}, nil, scripts{"b", false}},
		{[]string{"script-src 'self'; script-src 'nonce-a' 'strict-dynamic'"}, nil, scripts{"", false}},
		{nil, []string{"default-src 'nonce-a' 'strict-dynamic'"}, scripts{"a", false}},
		{[]string{"default-src 'self'"}, []string{"script-src 'nonce-a' 'strict-dynamic'"}, scripts{"a", false}},
	} {
		h := http.Header{"Content-Security-Policy": test.enforced, "Content-Security-Policy-Report-Only": test.reported}
		if got := scriptsOf(h); got != test.want {
			t.Errorf("%q, reported %q: %v, want %v", test.enforced, test.reported, got, test.want)
		}
	}
}

// What the page's own policy allows by its host or by what was let in, the visitor's allows as well.
func TestCSPGoesByHostsAsThePageDoes(t *testing.T) {
	for own, want := range map[string]string{
		"script-src 'self' 'nonce-abc'":               "script-src 'self' 'nonce-abc';",
		"script-src 'nonce-abc' 'strict-dynamic'":     "script-src 'nonce-abc' 'strict-dynamic';",
		"script-src 'self' https://code.shop.example": "script-src 'self';",
	} {
		f := newFront(t, writes("text/html", tagged, "Content-Security-Policy", own), func(o *MiddlewareOptions) { o.CSP = CSPEnforce })
		resp, body := f.get("/")
		if lines := resp.Header.Values("Content-Security-Policy"); len(lines) != 2 || !strings.Contains(lines[1], want) {
			t.Errorf("beside %s the policies are %q", own, lines)
		}
		if got := strings.Contains(body, `<script src="/stile/shop.js" nonce="abc" data-stile-hosts></script>`); got != (own == "script-src 'self' 'nonce-abc'") {
			t.Errorf("under %s the page is %q", own, body)
		}
	}
}

// A Link header makes browsers ask before they see the page.
func TestLinkHeaderWaits(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<https://pixel.example/a,b.js>; rel="preload"; as=script, </own.css>; rel=preload; as=style, <https://pixel.example/>; rel="canonical"`)
		w.Header().Add("Link", `<https://pixel.example>; rel="nofollow preconnect"; title="a, b"`)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, tagged)
	})
	resp, _ := f.get("/")
	if got := strings.Join(resp.Header.Values("Link"), " | "); got != `</own.css>; rel=preload; as=style | <https://pixel.example/>; rel="canonical"` {
		t.Errorf("Link: %s", got)
	}
}

func TestEcho(t *testing.T) {
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	e := echo.New()
	committed := 0
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			committed = c.Response().Status
			return err
		}
	}, f.m.Echo)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if !c.Response().Committed {
			_ = c.HTML(http.StatusTeapot, tagged)
		}
	}
	e.GET("/", func(c echo.Context) error {
		if !ChoiceFrom(c.Request()).Allows("analytics") {
			return c.HTML(http.StatusOK, tagged)
		}
		return nil
	})
	for path, status := range map[string]int{"/": http.StatusOK, "/nowhere": http.StatusTeapot} {
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		gated(t, rec.Body.String())
		if rec.Code != status || committed != status {
			t.Errorf("%s: status %d, the middleware outside saw %d", path, rec.Code, committed)
		}
	}
}

func TestMiddlewareSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.yaml")
	if err := os.WriteFile(path, []byte(siteText), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*MiddlewareOptions){
		"there is no key":                    func(o *MiddlewareOptions) { o.Data = t.TempDir() },
		`has no site "nowhere": it has shop`: func(o *MiddlewareOptions) { o.Site = "nowhere" },
		`has no category "nothing"`:          func(o *MiddlewareOptions) { o.Unknown = "nothing"; o.Keys = benchRing(t) },
		`has no category "necessary"`:        func(o *MiddlewareOptions) { o.Unknown = "necessary"; o.Keys = benchRing(t) },
		`no mode "loud"`:                     func(o *MiddlewareOptions) { o.CSP = "loud" },
		"without commas":                     func(o *MiddlewareOptions) { o.Allow = "a, b" },
		"no address of Stile's script":       func(o *MiddlewareOptions) { o.Script = "shop.js" },
		"reading it":                         func(o *MiddlewareOptions) { o.Config = "nowhere.yaml" },
	} {
		o := MiddlewareOptions{Config: path}
		change(&o)
		if _, err := NewMiddleware(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func benchRing(t *testing.T) keys.Ring {
	t.Helper()
	ring, err := keys.Parse([]string{strings.Repeat("ab", 32)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestMiddlewareWatches(t *testing.T) {
	f := newFront(t, writes("text/html", tagged))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.m.Watch(ctx) }()
	before := f.m.current()
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(10 * settleTime); f.m.current() == before; { // the watch may not have begun
		if err := os.WriteFile(f.path, []byte(siteText+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the file changed, and nothing was read")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// How long a page of 100 KB takes, that is gated on its way, beside one that passes.
func BenchmarkMiddleware(b *testing.B) {
	text := strings.Replace(tagged, "Words", "Words"+strings.Repeat("<p class=a>and more <a href=/of>of</a> them</p>\n", 2100), 1)
	path := filepath.Join(b.TempDir(), "stile.yaml")
	if err := os.WriteFile(path, []byte(siteText), 0o600); err != nil {
		b.Fatal(err)
	}
	ring, err := keys.Parse([]string{strings.Repeat("ab", 32)}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	m, err := NewMiddleware(MiddlewareOptions{Config: path, Keys: ring})
	if err != nil {
		b.Fatal(err)
	}
	for _, coding := range []string{"", "gzip", "br"} {
		for _, kind := range []string{"text/plain", "text/html; charset=utf-8"} {
			h := m.Handler(writes(kind, pack(b, coding, text), "Content-Encoding", coding))
			b.Run(cmp.Or(coding, "identity")+" "+kind[:9], func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(&nothing{header: http.Header{}}, httptest.NewRequest(http.MethodGet, "/", nil))
				}
			})
		}
	}
}

type nothing struct{ header http.Header }

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n *nothing) WriteHeader(int)             {}
