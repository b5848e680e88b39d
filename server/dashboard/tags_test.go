package dashboard

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// richSite has tags of each state there is.
const richSite = `site: shop
origins: ["https://www.shop.example", "https://*.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01, material: true}
languages: [en, de]
regimes:
  - {name: us, regions: [US], model: opt-out}
  - {name: gdpr, regions: [EEA, "*"], model: opt-in}
categories:
  necessary: {required: true}
  analytics: {}
  marketing: {}
tags:
  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}
  - {vendor: clarity, id: abcdefghij, category: analytics}
  - {vendor: meta-pixel, id: "123456789012345", category: marketing}
  - {vendor: gtm, id: GTM-AB12CD3, category: marketing}
  - {name: Status, category: necessary, pixel: "https://status.example/p.gif"}
  - {name: Pixel, category: marketing, pixel: "https://pixel.example/p.gif", needs: [meta-pixel]}
`

// noTags is a site without any.
func noTags() string {
	text, _, _ := strings.Cut(siteText, "tags:")
	return text
}

// manyTags is a site with 64 tags.
func manyTags() string {
	var b strings.Builder
	b.WriteString(richSite)
	for i := range 58 {
		fmt.Fprintf(&b, "  - {name: House counter %d, category: %s, pixel: \"https://pixel%d.example/p.gif\"}\n", i, []string{"analytics", "marketing"}[i%2], i)
	}
	return b.String()
}

// library is read once for all of these tests.
var library = sync.OnceValues(vendors.New)

// richDesk is a desk over a site, with a key that choices and previews are signed by.
func richDesk(t *testing.T, text string) (*desk, *cookie.Codec, *preview.Codec) {
	t.Helper()
	k := newDesk(t)
	site := siteOf(t, text)
	t.Cleanup(site.Gate.Close)
	k.site = site
	ring, err := keys.Ring{}.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	choices, err := cookie.NewCodec(ring.Cookie)
	if err != nil {
		t.Fatal(err)
	}
	previews, err := preview.NewCodec(ring.Cookie)
	if err != nil {
		t.Fatal(err)
	}
	k.d.Choice, k.d.library = choices.Decode, library
	k.d.Preview = func(_ string, l preview.Link) (string, error) { return previews.Mint(k.site.Site, l, now) }
	return k, choices, previews
}

// fill makes up figures: of 5,310 page views 1,204 had declined marketing and 402 analytics.
func (k *desk) fill() {
	k.report = &tally.Report{
		Total: tally.Figures{Views: 5310}, Tags: map[string]*tally.Tag{},
		By: map[tally.Dimension][]tally.Row{
			tally.Country: {{Value: "DE", Figures: tally.Figures{Views: 3100}}, {Value: "FR", Figures: tally.Figures{Views: 1210}}},
			tally.Device:  {{Value: "phone", Figures: tally.Figures{Views: 3510}}, {Value: "desktop", Figures: tally.Figures{Views: 1800}}},
		},
	}
	for i := range k.site.Tags {
		t := &k.site.Tags[i]
		declined, silent, signal := int64(1204), int64(811), int64(97)
		switch t.Category {
		case "analytics":
			declined, signal = 402, 0
		case "necessary":
			declined, silent, signal = 0, 0, 0
		}
		f := &tally.Tag{
			Withheld: declined + silent + signal, Because: map[consent.Kind]int64{},
			Last: now.Add(-time.Duration(i+1) * 7 * time.Minute), Errors: int64(max(0, i-4)),
		}
		for kind, n := range map[consent.Kind]int64{consent.Declined: declined, consent.NotChosen: silent, consent.Signal: signal} {
			if n > 0 {
				f.Because[kind] = n
			}
		}
		f.Released = 5310 - f.Withheld
		k.report.Tags[t.ID] = f
	}
	k.report.Tags["old-chat"] = &tally.Tag{Released: 12, Withheld: 30, Because: map[consent.Kind]int64{consent.Declined: 30}, Last: now.Add(-9 * 24 * time.Hour)}
}

