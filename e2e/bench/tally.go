package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// countingGoal is the least of what the endpoint serves without counting that it serves with it.
const countingGoal = 0.97

// measureTally prints what counting costs: an answer's, beside a site that counts page views and so none of its answers, in
// turns; one count; and a report of a year.
func measureTally(ctx context.Context, s settings, folder, binary string) error {
	fmt.Printf("\ntally\n\n")
	folder = filepath.Join(folder, "tally")
	if err := ensure(ctx, findWrk, "wrk"); err != nil {
		fmt.Printf("the endpoint: not measured, since %v\n", err)
	} else if err := countingCost(ctx, s, folder, binary); err != nil {
		return err
	}
	return measureYear(ctx, folder)
}

func countingCost(ctx context.Context, s settings, folder, binary string) error {
	var servers []server
	var headers []http.Header
	for _, with := range []struct{ name, more string }{{"counting", ""}, {"not", "\npage_views: true\n"}} {
		p, err := startStile(ctx, binary, filepath.Join(folder, with.name), func(text string) string { return text + with.more })
		if err != nil {
			return err
		}
		defer p.stop()
		cookies, err := signed(ctx, p, "all")
		if err != nil {
			return err
		}
		header := http.Header{"Accept-Encoding": {"br"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {cookies}, "User-Agent": phone["User-Agent"]}
		got, err := settled(ctx, p.address+scriptPath, header)
		if err != nil {
			return err
		}
		servers = append(servers, server{name: with.name, process: p})
		headers = append(headers, conditional(header, got.Header.Get("Etag"))) // 304 from both, which weighs the same
	}
	var rates, costs [2][]float64
	for round := range s.rounds {
		for turn := range servers {
			i := (turn + round) % len(servers) // neither is always the first
			p := servers[i]
			before, known := processorTime(p.pid)
			rate, err := wrk(ctx, p.address+scriptPath, headers[i], s.time)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
			if after, _ := processorTime(p.pid); known && after > before {
				costs[i] = append(costs[i], rate*s.time.Seconds()/(after-before).Seconds())
			}
		}
	}
	report("304 a second, counting / not counting", countingGoal, ratios(rates[0], rates[1]))
	if len(costs[0]) == s.rounds && len(costs[1]) == s.rounds {
		report("the same by the server's own processor time", countingGoal, ratios(costs[0], costs[1]))
		slices.Sort(costs[0])
		fmt.Printf("an answer that is counted: %.1f µs of the server's processor time\n", 1e6/median(costs[0]))
	}
	return nil
}

// measureYear counts at a site with 20 tags on each day of a year, in 12 countries on 3 devices with 4 outcomes, and reports it.
func measureYear(ctx context.Context, folder string) (err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	db, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(folder, "year.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var now atomic.Int64
	from := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now.Store(from.Unix())
	options := tally.Options{Database: db, Now: func() time.Time { return time.Unix(now.Load(), 0) }}
	figures := tally.Open(options)
	outcomes := yearOutcomes()
	for range 365 {
		countDay(figures.Site("shop"), outcomes)
		now.Add(int64((24 * time.Hour).Seconds()))
		if err := figures.Flush(ctx); err != nil {
			return errors.Join(err, figures.Close(ctx))
		}
	}
	if err := figures.Close(ctx); err != nil {
		return err
	}
	figures = tally.Open(options)
	defer func() { err = errors.Join(err, figures.Close(ctx)) }()
	period := tally.Period{From: tally.DayOf(from), To: tally.DayOf(from.AddDate(0, 0, 364))}
	for _, which := range []string{"first", "second"} {
		took, views, err := timed(func() (int64, error) {
			r, err := figures.Report(ctx, "shop", period, tally.Filter{})
			if err != nil {
				return 0, err
			}
			return r.Total.Views, nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("a report of a year, 288 cells a day, the %s time: %v of processor time (%d views)\n", which, took, views)
	}
	c := figures.Site("shop").Counter(tally.Visit{Country: "DE", Outcome: outcomes[0]})
	const times = 10_000_000
	took, _, _ := timed(func() (int64, error) {
		for range times {
			c.Add(tally.ClassOf(phone))
		}
		return 0, nil
	})
	fmt.Printf("a count, with the device's class: %v of processor time\n", took/times)
	return nil
}

// phone says nothing but its User-Agent, as over plain HTTP.
var phone = http.Header{"User-Agent": {
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
}}

// timed tells how much processor time this program took for something.
func timed(do func() (int64, error)) (time.Duration, int64, error) {
	before, _ := processorTime(os.Getpid())
	n, err := do()
	after, _ := processorTime(os.Getpid())
	return after - before, n, err
}

// yearOutcomes are those of a site with 20 tags: nothing chosen, all, none, and a part.
func yearOutcomes() (list []tally.Outcome) {
	s := &consent.Site{
		Regimes: []consent.Regime{{Name: "eu", Regions: []string{"*"}}}, Categories: []consent.Category{{Name: "analytics"}, {Name: "marketing"}}, Memory: time.Hour,
	}
	for i := range 20 {
		s.Tags = append(s.Tags, consent.Tag{ID: fmt.Sprint("tag-", i), Category: s.Categories[i%2].Name})
	}
	now := time.Now()
	for _, granted := range [][]string{nil, {"analytics", "marketing"}, {}, {"analytics"}} {
		v := consent.Visit{Region: "DE", Now: now}
		if granted != nil {
			c := s.Refuse()
			c.Denied = slices.DeleteFunc(c.Denied, func(name string) bool { return slices.Contains(granted, name) })
			c.Granted, c.Time = granted, now
			v.Choice = &c
		}
		d := consent.Decide(s, v)
		list = append(list, tally.OutcomeOf(s, &d))
	}
	return list
}

func countDay(s *tally.Site, outcomes []tally.Outcome) {
	for i := range 12 {
		country := fmt.Sprintf("C%d", i)
		for _, device := range []tally.Class{tally.Desktop, tally.Phone, tally.Tablet} {
			for _, o := range outcomes {
				c := s.Counter(tally.Visit{Country: country, Regime: "eu", Language: "de", Banner: "2026-11-01-abcdef", Outcome: o})
				for range 10 * tally.Smallest {
					c.Add(device)
				}
			}
			for _, action := range []consent.Action{consent.AcceptAll, consent.RejectAll, consent.Custom, consent.Withdraw} {
				for range tally.Smallest {
					s.Choice(&tally.Choice{
						Country: country, Regime: "eu", Language: "de", Banner: "2026-11-01-abcdef", Device: device.String(), Action: action, Asked: true,
						Granted: []string{"analytics"}, Denied: []string{"marketing"},
					})
				}
			}
		}
	}
}
