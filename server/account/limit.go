package account

import (
	"net/netip"
	"sync"
	"time"
)

// Refused log-ins are counted for quarter of an hour from the first one on, by address and by user.
//
// An address that was refused mostRefused times waits. A user who was refused as often, from wherever, can be tried once more
// from each address that was not refused for that user: who guesses from many addresses gets one guess from each, and still
// nobody is locked out by what others do elsewhere. An IPv6 address counts as its /64, which is what one host has.
const (
	mostRefused = 10
	refusedFor  = 15 * time.Minute
	mostCounts  = 1 << 14 // kept in memory, some 4 MB
)

type limit struct {
	mu     sync.Mutex
	counts map[countKey]*count
}

type countKey struct {
	from netip.Prefix // the zero one: from anywhere
	name string       // "": of anybody
}

type count struct {
	n     int
	until time.Time
}

func newLimit() *limit { return &limit{counts: map[countKey]*count{}} }

func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil { // it is unknown: all of those are one
		return netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	}
	return p
}

// take counts a log-in as refused before it is checked, so that many at once are no way around, or returns a *Wait.
// The log-in that succeeds gives it back.
func (l *limit) take(name string, from netip.Addr, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	net := network(from)
	host, user, both := l.at(countKey{from: net}, now), l.at(countKey{name: name}, now), l.at(countKey{net, name}, now)
	switch {
	case host.n >= mostRefused:
		return &Wait{host.until.Sub(now), true}
	case user.n >= mostRefused && both.n > 0:
		return &Wait{both.until.Sub(now), false}
	}
	for _, c := range []*count{host, user, both} {
		c.n++
	}
	return nil
}

// give takes back what take counted.
func (l *limit) give(name string, from netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	net := network(from)
	for _, key := range []countKey{{from: net}, {name: name}, {net, name}} {
		if c := l.counts[key]; c != nil && now.Before(c.until) {
			c.n = max(c.n-1, 0)
		}
	}
}

// at is a count that holds now.
func (l *limit) at(key countKey, now time.Time) *count {
	c := l.counts[key]
	if c == nil {
		l.shrink(now)
		c = &count{}
		l.counts[key] = c
	}
	if !now.Before(c.until) {
		c.n, c.until = 0, now.Add(refusedFor)
	}
	return c
}

// shrink makes room: what is over goes, or else anything does, which costs whoever guesses more than it gives them.
func (l *limit) shrink(now time.Time) {
	if len(l.counts) < mostCounts {
		return
	}
	for key, c := range l.counts {
		if !now.Before(c.until) || c.n == 0 {
			delete(l.counts, key)
		}
	}
	for key := range l.counts {
		if len(l.counts) <= mostCounts/4*3 { // so that it is seldom done
			break
		}
		delete(l.counts, key)
	}
}
