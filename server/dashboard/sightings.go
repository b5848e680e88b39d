package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stilehq/stile/server/sighting"
	"github.com/stilehq/stile/server/tally"
)

// sightingsView is what pages of a site were seen to load.
type sightingsView struct {
	Off       bool   // the site wants no sightings
	Share     string // of page views that report: "5%"
	Since     tally.Day
	Periods   []tab
	Shows     []tab
	Sentences []saying
	More      int   // sentences that are not shown
	All       int   // hosts that were seen
	Reported  int64 // page views
	Unclear   bool  // some were told by a security policy, and nobody knows the visitors' state
	Hosts     []hostRow
	Next      string          // address of the hosts after these, or ""
	Empty     string          // what is said where the filter leaves none
	Missing   string          // what is said of days that cannot be read
	said      map[string]bool // hosts of the sentences
}

// saying is a sentence, and what to do about it.
type saying struct {
	Text, Badge, Tone string
	Remedy            remedy
}

// remedy is what to do so that something is gated.
type remedy struct {
	Host   string
	Tag    bool   // stile.yaml has it: it stands in the page besides
	Custom bool   // the lines are of a tag of the site's own
	Choice bool   // the lines are of several vendors, of which it is one
	Lines  string // for stile.yaml, or ""
	Own    string // the line that says that it is the site's own, or ""
	Remove []string
	Wait   string // category that an element that stays in the page waits for
}

// hostRow is a line of the table.
type hostRow struct {
	Name        string
	What        string // as what it was loaded, and who told
	Whose       string // tag or vendor, for people; "" where nobody knows
	Tag         string // address of the tag's page, or ""
	States      []stateRow
	More        int // states that are not shown
	Pages       int64
	First, Last tally.Day
	Badge, Tone string
	Remedy      *remedy // nil: none is needed, or it stands beside a sentence
}

type stateRow struct {
	Words string
	Pages int64
	Bad   bool
}

const (
	mostSentences  = 6
	mostSeenStates = 5
	mostHostRows   = 100
)

// sightingPeriods are how far back sightings can be looked at.
var sightingPeriods = []struct {
	name, title string
	days        int
}{{"today", "Today", 1}, {"7d", "7 days", 7}, {"28d", "28 days", 28}, {"90d", "90 days", 90}, {"12m", "12 months", 365}}

// sightingShows are what hosts can be narrowed to.
var sightingShows = []struct {
	name, title, none string
	verdicts          []sighting.Verdict
}{
	{"", "All", "Nothing third-party was seen", nil},
	{"ungated", "Not gated", "Nothing was seen that Stile does not gate", []sighting.Verdict{sighting.Slipped, sighting.Ungated}},
	{"unknown", "Unknown", "No host was seen that Stile does not know", []sighting.Verdict{sighting.Unknown}},
	{"gated", "Gated", "No tag of this site was seen", []sighting.Verdict{sighting.Gated, sighting.Unclear}},
}

// sightingQuery is what the page's address asks for.
type sightingQuery struct{ period, show, after string }

func (q sightingQuery) path(site string) string {
	values := url.Values{}
	for name, value := range map[string]string{"period": q.period, "show": q.show, "after": q.after} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return sitePath(site, "sightings")
	}
	return sitePath(site, "sightings") + "?" + values.Encode()
}

const usualSightings = "28d"

// sightings answers GET /admin/sites/{site}/sightings: what pages really loaded, and whether Stile gates it.
func (d *Dashboard) sightings(w http.ResponseWriter, a *ask) error {
	raw := a.URL.Query()
	q := sightingQuery{raw.Get("period"), raw.Get("show"), raw.Get("after")}
	v := sightingsView{Off: a.site.Sightings == 0, Share: percentOf(a.site.Sightings)}
	days, shows := 0, -1
	for _, p := range sightingPeriods {
		current := p.name == q.period || q.period == "" && p.name == usualSightings
		if current {
			days = p.days
		}
		v.Periods = append(v.Periods, tab{p.title, sightingQuery{period: p.name, show: q.show}.path(a.site.Name), current})
	}
	for i, s := range sightingShows {
		if s.name == q.show {
			shows = i
		}
		v.Shows = append(v.Shows, tab{s.title, sightingQuery{period: q.period, show: s.name}.path(a.site.Name), s.name == q.show})
	}
	switch {
	case days == 0:
		return fail(http.StatusBadRequest, "there is no period %q: it is one of today, 7d, 28d, 90d and 12m", q.period)
	case shows < 0:
		return fail(http.StatusBadRequest, "there is no %q to show: it is one of ungated, unknown and gated, or nothing for all", q.show)
	}
	today := d.Now().UTC()
	period := tally.Period{From: tally.DayOf(today.AddDate(0, 0, 1-days)), To: tally.DayOf(today)}
	v.Since = period.From
	report, err := d.Figures.Report(a.Context(), a.site.Name, period, tally.Filter{Sightings: true})
	if err != nil {
		return err
	}
	library, err := d.library()
	if err != nil {
		return err
	}
	findings := sighting.Judge(a.site.Site, library, report.Sightings)
	v.say(a.site, findings)
	v.Unclear = slices.ContainsFunc(findings, func(f sighting.Finding) bool { return f.Verdict == sighting.Unclear })
	v.All, v.Reported = len(findings), report.Reported
	v.Empty, v.Missing = sightingShows[shows].none, missing(report)
	return d.showSightings(w, a, &v, narrowed(findings, sightingShows[shows].verdicts), q)
}