// TestServeTags serves a dashboard to look at these pages: STILE_LOOK_TAGS=127.0.0.1:9000, and empty or full behind a comma.
func TestServeTags(t *testing.T) {
	listen, how, _ := strings.Cut(os.Getenv("STILE_LOOK_TAGS"), ",")
	if listen == "" {
		t.Skip("STILE_LOOK_TAGS names no address to serve at")
	}
	text := map[string]string{"full": manyTags(), "empty": noTags()}[how]
	if text == "" {
		text = richSite
	}
	k, choices, _ := richDesk(t, text)
	k.fill()
	if how == "empty" {
		k.report = &tally.Report{}
	}
	choice := k.site.Refuse()
	choice.Time = now.AddDate(0, -1, 0)
	value, err := choices.Encode("shop", &choice)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(value)
	fmt.Println(value)
	t.Fatal(http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.d.ServeHTTP(w, r.WithContext(account.WithUser(r.Context(), account.User{Name: "ada", Role: account.Admin})))
	})))
}

// said is what is read, with a space between elements.
func said(s *goquery.Selection) string {
	var b strings.Builder
	for _, n := range s.Nodes {
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				b.WriteString(d.Data + " ")
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// row is the cells of a tag's line.
func row(doc *goquery.Document, tag string) []string {
	return doc.Find("tr[data-tag='" + tag + "'] > *").Map(func(_ int, s *goquery.Selection) string { return said(s) })
}

func TestTagsTable(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.fill()
	doc := k.page(account.Viewer, "/admin/sites/shop/tags")
	for tag, want := range map[string][]string{
		"ga4":        {"Google Analytics 4 G-AB12CD34EF", "analytics", "gated may send when denied", "4,097", "1,213", "77.2%", "no choice yet 811 declined 402", "22 Nov 09:23", "0"},
		"meta-pixel": {"Meta Pixel 123456789012345", "marketing", "gated silent when denied", "3,198", "2,112", "60.2%", "declined 1,204 no choice yet 811 and 1 more reason", "22 Nov 09:09", "0"},
		"status":     {"Status", "necessary", "runs always", "5,310", "0", "100.0%", "–", "22 Nov 08:55", "0"},
		"old-chat":   {"old-chat", "–", "no longer configured", "12", "30", "28.6%", "declined 30", "13 Nov 09:30", "0"},
	} {
		if got := row(doc, tag); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", tag, got, want)
		}
	}
	if got := row(doc, "gtm"); !strings.Contains(got[2], "not itemisable") {
		t.Errorf("gtm loads others, and is %q", got[2])
	}
	if last, _ := doc.Find("table.tags tbody tr").Last().Attr("data-tag"); last != "old-chat" {
		t.Errorf("the last tag is %s, not the one that is no longer configured", last)
	}
	k.report.Tags["hotjar"] = &tally.Tag{Released: 12}
	if got := row(k.page(account.Viewer, "/admin/sites/shop/tags"), "hotjar")[0]; got != "Hotjar hotjar" {
		t.Errorf("a vendor's tag that is no longer configured is called %q", got)
	}
	headings := doc.Find(".costs h3").Map(func(_ int, s *goquery.Selection) string { return said(s) })
	if want := []string{
		"Refusing analytics kept 2 tags from 402 of 5,310 page views (7.6%).",
		"Refusing marketing kept 3 tags from 1,204 of 5,310 page views (22.7%).",
	}; !slices.Equal(headings, want) {
		t.Errorf("the costs are %q", headings)
	}
	if got := said(doc.Find(".costs tbody").Last().Find("tr").First()); got != "Meta Pixel 1,204 811 97 0 2,112 39.8%" {
		t.Errorf("what refusals cost Meta Pixel is %q", got)
	}
}

func TestCostsThatDiffer(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.fill()
	k.report.Tags["gtm"].Because[consent.Declined] = 1000
	if got := said(k.page(account.Viewer, "/admin/sites/shop/tags").Find(".costs h3").Last()); got != "Refusing marketing kept 3 tags from 1,000 to 1,204 of 5,310 page views each (up to 22.7%)." {
		t.Error(got)
	}
	for _, f := range k.report.Tags {
		delete(f.Because, consent.Declined)
	}
	if got := said(k.page(account.Viewer, "/admin/sites/shop/tags").Find(".costs h3").Last()); got != "Nobody refused marketing." {
		t.Error(got)
	}
}

// A tag that was sent without consent, and told so, was not withheld: it is counted apart.
func TestCostsOfRestricted(t *testing.T) {
	k, _, _ := richDesk(t, strings.Replace(richSite, "controller:", "google: {mode: advanced}\ncontroller:", 1))
	k.fill()
	k.report.Tags["ga4"] = &tally.Tag{
		Released: 4000, Restricted: 1300, Withheld: 10,
		Because:           map[consent.Kind]int64{consent.Crawler: 10},
		RestrictedBecause: map[consent.Kind]int64{consent.Declined: 900, consent.NotChosen: 400},
	}
	analytics := func() (head string, rows []string) {
		costs := k.page(account.Viewer, "/admin/sites/shop/tags").Find(".costs").First()
		return said(costs.Find("h3").First()), costs.Find("table").First().Find("tr").Map(func(_ int, s *goquery.Selection) string { return said(s) })
	}
	head, rows := analytics()
	if want := "Refusing analytics kept 1 tag from 402 of 5,310 page views (7.6%). 1 tag was sent all the same, and told of the refusal."; head != want {
		t.Errorf("%q, want %q", head, want)
	}
	if want := []string{
		"Tag Declined No choice yet Sec-GPC signal Other All Of its page views Sent restricted",
		"Google Analytics 4 0 0 0 10 10 0.2% 1,300", "Microsoft Clarity 402 811 0 0 1,213 22.8% 0",
	}; !slices.Equal(rows, want) {
		t.Errorf("%q, want %q", rows, want)
	}
	doc := k.page(account.Viewer, "/admin/sites/shop/tags")
	if got, want := row(doc, "ga4")[2:8], []string{"sent before consent may send when denied", "4,000", "1,300", "10", "75.3%", "crawler 10"}; !slices.Equal(got, want) {
		t.Errorf("ga4 is %q, want %q", got, want)
	}
	page := said(k.page(account.Viewer, "/admin/sites/shop/tags/ga4").Find(".trio"))
	for _, want := range []string{"Why it was withheld Reason Page views Share crawler 10 0.2%", "Why it was restricted Reason Page views Share declined 900 16.9% no choice yet 400 7.5%"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of ga4 does not say %q: %s", want, page)
		}
	}

	delete(k.report.Tags["microsoft-clarity"].Because, consent.Declined)
	if head, _ := analytics(); head != "Refusing analytics kept no tag from a page view. 1 tag was sent all the same, and told of the refusal." {
		t.Error(head)
	}
}

