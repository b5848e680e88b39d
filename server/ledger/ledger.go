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

	// FindKey returns the record of an idempotency key, or fs.ErrNotExist.
	FindKey(ctx context.Context, site string, key uuid.UUID) (Record, error)

	// History returns the records of a visitor, newest first: the first is the one in force.
	History(ctx context.Context, site string, subject uuid.UUID) ([]Record, error)

	// Erase deletes all records of a visitor for good, and the events of their mails, and says how many records they
	// were (C10).
	Erase(ctx context.Context, site string, subject uuid.UUID) (int, error)

	// Publish keeps what a site shows from now on; what is kept already is left as it is.
	Publish(ctx context.Context, site string, p Publication) error

	// Notices returns all notices that a site ever published: hash to language.
	Notices(ctx context.Context, site string) (map[string]string, error)

	// Lists returns all vendor lists that a site ever published: id to entries.
	Lists(ctx context.Context, site string) (map[string][]string, error)

	// Policies returns all versions that a site's policy ever had, in the order in which they were published.
	Policies(ctx context.Context, site string) ([]Policy, error)

	// Ask keeps a request. One whose number is taken is an error.
	Ask(ctx context.Context, r Request) error

	// Requests returns the requests to a site, the one that is due first before the others.
	Requests(ctx context.Context, site string) ([]Request, error)

	// Mailed keeps an event of a mail, unless the visitor's record in force does not grant its category. It goes with
	// the next record that does not.
	Mailed(ctx context.Context, e MailEvent) error

	// MailReport counts the events of a site's mails from the day of since on, by message.
	MailReport(ctx context.Context, site string, since time.Time) ([]MailCount, error)

	// Ping tells whether records can be stored now.
	Ping(ctx context.Context) error

	// Close stores what is waiting and lets go of the database.
	Close() error
}
