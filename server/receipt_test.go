package server

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/receipt"
)

// publishedKeys are the keys that an auditor gets from the server.
func (w *world) publishedKeys() note.Verifiers {
	w.t.Helper()
	resp, body := w.get("/stile/log/keys")
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("the keys are %d %s", resp.StatusCode, body)
	}
	var list []note.Verifier
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...)
}

// C7, C10: a visitor gets their records, and nobody else's, as a receipt that proves itself by the published keys alone.
func TestC7Receipt(t *testing.T) {
	w := newWorld(t)
	other := w.accept("accept=all")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.client.Jar = jar // somebody else
	first := w.accept("category=analytics")
	w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice)
	resp, body := w.send(http.MethodGet, "/stile/shop/receipt", "", "X-Forwarded-Proto", "https")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Fatalf("the receipt is %d %v %s", resp.StatusCode, resp.Header, body)
	}
	got, err := receipt.Check([]byte(body), w.publishedKeys())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Entries) != 2 || got.Entries[0].Record.ID.String() != first || got.Entries[1].Record.Action != consent.Withdraw || strings.Contains(body, other) {
		t.Errorf("the receipt holds %+v", got.Entries)
	}
	if got.Site != "shop" || !strings.HasPrefix(got.Address, "https://") || len(got.Words[w.notice]) == 0 || len(got.Lists) != 1 {
		t.Errorf("the receipt is of %s at %s, with %d words and %d lists", got.Site, got.Address, len(got.Words), len(got.Lists))
	}
	_, words := w.send(http.MethodGet, "/stile/shop/notice/"+w.notice, "", "Accept", "application/json")
	if words != string(got.Words[w.notice]) {
		t.Errorf("the words are shown as %q, and the receipt has %q", words, got.Words[w.notice])
	}
	if _, err := receipt.Check([]byte(strings.Replace(body, "analytics", "marketing", 1)), w.publishedKeys()); err == nil {
		t.Error("an altered receipt is genuine")
	}
}

// Without records there is nothing to sign: the page learns so.
func TestReceiptOfNone(t *testing.T) {
	w := newWorld(t)
	w.accept("accept=all")
	w.send(http.MethodPost, "/stile/shop/erase", "")
	_, body := w.get("/stile/shop/receipt")
	var got choiceBrief
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Site != "shop" || got.Receipt != "" {
		t.Errorf("%v: %s", err, body)
	}
}
