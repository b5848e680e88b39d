package dashboard

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

const overviewPath = "/admin/sites/shop/"

// text is what a selection says, with single spaces between words and between elements.
func text(s *goquery.Selection) string {
	var words []string
	for _, n := range s.Nodes {
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				words = append(words, strings.Fields(d.Data)...)
			}
		}
	}
	return strings.Join(words, " ")
}

// cards are the stats of a page: name to value and what stands under it. Definitions are left out.
func cards(doc *goquery.Document) map[string]string {
	all := map[string]string{}
	doc.Find(".stat").Each(func(_ int, s *goquery.Selection) {
		s.Find(".means").Remove()
		all[text(s.Find("dt"))] = text(s.Find("dd"))
	})
	return all
}

// rows are the cells of a table's body.
func rows(table *goquery.Selection) (all [][]string) {
	table.Find("tbody tr").Each(func(_ int, tr *goquery.Selection) {
		var cells []string
		tr.Find("th, td:not(.wide)").Each(func(_ int, c *goquery.Selection) { cells = append(cells, text(c)) })
		all = append(all, cells)
	})
	return all
}

// card is the section with a heading.
func card(doc *goquery.Document, heading string) *goquery.Selection {
	return doc.Find("section").FilterFunction(func(_ int, s *goquery.Selection) bool { return text(s.Find("h2")) == heading })
}

// twoWeeks is what a desk counted: from 16 to 22 November, and in the week before. Today and its pendant weigh nothing in
// the changes of counts, and all that they have in those of rates.
func twoWeeks(_ string, p tally.Period, _ tally.Filter) *tally.Report {
	r := &tally.Report{Flushed: now}
	for d := timeOf(p.From); !d.After(timeOf(p.To)); d = d.AddDate(0, 0, 1) {
		r.Days = append(r.Days, tally.DayFigures{Day: tally.DayOf(d)})
	}
	add := func(d tally.Day, f tally.Figures) {
		for i := range r.Days {
			if r.Days[i].Day == d {
				r.Days[i].Figures = f
				r.Total = sum(r.Total, f)
			}
		}
	}
	add("2026-11-16", tally.Figures{
		Views: 3000, Displays: 1200, AcceptAll: 300, RejectAll: 200, Custom: 100, OptIns: 360,
		Changes: 7, Withdrawals: 12, OptOuts: 4, Signals: 90, Crawlers: 33,
	})
	add("2026-11-22", tally.Figures{Views: 1000, Displays: 300, AcceptAll: 30, RejectAll: 20, OptIns: 30})
	add("2026-11-09", tally.Figures{Views: 2000, Displays: 1000, AcceptAll: 200, RejectAll: 200, OptIns: 200, Withdrawals: 6, Crawlers: 33})
	add("2026-11-15", tally.Figures{Views: 90000, Displays: 90000, AcceptAll: 90000, OptIns: 90000})
	if p.To == "2026-11-22" {
		r.Categories = map[string]tally.Category{"analytics": {Granted: 390, Denied: 260}, "marketing": {Granted: 3, Denied: 6}, "heatmaps": {Granted: 10}}
		r.By = map[tally.Dimension][]tally.Row{
			tally.Country: {
				{Value: "DE", Figures: tally.Figures{Views: 900, Displays: 800, AcceptAll: 200, RejectAll: 200, OptIns: 200}},
				{Value: tally.Other, Figures: tally.Figures{Views: 300, Displays: 30, AcceptAll: 15, OptIns: 15}},
				{Value: "", Figures: tally.Figures{Views: 200, Displays: 5}},
				{Value: "AT", Figures: tally.Figures{Views: 100, Displays: 40, AcceptAll: 4, RejectAll: 4, OptIns: 4}},
			},
			tally.Language: {{Value: "de", Figures: tally.Figures{Displays: 10}}, {Value: "pt-BR", Figures: tally.Figures{Displays: 9}}},
			tally.Device:   {{Value: "phone", Figures: tally.Figures{Displays: 1234567}}},
			tally.Regime:   {{Value: "other", Figures: tally.Figures{Displays: 40}}, {Value: "gdpr", Figures: tally.Figures{Displays: 10}}},
			tally.Banner: {
				{Value: "2026-11-01-aaaaaa", Figures: tally.Figures{Displays: 100, AcceptAll: 60, RejectAll: 40, OptIns: 60}},
				{Value: "2026-09-01-bbbbbb", Figures: tally.Figures{Displays: 100, AcceptAll: 30, RejectAll: 70, OptIns: 30}},
			},
		}
	} else {
		r.Categories = map[string]tally.Category{"analytics": {Granted: 50, Denied: 50}}
		r.By = map[tally.Dimension][]tally.Row{tally.Country: {{Value: "DE", Figures: tally.Figures{Displays: 100, AcceptAll: 45, RejectAll: 55, OptIns: 45}}}}
	}
	return r
}

