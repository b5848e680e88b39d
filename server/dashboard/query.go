package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/simulate"
	"github.com/stilehq/stile/server/tally"
)

// longest is how many days figures may be asked of at once: as many as tally.Period may have.
const longest = 800

// query is what the address of a page of figures asks for.
type query struct {
	Name   string       // of the period: one of periods; "" for dates
	Period tally.Period // both ends included
	Before tally.Period // what it is compared with
	Filter tally.Filter

	path   string
	values url.Values // what is not as it would be anyway
	untidy bool       // asked for by a form, which sends what is left empty as well
}

// periods are those that have a name. The last 28 days are the one that is shown unless something else is asked for: they
// have each day of the week equally often.
var periods = []struct {
	name, title string
	from        func(today time.Time) time.Time
}{
	{"today", "Today", func(t time.Time) time.Time { return t }},
	{"7d", "7 days", func(t time.Time) time.Time { return t.AddDate(0, 0, -6) }},
	{"28d", "28 days", func(t time.Time) time.Time { return t.AddDate(0, 0, -27) }},
	{"90d", "90 days", func(t time.Time) time.Time { return t.AddDate(0, 0, -89) }},
	{"12m", "12 months", func(t time.Time) time.Time { return t.AddDate(-1, 0, 1) }},
}

const usual = "28d"

// dimensions are what figures are filtered by, in the order in which they are shown.
var dimensions = []struct {
	by     tally.Dimension
	name   string
	plural string
	of     func(*tally.Filter) *string
}{
	{tally.Country, "Country", "Countries", func(f *tally.Filter) *string { return &f.Country }},
	{tally.Device, "Device", "Devices", func(f *tally.Filter) *string { return &f.Device }},
	{tally.Language, "Language", "Languages", func(f *tally.Filter) *string { return &f.Language }},
	{tally.Regime, "Regime", "Regimes", func(f *tally.Filter) *string { return &f.Regime }},
	{tally.Banner, "Banner", "Banner versions", func(f *tally.Filter) *string { return &f.Banner }},
}

// asked are all parameters of a page of figures. The last two are what a form sends for compare=FROM..TO.
var asked = []string{"period", "from", "to", "compare", "country", "device", "language", "regime", "banner", "compare_from", "compare_to"}

// takes are the parameters of each page's address, by its route. A page that is not here takes none.
var takes = map[string][]string{
	"GET /admin/sites/{site}/{$}":                 asked,
	"GET /admin/sites/{site}/figures.csv":         asked,
	"GET /admin/sites/{site}/sightings":           {"period", "show", "after"},
	"GET /admin/sites/{site}/requests":            {"open", "answered"},
	"GET /admin/sites/{site}/trail":               {"act", "who", "before"},
	"GET /admin/sites/{site}/tags":                {"period", "from", "to", "category", "state", "sort"},
	"GET /admin/sites/{site}/tags/{tag}":          {"period", "from", "to"},
	"GET /admin/sites/{site}/simulator":           simulate.Fields,
	"GET /admin/sites/{site}/simulator/answer.js": simulate.Fields,
	"GET /admin/sites/{site}/simulator/banner":    simulate.Fields,
	"GET /admin/account":                          {"done"},
	"GET /admin/users":                            {"done"},
}

// checkAddress refuses an address that asks a page for what it does not know, instead of showing something else. A provider of
// log-ins may add to its own.
func checkAddress(r route, u *url.URL) error {
	if r.role == account.Nobody || !strings.HasPrefix(r.pattern, "GET ") || r.pattern == "GET /admin/" { // the last answers 404 to all
		return nil
	}
	raw, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("the address cannot be read: leave out what is behind the question mark")
	}
	known := takes[r.pattern]
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		switch list := raw[key]; {
		case len(known) == 0:
			return bad("this page has no filters: leave %.40q out of its address", key)
		case !slices.Contains(known, key):
			return bad("there is no filter %.40q here: this page takes %s", key, strings.Join(known, ", "))
		case len(list) > 1 && !slices.Contains(simulate.Lists, key):
			return bad("%s is given %d times: give it once", key, len(list))
		case key == "done" && list[0] != "" && done[list[0]] == "":
			return bad("nothing is called %.40q that could be done: leave it out of the address", list[0])
		}
	}
	return nil
}

// readQuery reads what a page's address asks for. What makes no sense is a 400 that says what to do.
func readQuery(a *ask, now time.Time) (query, error) {
	q := query{path: a.URL.Path, values: url.Values{}}
	for key, list := range a.URL.Query() {
		if list[0] == "" || key == "compare" && list[0] == "dates" {
			q.untidy = true
		}
		q.values.Set(key, list[0])
		if q.values.Get(key) == "" {
			q.values.Del(key)
		}
	}
	today := tally.DayOf(now)
	if err := q.readPeriod(today); err != nil {
		return q, err
	}
	if err := q.readCompare(today); err != nil {
		return q, err
	}
	for _, d := range dimensions {
		*d.of(&q.Filter) = q.values.Get(string(d.by))
	}
	return q, nil
}

