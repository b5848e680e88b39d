package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/ledger"
)

// own are the records of whoever made a choice, newest first; none where they were erased.
func (s *Server) own(c echo.Context, st *site, choice *consent.Choice) ([]ledger.Record, error) {
	ctx := c.Request().Context()
	last, err := s.ledger.Find(ctx, st.Name, choice.Receipt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.ledger.History(ctx, st.Name, last.Subject)
}

func shown(records []ledger.Record) (list []banner.Record) {
	for i := range records {
		r := &records[i]
		list = append(list, banner.Record{
			ID: r.ID.String(), Time: r.Time.Format("2006-01-02 15:04 UTC"), Policy: r.Policy, Notice: r.Notice,
			Granted: append(r.Granted, r.Services...), Denied: append(r.Denied, r.Refused...),
		})
	}
	return list
}

// erase answers POST /stile/{site}/erase: deletes all records of a visitor, and their choice with them (C10).
func (s *Server) erase(c echo.Context) error {
	snap, st, err := s.form(c)
	if err != nil {
		return err
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), appendTime)
	defer cancel()
	v := s.visit(r, st, snap.codec, readQuery(r))
	erased := 0
	if v.Choice != nil {
		records, err := s.own(c, st, v.Choice)
		if err != nil {
			return err
		}
		if len(records) == 0 { // it may be on its way, from another process
			if err := s.ledger.Disown(ctx, st.Name, v.Choice.Receipt); err != nil {
				return err
			}
		}
		for len(records) > 0 { // again where it was found out meanwhile that they are one with another visitor
			n, err := s.eraseAll(ctx, st.Name, records[0].Subject)
			if err != nil {
				return err
			}
			erased += n
			if records, err = s.own(c, st, v.Choice); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{st.cookie, cookie.Mirror(st.Name)} {
		c.SetCookie(st.newCookie(r, name, "", -1))
	}
	st.clear(c, consent.Decide(st.Site, consent.Visit{Region: v.Region, GPC: v.GPC, Now: v.Now}))
	c.Response().Header()["Cache-Control"] = neverKept
	if wantsHTML(r) {
		return c.Redirect(http.StatusSeeOther, st.base()+"/policy?erased=1#rights")
	}
	return c.JSON(http.StatusOK, map[string]int{"erased": erased})
}

// eraseAll erases what is kept of a visitor, who wants it so. What waits to be sent is dropped before, while it is known
// whose it is, and after, since more may have come meanwhile.
func (s *Server) eraseAll(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	if _, err := s.outbox.Forget(ctx, site, subject); err != nil {
		return 0, err
	}
	n, err := s.ledger.Erase(ctx, site, subject, ledger.By{Actor: ledger.Visitor, Time: s.now()})
	if n == 0 {
		return 0, err
	}
	s.exports.Erased(site)
	_, late := s.outbox.Forget(ctx, site, subject)
	if err := errors.Join(err, late, s.outbox.Purge(ctx)); err != nil {
		// The records are gone, and that is the answer. The next run of the retention looks after traces in the database.
		s.log.Error("records are erased, and traces of them may be left in files", "site", site, "error", err)
	}
	return n, nil
}

// seen answers POST /stile/{site}/seen: a visitor has read of a small change of the policy. The choice stays what it was,
// and as old as it was: no act of consent, and so no record.
func (s *Server) seen(c echo.Context) error {
	snap, st, err := s.form(c)
	if err != nil {
		return err
	}
	r := c.Request()
	v := s.visit(r, st, snap.codec, readQuery(r))
	d := consent.Decide(st.Site, v)
	switch {
	case d.Choice == nil:
		return fail(http.StatusConflict, "there is no choice in force that could stay as it is")
	case d.Ask:
		return fail(http.StatusConflict, "the change takes a choice: reload the page")
	}
	choice := *d.Choice
	choice.Policy = st.Policy.Version
	return s.chosen(c, snap, st, &choice, nil, false)
}
