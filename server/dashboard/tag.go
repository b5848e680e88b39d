package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// tagView is a tag's own page.
type tagView struct {
	row    tagRow
	today  string
	span   query
	tag    *consent.Tag    // nil: no longer configured
	vendor *vendors.Vendor // nil: a custom tag
	mode   *consent.Mode
	needs  []string
	server string // how events reach the vendor from the server, in words
	stop   string
	line   string // of stile.yaml
	lang   string
	days   []tagBucket
	by     []tagSplit
}

// tagBucket is some days of a tag.
type tagBucket struct {
	name string
	tally.Tag
}

// tagSplit is a tag told apart by country or device.
type tagSplit struct {
	name string
	rows []tagBucket
}

const (
	mostBuckets = 31 // in the chart by day: of a longer period each is several days
	mostValues  = 6  // of a dimension
	splitDays   = 62 // in a longer period adding up each value by itself takes too long
)

// tag answers GET /admin/sites/{site}/tags/{tag}: all that is known of a tag, and what became of it.
func (d *Dashboard) tag(w http.ResponseWriter, a *ask) error {
	id := a.PathValue("tag")
	period, err := readSpan(a, d.Now())
	if err != nil {
		return err
	}
	report, err := d.Figures.Report(a.Context(), a.site.Name, period.Period, tally.Filter{})
	if err != nil {
		return err
	}
	rows, err := d.tagRows(a.site, report)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(r tagRow) bool { return r.id == id })
	if i < 0 {
		return fail(http.StatusNotFound, "site %s has no tag %.60q, and none was counted from %s to %s", a.site.Name, id, period.Period.From, period.Period.To)
	}
	v := tagView{row: rows[i], today: string(tally.DayOf(d.Now())), span: period, lang: a.site.Languages[0]}
	if i < len(a.site.Tags) {
		if err := d.describe(&v, a.site.Site, &a.site.Tags[i]); err != nil {
			return err
		}
	}
	if v.row.decided() > 0 {
		if v.days, err = d.tagDays(a.Context(), a.site.Name, id, period.Period); err != nil {
			return err
		}
		if v.by, err = d.tagSplits(a.Context(), a.site.Name, id, period.Period, report); err != nil {
			return err
		}
	}
	return d.page(w, a, frame{Title: v.row.name, Nav: "tags", Lead: v.lead() + missing(report), Tools: backTo(sitePath(a.site.Name, "tags"), "All tags")}, tagPage(&v))
}

// describe fills in what the configuration and the vendor library know.
func (d *Dashboard) describe(v *tagView, site *consent.Site, t *consent.Tag) error {
	library, err := d.library()
	if err != nil {
		return err
	}
	v.tag, v.vendor, v.mode, v.line = t, library.Find(t.Vendor), site.Mode(t.Mode), yamlLine(t)
	for _, need := range t.Needs {
		for i := range site.Tags {
			if site.Tags[i].ID == need {
				v.needs = append(v.needs, site.Tags[i].Name)
			}
		}
	}
	switch {
	case t.Load.Stop != "":
		v.stop = "At once: it is told to stop, on the page that is open."
	case t.Load.Pixel != "":
		v.stop = "At once: a pixel is a single request, and the next page sends none."
	default:
		v.stop = "By loading the page anew: there is no way to stop it while the page is open."
	}
	if s := t.Server; s != nil {
		v.server = "Events go to " + s.Endpoint + " from this server"
		if s.Told {
			v.server += ", and a denial is told"
		} else {
			v.server += ", and nothing goes without consent"
		}
		if s.Only {
			v.server += "; the browser loads nothing for it"
		}
		v.server += "."
	}
	return nil
}

func (v *tagView) lead() string {
	if v.tag == nil {
		return "This tag was counted, and the site's configuration has it no more."
	}
	words := "In " + v.tag.Category
	if v.tag.Company != "" {
		words += ", by " + v.tag.Company
	}
	return strings.TrimSuffix(words, ".") + "."
}

