package server

import (
	"context"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/dashboard"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
)

// officer is what the dashboard's pages for the privacy officer need. Exports are in the data folder, and end with the
// server.
func (s *Server) officer() (dashboard.Officer, error) {
	jobs, err := export.OpenJobs(filepath.Join(s.opts.Data, "exports"), s.ledger, s.log)
	if err != nil {
		return dashboard.Officer{}, err
	}
	s.exports = jobs
	s.onStop("exports", func(context.Context) error { return jobs.Close() })
	return dashboard.Officer{Exports: jobs, Forget: s.forgetAll, Sign: s.signFor}, nil
}

// forgetAll drops what waits to be sent on a visitor's consent.
func (s *Server) forgetAll(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	n, err := s.outbox.Forget(ctx, site, subject)
	if err == nil && n > 0 {
		err = s.outbox.Purge(ctx)
	}
	return n, err
}

// signFor makes the receipt of a visitor's records for an officer.
func (s *Server) signFor(r *http.Request, site string, records []ledger.Record) ([]byte, error) {
	snap := s.current.Load()
	st := snap.sites[site]
	if st == nil {
		return nil, fs.ErrNotExist // it was taken out of the configuration just now
	}
	return s.sign(r.Context(), snap, st, origin(r), records)
}
