package tally

import (
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// Choice is an act of a visitor, as it is counted.
type Choice struct {
	Country, Regime, Language, Banner string
	Device                            string // Class.String, or Other
	Action                            consent.Action
	Asked                             bool // the visitor was being asked
	Grants                            bool // it allowed something optional
	OptOut                            bool // it declined something that the regime had let run
	Granted, Denied                   []string
}

// Flags of a choice.
const (
	choiceAsked  = 'a'
	choiceOptOut = 'o'
	choiceGrants = 'g'
)

// Choice counts a choice.
func (s *Site) Choice(c *Choice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page().choice(c)
}

func (p *page) choice(c *Choice) {
	p.changed++
	flags := ""
	for _, f := range [...]struct {
		flag rune
		set  bool
	}{{choiceAsked, c.Asked}, {choiceOptOut, c.OptOut}, {choiceGrants, c.Grants}} {
		if f.set {
			flags += string(f.flag)
		}
	}
	labels := []string{c.Country, c.Language, c.Device, c.Regime, c.Banner, string(c.Action), flags, list(c.Granted), list(c.Denied)}
	if p.full(choiceForm, labels) {
		labels[countryLabel], labels[languageLabel], labels[deviceLabel] = Other, Other, Other
	}
	if p.sheet.section(choiceForm).rows() >= 2*mostRows && !p.sheet.has(choiceForm, labels) {
		labels[7], labels[8] = "", ""
		if interaction(c.Asked, c.Action) {
			p.declared(c, granted, c.Granted)
			p.declared(c, denied, c.Denied)
		}
	}
	p.sheet.add(choiceForm, labels, 1)
}

// Verdicts of categories in the spill.
const (
	granted = "+"
	denied  = "-"
)

func (p *page) declared(c *Choice, verdict string, categories []string) {
	for _, name := range categories {
		p.sheet.add(spillForm, []string{c.Regime, c.Banner, verdict, "", name}, 1, 0)
	}
}

func list(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, " ")
}

// interaction tells whether a choice answers the banner.
func interaction(asked bool, action consent.Action) bool {
	switch action {
	case consent.AcceptAll, consent.RejectAll, consent.Custom:
		return asked
	}
	return false
}
