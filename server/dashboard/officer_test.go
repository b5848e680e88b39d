package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/receipt/receipttest"
)

// office is a desk at which an officer sits: with exports, a signed log, and an outbox.
type office struct {
	*desk
	dropped []uuid.UUID // whose messages were dropped
	folder  string      // of exports
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{desk: newDesk(t), folder: filepath.Join(t.TempDir(), "exports")}
	jobs, err := export.OpenJobs(o.folder, o.ledger, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := jobs.Close(); err != nil {
			t.Error(err)
		}
	})
	o.site = siteOf(t, strings.Replace(siteText, "[en, de]", "[en, de, ar]", 1))
	t.Cleanup(o.site.Gate.Close)
	o.d.Officer = Officer{
		Exports: jobs,
		Forget: func(_ context.Context, _ string, subject uuid.UUID) (int, error) {
			o.dropped = append(o.dropped, subject)
			return 1, nil
		},
		Sign: func(_ *http.Request, site string, records []ledger.Record) ([]byte, error) {
			return fmt.Appendf(nil, `{"site":%q,"records":%d}`, site, len(records)), nil
		},
	}
	o.publish("en", "de", "ar")
	return o
}

// publish keeps the words of the site in some languages, as the server does.
func (o *office) publish(languages ...string) {
	o.t.Helper()
	words, err := o.site.Gate.Notices()
	if err != nil {
		o.t.Fatal(err)
	}
	p := ledger.Publication{List: o.site.List(), Entries: o.site.Entries()}
	for _, n := range words {
		if slices.Contains(languages, n.Language) {
			p.Notices = append(p.Notices, ledger.Notice{Hash: n.Hash, Site: "shop", Language: n.Language, Regime: n.Regime, Policy: "2026-11-01", Text: n.Text, Time: now.AddDate(0, 0, -21)})
		}
	}
	if err := o.ledger.Publish(o.t.Context(), "shop", p); err != nil {
		o.t.Fatal(err)
	}
}

// notice is the hash of what is shown in a language under a regime.
func (o *office) notice(lang, regime string) string {
	o.t.Helper()
	words, err := o.site.Gate.Notices()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, n := range words {
		if n.Language == lang && n.Regime == regime {
			return n.Hash
		}
	}
	o.t.Fatalf("there are no words in %s under %s", lang, regime)
	return ""
}

