package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/event"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// eventAnswer is what becomes of an event, by the ids of the tags.
type eventAnswer struct {
	ID       string            `json:"id"`
	Sent     []string          `json:"sent"`           // their vendors get it
	Told     []string          `json:"told,omitempty"` // their vendors get the denial, and nothing that points to somebody
	Withheld map[string]string `json:"withheld"`       // because
}

// event answers POST /stile/{site}/event: something happened, and the vendors that the visitor allows are told of it by this
// server. It comes from a page of the site, or with a key from the site's own server, and is answered once it is durable.
func (s *Server) event(c echo.Context) error {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	keyed, err := s.mayReport(c, st)
	if err != nil {
		return err
	}
	events, list, err := s.reported(c, st, keyed)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), appendTime)
	defer cancel()
	var messages []outbox.Message
	answers, grounds := make([]eventAnswer, len(events)), map[uuid.UUID]*ground{}
	for i := range events {
		g := grounds[events[i].Receipt]
		if g == nil {
			if g, err = s.ground(ctx, c.Request(), snap, st, keyed, events[i].Receipt); err != nil {
				return err
			}
			grounds[events[i].Receipt] = g
		}
		var more []outbox.Message
		if more, answers[i], err = s.deliver(st, &events[i], g); err != nil {
			return err
		}
		messages = append(messages, more...)
	}
	if err := s.send(ctx, st, messages, grounds); err != nil {
		return err
	}
	c.Response().Header()["Cache-Control"] = neverKept
	if list {
		return c.JSON(http.StatusAccepted, answers)
	}
	return c.JSON(http.StatusAccepted, answers[0])
}

// mayReport tells whether who sends an event may, and whether that is by the key of a site's server.
func (s *Server) mayReport(c echo.Context, st *site) (keyed bool, err error) {
	r, h := c.Request(), c.Response().Header()
	origin, authorization := r.Header.Get("Origin"), r.Header.Get("Authorization")
	switch {
	case authorization == "" && origin == "":
		return false, fail(http.StatusForbidden, "the request names no origin: an event comes from a page of site %s, or with a key: Authorization: Bearer KEY", st.Name)
	case authorization == "":
		if !st.allowOrigin(r, h) {
			return false, fail(http.StatusForbidden, "origin %s may not send events for site %s: add it to origins in stile.yaml", origin, st.Name)
		}
		return false, nil
	case origin != "":
		return false, fail(http.StatusForbidden, "a page cannot send the key, which everybody could read in it: leave Authorization out")
	}
	h.Set("WWW-Authenticate", "Bearer")
	if s.opts.EventKey == "" {
		return false, fail(http.StatusUnauthorized, "there is no key for events here: start stile serve with STILE_EVENT_KEY or --event-key-file")
	}
	if !bears(c.Request(), s.opts.EventKey) {
		return false, fail(http.StatusUnauthorized, "the key is wrong: send the one that stile serve was started with, as Authorization: Bearer KEY")
	}
	h.Del("WWW-Authenticate")
	return true, nil
}

