// Package ledger keeps the evidence: one append-only record for each act of consent (C4), and the words that each
// visitor read, once by their hash (C6). It holds no IP address and no user agent (C5).
package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
)

// Record is one act of consent.
type Record struct {
	ID       uuid.UUID // UUIDv7, minted by the server: the receipt
	Key      uuid.UUID // made by the page when the visitor acted: the idempotency key, unique in a site
	Site     string
	Subject  uuid.UUID // the visitor's random id: the same in all their records; filled in by Append
	Leaf     int64     // its number in the log, from 0: the order of storing; filled in by Append
	Salt     [16]byte  // random: without it nobody can tell what its leaf was made of
	Previous uuid.UUID // the visitor's record before this one, or zero
	Time     time.Time // UTC
	Action   consent.Action
	Granted  []string // categories
	Denied   []string // categories
	Services []string // tags granted by themselves
	Refused  []string // tags declined by themselves in a category that was granted
	Regime   string
	Country  string // ISO 3166, or ""
	Language string
	Policy   string // version
	List     string // consent.Site.List
	Notice   string // Notice.Hash
	Surface  string // banner, preferences, page, api, noscript or mail
	GPC      bool
	Age      string // older or younger than the site asks for, as the visitor said; "" where nobody asked (F4)
	Expiry   time.Time
}

// Notice is the words that a visitor is shown in one language under one regime, kept so that they can be shown again.
type Notice struct {
	Hash     string
	Site     string
	Language string
	Regime   string
	Policy   string
	Text     []byte // JSON
	Time     time.Time
}

// Policy is a version of a site's policy, kept for ever (C6). A text that changed under its version is one more.
type Policy struct {
	Site       string
	Version    string
	Hash       string // of Text
	Text       []byte // Markdown; empty where the site has none
	Material   bool
	Summary    map[string]string // what changed: language to words
	Controller string
	Since      time.Time // UTC
}

// Publication is what a site shows from a moment on.
type Publication struct {
	Notices  []Notice
	List     string   // consent.Site.List
	Entries  []string // consent.Site.Entries
	Policies []Policy // oldest first
}

// Request is a visitor's request for data that only the site can reach (F7).
type Request struct {
	Number  string // for people, 9 characters: "7KQ4-M2XD"
	Site    string
	Kind    string // access, copy, correct or delete
	Contact string // where the answer goes
	Details string
	Receipt uuid.UUID // the visitor's choice, or zero
	Time    time.Time // UTC
	Due     time.Time // UTC

	Answered time.Time // UTC, zero until it is
	Note     string    // what was answered, for proof
}

// Ledger is where records are kept: in one SQLite file.
//
// An Append is answered after an fsync that many of them share: one goroutine writes, and takes everything that is waiting
// into one transaction.
type Ledger struct {
	engine engine

	mu      sync.RWMutex // held for reading while putting into queue, so that Close can close it
	closed  bool
	queue   chan *pending
	stopped chan struct{} // closed when the writing goroutine has ended
	close   func() error
	counts  counters
}

// Stats counts what happened since the ledger was opened.
type Stats struct {
	Stored  uint64 // records, without those that were stored already
	Commits uint64 // transactions that stored them
	Busy    uint64 // Appends refused with ErrBusy
	Failed  uint64 // Appends that failed otherwise
	Waiting int    // Appends waiting now
}

type counters struct{ stored, commits, busy, failed atomic.Uint64 }

// Options are what a ledger is opened with.
type Options struct {
	Path string // SQLite file, made when it is not there, readable by its owner alone; its folder must be there

	Queue int // records that may wait to be stored, 4096; past it Append gives ErrBusy
	Batch int // most records in one transaction, 4096
}

const (
	defaultQueue = 4096
	defaultBatch = 4096
)

// Open opens a ledger. Every error is one line that says what to do.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	e, err := openLite(ctx, o.Path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{engine: e, queue: make(chan *pending, o.Queue), stopped: make(chan struct{})}
	l.close = sync.OnceValue(l.shut)
	go l.run(o.Batch)
	return l, nil
}

// Stats returns what happened so far.
func (l *Ledger) Stats() Stats {
	return Stats{
		Stored: l.counts.stored.Load(), Commits: l.counts.commits.Load(),
		Busy: l.counts.busy.Load(), Failed: l.counts.failed.Load(),
		Waiting: len(l.queue),
	}
}

// Ping tells whether records can be stored now. It changes nothing.
func (l *Ledger) Ping(ctx context.Context) error { return l.engine.ping(ctx) }

// Close stores what is waiting and lets go of the database. It may be called again, and answers the same.
func (l *Ledger) Close() error { return l.close() }

func (l *Ledger) shut() error {
	l.mu.Lock()
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	<-l.stopped
	return l.engine.close()
}
