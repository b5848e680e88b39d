package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/region"
)

// vendor stands in for a third party, and tells of each request.
type vendor struct {
	*httptest.Server
	got chan *http.Request

	mu     sync.Mutex
	status int
}

func newVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{got: make(chan *http.Request, 64), status: http.StatusNoContent}
	v.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got <- r.Clone(context.Background())
		rw.WriteHeader(v.status)
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) answers(status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status = status
}

// next waits for a request.
func (v *vendor) next(t *testing.T) *http.Request {
	t.Helper()
	select {
	case r := <-v.got:
		return r
	case <-time.After(time.Minute):
		t.Fatal("the vendor got nothing for a minute")
		return nil
	}
}

// pixelWorld has pixels that go through the gate: house, which gets nothing of the visitor, and curious, which gets all.
func pixelWorld(t *testing.T, v *vendor, change ...func(*Options)) *world {
	t.Helper()
	tags := `  - {name: House, category: analytics, pixel: "` + v.URL + `/house.gif?account=secret-42&u={page}&from={referrer}&r={random}", through: gate}
  - {name: Curious, category: analytics, pixel: "` + v.URL + `/curious.gif?u={page}", through: gate, forward: [ip, user_agent, query]}
  - {name: Ads, category: marketing, pixel: "` + v.URL + `/ads.gif", through: gate}
  - {name: Direct, category: analytics, pixel: "https://direct.example/p.gif"}
`
	proxies, err := region.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	all := append([]func(*Options){func(o *Options) {
		o.ForwardNetworks, o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, proxies
	}}, change...)
	w := newWorld(t, all...)
	w.write(siteText + tags)
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, body := w.get("/stile/shop.js")
	_, body, _ = strings.Cut(body, `h:"`)
	w.notice, _, _ = strings.Cut(body, `"`)
	return w
}

// settled waits until nothing waits to be sent, and returns what the vendor got meanwhile.
func (w *world) settled(v *vendor) (paths []string) {
	w.t.Helper()
	if err := w.s.outbox.Close(); err != nil { // what was offered is stored, what is under way has ended
		w.t.Fatal(err)
	}
	for {
		select {
		case r := <-v.got:
			paths = append(paths, r.URL.Path)
		default:
			return paths
		}
	}
}

const visitor = "Mozilla/5.0 (X11; Linux x86_64) Test/1.0"

// Accepted, the vendor gets one request, with nothing of the visitor that the site does not have passed on.
func TestPixel(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v)
	w.choose("category=analytics")
	page := url.QueryEscape("https://www.shop.example/tea cups?mail=jo@example.org#top")
	headers := []string{"User-Agent", visitor, "X-Forwarded-For", "198.51.100.7", "Referer", "https://www.shop.example/", "Cookie", "other=1", "Accept-Language", "de"}
	from := url.QueryEscape("https://search.example/find?q=private")

	w.get("/stile/shop/pixel/house.gif?page="+page+"&referrer="+from+"&choice=", headers...)
	r := v.next(t)
	if len(r.Header) != 0 || r.Method != http.MethodGet || r.URL.Path != "/house.gif" {
		t.Errorf("the vendor got %s %s with %v", r.Method, r.URL, r.Header)
	}
	q := r.URL.Query()
	if q.Get("account") != "secret-42" || q.Get("u") != "https://www.shop.example/tea%20cups" || q.Get("from") != "https://search.example/find" || len(q.Get("r")) < 4 {
		t.Errorf("the vendor was told %v", q)
	}

	w.get("/stile/shop/pixel/curious.gif?page="+page, headers...)
	r = v.next(t)
	if got, want := slices.Sorted(maps.Keys(r.Header)), []string{"User-Agent", "X-Forwarded-For"}; !slices.Equal(got, want) {
		t.Errorf("the vendor got %v", r.Header)
	}
	if r.Header.Get("X-Forwarded-For") != "198.51.100.7" || r.UserAgent() != visitor || r.URL.Query().Get("u") != "https://www.shop.example/tea%20cups?mail=jo@example.org" {
		t.Errorf("the vendor got %v, %v", r.Header, r.URL.Query())
	}
	if got := w.settled(v); len(got) > 0 {
		t.Errorf("besides the vendor got %q", got)
	}
}

