package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

// evidenceVisitors choose at the same time.
const evidenceVisitors = 256

// measureEvidence prints what the ledger is held to (issue 5, point 7), as ratios of neighbouring runs: group commit beside
// single inserts, the endpoint beside the bare ledger, and look-ups among many records beside few.
func measureEvidence(ctx context.Context, s settings, folder, binary string) error {
	fmt.Printf("\nevidence, %d visitors at once, the ledger in %s\n\n", evidenceVisitors, folder)
	e := &evidence{settings: s, folder: filepath.Join(folder, "evidence"), binary: binary, costs: map[string][]float64{}}
	if err := os.MkdirAll(e.folder, 0o700); err != nil {
		return err
	}
	var group, single, endpoint []float64
	var took []time.Duration
	for range s.rounds {
		for _, m := range []struct {
			rates   *[]float64
			measure func(context.Context) (float64, []time.Duration, error)
		}{{&group, e.bare(0)}, {&single, e.bare(1)}, {&endpoint, e.http}} {
			rate, waits, err := m.measure(ctx)
			if err != nil {
				return err
			}
			*m.rates = append(*m.rates, rate)
			if m.rates == &endpoint {
				took = append(took, waits...)
			}
		}
	}
	report("group commit / single inserts", 8, ratios(group, single))
	report("the endpoint / group commit", 0.5, ratios(endpoint, group))
	if len(e.costs["endpoint"]) > 0 && len(e.costs["bare0"]) == len(e.costs["endpoint"]) {
		report("the same by the server's own processor time, without the client's", 0.5, ratios(e.costs["endpoint"], e.costs["bare0"]))
	}
	slices.Sort(took)
	fmt.Printf("%.0f choices a second over HTTP, p50 %v, p99 %v\n", slices.Max(endpoint), at(took, 50), at(took, 99))
	return e.lookups(ctx)
}

func report(what string, least float64, r []float64) {
	fmt.Printf("%s: median %.2f (%.2f to %.2f); the goal is %g: %s\n", what, median(r), r[0], r[len(r)-1], least,
		map[bool]string{true: "reached", false: "missed"}[median(r) >= least])
}

type evidence struct {
	settings
	folder string
	binary string
	runs   int
	costs  map[string][]float64 // of the server or the bare ledger: acts in a second of processor time
}

// costing measures what a process uses for an act, without who sends it.
func (e *evidence) costing(what string, pid int, measure func() (float64, []time.Duration, error)) (float64, []time.Duration, error) {
	before, known := processorTime(pid)
	rate, took, err := measure()
	if after, _ := processorTime(pid); known && after > before {
		e.costs[what] = append(e.costs[what], float64(len(took))/(after-before).Seconds())
	}
	return rate, took, err
}

func (e *evidence) fresh() (folder string, err error) {
	e.runs++
	folder = filepath.Join(e.folder, fmt.Sprint(e.runs))
	return folder, os.Mkdir(folder, 0o700)
}

// bare measures the ledger by itself; most is how many records one transaction takes, 0 for as many as wait.
func (e *evidence) bare(most int) func(context.Context) (float64, []time.Duration, error) {
	return func(ctx context.Context) (_ float64, _ []time.Duration, err error) {
		folder, err := e.fresh()
		if err != nil {
			return 0, nil, err
		}
		db, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(folder, "stile.db"), Batch: most})
		if err != nil {
			return 0, nil, err
		}
		defer func() { err = errors.Join(err, db.Close(), os.RemoveAll(folder)) }()
		return e.costing(fmt.Sprint("bare", most), os.Getpid(), func() (float64, []time.Duration, error) {
			return crowded(ctx, e.time, func() error {
				_, err := db.Append(ctx, evidenceRecord())
				return err
			})
		})
	}
}

