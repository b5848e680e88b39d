package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/mail"
	"github.com/stilehq/stile/server/tally"
)

// leaving answers GET /stile/{site}/leave/{token}: what the recipient of a mail allows, and a button that takes it back.
// It changes nothing: scanners follow every link of a mail.
func (s *Server) leaving(c echo.Context) error {
	st, link, err := s.fetched(c, mail.Leave)
	if err != nil {
		return err
	}
	last, err := s.recipient(c.Request().Context(), st, link.Receipt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.leavePage(c, st, link, &last, false)
}

// leavePage draws the page of a mail; last has no id where the recipient has no records.
func (s *Server) leavePage(c echo.Context, st *site, link mail.Link, last *ledger.Record, done bool) error {
	v := consent.Visit{Region: last.Country, Now: s.now()}
	if last.ID != uuid.Nil {
		choice := choiceOf(*last)
		v.Choice = &choice
	}
	p, err := s.newPage(c, st, v)
	if err != nil {
		return err
	}
	p.Saved = done
	c.Response().Header().Set("Referrer-Policy", "no-referrer") // the address is the recipient's alone
	return s.page(c, banner.Leave(banner.Mail{
		Page: p, Path: mail.Path(st.Name, mail.Leave, c.Param("token")), Name: link.Category,
		Allowed: v.Choice != nil && s.grants(st, last, link.Category, false), Known: v.Choice != nil,
	}))
}

// oneClick is what a mail program sends (RFC 8058), and the page's own button.
const oneClick = "One-Click"

// leave answers POST /stile/{site}/leave/{token}: the recipient takes back their consent to being counted. It takes no
// cookie and no second step, and may be sent again. The choice in their browsers' cookies stays what it is.
func (s *Server) leave(c echo.Context) error {
	st, link, err := s.fetched(c, mail.Leave)
	if err != nil {
		return err
	}
	r := c.Request()
	if err := r.ParseMultipartForm(32 << 10); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return unreadable(err)
	}
	if r.PostForm.Get("List-Unsubscribe") != oneClick {
		return fail(http.StatusBadRequest, "List-Unsubscribe=%s is missing: RFC 8058 asks for it in the body", oneClick)
	}
	last, err := s.recipient(r.Context(), st, link.Receipt)
	known := err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist): // erased: nothing is left to be taken back
	case err != nil:
		return err
	default:
		if last, err = s.withdrawCategory(r.Context(), st, &last, link.Category); err != nil {
			return err
		}
	}
	if wantsHTML(r) {
		return s.leavePage(c, st, link, &last, known)
	}
	c.Response().Header()["Cache-Control"] = neverKept
	return c.JSON(http.StatusOK, map[string]string{"withdrawn": link.Category})
}

// withdrawCategory records that a visitor declines a category, and nothing else about their choice: what is in force after
// it. Events of mails that stood on the category go with the record.
func (s *Server) withdrawCategory(ctx context.Context, st *site, last *ledger.Record, category string) (ledger.Record, error) {
	choice, changed := s.declined(st, last, category)
	if !changed {
		return *last, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return ledger.Record{}, err
	}
	now := s.now().UTC()
	record := *last
	record.ID, record.Previous, record.Time, record.Surface = id, last.ID, now, "mail"
	record.Key = uuid.NewSHA1(last.ID, []byte("leave "+category)) // two that come at once are one
	record.Expiry = now.Add(st.Remembers(st.Regime(last.Country)))
	stored, err := s.store(ctx, st, record, consent.Withdraw, &choice, acted{device: tally.Other})
	if err != nil {
		return ledger.Record{}, err
	}
	return stored, s.forget(ctx, st, consent.Visit{Region: last.Country, Now: now}, &choice, stored)
}

// declined is the choice in force without a category, and whether that is another choice. One that holds no longer does not
// come to life again by being renewed.
func (s *Server) declined(st *site, last *ledger.Record, category string) (consent.Choice, bool) {
	choice := choiceOf(*last)
	gone := []string{category}
	if consent.Decide(st.Site, consent.Visit{Choice: &choice, Region: last.Country, Now: s.now()}).Choice == nil {
		gone = append(gone, choice.Granted...)
	}
	within := func(id string) bool {
		return len(gone) > 1 || slices.ContainsFunc(st.Tags, func(t consent.Tag) bool { return t.ID == id && t.Category == category })
	}
	changed := !slices.Contains(choice.Denied, category) || slices.ContainsFunc(choice.Services, within)
	choice.Denied = slices.Concat(choice.Denied, gone)
	slices.Sort(choice.Denied)
	choice.Denied = slices.Compact(choice.Denied)
	choice.Granted = slices.DeleteFunc(slices.Clone(choice.Granted), func(name string) bool { return slices.Contains(choice.Denied, name) })
	choice.Services = slices.DeleteFunc(slices.Clone(choice.Services), within)
	choice.Refused = slices.DeleteFunc(slices.Clone(choice.Refused), within)
	return choice, changed
}
