package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/ledger"
)

// requestDays is within how many days a request is answered (F7).
const requestDays = 15

// asking bounds how many requests are taken in a minute, by everybody together: no visitor is known well enough to be
// counted alone.
type asking struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

const mostAsked = 60

func (a *asking) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since) >= time.Minute {
		a.since, a.n = now, 0
	}
	a.n++
	return a.n <= mostAsked
}

// request answers POST /stile/{site}/request: a visitor wants to see, get, correct or delete data that only the site can
// reach. It gets a number, and a date by which it is answered (F7).
func (s *Server) request(c echo.Context) error {
	snap, st, err := s.form(c)
	if err != nil {
		return err
	}
	r := c.Request()
	v := s.visit(r, st, snap.codec, readQuery(r))
	wanted := ledger.Request{
		Site: st.Name, Kind: r.PostForm.Get("kind"), Contact: strings.TrimSpace(r.PostForm.Get("contact")),
		Details: strings.TrimSpace(r.PostForm.Get("details")), Time: v.Now.UTC(),
	}
	if err := checkRequest(&wanted); err != nil {
		if wantsHTML(r) { // on the page itself, with what was written
			return s.showPolicy(c, http.StatusBadRequest, banner.Policy{Wrong: err.Error(), Asked: banner.AskedRequest{Kind: wanted.Kind, Contact: wanted.Contact, Details: wanted.Details}})
		}
		return err
	}
	if !s.asking.take(v.Now) {
		return &fault{status: http.StatusTooManyRequests, what: "too many requests at once: nothing was stored, try again in a minute", retry: 60}
	}
	if v.Choice != nil {
		wanted.Receipt = v.Choice.Receipt
	}
	wanted.Number = requestNumber()
	wanted.Due = wanted.Time.AddDate(0, 0, requestDays)
	ctx, cancel := context.WithTimeout(r.Context(), appendTime)
	defer cancel()
	if err := s.ledger.Ask(ctx, wanted); err != nil {
		return err
	}
	due := banner.Day(wanted.Due)
	s.log.Info("a visitor sent a request", "site", st.Name, "number", wanted.Number, "kind", wanted.Kind, "due", due)
	c.Response().Header()["Cache-Control"] = neverKept
	if !wantsHTML(r) {
		return c.JSON(http.StatusCreated, map[string]string{"number": wanted.Number, "due": due})
	}
	return c.Redirect(http.StatusSeeOther, fmt.Sprintf("%s/policy?sent=%s&due=%s", st.base(), wanted.Number, due))
}

func checkRequest(r *ledger.Request) error {
	kinds := []string{"access", "copy", "correct", "delete"}
	address, err := mail.ParseAddress(r.Contact)
	switch {
	case !slices.Contains(kinds, r.Kind):
		return fail(http.StatusBadRequest, "kind is %q: it is one of %s", r.Kind, strings.Join(kinds, ", "))
	case err != nil || address.Address != r.Contact || len(r.Contact) > 254 || strings.ContainsFunc(r.Contact, unicode.IsControl):
		return fail(http.StatusBadRequest, "contact is no e-mail address: the answer needs one")
	case !utf8.ValidString(r.Details) || utf8.RuneCountInString(r.Details) > 4000 || strings.ContainsRune(r.Details, 0):
		return fail(http.StatusBadRequest, "details are no text of at most 4000 characters")
	}
	return nil
}

// requestNumber is a number that nobody guesses and that can be read out: "7KQ4-M2XD".
func requestNumber() string {
	n := rand.Text() // base32
	return n[:4] + "-" + n[4:8]
}

// privacySignal answers GET /.well-known/gpc.json: Global Privacy Control is honoured (D4). The date is that of the latest
// policy that says so.
func (s *Server) privacySignal(c echo.Context) error {
	var last time.Time
	for _, st := range s.current.Load().sites {
		if i := st.version(st.Policy.Version); i >= 0 && st.policies[i].Since.After(last) { // the next one is not in force yet
			last = st.policies[i].Since
		}
	}
	h := c.Response().Header()
	h["Cache-Control"] = forEveryone
	h.Set("Access-Control-Allow-Origin", "*")
	return c.JSON(http.StatusOK, map[string]any{"gpc": true, "lastUpdate": banner.Day(last)})
}
