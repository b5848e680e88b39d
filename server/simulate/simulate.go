// Package simulate makes a consent.Visit of what a person says about a visitor that nobody has seen: stile explain, the
// dashboard's simulator and the preview on the real site all decide the same visits by it. It is pure, and decides nothing
// by itself: that is for consent.Decide.
package simulate

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/region"
)

// Visit is a visit as a person describes it. Its zero value is a first visit from nobody knows where.
type Visit struct {
	Region   string // ISO 3166: "DE", "US-CA"; "" when unknown
	Language string // that the page is in and the browser asks for; "" for the site's first
	GPC      bool   // the browser sends Sec-GPC: 1
	Crawler  bool   // a search engine's

	Choice     string    // None, All, Rejected or Some
	Categories []string  // of Some: accepted
	Services   []string  // of Some: tags accepted by themselves
	Chosen     time.Time // when; zero for now
	Policy     string    // version of the policy then; "" for the present one
	ChosenGPC  bool      // the signal was on then
	Minor      bool      // the visitor had said that they are under the site's age
}

// What a visitor can have chosen.
const (
	None     = ""
	All      = "all"
	Rejected = "none"
	Some     = "some"
)

var choices = []string{None, All, Rejected, Some}

// Of is the visit to a site, now. The error is a line that says what is no visit to it.
func (v *Visit) Of(s *consent.Site, now time.Time) (consent.Visit, error) {
	out := consent.Visit{Region: v.Region, GPC: v.GPC, Crawler: v.Crawler && v.Choice == None, Now: now}
	if v.Region != "" && !IsRegion(v.Region) {
		return out, fmt.Errorf("region %.20q is not a region: use ISO 3166, DE or US-CA", v.Region)
	}
	if v.Language != "" && !slices.Contains(s.Languages, v.Language) {
		return out, fmt.Errorf("language %.20q is not one of this site's: it speaks %s", v.Language, strings.Join(s.Languages, ", "))
	}
	if v.Choice == None {
		return out, nil
	}
	choice, _, err := consent.Parse(v.form(), s, nil)
	if err != nil {
		return out, err
	}
	choice.Time, choice.GPC, choice.Minor = now, v.ChosenGPC, v.Minor
	if !v.Chosen.IsZero() {
		choice.Time = v.Chosen
	}
	if choice.Time.After(now) {
		return out, fmt.Errorf("the choice of %s is still to come: name a day up to today", choice.Time.Format(time.DateOnly))
	}
	if v.Policy != "" {
		choice.Policy = v.Policy
	}
	out.Choice = &choice
	return out, nil
}

func (v *Visit) form() map[string][]string {
	if v.Choice == All || v.Choice == Rejected {
		return map[string][]string{"accept": {v.Choice}}
	}
	return map[string][]string{"category": v.Categories, "service": v.Services}
}

// IsRegion tells whether a text is a country or a subdivision of one.
func IsRegion(text string) bool {
	country, _, _ := strings.Cut(text, "-")
	r, err := language.ParseRegion(country)
	return region.Parse(text) != "" && err == nil && r.IsCountry()
}

// Names of the fields in an address.
const (
	fieldRegion, fieldLanguage, fieldGPC, fieldCrawler = "region", "lang", "gpc", "crawler"
	fieldChoice, fieldCategory, fieldService           = "choice", "category", "service"
	fieldChosen, fieldPolicy, fieldChosenGPC           = "chosen", "policy", "chosen_gpc"
	fieldMinor                                         = "minor"
)

// Fields are all of them. Lists are those that may be there more than once.
var (
	Fields = []string{
		fieldRegion, fieldLanguage, fieldGPC, fieldCrawler, fieldChoice, fieldCategory, fieldService, fieldChosen, fieldPolicy, fieldChosenGPC, fieldMinor,
	}
	Lists = []string{fieldCategory, fieldService}
)

// Values writes a visit as the query of an address.
func (v *Visit) Values() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, on := range map[string]bool{fieldGPC: v.GPC, fieldCrawler: v.Crawler, fieldChosenGPC: v.ChosenGPC, fieldMinor: v.Minor} {
		if on {
			q.Set(name, "1")
		}
	}
	set(fieldRegion, v.Region)
	set(fieldLanguage, v.Language)
	set(fieldChoice, v.Choice)
	set(fieldPolicy, v.Policy)
	if !v.Chosen.IsZero() {
		q.Set(fieldChosen, v.Chosen.Format(time.DateOnly))
	}
	if v.Choice == Some {
		q[fieldCategory], q[fieldService] = v.Categories, v.Services
	}
	return q
}

// Parse reads what Values wrote, or a form sent. What a field says beside a choice that does not take it is dropped, since a
// form sends all of its fields.
func Parse(q url.Values) (v Visit, err error) {
	text := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	v = Visit{
		Region: strings.ToUpper(text(fieldRegion)), Language: text(fieldLanguage), Choice: text(fieldChoice),
		Categories: q[fieldCategory], Services: q[fieldService], Policy: text(fieldPolicy),
	}
	if !slices.Contains(choices, v.Choice) {
		return Visit{}, fmt.Errorf("choice is %.20q: it is one of all, none, some, or left out", v.Choice)
	}
	for name, to := range map[string]*bool{fieldGPC: &v.GPC, fieldCrawler: &v.Crawler, fieldChosenGPC: &v.ChosenGPC, fieldMinor: &v.Minor} {
		switch text(name) {
		case "":
		case "1":
			*to = true
		default:
			return Visit{}, fmt.Errorf("%s is %.20q: it is 1, or left out", name, text(name))
		}
	}
	if day := text(fieldChosen); day != "" {
		if v.Chosen, err = time.Parse(time.DateOnly, day); err != nil {
			return Visit{}, fmt.Errorf("chosen is %.20q: a day is written like 2026-11-22", day)
		}
	}
	if v.Choice != Some {
		v.Categories, v.Services = nil, nil
	}
	if v.Choice == None {
		v.Chosen, v.Policy, v.ChosenGPC, v.Minor = time.Time{}, "", false, false
	}
	return v, nil
}

// Describe is a visit in a line, for people: "a visitor from DE who accepted analytics, with Sec-GPC".
func (v *Visit) Describe() string {
	who := "a visitor"
	if v.Crawler {
		who = "a crawler"
	}
	if v.Region != "" {
		who += " from " + v.Region
	}
	if v.Language != "" {
		who += " in " + v.Language
	}
	switch v.Choice {
	case None:
		who += " who has not chosen"
	case All:
		who += " who accepted all"
	case Rejected:
		who += " who rejected all"
	case Some:
		names := slices.Concat(v.Categories, v.Services)
		if len(names) == 0 {
			who += " who accepted nothing"
			break
		}
		who += " who accepted " + strings.Join(names, ", ")
	}
	if !v.Chosen.IsZero() {
		who += " on " + v.Chosen.Format("2 Jan 2006")
	}
	if v.Policy != "" {
		who += " under policy " + v.Policy
	}
	if v.GPC {
		who += ", with Sec-GPC"
	}
	return who
}
