package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/tally"
)

// sightedText is the fixture's site with sightings on.
const sightedText = siteText + `sightings: {share: 0.05, own: ["cdn.example"]}
`

func sightedDesk(t *testing.T, list ...tally.Sighting) *desk {
	t.Helper()
	k := newDesk(t)
	k.site = siteOf(t, sightedText)
	t.Cleanup(k.site.Gate.Close)
	k.report = &tally.Report{Sightings: list}
	return k
}

func observed(host, as, allowed string, chosen bool, pages int64) tally.Sighting {
	tags, state := "", strings.Fields(allowed)
	if category := map[string]string{"www.clarity.ms": "analytics", "www.googletagmanager.com": "analytics", "pixel.example": "marketing"}[host]; category != "" {
		tags = tally.Held
		if strings.Contains(allowed, category) {
			tags = tally.Ran
		}
	}
	for _, name := range []string{"analytics", "marketing"} {
		if chosen && !strings.Contains(allowed, name) {
			state = append(state, "!"+name)
		}
	}
	return tally.Sighting{Host: host, As: as, State: strings.Join(state, " "), Tags: tags, Chosen: chosen, Regime: "gdpr", Source: tally.Observer, Pages: pages, First: "2026-11-02", Last: "2026-11-22"}
}

// fullList is a bit of everything.
func fullList() []tally.Sighting {
	return []tally.Sighting{
		observed("www.clarity.ms", "script", "", true, 14),
		observed("www.clarity.ms", "script", "analytics marketing", true, 203),
		observed("www.clarity.ms", "script", "", false, 3),
		observed("static.hotjar.com", "script", "analytics marketing", true, 31),
		observed("static.hotjar.com", "script", "marketing", true, 8),
		observed("script.hotjar.com", "script", "marketing", true, 7),
		observed("www.googletagmanager.com", "script", "analytics", true, 188),
		observed("pixel.example", "img", "marketing", true, 96),
		observed("pixel.example", "img", "", false, 5),
		observed("player.films.example", "iframe", "", true, 21),
		observed("player.films.example", "iframe", "analytics marketing", true, 44),
		observed("xn--bcher-kva.example", "other", "analytics", true, 4),
		{Host: "widgets.example", As: "script", State: tally.UnknownState, Source: tally.CSP, Pages: 12, First: "2026-11-11", Last: "2026-11-19"},
		{Host: "inline", As: "script", State: tally.UnknownState, Source: tally.CSP, Pages: 40, First: "2026-11-11", Last: "2026-11-22"},
	}
}

// texts are what a reader sees of each of some elements, words apart.
func texts(s *goquery.Selection) (list []string) {
	s.Each(func(_ int, s *goquery.Selection) {
		var words []string
		for n := range s.Nodes[0].Descendants() {
			if n.Type == html.TextNode {
				words = append(words, strings.Fields(n.Data)...)
			}
		}
		list = append(list, strings.Join(words, " "))
	})
	return list
}

func TestSightingsSayTheWorstFirst(t *testing.T) {
	doc := sightedDesk(t, fullList()...).page(account.Viewer, "/admin/sites/shop/sightings")
	badges, said := texts(doc.Find(".sayings > li > span")), texts(doc.Find(".sayings > li > div > p"))
	var lines []string
	for i := range min(len(badges), len(said)) {
		lines = append(lines, badges[i]+" "+said[i])
	}
	got := strings.Join(lines, "\n")
	const want = "slipped through Microsoft Clarity was seen on 14 pages of visitors who declined analytics: it stands in the theme.\n" +
		"not gated Hotjar was seen on 8 pages of visitors who declined analytics: it stands in the theme.\n" +
		"slipped through Pixel was seen on 5 pages before a choice: it stands in the theme.\n" +
		"unknown player.films.example was seen on 65 pages, 21 of them of visitors who declined everything: nobody has said what it is.\n" +
		"unknown The security policy reported widgets.example on 12 pages: stile.yaml does not name it.\n" +
		"unknown xn--bcher-kva.example was seen on 4 pages: nobody has said what it is."
	if got != want {
		t.Errorf("the page says\n%s", got)
	}
	row := func(host string) string {
		return strings.Join(texts(doc.Find(".seen tbody tr").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find("bdi").Text() == host }).Find("td")), " | ")
	}
	for host, want := range map[string]string{
		"www.clarity.ms":           "Microsoft Clarity | slipped through | declined everything 14 before a choice 3 accepted everything 203 | 220 | 2 Nov 2026 | 22 Nov 2026",
		"static.hotjar.com":        "Hotjar | not gated | accepted everything 31 declined analytics 8 | 39 | 2 Nov 2026 | 22 Nov 2026",
		"www.googletagmanager.com": "Google Analytics 4 | gated | declined marketing 188 | 188 | 2 Nov 2026 | 22 Nov 2026",
		"player.films.example":     "– | unknown | accepted everything 44 declined everything 21 | 65 | 2 Nov 2026 | 22 Nov 2026",
		"widgets.example":          "– | unknown | not known 12 | 12 | 11 Nov 2026 | 19 Nov 2026",
		"inline code":              "– | no host | not known 40 | 40 | 11 Nov 2026 | 22 Nov 2026",
	} {
		if got := row(host); got != want {
			t.Errorf("%s:\n got %s\nwant %s", host, got, want)
		}
	}
	// What is the worst stands first, and what is well has nothing to be done about.
	if first := doc.Find(".seen tbody bdi").First().Text(); first != "www.clarity.ms" {
		t.Errorf("%s stands first", first)
	}
	if n := doc.Find(".seen tbody tr").FilterFunction(func(_ int, s *goquery.Selection) bool {
		return s.Find(".badge.good").Length() > 0 && s.Find("details").Length() > 0
	}).Length(); n > 0 {
		t.Errorf("%d gated hosts have a remedy", n)
	}
}

