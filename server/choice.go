package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/ledger"
)

// choiceAnswer is what a page gets for a choice.
type choiceAnswer struct {
	Choice struct {
		Granted  []string `json:"granted"`
		Denied   []string `json:"denied"`
		Services []string `json:"services,omitempty"`
		Refused  []string `json:"refused,omitempty"`
	} `json:"choice"`
	Receipt string `json:"receipt"`
	State   string `json:"state"`   // value of the mirror cookie
	MaxAge  int    `json:"max_age"` // of the cookies, in seconds
	Token   string `json:"token,omitempty"`

	Guardian *guardianLink `json:"guardian,omitempty"` // where a parent or guardian can allow what was asked for (F4)
}

// choose answers POST /stile/{site}/choice: records a choice, then sets it.
func (s *Server) choose(c echo.Context) error {
	return s.act(c, func(form map[string][]string, st *site, before *consent.Choice) (consent.Choice, consent.Action, error) {
		choice, action, err := consent.Parse(form, st.Site, before)
		if err != nil {
			return choice, action, fail(http.StatusBadRequest, "%v", err)
		}
		return choice, action, nil
	})
}

// withdraw answers POST /stile/{site}/withdraw: takes back all that was granted.
func (s *Server) withdraw(c echo.Context) error {
	return s.act(c, func(_ map[string][]string, st *site, _ *consent.Choice) (consent.Choice, consent.Action, error) {
		return st.Refuse(), consent.Withdraw, nil
	})
}

// parse reads a choice out of a form; before is the choice in force, or nil.
type parse func(form map[string][]string, st *site, before *consent.Choice) (consent.Choice, consent.Action, error)

// appendTime bounds how long a visitor waits for the ledger.
const appendTime = 10 * time.Second

func (s *Server) act(c echo.Context, parse parse) error {
	snap, st, err := s.form(c)
	if err != nil {
		return err
	}
	r := c.Request()
	visit := s.visit(r, st, snap.codec, readQuery(r))
	acted := st.actedOn(r, visit)
	before := acted.before.Choice
	record, err := s.record(r, st, visit)
	if err != nil {
		return err
	}
	choice, action, err := parse(r.PostForm, st, before)
	if err != nil {
		return err
	}
	wanted, err := st.protect(r.PostForm, visit, before, &choice, &action, &record)
	if err != nil {
		if errors.Is(err, errAge) && wantsHTML(r) {
			return s.askAge(c, st, visit)
		}
		return err
	}
	stored, err := s.store(r.Context(), st, record, action, &choice, acted)
	if err != nil {
		return err
	}
	if !sameAct(stored, record, action, &choice) {
		return fail(http.StatusConflict, "id %s was used for another choice already: make a new one for each", record.Key)
	}
	if err := s.forget(r.Context(), st, visit, &choice, stored); err != nil {
		return err
	}
	var link *guardianLink
	if wanted != nil && st.Minors.Guardian {
		if link, err = s.guardianLink(snap, st, &choice, wanted); err != nil {
			return err
		}
	}
	return s.chosen(c, snap, st, &choice, link, wanted != nil)
}

// form reads a form that a page of the site, or of Stile, may send.
func (s *Server) form(c echo.Context) (*snapshot, *site, error) {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return nil, nil, err
	}
	r := c.Request()
	if !st.allowOrigin(r, c.Response().Header()) {
		return nil, nil, fail(http.StatusForbidden, "origin %s may not choose for site %s: add it to origins in stile.yaml",
			r.Header.Get("Origin"), st.Name)
	}
	if link := s.previewed(r, st); link != nil {
		return nil, nil, fail(http.StatusConflict, "this browser shows a preview until %s, in which nothing is stored: end it first, by the note on the page",
			link.Until.Format("2 Jan 15:04 UTC"))
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != echo.MIMEApplicationForm {
		return nil, nil, fail(http.StatusUnsupportedMediaType, "a choice is sent as %s", echo.MIMEApplicationForm)
	}
	if err := r.ParseForm(); err != nil {
		return nil, nil, unreadable(err)
	}
	return snap, st, nil
}

// store makes the record of a choice durable, and gives the choice its receipt. What was stored already is not counted again.
func (s *Server) store(ctx context.Context, st *site, record ledger.Record, action consent.Action, choice *consent.Choice, by acted) (ledger.Record, error) {
	record.Action, record.Granted, record.Denied = action, choice.Granted, choice.Denied
	record.Services, record.Refused = choice.Services, choice.Refused
	ctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	stored, err := s.ledger.Append(ctx, record)
	if err != nil {
		return stored, err
	}
	choice.Receipt, choice.Time, choice.GPC = stored.ID, stored.Time.Truncate(time.Second), stored.GPC
	choice.Policy, choice.List = stored.Policy, stored.List
	if stored.ID == record.ID {
		s.countChoice(st, &stored, choice, by)
	}
	return stored, nil
}

