package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const maxCheckpoint = 1 << 16 // of a file, in bytes

// all checks the whole ledger and prints what was found.
func (c *verifyRecords) all(ctx context.Context, std streams, known note.Verifiers) (err error) {
	var older [][]byte
	for _, name := range c.Checkpoint {
		msg, err := readSome(name, maxCheckpoint)
		if err != nil {
			return err
		}
		older = append(older, msg)
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	size, err := db.Size(ctx)
	if err != nil {
		return err
	}
	bar := newProgress(std.err, time.Now, 0, size)
	v, err := db.VerifyAll(ctx, known, older, func(done, _ int64) {
		bar.records = done
		bar.at(done)
	})
	bar.done()
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "log %s: %d %s\n", v.Origin, v.Size, leaves(v.Size))
	fmt.Fprintf(std.out, "%d records, %d entries of the audit trail, %d erased; %d checked against %d signed checkpoints, %d since the last of them\n",
		v.Records, v.Entries, v.Erased, v.Size-v.Unsealed, v.Checkpoints, v.Unsealed)
	for _, line := range v.Found {
		fmt.Fprintf(std.out, "  %s\n", line)
	}
	if v.More > 0 {
		fmt.Fprintf(std.out, "  and %d more\n", v.More)
	}
	if !v.OK() {
		fmt.Fprintln(std.out, "The ledger is not what was signed.")
		return errFound
	}
	if v.Size == 0 {
		fmt.Fprintln(std.out, "There is nothing in it yet.")
		return nil
	}
	fmt.Fprintln(std.out, "Every record is as it was stored, and none is missing.")
	return nil
}
