package mail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// payload is the serializer: version, kind, receipt, expiry (seconds), category, message, destination. A string is its
// length, in a byte or for the destination in two, and its bytes.
type payload struct{}

const version = 1

// head is how long the part of fixed length is.
const head = 2 + 16 + 4

// Serialize writes a *Link.
func (payload) Serialize(src any) ([]byte, error) {
	l, ok := src.(*Link)
	if !ok {
		return nil, fmt.Errorf("a link is wanted, not %T", src)
	}
	kind, expires := slices.Index(kinds, l.Kind), l.Expires.Unix()
	if kind < 0 || len(l.Category) > math.MaxUint8 || len(l.Message) > math.MaxUint8 || len(l.To) > longestTo ||
		expires < 0 || expires > math.MaxUint32 {
		return nil, errors.New("a part of the link does not fit")
	}
	b := append(make([]byte, 0, head+4+len(l.Category)+len(l.Message)+len(l.To)), version, byte(kind))
	b = append(b, l.Receipt[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(expires))
	b = append(append(b, byte(len(l.Category))), l.Category...)
	b = append(append(b, byte(len(l.Message))), l.Message...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.To)))
	return append(b, l.To...), nil
}

var errPayload = errors.New("this is not the payload of a token")

// Deserialize reads into a *Link. What is left over is an error.
func (payload) Deserialize(src []byte, dst any) error {
	l, ok := dst.(*Link)
	if !ok {
		return fmt.Errorf("a link is wanted, not %T", dst)
	}
	if len(src) < head || src[0] != version || int(src[1]) >= len(kinds) {
		return errPayload
	}
	l.Kind = kinds[src[1]]
	copy(l.Receipt[:], src[2:18])
	l.Expires = time.Unix(int64(binary.BigEndian.Uint32(src[18:head])), 0).UTC()
	rest := src[head:]
	for _, part := range []struct {
		into   *string
		length int
	}{{&l.Category, 1}, {&l.Message, 1}, {&l.To, 2}} {
		if len(rest) < part.length {
			return errPayload
		}
		n := 0
		for _, b := range rest[:part.length] {
			n = n<<8 | int(b)
		}
		rest = rest[part.length:]
		if n > len(rest) {
			return errPayload
		}
		*part.into, rest = string(rest[:n]), rest[n:]
	}
	if len(rest) > 0 || len(l.To) > longestTo {
		return errPayload
	}
	return nil
}