// chose stores a choice some hours ago.
func (o *office) chose(hours int, change func(*ledger.Record)) ledger.Record {
	o.t.Helper()
	at := now.Add(-time.Duration(hours) * time.Hour)
	r := ledger.Record{
		Key: uuid.New(), Site: "shop", Time: at, Action: consent.Custom, Granted: []string{"analytics"}, Denied: []string{"marketing"}, Services: []string{o.site.Tags[1].ID},
		Regime: "gdpr", Country: "DE", Language: "de", Policy: "2026-11-01", List: o.site.List(), Notice: o.notice("de", "gdpr"), Surface: "banner",
		Expiry: at.AddDate(0, 6, 0),
	}
	if change != nil {
		change(&r)
	}
	r, err := o.ledger.Append(o.t.Context(), r)
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// post sends a form.
func (o *office) post(role account.Role, path string, form ...string) *httptest.ResponseRecorder {
	o.t.Helper()
	return o.postAs(account.User{Name: "ada", Role: role}, path, form...)
}

func (o *office) postAs(user account.User, path string, form ...string) *httptest.ResponseRecorder {
	o.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(account.WithUser(o.t.Context(), user), http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	o.d.ServeHTTP(rec, r)
	return rec
}

// sent is a page that answers a form of an officer.
func (o *office) sent(status int, path string, form ...string) *goquery.Document {
	o.t.Helper()
	rec := o.post(account.Officer, path, form...)
	if rec.Code != status {
		o.t.Fatalf("POST %s %q: %d, want %d\n%s", path, form, rec.Code, status, rec.Body)
	}
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return doc
}

// entries is the audit trail, without what is minted, and what is not of the order.
func (o *office) entries() []ledger.Audit {
	o.t.Helper()
	all, err := o.ledger.Trail(o.t.Context(), "", -1, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

var asEntries = []cmp.Option{cmpopts.IgnoreFields(ledger.Audit{}, "Leaf", "Salt", "Time"), cmpopts.EquateEmpty()}

func (o *office) wantTrail(want ...ledger.Audit) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.entries(), asEntries...); diff != "" {
		o.t.Errorf("the audit trail (-want +got):\n%s", diff)
	}
}

var (
	spaces = regexp.MustCompile(`\s+`)
	ends   = regexp.MustCompile(` ([.,;:)])`)
)

// textOf is what a person reads in a part of a page: elements are apart.
func textOf(s *goquery.Selection) string {
	var b strings.Builder
	for _, part := range s.Nodes {
		for n := range part.Descendants() {
			if n.Type == html.TextNode {
				b.WriteString(n.Data)
			}
			b.WriteByte(' ')
		}
	}
	return ends.ReplaceAllString(strings.TrimSpace(spaces.ReplaceAllString(b.String(), " ")), "$1")
}

// factsOf are the names and values in the first list of facts of a part.
func factsOf(s *goquery.Selection) map[string]string {
	all := map[string]string{}
	s.Find("dl.facts").First().Children().Each(func(_ int, line *goquery.Selection) {
		all[textOf(line.Find("dt"))] = textOf(line.Find("dd"))
	})
	return all
}

const records = "/admin/sites/shop/records"

var allOfficers = []struct{ method, path string }{
	{"GET", records},
	{"POST", records},
	{"POST", records + "/receipt"},
	{"POST", records + "/confirm"},
	{"POST", records + "/act"},
	{"POST", records + "/exports"},
	{"GET", records + "/exports/X"},
	{"GET", records + "/exports/X/file"},
	{"POST", records + "/exports/X/delete"},
	{"GET", "/admin/sites/shop/requests"},
	{"GET", "/admin/sites/shop/requests/7KQ4-M2XD"},
	{"POST", "/admin/sites/shop/requests/7KQ4-M2XD"},
	{"GET", "/admin/sites/shop/trail"},
}

func TestOfficersPagesAreForOfficers(t *testing.T) {
	o := newOffice(t)
	r := o.chose(1, nil)
	o.d.Accounts = account.New(account.Options{Store: o.ledger})
	for _, page := range allOfficers {
		for _, role := range []account.Role{account.Nobody, account.Viewer} {
			var rec *httptest.ResponseRecorder
			if page.method == "GET" {
				rec = o.ask(role, page.method, page.path)
			} else {
				rec = o.post(role, page.path, "receipt", r.ID.String(), "do", "erase", "reason", "asked in writing", "format", "csv", "note", "sent")
			}
			want := http.StatusForbidden
			if role == account.Nobody {
				want = map[bool]int{true: http.StatusSeeOther, false: http.StatusUnauthorized}[page.method == "GET"] // to the log-in
			}
			if rec.Code != want {
				t.Errorf("%s %s as %s: %d", page.method, page.path, role, rec.Code)
			}
			if strings.Contains(rec.Body.String(), r.ID.String()) {
				t.Errorf("%s %s as %s tells of the record", page.method, page.path, role)
			}
		}
	}
	o.wantTrail()
	if n, err := o.ledger.Count(t.Context(), "shop"); n != 1 || err != nil {
		t.Errorf("%d records are left, %v", n, err)
	}
}

// Nothing that changes something is done by following a link.
func TestOfficersActsAreNeverGET(t *testing.T) {
	o := newOffice(t)
	r := o.chose(1, nil)
	for _, path := range []string{"/act", "/confirm", "/receipt", "/exports"} {
		rec := o.ask(account.Admin, http.MethodGet, records+path+"?do=erase&reason=asked+in+writing&format=csv&receipt="+r.ID.String())
		if rec.Code == http.StatusOK {
			t.Errorf("GET %s: %d", path, rec.Code)
		}
	}
	// Nor does a form take anything from its address.
	if rec := o.post(account.Officer, records+"/act?do=erase&reason=asked+in+writing&receipt="+r.ID.String()); rec.Code != http.StatusBadRequest {
		t.Errorf("by the address: %d", rec.Code)
	}
	o.wantTrail()
}

func TestLookup(t *testing.T) {
	o := newOffice(t)
	first := o.chose(72, func(r *ledger.Record) { r.GPC, r.Surface = true, "preferences" })
	o.chose(50, nil) // somebody else's
	second := o.chose(2, func(r *ledger.Record) {
		r.Previous, r.Action, r.Granted, r.Services, r.Denied = first.ID, consent.RejectAll, nil, nil, []string{"analytics", "marketing"}
		r.Language, r.Notice, r.Country = "en", o.notice("en", "gdpr"), "FR"
	})
	doc := o.sent(http.StatusOK, records, "receipt", " "+first.ID.String()+" ")
	want := map[string]string{
		"When": "22 Nov 2026, 07:30 UTC", "Granted": "–", "Denied": "analytics, marketing", "Regime": "gdpr", "Country": "France", "Language": "English",
		"Policy version": "2026-11-01", "Chosen": "on the banner", "Global Privacy Control": "not sent", "Expires": "22 May 2027, 07:30 UTC",
		"Receipt": second.ID.String(), "Number in the log": "2",
	}
	main := doc.Find("main")
	if diff := cmp.Diff(want, factsOf(main)); diff != "" {
		t.Errorf("the record in force (-want +got):\n%s", diff)
	}
	history := main.Find(".history > li")
	if history.Length() != 2 || !strings.Contains(textOf(history.Eq(0).Find("summary")), "Rejected all in force") {
		t.Fatalf("the history: %s", textOf(history))
	}
	if got := textOf(history.Eq(1).Find("summary")); got != "Chose in part superseded looked up 19 Nov 2026, 09:30 UTC · granted: analytics, Microsoft Clarity · denied: marketing" {
		t.Errorf("the one that was looked for: %q", got)
	}
	older := factsOf(history.Eq(1))
	if older["Granted"] != "analytics, "+o.site.Tags[1].Name || older["Global Privacy Control"] != "sent by the browser" || older["Chosen"] != "in the preferences" || older["Number in the log"] != "0" {
		t.Errorf("its facts: %v", older)
	}
	words := main.Find(".words")
	if words.Length() != 2 || words.Eq(0).AttrOr("lang", "") != "de" || words.Eq(1).AttrOr("lang", "") != "en" {
		t.Fatalf("%d notices, the first in %q", words.Length(), words.AttrOr("lang", ""))
	}
	if got := textOf(words.Eq(0)); !strings.Contains(got, "Alle ablehnen") || !strings.Contains(got, "Google Analytics") {
		t.Errorf("the words: %s", got)
	}
	o.wantTrail(ledger.Audit{Actor: "operator:ada", Act: ledger.ActShow, Site: "shop", Leaves: ledger.LeavesOf(0, 2), Count: 2})
	if at := o.entries()[0].Time; !at.Equal(now) {
		t.Errorf("it is noted for %s", at)
	}
	// The key that the page sent with the choice finds it, too.
	if got := factsOf(o.sent(http.StatusOK, records, "receipt", second.Key.String()).Find("main")); got["Receipt"] != second.ID.String() {
		t.Errorf("by the key: %v", got)
	}
}

// The words are read in their own direction.
func TestLookupArabic(t *testing.T) {
	o := newOffice(t)
	r := o.chose(1, func(r *ledger.Record) { r.Language, r.Notice = "ar", o.notice("ar", "gdpr") })
	words := o.sent(http.StatusOK, records, "receipt", r.ID.String()).Find(".words")
	if words.AttrOr("lang", "") != "ar" || words.AttrOr("dir", "") != "rtl" || !strings.Contains(words.Text(), "رفض الكل") {
		t.Errorf("lang %q, dir %q: %.200s", words.AttrOr("lang", ""), words.AttrOr("dir", ""), textOf(words))
	}
}

// Words that are not kept, and such as another Stile wrote, are said to be so.
func TestLookupOtherWords(t *testing.T) {
	o := newOffice(t)
	err := o.ledger.Publish(t.Context(), "shop", ledger.Publication{Notices: []ledger.Notice{{Hash: "old", Language: "de", Text: []byte(`{"Form":0,"<b>":"x"}`), Time: now}}, List: "l"})
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]string{"old": `{"Form":0,"<b>":"x"}`, "gone": "They are not kept here"} {
		r := o.chose(1, func(r *ledger.Record) { r.Notice = hash })
		got := textOf(o.sent(http.StatusOK, records, "receipt", r.ID.String()).Find("main"))
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s", hash, got)
		}
	}
}

