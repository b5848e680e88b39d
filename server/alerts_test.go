package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/alert"
	"github.com/stilehq/stile/server/ledger"
)

// A reload that fails is kept, with why; it is told once, and once more when a good one has taken its place.
func TestFailedReloadIsTold(t *testing.T) {
	type message struct {
		Type string
		Data struct{ Kind, Text string }
	}
	got := make(chan message, 9)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || !strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v1,") {
			t.Error(err, r.Header)
		}
		got <- m
	}))
	defer hook.Close()
	file := filepath.Join(t.TempDir(), "stile.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(alertSite)
	w := newWorld(t, func(o *Options) {
		o.Config, o.ForwardNetworks = file, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		o.Alerts = AlertOptions{Webhook: hook.URL, Secret: strings.Repeat("s", 32)}
	})
	look := func() {
		t.Helper()
		if err := w.s.alerts.Look(t.Context(), "test", true); err != nil {
			t.Fatal(err)
		}
	}
	write("site: shop\n")
	if err := w.s.Reload(t.Context()); err == nil {
		t.Fatal("it was taken")
	}
	h := w.s.condition(t.Context())
	if !strings.Contains(h.Refused, "stile.yaml") || h.RefusedAt.IsZero() || h.Loaded.IsZero() || h.Lost != nil || len(h.Keys) != 3 || h.Size == 0 {
		t.Errorf("%+v", h)
	}
	look()
	if m := <-got; m.Type != "alert.raised" || m.Data.Kind != "configuration" || !strings.Contains(m.Data.Text, "the old one goes on") {
		t.Errorf("it was told %+v", m)
	}
	for role, want := range map[account.Role]int{account.Viewer: 0, account.Admin: 1} {
		list, err := w.s.pressing(account.WithUser(t.Context(), account.User{Name: "ada", Role: role}))
		if err != nil || len(list) != want {
			t.Errorf("%s is shown %+v: %v", role, list, err)
		}
	}
	write(alertSite)
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	look()
	if m := <-got; m.Type != "alert.ended" {
		t.Errorf("it was told %+v", m)
	}
	if h := w.s.condition(t.Context()); h.Refused != "" {
		t.Errorf("it is still refused: %s", h.Refused)
	}
	if len(got) > 0 {
		t.Errorf("and then %+v", <-got)
	}
}

// What a webhook answers to a test shows on the page of health, until it takes one.
func TestFailedTestIsKnown(t *testing.T) {
	var status atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(int(status.Load())) }))
	defer hook.Close()
	w := newWorld(t, func(o *Options) {
		o.ForwardNetworks, o.Alerts = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, AlertOptions{Webhook: hook.URL}
	})
	for _, test := range []struct {
		status int32
		want   int
	}{{http.StatusNotFound, 1}, {http.StatusNoContent, 0}} {
		status.Store(test.status)
		w.s.alerts.Test(t.Context(), "", "ada")
		h := w.s.condition(t.Context())
		if f := h.Untold[h.Ways[0]]; len(h.Untold) != test.want || f.At.IsZero() != (test.want == 0) {
			t.Errorf("after %d: %+v", test.status, h.Untold)
		}
	}
}

const alertSite = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
categories: {necessary: {required: true}, analytics: {}}
tags: [{vendor: ga4, id: G-AB12CD34EF, category: analytics}]
alerts: {email: [team@shop.example], requests: 2d}
`

// A request that is nearly due is found through the ledger; nothing of who made it is in what is told.
func TestFactsOfRequests(t *testing.T) {
	w := newWorld(t)
	now := w.s.now()
	err := w.s.ledger.Ask(t.Context(), ledger.Request{
		Number: "7KQ4-M2XD", Site: "shop", Kind: "access", Contact: "anna@mail.example", Details: "hush", Time: now.Add(-14 * 24 * time.Hour), Due: now.Add(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := w.s.alertFacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := alert.Rules(facts)
	if len(all) != 1 || all[0].Kind != alert.Due || all[0].Subject != "7KQ4-M2XD" || strings.Contains(all[0].Text, "anna") || strings.Contains(all[0].Text, "hush") {
		t.Errorf("%+v", all)
	}
}

func TestObserved(t *testing.T) {
	var o observed
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	for i, test := range []struct {
		size, sealed int64
		want         time.Time
	}{{5, 5, time.Time{}}, {6, 5, at(1)}, {7, 5, at(1)}, {8, 7, at(3)}, {8, 7, at(3)}, {8, 8, time.Time{}}} {
		if got := o.lag(ledger.Health{Size: test.size, Sealed: test.sealed}, at(i)); !got.Equal(test.want) {
			t.Errorf("%d of %d: since %s, not %s", test.sealed, test.size, got, test.want)
		}
	}
	for _, test := range []struct {
		minute int
		n      uint64
		want   uint64
	}{{0, 3, 0}, {5, 3, 0}, {6, 15, 12}, {15, 15, 12}, {22, 15, 0}, {23, 16, 1}} {
		if got := o.refusals(test.n, at(test.minute)); got != test.want {
			t.Errorf("in minute %d of %d since the start: %d, not %d", test.minute, test.n, got, test.want)
		}
	}
	if !o.isAway(true, now).Equal(now) || !o.isAway(true, at(3)).Equal(now) || !o.isAway(false, at(4)).IsZero() || !o.isAway(true, at(5)).Equal(at(5)) {
		t.Error("since when it is away is not known")
	}
}
