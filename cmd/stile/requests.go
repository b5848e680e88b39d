package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

type requestsCommand struct {
	Site string `arg:"" help:"Name of the site."`
	Data string `env:"STILE_DATA" default:"data" help:"Data folder."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// visitorRequest is a request as it is printed.
type visitorRequest struct {
	Number  string    `json:"number"`
	Due     time.Time `json:"due"`
	Overdue bool      `json:"overdue"`
	Kind    string    `json:"kind"`
	Contact string    `json:"contact"`
	Details string    `json:"details"`
	Receipt string    `json:"receipt"`
	Time    time.Time `json:"time"`
}

// openLedger opens the ledger that stile serve keeps in a data folder.
func openLedger(ctx context.Context, data string) (*ledger.Ledger, error) {
	path := filepath.Join(data, "stile.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no ledger %s: name the folder that stile serve uses with --data", path)
	}
	return ledger.Open(ctx, ledger.Options{Path: path})
}

// Run prints what visitors asked for, the request that is due first before the others (F7).
func (c *requestsCommand) Run(ctx context.Context, std streams) (err error) {
	db, err := openLedger(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.Requests(ctx, c.Site)
	if err != nil {
		return err
	}
	list := make([]visitorRequest, len(found))
	for i, r := range found {
		list[i] = visitorRequest{r.Number, r.Due, time.Now().After(r.Due), r.Kind, r.Contact, r.Details, r.Receipt.String(), r.Time}
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tDUE\tKIND\tCONTACT\tDETAILS")
	for _, r := range list {
		due := r.Due.Format(time.DateOnly)
		if r.Overdue {
			due += " (overdue)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%q\n", r.Number, due, r.Kind, r.Contact, r.Details)
	}
	return t.Flush()
}
