package preview

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/simulate"
)

var now = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

var shop = &consent.Site{
	Name: "shop", Origins: []string{"https://www.shop.example", "https://*.staging.shop.example"}, Languages: []string{"en"},
	Regimes: []consent.Regime{{Name: "all", Regions: []string{"*"}}}, Categories: []consent.Category{{Name: "analytics"}},
}

func newCodec(tb testing.TB) *Codec {
	tb.Helper()
	ring, err := keys.Ring{}.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	c, err := NewCodec(ring.Cookie)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestMint(t *testing.T) {
	c := newCodec(t)
	want := Link{Visit: simulate.Visit{Region: "DE", Choice: simulate.Some, Categories: []string{"analytics"}}, Page: "https://a.staging.shop.example/x?y=1", Until: now.Add(Longest)}
	token, err := c.Mint(shop, want, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{now, now.Add(Longest - time.Second)} {
		if got, err := c.Read("shop", token, at); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v: %+v (%v)", at, got, err)
		}
	}
	if _, err := c.Read("shop", token, now.Add(Longest)); !errors.Is(err, ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
	for _, site := range []string{"other", "shop.preview", ""} {
		if _, err := c.Read(site, token, now); !errors.Is(err, ErrAltered) {
			t.Errorf("of site %q: %v", site, err)
		}
	}
	if _, err := newCodec(t).Read("shop", token, now); !errors.Is(err, ErrAltered) {
		t.Errorf("by another key: %v", err)
	}
}

func TestReaches(t *testing.T) {
	for _, c := range []struct {
		page, host string
		want       bool
	}{
		{"https://www.shop.example/", "consent.shop.example", true},
		{"https://www.shop.example/", "shop.example:8443", true},
		{"https://www.shop.example/", "consent.other.example", false},
		{"https://shop.co.uk/", "consent.co.uk", false},
		{"https://a.github.io/", "b.github.io", false},
		{"http://localhost:8080/", "localhost:9000", true},
		{"http://127.0.0.1:8080/", "127.0.0.1:9000", true},
		{"http://127.0.0.1/", "127.0.0.2", false},
	} {
		if got := Reaches(c.page, c.host); got != c.want {
			t.Errorf("%s and %s: %v", c.page, c.host, got)
		}
	}
}

// Nothing but what Mint made is read.
func FuzzRead(f *testing.F) {
	c := newCodec(f)
	token, err := c.Mint(shop, Link{Page: "https://www.shop.example/", Until: now.Add(time.Hour)}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(token[:len(token)-1])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := c.Read("shop", text, now)
		if err == nil && l.Page != "https://www.shop.example/" { // base64 has several texts for the same bytes
			t.Errorf("%q is read as %+v", text, l)
		}
	})
}
