package shop

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stilehq/stile/examples/shop/thirdparty"
)

// counter is one figure of the strip on top of every page: the parties of one trade, added up.
type counter struct {
	Label   string
	Parties string // their names, with spaces between
	Count   int
}

func strip(parties *thirdparty.Parties) []counter {
	counts := parties.Counts()
	var counters []counter
	for _, trade := range []struct {
		label string
		kind  thirdparty.Kind
	}{
		{"Analytics", thirdparty.Collector},
		{"Pixels", thirdparty.Pixel},
		{"Chat", thirdparty.Chat},
		{"Video", thirdparty.Video},
	} {
		var names []string
		n := 0
		for _, p := range parties.Parties() {
			if p.Kind == trade.kind {
				names = append(names, p.Name)
				n += counts[p.Name]
			}
		}
		counters = append(counters, counter{trade.label, strings.Join(names, " "), n})
	}
	return counters
}

// receivedView is the live log as the server knows it; received.js carries on from there.
type receivedView struct {
	Total int
	Cards []card
}

// card is what one third party has received.
type card struct {
	thirdparty.Party
	Category string           // of the tag that leads to it, in stile.yaml
	Nothing  string           // said while the count is 0
	Count    int              //
	Hits     []thirdparty.Hit // newest first
}

// shown is how many lines a card has at most. received.js keeps the same number.
const shown = 50

func (s *site) received(w http.ResponseWriter, r *http.Request) {
	parties := s.options.Parties
	counts, log := parties.Counts(), parties.Log()
	slices.Reverse(log)

	v := s.view(r, "What the third parties have received")
	for _, p := range parties.Parties() {
		c := card{Party: p, Count: counts[p.Name]}
		switch p.Kind {
		case thirdparty.Collector:
			c.Category, c.Nothing = "analytics", "No visit counted."
		case thirdparty.Pixel:
			c.Category, c.Nothing = "marketing", "No pixel fetched."
		case thirdparty.Chat:
			c.Category, c.Nothing = "functional", "No chat loaded."
		case thirdparty.Video:
			c.Category, c.Nothing = "functional", "No film loaded."
		}
		for _, h := range log {
			if h.Party == p.Name && len(c.Hits) < shown {
				c.Hits = append(c.Hits, h)
			}
		}
		v.Received.Total += c.Count
		v.Received.Cards = append(v.Received.Cards, c)
	}
	s.render(w, http.StatusOK, "received", v)
}

func (s *site) clear(w http.ResponseWriter, r *http.Request) {
	s.options.Parties.Reset()
	http.Redirect(w, r, "/received", http.StatusSeeOther)
}
