package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/ledger"
)

// receiptRecord is a record as its visitor gets it.
type receiptRecord struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Granted  []string  `json:"granted"`
	Denied   []string  `json:"denied"`
	Services []string  `json:"services,omitempty"`
	Refused  []string  `json:"refused,omitempty"`
	Regime   string    `json:"regime"`
	Country  string    `json:"country,omitempty"`
	Language string    `json:"language"`
	Policy   string    `json:"policy"`
	Vendors  string    `json:"vendors"` // id of the vendor list
	Notice   string    `json:"notice"`  // hash of the words that were shown
	Surface  string    `json:"surface"`
	GPC      bool      `json:"gpc"`
	Age      string    `json:"age,omitempty"`
	Expiry   time.Time `json:"expiry"`
}

// receiptAnswer is all that is kept of a visitor's choices. Brief, it has no records.
type receiptAnswer struct {
	Site    string          `json:"site"`
	Receipt string          `json:"receipt"` // of the choice in force, "" without one
	Time    string          `json:"time,omitempty"`
	New     []string        `json:"new"` // titles of what came after the choice
	Records []receiptRecord `json:"records,omitempty"`
}

// receipt answers GET /stile/{site}/receipt: the visitor's own records, for nothing but their cookie (C10).
func (s *Server) receipt(c echo.Context) error {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	st.allowOrigin(r, c.Response().Header())
	v := s.visit(r, st, snap.codec, readQuery(r))
	d := consent.Decide(st.Site, v)
	view, err := st.gate.View(&d, st.language(c.QueryParam("lang"), r.Header.Get("Accept-Language")))
	if err != nil {
		return err
	}
	answer := receiptAnswer{Site: st.Name, New: view.Titles(d.New)}
	var records []ledger.Record
	if v.Choice != nil {
		answer.Receipt, answer.Time = v.Choice.Receipt.String(), v.Choice.Time.Format(time.RFC3339)
		if c.QueryParam("brief") == "" {
			if records, err = s.own(c, st, v.Choice); err != nil {
				return err
			}
		}
	}
	if wantsHTML(r) && c.QueryParam("download") == "" {
		p, err := s.newPage(c, st, v)
		if err != nil {
			return err
		}
		return s.page(c, banner.Records(p, shown(records)))
	}
	for i := range records {
		answer.Records = append(answer.Records, received(&records[i]))
	}
	h := c.Response().Header()
	h["Cache-Control"] = neverKept
	h["Vary"] = varies
	h["X-Content-Type-Options"] = noSniff
	if c.QueryParam("download") != "" {
		h.Set(echo.HeaderContentDisposition, `attachment; filename="consent-`+st.Name+`.json"`)
	}
	return c.JSONPretty(http.StatusOK, answer, "  ")
}

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

func received(r *ledger.Record) receiptRecord {
	return receiptRecord{
		ID: r.ID.String(), Time: r.Time, Action: string(r.Action), Granted: r.Granted, Denied: r.Denied, Services: r.Services, Refused: r.Refused,
		Regime: r.Regime, Country: r.Country, Language: r.Language, Policy: r.Policy, Vendors: r.List, Notice: r.Notice, Surface: r.Surface,
		GPC: r.GPC, Age: r.Age, Expiry: r.Expiry,
	}
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
	v := s.visit(r, st, snap.codec, readQuery(r))
	erased := 0
	if v.Choice != nil {
		records, err := s.own(c, st, v.Choice)
		if err != nil {
			return err
		}
		if len(records) == 0 { // it may be on its way, from another process
			if err := s.ledger.Disown(r.Context(), st.Name, v.Choice.Receipt); err != nil {
				return err
			}
		} else {
			if erased, err = s.eraseAll(r.Context(), st.Name, records[0].Subject); err != nil {
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
