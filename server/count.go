package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// counters count an answer of the script.
type counters struct {
	sure   *tally.Counter
	unsure *tally.Counter // where another site's page asks, which may know of a choice; nil where that is known
}

// counters finds what counts the answers to a visit.
func (st *site) counters(v *consent.Visit, d *consent.Decision, lang string, did tally.Outcome) counters {
	visit := st.counted(v.Region, lang, did)
	c := counters{sure: st.tally.Counter(visit)}
	if d.Choice == nil && !d.Crawler {
		visit.Outcome = tally.Unsure()
		c.unsure = st.tally.Counter(visit)
	}
	return c
}

func (st *site) counted(region, lang string, did tally.Outcome) tally.Visit {
	country, _, _ := strings.Cut(region, "-")
	return tally.Visit{Country: country, Regime: st.Regime(region).Name, Language: lang, Banner: st.gate.Version(), Outcome: did}
}

// count counts an answer of the script that was sent.
func (c counters) count(r *http.Request, q *query) {
	if c.sure == nil || r.Method != http.MethodGet || ahead(r) {
		return
	}
	counter := c.sure
	if c.unsure != nil && !q.named && q.choice == "" && crossSite(r) {
		counter = c.unsure
	}
	counter.Add(tally.ClassOf(r.Header))
}

// ahead tells whether a page fetches the answer for the page after it, in place of the copy that the browser has from before a
// choice. A page that runs it asks by its script element.
func ahead(r *http.Request) bool {
	dest := r.Header["Sec-Fetch-Dest"]
	return len(dest) > 0 && dest[0] == "empty"
}

// justNow is how long after a choice pages ask again that knew of another one, at most.
const justNow = 30 * time.Second

// same tells whether a request is for a page that was counted by the one before: it has run an answer, and asks for the one
// that a choice takes, which was counted with the choice. A page that comes later asks for the same address, and finds it in
// the browser's cache or asks when the choice is no longer new.
func (q *query) same(choice *consent.Choice, now time.Time) bool {
	return q.named && choice != nil && now.Sub(choice.Time) < justNow
}

// nameAgain is how long a name of an outcome is given without being announced anew. It is known for the day and the next, and
// is told for an hour after it was given, while the browser's copy is fresh.
const nameAgain = 12 * time.Hour

// answer is the script for a decision. Where page views are counted it tells of them, by a name of what it did.
func (st *site) answer(d *consent.Decision, lang string, did tally.Outcome) (*gate.Answer, error) {
	if !st.PageViews {
		return st.gate.Answer(d, lang)
	}
	return st.gate.Viewed(d, lang, st.tally.Announce(did))
}

// view answers POST /stile/{site}/view: a page of a site that counts page views was seen. It says which answer it got, and
// nothing of the visitor.
func (s *Server) view(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r, h := c.Request(), c.Response().Header()
	switch {
	case !st.PageViews:
		return fail(http.StatusNotFound, "site %s does not count page views: that takes page_views: true in stile.yaml", st.Name)
	case !st.allowOrigin(r, h):
		return fail(http.StatusForbidden, "origin %s is not one of site %s: add it to origins in stile.yaml", r.Header.Get("Origin"), st.Name)
	}
	q := r.URL.Query()
	did, known, err := st.tally.Announced(r.Context(), q.Get("o"))
	if err != nil {
		return err
	}
	if !known {
		return fail(http.StatusBadRequest, "o is %.20q, which names no answer that was given today or yesterday: load the script anew", q.Get("o"))
	}
	visit := st.counted(s.region(r), st.language(q.Get("lang"), r.Header.Get("Accept-Language")), did)
	st.tally.Counter(visit).Add(tally.ClassOf(r.Header))
	h["Cache-Control"] = neverKept
	return c.NoContent(http.StatusNoContent)
}

// acted is what a choice is counted as, beside the choice itself.
type acted struct {
	asked  bool
	device string
	before *consent.Decision
	on     *pageAct // nil: on no page of the site
}

// pageAct is an act on a page of the site, which takes at once what the choice releases.
type pageAct struct {
	visit consent.Visit
	class tally.Class
	fresh bool // its view was counted without its tags, see tally.Choosing
}

// actedOn is an act of a visitor whose request this is.
func (st *site) actedOn(r *http.Request, v consent.Visit) acted {
	d := consent.Decide(st.Site, v)
	a := acted{asked: d.Ask, device: tally.ClassOf(r.Header).String(), before: &d}
	if !wantsHTML(r) { // a plain form is a page of Stile's own
		a.on = &pageAct{v, tally.ClassOf(r.Header), !st.PageViews && d.Choice == nil && crossSite(r)}
	}
	return a
}

// countChoice counts a choice that the ledger has stored just now.
func (s *Server) countChoice(st *site, stored *ledger.Record, choice *consent.Choice, a acted) {
	s.metrics.choices.WithLabelValues(st.Name, string(stored.Action)).Inc()
	st.tally.Choice(&tally.Choice{
		Country: stored.Country, Regime: stored.Regime, Language: stored.Language, Banner: st.gate.Version(), Device: a.device,
		Action: stored.Action, Asked: a.asked, Grants: len(stored.Granted)+len(stored.Services) > 0,
		OptOut: st.optsOut(a.before, stored), Granted: stored.Granted, Denied: stored.Denied,
	})
	if a.on == nil {
		return
	}
	v := a.on.visit
	v.Choice, v.Crawler = choice, false
	after := consent.Decide(st.Site, v)
	if did, ok := tally.Choosing(st.Site, a.before, &after, a.on.fresh); ok {
		st.tally.Counter(st.counted(v.Region, stored.Language, did)).Add(a.on.class)
	}
}

// optsOut tells whether a choice declines something that ran because nobody had objected to it.
func (st *site) optsOut(before *consent.Decision, stored *ledger.Record) bool {
	if before == nil {
		return false
	}
	for i := range st.Categories {
		if unasked(before.Categories[i]) && slices.Contains(stored.Denied, st.Categories[i].Name) {
			return true
		}
	}
	for i := range st.Tags {
		if unasked(before.Tags[i]) && slices.Contains(stored.Refused, st.Tags[i].ID) {
			return true
		}
	}
	return before.Regime.Model == consent.OptOut && stored.Action == consent.Withdraw
}

// unasked tells whether something runs without a choice.
func unasked(v consent.Verdict) bool {
	return v.Released && (v.Because.Kind == consent.NotObjected || v.Because.Kind == consent.NoticeOnly)
}

// figuresMetric is when figures were stored last: it stands still while they wait for the database.
func figuresMetric(t *tally.Tally) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stile_figures_last_stored_timestamp_seconds", Help: "When what this process counted was stored last, 0 when it was not yet.",
	}, func() float64 {
		if at := t.Flushed(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	})
}
