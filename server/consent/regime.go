package consent

import (
	"slices"
	"strings"
)

// Model is what the law of a region asks for before an optional tag may run.
type Model uint8

// The models there are.
const (
	OptIn  Model = iota // nothing runs before it was accepted
	OptOut              // it runs until it is declined
)

func (m Model) String() string {
	if m == OptOut {
		return "opt-out"
	}
	return "opt-in"
}

// Regime is the law of some regions, as far as it decides what runs.
type Regime struct {
	Name       string
	Regions    []string // ISO 3166 countries ("DE") and subdivisions ("US-CA"), "EU", "EEA", or "*" for everywhere
	Model      Model
	NoticeOnly []string // categories that need clear information and a free objection, not consent (F10)
	Separate   bool     // each recipient is consented to by an act of its own (F2)
}

// Regime returns the regime of a region: the first that names it. When the region is not known it is the strictest of
// the site's.
func (s *Site) Regime(region string) *Regime {
	if region == "" {
		return s.strictest()
	}
	for i := range s.Regimes {
		if s.Regimes[i].covers(region) {
			return &s.Regimes[i]
		}
	}
	return s.strictest() // the configuration refuses a last regime that does not match everything
}

func (r *Regime) covers(region string) bool {
	country, _, _ := strings.Cut(region, "-")
	for _, have := range r.Regions {
		switch have {
		case "*", region, country:
			return true
		case "EU":
			if slices.Contains(eu, country) {
				return true
			}
		case "EEA":
			if slices.Contains(eu, country) || slices.Contains(efta, country) {
				return true
			}
		}
	}
	return false
}

// Codes are the regions by their ISO 3166 codes; none where it is every region.
func (r *Regime) Codes() (codes []string) {
	for _, have := range r.Regions {
		switch have {
		case "*":
			return nil
		case "EU":
			codes = append(codes, eu...)
		case "EEA":
			codes = append(append(codes, eu...), efta...)
		default:
			codes = append(codes, have)
		}
	}
	return codes
}

// strictest returns the regime under which least runs before a choice: opt-in before opt-out, and fewer categories of
// notice only before more. Of several it is the last, which is the one that the site has for everywhere else.
func (s *Site) strictest() *Regime {
	runs := func(r *Regime) int {
		if r.Model == OptOut {
			return len(s.Categories) + 1
		}
		return len(r.NoticeOnly)
	}
	best := &s.Regimes[0]
	for i := range s.Regimes {
		if runs(&s.Regimes[i]) <= runs(best) {
			best = &s.Regimes[i]
		}
	}
	return best
}

// Members of the European Union, and the three EFTA states that make the European Economic Area with them.
var (
	eu = []string{
		"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
		"MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
	}
	efta = []string{"IS", "LI", "NO"}
)

// RegionUnder is a region that has a regime of this name; "", for which the strictest stands, where none has.
func (s *Site) RegionUnder(name string) string {
	for i := range s.Regimes {
		r := &s.Regimes[i]
		if r.Name != name {
			continue
		}
		for _, code := range append(r.Codes(), "ZZ") { // which ISO 3166 gives to no country
			if s.Regime(code).Name == name {
				return code
			}
		}
	}
	return ""
}
