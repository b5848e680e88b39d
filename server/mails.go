package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/mail"
)

// mailRoutes are what a mail's recipients fetch, and what their mailer asks for.
func (s *Server) mailRoutes(e *echo.Echo) {
	get := []string{http.MethodGet, http.MethodHead}
	e.Match(get, "/stile/:site/open/:token", s.opened) // {token}.gif
	e.Match(get, "/stile/:site/click/:token", s.clicked)
	e.Match(get, "/stile/:site/leave/:token", s.leaving)
	e.POST("/stile/:site/leave/:token", s.leave, middleware.BodyLimit(bodyLimit))
	e.POST("/stile/:site/mail/token", s.mintTokens)
}

// What became of a fetch, beside the reasons of package mail: labels of a metric, a fixed set.
const (
	mailCounted  = "counted"
	mailWithheld = "withheld" // no consent at this moment
	mailUnknown  = "unknown"  // the recipient's records were erased
	mailCrawler  = "crawler"
	mailInvalid  = "invalid" // altered or expired
	mailFailed   = "failed"
)

func mailMetric() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stile_mail_fetches_total", Help: "Beacons and links of mails that were fetched, by whether they were counted, or why not.",
	}, []string{"site", "kind", "outcome"})
}

// newsletter is the site of a request about its mails.
func (s *Server) newsletter(c echo.Context) (*snapshot, *site, error) {
	snap, st, err := s.site(c.Param("site"), true)
	if err == nil && st.Mail == nil {
		err = fail(http.StatusNotFound, "site %s does not count its mails: add mail: {category: ...} to its stile.yaml", st.Name)
	}
	return snap, st, err
}

// fetched reads the token of a link that somebody follows. A fault says what is wrong with it.
func (s *Server) fetched(c echo.Context, kind mail.Kind) (*site, mail.Link, error) {
	snap, st, err := s.newsletter(c)
	if err != nil {
		return nil, mail.Link{}, err
	}
	link, err := snap.mail.Read(st.Name, kind, c.Param("token"), s.now())
	if err != nil {
		s.metrics.mails.WithLabelValues(st.Name, string(kind), mailInvalid).Inc()
	}
	switch {
	case errors.Is(err, mail.ErrExpired):
		err = fail(http.StatusGone, "this link held until %s: your choices are at %s/preferences", banner.Day(link.Expires), st.base())
	case err != nil:
		err = fail(http.StatusBadRequest, "this is not a link that %s sent in a mail: copy it whole", st.Name)
	}
	return st, link, err
}

// opened answers GET /stile/{site}/open/{token}.gif: the same picture whatever the token is and whether the open was counted.
func (s *Server) opened(c echo.Context) error {
	snap, st, err := s.newsletter(c)
	if err != nil {
		return err
	}
	token, _ := strings.CutSuffix(c.Param("token"), ".gif")
	link, err := snap.mail.Read(st.Name, mail.Open, token, s.now())
	if err != nil {
		s.log.Debug("a mail's beacon is not counted", "site", st.Name, "error", err)
		s.metrics.mails.WithLabelValues(st.Name, string(mail.Open), mailInvalid).Inc()
	} else {
		s.count(c.Request(), st, link)
	}
	h := c.Response().Header()
	h["Cache-Control"] = neverKept
	h["X-Content-Type-Options"] = noSniff
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	return c.Blob(http.StatusOK, "image/gif", transparentGIF)
}

// clicked answers GET /stile/{site}/click/{token}: leads on, whether the click was counted or not. Where the destination
// is not allowed any more it leads nowhere.
func (s *Server) clicked(c echo.Context) error {
	st, link, err := s.fetched(c, mail.Click)
	if err != nil {
		return err
	}
	if err := mail.Allowed(st.Mail, link.To); err != nil {
		host := "elsewhere"
		if u, err := url.Parse(link.To); err == nil {
			host = u.Host
		}
		return fail(http.StatusGone, "this link led to %s, which %s does not allow any longer", host, st.Name)
	}
	s.count(c.Request(), st, link)
	h := c.Response().Header()
	h["Cache-Control"] = neverKept
	h.Set("Referrer-Policy", "no-referrer")
	return c.Redirect(http.StatusSeeOther, link.To)
}

// mailTime bounds how long a picture or a redirect waits for the ledger.
const mailTime = 2 * time.Second

// count keeps that a mail was opened or a link followed, where a person did it who allows it at this moment. What fails is
// logged: the picture and the redirect do not depend on it.
func (s *Server) count(r *http.Request, st *site, link mail.Link) {
	outcome, err := s.tally(r, st, link)
	if err != nil {
		s.log.Error("a mail's fetch was not counted", "site", st.Name, "kind", link.Kind, "error", err)
	}
	s.metrics.mails.WithLabelValues(st.Name, string(link.Kind), outcome).Inc()
}

func (s *Server) tally(r *http.Request, st *site, link mail.Link) (outcome string, err error) {
	if human, why := mail.Human(r); !human {
		return string(why), nil
	}
	if crawler(r.UserAgent()) {
		return mailCrawler, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), mailTime)
	defer cancel()
	last, err := s.recipient(ctx, st, link.Receipt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mailUnknown, nil
	case err != nil:
		return mailFailed, err
	case !s.grants(st, &last, link.Category, hasGPC(r)), !s.grants(st, &last, st.Mail.Category, hasGPC(r)):
		return mailWithheld, nil
	}
	err = s.ledger.Mailed(ctx, ledger.MailEvent{
		Site: st.Name, Message: link.Message, Kind: string(link.Kind), Subject: last.Subject, Category: link.Category,
		Time: s.now(), Keep: st.Mail.Log,
	})
	if err != nil {
		return mailFailed, err
	}
	return mailCounted, nil
}

// recipient is the record in force of whoever a receipt is of, or fs.ErrNotExist where their records were erased.
func (s *Server) recipient(ctx context.Context, st *site, receipt uuid.UUID) (ledger.Record, error) {
	record, err := s.ledger.Find(ctx, st.Name, receipt)
	if err != nil {
		return ledger.Record{}, err
	}
	history, err := s.ledger.History(ctx, st.Name, record.Subject)
	if err != nil {
		return ledger.Record{}, err
	}
	if len(history) == 0 {
		return ledger.Record{}, fs.ErrNotExist
	}
	return history[0], nil
}

// grants tells whether whoever made a record has allowed a category, and still does. A law that lets a site go on until
// there is an objection is for pages, which show that they do: a mail is counted only for who said yes.
func (s *Server) grants(st *site, last *ledger.Record, category string, gpc bool) bool {
	choice := choiceOf(*last)
	d := consent.Decide(st.Site, consent.Visit{Choice: &choice, Region: last.Country, GPC: gpc, Now: s.now()})
	i := slices.IndexFunc(st.Categories, func(c consent.Category) bool { return c.Name == category })
	return i >= 0 && d.Categories[i].Released && d.Categories[i].Because.Kind == consent.Granted
}
