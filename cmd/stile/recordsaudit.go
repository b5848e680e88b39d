package main

import (
	"context"
	"os"
	"slices"
	"time"

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
// done: an error is the command's. Who it was is in STILE_OPERATOR.
func audited(ctx context.Context, db *ledger.Ledger, s seen) error {
	name := os.Getenv("STILE_OPERATOR")
	if err := checkOperator(name); err != nil {
		return err
	}
	// What waits in a spool has no number yet.
	leaves := ledger.LeavesOf(slices.DeleteFunc(slices.Clone(s.Leaves), func(leaf int64) bool { return leaf < 0 })...)
	if s.End > s.First {
		leaves = ledger.Leaves{{First: s.First, Last: s.End - 1}}
	}
	_, err := db.Note(ctx, ledger.Audit{
		Time: time.Now(), Actor: ledger.Operator(name), Act: ledger.Act(s.Act), Site: s.Site, Leaves: leaves, Count: s.Count,
	})
	return err
}
