package main

import (
	"io"
	"testing"

	"github.com/stilehq/stile/server/ledger"
)

// BenchmarkExport is each format, of 20,000 records.
func BenchmarkExport(b *testing.B) {
	db, err := ledger.Open(b.Context(), ledger.Options{Path: b.TempDir() + "/stile.db"})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	const n = 20_000
	done := make(chan error)
	for range 500 {
		go func() {
			var err error
			for i := 0; i < n/500 && err == nil; i++ {
				_, err = db.Append(b.Context(), choice("shop"))
			}
			done <- err
		}()
	}
	for range 500 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	for name, f := range formats {
		b.Run(name, func(b *testing.B) {
			if name == "27560" {
				f = format27560(b.Context(), db, "https://consent.shop.example")
			}
			c := exportRecords{Format: name}
			for b.Loop() {
				if _, err := c.stream(b.Context(), streams{io.Discard, io.Discard}, db, ledger.Query{End: n}, f, io.Discard, true); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
