package ledger

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// The bytes of a leaf are those of every hash ever made: this text is never edited.
const leafOfAll = `{"form":1,"salt":"000102030405060708090a0b0c0d0e0f","id":"0190f5a1-0000-7000-8000-000000000001","key":"00000000-0000-4000-8000-000000000002","site":"shop","previous":"0190f5a1-0000-7000-8000-000000000003","time":"2026-11-01T12:00:00.123Z","action":"custom","granted":["analytics"],"denied":["functional","marketing"],"services":["chat"],"refused":["ads","\u003cé\u003e\""],"regime":"gdpr","country":"DE","language":"de","policy":"2026-11-01","list":"Ab3-_x","notice":"c0ffee","surface":"banner","gpc":true,"age":"older","expiry":"2027-05-01T12:00:00.123Z"}`

func TestLeaf(t *testing.T) {
	r := record("shop")
	r.ID, r.Key = uuid.MustParse("0190f5a1-0000-7000-8000-000000000001"), uuid.MustParse("00000000-0000-4000-8000-000000000002")
	r.Previous = uuid.MustParse("0190f5a1-0000-7000-8000-000000000003")
	r.Refused = append(r.Refused, `<é>"`)
	for i := range r.Salt {
		r.Salt[i] = byte(i)
	}
	if got := string(Leaf(&r)); got != leafOfAll {
		t.Errorf("leaf is\n%s\nwant\n%s", got, leafOfAll)
	}
	back, err := ParseLeaf([]byte(leafOfAll))
	if diff := cmp.Diff(r, back); diff != "" || err != nil {
		t.Errorf("%v, read back (-want +got):\n%s", err, diff)
	}
	for _, wrong := range []string{
		"", "{}", leafOfAll + " ", leafOfAll + "{}", " " + leafOfAll, strings.Replace(leafOfAll, `"form":1`, `"form":2`, 1),
		strings.Replace(leafOfAll, `"gdpr"`, `"gdpr","ip":"192.0.2.1"`, 1), strings.Replace(leafOfAll, "00010203", "0001020", 1),
		strings.Replace(leafOfAll, "12:00:00.123Z", "12:00:00.1239Z", 1), strings.Replace(leafOfAll, "0190f5a1-", "0190F5A1-", 1),
		strings.Replace(leafOfAll, "0d0e0f", "0d0e0f10", 1),
	} {
		if r, err := ParseLeaf([]byte(wrong)); err == nil {
			t.Errorf("%q was read as %+v", wrong, r)
		}
	}
}

// A record has the same leaf when it is read as when it was stored, whatever is in it.
func TestLeafOfStored(t *testing.T) {
	l := fresh(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
		r := record("shop")
		r.Granted, r.Regime, r.Policy = rapid.SliceOf(text).Draw(t, "granted"), text.Draw(t, "regime"), text.Draw(t, "policy")
		r.GPC = rapid.Bool().Draw(t, "gpc")
		stored, err := l.Append(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		found, err := l.Find(context.Background(), "shop", stored.ID)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := Leaf(&stored), Leaf(&found); !bytes.Equal(a, b) {
			t.Fatalf("stored %s\nfound  %s", a, b)
		}
		back, err := ParseLeaf(Leaf(&found))
		back.Subject, back.Leaf = found.Subject, found.Leaf
		if diff := cmp.Diff(found, back); diff != "" || err != nil {
			t.Fatalf("%v, read back (-want +got):\n%s", err, diff)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	f.Add([]byte(leafOfAll))
	f.Add([]byte(`{"form":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseLeaf(text)
		if err == nil && !bytes.Equal(Leaf(&r), text) {
			t.Errorf("%q was read, and is written as %q", text, Leaf(&r))
		}
	})
}
