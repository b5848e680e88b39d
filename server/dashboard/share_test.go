package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/ledger"
	shares "github.com/stilehq/stile/server/share"
	"github.com/stilehq/stile/server/tally"
)

// weekly are figures of a site where the same happens in all weeks.
type weekly struct{ many int64 }

func (f weekly) Report(_ context.Context, _ string, p tally.Period, _ tally.Filter) (*tally.Report, error) {
	figures := func(accepted, rejected, custom int64) tally.Figures {
		return tally.Figures{Displays: 2 * f.many * accepted, AcceptAll: f.many * accepted, RejectAll: f.many * rejected, Custom: f.many * custom, OptIns: f.many * (accepted + custom)}
	}
	r := &tally.Report{
		By: map[tally.Dimension][]tally.Row{
			tally.Device:  {{Value: "phone", Figures: figures(340, 230, 30)}, {Value: "desktop", Figures: figures(280, 120, 36)}},
			tally.Country: {{Value: "DE", Figures: figures(400, 240, 40)}, {Value: "FR", Figures: figures(220, 109, 26)}, {Value: "LI", Figures: figures(0, 1, 0)}},
		},
		Categories: map[string]tally.Category{"analytics": {Granted: f.many * 660, Denied: f.many * 370}, "marketing": {Granted: f.many * 500, Denied: f.many * 530}},
	}
	first, _ := time.Parse(time.DateOnly, string(p.From))
	for i := range 7 {
		day := figures(100, 50, 10)
		if i > 4 {
			day = figures(60, 50, 8)
		}
		r.Days = append(r.Days, tally.DayFigures{Day: tally.DayOf(first.AddDate(0, 0, i)), Figures: day})
	}
	return r, nil
}

// open looks at a shared page, as anybody.
func (k *desk) open(path string) *httptest.ResponseRecorder {
	k.t.Helper()
	rec := httptest.NewRecorder()
	k.d.Shared().ServeHTTP(rec, httptest.NewRequestWithContext(k.t.Context(), http.MethodGet, path, http.NoBody))
	return rec
}

func documentOf(t *testing.T, rec *httptest.ResponseRecorder) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

const sharePath = "/admin/sites/shop/share"

var aLink = url.Values{"label": {"The agency"}, "epsilon": {"1"}, "days": {"90"}}

// linked makes a link and returns the path of what it shows.
func (k *desk) linked(form url.Values) string {
	k.t.Helper()
	rec := k.post(account.Admin, sharePath, form)
	if rec.Code != http.StatusOK {
		k.t.Fatalf("making a link: %d\n%s", rec.Code, rec.Body)
	}
	address, _ := documentOf(k.t, rec).Find("input.address").Attr("value")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host != "consent.shop.example" {
		k.t.Fatalf("the link is %q", address)
	}
	return u.Path
}

