package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// bodyLimit is more than the largest choice, of 16 categories and 64 services, and than a request of 4000 characters in a
// script that takes three bytes, nine when they are escaped, for each.
const (
	bodyLimit    = "16K"
	requestLimit = "48K"
)

// routes is all that the server answers. Everything for visitors is under /stile/, so that one rule of a proxy publishes
// it and nothing else.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.respond
	e.IPExtractor = echo.ExtractIPDirect() // else anybody's X-Forwarded-For is believed
	limited := middleware.BodyLimit(bodyLimit)

	get := []string{http.MethodGet, http.MethodHead}
	e.Match(get, "/stile/:site", s.script) // {site}.js
	e.Match(get, "/stile/:site/dialog.js", s.dialog)
	e.Match(get, "/stile/:site/page.js", s.place)
	e.Match(get, "/stile/:site/markup.js", s.markup)
	e.Match(get, "/stile/:site/watch.js", s.watchPart)
	e.Match(get, "/stile/:site/again.js", s.again)
	e.Match(get, "/stile/:site/page.css", s.style)
	e.Match(get, "/stile/:site/banner", s.frame)
	e.Match(get, "/stile/:site/pixel/:tag", s.pixel) // {tag}.gif
	e.Match(get, "/stile/:site/policy", s.policy)
	e.Match(get, "/stile/:site/policy/:version", s.policy)
	e.Match(get, "/stile/:site/receipt", s.receipt)
	e.Match(get, "/stile/:site/notice/:hash", s.notice)
	e.Match(get, "/stile/:site/guardian/:token", s.guardian)
	e.Match(get, "/.well-known/gpc.json", s.privacySignal)
	e.Match(get, "/stile/:site/preferences", s.preferences)
	e.POST("/stile/:site/choice", s.choose, limited)
	e.POST("/stile/:site/withdraw", s.withdraw, limited)
	e.POST("/stile/:site/view", s.view, limited)
	e.POST("/stile/:site/event", s.event) // it bounds the body itself
	e.POST("/stile/:site/seen", s.seen, limited)
	e.POST("/stile/:site/erase", s.erase, limited)
	e.POST("/stile/:site/reports", s.reports, limited)
	e.POST("/stile/:site/request", s.request, middleware.BodyLimit(requestLimit))
	e.POST("/stile/:site/guardian/:token", s.confirm, limited)
	for _, path := range []string{"", "/choice", "/withdraw", "/seen", "/receipt", "/erase", "/event", "/reports"} {
		e.OPTIONS("/stile/:site"+path, s.preflight)
	}

	s.previewRoutes(e)
	s.mailRoutes(e)
	publish(e, s.merkle)
	e.Match(get, "/stile/log/keys", s.publicKeys, openToAll)

	s.adminRoutes(e)
	e.GET("/healthz", s.healthy)
	e.GET("/readyz", s.ready)
	e.GET("/metrics", s.metrics.handler())
	return e
}

// site finds the site of a request. Its arguments are those of strings.CutSuffix, since the script's name ends in ".js".
func (s *Server) site(name string, found bool) (*snapshot, *site, error) {
	snap := s.current.Load()
	st := snap.sites[name]
	if st == nil || !found {
		return nil, nil, fail(http.StatusNotFound, "there is no site %q here: the script's address is /stile/{site}.js, "+
			"with the name that stile.yaml has under site", name)
	}
	return snap, st, nil
}
