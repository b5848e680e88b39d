package server

import (
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// errAge is a choice that needs an answer to the question for the age first.
var errAge = errors.New("the visitor was not asked for their age")

// guardianTime is how long a guardian's link holds.
const guardianTime = 7 * 24 * time.Hour

// guardianLink is where a parent or guardian decides for a minor.
type guardianLink struct {
	Path  string `json:"path"`
	Until string `json:"until"` // the day, UTC
}

// protect keeps a visitor under the site's age from adding to what is allowed (F4): what they wanted is returned, and the
// choice becomes the one before, or a refusal. Taking away is never asked about. The record says what the visitor said.
func (st *site) protect(form map[string][]string, v consent.Visit, before, choice *consent.Choice, action *consent.Action, record *ledger.Record) (*consent.Choice, error) {
	if st.Minors.Age == 0 {
		return nil, nil
	}
	age := ""
	if given := form["age"]; len(given) > 0 {
		age = given[0]
	}
	minor := before != nil && before.Minor
	switch {
	case minor:
		age = "younger" // once said, it holds as long as the choice: who is asked often enough is always old enough
	case age != "" && age != "older" && age != "younger":
		return nil, fail(http.StatusBadRequest, "age is %q: it is one of older, younger", age)
	}
	record.Age = age
	choice.Minor = age == "younger"
	if choice.Within(before) && !st.releasesMore(v, before, choice) {
		return nil, nil
	}
	switch age {
	case "":
		return nil, &fault{
			status: http.StatusBadRequest, what: "age is missing: this site asks for it, in a step of its own, before anything optional is allowed; send older or younger", cause: errAge,
		}
	case "older":
		return nil, nil
	}
	wanted := *choice
	kept, _, err := consent.Parse(map[string][]string{"accept": {"kept"}}, st.Site, before)
	if err != nil {
		return nil, err
	}
	*choice, *action = st.Limit(&kept, &wanted), consent.Custom
	if !choice.Grants() {
		*action = consent.RejectAll
	}
	choice.Minor = true
	return &wanted, nil
}

// releasesMore tells whether a choice lets something run that does not run now: what came after the choice before, or what
// a change of the policy has stopped.
func (st *site) releasesMore(v consent.Visit, before, choice *consent.Choice) bool {
	v.Choice = before
	now := consent.Decide(st.Site, v)
	then := *choice
	then.Time, then.GPC = v.Now, v.GPC
	v.Choice = &then
	after := consent.Decide(st.Site, v)
	for i := range after.Categories {
		if after.Categories[i].Released && !now.Categories[i].Released {
			return true
		}
	}
	for i := range after.Tags {
		if after.Tags[i].Released && !now.Tags[i].Released {
			return true
		}
	}
	return false
}

// askAge answers a plain form with the question for the age, a page of its own (B12).
func (s *Server) askAge(c echo.Context, st *site, v consent.Visit) error {
	p, err := s.newPage(c, st, v)
	if err != nil {
		return err
	}
	s.allowFrame(c, st)
	return s.page(c, banner.Asked(p, c.Request().PostForm))
}

// allowFrame lets the answer to a form of the banner's frame be shown there.
func (s *Server) allowFrame(c echo.Context, st *site) bool {
	if c.Request().PostForm.Get("to") != "banner" {
		return false
	}
	c.Response().Header().Set("Content-Security-Policy", st.framePolicy("'self'"))
	return true
}

// tellMinor answers the plain form of a visitor under the age.
func (s *Server) tellMinor(c echo.Context, st *site, link *guardianLink) error {
	p, err := s.newPage(c, st, consent.Visit{Region: s.region(c.Request()), Now: s.now()})
	if err != nil {
		return err
	}
	if s.allowFrame(c, st) {
		p.Back = "" // the frame stands in that page
	}
	if link == nil {
		return s.page(c, banner.Minor(p, "", ""))
	}
	return s.page(c, banner.Minor(p, origin(c.Request())+link.Path, link.Until)) // it is copied by hand
}

// A guardian's link carries what the minor wanted, signed like a choice under a name that no site has.
func guardianName(st *site) string { return st.Name + ".guardian" }

func (s *Server) guardianLink(snap *snapshot, st *site, minor, wanted *consent.Choice) (*guardianLink, error) {
	asked := *wanted
	asked.Receipt, asked.Time, asked.Minor = minor.Receipt, s.now().UTC(), true
	token, err := snap.codec.Encode(guardianName(st), &asked)
	if err != nil {
		return nil, err
	}
	return &guardianLink{Path: st.base() + "/guardian/" + token, Until: banner.Day(asked.Time.Add(guardianTime))}, nil
}

// guardianKey is the idempotency key of a link's one use.
func guardianKey(asked *consent.Choice) uuid.UUID {
	return uuid.NewSHA1(asked.Receipt, []byte("guardian"))
}

// asked reads a guardian's link. A fault says what is wrong with it.
func (s *Server) asked(c echo.Context) (*snapshot, *site, *consent.Choice, error) {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return nil, nil, nil, err
	}
	asked, err := snap.codec.Decode(guardianName(st), c.Param("token"))
	switch {
	case err != nil || !st.Minors.Guardian:
		return nil, nil, nil, fail(http.StatusForbidden, "this is not a link that %s made: ask for a new one on the child's device", st.Name)
	case s.now().Sub(asked.Time) >= guardianTime:
		return nil, nil, nil, fail(http.StatusGone, "this link held until %s: ask for a new one on the child's device", banner.Day(asked.Time.Add(guardianTime)))
	}
	return snap, st, asked, nil
}