func TestLinkShowsFiguresToAnybody(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{5}
	path := k.linked(aLink)
	rec := k.open(path)
	body := rec.Body.String()
	doc := documentOf(t, rec)
	if rec.Code != http.StatusOK || doc.Find("h1").Text() != "Consent figures of shop" {
		t.Fatalf("%d %q", rec.Code, doc.Find("h1").Text())
	}
	for _, says := range []string{"14 September to 8 November 2026", "epsilon 1", "2.7 times", "Germany", "France", "Phone", "analytics"} {
		if !strings.Contains(body, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	for _, never := range []string{"Liechtenstein", "The agency", "Clarity", "admin", "<script"} {
		if strings.Contains(body, never) {
			t.Errorf("it says %q", never)
		}
	}
	if n := doc.Find("figure .plot g").Length(); n != 56 {
		t.Errorf("the chart has %d columns", n)
	}
	if row := doc.Find("th:contains(Tablet)").Parent().Text(); !strings.Contains(row, "fewer than") {
		t.Errorf("a device that nobody had is %q", row)
	}
	if again := k.open(path).Body.String(); again != body {
		t.Error("the second look shows something else")
	}
	if year := documentOf(t, k.open(path+"?weeks=52")); year.Find("figure .plot g").Length() != 52 || year.Find("nav [aria-current]").Text() != "52 weeks" {
		t.Errorf("a year has %d columns", year.Find("figure .plot g").Length())
	}
}

// The token is the page's address and nothing else: no asset, no referrer, no index has it.
func TestLinkKeepsItsToken(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{5}
	path := k.linked(aLink)
	rec := k.open(path)
	h := rec.Header()
	if h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(h.Get("X-Robots-Tag"), "noindex") || h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'; img-src data:;") {
		t.Errorf("the headers are %v", h)
	}
	token := path[strings.LastIndex(path, "/")+1:]
	doc := documentOf(t, rec)
	doc.Find("link, img, script, iframe, form").Each(func(_ int, s *goquery.Selection) {
		for _, name := range []string{"href", "src", "action"} {
			if v, _ := s.Attr(name); strings.Contains(v, token) {
				t.Errorf("%s has the token: %s", name, v)
			}
		}
	})
	style, _ := doc.Find("link[rel=stylesheet]").Attr("href")
	if !strings.HasPrefix(style, "/share/assets/") {
		t.Errorf("the style is at %s", style)
	}
	if rec := k.open(style); rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the style is answered by %d, %s", rec.Code, rec.Header().Get("Content-Type"))
	}
	if page := k.ask(account.Admin, http.MethodGet, sharePath); strings.Contains(page.Body.String(), token) {
		t.Error("the page of links shows a link a second time")
	}
}

func TestLinkThatIsOverIsLikeNone(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{5}
	revoked, kept := k.linked(url.Values{"label": {"Old"}, "epsilon": {"1"}, "days": {"90"}}), k.linked(aLink)
	name, _ := k.page(account.Admin, sharePath).Find("tr:contains(Old) input[name=link]").Attr("value")
	if rec := k.post(account.Admin, sharePath+"/revoke", url.Values{"link": {name}}); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != sharePath {
		t.Fatalf("revoking: %d\n%s", rec.Code, rec.Body)
	}
	if rec := k.post(account.Admin, sharePath+"/revoke", url.Values{"link": {name}}); rec.Code != http.StatusNotFound {
		t.Errorf("revoking again: %d", rec.Code)
	}
	never := k.open("/share/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	gone := k.open(revoked)
	if never.Code != http.StatusNotFound || gone.Code != http.StatusNotFound || never.Body.String() != gone.Body.String() {
		t.Errorf("one that never was: %d, one that was revoked: %d, or they differ", never.Code, gone.Code)
	}
	if rec := k.open(kept); rec.Code != http.StatusOK {
		t.Errorf("the other link: %d", rec.Code)
	}
	k.d.Now = func() time.Time { return now.AddDate(0, 0, 90) }
	if expired := k.open(kept); expired.Code != http.StatusNotFound || expired.Body.String() != never.Body.String() {
		t.Errorf("one that is over: %d, or it differs", expired.Code)
	}
	k.d.Now = func() time.Time { return now }
	k.d.Sites = func() []Site { return nil }
	if rec := k.open(kept); rec.Code != http.StatusNotFound {
		t.Errorf("the link of a site that is not served: %d", rec.Code)
	}
}

func TestLinksAreForAdmins(t *testing.T) {
	k := newDesk(t)
	if rec := k.ask(account.Nobody, http.MethodGet, sharePath); rec.Code != http.StatusSeeOther || !strings.HasPrefix(rec.Header().Get("Location"), "/admin/login") {
		t.Errorf("nobody: %d", rec.Code)
	}
	if rec := k.post(account.Nobody, sharePath, aLink); rec.Code < 300 {
		t.Errorf("nobody makes a link: %d", rec.Code)
	}
	for _, role := range []account.Role{account.Viewer, account.Officer} {
		for _, rec := range []*httptest.ResponseRecorder{
			k.ask(role, http.MethodGet, sharePath), k.post(role, sharePath, aLink), k.post(role, sharePath+"/revoke", url.Values{"link": {"00000000"}}),
		} {
			if rec.Code != http.StatusForbidden {
				t.Errorf("%s: %d", role, rec.Code)
			}
		}
	}
	if all, err := (shares.Links{Ledger: k.ledger}).Site(t.Context(), "shop", now); err != nil || len(all.Live) != 0 {
		t.Errorf("there are links: %v (%v)", all.Live, err)
	}
	if text := k.page(account.Admin, sharePath).Find(".empty").Text(); !strings.Contains(text, "Nobody has a link") {
		t.Errorf("without links the page says %q", text)
	}
}

func TestLinkThatCannotBeIsRefused(t *testing.T) {
	k := newDesk(t)
	for _, c := range []struct{ field, value, says string }{
		{"label", " ", "say who the link is for"},
		{"epsilon", "3", "epsilon is a number from 0.1 to 2"},
		{"epsilon", "much", "epsilon is a number from 0.1 to 2"},
		{"epsilon", "NaN", "epsilon is a number from 0.1 to 2"},
		{"days", "0", "open for 1 to 365 days"},
		{"days", "1.5", "open for 1 to 365 days"},
	} {
		form := url.Values{"label": {"<b>Agency"}, "epsilon": {".5"}, "days": {"7"}}
		form.Set(c.field, c.value)
		rec := k.post(account.Admin, sharePath, form)
		doc := documentOf(t, rec)
		if rec.Code != http.StatusBadRequest || !strings.Contains(doc.Find("[role=alert]").Text(), c.says) {
			t.Errorf("%s %q: %d %q", c.field, c.value, rec.Code, doc.Find("[role=alert]").Text())
		}
		for name := range form {
			if v, _ := doc.Find("input[name=" + name + "]").Attr("value"); v != form.Get(name) {
				t.Errorf("%s %q: the form has %q for %s", c.field, c.value, v, name)
			}
		}
	}
	k.d.Figures = weekly{5}
	path := k.linked(aLink)
	for _, weeks := range []string{"5", "-4", "many", "1e9"} {
		if rec := k.open(path + "?weeks=" + weeks); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "Weeks is one of") {
			t.Errorf("weeks=%s: %d", weeks, rec.Code)
		}
	}
}

