package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/alert"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// healthy is a server of which nothing is to be said.
func healthy() Health {
	return Health{
		Version: "v1.2.0", Go: "go1.26.1", Started: now.Add(-50 * time.Hour), Loaded: now.Add(-3 * time.Hour),
		Keys: []keys.Info{
			{Name: "cookie-2.key", Kind: keys.Cookie, Made: now.AddDate(0, -2, 0), State: keys.Signs},
			{Name: "receipt-1.key", Kind: keys.Receipt, Made: now.AddDate(0, -2, 0), State: keys.Signs},
			{Name: "log-1.key", Kind: keys.Log, State: keys.Signs},
		},
		Ledger: ledger.Health{Engine: "PostgreSQL", Schema: 5, Size: 12345, Sealed: 12345, Signed: now.Add(-4 * time.Second)}, Remote: true,
		Flushed: now.Add(-5 * time.Second), Outbox: outbox.Stats{Waiting: 3, Sent: 1200}, Free: 90 << 30, Size: 200 << 30, Ways: []string{"webhook to hooks.chat.example"},
	}
}

// ill is one of which much is.
func ill() Health {
	h := healthy()
	h.Refused, h.RefusedAt = "stile.yaml:3:1: error: controller: it is missing; say who is answerable: {name: ..., contact: ...}\n    3 | controler: {name: EasyDser}\n      | ^", now.Add(-2*time.Minute)
	h.Keys[0].Made = now.AddDate(-2, 0, 0)
	h.Keys = append(h.Keys, keys.Info{Name: "cookie-1.key", Kind: keys.Cookie, Made: now.AddDate(-4, 0, 0), State: keys.Verifies, Next: now.AddDate(-2, 0, 0)})
	h.Lost = errors.New("the database 10.0.0.5:5432/stile does not answer: connection refused")
	h.Spool = ledger.Spool{Waiting: 412, Oldest: now.Add(-25 * time.Minute)}
	h.Flushed = now.Add(-25 * time.Minute)
	h.Outbox = outbox.Stats{Waiting: 40, Sent: 90, Failed: 2, Oldest: now.Add(-5 * time.Hour)}
	h.Free, h.Ways = 200<<20, nil
	return h
}

// line is a check of the page by its name.
func lineOf(t *testing.T, doc *goquery.Document, name string) *goquery.Selection {
	t.Helper()
	found := doc.Find(".checks > li").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find("p b").First().Text() == name })
	if found.Length() == 0 {
		t.Fatalf("there is no line %q", name)
	}
	return found.First()
}

