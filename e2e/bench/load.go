package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
)

// server is one of those that take turns.
type server struct {
	name string
	*process
	etag string
}

// visitor is who asks: their requests' headers.
type visitor struct {
	name   string
	header http.Header
}

// measureLoad has the servers answer each kind of visitor in turns.
func measureLoad(ctx context.Context, s settings, folder, binary string) error {
	if err := ensure(ctx, findWrk, "wrk"); err != nil {
		fmt.Printf("\nrequests a second: not measured, since %v\n", err)
		return nil
	}
	ngx, err := nginx{}, error(nil)
	missing := ensure(ctx, func() error { ngx, err = findNginx(); return err }, "nginx-light", "libnginx-mod-http-brotli-static")
	if missing != nil {
		fmt.Printf("\nnginx takes no part: %v\n", missing)
	} else {
		fmt.Printf("\n%s, worker_processes %s\n", ngx.version(ctx), s.workers)
	}
	l := &load{settings: s, folder: folder}
	if missing == nil {
		l.nginx = &ngx
	}
	return l.run(ctx, binary)
}

type load struct {
	settings
	folder string
	nginx  *nginx // nil where it is missing
	stiles []server
}

func (l *load) run(ctx context.Context, binary string) error {
	builds := []struct{ name, binary string }{{"stile", binary}}
	if l.against != "" {
		builds = append(builds, struct{ name, binary string }{"against", l.against})
	}
	var cookies string
	for _, b := range builds {
		folder := filepath.Join(l.folder, b.name+"-load")
		if cookies != "" { // the same keys, so that the same cookie is good for both
			if err := os.CopyFS(filepath.Join(dataFolder(folder), "keys"), os.DirFS(filepath.Join(dataFolder(filepath.Join(l.folder, "stile-load")), "keys"))); err != nil {
				return err
			}
		}
		p, err := startStile(ctx, b.binary, folder)
		if err != nil {
			return err
		}
		defer p.stop()
		l.stiles = append(l.stiles, server{name: b.name, process: p})
		if cookies == "" {
			if cookies, err = signed(ctx, p, "all"); err != nil {
				return err
			}
		}
	}
	usual := http.Header{"Accept-Encoding": {"br"}, "Sec-Fetch-Site": {"same-origin"}}
	known := usual.Clone()
	known.Set("Cookie", cookies)
	for _, v := range []visitor{{"returning visitor, all tags", known}, {"undecided visitor", usual}} {
		if err := l.visitor(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// visitor measures one visitor, and the same with a copy that is still good.
func (l *load) visitor(ctx context.Context, v visitor) error {
	want, err := settled(ctx, l.stiles[0].address+scriptPath, v.header)
	if err != nil {
		return err
	}
	servers := slices.Clone(l.stiles)
	folder, err := os.MkdirTemp(l.folder, "rivals-")
	if err != nil {
		return err
	}
	echo, err := startEcho(ctx, folder, want)
	if err != nil {
		return err
	}
	defer echo.stop()
	servers = append(servers, server{name: "echo", process: echo})
	if l.nginx != nil {
		p, err := l.nginx.start(ctx, folder, l.workers, want)
		if err != nil {
			return err
		}
		defer p.stop()
		servers = append(servers, server{name: "nginx", process: p})
	}
	for i := range servers {
		if servers[i].etag, err = identical(ctx, servers[i], v, want.Body); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s: %d bytes from each, requests a second\n\n", v.name, len(want.Body))
	if err := l.turns(ctx, servers, func(server) http.Header { return v.header }); err != nil {
		return err
	}
	if v.header.Get("Cookie") == "" {
		return nil
	}
	fmt.Printf("\n%s, If-None-Match: 304 from each, requests a second\n\n", v.name)
	return l.turns(ctx, servers, func(s server) http.Header { return conditional(v.header, s.etag) })
}

func conditional(header http.Header, etag string) http.Header {
	header = header.Clone()
	header.Set("If-None-Match", etag)
	return header
}

// identical makes sure that a server sends the very same bytes (another build of Stile may send others), and 304 to
// whoever has them. It returns its ETag.
func identical(ctx context.Context, s server, v visitor, want []byte) (string, error) {
	got, err := settled(ctx, s.address+scriptPath, v.header)
	if err != nil {
		return "", err
	}
	if s.name != "against" && !bytes.Equal(got.Body, want) || got.Header.Get("Content-Encoding") != "br" {
		return "", fmt.Errorf("%s answers otherwise: %d bytes (%q), not %d", s.name, len(got.Body), got.Header.Get("Content-Encoding"), len(want))
	}
	etag := got.Header.Get("Etag")
	again, err := get(ctx, s.address+scriptPath, conditional(v.header, etag))
	if err != nil {
		return "", err
	}
	if again.Status != http.StatusNotModified {
		return "", fmt.Errorf("%s answers If-None-Match: %s by %d", s.name, etag, again.Status)
	}
	return etag, nil
}

// turns measures the servers one after the other, round after round, so that what else the machine does hits them alike.
func (l *load) turns(ctx context.Context, servers []server, header func(server) http.Header) error {
	fmt.Print("round")
	for _, s := range servers {
		fmt.Printf("%9s", s.name)
	}
	fmt.Println()
	rates, costs := map[string][]float64{}, map[string][]float64{}
	for round := range l.rounds {
		fmt.Printf("%5d", round+1)
		for _, s := range servers {
			before, known := processorTime(s.pid)
			rate, err := wrk(ctx, s.address+scriptPath, header(s), l.time)
			if err != nil {
				return err
			}
			rates[s.name] = append(rates[s.name], rate)
			if after, still := processorTime(s.pid); known && still && s.name != "nginx" { // whose workers are other processes
				costs[s.name] = append(costs[s.name], (after-before).Seconds()/(rate*l.time.Seconds()))
			}
			fmt.Printf("%9.0f", rate)
		}
		fmt.Println()
	}
	fmt.Println()
	for _, s := range servers[1:] {
		compare(servers[0].name, s.name, rates, costs)
	}
	if l.against != "" {
		compare("against", "echo", rates, costs)
	}
	return nil
}

// compare prints the ratio of two servers: of the requests that they answer a second, and of those that they answer in a
// second of processor time, which the machine's other work disturbs less.
func compare(a, b string, rates, costs map[string][]float64) {
	r := ratios(rates[a], rates[b])
	line := fmt.Sprintf("%s / %s: median %.2f (%.2f to %.2f)", a, b, median(r), r[0], r[len(r)-1])
	if a == "stile" && b == "echo" {
		line += fmt.Sprintf("; the goal is %.2f: %s", goal, map[bool]string{true: "reached", false: "missed"}[median(r) >= goal])
	}
	if c := ratios(costs[b], costs[a]); len(c) > 0 {
		line += fmt.Sprintf("; by processor time %.2f (%.2f to %.2f)", median(c), c[0], c[len(c)-1])
	}
	fmt.Println(line)
}

// ratios returns those of each round, sorted.
func ratios(a, b []float64) []float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	slices.Sort(r)
	return r
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
