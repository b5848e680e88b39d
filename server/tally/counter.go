package tally

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Visit is what answers are told apart by. Its values are bounded by the site's configuration, but for the outcome.
type Visit struct {
	Country  string // ISO 3166, or "" where it is not known
	Regime   string
	Language string // one of the site's
	Banner   string // version
	Outcome  Outcome
}

// Site counts at one site, for as long as the process runs.
//
// What it keeps is bounded: mostCounters counters that are in use, about 1 MB, and for each day that is not stored yet the
// rows of mostRows and mostOutcomes, about 3 MB if a site with many vendors that each visitor picks among reaches them. Past
// the bounds countries, languages and devices are Other, and tags are counted each by itself, so that totals stay exact.
type Site struct {
	tally *Tally
	name  string

	mu       sync.RWMutex
	counters map[Visit]*Counter
	day      Day
	pages    map[Day]*page // days that are not stored in full, and the present one

	announced announcements
}

const (
	mostCounters = 4096
	idleFlushes  = 360 // an hour, after which a counter that counted nothing makes room
)

// Counter counts the answers of one kind. Count with it for as long as you like: one that made room for others still counts,
// only slower.
type Counter struct {
	n     [classes]atomic.Int64 // since the last flush; far below 0: the counter is not among those that are flushed
	site  *Site
	visit Visit
	idle  int // flushes without a count; guarded by site.mu
}

// resting is in a counter's n while nobody would flush what it counts. It is far enough from 0 for whatever is added to it.
const resting = math.MinInt64 / 2

// Counter finds the counter of a visit, or makes it.
func (s *Site) Counter(v Visit) *Counter {
	s.mu.RLock()
	c := s.counters[v]
	s.mu.RUnlock()
	if c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counters[v]; c != nil {
		return c
	}
	v.Country = strings.Clone(v.Country) // it may be part of a request's header
	c = &Counter{site: s, visit: v}
	if len(s.counters) < mostCounters {
		s.counters[v] = c
		return c
	}
	for i := range c.n {
		c.n[i].Store(resting)
	}
	return c
}

// Add counts an answer.
func (c *Counter) Add(device Class) {
	if c.n[device].Add(1) <= 0 {
		c.late(device)
	}
}

// late counts with a counter that rests: it is woken where there is room.
func (c *Counter) late(device Class) {
	s := c.site
	s.mu.Lock()
	defer s.mu.Unlock()
	other := s.counters[c.visit]
	switch {
	case other != nil:
		other.n[device].Add(1) // which does not rest, since that takes the lock
	case len(s.counters) < mostCounters:
		c.idle = 0
		for i := range c.n {
			c.n[i].Store(0)
		}
		s.counters[c.visit] = c
		c.n[device].Add(1)
	default:
		s.page().answers(&c.visit, device, 1, minuteOf(s.tally.now()))
	}
}

// drain puts what the counters have into the day's page.
func (s *Site) drain(minute int64) {
	for visit, c := range s.counters {
		counted := false
		for class := range classes {
			if n := c.n[class].Swap(0); n > 0 {
				s.page().answers(&c.visit, class, n, minute)
				counted = true
			}
		}
		if c.idle++; counted {
			c.idle = 0
		}
		if c.idle >= idleFlushes && c.rest() {
			delete(s.counters, visit)
		}
	}
}

// rest makes a counter rest, unless it counted in between.
func (c *Counter) rest() bool {
	for i := range c.n {
		if !c.n[i].CompareAndSwap(0, resting) {
			for j := range i {
				c.n[j].Store(0) // who added meanwhile waits in late
			}
			return false
		}
	}
	return true
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// page is a day that is being counted.
type page struct {
	sheet    sheet
	writer   string // whose row it is stored as: no other page's, or a clock that was set back would wipe what that has
	outcomes map[string]bool
	hosts    map[string]bool // that were seen; nil: none yet
	states   map[string]bool // in which they were; nil: none yet
	changed  int             // counts what was added
	stored   int             // changed, when it was stored last
}

// What a page may have at most; past mostRows, twice as many with country, language and device given up.
const (
	mostRows     = 4096
	mostOutcomes = 512
)

// page is the present day's. The site's lock is held.
func (s *Site) page() *page {
	p := s.pages[s.day]
	if p == nil {
		p = &page{writer: uuid.NewString(), outcomes: map[string]bool{}}
		s.pages[s.day] = p
	}
	return p
}

// The sections of visits and choices. What stands for many rows that there is no room for is in the one called spill: tags
// and categories by themselves.
var (
	answerForm = form{name: "answers", labels: 6, rules: "+>", visitors: true} // country, language, device, regime, banner, outcome: count, minute
	choiceForm = form{name: "choices", labels: 9, rules: "+", visitors: true}  // ..., banner, action, flags, granted, denied: count
	spillForm  = form{name: "spill", labels: 5, rules: "+>"}                   // regime, banner, verdict, kind, tag or category: count, minute
)

// answers counts answers, the last of them in a minute.
func (p *page) answers(v *Visit, device Class, n, minute int64) {
	p.changed++
	text := v.Outcome.text.Value()
	if !p.outcomes[text] {
		if len(p.outcomes) >= mostOutcomes {
			flags, _ := flagsOf(text)
			eachTag(text, func(tag string, verdict byte, kind string) {
				p.sheet.add(spillForm, []string{v.Regime, v.Banner, string(verdict), kind, tag}, n, minute)
			})
			p.sheet.add(answerForm, []string{Other, Other, Other, v.Regime, v.Banner, flags}, n, minute)
			return
		}
		p.outcomes[text] = true
	}
	labels := []string{v.Country, v.Language, device.String(), v.Regime, v.Banner, text}
	if p.full(answerForm, labels) {
		labels[countryLabel], labels[languageLabel], labels[deviceLabel] = Other, Other, Other
	}
	p.sheet.add(answerForm, labels, n, minute)
}

// full tells whether there is no room for a row that is not there yet.
func (p *page) full(f form, labels []string) bool {
	return p.sheet.section(f).rows() >= mostRows && !p.sheet.has(f, labels)
}
