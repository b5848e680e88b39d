// Package keys holds what the server signs with: choices (and the links in mails), receipts, and checkpoints of the log.
//
// A folder (data/keys) has one file a key, readable by its owner alone, named by kind and by when it was made, UTC:
//
//	cookie-20261123T120000.000000000Z.key     64 hex digits: a secret of 32 bytes for HMAC
//	receipt-20261123T120000.000000000Z.key    64 hex digits: the seed of an Ed25519 key
//	receipt-20260101T120000.000000000Z.pub    a retired one, stile+hash+base64 (golang.org/x/mod/sumdb/note)
//	log-20261123T120000.000000000Z.key        as for receipts
//
// The newest of a kind signs, and all of them are believed. So a rotation (New, then a reload) loses nothing, and ends
// with Retire: the file of a cookie key is deleted, and the choices that it signed are no choices any more; of the others
// the public part stays, so that what they signed still verifies.
//
// Nothing here prints a secret: as text, in a log or as JSON a key is its name.
package keys

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Kind is what a key signs.
type Kind string

// The kinds there are.
const (
	Cookie  Kind = "cookie"  // choices and the links in mails
	Receipt Kind = "receipt" // a visitor's records, as they get them
	Log     Kind = "log"     // checkpoints of the log
)

var kinds = []Kind{Cookie, Receipt, Log}

// Owner is the name that all public keys and the signatures of notes carry.
const Owner = "stile"

// length is that of a secret and of a seed, in bytes.
const length = 32

// label is all of a key that is ever shown.
type label struct {
	kind Kind
	name string
	made time.Time
}

// Name is that of the key's file, without the folder, or says which of those given it is: "key 1 of STILE_KEYS".
func (l label) Name() string { return l.name }

// Kind is what the key signs.
func (l label) Kind() Kind { return l.kind }

// Made is when the key was made, UTC; zero for one that was given.
func (l label) Made() time.Time { return l.made }

func (l label) String() string { return l.name }

// Format prints the name, whatever the verb: %#v and %x too.
func (l label) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, l.name) }

// MarshalText gives the name, to JSON too.
func (l label) MarshalText() ([]byte, error) { return []byte(l.name), nil }

// LogValue is the name.
func (l label) LogValue() slog.Value { return slog.StringValue(l.name) }

// Secret signs choices.
type Secret struct {
	label
	// A closure, here and below: fmt calls no method of a field that is not exported, and follows pointers by verbs that it
	// does not know. Of a function it prints the address.
	bytes func() *[length]byte
}

// Bytes is the secret itself, 32 bytes, for the HMAC and for nothing else.
func (s Secret) Bytes() []byte {
	if s.bytes == nil {
		return nil
	}
	return slices.Clone(s.bytes()[:])
}

// Equal tells whether two keys are the same secret of the same name.
func (s Secret) Equal(o Secret) bool {
	return s.name == o.name && subtle.ConstantTimeCompare(s.Bytes(), o.Bytes()) == 1
}

// Signer is an Ed25519 key of receipts or of the log. One that is retired has its public part alone.
type Signer struct {
	label
	public   ed25519.PublicKey
	line     string
	verifier note.Verifier
	sign     func(message []byte) []byte // nil: retired
}

// Retired tells whether the key signs nothing any more.
func (s Signer) Retired() bool { return s.sign == nil }

// ID names the key in what it signed: the hash that notes know it by, as 8 hex digits.
func (s Signer) ID() string { return fmt.Sprintf("%08x", s.verifier.KeyHash()) }

// Public is the public key.
func (s Signer) Public() ed25519.PublicKey { return slices.Clone(s.public) }

// Line is the public key as auditors take it, stile+hash+base64: note.NewVerifier reads it.
func (s Signer) Line() string { return s.line }

// Sign is the Ed25519 signature of a message, 64 bytes; nil by a retired key, which no message verifies by. What is signed
// has to begin with words of its own, so that it is never taken for something else.
func (s Signer) Sign(message []byte) []byte {
	if s.Retired() {
		return nil
	}
	return s.sign(message)
}

// NoteVerifier verifies notes of the key.
func (s Signer) NoteVerifier() note.Verifier { return s.verifier }

// NoteSigner signs notes. That of a retired key gives an error.
func (s Signer) NoteSigner() note.Signer { return noteSigner{s} }

type noteSigner struct{ key Signer }

func (n noteSigner) Name() string    { return Owner }
func (n noteSigner) KeyHash() uint32 { return n.key.verifier.KeyHash() }

func (n noteSigner) Sign(message []byte) ([]byte, error) {
	if n.key.Retired() {
		return nil, fmt.Errorf("%s is retired, and signs nothing any more", n.key.name)
	}
	return n.key.Sign(message), nil
}

// Equal tells whether two keys are the same key of the same name.
func (s Signer) Equal(o Signer) bool {
	return s.name == o.name && s.line == o.line && s.Retired() == o.Retired()
}

