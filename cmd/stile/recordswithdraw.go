package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
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
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	history, err := c.find(ctx, db)
	if errors.Is(err, fs.ErrNotExist) {
		return c.unknown(std)
	}
	if err != nil {
		return err
	}
	last := &history[0]
	done, err := rights.Withdraw(ctx, db, c.drop, last, ledger.By{Actor: ledger.Operator(c.By), Time: time.Now()})
	if errors.Is(err, rights.ErrNothingGranted) {
		if err := c.looked(ctx, db, history, "before withdraw"); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "nothing is granted: %s of %s\n", last.Action, last.Time.Format(time.DateTime))
		return nil
	}
	if done.Record.ID == uuid.Nil {
		return err
	}
	fmt.Fprintf(std.out, "withdrawn: receipt %s\n", done.Record.ID)
	if done.Dropped > 0 {
		fmt.Fprintf(std.out, "dropped %s that waited to be sent\n", rights.Counted(done.Dropped, "message"))
	}
	fmt.Fprintf(std.out, "in the visitor's browser it holds once they take it back there: /stile/%s/preferences\n", c.Site)
	return err
}
