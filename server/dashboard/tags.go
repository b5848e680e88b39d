package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// tagState is one thing to know about how a tag is gated. Its key stands in addresses.
type tagState struct {
	key, tone, name string
	means           string // in a sentence
}

var (
	stateGated      = tagState{"gated", "good", "gated", "It is withheld until its category is accepted, or the law of the visitor's region lets it run."}
	stateAlways     = tagState{"always", "", "runs always", "Its category is required: nobody is asked, and nobody can decline it."}
	stateRestricted = tagState{"restricted", "warn", "sent before consent", "Its consent mode is advanced: it is sent without consent, and told that consent is denied."}
	stateLoads      = tagState{"loads", "warn", "not itemisable", "It loads tags of others, which Stile can neither list nor gate one by one."}
	stateSilent     = tagState{"silent", "good", "silent when denied", "Told that consent is denied, it sends nothing."}
	stateSends      = tagState{"sends", "", "may send when denied", "Told that consent is denied, it is not known to fall silent: what keeps it quiet is that it is not released at all."}
	stateGone       = tagState{"gone", "", "no longer configured", "It was counted in this period, and the site has it no more."}
)

var tagStates = []tagState{stateGated, stateAlways, stateRestricted, stateLoads, stateSilent, stateSends, stateGone}

// statesOf is what is known of a tag; vendor may be nil.
func statesOf(site *consent.Site, t *consent.Tag, vendor *vendors.Vendor) (list []tagState) {
	required := slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return c.Name == t.Category && c.Required })
	mode := site.Mode(t.Mode)
	switch {
	case required:
		list = append(list, stateAlways)
	case mode != nil && mode.Advanced:
		list = append(list, stateRestricted)
	default:
		list = append(list, stateGated)
	}
	if vendor == nil {
		return list
	}
	if vendor.Loads {
		list = append(list, stateLoads)
	}
	switch {
	case required:
	case vendor.Silent:
		list = append(list, stateSilent)
	case t.Mode != "" || t.Load.Signal != "":
		list = append(list, stateSends)
	}
	return list
}

// reason is why a tag was withheld or restricted, and how often.
type reason struct {
	words string
	views int64
}

// kindWords is a kind for figures, where no single visitor's date can stand.
var kindWords = map[consent.Kind]string{
	consent.NotChosen: "no choice yet", consent.Declined: "declined", consent.Signal: "Sec-GPC signal", consent.Expired: "choice expired",
	consent.Added: "came after the choice", consent.PolicyChanged: "policy changed", consent.Separate: "separate consent missing",
	consent.Needs: "a tag it needs was withheld", consent.ControllerChanged: "controller changed", consent.Crawler: "crawler",
}

func byReason(because map[consent.Kind]int64) (list []reason) {
	for kind, n := range because {
		if n > 0 {
			list = append(list, reason{cmp.Or(kindWords[kind], strings.ReplaceAll(kind.String(), "_", " ")), n})
		}
	}
	slices.SortFunc(list, func(a, b reason) int { return cmp.Or(cmp.Compare(b.views, a.views), cmp.Compare(a.words, b.words)) })
	return list
}

// tagRow is a tag of the table.
type tagRow struct {
	id, name, vendor, category, account, path string
	states                                    []tagState
	figures                                   tally.Tag
	why, whyRestricted                        []reason
}

func (r *tagRow) decided() int64 {
	return r.figures.Released + r.figures.Restricted + r.figures.Withheld
}

// released is the share of page views in which it was, 0 to 1; -1 where it was never decided.
func (r *tagRow) released() float64 {
	if r.decided() == 0 {
		return -1
	}
	return float64(r.figures.Released) / float64(r.decided())
}

func (r *tagRow) last() string {
	if r.figures.Last.IsZero() {
		return "–"
	}
	return r.figures.Last.UTC().Format("2 Jan 15:04")
}

func (r *tagRow) has(state string) bool {
	return slices.ContainsFunc(r.states, func(s tagState) bool { return s.key == state })
}

// tagColumns are what the table can be sorted by, in its order. The first look is the site's own order.
var tagColumns = []struct {
	key, name string
	num       bool
	compare   func(a, b *tagRow) int
}{
	{"name", "Tag", false, func(a, b *tagRow) int { return cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) }},
	{"category", "Category", false, func(a, b *tagRow) int { return cmp.Compare(a.category, b.category) }},
	{"", "State", false, nil},
	{"released", "Released", true, func(a, b *tagRow) int { return cmp.Compare(a.figures.Released, b.figures.Released) }},
	{"restricted", "Restricted", true, func(a, b *tagRow) int { return cmp.Compare(a.figures.Restricted, b.figures.Restricted) }},
	{"withheld", "Withheld", true, func(a, b *tagRow) int { return cmp.Compare(a.figures.Withheld, b.figures.Withheld) }},
	{"share", "Share released", true, func(a, b *tagRow) int { return cmp.Compare(a.released(), b.released()) }},
	{"", "Why withheld", false, nil},
	{"last", "Last released", false, func(a, b *tagRow) int { return a.figures.Last.Compare(b.figures.Last) }},
	{"errors", "Errors", true, func(a, b *tagRow) int { return cmp.Compare(a.figures.Errors, b.figures.Errors) }},
}

