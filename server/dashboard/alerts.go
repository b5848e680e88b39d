package dashboard

import (
	"context"
	"net/http"
	"slices"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/alert"
)

// Watch raises alerts and tells them: an *alert.Engine.
type Watch interface {
	// List is what holds, and what ended in the last 90 days, each newest first.
	List(ctx context.Context) ([]alert.Record, error)
	// Test sends a message that says that it is a test of a site, or of all, "", by each way that reaches somebody.
	Test(ctx context.Context, site, by string) []alert.Result
	// Places are where alerts are told: "webhook to hooks.chat.example".
	Places() []string
}

// alertsView is the page of alerts.
type alertsView struct {
	Holding []alert.Record
	Ended   []alert.Record
	Admin   bool
	Nobody  bool     // no way is set up
	Sites   []string // that a test can be of
	Tested  bool
	Of      string
	Results []alert.Result
}

// mostAlerts of each list are shown.
const mostAlerts = alert.MostListed

// MaySee tells whether a role sees alerts of a kind: a viewer those of figures, hosts and vendors, an officer those of
// requests besides, and an admin those of the server as well.
func MaySee(role account.Role, kind alert.Kind) bool {
	switch kind {
	case alert.OptIn, alert.Host, alert.Vendor:
		return role >= account.Viewer
	case alert.Due, alert.Overdue:
		return role >= account.Officer
	}
	return role >= account.Admin
}

// alerts answers GET /admin/alerts: what holds now, what was told when and where, and what ended.
func (d *Dashboard) alerts(w http.ResponseWriter, a *ask) error {
	return d.alertsPage(w, a, alertsView{})
}

// testAlerts answers POST /admin/alerts: it sends a test, and says what came of it.
func (d *Dashboard) testAlerts(w http.ResponseWriter, a *ask) error {
	if d.Watch == nil {
		return fail(http.StatusNotFound, "no alerts are raised here")
	}
	site := a.PostFormValue("site")
	if site != "" && !slices.ContainsFunc(d.Sites(), func(s Site) bool { return s.Name == site }) {
		return fail(http.StatusBadRequest, "there is no site %q here: nothing was sent", site)
	}
	results := d.Watch.Test(a.Context(), site, a.user.Name)
	for _, r := range results {
		if r.Err != nil {
			d.Log.Warn("a test of alerts could not be sent", "site", site, "by", a.user.Name, "way", r.Way, "to", r.Place, "error", r.Err)
		} else {
			d.Log.Info("a test of alerts was sent", "site", site, "by", a.user.Name, "way", r.Way, "to", r.Place)
		}
	}
	return d.alertsPage(w, a, alertsView{Tested: true, Of: site, Results: results})
}

func (d *Dashboard) alertsPage(w http.ResponseWriter, a *ask, v alertsView) error {
	v.Admin, v.Nobody = a.user.Role >= account.Admin, d.Watch == nil || len(d.Watch.Places()) == 0
	for _, s := range d.Sites() {
		v.Sites = append(v.Sites, s.Name)
	}
	if d.Watch != nil {
		all, err := d.Watch.List(a.Context())
		if err != nil {
			return err
		}
		for _, r := range all {
			switch {
			case !MaySee(a.user.Role, r.Kind):
			case r.Cleared.IsZero():
				v.Holding = append(v.Holding, r)
			default:
				v.Ended = append(v.Ended, r)
			}
		}
	}
	return d.page(w, a, frame{Title: "Alerts", Nav: "alerts", Lead: "What somebody should look at. Each is told once, and once more when it is over."}, alertsPage(v))
}

var wayNames = map[string]string{"webhook": "webhook", "mail": "e-mail"}

func wayName(way string) string { return sentence(wayNames[way]) }

// tellingWords is what became of a telling, for people.
func tellingWords(t alert.Telling) (state tone, words string) {
	what := "Told"
	if t.Ended {
		what = "Told to be over"
	}
	by := wayNames[t.Way]
	if t.Place != "" {
		by += " to " + t.Place
	}
	switch {
	case !t.Told.IsZero():
		return toneGood, what + " by " + by + ", " + t.Told.Format("2 Jan 15:04")
	case t.GivenUp() && t.Error == "":
		return toneNote, "Not told by " + by + ": it was over before"
	case t.GivenUp():
		return toneBad, "Given up by " + by + ": " + t.Error
	case t.Error != "":
		return toneWarn, "Not told yet by " + by + ": " + t.Error
	}
	return toneNote, "Being told by " + by
}

func about(r alert.Record) string {
	if r.Site == "" {
		return "All sites"
	}
	return r.Site
}

func testOf(site string) string {
	if site == "" {
		return "all sites"
	}
	return site
}