// The page that a vendor is told of is one of the site's, or none.
func TestPixelPage(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v)
	w.choose("category=analytics")
	long := "https://www.shop.example/" + strings.Repeat("x", 3000)
	for _, tt := range []struct{ page, referer, want string }{
		{"https://www.shop.example/a", "", "https://www.shop.example/a"},
		{"https://deep.er.shop.example/a?b", "https://www.shop.example/", "https://deep.er.shop.example/a"},
		{"", "https://www.shop.example/c?d", "https://www.shop.example/c"},
		{"https://elsewhere.example/", "https://www.shop.example/c", "https://www.shop.example/c"},
		{"https://elsewhere.example/", "", ""},
		{"https://user:pw@www.shop.example/x", "", "https://www.shop.example/x"},
		{"https://www.shop.example.evil.example/", "", ""},
		{"https://www.shop.example@evil.example/", "", ""},
		{"http://www.shop.example/", "", ""},
		{"javascript:alert(1)", "", ""},
		{"//www.shop.example/", "", ""},
		{"%zz", "", ""},
		{long, "", ""},
		{"https://www.shop.example/&account=mine#{page}", "", "https://www.shop.example/&account=mine"},
	} {
		headers := []string{}
		if tt.referer != "" {
			headers = append(headers, "Referer", tt.referer)
		}
		w.get("/stile/shop/pixel/house.gif?page="+url.QueryEscape(tt.page), headers...)
		if q := v.next(t).URL.Query(); q.Get("u") != tt.want || q.Get("account") != "secret-42" {
			t.Errorf("page %q, referrer %q: the vendor was told %v, want %q", tt.page, tt.referer, q, tt.want)
		}
	}
}

// Nothing in the answer tells a grant from a refusal, nor a tag from none.
func TestPixelTellsNothing(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v)
	ask := func(method, tag string, headers ...string) string {
		resp, body := w.send(method, "/stile/shop/pixel/"+tag, "", headers...)
		resp.Header.Del("Date")
		return fmt.Sprint(resp.Status, resp.Header, resp.ContentLength, " ", hex.EncodeToString([]byte(body)))
	}
	want := ask(http.MethodGet, "no-such-tag.gif")
	if !strings.HasPrefix(want, "200 OK") || !strings.Contains(want, "image/gif") || !strings.Contains(want, "no-store") || strings.Contains(want, "Set-Cookie") || len(transparentGIF) != 43 {
		t.Errorf("the answer is %s", want)
	}
	if head := ask(http.MethodHead, "house.gif"); head != strings.TrimSuffix(want, hex.EncodeToString(transparentGIF)) {
		t.Errorf("HEAD is answered by %s", head)
	}
	compare := func(when string) {
		t.Helper()
		for _, tag := range []string{"house.gif", "curious.gif", "ads.gif", "direct.gif", "pixel.gif", "ga4.gif", "house", "house.png", "%00.gif", strings.Repeat("x", 999) + ".gif"} {
			if got := ask(http.MethodGet, tag); got != want {
				t.Errorf("%s, %s: %s\nwant %s", when, tag, got, want)
			}
		}
	}
	compare("undecided")
	w.choose("accept=none")
	compare("refused")
	for _, tag := range []string{"house.gif", "curious.gif", "ads.gif"} {
		if got := ask(http.MethodGet, tag, "Cookie", "stile_shop=forged"); got != want {
			t.Errorf("forged, %s: %s", tag, got)
		}
	}
	w.choose("category=analytics")
	w.send(http.MethodHead, "/stile/shop/pixel/house.gif", "")                                // a scanner's
	w.get("/stile/shop/pixel/house.gif", "Referer", "https://elsewhere.example/")             // another site's page
	w.get("/stile/shop/pixel/house.gif", "Referer", "https://www.shop.example.evil.example/") // the same
	compare("granted")
	if resp, _ := w.get("/stile/none/pixel/house.gif"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a site that there is not: %d", resp.StatusCode)
	}
	for range 2 { // of compare, once each
		v.next(t)
	}
	got := w.settled(v)
	if len(got) != 0 {
		t.Errorf("besides the vendor got %q", got)
	}
	compare("the outbox is closed")
}

