package share

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/noise"
	"github.com/stilehq/stile/server/tally"
)

// Figures are what was counted: a *tally.Tally.
type Figures interface {
	Report(ctx context.Context, site string, p tally.Period, f tally.Filter) (*tally.Report, error)
}

// View is what a link shows. Each count that it is made of has noise added to it, and everything else is made of those
// counts alone. They come in three releases:
//
//   - totals, of a quarter of epsilon: of each day, displays of the banner, and choices by what they were;
//   - categories, of another quarter: of each week, for each category, choices that granted it and that declined it;
//   - groups, of half of it: of each week, by device and by country, choices that granted something and those that did not.
//     Countries are all that there are, whether anybody was there or not: which ones a list has would tell of a single
//     visitor.
//
// What is hidden is one event: a display of the banner together with the choice that was made on it. It is in one count of
// displays and in one of choices. It is in one count of each category that the site had when it took place, of which a
// configuration allows mostCategories. How many the site has now is of no account: the noise of a count depends on nothing
// that changes with the configuration, or a category that comes would draw all noise of the past anew, and who has seen
// both draws has half of it. Nor may the two differ by their scale alone: of x + a·u and x + b·u anybody computes x.
//
// By device and by country an event may change more than its own count: tally gives up what is told of a group of fewer than
// tally.Smallest on a day, so that one more brings up to tally.Smallest-1 others with it, or takes them away. The display
// and the choice do so each by itself, since each process has groups of its own, and each day. (A day on which tally ran out
// of room for groups is not held to that.) An event is in one week, and each of its halves on one day: days and weeks do not
// add up. Who comes again causes more events, and theirs do: nothing is kept by which Stile could know.
type View struct {
	Site   string
	From   tally.Day
	To     tally.Day // the last day of a week of which nothing can be counted any more
	Weeks  int
	Millis int // thousandths of epsilon, of all releases together
	Spent  int // the same, of all links of the site
	Totals Release
	Listed Release // categories
	Groups Release

	Days       []Day
	Total      Day     // of all days, its Day is ""
	Categories []Group // of Listed
	Devices    []Group // of Groups
	Countries  []Group // of Groups; those that have Least, most choices first
	Rest       int64   // choices of all other countries
}

// Release is how exact some counts are.
type Release struct {
	noise.Scale
	Margin int64 // by which the sum of all days is off at most, 95 times of 100
	Least  int64 // choices that a share is told of: a share of fewer would be noise more than anything
}

func releaseOf(sensitivity, millis, weeks int) Release {
	s := noise.Scale{Sensitivity: sensitivity, Millis: millis}
	return Release{s, s.Margin(7 * weeks), max(int64(math.Ceil(20/s.Epsilon())), 4*s.Margin(2*weeks))}
}

// Day is what is shown of a day, and of all of them.
type Day struct {
	Day                                   tally.Day
	Displays, Accepted, Rejected, Customs int64
}

// Choices are all of a day.
func (d Day) Choices() int64 { return d.Accepted + d.Rejected + d.Customs }

// Group is the choices of a part of the visitors, or about a category.
type Group struct {
	Name    string
	Choices int64
	Rate    int  // percent that granted
	Off     int  // percent points by which Rate is off at most, 95 times of 100
	Shown   bool // Choices are Least or more: else Rate and Off are 0
}

// Spans are the numbers of weeks that can be looked at.
var Spans = []int{4, 8, 26, 52}

// By how much one event changes the counts of each release, see View.
const (
	totalsChanged = 2
	listedChanged = mostCategories
	groupsChanged = 2*(tally.Smallest-1) + 2*tally.Smallest // by the display, and by the choice, in two tables each

	mostCategories = 16 // of a site, as its configuration allows
)

func optional(site *consent.Site) (names []string) {
	for _, c := range site.Categories {
		if !c.Required {
			names = append(names, c.Name)
		}
	}
	return names
}

// lastDay is the last day of the last week of which nobody stores anything any more: a process that was cut off from its
// database for longer than tally.Wait has given up. What came to a week that was shown would be seen as it is, in the
// difference of two looks.
func lastDay(now time.Time) time.Time {
	settled := now.UTC().AddDate(0, 0, -tally.Wait-1)
	monday := settled.AddDate(0, 0, -int(settled.Weekday()+6)%7)
	return monday.AddDate(0, 0, -1).Truncate(24 * time.Hour)
}

// View makes what a link shows of a site, of so many weeks. It reads the figures of whole weeks alone.
func (l Link) View(ctx context.Context, from Figures, site *consent.Site, spent, weeks int, now time.Time) (*View, error) {
	if !slices.Contains(Spans, weeks) {
		return nil, Refused(fmt.Sprintf("weeks is one of %d", Spans))
	}
	last := lastDay(now)
	first := last.AddDate(0, 0, 1-7*weeks)
	v := &View{
		Site: site.Name, From: tally.DayOf(first), To: tally.DayOf(last), Weeks: weeks, Millis: l.Millis, Spent: spent,
	}
	v.Totals, v.Listed = releaseOf(totalsChanged, l.Millis/4, weeks), releaseOf(listedChanged, l.Millis/4, weeks)
	v.Groups = releaseOf(groupsChanged, l.Millis/2, weeks)
	n := &noisy{
		from: noise.NewSource(l.seed), totals: v.Totals.Scale, listed: v.Listed.Scale, by: v.Groups.Scale, site: site.Name,
		groups: map[[2]string]*[2]int64{},
	}
	for monday := first; monday.Before(last); monday = monday.AddDate(0, 0, 7) {
		week := tally.Period{From: tally.DayOf(monday), To: tally.DayOf(monday.AddDate(0, 0, 6))}
		r, err := from.Report(ctx, site.Name, week, tally.Filter{})
		if err != nil {
			return nil, fmt.Errorf("reading the week of %s of %s: %w", week.From, site.Name, err)
		}
		n.week(site, week, r)
	}
	n.fill(v, site)
	return v, nil
}

