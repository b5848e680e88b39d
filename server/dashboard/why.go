package dashboard

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/region"
	"github.com/stilehq/stile/server/simulate"
)

// whyView is the page of the doctor.
type whyView struct {
	site    *Site
	officer bool
	region  string
	gpc     bool
	problem string
	found   *whyFound
}

// whyFound is a choice, and what came of it.
type whyFound struct {
	choice, now *consent.Choice // now: the one in force, where the visitor chose again since
	record      *ledger.Record  // nil: a cookie
	regime      string          // then
	present     consent.Decision
	granted     string
	denied      string
	notice      string // path of the words that were read
	assumed     string // what the decision had to suppose
	rows        []whyRow
}

type whyRow struct {
	name, path, category string
	then, now            whyVerdict
}

type whyVerdict struct{ tone, word, because string }

// why answers GET /admin/sites/{site}/why: the form of the doctor.
func (d *Dashboard) why(w http.ResponseWriter, a *ask) error {
	return d.drawWhy(w, a, &whyView{site: a.site, officer: a.user.Role >= account.Officer})
}

func (d *Dashboard) drawWhy(w http.ResponseWriter, a *ask, v *whyView) error {
	status := http.StatusOK
	if v.problem != "" {
		status = http.StatusBadRequest
	}
	return d.draw(w, a, status, frame{
		Title: "Why did this visitor get that tag?", Nav: "simulator", Lead: "A visitor’s receipt or cookie tells what they chose, and so what the gate let through to them, and why.",
	}, whyPage(v))
}

// askWhy answers POST /admin/sites/{site}/why. What was pasted is of a person: it stands in no address and in no log.
func (d *Dashboard) askWhy(w http.ResponseWriter, a *ask) error {
	if err := readForm(w, a); err != nil {
		return err
	}
	v := &whyView{
		site: a.site, officer: a.user.Role >= account.Officer, gpc: a.PostForm.Get("gpc") == "1",
		region: strings.ToUpper(strings.TrimSpace(a.PostForm.Get("region"))),
	}
	err := d.diagnose(a, v, strings.TrimSpace(a.PostForm.Get("subject")))
	var told *problem
	switch {
	case errors.As(err, &told) && told.status == http.StatusBadRequest:
		v.problem = told.what
	case err != nil:
		return err
	}
	return d.drawWhy(w, a, v)
}

func (d *Dashboard) diagnose(a *ask, v *whyView, subject string) error {
	if v.region != "" && !simulate.IsRegion(v.region) {
		return fail(http.StatusBadRequest, "the region %.20q is none: use ISO 3166, DE or US-CA", v.region)
	}
	if subject == "" {
		return fail(http.StatusBadRequest, "nothing was pasted: it takes a receipt, or the value of the cookie %s", cookie.Name(a.site.Name))
	}
	if id, err := uuid.Parse(subject); err == nil && len(subject) == 36 {
		return d.byReceipt(a, v, id)
	}
	return d.byCookie(a, v, subject)
}

// byReceipt looks a record up, for an officer. The look is in the audit trail before anything of it is shown.
func (d *Dashboard) byReceipt(a *ask, v *whyView, id uuid.UUID) error {
	if !v.officer {
		return fail(http.StatusForbidden, "a receipt leads to a visitor's record, which is for the role officer, and %s is %s: paste the cookie itself, or ask an officer", a.user.Name, a.user.Role)
	}
	ctx := a.Context()
	record, err := d.Ledger.Find(ctx, a.site.Name, id)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusBadRequest, "site %s has no record of this receipt: it was erased, is older than records are kept, or is of another site", a.site.Name)
	}
	if err != nil {
		return err
	}
	latest, err := d.Ledger.Latest(ctx, a.site.Name, id)
	if err != nil {
		return err
	}
	var leaves []int64
	for _, leaf := range []int64{record.Leaf, latest.Leaf} {
		if leaf >= 0 && !slices.Contains(leaves, leaf) {
			leaves = append(leaves, leaf)
		}
	}
	if _, err := d.Ledger.Note(ctx, ledger.Audit{
		Time: d.Now(), Actor: ledger.Operator(a.user.Name), Act: ledger.ActShow, Site: a.site.Name,
		Leaves: ledger.LeavesOf(leaves...), Count: max(len(leaves), 1), Detail: "dashboard: why tags were released or withheld",
	}); err != nil {
		return err
	}
	then, now := record.Choice(), latest.Choice()
	f := &whyFound{choice: &then, now: &now, record: &record, regime: record.Regime, notice: "/stile/" + a.site.Name + "/notice/" + url.PathEscape(record.Notice)}
	if v.region == "" {
		v.region = regionOf(a.site.Site, &record)
	}
	d.decideWhy(a.site, v, f)
	return nil
}