// http measures the endpoint.
func (e *evidence) http(ctx context.Context) (_ float64, _ []time.Duration, err error) {
	folder, err := e.fresh()
	if err != nil {
		return 0, nil, err
	}
	p, err := startStile(ctx, e.binary, folder)
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		p.stop()
		err = errors.Join(err, os.RemoveAll(folder))
	}()
	words, err := notice(ctx, p)
	if err != nil {
		return 0, nil, err
	}
	client := crowdClient(evidenceVisitors)
	defer client.CloseIdleConnections()
	return e.costing("endpoint", p.pid, func() (float64, []time.Duration, error) {
		return crowded(ctx, e.time, func() error {
			_, err := choose(ctx, client, p, words, "all")
			return err
		})
	})
}

// crowded has all visitors act again and again for so long, and returns how many acts a second there were and how long each took.
func crowded(ctx context.Context, d time.Duration, act func() error) (rate float64, took []time.Duration, err error) {
	var (
		mu      sync.Mutex
		errs    []error
		wait    sync.WaitGroup
		started = time.Now()
	)
	for range evidenceVisitors {
		wait.Go(func() {
			var own []time.Duration
			var err error
			for err == nil && time.Since(started) < d && ctx.Err() == nil {
				before := time.Now()
				if err = act(); err == nil {
					own = append(own, time.Since(before))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, own...), append(errs, err)
		})
	}
	wait.Wait()
	return float64(len(took)) / time.Since(started).Seconds(), took, firstOf(append(errs, ctx.Err()))
}

// evidenceRecord is that of a choice of the example shop.
func evidenceRecord() ledger.Record {
	return ledger.Record{
		Key: uuid.New(), Site: "shop", Time: time.Now(), Action: consent.AcceptAll, Granted: []string{"analytics", "functional", "marketing"},
		Regime: "gdpr", Country: "DE", Language: "de", Policy: "2026-11-01", List: "Ab3-_x", Notice: "aaaaaaaaaaaaaaaaaaaaaa",
		Surface: "banner", Expiry: time.Now().AddDate(0, 6, 0),
	}
}

const (
	fewRecords  = 10_000
	manyRecords = 1_000_000
	lookups     = 5000
)

// lookups looks for records by id among few, then among many in the same file, and says what a record takes on disk.
func (e *evidence) lookups(ctx context.Context) (err error) {
	path := filepath.Join(e.folder, "stile.db")
	db, err := ledger.Open(ctx, ledger.Options{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var kept []uuid.UUID
	var means []float64
	for _, size := range []int{fewRecords, manyRecords} {
		ids, err := fill(ctx, db, size-len(kept))
		if err != nil {
			return err
		}
		kept = append(kept, ids...)
		began := time.Now()
		for i := range lookups {
			if _, err := db.Find(ctx, "shop", kept[(i*7919)%len(kept)]); err != nil {
				return err
			}
		}
		means = append(means, float64(time.Since(began).Microseconds())/lookups)
	}
	ratio := means[1] / means[0]
	fmt.Printf("looking up by id: %.0f us among %d, %.0f us among %d: %.2f times; the goal is at most 1.5: %s\n", means[0], fewRecords, means[1],
		manyRecords, ratio, map[bool]string{true: "reached", false: "missed"}[ratio <= 1.5])
	if _, err := db.Seal(ctx); err != nil {
		return err
	}
	if err := db.Purge(ctx); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Printf("SQLite: %.0f bytes a record, with its indexes and its part of the tree\n", float64(info.Size())/manyRecords)
	return nil
}

// fill adds records from many visitors at once.
func fill(ctx context.Context, db *ledger.Ledger, n int) ([]uuid.UUID, error) {
	ids, errs := make([]uuid.UUID, n), make([]error, evidenceVisitors)
	var next atomic.Int64
	var wait sync.WaitGroup
	for v := range evidenceVisitors {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && errs[v] == nil; i = next.Add(1) - 1 {
				r, err := db.Append(ctx, evidenceRecord())
				ids[i], errs[v] = r.ID, err
			}
		})
	}
	wait.Wait()
	return ids, firstOf(errs)
}

// firstOf is one of errors that are all alike.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