func TestOverviewShowsFigures(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	doc := k.page(account.Viewer, overviewPath+"?period=7d")
	want := map[string]string{
		"Displays":         "1,500 +20.0% in 4,000 views",
		"Interactions":     "650 +50.0%",
		"Ignores":          "850 no change",
		"Interaction rate": "43.3% −56.0 points of displays",
		"Accept all":       "330 +50.0% 50.8% of answers",
		"Reject all":       "220 no change 33.8% of answers",
		"Custom":           "100 new 15.4% of answers",
		"Opt-in rate":      "60.0% −39.8 points of answers",
	}
	if diff := cmp.Diff(want, cards(doc)); diff != "" {
		t.Error(diff)
	}
	if lead := text(doc.Find(".lead")); lead != "16 to 22 November 2026, compared with 9 to 15 November 2026." {
		t.Error(lead)
	}
	if hint := text(doc.Find(".answers .hint")); hint != "Today is not over: changes of counts leave it out, those of rates do not. Days are those of UTC. Counted up to 22 November 2026, 09:30 UTC." {
		t.Error(hint)
	}
	var apart [][]string
	doc.Find(".apart > div").Each(func(_ int, s *goquery.Selection) {
		s.Find(".means").Remove()
		apart = append(apart, []string{text(s.Find("dt")), text(s.Find("dd"))})
	})
	if diff := cmp.Diff([][]string{{"Withdrawals", "12 from 6"}, {"Changes", "7 new"}, {"Manual opt-outs", "4 new"}, {"GPC signals", "90 new"}, {"Crawlers", "33 no change"}}, apart); diff != "" {
		t.Error(diff)
	}
}

func TestOverviewBreaksFiguresDown(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	doc := k.page(account.Viewer, overviewPath+"?period=7d")
	for heading, want := range map[string][][]string{
		"By category": {{"Analytics", "60.0% +10.0 points"}, {"Marketing", "too few"}, {"Heatmaps no more in use", "100.0%"}},
		"Countries": {
			{"Germany", "800", "50.0%", "50.0% +5.0 points"},
			{"Not known", "5", "too few", "too few"},
			{"Austria", "40", "20.0%", "too few"},
			{"Other (too few each)", "30", "50.0%", "100.0%"},
		},
		"Languages": {{"German", "10", "0.0%", "too few"}, {"Brazilian Portuguese", "9", "too few", "too few"}},
		"Devices":   {{"Phone", "1,234,567", "0.0%", "too few"}},
		"Regimes":   {{"other", "40", "0.0%", "too few"}, {"gdpr", "10", "0.0%", "too few"}}, // a regime's own name, of which none was merged
		"Banner versions": {
			{"2026-11-01-aaaaaa", "100", "100.0%", "60.0%"}, {"2026-09-01-bbbbbb", "100", "100.0%", "30.0% −30.0 points"},
		},
	} {
		section := card(doc, heading)
		section.Find(".means").Remove()
		if diff := cmp.Diff(want, rows(section)); diff != "" {
			t.Errorf("%s: %s", heading, diff)
		}
	}
	if href, _ := card(doc, "Countries").Find("a").First().Attr("href"); href != overviewPath+"?country=DE&period=7d" {
		t.Errorf("the country's link goes to %s", href)
	}
	if n := card(doc, "Countries").Find("th a").Length(); n != 3 {
		t.Errorf("%d of the countries can be filtered by, want all but the unknown", n)
	}
}

