// Package mail makes and reads the tokens of newsletters: the beacon that tells that a mail was opened, the tracked link,
// and the page on which a recipient takes their consent back.
//
// A token says whose mail it was (by a receipt, the id of a consent record: no address), and nothing of what they allow.
// That is decided whenever a token is fetched, so that a withdrawal works for mails that were sent already. A link's
// destination is inside of the token, and held against the site's allow-list when it is minted and when it is fetched: a
// token is no open redirect.
//
// Consent is that of the newest record of the receipt's visitor. A withdrawal in a mail adds a record; a browser that keeps
// an older choice in its cookie goes by that until its visitor chooses again.
//
// A mailer that is written in Go and may read the keys of the data folder mints tokens by itself:
//
//	ring, err := keys.Read("data/keys")
//	codec, err := mail.NewCodec(ring.Cookie)
//	token, err := codec.Mint(site, mail.Link{Kind: mail.Open, Receipt: receipt, Message: "2026-11"}, time.Now())
//	path := mail.Path(site.Name, mail.Open, token) // /stile/shop/open/....gif
//
// Others use `stile mail token`, or POST /stile/{site}/mail/token. Keys are rotated as ever (`stile keys new`): tokens of
// the older ones are believed until they are retired.
package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/securecookie"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
)

// Kind is what a token is for. One that was minted for one is none for another.
type Kind string

// The kinds there are.
const (
	Open  Kind = "open"  // the beacon
	Click Kind = "click" // a tracked link
	Leave Kind = "leave" // the page on which consent is taken back, and its one-click (RFC 8058)
)

// The order is part of the format.
var kinds = []Kind{Open, Click, Leave}

// ParseKind reads a kind.
func ParseKind(text string) (Kind, error) {
	if !slices.Contains(kinds, Kind(text)) {
		return "", fmt.Errorf("kind is %q: it is one of open, click, leave", text)
	}
	return Kind(text), nil
}

// Link is what a token says.
type Link struct {
	Site     string
	Kind     Kind
	Receipt  uuid.UUID // id of a consent record of the recipient's
	Category string    // whose consent counts; Mint fills in the site's
	Message  string    // the newsletter's own name for the mail: 1 to 64 of letters, digits, dot, dash and underscore
	To       string    // destination, an absolute URL in ASCII of at most 2000 bytes; for Click alone
	Expires  time.Time // UTC, to the second; Mint fills in DefaultExpiry from now
}

// How long a token holds. A recipient may leave years later, but not by a mail whose keys nobody dares to retire.
const (
	DefaultExpiry = 400 * 24 * time.Hour
	LongestExpiry = 800 * 24 * time.Hour
)

var (
	// ErrAltered is returned by Read for what is no token of that site and kind.
	ErrAltered = errors.New("this is not a link that was sent in a mail")

	// ErrExpired is returned by Read, with what the token says.
	ErrExpired = errors.New("this link has expired")
)

// Codec mints and reads tokens.
type Codec struct{ codecs []securecookie.Codec }

// NewCodec makes a codec that signs with the first key and believes all of them: the newest comes first.
func NewCodec(secrets []keys.Secret) (*Codec, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no key to sign the tokens of mails with")
	}
	c := &Codec{}
	for _, secret := range secrets {
		s := securecookie.New(secret.Bytes(), nil)
		s.SetSerializer(payload{})
		s.MaxAge(0) // a token says itself until when it holds
		s.MaxLength(maxLength)
		c.codecs = append(c.codecs, s)
	}
	return c, nil
}

// maxLength bounds what is verified at all; a token with the longest destination stays under it.
const maxLength = 4096

// name is signed with a token. No site has it, since a site's name has no dot.
func name(site string) string { return cookie.Name(site + ".mail") }

// Mint signs a token for a mail of the site. The error is one line that says which part of the link was wrong.
func (c *Codec) Mint(s *consent.Site, l Link, now time.Time) (string, error) {
	if s.Mail == nil {
		return "", fmt.Errorf("site %s does not count its mails: add mail: {category: ...} to its stile.yaml", s.Name)
	}
	l.Site, l.Category = s.Name, s.Mail.Category
	if l.Expires.IsZero() {
		l.Expires = now.Add(DefaultExpiry)
	}
	if err := check(s, &l, now); err != nil {
		return "", err
	}
	token, err := securecookie.EncodeMulti(name(s.Name), &l, c.codecs...)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return strings.TrimRight(token, "="), nil
}

