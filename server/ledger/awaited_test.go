package ledger

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// Whatever is found out to be one visitor, in whatever order, becomes one subject.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subject := rapid.Custom(func(t *rapid.T) uuid.UUID { return uuid.UUID{15: byte(rapid.IntRange(1, 8).Draw(t, "subject"))} })
		joined := rapid.SliceOf(rapid.Custom(func(t *rapid.T) joining {
			return joining{rapid.SampledFrom([]string{"shop", "blog"}).Draw(t, "site"), subject.Draw(t, "from"), subject.Draw(t, "to")}
		})).Draw(t, "joined")
		one := merge(joined)
		of := func(site string, id uuid.UUID) uuid.UUID {
			if to, there := one[siteID{site, id}]; there {
				return to
			}
			return id
		}
		classes := map[siteID]siteID{} // by the plainest means: as long as anything changes
		root := func(s siteID) siteID {
			if c, there := classes[s]; there {
				return c
			}
			return s
		}
		for range joined {
			for _, j := range joined {
				a, b := root(siteID{j.site, j.from}), root(siteID{j.site, j.to})
				for _, k := range joined {
					for _, id := range []uuid.UUID{k.from, k.to} {
						if s := (siteID{k.site, id}); root(s) == a {
							classes[s] = b
						}
					}
				}
			}
		}
		for _, a := range joined {
			if to := of(a.site, a.from); of(a.site, to) != to {
				t.Fatalf("%s becomes %s, which becomes another", a.from, to)
			}
			for _, b := range joined {
				if a.site != b.site {
					continue
				}
				want := root(siteID{a.site, a.from}) == root(siteID{b.site, b.to})
				if got := of(a.site, a.from) == of(b.site, b.to); got != want {
					t.Fatalf("%s and %s are one: %t, want %t", a.from, b.to, got, want)
				}
			}
		}
	})
}

// A batch that cannot be brought gets smaller until it can.
func TestLoad(t *testing.T) {
	n := bringFirst
	for range 20 {
		n = load(n, ErrAway)
	}
	if n != 1 {
		t.Errorf("after many failures %d are brought at once", n)
	}
	for range 20 {
		n = load(n, nil)
	}
	if n != bringMost {
		t.Errorf("after many successes %d are brought at once", n)
	}
}
