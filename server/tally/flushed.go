package tally

import "time"

// Flushed is when what was counted was stored last; zero: not since the start.
func (t *Tally) Flushed() time.Time {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	return t.flushed
}