func TestLookupRefuses(t *testing.T) {
	o := newOffice(t)
	unknown := uuid.NewString()
	for _, test := range []struct {
		receipt, want string
		status        int
	}{
		{"", "Write a receipt: it is a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b, and stands on the visitor's own preferences page.", http.StatusBadRequest},
		{"<script>", `"<script>" is no receipt: that is a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b.`, http.StatusBadRequest},
		{"00000000-0000-0000-0000-000000000000", `"00000000-0000-0000-0000-000000000000" is no receipt: that is a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b.`, http.StatusBadRequest},
		{"{" + unknown + "}", fmt.Sprintf("%q is no receipt: that is a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b.", "{"+unknown+"}"), http.StatusBadRequest},
		{unknown, "There is no record " + unknown + " of shop: it was erased, or it is of another site, or a character is wrong.", http.StatusNotFound},
	} {
		doc := o.sent(test.status, records, "receipt", test.receipt)
		if got := textOf(doc.Find("[role=alert]")); got != test.want {
			t.Errorf("%q: %q, want %q", test.receipt, got, test.want)
		}
		if got := doc.Find("#receipt").AttrOr("value", ""); got != test.receipt {
			t.Errorf("the form has %q", got)
		}
	}
	o.wantTrail()
	if rec := o.post(account.Officer, records, "receipt", strings.Repeat("a", mostBody)); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long form: %d", rec.Code)
	}
}

// What cannot be noted is not shown.
func TestNothingIsShownUnnoted(t *testing.T) {
	o := newOffice(t)
	r := o.chose(1, nil)
	o.asks("7KQ4-M2XD", 3)
	nobody := account.User{Name: strings.Repeat("n", 400), Role: account.Officer} // a name that no entry takes
	for _, path := range []string{records, records + "/receipt", records + "/confirm", records + "/act"} {
		rec := o.postAs(nobody, path, "receipt", r.ID.String(), "do", "erase")
		if rec.Code != http.StatusInternalServerError || strings.Contains(rec.Body.String(), "analytics") || strings.Contains(rec.Body.String(), "1 record") || strings.Contains(rec.Body.String(), "records\":") {
			t.Errorf("POST %s: %d\n%s", path, rec.Code, rec.Body)
		}
	}
	rec := httptest.NewRecorder()
	o.d.ServeHTTP(rec, httptest.NewRequestWithContext(account.WithUser(t.Context(), nobody), http.MethodGet, "/admin/sites/shop/requests/7KQ4-M2XD", http.NoBody))
	if rec.Code != http.StatusInternalServerError || strings.Contains(rec.Body.String(), "eva@mail.example") {
		t.Errorf("a request: %d\n%s", rec.Code, rec.Body)
	}
}