// Ring is the keys of a server. In each list the first one signs: they are newest first, and retired ones come last.
type Ring struct {
	Cookie       []Secret
	Receipt, Log []Signer
}

// signers are the keys of receipts or of the log.
func (r *Ring) signers(kind Kind) *[]Signer {
	if kind == Receipt {
		return &r.Receipt
	}
	return &r.Log
}

// has tells whether there is any key of a kind.
func (r *Ring) has(kind Kind) bool {
	if kind == Cookie {
		return len(r.Cookie) > 0
	}
	return len(*r.signers(kind)) > 0
}

// signs tells whether there is a key of a kind that signs.
func (r *Ring) signs(kind Kind) bool {
	if kind == Cookie {
		return len(r.Cookie) > 0
	}
	list := *r.signers(kind)
	return len(list) > 0 && !list[0].Retired()
}

// order puts the keys that sign before the retired ones; otherwise they stay as they are.
func (r *Ring) order() {
	for _, kind := range []Kind{Receipt, Log} {
		slices.SortStableFunc(*r.signers(kind), func(a, b Signer) int {
			switch {
			case a.Retired() == b.Retired():
				return 0
			case a.Retired():
				return 1
			}
			return -1
		})
	}
}

// check finds a key that is there twice: by one hash no verifier could tell them apart, and a key that signs two kinds of
// thing may one day sign one that is taken for the other. The same secret twice for cookies harms nobody.
func (r *Ring) check() error {
	seen := map[string]string{}
	for _, s := range r.Cookie {
		seen[hex.EncodeToString(ed25519.NewKeyFromSeed(s.bytes()[:]).Public().(ed25519.PublicKey))] = s.name
	}
	for _, s := range slices.Concat(r.Receipt, r.Log) {
		for _, id := range []string{hex.EncodeToString(s.public), s.ID()} {
			if other, twice := seen[id]; twice {
				return fmt.Errorf("%s and %s are the same key: leave one of them out, or make another (stile keys new, openssl rand -hex 32)", other, s.name)
			}
			seen[id] = s.name
		}
	}
	return nil
}

// Verifiers verify the notes of all keys of receipts or of the log, retired ones included.
func (r Ring) Verifiers(kind Kind) note.Verifiers {
	var list []note.Verifier
	for _, s := range *r.signers(kind) {
		list = append(list, s.verifier)
	}
	return note.VerifierList(list...)
}

// State is what a key still does.
type State string

// The states there are.
const (
	Signs    State = "signs"
	Verifies State = "verifies" // what it signed is believed
	Retired  State = "retired"  // the same, and its private part is gone
)

// Info is what may be shown of a key.
type Info struct {
	Name   string    `json:"name"`
	Kind   Kind      `json:"kind"`
	Made   time.Time `json:"made,omitzero"`
	State  State     `json:"state"`
	Public string    `json:"public,omitempty"` // as auditors take it; a cookie key has none

	Next time.Time `json:"-"` // when the one that signs in its place was made; zero: it signs, or that is not known
}

// List is what may be shown of all keys: by kind, and as they stand in the ring.
func (r Ring) List() []Info {
	var all []Info
	for i, s := range r.Cookie {
		info := Info{Name: s.name, Kind: s.kind, Made: s.made, State: Signs}
		if i > 0 {
			info.State, info.Next = Verifies, r.Cookie[i-1].made
		}
		all = append(all, info)
	}
	for _, kind := range []Kind{Receipt, Log} {
		for i, s := range *r.signers(kind) {
			info := Info{Name: s.name, Kind: kind, Made: s.made, State: Verifies, Public: s.line}
			switch {
			case s.Retired():
				info.State = Retired
			case i == 0:
				info.State = Signs
			}
			all = append(all, info)
		}
	}
	return all
}

// ErrUnknown is returned by Find and Retire for a key that is not there.
var ErrUnknown = errors.New("there is no key of that name: stile keys list prints them")

// Find is a key by its name, with the ending of its file or without.
func (r Ring) Find(name string) (Info, error) {
	for _, info := range r.List() {
		if stem(info.Name) == stem(name) {
			return info, nil
		}
	}
	return Info{}, ErrUnknown
}

// stem is a name without the ending that tells whether the key is retired.
func stem(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, private), public)
}

// Publish is the public keys of receipts and log, a line each that note.NewVerifier reads, below one that says what it is.
func (r Ring) Publish() string {
	var b strings.Builder
	for _, info := range r.List() {
		if info.Public == "" {
			continue
		}
		b.WriteString("# " + string(info.Kind) + " ")
		if !info.Made.IsZero() {
			b.WriteString(info.Made.Format(time.RFC3339) + " ")
		}
		b.WriteString(string(info.State) + "\n" + info.Public + "\n")
	}
	return b.String()
}
