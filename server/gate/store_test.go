package gate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// text is a script of its own for each key, that does not compress to nothing.
func text(i, size int) func() (string, error) {
	return func() (string, error) {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		b := make([]byte, size)
		for j := range b {
			b[j] = byte('a' + r.IntN(26))
		}
		return string(b), nil
	}
}

// kept counts what the store holds, in bytes, from the answers themselves.
func kept(s *store) (bytes int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, generation := range []map[string]*Answer{s.young, s.old} {
		for _, a := range generation {
			bytes += a.size()
		}
	}
	return bytes
}

// However many answers are asked for, the store keeps no more than it may; what is asked for all the time stays.
func TestStoreIsBounded(t *testing.T) {
	const memory, size = 256 << 10, 2 << 10
	s := newStore(memory)
	defer s.close()
	favourite, err := s.get("favourite", text(-1, size))
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for i := range 1000 {
		if _, err := s.get(fmt.Sprintf("key %d", i), text(i, size)); err != nil {
			t.Fatal(err)
		}
		most = max(most, kept(s))
		again, err := s.get("favourite", func() (string, error) { return "", errors.New("made again") })
		if err != nil || again != favourite {
			t.Fatalf("after %d others, what is asked for all the time is gone: %v", i+1, err)
		}
	}
	if most > memory {
		t.Errorf("the store held %d bytes, the bound is %d", most, memory)
	}
	if most < memory/2 {
		t.Errorf("the store never held more than %d bytes of %d: this test proves nothing", most, memory)
	}
}

// What was dropped is made again when it is asked for.
func TestStoreMakesAgain(t *testing.T) {
	const size = 1 << 10
	s := newStore(8 << 10)
	defer s.close()
	first, err := s.get("key 0", text(0, size))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := s.get(fmt.Sprintf("key %d", i+1), text(i+1, size)); err != nil {
			t.Fatal(err)
		}
	}
	if s.turn.Load() < 2 {
		t.Errorf("%d turns, though it was filled more than twice", s.turn.Load())
	}
	again, err := s.get("key 0", text(0, size))
	if err != nil {
		t.Fatal(err)
	}
	if again == first || again.ETag != first.ETag {
		t.Errorf("the answer was kept (%v), or is another one now: %s, was %s", again == first, again.ETag, first.ETag)
	}
}

// An error is not kept.
func TestStoreError(t *testing.T) {
	s := newStore(8 << 10)
	defer s.close()
	if _, err := s.get("key", func() (string, error) { return "", errors.New("broken") }); err == nil {
		t.Fatal("no error")
	}
	if _, err := s.get("key", text(0, 10)); err != nil {
		t.Error(err)
	}
}