func TestOverviewTableHasTheChartsFigures(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	doc := k.page(account.Viewer, overviewPath+"?from=2026-11-15&to=2026-11-17")
	want := [][]string{
		{"Sun 15 Nov 2026", "90,000", "90,000", "0", "0", "0", "100.0%"},
		{"Mon 16 Nov 2026", "1,200", "300", "100", "200", "600", "60.0%"},
		{"Tue 17 Nov 2026 nothing was counted", "0", "0", "0", "0", "0", "too few"},
	}
	if diff := cmp.Diff(want, rows(card(doc, "By day").Find("details"))); diff != "" {
		t.Error(diff)
	}
	if n := doc.Find(".chart g > title").Length(); n != 3+2 {
		t.Errorf("%d columns and dots say what they are, want 3 and 2", n)
	}
	for _, svg := range doc.Find("svg[role=img]").EachIter() {
		for _, id := range strings.Fields(svg.AttrOr("aria-labelledby", "")) {
			if svg.Find("#"+id).Length() != 1 {
				t.Errorf("a chart is labelled by %q, which it does not have", id)
			}
		}
	}
	if text(doc.Find(".legend")) != "Accepted all Custom Rejected all Ignored Nothing counted Opt-in rate" {
		t.Errorf("legend: %s", text(doc.Find(".legend")))
	}
}

// definitions are at hand beside every figure, and unsure views are explained only where there are some.
func TestOverviewDefinesFigures(t *testing.T) {
	k := newDesk(t)
	k.report = &tally.Report{Total: tally.Figures{Views: 100, Displays: 50}}
	doc := k.page(account.Viewer, overviewPath)
	for _, s := range doc.Find(".stat, .apart > div").EachIter() {
		if text(s.Find(".means p")) == "" || s.Find(".means summary").AttrOr("aria-label", "") == "" {
			t.Errorf("%s has no definition", text(s.Find("dt")))
		}
	}
	if strings.Contains(doc.Text(), "Unsure") {
		t.Error("unsure views are explained where there are none")
	}
	cached := "takes that answer from its own cache nothing is counted, as this site does not have page_views on"
	if !strings.Contains(doc.Text(), cached) {
		t.Error("the page does not say what is not counted")
	}
	k.report.Total.Unsure = 1234
	k.site.PageViews = true
	doc = k.page(account.Viewer, overviewPath)
	if !strings.Contains(text(doc.Find(".apart")), "1,234") || strings.Contains(doc.Text(), cached) || !strings.Contains(doc.Text(), "Every page view is counted") {
		t.Errorf("with unsure views, and all page views counted: %s", text(doc.Find("main")))
	}
}

func TestOverviewReadsPeriods(t *testing.T) {
	for _, c := range []struct{ query, period, before string }{
		{"", "2026-10-26 2026-11-22", "2026-09-28 2026-10-25"},
		{"?period=today", "2026-11-22 2026-11-22", "2026-11-21 2026-11-21"},
		{"?period=7d&compare=previous", "2026-11-16 2026-11-22", "2026-11-09 2026-11-15"},
		{"?period=90d", "2026-08-25 2026-11-22", "2026-05-27 2026-08-24"},
		{"?period=12m", "2025-11-23 2026-11-22", "2024-11-23 2025-11-22"},
		{"?period=7d&compare=year", "2026-11-16 2026-11-22", "2025-11-16 2025-11-22"},
		{"?from=2026-02-01&to=2026-02-28", "2026-02-01 2026-02-28", "2026-01-04 2026-01-31"},
		{"?from=2026-11-20", "2026-11-20 2026-11-22", "2026-11-17 2026-11-19"},
		{"?from=2024-02-29&to=2024-02-29&compare=year", "2024-02-29 2024-02-29", "2023-03-01 2023-03-01"},
		{"?compare=2026-01-01..2026-01-31", "2026-10-26 2026-11-22", "2026-01-01 2026-01-31"},
	} {
		k := newDesk(t)
		var asked []string
		k.counted = func(_ string, p tally.Period, _ tally.Filter) *tally.Report {
			asked = append(asked, string(p.From+" "+p.To))
			return &tally.Report{Total: tally.Figures{Views: 1}}
		}
		k.page(account.Viewer, overviewPath+c.query)
		slices.Sort(asked) // the two are read beside one another
		want := []string{c.period, c.before}
		slices.Sort(want)
		if !slices.Equal(asked, want) {
			t.Errorf("%s asks for %v, want %v", c.query, asked, want)
		}
	}
}

