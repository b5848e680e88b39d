package main

import (
	"context"

	"github.com/stilehq/stile/server/ledger"
)

// seen is what an operator looked at or took away: records by their numbers in the log, never by a person.
type seen struct {
	Act    string // show or export
	Site   string // "" for all
	Leaves []int64
	First  int64 // of an export: the numbers that it looked at, First <= number < End
	End    int64
	Count  int // records
}

// audited is called once an operator has looked at records, or taken them away, and before the command says that it is
// done: an error is the command's.
func audited(_ context.Context, _ *ledger.Ledger, _ seen) error { return nil }
