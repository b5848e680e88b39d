package sighting

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// Verdict is whether Stile gates what was seen.
type Verdict uint8

// The verdicts, the worst last.
const (
	Gated   Verdict = iota // a tag of the site's, seen where it was released
	Unclear                // a tag of the site's, or no host at all, in a report that knows no state
	Unknown                // a host that neither the site nor the library knows
	Ungated                // a vendor that the library knows, and the site's file does not name
	Slipped                // a tag of the site's, seen where it was withheld: it stands in the page itself
)

// Finding is a host that was seen, and what is to be thought of it.
type Finding struct {
	Host        string // or one of the words of a security policy's report (IsWord)
	Source      string // tally.Observer or tally.CSP
	As          string // as what it was loaded
	Tag         *consent.Tag
	Vendors     []*vendors.Vendor // whose it may be where no tag of the site has it
	Verdict     Verdict           // the worst of its states
	States      []Seen            // the worst first, then most pages first
	Pages       int64
	First, Last tally.Day
}

// Seen is a host in one state.
type Seen struct {
	State   State
	Known   bool   // the state
	Words   string // "declined analytics"
	Pages   int64
	Verdict Verdict
	Because consent.Because // why the tag, or the category where the vendor usually belongs, was withheld
	Held    bool            // it was
}

// Judge says what is to be thought of sightings: the worst first, then most pages first. A library of nil knows no vendor.
func Judge(site *consent.Site, library *vendors.Library, seen []tally.Sighting, now time.Time) []Finding {
	j := judge{site: site, now: now, decisions: map[string]consent.Decision{}}
	if library != nil {
		j.vendors = library.All()
	}
	var list []Finding
	at := map[[2]string]int{}
	for i := range seen {
		s := &seen[i]
		if hosts.Own(site.Origins, site.Own, s.Host) {
			continue
		}
		key := [2]string{s.Host, s.Source}
		n, found := at[key]
		if !found {
			n, at[key] = len(list), len(list)
			list = append(list, j.find(s))
		}
		j.add(&list[n], s)
	}
	for i := range list {
		slices.SortStableFunc(list[i].States, func(a, b Seen) int {
			return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(b.Pages, a.Pages), cmp.Compare(a.Words, b.Words))
		})
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(b.Pages, a.Pages), cmp.Compare(a.Host, b.Host), cmp.Compare(b.Source, a.Source))
	})
	return list
}

type judge struct {
	site      *consent.Site
	vendors   []*vendors.Vendor
	now       time.Time
	decisions map[string]consent.Decision // by regime, what was allowed and whether it was chosen
}

// find makes the finding of a host: whose it is.
func (j *judge) find(s *tally.Sighting) Finding {
	f := Finding{Host: s.Host, Source: s.Source, As: s.As, First: s.First, Last: s.Last}
	if IsWord(s.Host) {
		return f
	}
	best := 0
	for i := range j.site.Tags {
		if n := hosts.Nearest(j.site.Tags[i].Hosts, s.Host); n > best {
			best, f.Tag = n, &j.site.Tags[i]
		}
	}
	if f.Tag == nil {
		f.Vendors = owners(j.vendors, s.Host)
	}
	return f
}

// owners are the vendors whose patterns name a host most closely: several share some hosts, as Google's do.
func owners(all []*vendors.Vendor, host string) (list []*vendors.Vendor) {
	best := 1
	for _, v := range all {
		switch n := hosts.Nearest(v.Hosts, host); {
		case n > best:
			best, list = n, []*vendors.Vendor{v}
		case n == best && n > 1:
			list = append(list, v)
		}
	}
	return list
}

// add adds a sighting to its host's finding.
func (j *judge) add(f *Finding, s *tally.Sighting) {
	f.Pages += s.Pages
	f.First, f.Last = min(f.First, s.First), max(f.Last, s.Last)
	if slices.Index(classes, s.As) > slices.Index(classes, f.As) {
		f.As = s.As
	}
	one := j.seen(f, s)
	f.Verdict = max(f.Verdict, one.Verdict)
	for i := range f.States {
		if have := &f.States[i]; have.Words == one.Words && have.Verdict == one.Verdict {
			have.Pages += s.Pages
			return
		}
	}
	f.States = append(f.States, one)
}

func (j *judge) seen(f *Finding, s *tally.Sighting) Seen {
	one := Seen{Pages: s.Pages, Words: "not known", Known: s.Source == tally.Observer && s.State != tally.UnknownState}
	var d consent.Decision
	if one.Known {
		one.State = stateOf(s)
		one.Words = one.State.words(j.site)
		d = j.decide(s, one.State)
	}
	switch {
	case IsWord(f.Host):
		one.Verdict = Unclear
	case f.Tag != nil && !one.Known:
		one.Verdict = Unclear
	case f.Tag != nil:
		one.Verdict, one.Because, one.Held = j.held(&d, f.Host)
	case len(f.Vendors) > 0:
		one.Verdict = Ungated
		if one.Known {
			one.Because, one.Held = withheld(j.site, &d, f.Vendors[0].Category)
		}
	default:
		one.Verdict = Unknown
	}
	return one
}

func (j *judge) decide(s *tally.Sighting, st State) consent.Decision {
	key := strings.Join([]string{s.Regime, s.State, map[bool]string{true: "c"}[s.Chosen], map[bool]string{true: "g"}[s.GPC]}, "|")
	d, found := j.decisions[key]
	if !found {
		d = decide(j.site, st, j.now)
		j.decisions[key] = d
	}
	return d
}

// held tells whether a host is as expected in a state: some tag of the site that contacts it was released, or sent with the
// word that consent is denied.
func (j *judge) held(d *consent.Decision, host string) (Verdict, consent.Because, bool) {
	var why consent.Because
	best := 0
	for i := range j.site.Tags {
		n := hosts.Nearest(j.site.Tags[i].Hosts, host)
		if n == 0 {
			continue
		}
		if d.Tags[i].Released || d.Tags[i].Restricted {
			return Gated, consent.Because{}, false
		}
		if n > best {
			best, why = n, d.Tags[i].Because
		}
	}
	return Slipped, why, true
}

// withheld tells whether a category was withheld, and why.
func withheld(site *consent.Site, d *consent.Decision, category string) (consent.Because, bool) {
	for i := range site.Categories {
		if site.Categories[i].Name == category && !d.Categories[i].Released {
			return d.Categories[i].Because, true
		}
	}
	return consent.Because{}, false
}

// Failing tells whether something did not load from a host of a tag's.
func Failing(t *consent.Tag, loaded []tally.Loaded) bool {
	return slices.ContainsFunc(loaded, func(l tally.Loaded) bool { return l.Failed && hosts.Nearest(t.Hosts, l.Host) > 0 })
}
