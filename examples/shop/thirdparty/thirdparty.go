// Package thirdparty holds stand-ins for the companies behind a site's tags: a visit counter, two pixels, a chat and a
// film host. They behave as such companies do, cookies included, and write down every request that reaches them. What
// is not in their log was not sent: the example shop shows the log to people, and tests ask it.
//
//	parties := thirdparty.New()
//	counter := httptest.NewServer(parties.Handler("counter"))
//	...
//	err := parties.Wait(ctx, "counter", 1)    // blocks until the counter has had a request
//	if parties.Count("pixel-a") != 0 { ... }  // nothing may have reached pixel A
//
// The five of Standard, and what they answer:
//
//	counter  GET /counter.js?id=ACCOUNT  a script: cookie hc_id, localStorage hc_seen, window.houseCounter {page, stop}
//	         GET /hit?site=ACCOUNT&u=PATH  its beacon
//	pixel-a  GET /p.gif                  a transparent GIF; sets the third-party cookie pixel-a_id
//	pixel-b  GET /p.gif                  the same, pixel-b_id
//	chat     GET /widget.js              a script: draws a bubble; cookie chat_id, localStorage chat_open; cannot be stopped
//	video    GET /embed/NAME             a page with a short film; sets the third-party cookie video_id
//
// Every answer is no-store, so that a request which the browser's cache could have swallowed is seen too. Anything else
// is answered 404, and logged; only /favicon.ico is not, because a browser asks for it without being told to.
package thirdparty

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Kind is the trade of a third party.
type Kind string

// The kinds of stand-ins.
const (
	Collector Kind = "collector"
	Pixel     Kind = "pixel"
	Chat      Kind = "chat"
	Video     Kind = "video"
)

// Party is one third party. Name is what the log and Handler call it; Title is for people.
type Party struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Kind  Kind   `json:"kind"`
}

// Hit is one request that reached a third party.
type Hit struct {
	Party   string    `json:"party"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Query   string    `json:"query"` // as sent, without the question mark
	Host    string    `json:"host"`
	Time    time.Time `json:"time"`
	Referer string    `json:"referer"`
	Cookie  bool      `json:"cookie"` // the request carried a cookie
}

// Parties is a set of third parties with one log. It is safe for use by any number of goroutines.
type Parties struct {
	parties []Party

	mu      sync.Mutex
	log     []Hit
	dropped int            // hits that were let go from the front of log since the last Reset
	counts  map[string]int // by Party.Name; never short of what was let go
	resets  int
	changed chan struct{} // closed, and replaced, whenever the log changes

	closeOnce sync.Once
	closed    chan struct{}
}

// Standard returns the five that the example shop's configuration names.
func Standard() []Party {
	return []Party{
		{Name: "counter", Title: "House counter", Kind: Collector},
		{Name: "pixel-a", Title: "Pixel A", Kind: Pixel},
		{Name: "pixel-b", Title: "Pixel B", Kind: Pixel},
		{Name: "chat", Title: "Chat", Kind: Chat},
		{Name: "video", Title: "Video", Kind: Video},
	}
}

// New returns the given parties, or those of Standard when none are given.
func New(parties ...Party) *Parties {
	if len(parties) == 0 {
		parties = Standard()
	}
	return &Parties{
		parties: slices.Clone(parties),
		counts:  make(map[string]int),
		changed: make(chan struct{}),
		closed:  make(chan struct{}),
	}
}

// Parties returns who is in the set, in order.
func (p *Parties) Parties() []Party { return slices.Clone(p.parties) }

// Close ends the streams of ServeEvents, which would otherwise hold up the shutdown of their server:
//
//	server.RegisterOnShutdown(parties.Close)
//
// The handlers and the log go on working. It may be called more than once.
func (p *Parties) Close() { p.closeOnce.Do(func() { close(p.closed) }) }

// Handler returns the server of one party: it is the whole host, and does not mind what the host is called or whether
// TLS was taken off before it. It panics if there is no such party.
func (p *Parties) Handler(name string) http.Handler {
	i := slices.IndexFunc(p.parties, func(q Party) bool { return q.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("thirdparty: no party is called %q", name))
	}
	site := p.parties[i].handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		p.record(Hit{
			Party:   name,
			Method:  r.Method,
			Path:    r.URL.Path,
			Query:   r.URL.RawQuery,
			Host:    r.Host,
			Time:    time.Now(),
			Referer: r.Referer(),
			Cookie:  r.Header.Get("Cookie") != "",
		})
		w.Header().Set("Cache-Control", "no-store")
		site.ServeHTTP(w, r)
	})
}
