package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/tally"
)

// Header values that are the same in every answer, made once. net/http does not change them.
var (
	javaScript  = []string{"text/javascript; charset=utf-8"}
	styleSheet  = []string{"text/css; charset=utf-8"}
	fresh       = []string{"private, max-age=3600"}
	checkAgain  = []string{"private, no-cache"}
	neverKept   = []string{"private, no-store"}
	forEveryone = []string{"public, max-age=3600"}
	varies      = []string{"Accept-Encoding, Accept-Language, Cookie, Origin, Sec-GPC, Sec-Fetch-Site"}
	variesLess  = []string{"Accept-Encoding, Accept-Language, Sec-GPC"}
	anySite     = []string{"cross-origin"}
	noSniff     = []string{"nosniff"}
	brotliCoded = []string{"br"}
	gzipCoded   = []string{"gzip"}
)

// script answers GET /stile/{site}.js: the runtime, the released tags in order, and the banner if the visitor must be
// asked.
func (s *Server) script(c echo.Context) error {
	snap, st, err := s.site(strings.CutSuffix(c.Param("site"), ".js"))
	if err != nil {
		return err
	}
	r, h := c.Request(), c.Response().Header()
	q := readQuery(r)
	o, choice, err := s.outcome(r, snap, st, q)
	if err != nil {
		return err
	}
	h["Vary"] = varies
	st.allowOrigin(r, h)
	if o.shown != nil {
		return st.preview(c, &o)
	}
	switch {
	case q.named && strings.TrimSuffix(q.state, "!") != choice.State():
		// The page sees a mirror of a choice that is none: it is set right, and this answer is kept by nobody.
		h["Cache-Control"] = neverKept
		if st.sameView(r) {
			s.setMirror(c, st, choice)
		}
	case st.sameView(r), q.named && crossSite(r):
		// The script compares the state that it was made for with the mirror, and a further address names that state, so
		// that the copy is never run for another.
		h["Cache-Control"] = fresh
	default:
		// A later choice may come with the request, in a cookie that the page does not see.
		h["Cache-Control"] = checkAgain
	}
	s.metrics.answers[o.asked].Inc()
	o.counters.count(r, &q)
	return write(c, javaScript, o.answer, o.etag)
}

// outcome decides a visit, or knows what it decided for the like before. The choice is returned only where the query
// names a state.
func (s *Server) outcome(r *http.Request, snap *snapshot, st *site, q query) (outcome, *consent.Choice, error) {
	lang := r.Header.Get("Accept-Language")
	value, sure := oneCookie(r, st.cookie)
	plain := sure && !q.named && q.choice == "" && r.Header["X-Stile-Choice"] == nil
	key := visitKey{choice: value, region: s.region(r), lang: lang, page: q.lang, gpc: hasGPC(r)}
	if value == "" {
		key.crawler = crawler(r.UserAgent()) // whoever has chosen is none
	}
	if plain {
		if o, found := st.visits.get(key, s.now()); found {
			return o, nil, nil
		}
	}
	if !sure {
		if link := s.previewed(r, st); link != nil {
			return s.simulate(st, link, q.lang)
		}
	}
	v := s.visit(r, st, snap.codec, q)
	v.Crawler = v.Crawler && v.Choice == nil
	d := consent.Decide(st.Site, v)
	turn := st.gate.Turn()
	spoken := st.language(q.lang, lang)
	did := tally.OutcomeOf(st.Site, &d)
	a, err := st.answer(&d, spoken, did)
	if err != nil {
		return outcome{}, nil, err
	}
	if q.named && crossSite(r) {
		did = did.Surer()
	}
	o := outcome{answer: a, etag: []string{a.ETag}, asked: d.Ask}
	if !st.PageViews && !q.same(d.Choice, v.Now) { // else the page tells of its view, or it is counted already
		o.counters = st.counters(&v, &d, spoken, did)
	}
	if d.Choice != nil {
		o.until = d.Choice.Time.Add(st.Remembers(d.Regime))
	}
	if again := v.Now.Add(nameAgain); st.PageViews && (o.until.IsZero() || again.Before(o.until)) {
		o.until = again
	}
	if plain && (value == "") == (d.Choice == nil) { // a cookie that is no choice is not kept: anybody can make those up
		st.visits.put(key, o, turn)
	}
	return o, d.Choice, nil
}