// record is the record of a form, as far as it does not depend on what was chosen. It checks id, notice and surface.
func (s *Server) record(r *http.Request, st *site, v consent.Visit) (ledger.Record, error) {
	key, err := uuid.Parse(r.PostForm.Get("id"))
	if err != nil || len(r.PostForm.Get("id")) != 36 || key == uuid.Nil {
		return ledger.Record{}, fail(http.StatusBadRequest, "id is missing or no UUID: send a new random one with each choice")
	}
	notice := r.PostForm.Get("notice")
	language, err := s.shown(r.Context(), st, notice)
	if err != nil {
		return ledger.Record{}, err
	}
	if language == "" {
		return ledger.Record{}, fail(http.StatusBadRequest, "notice is not one that site %s ever showed: reload the page", st.Name)
	}
	surface := r.PostForm.Get("surface")
	switch {
	case surface == "":
		surface = "api"
	case !slices.Contains([]string{"banner", "preferences", "page", "api", "noscript"}, surface):
		return ledger.Record{}, fail(http.StatusBadRequest, "surface is %q: it is one of banner, preferences, page, api, noscript", surface)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return ledger.Record{}, err
	}
	now := v.Now.UTC()
	country, _, _ := strings.Cut(v.Region, "-")
	record := ledger.Record{
		ID: id, Key: key, Site: st.Name, Time: now, Regime: st.Regime(v.Region).Name, Country: country,
		Language: language, Policy: st.Policy.Version, List: st.List(), Notice: notice, Surface: surface, GPC: v.GPC,
		Expiry: now.Add(st.Remembers(st.Regime(v.Region))),
	}
	if v.Choice != nil {
		record.Previous = v.Choice.Receipt
	}
	return record, nil
}

// shown returns the language of words that the site showed, or "". Another process may have shown them, by a newer
// configuration, to the database that they share.
func (s *Server) shown(ctx context.Context, st *site, hash string) (language string, err error) {
	if language, known := st.notices[hash]; known || s.opts.Database == "" || hash == "" {
		return language, nil
	}
	n, err := s.ledger.Notice(ctx, st.Name, hash)
	if errors.Is(err, fs.ErrNotExist) || err != nil && s.ledger.Away() {
		return "", nil
	}
	return n.Language, err
}

// sameAct tells whether the record that is stored under a key is of the same act: the key of a repeated request.
func sameAct(stored, sent ledger.Record, action consent.Action, choice *consent.Choice) bool {
	return stored.Action == action && slices.Equal(stored.Granted, choice.Granted) && slices.Equal(stored.Services, choice.Services) &&
		slices.Equal(stored.Refused, choice.Refused) && stored.Age == sent.Age
}

// chosen sets the cookies of a choice and answers it.
func (s *Server) chosen(c echo.Context, snap *snapshot, st *site, choice *consent.Choice, link *guardianLink, minor bool) error {
	token, err := s.setChoice(c, snap, st, choice)
	if err != nil {
		return err
	}
	r := c.Request()
	if wantsHTML(r) {
		switch {
		case minor:
			return s.tellMinor(c, st, link)
		case r.PostForm.Get("to") == "banner" && r.PostForm.Get("frame") == "cross":
			return c.Redirect(http.StatusSeeOther, st.base()+"/banner?saved=1&frame=cross")
		case r.PostForm.Get("to") == "banner":
			return c.Redirect(http.StatusSeeOther, st.base()+"/banner?saved=1")
		}
		return c.Redirect(http.StatusSeeOther, st.base()+"/preferences?saved=1")
	}
	answer := choiceAnswer{Receipt: choice.Receipt.String(), State: choice.State(), MaxAge: s.lifetime(st, r), Guardian: link}
	answer.Choice.Granted, answer.Choice.Denied = choice.Granted, choice.Denied
	answer.Choice.Services, answer.Choice.Refused = choice.Services, choice.Refused
	if !st.sameView(r) {
		answer.Token = token // the page cannot see this host's cookies, and keeps the choice itself
	}
	return c.JSON(http.StatusOK, answer)
}

// setChoice sets the signed cookie and its mirror, and deletes the cookies of what the choice withholds.
func (s *Server) setChoice(c echo.Context, snap *snapshot, st *site, choice *consent.Choice) (token string, err error) {
	if token, err = snap.codec.Encode(st.Name, choice); err != nil {
		return "", err
	}
	r := c.Request()
	signed := st.newCookie(r, st.cookie, token, s.lifetime(st, r))
	c.SetCookie(signed)
	s.setMirror(c, st, choice)
	if r.PostForm.Get("frame") == "cross" && secure(r) {
		// In a frame on another site's page only a partitioned cookie is kept (C9).
		framed := *signed
		framed.SameSite, framed.Partitioned, framed.Domain = http.SameSiteNoneMode, true, ""
		c.SetCookie(&framed)
	}
	st.clear(c, consent.Decide(st.Site, consent.Visit{Choice: choice, Region: s.region(r), GPC: hasGPC(r), Now: s.now()}))
	c.Response().Header()["Cache-Control"] = neverKept
	return token, nil
}

// lifetime is how long a visitor's choice is kept, in seconds.
func (s *Server) lifetime(st *site, r *http.Request) int {
	return min(int(st.Remembers(st.Regime(s.region(r)))/time.Second), cookie.MaxAge)
}

// newCookie is a cookie with the attributes that all of Stile's have (C1). maxAge is in seconds, negative to delete it.
func (st *site) newCookie(r *http.Request, name, value string, maxAge int) *http.Cookie {
	m := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		Secure: secure(r), SameSite: http.SameSiteLaxMode,
	}
	if st.shares(hostname(r.Host)) {
		m.Domain = st.CookieDomain
	}
	return m
}

// secure tells whether the visitor came by HTTPS. Anybody can send the header that a proxy sends, but only for their own
// cookie.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
