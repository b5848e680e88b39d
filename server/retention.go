package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stilehq/stile/server/ledger"
)

const (
	retainEvery  = 24 * time.Hour
	retainJitter = time.Hour              // at most, so that processes that were started together part
	retainPause  = 100 * time.Millisecond // after each step, for those who choose
	retainClaim  = 10 * time.Minute       // a process that has died holds up the others so long
)

// retain looks after what is over: at once, and then once a day, until ctx ends.
func (s *Server) retain(ctx context.Context) {
	holder := uuid.NewString()
	for {
		wait := retainEvery
		done, err := s.retainOnce(ctx, holder)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("records that are over could not all be deleted; they are tried again", "error", err)
			wait = retainJitter
		case !done:
			wait = retainClaim // another process is at it; should it die, somebody goes on
		default:
			s.metrics.retained.last.Set(float64(s.now().Unix()))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait + rand.N(retainJitter)): //nolint:gosec // no secret
		}
	}
}

// retainOnce deletes what is over of every site, unless another process is at it.
func (s *Server) retainOnce(ctx context.Context, holder string) (done bool, err error) {
	if mine, err := s.ledger.Claim(ctx, "retention", holder, s.now(), retainClaim); !mine || err != nil {
		return false, err
	}
	defer func() {
		err = errors.Join(err, s.ledger.Unclaim(context.WithoutCancel(ctx), "retention", holder))
	}()
	gone := 0
	for _, st := range s.current.Load().sites {
		n, err := s.retainSite(ctx, st, holder)
		gone += n
		if err != nil {
			return false, err
		}
	}
	// Purge also where nothing was deleted now: an erasure may have left traces, which it could not remove for somebody's
	// reading. It does not wait for figures that nobody can merge.
	return true, errors.Join(s.figures.Retain(ctx), s.ledger.Purge(ctx))
}

func (s *Server) retainSite(ctx context.Context, st *site, holder string) (gone int, err error) {
	term := ledger.Term{Site: st.Name, Before: st.Retention.Before(s.now()), Anonymise: st.Retention.Anonymise, Now: s.now()}
	act := "deleted"
	if term.Anonymise {
		act = "anonymised"
	}
	visitors, requests := 0, 0
	defer func() {
		if gone+requests > 0 {
			s.log.Info("records were "+act+": their time is over", "site", st.Name, "records", gone, "visitors", visitors, "requests", requests,
				"ended_before", term.Before.UTC().Format(time.DateOnly))
		}
	}()
	if requests, err = s.ledger.RetireRequests(ctx, term); err != nil {
		return 0, err
	}
	for next := int64(0); next >= 0; {
		step, err := s.ledger.Retire(ctx, term, next)
		if err != nil {
			return gone, err
		}
		next, gone, visitors = step.Next, gone+step.Records, visitors+step.Visitors
		s.metrics.retained.records.WithLabelValues(st.Name, act).Add(float64(step.Records))
		if step.Records == 0 {
			continue
		}
		select {
		case <-time.After(retainPause):
		case <-ctx.Done():
			return gone, ctx.Err()
		}
		if mine, err := s.ledger.Claim(ctx, "retention", holder, s.now(), retainClaim); !mine || err != nil {
			return gone, errors.Join(err, ctx.Err())
		}
	}
	return gone, nil
}

// retained are the counters of the retention.
type retained struct {
	records *prometheus.CounterVec
	last    prometheus.Gauge
}

func newRetained() retained {
	return retained{
		prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stile_retention_records_total", Help: "Records that were deleted or made anonymous because their time was over.",
		}, []string{"site", "act"}),
		prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stile_retention_last_run_timestamp_seconds", Help: "When this process last looked after records that are over, 0 when it has not yet.",
		}),
	}
}
