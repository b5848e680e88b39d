package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/stilehq/stile/server/tally"
)

// homeView is what the page of all sites shows.
type homeView struct {
	Alerts []alertRow
	Sites  []siteRow
}

type alertRow struct{ Site, Text, URL string }

// siteRow is a site in a line: its last 7 days, and what they were a week before.
type siteRow struct {
	Name, Origin       string
	Views, ViewsChange string
	OptIn, OptInChange string
	Few                bool // of the opt-in rate
	Spark              []column
	Idle               bool // nothing was counted in 14 days
	Alerts             int
	Warnings           []warning
}

type warning struct{ Text, Hint string }

// readers is how many sites' figures are read at once.
const readers = 4

// home answers GET /admin/: the sites, and what needs attention.
func (d *Dashboard) home(w http.ResponseWriter, a *ask) error {
	sites := d.Sites()
	reports, err := d.fortnights(a.Context(), sites)
	if err != nil {
		return err
	}
	var v homeView
	alerts := map[string]int{}
	if d.Alerts != nil {
		list, err := d.Alerts(a.Context())
		if err != nil {
			return fmt.Errorf("reading the alerts: %w", err)
		}
		for _, al := range list {
			alerts[al.Site]++
			v.Alerts = append(v.Alerts, alertRow{al.Site, al.Text, alertPath(al)})
		}
	}
	for i := range sites {
		v.Sites = append(v.Sites, siteRowOf(&sites[i], reports[i], tally.DayOf(d.Now()), alerts[sites[i].Name]))
	}
	return d.page(w, a, frame{Title: "Sites", Lead: homeLead(v)}, home(v))
}

func alertPath(a Alert) string {
	switch {
	case a.Path != "":
		return a.Path
	case a.Site != "":
		return sitePath(a.Site, "")
	}
	return ""
}

func homeLead(v homeView) string {
	attention := 0
	for _, s := range v.Sites {
		if s.Alerts > 0 || len(s.Warnings) > 0 {
			attention++
		}
	}
	s := counted(int64(len(v.Sites)), "site", "sites") + ", the last 7 days against the 7 before. Today is not over: changes of views leave it out. "
	if attention == 0 && len(v.Alerts) == 0 {
		return s + "Nothing needs your attention."
	}
	if attention == 1 {
		return s + "1 needs your attention."
	}
	return s + count(int64(attention)) + " need your attention."
}

// fortnights reads the figures of the last 14 days of each site, a few at once.
func (d *Dashboard) fortnights(ctx context.Context, sites []Site) ([]*tally.Report, error) {
	today := d.Now()
	p := tally.Period{From: tally.DayOf(today.AddDate(0, 0, -13)), To: tally.DayOf(today)}
	reports, errs := make([]*tally.Report, len(sites)), make([]error, len(sites))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(readers, len(sites)) {
		wg.Go(func() {
			for i := range next {
				reports[i], errs[i] = d.Figures.Report(ctx, sites[i].Name, p, tally.Filter{})
			}
		})
	}
	for i := range sites {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("reading the figures of %s: %w", sites[i].Name, err)
		}
	}
	return reports, nil
}

func siteRowOf(s *Site, r *tally.Report, today tally.Day, alerts int) siteRow {
	week, before := &tally.Report{}, &tally.Report{}
	var views []int64
	for i, day := range r.Days {
		views = append(views, day.Views)
		half := before
		if len(r.Days)-i <= 7 {
			half = week
		}
		half.Days, half.Total = append(half.Days, day), sum(half.Total, day.Figures)
	}
	n, t, scale := comparable(week, before, today)
	row := siteRow{
		Name: s.Name, Views: count(week.Total.Views), ViewsChange: moved(n.Views, t.Views, scale),
		OptIn: optIn(week.Total).String(), Few: optIn(week.Total).few(), OptInChange: points(optIn(week.Total), optIn(before.Total)),
		Spark: spark(views, 7), Idle: week.Total == tally.Figures{} && before.Total == tally.Figures{}, Alerts: alerts,
	}
	if len(s.Origins) > 0 {
		row.Origin = s.Origins[0]
	}
	for _, p := range s.Warnings {
		row.Warnings = append(row.Warnings, warning{sentence(p.Message), p.Hint})
	}
	return row
}
