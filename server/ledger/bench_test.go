package ledger

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkAppend is 256 visitors who choose at once.
func BenchmarkAppend(b *testing.B) { benchmark(b, defaultBatch) }

// BenchmarkSingleInsert is the same without group commit, to compare.
func BenchmarkSingleInsert(b *testing.B) { benchmark(b, 1) }

func benchmark(b *testing.B, most int) {
	s := openWith(b, Options{Path: filepath.Join(b.TempDir(), "stile.db"), Batch: most})
	b.SetParallelism(max(1, 256/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Append(context.Background(), record("shop")); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	st := s.Stats()
	b.ReportMetric(float64(st.Stored)/float64(max(1, st.Commits)), "records/commit")
}
