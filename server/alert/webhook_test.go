package alert

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/reach"
)

const secret = "0123456789abcdef0123456789abcdef"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// receiver is somebody's end of a webhook.
type receiver struct {
	*httptest.Server
	t      *testing.T
	status []int // of the next answers; then 204
	got    []hookBody
	ids    []string
}

func newReceiver(t *testing.T, status ...int) *receiver {
	r := &receiver{t: t, status: status}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var got hookBody
	if err != nil || json.Unmarshal(body, &got) != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %s", req.Method, body)
	}
	id, stamp := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.Header.Get("Webhook-Signature") != want {
		r.t.Errorf("the signature is %q, not %q", req.Header.Get("Webhook-Signature"), want)
	}
	r.got, r.ids = append(r.got, got), append(r.ids, id)
	status := http.StatusNoContent
	if len(r.status) > 0 {
		status, r.status = r.status[0], r.status[1:]
	}
	w.Header().Set("Location", "/elsewhere") // of the answers that lead on
	w.WriteHeader(status)
}

func webhook(t *testing.T, address string, allow []netip.Prefix) *Webhook {
	t.Helper()
	w, err := NewWebhook(address, secret, allow, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// The receiver fails twice; it gets the message under the same id until it has taken it, and never again after a restart.
func TestWebhookUntilItIsTaken(t *testing.T) {
	r := newReceiver(t, 500, 503)
	path := filepath.Join(t.TempDir(), "stile.db")
	db := open(t, ledger.Options{Path: path})
	k := newDesk(t, db)
	k.e.Ways = []Way{webhook(t, r.URL+"/hook", loopback)}
	k.facts.Sites = []SiteFacts{overdue}
	for range 4 {
		k.look()
		k.now = k.now.Add(longestWait)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ways := k.e.Ways
	k.e = k.engine(open(t, ledger.Options{Path: path}), "here")
	k.e.Ways = ways
	k.look()
	if len(r.got) != 3 || r.ids[0] != r.ids[1] || r.ids[1] != r.ids[2] {
		t.Fatalf("it got %+v under %v", r.got, r.ids)
	}
	want := hookData{
		ID: r.ids[0], Kind: Overdue, Site: "shop", Subject: "7KQ4-M2XD", Text: "Request 7KQ4-M2XD (access) was due on Monday 23 November 2026 and is not answered.",
		Since: "2026-11-23T09:30:00Z", URL: "https://consent.shop.example/admin/sites/shop/requests",
	}
	if got := r.got[2]; got.Type != "alert.raised" || got.Data != want {
		t.Errorf("it got %+v", got)
	}
	k.facts.Sites = nil
	k.look()
	want.Until = k.now.Format(time.RFC3339)
	if got := r.got[3]; got.Type != "alert.ended" || got.Data != want || r.ids[3] == r.ids[0] {
		t.Errorf("it got %+v under %v", got, r.ids)
	}
}

func TestWebhookAnswers(t *testing.T) {
	for _, test := range []struct {
		status int
		want   string // "" for taken
		final  bool
	}{
		{status: 200},
		{status: 202},
		{status: 302, want: "it answered 302 Found, and redirects are not followed: give the address that it leads to"},
		{status: 308, want: "redirects are not followed"},
		{status: 404, want: "it answered 404 Not Found"},
		{status: 410, want: "nobody is there any more", final: true},
		{status: 500, want: "it answered 500 Internal Server Error"},
	} {
		r := newReceiver(t, test.status)
		place, err := webhook(t, r.URL, loopback).Tell(t.Context(), "", []Message{{Alert: Alert{Kind: "test", Text: "x"}, Since: now}})
		if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || errors.Is(err, errFinal) != test.final {
			t.Errorf("%d: %v", test.status, err)
		}
		if len(r.got) != 1 || r.got[0].Type != "alert.test" || place != strings.TrimPrefix(r.URL, "http://") {
			t.Errorf("%d: %s was told %+v", test.status, place, r.got)
		}
	}
}

// What is not public is not connected to, by whatever name, unless its network is allowed; and not without TLS.
func TestWebhookRefusesPrivateAddresses(t *testing.T) {
	r := newReceiver(t)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	other := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, address := range []string{
		"https://127.0.0.1" + port, "https://localhost" + port, "https://[::ffff:127.0.0.1]" + port, "https://0.0.0.0" + port, "http://127.0.0.1" + port, "http://localhost" + port,
		"https://169.254.169.254/latest", "https://10.1.2.3.invalid/",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		w := webhook(t, "https://hooks.chat.example", other)
		w.url = u // as if that name stood for it
		_, err = w.Tell(t.Context(), "", []Message{{Since: now}})
		refused := errors.Is(err, reach.ErrRefused)
		if err == nil || !refused && !strings.Contains(address, ".invalid") || strings.Contains(err.Error(), "latest") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if len(r.got) > 0 {
		t.Errorf("it was reached: %+v", r.got)
	}
}

func TestWebhookThatHangs(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	w := webhook(t, srv.URL, loopback)
	w.patience = 50 * time.Millisecond
	if _, err := w.Tell(t.Context(), "", []Message{{Since: now}}); err == nil || !strings.Contains(err.Error(), "it did not answer within") {
		t.Error(err)
	}
}

// An address that is private by itself is refused at once, unless its network is allowed.
func TestNewWebhookRefusesPrivateAddresses(t *testing.T) {
	for address, network := range map[string]string{
		"https://10.0.0.1/hush": "10.0.0.0/8", "https://127.0.0.1:8443/hush": "127.0.0.0/8", "https://169.254.169.254/hush": "169.254.0.0/16", "https://[::1]/hush": "::1/128",
		"https://[::ffff:10.0.0.1]/hush": "10.0.0.0/8", "https://localhost/hush": "127.0.0.0/8", "https://LOCALHOST.:443/hush": "::1/128", "https://hooks.localhost/hush": "127.0.0.0/8",
	} {
		for _, allow := range [][]netip.Prefix{nil, {netip.MustParsePrefix("192.168.0.0/16")}} {
			_, err := NewWebhook(address, "", allow, nil)
			if !errors.Is(err, reach.ErrRefused) || !strings.Contains(err.Error(), "name its network in --forward-networks") || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v", address, err)
			}
		}
		for _, scheme := range []string{"https", "http"} {
			if _, err := NewWebhook(scheme+strings.TrimPrefix(address, "https"), "", []netip.Prefix{netip.MustParsePrefix(network)}, nil); err != nil {
				t.Errorf("%s %s in %s: %v", scheme, address, network, err)
			}
		}
	}
	for _, address := range []string{"https://8.8.8.8/hush", "https://[2606:4700::1111]/hush", "https://hooks.internal/hush"} {
		if _, err := NewWebhook(address, "", nil, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNewWebhook(t *testing.T) {
	for _, test := range []struct {
		address, secret, want string
	}{
		{"https://hooks.chat.example/T0/hush", "", ""},
		{"https://hooks.chat.example/T0/hush", secret, ""},
		{"https://hooks.chat.example/T0/hush", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", ""},
		{"hooks.chat.example/hush", "", "is not a URL"},
		{"ftp://hooks.chat.example/hush", "", "is not a URL"},
		{"http://hooks.chat.example/hush", "", "use https, or name its network in --forward-networks"},
		{"https://hooks.chat.example/hush", "tooshort", "has 8 bytes: at least 24"},
		{"https://hooks.chat.example/hush", "whsec_%%", "is not base64 after whsec_"},
	} {
		_, err := NewWebhook(test.address, test.secret, nil, nil)
		if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v", test.address, test.secret, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "tooshort")) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
