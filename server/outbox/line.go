package outbox

import (
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// entry is what is known of a waiting message without reading it.
type entry struct {
	seq                 int64
	site, tag, host     string
	subject             uuid.UUID
	added, due, expires time.Time
	attempts            int
	gone, left          bool // forgotten; no longer counted as waiting. Guarded by line.mu, as settled is
	settled             bool // what came of its last attempt is known
}

// lane is what waits for one host, the next one first. A host that does not answer holds up its own lane alone.
type lane struct {
	waiting  queue
	active   int
	failures int       // in a row, of the host itself
	until    time.Time // it is left alone so long
	said     time.Time // when a message of it was last said to be given up
}

// width is how many attempts a lane may have at once: one to find out whether the host is back.
func (l *lane) width() int {
	if l.failures > 0 {
		return 1
	}
	return mostPerHost
}

// line is all that waits, in lanes, and what is under way.
type line struct {
	mu       sync.Mutex
	lanes    map[string]*lane
	underway map[*entry]bool // taken out of its lane, and not put back
}

func (q *line) push(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(e)
}

func (q *line) put(e *entry) {
	l := q.lanes[e.host]
	if l == nil {
		l = &lane{}
		q.lanes[e.host] = l
	}
	heap.Push(&l.waiting, e)
}

// take takes out what may be sent now, at most so many, and what has expired. It says when to look again, zero for when
// something changes.
func (q *line) take(now time.Time, most int) (send, expired []*entry, again time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	earlier := func(t time.Time) {
		if again.IsZero() || t.Before(again) {
			again = t
		}
	}
	for host, l := range q.lanes {
		if l.waiting.Len() == 0 && l.active == 0 && !l.until.After(now) && now.Sub(l.said) > time.Minute {
			delete(q.lanes, host)
			continue
		}
		for l.waiting.Len() > 0 {
			next := l.waiting[0]
			if !now.Before(next.expires) {
				expired = append(expired, q.out(l))
				continue
			}
			if at := later(next.due, l.until); at.After(now) {
				earlier(sooner(at, next.expires))
				break
			}
			if l.active >= l.width() || len(send) >= most {
				break // whoever ends wakes us
			}
			l.active++
			send = append(send, q.out(l))
		}
	}
	return send, expired, again
}

func (q *line) out(l *lane) *entry {
	e := heap.Pop(&l.waiting).(*entry)
	q.underway[e], e.settled = true, false
	return e
}

// forget takes out what stands on a subject's consent, and says how many that were. What is under way is marked, and not tried
// again; where it turns out to be sent all the same, it was not forgotten.
func (q *line) forget(site string, subject uuid.UUID, tags []string, left func(*entry)) (taken uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	meant := func(e *entry) bool {
		return e.subject == subject && e.site == site && (len(tags) == 0 || slices.Contains(tags, e.tag))
	}
	for _, l := range q.lanes {
		n := len(l.waiting)
		l.waiting = slices.DeleteFunc(l.waiting, func(e *entry) bool {
			if !meant(e) {
				return false
			}
			left(e)
			taken++
			return true
		})
		if len(l.waiting) < n {
			heap.Init(&l.waiting)
		}
	}
	for e := range q.underway {
		if !meant(e) {
			continue
		}
		if !e.gone && !e.settled {
			taken++
		}
		e.gone = true
		left(e)
	}
	return taken
}

func (q *line) oldest() (first time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	look := func(e *entry) {
		if !e.left && (first.IsZero() || e.added.Before(first)) {
			first = e.added
		}
	}
	for _, l := range q.lanes {
		for _, e := range l.waiting {
			look(e)
		}
	}
	for e := range q.underway {
		look(e)
	}
	return first
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// queue is a heap by due, and by seq among those that are due at once.
type queue []*entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].seq < q[j].seq
	}
	return q[i].due.Before(q[j].due)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*entry)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
