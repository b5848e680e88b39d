package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/mail"
)

// shortestKey is how many characters a mailer's key has at least.
const shortestKey = 32

// checkMailKey refuses a key that could be guessed. None is none: the endpoint is closed.
func (o *Options) checkMailKey() error {
	if o.MailKey != "" && len(o.MailKey) < shortestKey {
		return fmt.Errorf("the key for mailers has %d characters: make one of %d or more, such as with openssl rand -hex 32", len(o.MailKey), shortestKey)
	}
	return nil
}

// mailOrder is a token that a mailer wants.
type mailOrder struct {
	Kind    string `json:"kind"`
	Receipt string `json:"receipt"`
	Message string `json:"message"`
	To      string `json:"to"`
	Expires string `json:"expires"` // "400d"
}

// mailToken is what a mailer gets. Granted is whether the recipient allows to be counted now: where they do not, plain links
// and no beacon are the better mail.
type mailToken struct {
	Token   string    `json:"token"`
	Path    string    `json:"path"`
	Expires time.Time `json:"expires"`
	Granted bool      `json:"granted"`
}

const (
	mostTokens   = 1000
	mailBodySize = 4 << 20 // of 1000 of the longest
)

// mintTokens answers POST /stile/{site}/mail/token: tokens for a mailer, one or a list, all or none. Without a key
// (Options.MailKey) there is no such address.
func (s *Server) mintTokens(c echo.Context) error {
	snap, st, err := s.newsletter(c)
	if err != nil {
		return err
	}
	r := c.Request()
	if err := s.mailer(c); err != nil {
		return err
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != echo.MIMEApplicationJSON {
		return fail(http.StatusUnsupportedMediaType, "tokens are asked for as %s", echo.MIMEApplicationJSON)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, mailBodySize))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes: send fewer at once", large.Limit)
	case err != nil:
		return fail(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	orders, list, err := readOrders(body)
	if err != nil {
		return err
	}
	tokens := make([]mailToken, len(orders))
	granted := map[uuid.UUID]bool{}
	for i := range orders {
		if err := s.mint(r.Context(), snap, st, &orders[i], granted, &tokens[i]); err != nil {
			var wrong *fault
			if list && errors.As(err, &wrong) {
				return fail(wrong.status, "item %d: %s", i+1, wrong.what)
			}
			return err
		}
	}
	c.Response().Header()["Cache-Control"] = neverKept
	if !list {
		return c.JSON(http.StatusOK, tokens[0])
	}
	return c.JSON(http.StatusOK, tokens)
}

// mailer lets only who has the key pass.
func (s *Server) mailer(c echo.Context) error {
	if s.opts.MailKey == "" {
		return fail(http.StatusNotFound, "no mailer may ask for tokens: start stile serve with a key in STILE_MAIL_KEY, or use stile mail token")
	}
	if !bears(c.Request(), s.opts.MailKey) {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return fail(http.StatusUnauthorized, "the key is missing or wrong: send Authorization: Bearer KEY, with the key that stile serve has in STILE_MAIL_KEY")
	}
	return nil
}

// readOrders reads one order or a list of them, strictly.
func readOrders(body []byte) (orders []mailOrder, list bool, err error) {
	body = bytes.TrimSpace(body)
	list = bytes.HasPrefix(body, []byte("["))
	items := []json.RawMessage{body}
	if list {
		if err := json.Unmarshal(body, &items); err != nil {
			return nil, list, fail(http.StatusBadRequest, "the body is not JSON: %s", plainJSON(err))
		}
	}
	switch {
	case len(items) == 0:
		return nil, list, fail(http.StatusBadRequest, "the list is empty: name a token at least")
	case len(items) > mostTokens:
		return nil, list, fail(http.StatusRequestEntityTooLarge, "the list has %d items: at most %d at once", len(items), mostTokens)
	}
	orders = make([]mailOrder, len(items))
	for i, item := range items {
		d := json.NewDecoder(bytes.NewReader(item))
		d.DisallowUnknownFields()
		err := d.Decode(&orders[i])
		if err == nil {
			if _, more := d.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("something stands behind it")
			}
		}
		switch {
		case err != nil && list:
			return nil, list, fail(http.StatusBadRequest, "item %d: %s", i+1, plainJSON(err))
		case err != nil:
			return nil, list, fail(http.StatusBadRequest, "the body is not an order of a token: %s", plainJSON(err))
		}
	}
	return orders, list, nil
}

func plainJSON(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// mint makes one token. granted remembers recipients, since a mail has several tokens of one.
func (s *Server) mint(ctx context.Context, snap *snapshot, st *site, order *mailOrder, granted map[uuid.UUID]bool, into *mailToken) error {
	kind, err := mail.ParseKind(order.Kind)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	receipt, err := uuid.Parse(order.Receipt)
	if err != nil || len(order.Receipt) != 36 {
		return fail(http.StatusBadRequest, "receipt is %.80q: it is the id of a consent record, a UUID", order.Receipt)
	}
	span, err := mail.ParseExpiry(order.Expires)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	now := s.now()
	link := mail.Link{Kind: kind, Receipt: receipt, Message: order.Message, To: order.To, Expires: now.Add(span).UTC().Truncate(time.Second)}
	into.Token, err = snap.mail.Mint(st.Site, link, now)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	if _, seen := granted[receipt]; !seen {
		last, err := s.recipient(ctx, st, receipt)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		granted[receipt] = err == nil && s.grants(st, &last, st.Mail.Category, false)
	}
	into.Path, into.Expires, into.Granted = mail.Path(st.Name, kind, into.Token), link.Expires, granted[receipt]
	return nil
}
