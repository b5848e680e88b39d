package dashboard

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/stilehq/stile/server/tally"
)

// overviewView is what the overview of a site shows.
type overviewView struct {
	Query    query
	Periods  []tab
	Chips    []chip
	All      string // address without filters
	Selects  []selection
	Fields   []field // of the period's form: filters that stay
	Filters  []field // of the filters' form: the period that stays
	Download string
	Today    string // the last day that may be asked for
	Lead     string
	Compare  string // previous, year or dates
	Unequal  bool   // the two periods differ in length

	Stats      []stat
	Chart      chart
	Table      []figuresRow
	Categories []categoryRow
	Apart      []stat
	By         []breakdown
	Flushed    string

	Snippet string // what to put into pages, where nothing was ever counted; else ""
	Longer  string // address of the longest period that has a name, where this one is empty
	Nothing bool   // nothing was counted that the filters let through
}

// selection is a filter to choose.
type selection struct {
	Name, Label string
	Options     []pick
}

type pick struct {
	Value, Text string
	Current     bool
}

type field struct{ Name, Value string }

// figuresRow is a line of the table beside the chart.
type figuresRow struct {
	When string
	Note string
	tally.Figures
	OptIn rate
}

type categoryRow struct {
	Name    string
	Granted rate
	Change  string
	Former  bool // the site has it no more
}

// breakdown is the figures of each value of a dimension.
type breakdown struct {
	Name, Plural, Means string
	Versions            bool // of the banner: in order, with the change from one to the next
	First, Rest         []breakdownRow
}

type breakdownRow struct {
	Name, URL       string // URL is "" where it is the filter already
	Displays        int64
	Answered, OptIn rate
	Change          string
}

// counts are the reports that a page of figures is made of.
type counts struct {
	all  *tally.Report // of the period, without filters
	now  *tally.Report // with them
	then *tally.Report // of the period that it is compared with
}

// overview answers GET /admin/sites/{site}/: what visitors did with the banner.
func (d *Dashboard) overview(w http.ResponseWriter, a *ask) error {
	q, c, err := d.figures(a)
	if err != nil {
		return err
	}
	if q.untidy {
		http.Redirect(w, a.Request, q.with(), http.StatusSeeOther)
		return nil
	}
	v := d.viewOf(a, &q, c)
	if c.all.Total == (tally.Figures{}) {
		found, err := d.Figures.Report(a.Context(), a.site.Name, ever(tally.DayOf(d.Now())), tally.Filter{})
		if err != nil {
			return fmt.Errorf("reading the figures of %s: %w", a.site.Name, err)
		}
		if found.Total == (tally.Figures{}) {
			v.Snippet = snippet(a)
		}
	}
	return d.page(w, a, frame{Title: "Overview", Lead: v.Lead, Tools: downloadFigures(v)}, overview(v))
}

// figures reads what is asked for, and all that was counted of it.
func (d *Dashboard) figures(a *ask) (query, counts, error) {
	q, err := readQuery(a, d.Now())
	if err != nil {
		return q, counts{}, err
	}
	c, err := d.count(a.Context(), a.site.Name, q)
	if err != nil {
		return q, c, err
	}
	return q, c, q.check(a.site, c.all)
}

// count reads the reports beside one another.
func (d *Dashboard) count(ctx context.Context, site string, q query) (c counts, err error) {
	var wg sync.WaitGroup
	var errs [3]error
	wg.Go(func() { c.all, errs[0] = d.Figures.Report(ctx, site, q.Period, tally.Filter{}) })
	wg.Go(func() { c.then, errs[1] = d.Figures.Report(ctx, site, q.Before, q.Filter) })
	if q.Filter != (tally.Filter{}) {
		wg.Go(func() { c.now, errs[2] = d.Figures.Report(ctx, site, q.Period, q.Filter) })
	}
	wg.Wait()
	if c.now == nil {
		c.now = c.all
	}
	for _, err := range errs {
		if err != nil {
			return c, fmt.Errorf("reading the figures of %s: %w", site, err)
		}
	}
	return c, nil
}

// ever is the longest period that ends on a day.
func ever(to tally.Day) tally.Period {
	return tally.Period{From: tally.DayOf(timeOf(to).AddDate(0, 0, 1-longest)), To: to}
}

