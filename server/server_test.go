package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/ledger/postgrestest"

	"github.com/stilehq/stile/server/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// database is where the servers of all tests keep their records: a file each or, where STILE_TEST_ENGINE is postgres, a
// PostgreSQL database each.
func database(tb testing.TB) string {
	tb.Helper()
	if os.Getenv("STILE_TEST_ENGINE") == "postgres" {
		return postgrestest.Database(tb)
	}
	return ""
}

const siteText = `site: shop
origins: ["https://www.shop.example", "https://*.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01, material: true}
languages: [en, de]
regimes:
  - {name: us, regions: [US], model: opt-out}
  - {name: other, regions: ["*"], model: opt-in}
categories:
  necessary: {required: true}
  analytics: {}
  marketing: {}
tags:
  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}
  - {name: Pixel, category: marketing, pixel: "https://pixel.example/p.gif"}
`

// world is a server that listens, and a client that keeps cookies.
type world struct {
	t      *testing.T
	s      *Server
	base   string
	client *http.Client
	folder string
	log    *syncBuffer
	notice string
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await waits for words.
func (b *syncBuffer) await(t *testing.T, words string) {
	t.Helper()
	until(t, func() bool { return strings.Contains(b.String(), words) }, func() string { return fmt.Sprintf("%q is not logged: %s", words, b) })
}

// until waits for what no event tells of; late says what did not come.
func until(t *testing.T, done func() bool, late func() string) {
	t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal(late())
		}
	}
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), log: &syncBuffer{}}
	w.write(siteText)
	opts := Options{
		Listen: "127.0.0.1:0", Config: w.path(), Data: filepath.Join(w.folder, "data"), RegionHeader: "X-Region",
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Database: database(t),
	}
	for _, f := range change {
		f(&opts)
	}
	var err error
	if w.s, err = New(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.s.Run(ctx) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	w.client = &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.base = "http://" + w.s.Addr().String()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	_, body := w.get("/stile/shop.js")
	w.notice = regexp.MustCompile(`h:"([^"]+)"`).FindStringSubmatch(body)[1]
	return w
}

func (w *world) path() string { return filepath.Join(w.folder, "stile.yaml") }

func (w *world) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// send sends a request; headers come in pairs.
func (w *world) send(method, path, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(text)
}

func (w *world) get(path string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	return w.send(http.MethodGet, path, "", headers...)
}

// choose posts a choice with a new id, from the site's own page.
func (w *world) choose(form string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	return w.send(http.MethodPost, "/stile/shop/choice", "id="+uuid.NewString()+"&notice="+w.notice+"&"+form, headers...)
}

