package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// awayRetry is after how many seconds it may be tried again where the database takes nothing: an operator has to do
// something first.
const awayRetry = 5

// awayEvery is how often such an error is logged at most: each visitor has it.
const awayEvery = 5 * time.Second

// away makes a fault of an error that says that the database takes nothing now, and tells whether it is one.
func (s *Server) away(err error, f **fault) bool {
	if !errors.Is(err, ledger.ErrAway) {
		return false
	}
	now := s.now().UnixNano()
	if last := s.saidAway.Load(); now-last >= int64(awayEvery) && s.saidAway.CompareAndSwap(last, now) {
		s.log.Error("the database takes nothing now", "error", err)
	}
	*f = &fault{status: http.StatusServiceUnavailable, what: "nothing can be stored now, and nothing was changed: try again later", retry: awayRetry}
	return true
}
