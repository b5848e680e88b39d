package sighting

import (
	"cmp"
	"slices"

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
	Unclear                // a tag of the site's of which nobody knows whether it was, or no host at all
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

// Mark says of the hosts of a report whose they are, and what became of the site's tags that contact them. Only now is that
// known: tags and categories may be others when the sighting is judged. A library of nil knows no vendor.
func Mark(site *consent.Site, library *vendors.Library, r *Report) {
	j := newJudge(site, library)
	for i := range r.Hosts {
		l := &r.Hosts[i]
		for n := range site.Tags {
			t := &site.Tags[n]
			if hosts.Nearest(t.Hosts, l.Host) == 0 {
				continue
			}
			l.Known = true
			switch {
			case r.Source != tally.Observer || l.Tags == tally.Ran:
			case r.State.ran(site, t):
				l.Tags = tally.Ran
			default:
				l.Tags = tally.Held
			}
		}
		l.Known = l.Known || len(owners(j.vendors, l.Host)) > 0
	}
}

// Judge says what is to be thought of sightings: the worst first, then most pages first. A library of nil knows no vendor.
func Judge(site *consent.Site, library *vendors.Library, seen []tally.Sighting) []Finding {
	j := newJudge(site, library)
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
	site    *consent.Site
	vendors []*vendors.Vendor
}

func newJudge(site *consent.Site, library *vendors.Library) judge {
	j := judge{site: site}
	if library != nil {
		j.vendors = library.All()
	}
	return j
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
		if have := &f.States[i]; have.Words == one.Words && have.Verdict == one.Verdict && have.Because.Kind == one.Because.Kind {
			have.Pages += s.Pages
			return
		}
	}
	f.States = append(f.States, one)
}

func (j *judge) seen(f *Finding, s *tally.Sighting) Seen {
	one := Seen{Pages: s.Pages, Words: "not known", Known: s.Source == tally.Observer && s.State != tally.UnknownState}
	if one.Known {
		one.State = stateOf(s)
		one.Words = one.State.words(j.site)
	}
	switch {
	case IsWord(f.Host):
		one.Verdict = Unclear
	case s.Tags == tally.Ran:
		one.Verdict = Gated
	case f.Tag != nil && s.Tags == tally.Held:
		one.Verdict, one.Held, one.Because = Slipped, true, j.why(f.Tag, &one)
	case f.Tag != nil: // nobody knows the state, or the tag is newer
		one.Verdict = Unclear
	case len(f.Vendors) > 0:
		one.Verdict = Ungated
		if one.Known {
			one.Because, one.Held = j.withheld(f.Vendors[0].Category, &one.State)
		}
	default:
		one.Verdict = Unknown
	}
	return one
}

// why is the reason for which a tag was withheld, where the state tells.
func (j *judge) why(t *consent.Tag, in *Seen) consent.Because {
	st := &in.State
	if !in.Known {
		return consent.Because{Kind: consent.Added}
	}
	if st.Chosen && slices.Contains(st.Without, t.ID) && len(t.Needs) == 0 {
		return consent.Because{Kind: consent.Declined, Subject: t.Name}
	}
	why, _ := st.because(j.site, t.Category)
	return why
}

// withheld tells whether a category of the site's was withheld for a reason that is known, and for which.
func (j *judge) withheld(category string, st *State) (consent.Because, bool) {
	if !slices.ContainsFunc(j.site.Categories, func(c consent.Category) bool { return c.Name == category && !c.Required }) {
		return consent.Because{}, false
	}
	return st.because(j.site, category)
}

// Failing tells whether something did not load from a host of a tag's.
func Failing(t *consent.Tag, loaded []tally.Loaded) bool {
	return slices.ContainsFunc(loaded, func(l tally.Loaded) bool { return l.Failed && hosts.Nearest(t.Hosts, l.Host) > 0 })
}
