// Package cookie turns a choice into the signed value that the visitor's browser keeps, and back.
//
// The value is gorilla/securecookie's (HMAC-SHA256 over name, time and payload) around a compact payload of our own. The
// cookie's name is signed with it, so that one site's choice is no choice on another. Anything that is unsigned, signed
// with an unknown key, from another site, of an unknown version or malformed is an error, which callers take for "no
// choice" (REQUIREMENTS A3). How old a choice may be is for consent.Decide to say.
package cookie

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
)

// MaxAge is the longest that a choice is ever believed: 395 days, in seconds (C1).
const MaxAge = 395 * 24 * 60 * 60

// Codec signs and verifies choices.
type Codec struct{ codecs []securecookie.Codec }

// NewCodec makes a codec that signs with the first key and believes all of them: the newest comes first.
func NewCodec(secrets []keys.Secret) (*Codec, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no key to sign choices with")
	}
	c := &Codec{}
	for _, secret := range secrets {
		s := securecookie.New(secret.Bytes(), nil)
		s.SetSerializer(payload{})
		s.MaxAge(MaxAge)
		s.MaxLength(maxLength)
		c.codecs = append(c.codecs, s)
	}
	return c, nil
}

// maxLength bounds what is verified at all; a choice of a site with 64 services stays under it.
const maxLength = 3072

// Name is the name of a site's choice cookie.
func Name(site string) string { return "stile_" + site }

// Mirror is the name of the readable state beside a site's choice cookie.
func Mirror(site string) string { return Name(site) + "_state" }

// Encode signs a choice for a site.
func (c *Codec) Encode(site string, choice *consent.Choice) (string, error) {
	value, err := securecookie.EncodeMulti(Name(site), choice, c.codecs...)
	if err != nil {
		return "", fmt.Errorf("signing a choice: %w", err)
	}
	return value, nil
}

// Decode verifies a value that Encode made for the same site.
func (c *Codec) Decode(site, value string) (*consent.Choice, error) {
	var choice consent.Choice
	if err := securecookie.DecodeMulti(Name(site), value, &choice, c.codecs...); err != nil {
		return nil, fmt.Errorf("reading a choice: %w", err)
	}
	return &choice, nil
}

// payload is the serializer: version, receipt, time, flags, policy, list, granted, denied, services, refused. A string is its
// length in a byte and its bytes; a list its length in a byte and its strings, in which the categories that every site
// has are one byte.
type payload struct{}

// Version 1 had no flag for minors and no refused.
const version = 2

// Flags.
const (
	flagGPC = 1 << iota
	flagMinor
)

// known are the category names that are written as one byte, by position. The order is part of the format.
var known = []string{"", "necessary", "functional", "analytics", "marketing"}

// Serialize writes a *consent.Choice.
func (payload) Serialize(src any) ([]byte, error) {
	c, ok := src.(*consent.Choice)
	if !ok {
		return nil, fmt.Errorf("a choice is wanted, not %T", src)
	}
	b := append(make([]byte, 0, 64), version)
	b = append(b, c.Receipt[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Time.Unix()))
	var flags byte
	if c.GPC {
		flags |= flagGPC
	}
	if c.Minor {
		flags |= flagMinor
	}
	b = append(b, flags)
	var err error
	for _, s := range []string{c.Policy, c.List} {
		if b, err = appendString(b, s); err != nil {
			return nil, err
		}
	}
	for _, list := range [][]string{c.Granted, c.Denied, c.Services, c.Refused} {
		if len(list) > 255 {
			return nil, fmt.Errorf("a choice of %d names is too long", len(list))
		}
		b = append(b, byte(len(list)))
		for _, s := range list {
			if i := slices.Index(known, s); i > 0 {
				b = append(b, byte(i))
			} else if b, err = appendString(b, s); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// Strings start at stringBase, so that a smaller byte is one of the known names.
const stringBase = 16

func appendString(b []byte, s string) ([]byte, error) {
	if len(s) > 255-stringBase {
		return nil, fmt.Errorf("%q is too long for a choice", s)
	}
	return append(append(b, byte(stringBase+len(s))), s...), nil
}

var errPayload = errors.New("this is not the payload of a choice")

// Deserialize reads into a *consent.Choice. What is left over is an error.
func (payload) Deserialize(src []byte, dst any) error {
	c, ok := dst.(*consent.Choice)
	if !ok {
		return fmt.Errorf("a choice is wanted, not %T", dst)
	}
	if len(src) < 22 || src[0] == 0 || src[0] > version || src[21] > flagGPC|flagMinor || src[0] == 1 && src[21] > flagGPC {
		return errPayload
	}
	copy(c.Receipt[:], src[1:17])
	c.Time = time.Unix(int64(binary.BigEndian.Uint32(src[17:21])), 0).UTC()
	c.GPC, c.Minor = src[21]&flagGPC != 0, src[21]&flagMinor != 0
	r := reader{rest: src[22:]}
	c.Policy, c.List = r.text(), r.text()
	c.Granted, c.Denied, c.Services = r.list(), r.list(), r.list()
	if src[0] > 1 {
		c.Refused = r.list()
	}
	if r.bad || len(r.rest) > 0 {
		return errPayload
	}
	return nil
}

type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) next() byte {
	if len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) text() string {
	head := r.next()
	n := int(head) - stringBase
	switch {
	case head > 0 && int(head) < len(known):
		return known[head]
	case n < 0 || n > len(r.rest):
		r.bad = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) list() []string {
	list := make([]string, 0, 4)
	for range int(r.next()) {
		if r.bad {
			return nil
		}
		list = append(list, r.text())
	}
	return list
}
