package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// bodyLimit is more than the largest choice: 16 categories and 64 services.
const bodyLimit = "16K"

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
	e.Match(get, "/stile/:site/page.css", s.style)
	e.Match(get, "/stile/:site/preferences", s.preferences)
	e.POST("/stile/:site/choice", s.choose, limited)
	e.POST("/stile/:site/withdraw", s.withdraw, limited)
	e.OPTIONS("/stile/:site", s.preflight)
	e.OPTIONS("/stile/:site/choice", s.preflight)
	e.OPTIONS("/stile/:site/withdraw", s.preflight)

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
