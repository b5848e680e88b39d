package server

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/outbox"
)

var (
	gifType   = []string{"image/gif"}
	gifLength = []string{strconv.Itoa(len(transparentGIF))}
)

// pixel answers GET /stile/{site}/pixel/{tag}.gif: one picture for everybody, whether that tag is released, withheld or not
// there at all, so that the answer tells nobody's choice. Released, the vendor's pixel is asked for later, by the server. As
// much is done where it is not, for the time that it takes not to tell either.
func (s *Server) pixel(c echo.Context) error {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r, h := c.Request(), c.Response().Header()
	v := s.visit(r, st, snap.codec, readQuery(r))
	d := consent.Decide(st.Site, v)
	tag, released := st.throughGate(c.Param("tag"), &d)
	m := s.pixelMessage(r, st, tag)
	if d.Choice != nil {
		m.Receipt = d.Choice.Receipt
	}
	if released && r.Method == http.MethodGet && !st.foreign(r) {
		s.outbox.Offer(m)
	}
	h["Cache-Control"], h["Content-Type"], h["Content-Length"] = neverKept, gifType, gifLength
	h["Cross-Origin-Resource-Policy"], h["X-Content-Type-Options"] = anySite, noSniff
	c.Response().WriteHeader(http.StatusOK)
	_, err = c.Response().Write(transparentGIF)
	return err
}

// throughGate is the tag of a pixel's path, and whether it is sent. A tag that does not go through the gate is none.
func (st *site) throughGate(name string, d *consent.Decision) (tag *consent.Tag, released bool) {
	id, named := strings.CutSuffix(name, ".gif")
	i := slices.IndexFunc(st.Tags, func(t consent.Tag) bool { return t.ID == id })
	if i < 0 || !named || !st.Tags[i].Through {
		return &consent.Tag{}, false
	}
	return &st.Tags[i], d.Tags[i].Released
}

// pixelMessage is what the vendor gets: its pixel, with nothing of the visitor that the site does not have passed on.
func (s *Server) pixelMessage(r *http.Request, st *site, t *consent.Tag) outbox.Message {
	q := r.URL.Query()
	withQuery := slices.Contains(t.Forward, "query")
	page := st.ownPage(q.Get("page"), withQuery)
	if page == "" {
		page = st.ownPage(r.Referer(), withQuery)
	}
	m := outbox.Message{
		Site: st.Name, Tag: t.ID, Method: http.MethodGet, URL: fill(t.Load.Pixel, page, webAddress(q.Get("referrer"), false)), Header: http.Header{},
	}
	for _, what := range t.Forward {
		switch what {
		case "ip":
			if addr := s.opts.Proxies.Client(r); addr.IsValid() {
				m.Header["X-Forwarded-For"] = []string{addr.String()}
			}
		case "user_agent":
			if agent := r.UserAgent(); agent != "" {
				m.Header["User-Agent"] = []string{agent}
			}
		}
	}
	return m
}

// longestPage is of a page's address that is passed on, in bytes; of a longer one nothing is.
const longestPage = 2000

// webAddress is an address without what nobody is to be told: a password, a fragment, and the query unless it is wanted. It
// is "" where text is none.
func webAddress(text string, query bool) string {
	u, err := url.Parse(text)
	if len(text) > longestPage || err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if !query {
		u.RawQuery, u.ForceQuery = "", false
	}
	return u.String()
}

// ownPage is the address of a page of the site, or "".
func (st *site) ownPage(text string, query bool) string {
	page := webAddress(text, query)
	if page == "" || !st.embeddable(originOf(page)) {
		return ""
	}
	return page
}

// originOf is how an address begins, up to its path.
func originOf(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return scheme + "://" + rest
}

// foreign tells whether a request says that it comes from a page which is neither the site's nor Stile's own: it is not for
// another site to report visits to this one.
func (st *site) foreign(r *http.Request) bool {
	from := r.Referer()
	if from == "" {
		return false
	}
	origin := originOf(from)
	return !st.embeddable(origin) && origin != "https://"+r.Host && origin != "http://"+r.Host
}

// framePixel is where the page without a script asks for a pixel that goes through the gate.
func (st *site) framePixel(t *consent.Tag, r *http.Request) string {
	q := url.Values{"page": {r.Referer()}}
	if choice := r.URL.Query().Get("choice"); choice != "" {
		q.Set("choice", choice)
	}
	return st.base() + "/pixel/" + url.PathEscape(t.ID) + ".gif?" + q.Encode()
}

// fill puts into a pixel's URL what the script would.
func fill(pixel, page, referrer string) string {
	return strings.NewReplacer(
		"{page}", escape(page), "{referrer}", escape(referrer), "{random}", strconv.FormatUint(rand.Uint64(), 36), //nolint:gosec // against caches, no secret
	).Replace(pixel)
}

// escape is for any part of a URL, where "+" is no space.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
