package main

import (
	"bytes"
	"context"

	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
)

// format is one of the exports', whose parts a test may replace.
type format struct {
	header string
	write  func(to *bytes.Buffer, r *ledger.Record) error
	number func(line []byte) (int64, error)
}

const csvHeader = export.CSVHeader

var (
	formats = map[string]format{
		"jsonl": formatOf(export.JSONL()),
		"csv":   formatOf(export.CSV()),
		"27560": {}, // made for each export, by format27560
	}
	exported   = export.Of
	writeJSONL = export.WriteJSONL
)

type exportedRecord = export.Record

func formatOf(f export.Format) format { return format{f.Header, f.Write, f.Number} }

func (f format) export() export.Format {
	return export.Format{Header: f.header, Write: f.write, Number: f.number}
}

func format27560(ctx context.Context, db *ledger.Ledger, base string) format {
	return formatOf(export.TS27560(ctx, db, base))
}
