package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// F7: a request that is none is refused in words, and nothing is kept of it.
func TestRequestBadInput(t *testing.T) {
	w := newWorld(t)
	good := url.Values{"kind": {"copy"}, "contact": {"a@b.example"}, "details": {"all of it"}}
	for name, tt := range map[string]struct {
		field, value, say string
		status            int
	}{
		"no kind":          {"kind", "", "kind", http.StatusBadRequest},
		"another kind":     {"kind", "everything", "kind", http.StatusBadRequest},
		"no address":       {"contact", "", "e-mail", http.StatusBadRequest},
		"no e-mail":        {"contact", "at home", "e-mail", http.StatusBadRequest},
		"a name besides":   {"contact", "A <a@b.example>", "e-mail", http.StatusBadRequest},
		"two lines":        {"contact", "a@b.example\r\nBcc: c@d.example", "e-mail", http.StatusBadRequest},
		"a long address":   {"contact", strings.Repeat("a", 250) + "@b.example", "e-mail", http.StatusBadRequest},
		"long details":     {"details", strings.Repeat("ä", 4001), "4000", http.StatusBadRequest},
		"binary details":   {"details", "\xff", "details", http.StatusBadRequest},
		"a NUL in details": {"details", "a\x00", "details", http.StatusBadRequest},
		"too large":        {"details", strings.Repeat("a", 50<<10), "", http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{}
			for k, v := range good {
				form[k] = v
			}
			form.Set(tt.field, tt.value)
			for _, accept := range []string{"application/json", "text/html"} {
				resp, body := w.send(http.MethodPost, "/stile/shop/request", form.Encode(), "Accept", accept)
				if resp.StatusCode != tt.status || !strings.Contains(body, tt.say) {
					t.Errorf("%s: answered %d %.200s", accept, resp.StatusCode, body)
				}
			}
			if list, err := w.s.ledger.Requests(t.Context(), "shop"); err != nil || len(list) > 0 {
				t.Errorf("kept %+v, %v", list, err)
			}
		})
	}
	if resp, body := w.send(http.MethodPost, "/stile/shop/request", good.Encode(), "Origin", "https://evil.example"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page's request is answered %d %s", resp.StatusCode, body)
	}
	if resp, body := w.send(http.MethodPost, "/stile/shop/request", good.Encode()); resp.StatusCode != http.StatusCreated {
		t.Errorf("a good request is answered %d %s", resp.StatusCode, body)
	}
}

// C10: without a choice, or with a forged one, there is nothing to see and nothing to erase; a foreign page can neither.
func TestRecordsOfNobody(t *testing.T) {
	w := newWorld(t)
	for _, cookie := range []string{"", "stile_shop=forged"} {
		resp, body := w.send(http.MethodGet, "/stile/shop/receipt", "", "Cookie", cookie)
		if resp.StatusCode != http.StatusOK || strings.Contains(body, "records") || !strings.Contains(body, `"receipt": ""`) {
			t.Errorf("%q: the receipt is %d %s", cookie, resp.StatusCode, body)
		}
		if resp, body := w.send(http.MethodPost, "/stile/shop/erase", "", "Cookie", cookie); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"erased":0`) {
			t.Errorf("%q: erasing is answered %d %s", cookie, resp.StatusCode, body)
		}
	}
	if resp, _ := w.send(http.MethodPost, "/stile/shop/erase", "", "Origin", "https://evil.example"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page's erasure is answered %d", resp.StatusCode)
	}
	if resp, _ := w.send(http.MethodGet, "/stile/shop/receipt", "", "Origin", "https://evil.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a foreign page may read the receipt")
	}
}

// C6: addresses that name no version, and requests that Stile never numbered, are not drawn.
func TestPolicyBadInput(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/policy/1999", "/policy/%2e%2e", "/policy?against=1999", "/policy/2026-11-01?against=%3Cb%3E"} {
		resp, body := w.send(http.MethodGet, "/stile/shop"+path, "", "Accept", "text/html")
		if resp.StatusCode != http.StatusNotFound || strings.Contains(body, "<b>") {
			t.Errorf("%s is answered %d %s", path, resp.StatusCode, body)
		}
	}
	for _, query := range []string{"?sent=call+me&due=2026-11-02", "?sent=7KQ4-M2XD&due=2999-01-01", "?sent=7KQ4-M2XD&due=soon"} {
		resp, body := w.send(http.MethodGet, "/stile/shop/policy"+query, "", "Accept", "text/html")
		if resp.StatusCode != http.StatusOK || strings.Contains(body, `role="status"`) {
			t.Errorf("%s is answered %d, and said to be a request", query, resp.StatusCode)
		}
	}
}