var messageName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func check(s *consent.Site, l *Link, now time.Time) error {
	if _, err := ParseKind(string(l.Kind)); err != nil {
		return err
	}
	switch {
	case l.Receipt == uuid.Nil:
		return errors.New("receipt is missing: it is the id of a consent record, which /stile/{site}/receipt tells the page")
	case !messageName.MatchString(l.Message):
		return fmt.Errorf("message is %.80q: name the mail with 1 to 64 of letters, digits, dot, dash and underscore", l.Message)
	case l.Kind != Click && l.To != "":
		return fmt.Errorf("to goes with kind click, not with %s", l.Kind)
	case !l.Expires.After(now):
		return errors.New("expires is over already")
	case l.Expires.Sub(now) > LongestExpiry:
		return fmt.Errorf("expires is more than %d days ahead: that is the most", LongestExpiry/(24*time.Hour))
	case l.Kind != Click:
		return nil
	}
	if strings.Contains(strings.ToLower(l.To), l.Receipt.String()) {
		return errors.New("to has the receipt in it: what a link leads to learns nothing of the recipient")
	}
	return Allowed(s.Mail, l.To)
}

// longestTo is how many bytes a destination may have.
const longestTo = 2000

// Allowed tells whether a tracked link may lead somewhere; nil if it may.
func Allowed(m *consent.Mail, to string) error {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' } // browsers read these otherwise than net/url
	u, err := url.Parse(to)
	switch {
	case to == "":
		return errors.New("to is missing: a click leads somewhere")
	case len(to) > longestTo:
		return fmt.Errorf("to has %d bytes: at most %d", len(to), longestTo)
	case strings.ContainsFunc(to, odd) || err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("to is %.80q: write an absolute URL, such as https://www.shop.example/sale, with what is not ASCII escaped", to)
	case u.User != nil:
		return errors.New("to has a user name in it: leave it out")
	}
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	for _, pattern := range m.Links {
		scheme, host, wild := strings.Cut(pattern, "://*.")
		if !wild && origin == pattern || wild && strings.HasPrefix(origin, scheme+"://") && strings.HasSuffix(origin, "."+host) {
			return nil
		}
	}
	return fmt.Errorf("to leads to %s, which is not allowed: add it to mail.links in stile.yaml", origin)
}

// Read verifies a token that Mint made for the same site and kind. Whether its destination is still allowed is for Allowed
// to say.
func (c *Codec) Read(site string, kind Kind, token string, now time.Time) (Link, error) {
	// Base64 has several texts for the same bytes, and a token only one.
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxLength || base64.RawURLEncoding.EncodeToString(raw) != token {
		return Link{}, ErrAltered
	}
	var l Link
	err = securecookie.DecodeMulti(name(site), base64.URLEncoding.EncodeToString(raw), &l, c.codecs...)
	if err != nil || l.Kind != kind {
		return Link{}, ErrAltered
	}
	l.Site = site
	if !now.Before(l.Expires) {
		return l, ErrExpired
	}
	return l, nil
}

// Path is where a token is fetched.
func Path(site string, kind Kind, token string) string {
	path := "/stile/" + site + "/" + string(kind) + "/" + token
	if kind == Open {
		path += ".gif"
	}
	return path
}

var expirySpan = regexp.MustCompile(`^[1-9][0-9]{0,2}d$`)

// ParseExpiry reads how long a token is to hold, in days: "400d"; DefaultExpiry for "".
func ParseExpiry(text string) (time.Duration, error) {
	if text == "" {
		return DefaultExpiry, nil
	}
	days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	span := time.Duration(days) * 24 * time.Hour
	if err != nil || !expirySpan.MatchString(text) || span > LongestExpiry {
		return 0, fmt.Errorf("expires is %.20q: write a number of days from 1d to %dd", text, LongestExpiry/(24*time.Hour))
	}
	return span, nil
}
