// Package outbox sends HTTP messages to third parties later, and not less often than once: pixels, events, beacons. What
// was added is kept in a file of its own until its receiver has answered, across restarts; it is bounded, and tried again
// for as long as it is worth it.
//
//	box, err := outbox.Open(ctx, outbox.Options{Path: "data/outbox.db"})
//	err = box.Add(ctx, outbox.Message{Site: "shop", Tag: "ga4", Key: id, Method: "POST", URL: "https://...", Body: body})
//
// An answer of 2xx or 3xx is the end of a message; no redirect is followed. 408, 425, 429, 5xx and no answer at all are
// tried again, after 1 s at first and an hour at last, until the message expires. Any other answer is final: it is given
// up. So is what would go to an address that is not public (see Options.Allow), since whoever writes a URL into a
// configuration must not reach into the network that the server stands in.
//
// A message stands on somebody's consent (Message.Subject): Forget drops what waits when that is withdrawn.
//
// One process has the file. A second one sends what it finds there when it opens it, and does not see what the first adds;
// Drop is for it. The first one looks into the file before each attempt, and finds what was dropped there gone.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/reach"
)

// Message is one request to a third party.
type Message struct {
	ID      uuid.UUID   // UUIDv7, minted by Add when zero
	Site    string      // consent.Site.Name
	Tag     string      // consent.Tag.ID
	Subject uuid.UUID   // ledger subject whose consent it stands on; zero if none
	Receipt uuid.UUID   // record whose subject that is, where Subject is not known: Options.Subject finds it
	Key     string      // idempotency: a second one of the same Site, Tag and Key is not added before Expires; "" for none
	Method  string      // GET or POST
	URL     string      // absolute, https; http only to a network of Options.Allow
	Header  http.Header // as sent; nothing else is added but what HTTP needs, and no User-Agent unless it is here
	Body    []byte
	Expires time.Time // dropped after it; 24 h after Add when zero
}

// Options are what an outbox is opened with. All but Path have a default.
type Options struct {
	Path  string         // file, made when it is not there, readable by its owner alone; its folder must be there
	Max   int            // messages waiting, 10,000
	Allow []netip.Prefix // networks that are not public and may be reached all the same, and without TLS; none

	// Subject finds the subject of a record, or fs.ErrNotExist, on which the message is dropped: there is no consent that it
	// could stand on. Needed for messages with a Receipt.
	Subject func(ctx context.Context, site string, receipt uuid.UUID) (uuid.UUID, error)

	// Holds tells whether a subject's consent to a tag still holds; it is asked before each attempt. Forget is not enough where
	// consent can be taken back elsewhere: through another process, or by an operator. nil: it holds until Forget.
	Holds func(ctx context.Context, site, tag string, subject uuid.UUID) (bool, error)

	// GaveUp is told of each message that was tried and is not tried again: its receiver refused it for good, was not to be
	// reached until it expired, or is where nothing is sent. It is called by several goroutines and has to return soon.
	GaveUp func(site, tag string)

	Wait      time.Duration     // before the second attempt, doubled for each further one up to an hour; 1 s
	Timeout   time.Duration     // of one attempt, from look-up to answer; 10 s
	Transport http.RoundTripper // in place of the network, for tests: whatever it does, no address is refused
	Now       func() time.Time
	Log       *slog.Logger
}

const (
	defaultMax     = 10_000
	defaultExpiry  = 24 * time.Hour
	defaultWait    = time.Second
	defaultTimeout = 10 * time.Second

	mostOffered = 1024                  // waiting to be stored
	mostSenders = 16                    // attempts at once
	mostPerHost = 2                     // of those
	longestWait = time.Hour             // between two attempts
	longestHold = time.Minute           // of a whole host: new messages find out soon that it is back
	gatherTime  = 20 * time.Millisecond // of offers, before they are stored together
	grace       = 2 * time.Second       // for attempts that are under way at Close
)

var (
	// ErrFull is returned by Add when more is waiting than the outbox takes: nothing was added, try again later.
	ErrFull = errors.New("too many messages are waiting to be sent: try again later")

	// ErrClosed is returned after Close: nothing was added.
	ErrClosed = errors.New("the outbox is closed")
)

