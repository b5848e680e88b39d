// Bench prints what Stile's answers weigh, how many of them a second it serves, and how many choices it stores. Run it by
// `make bench`, or in part:
//
//	go run ./e2e/bench -only sizes
//	go run ./e2e/bench -only load -rounds 9 -time 5s
//	go run ./e2e/bench -only load -against /tmp/stile-before     # two builds in turns
//	go run ./e2e/bench -only tags                                # forty on a site, and five
//	go run ./e2e/bench -only choices
//	go run ./e2e/bench -only evidence                            # the ledger: single inserts, the endpoint, a million records
//	go run ./e2e/bench -only tally                               # what counting costs
//	go run ./e2e/bench -only dashboard                           # its pages, with a year of 50 sites and 10 million records
//	go run ./e2e/bench -only dashboard -small                    # with 5 sites and 100 000 records
//	go run ./e2e/bench -only pages                               # gate and scan, of the pages in STILE_PAGES
//	go run ./e2e/bench -only paint                               # in Chromium
//
// The load is wrk's, on loopback. `stile serve` takes turns with two rivals, each a process of its own, that repeat its
// answer byte for byte: echo with one bare handler, and nginx with a static file. Absolute figures are the machine's and
// of the minute; ratios of neighbouring runs travel. The program ends what it started and leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	only    string
	rounds  int
	time    time.Duration // of one measurement
	workers string        // of nginx
	against string        // another build of stile
	small   bool          // the dashboard on a set that is built in seconds
}

// connections are open at the same time in every measurement.
const connections = 64

// goal is the least that the script endpoint reaches of bare echo (DESIGN 8).
const goal = 0.85

func main() {
	var s settings
	var echoSample string
	flag.StringVar(&s.only, "only", "", "measure only sizes, load, tags, choices, evidence, tally, dashboard, pages or paint")
	flag.IntVar(&s.rounds, "rounds", 5, "how many turns each server has")
	flag.DurationVar(&s.time, "time", 3*time.Second, "how long one measurement takes")
	flag.StringVar(&s.workers, "nginx-workers", "auto", "worker_processes of nginx")
	flag.StringVar(&s.against, "against", "", "another stile binary, to be measured in turns with this one")
	flag.BoolVar(&s.small, "small", false, "measure the dashboard on a small set")
	flag.StringVar(&echoSample, "echo", "", "serve the answer in this file by bare echo (the program starts itself so)")
	flag.Parse()
	var err error
	if echoSample != "" {
		err = serveEcho(echoSample)
	} else {
		// A signal ends the measurement, and with it all that was started.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, s)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if parts := []string{"", "sizes", "load", "tags", "choices", "evidence", "tally", "dashboard", "pages", "paint"}; !slices.Contains(parts, s.only) {
		return fmt.Errorf("-only is %q: it is one of%s", s.only, strings.Join(parts, " "))
	}
	if s.rounds < 1 || s.time < time.Second {
		return fmt.Errorf("-rounds %d and -time %v: at least 1, and a second", s.rounds, s.time)
	}
	fmt.Printf("%d CPUs, %s, %s/%s\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if s.only == "" || s.only == "sizes" {
		if err := sizes(os.Stdout); err != nil {
			return fmt.Errorf("measuring sizes: %w", err)
		}
	}
	if s.only == "" || s.only == "pages" {
		if err := measurePages(); err != nil {
			return fmt.Errorf("measuring pages: %w", err)
		}
	}
	if s.only == "sizes" || s.only == "pages" {
		return nil
	}
	folder, err := os.MkdirTemp("", "stile-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "stile")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/stilehq/stile/cmd/stile").CombinedOutput(); err != nil {
		return fmt.Errorf("building stile: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	if s.only == "" || s.only == "load" {
		if err := measureLoad(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring requests: %w", err)
		}
	}
	if s.only == "" || s.only == "tags" {
		if err := measureTags(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring tags: %w", err)
		}
	}
	if s.only == "" || s.only == "choices" {
		if err := measureChoices(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring choices: %w", err)
		}
	}
	if s.only == "" || s.only == "evidence" {
		if err := measureEvidence(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring the evidence: %w", err)
		}
	}
	if s.only == "" || s.only == "tally" {
		if err := measureTally(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring the tally: %w", err)
		}
	}
	if s.only == "" || s.only == "dashboard" {
		if err := measureDashboard(ctx, s, folder, binary); err != nil {
			return fmt.Errorf("measuring the dashboard: %w", err)
		}
	}
	if s.only == "" || s.only == "paint" {
		if err := measurePaint(ctx, s, binary); err != nil {
			return fmt.Errorf("measuring paints: %w", err)
		}
	}
	return nil
}
