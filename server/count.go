package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// counters count an answer of the script.
type counters struct {
	sure   *tally.Counter
	unsure *tally.Counter // where another site's page asks, which may know of a choice; nil where that is known
}

// counters finds what counts the answers to a visit.
func (st *site) counters(v *consent.Visit, d *consent.Decision, lang string) counters {
	visit := tally.Visit{
		Country: country(v.Region), Regime: d.Regime.Name, Language: lang, Banner: st.gate.Version(), Outcome: tally.OutcomeOf(st.Site, d),
	}
	c := counters{sure: st.tally.Counter(visit)}
	if d.Choice == nil && !d.Crawler {
		visit.Outcome = tally.Unsure()
		c.unsure = st.tally.Counter(visit)
	}
	return c
}

func country(region string) string {
	country, _, _ := strings.Cut(region, "-")
	return country
}

// count counts an answer of the script that was sent.
func (c counters) count(r *http.Request, q *query) {
	if r.Method != http.MethodGet {
		return
	}
	counter := c.sure
	if c.unsure != nil && !q.named && q.choice == "" && crossSite(r) {
		counter = c.unsure
	}
	counter.Add(tally.ClassOf(r.Header))
}

// act is what a choice is counted as, beside the choice itself.
type acted struct {
	asked  bool
	device string
	before *consent.Decision
}

// actedOn is an act of a visitor whose request this is.
func (st *site) actedOn(r *http.Request, v consent.Visit) acted {
	d := consent.Decide(st.Site, v)
	return acted{asked: d.Ask, device: tally.ClassOf(r.Header).String(), before: &d}
}

// countChoice counts a choice that the ledger has stored just now.
func (s *Server) countChoice(st *site, stored *ledger.Record, a acted) {
	s.metrics.choices.WithLabelValues(st.Name, string(stored.Action)).Inc()
	st.tally.Choice(&tally.Choice{
		Country: stored.Country, Regime: stored.Regime, Language: stored.Language, Banner: st.gate.Version(), Device: a.device,
		Action: stored.Action, Asked: a.asked, Grants: len(stored.Granted)+len(stored.Services) > 0,
		OptOut: st.optsOut(a.before, stored), Granted: stored.Granted, Denied: stored.Denied,
	})
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
