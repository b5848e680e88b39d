package server

import "context"

// Flush stores what was counted until now, and begins a new day where the clock has: for who turns the clock (Options.Now)
// by more than a day's length at a time.
func (s *Server) Flush(ctx context.Context) error { return s.figures.Flush(ctx) }
