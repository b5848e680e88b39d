package thirdparty

import (
	"context"
	"maps"
	"slices"
)

// kept is how many hits the log holds. A demonstration may run for days; the counts go on when the oldest lines go.
const kept = 5000

func (p *Parties) record(h Hit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.log) >= 2*kept {
		p.dropped += len(p.log) - kept
		p.log = slices.Clone(p.log[len(p.log)-kept:])
	}
	p.log = append(p.log, h)
	p.counts[h.Party]++
	p.wake()
}

// wake tells everybody who waits that the log changed. The caller holds mu.
func (p *Parties) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Log returns the newest hits (5,000 at least), oldest first. The slice is the caller's.
func (p *Parties) Log() []Hit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// Count returns how many requests a party has received since the last Reset.
func (p *Parties) Count(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[name]
}

// Counts returns Count of every party.
func (p *Parties) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countsLocked()
}

func (p *Parties) countsLocked() map[string]int {
	counts := maps.Clone(p.counts)
	for _, q := range p.parties {
		counts[q.Name] += 0 // so that a party which received nothing is said to have received nothing
	}
	return counts
}

// Reset empties the log.
func (p *Parties) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log, p.dropped = nil, 0
	clear(p.counts)
	p.resets++
	p.wake()
}

// Wait blocks until a party has received n requests since the last Reset, or until ctx is done, and then returns the
// context's error.
func (p *Parties) Wait(ctx context.Context, name string, n int) error {
	for {
		p.mu.Lock()
		count, changed := p.counts[name], p.changed
		p.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cursor is how far a reader of the log has come. Its zero value has read nothing.
type cursor struct {
	started bool
	resets  int
	read    int // hits, dropped ones included
}

// news is what a reader has not yet seen.
type news struct {
	Reset  bool           `json:"reset"` // forget what came before
	Counts map[string]int `json:"counts"`
	Hits   []Hit          `json:"hits"` // oldest first, the newest 200 at most
}

// since returns what is new for a reader, whether there is anything, and the channel that closes when there is more.
func (p *Parties) since(c *cursor) (n news, ok bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.Reset = !c.started || c.resets != p.resets
	if n.Reset {
		*c = cursor{started: true, resets: p.resets}
	}
	from := max(c.read-p.dropped, len(p.log)-200, 0)
	n.Hits = append([]Hit{}, p.log[from:]...) // never nil: it is "[]" in JSON
	n.Counts = p.countsLocked()
	c.read = p.dropped + len(p.log)
	return n, n.Reset || len(n.Hits) > 0, p.changed
}