func bad(format string, args ...any) error { return fail(http.StatusBadRequest, format, args...) }

func (q *query) readPeriod(today tally.Day) error {
	name, from, to := q.values.Get("period"), q.values.Get("from"), q.values.Get("to")
	if from == "" && to == "" {
		if name == "" {
			name = usual
		}
		for _, p := range periods {
			if p.name == name {
				q.Name, q.Period = name, tally.Period{From: tally.DayOf(p.from(timeOf(today))), To: today}
				return nil
			}
		}
		return bad("there is no period %q: it is one of today, 7d, 28d, 90d and 12m, or give from and to", name)
	}
	if name != "" {
		return bad("both a period and dates are given: leave out period, or from and to")
	}
	if from == "" {
		return bad("the day on which the period begins is missing: give from as well")
	}
	if to == "" {
		to = string(today)
		q.values.Set("to", to)
	}
	var err error
	q.Period, err = readDates(from, to, today)
	return err
}

func readDates(from, to string, today tally.Day) (tally.Period, error) {
	p := tally.Period{From: tally.Day(from), To: tally.Day(to)}
	for _, d := range []string{from, to} {
		if t, err := time.Parse(time.DateOnly, d); err != nil {
			return p, bad("%q is no date: write it as year-month-day, like %s", d, today)
		} else if t.Year() < 2000 {
			return p, bad("%s is too long ago: ask for 2000-01-01 at the earliest", d)
		}
	}
	switch {
	case from > to:
		return p, bad("the period ends on %s, before it begins on %s: exchange the two", to, from)
	case p.To > today:
		return p, bad("%s is still to come: today is %s (UTC)", to, today)
	case length(p) > longest:
		return p, bad("the period has %s days: ask for at most %s at once", count(int64(length(p))), count(longest))
	}
	return p, nil
}

// length is how many days a period has.
func length(p tally.Period) int {
	return int(timeOf(p.To).Sub(timeOf(p.From))/(24*time.Hour)) + 1
}

func shift(p tally.Period, years, days int) tally.Period {
	return tally.Period{From: tally.DayOf(timeOf(p.From).AddDate(years, 0, days)), To: tally.DayOf(timeOf(p.To).AddDate(years, 0, days))}
}

func (q *query) readCompare(today tally.Day) (err error) {
	how, from, to := q.values.Get("compare"), q.values.Get("compare_from"), q.values.Get("compare_to")
	if how == "dates" {
		how = from + ".." + to
		q.values.Set("compare", how)
	}
	q.values.Del("compare_from") // a form sends them, whatever it compares with
	q.values.Del("compare_to")
	switch how {
	case "", "previous":
		q.values.Del("compare")
		q.Before = shift(q.Period, 0, -length(q.Period))
	case "year":
		q.Before = shift(q.Period, -1, 0)
	default:
		from, to, dates := strings.Cut(how, "..")
		if !dates {
			return bad("%q is nothing to compare with: it is previous, year, or two dates like 2026-10-01..2026-10-31", how)
		}
		if from == "" || to == "" {
			return bad("what to compare with lacks a date: give both the first and the last day")
		}
		q.Before, err = readDates(from, to, today)
	}
	return err
}

// check refuses values of filters that neither were counted nor could be.
func (q *query) check(s *Site, counted *tally.Report) error {
	for _, d := range dimensions {
		v := *d.of(&q.Filter)
		if v == "" || merged(d.by, v) || slices.ContainsFunc(counted.By[d.by], func(r tally.Row) bool { return r.Value == v }) {
			continue
		}
		if !possible(s, d.by, v) {
			return bad("there is no %s %q: choose one from the list on the overview", strings.ToLower(d.name), v)
		}
	}
	return nil
}

// possible tells whether a value could be counted, although it was not in this period.
func possible(s *Site, by tally.Dimension, v string) bool {
	switch by {
	case tally.Country:
		region, err := language.ParseRegion(v)
		return err == nil && region.IsCountry() && region.String() == v
	case tally.Regime:
		return slices.ContainsFunc(s.Regimes, func(r consent.Regime) bool { return r.Name == v })
	case tally.Language:
		return slices.Contains(s.Languages, v)
	case tally.Device:
		return v == "phone" || v == "tablet" || v == "desktop"
	case tally.Banner:
		at := strings.LastIndexByte(v, '-')
		return at > 0 && (v[:at] == s.Policy.Version || slices.ContainsFunc(s.History, func(p consent.Version) bool { return p.Name == v[:at] }))
	}
	return false
}

// with is the page's address with other values: pairs of a parameter and its value, "" to leave it out.
func (q *query) with(pairs ...string) string {
	v := url.Values{}
	for key, list := range q.values {
		v[key] = list
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v.Del(pairs[i]); pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return q.path
	}
	return q.path + "?" + v.Encode()
}

// unfiltered is the page's address without filters.
func (q *query) unfiltered() string {
	var pairs []string
	for _, d := range dimensions {
		pairs = append(pairs, string(d.by), "")
	}
	return q.with(pairs...)
}