// reported reads the events of a request, all of them or none.
func (s *Server) reported(c echo.Context, st *site, keyed bool) (events []event.Event, list bool, err error) {
	r := c.Request()
	if len(st.secrets) == 0 {
		return nil, false, fail(http.StatusNotFound, "site %s sends no events: give a vendor's tag server: {secret_env: ...} in stile.yaml", st.Name)
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != echo.MIMEApplicationJSON {
		return nil, false, fail(http.StatusUnsupportedMediaType, "an event is sent as %s", echo.MIMEApplicationJSON)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, event.MaxSize))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, false, fail(http.StatusRequestEntityTooLarge, "the body is larger than %d KB: nothing was sent", event.MaxSize>>10)
	case err != nil:
		return nil, false, fail(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	if events, list, err = event.ParseList(body); err != nil {
		return nil, list, fail(http.StatusBadRequest, "nothing was sent: %v", err)
	}
	for i := range events {
		if err := s.checkEvent(st, &events[i], keyed); err != nil {
			return nil, list, fail(http.StatusBadRequest, "nothing was sent: event %q: %v", events[i].ID, err)
		}
	}
	return events, list, nil
}

// checkEvent checks what of an event depends on who sent it, and when.
func (s *Server) checkEvent(st *site, e *event.Event, keyed bool) error {
	if u, err := url.Parse(e.Page); e.Page != "" && (err != nil || !st.embeddable(u.Scheme+"://"+u.Host)) {
		return errors.New("page: it is none of the site's: its origin is not one of origins in stile.yaml")
	}
	switch {
	case !keyed && e.Receipt != uuid.Nil:
		return errors.New("receipt: it goes with a key: for a page its visitor's own choice counts")
	case !keyed && e.Client.IP+e.Client.Agent != "":
		return errors.New("client: ip and user_agent go with a key: a page's visitor is known by the request")
	}
	return e.CheckTime(s.now())
}

// ground is what an event stands on.
type ground struct {
	decision  consent.Decision
	nothing   string    // why there is no consent at all, or ""
	subject   uuid.UUID // whose consent it is, or zero
	newest    uuid.UUID // the record in force, or zero
	keyed     bool
	ip, agent string // of the visitor, as the request shows them
	visit     consent.Visit
}

// ground finds out what the events of a request stand on: from a page on its visitor's choice, with a key on the receipt. In
// both a record that came after it counts.
func (s *Server) ground(ctx context.Context, r *http.Request, snap *snapshot, st *site, keyed bool, receipt uuid.UUID) (*ground, error) {
	g := &ground{keyed: keyed, visit: consent.Visit{GPC: hasGPC(r), Now: s.now()}}
	if !keyed {
		g.visit, g.agent = s.visit(r, st, snap.codec, readQuery(r)), r.UserAgent()
		if addr := s.opts.Proxies.Client(r); addr.IsValid() {
			g.ip = addr.String()
		}
		if g.visit.Choice != nil {
			receipt = g.visit.Choice.Receipt
		}
	}
	switch {
	case receipt != uuid.Nil:
		if err := s.inForce(ctx, st, g, receipt); err != nil {
			return nil, err
		}
	case keyed:
		g.nothing = "the event has no receipt, and so no consent"
	}
	g.decision = consent.Decide(st.Site, g.visit)
	return g, nil
}

// inForce finds the record in force of whose receipt it is. Of a page's own choice it can only take away: what the visitor
// withdrew in another tab, a moment ago.
func (s *Server) inForce(ctx context.Context, st *site, g *ground, receipt uuid.UUID) error {
	history, err := s.historyOf(ctx, st, receipt)
	if err != nil {
		return err
	}
	if len(history) == 0 {
		g.nothing, g.visit.Choice = "there is no record of the choice, and so no consent", nil
		return nil
	}
	record := history[0]
	choice := choiceOf(record)
	switch own := g.visit.Choice; {
	case g.keyed:
		g.visit.Choice, g.visit.Region, g.visit.GPC = &choice, st.regionOf(&record), g.visit.GPC || record.GPC
	case record.ID != own.Receipt:
		limited := st.Limit(own, &choice)
		g.visit.Choice = &limited
	}
	g.subject, g.newest = record.Subject, record.ID
	return nil
}

// historyOf are the records of whose receipt it is, newest first; none where they were erased, or never were.
func (s *Server) historyOf(ctx context.Context, st *site, receipt uuid.UUID) ([]ledger.Record, error) {
	record, err := s.ledger.Find(ctx, st.Name, receipt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.ledger.History(ctx, st.Name, record.Subject)
}

// regionOf is a region under the regime of a record, which holds no more than the country: of an American state's, that
// state's. Where there is none it is unknown, for which the strictest regime stands.
func (st *site) regionOf(r *ledger.Record) string {
	if st.Regime(r.Country).Name == r.Regime {
		return r.Country
	}
	for i := range st.Regimes {
		for _, region := range st.Regimes[i].Regions {
			if st.Regimes[i].Name == r.Regime && strings.HasPrefix(region, r.Country+"-") && st.Regime(region).Name == r.Regime {
				return region
			}
		}
	}
	return ""
}

// released tells whether a tag's vendor gets the event, or why not.
func (g *ground) released(i int) (ok bool, why string) {
	v := g.decision.Tags[i]
	if g.nothing != "" && v.Because.Kind != consent.Required {
		return false, g.nothing
	}
	return v.Released, v.Because.String()
}

// deliver is what is sent of an event, tag by tag.
func (s *Server) deliver(st *site, e *event.Event, g *ground) (messages []outbox.Message, a eventAnswer, err error) {
	a = eventAnswer{ID: e.ID, Sent: []string{}, Withheld: map[string]string{}}
	for i := range st.Tags {
		t := &st.Tags[i]
		if t.Server == nil {
			continue
		}
		granted, why := g.released(i)
		if !granted && (!t.Server.Told || g.visit.Crawler) {
			a.Withheld[t.ID] = why
			continue
		}
		request, err := s.delivery(st, t, e, g, granted).Payload(*e)
		var unfit event.Unfit
		switch {
		case errors.As(err, &unfit):
			a.Withheld[t.ID] = unfit.Error()
			continue
		case err != nil:
			return nil, a, err
		}
		m := outbox.Message{
			Site: st.Name, Tag: t.ID, Key: eventKey(g.subject, e.ID), Method: http.MethodPost,
			URL: request.URL, Header: request.Header, Body: request.Body,
		}
		if granted {
			m.Subject = g.subject // a withdrawal drops it; the news of a denial stands on nobody's consent
			a.Sent = append(a.Sent, t.ID)
		} else {
			a.Told = append(a.Told, t.ID)
		}
		messages = append(messages, m)
	}
	return messages, a, nil
}

func (s *Server) delivery(st *site, t *consent.Tag, e *event.Event, g *ground, granted bool) event.Delivery {
	d := event.Delivery{
		Vendor: t.Vendor, Account: t.Account, Secret: st.secrets[t.ID], Endpoint: t.Server.Endpoint, TestCode: t.Server.TestCode,
		Forward: t.Server.Forward, Granted: granted, IP: g.ip, Agent: g.agent, Nobody: uuid.New(), Now: s.now().UTC(),
	}
	if g.keyed {
		d.IP, d.Agent = e.Client.IP, e.Client.Agent
	}
	if granted && g.nothing == "" {
		d.UserData = g.decision.Signal(st.Site, t.Server.Mode, "ad_user_data")
		d.Personalization = g.decision.Signal(st.Site, t.Server.Mode, "ad_personalization")
	}
	return d
}

// eventKey is what a visitor's event is known by when it comes a second time. It is the visitor's: nobody keeps another's
// event away by sending one with its id first.
func eventKey(subject uuid.UUID, id string) string {
	sum := sha256.Sum256(append(subject[:], id...))
	return hex.EncodeToString(sum[:16])
}

// send makes the messages durable. What was withdrawn while they were made is dropped again: the withdrawal itself could not
// find them yet (A9).
func (s *Server) send(ctx context.Context, st *site, messages []outbox.Message, grounds map[uuid.UUID]*ground) error {
	if len(messages) == 0 {
		return nil
	}
	err := s.outbox.Add(ctx, messages...)
	switch {
	case errors.Is(err, outbox.ErrFull), errors.Is(err, outbox.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return &fault{status: http.StatusServiceUnavailable, what: "too many events are waiting to be sent: nothing was added, try again", retry: 30}
	case err != nil:
		return err
	}
	for _, g := range grounds {
		if err := s.recheck(ctx, st, g); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) recheck(ctx context.Context, st *site, g *ground) error {
	if g.newest == uuid.Nil {
		return nil
	}
	history, err := s.ledger.History(ctx, st.Name, g.subject)
	if err != nil {
		return err
	}
	if len(history) > 0 && history[0].ID == g.newest {
		return nil
	}
	var withheld []string
	if len(history) > 0 {
		v, choice := g.visit, choiceOf(history[0])
		v.Choice = &choice
		now := consent.Decide(st.Site, v)
		for i := range st.Tags {
			if was, _ := g.released(i); was && !now.Tags[i].Released {
				withheld = append(withheld, st.Tags[i].ID)
			}
		}
		if len(withheld) == 0 {
			return nil
		}
	}
	slices.Sort(withheld)
	_, err = s.outbox.Forget(ctx, st.Name, g.subject, withheld...) // without tags: all, since the records were erased
	return err
}
