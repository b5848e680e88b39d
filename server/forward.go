package server

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// openOutbox opens what the server sends to vendors. It is closed before the ledger, which it asks whose a receipt is.
func (s *Server) openOutbox(ctx context.Context) error {
	box, err := outbox.Open(ctx, outbox.Options{
		Path: filepath.Join(s.opts.Data, "outbox.db"), Allow: s.opts.ForwardNetworks, Subject: s.subject, Holds: s.holds, Now: s.now, Log: s.log,
		GaveUp: func(site, tag string) { s.figures.Site(site).Error(tag) },
	})
	if err != nil {
		return err
	}
	s.outbox = box
	s.metrics.watch(box)
	s.onStop("outbox", func(context.Context) error { return box.Close() })
	return nil
}

// subject is whose a receipt is, or fs.ErrNotExist: where it was erased, and where its visitor has taken back everything
// since, in a mail or through the operator, which the choice in their cookie does not know of.
func (s *Server) subject(ctx context.Context, site string, receipt uuid.UUID) (uuid.UUID, error) {
	r, err := s.ledger.Latest(ctx, site, receipt)
	if err == nil && r.ID != receipt && r.Action == consent.Withdraw && len(r.Granted)+len(r.Services) == 0 {
		err = fs.ErrNotExist
	}
	return r.Subject, err
}

// holds tells whether what the ledger has of a visitor still releases a tag (A9), as another process may have it by now. Of
// a site or a tag that the configuration does not have it is an error: what waits for it waits, until it expires.
func (s *Server) holds(ctx context.Context, site, tag string, subject uuid.UUID) (bool, error) {
	history, err := s.ledger.History(ctx, site, subject)
	if err != nil || len(history) == 0 { // erased
		return false, err
	}
	st, last := s.current.Load().sites[site], &history[0]
	if st == nil {
		return false, fmt.Errorf("site %s is not served now", site)
	}
	choice := choiceOf(*last)
	d := consent.Decide(st.Site, consent.Visit{Choice: &choice, Region: st.regionOf(last), GPC: last.GPC, Now: s.now()})
	for i := range st.Tags {
		if st.Tags[i].ID == tag {
			return d.Tags[i].Released, nil
		}
	}
	return false, fmt.Errorf("site %s has no tag %s now", site, tag)
}

// forget drops what waits to be sent of the tags that a choice no longer releases (A9), once it is recorded. An error means
// that the visitor is to try again, which is safe.
func (s *Server) forget(ctx context.Context, st *site, v consent.Visit, choice *consent.Choice, stored ledger.Record) error {
	if stored.Previous == uuid.Nil {
		return nil // the visitor's first: nothing stands on it yet
	}
	v.Choice = choice
	d := consent.Decide(st.Site, v)
	var withheld []string
	for i := range st.Tags {
		if !d.Tags[i].Released {
			withheld = append(withheld, st.Tags[i].ID)
		}
	}
	if stored.Action == consent.Withdraw && len(choice.Granted)+len(choice.Services) == 0 {
		withheld = nil // all, and what a tag waits for that the site has no more
	} else if len(withheld) == 0 {
		return nil
	}
	if _, err := s.outbox.Forget(ctx, st.Name, stored.Subject, withheld...); err != nil {
		s.log.Error("what waits to be sent could not be dropped", "site", st.Name, "error", err)
		return &fault{status: http.StatusServiceUnavailable, what: "the choice is recorded, and what waits to be sent could not be dropped: try again", retry: 2}
	}
	return nil
}

// watch counts what the outbox does.
func (m *metrics) watch(box *outbox.Outbox) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stile_outbox_waiting", Help: "Messages to vendors that wait to be sent."},
			func() float64 { return float64(box.Stats().Waiting) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stile_outbox_oldest_timestamp_seconds", Help: "When the oldest message that waits was added, 0 when none does."},
			func() float64 {
				if at := box.Stats().Oldest; !at.IsZero() {
					return float64(at.UnixMilli()) / 1000
				}
				return 0
			}),
		counter("stile_outbox_sent_total", "Messages that vendors took.", func() uint64 { return box.Stats().Sent }),
		counter("stile_outbox_failed_total", "Messages that were given up: refused by the vendor, or to an address that is not allowed.", func() uint64 { return box.Stats().Failed }),
		counter("stile_outbox_dropped_total", "Messages that were never sent: no room, expired, or forgotten for a withdrawal.", func() uint64 { return box.Stats().Dropped }),
	)
}