func (w *world) records() int {
	w.t.Helper()
	n, err := w.s.ledger.Count(w.t.Context(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestChoice(t *testing.T) {
	w := newWorld(t)
	if _, body := w.get("/stile/shop.js"); strings.Contains(body, "G-AB12CD34EF") || strings.Contains(body, "pixel.example") || !strings.Contains(body, "Reject all") {
		t.Error("before a choice: the banner is wanted, and no tag")
	}
	resp, body := w.choose("category=analytics")
	var got choiceAnswer
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %s", resp.StatusCode, body)
	}
	if fmt.Sprint(got.Choice.Granted, got.Choice.Denied) != "[analytics] [marketing]" {
		t.Errorf("the answer is %s", body)
	}
	receipt, err := uuid.Parse(got.Receipt)
	if err != nil {
		t.Fatal(err)
	}
	record, err := w.s.ledger.Find(t.Context(), "shop", receipt)
	if err != nil {
		t.Fatalf("the visitor was answered and there is no record: %v", err)
	}
	if record.Notice != w.notice || record.Language != "en" || record.Regime != "other" || record.Surface != "api" || record.Action != "custom" || record.Policy != "2026-11-01" {
		t.Errorf("the record is %+v", record)
	}
	if _, body := w.get("/stile/shop.js"); !strings.Contains(body, "G-AB12CD34EF") || strings.Contains(body, "pixel.example") || strings.Contains(body, "Reject all") {
		t.Error("after the choice: the analytics tag is wanted, no other, no banner")
	}
	w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice)
	if _, body := w.get("/stile/shop.js"); strings.Contains(body, "G-AB12CD34EF") || strings.Contains(body, "Reject all") {
		t.Error("after the withdrawal: no tag is wanted, and no banner")
	}
	history, err := w.s.ledger.History(t.Context(), "shop", record.Subject)
	if err != nil || len(history) != 2 || history[0].Previous != record.ID {
		t.Errorf("C4: the history is %+v (%v), want two records, the second naming the first", history, err)
	}
}

// C1, C2: how the cookies are set.
func TestC1Cookies(t *testing.T) {
	w := newWorld(t)
	for proto, secure := range map[string]bool{"http": false, "https": true} {
		resp, _ := w.choose("accept=all", "X-Forwarded-Proto", proto)
		cookies := map[string]*http.Cookie{}
		for _, c := range resp.Cookies() {
			cookies[c.Name] = c
		}
		signed, mirror := cookies["stile_shop"], cookies["stile_shop_state"]
		if signed == nil || mirror == nil {
			t.Fatalf("set were %v", resp.Cookies())
		}
		for _, c := range []*http.Cookie{signed, mirror} {
			if c.MaxAge != 180*24*3600 || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Domain != "" {
				t.Errorf("%s: %+v", proto, c)
			}
		}
		if !signed.HttpOnly || mirror.HttpOnly {
			t.Error("the signed cookie is for the server alone, the mirror is for the page")
		}
		if n := len(signed.Name) + 1 + len(signed.Value); n >= 200 {
			t.Errorf("C2: the cookie has %d bytes", n)
		}
		if strings.Contains(signed.Value, mirror.Value) {
			t.Error("the mirror is in the signed value")
		}
	}
}

// A body that does not say how large it is is bounded as well.
func TestChunkedBody(t *testing.T) {
	w := newWorld(t)
	body := io.MultiReader(strings.NewReader("category="), strings.NewReader(strings.Repeat("a", 17<<10)))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/stile/shop/choice", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A double click, or a request that was sent again, makes one record.
func TestIdempotent(t *testing.T) {
	w := newWorld(t)
	form := "id=" + uuid.NewString() + "&notice=" + w.notice + "&accept=all"
	var receipts []string
	for range 3 {
		_, body := w.send(http.MethodPost, "/stile/shop/choice", form)
		var got choiceAnswer
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, got.Receipt)
	}
	if n := w.records(); n != 1 || receipts[0] != receipts[1] || receipts[1] != receipts[2] {
		t.Errorf("%d records, receipts %v", n, receipts)
	}
	resp, body := w.send(http.MethodPost, "/stile/shop/choice", strings.Replace(form, "accept=all", "accept=none", 1))
	if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "was used for another choice") {
		t.Errorf("the same id for another choice: %d %s", resp.StatusCode, body)
	}
}