func TestTagsSortedAndFiltered(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.fill()
	k.report.Tags["clarity"] = k.report.Tags["microsoft-clarity"]
	for query, want := range map[string]string{
		"category=marketing":                "meta-pixel gtm pixel",
		"state=silent&category=marketing":   "meta-pixel",
		"state=loads":                       "gtm",
		"state=always":                      "status",
		"state=gone":                        "old-chat",
		"sort=name&category=marketing":      "gtm meta-pixel pixel",
		"sort=-released&category=marketing": "meta-pixel gtm pixel",
		"sort=-name&category=marketing":     "pixel meta-pixel gtm",
	} {
		doc := k.page(account.Viewer, "/admin/sites/shop/tags?"+query)
		got := doc.Find("table.tags tbody tr").Map(func(_ int, s *goquery.Selection) string { return s.AttrOr("data-tag", "") })
		got = slices.DeleteFunc(got, func(id string) bool { return id == "clarity" })
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", query, got, want)
		}
	}
	doc := k.page(account.Viewer, "/admin/sites/shop/tags?sort=-released&category=marketing")
	head := doc.Find("th[aria-sort=descending] a")
	if got, _ := head.Attr("href"); said(head) != "Released" || got != "/admin/sites/shop/tags?category=marketing&sort=released" {
		t.Errorf("the column that is sorted by is %q, and leads to %q", said(head), got)
	}
	k.page(account.Viewer, "/admin/sites/shop/tags?period=12m")
}

