package server

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/tally"
)

func (s *Server) previewRoutes(e *echo.Echo) {
	e.GET("/stile/:site/preview", s.offerPreview)
	e.POST("/stile/:site/preview", s.startPreview, middleware.BodyLimit(bodyLimit))
	e.GET("/stile/:site/preview/end", s.endPreview)
}

// previewed is the preview that a browser shows, or nil. One that is over, forged, or no visit to the site any more is none:
// the visitor is who they are.
func (s *Server) previewed(r *http.Request, st *site) *preview.Link {
	named := func(header string) bool { return strings.Contains(header, st.shown) }
	if !slices.ContainsFunc(r.Header["Cookie"], named) {
		return nil
	}
	for _, token := range cookieValues(r, st.shown) {
		link, err := st.previews.Read(st.Name, token, s.now())
		if err != nil {
			continue
		}
		if _, err := link.Visit.Of(st.Site, s.now()); err == nil {
			return &link
		}
	}
	return nil
}

// simulated is the visit of a preview, which previewed has looked at.
func (s *Server) simulated(st *site, link *preview.Link) consent.Visit {
	v, _ := link.Visit.Of(st.Site, s.now())
	return v
}

// simulate is the outcome of a preview. The page's language counts, as it does for visitors.
func (s *Server) simulate(st *site, link *preview.Link, page string) (outcome, *consent.Choice, error) {
	d := consent.Decide(st.Site, s.simulated(st, link))
	text, err := st.gate.Preview(&d, st.language(page, link.Visit.Language), link.Visit.Describe(), link.Until.UnixMilli())
	return outcome{answer: &gate.Answer{Identity: text}, shown: link}, d.Choice, err
}

// preview answers the script of a preview: the note, and the bytes that the visitor would get. Nobody keeps it, and it is
// not counted.
func (st *site) preview(c echo.Context, o *outcome) error {
	text := o.answer.Identity
	h := c.Response().Header()
	h["Cache-Control"], h["Content-Type"], h["X-Content-Type-Options"] = neverKept, javaScript, noSniff
	h["Cross-Origin-Resource-Policy"] = anySite
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(text)
	return err
}

// readPreview reads a link that the simulator made.
func (s *Server) readPreview(r *http.Request, st *site, token string) (preview.Link, error) {
	link, err := st.previews.Read(st.Name, token, s.now())
	switch {
	case errors.Is(err, preview.ErrExpired):
		return link, fail(http.StatusGone, "%v", err)
	case err != nil:
		return link, fail(http.StatusForbidden, "%v", err)
	}
	if _, err := link.Visit.Of(st.Site, s.now()); err != nil {
		return link, fail(http.StatusGone, "the site has changed since the preview was made: %v", err)
	}
	if err := preview.CheckPage(st.Site, link.Page); err != nil {
		return link, fail(http.StatusForbidden, "%v", err)
	}
	if !preview.Reaches(link.Page, r.Host) {
		return link, fail(http.StatusConflict, "%s is on another site than this consent host, %s, and a browser sends it no cookie from there, "+
			"so that a preview cannot be shown: make one of a page that shares its domain", originOf(link.Page), r.Host)
	}
	return link, nil
}

// offerPreview answers GET /stile/{site}/preview?token=...: what is to be shown, and a button. It changes nothing: a link
// alone, wherever it was clicked, must not let a visitor's tags run (A1).
func (s *Server) offerPreview(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	token := c.QueryParam("token")
	link, err := s.readPreview(c.Request(), st, token)
	if err != nil {
		return err
	}
	return s.page(c, preview.Offer(st.base(), st.Name, token, &link, originOf(link.Page)))
}

// startPreview answers POST /stile/{site}/preview: sets the cookie, and leads to the site's page by way of one that has the
// browser drop the copy of the script that it may have.
func (s *Server) startPreview(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return fail(http.StatusForbidden, "a preview begins by its own button, on this host: open its link")
	}
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	token := r.PostForm.Get("token")
	link, err := s.readPreview(r, st, token)
	if err != nil {
		return err
	}
	c.SetCookie(st.previewCookie(r, token, int(link.Until.Sub(s.now()).Seconds())))
	nonce := rand.Text()
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; connect-src 'self'; script-src 'nonce-"+nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	return s.page(c, preview.Begin(st.base(), link.Page, nonce))
}

// endPreview answers GET /stile/{site}/preview/end: back to the page, as the visitor that one is.
func (s *Server) endPreview(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	c.SetCookie(st.previewCookie(r, "", -1))
	c.Response().Header()["Cache-Control"] = neverKept
	to := c.QueryParam("to")
	if preview.CheckPage(st.Site, to) != nil { // it is nobody's business to be led elsewhere from here
		to = cmp.Or(st.back(r), st.base()+"/preferences")
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// previewCookie goes to Stile's own paths alone. maxAge is in seconds, negative to delete it.
func (st *site) previewCookie(r *http.Request, token string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: st.shown, Value: token, Path: "/stile/", MaxAge: maxAge, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteLaxMode,
	}
}

// readChoice reads a visitor's cookie for the dashboard.
func (s *Server) readChoice(site, token string) (*consent.Choice, error) {
	return s.current.Load().codec.Decode(site, token)
}

// mintPreview signs a preview for the dashboard.
func (s *Server) mintPreview(site string, l preview.Link) (string, error) {
	snap, st, err := s.site(site, true)
	if err != nil {
		return "", err
	}
	return snap.previews.Mint(st.Site, l, s.now())
}

// answerTo is the script that a decision gets, for the dashboard.
func (s *Server) answerTo(site string, d *consent.Decision, lang string) (*gate.Answer, error) {
	_, st, err := s.site(site, true)
	if err != nil {
		return nil, err
	}
	return st.answer(d, lang, tally.OutcomeOf(st.Site, d))
}
