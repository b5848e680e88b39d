package sighting

import (
	"slices"
	"strings"

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
		case '!':
			st.Denied = append(st.Denied, id)
		default:
			st.Allowed = append(st.Allowed, word)
		}
	}
	return st
}

// declined are the optional categories that a visitor declined who chose: all that are not allowed, but for those that a
// signal switches off, and where each vendor has its own act.
func (s *State) declined(site *consent.Site) (names []string) {
	if !s.Chosen || slices.ContainsFunc(site.Regimes, func(r consent.Regime) bool { return r.Name == s.Regime && r.Separate }) {
		return nil
	}
	for i := range site.Categories {
		if c := &site.Categories[i]; !c.Required && !slices.Contains(s.Allowed, c.Name) && (!s.GPC || !c.Sells) {
			names = append(names, c.Name)
		}
	}
	return names
}

// ran tells whether a tag was released in a state, or sent with the word that consent is denied.
func (s *State) ran(site *consent.Site, t *consent.Tag) bool {
	if m := site.Mode(t.Mode); m != nil && m.Advanced {
		return true
	}
	if slices.Contains(s.Without, t.ID) {
		return false
	}
	return slices.Contains(s.With, t.ID) || slices.Contains(s.Allowed, t.Category) ||
		slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return c.Name == t.Category && c.Required })
}

// because is why a category was withheld in a state, where the state tells: what it does not name may be new, or have had
// another name.
func (s *State) because(site *consent.Site, category string) (why consent.Because, known bool) {
	signal := s.GPC && slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return c.Name == category && c.Sells })
	switch {
	case slices.Contains(s.Allowed, category):
	case slices.Contains(s.Denied, category):
		return consent.Because{Kind: consent.Declined, Subject: category}, true
	case signal:
		return consent.Because{Kind: consent.Signal, Subject: category}, true
	case !s.Chosen && !s.lets(site):
		return consent.Because{Kind: consent.NotChosen, Subject: category}, true
	}
	return consent.Because{Kind: consent.Added}, false
}

// lets tells whether the law of a state lets tags run until there is a choice.
func (s *State) lets(site *consent.Site) bool {
	return slices.ContainsFunc(site.Regimes, func(r consent.Regime) bool { return r.Name == s.Regime && r.Model == consent.OptOut })
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
		if s.lets(site) {
			return "before a choice, where the law lets tags run until then"
		}
		return "before a choice"
	}
	said := "allowed nothing"
	switch {
	case s.refused(site):
		said = "declined everything"
	case len(s.Denied) > 0:
		said = "declined " + and(s.Denied, "and")
	case !s.all(site, s.Allowed):
		if len(s.Allowed) > 0 {
			said = "allowed " + and(s.Allowed, "and")
		}
	case len(s.Without) > 0:
		said = "accepted"
	default:
		said = "accepted everything"
	}
	if len(s.With) > 0 {
		said += " but " + and(names(site, s.With), "and")
	}
	if len(s.Without) > 0 {
		said += " without " + and(names(site, s.Without), "and")
	}
	return said
}

// refused tells whether everything optional was declined.
func (s State) refused(site *consent.Site) bool {
	return s.Chosen && len(s.Allowed) == 0 && len(s.Denied) > 0 && s.all(site, s.Denied)
}

// all tells whether a list has all optional categories.
func (State) all(site *consent.Site, list []string) bool {
	return !slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return !c.Required && !slices.Contains(list, c.Name) })
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