func TestTagsBadInput(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	for path, want := range map[string]string{
		"tags?category=games":                    "has no category",
		"tags?state=odd":                         "here is no state",
		"tags?sort=colour":                       "cannot be sorted",
		"tags?from=2026-11-20&to=2026-11-10":     "before it begins",
		"tags?from=yesterday":                    "is no date",
		"tags?period=year":                       "There is no period",
		"simulator?region=UK-":                   "not a region",
		"simulator?choice=maybe":                 "it is one of",
		"simulator?choice=some&category=games":   "not one of this site",
		"simulator?choice=some&service=games":    "not one of this site",
		"simulator?choice=all&chosen=tomorrow":   "a day is written like",
		"simulator?choice=all&chosen=2030-01-1":  "a day is written like",
		"simulator?choice=all&chosen=2030-01-01": "still to come",
		"simulator?gpc=yes":                      "it is 1, or left out",
		"simulator?lang=xx":                      "it speaks en, de",
		"simulator/answer.js?region=QX":          "not a region",
		"simulator/banner?region=QX":             "not a region",
	} {
		rec := k.ask(account.Viewer, http.MethodGet, "/admin/sites/shop/"+path)
		if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d, and not %q\n%s", path, rec.Code, want, rec.Body)
		}
	}
	if rec := k.ask(account.Viewer, http.MethodGet, "/admin/sites/shop/tags/nowhere"); rec.Code != http.StatusNotFound {
		t.Errorf("a tag that is not there: %d", rec.Code)
	}
}

func TestTagPage(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.fill()
	doc := k.page(account.Viewer, "/admin/sites/shop/tags/ga4?period=28d")
	page := said(doc.Find("main"))
	for _, want := range []string{
		"www.googletagmanager.com", "_ga_* cookie 2 years", "gtag('config','G-AB12CD34EF')", "analytics_storage follows analytics",
		"- {vendor: ga4, id: G-AB12CD34EF, category: analytics}", "no choice yet 811 15.3%", "Germany 4,097 1,213 77.2%", "Phone 4,097 1,213 77.2%",
		"Denied by consent mode alone", "It stops. At once",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of ga4 does not say %q", want)
		}
	}
	if link, _ := doc.Find("dd a[rel=noreferrer]").Attr("href"); link != "https://policies.google.com/privacy" {
		t.Errorf("its privacy policy is %q", link)
	}
	if days := doc.Find("svg.tagchart g").Length(); days != 28 {
		t.Errorf("28 days are %d bars", days)
	}
	if bars := k.page(account.Viewer, "/admin/sites/shop/tags/ga4?period=12m").Find("svg.tagchart g").Length(); bars < 20 || bars > mostBuckets {
		t.Errorf("a year is %d bars", bars)
	}
	if !slices.ContainsFunc(k.asked, func(f tally.Filter) bool { return f.Country == "FR" }) {
		t.Error("France was not asked for")
	}
	if doc := k.page(account.Viewer, "/admin/sites/shop/tags/ga4?period=12m"); doc.Find(".trio section").Length() != 1 || !strings.Contains(said(doc.Find("main")), "in periods of up to 62 days") {
		t.Error("a year is split by country, which takes long, or it is not said that it is not")
	}
	gone := k.page(account.Viewer, "/admin/sites/shop/tags/old-chat")
	if !strings.Contains(said(gone.Find("main")), "no more") || gone.Find("pre").Length() > 0 {
		t.Error("a tag that the site has no more is described")
	}
	if got := said(k.page(account.Viewer, "/admin/sites/shop/tags/pixel").Find("main")); !strings.Contains(got, "Meta Pixel, and is withheld while one of them is") {
		t.Error("what Pixel needs is not said")
	}
}

