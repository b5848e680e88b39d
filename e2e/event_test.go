package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sendEvent is what a page of the site runs when something happened.
const sendEvent = `fetch('` + consentURL + `/stile/shop/event', {
	method: 'POST', credentials: 'include', keepalive: true, headers: {'Content-Type': 'application/json'},
	body: JSON.stringify({name: 'add_to_cart', id: '%s', page: location.href, value: 9.5, currency: 'EUR'}),
}).then(async r => r.status + ' ' + await r.text())`

// An event of a page reaches the vendor from the server, with consent alone, and the browser loads nothing of the vendor's.
func TestEventFromAPage(t *testing.T) {
	got := make(chan string, 10)
	vendor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.RequestURI() + " " + string(body) + fmt.Sprint(r.Header["Cookie"], r.Header["User-Agent"], r.Header["Referer"])
	}))
	t.Cleanup(vendor.Close)
	secret := filepath.Join(t.TempDir(), "ga4")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, settings{
		config: func(text string) string {
			return strings.Replace(text, "tags:\n", fmt.Sprintf("tags:\n  - {vendor: ga4, id: G-AB12CD34EF, category: analytics, server: {secret_file: %q, only: true, endpoint: %q}}\n",
				secret, vendor.URL+"/mp/collect"), 1)
		},
		args: []string{"--forward-networks", "127.0.0.0/8"},
	})
	b := w.open().visit(shopURL + "/?from=letter")
	if answer, want := eval[string](b, fmt.Sprintf(sendEvent, "e1")), `202 {"id":"e1","sent":[],"withheld":{"ga4":"analytics was not chosen yet"}}`+"\n"; answer != want {
		t.Errorf("A1: before a choice the page is told %s", answer)
	}
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.settle()
	if answer := eval[string](b, fmt.Sprintf(sendEvent, "e2")); answer != `202 {"id":"e2","sent":["ga4"],"withheld":{}}`+"\n" {
		t.Errorf("with consent the page is told %s", answer)
	}
	text := ""
	select {
	case text = <-got:
	case <-time.After(patience):
		t.Fatal("the vendor got nothing")
	}
	path, body, _ := strings.Cut(text, " ")
	if path != "/mp/collect?api_secret=s3cret&measurement_id=G-AB12CD34EF" || !strings.HasSuffix(body, "[] [] []") ||
		!strings.Contains(body, `"name":"add_to_cart","params":{"page_location":"`+shopURL+`/","value":9.5,"currency":"EUR"}`) {
		t.Errorf("the vendor got %s", text)
	}
	if len(got) > 0 {
		t.Errorf("the vendor also got %s", <-got)
	}
	for _, address := range w.loaded() {
		if strings.Contains(address, "google") {
			t.Errorf("the browser asked for %s", address)
		}
	}
	eval[bool](b, `stile.withdraw().then(() => true)`) // nothing of it runs here, so that the page stays
	if answer := eval[string](b, fmt.Sprintf(sendEvent, "e3")); !strings.HasPrefix(answer, `202 {"id":"e3","sent":[],"withheld":{"ga4":"analytics was declined`) {
		t.Errorf("A9: after the withdrawal the page is told %s", answer)
	}
	if diff := cmp.Diff(0, len(got)); diff != "" {
		t.Errorf("the vendor got %s", <-got)
	}
}
