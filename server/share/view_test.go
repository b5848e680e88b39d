package share

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/noise"
	"github.com/stilehq/stile/server/tally"
)

var site = &consent.Site{Name: "shop", Categories: []consent.Category{
	{Name: "necessary", Required: true}, {Name: "analytics"}, {Name: "marketing"},
}}

// counted are figures that a test makes up: what happened each day.
type counted struct {
	day   func(time.Time) tally.Figures
	by    map[tally.Dimension]map[string]tally.Figures // of a week
	cats  map[string]tally.Category                    // of a week
	asked []tally.Period
}

func (c *counted) Report(_ context.Context, name string, p tally.Period, f tally.Filter) (*tally.Report, error) {
	c.asked = append(c.asked, p)
	if name != "shop" || f != (tally.Filter{}) {
		return nil, errors.New("asked for something else")
	}
	r := &tally.Report{By: map[tally.Dimension][]tally.Row{}, Categories: c.cats}
	from, _ := time.Parse(time.DateOnly, string(p.From))
	for t := from; tally.DayOf(t) <= p.To; t = t.AddDate(0, 0, 1) {
		r.Days = append(r.Days, tally.DayFigures{Day: tally.DayOf(t), Figures: c.day(t)})
	}
	for by, rows := range c.by {
		for value, figures := range rows {
			r.By[by] = append(r.By[by], tally.Row{Value: value, Figures: figures})
		}
	}
	return r, nil
}

// busy is a site where a good deal happened, evenly.
func busy() *counted {
	choices := func(in, out int64) tally.Figures { return tally.Figures{AcceptAll: in, RejectAll: out, OptIns: in} }
	return &counted{
		day: func(time.Time) tally.Figures {
			return tally.Figures{Views: 900, Displays: 700, AcceptAll: 300, RejectAll: 200, Custom: 100}
		},
		by: map[tally.Dimension]map[string]tally.Figures{
			tally.Device:  {"phone": choices(1900, 600), "desktop": choices(900, 800), "tablet": {}},
			tally.Country: {"DE": choices(2000, 1000), "FR": choices(500, 500), "LI": choices(1, 0), tally.Other: choices(199, 0)},
		},
		cats: map[string]tally.Category{"analytics": {Granted: 2800, Denied: 1400}, "marketing": {Granted: 700, Denied: 3500}, "necessary": {Granted: 9e6}, "gone": {Granted: 9e6}},
	}
}

var link = Link{Site: "shop", Millis: 1000, seed: [32]byte{7}}

func mustView(t *testing.T, l Link, from Figures, weeks int) *View {
	t.Helper()
	v, err := l.View(t.Context(), from, site, 1000, weeks, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWeeksAreWholeAndOver(t *testing.T) {
	for at, last := range map[string]string{
		"2026-11-22T23:59:59Z":      "2026-11-08", // a Sunday
		"2026-11-23T23:59:59Z":      "2026-11-08", // eight days after: something may still be stored
		"2026-11-24T00:00:00Z":      "2026-11-15",
		"2026-11-24T01:00:00+02:00": "2026-11-08", // Monday in UTC
		"2026-11-30T12:00:00Z":      "2026-11-15",
		"2024-03-05T00:00:00Z":      "2024-02-25",
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tally.DayOf(lastDay(now)); string(got) != last {
			t.Errorf("at %s the last day is %s, not %s", at, got, last)
		}
	}
	from := busy()
	v := mustView(t, link, from, 4)
	if v.From != "2026-10-12" || v.To != "2026-11-08" || len(v.Days) != 28 || v.Days[0].Day != v.From || v.Days[27].Day != v.To {
		t.Errorf("%d days from %s to %s", len(v.Days), v.From, v.To)
	}
	if want := (tally.Period{From: "2026-10-12", To: "2026-10-18"}); len(from.asked) != 4 || from.asked[0] != want {
		t.Errorf("it asks for %v", from.asked)
	}
}

func TestViewIsNearTheTruth(t *testing.T) {
	v := mustView(t, link, busy(), 8)
	if v.Totals.Scale != (noise.Scale{Sensitivity: 2, Millis: 250}) || v.Listed.Scale != (noise.Scale{Sensitivity: 16, Millis: 250}) ||
		v.Groups.Scale != (noise.Scale{Sensitivity: 18, Millis: 500}) {
		t.Errorf("the scales are %+v, %+v and %+v", v.Totals, v.Listed, v.Groups)
	}
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"displays", v.Total.Displays, 56 * 700},
		{"accepted", v.Total.Accepted, 56 * 300},
		{"rejected", v.Total.Rejected, 56 * 200},
		{"custom", v.Total.Customs, 56 * 100},
	} {
		if off := c.got - c.want; off == 0 || off < -2*v.Totals.Margin || off > 2*v.Totals.Margin {
			t.Errorf("%s: %d of %d, which is off by none or by more than %d", c.what, c.got, c.want, 2*v.Totals.Margin)
		}
	}
	exact := 0
	for _, d := range v.Days {
		for _, off := range []int64{d.Displays - 700, d.Accepted - 300, d.Rejected - 200, d.Customs - 100} {
			if off == 0 {
				exact++
			}
		}
	}
	if exact > 45 { // one in 12 of 224, by chance
		t.Errorf("%d counts of days have no noise", exact)
	}
	for _, c := range []struct {
		got  Group
		name string
		rate int
	}{
		{v.Categories[0], "analytics", 67},
		{v.Categories[1], "marketing", 17},
		{v.Devices[0], "desktop", 53},
		{v.Devices[1], "phone", 76},
		{v.Countries[0], "DE", 67},
		{v.Countries[1], "FR", 50},
	} {
		if g := c.got; g.Name != c.name || !g.Shown || g.Rate < c.rate-g.Off || g.Rate > c.rate+g.Off || g.Off < 1 || g.Off > 25 {
			t.Errorf("%s: %+v, and the rate is %d", c.name, g, c.rate)
		}
	}
}