// One click gives lines that can be put into the file as they are.
func TestSightingsGiveLines(t *testing.T) {
	doc := sightedDesk(t, fullList()...).page(account.Viewer, "/admin/sites/shop/sightings")
	lines := map[string]bool{}
	doc.Find("main pre").Each(func(_ int, s *goquery.Selection) { lines[s.Text()] = true })
	for _, want := range []string{
		`- {vendor: hotjar, id: "1234567", category: analytics}`,
		`- {name: "player.films.example", category: marketing, markup: true, hosts: ["player.films.example"]}`,
		`sightings: {share: 0.05, own: ["cdn.example", "player.films.example"]}`,
	} {
		if !lines[want] {
			t.Errorf("the page does not give %s, but %v", want, lines)
		}
	}
	for line := range lines {
		text := strings.Replace(sightedText, "tags:\n", "tags:\n  "+line+"\n", 1)
		if strings.HasPrefix(line, "sightings:") {
			text = siteText + line + "\n"
		}
		siteOf(t, text).Gate.Close() // which fails where it cannot be read
	}
	if got := texts(doc.Find(".sayings > li").First().Find("li code")); len(got) != 1 || !strings.HasPrefix(got[0], `<script src="https://www.clarity.ms/…">`) {
		t.Errorf("what to delete of Clarity: %q", got)
	}
}

func TestSightingsFilters(t *testing.T) {
	k := sightedDesk(t, fullList()...)
	var periods []tally.Period
	k.counted = func(_ string, p tally.Period, _ tally.Filter) *tally.Report {
		periods = append(periods, p)
		return k.report
	}
	hosts := func(query string) string {
		return strings.Join(texts(k.page(account.Viewer, "/admin/sites/shop/sightings"+query).Find(".seen tbody bdi")), " ")
	}
	for query, want := range map[string]string{
		"?show=ungated":           "www.clarity.ms pixel.example static.hotjar.com script.hotjar.com",
		"?show=unknown&period=7d": "player.films.example widgets.example xn--bcher-kva.example",
		"?show=gated":             "inline code www.googletagmanager.com",
	} {
		if got := hosts(query); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	if p := periods[len(periods)-1]; p.To != "2026-11-22" {
		t.Errorf("asked for %+v", p)
	}
	periods = nil
	doc := k.page(account.Viewer, "/admin/sites/shop/sightings?period=7d&show=gated")
	if len(periods) != 1 || periods[0] != (tally.Period{From: "2026-11-16", To: "2026-11-22"}) {
		t.Errorf("7 days are %+v", periods)
	}
	if got := texts(doc.Find(".tabs a[aria-current]")); fmt.Sprint(got) != "[7 days Gated]" {
		t.Errorf("in force: %q", got)
	}
	if href, _ := doc.Find(`.tabs a:contains("Unknown")`).Attr("href"); href != "/admin/sites/shop/sightings?period=7d&show=unknown" {
		t.Errorf("a filter forgets the period: %s", href)
	}
	for _, query := range []string{"?period=7", "?period=1y", "?show=all", "?after=none", "?a=%zz"} {
		if rec := k.ask(account.Viewer, http.MethodGet, "/admin/sites/shop/sightings"+query); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, rec.Code)
		}
	}
	if rec := k.ask(account.Nobody, http.MethodGet, "/admin/sites/shop/sightings"); rec.Code != http.StatusSeeOther {
		t.Errorf("nobody: %d", rec.Code)
	}
}

