package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/alert"
	"github.com/stilehq/stile/server/dashboard"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/sighting"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// AlertOptions are how somebody is told what to look at. Addresses of a site's team are in its stile.yaml.
type AlertOptions struct {
	Webhook string   // URL, a secret
	Secret  string   // that signs what the webhook gets, "" for none
	SMTP    string   // smtps://user:password@host:465 or smtp://host:587, "" for no mails
	From    string   // their sender
	To      []string // who is told of all sites and of the server itself
}

// openAlerts makes what raises alerts and tells them. Each error says what is wrong, and tells no secret.
func (s *Server) openAlerts() error {
	o := s.opts.Alerts
	ways, err := s.ways(o)
	if err != nil {
		return err
	}
	address := strings.TrimSuffix(s.opts.AdminURL, "/")
	if u, err := url.Parse(address); err != nil || address != "" && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "") {
		return fmt.Errorf("--admin-url: %q is no origin: write https://consent.shop.example", s.opts.AdminURL)
	}
	s.alerts = alert.New(alert.Options{
		Database: s.ledger, Process: s.process(), Sites: s.alertFacts, Here: s.alertsHere, Ways: ways, Address: address, Log: s.log, Now: s.now,
	})
	return nil
}

func (s *Server) ways(o AlertOptions) (ways []alert.Way, err error) {
	if o.Secret != "" && o.Webhook == "" {
		return nil, errors.New("there is a secret for alerts and no webhook: add --alert-webhook-file, or leave out --alert-secret-file")
	}
	if o.Webhook != "" {
		hook, err := alert.NewWebhook(o.Webhook, o.Secret, s.opts.ForwardNetworks, s.now)
		if err != nil {
			return nil, err
		}
		s.onStop("webhook", func(context.Context) error { hook.Close(); return nil })
		ways = append(ways, hook)
	}
	if o.SMTP == "" {
		if len(o.To) > 0 || o.From != "" {
			return nil, errors.New("there are addresses for alerts and no mail server: add --smtp, or leave out --alert-to and --alert-from")
		}
		return ways, nil
	}
	if o.From == "" {
		return nil, errors.New("mails need a sender: add --alert-from stile@shop.example to --smtp")
	}
	for _, to := range o.To {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			return nil, fmt.Errorf("--alert-to: %q is no e-mail address: write team@shop.example", to)
		}
	}
	post, err := alert.NewMail(alert.MailOptions{Server: o.SMTP, From: o.From, To: s.alerted, Allow: s.opts.ForwardNetworks, Now: s.now, Log: s.log})
	if err != nil {
		return nil, err
	}
	return append(ways, post), nil
}

// alerted are the addresses that are told of a site: its own, and those that are told of all.
func (s *Server) alerted(site string) []string {
	all := slices.Clone(s.opts.Alerts.To)
	if st := s.current.Load().sites[site]; st != nil {
		all = append(all, st.Alerts.Email...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// process is this process's name, the same after a restart: that of the machine and of its data folder.
func (s *Server) process() string {
	host, _ := os.Hostname()
	folder, err := filepath.Abs(s.opts.Data)
	if err != nil {
		folder = s.opts.Data
	}
	return host + ":" + folder
}

// refusal is a reload that failed.
type refusal struct {
	why string
	at  time.Time
}

// refuse keeps why a reload failed, or that one succeeded, and has it told.
func (s *Server) refuse(err error) {
	if err == nil {
		s.refused.Store(nil)
	} else {
		s.refused.Store(&refusal{err.Error(), s.now()})
	}
	if s.alerts != nil {
		s.alerts.Wake()
	}
}

// busyWindow is how far back refused choices count.
const busyWindow = 15 * time.Minute

// observed is what is only known by looking at it more than once.
type observed struct {
	mu      sync.Mutex
	away    time.Time // since when the ledger says so
	sealed  int64     // entries that the newest checkpoint covers
	lagging time.Time // since when it has not covered all
	busy    []sample
	rates   map[string]rates // of sites
}

type sample struct {
	at time.Time
	n  uint64
}

// rates are a site's figures of five weeks, which change once a day but for a straggler.
type rates struct {
	hour time.Time
	days []tally.DayFigures
}

// isAway is since when the database is away; zero: it is not.
func (o *observed) isAway(away bool, now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !away:
		o.away = time.Time{}
	case o.away.IsZero():
		o.away = now
	}
	return o.away
}

// lag is since when the log has had entries that no new checkpoint came for; zero: it has none.
func (o *observed) lag(h ledger.Health, now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case h.Sealed >= h.Size:
		o.lagging = time.Time{}
	case o.lagging.IsZero() || h.Sealed != o.sealed:
		o.lagging = now
	}
	o.sealed = h.Sealed
	return o.lagging
}

// refusals is how many of something happened within busyWindow, of which n happened since the start.
func (o *observed) refusals(n uint64, now time.Time) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.busy) == 0 || o.busy[len(o.busy)-1].n != n {
		o.busy = append(o.busy, sample{now, n})
	}
	for len(o.busy) > 1 && now.Sub(o.busy[1].at) > busyWindow {
		o.busy = o.busy[1:]
	}
	if now.Sub(o.busy[len(o.busy)-1].at) > busyWindow {
		return 0
	}
	return n - o.busy[0].n
}

