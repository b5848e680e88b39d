package outbox

import (
	"cmp"
	"slices"
	"time"
)

// Late is what has waited for a host since before some moment.
type Late struct {
	Site, Tag, Host string
	Waiting         int
	Oldest          time.Time // when the first of them was added
}

// Late returns what was added before a moment and still waits, by site, tag and host.
func (o *Outbox) Late(before time.Time) []Late {
	found := map[Late]*Late{}
	o.line.mu.Lock()
	look := func(e *entry) {
		if e.left || e.gone || !e.added.Before(before) {
			return
		}
		key := Late{Site: e.site, Tag: e.tag, Host: e.host}
		l := found[key]
		if l == nil {
			one := key
			l, found[key] = &one, &one
		}
		l.Waiting++
		if l.Oldest.IsZero() || e.added.Before(l.Oldest) {
			l.Oldest = e.added
		}
	}
	for _, l := range o.line.lanes {
		for _, e := range l.waiting {
			look(e)
		}
	}
	for e := range o.line.underway {
		look(e)
	}
	o.line.mu.Unlock()
	all := make([]Late, 0, len(found))
	for _, l := range found {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Late) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Host, b.Host))
	})
	return all
}
