package sighting

import (
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
)

// stateOf is the state that a sighting was counted in.
func stateOf(s *tally.Sighting) State {
	st := State{Regime: s.Regime, Chosen: s.Chosen, GPC: s.GPC}
	for word := range strings.FieldsSeq(s.State) {
		switch id := word[1:]; word[0] {
		case '+':
			st.With = append(st.With, id)
		case '-':
			st.Without = append(st.Without, id)
		default:
			st.Allowed = append(st.Allowed, word)
		}
	}
	return st
}

// decide is what consent.Decide decides for the visitors of a state now. Nothing else says what would have been released.
func decide(site *consent.Site, s State, now time.Time) consent.Decision {
	v := consent.Visit{Region: site.RegionUnder(s.Regime), GPC: s.GPC, Now: now}
	if !s.Chosen {
		if d := consent.Decide(site, v); allows(site, &d, s.Allowed) {
			return d
		}
		// The regime was another then: what it let run is held against nobody now.
	}
	v.Choice = s.choice(site, now)
	return consent.Decide(site, v)
}

// allows tells whether a decision releases just these optional categories.
func allows(site *consent.Site, d *consent.Decision, allowed []string) bool {
	for i := range site.Categories {
		c := &site.Categories[i]
		if !c.Required && d.Categories[i].Released != slices.Contains(allowed, c.Name) {
			return false
		}
	}
	return true
}

// choice is one that leads to the state, made at this moment.
func (s State) choice(site *consent.Site, now time.Time) *consent.Choice {
	c := &consent.Choice{Time: now, Policy: site.Policy.Version, List: site.List(), Services: s.With, Refused: s.Without, GPC: s.GPC}
	for i := range site.Categories {
		switch cat := &site.Categories[i]; {
		case cat.Required:
		case slices.Contains(s.Allowed, cat.Name):
			c.Granted = append(c.Granted, cat.Name)
		default:
			c.Denied = append(c.Denied, cat.Name)
		}
	}
	return c
}

// words are a state for people.
func (s State) words(site *consent.Site) string {
	said := s.said(site)
	if s.GPC {
		said += ", with Global Privacy Control"
	}
	return said
}

func (s State) said(site *consent.Site) string {
	if !s.Chosen {
		if r := site.Regime(site.RegionUnder(s.Regime)); r.Name == s.Regime && r.Model == consent.OptOut {
			return "before a choice, where the law lets tags run until then"
		}
		return "before a choice"
	}
	var declined []string
	for i := range site.Categories {
		if c := &site.Categories[i]; !c.Required && !slices.Contains(s.Allowed, c.Name) {
			declined = append(declined, c.Name)
		}
	}
	said := "accepted everything"
	switch {
	case len(s.Allowed) == 0 && len(declined) > 0:
		said = "declined everything"
	case len(declined) > 0:
		said = "declined " + and(declined, "and")
	case len(s.Without) > 0:
		said = "accepted"
	}
	if len(s.With) > 0 {
		said += " but " + and(names(site, s.With), "and")
	}
	if len(s.Without) > 0 {
		said += " without " + and(names(site, s.Without), "and")
	}
	return said
}

// names are those of tags; of one that the site has no more its id.
func names(site *consent.Site, ids []string) []string {
	list := slices.Clone(ids)
	for i, id := range ids {
		if j := slices.IndexFunc(site.Tags, func(t consent.Tag) bool { return t.ID == id }); j >= 0 {
			list[i] = site.Tags[j].Name
		}
	}
	return list
}

// and is a list in words: "a, b and c".
func and(list []string, word string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " " + word + " " + list[last]
}