func (d *Dashboard) viewOf(a *ask, q *query, c counts) overviewView {
	today := tally.DayOf(d.Now())
	v := overviewView{
		Query: *q, All: q.unfiltered(), Today: string(today), Compare: cmp.Or(q.values.Get("compare"), "previous"),
		Unequal: length(q.Period) != length(q.Before), Download: strings.Replace(q.with(), q.path, q.path+"figures.csv", 1),
		Nothing: c.now.Total == tally.Figures{},
	}
	if strings.Contains(v.Compare, "..") {
		v.Compare = "dates"
	}
	v.Lead = between(q.Period) + ", compared with " + between(q.Before) + "." + missing(c.all, c.then)
	for _, p := range periods {
		v.Periods = append(v.Periods, tab{p.title, q.with("period", p.name, "from", "", "to", ""), p.name == q.Name})
	}
	v.filters(q, c.all)
	if !c.all.Flushed.IsZero() {
		v.Flushed = c.all.Flushed.UTC().Format("2 January 2006, 15:04")
	}
	if v.Nothing {
		v.Longer = q.with("period", "12m", "from", "", "to", "")
		return v
	}
	n, t, scale := comparable(c.now, c.then, today)
	v.Stats, v.Apart = answers(a.site, c.now.Total, c.then.Total, n, t, scale), apart(c.now.Total, n, t, scale)
	by := unit(length(q.Period))
	list := buckets(c.now.Days, by)
	v.Chart = draw(list, by)
	for _, b := range list {
		r := figuresRow{When: short(b, by), Figures: b.Figures, OptIn: optIn(b.Figures)}
		switch {
		case b.nothing():
			r.Note = "nothing was counted"
		case b.To == today:
			r.Note = "not over"
		}
		v.Table = append(v.Table, r)
	}
	v.Categories = categories(a.site, c.now, c.then)
	for _, dim := range dimensions {
		v.By = append(v.By, breakdownOf(a.site, q, dim.by, c.now.By[dim.by], c.then.By[dim.by]))
	}
	return v
}

// comparable are the counts that may be compared: today is not over, so it is left out, and with it the last day of the
// period before where that is as long. Rates are compared of the whole periods: a day that is not over makes none lower.
// Scale is how many times more days the first has. Without days to compare it is 0.
func comparable(now, then *tally.Report, today tally.Day) (n, t tally.Figures, scale float64) {
	ours, theirs := now.Days, then.Days
	if len(ours) > 0 && ours[len(ours)-1].Day == today {
		ours = ours[:len(ours)-1]
		if len(theirs) == len(now.Days) {
			theirs = theirs[:len(ours)]
		}
	}
	for _, d := range ours {
		n = sum(n, d.Figures)
	}
	for _, d := range theirs {
		t = sum(t, d.Figures)
	}
	if len(ours) == 0 || len(theirs) == 0 {
		return n, t, 0
	}
	return n, t, float64(len(ours)) / float64(len(theirs))
}

// moved is growth, where there are days to compare.
func moved(now, then int64, scale float64) string {
	if scale == 0 {
		return ""
	}
	return growth(now, then, scale)
}

// answers are the figures of the answers to the banner, with their definitions: f and b are of the period and of that before,
// n and t of what is comparable of them.
func answers(s *Site, f, b, n, t tally.Figures, scale float64) []stat {
	views := "A view is an answer of Stile to a page. Where the visitor's browser takes that answer from its own cache nothing is counted, as this site does not have page_views on."
	if s.PageViews {
		views = "Every page view is counted, as this site has page_views on."
	}
	of := func(part int64) string {
		if r := (rate{part, f.Interactions()}); !r.few() {
			return r.String() + " of answers"
		}
		return ""
	}
	return []stat{
		{
			"Displays", count(f.Displays), "in " + counted(f.Views, "view", "views"), moved(n.Displays, t.Displays, scale),
			"How often the banner was shown. Who sees it on three pages counts three times. " + views,
		},
		{
			"Interactions", count(f.Interactions()), "", moved(n.Interactions(), t.Interactions(), scale),
			"Answers to the banner: accept all, reject all, or a choice of one's own. Choices that somebody changes later are counted apart.",
		},
		{
			"Ignores", count(f.Ignores()), "", moved(n.Ignores(), t.Ignores(), scale),
			"Displays that no answer followed. Who sees the banner on three pages and answers on the third has ignored it twice. Nothing optional runs meanwhile where consent is asked for.",
		},
		{
			"Interaction rate", interacted(f).String(), "of displays", points(interacted(f), interacted(b)),
			"The share of displays that were answered: interactions by displays.",
		},
		{
			"Accept all", count(f.AcceptAll), of(f.AcceptAll), moved(n.AcceptAll, t.AcceptAll, scale),
			"Answers that allowed every category at once.",
		},
		{
			"Reject all", count(f.RejectAll), of(f.RejectAll), moved(n.RejectAll, t.RejectAll, scale),
			"Answers that declined every optional category at once.",
		},
		{
			"Custom", count(f.Custom), of(f.Custom), moved(n.Custom, t.Custom, scale),
			"Answers that picked among categories or vendors.",
		},
		{
			"Opt-in rate", optIn(f).String(), "of answers", points(optIn(f), optIn(b)),
			"The share of answers that allowed at least one optional category. Ignores are not in it, nor are visitors who were not asked, nor choices that were changed later. Under " + strconv.Itoa(fewest) + " answers no rate is told.",
		},
	}
}