// alertsHere is what is to be known of this process, without the database.
func (s *Server) alertsHere(ctx context.Context) alert.Here {
	now, stats := s.now(), s.ledger.Stats()
	h := alert.Here{
		Now: now, Away: s.observed.isAway(stats.Away, now), Spools: s.ledger.Remote(), Refused: s.observed.refusals(stats.Busy, now),
	}
	if spool, err := s.ledger.Spool(ctx); err == nil && spool.Waiting > 0 {
		h.Spooled = spool.Waiting
		if stats.Away && spool.Oldest.Before(h.Away) { // from before a restart
			h.Away = spool.Oldest
		}
	}
	if r := s.refused.Load(); r != nil {
		h.Reload, h.Reloaded = r.why, r.at
	}
	for _, l := range s.outbox.Late(now.Add(-10 * time.Minute)) {
		h.Late = append(h.Late, alert.Late{Site: l.Site, Tag: l.Tag, Host: l.Host, Waiting: l.Waiting, Oldest: l.Oldest})
	}
	return h
}

// alertFacts are the facts of all sites.
func (s *Server) alertFacts(ctx context.Context) (f alert.Facts, err error) {
	f.Now = s.now()
	health, err := s.ledger.Health(ctx)
	if err != nil {
		return f, err
	}
	f.Unsealed = s.observed.lag(health, f.Now)
	sites := s.current.Load().sites
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		one, err := s.siteFacts(ctx, sites[name], f.Now)
		if err != nil {
			return f, fmt.Errorf("site %s: %w", name, err)
		}
		f.Sites = append(f.Sites, one)
	}
	return f, nil
}

const (
	mostDue     = 100 // requests of a site that are told one by one
	hostDays    = 7
	compareDays = 36 // the last day that is over, and five weeks before it
)

func (s *Server) siteFacts(ctx context.Context, st *site, now time.Time) (f alert.SiteFacts, err error) {
	f = alert.SiteFacts{Name: st.Name, OptInDrop: st.Alerts.OptInDrop, Ahead: st.Alerts.Requests}
	due, err := s.ledger.Due(ctx, st.Name, now.Add(st.Alerts.Requests), mostDue)
	if err != nil {
		return f, err
	}
	for i := range due {
		f.Requests = append(f.Requests, alert.RequestFacts{Number: due[i].Number, Kind: due[i].Kind, Due: due[i].Due})
	}
	if f.Days, err = s.compared(ctx, st.Name, now); err != nil {
		return f, err
	}
	week, err := s.figures.Report(ctx, st.Name, tally.Period{From: tally.DayOf(now.AddDate(0, 0, 1-hostDays)), To: tally.DayOf(now)}, tally.Filter{Sightings: true})
	if err != nil {
		return f, err
	}
	f.Ungated = ungated(st, s.current.Load().vendors, week.Sightings)
	last, err := s.figures.Report(ctx, st.Name, tally.Period{From: tally.DayOf(now.AddDate(0, 0, -1)), To: tally.DayOf(now)}, tally.Filter{})
	if err != nil {
		return f, err
	}
	for i := range st.Tags {
		t := &st.Tags[i]
		if n := last.Tags[t.ID]; n != nil {
			f.Tags = append(f.Tags, alert.TagFacts{ID: t.ID, Name: cmp.Or(t.Name, t.ID), Released: n.Released, Errors: n.Errors})
		}
	}
	return f, nil
}

// compared are the days that opt-in rates are compared by, read once an hour.
func (s *Server) compared(ctx context.Context, site string, now time.Time) ([]tally.DayFigures, error) {
	hour := now.UTC().Truncate(time.Hour)
	s.observed.mu.Lock()
	known, there := s.observed.rates[site]
	s.observed.mu.Unlock()
	if there && known.hour.Equal(hour) {
		return known.days, nil
	}
	r, err := s.figures.Report(ctx, site, tally.Period{From: tally.DayOf(now.AddDate(0, 0, -compareDays)), To: tally.DayOf(now.AddDate(0, 0, -1))}, tally.Filter{})
	if err != nil {
		return nil, err
	}
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	if s.observed.rates == nil {
		s.observed.rates = map[string]rates{}
	}
	s.observed.rates[site] = rates{hour, r.Days}
	return r.Days, nil
}

// ungated are the hosts that pages were seen to load from although nothing of the site gates them, as the page of sightings
// speaks of them.
func ungated(st *site, library *vendors.Library, seen []tally.Sighting) (all []alert.HostFacts) {
	for _, said := range sighting.Sentences(st.Site, sighting.Judge(st.Site, library, seen)) {
		all = append(all, alert.HostFacts{Name: said.Finding.Host, Pages: said.Pages, Text: said.Text, Known: said.Verdict != sighting.Unknown})
	}
	return all
}

// pressing are the alerts that hold, as the home page lists them for who asks.
func (s *Server) pressing(ctx context.Context) (list []dashboard.Alert, err error) {
	all, err := s.alerts.Holding(ctx)
	if err != nil {
		return nil, err
	}
	role := account.UserOf(ctx).Role
	for _, r := range all {
		if dashboard.MaySee(role, r.Kind) {
			list = append(list, dashboard.Alert{Site: r.Site, Text: r.Text, Path: alert.Path(r.Alert)})
		}
	}
	return list, nil
}
