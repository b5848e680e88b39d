package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

type withdrawRecords struct{ oneVisitor }

// Help says how far it reaches.
func (c *withdrawRecords) Help() string {
	return "For a visitor who asks for it by post or telephone. It adds a record of withdrawal, and what this server does by itself " +
		"stops at once: events, mails, pixels through the gate, and what waits to be sent.\n\n" +
		"It does not reach the visitor's browser. The choice in their cookie is believed without a look at the records, so that the " +
		"tags on your pages go on there until the visitor takes it back in that browser, or it runs out: give them the address " +
		"/stile/{site}/preferences."
}

// Validate refuses what cannot be a receipt.
func (c *withdrawRecords) Validate() error { return c.check() }

// Run adds a record that takes back everything.
func (c *withdrawRecords) Run(ctx context.Context, std streams) (err error) {
	db, err := openLedger(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	last, err := c.find(ctx, db)
	if errors.Is(err, fs.ErrNotExist) {
		return c.unknown(std)
	}
	if err != nil {
		return err
	}
	if len(last.Granted)+len(last.Services) == 0 {
		fmt.Fprintf(std.out, "nothing is granted: %s of %s\n", last.Action, last.Time.Format(time.DateTime))
		return nil
	}
	now := time.Now().UTC()
	stored, err := db.Append(ctx, withdrawal(&last, now))
	if err != nil {
		return err
	}
	note := ledger.Audit{Time: now, Actor: ledger.Operator(c.By), Act: ledger.ActWithdraw, Site: c.Site, Leaves: ledger.LeavesOf(stored.Leaf), Count: 1}
	_, err = db.Note(ctx, note)
	dropped, errDrop := c.drop(ctx, last.Subject)
	fmt.Fprintf(std.out, "withdrawn: receipt %s\n", stored.ID)
	if dropped > 0 {
		fmt.Fprintf(std.out, "dropped %s that waited to be sent\n", counted(dropped, "message"))
	}
	fmt.Fprintf(std.out, "in the visitor's browser it holds once they take it back there: /stile/%s/preferences\n", c.Site)
	return errors.Join(err, errDrop)
}

// withdrawal is the record that takes back all that the last one grants. Made twice for the same one it is one.
func withdrawal(last *ledger.Record, now time.Time) ledger.Record {
	r := *last
	r.ID, r.Salt, r.Previous, r.Time = uuid.Nil, [16]byte{}, last.ID, now
	r.Key = uuid.NewSHA1(last.ID, []byte("withdrawn by the operator"))
	r.Action, r.Surface, r.GPC = consent.Withdraw, "api", false
	r.Granted, r.Services, r.Refused = nil, nil, nil
	r.Denied = slices.Concat(last.Denied, last.Granted)
	slices.Sort(r.Denied)
	r.Denied = slices.Compact(r.Denied)
	if !last.Expiry.IsZero() {
		r.Expiry = now.Add(last.Expiry.Sub(last.Time))
	}
	return r
}
