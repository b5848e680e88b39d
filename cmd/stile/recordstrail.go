package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

type trailRecords struct {
	Site  string `help:"Only what is about this site."`
	After int64  `default:"-1" help:"Only entries after this number of the log."`
	Data  string `env:"STILE_DATA" default:"data" help:"Data folder."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// trailEntry is an entry as it is printed.
type trailEntry struct {
	Leaf   int64      `json:"leaf"`
	Time   time.Time  `json:"time"`
	Actor  string     `json:"actor"`
	Act    ledger.Act `json:"act"`
	Site   string     `json:"site"`
	Count  int        `json:"count"`
	Leaves string     `json:"leaves"`
	Detail string     `json:"detail"`
}

const trailPage = 1000

// Run prints the audit trail, oldest first.
func (c *trailRecords) Run(ctx context.Context, std streams) (err error) {
	db, err := openLedger(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	list := []trailEntry{}
	for after := c.After; ; {
		page, err := db.Trail(ctx, c.Site, after, trailPage)
		if err != nil {
			return err
		}
		for _, a := range page {
			list = append(list, trailEntry{a.Leaf, a.Time, a.Actor, a.Act, a.Site, a.Count, a.Leaves.String(), a.Detail})
			after = a.Leaf
		}
		if len(page) < trailPage {
			break
		}
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "LEAF\tTIME\tACTOR\tACT\tSITE\tCOUNT\tLEAVES\tDETAIL")
	for _, e := range list {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", e.Leaf, e.Time.Format(time.RFC3339), e.Actor, e.Act, e.Site, e.Count, shortened(e.Leaves), e.Detail)
	}
	return t.Flush()
}

// shortened is for a table; the whole is in the JSON.
func shortened(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
