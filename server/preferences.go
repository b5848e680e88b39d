package server

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// preferences answers GET /stile/{site}/preferences: all choices as a page, which needs no script.
func (s *Server) preferences(c echo.Context) error {
	p, d, st, err := s.visitorsPage(c)
	if err != nil {
		return err
	}
	p.Saved = d.Choice != nil && c.QueryParam("saved") != ""
	if d.Choice != nil {
		p.Left, p.Fresh = st.leftover(c.Request(), d), p.Titles(d.New)
	}
	return s.page(c, banner.Preferences(p))
}

// frame answers GET /stile/{site}/banner: the banner as a page, for <noscript><iframe>, with the pixels that the choice
// releases (A7).
func (s *Server) frame(c echo.Context) error {
	p, d, st, err := s.visitorsPage(c)
	if err != nil {
		return err
	}
	p.Saved = d.Choice != nil && c.QueryParam("saved") != ""
	p.Cross = c.Request().Header.Get("Sec-Fetch-Site") == "cross-site" || c.QueryParam("frame") == "cross"
	images := []string{"'self'"}
	for i, v := range d.Tags {
		if pixel := st.Tags[i].Load.Pixel; v.Released && pixel != "" {
			if st.Tags[i].Through {
				p.Pixels = append(p.Pixels, st.framePixel(&st.Tags[i], c.Request()))
				continue
			}
			address, origin := fillPixel(pixel, c.Request().Referer())
			p.Pixels = append(p.Pixels, address)
			images = append(images, origin)
		}
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", st.framePolicy(images...))
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	return s.page(c, banner.Frame(p, d.Ask))
}

// framePolicy is the security policy of a page that stands in a frame on the site's pages.
func (st *site) framePolicy(images ...string) string {
	return "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; img-src " + strings.Join(images, " ") +
		"; frame-ancestors 'self' " + strings.Join(st.Origins, " ")
}

// fillPixel puts into a pixel's URL what the script would: the page that holds the frame, as far as the browser names it,
// without its query.
func fillPixel(pixel, page string) (address, origin string) {
	page, _, _ = strings.Cut(page, "?")
	address = fill(pixel, page, "")
	return address, originOf(address)
}

// visitorsPage is what the pages that show a visitor's own choices begin with.
func (s *Server) visitorsPage(c echo.Context) (banner.Page, consent.Decision, *site, error) {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return banner.Page{}, consent.Decision{}, nil, err
	}
	v := s.visit(c.Request(), st, snap.codec, readQuery(c.Request()))
	p, err := s.newPage(c, st, v)
	return p, consent.Decide(st.Site, v), st, err
}

// newPage is what all pages have: the view of a visit, and what a form has to send.
func (s *Server) newPage(c echo.Context, st *site, v consent.Visit) (banner.Page, error) {
	r := c.Request()
	d := consent.Decide(st.Site, v)
	lang := st.language(c.QueryParam("lang"), r.Header.Get("Accept-Language"))
	view, err := st.gate.View(&d, lang)
	if err != nil {
		return banner.Page{}, err
	}
	view.Base = st.base()
	notice, err := st.gate.Notice(d.Regime, lang)
	if err != nil {
		return banner.Page{}, err
	}
	key, err := uuid.NewRandom()
	if err != nil {
		return banner.Page{}, err
	}
	p := banner.Page{View: view, Key: key.String(), Notice: notice.Hash, Back: st.back(r)}
	if d.Choice != nil {
		p.Receipt, p.Chosen = d.Choice.Receipt.String(), banner.Day(d.Choice.Time)
	}
	return p, nil
}

// page answers with a page of Stile's, which nobody keeps: going back shows the present state, and a form is sent once.
func (s *Server) page(c echo.Context, page templ.Component) error {
	return s.pageWith(c, http.StatusOK, page)
}

func (s *Server) pageWith(c echo.Context, status int, page templ.Component) error {
	h := c.Response().Header()
	if h.Get("Cache-Control") != unchanging[0] {
		h["Cache-Control"] = neverKept
		h["Vary"] = varies
	}
	if h.Get("Content-Security-Policy") == "" {
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	}
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", "same-origin")
	}
	h["X-Content-Type-Options"] = noSniff
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return page.Render(c.Request().Context(), c.Response())
}

// base is where the site's paths begin.
func (st *site) base() string { return "/stile/" + st.Name }

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