// tagDays is a tag day by day or, in a long period, by several days.
func (d *Dashboard) tagDays(ctx context.Context, site, id string, p tally.Period) (list []tagBucket, err error) {
	from, days := timeOf(p.From), length(p)
	step := int(math.Ceil(float64(days) / mostBuckets))
	for at := 0; at < days; at += step {
		first, last := from.AddDate(0, 0, at), from.AddDate(0, 0, min(at+step, days)-1)
		report, err := d.Figures.Report(ctx, site, tally.Period{From: tally.DayOf(first), To: tally.DayOf(last)}, tally.Filter{})
		if err != nil {
			return nil, err
		}
		bucket := tagBucket{name: first.Format("2 Jan")}
		if last != first {
			bucket.name += " – " + last.Format("2 Jan")
		}
		if f := report.Tags[id]; f != nil {
			bucket.Tag = *f
		}
		list = append(list, bucket)
	}
	return list, nil
}

// tagSplits is a tag by device and by country, those with most page views and then all others in a row, so that the rows add up
// to the tag's figures; none of a long period.
func (d *Dashboard) tagSplits(ctx context.Context, site, id string, p tally.Period, whole *tally.Report) (list []tagSplit, err error) {
	if length(p) > splitDays {
		return nil, nil
	}
	for _, split := range []struct {
		name string
		by   tally.Dimension
		as   func(value string) tally.Filter
	}{
		{"Device", tally.Device, func(value string) tally.Filter { return tally.Filter{Device: value} }},
		{"Country", tally.Country, func(value string) tally.Filter { return tally.Filter{Country: value} }},
	} {
		one, rest := tagSplit{name: split.name}, *whole.Tags[id]
		all := othersLast(split.by, whole.By[split.by])
		named := slices.DeleteFunc(slices.Clone(all), func(r tally.Row) bool { return r.Value == "" }) // as a filter "" would be any
		for _, row := range named[:min(mostValues, len(named))] {
			part, err := d.Figures.Report(ctx, site, p, split.as(row.Value))
			if err != nil {
				return nil, err
			}
			if f := part.Tags[id]; f != nil {
				one.rows = append(one.rows, tagBucket{inWords(split.by, row.Value), *f})
				rest = without(rest, f)
			}
		}
		if name := restName(len(named)-mostValues, len(all) > len(named)); name != "" {
			if last := (tagBucket{name, rest}); last.decided() > 0 {
				one.rows = append(one.rows, last)
			}
		}
		if len(one.rows) > 0 {
			list = append(list, one)
		}
	}
	return list, nil
}

// without is what is left of a tag's page views. A part that is read later may have more of today.
func without(all tally.Tag, part *tally.Tag) tally.Tag {
	return tally.Tag{
		Released: max(all.Released-part.Released, 0), Restricted: max(all.Restricted-part.Restricted, 0), Withheld: max(all.Withheld-part.Withheld, 0),
	}
}

// restName is what the row of all other values is called, "" where there are none.
func restName(more int, unknown bool) string {
	switch {
	case more <= 0 && !unknown:
		return ""
	case more <= 0:
		return inWords("", "")
	case unknown:
		return count(int64(more)) + " more, and not known"
	}
	return count(int64(more)) + " more"
}

func (b *tagBucket) decided() int64 { return b.Released + b.Restricted + b.Withheld }

// highest is the tallest bar of the chart.
func (v *tagView) highest() (most int64) {
	for i := range v.days {
		most = max(most, v.days[i].decided())
	}
	return most
}

// Sizes of the chart, in its own units.
const (
	chartHeight = 120
	barWidth    = 20
)

// tall is the height of a part of a bar.
func (v *tagView) tall(n int64) string {
	return strconv.FormatFloat(chartHeight*float64(n)/float64(max(v.highest(), 1)), 'f', 2, 64)
}

// top is where a part of a bar begins, from above.
func (v *tagView) top(n int64) string {
	return strconv.FormatFloat(chartHeight*(1-float64(n)/float64(max(v.highest(), 1))), 'f', 2, 64)
}

// width is a share of 100.
func width(n, of int64) string {
	return strconv.FormatFloat(100*float64(n)/float64(max(of, 1)), 'f', 2, 64)
}

