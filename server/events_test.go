package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/event"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// The parts of what a vendor's server got that are nobody's and new each time are written as "nobody".
type arrival struct {
	path, auth string
	header     http.Header
	body       any
}

// party is a stand-in for the vendors' servers.
type party struct {
	*httptest.Server
	got chan arrival
}

func newParty(t *testing.T) *party {
	p := &party{got: make(chan arrival, 100)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		a := arrival{path: r.URL.String(), auth: r.Header.Get("Authorization"), header: r.Header}
		if err := json.Unmarshal(text, &a.body); err != nil {
			a.body = string(text)
		}
		p.got <- a
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *party) next(t *testing.T) arrival {
	t.Helper()
	select {
	case a := <-p.got:
		return a
	case <-time.After(time.Minute):
		t.Fatal("nothing arrived")
		return arrival{}
	}
}

const eventKeyText = "0123456789abcdef0123456789abcdef"

// eventSite is a site whose three vendors are told of events; %s is the stand-in.
const eventSite = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01, material: true}
regimes:
  - {name: us, regions: [US-CA], model: opt-out}
  - {name: other, regions: ["*"], model: opt-in}
categories: {necessary: {required: true}, analytics: {}, marketing: {}}
tags:
  - {vendor: ga4, id: G-AB12CD34EF, category: analytics, server: {secret_env: TEST_GA4, endpoint: "%[1]s/mp/collect"}}
  - {vendor: meta-pixel, id: "123456789012345", category: marketing, server: {secret_env: TEST_META, endpoint: "%[1]s/v24.0", forward: [user_agent]}}
  - {vendor: microsoft-uet, id: "97267979", category: marketing, server: {secret_env: TEST_UET, endpoint: "%[1]s/v1"}}
