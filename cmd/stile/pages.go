package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/crawl"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/reach"
)

// pageFlags say how pages are read that scan and init look at.
type pageFlags struct {
	Address string        `placeholder:"URL" help:"Where pages that are read from files stand on the web. The site's file or the pages themselves say so unless given."`
	Pages   int           `default:"50" help:"How many addresses of a site are asked for at most."`
	Rate    float64       `default:"2" help:"How many a second at most. robots.txt may ask for fewer."`
	Timeout time.Duration `default:"20s" help:"How long a page may take."`
	Time    time.Duration `default:"10m" help:"How long a site may take."`
	Private bool          `help:"Read pages at addresses that are not public too: of this machine, or of the network that it is in."`
}

// Validate says what cannot be.
func (f *pageFlags) Validate() error {
	switch {
	case f.Pages < 1 || f.Pages > 100_000:
		return fmt.Errorf("--pages %d: it is from 1 to 100000", f.Pages)
	case !(f.Rate >= 0.01 && f.Rate <= 100):
		return fmt.Errorf("--rate %g: it is from 0.01 to 100 pages a second", f.Rate)
	case f.Timeout <= 0 || f.Time <= 0:
		return errors.New("--timeout and --time are longer than nothing: 20s, 10m")
	}
	if _, err := webAddress(f.Address); f.Address != "" && err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	return nil
}

const (
	mostPage  = 10 << 20 // bytes of a page
	stdinName = "stdin"
)

// readPage is a page, from wherever it was read.
type readPage struct {
	name    string   // the file's path, or the page's address
	address *url.URL // nil where nobody says
	body    []byte   // in UTF-8
	linked  bool     // nobody named it: another links to it
}

// skipped is an error of a page that nobody named: what was asked for could be read without it.
type skipped struct{ error }

// pageReader reads pages.
type pageReader struct {
	flags     *pageFlags
	depth     int
	base      *url.URL // of the site's file, or nil
	transport *reach.Transport
	known     func(read, known int) // is told how far it is
	notes     func(string)          // is told what was left out
	late      bool                  // a site could not be read within --time
}

func newPageReader(f *pageFlags, depth int, base *url.URL, std streams) *pageReader {
	var allow []netip.Prefix
	if f.Private {
		allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	return &pageReader{
		flags: f, depth: depth, base: base, transport: reach.NewPageTransport(allow, f.Timeout),
		known: func(int, int) {}, notes: func(s string) { fmt.Fprintln(std.err, printable(s)) },
	}
}

// pages reads what a source stands for: a page and what it links to, a file, the pages of a folder, or standard input.
func (r *pageReader) pages(ctx context.Context, source string) iter.Seq2[*readPage, error] {
	if isWeb(source) {
		return func(yield func(*readPage, error) bool) { r.web(ctx, source, yield) }
	}
	return func(yield func(*readPage, error) bool) {
		files, err := pageFiles(source)
		if err != nil {
			yield(nil, err)
			return
		}
		for i, file := range files {
			if ctx.Err() != nil {
				return
			}
			p, err := r.file(source, file)
			r.known(i+1, len(files))
			if !yield(p, err) {
				return
			}
		}
	}
}

func (r *pageReader) web(ctx context.Context, source string, yield func(*readPage, error) bool) {
	start, err := webAddress(source)
	if err != nil {
		yield(nil, err)
		return
	}
	c := crawl.New(start, crawl.Options{
		Depth: r.depth, Pages: r.flags.Pages, Rate: r.flags.Rate, Size: mostPage, Page: r.flags.Timeout, All: r.flags.Time,
		Agent: "Stile/" + version() + " (+https://github.com/stilehq/stile; reads pages for their owner)", Transport: r.transport,
	})
	read, asked := 0, 0
	for got, err := range c.Pages(ctx) {
		asked++
		r.known(asked, c.Known())
		var found *readPage
		switch {
		case err == nil:
			read++
			found = &readPage{got.Address.String(), got.Address, got.Body, read > 1}
		case errors.Is(err, reach.ErrRefused):
			err = fmt.Errorf("%w; --private reads it all the same", err)
		}
		if err != nil && read > 0 {
			err = skipped{err}
		}
		if !yield(found, err) {
			return
		}
	}
	if l := c.Left(); l.Time && read == 0 {
		yield(nil, fmt.Errorf("%s: nothing was read within %s; --time gives it longer", start, r.flags.Time))
	} else {
		r.left(start, l)
	}
}

// left says what was not read of a site.
func (r *pageReader) left(start *url.URL, l crawl.Left) {
	if l.Robots > 0 {
		r.notes(fmt.Sprintf("%s: %s left alone, as robots.txt asks", start, counted(l.Robots, "page was", "pages were")))
	}
	if l.Rules {
		r.notes(fmt.Sprintf("%s: robots.txt has more rules with wildcards than are looked at, so that pages may have been read that it wants left alone", start))
	}
	if l.Links {
		r.notes(fmt.Sprintf("%s: it links to more that robots.txt wants left alone than is looked at", start))
	}
	if l.More {
		r.notes(fmt.Sprintf("%s: it has more than --pages %d", start, r.flags.Pages))
	}
	if l.Time {
		r.late = true
		r.notes(fmt.Sprintf("%s: not all was read within --time %s", start, r.flags.Time))
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func isWeb(source string) bool {
	lower := strings.ToLower(source)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}

func webAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !isWeb(text) || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no address of a page: write https://www.shop.example/", text)
	}
	if u.User != nil {
		return nil, fmt.Errorf("%s: leave the user name out; pages behind a password are read from files", u.Redacted())
	}
	return u, nil
}

// pageFiles are the pages of a folder and what is in it, by name, or the file itself.
func pageFiles(source string) (files []string, err error) {
	if source == "-" {
		return []string{source}, nil
	}
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file; a page of the web begins with https://", source)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{source}, nil
	}
	err = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != source && (strings.HasPrefix(name, ".") || name == "node_modules"):
			return filepath.SkipDir
		case d.Type().IsRegular() && slices.Contains([]string{".html", ".htm", ".xhtml"}, strings.ToLower(filepath.Ext(name))):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: it has no *.html file in it", source)
	}
	return files, err
}

func (r *pageReader) file(source, path string) (*readPage, error) {
	name, from := path, io.Reader(os.Stdin)
	if path == "-" {
		name = stdinName
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, mostPage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(body) > mostPage:
		return nil, fmt.Errorf("%s: it is larger than %s", name, crawl.Size(mostPage))
	}
	if body, err = page.UTF8(body, ""); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &readPage{name, r.standsAt(source, path), body, false}, nil
}

// standsAt is where a page stands on the web; nil where only the page itself can tell.
func (r *pageReader) standsAt(source, path string) *url.URL {
	base := r.base
	if u, err := webAddress(r.flags.Address); err == nil {
		base = u
	}
	if inside, err := filepath.Rel(source, path); base != nil && err == nil && inside != "." {
		return base.JoinPath(filepath.ToSlash(inside))
	}
	return base
}

// scan is page.Scan of it.
func (p *readPage) scan(j *page.Judge) (*page.Report, error) {
	report, err := page.ScanOptions{ContentType: "text/html; charset=utf-8"}.Scan(bytes.NewReader(p.body), p.address, j)
	switch {
	case err == nil:
		return report, nil
	case p.linked:
		return nil, skipped{fmt.Errorf("%s: %w", p.name, err)}
	}
	return nil, fmt.Errorf("%s: %w", p.name, err)
}

// partly says of a page that not all of what it asks for is listed.
func partly(name string) string {
	return name + ": it asks for too many things, or in too many frames within one another: not all is listed"
}