func TestSignedReceipt(t *testing.T) {
	o := newOffice(t)
	first := o.chose(5, nil)
	o.chose(1, func(r *ledger.Record) { r.Previous = first.ID })
	rec := o.post(account.Officer, records+"/receipt", "receipt", first.ID.String())
	if rec.Code != http.StatusOK || rec.Body.String() != `{"site":"shop","records":2}` || rec.Header().Get("Content-Disposition") != `attachment; filename="consent-shop.json"` {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	o.wantTrail(ledger.Audit{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.LeavesOf(0, 1), Count: 2, Detail: "signed receipt"})
}

func TestProof(t *testing.T) {
	o := newOffice(t)
	r := o.chose(1, nil)
	proof := func() map[string]string {
		return factsOf(o.sent(http.StatusOK, records, "receipt", r.ID.String()).Find("h2:contains('Proof')").Parent())
	}
	if got := proof(); got["Checkpoint"] != "the next one that is signed will have it" || got["Number in the log"] != "0" || got["Receipt"] != r.ID.String() {
		t.Errorf("before it is signed: %v", got)
	}
	o.ledger.Sign(receipttest.NewKey("log").Signer)
	if _, err := o.ledger.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := proof()["Checkpoint"]; !regexp.MustCompile(`^the first 2 entries, signed \d+ \w+ 20\d\d, \d\d:\d\d UTC$`).MatchString(got) {
		t.Errorf("signed: %q", got)
	}
}

func TestWithdrawForVisitor(t *testing.T) {
	o := newOffice(t)
	r := o.chose(5, nil)
	doc := o.sent(http.StatusOK, records+"/confirm", "receipt", r.ID.String(), "do", "withdraw")
	if h := textOf(doc.Find("h1")); h != "Take consent back for a visitor?" || doc.Find("form.ask select[name=reason]").Length() != 1 {
		t.Errorf("it asks %q", h)
	}
	// Each page that asks has told of a record.
	look := ledger.Audit{Actor: "operator:ada", Act: ledger.ActShow, Site: "shop", Leaves: ledger.LeavesOf(0), Count: 1, Detail: "before withdraw"}
	looks := []ledger.Audit{look}
	o.wantTrail(looks...)
	for _, test := range []struct {
		form []string
		want string
	}{
		{[]string{}, "Choose why: it goes to the audit trail."},
		{[]string{"reason", "since Eva asked"}, "Choose why: it goes to the audit trail."},
		{[]string{"reason", "request"}, "Write the number of the request: 7KQ4-M2XD."},
		{[]string{"reason", "asked in writing", "request", "7KQ4-M2XD"}, "The number of a request goes with the reason that the visitor sent one: choose that, or leave the number out."},
	} {
		got := textOf(o.sent(http.StatusBadRequest, records+"/act", append(test.form, "receipt", r.ID.String(), "do", "withdraw")...).Find("[role=alert]"))
		if got != test.want {
			t.Errorf("%q: %q, want %q", test.form, got, test.want)
		}
		looks = append(looks, look)
	}
	o.wantTrail(looks...)
	form := []string{"receipt", r.ID.String(), "do", "withdraw", "reason", "asked by telephone"}
	doc = o.sent(http.StatusOK, records+"/act", form...)
	history, err := o.ledger.History(t.Context(), "shop", r.Subject)
	if err != nil || len(history) != 2 || history[0].Action != consent.Withdraw || len(history[0].Granted) != 0 || !history[0].Time.Equal(now) {
		t.Fatalf("the history: %+v, %v", history, err)
	}
	if got := textOf(doc.Find("main [role=status]")); !strings.Contains(got, history[0].ID.String()) || !strings.Contains(got, "1 message that waited to be sent: dropped") {
		t.Errorf("it says %q", got)
	}
	// A second time there is nothing to take back.
	if got := textOf(o.sent(http.StatusConflict, records+"/act", form...).Find("[role=alert]")); !strings.Contains(got, "Nothing is granted that could be taken back: nothing was changed") {
		t.Errorf("again: %q", got)
	}
	again := look
	again.Leaves, again.Count = ledger.LeavesOf(0, history[0].Leaf), 2
	o.wantTrail(append(looks, ledger.Audit{
		Actor: "operator:ada", Act: ledger.ActWithdraw, Site: "shop", Leaves: ledger.LeavesOf(history[0].Leaf), Count: 1, Detail: "asked by telephone",
	}, again)...)
	if !cmp.Equal(o.dropped, []uuid.UUID{r.Subject}) {
		t.Errorf("dropped is what waits for %v", o.dropped)
	}
}

func TestEraseForVisitor(t *testing.T) {
	o := newOffice(t)
	first := o.chose(5, nil)
	last := o.chose(1, func(r *ledger.Record) { r.Previous = first.ID })
	other := o.chose(3, nil)
	o.asks("7KQ4-M2XD", 3)
	doc := o.sent(http.StatusOK, records+"/confirm", "receipt", last.ID.String(), "do", "erase", "request", "7KQ4-M2XD")
	if got := textOf(doc.Find("form.ask b")); got != "2 records of this visitor: erased for good." {
		t.Errorf("it asks %q", got)
	}
	if got := doc.Find("option[selected]").AttrOr("value", ""); got != "request" || doc.Find("form.ask input[name=request]").AttrOr("value", "") != "7KQ4-M2XD" {
		t.Errorf("the reason is %q", got)
	}
	path := o.post(account.Officer, records+"/exports", "format", "csv").Header().Get("Location")
	o.ended(path)
	form := []string{"receipt", last.ID.String(), "do", "erase", "reason", "request", "request", " 7kq4-m2xd "}
	if got := textOf(o.sent(http.StatusOK, records+"/act", form...).Find("main [role=status]")); !strings.Contains(got, "2 records of the visitor: erased for good, and 2 messages that waited to be sent: dropped") || !strings.Contains(got, "Request 7KQ4-M2XD is answered") {
		t.Errorf("it says %q", got)
	}
	if jobs := o.d.Exports.List("shop"); len(jobs) != 1 || time.Until(jobs[0].Until) > export.KeptErased {
		t.Errorf("an export that has them is kept: %+v", jobs)
	}
	if _, err := o.ledger.Find(t.Context(), "shop", first.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first record: %v", err)
	}
	if _, err := o.ledger.Find(t.Context(), "shop", other.ID); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	r, err := o.ledger.Request(t.Context(), "7KQ4-M2XD")
	if err != nil || r.Note != "erased 2 records" || !r.Answered.Equal(now) {
		t.Errorf("the request: %+v, %v", r, err)
	}
	if got := textOf(o.sent(http.StatusNotFound, records+"/act", form...).Find("[role=alert]")); !strings.Contains(got, "There is no record "+last.ID.String()) {
		t.Errorf("again: %q", got)
	}
	o.wantTrail(
		ledger.Audit{Actor: "operator:ada", Act: ledger.ActShow, Site: "shop", Leaves: ledger.LeavesOf(0, 1), Count: 2, Detail: "before erase"},
		ledger.Audit{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.Leaves{{First: 0, Last: 3}}, Count: 3, Detail: "csv"},
		ledger.Audit{Actor: "operator:ada", Act: ledger.ActErase, Site: "shop", Leaves: ledger.LeavesOf(0, 1), Count: 2, Detail: "request 7KQ4-M2XD"},
		ledger.Audit{Actor: "operator:ada", Act: ledger.ActAnswer, Site: "shop", Count: 1, Detail: "request 7KQ4-M2XD"},
	)
}

func TestActRefuses(t *testing.T) {
	o := newOffice(t)
	r := o.chose(5, nil)
	o.asks("7KQ4-M2XD", 3)
	if _, err := o.ledger.Answer(t.Context(), "7KQ4-M2XD", "sent", ledger.By{Actor: "operator", Time: now}); err != nil {
		t.Fatal(err)
	}
	before := len(o.entries())
	for _, test := range []struct {
		form   []string
		status int
		want   string
	}{
		{[]string{"do", "erase", "reason", "request", "request", "7KQ4-M2XD"}, http.StatusConflict, "Request 7KQ4-M2XD was answered on 22 Nov 2026: nothing was changed."},
		{[]string{"do", "erase", "reason", "request", "request", "ZZZZ-ZZZZ"}, http.StatusNotFound, `Shop has no request "ZZZZ-ZZZZ": its requests are listed under Requests.`},
		{[]string{"do", "forget", "reason", "asked in writing"}, http.StatusBadRequest, "What is to be done is withdraw or erase: go back to the records, and use the buttons there."},
		{[]string{"do", "erase", "reason", "asked in writing", "receipt", "x"}, http.StatusBadRequest, `"x" is no receipt: that is a UUID, such as 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b.`},
	} {
		form := append([]string{"receipt", r.ID.String()}, test.form...)
		if got := textOf(o.sent(test.status, records+"/act", form...).Find("[role=alert]")); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %q, want %q", test.form, got, test.want)
		}
	}
	for i, e := range o.entries()[before:] { // of the first two, whose page asks again
		if i > 1 || e.Act != ledger.ActShow || e.Leaves.String() != "0" {
			t.Errorf("added is %+v", e)
		}
	}
	if after := len(o.entries()); after != before+2 {
		t.Errorf("%d entries were added", after-before)
	}
	// What is none of the two is refused before a record is looked for.
	for _, path := range []string{"/act", "/confirm"} {
		if got := textOf(o.sent(http.StatusBadRequest, records+path, "receipt", uuid.NewString(), "do", "forget").Find("[role=alert]")); !strings.HasPrefix(got, "What is to be done is") {
			t.Errorf("%s of an unknown receipt: %q", path, got)
		}
	}
}

