package share

import (
	"context"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
)

// Views keeps what links showed for a while, and makes one view at a time: whoever has a link may ask as often as they like.
type Views struct {
	from Figures
	turn chan struct{} // has one place, for who reads or changes kept
	kept map[looked]seen
}

// looked is what a view depends on, beside the figures.
type looked struct {
	site                 string
	millis, spent, weeks int
	categories           string
	seed                 [32]byte
	to                   time.Time
}

type seen struct {
	view  *View
	until time.Time
}

const (
	keptFor  = 5 * time.Minute
	mostKept = 256
)

// NewViews makes views of figures.
func NewViews(from Figures) *Views {
	return &Views{from: from, turn: make(chan struct{}, 1), kept: map[looked]seen{}}
}

// Look is Link.View, which is not to be changed.
func (v *Views) Look(ctx context.Context, l Link, site *consent.Site, spent, weeks int, now time.Time) (*View, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key := looked{site.Name, l.Millis, spent, weeks, strings.Join(optional(site), " "), l.seed, lastDay(now)}
	if s, found := v.kept[key]; found && now.Before(s.until) {
		return s.view, nil
	}
	view, err := l.View(ctx, v.from, site, spent, weeks, now)
	if err != nil {
		return nil, err
	}
	if len(v.kept) >= mostKept {
		clear(v.kept)
	}
	v.kept[key] = seen{view, now.Add(keptFor)}
	return view, nil
}