func TestSharedViewOfLittleSaysSo(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{0}
	doc := documentOf(t, k.open(k.linked(aLink)))
	if doc.Find(".empty").Length() != 1 || doc.Find("figure, table, .stat").Length() != 0 {
		t.Errorf("where nothing happened: %s", doc.Find("main").Text())
	}
}

func TestSharedViewSaysWhatAllLinksSpent(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{5}
	path := k.linked(aLink)
	if text := documentOf(t, k.open(path)).Find("#noise").Text(); strings.Contains(text, "other epsilons") {
		t.Error("one link is said to have company")
	}
	k.linked(url.Values{"label": {"b"}, "epsilon": {"0.5"}, "days": {"1"}})
	if text := documentOf(t, k.open(path)).Find("#noise").Text(); !strings.Contains(text, "other epsilons as well") || !strings.Contains(text, "epsilon is 1.5") {
		t.Errorf("two links: %s", text)
	}
	if text := k.page(account.Admin, sharePath).Text(); !strings.Contains(text, "come to 1.5; it may use 4") {
		t.Error("the page of links does not say what was spent")
	}
}

func TestNoteIsOnEveryPage(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = weekly{5}
	k.d.Note = "Simulated figures"
	for _, body := range []string{
		k.ask(account.Admin, http.MethodGet, "/admin/").Body.String(), k.ask(account.Admin, http.MethodGet, sharePath).Body.String(),
		k.ask(account.Admin, http.MethodGet, "/admin/nowhere").Body.String(), k.open(k.linked(aLink)).Body.String(), k.open("/share/none").Body.String(),
	} {
		if !regexp.MustCompile(`role="note">Simulated figures<`).MatchString(body) {
			t.Error("a page does not have the note")
		}
	}
}

func TestLinksAreOnTheTrail(t *testing.T) {
	k := newDesk(t)
	k.linked(aLink)
	all, err := k.ledger.Trail(t.Context(), "shop", -1, 10)
	if err != nil || len(all) != 1 || all[0].Act != ledger.ActShare || all[0].Actor != "operator:ada" || !all[0].Time.Equal(now) {
		t.Errorf("the trail has %+v (%v)", all, err)
	}
}
