package server

import (
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/sighting"
	"github.com/stilehq/stile/server/tally"
)

// watchPart answers GET /stile/{site}/watch.js: what reports which hosts a page loaded from.
func (s *Server) watchPart(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	if err := st.sighted(); err != nil {
		return err
	}
	return s.shared(c, javaScript, (*gate.Gate).Watch)
}

// sighted is nil where the site wants to know what its pages load.
func (st *site) sighted() error {
	if st.Sightings == 0 {
		return fail(http.StatusNotFound, "site %s takes no reports: switch them on with sightings in stile.yaml", st.Name)
	}
	return nil
}

// reports answers POST /stile/{site}/reports: which third-party hosts a page loaded from, as its runtime saw it, or what a
// content security policy reports. It comes from anybody, so that all it can do is to count: hosts, once each.
func (s *Server) reports(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	if err := st.sighted(); err != nil {
		return err
	}
	r, h := c.Request(), c.Response().Header()
	h["Vary"] = []string{"Origin"}
	h["Cache-Control"] = neverKept
	if !st.allowOrigin(r, h) && r.Header.Get("Origin") != "null" { // which browsers send of a policy's report; its document is checked
		return fail(http.StatusForbidden, "origin %s is not one of site %s: add it to origins in stile.yaml", r.Header.Get("Origin"), st.Name)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return fail(http.StatusUnsupportedMediaType, "%v", sighting.ErrType)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return unreadable(err)
	}
	report, err := sighting.Parse(kind, body, st.Site)
	switch {
	case err == sighting.ErrType: //nolint:errorlint // it is never wrapped
		return fail(http.StatusUnsupportedMediaType, "%v", err)
	case err != nil:
		return fail(http.StatusBadRequest, "the report was not counted: %v", err)
	}
	if err := st.reporter(r, &report); err != nil {
		return err
	}
	sighting.Mark(st.Site, s.current.Load().vendors, &report)
	s.sight(st, r, &report)
	return c.NoContent(http.StatusNoContent)
}

// reporter tells whether a report is of a page of the site's. A runtime's says so by its Origin, which every browser sends with
// it. A security policy's may come without one, or with "null": its documents count.
func (st *site) reporter(r *http.Request, report *sighting.Report) error {
	if report.Source == tally.Observer {
		if origin := r.Header.Get("Origin"); origin == "" || origin == "null" {
			return fail(http.StatusForbidden, "the report does not say which page it is of: a browser sends an Origin with it")
		}
		return nil
	}
	for _, origin := range report.Origins {
		if !st.embeddable(origin) && origin != "https://"+r.Host && origin != "http://"+r.Host {
			return fail(http.StatusForbidden, "origin %s is not one of site %s: add it to origins in stile.yaml", origin, st.Name)
		}
	}
	return nil
}

// sight counts what a report names, but for hosts of the site's own: the page's, this one, and those that the operator says are.
func (s *Server) sight(st *site, r *http.Request, report *sighting.Report) {
	_, page, _ := strings.Cut(r.Header.Get("Origin"), "://")
	seen := tally.Seen{
		Source: report.Source, Regime: report.State.Regime, State: report.State.String(), Chosen: report.State.Chosen, GPC: report.State.GPC,
		Errors: st.failed(report),
	}
	if report.Source == tally.CSP {
		seen.State = tally.UnknownState
	}
	for _, l := range report.Hosts {
		if l.Host != page && l.Host != r.Host && !hosts.Own(st.Origins, st.Own, l.Host) {
			seen.Hosts = append(seen.Hosts, l)
		}
	}
	st.tally.Sight(&seen)
}

// failed are the tags that a report says did not load: the runtime could not, or one of their hosts gave an error. An ad
// blocker is a reason too.
func (st *site) failed(report *sighting.Report) []string {
	failed := map[string]bool{}
	for _, id := range report.Failed {
		failed[id] = true
	}
	var ids []string
	for i := range st.Tags {
		if t := &st.Tags[i]; failed[t.ID] || sighting.Failing(t, report.Hosts) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
