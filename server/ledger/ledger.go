// Package ledger keeps the evidence: one append-only record for each act of consent (C4), and the words that each
// visitor read, once by their hash (C6). It holds no IP address and no user agent (C5).
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

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

// Ledger is where records are kept: in one SQLite file, or in PostgreSQL and what speaks its protocol.
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

	log       *slog.Logger
	spool     *spool // nil without PostgreSQL
	turn      sync.RWMutex
	away      bool          // what comes goes to the spool; guarded by turn
	failing   atomic.Bool   // the last batch was not taken by the database, nor by the spool
	held      bool          // it was told that another process holds the database; the writing goroutine's
	wake      chan struct{} // the courier
	stop      chan struct{} // closed to stop the courier
	couriered chan struct{} // closed when it has ended

	retiring time.Duration // retireTime

	signers atomic.Pointer[[]note.Signer]
	keeping sync.Once     // starts the keeper
	grown   chan struct{} // wakes it
	kept    chan struct{} // closed when it has ended
}

// Stats counts what happened since the ledger was opened.
type Stats struct {
	Stored  uint64 // records, without those that were stored already
	Commits uint64 // transactions that stored them
	Busy    uint64 // Appends refused with ErrBusy
	Failed  uint64 // Appends that failed otherwise
	Waiting int    // Appends waiting now

	Away    bool   // the database is away, and what comes goes to the spool
	Spooled uint64 // records that went to the spool
	Brought uint64 // records that were brought from it to the database
}

type counters struct{ stored, commits, busy, failed, spooled, brought atomic.Uint64 }

// Options are what a ledger is opened with.
type Options struct {
	Path string // SQLite file, made when it is not there, readable by its owner alone; its folder must be there
	URL  string // postgres://...: that database in place of the file at Path

	// SQLite file, made like Path, that keeps what is stored while the database of URL is away. Each process has its own;
	// "" for none: then nothing can be stored meanwhile.
	Spool string
	Retry time.Duration // how often a database that is away is asked whether it is back, 1 s

	Log *slog.Logger // nil: slog.Default()

	Queue int // records that may wait to be stored, 4096; past it Append gives ErrBusy
	Batch int // most records in one transaction, 4096
}

const (
	defaultQueue = 4096
	defaultBatch = 4096
	defaultRetry = time.Second
)

// Open opens a ledger. Every error is one line that says what to do.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.Retry == 0 {
		o.Retry = defaultRetry
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Ledger{
		queue: make(chan *pending, o.Queue), stopped: make(chan struct{}), log: o.Log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), couriered: make(chan struct{}),
		grown: make(chan struct{}, 1), kept: make(chan struct{}), retiring: retireTime,
	}
	l.close = sync.OnceValue(l.shut)
	if err := l.open(ctx, o); err != nil {
		return nil, err
	}
	if l.spool == nil {
		close(l.couriered)
	} else {
		go l.courier(o.Retry)
	}
	go l.run(o.Batch)
	return l, nil
}

func (l *Ledger) open(ctx context.Context, o Options) (err error) {
	if o.URL == "" {
		l.engine, err = openLite(ctx, o.Path)
		return err
	}
	if l.engine, err = openRemote(ctx, o.URL); err != nil || o.Spool == "" {
		return err
	}
	if l.spool, err = openSpool(ctx, o.Spool); err != nil {
		return errors.Join(err, l.engine.close())
	}
	left, err := l.spool.count(ctx)
	if err != nil {
		return errors.Join(err, l.spool.close(), l.engine.close())
	}
	if l.away = left > 0; l.away { // from the last time
		l.wake <- struct{}{}
	}
	return nil
}

// Stats returns what happened so far.
func (l *Ledger) Stats() Stats {
	return Stats{
		Stored: l.counts.stored.Load(), Commits: l.counts.commits.Load(),
		Busy: l.counts.busy.Load(), Failed: l.counts.failed.Load(),
		Waiting: len(l.queue),
		Away:    l.Away(), Spooled: l.counts.spooled.Load(), Brought: l.counts.brought.Load(),
	}
}

// Ping tells whether records can be stored now, in the spool if need be (see Stats.Away). It changes nothing. Where the last
// ones could not be stored, it finds out by a write that leaves everything as it is: a full disk lets itself be asked.
func (l *Ledger) Ping(ctx context.Context) error {
	if !l.Away() {
		err := l.engine.ping(ctx)
		if err == nil && l.failing.Load() {
			err = l.engine.explain(l.transact(ctx, probe(ctx, `UPDATE log SET size = size + $1`)))
		}
		if err == nil {
			l.failing.Store(false)
		}
		if err == nil || l.spool == nil || !gone(err) {
			return err
		}
	}
	// The database may have used up the time there was.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := l.spool.count(ctx)
	if err == nil && l.failing.Load() {
		if err = l.spool.probe(ctx); err == nil {
			l.failing.Store(false)
		}
	}
	return err
}

// probe changes something and changes it back: SQLite writes nothing where nothing is changed.
func probe(ctx context.Context, query string) func(*sql.Tx) error {
	return func(tx *sql.Tx) error {
		for _, by := range []int{1, -1} {
			if _, err := tx.ExecContext(ctx, query, by); err != nil {
				return err
			}
		}
		return nil
	}
}

// Close stores what is waiting and lets go of the database. It may be called again, and answers the same.
func (l *Ledger) Close() error { return l.close() }

func (l *Ledger) shut() error {
	l.mu.Lock()
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	<-l.stopped
	close(l.stop)
	<-l.couriered
	l.keeping.Do(func() { close(l.kept) })
	<-l.kept
	err := l.engine.close()
	if l.spool != nil {
		err = errors.Join(err, l.spool.close())
	}
	return err
}
