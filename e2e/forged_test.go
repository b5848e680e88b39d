package e2e

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/securecookie"

	views "github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// accepted is a choice that grants everything, as the server would have made it.
func (w *world) accepted() *consent.Choice {
	w.t.Helper()
	library, err := vendors.New()
	if err != nil {
		w.t.Fatal(err)
	}
	sites, report := config.LoadAll(filepath.Join(w.folder, "site"), config.Options{Vendors: library, Languages: views.Languages()})
	if err := report.Err(); err != nil {
		w.t.Fatal(err)
	}
	choice, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, sites[0], nil)
	if err != nil {
		w.t.Fatal(err)
	}
	choice.Receipt, choice.Time = uuid.Must(uuid.NewV7()), time.Now().UTC()
	return &choice
}

// A3: every form of a cookie that is not a choice which this server made for this site: nothing is sent, and the visitor
// is asked. The mirror says in each case that everything was granted.
func TestA3Forged(t *testing.T) {
	for _, place := range []struct {
		name   string
		config func(string) string
		domain string
		page   string
	}{
		{name: "shared", config: sharedCookie, domain: ".shop.test", page: shopURL},
		{name: "consent host and page", domain: "www.shop.test", page: shopURL},
		{name: "cross-site", domain: "www.outlet.test", page: outletURL},
	} {
		t.Run(place.name, func(t *testing.T) {
			w := newWorld(t, settings{config: place.config})
			keys := w.keys()
			choice := w.accepted()
			sign := func(site string, change func(c *consent.Choice)) string {
				c := *choice
				change(&c)
				value, err := codec(t, keys...).Encode(site, &c)
				if err != nil {
					t.Fatal(err)
				}
				return value
			}
			good := sign("shop", func(*consent.Choice) {})
			raw := securecookie.New(keys[0].Bytes(), nil)
			raw.SetSerializer(securecookie.NopEncoder{})
			var payload []byte
			if err := raw.Decode("stile_shop", good, &payload); err != nil {
				t.Fatal(err)
			}
			resign := func(payload []byte) string {
				value, err := raw.Encode("stile_shop", payload)
				if err != nil {
					t.Fatal(err)
				}
				return value
			}
			stranger := securecookie.New([]byte(strings.Repeat("x", 32)), nil)
			stranger.SetSerializer(securecookie.NopEncoder{})
			forged, err := stranger.Encode("stile_shop", payload)
			if err != nil {
				t.Fatal(err)
			}
			bad := map[string]string{
				"forged":               forged,
				"unsigned":             base64.URLEncoding.EncodeToString(payload),
				"words":                "analytics,functional,marketing",
				"json":                 "%7B%22granted%22%3A%5B%22marketing%22%5D%7D",
				"truncated":            good[:len(good)/2],
				"one character gone":   good[:len(good)-1],
				"one character other":  "N" + good[1:],
				"of another site":      sign("other", func(*consent.Choice) {}),
				"expired":              sign("shop", func(c *consent.Choice) { c.Time = c.Time.AddDate(0, 0, -181) }),
				"from the future":      sign("shop", func(c *consent.Choice) { c.Time = c.Time.Add(time.Hour) }),
				"of an unknown format": resign(append([]byte{payload[0] + 1}, payload[1:]...)),
				"with more behind":     resign(append(append([]byte{}, payload...), 0)),
				"with less":            resign(payload[:len(payload)-1]),
			}
			if bad["one character other"] == good {
				bad["one character other"] = "M" + good[1:]
			}
			b := w.open()
			plant := func(value string) {
				b.forget()
				b.plant(place.domain, "stile_shop", value).plant(place.domain, "stile_shop_state", choice.State())
				if place.config == nil {
					b.plant("consent.shop.test", "stile_shop", value)
				}
			}
			for name, value := range bad {
				plant(value)
				w.reset()
				b.visit(place.page + "/").asks(name)
				b.granted()
				b.visit(place.page + "/basket").asks(name + ", the second page")
			}
			// A bad cookie beside a good one takes nothing away, and day 179 is still remembered.
			plant(good)
			b.emptyCache().views(place.page+"/", all)
			plant(sign("shop", func(c *consent.Choice) { c.Time = c.Time.AddDate(0, 0, -179) }))
			b.emptyCache().views(place.page+"/", all)
			if b.shows(banner) {
				t.Error("a choice is forgotten on day 179")
			}
			if n := w.records(); n > 0 {
				t.Errorf("%d records of choices that nobody made", n)
			}
		})
	}
}