// A long list comes in pages, which follow each other without a gap.
func TestSightingsPages(t *testing.T) {
	var list []tally.Sighting
	for i := range 250 {
		list = append(list, observed(fmt.Sprintf("h%03d.example", i), "img", "", true, int64(1000-i)))
	}
	k := sightedDesk(t, list...)
	path, seen := "/admin/sites/shop/sightings?show=unknown", []string(nil)
	for range 3 {
		doc := k.page(account.Viewer, path)
		seen = append(seen, texts(doc.Find(".seen tbody bdi"))...)
		path, _ = doc.Find(`a:contains("More hosts")`).Attr("href")
	}
	if len(seen) != 250 || seen[0] != "h000.example" || seen[249] != "h249.example" || path != "" {
		t.Errorf("%d hosts, and then %q", len(seen), path)
	}
}

func TestSightingsEmpty(t *testing.T) {
	k := newDesk(t)
	doc := k.page(account.Viewer, "/admin/sites/shop/sightings")
	if doc.Find("pre").Text() != "sightings: 0.05" || doc.Find(".tabs").Length() > 0 {
		t.Errorf("where sightings are off the page says %s", doc.Find("main").Text())
	}
	siteOf(t, siteText+doc.Find("pre").Text()+"\n").Gate.Close()

	k = sightedDesk(t)
	doc = k.page(account.Viewer, "/admin/sites/shop/sightings?period=7d")
	if got := doc.Find(".empty .what").Text(); got != "Nothing third-party was seen since 16 Nov 2026" {
		t.Errorf("where nothing was seen the page says %q", got)
	}
	k.report.Reported = 7
	if got := doc.Find(".empty").Text(); !strings.Contains(got, "no page has reported yet") {
		t.Errorf("where nothing has reported it says %q", got)
	}
	if got := k.page(account.Viewer, "/admin/sites/shop/sightings").Find(".empty").Text(); !strings.Contains(got, "7 page views") {
		t.Errorf("where 7 have it says %q", got)
	}

	k = sightedDesk(t, observed("www.googletagmanager.com", "script", "analytics", true, 188))
	doc = k.page(account.Viewer, "/admin/sites/shop/sightings")
	if doc.Find(".sayings").Length() > 0 || doc.Find(".badge.good").Length() != 2 {
		t.Errorf("where all is well the page says %s", doc.Find("main").Text())
	}
}

// Hosts are somebody else's words: they are shown as text.
func TestSightingsEscape(t *testing.T) {
	doc := sightedDesk(t, observed(`a"'&b.example`, "script", "", true, 1)).page(account.Viewer, "/admin/sites/shop/sightings")
	if got := doc.Find(".seen tbody bdi").Text(); got != `a"'&b.example` || doc.Find("main script").Length() > 0 {
		t.Errorf("the host is %q", got)
	}
	if _, err := url.Parse(doc.Find(".tabs a").First().AttrOr("href", ":")); err != nil {
		t.Error(err)
	}
}

// A day that cannot be read is missing, and each page of figures says so.
func TestMissingDays(t *testing.T) {
	k := sightedDesk(t, fullList()...)
	k.report.Missing = []tally.Day{"2026-11-20"}
	for _, page := range []string{"", "tags", "tags/pixel", "sightings"} {
		if text := k.page(account.Viewer, "/admin/sites/shop/"+page).Find("main").Text(); !strings.Contains(text, "of 20 Nov 2026 cannot be read and is left out") {
			t.Errorf("%q does not say that a day is missing", page)
		}
	}
	k.report.Missing = nil
	if text := k.page(account.Viewer, "/admin/sites/shop/sightings").Find("main").Text(); strings.Contains(text, "cannot be read") {
		t.Error("it says so of none")
	}
	if got, want := missing(&tally.Report{Missing: []tally.Day{"2026-11-20", "2026-11-21"}}, &tally.Report{Missing: []tally.Day{"2026-11-01", "2026-11-02"}}), "of 20 Nov 2026, 21 Nov 2026, 2 more days cannot"; !strings.Contains(got, want) {
		t.Errorf("of many: %s", got)
	}
}