func TestHealthStates(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Health)
		line   string
		state  tone
		value  string
		advice string
	}{
		{"all is well", func(*Health) {}, "Database", toneGood, "PostgreSQL, answers", ""},
		{"a reload that failed", func(h *Health) { h.Refused, h.RefusedAt = "stile.yaml: no", now.Add(-time.Minute) }, "Last reload", toneBad, "refused 1 minute ago; the configuration from before goes on", "stile check"},
		{"a database that is away", func(h *Health) { h.Lost = errors.New("refused") }, "Database", toneBad, "does not answer", "Choices are kept in the spool"},
		{"a file that cannot be read", func(h *Health) { h.Lost, h.Remote = errors.New("damaged"), false }, "Database", toneBad, "does not answer", "nobody's choice can be stored"},
		{"a spool that begins to fill", func(h *Health) { h.Spool = ledger.Spool{Waiting: 1, Oldest: now.Add(-time.Minute)} }, "Spool", toneWarn, "1 choice waits, the oldest for 1 minute", "Do not delete"},
		{"a spool that fills", func(h *Health) { h.Spool = ledger.Spool{Waiting: 4120, Oldest: now.Add(-11 * time.Minute)} }, "Spool", toneBad, "4,120 choices wait, the oldest for 11 minutes", "Do not delete"},
		{"a checkpoint on its way", func(h *Health) { h.Ledger.Sealed, h.Lagging = 12340, now.Add(-time.Second) }, "Checkpoint", toneGood, "covers 12,340 of 12,345 entries, signed 4 seconds ago", ""},
		{"a checkpoint that lags", func(h *Health) { h.Ledger.Sealed, h.Lagging = 12340, now.Add(-2*time.Minute) }, "Checkpoint", toneWarn, "12,340 of", "the log cannot be sealed"},
		{"a checkpoint that does not come", func(h *Health) { h.Ledger.Sealed, h.Lagging = 12340, now.Add(-16*time.Minute) }, "Checkpoint", toneBad, "12,340 of", "the log cannot be sealed"},
		{"no checkpoint", func(h *Health) { h.Ledger = ledger.Health{Size: 2} }, "Checkpoint", toneWarn, "none, of 2 entries", "sealed"},
		{"nothing to sign", func(h *Health) { h.Ledger = ledger.Health{} }, "Checkpoint", toneNote, "after the first choice", ""},
		{"choices refused", func(h *Health) { h.Busy = 7 }, "Choices refused", toneWarn, "7 in the last 15 minutes", "Pages send them again"},
		{"figures that wait", func(h *Health) { h.Flushed = now.Add(-2 * time.Minute) }, "Figures", toneWarn, "stored 2 minutes ago", "in memory"},
		{"figures that wait long", func(h *Health) { h.Flushed = now.Add(-2 * time.Hour) }, "Figures", toneBad, "stored 2 hours ago", "are lost"},
		{"no figures yet", func(h *Health) { h.Started, h.Flushed = now.Add(-5*time.Second), time.Time{} }, "Figures", toneNote, "nothing was counted yet", ""},
		{"figures that never were stored", func(h *Health) { h.Started, h.Flushed = now.Add(-2*time.Minute), time.Time{} }, "Figures", toneWarn, "cannot be stored: not once since the start, 2 minutes ago", "in memory"},
		{"figures that were not stored for days", func(h *Health) { h.Flushed = time.Time{} }, "Figures", toneBad, "not once since the start, 2 days ago", "are lost"},
		{"a vendor that does not answer", func(h *Health) { h.Outbox.Oldest = now.Add(-2 * time.Hour) }, "Events to vendors", toneWarn, "3 waiting, 1,200 sent, the oldest for 2 hours", "dropped after a day"},
		{"a vendor that refuses", func(h *Health) { h.Outbox.Failed = 9 }, "Events to vendors", toneWarn, "9 refused since the start", "account or secret"},
		{"nobody is told", func(h *Health) { h.Ways = nil }, "Alerts", toneNote, "nobody is told", "--smtp"},
		{
			"a webhook that failed", func(h *Health) {
				h.Ways = append(h.Ways, "e-mail by mail.shop.example")
				h.Untold = map[string]alert.Failure{"webhook to hooks.chat.example": {At: now.Add(-3 * time.Minute), Err: errors.New("it answered 500 Internal Server Error")}}
			}, "Alerts", toneWarn,
			"webhook to hooks.chat.example failed 3 minutes ago (it answered 500 Internal Server Error), e-mail by mail.shop.example", "send a test",
		},
		{"alerts that were taken", func(h *Health) { h.Untold = map[string]alert.Failure{} }, "Alerts", toneGood, "webhook to hooks.chat.example", ""},
		{"an old key", func(h *Health) { h.Keys[0].Made = now.AddDate(-1, 0, -1) }, "Choices", toneWarn, "signs, made 1 year ago", "stile keys new cookie"},
		{"a key of the environment", func(*Health) {}, "Log", toneGood, "12,345 entries", ""},
		{"a disk that fills", func(h *Health) { h.Free = 5 << 30 }, "Data folder", toneWarn, "5.0 GiB of 200.0 GiB free", "Make room soon"},
		{"a disk that is nearly full", func(h *Health) { h.Free = 90 << 20 }, "Data folder", toneBad, "90 MiB of 200.0 GiB free", "Make room:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newDesk(t)
			h := healthy()
			test.change(&h)
			k.d.Health = func(context.Context) Health { return h }
			doc := k.page(account.Admin, "/admin/health")
			line := lineOf(t, doc, test.line)
			badge := line.Find(".badge").First()
			if badge.Text() != test.state.Word() || test.state != toneNote && !badge.HasClass(string(test.state)) || !strings.Contains(line.Text(), test.value) {
				t.Errorf("the line says %q", line.Text())
			}
			place := line
			if test.state == toneBad { // loudly
				place = doc.Find("[role=alert]")
			} else if test.state == toneGood && doc.Find("[role=alert]").Length() > 0 {
				t.Error("something is shouted")
			}
			if !strings.Contains(place.Text(), test.advice) {
				t.Errorf("%q does not say %q", place.Text(), test.advice)
			}
		})
	}
}