// Wrong input gets one clear line and changes nothing.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	good := "id=" + uuid.NewString() + "&notice=" + w.notice + "&accept=all"
	with := func(old, to string) string { return strings.Replace(good, old, to, 1) }
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
	}{
		{name: "unknown site", method: "GET", path: "/stile/nope.js", status: 404, says: `there is no site \"nope\" here`},
		{name: "no .js", method: "GET", path: "/stile/shop", status: 404, says: "the script's address is /stile/{site}.js"},
		{name: "unknown site's choice", method: "POST", path: "/stile/nope/choice", body: good, status: 404, says: "there is no site"},
		{name: "unknown path", method: "GET", path: "/stile/shop/nope", status: 404, says: "there is nothing at /stile/shop/nope"},
		{name: "wrong method", method: "DELETE", path: "/stile/shop/choice", status: 405, says: "it takes"},
		{name: "a choice by GET", method: "GET", path: "/stile/shop/choice", status: 405, says: "GET is not what /stile/shop/choice takes"},
		{name: "foreign origin", method: "POST", path: "/stile/shop/choice", body: good, headers: []string{"Origin", "https://evil.example"}, status: 403, says: "origin https://evil.example may not choose for site shop"},
		{name: "origin that looks alike", method: "POST", path: "/stile/shop/choice", body: good, headers: []string{"Origin", "https://evilshop.example"}, status: 403, says: "may not choose"},
		{name: "the site by HTTP", method: "POST", path: "/stile/shop/choice", body: good, headers: []string{"Origin", "http://www.shop.example"}, status: 403, says: "may not choose"},
		{name: "origin null", method: "POST", path: "/stile/shop/choice", body: good, headers: []string{"Origin", "null"}, status: 403, says: "may not choose"},
		{name: "cross-site without origin", method: "POST", path: "/stile/shop/choice", body: good, headers: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, says: "may not choose"},
		{name: "body too large", method: "POST", path: "/stile/shop/choice", body: good + "&category=" + strings.Repeat("a", 17<<10), status: 413, says: "the body is larger than 16K"},
		{name: "JSON", method: "POST", path: "/stile/shop/choice", body: "{}", headers: []string{"Content-Type", "application/json"}, status: 415, says: "application/x-www-form-urlencoded"},
		{name: "broken form", method: "POST", path: "/stile/shop/choice", body: "id=%zz", status: 400, says: "the form cannot be read"},
		{name: "no id", method: "POST", path: "/stile/shop/choice", body: "notice=" + w.notice + "&accept=all", status: 400, says: "id is missing or no UUID"},
		{name: "id that is none", method: "POST", path: "/stile/shop/choice", body: "id=1&notice=" + w.notice + "&accept=all", status: 400, says: "id is missing or no UUID"},
		{name: "no notice", method: "POST", path: "/stile/shop/choice", body: with("notice="+w.notice, ""), status: 400, says: "notice is not one that site shop ever showed"},
		{name: "forged notice", method: "POST", path: "/stile/shop/choice", body: with(w.notice, "AAAAAAAAAAAAAAAAAAAAAA"), status: 400, says: "notice is not one"},
		{name: "unknown category", method: "POST", path: "/stile/shop/choice", body: with("accept=all", "category=games"), status: 400, says: `category \"games\" is not one of this site's`},
		{name: "unknown service", method: "POST", path: "/stile/shop/choice", body: with("accept=all", "service=x"), status: 400, says: `service \"x\" is not`},
		{name: "unknown accept", method: "POST", path: "/stile/shop/choice", body: with("accept=all", "accept=yes"), status: 400, says: "it is one of all, none"},
		{name: "unknown surface", method: "POST", path: "/stile/shop/choice", body: good + "&surface=moon", status: 400, says: `surface is \"moon\"`},
		{name: "withdrawal without notice", method: "POST", path: "/stile/shop/withdraw", body: "id=" + uuid.NewString(), status: 400, says: "notice is not one"},
		{name: "preflight of a foreign origin", method: "OPTIONS", path: "/stile/shop/choice", headers: []string{"Origin", "https://evil.example"}, status: 403, says: "is not one of site shop"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			var headers []string
			if len(test.headers) > 0 && test.headers[0] == "Content-Type" {
				r, err := http.NewRequestWithContext(t.Context(), test.method, w.base+test.path, strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", test.headers[1])
				resp, err := w.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if body, _ := io.ReadAll(resp.Body); resp.StatusCode != test.status || !strings.Contains(string(body), test.says) {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				return
			}
			headers = append(headers, test.headers...)
			resp, body := w.send(test.method, test.path, test.body, headers...)
			if resp.StatusCode != test.status || !strings.Contains(body, test.says) {
				t.Errorf("%d %s, want %d with %q", resp.StatusCode, body, test.status, test.says)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("the error is %s", got)
			}
			if len(resp.Cookies()) > 0 {
				t.Errorf("cookies were set: %v", resp.Cookies())
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("a foreign page may read the answer")
			}
			_, page := w.send(test.method, test.path, test.body, append(headers, "Accept", "text/html")...)
			if test.method != http.MethodHead && !strings.Contains(page, "<!DOCTYPE html>") {
				t.Errorf("a browser gets %s", page)
			}
		})
	}
	w.t = t
	if n := w.records(); n != 0 {
		t.Errorf("%d records were made by input that was refused", n)
	}
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("wrong input is no error of the server's:\n%s", w.log)
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	for _, origin := range []string{"https://www.shop.example", "https://m.shop.example", "https://a.b.shop.example"} {
		resp, body := w.choose("accept=none", "Origin", origin)
		h := resp.Header
		if resp.StatusCode != http.StatusOK || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %d %v %s", origin, resp.StatusCode, h, body)
		}
		resp, _ = w.send(http.MethodOptions, "/stile/shop/choice", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if h := resp.Header; resp.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "X-Stile-Choice") {
			t.Errorf("preflight of %s: %d %v", origin, resp.StatusCode, h)
		}
	}
	resp, _ := w.get("/stile/shop.js", "Origin", "https://evil.example")
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign page may read the script's answer: %q", got)
	}
}

