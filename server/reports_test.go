package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/tally"
)

const sightedSite = siteText + `sightings: {share: 1, own: ["cdn.example"]}
`

func sightedWorld(t *testing.T, text string) *world {
	t.Helper()
	return newWorld(t, func(o *Options) {
		if err := os.WriteFile(o.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// tell posts a report as a browser does.
func (w *world) tell(kind, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/stile/shop/reports", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.do(r)
}

const (
	plainText = "text/plain;charset=UTF-8"
	shopPage  = "https://www.shop.example"
)

func watchedBody(hosts ...string) string {
	type host struct {
		Host string `json:"host"`
		As   string `json:"as"`
	}
	list := []host{}
	for _, h := range hosts {
		list = append(list, host{h, "script"})
	}
	text, _ := json.Marshal(map[string]any{"regime": "other", "chosen": true, "allowed": []string{"analytics"}, "hosts": list})
	return string(text)
}

func violationBody(document, blocked string) string {
	text, _ := json.Marshal(map[string]any{"csp-report": map[string]string{"document-uri": document, "blocked-uri": blocked, "effective-directive": "img-src"}})
	return string(text)
}

func sightings(r *tally.Report) string {
	var lines []string
	for _, s := range r.Sightings {
		lines = append(lines, fmt.Sprintf("%s %s [%s] %v %s %s %d", s.Host, s.Source, s.State, s.Chosen, s.Regime, s.As, s.Pages))
	}
	return strings.Join(lines, "\n")
}

// A report counts hosts, each once, and neither the page's own nor those that the operator says are.
func TestReports(t *testing.T) {
	w := sightedWorld(t, sightedSite)
	consentHost := strings.TrimPrefix(w.base, "http://")
	for _, c := range []struct {
		name, kind, body string
		headers          []string
	}{
		{"the runtime's", plainText, watchedBody("a.example", "cdn.example", "www.shop.example", "img.shop.example", consentHost), []string{"Origin", shopPage}},
		{"another", plainText, watchedBody("a.example"), []string{"Origin", "https://m.shop.example", "Sec-Fetch-Site", "cross-site"}},
		{"one of nothing", plainText, watchedBody(), []string{"Origin", shopPage}},
		{"a policy's", "application/csp-report", violationBody(shopPage+"/a?b=c", "https://b.example/x?y"), nil},
		{"a policy's with an origin", "application/csp-report", violationBody(shopPage+"/a?b=c", "https://b.example/x?y"), []string{"Origin", shopPage}},
		{"a policy's with none to tell", "application/csp-report", violationBody(shopPage+"/a", "inline"), []string{"Origin", "null"}},
		{"a policy's of this host's page", "application/csp-report", violationBody(w.base+"/stile/shop/preferences", "https://b.example/x?y"), nil},
		{"a list", "application/reports+json", `[{"type":"csp-violation","body":{"documentURL":"` + shopPage + `/","blockedURL":"https://cdn.example/x","effectiveDirective":"img-src"}}]`, nil},
	} {
		if resp, text := w.tell(c.kind, c.body, c.headers...); resp.StatusCode != http.StatusNoContent || text != "" || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s %v", c.name, resp.StatusCode, text, resp.Header)
		}
	}
	r := w.counted(tally.Filter{Sightings: true})
	const want = "b.example csp [?] false  img 3\na.example observer [!marketing analytics] true other script 2\ninline csp [?] false  img 1"
	if got := sightings(r); got != want || r.Reported != 3 {
		t.Errorf("%d reported\n%s", r.Reported, got)
	}
	if r := w.counted(tally.Filter{}); len(r.Sightings) > 0 {
		t.Errorf("nobody asked for %s", sightings(r))
	}
	if today := tally.DayOf(w.s.now()); r.Sightings[0].First != today || r.Sightings[0].Last != today {
		t.Errorf("%+v", r.Sightings[0])
	}
}

// What is wrong is answered in a line, and counts nothing.
func TestReportsRefused(t *testing.T) {
	w := sightedWorld(t, sightedSite)
	for _, c := range []struct {
		name, kind, body string
		status           int
		headers          []string
	}{
		{"no report", plainText, "x", 400, []string{"Origin", shopPage}},
		{"an address", plainText, watchedBody("a.example/x?id=7"), 400, []string{"Origin", shopPage}},
		{"too long", plainText, watchedBody(strings.Repeat("a", 17<<10)), 413, []string{"Origin", shopPage}},
		{"a picture", "image/png", watchedBody("a.example"), 415, []string{"Origin", shopPage}},
		{"no type", "", watchedBody("a.example"), 415, []string{"Origin", shopPage}},
		{"a foreign page", plainText, watchedBody("a.example"), 403, []string{"Origin", "https://evil.example"}},
		{"nobody's page", plainText, watchedBody("a.example"), 403, nil},
		{"a hidden page", plainText, watchedBody("a.example"), 403, []string{"Origin", "null"}},
		{"a policy's of a foreign page", "application/csp-report", violationBody("https://evil.example/", "https://a.example/"), 403, nil},
		{"a policy's from a foreign page", "application/csp-report", violationBody(shopPage, "https://a.example/"), 403, []string{"Origin", "https://evil.example"}},
		{"a policy's of nothing", "application/csp-report", violationBody("", "https://a.example/"), 400, nil},
	} {
		resp, text := w.tell(c.kind, c.body, c.headers...)
		var a map[string]string
		if err := json.Unmarshal([]byte(text), &a); resp.StatusCode != c.status || err != nil || a["error"] == "" || strings.Contains(a["error"], "\n") {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, text)
		}
	}
	if resp, _ := w.get("/stile/shop/reports"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", resp.StatusCode)
	}
	if r := w.counted(tally.Filter{Sightings: true}); len(r.Sightings) != 0 || r.Reported != 0 {
		t.Errorf("%d reported, %s", r.Reported, sightings(r))
	}
}

// Where sightings are off nothing is loaded for them, and nothing is taken.
func TestReportsOff(t *testing.T) {
	w := newWorld(t)
	if _, body := w.get("/stile/shop.js"); strings.Contains(body, "watch.js") {
		t.Error("the script loads watch.js")
	}
	if resp, _ := w.get("/stile/shop/watch.js"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("watch.js: %d", resp.StatusCode)
	}
	if resp, text := w.tell(plainText, watchedBody("a.example"), "Origin", shopPage); resp.StatusCode != http.StatusNotFound || !strings.Contains(text, "sightings") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// Browsers ask before they send a list of reports from another origin.
func TestReportsPreflight(t *testing.T) {
	w := sightedWorld(t, sightedSite)
	resp, _ := w.send(http.MethodOptions, "/stile/shop/reports", "", "Origin", shopPage, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != shopPage || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if resp, body := w.get("/stile/shop/watch.js"); resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != forEveryone[0] || !strings.HasPrefix(body, "stile._(0,0,") {
		t.Errorf("watch.js: %d %v %.40s", resp.StatusCode, resp.Header, body)
	}
}

// Anybody can post: new hosts are counted up to a bound, what is there stays, and there is room for those of tags and vendors.
func TestReportsBounded(t *testing.T) {
	w := sightedWorld(t, sightedSite)
	send := func(hosts ...string) {
		t.Helper()
		if resp, text := w.tell(plainText, watchedBody(hosts...), "Origin", shopPage); resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	}
	send("known.example")
	for i := range 6 {
		hosts := make([]string, 100)
		for j := range hosts {
			hosts[j] = fmt.Sprintf("h%d-%d.example", i, j)
		}
		send(hosts...)
	}
	send("known.example", "pixel.example", "static.hotjar.com", "late.example")
	r := w.counted(tally.Filter{Sightings: true})
	for host, tags := range map[string]string{"pixel.example": tally.Held, "static.hotjar.com": ""} {
		if !slices.ContainsFunc(r.Sightings, func(s tally.Sighting) bool { return s.Host == host && s.Tags == tags && s.State != tally.UnknownState }) {
			t.Errorf("%s was not counted", host)
		}
	}
	if len(r.Sightings) != 252 || r.Sightings[0].Host != "known.example" || r.Sightings[0].Pages != 2 || r.Reported != 8 {
		t.Errorf("%d hosts, %+v first, %d reported", len(r.Sightings), r.Sightings[0], r.Reported)
	}
}

// Loads that fail in the page and deliveries that are given up are errors of their tag.
func TestTagErrors(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusGone) }))
	t.Cleanup(refuses.Close)
	t.Setenv("TEST_GA4", "s3cret")
	text := strings.Replace(sightedSite, "category: analytics}", `category: analytics, server: {secret_env: TEST_GA4, endpoint: "`+refuses.URL+`/mp/collect"}}`, 1)
	w := newWorld(t, func(o *Options) {
		o.EventKey = eventKeyText
		o.ForwardNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		if err := os.WriteFile(o.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	body := `{"regime":"other","chosen":true,"allowed":["marketing"],"hosts":[{"host":"pixel.example","as":"img","failed":true},{"host":"x.example","as":"img","failed":true}],"failed":["ga4"]}`
	if resp, text := w.tell(plainText, body, "Origin", shopPage); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	r := w.counted(tally.Filter{Sightings: true})
	if r.Tags["pixel"].Errors != 1 || r.Tags["ga4"].Errors != 1 {
		t.Fatalf("pixel %+v, ga4 %+v", r.Tags["pixel"], r.Tags["ga4"])
	}
	w.accept("accept=all")
	if _, a := w.fromPage(leadBody("e1")); len(a.Sent) != 1 {
		t.Fatalf("sent to %v", a.Sent)
	}
	if n := w.queued(); n != 1 {
		t.Fatalf("%d messages", n)
	}
	if r := w.counted(tally.Filter{Sightings: true}); r.Tags["pixel"].Errors != 1 || r.Tags["ga4"].Errors != 2 {
		t.Errorf("after a delivery that was given up: pixel %+v, ga4 %+v", r.Tags["pixel"], r.Tags["ga4"])
	}
}