// yamlLine is the tag as a line of stile.yaml. What the compiled tag does not tell (a vendor's options, inline script) is
// left for the file itself.
func yamlLine(t *consent.Tag) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+": "+yamlText(value))
		}
	}
	if t.Vendor != "" {
		add("vendor", t.Vendor)
		add("id", t.Account)
		if t.ID != t.Vendor {
			add("name", t.Name)
		}
	} else {
		add("name", t.Name)
	}
	add("category", t.Category)
	if t.Vendor == "" {
		add("script", t.Load.Script)
		add("pixel", t.Load.Pixel)
		if t.Load.Script == "" && t.Load.Pixel == "" {
			add("inline", t.Load.Before)
		}
	}
	if len(t.Needs) > 0 {
		parts = append(parts, "needs: ["+strings.Join(t.Needs, ", ")+"]")
	}
	return "- {" + strings.Join(parts, ", ") + "}"
}

// yamlText quotes what YAML would not read as a plain word in a flow.
func yamlText(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == ' '
	}
	_, number := strconv.ParseFloat(s, 64)
	if strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) || number == nil || strings.TrimSpace(s) != s || s[0] == '-' ||
		slices.Contains([]string{"true", "false", "null", "yes", "no"}, strings.ToLower(s)) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// purpose is a cookie's, in the site's first language, or that of its category.
func (v *tagView) purpose(c consent.Cookie) string {
	return cmp.Or(c.Purpose[v.lang], c.Purpose[""], "that of "+v.tag.Category)
}

// call is how the tag is told of consent, as JavaScript.
func (v *tagView) call() string {
	call := strings.TrimSpace(v.tag.Load.Signal)
	if v.mode != nil {
		signals := map[string]string{}
		for _, s := range v.mode.Signals {
			signals[s.Name] = s.Category
		}
		always := maps.Clone(v.mode.Settings)
		if always == nil {
			always = map[string]any{}
		}
		for _, name := range v.mode.Granted {
			always[name] = "granted"
		}
		update := strings.NewReplacer("{signals}", asCode(signals), "{always}", asCode(always)).Replace(v.mode.Update)
		call = strings.TrimSpace(strings.TrimSpace(update) + "\n" + call)
	}
	return call
}

// asCode is a value as JavaScript.
func asCode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}" // what a library's YAML holds always encodes
	}
	return string(text)
}

// figures are those at the head of the page.
func (v *tagView) figures() (list []stat) {
	f := &v.row.figures
	list = append(list, stat{
		Name: "Released", Value: count(f.Released), Note: shareOf(f.Released, v.row.decided()),
		Means: "Page views in which the tag was let in at any moment, also by a choice made on the page: its category was accepted, is required, or needs no consent where the visitor was.",
	})
	if f.Restricted > 0 || v.row.has(stateRestricted.key) {
		list = append(list, stat{
			Name: "Restricted", Value: count(f.Restricted), Note: shareOf(f.Restricted, v.row.decided()),
			Means: "Page views in which the tag was sent without consent only, and told so: its consent mode is advanced.",
		})
	}
	return append(list,
		stat{Name: "Withheld", Value: count(f.Withheld), Note: shareOf(f.Withheld, v.row.decided()), Means: "Page views in which nothing of the tag left the server at any moment. The reason is the last one on that page."},
		stat{Name: "Last released", Value: v.row.last(), Note: "UTC", Means: "When the tag was last released in this period, to about a minute."},
		stat{Name: "Errors", Value: count(f.Errors), Note: "given up or failed to load", Means: "Deliveries by this server that were given up, and loads that were seen to fail."},
	)
}

func (v *tagView) callWords() string {
	if v.mode == nil {
		return "Run before the tag, and again at each change of the choice. ok(name) tells whether a category or a tag is allowed."
	}
	words := "Through the consent mode " + v.mode.ID + ", in its basic form: the tag is not on the page until it is released."
	if v.mode.Advanced {
		words = "Through the consent mode " + v.mode.ID + ", in its advanced form: the tag is sent before and without consent, and told that it is denied."
	}
	var follows []string
	for _, s := range v.mode.Signals {
		follows = append(follows, s.Name+" follows "+s.Category)
	}
	return words + " " + strings.Join(follows, ", ") + "."
}