// D6, DESIGN.md section 5: who may keep an answer, and for how long.
func TestD6Caching(t *testing.T) {
	w := newWorld(t)
	own := "http://" + w.s.Addr().String() + "/page"
	for _, test := range []struct {
		name, path, referer, fetch, want string
	}{
		{"a page that sees the mirror", "/stile/shop.js", own, "", "private, max-age=3600"},
		{"the same by Fetch Metadata", "/stile/shop.js", "", "same-origin", "private, max-age=3600"},
		{"another host", "/stile/shop.js", "https://www.shop.example/", "", "private, no-cache"},
		{"another site", "/stile/shop.js", own, "cross-site", "private, no-cache"},
		{"nobody knows who", "/stile/shop.js", "", "", "private, no-cache"},
		{"the state is in the address", "/stile/shop.js?s=", "", "same-origin", "private, max-age=3600"},
		{"the state is in the address, and a sister host may change it", "/stile/shop.js?s=", "https://www.shop.example/", "", "private, no-cache"},
		{"a state that is not", "/stile/shop.js?s=AAAAAAAA", "", "", "private, no-store"},
		{"what is the same for all", "/stile/shop/dialog.js?lang=en&regime=other", "", "", "public, max-age=3600"},
	} {
		resp, _ := w.get(test.path, "Referer", test.referer, "Sec-Fetch-Site", test.fetch)
		if got := resp.Header.Get("Cache-Control"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		vary := resp.Header.Get("Vary")
		for _, name := range []string{"Accept-Encoding", "Accept-Language", "Sec-GPC"} {
			if !strings.Contains(vary, name) {
				t.Errorf("%s: Vary is %q without %s", test.name, vary, name)
			}
		}
		if strings.HasPrefix(test.want, "private") && !strings.Contains(vary, "Cookie") {
			t.Errorf("%s: Vary is %q", test.name, vary)
		}
		if len(resp.Cookies()) > 0 {
			t.Errorf("%s sets %v", test.name, resp.Cookies())
		}
	}
}

func TestEncodings(t *testing.T) {
	w := newWorld(t)
	for accept, want := range map[string]string{
		"": "", "identity": "", "gzip": "gzip", "gzip, deflate, br, zstd": "br", "br;q=0, gzip": "gzip", "br;q=0.5": "br", "brotli": "", "gzip;q=0": "",
	} {
		resp, _ := w.get("/stile/shop.js", "Accept-Encoding", accept)
		if got := resp.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q got %q, want %q", accept, got, want)
		}
		again, body := w.get("/stile/shop.js", "Accept-Encoding", accept, "If-None-Match", resp.Header.Get("Etag"))
		if again.StatusCode != http.StatusNotModified || body != "" || again.Header.Get("Etag") != resp.Header.Get("Etag") {
			t.Errorf("with its ETag: %d, %d bytes", again.StatusCode, len(body))
		}
	}
	before, _ := w.get("/stile/shop.js")
	w.choose("accept=all")
	if after, _ := w.get("/stile/shop.js", "If-None-Match", before.Header.Get("Etag")); after.StatusCode != http.StatusOK {
		t.Error("after a choice the old answer is said to be still right")
	}
}

