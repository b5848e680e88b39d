package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stilehq/stile/server/keys"
)

// A new key signs from the next reload on, and the old one is believed as long as it is there.
func TestRotation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config func(string) string
		domain string
	}{{"shared", sharedCookie, ".shop.test"}, {"not shared", nil, "consent.shop.test"}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, settings{config: tt.config})
			b := w.open().visit(shopURL + "/")
			b.decide(accept)
			b.views(shopURL+"/", all)
			old := w.keys()

			w.command("keys", "new", "--data", w.folder)
			w.hangup()
			both := w.keys()
			if len(both) != 2 || both[1].Name() != old[0].Name() {
				t.Fatalf("the keys are %v, newest first", both)
			}
			b.emptyCache()
			b.views(shopURL+"/basket", all)
			if b.shows(banner) {
				t.Error("a rotation asks again")
			}
			b.decode(tt.domain, old...)

			// A tag of the rest has no stop of its own: the page is loaded anew.
			b.loads(func() { b.say(`stile.accept(["analytics", "functional"])`) }).settle()
			if got := b.decode(tt.domain, both[0]).Granted; len(got) != 2 {
				t.Errorf("the new key signed a choice of %q", got)
			}
			b.views(shopURL+"/", map[string]int{"counter": 2, "chat": 1})

			// Another visitor still has a choice of the old key when it is taken away.
			late := w.open()
			late.plantChoice(tt.domain, w, old[0])
			late.views(shopURL+"/", all)
			w.command("keys", "retire", old[0].Name(), "--now", "--data", w.folder)
			w.hangup()
			if tt.config != nil {
				late.emptyCache() // with a shared cookie the browser's copy holds for an hour
			}
			w.reset()
			late.visit(shopURL + "/basket").asks("the key is gone")
			late.decide(accept)
			late.views(shopURL+"/", all)
			late.decode(tt.domain, both[0])
			b.emptyCache()
			b.views(shopURL+"/", map[string]int{"counter": 2, "chat": 1})
		})
	}
}

// plantChoice gives the visitor a choice that grants everything, signed with a key.
func (b *tab) plantChoice(domain string, w *world, key keys.Secret) {
	b.t.Helper()
	choice := w.accepted()
	value, err := codec(b.t, key).Encode("shop", choice)
	if err != nil {
		b.t.Fatal(err)
	}
	b.plant(domain, "stile_shop", value)
	if domain == ".shop.test" {
		b.plant(domain, "stile_shop_state", choice.State())
		return
	}
	b.plant("www.shop.test", "stile_shop", value).plant("www.shop.test", "stile_shop_state", choice.State())
}

// A corrupt key file changes nothing: the old keys go on, and the server says what is wrong.
func TestRotationCorruptKey(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open().visit(shopURL + "/")
	b.decide(accept)
	b.views(shopURL+"/", all)
	file := filepath.Join(w.folder, "keys", "cookie-99991231T000000.000000000Z.key")
	if err := os.WriteFile(file, []byte("no key at all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.hangup()
	if w.said("not used") != 1 || w.said(file) == 0 || w.said("reloaded") != 0 || w.said("no key at all") != 0 {
		t.Error("the server does not say what is wrong, or says too much")
	}
	b.views(shopURL+"/basket", all)
	eval[bool](b, `stile.accept(["analytics"]).then(() => true)`)
	b.settle()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.hangup()
	b.views(shopURL+"/", map[string]int{"counter": 2})
	b.decode("consent.shop.test", w.keys()...)
}
