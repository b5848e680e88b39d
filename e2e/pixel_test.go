package e2e

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// far is a third party that only the server talks to, by TLS.
type far struct {
	*httptest.Server
	ca string // file

	mu   sync.Mutex
	down bool
	got  []*http.Request // those that it took
	lost int             // those that it did not
}

func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{ca: filepath.Join(t.TempDir(), "ca.pem")}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.down {
			f.lost++
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		f.got = append(f.got, r)
		rw.WriteHeader(http.StatusNoContent)
	}))
	f.Config.ErrorLog = log.New(&discard{}, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := os.WriteFile(f.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *far) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// counts are the requests that it took, and those that it did not.
func (f *far) counts() (got, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got), f.lost
}

// forwarding are the settings of a world whose analytics have a pixel that the server asks for.
func (f *far) forwarding() settings {
	return settings{
		config: func(text string) string {
			return text + `  - {name: Far pixel, category: analytics, pixel: "` + f.URL + `/hit?account=secret-42&u={page}", through: gate, company: Far Ltd}` + "\n"
		},
		args: []string{"--forward-networks", "127.0.0.0/8"}, env: []string{"SSL_CERT_FILE=" + f.ca},
	}
}

// asksPixel counts the requests for the pixel that reached the consent host, of all that did since the last call.
func (w *world) asksPixel() int {
	return len(slices.DeleteFunc(w.asked(), func(r string) bool { return !forPixel(r) }))
}

func forPixel(request string) bool {
	return strings.HasPrefix(request, "GET /stile/shop/pixel/far-pixel.gif?")
}

// metric is a line of the server's metrics.
func (w *world) metric(line string) bool {
	w.t.Helper()
	w.mu.Lock()
	target := w.target.String()
	w.mu.Unlock()
	resp, err := http.Get(target + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Contains(string(text), "\n"+line+"\n")
}

// kill ends stile serve as a power cut would.
func (w *world) kill() {
	w.t.Helper()
	w.mu.Lock()
	cmd := w.stile
	w.stile, w.target = nil, nil
	w.mu.Unlock()
	if err := cmd.Process.Kill(); err != nil {
		w.t.Error(err)
	}
	_ = cmd.Wait() // it was killed: that is no news
}

// A pixel through the gate: refused, nobody is asked; accepted, the vendor gets one request that tells of the visitor what
// the site has passed on, and the visitor's browser never hears of the vendor.
func TestPixelThroughGate(t *testing.T) {
	for name, page := range map[string]string{"one site": shopURL, "across sites": outletURL} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t)
			w := newWorld(t, f.forwarding())
			b := w.open().visit(page + "/")
			b.decide(reject)
			b.load(page + "/basket")
			b.frame()
			if n := w.asksPixel(); n != 0 {
				t.Errorf("refused, the page asked for the pixel %d times", n)
			}
			if !w.metric("stile_outbox_sent_total 0") || !w.metric("stile_outbox_waiting 0") {
				t.Error("refused, something was to be sent")
			}

			b.forget().visit(page + "/basket?mail=jo@example.org")
			w.loaded()
			b.decide(accept)
			w.until("the vendor's request", func() bool { n, _ := f.counts(); return n > 0 })
			w.until("the answer to the page's", func() bool { return slices.ContainsFunc(w.peek(), forPixel) })
			if n := w.asksPixel(); n != 1 {
				t.Errorf("accepted, the page asked for the pixel %d times", n)
			}
			w.until("the end of sending", func() bool { return w.metric("stile_outbox_waiting 0") })
			script := eval[string](b, "fetch('"+consentURL+"/stile/shop.js', {credentials: 'include', headers: {'X-Stile-Choice': (document.cookie.match(/stile_shop=([^;]+)/) || [])[1] || ''}}).then(r => r.text())")
			if !strings.Contains(script, "/pixel/far-pixel.gif") || strings.Contains(script, "secret-42") || strings.Contains(script, port(f.Server)) {
				t.Error("the script names the vendor, or no pixel")
			}
			for _, address := range w.loaded() {
				if strings.Contains(address, port(f.Server)) || strings.Contains(address, "secret-42") {
					t.Errorf("the page asked for %s", address)
				}
			}
			w.stop()
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.got) != 1 {
				t.Fatalf("the vendor got %d requests", len(f.got))
			}
			r := f.got[0]
			if len(r.Header) != 0 || r.Method != http.MethodGet || r.URL.RawQuery != "account=secret-42&u="+strings.NewReplacer(":", "%3A", "/", "%2F").Replace(page+"/basket") {
				t.Errorf("the vendor got %s %s with %v", r.Method, r.URL, r.Header)
			}
		})
	}
}

// A vendor that is down gets the pixel when it is back, once, although the server was killed meanwhile.
func TestPixelAfterKill(t *testing.T) {
	f := newFar(t)
	f.set(true)
	s := f.forwarding()
	w := newWorld(t, s)
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	w.until("an attempt", func() bool { _, lost := f.counts(); return lost > 0 })
	w.kill()
	_, before := f.counts()
	w.start(s.args...)
	w.until("another attempt", func() bool { _, lost := f.counts(); return lost > before })
	w.kill()
	f.set(false)
	w.start(s.args...)
	w.until("the pixel", func() bool { return w.metric("stile_outbox_sent_total 1") && w.metric("stile_outbox_waiting 0") })
	w.stop()
	w.start(s.args...)
	if !w.metric("stile_outbox_waiting 0") {
		t.Error("it is sent again")
	}
	w.stop()
	if n, _ := f.counts(); n != 1 {
		t.Errorf("the vendor got it %d times", n)
	}
}
