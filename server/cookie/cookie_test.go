package cookie

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/gorilla/securecookie"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
)

func codec(t testing.TB, secrets ...byte) *Codec {
	t.Helper()
	var list []keys.Secret
	for _, b := range secrets {
		ring, err := keys.Parse([]string{strings.Repeat(fmt.Sprintf("%02x", b), 32)}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ring.Cookie...)
	}
	c, err := NewCodec(list)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func choice() *consent.Choice {
	return &consent.Choice{
		Receipt: uuid.MustParse("01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b"), Time: time.Unix(1795348800, 0).UTC(),
		Policy: "2026-11-01", List: "AbC-_9", Granted: []string{"analytics", "functional"}, Denied: []string{"marketing"}, Services: []string{}, Refused: []string{},
	}
}

func TestRoundTrip(t *testing.T) {
	c := codec(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9-]{0,31}|necessary|functional|analytics|marketing`)
		names := func(label string) []string { return rapid.SliceOfN(name, 0, 16).Draw(t, label) }
		want := &consent.Choice{
			Time:   time.Unix(rapid.Int64Range(0, 1<<32-1).Draw(t, "time"), 0).UTC(),
			Policy: rapid.StringMatching(`[A-Za-z0-9._-]{1,32}`).Draw(t, "policy"), List: rapid.StringMatching(`[A-Za-z0-9_-]{6}`).Draw(t, "list"),
			Granted: names("granted"), Denied: names("denied"), Services: names("services"), Refused: names("refused"), GPC: rapid.Bool().Draw(t, "gpc"), Minor: rapid.Bool().Draw(t, "minor"),
		}
		copy(want.Receipt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "receipt"))
		value, err := c.Encode("shop", want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decode("shop", value)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

// TestFirstVersion: a choice that was signed before there were minors and refused vendors holds.
func TestFirstVersion(t *testing.T) {
	want := choice()
	plain, err := payload{}.Serialize(want)
	if err != nil {
		t.Fatal(err)
	}
	old := bytes.Clone(plain[:len(plain)-1])
	old[0] = 1
	var got consent.Choice
	if err := (payload{}).Deserialize(old, &got); err != nil {
		t.Fatal(err)
	}
	want.Refused = nil
	if d := cmp.Diff(want, &got); d != "" {
		t.Error(d)
	}
	old[21] = flagMinor
	if err := (payload{}).Deserialize(old, &got); err == nil {
		t.Error("the first version had no flag for minors")
	}
}

// C2: under 200 bytes, name and all, for a site with the usual categories.
func TestC2Size(t *testing.T) {
	value, err := codec(t, 1).Encode("shop", choice())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Name("shop")) + 1 + len(value); n >= 200 {
		t.Errorf("the cookie has %d bytes: %s", n, value)
	}
}

// A3: whatever is not a choice that this server signed for this site is no choice.
func TestA3NoChoice(t *testing.T) {
	c := codec(t, 1)
	good, err := c.Encode("shop", choice())
	if err != nil {
		t.Fatal(err)
	}
	sign := func(payloadBytes []byte) string {
		s := securecookie.New(bytes.Repeat([]byte{1}, 32), nil)
		s.SetSerializer(securecookie.NopEncoder{})
		value, err := s.Encode("stile_shop", payloadBytes)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	plain, err := payload{}.Serialize(choice())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := c.Encode("other", choice())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := codec(t, 2).Encode("shop", choice())
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(plain)
	changed[0] = version + 1
	for name, value := range map[string]string{
		"empty": "", "unsigned": base64.URLEncoding.EncodeToString(plain), "of another site": foreign, "with another key": stranger,
		"of an unknown version": sign(changed), "cut short": sign(plain[:len(plain)-1]), "with more behind": sign(append(bytes.Clone(plain), 0)),
		"cut in the middle": good[:len(good)/2], "words": "analytics", "too long": good + strings.Repeat("A", 5000),
	} {
		if got, err := c.Decode("shop", value); err == nil {
			t.Errorf("a cookie %s is taken for %+v", name, got)
		}
	}
	if _, err := c.Decode("shop", sign(plain)); err != nil {
		t.Fatalf("the test signs otherwise than the codec: %v", err)
	}
	for i := range good {
		altered := []byte(good)
		altered[i] ^= 1
		if got, err := c.Decode("shop", string(altered)); err == nil && !sameBits(good, string(altered)) {
			t.Fatalf("with character %d altered it is taken for %+v", i, got)
		}
	}
}

// sameBits tells whether two base64 texts stand for the same bytes: the last character has bits that do not count.
func sameBits(a, b string) bool {
	x, errA := base64.URLEncoding.DecodeString(a)
	y, errB := base64.URLEncoding.DecodeString(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

func TestRotation(t *testing.T) {
	old, err := codec(t, 1).Encode("shop", choice())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec(t, 3, 2, 1).Decode("shop", old); err != nil {
		t.Errorf("after two rotations a choice is lost: %v", err)
	}
	if _, err := codec(t, 3, 2).Decode("shop", old); err == nil {
		t.Error("a choice is believed after its key was retired")
	}
}

func FuzzDecode(f *testing.F) {
	c := codec(f, 1)
	good, err := c.Encode("shop", choice())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "=")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		got, err := c.Decode("shop", value)
		if err == nil && !sameBits(value, good) {
			t.Fatalf("%q is taken for %+v", value, got)
		}
	})
}

func FuzzDeserialize(f *testing.F) {
	good, err := payload{}.Serialize(choice())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, src []byte) {
		var c consent.Choice
		if (payload{}).Deserialize(src, &c) != nil {
			return
		}
		again, err := payload{}.Serialize(&c)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var d consent.Choice
		if err := (payload{}).Deserialize(again, &d); err != nil || !cmp.Equal(c, d) {
			t.Fatalf("%+v became %+v (%v)", c, d, err)
		}
	})
}