func TestOverviewPassesFiltersOn(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	doc := k.page(account.Viewer, overviewPath+"?period=7d&country=DE&regime=gdpr&language=de&device=phone&banner=2026-11-01-aaaaaa")
	want := tally.Filter{Country: "DE", Regime: "gdpr", Language: "de", Device: "phone", Banner: "2026-11-01-aaaaaa"}
	filtered := 0
	for _, f := range k.asked {
		switch f {
		case want:
			filtered++
		case tally.Filter{}:
		default:
			t.Errorf("asked for %+v", f)
		}
	}
	if filtered != 2 || len(k.asked) != 3 {
		t.Errorf("%d of %d reports are filtered, want both periods, and one that is not", filtered, len(k.asked))
	}
	var chips []string
	for _, a := range doc.Find(".chips a").EachIter() {
		chips = append(chips, text(a)+" -> "+a.AttrOr("href", ""))
	}
	base := overviewPath + "?banner=2026-11-01-aaaaaa&country=DE&device=phone&language=de&period=7d&regime=gdpr"
	if diff := cmp.Diff([]string{
		"Country: Germany × : remove this filter -> " + strings.Replace(base, "&country=DE", "", 1),
		"Device: Phone × : remove this filter -> " + strings.Replace(base, "&device=phone", "", 1),
		"Language: German × : remove this filter -> " + strings.Replace(base, "&language=de", "", 1),
		"Regime: gdpr × : remove this filter -> " + strings.Replace(base, "&regime=gdpr", "", 1),
		"Banner: 2026-11-01-aaaaaa × : remove this filter -> " + strings.Replace(base, "banner=2026-11-01-aaaaaa&", "", 1),
		"Remove all filters -> " + overviewPath + "?period=7d",
	}, chips); diff != "" {
		t.Error(diff)
	}
	form := doc.Find("form.filters")
	if method := form.AttrOr("method", ""); method != "get" {
		t.Errorf("the filters are sent by %q", method)
	}
	if v := form.Find("select[name=country] option[selected]").AttrOr("value", ""); v != "DE" {
		t.Errorf("the form has the country %q", v)
	}
	if v := form.Find("input[name=period]").AttrOr("value", ""); v != "7d" {
		t.Errorf("the form forgets the period: %q", v)
	}
	if v := doc.Find(".panel input[name=country]").AttrOr("value", ""); v != "DE" {
		t.Errorf("the form of the dates forgets the country: %q", v)
	}
}

// A form sends what is left empty as well: the address that is kept has only what counts.
func TestOverviewTidiesAddresses(t *testing.T) {
	for query, want := range map[string]string{
		"?country=DE&device=&language=&regime=&banner=": "?country=DE",
		"?country=": "",
		"?from=2026-11-01&to=2026-11-05&compare=&compare_from=2026-10-01&compare_to=2026-10-05":                 "?from=2026-11-01&to=2026-11-05",
		"?from=2026-11-01&to=2026-11-05&compare=dates&compare_from=2026-01-01&compare_to=2026-01-05&country=AT": "?compare=2026-01-01..2026-01-05&country=AT&from=2026-11-01&to=2026-11-05",
	} {
		rec := newDesk(t).ask(account.Viewer, http.MethodGet, overviewPath+query)
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != overviewPath+want {
			t.Errorf("%s: %d to %q, want 303 to %q", query, rec.Code, rec.Header().Get("Location"), overviewPath+want)
		}
	}
}

