// Package preview signs links that show a simulated visit on the real site. A link says itself which visit, on which page,
// and until when; it is signed by the keys of choices under a name that no site has, so that neither is ever taken for the
// other. It holds no choice of anybody's, and nothing of a person.
package preview

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
	"golang.org/x/net/publicsuffix"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/simulate"
)

// How long a link holds.
const (
	Usual   = time.Hour
	Longest = 7 * 24 * time.Hour
)

// Link is what is signed.
type Link struct {
	Visit simulate.Visit
	Page  string    // of the site, where it is shown
	Until time.Time // UTC, to the second
}

// Errors of Read.
var (
	ErrAltered = errors.New("this is not a preview that this Stile made for the site: make a new one in the simulator")
	ErrExpired = errors.New("the preview is over: make a new one in the simulator")
)

// Codec signs links and verifies them.
type Codec struct{ codecs []securecookie.Codec }

// NewCodec makes a codec that signs with the first key and believes all of them: the newest comes first.
func NewCodec(secrets []keys.Secret) (*Codec, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no key to sign previews with")
	}
	c := &Codec{}
	for _, secret := range secrets {
		s := securecookie.New(secret.Bytes(), nil)
		s.SetSerializer(payload{})
		s.MaxAge(0) // a link says itself until when it holds
		s.MaxLength(maxLength)
		c.codecs = append(c.codecs, s)
	}
	return c, nil
}

// maxLength bounds what is verified at all, and lets the link be kept as a cookie beside others.
const maxLength = 3072

// Cookie is the name of the cookie in which a browser keeps the link that it shows.
func Cookie(site string) string { return cookie.Name(site) + "_preview" }

// name is signed with a link. No site has it, since a site's name has no dot.
func name(site string) string { return cookie.Name(site + ".preview") }

// Mint signs a link for a site. The error is a line that says which part of it was wrong.
func (c *Codec) Mint(s *consent.Site, l Link, now time.Time) (string, error) {
	l.Until = l.Until.UTC().Truncate(time.Second)
	if _, err := l.Visit.Of(s, now); err != nil {
		return "", err
	}
	if err := CheckPage(s, l.Page); err != nil {
		return "", err
	}
	switch {
	case !l.Until.After(now):
		return "", errors.New("the preview would be over already")
	case l.Until.Sub(now) > Longest:
		return "", fmt.Errorf("a preview holds for %d days at most", Longest/(24*time.Hour))
	}
	token, err := securecookie.EncodeMulti(name(s.Name), &l, c.codecs...)
	if err != nil {
		return "", fmt.Errorf("the preview is too long for a link: name fewer services, or a shorter page: %w", err)
	}
	return token, nil
}

// Read verifies a token that Mint made for the same site: ErrAltered, or ErrExpired with the link.
func (c *Codec) Read(site, token string, now time.Time) (Link, error) {
	var l Link
	if err := securecookie.DecodeMulti(name(site), token, &l, c.codecs...); err != nil {
		return Link{}, ErrAltered
	}
	if !now.Before(l.Until) {
		return l, ErrExpired
	}
	return l, nil
}

// longestPage is how many bytes the address of a page may have.
const longestPage = 1000

// CheckPage tells whether a page is the site's own; nil if it is.
func CheckPage(s *consent.Site, page string) error {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' } // browsers read these otherwise than net/url
	u, err := url.Parse(page)
	switch {
	case page == "":
		return errors.New("the page is missing: name one of the site's, https://www.shop.example/")
	case len(page) > longestPage:
		return fmt.Errorf("the page's address has %d bytes: at most %d", len(page), longestPage)
	case err != nil || strings.ContainsFunc(page, odd) || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the page %.80q is no address: write it like https://www.shop.example/, with what is not ASCII escaped", page)
	case !s.Embeddable(strings.ToLower(u.Scheme + "://" + u.Host)):
		return fmt.Errorf("the page %.80q is not of site %s: its origins are %s", page, s.Name, strings.Join(s.Origins, ", "))
	}
	return nil
}

// Reaches tells whether a browser sends a host's cookies along from a page: only where both are of one registrable domain
// does it, since they are SameSite=Lax.
func Reaches(page, host string) bool {
	u, err := url.Parse(page)
	if err != nil {
		return false
	}
	a, b := strings.ToLower(u.Hostname()), strings.ToLower((&url.URL{Host: host}).Hostname())
	return a == b || domain(a) == domain(b) && domain(a) != ""
}

// domain is a host's registrable domain, or "".
func domain(host string) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return d
}

// payload is the serializer: JSON of short names.
type payload struct{}

type wire struct {
	Visit string `json:"v"` // as a query
	Page  string `json:"p"`
	Until int64  `json:"u"` // Unix seconds
}

// Serialize writes a *Link.
func (payload) Serialize(src any) ([]byte, error) {
	l, ok := src.(*Link)
	if !ok {
		return nil, fmt.Errorf("a preview is wanted, not %T", src)
	}
	return json.Marshal(wire{l.Visit.Values().Encode(), l.Page, l.Until.Unix()})
}

// Deserialize reads into a *Link.
func (payload) Deserialize(src []byte, dst any) error {
	l, ok := dst.(*Link)
	if !ok {
		return fmt.Errorf("a preview is wanted, not %T", dst)
	}
	var w wire
	if err := json.Unmarshal(src, &w); err != nil {
		return err
	}
	q, err := url.ParseQuery(w.Visit)
	if err != nil {
		return err
	}
	if l.Visit, err = simulate.Parse(q); err != nil {
		return err
	}
	l.Page, l.Until = w.Page, time.Unix(w.Until, 0).UTC()
	return nil
}
