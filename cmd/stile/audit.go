package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/audit"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/simulate"
	"github.com/stilehq/stile/server/vendors"
)

type auditCommand struct {
	URL          string        `arg:"" help:"The page."`
	Config       string        `env:"STILE_CONFIG" placeholder:"PATH" help:"The site's file, or a folder of them: what may load in each state. Without it only the page's own categories are known."`
	Site         string        `help:"Which site, where the page does not say."`
	Region       string        `placeholder:"DE" help:"Where the visitor is for the file: DE, US-CA. As the server took it, unless given."`
	RegionHeader string        `placeholder:"NAME" help:"Send --region in this header, for a server that believes it."`
	Browser      string        `env:"CHROME" placeholder:"PATH" help:"Chromium; looked for unless given."`
	BrowserFlag  []string      `sep:"none" placeholder:"NAME=VALUE" help:"A flag for Chromium, such as proxy-server=localhost:3128. May be given again."`
	Wait         time.Duration `default:"2s" help:"A state is done when nothing was on its way for so long."`
	Timeout      time.Duration `default:"30s" help:"Bounds each load of the page, each choice, and the wait until nothing is on its way."`
	JSON         bool          `name:"json" help:"Print JSON, with every request, cookie and key."`
	HTML         string        `name:"html" placeholder:"FILE" help:"Write the report, with a picture of each state, to this one file."`
}

// Run audits a page.
func (c *auditCommand) Run(ctx context.Context, std streams) error {
	o, err := c.options(std)
	if err != nil {
		return err
	}
	r, err := audit.Run(ctx, *o)
	o.Progress("", 0, 0)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("the audit was ended before it was done")
		}
		return err
	}
	if c.HTML != "" {
		if err := writeAudit(ctx, c.HTML, r); err != nil {
			return err
		}
	}
	if c.JSON {
		err = printJSON(std.out, r)
	} else {
		err = printAudit(std.out, r)
	}
	if err == nil && r.Wrong > 0 {
		return errFound
	}
	return err
}

// Validate says what cannot be meant.
func (c *auditCommand) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q is no address of a page: write https://www.shop.example/", c.URL)
	case c.Region != "" && !simulate.IsRegion(c.Region):
		return fmt.Errorf("--region %s is not a region: use ISO 3166, DE or US-CA", c.Region)
	case c.RegionHeader != "" && c.Region == "":
		return errors.New("--region-header goes with --region")
	case c.Wait <= 0 || c.Timeout <= c.Wait:
		return fmt.Errorf("--wait %v and --timeout %v: the first is more than nothing, and the second more than the first", c.Wait, c.Timeout)
	}
	return nil
}

func (c *auditCommand) options(std streams) (*audit.Options, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	o := &audit.Options{
		Address: u, Flags: c.BrowserFlag, Quiet: c.Wait, Timeout: c.Timeout, Region: c.Region, Headers: map[string]string{}, Now: time.Now,
		Progress: auditProgress(std.err),
	}
	if c.RegionHeader != "" {
		o.Headers[c.RegionHeader] = c.Region
	}
	if o.Sites, err = c.sites(); err != nil {
		return nil, err
	}
	if o.Library, err = vendors.New(); err != nil {
		return nil, err
	}
	o.Browser, err = audit.Find(c.Browser)
	return o, err
}

// sites are those of the configuration, or the one that was named.
func (c *auditCommand) sites() ([]*consent.Site, error) {
	if c.Config == "" {
		return nil, nil
	}
	if c.Site != "" {
		s, err := (&siteOf{Config: c.Config, Site: c.Site}).load()
		return []*consent.Site{s}, err
	}
	sites, report, err := loadSites(c.Config)
	for _, s := range sites {
		s.Policy = s.Policy.At(time.Now())
		s.History = s.Policy.Versions()
	}
	return sites, errors.Join(err, report.Err())
}

// auditProgress draws on a terminal which state is looked at.
func auditProgress(to io.Writer) func(string, int, int) {
	if !terminal(to) {
		return func(string, int, int) {}
	}
	return func(title string, done, of int) {
		line := title
		if of > 0 {
			line = fmt.Sprintf("%d/%d  %s", done+1, of, title)
		}
		fmt.Fprintf(to, "\r\x1b[K%s", line)
	}
}

// writeAudit writes the report to a file, which is there whole or not at all.
func writeAudit(ctx context.Context, path string, r *audit.Report) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".stile-audit-*")
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has another name by then, or is of no use
	err = audit.HTML(r).Render(ctx, f)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func printAudit(to io.Writer, r *audit.Report) error {
	w := new(strings.Builder)
	fmt.Fprintln(w, r.Page)
	fmt.Fprintln(w, r.Basis())
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STATE\tREQUESTS\tTO OTHERS\tCOOKIES\tSTORAGE\tWRONG\tWARNINGS")
	for i := range r.States {
		s := &r.States[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Title, len(s.Requests), r.Others(s), len(s.Cookies), len(s.Storage), s.Count(audit.Wrong), s.Count(audit.Warning))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	heading := map[audit.Verdict]string{audit.Wrong: r.WrongTitle(), audit.Warning: "To be looked at"}
	var last audit.Verdict
	for _, l := range r.Lines() {
		if l.Verdict != last {
			fmt.Fprintf(w, "\n%s\n", heading[l.Verdict])
			last = l.Verdict
		}
		printFinding(w, &l)
	}
	fmt.Fprintf(w, "\n%s\n", r.Summary())
	_, err := io.WriteString(to, printable(w.String()))
	return err
}

func printFinding(w io.Writer, l *audit.Line) {
	whose := ""
	if l.Who != "" {
		whose = " · " + l.Who
		if l.Category != "" {
			whose += " (" + l.Category + ")"
		}
	}
	fmt.Fprintf(w, "  %s %s%s: %s\n", l.What, l.Subject, whose, l.Because)
	fmt.Fprintf(w, "    %s\n", strings.Join(l.States, ", "))
	if l.Example != "" {
		fmt.Fprintf(w, "    %s\n", audit.Short(l.Example))
	}
	if by := l.By.String(); by != "" && by != "other" {
		fmt.Fprintf(w, "    by %s\n", audit.Short(by))
	}
}
