package dashboard

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
)

// madeUp is a report that looks like that of a real shop: of weeks, of a banner that was changed on 20 October, of a day on
// which nothing was counted. None of it was ever counted.
func madeUp(site string, p tally.Period, f tally.Filter) *tally.Report {
	r := &tally.Report{By: map[tally.Dimension][]tally.Row{}, Categories: map[string]tally.Category{}, Flushed: now.Add(-time.Minute)}
	part := 1.0
	shares := madeUpShares
	for _, d := range dimensions {
		if v := *d.of(&f); v != "" {
			part *= shares[d.by][v]
		}
	}
	size := 400 + float64(chance(site)%9000)
	for day := timeOf(p.From); !day.After(timeOf(p.To)); day = day.AddDate(0, 0, 1) {
		d := tally.DayFigures{Day: tally.DayOf(day)}
		if day.After(time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)) && d.Day != "2026-11-09" {
			d.Figures = visitors(day, size*part)
		}
		r.Days = append(r.Days, d)
		r.Total = sum(r.Total, d.Figures)
	}
	for _, d := range dimensions {
		for v, s := range shares[d.by] {
			if want := *d.of(&f); want == "" || want == v {
				if want != "" {
					s = 1
				}
				if row := portion(r.Total, s, v); row.Views > 0 {
					r.By[d.by] = append(r.By[d.by], tally.Row{Value: v, Figures: row})
				}
			}
		}
		slices.SortFunc(r.By[d.by], func(a, b tally.Row) int { return int(b.Views - a.Views) })
	}
	n := r.Total.Interactions()
	for name, s := range map[string]float64{"analytics": .58, "marketing": .41} {
		granted := int64(float64(n) * s)
		r.Categories[name] = tally.Category{Granted: granted, Denied: n - granted}
	}
	return r
}

var madeUpShares = map[tally.Dimension]map[string]float64{
	tally.Country:  {"DE": .42, "AT": .11, "CH": .09, "FR": .08, "US": .07, "GB": .06, "NL": .05, "IT": .04, "ES": .03, "BA": .012, "AE": .01, "JP": .008, tally.Other: .004},
	tally.Device:   {"phone": .61, "desktop": .34, "tablet": .05},
	tally.Language: {"de": .62, "en": .37, "ar": .002},
	tally.Regime:   {"gdpr": .93, "us": .07},
	tally.Banner:   {"2026-11-01-3fa9c1": .7, "2026-03-01-9bd204": .3},
}

func chance(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

func visitors(day time.Time, size float64) tally.Figures {
	wave := 1 + .18*math.Sin(2*math.Pi*float64(day.YearDay())/7) + .3*math.Sin(float64(day.YearDay())/40) + float64(chance(day.String())%100)/600
	if tally.DayOf(day) == tally.DayOf(now) {
		wave *= .4
	}
	n := size * wave
	better := 0.0
	if !day.Before(time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)) {
		better = .06
	}
	i := func(share float64) int64 { return int64(n * share) }
	f := tally.Figures{
		Views: i(1), Displays: i(.46), Crawlers: i(.07), Signals: i(.03), Changes: i(.004), Withdrawals: i(.003), OptOuts: i(.002),
		AcceptAll: i(.16 + better), RejectAll: i(.11 + float64(chance(day.Weekday().String()+day.String())%40)/1000), Custom: i(.04),
	}
	f.OptIns = f.AcceptAll + f.Custom*3/4
	return f
}

func portion(f tally.Figures, s float64, v string) tally.Figures {
	tilt := .85 + float64(chance(v)%30)/100
	i := func(n int64, by float64) int64 { return int64(float64(n) * s * by) }
	p := tally.Figures{
		Views: i(f.Views, 1), Displays: i(f.Displays, 1), AcceptAll: i(f.AcceptAll, tilt), RejectAll: i(f.RejectAll, 2-tilt), Custom: i(f.Custom, 1),
	}
	p.OptIns = p.AcceptAll + p.Custom*3/4
	return p
}

// TestServe serves the desk's dashboard until it is interrupted, to look at pages: STILE_LOOK=127.0.0.1:9000 go test
// ./server/dashboard -run TestServe -timeout 0. Its figures are made up. STILE_LOOK_SITES=50 gives it 50 sites.
func TestServe(t *testing.T) {
	listen := os.Getenv("STILE_LOOK")
	if listen == "" {
		t.Skip("STILE_LOOK names no address to serve at")
	}
	k := newDesk(t)
	k.counted = func(site string, p tally.Period, f tally.Filter) *tally.Report {
		if site == "new" {
			return &tally.Report{}
		}
		return madeUp(site, p, f)
	}
	if os.Getenv("STILE_LOOK_SITES") != "" {
		sites := k.many(50)
		k.d.Sites = func() []Site { return sites }
		k.d.Alerts = func(ctx context.Context) ([]Alert, error) {
			return []Alert{
				{Site: "shop-07", Text: "Hotjar was seen on 14 pages of visitors who declined analytics.", Path: "/admin/sites/shop-07/sightings"},
				{Text: "The public log has no checkpoint since yesterday."},
			}, nil
		}
	}
	t.Fatal(http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.d.ServeHTTP(w, r.WithContext(account.WithUser(r.Context(), account.User{Name: "ada", Role: account.Admin})))
	})))
}

// many are sites that differ in name alone, some with warnings.
func (k *desk) many(n int) (list []Site) {
	k.t.Helper()
	for i := range n {
		s, c := k.site, *k.site.Site
		c.Name = fmt.Sprintf("shop-%02d", i)
		switch i {
		case 3:
			c.Name = "new"
		case 4:
			c.Name = "rtl"
			c.Categories = append(slices.Clone(c.Categories), consent.Category{Name: "الإحصاءات-والتحليلات"})
		case 5:
			c.Name = "a-site-with-quite-a-long-name-as-agencies-give-them-to-campaigns"
		}
		s.Site, s.Warnings = &c, nil
		if i%9 == 1 {
			s.Warnings = []config.Problem{{Message: "the policy of this version has no file", Hint: "name one under policy.file"}}
		}
		list = append(list, s)
	}
	return list
}