// tagsView is the page of all tags.
type tagsView struct {
	site, category, state, sort string
	span                        query
	today                       string
	categories                  []string
	rows                        []tagRow
	all                         int // tags before they were filtered
	views                       int64
	cached                      bool // answers that a browser kept are not among the views
	costs                       []cost
}

// restricted tells whether any tag is sent without consent: else that takes no column.
func (v *tagsView) restricted() bool {
	return slices.ContainsFunc(v.rows, func(r tagRow) bool { return r.figures.Restricted > 0 || r.has(stateRestricted.key) })
}

// cost is what the refusals of a category kept from its tags.
type cost struct {
	category, sentence string
	rows               []costRow
}

// costRow is the page views that a tag was kept from, by reason. In those that were restricted it was sent all the same.
type costRow struct {
	name, path                          string
	declined, signal, silent, other, of int64
	restricted, restrictedDeclined      int64
}

// lost is the page views that the tag was kept from.
func (r *costRow) lost() int64 { return r.declined + r.signal + r.silent + r.other }

// restricted tells whether a tag was sent without consent: else that takes no column.
func (c *cost) restricted() bool {
	return slices.ContainsFunc(c.rows, func(r costRow) bool { return r.restricted > 0 })
}

// tags answers GET /admin/sites/{site}/tags: each tag of the site, how often it was released and withheld, and why.
func (d *Dashboard) tags(w http.ResponseWriter, a *ask) error {
	q, err := readSpan(a, d.Now())
	if err != nil {
		return err
	}
	v := tagsView{
		site: a.site.Name, span: q, today: string(tally.DayOf(d.Now())),
		category: q.values.Get("category"), state: q.values.Get("state"), sort: q.values.Get("sort"),
	}
	for _, c := range a.site.Categories {
		v.categories = append(v.categories, c.Name)
	}
	if v.category != "" && !slices.Contains(v.categories, v.category) {
		return fail(http.StatusBadRequest, "site %s has no category %q: it has %s", a.site.Name, v.category, strings.Join(v.categories, ", "))
	}
	if v.state != "" && !slices.ContainsFunc(tagStates, func(s tagState) bool { return s.key == v.state }) {
		return fail(http.StatusBadRequest, "there is no state %q of a tag", v.state)
	}
	report, err := d.Figures.Report(a.Context(), a.site.Name, q.Period, tally.Filter{})
	if err != nil {
		return err
	}
	rows, err := d.tagRows(a.site, report)
	if err != nil {
		return err
	}
	v.cached = !a.site.PageViews
	v.views, v.all, v.costs = report.Total.Views, len(rows), costs(a.site, rows, report.Total.Views)
	v.rows = slices.DeleteFunc(rows, func(r tagRow) bool {
		return v.category != "" && r.category != v.category || v.state != "" && !r.has(v.state)
	})
	if err := v.order(); err != nil {
		return err
	}
	return d.page(w, a, frame{Title: "Tags", Nav: "tags", Lead: "What each tag got through the gate, and what kept the others back: " + between(q.Period) + "." + missing(report)}, tagsPage(&v))
}

// tagRows are the site's tags in its order, and those that it has no more at the end.
func (d *Dashboard) tagRows(site *Site, report *tally.Report) ([]tagRow, error) {
	library, err := d.library()
	if err != nil {
		return nil, err
	}
	var rows []tagRow
	for i := range site.Tags {
		t := &site.Tags[i]
		row := tagRow{id: t.ID, name: t.Name, category: t.Category, account: t.Account, states: statesOf(site.Site, t, library.Find(t.Vendor))}
		if vendor := library.Find(t.Vendor); vendor != nil && vendor.Name != t.Name {
			row.vendor = vendor.Name
		}
		rows = append(rows, row)
	}
	for id := range report.Tags {
		if !slices.ContainsFunc(rows, func(r tagRow) bool { return r.id == id }) {
			gone := tagRow{id: id, name: id, states: []tagState{stateGone}}
			if vendor := library.Find(id); vendor != nil {
				gone.name, gone.account = vendor.Name, id
			}
			rows = append(rows, gone)
		}
	}
	slices.SortFunc(rows[len(site.Tags):], func(a, b tagRow) int { return cmp.Compare(a.id, b.id) })
	for i := range rows {
		r := &rows[i]
		r.path = sitePath(site.Name, "tags/") + url.PathEscape(r.id)
		if f := report.Tags[r.id]; f != nil {
			r.figures, r.why, r.whyRestricted = *f, byReason(f.Because), byReason(f.RestrictedBecause)
		}
	}
	return rows, nil
}

