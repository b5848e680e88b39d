package postgrestest

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a cluster and passes on what each says, until it is told to do worse. Its methods may
// be called by any goroutine.
type Proxy struct {
	tb     testing.TB
	url    *url.URL // of the cluster
	target string
	own    string
	tasks  sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while cut
	links    map[*link]struct{}
	weather  weather
	changed  chan struct{} // closed when the weather changes
}

type weather struct {
	hung  bool
	delay time.Duration
}

// link is a client's connection, and what it is connected with once that is dialled.
type link struct {
	context.Context // ends with the link
	end             context.CancelFunc

	mu    sync.Mutex
	conns []*net.TCPConn
}

// NewProxy is a proxy before the cluster whose URL is given. It ends with the test, and its connections with it.
func NewProxy(tb testing.TB, cluster string) *Proxy {
	tb.Helper()
	u, err := url.Parse(cluster)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := listen(loopback)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{
		tb: tb, url: u, target: u.Host, own: l.Addr().String(), listener: l,
		links: map[*link]struct{}{}, changed: make(chan struct{}),
	}
	p.tasks.Go(func() { p.serve(l) })
	tb.Cleanup(func() {
		p.Cut()
		p.tasks.Wait()
	})
	return p
}

// URL is the cluster's with the proxy's address, and the patience of every other.
func (p *Proxy) URL() string {
	u := *p.url
	q := u.Query()
	q.Del("connect_timeout")
	u.Host, u.RawQuery = p.own, q.Encode()
	return u.String()
}

// Cut resets all connections and refuses new ones, as a host does whose PostgreSQL has gone.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		l.reset()
	}
}

// Hang keeps all connections open, takes new ones, and passes nothing on until Heal: a partition of which neither side is
// told. What was said meanwhile is said late; the end of a connection is, too.
func (p *Proxy) Hang() { p.become(weather{hung: true}) }

// Slow passes each piece of at most 32 KiB on d later, either way.
func (p *Proxy) Slow(d time.Duration) { p.become(weather{delay: d}) }

// Heal ends what Cut, Hang and Slow began.
func (p *Proxy) Heal() {
	p.tb.Helper()
	p.become(weather{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	l, err := net.Listen("tcp", p.own)
	if err != nil {
		p.tb.Errorf("healing the proxy: %v", err)
		return
	}
	p.listener = l
	p.tasks.Go(func() { p.serve(l) })
}

func (p *Proxy) become(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // cut
		}
		ctx, cancel := context.WithCancel(context.Background())
		link := &link{Context: ctx, end: cancel}
		link.add(conn)
		if !p.add(link, l) {
			link.reset()
			continue
		}
		p.tasks.Go(func() {
			p.connect(link)
			p.remove(link)
		})
	}
}

// add is false where the proxy was cut while the connection came in.
func (p *Proxy) add(l *link, by net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != by {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// connect dials the cluster and passes on, both ways, until the link ends.
func (p *Proxy) connect(l *link) {
	if p.pass(l) != nil {
		return
	}
	conn, err := new(net.Dialer).DialContext(l, "tcp", p.target)
	if err != nil {
		l.reset()
		return
	}
	if !l.add(conn) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.pump(l, l.conns[0], l.conns[1]) })
	p.pump(l, l.conns[1], l.conns[0])
	back.Wait()
}

// pump ends the link with the first end of either side, when that can be passed on.
func (p *Proxy) pump(l *link, to io.Writer, from io.Reader) {
	defer l.close()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if p.pass(l) != nil {
			return
		}
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass returns when the weather lets a piece through, or with an error when the link ended first.
func (p *Proxy) pass(l *link) error {
	for {
		p.mu.Lock()
		now, changed := p.weather, p.changed
		p.mu.Unlock()
		var later <-chan time.Time // nil: never
		switch {
		case now.delay > 0:
			later = time.After(now.delay)
		case !now.hung:
			return l.Err()
		}
		select {
		case <-later:
			return l.Err()
		case <-changed:
		case <-l.Done():
			return l.Err()
		}
	}
}

// add is false where the link has ended.
func (l *link) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Err() != nil {
		conn.Close()
		return false
	}
	l.conns = append(l.conns, conn.(*net.TCPConn))
	return true
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	for _, c := range l.conns {
		c.Close()
	}
}

// reset has both sides told that something broke. What is sent and not yet read is lost.
func (l *link) reset() {
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.SetLinger(0) // an error: it is closed already
	}
	l.mu.Unlock()
	l.close()
}
