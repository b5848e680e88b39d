package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/page"
)

type initCommand struct {
	Source string `arg:"" optional:"" help:"A page that has tags in it: a URL, a file, a folder of *.html, or - for standard input."`
	Output string `short:"o" default:"stile.yaml" placeholder:"FILE" help:"The file to write, which must not be there yet; - for standard output."`
	Depth  int    `default:"0" help:"How many links away from a URL pages are read too."`
	pageFlags
}

// Validate says what cannot be.
func (c *initCommand) Validate() error {
	if c.Depth < 0 || c.Depth > 100 {
		return fmt.Errorf("--depth %d: it is from 0 to 100", c.Depth)
	}
	return c.pageFlags.Validate()
}

// Run writes a site's file that somebody can go on from. What to do to the pages is told beside it: on standard output, or,
// where the file itself goes there, on standard error.
func (c *initCommand) Run(ctx context.Context, std streams) error {
	if _, err := os.Lstat(c.Output); c.Output != "-" && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: move it away, or name another file with --output", c.Output)
	}
	options, err := server.ConfigOptions()
	if err != nil {
		return err
	}
	d := newDraft(options, time.Now())
	if c.Source != "" {
		if err := c.read(ctx, d, options, std); err != nil {
			return err
		}
	}
	text := d.file()
	if _, report := config.Parse("stile.yaml", text, options); report.HasErrors() {
		return fmt.Errorf("the file that would be written is not right, so that none was: %w", report.Err())
	}
	if c.Output == "-" {
		if _, err := std.out.Write(text); err != nil {
			return err
		}
		_, err = io.WriteString(std.err, printable(d.advice("stile.yaml")))
		return err
	}
	if err := writeNew(c.Output, text); err != nil {
		return err
	}
	_, err = io.WriteString(std.out, printable(fmt.Sprintf("wrote %s\n%s", c.Output, d.advice(c.Output))))
	return err
}

// read gathers what is on the pages.
func (c *initCommand) read(ctx context.Context, d *draft, options config.Options, std streams) error {
	bar := newPageProgress(std.err, time.Now)
	reader := newPageReader(&c.pageFlags, c.Depth, nil, std)
	reader.known, reader.notes = bar.at, bar.aside
	judge := page.NewJudge(nil, options.Vendors)
	failed := 0
	for p, err := range reader.pages(ctx, c.Source) {
		if err == nil {
			err = d.page(p, judge)
		}
		if err != nil {
			if failed++; errors.As(err, new(skipped)) {
				failed--
			}
			bar.aside("stile: " + err.Error())
		} else if d.cut {
			bar.aside(partly(p.name))
		}
	}
	bar.done()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case d.pages == 0:
		return errors.New("no page could be read, and nothing was written")
	case failed > 0:
		return fmt.Errorf("%s could not be read, and nothing was written", counted(failed, "page", "pages"))
	}
	return nil
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a site's file has no secrets
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
