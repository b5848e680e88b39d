package config

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/consent"
)

var (
	regimeName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	country     = regexp.MustCompile(`^[A-Z]{2}$`)
	subdivision = regexp.MustCompile(`^[A-Z0-9]{1,3}$`)
)

func regimes(v value, categories []consent.Category) []consent.Regime {
	if !v.present() {
		return []consent.Regime{{Name: "default", Regions: []string{"*"}}}
	}
	items := v.list(64)
	if len(items) == 0 {
		v.nothing("a regime")
		return nil
	}
	var all []consent.Regime
	catchAll := ""
	for _, item := range items {
		f := item.fields(keys[regimeFile]())
		if catchAll != "" {
			item.fail(`move it up, or remove the "*" above`, "it is never reached: %s matches everything", catchAll)
		}
		regime := regime(f, all, categories)
		if slices.Contains(regime.Regions, "*") && catchAll == "" {
			catchAll = "the regime " + quote(regime.Name)
			if regime.Model == consent.OptOut {
				f.get("model").warn("name the regions that are opt-out, and let the rest be opt-in",
					"opt-out everywhere else: tags run before a choice in every region that no regime names")
			}
		}
		all = append(all, regime)
	}
	if catchAll == "" {
		last := items[len(items)-1]
		last.fail(`end with {name: other, regions: ["*"], model: opt-in}`, `the last regime must match everything ("*")`)
	}
	return all
}

func regime(f fields, before []consent.Regime, categories []consent.Category) consent.Regime {
	r := consent.Regime{}
	name := f.need("name", "name the law: gdpr")
	var ok bool
	switch r.Name, ok = name.text(); {
	case !ok:
	case !regimeName.MatchString(r.Name):
		name.fail("use letters, digits, dots and dashes, at most 32", "%s cannot be the name of a regime", quote(r.Name))
	case slices.ContainsFunc(before, func(b consent.Regime) bool { return b.Name == r.Name }):
		name.fail("give it another name", "there is a regime %s already", quote(r.Name))
	}
	if f.get("model").oneOf("opt-in", "opt-out") == "opt-out" {
		r.Model = consent.OptOut
	}
	r.Regions = regions(f.need("regions", `name countries, or "*" for everywhere`), before)
	if r.Separate = f.get("separate").boolean(false); r.Separate && r.Model == consent.OptOut {
		f.get("separate").fail("make the model opt-in", "separate consent cannot be opt-out")
	}
	r.NoticeOnly = noticeOnly(f.get("notice_only"), r.Model, categories)
	return r
}

func noticeOnly(v value, model consent.Model, categories []consent.Category) []string {
	var names []string
	for _, item := range v.list(maxCategories) {
		c := item.category(categories)
		switch {
		case c == nil:
			continue
		case slices.Contains(names, c.Name):
			item.fail("remove one of them", "%s is there twice", quote(c.Name))
		case c.Required:
			item.warn("leave it out", "%s is required: it runs anyway", quote(c.Name))
		case c.Sells:
			item.warn("leave it out", "%s sells or advertises: no law makes that free of consent by notice", quote(c.Name))
		case model == consent.OptOut:
			item.warn("leave it out", "under opt-out every category runs until it is declined")
		}
		names = append(names, c.Name)
	}
	return names
}

func regions(v value, before []consent.Regime) []string {
	var all []string
	items := v.list(300)
	if len(items) == 0 {
		v.nothing(`a region or "*"`)
	}
	for _, item := range items {
		name, ok := item.line(maxLine)
		switch {
		case !ok || !item.region(name):
		case slices.Contains(all, name):
			item.fail("remove one of them", "%s is there twice", quote(name))
		default:
			if other := covering(before, name); other != "" {
				item.warn("remove it here, or move this regime up", "%s is never reached here: the regime %s matches it first", quote(name), quote(other))
			}
			all = append(all, name)
		}
	}
	return all
}

// covering is the name of the earlier regime that a region falls under, or "".
func covering(before []consent.Regime, region string) string {
	if !country.MatchString(region[:min(2, len(region))]) || region == "EEA" || region == "EU" {
		return ""
	}
	rest := consent.Regime{Regions: []string{"*"}}
	s := consent.Site{Regimes: append(slices.Clone(before), rest)}
	if r := s.Regime(region); r != &s.Regimes[len(before)] && !slices.Contains(r.Regions, "*") {
		return r.Name
	}
	return ""
}

// mistaken are codes that people write for countries which have another one.
func mistaken(code string) string {
	switch code {
	case "UK":
		return "GB"
	case "EL":
		return "GR"
	}
	return ""
}

func (v value) region(name string) bool {
	if name == "*" || name == "EU" || name == "EEA" {
		return true
	}
	land, part, divided := strings.Cut(name, "-")
	parsed, err := language.ParseRegion(land)
	switch {
	case mistaken(strings.ToUpper(land)) != "":
		v.fail("write "+mistaken(strings.ToUpper(land)), "%s is not its ISO 3166 code", quote(land))
	case name != strings.ToUpper(name):
		v.fail("write "+strings.ToUpper(name), "regions are in upper case")
	case !country.MatchString(land), err != nil, !parsed.IsCountry(), parsed.Canonicalize() != parsed, parsed.String() != land:
		v.fail("use ISO 3166: DE, US-CA, or EU, EEA, *", "%s is not a country", quote(land))
	case divided && !subdivision.MatchString(part):
		v.fail("use ISO 3166-2: US-CA", "%s is not a subdivision", quote(name))
	default:
		return true
	}
	return false
}