// The vendor's host, its URL and the account in it leave the server to nobody: neither to the page, nor to the frame.
func TestPixelStaysInside(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v)
	w.choose("accept=all")
	host := strings.TrimPrefix(v.URL, "http://")
	resp, script := w.get("/stile/shop.js")
	frameResp, frame := w.get("/stile/shop/banner", "Referer", "https://www.shop.example/basket?x=1")
	for what, text := range map[string]string{
		"script": script, "frame": frame, "headers": fmt.Sprint(resp.Header, frameResp.Header),
	} {
		if strings.Contains(text, host) || strings.Contains(text, "secret-42") || strings.Contains(text, "house.gif?account") {
			t.Errorf("the %s names the vendor: %s", what, text)
		}
	}
	for _, path := range []string{"/stile/shop/dialog.js", "/stile/shop/page.js", "/stile/shop/preferences", "/stile/shop/receipt", "/stile/shop/policy"} {
		if _, text := w.get(path); strings.Contains(text, host) || strings.Contains(text, "secret-42") {
			t.Errorf("%s names the vendor", path)
		}
	}
	for _, want := range []string{
		`p:"/pixel/house.gif?page={page}&referrer={referrer}&choice={choice}&r={random}"`, `p:"/pixel/curious.gif?page={page}{query}&choice={choice}&r={random}"`, "https://direct.example/p.gif",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("the script has no %s", want)
		}
	}
	if csp := frameResp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src 'self' https://pixel.example https://direct.example;") {
		t.Errorf("the frame's policy is %s", csp)
	}
	// What the frame asks for is sent.
	_, rest, _ := strings.Cut(frame, `"/stile/shop/pixel/house.gif?`)
	query, _, _ := strings.Cut(rest, `"`)
	w.get("/stile/shop/pixel/house.gif?"+strings.ReplaceAll(query, "&amp;", "&"), "Referer", w.base+"/stile/shop/banner")
	if u := v.next(t).URL.Query().Get("u"); u != "https://www.shop.example/basket" {
		t.Errorf("the frame's pixel names the page %q", u)
	}
}

// A page that cannot have this host's cookie sends its choice along.
func TestPixelChoiceInAddress(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v)
	_, body := w.choose("category=analytics", "Origin", "https://www.shop.example", "Sec-Fetch-Site", "cross-site")
	_, body, _ = strings.Cut(body, `"token":"`)
	token, _, _ := strings.Cut(body, `"`)
	if token == "" {
		t.Fatal("the page was given no token")
	}
	w.client.Jar = nil
	w.get("/stile/shop/pixel/ads.gif?choice="+token, "Sec-Fetch-Site", "cross-site")
	w.get("/stile/shop/pixel/house.gif?choice=x"+token, "Sec-Fetch-Site", "cross-site")
	w.get("/stile/shop/pixel/curious.gif?choice="+token, "Sec-Fetch-Site", "cross-site")
	if r := v.next(t); r.URL.Path != "/curious.gif" {
		t.Errorf("the vendor got %s", r.URL)
	}
	if got := w.settled(v); len(got) != 0 {
		t.Errorf("besides the vendor got %q", got)
	}
}

