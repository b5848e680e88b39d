package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/examples/shop/thirdparty"
)

// Hosts of the world. The shop and the consent host are one site; the outlet is another site that embeds the same.
const (
	shopURL    = "http://www.shop.test"
	mobileURL  = "http://m.shop.test"
	outletURL  = "http://www.outlet.test"
	consentURL = "http://consent.shop.test"
)

// patience bounds every wait for an event; nothing waits for its end when all is well.
const patience = time.Minute

// settings are how a world differs from the usual one.
type settings struct {
	config  func(text string) string // changes stile.yaml
	csp     string                   // Content-Security-Policy of the shop's pages
	pages   http.Handler             // pages beside the shop's, under /test/
	args    []string                 // further arguments of stile serve
	env     []string                 // of stile serve, beside this process's
	vendors []string                 // further hosts, which answer as a vendor does: "*.clarity.ms"
	// The script that those answer with, empty unless given, and further sites: name to stile.yaml.
	vendorScript string
	sites        map[string]string
	hosts        map[string]http.Handler // further hosts under shop.test, whose /stile/ is the consent host
	behind       http.Handler            // in place of the shop: a site behind stile proxy, which www.shop.test is then
}

// world is everything that a browser meets.
type world struct {
	t       *testing.T
	parties *thirdparty.Parties
	folder  string // data folder of stile serve
	config  string // path of stile.yaml
	env     []string
	plain   *httptest.Server
	secure  *httptest.Server

	mu       sync.Mutex
	stile    *exec.Cmd
	target   *url.URL // of the running stile serve, nil when it is down
	requests []string // that reached the consent host: "GET /stile/shop.js 200"
	flying   map[under]bool
	loads    []string // URLs that the browser's pages asked for, from wherever
	vendors  []string // hosts
	script   string   // that they answer with
	reached  []string // which of them were asked: "www.vendor.com/path"
	site     string   // address of the site behind stile proxy, "" where there is none
	log      strings.Builder
	region   string              // what the proxy says in X-Region
	address  string              // what the proxy says in X-Forwarded-For, if anything
	hold     func(*http.Request) // what a request to the consent host waits for, or nil
	busy     *busyHost           // answers some POSTs in the server's place, or nil
	lose     int                 // how many further answers to POST never reach the browser, although the server did what was asked
}

func newWorld(t *testing.T, s settings) *world {
	t.Helper()
	chromium(t)
	t.Parallel() // a world has ports, a data folder and browsers of its own
	w := &world{t: t, parties: thirdparty.New(), folder: t.TempDir(), flying: map[under]bool{}, vendors: s.vendors, script: s.vendorScript, env: s.env}
	t.Cleanup(w.parties.Close)
	pages := shop.Handler(shop.Options{
		Script: consentURL + "/stile/shop.js", Frame: consentURL + "/stile/shop/banner", Policy: consentURL + "/stile/shop/policy", Video: "https://video.example", Parties: w.parties, CSP: s.csp,
	})
	if s.pages != nil {
		mux := http.NewServeMux()
		mux.Handle("/test/", s.pages)
		mux.Handle("/", pages)
		pages = mux
	}
	if s.behind != nil {
		site := httptest.NewServer(s.behind)
		t.Cleanup(site.Close)
		w.site, pages = site.URL, w.consent()
	}
	handler := w.route(pages, s.hosts)
	w.plain = httptest.NewServer(handler)
	w.secure = httptest.NewUnstartedServer(handler)
	w.secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS12}
	w.secure.Config.ErrorLog = log.New(&discard{}, "", 0) // browsers hang up on certificates that they do not know
	w.secure.StartTLS()
	t.Cleanup(w.plain.Close)
	t.Cleanup(w.secure.Close)

	w.writeConfig(func(string) string { return siteConfig(s.config) })
	for name, text := range s.sites {
		if err := os.WriteFile(filepath.Join(filepath.Dir(w.config), name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.sites) > 0 {
		w.config = filepath.Dir(w.config)
	}
	w.start(s.args...)
	t.Cleanup(w.stop)
	t.Cleanup(func() {
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("stile serve said:\n%s\nthe consent host got:\n%s", w.log.String(), strings.Join(w.requests, "\n"))
		}
	})
	return w
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }

