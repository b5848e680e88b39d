package server

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// fault is an error that a client is told about, in a sentence that says what was wrong and what to do.
type fault struct {
	status int
	what   string
	retry  int   // seconds, 0 for no such hint
	cause  error // for the code that can do something about it, or nil
}

func (f *fault) Error() string { return f.what }
func (f *fault) Unwrap() error { return f.cause }

// page is the error as a page.
func (f *fault) page() string {
	return `<!DOCTYPE html><meta charset="utf-8"><title>` + http.StatusText(f.status) + `</title><p>` + html.EscapeString(f.what) + `</p>`
}

func fail(status int, format string, args ...any) error {
	return &fault{status: status, what: fmt.Sprintf(format, args...)}
}

func unreadable(err error) error {
	var tooLarge *echo.HTTPError // of the BodyLimit middleware, for a body that did not say how large it is
	if errors.As(err, &tooLarge) {
		return tooLarge
	}
	return fail(http.StatusBadRequest, "the form cannot be read: %v", err)
}

// respond is the one place where an error becomes an answer. What went wrong inside is logged, never shown.
func (s *Server) respond(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := s.busy(err)
	var e *echo.HTTPError
	switch r := c.Request(); {
	case f != nil || errors.As(err, &f):
	case s.away(err, &f):
	case errors.As(err, &e) && e.Code == http.StatusNotFound:
		f = &fault{status: e.Code, what: "there is nothing at " + r.URL.Path}
	case errors.As(err, &e) && e.Code == http.StatusMethodNotAllowed:
		f = &fault{status: e.Code, what: r.Method + " is not what " + r.URL.Path + " takes: it takes " + c.Response().Header().Get("Allow")}
	case errors.As(err, &e) && e.Code == http.StatusRequestEntityTooLarge:
		f = &fault{status: e.Code, what: "the body is larger than " + bodyLimit}
	default:
		s.log.Error("request failed", "method", r.Method, "route", c.Path(), "error", err)
		f = &fault{status: http.StatusInternalServerError, what: "something went wrong here, nothing was changed: try again"}
	}
	h := c.Response().Header()
	h.Del("Etag")
	h["Cache-Control"] = neverKept
	h["X-Content-Type-Options"] = noSniff
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
		h.Set("Access-Control-Expose-Headers", "Retry-After") // else a page of another origin does not see it
	}
	if s.sendAgain(c, f) {
		return
	}
	if wantsHTML(c.Request()) {
		err = c.HTML(f.status, f.page())
	} else {
		err = c.JSON(f.status, map[string]string{"error": f.what})
	}
	if err != nil {
		s.log.Debug("answering an error", "error", err)
	}
}

// wantsHTML tells a browser that goes to an address from a script that calls it.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
