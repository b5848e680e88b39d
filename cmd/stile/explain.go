package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/simulate"
)

// siteOf names a site of the configuration.
type siteOf struct {
	Path   string `arg:"" optional:"" help:"A site's file, or a folder of them."`
	Config string `env:"STILE_CONFIG" default:"stile.yaml" help:"The same as PATH."`
	Site   string `help:"Which site, where there are several."`
}

type explainCommand struct {
	siteOf
	Accept    []string  `placeholder:"CATEGORY" help:"Categories that the visitor accepted, or all."`
	Service   []string  `placeholder:"TAG" help:"Tags that the visitor accepted by themselves."`
	Reject    bool      `help:"The visitor rejected all."`
	Chosen    time.Time `format:"2006-01-02" placeholder:"DATE" help:"When the visitor chose; today unless given."`
	Policy    string    `placeholder:"VERSION" help:"The policy's version when the visitor chose; the present one unless given."`
	Region    string    `placeholder:"DE" help:"Where the visitor is: DE, US-CA. Unknown unless given, which means the strictest regime."`
	GPC       bool      `name:"gpc" help:"The browser sends Sec-GPC: 1."`
	ChosenGPC bool      `name:"chosen-gpc" help:"The signal was on when the visitor chose."`
	JSON      bool      `name:"json" help:"Print JSON."`
}

// explained is what explain prints of a decision.
type explained struct {
	Site   string         `json:"site"`
	Regime string         `json:"regime"`
	Model  string         `json:"model"`
	Ask    bool           `json:"ask"`
	New    []string       `json:"new,omitempty"`
	Tags   []explainedTag `json:"tags"`
}

type explainedTag struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Category   string `json:"category"`
	Released   bool   `json:"released"`
	Restricted bool   `json:"restricted,omitempty"` // sent without consent, and told so
	Reason     string `json:"reason"`
	Because    string `json:"because"`
}

func (c *explainCommand) Run(std streams) error {
	site, err := c.load()
	if err != nil {
		return err
	}
	if c.Region != "" && !simulate.IsRegion(c.Region) {
		return fmt.Errorf("--region %s is not a region: use ISO 3166, DE or US-CA", c.Region)
	}
	visit, err := c.visit()
	if err != nil {
		return err
	}
	v, err := visit.Of(site, time.Now())
	if err != nil {
		return err
	}
	d := consent.Decide(site, v)
	e := explained{Site: site.Name, Regime: d.Regime.Name, Model: d.Regime.Model.String(), Ask: d.Ask, New: d.New, Tags: []explainedTag{}}
	for i, verdict := range d.Tags {
		t := &site.Tags[i]
		e.Tags = append(e.Tags, explainedTag{t.ID, t.Name, t.Category, verdict.Released, verdict.Restricted, verdict.Because.Kind.String(), verdict.Because.String()})
	}
	if c.JSON {
		return printJSON(std.out, e)
	}
	return e.print(std.out)
}

func (c *siteOf) load() (*consent.Site, error) {
	path := c.Config
	if c.Path != "" {
		path = c.Path
	}
	sites, report, err := loadSites(path)
	if err := errors.Join(err, report.Err()); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range sites {
		if s.Name == c.Site || c.Site == "" && len(sites) == 1 {
			s.Policy = s.Policy.At(time.Now())
			s.History = s.Policy.Versions()
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("there are several sites in %s: name one of %s with --site", path, join(names))
}

func (c *explainCommand) visit() (*simulate.Visit, error) {
	v := &simulate.Visit{
		Region: c.Region, GPC: c.GPC, Categories: c.Accept, Services: c.Service, Chosen: c.Chosen, Policy: c.Policy, ChosenGPC: c.ChosenGPC,
	}
	switch {
	case c.Reject && len(c.Accept)+len(c.Service) > 0:
		return nil, errors.New("--reject goes without --accept and --service")
	case c.Reject:
		v.Choice = simulate.Rejected
	case len(c.Accept) == 1 && c.Accept[0] == "all":
		v.Choice = simulate.All
	case len(c.Accept)+len(c.Service) > 0:
		v.Choice = simulate.Some
	}
	return v, nil
}

func (e explained) print(w io.Writer) error {
	asked := "the visitor is not asked"
	if e.Ask {
		asked = "the visitor is asked"
	}
	fmt.Fprintf(w, "site %s, regime %s (%s): %s\n", e.Site, e.Regime, e.Model, asked)
	if len(e.New) > 0 {
		fmt.Fprintf(w, "new since the choice: %s\n", join(e.New))
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TAG\tCATEGORY\tVERDICT\tBECAUSE")
	for _, tag := range e.Tags {
		verdict := "withheld"
		switch {
		case tag.Released:
			verdict = "released"
		case tag.Restricted:
			verdict = "restricted" // sent without consent, in the advanced consent mode
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", tag.Name, tag.Category, verdict, tag.Because)
	}
	return t.Flush()
}

func join(words []string) string { return strings.Join(words, ", ") }