// regionOf is a region of the regime that a record is of: records keep the country alone.
func regionOf(site *consent.Site, r *ledger.Record) string {
	if site.Regime(r.Country).Name == r.Regime {
		return r.Country
	}
	for i := range site.Regimes {
		if site.Regimes[i].Name != r.Regime {
			continue
		}
		for _, code := range site.Regimes[i].Regions {
			if country, _, divided := strings.Cut(code, "-"); divided && country == r.Country && region.Parse(code) != "" {
				return code
			}
		}
	}
	return r.Country
}

// byCookie reads what the visitor's browser keeps.
func (d *Dashboard) byCookie(a *ask, v *whyView, subject string) error {
	if d.Choice == nil {
		return fail(http.StatusBadRequest, "this dashboard cannot read cookies: paste a receipt")
	}
	value := cookieValue(a.site.Name, subject)
	choice, err := d.Choice(a.site.Name, value)
	if err != nil {
		for _, other := range d.Sites() {
			if _, no := d.Choice(other.Name, value); no == nil {
				return fail(http.StatusBadRequest, "this is a choice on the site %s, and no choice here: ask there", other.Name)
			}
		}
		return fail(http.StatusBadRequest, "%s", cookieWords(a.site.Name, err))
	}
	d.decideWhy(a.site, v, &whyFound{choice: choice, now: choice})
	return nil
}

// cookieValue is a site's cookie in what was pasted: a value, name=value, or a whole Cookie header.
func cookieValue(site, pasted string) string {
	pasted = strings.TrimPrefix(pasted, "Cookie:")
	for part := range strings.SplitSeq(pasted, ";") {
		if value, found := strings.CutPrefix(strings.TrimSpace(part), cookie.Name(site)+"="); found {
			return value
		}
	}
	return strings.TrimSpace(pasted)
}

func cookieWords(site string, err error) string {
	switch cookie.Fault(err) {
	case cookie.Expired:
		return "this choice is older than any is believed, which is 395 days: to the gate its visitor has not chosen"
	case cookie.Unsigned:
		return "none of this Stile's keys signed this for the site: it was changed, is of another Stile, or its key was retired; to the gate its visitor has not chosen"
	}
	return "this is no cookie " + cookie.Name(site) + ", or a part of one: copy its whole value from the browser's developer tools"
}

// decideWhy has the choice decided as it was then and as it is now.
func (d *Dashboard) decideWhy(site *Site, v *whyView, f *whyFound) {
	f.present = consent.Decide(site.Site, consent.Visit{Choice: f.now, Region: v.region, GPC: v.gpc || f.now.GPC, Now: d.Now()})
	past := asThen(site.Site, f.choice)
	then := consent.Decide(past, consent.Visit{Choice: f.choice, Region: v.region, GPC: f.choice.GPC, Now: f.choice.Time})
	if f.regime == "" {
		f.regime = then.Regime.Name
	}
	f.granted = cmp.Or(names(site, f.choice.Granted, f.choice.Services), "nothing")
	f.denied = cmp.Or(names(site, f.choice.Denied, f.choice.Refused), "nothing")
	f.assumed = "Decided for " + cmp.Or(v.region, "an unknown region") + ", by the site’s present configuration"
	if v.gpc || f.now.GPC {
		f.assumed += ", with Sec-GPC"
	}
	shown := shownThen(site.Site, f.choice)
	for i := range site.Tags {
		t := &site.Tags[i]
		row := whyRow{name: t.Name, path: sitePath(site.Name, "tags/") + url.PathEscape(t.ID), category: t.Category, now: whyWords(f.present.Tags[i])}
		row.then = whyWords(then.Tags[i])
		if shown != nil && !slices.Contains(shown, t.ID+"@"+t.Category) {
			row.then = whyVerdict{word: "not there", because: "it came to the site, or to this category, after the choice"}
		}
		f.rows = append(f.rows, row)
	}
	v.found = f
}

func whyWords(v consent.Verdict) whyVerdict {
	tone, word := verdictWords(v)
	return whyVerdict{tone, word, v.Because.String()}
}

// asThen is the site under the policy by which a choice was made.
func asThen(site *consent.Site, c *consent.Choice) *consent.Site {
	past := *site
	past.Policy.Version = c.Policy
	if i := slices.IndexFunc(site.History, func(v consent.Version) bool { return v.Name == c.Policy }); i >= 0 {
		past.History = site.History[:i+1]
	}
	return &past
}

// shownThen is the vendor list by which a choice was made; nil where it is not known.
func shownThen(site *consent.Site, c *consent.Choice) []string {
	if c.List == site.List() {
		return site.Entries()
	}
	return site.Lists[c.List]
}

// again tells whether the visitor chose anew since.
func (f *whyFound) again() bool { return f.now.Receipt != f.choice.Receipt }

// inForce says what the gate makes of the choice now.
func (f *whyFound) inForce() string {
	switch {
	case f.present.Choice == nil:
		return "The choice is no longer in force: it is older than the site remembers, so the visitor is asked anew."
	case f.present.Ask:
		return "The visitor " + askedWords(&f.present) + "."
	case f.again():
		return "The visitor chose again on " + moment(f.now.Time) + " UTC: that choice is in force now."
	}
	return "The choice is in force."
}