// D1: the signal counts exactly when one of its values is 1.
func TestD1GPC(t *testing.T) {
	w := newWorld(t)
	w.choose("accept=all")
	for _, test := range []struct {
		values []string
		on     bool
	}{
		{[]string{"1"}, true}, {[]string{"0"}, false}, {[]string{"1,1"}, false}, {[]string{"true"}, false}, {[]string{"0", "1"}, true}, {nil, false}, {[]string{"11"}, false},
	} {
		var headers []string
		for _, v := range test.values {
			headers = append(headers, "Sec-GPC", v)
		}
		_, body := w.get("/stile/shop.js", headers...)
		if got := !strings.Contains(body, "pixel.example"); got != test.on {
			t.Errorf("Sec-GPC %q: withheld is %v", test.values, got)
		}
		if !strings.Contains(body, "G-AB12CD34EF") {
			t.Errorf("Sec-GPC %q took away analytics", test.values)
		}
	}
	if n := w.records(); n != 1 {
		t.Errorf("the signal wrote records: %d", n)
	}
}

// A3: a choice that cannot be believed is none, however it comes.
func TestA3ForgedChoices(t *testing.T) {
	w := newWorld(t)
	w.choose("accept=all")
	u, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	var good string
	for _, c := range w.client.Jar.Cookies(u) {
		if c.Name == "stile_shop" {
			good = c.Value
		}
	}
	w.client.Jar = nil
	for _, where := range []func(value string) (string, []string){
		func(v string) (string, []string) { return "/stile/shop.js", []string{"Cookie", "stile_shop=" + v} },
		func(v string) (string, []string) { return "/stile/shop.js", []string{"X-Stile-Choice", v} },
		func(v string) (string, []string) {
			return "/stile/shop.js?s=x&choice=" + url.QueryEscape(v), nil
		},
	} {
		path, headers := where(good)
		if _, body := w.get(path, headers...); !strings.Contains(body, "G-AB12CD34EF") {
			t.Fatalf("%s %v: a good choice is not believed", path, headers)
		}
		for _, bad := range []string{"", "analytics", good[:len(good)-5], good[:10] + "AAAA" + good[14:], strings.ToLower(good)} {
			path, headers := where(bad)
			if _, body := w.get(path, headers...); strings.Contains(body, "G-AB12CD34EF") || !strings.Contains(body, "Reject all") {
				t.Errorf("%s %v is believed", path, headers)
			}
		}
	}
	_, body := w.get("/stile/shop.js", "Cookie", "stile_shop=forged; stile_shop="+good)
	if !strings.Contains(body, "G-AB12CD34EF") {
		t.Error("beside a forged cookie of the same name the good one does not count")
	}
}

