package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/vendors"
)

// What the gate reaches at the least, and adds to a page of 100 KB at the most.
const (
	gateGoal  = 50 // MB/s
	delayGoal = time.Millisecond
	scanGoal  = 3 * time.Second // for 100 pages
)

// measurePages prints how fast pages are gated and scanned, by the processor's time of this process, of which a busy machine
// takes nothing away. The pages are those of STILE_PAGES, and without it one that is written here.
func measurePages() error {
	pages, all, err := savedPages()
	if err != nil {
		return err
	}
	library, err := vendors.New()
	if err != nil {
		return err
	}
	judge := page.NewJudge(nil, library)
	g := page.NewGate(judge, page.GateOptions{Script: "/stile/shop.js"})
	fmt.Printf("\npages: %d of %.1f MB in all, one core\n\n", len(pages), float64(len(all))/1e6)
	gated, err := rate(pages, func(p []byte) error { return gatePage(g, p) })
	if err != nil {
		return err
	}
	tokens, err := rate(pages, tokenize)
	if err != nil {
		return err
	}
	fmt.Printf("the gate: %.0f MB/s (goal %d); x/net/html's tokenizer alone: %.0f MB/s\n", gated, gateGoal, tokens)
	one := slices.MinFunc(pages, func(a, b []byte) int { return cmp.Compare(off(a), off(b)) })
	delay, err := took(200, func() error { return gatePage(g, one) })
	if err != nil {
		return err
	}
	fmt.Printf("a page of %d KB: %v (goal %v)\n", len(one)>>10, delay.Round(time.Microsecond), delayGoal)
	grown, err := growth(g, all)
	if err != nil {
		return err
	}
	fmt.Printf("a page of 50 MB: the heap grows by %d KB\n", grown>>10)
	scan, err := took(1, func() error { return scanPages(judge, pages) })
	if err != nil {
		return err
	}
	fmt.Printf("scan of 100 pages: %v (goal %v)\n", scan.Round(time.Millisecond), scanGoal)
	return nil
}

// off is how far a page is from 100 KB.
func off(p []byte) int { return max(len(p)-100<<10, 100<<10-len(p)) }

func savedPages() (pages [][]byte, all []byte, err error) {
	files, err := filepath.Glob(filepath.Join(os.Getenv("STILE_PAGES"), "*.html"))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		p, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		pages, all = append(pages, p), append(all, p...)
	}
	if len(pages) == 0 {
		const some = `<div class="item"><a href="/goods/1"><img src="/1.jpg" alt="Shoes"></a><p>Some words about shoes, and what they cost.</p></div>
<script>window.shop = { goods: [1, 2, 3] }</script><img src="https://www.facebook.com/tr?id=1" width=1 height=1>
`
		p := bytes.Repeat([]byte(some), 400)
		pages, all = [][]byte{p}, p
	}
	return pages, all, nil
}

var pageAddress = &url.URL{Scheme: "https", Host: "www.shop.example", Path: "/"}

func gatePage(g *page.Gate, p []byte) error {
	w := g.Writer(io.Discard, pageAddress, "")
	for len(p) > 0 {
		n := min(len(p), 32<<10)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return w.Close()
}

func tokenize(p []byte) error {
	z := html.NewTokenizer(bytes.NewReader(p))
	for z.Next() != html.ErrorToken {
	}
	if err := z.Err(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// rate is in MB/s, over at least a second of the processor's time.
func rate(pages [][]byte, do func([]byte) error) (float64, error) {
	size, from := 0, processor()
	for processor()-from < time.Second {
		for _, p := range pages {
			if err := do(p); err != nil {
				return 0, err
			}
			size += len(p)
		}
	}
	return float64(size) / 1e6 / (processor() - from).Seconds(), nil
}

func took(times int, do func() error) (time.Duration, error) {
	from := processor()
	for range times {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return (processor() - from) / time.Duration(times), nil
}

// processor is the time of it that this process had.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// growth is by how much more is in use once a page of 50 MB has passed, before it ends.
func growth(g *page.Gate, part []byte) (int64, error) {
	before := inUse()
	w := g.Writer(io.Discard, pageAddress, "")
	for n := 0; n < 50<<20; n += len(part) {
		if _, err := w.Write(part); err != nil {
			return 0, err
		}
	}
	grown := inUse() - before
	return grown, w.Close()
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func scanPages(judge *page.Judge, pages [][]byte) error {
	for i := range 100 {
		if _, err := page.Scan(bytes.NewReader(pages[i%len(pages)]), pageAddress, judge); err != nil {
			return err
		}
	}
	return nil
}
