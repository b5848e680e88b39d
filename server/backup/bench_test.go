package backup

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// BenchmarkCopy is a copy of a ledger of 100,000 records, with nobody beside it and with 64 visitors who go on choosing:
// what it does to them is in append-p99-ms and appends/s, beside the same without a copy.
func BenchmarkCopy(b *testing.B) {
	data := b.TempDir()
	path := filepath.Join(data, ledgerName)
	l, err := ledger.Open(b.Context(), ledger.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var left atomic.Int64
	left.Store(100_000)
	appending(l, 512, func() bool { return left.Add(-1) >= 0 })()

	copyOnce := func(b *testing.B) int64 {
		to := filepath.Join(b.TempDir(), "copy.db")
		if err := ledger.CopyFile(b.Context(), path, to); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(to)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(to); err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			b.SetBytes(copyOnce(b))
		}
	})
	for name, work := range map[string]func(*testing.B){
		"writers without it": func(*testing.B) { time.Sleep(time.Second) },
		"beside writers":     func(b *testing.B) { b.SetBytes(copyOnce(b)) },
	} {
		b.Run(name, func(b *testing.B) {
			var stop atomic.Bool
			begun := time.Now()
			wait := appending(l, 64, func() bool { return !stop.Load() })
			for b.Loop() {
				work(b)
			}
			stop.Store(true)
			spent := wait()
			b.ReportMetric(float64(len(spent))/time.Since(begun).Seconds(), "appends/s")
			slices.Sort(spent)
			b.ReportMetric(float64(spent[len(spent)*99/100].Microseconds())/1000, "append-p99-ms")
		})
	}
}

// appending stores records from so many goroutines while more says so; wait returns how long each took.
func appending(l *ledger.Ledger, n int, more func() bool) (wait func() []time.Duration) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		spent []time.Duration
	)
	for range n {
		wg.Go(func() {
			var own []time.Duration
			for more() {
				begun := time.Now()
				if _, err := l.Append(context.Background(), record()); err != nil {
					return
				}
				own = append(own, time.Since(begun))
			}
			mu.Lock()
			defer mu.Unlock()
			spent = append(spent, own...)
		})
	}
	return func() []time.Duration {
		wg.Wait()
		return spent
	}
}