func TestSmallIsSuppressed(t *testing.T) {
	v := mustView(t, link, busy(), 8)
	if g := v.Devices[2]; g.Name != "tablet" || g.Shown || g.Rate != 0 || g.Choices >= v.Groups.Least {
		t.Errorf("a device that nobody had is %+v", g)
	}
	if len(v.Categories) != 2 || len(v.Devices) != 3 || len(v.Countries) != 2 {
		t.Errorf("%v, %v, %v", v.Categories, v.Devices, v.Countries)
	}
	if v.Totals.Least < 40 || v.Groups.Least < v.Totals.Least {
		t.Errorf("a share is shown of %d and of %d choices", v.Totals.Least, v.Groups.Least)
	}
	none := mustView(t, link, &counted{day: func(time.Time) tally.Figures { return tally.Figures{} }}, 26)
	for _, g := range slices.Concat(none.Categories, none.Devices, none.Countries) {
		if g.Shown {
			t.Errorf("where nothing happened, something is shown: %+v", g)
		}
	}
	for _, d := range append(none.Days, none.Total) {
		if d.Displays < 0 || d.Accepted < 0 || d.Rejected < 0 || d.Customs < 0 {
			t.Errorf("below zero: %+v", d)
		}
	}
	if none.Total.Displays > none.Totals.Margin || none.Total.Choices() > 3*none.Totals.Margin {
		t.Errorf("where nothing happened the totals are %+v, more than noise of %d", none.Total, none.Totals.Margin)
	}
}

func TestTotalIsTheSumOfDays(t *testing.T) {
	quiet := &counted{day: func(at time.Time) tally.Figures {
		return tally.Figures{Displays: int64(at.Day() % 5), AcceptAll: int64(at.Day() % 3)}
	}}
	for _, from := range []Figures{busy(), quiet} {
		for _, weeks := range Spans {
			v := mustView(t, link, from, weeks)
			var sum Day
			for _, d := range v.Days {
				sum.Displays += d.Displays
				sum.Accepted += d.Accepted
				sum.Rejected += d.Rejected
				sum.Customs += d.Customs
			}
			if sum != v.Total {
				t.Errorf("%d weeks: days come to %+v, and the total is %+v", weeks, sum, v.Total)
			}
		}
	}
}