func usedLink(r ledger.Record) error {
	return fail(http.StatusGone, "this link was used on %s, and holds once: ask for a new one on the child's device", banner.Day(r.Time))
}

// guardian answers GET /stile/{site}/guardian/{token}: the page on which a parent or guardian decides. Opened on the
// child's device once that is done, the choice takes effect there.
func (s *Server) guardian(c echo.Context) error {
	snap, st, asked, err := s.asked(c)
	if err != nil {
		return err
	}
	r := c.Request()
	v := s.visit(r, st, snap.codec, query{})
	done, err := s.ledger.FindKey(r.Context(), st.Name, guardianKey(asked))
	switch {
	case err == nil && v.Choice != nil && v.Choice.Receipt == asked.Receipt:
		choice := choiceOf(done)
		if _, err := s.setChoice(c, snap, st, &choice); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, st.base()+"/preferences?saved=1")
	case err == nil:
		return usedLink(done)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	p, err := s.newPage(c, st, consent.Visit{Region: v.Region, Now: v.Now})
	if err != nil {
		return err
	}
	return s.page(c, banner.GuardianPage(p, c.Param("token"), append(asked.Granted, asked.Services...)))
}

// confirm answers POST /stile/{site}/guardian/{token}: a parent or guardian has decided. The record is the minor's.
func (s *Server) confirm(c echo.Context) error {
	snap, st, asked, err := s.asked(c)
	if err != nil {
		return err
	}
	if _, _, err := s.form(c); err != nil {
		return err
	}
	r := c.Request()
	if r.PostForm.Get("guardian") != "yes" {
		return fail(http.StatusBadRequest, "guardian is missing: only a parent or guardian can decide, and says so by ticking the box")
	}
	v := s.visit(r, st, snap.codec, query{})
	record, err := s.record(r, st, v)
	if err != nil {
		return err
	}
	choice, _, err := consent.Parse(r.PostForm, st.Site, nil)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	choice.Minor = true
	record.Key, record.Previous, record.Age, record.GPC = guardianKey(asked), asked.Receipt, "younger", asked.GPC
	stored, err := s.store(r.Context(), st, record, consent.Guardian, &choice, acted{device: tally.ClassOf(r.Header).String()})
	if err != nil {
		return err
	}
	if stored.ID != record.ID {
		return usedLink(stored)
	}
	if err := s.forget(r.Context(), st, v, &choice, stored); err != nil {
		return err
	}
	if v.Choice != nil && v.Choice.Receipt == asked.Receipt { // the child's own device
		if _, err := s.setChoice(c, snap, st, &choice); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, st.base()+"/preferences?saved=1")
	}
	p, err := s.newPage(c, st, consent.Visit{Region: v.Region, Now: v.Now})
	if err != nil {
		return err
	}
	return s.page(c, banner.GuardianDone(p))
}

// choiceOf is the choice that a record is of.
func choiceOf(r ledger.Record) consent.Choice {
	return r.Choice()
}
