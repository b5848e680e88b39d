package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const siteText = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
languages: [en, de]
regimes:
  - {name: us, regions: [US], model: opt-out}
  - {name: gdpr, regions: ["*"], model: opt-in}
categories:
  necessary: {required: true}
  analytics: {}
  marketing: {}
tags:
  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}
  - {vendor: clarity, id: abcdefghij, category: analytics}
  - {name: Pixel, category: marketing, pixel: "https://pixel.example/p.gif"}
`

// now is when all tests take place.
var now = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

// desk is a dashboard over one site, a ledger and figures that a test makes up.
type desk struct {
	t       *testing.T
	ledger  *ledger.Ledger
	report  *tally.Report                                                   // what Report answers, for any site, period and filter
	counted func(site string, p tally.Period, f tally.Filter) *tally.Report // instead of report, or nil
	asked   []tally.Filter
	lock    sync.Mutex // of asked
	site    Site
	d       *Dashboard
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	db, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	k := &desk{t: t, ledger: db, report: &tally.Report{}, site: siteOf(t, siteText)}
	t.Cleanup(k.site.Gate.Close)
	k.d, err = New(Options{
		Sites: func() []Site { return []Site{k.site} }, Figures: k, Ledger: db,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Report makes a desk the Figures of its dashboard.
func (k *desk) Report(_ context.Context, site string, p tally.Period, f tally.Filter) (*tally.Report, error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.asked = append(k.asked, f)
	if k.counted != nil {
		return k.counted(site, p, f), nil
	}
	return k.report, nil
}

func siteOf(t *testing.T, text string) Site {
	t.Helper()
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	words, err := banner.English()
	if err != nil {
		t.Fatal(err)
	}
	site, report := config.Parse("stile.yaml", []byte(text), config.Options{
		Vendors: library, Languages: banner.Languages(), Words: words, Contrast: gate.Contrast, Now: now,
	})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	site.History = []consent.Version{{Name: site.Policy.Version, Material: site.Policy.Material}}
	g, err := gate.New(site)
	if err != nil {
		t.Fatal(err)
	}
	return Site{Site: site, Gate: g, Warnings: report.Problems}
}

// ask answers a request of a user of a role.
func (k *desk) ask(role account.Role, method, path string) *httptest.ResponseRecorder {
	k.t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(account.WithUser(k.t.Context(), account.User{Name: "ada", Role: role}), method, path, http.NoBody)
	k.d.ServeHTTP(rec, r)
	return rec
}

// post sends a form as a user of a role.
func (k *desk) post(role account.Role, path string, form url.Values) *httptest.ResponseRecorder {
	k.t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(account.WithUser(k.t.Context(), account.User{Name: "ada", Role: role}), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Host = "consent.shop.example"
	k.d.ServeHTTP(rec, r)
	return rec
}

// page is a page that a viewer gets with 200.
func (k *desk) page(role account.Role, path string) *goquery.Document {
	k.t.Helper()
	rec := k.ask(role, http.MethodGet, path)
	if rec.Code != http.StatusOK {
		k.t.Fatalf("GET %s: %d\n%s", path, rec.Code, rec.Body)
	}
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return doc
}

// What makes no sense on a page is told, and nothing else is shown instead.
func TestAddressesThatMakeNoSense(t *testing.T) {
	k := newDesk(t)
	k.d.Health = func(context.Context) Health { return Health{} }
	for path, want := range map[string]string{
		"/admin/?site=shop":                                               "has no filters",
		"/admin/health?period=7d":                                         "has no filters",
		"/admin/alerts?site=shop":                                         "has no filters",
		"/admin/sites/shop/records?receipt=1":                             "has no filters",
		"/admin/sites/shop/share?days=1":                                  "has no filters",
		"/admin/sites/shop/why?region=DE":                                 "has no filters",
		"/admin/sites/shop/sightings?from=2026-11-20&to=2026-11-01":       "no filter &#34;from&#34; here: this page takes period, show, after",
		"/admin/sites/shop/sightings?period=7d&period=28d":                "given 2 times",
		"/admin/sites/shop/sightings?show=%zz":                            "cannot be read",
		"/admin/sites/shop/tags?country=DE":                               "no filter &#34;country&#34;",
		"/admin/sites/shop/tags/pixel?sort=name":                          "no filter &#34;sort&#34;",
		"/admin/sites/shop/tags/pixel?from=2026-11-20&to=2026-11-01":      "before it begins",
		"/admin/sites/shop/tags?from=1900-01-01":                          "1900-01-01 is too long ago",
		"/admin/sites/shop/trail?action=zzz":                              "no filter &#34;action&#34; here: this page takes act, who, before",
		"/admin/sites/shop/requests?state=open":                           "no filter &#34;state&#34;",
		"/admin/sites/shop/simulator?country=DE":                          "no filter &#34;country&#34;",
		"/admin/sites/shop/simulator?choice=some&choice=all":              "given 2 times",
		"/admin/account?done=nothing":                                     "nothing is called",
		"/admin/sites/shop/figures.csv?period=7d&format=xlsx&country=DEU": "no filter &#34;format&#34;",
	} {
		rec := k.ask(account.Admin, http.MethodGet, path)
		if rec.Code != http.StatusBadRequest || !strings.Contains(strings.ToLower(rec.Body.String()), strings.ToLower(want)) {
			t.Errorf("%s: %d, and not %q\n%s", path, rec.Code, want, rec.Body)
		}
	}
	k.page(account.Viewer, "/admin/sites/shop/simulator?choice=some&category=analytics&category=marketing")
}

// Wherever a link or a form of a page leads, that page takes it.
func TestLinksLeadSomewhere(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.fill()
	k.report.Total = tally.Figures{Views: 5310, Displays: 900, AcceptAll: 90, OptIns: 90}
	k.report.Days = []tally.DayFigures{day("2026-11-21", 900, 90, 0, 0), day("2026-11-22", 900, 90, 0, 0)}
	k.report.Sightings = fullList()
	k.d.Alerts = func(context.Context) ([]Alert, error) {
		return []Alert{{Site: "shop", Text: "Opt-in fell."}, {Site: "shop", Text: "A host is new.", Path: "/admin/sites/shop/sightings"}}, nil
	}
	seen, todo := map[string]bool{}, []string{"/admin/"}
	for len(todo) > 0 && len(seen) < 3000 {
		path := todo[0]
		todo = todo[1:]
		rec := k.ask(account.Officer, http.MethodGet, path)
		if rec.Code >= http.StatusBadRequest {
			t.Errorf("%s: %d", path, rec.Code)
			continue
		}
		doc := documentOf(t, rec)
		here, _ := url.Parse(path)
		lead := func(to string) {
			at, err := here.Parse(to)
			if err != nil || at.Host != "" || !strings.HasPrefix(at.Path, "/admin/") || strings.HasPrefix(at.Path, "/admin/assets/") || at.Path == "/admin/account" {
				return // the last is of Accounts, which a desk has none of
			}
			// A page of figures leads to others without end: one parameter at a time is enough.
			if at.Fragment = ""; len(at.Query()) > 2 || seen[at.String()] {
				return
			}
			seen[at.String()] = true
			todo = append(todo, at.String())
		}
		doc.Find("a[href]").Each(func(_ int, s *goquery.Selection) { lead(s.AttrOr("href", "")) })
		doc.Find("iframe[src]").Each(func(_ int, s *goquery.Selection) { lead(s.AttrOr("src", "")) })
		doc.Find("form[method=get]").Each(func(_ int, s *goquery.Selection) {
			sent := url.Values{}
			s.Find("[name]").Each(func(_ int, f *goquery.Selection) {
				switch name := f.AttrOr("name", ""); {
				case f.Is("select"):
					sent.Set(name, f.Find("option[selected]").AddSelection(f.Find("option")).First().AttrOr("value", ""))
				case f.Is("[type=radio], [type=checkbox]") && f.Is(":not([checked])"):
				default:
					sent.Set(name, f.AttrOr("value", ""))
				}
			})
			to, _ := here.Parse(s.AttrOr("action", ""))
			to.RawQuery = sent.Encode()
			if rec := k.ask(account.Officer, http.MethodGet, to.String()); rec.Code >= http.StatusBadRequest {
				t.Errorf("the form of %s sends %s: %d %s", path, to, rec.Code, text(documentOf(t, rec).Find("[role=alert]")))
			}
		})
	}
	if len(seen) < 50 || len(todo) > 0 {
		t.Errorf("%d links, and %d that were not followed", len(seen), len(todo))
	}
}

func TestNobodySeesNothing(t *testing.T) {
	k := newDesk(t)
	for _, path := range []string{"/admin/", "/admin/sites/shop/", "/admin/sites/other/", "/admin/nowhere"} {
		rec := k.ask(account.Nobody, http.MethodGet, path)
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/login?next="+url.QueryEscape(path) || rec.Body.Len() > 0 {
			t.Errorf("GET %s as nobody: %d %v\n%s", path, rec.Code, rec.Header(), rec.Body)
		}
	}
}

func TestHomeNamesSites(t *testing.T) {
	doc := newDesk(t).page(account.Viewer, "/admin/")
	if link, _ := doc.Find("main a").Attr("href"); link != "/admin/sites/shop/" {
		t.Errorf("the first link of the home page goes to %q", link)
	}
	if h := doc.Find("h1").Length(); h != 1 {
		t.Error(fmt.Sprint(h, " headings of the first level"))
	}
}

func TestAssetsAreNamedByContent(t *testing.T) {
	k := newDesk(t)
	path, _ := k.page(account.Viewer, "/admin/").Find("link[rel=stylesheet]").Attr("href")
	rec := k.ask(account.Nobody, http.MethodGet, path)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("GET %s: %d, Cache-Control %q", path, rec.Code, rec.Header().Get("Cache-Control"))
	}
}