// siteConfig is the shop's own stile.yaml, under the world's hosts.
func siteConfig(change func(string) string) string {
	text := strings.NewReplacer(
		`origins: ["https://www.shop.example"]`, `origins: ["`+shopURL+`", "http://*.shop.test", "`+outletURL+`"]`,
		"cookie_domain: shop.example\n", "",
	).Replace(string(shop.Config(shop.Hosts{})))
	if change != nil {
		text = change(text)
	}
	return text
}

// sharedCookie lets all hosts of shop.test share the choice; www.outlet.test cannot be under it.
func sharedCookie(text string) string {
	return strings.Replace(text, `, "`+outletURL+`"]`, "]\ncookie_domain: shop.test", 1)
}

func (w *world) writeConfig(change func(string) string) {
	w.t.Helper()
	folder := filepath.Join(w.folder, "site")
	if w.config == "" {
		w.config = filepath.Join(folder, "stile.yaml")
		if err := os.CopyFS(folder, shop.Files()); err != nil {
			w.t.Fatal(err)
		}
	}
	old, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(change(string(old))), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// route answers for every host.
func (w *world) route(pages http.Handler, further map[string]http.Handler) http.Handler {
	hosts := map[string]http.Handler{
		"www.shop.test": pages, "m.shop.test": pages, "www.outlet.test": pages, "consent.shop.test": w.consent(),
	}
	for name, host := range map[string]string{
		"counter": "counter.example", "pixel-a": "pixel-a.example", "pixel-b": "pixel-b.example", "chat": "chat.example", "video": "video.example",
	} {
		hosts[host] = w.parties.Handler(name)
	}
	for host, site := range further {
		mux := http.NewServeMux()
		mux.Handle("/stile/", w.consent())
		mux.Handle("/", site)
		hosts[host] = mux
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		if h := hosts[host]; h != nil {
			h.ServeHTTP(rw, r)
			return
		}
		w.mu.Lock()
		w.reached = append(w.reached, host+r.URL.Path)
		w.mu.Unlock()
		rw.Header().Set("Content-Type", "text/javascript")
		rw.Header().Set("Access-Control-Allow-Origin", "*") // some vendors' script elements ask for it
		_, _ = io.WriteString(rw, w.script)
	})
}

// resolver are the rules by which the browser finds the world's hosts, and none besides.
func (w *world) resolver() string {
	var rules []string
	for _, host := range append([]string{"*.test", "*.example"}, w.vendors...) {
		rules = append(rules, fmt.Sprintf("MAP %s:80 127.0.0.1:%s", host, port(w.plain)), fmt.Sprintf("MAP %s:443 127.0.0.1:%s", host, port(w.secure)))
	}
	return strings.Join(append(rules, "MAP * ~NOTFOUND"), ", ")
}

// sent notes what a page asked for.
func (w *world) sent(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads = append(w.loads, address)
}

// under is a request to a third party that is under way.
type under struct {
	tab context.Context
	id  network.RequestID
}

// flies notes a request of a tab's page to a third party, and lands that it was answered, or failed.
func (w *world) flies(r under, address string) {
	if u, err := url.Parse(address); err == nil && strings.HasSuffix(u.Hostname(), ".example") {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flying[r] = true
	}
}

func (w *world) lands(r under) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.flying, r)
}

// landed waits until nothing is under way to third parties. What they hold back, and what outlived its page so that its end
// is told to nobody, is waited for in vain, and not for long.
func (w *world) landed() {
	tick, limit := time.NewTicker(10*time.Millisecond), time.After(5*time.Second)
	defer tick.Stop()
	for {
		w.mu.Lock()
		waiting := len(w.flying) > 0
		w.mu.Unlock()
		if !waiting {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			w.mu.Lock()
			clear(w.flying)
			w.mu.Unlock()
		}
	}
}

// reset empties the third parties' log, once what is under way to them is in it.
func (w *world) reset() {
	w.landed()
	w.parties.Reset()
}

// loaded returns what pages asked of hosts that are not the site's own, and forgets it.
func (w *world) loaded() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, address := range w.loads {
		u, err := url.Parse(address)
		if err == nil && u.Host != "" && !strings.HasSuffix(u.Hostname(), ".shop.test") && u.Hostname() != "www.outlet.test" {
			list = append(list, address)
		}
	}
	w.loads = nil
	return list
}

