package dashboard

import (
	"net/http"

	"github.com/stilehq/stile/server/account"
)

// route is a page and who may see it.
type route struct {
	pattern string // as http.ServeMux reads it; {site} is a site's name
	role    account.Role
	answer  func(w http.ResponseWriter, a *ask) error
}

// routes is all that the dashboard answers, and the least role that each page asks for.
func (d *Dashboard) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range []route{
		{"GET /admin/{$}", account.Viewer, d.home},
		{"GET /admin/sites/{site}/{$}", account.Viewer, d.overview},
		{"GET /admin/sites/{site}/figures.csv", account.Viewer, d.download},
		{"GET /admin/sites/{site}/sightings", account.Viewer, d.sightings},
		{"GET /admin/sites/{site}/records", account.Officer, d.records},
		{"POST /admin/sites/{site}/records", account.Officer, d.lookup},
		{"POST /admin/sites/{site}/records/receipt", account.Officer, d.signedReceipt},
		{"POST /admin/sites/{site}/records/confirm", account.Officer, d.confirm},
		{"POST /admin/sites/{site}/records/act", account.Officer, d.act},
		{"POST /admin/sites/{site}/records/exports", account.Officer, d.startExport},
		{"GET /admin/sites/{site}/records/exports/{id}", account.Officer, d.export},
		{"GET /admin/sites/{site}/records/exports/{id}/file", account.Officer, d.exportFile},
		{"POST /admin/sites/{site}/records/exports/{id}/delete", account.Officer, d.deleteExport},
		{"GET /admin/sites/{site}/requests", account.Officer, d.requests},
		{"GET /admin/sites/{site}/requests/{number}", account.Officer, d.request},
		{"POST /admin/sites/{site}/requests/{number}", account.Officer, d.answerRequest},
		{"GET /admin/sites/{site}/trail", account.Officer, d.trail},
		{"GET /admin/health", account.Admin, d.health},
		{"GET /admin/health.json", account.Admin, d.healthJSON},
		{"GET /admin/alerts", account.Viewer, d.alerts},
		{"POST /admin/alerts", account.Admin, d.testAlerts},
		{"GET /admin/sites/{site}/share", account.Admin, d.sharing},
		{"POST /admin/sites/{site}/share", account.Admin, d.shareFigures},
		{"POST /admin/sites/{site}/share/revoke", account.Admin, d.unshare},
		{"GET /admin/sites/{site}/tags", account.Viewer, d.tags},
		{"GET /admin/sites/{site}/tags/{tag}", account.Viewer, d.tag},
		{"GET /admin/sites/{site}/simulator", account.Viewer, d.simulator},
		{"POST /admin/sites/{site}/simulator", account.Viewer, d.makePreview},
		{"GET /admin/sites/{site}/simulator/answer.js", account.Viewer, d.simulatedAnswer},
		{"GET /admin/sites/{site}/simulator/banner", account.Viewer, d.simulatedBanner},
		{"GET /admin/sites/{site}/why", account.Viewer, d.why},
		{"POST /admin/sites/{site}/why", account.Viewer, d.askWhy}, // a receipt asks for an officer
		{"GET /admin/", account.Viewer, d.nothing},
		{"GET /admin/login", account.Nobody, d.login},
		{"GET /admin/login/oidc", account.Nobody, d.depart},
		{"GET /admin/login/callback", account.Nobody, d.callback},
		{"POST /admin/login", account.Nobody, d.enter},
		{"POST /admin/logout", account.Nobody, d.leave},
		{"GET /admin/account", account.Viewer, d.account},
		{"POST /admin/account/sessions", account.Viewer, d.endSession},
		{"POST /admin/account/password", account.Viewer, d.changePassword},
		{"GET /admin/users", account.Admin, d.users},
		{"POST /admin/users", account.Admin, d.alterUser},
	} {
		mux.Handle(r.pattern, d.guarded(r))
	}
	mux.HandleFunc("GET /admin/assets/{name}", d.asset)
	return mux
}
