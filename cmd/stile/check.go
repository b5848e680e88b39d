package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
)

type checkCommand struct {
	Paths  []string `arg:"" optional:"" name:"path" help:"Site files, or folders of them."`
	Config string   `env:"STILE_CONFIG" default:"stile.yaml" help:"What is checked when no path is given."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// checked is what check prints of a site.
type checked struct {
	Site       string   `json:"site"`
	Tags       int      `json:"tags"`
	Categories []string `json:"categories"`
	Regimes    []string `json:"regimes"`
	Languages  []string `json:"languages"`
}

func (c *checkCommand) Run(std streams) error {
	if len(c.Paths) == 0 {
		c.Paths = []string{c.Config}
	}
	sites, report := []checked{}, config.Report{Problems: []config.Problem{}}
	for _, path := range c.Paths {
		found, r, err := loadSites(path)
		if err != nil {
			return err
		}
		report.Problems = append(report.Problems, r.Problems...)
		for _, site := range found {
			if err := drawable(site); err != nil {
				report.Problems = append(report.Problems, config.Problem{File: path, Severity: config.Error, Message: err.Error()})
			}
			sites = append(sites, summary(site))
		}
	}
	if err := c.print(std.out, sites, report); err != nil {
		return err
	}
	if report.HasErrors() {
		return errFound
	}
	return nil
}

// loadSites reads a site's file or a folder of them against all that Stile knows.
func loadSites(path string) ([]*consent.Site, config.Report, error) {
	options, err := server.ConfigOptions()
	if err != nil {
		return nil, config.Report{}, err
	}
	sites, report := config.LoadAll(path, options)
	return sites, report, nil
}

// drawable tells whether a site's answers can be made, as the server will.
func drawable(site *consent.Site) error {
	g, err := gate.New(site)
	if err != nil {
		return err
	}
	g.Close()
	return nil
}

func summary(s *consent.Site) checked {
	c := checked{Site: s.Name, Tags: len(s.Tags), Languages: s.Languages}
	for i := range s.Categories {
		c.Categories = append(c.Categories, s.Categories[i].Name)
	}
	for i := range s.Regimes {
		c.Regimes = append(c.Regimes, s.Regimes[i].Name)
	}
	return c
}

func (c *checkCommand) print(w io.Writer, sites []checked, report config.Report) error {
	if c.JSON {
		return printJSON(w, struct {
			Sites    []checked        `json:"sites"`
			Problems []config.Problem `json:"problems"`
		}{sites, report.Problems})
	}
	_, err := report.WriteTo(w)
	if len(sites) == 0 {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SITE\tTAGS\tCATEGORIES\tREGIMES\tLANGUAGES")
	for _, s := range sites {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", s.Site, s.Tags, join(s.Categories), join(s.Regimes), join(s.Languages))
	}
	return errors.Join(err, t.Flush())
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
