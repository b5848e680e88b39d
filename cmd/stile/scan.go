package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/vendors"
)

type scanCommand struct {
	Sources []string `arg:"" name:"source" help:"Pages: a URL (and what it links to), a file, a folder of *.html, or - for standard input."`
	Config  string   `placeholder:"PATH" help:"The site's stile.yaml: what its own hosts are, its categories, and which tags stand in the page though Stile loads them."`
	Site    string   `help:"Which site, where there are several in --config."`
	Depth   int      `default:"2" help:"How many links away from a URL pages are read; 0: that page alone, with its own frames."`
	Strict  bool     `help:"Exit 1 for unknown hosts too, and for tags that are loaded twice."`
	JSON    bool     `name:"json" xor:"format" help:"Print JSON."`
	SARIF   bool     `name:"sarif" xor:"format" help:"Print SARIF 2.1.0, for code scanning."`
	pageFlags
}

// Validate says what cannot be.
func (c *scanCommand) Validate() error {
	if c.Depth < 0 || c.Depth > 100 {
		return fmt.Errorf("--depth %d: it is from 0 to 100", c.Depth)
	}
	if first := slices.Index(c.Sources, "-"); first >= 0 && slices.Contains(c.Sources[first+1:], "-") {
		return errors.New("standard input can be read only once")
	}
	return c.pageFlags.Validate()
}

// state is what is to be said of a find, the worst first.
type state string

const (
	ungated state = "ungated" // it runs before consent
	unknown state = "unknown" // nobody knows whose host it is, and it is of a kind that trackers are
	twice   state = "twice"   // it waits, and Stile loads it as well
	waits   state = "waits"
	exempt  state = "exempt" // it needs no consent, as far as is known
)

var states = []state{ungated, unknown, twice, waits, exempt}

// scanned is what scan prints.
type scanned struct {
	Pages   []scannedPage `json:"pages"`
	Errors  []string      `json:"errors"`  // addresses that could not be read
	Notes   []string      `json:"notes"`   // what else was left out
	Partial bool          `json:"partial"` // something is missing that was asked for: it is not clean, whatever the summary says
	Summary map[state]int `json:"summary"`
}

type scannedPage struct {
	Page    string        `json:"page"` // the file, or the address
	Address string        `json:"address,omitempty"`
	Stile   string        `json:"stile,omitempty"` // Stile's own script
	First   bool          `json:"first"`           // it stands before everything else
	Cut     bool          `json:"cut,omitempty"`   // not all is in the finds
	Finds   []scannedFind `json:"finds"`
}

type scannedFind struct {
	State    state  `json:"state"`
	What     string `json:"what"`
	Vendor   string `json:"vendor,omitempty"` // id in the vendor library
	Name     string `json:"name,omitempty"`
	Known    string `json:"known_by,omitempty"`
	Account  string `json:"account,omitempty"`
	Category string `json:"category,omitempty"`
	Waits    string `json:"waits_for,omitempty"`
	Tag      string `json:"tag,omitempty"` // of stile.yaml, which Stile loads beside what stands here
	Host     string `json:"host,omitempty"`
	Address  string `json:"address,omitempty"`
	Excerpt  string `json:"excerpt,omitempty"`
	Line     int    `json:"line"`
	Column   int    `json:"column"` // in characters
	Selector string `json:"selector,omitempty"`
	Leaks    string `json:"leaks_without_javascript,omitempty"`
}

// Run lists what the pages ask of third parties.
func (c *scanCommand) Run(ctx context.Context, std streams) error {
	judge, site, err := c.judge()
	if err != nil {
		return err
	}
	reader := newPageReader(&c.pageFlags, c.Depth, siteAddress(site), std)
	bar := newPageProgress(std.err, time.Now)
	result := scanned{Pages: []scannedPage{}, Errors: []string{}, Notes: []string{}, Summary: map[state]int{}}
	reader.known = bar.at
	reader.notes = func(text string) {
		result.Notes = append(result.Notes, text)
		bar.aside(text)
	}
	failed, cut := 0, 0
	for _, source := range c.Sources {
		for p, err := range reader.pages(ctx, source) {
			var one scannedPage
			if err == nil {
				one, err = scanPage(p, judge, site)
			}
			if err != nil {
				if !errors.As(err, new(skipped)) {
					failed++
				}
				result.Errors = append(result.Errors, err.Error())
				bar.aside("stile: " + err.Error())
				continue
			}
			result.add(one)
			if one.Cut {
				cut++
				result.Notes = append(result.Notes, partly(one.Page))
			}
		}
	}
	bar.done()
	result.Partial = failed+cut > 0 || reader.late
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("it was stopped after %s: %w", counted(len(result.Pages), "page", "pages"), err)
	}
	if len(result.Pages) == 0 {
		return errors.New("no page could be read")
	}
	if err := c.print(std.out, &result); err != nil {
		return err
	}
	switch {
	case result.Summary[ungated] > 0, c.Strict && result.Summary[unknown]+result.Summary[twice] > 0:
		return errFound
	case failed > 0:
		return fmt.Errorf("%s could not be read", counted(failed, "page", "pages"))
	case cut > 0:
		return fmt.Errorf("%s could not be looked at as a whole", counted(cut, "page", "pages"))
	case reader.late:
		return errors.New("not all was read in time; --time gives it longer")
	}
	return nil
}

