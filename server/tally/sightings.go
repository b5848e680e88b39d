package tally

import (
	"cmp"
	"slices"
	"strings"
)

// What tells of sightings.
const (
	Observer = "observer" // the runtime, which watches what a page loads
	CSP      = "csp"      // reports of a content security policy, of which no state is known
)

// What became of the site's tags that contact a host, on a page on which it was seen.
const (
	Ran  = "r" // one was released, or sent with the word that consent is denied
	Held = "w" // all were withheld
)

// UnknownState is the State of a sighting of which it is not known.
const UnknownState = "?"

// Loaded is a host that a page loaded from.
type Loaded struct {
	Host   string // as the URL standard writes it, with a port that is not the usual one
	As     string // script, iframe, fetch, img or other: the weightiest of what was loaded
	Failed bool   // and the browser told so
	Tags   string // what became of the site's tags that contact the host: Ran, Held, or "" where there is none
	Known  bool   // it is of a tag of the site's or of a vendor that is known, and no name that somebody made up
}

// Seen is what a page view loaded, or what a security policy reported.
type Seen struct {
	State       string // as Sighting has it; so the others
	Chosen, GPC bool
	Regime      string
	Source      string
	Hosts       []Loaded // each once
	Errors      []string // ids of tags that were seen to fail
}

// What a day's page may have at most of what anybody can make up, in each process. Past it a host that is new is not counted,
// and one that is there is, in a state that is not known. Half of the hosts and rows are kept for hosts that are Known.
const (
	mostSeenHosts = 500
	mostSeenRows  = 4096
	mostStates    = 256
	longestState  = 1 << 10 // bytes
)

// The sections of what was seen. A row whose host is "" counts page views that reported.
var (
	sightForm = form{name: "sightings", labels: 6, rules: "+"} // host, state, flags, regime, source, as: count
	errorForm = form{name: "errors", labels: 1, rules: "+"}    // tag: count
)

// Flags of a sighting.
const (
	seenChosen = 'c'
	seenSignal = 'g'
)

func (s *Sighting) flags() string {
	flags := ""
	if s.Chosen {
		flags += string(seenChosen)
	}
	if s.GPC {
		flags += string(seenSignal)
	}
	return flags + s.Tags
}

// Sight counts a report.
func (s *Site) Sight(seen *Seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.page()
	p.changed++
	flags := (&Sighting{Chosen: seen.Chosen, GPC: seen.GPC}).flags()
	labels := []string{"", seen.State, flags, seen.Regime, seen.Source, ""}
	if !p.told(seen.State) {
		labels[1] = UnknownState
	}
	if seen.Source == Observer {
		p.sheet.add(sightForm, []string{"", "", "", "", Observer, ""}, 1)
	}
	for _, l := range seen.Hosts {
		if p.sees(&l) {
			labels[0], labels[2], labels[5] = l.Host, flags+l.Tags, l.As
			p.sight(labels, l.Known)
		}
	}
	for _, id := range seen.Errors {
		p.sheet.add(errorForm, []string{id}, 1)
	}
}

// Error counts a delivery to a tag's vendor that was given up.
func (s *Site) Error(tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.page()
	p.changed++
	p.sheet.add(errorForm, []string{tag}, 1)
}

// sees tells whether there is room for a host.
func (p *page) sees(l *Loaded) bool {
	if p.hosts == nil {
		p.hosts = map[string]bool{}
	}
	if !p.hosts[l.Host] && len(p.hosts) >= room(mostSeenHosts, l.Known) {
		return false
	}
	p.hosts[l.Host] = true
	return true
}

// told tells whether there is room for a state.
func (p *page) told(state string) bool {
	if p.states == nil {
		p.states = map[string]bool{}
	}
	if !p.states[state] && (len(p.states) >= mostStates || len(state) > longestState) {
		return false
	}
	p.states[state] = true
	return true
}

// room is what may be there already of so many, where one more is to come.
func room(most int, known bool) int {
	if known {
		return most
	}
	return most / 2
}

func (p *page) sight(labels []string, known bool) {
	if p.sheet.section(sightForm).rows() >= room(mostSeenRows, known) && !p.sheet.has(sightForm, labels) {
		labels = []string{labels[0], UnknownState, "", "", labels[4], labels[5]}
	}
	p.sheet.add(sightForm, labels, 1)
}

func (r *reading) sightings(from *reader) {
	if r.seen == nil {
		r.seen = map[Sighting]*Sighting{}
	}
	for i := range from.rows() {
		labels, counts := from.row(i)
		name := func(label int) string { return from.names[labels[label]] }
		if name(0) == "" {
			r.out.Reported += counts[0]
			continue
		}
		flags := name(2)
		key := Sighting{
			Host: name(0), State: name(1), Chosen: strings.ContainsRune(flags, seenChosen), GPC: strings.ContainsRune(flags, seenSignal),
			Tags: strings.Trim(flags, string(seenChosen)+string(seenSignal)), Regime: name(3), Source: name(4), As: name(5),
		}
		s := r.seen[key]
		if s == nil {
			one := key
			one.First, one.Last = from.day, from.day
			s = &one
			r.seen[key] = s
		}
		s.Pages += counts[0]
		s.First, s.Last = min(s.First, from.day), max(s.Last, from.day)
	}
}

func (r *reading) errors(from *reader) {
	for i := range from.rows() {
		labels, counts := from.row(i)
		r.tagOf(from.names[labels[0]]).Errors += counts[0]
	}
}

// sighted is what was seen: most pages first.
func (r *reading) sighted() (list []Sighting) {
	for _, s := range r.seen {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Sighting) int {
		return cmp.Or(cmp.Compare(b.Pages, a.Pages), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Source, b.Source), cmp.Compare(a.State, b.State),
			cmp.Compare(a.Regime, b.Regime), cmp.Compare(a.As, b.As), cmp.Compare(a.flags(), b.flags()))
	})
	return list
}
