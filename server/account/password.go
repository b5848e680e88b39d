package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Lengths of a password, in bytes. Length is the only rule (NIST SP 800-63B-4, 3.1.1.2): others make people write them down.
const (
	shortestPassword = 12
	longestPassword  = 1024
)

// CheckPassword refuses what can be no password of a user.
func CheckPassword(name, password string) error {
	switch {
	case len(password) < shortestPassword:
		return invalid("the password has %d bytes: it has at least %d; several words do well", len(password), shortestPassword)
	case len(password) > longestPassword:
		return invalid("the password has %d bytes: it has at most %d", len(password), longestPassword)
	case strings.EqualFold(password, name):
		return invalid("the password is the user's name: everybody who knows that would get in")
	}
	return nil
}

// cost is what argon2id is told to take: memory in KiB, passes over it, and lanes.
type cost struct {
	memory, passes uint32
	lanes          uint8
}

// usual is the first choice of OWASP's Password Storage Cheat Sheet for argon2id: 19 MiB, 2 passes, 1 lane.
var usual = cost{19 << 10, 2, 1}

const (
	saltLength = 16
	hashLength = 32
)

// secret is a password as it is kept.
type secret struct {
	cost
	salt, hash []byte
}

// String is the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, in base64 without padding.
func (s secret) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, s.memory, s.passes, s.lanes, b64(s.salt), b64(s.hash))
}

var errSecret = errors.New("this is no argon2id password")

// parseSecret reads what String wrote, and refuses any other text, and what would take a log-in more than 1 GiB or 64 passes.
func parseSecret(text string) (s secret, err error) {
	var version int
	head, tail, _ := strings.Cut(strings.TrimPrefix(text, "$argon2id$"), ",p=")
	if n, _ := fmt.Sscanf(head, "v=%d$m=%d,t=%d", &version, &s.memory, &s.passes); n != 3 {
		return secret{}, errSecret
	}
	parts := strings.Split(tail, "$")
	if len(parts) != 3 {
		return secret{}, errSecret
	}
	if n, _ := fmt.Sscanf(parts[0], "%d", &s.lanes); n != 1 {
		return secret{}, errSecret
	}
	strict := base64.RawStdEncoding.Strict()
	var errSalt, errHash error
	s.salt, errSalt = strict.DecodeString(parts[1])
	s.hash, errHash = strict.DecodeString(parts[2])
	low := s.memory < 8*uint32(s.lanes) || s.passes < 1 || s.lanes < 1 || len(s.salt) < 8 || len(s.hash) < 16
	high := s.memory > 1<<20 || s.passes > 64 || len(s.salt) > 64 || len(s.hash) > 64
	if errors.Join(errSalt, errHash) != nil || low || high || s.String() != text {
		return secret{}, errSecret
	}
	return s, nil
}

// hasher makes and checks passwords, a few at a time: each takes 19 MiB and tens of milliseconds of a processor.
type hasher struct {
	cost  cost
	slots chan struct{}
	dummy secret // what an unknown name's password is compared with; nothing is equal to it
}

const (
	mostHashes = 2
	hashWait   = 3 * time.Second // for a slot
)

func newHasher() *hasher {
	h := &hasher{cost: usual, slots: make(chan struct{}, mostHashes)}
	h.dummy = secret{h.cost, make([]byte, saltLength), make([]byte, hashLength)}
	_, _ = rand.Read(h.dummy.salt) // it never fails
	_, _ = rand.Read(h.dummy.hash)
	return h
}

// derive computes a hash of a password. The same password typed on another keyboard may come as other bytes: it is
// normalised (NFC).
func (h *hasher) derive(ctx context.Context, password string, c cost, salt []byte, length int) ([]byte, error) {
	late := time.NewTimer(hashWait)
	defer late.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-late.C:
		return nil, ErrCrowded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey(norm.NFC.Bytes([]byte(password)), salt, c.passes, c.memory, c.lanes, uint32(length)), nil //nolint:gosec // 16 to 64
}

// keep makes what is kept of a password.
func (h *hasher) keep(ctx context.Context, password string) (string, error) {
	s := secret{cost: h.cost, salt: make([]byte, saltLength)}
	_, _ = rand.Read(s.salt) // it never fails
	var err error
	s.hash, err = h.derive(ctx, password, s.cost, s.salt, hashLength)
	return s.String(), err
}

// check tells whether a password is the one that was kept, and whether that is to be kept anew, at today's cost. Kept is ""
// where there is none to compare with: that takes the same time.
func (h *hasher) check(ctx context.Context, kept, password string) (same, old bool, err error) {
	s := h.dummy
	if kept != "" {
		if s, err = parseSecret(kept); err != nil {
			return false, false, fmt.Errorf("reading a password: %w", err)
		}
	}
	if len(password) > longestPassword {
		password = "" // it is nobody's, and neither is this
	}
	got, err := h.derive(ctx, password, s.cost, s.salt, len(s.hash))
	if err != nil {
		return false, false, err
	}
	same = subtle.ConstantTimeCompare(got, s.hash) == 1 && kept != ""
	return same, same && s.cost != h.cost, nil
}