`

// eventWorld is a world with a stand-in; change may rewrite the site.
func eventWorld(t *testing.T, p *party, change func(string) string) *world {
	t.Helper()
	for _, name := range []string{"TEST_GA4", "TEST_META", "TEST_UET"} {
		t.Setenv(name, "s3cret-"+strings.ToLower(name))
	}
	text := fmt.Sprintf(eventSite, p.URL)
	if change != nil {
		text = change(text)
	}
	return newWorld(t, func(o *Options) {
		o.EventKey = eventKeyText
		o.ForwardNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		if err := os.WriteFile(o.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

const lead = `{"name":"lead","id":"%s","page":"https://www.shop.example/form?q=1","time":"%s","value":5,"currency":"EUR",` +
	`"user":{"email":"ann@shop.example"},"client":{"ga":"GA1.1.11.22","msclkid":"dd4afcccb1c9a4cad9544dd7e5006"}}`

func leadBody(id string) string {
	return fmt.Sprintf(lead, id, time.Now().UTC().Format(time.RFC3339))
}

// fromPage sends an event as a page's script does.
func (w *world) fromPage(body string, headers ...string) (*http.Response, eventAnswer) {
	w.t.Helper()
	return w.report(body, append([]string{"Origin", "https://www.shop.example"}, headers...)...)
}

// fromShop sends an event as the shop's own server does.
func (w *world) fromShop(body string, headers ...string) (*http.Response, eventAnswer) {
	w.t.Helper()
	return w.report(body, append([]string{"Authorization", "Bearer " + eventKeyText}, headers...)...)
}

func (w *world) report(body string, headers ...string) (*http.Response, eventAnswer) {
	w.t.Helper()
	resp, text := w.sendJSON(body, headers...)
	var a eventAnswer
	if err := json.Unmarshal([]byte(text), &a); err != nil || resp.StatusCode != http.StatusAccepted {
		w.t.Fatalf("status %d, %s", resp.StatusCode, text)
	}
	for _, secret := range []string{"G-AB12CD34EF", "123456789012345", "97267979", "s3cret"} {
		if strings.Contains(text, secret) {
			w.t.Errorf("the answer tells %s: %s", secret, text)
		}
	}
	return resp, a
}

func (w *world) sendJSON(body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/stile/shop/event", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
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

// queued is how many messages were ever taken, once none of them waits any more.
func (w *world) queued() uint64 {
	w.t.Helper()
	s := w.waiting(0)
	return s.Sent + s.Failed + s.Dropped
}

// waiting is what the outbox tells once so many messages wait.
func (w *world) waiting(n int) (s outbox.Stats) {
	w.t.Helper()
	until(w.t, func() bool {
		s = w.s.outbox.Stats()
		return s.Waiting == n
	}, func() string { return fmt.Sprintf("not %d messages wait: %+v", n, s) })
	return s
}

func (w *world) accept(form string) (receipt string) {
	w.t.Helper()
	_, body := w.choose(form)
	var a choiceAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Receipt == "" {
		w.t.Fatalf("the choice got %s", body)
	}
	return a.Receipt
}

func TestEventFromPage(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, nil)

	// Before a choice: nothing is sent, and the answer says why.
	_, a := w.fromPage(leadBody("e1"))
	want := eventAnswer{ID: "e1", Sent: []string{}, Withheld: map[string]string{
		"ga4": "analytics was not chosen yet", "meta-pixel": "marketing was not chosen yet", "microsoft-uet": "marketing was not chosen yet",
	}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("before a choice (-want +got):\n%s", diff)
	}
	if n := w.queued(); n != 0 {
		t.Errorf("A1: %d messages before a choice", n)
	}

	// Analytics alone: Google gets it, with the denial of what is marketing.
	w.accept("category=analytics")
	if _, a = w.fromPage(leadBody("e2")); fmt.Sprint(a.Sent, len(a.Withheld)) != "[ga4] 2" {
		t.Errorf("with analytics: %+v", a)
	}
	got := p.next(t)
	at := got.body.(map[string]any)["timestamp_micros"]
	if got.path != "/mp/collect?api_secret=s3cret-test_ga4&measurement_id=G-AB12CD34EF" {
		t.Errorf("sent to %s", got.path)
	}
	wantBody := map[string]any{
		"client_id": "11.22", "timestamp_micros": at, "consent": map[string]any{"ad_user_data": "DENIED", "ad_personalization": "DENIED"},
		"events": []any{map[string]any{"name": "generate_lead", "params": map[string]any{"page_location": "https://www.shop.example/form", "value": 5.0, "currency": "EUR"}}},
	}
	if diff := cmp.Diff(any(wantBody), got.body); diff != "" {
		t.Errorf("Google got (-want +got):\n%s", diff)
	}
	for _, name := range []string{"Cookie", "Referer", "User-Agent", "X-Forwarded-For", "Origin"} {
		if v := got.header.Get(name); v != "" {
			t.Errorf("%s: %s went along", name, v)
		}
	}

	// All: the same id again for who got it is not sent again.
	w.accept("accept=all")
	if _, a = w.fromPage(leadBody("e2")); fmt.Sprint(a.Sent, len(a.Withheld)) != "[ga4 meta-pixel microsoft-uet] 0" {
		t.Errorf("with all: %+v", a)
	}
	parts := map[string]arrival{}
	for range 2 {
		got := p.next(t)
		parts[strings.Split(got.path, "/")[1]] = got
	}
	meta := parts["v24.0"]
	if meta.path != "/v24.0/123456789012345/events?access_token=s3cret-test_meta" || !strings.Contains(fmt.Sprint(meta.body), "client_user_agent:Go-http-client") {
		t.Errorf("Meta got %s %v", meta.path, meta.body)
	}
	uet := parts["v1"]
	if uet.path != "/v1/97267979/events" || uet.auth != "Bearer s3cret-test_uet" || !strings.Contains(fmt.Sprint(uet.body), "adStorageConsent:G ") {
		t.Errorf("Microsoft got %s %v %v", uet.path, uet.auth, uet.body)
	}
	if n := w.queued(); n != 3 {
		t.Errorf("%d messages were queued, want 3: one event, three vendors, each once", n)
	}

	// Without a time it is now.
	if _, a = w.fromPage(`{"name":"wish_list","id":"e4"}`); fmt.Sprint(a.Sent, len(a.Withheld)) != "[ga4 microsoft-uet] 1" {
		t.Errorf("without a time: %+v", a)
	}
	p.next(t)
	p.next(t)

	// Withdrawn between.
	w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice)
	if _, a = w.fromPage(leadBody("e3")); len(a.Sent) != 0 || len(a.Withheld) != 3 || w.queued() != 5 {
		t.Errorf("A9: after the withdrawal: %+v, %d queued", a, w.queued())
	}
}

// A token that was copied before a withdrawal grants nothing after it.
func TestEventByAnOldToken(t *testing.T) {
	w := eventWorld(t, newParty(t), nil)
	w.accept("accept=all")
	resp, _ := w.get("/stile/shop.js")
	old := ""
	for _, c := range w.client.Jar.Cookies(resp.Request.URL) {
		if c.Name == "stile_shop" {
			old = c.Value
		}
	}
	w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice)
	w.client.Jar = nil
	if _, a := w.fromPage(leadBody("e1"), "X-Stile-Choice", old); old == "" || len(a.Sent) != 0 {
		t.Errorf("the old token still grants: %+v", a)
	}
}

func TestEventFromShop(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, nil)
	receipt := w.accept("accept=all")
	w.client.Jar = nil // the shop's server has none of the visitor's cookies
	with := func(id, receipt string) string {
		return strings.TrimSuffix(leadBody(id), "}") + `,"receipt":"` + receipt + `"}`
	}

	for name, body := range map[string]string{"none": leadBody("e1"), "an unknown one": with("e1", uuid.NewString())} {
		for _, region := range []string{"DE", "US-CA"} { // where no consent is asked for, nobody knows whose event it is all the same
			if _, a := w.fromShop(body, "X-Region", region); len(a.Sent)+len(a.Told) != 0 || len(a.Withheld) != 3 || !strings.Contains(a.Withheld["ga4"], "no consent") {
				t.Errorf("receipt: %s: %+v", name, a)
			}
		}
	}
	if _, a := w.fromShop(with("e2", receipt)); fmt.Sprint(a.Sent) != "[ga4 meta-pixel microsoft-uet]" {
		t.Errorf("with a receipt: %+v", a)
	}
	for range 3 {
		if text := fmt.Sprint(p.next(t).body); strings.Contains(text, "Go-http-client") {
			t.Errorf("the shop's own user agent was taken for the visitor's: %s", text)
		}
	}
	// Sec-GPC of the visitor, passed on by the shop, withholds what sells unless it was granted with the signal on (D2).
	if _, a := w.fromShop(with("e3", receipt), "Sec-GPC", "1"); fmt.Sprint(a.Sent) != "[ga4]" || a.Withheld["meta-pixel"] != "Sec-GPC" {
		t.Errorf("with Sec-GPC: %+v", a)
	}
	p.next(t)

	// The record in force counts, not the one that is named.
	record, err := w.s.ledger.Find(t.Context(), "shop", uuid.MustParse(receipt))
	if err != nil {
		t.Fatal(err)
	}
	record.ID, record.Key, record.Previous = uuid.Must(uuid.NewV7()), uuid.New(), record.ID
	record.Action, record.Granted, record.Denied = "withdraw", []string{}, []string{"analytics", "marketing"}
	if _, err := w.s.ledger.Append(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	before := w.queued()
	if _, a := w.fromShop(with("e4", receipt)); len(a.Sent) != 0 || len(a.Withheld) != 3 || w.queued() != before {
		t.Errorf("A9: after the withdrawal: %+v", a)
	}
	if _, err := w.s.ledger.Erase(t.Context(), "shop", record.Subject, ledger.By{Actor: ledger.Visitor, Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, a := w.fromShop(with("e5", receipt)); len(a.Sent) != 0 || w.queued() != before {
		t.Errorf("C10: after the erasure: %+v", a)
	}
}

// A record keeps the country: the law of the state that it was made in stands all the same.
func TestEventUnderTheRecordsRegime(t *testing.T) {
	w := eventWorld(t, newParty(t), nil)
	w.choose("accept=none", "X-Region", "US-CA")
	st := w.s.current.Load().sites["shop"]
	records, err := w.s.ledger.History(t.Context(), "shop", mustSubject(t, w))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	if got := st.regionOf(&records[0]); got != "US-CA" {
		t.Errorf("the region is %q", got)
	}
	records[0].Regime = "gone"
	if got := st.regionOf(&records[0]); got != "" {
		t.Errorf("of a regime that the site has no more the region is %q, want the strictest", got)
	}
}

func mustSubject(t *testing.T, w *world) uuid.UUID {
	t.Helper()
	_, body := w.get("/stile/shop/receipt?brief=1")
	var a choiceBrief
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatal(err)
	}
	r, err := w.s.ledger.Find(t.Context(), "shop", uuid.MustParse(a.Receipt))
	if err != nil {
		t.Fatal(err)
	}
	return r.Subject
}

// Told: the vendor gets the explicit denial, and nothing that points to somebody (REQUIREMENTS G).
func TestEventTold(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, func(text string) string {
		text = strings.Replace(text, "secret_env: TEST_GA4", "secret_env: TEST_GA4, denied: told, forward: [ip, user_agent, query]", 1)
		return strings.Replace(text, "secret_env: TEST_UET", "secret_env: TEST_UET, denied: told, forward: [ip, user_agent, query]", 1)
	})
	w.accept("accept=none")
	_, a := w.fromPage(leadBody("e1"))
	if fmt.Sprint(a.Sent, a.Told, len(a.Withheld)) != "[] [ga4 microsoft-uet] 1" {
		t.Errorf("the answer is %+v", a)
	}
	for range 2 {
		got := p.next(t)
		body := got.body.(map[string]any)
		want := any(map[string]any{
			"client_id": body["client_id"], "timestamp_micros": body["timestamp_micros"], "consent": map[string]any{"ad_user_data": "DENIED", "ad_personalization": "DENIED"},
			"events": []any{map[string]any{"name": "generate_lead", "params": map[string]any{"page_location": "https://www.shop.example/form", "value": 5.0, "currency": "EUR"}}},
		})
		if strings.HasPrefix(got.path, "/v1/") {
			of := body["data"].([]any)[0].(map[string]any)
			want = map[string]any{"continueOnValidationError": false, "data": []any{map[string]any{
				"eventType": "custom", "eventName": "lead", "eventTime": of["eventTime"], "eventSourceUrl": "https://www.shop.example/form", "adStorageConsent": "D",
				"userData": map[string]any{"anonymousId": of["userData"].(map[string]any)["anonymousId"]}, "customData": map[string]any{"value": 5.0, "currency": "EUR"},
			}}}
		}
		if diff := cmp.Diff(want, got.body); diff != "" {
			t.Errorf("%s got (-want +got):\n%s", got.path, diff)
		}
	}
	// A crawler is nobody whose denial could be told of.
	if _, a := w.fromPage(leadBody("e2"), "User-Agent", "Googlebot/2.1 (+http://www.google.com/bot.html)"); len(a.Told) != 0 || w.queued() != 2 {
		t.Errorf("a crawler's event: %+v", a)
	}
}

// Events in a list are taken all together or not at all.
func TestEventList(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, nil)
	w.accept("category=analytics")
	if resp, text := w.sendJSON("["+leadBody("e1")+`,{"name":"lead"}]`, "Origin", "https://www.shop.example"); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "[1].id: it is missing") || w.queued() != 0 {
		t.Errorf("half a list: %d %s, %d queued", resp.StatusCode, text, w.queued())
	}
	resp, text := w.sendJSON("["+leadBody("e1")+","+leadBody("e2")+","+leadBody("e1")+"]", "Origin", "https://www.shop.example")
	var answers []eventAnswer
	if err := json.Unmarshal([]byte(text), &answers); err != nil || resp.StatusCode != http.StatusAccepted || len(answers) != 3 {
		t.Fatalf("a list: %d %s", resp.StatusCode, text)
	}
	p.next(t)
	p.next(t)
	if n := w.queued(); n != 2 {
		t.Errorf("%d messages were queued, want 2: one id is there twice", n)
	}
}

func TestEventErrors(t *testing.T) {
	w := eventWorld(t, newParty(t), nil)
	w.accept("accept=all")
	page, key := []string{"Origin", "https://www.shop.example"}, []string{"Authorization", "Bearer " + eventKeyText}
	for _, test := range []struct {
		name, body string
		headers    []string
		status     int
		want       string
	}{
		{"no origin", leadBody("e"), nil, 403, "names no origin"},
		{"another origin", leadBody("e"), []string{"Origin", "https://evil.example"}, 403, "origin https://evil.example may not send events"},
		{"a page's key", leadBody("e"), append(key, page...), 403, "a page cannot send the key"},
		{"a wrong key", leadBody("e"), []string{"Authorization", "Bearer " + eventKeyText + "0"}, 401, "the key is wrong"},
		{"the key as a password", leadBody("e"), []string{"Authorization", eventKeyText}, 401, "the key is wrong"},
		{"a form", leadBody("e"), append([]string{"Content-Type", "text/plain"}, page...), 415, "application/json"},
		{"too large", strings.Repeat(" ", event.MaxSize) + leadBody("e"), page, 413, "larger than 64 KB: nothing was sent"},
		{"no JSON", `{"name"`, page, 400, "nothing was sent: this is not JSON"},
		{"a page's receipt", `{"name":"lead","id":"e","receipt":"` + uuid.NewString() + `"}`, page, 400, "receipt: it goes with a key"},
		{"a page's address", `{"name":"lead","id":"e","client":{"ip":"192.0.2.1"}}`, page, 400, "ip and user_agent go with a key"},
		{"a foreign page", `{"name":"lead","id":"e","page":"https://evil.example/"}`, key, 400, "page: it is none of the site's"},
		{"the future", `{"name":"lead","id":"e","time":"2999-01-01T00:00:00Z"}`, key, 400, "time: it is in the future"},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, text := w.sendJSON(test.body, test.headers...)
			if resp.StatusCode != test.status || !strings.Contains(text, test.want) || strings.Count(text, "\n") > 1 {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, text, test.status, test.want)
			}
			if asks := resp.Header.Get("WWW-Authenticate") != ""; asks != (test.status == 401) {
				t.Errorf("WWW-Authenticate is %q", resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
	if n := w.queued(); n != 0 {
		t.Errorf("%d messages were queued", n)
	}
	resp, _ := w.send(http.MethodOptions, "/stile/shop/event", "", "Origin", "https://www.shop.example", "Access-Control-Request-Method", "POST")
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != "https://www.shop.example" || strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
}

// A site that sends no events, and a server without a key, say so.
func TestEventNotConfigured(t *testing.T) {
	w := newWorld(t)
	if resp, text := w.sendJSON(leadBody("e"), "Origin", "https://www.shop.example"); resp.StatusCode != http.StatusNotFound || !strings.Contains(text, "site shop sends no events") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, text := w.sendJSON(leadBody("e"), "Authorization", "Bearer "); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(text, "STILE_EVENT_KEY") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// When too much waits the answer says when to come again, and nothing of the event is kept.
func TestEventQueueFull(t *testing.T) {
	w := eventWorld(t, newParty(t), nil)
	w.accept("accept=all")
	box, err := outbox.Open(t.Context(), outbox.Options{Path: filepath.Join(t.TempDir(), "outbox.db"), Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	w.s.outbox = box
	resp, text := w.sendJSON(leadBody("e"), "Origin", "https://www.shop.example")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(text, "nothing was added") || box.Stats().Waiting != 0 {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
}

// What is withdrawn while an event is on its way into the queue does not stay there.
func TestEventRace(t *testing.T) {
	p := newParty(t)
	p.Close() // nobody answers: what is queued waits
	w := eventWorld(t, p, nil)
	receipt := uuid.MustParse(w.accept("accept=all"))
	st := w.s.current.Load().sites["shop"]
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	g, err := w.s.ground(t.Context(), r, w.s.current.Load(), st, true, receipt)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse([]byte(leadBody("e1")))
	if err != nil {
		t.Fatal(err)
	}
	messages, _, err := w.s.deliver(st, &e, g)
	if err != nil || len(messages) != 3 {
		t.Fatal(len(messages), err)
	}
	w.accept("category=analytics")
	if err := w.s.send(t.Context(), st, messages, map[uuid.UUID]*ground{receipt: g}); err != nil {
		t.Fatal(err)
	}
	if n := w.s.outbox.Stats().Waiting; n != 1 {
		t.Errorf("%d messages wait, want Google's alone", n)
	}
}

// A secret that is missing is an error at the start, and keeps the old configuration at a reload.
func TestEventSecrets(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, nil)
	for name, test := range map[string]struct{ change, want string }{
		"no variable": {"secret_env: TEST_NONE", "tag ga4: its secret is missing: put it into the environment variable TEST_NONE"},
		"no file":     {"secret_file: none.txt", "none.txt: no such file"},
		"empty file":  {"secret_file: empty.txt", "its secret is missing: put it into the file"},
		"two words":   {"secret_file: words.txt", "words.txt holds no secret"},
	} {
		for file, text := range map[string]string{"empty.txt": " \n", "words.txt": "s3cret words"} {
			if err := os.WriteFile(filepath.Join(w.folder, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.write(strings.Replace(fmt.Sprintf(eventSite, p.URL), "secret_env: TEST_GA4", test.change, 1))
		err := w.s.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	w.accept("category=analytics")
	if _, a := w.fromPage(leadBody("e1")); len(a.Sent) != 1 {
		t.Errorf("the old configuration does not go on: %+v", a)
	}
	if err := os.WriteFile(filepath.Join(w.folder, "good.txt"), []byte("fr0m-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.next(t)
	w.write(strings.Replace(fmt.Sprintf(eventSite, p.URL), "secret_env: TEST_GA4", "secret_file: good.txt", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fromPage(leadBody("e2"))
	if got := p.next(t).path; !strings.Contains(got, "api_secret=fr0m-file") {
		t.Errorf("sent to %s", got)
	}
}

// only: the browser gets nothing of the vendor's, granted or not.
func TestEventOnly(t *testing.T) {
	p := newParty(t)
	w := eventWorld(t, p, func(text string) string { return strings.ReplaceAll(text, "secret_env:", "only: true, secret_env:") })
	w.accept("accept=all")
	_, body := w.get("/stile/shop.js")
	for _, part := range []string{"G-AB12CD34EF", "123456789012345", "97267979", "googletagmanager", "facebook", "bing.com", "gtag", "s3cret", p.URL} {
		if strings.Contains(body, part) {
			t.Errorf("%s is in the script", part)
		}
	}
	if _, a := w.fromPage(leadBody("e1")); len(a.Sent) != 3 {
		t.Errorf("the answer is %+v", a)
	}
	for range 3 {
		if text := fmt.Sprint(p.next(t).body); strings.Contains(text, "DENIED") {
			t.Errorf("the signals of the consent mode are lost: %s", text)
		}
	}
}