func TestLookingOftenShowsTheSame(t *testing.T) {
	one := mustView(t, link, busy(), 4)
	if again := mustView(t, link, busy(), 4); cmp.Diff(one, again) != "" {
		t.Error("the second look differs from the first")
	}
	other := link
	other.ID, other.Label = [32]byte{1}, "another link"
	if again := mustView(t, other, busy(), 4); cmp.Diff(one, again) != "" {
		t.Error("another link of the site shows other noise")
	}
	// The same weeks in a longer period have the same noise, or their difference would be two draws of one count.
	long := mustView(t, link, busy(), 52)
	if cmp.Diff(one.Days, long.Days[len(long.Days)-28:]) != "" {
		t.Error("a week has other noise in a longer period")
	}
	for what, l := range map[string]Link{"another seed": {Site: "shop", Millis: 1000, seed: [32]byte{8}}, "another epsilon": {Site: "shop", Millis: 900, seed: link.seed}} {
		if v := mustView(t, l, busy(), 4); cmp.Equal(v.Days, one.Days) {
			t.Errorf("%s shows the same noise", what)
		}
	}
}

// A category that comes, goes or becomes required draws no noise anew: neither of the others, nor of days and groups.
func TestCategoriesLeaveTheNoise(t *testing.T) {
	one := mustView(t, link, busy(), 8)
	more := &consent.Site{Name: "shop", Categories: append(slices.Clone(site.Categories), consent.Category{Name: "functional"})}
	less := &consent.Site{Name: "shop", Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "analytics", Required: true}, {Name: "marketing"}}}
	for what, other := range map[string]*consent.Site{"one that comes": more, "one that becomes required": less} {
		v, err := link.View(t.Context(), busy(), other, 1000, 8, now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]any{one.Days, one.Devices, one.Countries, one.Listed}, []any{v.Days, v.Devices, v.Countries, v.Listed}); diff != "" {
			t.Errorf("%s (-before +after):\n%s", what, diff)
		}
		for _, g := range v.Categories {
			if i := slices.IndexFunc(one.Categories, func(o Group) bool { return o.Name == g.Name }); i >= 0 && g != one.Categories[i] {
				t.Errorf("%s: %+v was %+v", what, g, one.Categories[i])
			}
		}
	}
	// Nor is a view kept that has others.
	views := NewViews(busy())
	for _, s := range []*consent.Site{site, more, less} {
		v, err := views.Look(t.Context(), link, s, 1000, 8, now)
		if err != nil || len(v.Categories) != len(optional(s)) {
			t.Errorf("%d categories of %d (%v)", len(v.Categories), len(optional(s)), err)
		}
	}
}

// The noise is for as many categories as a configuration may have.
func TestMostCategories(t *testing.T) {
	for n, fine := range map[int]bool{mostCategories: true, mostCategories + 1: false} {
		var file strings.Builder
		file.WriteString("site: shop\nlanguages: [en]\ncategories:\n")
		for i := range n {
			fmt.Fprintf(&file, "  c%d: {title: {en: T}, purpose: {en: P}}\n", i)
		}
		_, report := config.Parse("stile.yaml", []byte(file.String()), config.Options{Languages: []string{"en"}})
		if many := strings.Contains(fmt.Sprint(report.Err()), fmt.Sprintf("there are %d categories", n)); many == fine {
			t.Errorf("%d categories: %v", n, report.Err())
		}
	}
}

func TestSpanIsOneOfAFew(t *testing.T) {
	var refused Refused
	if _, err := link.View(t.Context(), busy(), site, 0, 5, now); !errors.As(err, &refused) {
		t.Errorf("five weeks: %v", err)
	}
}

func TestViewsAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := busy()
		views := NewViews(from)
		look := func(l Link, weeks int) {
			t.Helper()
			if _, err := views.Look(t.Context(), l, site, 1000, weeks, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		other := link
		other.Millis = 500
		look(link, 4)
		look(link, 4)
		if n := len(from.asked); n != 4 {
			t.Errorf("after two looks at 4 weeks, %d were read", n)
		}
		look(other, 4)
		time.Sleep(keptFor)
		look(link, 4)
		if n := len(from.asked); n != 12 {
			t.Errorf("after another link and a while, %d weeks were read and not 12", n)
		}
	})
}

func BenchmarkView(b *testing.B) {
	from := busy()
	for b.Loop() {
		if _, err := link.View(b.Context(), from, site, 1000, 52, now); err != nil {
			b.Fatal(err)
		}
	}
}