func TestOverviewRefusesWhatMakesNoSense(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	for _, c := range []struct{ query, says string }{
		{"period=fortnight", `There is no period "fortnight": it is one of today, 7d, 28d, 90d and 12m, or give from and to.`},
		{"period=7d&from=2026-11-01&to=2026-11-02", "Both a period and dates are given"},
		{"from=2026-11-10&to=2026-11-09", "ends on 2026-11-09, before it begins on 2026-11-10: exchange the two"},
		{"from=2026-02-30&to=2026-03-09", `"2026-02-30" is no date: write it as year-month-day`},
		{"from=yesterday&to=2026-03-09", `"yesterday" is no date`},
		{"from=0001-01-01&to=0001-01-02", "0001-01-01 is too long ago"},
		{"from=2026-11-10&to=2026-11-23", "2026-11-23 is still to come: today is 2026-11-22 (UTC)"},
		{"from=2024-01-01&to=2026-11-22", "has 1,057 days: ask for at most 800 at once"},
		{"to=2026-11-01", "the period begins is missing"},
		{"compare=never", `"never" is nothing to compare with`},
		{"compare=2026-10-10..2026-10-01", "before it begins on 2026-10-10"},
		{"compare=2026-10-10..", "lacks a date"},
		{"compare=dates", "lacks a date"},
		{"compare=dates&compare_from=2026-10-01", "lacks a date"},
		{"country=XX", `There is no country "XX": choose one from the list`},
		{"country=de", `There is no country "de"`},
		{"country=DEU", `There is no country "DEU"`},
		{"country=Germany", `There is no country "Germany"`},
		{"regime=lgpd", `There is no regime "lgpd"`},
		{"language=tlh", `There is no language "tlh"`},
		{"device=fridge", `There is no device "fridge"`},
		{"banner=1999-01-01-aaaaaa", `There is no banner "1999-01-01-aaaaaa"`},
		{"county=DE", `There is no filter "county"`},
		{"country=DE&country=AT", "country is given 2 times"},
		{"country=%zz", "the address cannot be read"},
		{"device=%3Cscript%3E", "There is no device"},
	} {
		for _, page := range []string{overviewPath, overviewPath + "figures.csv"} {
			rec := k.ask(account.Viewer, http.MethodGet, page+"?"+c.query)
			doc, err := goquery.NewDocumentFromReader(rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			if says := text(doc.Find("[role=alert]")); rec.Code != http.StatusBadRequest || !strings.Contains(strings.ToLower(says), strings.ToLower(c.says)) {
				t.Errorf("%s: %d %q, want 400 and %q", c.query, rec.Code, says, c.says)
			}
			if doc.Find(".menu a[aria-current=page]").Length() != 1 {
				t.Errorf("%s: the page has lost its frame", c.query)
			}
		}
	}
}

// What could be counted but was not in this period is no mistake: a kept address holds.
func TestOverviewTakesWhatIsPossible(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	for _, query := range []string{"country=JP", "country=other", "regime=us", "language=en", "device=tablet", "banner=2026-11-01-cccccc", "language=pt-BR"} {
		doc := k.page(account.Viewer, overviewPath+"?"+query)
		if doc.Find("form.filters option[selected]:not([value=''])").Length() != 1 {
			t.Errorf("%s: the form does not show it", query)
		}
	}
}

func TestOverviewOfNothing(t *testing.T) {
	k := newDesk(t)
	doc := k.page(account.Viewer, overviewPath)
	if pre := doc.Find(".empty pre").Text(); pre != `<script src="https://example.com/stile/shop.js"></script>` {
		t.Errorf("a site without data shows %q", pre)
	}
	k.counted = func(_ string, p tally.Period, _ tally.Filter) *tally.Report {
		if p.From <= "2026-01-01" {
			return &tally.Report{Total: tally.Figures{Views: 1}}
		}
		return &tally.Report{}
	}
	doc = k.page(account.Viewer, overviewPath)
	if href := doc.Find(".empty a").AttrOr("href", ""); href != overviewPath+"?period=12m" {
		t.Errorf("an empty period leads to %q", href)
	}
	k.counted = func(_ string, _ tally.Period, f tally.Filter) *tally.Report {
		if f == (tally.Filter{}) {
			return &tally.Report{Total: tally.Figures{Views: 1}}
		}
		return &tally.Report{}
	}
	doc = k.page(account.Viewer, overviewPath+"?period=7d&country=JP")
	if href := doc.Find(".empty a").AttrOr("href", ""); href != overviewPath+"?period=7d" {
		t.Errorf("a filter that leaves nothing leads to %q", href)
	}
	if strings.Contains(doc.Text(), "NaN") {
		t.Error("NaN")
	}
}

// Nowhere does a page show what no figure is, whatever little was counted.
func TestOverviewOfFewShowsNoRates(t *testing.T) {
	k := newDesk(t)
	for _, n := range []int64{0, 1, 9} {
		k.report = &tally.Report{Total: tally.Figures{Views: 1 + n, Displays: n, AcceptAll: n, OptIns: n}, Days: []tally.DayFigures{day("2026-11-22", n, n, 0, 0)}}
		doc := k.page(account.Viewer, overviewPath+"?period=today")
		got := cards(doc)
		if !strings.HasPrefix(got["Opt-in rate"], "too few") || !strings.HasPrefix(got["Interaction rate"], "too few") {
			t.Errorf("%d answers: %v", n, got)
		}
		if body := doc.Text(); strings.Contains(body, "NaN") || strings.Contains(body, "Inf") || strings.Contains(text(doc.Find(".stats")), "%") {
			t.Errorf("%d answers: %s", n, text(doc.Find("main")))
		}
	}
}

func TestOverviewComparesUnequalPeriodsByDay(t *testing.T) {
	k := newDesk(t)
	k.counted = func(_ string, p tally.Period, _ tally.Filter) *tally.Report {
		r := &tally.Report{}
		for d := timeOf(p.From); !d.After(timeOf(p.To)); d = d.AddDate(0, 0, 1) {
			r.Days = append(r.Days, day(string(tally.DayOf(d)), 100, 40, 0, 10))
			r.Total = sum(r.Total, r.Days[0].Figures)
		}
		return r
	}
	doc := k.page(account.Viewer, overviewPath+"?from=2026-10-01&to=2026-10-10&compare=2026-08-01..2026-08-31")
	if got := cards(doc)["Displays"]; got != "1,000 no change in 1,000 views" {
		t.Errorf("as many a day: %s", got)
	}
	if !strings.Contains(text(doc.Find(".answers .hint")), "not equally long: counts are compared by day") {
		t.Error("the page does not say that it compares by day")
	}
}

func TestFiguresAsCSV(t *testing.T) {
	k := newDesk(t)
	k.counted = func(site string, p tally.Period, f tally.Filter) *tally.Report {
		r := twoWeeks(site, p, f)
		r.By[tally.Regime] = []tally.Row{{Value: "=HYPERLINK(1)", Figures: tally.Figures{Displays: 10}}, {Value: "-1", Figures: tally.Figures{Displays: 3}}}
		return r
	}
	href := k.page(account.Viewer, overviewPath+"?period=7d&country=DE").Find(".tools a").AttrOr("href", "")
	if href != overviewPath+"figures.csv?country=DE&period=7d" {
		t.Fatalf("the download is at %s", href)
	}
	rec := k.ask(account.Viewer, http.MethodGet, href)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "text/csv; charset=utf-8" ||
		rec.Header().Get("Content-Disposition") != `attachment; filename="shop-2026-11-16-2026-11-22.csv"` {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	all, err := csv.NewReader(rec.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, row := range all[1:] {
		lines[row[2]+" "+row[3]] = strings.Join(row[4:], ",")
	}
	for key, want := range map[string]string{
		"total ":                "4000,1500,650,850,330,220,100,390,7,12,4,90,33,0,,",
		"day 2026-11-16":        "3000,1200,600,600,300,200,100,360,7,12,4,90,33,0,,",
		"day 2026-11-17":        "0,0,0,0,0,0,0,0,0,0,0,0,0,0,,",
		"category analytics":    ",,,,,,,,,,,,,,390,260",
		"country DE":            "900,800,400,400,200,200,0,200,0,0,0,0,0,0,,",
		"regime '=HYPERLINK(1)": "0,10,0,10,0,0,0,0,0,0,0,0,0,0,,",
		"regime '-1":            "0,3,0,3,0,0,0,0,0,0,0,0,0,0,,",
	} {
		if lines[key] != want {
			t.Errorf("%s: %q, want %q", key, lines[key], want)
		}
	}
	if len(all) != 1+1+7+3+4+1+2+2+2 {
		t.Errorf("%d lines", len(all))
	}
}

// away are figures whose database is away.
type away struct{}

func (away) Report(context.Context, string, tally.Period, tally.Filter) (*tally.Report, error) {
	return nil, errors.Join(io.ErrUnexpectedEOF, ledger.ErrAway)
}

func TestFiguresThatAreAway(t *testing.T) {
	k := newDesk(t)
	k.d.Figures = away{}
	for _, page := range []string{"/admin/", overviewPath, overviewPath + "figures.csv"} {
		rec := k.ask(account.Viewer, http.MethodGet, page)
		if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "unexpected EOF") {
			t.Errorf("%s: %d %s", page, rec.Code, rec.Body)
		}
	}
}

func TestHomeShowsSites(t *testing.T) {
	k := newDesk(t)
	k.counted = twoWeeks
	k.site.Warnings = []config.Problem{{Message: "the policy has no file", Hint: "name one under policy.file"}}
	k.d.Alerts = func(context.Context) ([]Alert, error) {
		return []Alert{{Site: "shop", Text: "Opt-in fell.", Path: "/admin/sites/shop/?period=7d"}, {Text: "The disk is full."}}, nil
	}
	doc := k.page(account.Viewer, "/admin/")
	line := doc.Find(".sitelist > li")
	if got := text(line.Find("dl")); got != "Views 4,000 +50.0% Opt-in rate 60.0% −39.8 points" {
		t.Error(got)
	}
	if n := line.Find(".spark rect").Length(); n != 14 {
		t.Errorf("%d days in the small chart", n)
	}
	if got := text(line.Find(".state")); got != "1 alert 1 warning of the configuration of shop The policy has no file Name one under policy.file" {
		t.Error(got)
	}
	if got := text(doc.Find(".alerts")); got != "shop Opt-in fell. Look at it : Opt-in fell. The disk is full." {
		t.Error(got)
	}
	if got := text(doc.Find(".lead")); got != "1 site, the last 7 days against the 7 before. Today is not over: changes of views leave it out. 1 needs your attention." {
		t.Error(got)
	}
}

func TestHomeOfQuietSites(t *testing.T) {
	k := newDesk(t)
	k.site.Warnings = nil
	doc := k.page(account.Viewer, "/admin/")
	if got := text(doc.Find(".sitelist .first")); got != "Nothing was counted in 14 days. See what to do (shop)" {
		t.Error(got)
	}
	if got := text(doc.Find(".lead")); !strings.HasSuffix(got, "Nothing needs your attention.") {
		t.Error(got)
	}
	k.d.Sites = func() []Site { return nil }
	if got := text(k.page(account.Viewer, "/admin/").Find(".empty .what")); got != "This Stile serves no site yet" {
		t.Error(got)
	}
}

// The figures of 50 sites are read a few at once, and each site shows its own.
func TestHomeOfManySites(t *testing.T) {
	k := newDesk(t)
	sites := k.many(50)
	k.d.Sites = func() []Site { return sites }
	gate := &meter{}
	k.d.Figures = gate
	doc := k.page(account.Viewer, "/admin/")
	lines := doc.Find(".sitelist > li")
	if lines.Length() != 50 {
		t.Fatalf("%d sites", lines.Length())
	}
	for i, line := range lines.EachIter() {
		if got, want := text(line.Find("dd b").First()), count(int64(100+len(sites[i].Name))); got != want {
			t.Errorf("%s: %s views, want %s", sites[i].Name, got, want)
		}
	}
	if gate.most > readers || gate.calls != 50 {
		t.Errorf("%d reports were read, %d at once", gate.calls, gate.most)
	}
}

// meter are figures that say how many asked at once.
type meter struct {
	lock             sync.Mutex
	now, most, calls int
}

func (m *meter) Report(_ context.Context, site string, p tally.Period, _ tally.Filter) (*tally.Report, error) {
	m.lock.Lock()
	m.now, m.calls = m.now+1, m.calls+1
	m.most = max(m.most, m.now)
	m.lock.Unlock()
	runtime.Gosched()
	r := &tally.Report{Days: []tally.DayFigures{day(string(p.To), int64(100+len(site)), 0, 0, 0)}}
	r.Total = r.Days[0].Figures
	m.lock.Lock()
	m.now--
	m.lock.Unlock()
	return r, nil
}