// consent is the proxy in front of stile serve, as an operator would have one.
func (w *world) consent() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			w.mu.Lock()
			defer w.mu.Unlock()
			r.SetURL(w.target)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("X-Region", w.region)
			if w.address != "" {
				r.Out.Header.Set("X-Forwarded-For", w.address)
			}
			if r.In.TLS != nil {
				r.Out.Header.Set("X-Forwarded-Proto", "https")
			}
		},
		ModifyResponse: func(r *http.Response) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requests = append(w.requests, fmt.Sprintf("%s %s %d", r.Request.Method, r.Request.URL.RequestURI(), r.StatusCode))
			if r.Request.Method == http.MethodPost && w.lose > 0 {
				w.lose--
				panic(http.ErrAbortHandler) // hangs up
			}
			return nil
		},
		ErrorLog: log.New(&discard{}, "", 0),
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		down, hold, busy := w.target == nil, w.hold, w.busy
		w.mu.Unlock()
		if hold != nil {
			hold(r)
		}
		if down { // as if nobody listened
			if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		if busy.answers(rw, r) {
			return
		}
		proxy.ServeHTTP(rw, r)
	})
}

var serving = regexp.MustCompile(`msg=serving address=(\S+)`)

// start runs stile serve, or stile proxy before a site, and waits until it says where.
func (w *world) start(args ...string) {
	w.t.Helper()
	command := "serve"
	if w.site != "" {
		command, args = "proxy", append(args, "--to", w.site)
	}
	cmd := exec.Command(stileBinary, append([]string{command, w.config, "--listen", "127.0.0.1:0", "--data", w.folder}, args...)...)
	cmd.Env = append(os.Environ(), w.env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			w.mu.Lock()
			fmt.Fprintln(&w.log, lines.Text())
			w.mu.Unlock()
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	found, ok := <-address
	if !ok {
		w.t.Fatalf("stile serve did not start:\n%s", w.log.String())
	}
	target, err := url.Parse(found)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.stile, w.target = cmd, target
	w.mu.Unlock()
}

// stop ends stile serve.
func (w *world) stop() {
	w.mu.Lock()
	cmd := w.stile
	w.stile, w.target = nil, nil
	w.mu.Unlock()
	if cmd == nil {
		return
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Errorf("stile serve ended with %v", err)
	}
}

// hangup sends SIGHUP and waits until the server says that it reloaded, or refused to.
func (w *world) hangup() {
	w.t.Helper()
	before := w.said("reloaded") + w.said("not used")
	if err := w.stile.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
	w.until("a reload", func() bool { return w.said("reloaded")+w.said("not used") > before })
}

// said counts a word in the server's log.
func (w *world) said(word string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), word)
}

// until waits for something that another process does and that nothing tells of.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	tick, limit := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// command runs another stile command and returns what it printed.
func (w *world) command(args ...string) string {
	w.t.Helper()
	out, err := exec.Command(stileBinary, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("stile %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// asked are the requests that reached the consent host since the last call.
func (w *world) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.Clone(w.requests)
	w.requests = nil
	return list
}

// received checks what each third party got since the last reset: a number a party, and nothing at all for the rest.
// Those that are to get something are waited for.
func (w *world) received(want map[string]int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for party, n := range want {
		if err := w.parties.Wait(ctx, party, n); err != nil {
			w.t.Errorf("%s got %d requests, want %d", party, w.parties.Count(party), n)
		}
	}
	for party, n := range w.parties.Counts() {
		if n != want[party] {
			w.t.Errorf("%s got %d requests, want %d: %+v", party, n, want[party], w.parties.Log())
		}
	}
	// The pages themselves are watched as well, for hosts that nobody thought of.
	known := map[string]string{"counter.example": "counter", "pixel-a.example": "pixel-a", "pixel-b.example": "pixel-b", "chat.example": "chat", "video.example": "video"}
	for _, address := range w.loaded() {
		if u, err := url.Parse(address); err != nil || want[known[u.Hostname()]] == 0 {
			w.t.Errorf("a page asked for %s", address)
		}
	}
}

// certificate is a throw-away one for all hosts.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"*.example", "*.shop.test", "*.outlet.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func port(s *httptest.Server) string {
	_, p, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		panic(err) // a listener's address has a port
	}
	return p
}