// showSightings draws a page of hosts.
func (d *Dashboard) showSightings(w http.ResponseWriter, a *ask, v *sightingsView, findings []sighting.Finding, q sightingQuery) error {
	first := 0
	if q.after != "" {
		first = 1 + slices.IndexFunc(findings, func(f sighting.Finding) bool { return keyOf(&f) == q.after })
		if first == 0 {
			return fail(http.StatusBadRequest, "the host %q is not in this list any more: begin again at the sightings", q.after)
		}
	}
	for i := first; i < len(findings) && i < first+mostHostRows; i++ {
		v.Hosts = append(v.Hosts, rowOf(a.site, &findings[i], v.said))
	}
	if last := first + mostHostRows; last < len(findings) {
		q.after = keyOf(&findings[last-1])
		v.Next = q.path(a.site.Name)
	}
	return d.page(w, a, frame{Title: "Sightings", Nav: "sightings", Lead: "What pages really loaded from third parties, and what their visitors had allowed then." + v.Missing}, sightings(*v))
}

func keyOf(f *sighting.Finding) string { return f.Host + " " + f.Source }

func narrowed(findings []sighting.Finding, to []sighting.Verdict) []sighting.Finding {
	if to == nil {
		return findings
	}
	return slices.DeleteFunc(findings, func(f sighting.Finding) bool { return !slices.Contains(to, f.Verdict) })
}

func percentOf(share float64) string { return strconv.FormatFloat(100*share, 'g', 3, 64) + "%" }

func (v *sightingsView) say(site *Site, findings []sighting.Finding) {
	list := sighting.Sentences(site.Site, findings)
	v.More, v.said = max(len(list)-mostSentences, 0), map[string]bool{}
	for _, s := range list[:len(list)-v.More] {
		one := saying{Text: s.Text, Remedy: remedyOf(site, s.Finding)}
		one.Remedy.Remove = s.Remove
		one.Badge, one.Tone = badgeOf(s.Verdict)
		v.Sentences = append(v.Sentences, one)
		for _, host := range s.Hosts {
			v.said[host] = true
		}
	}
}

func badgeOf(v sighting.Verdict) (text, tone string) {
	switch v {
	case sighting.Slipped:
		return "slipped through", "bad"
	case sighting.Ungated:
		return "not gated", "bad"
	case sighting.Unknown:
		return "unknown", "warn"
	case sighting.Gated:
		return "gated", "good"
	}
	return "state not known", ""
}

func rowOf(site *Site, f *sighting.Finding, said map[string]bool) hostRow {
	row := hostRow{Name: f.Host, What: map[string]string{"fetch": "request", "other": "loaded"}[f.As], Pages: f.Pages, First: f.First, Last: f.Last}
	if row.What == "" {
		row.What = f.As
	}
	if f.Source == tally.CSP {
		row.What += ", told by the security policy"
	} else {
		row.What += ", seen by the runtime"
	}
	row.Badge, row.Tone = badgeOf(f.Verdict)
	switch {
	case sighting.IsWord(f.Host):
		row.Name = map[string]string{"inline": "inline code", "eval": "eval", "data": "a data: address", "blob": "a blob: address"}[f.Host]
		row.Badge = "no host"
	case f.Tag != nil:
		row.Whose, row.Tag = f.Tag.Name, sitePath(site.Name, "tags/"+url.PathEscape(f.Tag.ID))
	default:
		row.Whose = sighting.Whose(f.Vendors)
	}
	for _, s := range f.States {
		if len(row.States) == mostSeenStates {
			row.More = len(f.States) - mostSeenStates
			break
		}
		row.States = append(row.States, stateRow{s.Words, s.Pages, s.Verdict == sighting.Slipped || s.Verdict == sighting.Ungated && s.Held})
	}
	if f.Verdict >= sighting.Unknown && !said[f.Host] {
		r := remedyOf(site, f)
		row.Remedy = &r
	}
	return row
}

func remedyOf(site *Site, f *sighting.Finding) remedy {
	r := remedy{Host: f.Host, Tag: f.Tag != nil, Custom: len(f.Vendors) == 0, Remove: []string{f.Element()}}
	if r.Tag {
		r.Wait = f.Tag.Category
		return r
	}
	r.Lines, r.Wait = sighting.Lines(site.Site, f), sighting.CategoryFor(site.Site, f)
	r.Choice = strings.Contains(r.Lines, "\n")
	if r.Custom && r.Lines != "" {
		own := slices.Clone(site.Own)
		own = append(own, f.Host)
		share := strconv.FormatFloat(site.Sightings, 'f', -1, 64)
		if site.Sightings == 0 {
			share = "0.05"
		}
		quoted := make([]string, len(own))
		for i, host := range own {
			quoted[i] = strconv.Quote(host)
		}
		r.Own = fmt.Sprintf("sightings: {share: %s, own: [%s]}", share, strings.Join(quoted, ", "))
	}
	return r
}

// missing says which days some reports leave something out of, as a sentence that follows another; "" where there are none.
func missing(reports ...*tally.Report) string {
	var days []string
	for _, r := range reports {
		for _, day := range r.Missing {
			if text := shortDay(day); !slices.Contains(days, text) {
				days = append(days, text)
			}
		}
	}
	if len(days) == 0 {
		return ""
	}
	if n := len(days); n > 3 {
		days = append(days[:2], counted(int64(n-2), "more day", "more days"))
	}
	return " Some of what was stored of " + strings.Join(days, ", ") + " cannot be read and is left out: the server's log says why."
}

// shortDay is a day for people: "22 Nov 2026".
func shortDay(d tally.Day) string {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return string(d)
	}
	return t.Format("2 Jan 2006")
}
