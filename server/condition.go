package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/stilehq/stile/server/dashboard"
)

// conditionTime bounds how long a look at the database takes.
const conditionTime = 3 * time.Second

// condition is how this process and its database are, for the health page.
func (s *Server) condition(ctx context.Context) dashboard.Health {
	ctx, cancel := context.WithTimeout(ctx, conditionTime)
	defer cancel()
	now, snap, stats := s.now(), s.current.Load(), s.ledger.Stats()
	h := dashboard.Health{
		Version: version(), Go: runtime.Version(), Started: s.started, Loaded: snap.loaded, Keys: snap.keys.List(), Remote: s.ledger.Remote(),
		Busy: s.observed.refusals(stats.Busy, now), Flushed: s.figures.Flushed(), Outbox: s.outbox.Stats(), Ways: s.alerts.Places(), Untold: s.alerts.Failing(),
	}
	if r := s.refused.Load(); r != nil {
		h.Refused, h.RefusedAt = r.why, r.at
	}
	if h.Ledger, h.Lost = s.ledger.Health(ctx); h.Lost == nil {
		h.Lagging = s.observed.lag(h.Ledger, now)
	}
	h.Spool, _ = s.ledger.Spool(ctx) // a file of this process; what is wrong with it is what /readyz says
	h.Free, h.Size = diskSpace(s.opts.Data)
	return h
}

// version is Stile's, as stile version prints it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