// What waits is dropped by a withdrawal, by a choice that takes its tag away, and by an erasure; what is still allowed
// stays.
func TestPixelForgotten(t *testing.T) {
	post := func(w *world, path, form string) {
		w.t.Helper()
		if resp, body := w.send(http.MethodPost, "/stile/shop/"+path, "id="+uuid.NewString()+"&notice="+w.notice+form); resp.StatusCode != http.StatusOK {
			w.t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for name, tt := range map[string]struct {
		act  func(*world)
		left int
	}{
		"withdrawal":   {func(w *world) { post(w, "withdraw", "") }, 0},
		"refusal":      {func(w *world) { post(w, "choice", "&accept=none") }, 0},
		"other choice": {func(w *world) { post(w, "choice", "&category=analytics") }, 1},
		"same choice":  {func(w *world) { post(w, "choice", "&accept=all") }, 2},
		"erasure":      {func(w *world) { post(w, "erase", "") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			v.answers(http.StatusServiceUnavailable)
			w := pixelWorld(t, v)
			w.choose("accept=all")
			w.get("/stile/shop/pixel/house.gif")
			w.get("/stile/shop/pixel/ads.gif")
			v.next(t) // it is tried, and waits: with it the other
			w.waiting(2)
			tt.act(w)
			if got := w.s.outbox.Stats(); got.Waiting != tt.left || got.Dropped != uint64(2-tt.left) {
				t.Errorf("%+v, want %d waiting", got, tt.left)
			}
			_, text := w.get("/metrics")
			for _, want := range []string{fmt.Sprintf("stile_outbox_waiting %d\n", tt.left), fmt.Sprintf("stile_outbox_dropped_total %d\n", 2-tt.left), "stile_outbox_sent_total 0\n", "stile_outbox_failed_total 0\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("the metrics have no %q", want)
				}
			}
		})
	}
}

// What was offered while the vendor was down is sent by the server that is started next.
func TestPixelAcrossRestart(t *testing.T) {
	v := newVendor(t)
	v.answers(http.StatusBadGateway)
	folder, records := filepath.Join(t.TempDir(), "data"), database(t)
	t.Run("first", func(t *testing.T) {
		w := pixelWorld(t, v, func(o *Options) { o.Data, o.Database = folder, records })
		w.choose("category=analytics")
		w.get("/stile/shop/pixel/house.gif?page=" + url.QueryEscape("https://www.shop.example/kept"))
	})
	for len(v.got) > 0 { // it may have been tried
		<-v.got
	}
	v.answers(http.StatusOK)
	w := pixelWorld(t, v, func(o *Options) { o.Data, o.Database = folder, records })
	if r := v.next(t); r.URL.Query().Get("u") != "https://www.shop.example/kept" {
		t.Errorf("the vendor got %s", r.URL)
	}
	if got := w.settled(v); len(got) != 0 || w.s.outbox.Stats().Waiting != 0 {
		t.Errorf("besides the vendor got %q", got)
	}
}

// Without the network being named nothing on this machine is reached.
func TestPixelToPrivateAddress(t *testing.T) {
	v := newVendor(t)
	w := pixelWorld(t, v, func(o *Options) { o.ForwardNetworks = nil })
	w.choose("accept=all")
	w.get("/stile/shop/pixel/house.gif")
	if got := w.settled(v); len(got) != 0 {
		t.Errorf("the vendor got %q", got)
	}
}

// benchPixel is a request for a pixel as a page's.
func benchPixel(tb testing.TB, cookies string) *http.Request {
	tb.Helper()
	r := benchScript(tb, cookies)
	r.URL.Path = "/stile/shop/pixel/house.gif"
	r.URL.RawQuery = "page=https%3A%2F%2Fwww.shop.example%2Fproduct%2Fkettle&choice="
	return r
}

// benchRefused is the cookie of a visitor who accepted nothing.
func benchRefused(tb testing.TB, s *Server) string {
	tb.Helper()
	snap := s.current.Load()
	choice := snap.sites["shop"].Refuse()
	choice.Receipt, choice.Time = uuid.New(), time.Now()
	token, err := snap.codec.Encode("shop", &choice)
	if err != nil {
		tb.Fatal(err)
	}
	return snap.sites["shop"].cookie + "=" + token
}

// BenchmarkPixel: what is forwarded is answered as fast as what is not. What the outbox does afterwards is not the visitor's
// time, and not measured.
func BenchmarkPixel(b *testing.B) {
	s := benchServer(b)
	text, err := os.ReadFile(s.opts.Config)
	if err != nil {
		b.Fatal(err)
	}
	text = append(text, "  - {name: House, category: analytics, pixel: \"https://127.0.0.1:1/p.gif?u={page}\", through: gate}\n"...)
	if err := os.WriteFile(s.opts.Config, text, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := s.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	h, nobody := s.Handler(), uuid.New()
	for _, c := range []struct{ name, cookies string }{{"withheld", benchRefused(b, s)}, {"granted", benchCookie(b, s)}} {
		b.Run(c.name, func(b *testing.B) {
			r, w := benchPixel(b, c.cookies), &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				w.reset()
				h.ServeHTTP(w, r)
				b.StopTimer()
				if _, err := s.outbox.Forget(b.Context(), "shop", nobody); err != nil { // until the writer is done with it
					b.Fatal(err)
				}
				b.StartTimer()
			}
			if w.status != http.StatusOK {
				b.Fatalf("status %d", w.status)
			}
		})
	}
}