func (c *scanCommand) judge() (*page.Judge, *consent.Site, error) {
	library, err := vendors.New()
	if err != nil {
		return nil, nil, err
	}
	var site *consent.Site
	if c.Config != "" {
		if site, err = (&siteOf{Config: c.Config, Site: c.Site}).load(); err != nil {
			return nil, nil, err
		}
	}
	return page.NewJudge(site, library), site, nil
}

// siteAddress is where a site's pages stand: its first origin that is no pattern, or nil.
func siteAddress(site *consent.Site) *url.URL {
	if site != nil {
		for _, origin := range site.Origins {
			if u, err := webAddress(origin + "/"); err == nil && !strings.Contains(origin, "*") {
				return u
			}
		}
	}
	return nil
}

func scanPage(p *readPage, j *page.Judge, site *consent.Site) (scannedPage, error) {
	report, err := p.scan(j)
	if err != nil {
		return scannedPage{}, err
	}
	one := scannedPage{Page: p.name, Stile: report.Stile, First: report.First, Cut: report.Cut, Finds: []scannedFind{}}
	if report.Address != nil && report.Address.Host != "" {
		one.Address = report.Address.String()
	}
	lines := bytes.Split(p.body, []byte("\n"))
	for i := range report.Finds {
		f := &report.Finds[i]
		s := scannedFind{
			What: string(f.Kind), Name: f.Name, Known: string(f.Basis), Account: f.Account, Category: f.Category, Waits: f.Waits, Host: f.Host,
			Address: f.Address, Excerpt: f.Excerpt, Line: f.Line, Column: characters(lines, f.Line, f.Column), Selector: f.Selector, Leaks: f.Leaks,
		}
		if f.Vendor != nil {
			s.Vendor = f.Vendor.ID
		}
		if t := loadedToo(f, site); t != nil {
			s.Tag = t.ID
		}
		s.State = stateOf(f, j, s.Tag != "")
		one.Finds = append(one.Finds, s)
	}
	return one, nil
}

// characters is a column in characters, of one in bytes.
func characters(lines [][]byte, line, column int) int {
	if line < 1 || line > len(lines) || column < 1 {
		return max(1, column)
	}
	text := lines[line-1]
	return 1 + utf8.RuneCount(text[:min(column-1, len(text))])
}

func stateOf(f *page.Find, j *page.Judge, again bool) state {
	switch {
	case !f.Gated(j):
		return ungated
	case again && f.Waits != "":
		return twice
	case f.Waits != "":
		return waits
	case f.Basis == page.ByNobody && tracks(f.Kind):
		return unknown
	}
	return exempt
}

// tracks tells whether trackers are of a kind: what runs, and pictures that nobody looks at.
func tracks(k page.Kind) bool {
	switch k {
	case page.Script, page.Snippet, page.Pixel, page.Frame, page.NoScriptImage, page.NoScriptFrame:
		return true
	}
	return false
}

// loadedToo is the tag that Stile loads of what stands in a page, or nil.
func loadedToo(f *page.Find, site *consent.Site) *consent.Tag {
	if site == nil || !tracks(f.Kind) || f.Kind == page.Frame {
		return nil
	}
	for i := range site.Tags {
		t := &site.Tags[i]
		l := &t.Load
		switch {
		case l.Script == "" && l.Pixel == "" && l.Before == "" && l.Signal == "": // its code is meant to stand in the page
		case f.Tag == t, f.Vendor != nil && f.Vendor.ID == t.Vendor && (f.Account == "" || f.Account == t.Account):
			return t
		}
	}
	return nil
}

func (s *scanned) add(p scannedPage) {
	s.Pages = append(s.Pages, p)
	for i := range p.Finds {
		s.Summary[p.Finds[i].State]++
	}
}

func (c *scanCommand) print(w io.Writer, s *scanned) error {
	switch {
	case c.JSON:
		return printJSON(w, s)
	case c.SARIF:
		return printJSON(w, sarif(s))
	}
	_, err := io.WriteString(w, printable(scanTable(s, c.Config != "")))
	return err
}

// who is whose a find is, for people.
func (f *scannedFind) who() string { return cmp.Or(f.Name, f.Host, "-") }

// what it is about, when it is told in a line: its address or how its code begins.
func (f *scannedFind) text() string { return cmp.Or(f.Address, f.Excerpt) }