func TestPlainForms(t *testing.T) {
	w := newWorld(t)
	_, page := w.get("/stile/shop/preferences", "Accept", "text/html")
	if strings.Contains(page, " checked") {
		t.Error("A5: something is ticked before a choice")
	}
	key := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)[1]
	resp, _ := w.send(http.MethodPost, "/stile/shop/choice", "id="+key+"&notice="+w.notice+"&surface=page&category=analytics", "Accept", "text/html", "Origin", w.base)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/stile/shop/preferences?saved=1" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	resp, page = w.get(resp.Header.Get("Location"), "Accept", "text/html", "Accept-Language", "de")
	for _, want := range []string{`value="analytics" aria-describedby="stile-analytics" checked`, "Ihre Wahl wurde gespeichert.", `lang="de"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := resp.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t)
	w.choose("accept=all")
	good := siteText + `  - {name: Late, category: analytics, inline: "window.late = 'a late tag'"}` + "\n"
	w.write(strings.Replace(good, "category: analytics", "category: analytic", 1))
	if err := w.s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), `did you mean "analytics"`) {
		t.Fatalf("a bad file: %v", err)
	}
	if _, body := w.get("/stile/shop.js"); !strings.Contains(body, "G-AB12CD34EF") {
		t.Error("after a bad reload the old snapshot is gone")
	}
	w.write(good)
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, body := w.get("/stile/shop.js")
	if strings.Contains(body, "a late tag") || !strings.Contains(body, "G-AB12CD34EF") || !strings.Contains(body, "Reject all") {
		t.Error("B11: a tag that came later is withheld and asked about, and what was granted holds")
	}
	resp, _ := w.choose("accept=all")
	if resp.StatusCode != http.StatusOK {
		t.Error("the words of before the reload were shown, and are refused")
	}
}

func TestWatch(t *testing.T) {
	w := newWorld(t)
	w.write(strings.Replace(siteText, "EasyDser", "Somebody Else", 1))
	deadline := time.Now().Add(time.Minute)
	for {
		if _, body := w.get("/stile/shop.js"); strings.Contains(body, "Somebody Else") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the file changed and nothing happened:\n%s", w.log)
		}
	}
}

// What keeps a server from starting is one line that says what to do, and leaves nothing running.
func TestNewFails(t *testing.T) {
	busy := newWorld(t)
	for _, test := range []struct {
		name   string
		change func(*testing.T, *Options)
		says   string
	}{
		{"busy port", func(_ *testing.T, o *Options) { o.Listen = busy.s.Addr().String() }, "name another with --listen"},
		{"data under a file", func(_ *testing.T, o *Options) { o.Data = filepath.Join(busy.path(), "data") }, "the data folder cannot be made"},
		{"no configuration", func(_ *testing.T, o *Options) { o.Config = "/nowhere/stile.yaml" }, "/nowhere/stile.yaml: error: reading it"},
		{"corrupt key", func(t *testing.T, o *Options) {
			folder := filepath.Join(o.Data, "keys")
			if _, err := keys.New(folder, keys.Cookie, time.Now()); err != nil {
				t.Fatal(err)
			}
			files, _ := filepath.Glob(filepath.Join(folder, "*.key"))
			if err := os.WriteFile(files[0], []byte("xyz"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is corrupt: a key is 64 hex digits; restore it"},
		{"a database that is none", func(t *testing.T, o *Options) {
			if err := os.MkdirAll(o.Data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.Data, "stile.db"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a Stile database"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Listen: "127.0.0.1:0", Config: busy.path(), Data: filepath.Join(t.TempDir(), "data"), Log: slog.New(slog.DiscardHandler)}
			test.change(t, &o)
			s, err := New(t.Context(), o)
			if err == nil {
				_ = s.Stop(t.Context())
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n  ") {
				t.Errorf("it says: %v", err)
			}
		})
	}
}

func TestStopsOnce(t *testing.T) {
	w := newWorld(t)
	if err := w.s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.s.Reload(t.Context()); err == nil {
		t.Error("a server that has stopped reloads")
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	w.choose("accept=none")
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": `stile_choices_total{action="reject_all",site="shop"} 1`} {
		if resp, body := w.get(path); resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// B10: a choice is forgotten when its time is over, although the answer for it was kept.
func TestB10Expiry(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	// The signature's own clock is the machine's: the choice is made now, and the server's clock goes on.
	mu.Lock()
	now = time.Now()
	mu.Unlock()
	w.choose("accept=all")
	for _, step := range []struct {
		days  int
		holds bool
	}{{0, true}, {179, true}, {181, false}} {
		mu.Lock()
		now = time.Now().AddDate(0, 0, step.days)
		mu.Unlock()
		if _, body := w.get("/stile/shop.js"); strings.Contains(body, "G-AB12CD34EF") != step.holds {
			t.Errorf("after %d days the choice holds: %v", step.days, !step.holds)
		}
	}
}
