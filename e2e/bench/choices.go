package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// measureChoices has many visitors choose at once, and then counts what is in the ledger.
func measureChoices(ctx context.Context, s settings, folder, binary string) error {
	folder = filepath.Join(folder, "choices")
	p, err := startStile(ctx, binary, folder)
	if err != nil {
		return err
	}
	defer p.stop()
	took, elapsed, err := storm(ctx, p, s.time)
	if err != nil {
		return err
	}
	p.stop()
	db, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(dataFolder(folder), "stile.db")})
	if err != nil {
		return err
	}
	stored, err := db.Count(ctx, "shop")
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	slices.Sort(took)
	fmt.Printf("\nchoices, %d connections, %v, the ledger in %s\n\n", connections, elapsed.Round(time.Millisecond), folder)
	fmt.Printf("%.0f choices a second, p50 %v, p99 %v\n", float64(len(took))/elapsed.Seconds(), at(took, 50), at(took, 99))
	fmt.Printf("%d acknowledged, %d in the ledger\n", len(took), stored)
	if stored != len(took) {
		return fmt.Errorf("%d choices were acknowledged, %d are in the ledger", len(took), stored)
	}
	return nil
}

// storm returns how long each acknowledged choice took.
func storm(ctx context.Context, p *process, d time.Duration) (took []time.Duration, elapsed time.Duration, err error) {
	words, err := notice(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	client := crowdClient(connections)
	defer client.CloseIdleConnections()
	var (
		mu      sync.Mutex
		errs    []error
		wait    sync.WaitGroup
		started = time.Now()
	)
	for range connections {
		wait.Go(func() {
			var own []time.Duration
			var err error
			for err == nil && time.Since(started) < d && ctx.Err() == nil { // one that is under way is waited for
				before := time.Now()
				if _, err = choose(ctx, client, p, words, "all"); err == nil {
					own = append(own, time.Since(before))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, own...), append(errs, err)
		})
	}
	wait.Wait()
	elapsed = time.Since(started)
	if err := errors.Join(errs...); err != nil {
		return nil, 0, err
	}
	if len(took) == 0 {
		return nil, 0, errors.New("no choice was acknowledged")
	}
	return took, elapsed, ctx.Err()
}

// crowdClient keeps so many connections open.
func crowdClient(n int) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n}}
}

// at is a percentile of what is sorted.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
}
