// Package ledger keeps the evidence: one append-only record for each act of consent (C4), and the words that each
// visitor read, once by their hash (C6). It holds no IP address and no user agent (C5).
package ledger

import (
	"context"
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
	Previous uuid.UUID // the visitor's record before this one, or zero
	Time     time.Time // UTC
	Action   consent.Action
	Granted  []string // categories
	Denied   []string // categories
	Services []string // tags granted by themselves
	Regime   string
	Country  string // ISO 3166, or ""
	Language string
	Policy   string // version
	List     string // consent.Site.List
	Notice   string // Notice.Hash
	Surface  string // banner, preferences, page, api or noscript
	GPC      bool
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

// Ledger is where records are kept.
//
// Errors: ErrBusy when more is waiting than the ledger takes (retry later); any other error means that nothing is known
// to be stored, and the same call may be made again, since Append is idempotent in Site and Key.
type Ledger interface {
	// Append stores a record and returns once it is durable. A record whose Site and Key are stored already is not
	// stored again: the stored one is returned. Subject is that of Previous where Previous is a record of the same
	// site, else a new one; a Previous that is not known is cleared.
	Append(ctx context.Context, r Record) (Record, error)

	// Find returns the record of an id, or fs.ErrNotExist.
	Find(ctx context.Context, site string, id uuid.UUID) (Record, error)

	// Publish keeps the notices and the vendor list that a site shows from now on; what is kept already is left as
	// it is.
	Publish(ctx context.Context, site string, notices []Notice, list string, entries []string) error

	// Notices returns all notices that a site ever published: hash to language.
	Notices(ctx context.Context, site string) (map[string]string, error)

	// Lists returns all vendor lists that a site ever published: id to entries.
	Lists(ctx context.Context, site string) (map[string][]string, error)

	// Ping tells whether records can be stored now.
	Ping(ctx context.Context) error

	// Close stores what is waiting and lets go of the database.
	Close() error
}