// apart are figures that are not of answers to the banner.
func apart(f, n, t tally.Figures, scale float64) []stat {
	list := []stat{
		{"Withdrawals", count(f.Withdrawals), "", moved(n.Withdrawals, t.Withdrawals, scale), "Visitors who had allowed something and took all of it back."},
		{"Changes", count(f.Changes), "", moved(n.Changes, t.Changes, scale), "Other choices of visitors who had chosen before."},
		{"Manual opt-outs", count(f.OptOuts), "", moved(n.OptOuts, t.OptOuts, scale), "Choices that declined something which the law of the visitor's region lets run until it is declined."},
		{"GPC signals", count(f.Signals), "in views", moved(n.Signals, t.Signals, scale), "Views whose browser sent Global Privacy Control, which switched something off. Nobody had to click for it."},
		{"Crawlers", count(f.Crawlers), "in views", moved(n.Crawlers, t.Crawlers, scale), "Views of search engines and other programs, which cannot choose. No banner is counted for them."},
	}
	if f.Unsure > 0 {
		list = append(list, stat{"Unsure", count(f.Unsure), "in views", moved(n.Unsure, t.Unsure, scale), "Views from a page of another site, which may keep a choice that did not come along with the request. No display is counted for them, so the true number of displays may be higher."})
	}
	return list
}

// filters are what can be chosen, and what is.
func (v *overviewView) filters(q *query, all *tally.Report) {
	for _, key := range []string{"period", "from", "to", "compare"} {
		if value := q.values.Get(key); value != "" {
			v.Filters = append(v.Filters, field{key, value})
		}
	}
	for _, d := range dimensions {
		current := *d.of(&q.Filter)
		s := selection{Name: string(d.by), Label: d.name, Options: []pick{{"", "All", current == ""}}}
		known := false
		for _, r := range all.By[d.by] {
			if r.Value == "" {
				continue // where it is not known there is nothing to filter by
			}
			known = known || r.Value == current
			s.Options = append(s.Options, pick{r.Value, inWords(d.by, r.Value), r.Value == current && current != ""})
		}
		if current != "" {
			if !known {
				s.Options = append(s.Options, pick{current, inWords(d.by, current), true})
			}
			v.Chips = append(v.Chips, chip{d.name, inWords(d.by, current), q.with(string(d.by), "")})
			v.Fields = append(v.Fields, field{string(d.by), current})
		}
		v.Selects = append(v.Selects, s)
	}
}

// inWords is a dimension's value in words.
func inWords(by tally.Dimension, value string) string {
	switch {
	case merged(by, value):
		return "Other (too few each)"
	case value == "":
		return "Not known"
	case by == tally.Country:
		if region, err := language.ParseRegion(value); err == nil && region.IsCountry() {
			return display.English.Regions().Name(region)
		}
	case by == tally.Language:
		if tag, err := language.Parse(value); err == nil {
			return cmp.Or(display.English.Tags().Name(tag), value)
		}
	case by == tally.Device:
		return sentence(value)
	}
	return value
}

func categories(s *Site, now, then *tally.Report) (rows []categoryRow) {
	seen := map[string]bool{}
	add := func(name string, former bool) {
		n, t := now.Categories[name], then.Categories[name]
		granted, before := rate{n.Granted, n.Granted + n.Denied}, rate{t.Granted, t.Granted + t.Denied}
		rows = append(rows, categoryRow{sentence(name), granted, points(granted, before), former})
		seen[name] = true
	}
	for _, c := range s.Categories {
		if !c.Required {
			add(c.Name, false)
		}
	}
	var former []string
	for name := range now.Categories {
		if !seen[name] {
			former = append(former, name)
		}
	}
	slices.Sort(former)
	for _, name := range former {
		add(name, true)
	}
	return rows
}

// shown is how many rows a breakdown has before the rest is folded away.
const shown = 8

