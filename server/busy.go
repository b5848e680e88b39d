package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

// busyRetry is after how many seconds a page sends an act again that the ledger did not take (Retry-After). The ledger
// refuses what comes when ledger.Options.Queue records wait, and what another process's lock on the database holds up.
const busyRetry = 2

// busy is what a client is told of an error that says that the ledger takes nothing just now, nil for any other error. That
// an act was not stored in time is one: it may be stored yet, and the same id sent again is not stored twice.
func (s *Server) busy(err error) *fault {
	if !errors.Is(err, ledger.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if !errors.Is(err, ledger.ErrBusy) || errors.Is(err, ledger.ErrLocked) {
		s.log.Warn("the ledger is held up", "error", err) // a full queue is counted, and too frequent to be logged
	}
	f := &fault{status: http.StatusServiceUnavailable, what: "too much at once: nothing was stored, try again", retry: busyRetry}
	if !errors.Is(err, ledger.ErrBusy) {
		f.what = "this takes too long: send it again, with the same id, and it is stored once"
	}
	return f
}

// sendAgain answers a plain form that is to be sent again with a page that does it: in the visitor's language, and with the
// same id, so that it is stored once. It tells whether that could be drawn.
func (s *Server) sendAgain(c echo.Context, f *fault) bool {
	r := c.Request()
	if r.Method != http.MethodPost || f.retry == 0 || !wantsHTML(r) {
		return false
	}
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return false
	}
	p, err := s.newPage(c, st, consent.Visit{Region: s.region(r), Now: s.now()})
	if err != nil {
		return false
	}
	var fields []banner.Field
	for name, values := range r.PostForm {
		for _, value := range values {
			fields = append(fields, banner.Field{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(fields, func(a, b banner.Field) int { return strings.Compare(a.Name, b.Name) })
	s.allowFrame(c, st)
	err = s.pageWith(c, f.status, banner.Again(p, formTitle(c, p.View), r.URL.RequestURI(), fields))
	if err != nil {
		s.log.Debug("answering a form that is to be sent again", "error", err)
	}
	return true
}

// formTitle is the heading of the page that a form was sent from.
func formTitle(c echo.Context, v banner.View) string {
	switch action := c.Path(); {
	case strings.HasSuffix(action, "/request"):
		return v.Words.Request.Title
	case strings.HasSuffix(action, "/erase"):
		return v.Words.Rights.Title
	case strings.Contains(action, "/guardian/"):
		return v.Words.Guardian.Title
	}
	return v.Words.Preferences
}