// asks keeps a request that is due in some days.
func (o *office) asks(number string, days int) ledger.Request {
	o.t.Helper()
	r := ledger.Request{
		Number: number, Site: "shop", Kind: "access", Contact: "eva@mail.example", Details: "All <b>of</b> it,\nplease.", Time: now.AddDate(0, 0, days-15), Due: now.AddDate(0, 0, days),
	}
	if err := o.ledger.Ask(o.t.Context(), r); err != nil {
		o.t.Fatal(err)
	}
	return r
}

func TestRequests(t *testing.T) {
	o := newOffice(t)
	page := "/admin/sites/shop/requests"
	doc := o.page(account.Officer, page)
	if got := textOf(doc.Find("main")); !strings.Contains(got, "No request waits.") || !strings.Contains(got, "None yet.") {
		t.Errorf("with none: %s", got)
	}
	for number, days := range map[string]int{"LATE-LATE": -2, "TODA-TODA": 0, "SOON-SOON": 3, "FARA-FARA": 12, "DONE-DONE": 4, "ONEA-ONEA": -1} {
		o.asks(number, days)
	}
	if _, err := o.ledger.Answer(t.Context(), "DONE-DONE", "sent", ledger.By{Actor: "operator", Time: now}); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	o.page(account.Officer, page).Find("tbody tr").Each(func(_ int, row *goquery.Selection) {
		badge := row.Find(".badge")
		got = append(got, []string{textOf(row.Find("th")), textOf(badge), strings.TrimSpace(strings.TrimPrefix(badge.AttrOr("class", ""), "badge"))})
	})
	want := [][]string{
		{"LATE-LATE", "overdue for 2 days", "bad"},
		{"ONEA-ONEA", "overdue for 1 day", "bad"},
		{"TODA-TODA", "due today", "warn"},
		{"SOON-SOON", "3 days left", "warn"},
		{"FARA-FARA", "12 days left", ""},
		{"DONE-DONE", "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	if text := textOf(o.page(account.Officer, page).Find("main")); strings.Contains(text, "eva@mail.example") {
		t.Error("the list names who asked")
	}
}

func TestRequestPages(t *testing.T) {
	o := newOffice(t)
	var want []string
	for i := range 2*requestsOnPage + 10 {
		want = append(want, o.asks(fmt.Sprintf("AAAA-%04d", i), i/7).Number)
	}
	for i := range requestsOnPage + 5 {
		r := o.asks(fmt.Sprintf("BBBB-%04d", i), 3)
		if _, err := o.ledger.Answer(t.Context(), r.Number, "sent", ledger.By{Actor: "operator", Time: now.Add(-time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, list := range map[string]struct {
		section int
		first   string
		n       int
	}{"open": {0, want[0], len(want)}, "answered": {1, "BBBB-0000", requestsOnPage + 5}} {
		var got []string
		for next := "/admin/sites/shop/requests"; next != ""; {
			section := o.page(account.Officer, next).Find("main section").Eq(list.section)
			section.Find("tbody th").Each(func(_ int, s *goquery.Selection) { got = append(got, textOf(s)) })
			next = section.Find(".pager a[href*='"+name+"=']").AttrOr("href", "")
		}
		if !slices.IsSorted(got) || len(got) != list.n || got[0] != list.first || len(slices.Compact(slices.Clone(got))) != list.n {
			t.Errorf("%s: %d, %v", name, len(got), got)
		}
	}
	for _, place := range []string{"x", "12", "12.", ".AAAA-0001", "99999999999999999999.A"} {
		if rec := o.ask(account.Officer, http.MethodGet, "/admin/sites/shop/requests?open="+place); rec.Code != http.StatusBadRequest {
			t.Errorf("behind %q: %d", place, rec.Code)
		}
	}
}

func TestAnswerRequest(t *testing.T) {
	o := newOffice(t)
	r := o.chose(5, nil)
	asked := ledger.Request{Number: "7KQ4-M2XD", Site: "shop", Kind: "copy", Contact: "eva@mail.example", Details: "All <b>of</b> it,\nplease.", Receipt: r.ID, Time: now, Due: now.AddDate(0, 0, 15)}
	if err := o.ledger.Ask(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	page := "/admin/sites/shop/requests/7KQ4-M2XD"
	doc := o.page(account.Officer, page)
	if got := doc.Find("main .facts a").AttrOr("href", ""); got != "mailto:eva@mail.example?subject=Your%20request%207KQ4-M2XD" {
		t.Errorf("the link to write is %q", got)
	}
	if got := doc.Find(".typed").Text(); got != asked.Details {
		t.Errorf("the details are %q", got)
	}
	if form := doc.Find("form[action$='/records']"); form.Find("input[name=receipt]").AttrOr("value", "") != r.ID.String() || form.AttrOr("method", "") != "post" {
		t.Error("the records are not looked up by a form that is posted")
	}
	for note, want := range map[string]string{
		"\r\n":                    "Write what was answered, and how: it is kept as proof.",
		strings.Repeat("ä", 2001): "The note has 4,002 bytes, and 4,000 are kept: write less.",
		"\xff":                    "The note is no text: write it anew.",
	} {
		doc := o.sent(http.StatusBadRequest, page, "note", note)
		if got := textOf(doc.Find("[role=alert]")); got != want {
			t.Errorf("%.20q: %q, want %q", note, got, want)
		}
	}
	o.ledgerIs(asked)
	rec := o.post(account.Officer, page, "note", "Sent by post,\r\nregistered.")
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != page {
		t.Fatalf("answered: %d %s", rec.Code, rec.Header().Get("Location"))
	}
	asked.Answered, asked.Note = now, "Sent by post,\nregistered."
	o.ledgerIs(asked)
	doc = o.sent(http.StatusConflict, page, "note", "Once more")
	if got := textOf(doc.Find("[role=alert]")); got != "It was answered before: what you wrote was not kept." {
		t.Errorf("again: %q", got)
	}
	if got := doc.Find("#answer .typed").Text(); got != asked.Note {
		t.Errorf("the page says %q", got)
	}
	o.ledgerIs(asked)
	show := ledger.Audit{Actor: "operator:ada", Act: ledger.ActShow, Site: "shop", Count: 1, Detail: "request 7KQ4-M2XD"}
	answer := show
	answer.Act = ledger.ActAnswer
	o.wantTrail(show, show, show, show, answer, show)
}

func (o *office) ledgerIs(want ledger.Request) {
	o.t.Helper()
	got, err := o.ledger.Request(o.t.Context(), want.Number)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		o.t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRequestUnknown(t *testing.T) {
	o := newOffice(t)
	err := o.ledger.Ask(t.Context(), ledger.Request{Number: "BLOG-BLOG", Site: "blog", Kind: "copy", Contact: "eva@mail.example", Time: now, Due: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"ZZZZ-ZZZZ", "BLOG-BLOG", "%3Cb%3E"} {
		rec := o.ask(account.Officer, http.MethodGet, "/admin/sites/shop/requests/"+number)
		if rec.Code != http.StatusNotFound || strings.Contains(rec.Body.String(), "eva@") || strings.Contains(rec.Body.String(), "<B>") {
			t.Errorf("%s: %d\n%s", number, rec.Code, rec.Body)
		}
		if rec := o.post(account.Officer, "/admin/sites/shop/requests/"+number, "note", "x"); rec.Code != http.StatusNotFound {
			t.Errorf("answering %s: %d", number, rec.Code)
		}
	}
	o.wantTrail()
}

func TestTrail(t *testing.T) {
	o := newOffice(t)
	page := "/admin/sites/shop/trail"
	if got := textOf(o.page(account.Officer, page).Find("main .empty")); !strings.HasPrefix(got, "Nothing is on the trail yet.") {
		t.Errorf("with none: %q", got)
	}
	note := func(actor string, act ledger.Act, site string) {
		if _, err := o.ledger.Note(t.Context(), ledger.Audit{Time: now, Actor: actor, Act: act, Site: site, Leaves: ledger.LeavesOf(3, 4, 1000), Count: 1234, Detail: "csv"}); err != nil {
			t.Fatal(err)
		}
	}
	for range entriesOnPage {
		note("operator:ben", ledger.ActShow, "shop")
	}
	note(ledger.Visitor, ledger.ActErase, "shop")
	note("operator", ledger.ActBackup, "")
	note("operator:ben", ledger.ActShow, "blog")
	note("operator:ada", ledger.ActExport, "shop")
	rows := func(path string) (all []string) {
		for path != "" {
			doc := o.page(account.Officer, path)
			doc.Find("tbody tr").Each(func(_ int, row *goquery.Selection) { all = append(all, textOf(row)) })
			path = doc.Find(".pager a:contains('Older')").AttrOr("href", "")
		}
		return all
	}
	all := rows(page)
	if len(all) != entriesOnPage+3 {
		t.Fatalf("%d entries", len(all))
	}
	want := []string{
		"22 Nov 2026, 09:30 UTC ada Exported 1,234 csv 3-4,1000 53",
		"22 Nov 2026, 09:30 UTC An operator Made a backup all sites 1,234 csv 3-4,1000 51",
		"22 Nov 2026, 09:30 UTC The visitor Erased 1,234 csv 3-4,1000 50",
		"22 Nov 2026, 09:30 UTC ben Looked at 1,234 csv 3-4,1000 49",
	}
	if diff := cmp.Diff(want, all[:4]); diff != "" {
		t.Errorf("the first entries (-want +got):\n%s", diff)
	}
	for query, want := range map[string]int{
		"?act=show": entriesOnPage, "?act=export": 1, "?who=ada": 1, "?who=visitor": 1, "?who=The+Visitor": 1, "?who=operator": 1, "?who=operator:ben": entriesOnPage,
		"?who=ben&act=show": entriesOnPage, "?who=ben&act=erase": 0, "?before=50": entriesOnPage, "?before=0": 0, "?who=%3Cscript%3E": 0,
	} {
		if got := rows(page + query); len(got) != want {
			t.Errorf("%s: %d entries, want %d", query, len(got), want)
		}
	}
	for _, query := range []string{"?act=read", "?before=x", "?before=-1", "?who=%ff", "?who=" + strings.Repeat("a", 101), "?before=99999999999999999999"} {
		if rec := o.ask(account.Officer, http.MethodGet, page+query); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, rec.Code)
		}
	}
	if got := o.page(account.Officer, page+"?who=ben").Find("input[name=who]").AttrOr("value", ""); got != "ben" {
		t.Errorf("the filter says %q", got)
	}
}

// There is a word for each act that an entry may have.
func TestActsHaveWords(t *testing.T) {
	for _, act := range ledger.Acts() {
		if called(acts, string(act)) == string(act) {
			t.Errorf("no word for %s", act)
		}
	}
}

// ended is the page of an export that has ended.
func (o *office) ended(path string) *goquery.Document {
	o.t.Helper()
	for {
		doc := o.page(account.Officer, path)
		if doc.Find("[data-live]").Length() == 0 {
			return doc
		}
		if err := o.t.Context().Err(); err != nil {
			o.t.Fatal(err)
		}
	}
}

func TestExport(t *testing.T) {
	o := newOffice(t)
	before := o.chose(24*30, nil)
	for i := range 3 {
		o.chose(i+1, nil)
	}
	o.chose(2, func(r *ledger.Record) { r.Action, r.Regime = consent.RejectAll, "us" })
	o.chose(2, func(r *ledger.Record) { r.Site = "blog" })
	for _, test := range []struct {
		form   []string
		lines  int
		name   string
		detail string
	}{
		{[]string{"format", "jsonl"}, 5, "records-shop.jsonl", "jsonl"},
		{[]string{"format", "csv", "from", "2026-11-22", "to", "2026-11-22"}, 4 + 1, "records-shop-from-2026-11-22-to-2026-11-22.csv", "csv, from 2026-11-22, before 2026-11-23"},
		{[]string{"format", "jsonl", "action", "reject_all"}, 1, "records-shop.jsonl", "jsonl, action reject_all"},
		{[]string{"format", "jsonl", "regime", "gdpr", "to", "2026-11-01"}, 1, "records-shop-to-2026-11-01.jsonl", "jsonl, before 2026-11-02, regime gdpr"},
		{[]string{"format", "27560", "from", "2026-11-22", "base", "https://consent.shop.example/"}, 4, "records-shop-from-2026-11-22-27560.jsonl", "27560, from 2026-11-22"},
	} {
		seen := len(o.entries())
		rec := o.post(account.Officer, records+"/exports", test.form...)
		path := rec.Header().Get("Location")
		if rec.Code != http.StatusSeeOther || !strings.HasPrefix(path, records+"/exports/") {
			t.Fatalf("%q: %d %s\n%s", test.form, rec.Code, path, rec.Body)
		}
		doc := o.ended(path)
		if got := textOf(doc.Find("#export .badge")); got != "ready" {
			t.Fatalf("%q: %s", test.form, textOf(doc.Find("main")))
		}
		rec = o.ask(account.Officer, http.MethodGet, doc.Find("#export a.button").AttrOr("href", ""))
		body := rec.Body.String()
		if n := strings.Count(body, "\n"); n != test.lines || rec.Code != http.StatusOK || rec.Header().Get("Content-Disposition") != `attachment; filename="`+test.name+`"` {
			t.Errorf("%q: %d lines, %d, %v\n%s", test.form, n, rec.Code, rec.Header(), body)
		}
		if strings.Contains(body, "blog") || test.form[1] == "27560" && !strings.Contains(body, "https://consent.shop.example/stile/shop/notice/") {
			t.Errorf("%q:\n%s", test.form, body)
		}
		entries := o.entries()[seen:]
		count := test.lines
		if test.form[1] == "csv" {
			count--
		}
		size := int64(6 + seen) // of the log when it began
		want := []ledger.Audit{{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.Leaves{{First: 0, Last: size - 1}}, Count: count, Detail: test.detail}}
		if diff := cmp.Diff(want, entries, asEntries...); diff != "" {
			t.Errorf("%q: the trail (-want +got):\n%s", test.form, diff)
		}
	}
	var first export.Record
	rec := o.ask(account.Officer, http.MethodGet, o.page(account.Officer, records).Find("#exports li a").Last().AttrOr("href", "")+"/file")
	if err := json.Unmarshal([]byte(strings.SplitAfter(rec.Body.String(), "\n")[0]), &first); err != nil || first.ID != before.ID.String() {
		t.Errorf("the first line is of %s, %v", first.ID, err)
	}
	files, err := os.ReadDir(o.folder)
	if err != nil || len(files) != 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// Another officer may take the file, and that is noted before it is sent.
func TestExportOfAnother(t *testing.T) {
	o := newOffice(t)
	o.chose(1, nil)
	path := o.post(account.Officer, records+"/exports", "format", "csv").Header().Get("Location")
	o.ended(path)
	rec := httptest.NewRecorder()
	other := account.WithUser(t.Context(), account.User{Name: "ben", Role: account.Officer})
	o.d.ServeHTTP(rec, httptest.NewRequestWithContext(other, http.MethodGet, path+"/file", http.NoBody))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d\n%s", rec.Code, rec.Body)
	}
	made := ledger.Audit{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.LeavesOf(0), Count: 1, Detail: "csv"}
	taken := made
	taken.Actor, taken.Detail = "operator:ben", "another's file: csv"
	o.wantTrail(made, taken)
	if rec := o.post(account.Officer, path+"/delete"); rec.Code != http.StatusSeeOther {
		t.Errorf("deleting it: %d", rec.Code)
	}
	if files, _ := os.ReadDir(o.folder); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
	for _, p := range []string{path, path + "/file"} {
		if rec := o.ask(account.Officer, http.MethodGet, p); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "or another process has it") {
			t.Errorf("%s is there still: %d", p, rec.Code)
		}
	}
	if rec := o.post(account.Officer, path+"/delete"); rec.Code != http.StatusNotFound {
		t.Errorf("deleting it again: %d", rec.Code)
	}
}

func TestExportRefuses(t *testing.T) {
	o := newOffice(t)
	for _, test := range []struct {
		form map[string]string
		want string
	}{
		{map[string]string{"from": "2026-11-02", "to": "2026-11-01"}, "The last day, 2026-11-01, is before the first, 2026-11-02: exchange them."},
		{map[string]string{"from": "yesterday"}, `The first day is "yesterday": write it as 2026-11-01, or leave it empty for all from the beginning.`},
		{map[string]string{"to": "2026-02-30"}, `The last day is "2026-02-30": write it as 2026-11-30, or leave it empty for all until now.`},
		{map[string]string{"from": "0001-01-01"}, `The first day is "0001-01-01": write it as 2026-11-01, or leave it empty for all from the beginning.`},
		{map[string]string{"from": "2026-11-23"}, "The first day, 2026-11-23, is still to come: there is nothing to export yet."},
		{map[string]string{"format": "xml"}, `There is no format "xml": choose one of the list.`},
		{map[string]string{"action": "<b>"}, `There is no choice "<b>": choose one of the list.`},
		{map[string]string{"regime": "mars"}, `There is no regime "mars" at shop: choose one of the list.`},
		{map[string]string{"format": "27560", "base": "consent.shop.example"}, `The consent host is "consent.shop.example": write it as https://consent.shop.example.`},
		{map[string]string{"format": "27560", "base": "javascript:alert(1)"}, `The consent host is "javascript:alert(1)": write it as https://consent.shop.example.`},
	} {
		form := map[string]string{"format": "csv"}
		maps.Copy(form, test.form)
		var list []string
		for name, value := range form {
			list = append(list, name, value)
		}
		doc := o.sent(http.StatusBadRequest, records+"/exports", list...)
		if got := textOf(doc.Find("[role=alert]")); got != test.want {
			t.Errorf("%v: %q, want %q", test.form, got, test.want)
		}
		if from := test.form["from"]; doc.Find("input[name=from]").AttrOr("value", "") != from {
			t.Errorf("%v: the form forgot it", test.form)
		}
	}
	if jobs := o.d.Exports.List("shop"); len(jobs) > 0 {
		t.Errorf("begun: %+v", jobs)
	}
}

// held is a ledger whose exports wait until they are let go.
type held struct {
	*ledger.Ledger
	next chan struct{}
}

func (h held) Export(ctx context.Context, q ledger.Query, fn func(*ledger.Record) error) error {
	err := h.Ledger.Export(ctx, q, fn)
	select {
	case <-h.next:
		return errors.Join(err, ctx.Err()) // where both are true
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A page of an export that goes on is loaded again, by its script or without one; too many at once are refused, and one
// that is cancelled leaves nothing, on the trail neither.
func TestExportUnderWay(t *testing.T) {
	o := newOffice(t)
	o.chose(1, nil)
	log := held{o.ledger, make(chan struct{})}
	jobs, err := export.OpenJobs(filepath.Join(t.TempDir(), "held"), log, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	o.d.Exports = jobs
	var paths []string
	for range 2 {
		paths = append(paths, o.post(account.Officer, records+"/exports", "format", "csv").Header().Get("Location"))
	}
	doc := o.page(account.Officer, paths[0])
	if doc.Find("head noscript").Text() != `<meta http-equiv="refresh" content="2">` || doc.Find("#export[data-live] progress").Length() != 1 {
		t.Error("its page is not loaded again")
	}
	if got := textOf(doc.Find("main > form button").First()); got != "Cancel" {
		t.Errorf("the button says %q", got)
	}
	if rec := o.ask(account.Officer, http.MethodGet, paths[0]+"/file"); rec.Code != http.StatusConflict {
		t.Errorf("its file before it is ready: %d", rec.Code)
	}
	if got := textOf(o.sent(http.StatusTooManyRequests, records+"/exports", "format", "csv").Find("[role=alert]")); got != "2 exports are being written now: wait for one to end, or cancel one." {
		t.Errorf("a third: %q", got)
	}
	if rec := o.post(account.Officer, paths[0]+"/delete"); rec.Code != http.StatusSeeOther {
		t.Errorf("cancelled: %d", rec.Code)
	}
	close(log.next)
	doc = o.ended(paths[1])
	if doc.Find("noscript").Length() != 0 || textOf(doc.Find("#export .badge")) != "ready" {
		t.Errorf("at the end: %s", textOf(doc.Find("main")))
	}
	o.wantTrail(ledger.Audit{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.LeavesOf(0), Count: 1, Detail: "csv"})
}
