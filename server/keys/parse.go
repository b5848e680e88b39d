package keys

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

var (
	errSecret = fmt.Errorf("a key is %d hex digits", 2*length)
	errPublic = errors.New("a public key is a line like stile+1a2b3c4d+AbCd..., as stile keys public prints it")
)

// Parse reads keys that are given, newest first, as STILE_KEYS, STILE_RECEIPT_KEYS and STILE_LOG_KEYS have them: 64 hex
// digits each. A retired key of receipts or of the log is given by its public line. A kind of which none is given stays
// empty. No error shows what was given.
func Parse(cookie, receipt, log []string) (Ring, error) {
	var r Ring
	for _, given := range []struct {
		kind     Kind
		variable string
		texts    []string
	}{{Cookie, "STILE_KEYS", cookie}, {Receipt, "STILE_RECEIPT_KEYS", receipt}, {Log, "STILE_LOG_KEYS", log}} {
		for i, text := range given.texts {
			l := label{kind: given.kind, name: fmt.Sprintf("key %d of %s", i+1, given.variable)}
			if err := r.add(l, text); err != nil {
				return Ring{}, fmt.Errorf("%s cannot be read: %w", l.name, err)
			}
		}
		if r.order(); len(given.texts) > 0 && !r.signs(given.kind) {
			return Ring{}, fmt.Errorf("%s has only retired keys: put one to sign with before them (openssl rand -hex 32)", given.variable)
		}
	}
	return r, r.check()
}

// add reads a key into the ring, after those that are there.
func (r *Ring) add(l label, text string) error {
	if l.kind == Cookie {
		s, err := parseSecret(l, text)
		if err == nil {
			r.Cookie = append(r.Cookie, s)
		}
		return err
	}
	read := parseSeed
	if strings.Contains(text, "+") { // no hex digit
		read = parsePublic
	}
	s, err := read(l, text)
	if err == nil {
		r.put(s)
	}
	return err
}

func (r *Ring) put(s Signer) {
	list := r.signers(s.kind)
	*list = append(*list, s)
}

func parseSecret(l label, text string) (Secret, error) {
	b, err := parseHex(text)
	return Secret{label: l, bytes: func() *[length]byte { return b }}, err
}

// parseHex reads 64 hex digits. Its error never shows them.
func parseHex(text string) (*[length]byte, error) {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != length {
		return nil, errSecret
	}
	return (*[length]byte)(b), nil
}

func parseSeed(l label, text string) (Signer, error) {
	seed, err := parseHex(text)
	if err != nil {
		return Signer{}, err
	}
	key := ed25519.NewKeyFromSeed(seed[:])
	line, err := note.NewEd25519VerifierKey(Owner, key.Public().(ed25519.PublicKey))
	if err != nil {
		return Signer{}, fmt.Errorf("making its public key: %w", err)
	}
	s, err := parsePublic(l, line)
	s.sign = func(message []byte) []byte { return ed25519.Sign(key, message) }
	return s, err
}

func parsePublic(l label, text string) (Signer, error) {
	line := strings.TrimSpace(text)
	v, err := note.NewVerifier(line)
	if err != nil {
		return Signer{}, errPublic
	}
	if v.Name() != Owner {
		return Signer{}, fmt.Errorf("it is the public key of somebody else: Stile's begin with %q", Owner+"+")
	}
	parts := strings.SplitN(line, "+", 3)
	b, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return Signer{}, errPublic
	}
	s := Signer{label: l, public: b[1:], line: line, verifier: v} // the first byte says that it is Ed25519, which was checked
	// One key has one line: that of another is refused, though it would verify.
	if again, err := note.NewEd25519VerifierKey(Owner, s.public); err != nil || again != line {
		return Signer{}, errPublic
	}
	return s, nil
}
