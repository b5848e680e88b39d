package server

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/mail"
	"github.com/stilehq/stile/server/tally"
)

const telephone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"

// counted is what was counted at the shop today.
func (w *world) counted(f tally.Filter) *tally.Report {
	w.t.Helper()
	if err := w.s.figures.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	today := tally.DayOf(time.Now())
	r, err := w.s.figures.Report(w.t.Context(), "shop", tally.Period{From: today, To: today}, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// since is what was counted after a report. newWorld has looked at the script once.
func since(a, b *tally.Report) tally.Figures {
	f, g := a.Total, b.Total
	return tally.Figures{
		Views: g.Views - f.Views, Displays: g.Displays - f.Displays, Unsure: g.Unsure - f.Unsure, Crawlers: g.Crawlers - f.Crawlers,
		Signals: g.Signals - f.Signals, AcceptAll: g.AcceptAll - f.AcceptAll, RejectAll: g.RejectAll - f.RejectAll, Custom: g.Custom - f.Custom,
		Changes: g.Changes - f.Changes, Withdrawals: g.Withdrawals - f.Withdrawals, OptOuts: g.OptOuts - f.OptOuts, OptIns: g.OptIns - f.OptIns,
	}
}

func TestCount(t *testing.T) {
	script := func(headers ...string) func(*world) {
		return func(w *world) { w.get("/stile/shop.js", headers...) }
	}
	choose := func(form string, headers ...string) func(*world) {
		return func(w *world) {
			if resp, body := w.choose(form, headers...); resp.StatusCode != http.StatusOK {
				w.t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
		}
	}
	withdraw := func(headers ...string) func(*world) {
		return func(w *world) {
			resp, body := w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice, headers...)
			if resp.StatusCode != http.StatusOK {
				w.t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
		}
	}
	us := []string{"X-Region", "US"}
	for _, test := range []struct {
		name string
		do   []func(*world)
		want tally.Figures
	}{
		{"a first visit", []func(*world){script()}, tally.Figures{Views: 1, Displays: 1}},
		{"one that is let in", []func(*world){choose("accept=all"), script(), script()}, tally.Figures{Views: 2, AcceptAll: 1, OptIns: 1}},
		{"not modified", []func(*world){func(w *world) {
			resp, _ := w.get("/stile/shop.js")
			if again, _ := w.get("/stile/shop.js", "If-None-Match", resp.Header.Get("Etag")); again.StatusCode != http.StatusNotModified {
				w.t.Fatalf("status %d", again.StatusCode)
			}
		}}, tally.Figures{Views: 2, Displays: 2}},
		{"the answer that a choice takes", []func(*world){script(), choose("accept=all"), func(w *world) { w.get("/stile/shop.js?s=x") }}, tally.Figures{Views: 1, Displays: 1, AcceptAll: 1, OptIns: 1}},
		{"HEAD is no view", []func(*world){func(w *world) { w.send(http.MethodHead, "/stile/shop.js", "") }}, tally.Figures{}},
		{"an error is no view", []func(*world){func(w *world) { w.get("/stile/none.js") }}, tally.Figures{}},
		{"a crawler", []func(*world){script("User-Agent", "Googlebot/2.1")}, tally.Figures{Views: 1, Crawlers: 1}},
		{"a signal", []func(*world){script("Sec-GPC", "1", "X-Region", "US")}, tally.Figures{Views: 1, Displays: 1, Signals: 1}},
		{"another site's page", []func(*world){script("Sec-Fetch-Site", "cross-site")}, tally.Figures{Views: 1, Unsure: 1}},
		{"another site's page that says what it knows", []func(*world){func(w *world) { w.get("/stile/shop.js?s=", "Sec-Fetch-Site", "cross-site") }}, tally.Figures{Displays: 1}},
		{"a refusal", []func(*world){choose("accept=none")}, tally.Figures{RejectAll: 1}},
		{"some", []func(*world){choose("category=analytics")}, tally.Figures{Custom: 1, OptIns: 1}},
		{"a change", []func(*world){choose("accept=all"), choose("category=analytics")}, tally.Figures{AcceptAll: 1, OptIns: 1, Changes: 1}},
		{"a withdrawal", []func(*world){choose("accept=all"), withdraw()}, tally.Figures{AcceptAll: 1, OptIns: 1, Withdrawals: 1}},
		{"an opt-out", []func(*world){script(us...), choose("accept=none", us...)}, tally.Figures{Views: 1, Displays: 1, RejectAll: 1, OptOuts: 1}},
		{"an opt-out of a part", []func(*world){choose("category=analytics", us...)}, tally.Figures{Custom: 1, OptIns: 1, OptOuts: 1}},
		{"no opt-out", []func(*world){choose("accept=all", us...)}, tally.Figures{AcceptAll: 1, OptIns: 1}},
		{"a withdrawal where tags run until then", []func(*world){choose("accept=all", us...), withdraw(us...)}, tally.Figures{AcceptAll: 1, OptIns: 1, Withdrawals: 1, OptOuts: 1}},
		{"the same choice twice", []func(*world){func(w *world) {
			id := uuid.NewString()
			for range 2 {
				if resp, body := w.send(http.MethodPost, "/stile/shop/choice", "id="+id+"&notice="+w.notice+"&accept=none"); resp.StatusCode != http.StatusOK {
					w.t.Fatalf("status %d: %s", resp.StatusCode, body)
				}
			}
			if _, body := w.get("/metrics"); !strings.Contains(body, `stile_choices_total{action="reject_all",site="shop"} 1`) {
				w.t.Error("the metric counts it twice")
			}
		}}, tally.Figures{RejectAll: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			before := w.counted(tally.Filter{})
			for _, do := range test.do {
				do(w)
			}
			if diff := cmp.Diff(test.want, since(before, w.counted(tally.Filter{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What became of tags in views is counted once a view, whether answers or page views are counted: a tag that a choice releases
// on the page on which it was made was released in that view.
func TestCountTagsOfChoice(t *testing.T) {
	type figures struct{ Released, Restricted, Withheld int64 }
	after := []string{"Sec-Fetch-Dest", "script"}
	tests := []struct {
		name       string
		do         func(w *world, land func())
		views      int64
		ga4, pixel figures
		because    map[consent.Kind]int64 // pixel was withheld
	}{
		{
			"no choice", func(_ *world, land func()) { land(); land() },
			2,
			figures{Withheld: 2},
			figures{Withheld: 2},
			map[consent.Kind]int64{consent.NotChosen: 2},
		},
		{
			"accepted where they landed", func(w *world, land func()) { land(); w.choose("accept=all"); w.get("/stile/shop.js?s=x", after...) },
			1,
			figures{Released: 1},
			figures{Released: 1},
			map[consent.Kind]int64{},
		},
		{
			"some of it", func(w *world, land func()) {
				land()
				w.choose("category=analytics")
				w.get("/stile/shop.js?s=x", after...)
			},
			1,
			figures{Released: 1},
			figures{Withheld: 1},
			map[consent.Kind]int64{consent.Declined: 1},
		},
		{
			"refused, and a page after it", func(w *world, land func()) {
				land()
				w.choose("accept=none")
				w.get("/stile/shop.js?s=x", after...)
				land()
			},
			2,
			figures{Withheld: 2},
			figures{Withheld: 2},
			map[consent.Kind]int64{consent.Declined: 2},
		},
		{
			"more on a later page", func(w *world, land func()) {
				land()
				w.choose("category=analytics")
				land()
				w.choose("accept=all")
				w.get("/stile/shop.js?s=x", after...)
				land()
			},
			3,
			figures{Released: 3},
			figures{Released: 2, Withheld: 1},
			map[consent.Kind]int64{consent.Declined: 1},
		},
		{
			"taken back on a later page", func(w *world, land func()) {
				land()
				w.choose("accept=all")
				land()
				w.choose("accept=none")
				land()
			},
			3,
			figures{Released: 2, Withheld: 1},
			figures{Released: 2, Withheld: 1},
			map[consent.Kind]int64{consent.Declined: 1},
		},
		{
			"sent twice", func(w *world, land func()) {
				land()
				form := "id=" + uuid.NewString() + "&notice=" + w.notice + "&accept=all"
				w.send(http.MethodPost, "/stile/shop/choice", form)
				w.send(http.MethodPost, "/stile/shop/choice", form)
			},
			1,
			figures{Released: 1},
			figures{Released: 1},
			map[consent.Kind]int64{},
		},
		{
			"on Stile's own page", func(w *world, land func()) { land(); w.choose("accept=all", "Accept", "text/html") },
			1,
			figures{Withheld: 1},
			figures{Withheld: 1},
			map[consent.Kind]int64{consent.NotChosen: 1},
		},
		{
			"on another site's page", func(w *world, _ func()) {
				w.get("/stile/shop.js", "Sec-Fetch-Site", "cross-site") // counted without its tags
				w.choose("accept=all", "Sec-Fetch-Site", "cross-site", "Origin", "https://www.shop.example")
			},
			1,
			figures{Released: 1},
			figures{Released: 1},
			map[consent.Kind]int64{},
		},
		{
			"the copy for the next page", func(w *world, land func()) {
				land()
				w.choose("accept=all")
				w.get("/stile/shop.js", "Sec-Fetch-Dest", "empty")
			},
			1,
			figures{Released: 1},
			figures{Released: 1},
			map[consent.Kind]int64{},
		},
	}
	for _, views := range []bool{false, true} {
		w := newWorld(t)
		w.write(siteText + "page_views: " + strconv.FormatBool(views) + "\n")
		if err := w.s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		land := func() {
			if !views {
				w.get("/stile/shop.js", after...)
				return
			}
			if resp, body := w.send(http.MethodPost, "/stile/shop/view?o="+w.announced(), ""); resp.StatusCode != http.StatusNoContent {
				w.t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
		}
		for _, test := range tests {
			if views && test.name == "on another site's page" {
				continue // such a view is told like any other
			}
			t.Run(fmt.Sprintf("%s, page_views %v", test.name, views), func(t *testing.T) {
				w.t = t
				var err error
				if w.client.Jar, err = cookiejar.New(nil); err != nil { // somebody else
					t.Fatal(err)
				}
				before := w.counted(tally.Filter{})
				test.do(w, land)
				r := w.counted(tally.Filter{})
				if n := since(before, r).Views; n != test.views {
					t.Errorf("%d views, want %d", n, test.views)
				}
				did := func(id string) figures {
					a, b := *r.Tags[id], *before.Tags[id]
					return figures{a.Released - b.Released, a.Restricted - b.Restricted, a.Withheld - b.Withheld}
				}
				if diff := cmp.Diff([]figures{test.ga4, test.pixel}, []figures{did("ga4"), did("pixel")}); diff != "" {
					t.Errorf("ga4 and the pixel: %s", diff)
				}
				because := r.Tags["pixel"].Because
				for kind, n := range before.Tags["pixel"].Because {
					because[kind] -= n
				}
				maps.DeleteFunc(because, func(_ consent.Kind, n int64) bool { return n == 0 })
				if diff := cmp.Diff(test.because, because); diff != "" {
					t.Errorf("the pixel was withheld: %s", diff)
				}
			})
		}
	}
}

// What the overview says under a filter of a period, and of the one that it is compared with, is what visitors did there.
func TestCountCompared(t *testing.T) {
	var days atomic.Int64
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-60 * time.Hour)
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return noon.AddDate(0, 0, int(days.Load())) } })
	flush := func() {
		if err := w.s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	visitors := func(n int, form string, headers ...string) {
		for range n {
			var err error
			if w.client.Jar, err = cookiejar.New(nil); err != nil {
				t.Fatal(err)
			}
			w.get("/stile/shop.js", headers...)
			if form != "" {
				w.choose(form, headers...)
			}
		}
	}
	phone := []string{"X-Region", "DE", "User-Agent", telephone}
	desktop := []string{"X-Region", "DE"}
	visitors(5, "accept=all", phone...)
	visitors(5, "accept=none", phone...)
	visitors(7, "accept=all", desktop...)
	flush()
	days.Add(1)
	flush()
	visitors(9, "accept=all", phone...)
	visitors(3, "accept=none", phone...)
	visitors(2, "", phone...)
	visitors(8, "accept=none", desktop...)
	flush()
	days.Add(1)
	flush()

	day := string(tally.DayOf(noon.AddDate(0, 0, 1)))
	look := func(page string) *goquery.Document {
		r := httptest.NewRequestWithContext(account.WithUser(t.Context(), account.User{Name: "ada", Role: account.Viewer}), http.MethodGet, "/admin/sites/shop/"+page, http.NoBody)
		rec := httptest.NewRecorder()
		w.s.admin.ServeHTTP(rec, r)
		doc, err := goquery.NewDocumentFromReader(rec.Body)
		if err != nil || rec.Code != http.StatusOK {
			t.Fatal(rec.Code, err)
		}
		return doc
	}
	for query, want := range map[string]map[string]string{
		"device=phone": {
			"Displays": "14 +40.0% in 14 views", "Interactions": "12 +20.0%", "Ignores": "2 new", "Interaction rate": "85.7% −14.3 points of displays",
			"Accept all": "9 from 5 75.0% of answers", "Reject all": "3 from 5 25.0% of answers", "Opt-in rate": "75.0% +25.0 points of answers",
		},
		"device=desktop": {"Displays": "8", "Accept all": "0", "Reject all": "8", "Opt-in rate": "too few"},
		"country=DE":     {"Displays": "22", "Accept all": "9", "Reject all": "11", "Opt-in rate": "45.0%"},
		"country=FR":     {},
	} {
		got := map[string]string{}
		look("?from=" + day + "&to=" + day + "&" + query).Find(".stat").Each(func(_ int, s *goquery.Selection) {
			name, _, _ := strings.Cut(strings.TrimSpace(s.Find("dt").Text()), "?")
			words := s.Find("dd").Clone()
			words.Find(".unseen").Remove()
			got[strings.TrimSpace(name)] = strings.Join(strings.Fields(words.Text()), " ")
		})
		for name, says := range want {
			if !strings.HasPrefix(got[name], says) {
				t.Errorf("%s: %s is %q, want %q", query, name, got[name], says)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: %q", query, got)
		}
	}
	// Of the 22 views of the day nine were accepted and eleven refused, on their own pages.
	got := look("tags?from=" + day + "&to=" + day).Find("tr[data-tag=ga4] td").Map(func(_ int, s *goquery.Selection) string { return strings.TrimSpace(s.Text()) })
	if want := []string{"9", "13", "40.9%", "declined 11no choice yet 2"}; !cmp.Equal(got[2:6], want) {
		t.Errorf("ga4 is %q, want %q", got[2:6], want)
	}
}

func TestSamePage(t *testing.T) {
	now := time.Now()
	made := func(ago time.Duration) *consent.Choice { return &consent.Choice{Time: now.Add(-ago)} }
	for _, test := range []struct {
		name   string
		q      query
		choice *consent.Choice
		want   bool
	}{
		{"a page after the choice", query{}, made(0), false},
		{"the page of the choice", query{named: true}, made(justNow - 1), true},
		{"a copy that was stale", query{named: true}, made(justNow), false},
		{"a choice that is none", query{named: true}, nil, false},
	} {
		if got := test.q.same(test.choice, now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// What was released and withheld, of which category, and by country and device, whose groups are told apart once they are
// large enough.
func TestCountTags(t *testing.T) {
	w := newWorld(t)
	before := w.counted(tally.Filter{})
	if tag := before.Tags["ga4"]; tag == nil || tag.Withheld != 1 || tag.Because[consent.NotChosen] != 1 || !tag.Last.IsZero() {
		t.Fatalf("the first look is %+v", tag)
	}
	for range tally.Smallest {
		w.get("/stile/shop.js", "X-Region", "DE", "Accept-Language", "de", "User-Agent", telephone)
	}
	w.get("/stile/shop.js", "X-Region", "MT")
	w.choose("category=analytics")
	for range tally.Smallest + 1 {
		w.get("/stile/shop.js", "X-Region", "US-CA")
	}
	r := w.counted(tally.Filter{})
	analytics, marketing := r.Tags["ga4"], r.Tags["pixel"]
	// The choice was made on a page that was open: of one view it says what became of it.
	if analytics.Released != tally.Smallest+2 || analytics.Withheld != tally.Smallest+1 || time.Since(analytics.Last) > 2*time.Minute {
		t.Errorf("ga4: %+v", analytics)
	}
	if marketing.Released != 0 || marketing.Because[consent.Declined] != tally.Smallest+2 || marketing.Because[consent.NotChosen] != tally.Smallest+1 {
		t.Errorf("the pixel: %+v", marketing)
	}
	if diff := cmp.Diff(map[string]tally.Category{"analytics": {Granted: 1}, "marketing": {Denied: 1}}, r.Categories); diff != "" {
		t.Error(diff)
	}
	views := func(d tally.Dimension) map[string]int64 {
		m := map[string]int64{}
		for _, row := range r.By[d] {
			m[row.Value] = row.Views
		}
		return m
	}
	for d, want := range map[tally.Dimension]map[string]int64{
		tally.Country:  {"DE": tally.Smallest, "US": tally.Smallest + 1, tally.Other: 2},
		tally.Device:   {"phone": tally.Smallest, "desktop": tally.Smallest + 1, tally.Other: 2},
		tally.Language: {"de": tally.Smallest, "en": tally.Smallest + 1, tally.Other: 2},
		tally.Regime:   {"us": tally.Smallest + 1, "other": tally.Smallest + 2},
		tally.Banner:   {w.s.current.Load().sites["shop"].gate.Version(): 2*tally.Smallest + 3},
	} {
		if diff := cmp.Diff(want, views(d)); diff != "" {
			t.Errorf("by %s: %s", d, diff)
		}
	}
	r = w.counted(tally.Filter{Country: "DE", Device: "phone"})
	if r.Total.Views != tally.Smallest || r.Tags["ga4"].Released != 0 || r.Total.Interactions() != 0 {
		t.Errorf("under a filter: %+v, %+v", r.Total, r.Tags["ga4"])
	}
}

// announced is the name by which the script tells of a page view.
func (w *world) announced(headers ...string) string {
	w.t.Helper()
	_, body := w.get("/stile/shop.js", headers...)
	found := regexp.MustCompile(`\(k,"([A-Za-z0-9_-]{8})"\)`).FindStringSubmatch(body)
	if found == nil {
		w.t.Fatalf("the answer names no outcome: %.3000s", body)
	}
	return found[1]
}

// A site that counts page views counts what its pages tell, and not the answers, which browsers keep.
func TestPageViews(t *testing.T) {
	w := newWorld(t)
	if resp, body := w.send(http.MethodPost, "/stile/shop/view?o=abcdefgh", ""); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "page_views") {
		t.Errorf("where answers are counted: status %d: %s", resp.StatusCode, body)
	}
	w.write(siteText + "page_views: true\n")
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.counted(tally.Filter{})
	first := w.announced()
	w.choose("category=analytics")
	returning := w.announced()
	for _, test := range []struct {
		query   string
		headers []string
		status  int
	}{
		{"o=" + first, nil, http.StatusNoContent},
		{"o=" + first, []string{"Origin", "https://www.shop.example"}, http.StatusNoContent},
		{"o=" + returning + "&lang=de", nil, http.StatusNoContent},
		{"o=" + returning, []string{"Origin", "https://other.example"}, http.StatusForbidden},
		{"o=AAAAAAAA", nil, http.StatusBadRequest},
		{"o=", nil, http.StatusBadRequest},
		{"", nil, http.StatusBadRequest},
	} {
		resp, body := w.send(http.MethodPost, "/stile/shop/view?"+test.query, "", test.headers...)
		if resp.StatusCode != test.status || len(resp.Cookies()) > 0 {
			t.Errorf("%s: status %d, want %d: %s", test.query, resp.StatusCode, test.status, body)
		}
	}
	after := w.counted(tally.Filter{})
	want := tally.Figures{Views: 3, Displays: 2, Custom: 1, OptIns: 1}
	if diff := cmp.Diff(want, since(before, after)); diff != "" {
		t.Error(diff)
	}
	// Of the three views one came after the choice, and one is that of the page on which it was made.
	if n := after.Tags["ga4"].Released; n != 2 {
		t.Errorf("ga4 was released %d times", n)
	}
}

// Page views of a returning visitor are counted also after days on which nobody came, when all that was announced is
// forgotten: what the server decided days ago it decides anew.
func TestPageViewsAfterQuietDays(t *testing.T) {
	var shift atomic.Int64
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) } })
	w.write(siteText + "page_views: true\n")
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.choose("category=analytics")
	for visit, quiet := range []time.Duration{0, 3 * 24 * time.Hour, 25 * time.Hour, 0} {
		for range quiet / time.Hour {
			shift.Add(int64(time.Hour))
			if err := w.s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if resp, body := w.send(http.MethodPost, "/stile/shop/view?o="+w.announced(), ""); resp.StatusCode != http.StatusNoContent {
			t.Errorf("visit %d: status %d: %s", visit, resp.StatusCode, body)
		}
	}
}

// A withdrawal by mail is counted once however often it is sent, and says nothing of a device.
func TestCountMail(t *testing.T) {
	w := newsroom(t)
	leave := w.mailPath(mail.Link{Kind: mail.Leave, Receipt: w.chosen("category=analytics&category=marketing")})
	before := w.counted(tally.Filter{})
	for range 3 {
		if resp, body := w.fetch(http.MethodPost, leave, "List-Unsubscribe=One-Click"); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", resp.StatusCode, body)
		}
	}
	if diff := cmp.Diff(tally.Figures{Withdrawals: 1}, since(before, w.counted(tally.Filter{}))); diff != "" {
		t.Error(diff)
	}
}

// A minor who accepts is recorded as refusing, and counted so; what a guardian then decides is a change, once.
func TestCountGuardian(t *testing.T) {
	w, guardian := busyWorld(t)
	before := w.counted(tally.Filter{})
	if before.Total.RejectAll != 1 || before.Total.Interactions() != 1 {
		t.Errorf("the minor: %+v", before.Total)
	}
	for _, status := range []int{http.StatusOK, http.StatusGone} {
		form := "id=" + uuid.NewString() + "&notice=" + w.notice + "&guardian=yes&category=analytics"
		if resp, body := w.fetch(http.MethodPost, guardian, form); resp.StatusCode != status {
			t.Fatalf("status %d: %s", resp.StatusCode, body)
		}
	}
	if diff := cmp.Diff(tally.Figures{Changes: 1}, since(before, w.counted(tally.Filter{}))); diff != "" {
		t.Error(diff)
	}
	if _, body := w.get("/metrics"); !strings.Contains(body, `stile_choices_total{action="guardian",site="shop"} 1`) || !strings.Contains(body, "stile_figures_last_stored_timestamp_seconds 1.") {
		t.Error("the metrics say otherwise")
	}
}

// What was counted is there after a new start, and a reload loses nothing.
func TestCountRestart(t *testing.T) {
	var options Options
	w := newWorld(t, func(o *Options) { options = *o })
	w.choose("accept=all")
	for range 3 {
		w.get("/stile/shop.js")
		w.write(siteText + "# changed\n")
		if err := w.s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := w.counted(tally.Filter{}).Total
	if before.Views != 4 || before.AcceptAll != 1 {
		t.Errorf("%+v", before)
	}
	w.get("/stile/shop.js")
	if err := w.s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(t.Context())
	today := tally.DayOf(time.Now())
	r, err := s.figures.Report(t.Context(), "shop", tally.Period{From: today, To: today}, tally.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	before.Views++
	if diff := cmp.Diff(before, r.Total); diff != "" {
		t.Error(diff)
	}
}

// Counting costs an answer no allocation.
func TestCountAllocates(t *testing.T) {
	s := benchServer(t)
	st := s.current.Load().sites["shop"]
	r := benchScript(t, benchCookie(t, s))
	q := readQuery(r)
	o, _, err := s.outcome(r, s.current.Load(), st, q)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { o.counters.count(r, &q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