// Stats counts what happened since the outbox was opened.
type Stats struct {
	Waiting int       // now, those under way among them
	Sent    uint64    // answered with 2xx or 3xx
	Failed  uint64    // given up: refused by the receiver for good, or to an address that is not allowed
	Dropped uint64    // never sent: the outbox was full, or they expired, or were forgotten
	Oldest  time.Time // when the oldest that waits was added; zero when none does
}

// Outbox keeps messages and sends them. It is safe for concurrent use.
type Outbox struct {
	opt       Options
	now       func() time.Time
	log       *slog.Logger
	store     *store
	transport http.RoundTripper
	idle      func() // closes connections that are not in use

	mu     sync.RWMutex // held for reading while something is put in, so that Close comes after it
	closed bool
	offers chan Message
	soon   *time.Timer // the writer looks at offers
	armed  atomic.Bool // soon is set
	tasks  chan *task

	line    line          // what waits, in memory
	wake    chan struct{} // to look at line again
	waiting atomic.Int64
	counts  struct{ sent, failed, dropped atomic.Uint64 }

	stopDispatch, stopSends context.CancelFunc
	dispatched              sync.WaitGroup
	sends                   sync.WaitGroup
	drain                   chan struct{} // closed: the writer stores what is left, and ends
	written                 chan struct{} // closed: it has
	close                   func() error
}

// Open opens the outbox at Options.Path and goes on with what waits there. Every error is one line that says what to do.
func Open(ctx context.Context, opt Options) (*Outbox, error) {
	o := newOutbox(opt)
	var err error
	if o.store, err = openStore(ctx, opt.Path); err != nil {
		return nil, err
	}
	waiting, err := o.store.entries(ctx)
	if err != nil {
		return nil, errors.Join(err, o.store.close())
	}
	for _, e := range waiting {
		o.waiting.Add(1)
		o.line.push(e)
	}
	dispatch, stopDispatch := context.WithCancel(context.Background())
	sends, stopSends := context.WithCancel(context.Background())
	o.stopDispatch, o.stopSends = stopDispatch, stopSends
	go o.write()
	o.dispatched.Go(func() { o.dispatch(dispatch, sends) })
	return o, nil
}

func newOutbox(opt Options) *Outbox {
	if opt.Max <= 0 {
		opt.Max = defaultMax
	}
	if opt.Wait <= 0 {
		opt.Wait = defaultWait
	}
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	o := &Outbox{
		opt: opt, now: opt.Now, log: opt.Log, transport: opt.Transport, idle: func() {},
		offers: make(chan Message, mostOffered), tasks: make(chan *task, mostOffered),
		line: line{lanes: map[string]*lane{}, underway: map[*entry]bool{}}, wake: make(chan struct{}, 1),
		drain: make(chan struct{}), written: make(chan struct{}),
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.log == nil {
		o.log = slog.Default()
	}
	if o.transport == nil {
		t := reach.NewTransport(opt.Allow, opt.Timeout)
		o.transport, o.idle = t, t.CloseIdle
	}
	o.soon = time.NewTimer(0)
	o.soon.Stop()
	o.close = sync.OnceValue(o.shut)
	return o
}

// Stats returns what happened so far.
func (o *Outbox) Stats() Stats {
	return Stats{
		Waiting: int(o.waiting.Load()), Sent: o.counts.sent.Load(), Failed: o.counts.failed.Load(),
		Dropped: uint64(max(0, int64(o.counts.dropped.Load()))), Oldest: o.line.oldest(), //nolint:gosec // a count, which what was sent in the end is taken from first at times
	}
}

// Close stores what was offered and stops sending; what is under way has 2 s to end, and else is sent again when the
// outbox is opened the next time. It may be called again, and answers the same.
func (o *Outbox) Close() error { return o.close() }

func (o *Outbox) shut() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.stopDispatch()
	o.dispatched.Wait()
	late := time.AfterFunc(grace, o.stopSends)
	o.sends.Wait()
	late.Stop()
	o.stopSends()
	o.idle()
	o.soon.Stop()
	close(o.drain)
	<-o.written
	return o.store.close()
}