// dialog answers GET /stile/{site}/dialog.js: the preferences, the same for everybody.
func (s *Server) dialog(c echo.Context) error {
	return s.part(c, func(st *site, regime *consent.Regime, lang string) (*gate.Answer, error) {
		return st.gate.Dialog(regime, hasGPC(c.Request()), lang)
	})
}

// place answers GET /stile/{site}/page.js: what stands in the page, the same for everybody.
func (s *Server) place(c echo.Context) error {
	return s.part(c, func(st *site, regime *consent.Regime, lang string) (*gate.Answer, error) {
		return st.gate.Page(regime, lang)
	})
}

func (s *Server) part(c echo.Context, answer func(*site, *consent.Regime, string) (*gate.Answer, error)) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	var regime *consent.Regime
	for i := range st.Regimes {
		if st.Regimes[i].Name == c.QueryParam("regime") {
			regime = &st.Regimes[i]
		}
	}
	named := regime != nil
	if !named {
		regime = st.Regime(s.region(r))
	}
	a, err := answer(st, regime, st.language(c.QueryParam("lang"), r.Header.Get("Accept-Language")))
	if err != nil {
		return err
	}
	if !named { // it depends on where the visitor is, which its address does not say
		h := c.Response().Header()
		h["Cache-Control"] = checkAgain
		h["Vary"] = variesLess
		return write(c, javaScript, a, []string{a.ETag})
	}
	return s.public(c, javaScript, a)
}

// style answers GET /stile/{site}/page.css.
func (s *Server) style(c echo.Context) error {
	return s.shared(c, styleSheet, (*gate.Gate).Style)
}

// markup answers GET /stile/{site}/markup.js: what lets in the markup that waits in the page.
func (s *Server) markup(c echo.Context) error {
	return s.shared(c, javaScript, (*gate.Gate).Markup)
}

// again answers GET /stile/{site}/again.js: what loads a page anew whose policy stops what is newly allowed.
func (s *Server) again(c echo.Context) error {
	return s.shared(c, javaScript, (*gate.Gate).Again)
}

// shared answers with what is the same for everybody, everywhere.
func (s *Server) shared(c echo.Context, contentType []string, answer func(*gate.Gate) (*gate.Answer, error)) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	a, err := answer(st.gate)
	if err != nil {
		return err
	}
	return s.public(c, contentType, a)
}

func (s *Server) public(c echo.Context, contentType []string, a *gate.Answer) error {
	h := c.Response().Header()
	h["Cache-Control"] = forEveryone
	h["Vary"] = variesLess
	return write(c, contentType, a, []string{a.ETag})
}

// write sends an answer in the encoding that the client takes, or 304 where the client has it.
func write(c echo.Context, contentType []string, a *gate.Answer, etag []string) error {
	r, w := c.Request(), c.Response()
	h := w.Header()
	h["Etag"] = etag
	if r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		h["Cross-Origin-Resource-Policy"] = anySite // pages of the same origin do not need it, and every header costs
	}
	if strings.Contains(r.Header.Get("If-None-Match"), strings.TrimPrefix(a.ETag, "W/")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := a.Identity
	switch accept := r.Header.Get("Accept-Encoding"); {
	case takes(accept, "br"):
		coded := a.Coded()
		body, h["Content-Encoding"], h["Content-Length"] = coded.Bytes, brotliCoded, coded.Length
	case takes(accept, "gzip"):
		body, h["Content-Encoding"] = a.Gzip, gzipCoded
	}
	h["Content-Type"] = contentType
	if h["Content-Length"] == nil {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

// takes tells whether an Accept-Encoding lists a coding, and not with q=0.
func takes(accept, coding string) bool {
	for accept != "" {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		name, weight, weighted := strings.Cut(strings.TrimSpace(item), ";")
		if strings.TrimRight(name, " ") != coding {
			continue
		}
		if !weighted {
			return true
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		value, err := strconv.ParseFloat(q, 32)
		return !found || err == nil && value > 0
	}
	return false
}

// setMirror sets the readable mirror of a choice, or takes it away where there is none.
func (s *Server) setMirror(c echo.Context, st *site, choice *consent.Choice) {
	m := st.newCookie(c.Request(), cookie.Mirror(st.Name), choice.State(), s.lifetime(st, c.Request()))
	m.HttpOnly = false
	if m.Value == "" {
		m.MaxAge = -1
	}
	c.SetCookie(m)
}
