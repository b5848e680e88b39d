package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/a-h/templ"

	"github.com/stilehq/stile/server/ledger"
	shares "github.com/stilehq/stile/server/share"
	"github.com/stilehq/stile/server/tally"
)

// sharedView is what shared.templ draws.
type sharedView struct {
	*shares.View
	period  string // for people
	epsilon string
	spent   string
	factor  string // e to the power of epsilon
	spans   []tab
	stats   []stat
	unit    string // day or week
	chart   chart
	rows    []sharedRow // the same as the chart
	groups  []sharedGroup
}

// sharedRow is a day or a week.
type sharedRow struct {
	name string
	shares.Day
}

// sharedGroup is opt-in by one thing.
type sharedGroup struct {
	title, column string
	rows          []shares.Group
	rest          string // what is not in rows, or ""
	least         int64  // choices that a row is told of
	none          string // said where there are no rows
}

const defaultSpan = 8

// Shared answers what is under /share/: the pages that links lead to, for anybody, and their style. It needs no session, and
// can be published by itself.
func (d *Dashboard) Shared() http.Handler {
	views := shares.NewViews(d.Figures)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /share/assets/{name}", d.asset)
	mux.HandleFunc("GET /share/{token}", func(w http.ResponseWriter, r *http.Request) {
		status, title, page := d.shared(views, r)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_ = sharedPage(title, d.assets.shared(), d.Note, page).Render(r.Context(), w) // the connection is all that can fail
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		harden(h, "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		mux.ServeHTTP(w, r)
	})
}

// shared is the page of a link.
func (d *Dashboard) shared(views *shares.Views, r *http.Request) (status int, title string, page templ.Component) {
	v, err := d.look(views, r)
	var refused shares.Refused
	switch {
	case err == nil:
		return http.StatusOK, "Consent figures of " + v.Site, shared(v)
	case errors.As(err, &refused):
		return http.StatusBadRequest, "No such period", sharedTrouble(refused.Error())
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound, "Nothing is shared here", sharedTrouble("the link is mistyped, over or revoked: ask whoever gave it to you for another")
	case errors.Is(err, ledger.ErrAway), errors.Is(err, ledger.ErrBusy):
		return http.StatusServiceUnavailable, "Not now", sharedTrouble("the figures cannot be read now: try again in a moment")
	case r.Context().Err() == nil: // else nobody waits for the answer
		d.Log.Error("shared view", "error", err) // the path has the link's token
	}
	return http.StatusInternalServerError, "Something went wrong", sharedTrouble("the figures could not be drawn: try again in a moment")
}

func (d *Dashboard) look(views *shares.Views, r *http.Request) (*sharedView, error) {
	now := d.Now()
	link, shelf, err := d.links().Open(r.Context(), r.PathValue("token"), now)
	if err != nil {
		return nil, err
	}
	sites := d.Sites()
	i := slices.IndexFunc(sites, func(s Site) bool { return s.Name == link.Site })
	if i < 0 {
		return nil, fs.ErrNotExist // it is not served any more
	}
	weeks := defaultSpan
	if given := r.URL.Query().Get("weeks"); given != "" {
		if weeks, err = strconv.Atoi(given); err != nil {
			weeks = 0 // which is refused
		}
	}
	v, err := views.Look(r.Context(), link, sites[i].Site, shelf.Millis, weeks, now)
	if err != nil {
		return nil, err
	}
	return drawShared(v, r.URL.Path), nil
}

func drawShared(v *shares.View, path string) *sharedView {
	s := &sharedView{
		View: v, period: between(tally.Period{From: v.From, To: v.To}), epsilon: shares.Amount(v.Millis), spent: shares.Amount(v.Spent),
		factor: fmt.Sprintf("%.1f", math.Exp(float64(v.Millis)/1000)), unit: "day",
	}
	for _, n := range shares.Spans {
		s.spans = append(s.spans, tab{fmt.Sprintf("%d weeks", n), fmt.Sprintf("%s?weeks=%d", path, n), n == v.Weeks})
	}
	off := "± " + count(v.Totals.Margin)
	s.stats = []stat{
		{Name: "Displays", Value: count(v.Total.Displays), Note: off, Means: "How often the banner was shown."},
		{Name: "Accepted all", Value: count(v.Total.Accepted), Note: off + sharedOf(v, v.Total.Accepted), Means: "Choices of everything that the banner asked for."},
		{Name: "Rejected all", Value: count(v.Total.Rejected), Note: off + sharedOf(v, v.Total.Rejected), Means: "Choices of nothing but what is necessary."},
		{Name: "Custom", Value: count(v.Total.Customs), Note: off + sharedOf(v, v.Total.Customs), Means: "Choices of some categories or services, and not of others."},
	}
	if v.Weeks > defaultSpan {
		s.unit = "week"
	}
	s.draw()
	s.groups = []sharedGroup{
		{title: "By category", column: "Category", rows: v.Categories, least: v.Listed.Least, none: "There is nothing to choose at this site."},
		{title: "By device", column: "Device", rows: groupsInWords(tally.Device, v.Devices), least: v.Groups.Least},
		{
			title: "By country", column: "Country", rows: groupsInWords(tally.Country, v.Countries), least: v.Groups.Least, rest: count(v.Rest),
			none: "No country has enough choices to be told from noise.",
		},
	}
	return s
}

// sharedOf is a share of all choices, where there are enough of them.
func sharedOf(v *shares.View, n int64) string {
	all := v.Total.Choices()
	if all < v.Totals.Least {
		return ""
	}
	return fmt.Sprintf(" · %.0f %% of choices", 100*float64(n)/float64(all))
}

// draw makes the chart and the table beside it. The chart has no displays, so that nothing in it counts as ignored.
func (s *sharedView) draw() {
	days := make([]tally.DayFigures, len(s.Days))
	for i, d := range s.Days {
		days[i] = tally.DayFigures{Day: d.Day, Figures: tally.Figures{AcceptAll: d.Accepted, RejectAll: d.Rejected, Custom: d.Customs}}
	}
	list := buckets(days, s.unit)
	s.chart = draw(list, s.unit)
	at := 0
	for i, b := range list {
		r := sharedRow{name: bucketName(b, s.unit), Day: shares.Day{Accepted: b.AcceptAll, Rejected: b.RejectAll, Customs: b.Custom}}
		for range b.Days {
			r.Displays += s.Days[at].Displays
			at++
		}
		s.rows = append(s.rows, r)
		s.chart.Columns[i].Title = fmt.Sprintf("%s: %s accepted all, %s custom, %s rejected all", r.name, count(r.Accepted), count(r.Customs), count(r.Rejected))
	}
}

func groupsInWords(by tally.Dimension, all []shares.Group) []shares.Group {
	all = slices.Clone(all)
	for i := range all {
		all[i].Name = inWords(by, all[i].Name)
	}
	return all
}