// What a tag is split by adds up to the tag, whatever is not known and however many values there are.
func TestTagSplitsAddUp(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	parts := map[string]int64{"DE": 500, "FR": 90, "AT": 80, "CH": 70, "NL": 60, "GB": 50, "BR": 40, tally.Other: 30, "": 20}
	list := func(values ...string) (rows []tally.Row, all int64) {
		for _, v := range values {
			rows, all = append(rows, tally.Row{Value: v, Figures: tally.Figures{Views: parts[v]}}), all+parts[v]
		}
		return rows, all
	}
	for _, c := range []struct {
		values []string // in their order
		want   string
	}{
		{[]string{"DE", "FR"}, "Germany 500 France 90"},
		{[]string{"DE", ""}, "Germany 500 Not known 20"},
		{[]string{""}, "Not known 20"},
		{[]string{tally.Other, "DE", ""}, "Germany 500 Other (too few each) 30 Not known 20"},
		{[]string{"DE", "FR", "AT", "CH", "NL", "GB", "BR"}, "Germany 500 France 90 Austria 80 Switzerland 70 Netherlands 60 United Kingdom 50 1 more 40"},
		{
			[]string{"DE", "FR", "AT", "CH", "NL", "GB", "BR", tally.Other, ""},
			"Germany 500 France 90 Austria 80 Switzerland 70 Netherlands 60 United Kingdom 50 2 more, and not known 90",
		},
	} {
		rows, all := list(c.values...)
		k.counted = func(_ string, _ tally.Period, f tally.Filter) *tally.Report {
			n := all
			if f.Country != "" {
				n = parts[f.Country]
			}
			return &tally.Report{By: map[tally.Dimension][]tally.Row{tally.Country: rows}, Tags: map[string]*tally.Tag{"ga4": {Released: n, Withheld: n}}}
		}
		doc := k.page(account.Viewer, "/admin/sites/shop/tags/ga4")
		got := card(doc, "By country").Find("tbody tr").Map(func(_ int, s *goquery.Selection) string {
			return said(s.Find("th")) + " " + said(s.Find("td").First())
		})
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, want %s", c.values, got, c.want)
		}
	}
}

func TestYAMLLine(t *testing.T) {
	for _, c := range []struct {
		tag  consent.Tag
		want string
	}{
		{consent.Tag{ID: "meta-pixel", Vendor: "meta-pixel", Account: "123456789012345", Category: "marketing"}, `- {vendor: meta-pixel, id: "123456789012345", category: marketing}`},
		{consent.Tag{ID: "shop-b", Name: "Shop: B", Vendor: "ga4", Account: "G-1", Category: "a"}, `- {vendor: ga4, id: G-1, name: "Shop: B", category: a}`},
		{consent.Tag{ID: "x", Name: "X", Category: "a", Needs: []string{"y"}, Load: consent.Load{Pixel: "https://x.example/p"}}, `- {name: X, category: a, pixel: "https://x.example/p", needs: [y]}`},
	} {
		if got := yamlLine(&c.tag); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestEmptyTags(t *testing.T) {
	k, _, _ := richDesk(t, noTags())
	if got := said(k.page(account.Viewer, "/admin/sites/shop/tags").Find(".empty")); !strings.Contains(got, "has no tags") {
		t.Errorf("a site without tags: %q", got)
	}
	k, _, _ = richDesk(t, richSite)
	doc := k.page(account.Viewer, "/admin/sites/shop/tags")
	if doc.Find("table.tags tbody tr").Length() != 6 || !strings.Contains(said(doc.Find("main")), "No page view was counted") {
		t.Error("tags of which nothing was counted are not listed")
	}
	if got := said(k.page(account.Viewer, "/admin/sites/shop/tags/ga4").Find(".empty")); !strings.Contains(got, "Nothing was counted") {
		t.Errorf("a tag of which nothing was counted: %q", got)
	}
}
