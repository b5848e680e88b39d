package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
)

type exportRecords struct {
	ledgerFlags
	operator
	From   string `placeholder:"TIME" help:"First moment: 2026-11-01, which begins at midnight UTC, or 2026-11-01T12:00:00+01:00."`
	To     string `placeholder:"TIME" help:"The moment that ends it, itself not in it: --from 2026-11-01 --to 2026-12-01 is November, UTC."`
	Site   string `help:"Name of a site. All sites without it."`
	Format string `default:"jsonl" help:"jsonl: a JSON object a line. csv: RFC 4180 with a header line; lists are joined by |, a line break becomes a space, and a cell that a spreadsheet would run (it begins with = + - @ or a tab) gets a ' before it. 27560: an object of ISO/IEC TS 27560 in JSON-LD a line."`
	Base   string `placeholder:"URL" help:"The consent host, https://consent.shop.example: 27560 names the pages where the words can be read again."`
	Output string `short:"o" default:"-" placeholder:"FILE" help:"File to write; FILE.part and FILE.part.json until it is whole. - is the standard output."`
	Resume bool   `help:"Go on where FILE.part stopped. Records that were erased since then are still in what was written before."`
}

// Run exports the records that there are when it begins. It reads page by page and holds one: a ledger of any size takes
// the same memory, and visitors are served meanwhile.
func (c *exportRecords) Run(ctx context.Context, std streams) (err error) {
	q, f, err := c.query()
	if err != nil {
		return err
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := knownSite(ctx, db, c.Site); err != nil {
		return err
	}
	if c.Format == "27560" {
		f = format27560(ctx, db, c.Base)
	}
	if q.End, err = db.Size(ctx); err != nil {
		return err
	}
	if c.Output != "-" {
		return c.toFile(ctx, std, db, q, f)
	}
	_, err = c.stream(ctx, std, db, q, f, std.out, true)
	return err
}

func (c *exportRecords) query() (q ledger.Query, f format, err error) {
	f, ok := formats[c.Format]
	switch {
	case !ok:
		names := slices.Sorted(maps.Keys(formats))
		return q, f, fmt.Errorf("--format is %.80q: it is one of %s", c.Format, join(names))
	case c.Format == "27560" && c.Base == "":
		return q, f, errors.New("--format 27560 needs --base, the consent host: https://consent.shop.example")
	case c.Output == "":
		return q, f, errors.New("--output is empty: name a file, or - for the standard output")
	case c.Resume && c.Output == "-":
		return q, f, errors.New("--resume goes on with a file: name it with --output")
	}
	q.Site = c.Site
	if q.From, err = parseMoment("--from", c.From); err != nil {
		return q, f, err
	}
	if q.To, err = parseMoment("--to", c.To); err != nil {
		return q, f, err
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, f, fmt.Errorf("there is nothing between --from %s and --to %s: --to is the later one, and not in it", c.From, c.To)
	}
	return q, f, nil
}

// parseMoment reads a day, at its first moment in UTC, or a moment.
func parseMoment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is %.80q: write a day, 2026-11-01, or a moment, 2026-11-01T12:00:00Z", flag, text)
}

// knownSite refuses a name that is misspelt, of which there would be nothing.
func knownSite(ctx context.Context, db *ledger.Ledger, name string) error {
	if name == "" {
		return nil
	}
	names, err := db.Sites(ctx)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("there is no site %q in the ledger: it is empty", name)
	}
	return fmt.Errorf("there is no site %q in the ledger: it has %s", name, join(names))
}

// stream writes the records of a query and says how many they were. What it wrote ends with a whole record, unless writing
// itself failed.
func (c *exportRecords) stream(ctx context.Context, std streams, db *ledger.Ledger, q ledger.Query, f format, to io.Writer, begin bool) (n int64, err error) {
	bar := newProgress(std.err, time.Now, q.Start, q.End)
	n, err = export.Write(ctx, db, q, f.export(), to, begin, func(next, records int64) {
		bar.records = records
		bar.at(next)
	})
	bar.done()
	what := ledger.Audit{Act: ledger.ActExport, Site: q.Site, Count: int(n)}
	if q.End > q.Start {
		what.Leaves = ledger.Leaves{{First: q.Start, Last: q.End - 1}}
	}
	if noted := c.audited(context.WithoutCancel(ctx), db, what); err == nil {
		err = noted // what was taken away is noted, whether all of it was or not
	}
	return n, err
}

// toFile writes to FILE.part, and names it FILE once it is whole and on disk.
func (c *exportRecords) toFile(ctx context.Context, std streams, db *ledger.Ledger, q ledger.Query, f format) error {
	p, err := c.openPart(&q, f)
	if err != nil {
		return err
	}
	n, err := c.stream(ctx, std, db, q, f, p.file, p.fresh)
	if err != nil {
		if kept := p.keep(); kept != nil {
			return errors.Join(err, kept)
		}
		why := err.Error()
		if ctx.Err() != nil {
			why = "stopped"
		}
		return fmt.Errorf("%s; %s has what was written: give the same command with --resume to go on", why, p.name)
	}
	if err := p.finish(); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%d %s written to %s\n", n, plural(n, "record"), c.Output)
	return nil
}

func plural(n int64, of string) string {
	if n == 1 {
		return of
	}
	return of + "s"
}