func breakdownOf(s *Site, q *query, by tally.Dimension, now, then []tally.Row) breakdown {
	b := breakdown{Versions: by == tally.Banner}
	for _, d := range dimensions {
		if d.by == by {
			b.Name, b.Plural = d.name, d.plural
		}
	}
	if b.Versions {
		b.Means = "A version of the banner is that of the policy, and a mark of all words and looks. The change is against the version above it."
		now = inOrder(s, now)
	} else {
		now = othersLast(by, now)
	}
	var rows []breakdownRow
	for i, r := range now {
		row := breakdownRow{Name: inWords(by, r.Value), Displays: r.Displays, Answered: interacted(r.Figures), OptIn: optIn(r.Figures)}
		if r.Value != "" && q.values.Get(string(by)) == "" {
			row.URL = q.with(string(by), r.Value)
		}
		if b.Versions {
			if i > 0 {
				row.Change = points(row.OptIn, optIn(now[i-1].Figures))
			}
		} else if j := slices.IndexFunc(then, func(t tally.Row) bool { return t.Value == r.Value }); j >= 0 {
			row.Change = points(row.OptIn, optIn(then[j].Figures))
		}
		rows = append(rows, row)
	}
	b.First = rows
	if len(rows) > shown+2 {
		b.First, b.Rest = rows[:shown], rows[shown:]
	}
	return b
}

// merged tells whether a value stands for several of which there were too few. Regimes and versions of the banner are never
// merged: "other" may be the name of one.
func merged(by tally.Dimension, value string) bool {
	return value == tally.Other && (by == tally.Country || by == tally.Language || by == tally.Device)
}

// othersLast puts what was merged behind what has a name.
func othersLast(by tally.Dimension, rows []tally.Row) []tally.Row {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b tally.Row) int { return yes(merged(by, a.Value)) - yes(merged(by, b.Value)) })
	return rows
}

// inOrder sorts versions of the banner by that of the policy, oldest first.
func inOrder(s *Site, rows []tally.Row) []tally.Row {
	order := func(r tally.Row) int {
		if at := strings.LastIndexByte(r.Value, '-'); at > 0 {
			for i, h := range s.History {
				if h.Name == r.Value[:at] {
					return i
				}
			}
		}
		return len(s.History)
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b tally.Row) int { return order(a) - order(b) })
	return rows
}

// snippet is what a page needs, with the address under which the dashboard is reached.
func snippet(a *ask) string {
	scheme, host := "https", a.Host
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if ip := net.ParseIP(name); name == "localhost" || ip != nil && ip.IsLoopback() {
		scheme = "http"
	}
	return fmt.Sprintf("<script src=%q></script>", scheme+"://"+host+"/stile/"+a.site.Name+".js")
}

// download answers GET /admin/sites/{site}/figures.csv: the figures of the overview, under the same query.
func (d *Dashboard) download(w http.ResponseWriter, a *ask) error {
	q, c, err := d.figures(a)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%s.csv"`, a.site.Name, q.Period.From, q.Period.To))
	return figuresCSV(csv.NewWriter(w), q, c.now)
}

func figuresCSV(w *csv.Writer, q query, r *tally.Report) error {
	write := func(by, value string, f tally.Figures, granted, denied string) {
		n := func(i int64) string { return strconv.FormatInt(i, 10) }
		row := []string{
			string(q.Period.From), string(q.Period.To), by, plain(value), n(f.Views), n(f.Displays), n(f.Interactions()), n(f.Ignores()),
			n(f.AcceptAll), n(f.RejectAll), n(f.Custom), n(f.OptIns), n(f.Changes), n(f.Withdrawals), n(f.OptOuts), n(f.Signals), n(f.Crawlers), n(f.Unsure), granted, denied,
		}
		if by == "category" {
			for i := 4; i < len(row)-2; i++ {
				row[i] = ""
			}
		}
		_ = w.Write(row) // kept by the writer, see below
	}
	_ = w.Write([]string{
		"from", "to", "by", "value", "views", "displays", "interactions", "ignores",
		"accept_all", "reject_all", "custom", "opt_ins", "changes", "withdrawals", "opt_outs", "gpc_signals", "crawlers", "unsure", "granted", "denied",
	})
	write("total", "", r.Total, "", "")
	for _, day := range r.Days {
		write("day", string(day.Day), day.Figures, "", "")
	}
	var names []string
	for name := range r.Categories {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := r.Categories[name]
		write("category", name, tally.Figures{}, strconv.FormatInt(c.Granted, 10), strconv.FormatInt(c.Denied, 10))
	}
	for _, dim := range dimensions {
		for _, row := range r.By[dim.by] {
			write(string(dim.by), row.Value, row.Figures, "", "")
		}
	}
	w.Flush()
	return w.Error()
}

// plain keeps a spreadsheet from reading a value as a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
