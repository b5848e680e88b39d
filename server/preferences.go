package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// preferences answers GET /stile/{site}/preferences: all choices as a page, which needs no script.
func (s *Server) preferences(c echo.Context) error {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	q := readQuery(r)
	d := consent.Decide(st.Site, s.visit(r, st, snap.codec, q))
	lang := st.language(q.lang, r.Header.Get("Accept-Language"))
	view, err := st.gate.View(&d, lang)
	if err != nil {
		return err
	}
	notice, err := st.gate.Notice(d.Regime, lang)
	if err != nil {
		return err
	}
	key, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	base := "/stile/" + st.Name
	p := banner.Page{
		View: view, Action: base, Key: key.String(), Notice: notice.Hash, Style: base + "/page.css",
		Saved: d.Choice != nil && c.QueryParam("saved") != "", Back: st.back(r),
	}
	if d.Choice != nil {
		p.Receipt, p.Chosen = d.Choice.Receipt.String(), d.Choice.Time.Format(time.DateOnly)
	}
	h := c.Response().Header()
	h["Cache-Control"] = neverKept // so that going back shows the present choice, and a form is sent once
	h["Vary"] = varies
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h["X-Content-Type-Options"] = noSniff
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return banner.Preferences(p).Render(r.Context(), c.Response())
}

// back is the page of the site that a visitor came from, or its first page that has a fixed address.
func (st *site) back(r *http.Request) string {
	referer := r.Referer()
	if scheme, rest, found := strings.Cut(referer, "://"); found {
		host, _, _ := strings.Cut(rest, "/")
		if host != r.Host && st.embeddable(scheme+"://"+host) { // not this page itself, after saving
			return referer
		}
	}
	for _, origin := range st.Origins {
		if !strings.Contains(origin, "*") {
			return origin + "/"
		}
	}
	return ""
}
