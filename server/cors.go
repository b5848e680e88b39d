package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// allowOrigin tells whether the page that sends a request may, and lets it read the answer if so. A request without an
// Origin does not come from another page's script.
func (st *site) allowOrigin(r *http.Request, h http.Header) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return r.Header.Get("Sec-Fetch-Site") != "cross-site" || r.Method == http.MethodGet
	}
	origin := origins[0]
	if origin == "https://"+r.Host || origin == "http://"+r.Host {
		return true
	}
	if !st.embeddable(origin) {
		return false
	}
	h["Access-Control-Allow-Origin"] = origins[:1]
	h["Access-Control-Allow-Credentials"] = []string{"true"}
	return true
}

// preflight answers OPTIONS for the paths that a page's script may call.
func (s *Server) preflight(c echo.Context) error {
	_, st, err := s.site(strings.TrimSuffix(c.Param("site"), ".js"), true)
	if err != nil {
		return err
	}
	r, h := c.Request(), c.Response().Header()
	h["Vary"] = []string{"Origin"}
	if !st.allowOrigin(r, h) {
		return fail(http.StatusForbidden, "origin %s is not one of site %s: add it to origins in stile.yaml", r.Header.Get("Origin"), st.Name)
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "X-Stile-Choice, Content-Type")
	h.Set("Access-Control-Max-Age", "7200")
	return c.NoContent(http.StatusNoContent)
}