// noisy adds noise to what it is given, and sums it up.
type noisy struct {
	from               *noise.Source
	totals, listed, by noise.Scale
	site               string

	days   []tally.Day
	counts [4][]int64              // of each day: displays, accepted, rejected, customs
	groups map[[2]string]*[2]int64 // by table and name: choices that granted, and that did not
}

// cell adds noise to one count. No two calls are of the same names.
func (n *noisy) cell(scale noise.Scale, count int64, day tally.Day, table, name, kind string) int64 {
	return n.from.Add(count, scale, n.site, string(day), table, name, kind)
}

func (n *noisy) week(site *consent.Site, week tally.Period, r *tally.Report) {
	for _, d := range r.Days {
		n.days = append(n.days, d.Day)
		for i, c := range []struct {
			kind  string
			count int64
		}{{"displays", d.Displays}, {"accept", d.AcceptAll}, {"reject", d.RejectAll}, {"custom", d.Custom}} {
			n.counts[i] = append(n.counts[i], n.cell(n.totals, c.count, d.Day, "day", "", c.kind))
		}
	}
	for _, name := range optional(site) {
		c := r.Categories[name]
		n.group(n.listed, "category", name, week.From, c.Granted, c.Denied)
	}
	for _, table := range []struct {
		by    tally.Dimension
		names []string
	}{{tally.Device, devices}, {tally.Country, countries()}} {
		rows := map[string]tally.Figures{}
		for _, row := range r.By[table.by] {
			rows[row.Value] = row.Figures
		}
		for _, name := range table.names {
			f := rows[name]
			n.group(n.by, string(table.by), name, week.From, f.OptIns, f.Interactions()-f.OptIns)
		}
	}
}

func (n *noisy) group(scale noise.Scale, table, name string, week tally.Day, granted, not int64) {
	key := [2]string{table, name}
	g := n.groups[key]
	if g == nil {
		g = new([2]int64)
		n.groups[key] = g
	}
	g[0] += n.cell(scale, granted, week, table, name, "in")
	g[1] += n.cell(scale, not, week, table, name, "out")
}

// fill makes a view of what has noise by now: nothing here has seen a true count.
func (n *noisy) fill(v *View, site *consent.Site) {
	v.Days = make([]Day, len(n.days))
	for i, into := range []func(*Day) *int64{
		func(d *Day) *int64 { return &d.Displays }, func(d *Day) *int64 { return &d.Accepted },
		func(d *Day) *int64 { return &d.Rejected }, func(d *Day) *int64 { return &d.Customs },
	} {
		for k, count := range noise.Nonnegative(n.counts[i]) {
			v.Days[k].Day = n.days[k]
			*into(&v.Days[k]) = count
			*into(&v.Total) += count
		}
	}
	v.Categories = n.shown(v.Listed, v.Weeks, "category", optional(site))
	v.Devices = n.shown(v.Groups, v.Weeks, string(tally.Device), devices)
	v.Rest = v.Total.Choices()
	for _, g := range n.shown(v.Groups, v.Weeks, string(tally.Country), countries()) {
		if g.Shown {
			v.Countries = append(v.Countries, g)
			v.Rest -= g.Choices
		}
	}
	v.Rest = max(v.Rest, 0)
	slices.SortStableFunc(v.Countries, func(a, b Group) int { return cmp.Compare(b.Choices, a.Choices) })
}

func (n *noisy) shown(r Release, weeks int, table string, names []string) []Group {
	all := make([]Group, len(names))
	for i, name := range names {
		g := &all[i]
		g.Name = name
		parts := noise.Nonnegative(n.groups[[2]string{table, name}][:])
		if g.Choices = parts[0] + parts[1]; g.Choices < r.Least {
			continue
		}
		g.Shown = true
		g.Rate = int(math.Round(100 * float64(parts[0]) / float64(g.Choices)))
		// Of the two counts that a rate is made of, one is off by as much as the rate moves.
		g.Off = int(math.Ceil(100 * float64(r.Scale.Margin(weeks)) / float64(g.Choices)))
	}
	return all
}

var devices = []string{"desktop", "phone", "tablet"}

// countries are all that have an ISO 3166 code.
var countries = sync.OnceValue(func() (codes []string) {
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if r, err := language.ParseRegion(code); err == nil && r.IsCountry() && r.String() == code {
				codes = append(codes, code)
			}
		}
	}
	return codes
})