// order sorts the table by the column that the address names, "-" before it for the other way round. Tags that the site has
// no more stay at the end.
func (v *tagsView) order() error {
	if v.sort == "" {
		return nil
	}
	key, down := strings.CutPrefix(v.sort, "-")
	for _, c := range tagColumns {
		if c.key != key || key == "" {
			continue
		}
		slices.SortStableFunc(v.rows, func(a, b tagRow) int {
			n := c.compare(&a, &b)
			if down {
				n = -n
			}
			return cmp.Or(yes(a.has("gone"))-yes(b.has("gone")), n)
		})
		return nil
	}
	return fail(http.StatusBadRequest, "tags cannot be sorted by %q", key)
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sortedBy is the address of the page sorted by a column: figures begin with the highest, and a second click turns round.
func (v *tagsView) sortedBy(key string, num bool) string {
	next := key
	if num {
		next = "-" + key
	}
	if v.sort == next {
		next = strings.TrimPrefix("-"+next, "--")
	}
	return v.span.with("sort", next)
}

// sorted is a column's aria-sort.
func (v *tagsView) sorted(key string) string {
	switch v.sort {
	case key:
		return "ascending"
	case "-" + key:
		return "descending"
	}
	return "none"
}

// costs is what the refusals of each optional category kept from its tags.
func costs(site *Site, rows []tagRow, views int64) (list []cost) {
	for i := range site.Categories {
		c := &site.Categories[i]
		if c.Required {
			continue
		}
		one := cost{category: c.Name}
		for _, r := range rows {
			if r.category != c.Name || r.has(stateGone.key) || r.decided() == 0 {
				continue
			}
			because := r.figures.Because
			row := costRow{name: r.name, path: r.path, declined: because[consent.Declined], signal: because[consent.Signal], silent: because[consent.NotChosen], of: r.decided()}
			row.other = r.figures.Withheld - row.declined - row.signal - row.silent
			row.restricted, row.restrictedDeclined = r.figures.Restricted, r.figures.RestrictedBecause[consent.Declined]
			one.rows = append(one.rows, row)
		}
		if one.sentence = one.words(views); len(one.rows) > 0 {
			list = append(list, one)
		}
	}
	return list
}

// words says what refusing the category cost. Tags of one category can differ: one was accepted or declined by itself, or
// came later, or is sent without consent.
func (c *cost) words(views int64) string {
	var kept []int64
	sent := 0
	for _, r := range c.rows {
		if r.declined > 0 {
			kept = append(kept, r.declined)
		}
		if r.restrictedDeclined > 0 {
			sent++
		}
	}
	var words string
	switch {
	case len(kept)+sent == 0:
		return fmt.Sprintf("Nobody refused %s.", c.category)
	case len(kept) == 0:
		words = fmt.Sprintf("Refusing %s kept no tag from a page view.", c.category)
	default:
		words = c.kept(kept, views)
	}
	if sent > 0 {
		words += fmt.Sprintf(" %s sent all the same, and told of the refusal.", counted(int64(sent), "tag was", "tags were"))
	}
	return words
}

// kept says from how many page views the tags were kept, of each of which there was a refusal.
func (c *cost) kept(from []int64, views int64) string {
	least, most := slices.Min(from), slices.Max(from)
	tags := counted(int64(len(from)), "tag", "tags")
	if least == most {
		return fmt.Sprintf("Refusing %s kept %s from %s of %s page views (%s).", c.category, tags, count(most), count(views), shareOf(most, views))
	}
	return fmt.Sprintf("Refusing %s kept %s from %s to %s of %s page views each (up to %s).", c.category, tags, count(least), count(most), count(views), shareOf(most, views))
}

// shareOf is a share for people: 22.7%.
func shareOf(n, of int64) string {
	if of == 0 {
		return "–"
	}
	return percent(100 * float64(n) / float64(of))
}

// readSpan reads the period out of an address, as the overview does. Its other parameters are the page's own.
func readSpan(a *ask, now time.Time) (query, error) {
	q := query{path: a.URL.Path, values: url.Values{}}
	for key, list := range a.URL.Query() {
		if len(list) > 0 && list[0] != "" { // a form sends what is left empty, too
			q.values.Set(key, list[0])
		}
	}
	return q, q.readPeriod(tally.DayOf(now))
}

// spans are the periods that have a name, as links.
func (q *query) spans() (list []tab) {
	for _, p := range periods {
		list = append(list, tab{p.title, q.with("period", p.name, "from", "", "to", ""), p.name == q.Name})
	}
	return list
}

// fields are the parameters of an address for a form that sets others.
func (q *query) fields(but ...string) (list []field) {
	for _, key := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(but, key) {
			list = append(list, field{key, q.values.Get(key)})
		}
	}
	return list
}
