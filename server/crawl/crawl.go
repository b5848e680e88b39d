// Package crawl reads the pages of a site one after the other, as somebody may who was not asked to: those of one origin
// alone, as robots.txt allows (RFC 9309), seldom, and within bounds for everything that the other side could make large.
//
//	c := crawl.New(start, crawl.Options{Depth: 2, Pages: 50, Rate: 2, ...})
//	for page, err := range c.Pages(ctx) { ... }
//
// What cannot be read is an error of that page, and the rest goes on. The origin is that at which the first page is found:
// it may redirect within its registrable domain, from shop.example to www.shop.example; no other page may redirect out of
// the origin. The first page is one that a person named, and is read whatever robots.txt says.
package crawl

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Options are the bounds. All of them have to be given.
type Options struct {
	Depth     int           // how many links a page may be away from the first; 0: that alone, with its own frames
	Pages     int           // how many addresses are asked for at most, whether they are pages or not
	Rate      float64       // requests a second at most, that of robots.txt among them
	Size      int64         // bytes of a page at most, after it is decompressed
	Page      time.Duration // within which an answer has to be whole
	All       time.Duration // within which everything has to be done
	Agent     string        // the User-Agent; robots.txt calls it by what comes before its "/"
	Transport http.RoundTripper
}

// Page is a page as it was read.
type Page struct {
	Address *url.URL // where it was in the end, after redirects
	Body    []byte   // in UTF-8
	Depth   int
}

// Error is what kept an address from being read.
type Error struct {
	Address string
	Err     error
}

// Error implements error: one line.
func (e *Error) Error() string { return e.Address + ": " + e.Err.Error() }

// Unwrap returns what happened: reach.ErrRefused among others.
func (e *Error) Unwrap() error { return e.Err }

// Left is what a crawl did not read.
type Left struct {
	Robots int  // addresses that robots.txt wants left alone
	Rules  bool // robots.txt has more rules than were looked at
	More   bool // there were links beyond Options.Pages
	Links  bool // there were more of those that robots.txt wants left alone than were looked at
	Time   bool // Options.All was over
}

// mostDenied is how many addresses are looked at in vain, beside Options.Pages: each is held against all rules.
const mostDenied = 10_000

// Crawl is one walk through a site. It is for one goroutine.
type Crawl struct {
	o     Options
	start *url.URL

	origin string          // once the first page was read
	queue  []visit         // in the order in which they were found, so that the nearest come first
	queued int             // how many were in it
	known  map[string]bool // addresses that need not be queued any more
	read   map[string]bool // where pages were in the end
	rules  *rules
	next   time.Time // when the next request may be made
	left   Left
}

type visit struct {
	at    *url.URL
	depth int
}

// New begins at a page, whose address has to be one of http or https.
func New(start *url.URL, o Options) *Crawl {
	first := canonical(start)
	return &Crawl{o: o, start: first, known: map[string]bool{first.String(): true}, read: map[string]bool{}, queue: []visit{{first, 0}}, queued: 1}
}

// Known is how many addresses will have been asked for in the end, as far as is known now.
func (c *Crawl) Known() int { return c.queued }

// Left is what was not read, once Pages has ended.
func (c *Crawl) Left() Left { return c.left }

// Pages reads the site: each page, or an *Error in its place. It ends early when the time is over or ctx ends.
func (c *Crawl) Pages(ctx context.Context) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		ctx, stop := context.WithTimeout(ctx, c.o.All)
		defer stop()
		for len(c.queue) > 0 {
			v := c.queue[0]
			c.queue = c.queue[1:]
			page, err := c.page(ctx, v)
			if c.over(ctx) {
				return
			}
			switch {
			case errors.Is(err, errRobots):
				c.left.Robots++
				continue
			case err != nil:
				err = &Error{v.at.String(), err}
			case page == nil:
				continue
			}
			if !yield(page, err) || page != nil && !c.follow(ctx, page, yield) {
				return
			}
		}
	}
}

// over tells whether the time is over, or whoever began this stopped it.
func (c *Crawl) over(ctx context.Context) bool {
	c.left.Time = errors.Is(ctx.Err(), context.DeadlineExceeded)
	return ctx.Err() != nil
}

// page reads a page; it is nil without an error where a redirect led to one that was read already.
func (c *Crawl) page(ctx context.Context, v visit) (*Page, error) {
	r, err := c.fetch(ctx, v.at, c.mayGo)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if r.status != http.StatusOK {
		return nil, fmt.Errorf("it answers %d %s", r.status, http.StatusText(r.status))
	}
	if c.read[r.at.String()] {
		return nil, nil
	}
	c.read[r.at.String()] = true
	body, err := r.html(c.o.Size)
	if err != nil {
		return nil, c.worded(err)
	}
	if c.origin == "" {
		c.origin = originOf(r.at)
		c.known[r.at.String()] = true
	}
	return &Page{Address: r.at, Body: body, Depth: v.depth}, nil
}

// mayGo tells whether a page may be asked for, or redirect there.
func (c *Crawl) mayGo(u *url.URL) error {
	switch {
	case c.origin == "" && domain(u) != domain(c.start), c.origin != "" && originOf(u) != c.origin:
		return fmt.Errorf("it redirects to %s, which is another site", u)
	case c.rules != nil && !c.rules.allow(u):
		return errRobots
	}
	return nil
}

// follow queues what a page links to. It is false when whoever ranges over the pages has had enough, or the time is over.
func (c *Crawl) follow(ctx context.Context, p *Page, yield func(*Page, error) bool) bool {
	for u, away := range links(p.Body, p.Address) {
		if c.over(ctx) {
			return false
		}
		if p.Depth+away > c.o.Depth || originOf(u) != c.origin || c.known[u.String()] {
			continue
		}
		if c.full() {
			return true
		}
		if c.rules == nil { // there is somewhere to go
			var err error
			if c.rules, err = c.robots(ctx); err != nil && ctx.Err() == nil && !yield(nil, err) {
				return false
			}
			c.left.Rules = c.rules.more
		}
		c.known[u.String()] = true
		if !c.rules.allow(u) {
			c.left.Robots++
			continue
		}
		c.queue = append(c.queue, visit{u, p.Depth + away})
		c.queued++
	}
	return true
}

// full tells whether no more addresses are taken.
func (c *Crawl) full() bool {
	c.left.More = c.queued >= c.o.Pages
	c.left.Links = c.left.Links || len(c.known) >= c.o.Pages+mostDenied
	return c.left.More || c.left.Links
}