func TestHealthShowsWarnings(t *testing.T) {
	k := newDesk(t)
	k.site = siteOf(t, strings.Replace(siteText, "policy: {version: 2026-11-01}", "policy: {version: 2026-11-01}\nremember: 30d", 1))
	t.Cleanup(k.site.Gate.Close)
	k.d.Health = func(context.Context) Health { return healthy() }
	doc := k.page(account.Admin, "/admin/health")
	line := lineOf(t, doc, "shop")
	for _, want := range []string{"remember", "asked again after 30 days", "180d is what CNIL", "5 | remember: 30d", "^"} {
		if !strings.Contains(strings.ToLower(line.Text()), strings.ToLower(want)) {
			t.Errorf("%q is not in %q", want, line.Text())
		}
	}
	if pre := line.Find("pre"); pre.Length() == 0 || pre.AttrOr("tabindex", "") != "0" {
		t.Error("the excerpt cannot be reached by the keyboard")
	}
}

func TestHealthForMachines(t *testing.T) {
	k := newDesk(t)
	k.d.Health = func(context.Context) Health { return ill() }
	rec := k.ask(account.Admin, http.MethodGet, "/admin/health.json")
	var got struct {
		State  string
		Groups []struct {
			Title  string
			Checks []struct{ Name, State, Value, Advice, Detail string }
		}
		Sites []struct {
			Site     string
			Warnings []any
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatal(err, rec.Header())
	}
	first := got.Groups[0].Checks[0]
	if got.State != "bad" || len(got.Groups) != 5 || first.Name != "Last reload" || first.State != "bad" || !strings.Contains(first.Detail, "controler") ||
		len(got.Sites) != 1 || got.Sites[0].Site != "shop" || got.Sites[0].Warnings == nil {
		t.Errorf("%s", rec.Body)
	}
	for _, path := range []string{"/admin/health", "/admin/health.json"} {
		if rec := k.ask(account.Officer, http.MethodGet, path); rec.Code != http.StatusForbidden || strings.Contains(rec.Body.String(), "10.0.0.5") {
			t.Errorf("GET %s as officer: %d", path, rec.Code)
		}
	}
}

// watch is a Watch whose alerts a test makes up.
type watch struct {
	list    []alert.Record
	places  []string
	results []alert.Result
	asked   []string
}

func (w *watch) List(context.Context) ([]alert.Record, error) { return w.list, nil }
func (w *watch) Places() []string                             { return w.places }
func (w *watch) Test(_ context.Context, site, by string) []alert.Result {
	w.asked = append(w.asked, by+" "+site)
	return w.results
}

func raised(kind alert.Kind, site, subject, text string, ago time.Duration) alert.Record {
	return alert.Record{Alert: alert.Alert{Site: site, Kind: kind, Subject: subject, Text: text}, Raised: now.Add(-ago), Seen: now}
}

func someAlerts() *watch {
	at := func(r alert.Record, cleared time.Duration, tellings ...alert.Telling) alert.Record {
		if r.Tellings = tellings; cleared > 0 {
			r.Cleared = now.Add(-cleared)
		}
		return r
	}
	sent := alert.Telling{Way: "webhook", Place: "hooks.chat.example", Told: now.Add(-time.Hour), Tries: 1}
	over := sent
	over.Ended = true
	return &watch{places: []string{"webhook to hooks.chat.example", "e-mail by mail.shop.example"}, list: []alert.Record{
		at(raised(alert.Overdue, "shop", "7KQ4-M2XD", "Request 7KQ4-M2XD (access) was due on Friday 20 November 2026 and is not answered.", time.Hour), 0, sent,
			alert.Telling{Way: "mail", Place: "shop.example", Due: now.Add(time.Minute), Tries: 3, Error: "mail.shop.example did not answer within 20 seconds"}),
		at(raised(alert.OptIn, "shop", "", "The opt-in rate fell to 30.0% on Saturday 21 November 2026; on the Saturdays before it was 50.0%. Look at what changed: the banner, its words, where visitors come from.", 9*time.Hour), 0, sent),
		at(raised(alert.Away, "", "", "The database has taken nothing since 09:05 UTC on 22 November 2026. 412 choices wait in the spool.", 20*time.Minute), 0, sent),
		at(raised(alert.Host, "shop", "static.hotjar.com", "static.hotjar.com was seen on 14 pages in the last week, and no tag of the site gates it.", 200*time.Hour), 90*time.Hour, sent, over),
		at(raised(alert.Reload, "", "", "A new configuration was refused.", 300*time.Hour), 299*time.Hour, alert.Telling{Way: "webhook", Tries: 40, Error: "it answered 500 Internal Server Error"}),
		at(raised(alert.Vendor, "shop", "ga4", "www.google-analytics.com has taken nothing for ga4.", 400*time.Hour), 399*time.Hour, alert.Telling{Way: "webhook"}),
	}}
}

// Each role sees the alerts that are its own.
func TestAlertsByRole(t *testing.T) {
	k := newDesk(t)
	k.d.Watch = someAlerts()
	for role, want := range map[account.Role][]string{
		account.Viewer:  {"The opt-in rate fell"},
		account.Officer: {"A request is overdue", "The opt-in rate fell"},
		account.Admin:   {"A request is overdue", "The opt-in rate fell", "The database is away"},
	} {
		doc := k.page(role, "/admin/alerts")
		var got []string
		doc.Find(".raised h2").Each(func(_ int, s *goquery.Selection) { got = append(got, s.Text()) })
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s sees %q", role, got)
		}
		if rows := doc.Find("tbody tr").Length(); rows != map[bool]int{true: 3, false: 2}[role == account.Admin] {
			t.Errorf("%s sees %d rows of the past", role, rows)
		}
		if form := doc.Find("form[action='/admin/alerts']").Length() == 1; form != (role == account.Admin) {
			t.Errorf("%s can send a test: %v", role, form)
		}
	}
	text := k.page(account.Admin, "/admin/alerts").Find("main").Text()
	for _, want := range []string{
		"Told by webhook to hooks.chat.example, 22 Nov 08:30", "Told to be over by webhook", "Not told yet by e-mail to shop.example: mail.shop.example did not answer",
		"Given up by webhook: it answered 500 Internal Server Error", "Not told by webhook: it was over before",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestAlertsEmpty(t *testing.T) {
	k := newDesk(t)
	text := k.page(account.Admin, "/admin/alerts").Find("main").Text()
	for _, want := range []string{"Nothing to look at", "Nobody is told yet", "--alert-webhook-file", "opt_in_drop: 20%"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestAlertsTest(t *testing.T) {
	k := newDesk(t)
	w := someAlerts()
	w.results = []alert.Result{{Way: "webhook", Place: "hooks.chat.example", Took: 84 * time.Millisecond}, {Way: "mail", Place: "shop.example", Err: errors.New("mail.shop.example does not let the user in: 535 no")}}
	k.d.Watch = w
	var log strings.Builder
	k.d.Log = slog.New(slog.NewTextHandler(&log, nil))
	send := func(role account.Role, form string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(account.WithUser(t.Context(), account.User{Name: "ada", Role: role}), http.MethodPost, "/admin/alerts", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		k.d.ServeHTTP(rec, r)
		return rec
	}
	if rec := send(account.Officer, "site=shop"); rec.Code != http.StatusForbidden {
		t.Errorf("an officer: %d", rec.Code)
	}
	if rec := send(account.Admin, "site=elsewhere"); rec.Code != http.StatusBadRequest {
		t.Errorf("a site that is not here: %d", rec.Code)
	}
	if len(w.asked) > 0 {
		t.Errorf("it was sent: %v", w.asked)
	}
	rec := send(account.Admin, "site=shop")
	for _, want := range []string{"taken by hooks.chat.example in 84ms", "mail.shop.example does not let the user in: 535 no", "The test of shop"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if len(w.asked) != 1 || w.asked[0] != "ada shop" {
		t.Errorf("it was asked for %v", w.asked)
	}
	for _, want := range []string{
		`level=INFO msg="a test of alerts was sent" site=shop by=ada way=webhook to=hooks.chat.example`,
		`level=WARN msg="a test of alerts could not be sent" site=shop by=ada way=mail to=shop.example error="mail.shop.example does not let the user in: 535 no"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "was sent"); n != 1 {
		t.Errorf("the log says of %d that they were sent:\n%s", n, log.String())
	}
}
