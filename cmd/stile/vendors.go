package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stilehq/stile/server/vendors"
)

type vendorsCommand struct {
	Search string `arg:"" optional:"" help:"Part of a name, an id, a company, a category, a host or a cookie."`
	Table  bool   `hidden:"" help:"Print the table of README.md."`
	JSON   bool   `name:"json" help:"Print JSON, with everything that is known."`
}

// Run lists the vendors that Stile knows.
func (c *vendorsCommand) Run(std streams) error {
	library, err := vendors.New()
	if err != nil {
		return err
	}
	found := library.Search(c.Search)
	switch {
	case c.JSON:
		return printJSON(std.out, found)
	case c.Table:
		return markdown(std.out, found)
	case len(found) == 0:
		fmt.Fprintf(std.err, "no vendor has %q: write it as a tag of your own, with script, pixel or inline\n", c.Search)
		return errFound
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "VENDOR\tNAME\tCOMPANY\tCATEGORY\tID\tWHEN DENIED")
	for _, v := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Name, v.Company, v.Category, example(v), denied(v))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(found) == 1 {
		details(std.out, found[0])
	}
	return nil
}

func example(v *vendors.Vendor) string {
	if v.Account.Example == "" {
		return "-"
	}
	return v.Account.Example
}

// denied is what becomes of a tag that runs when its consent is taken back.
func denied(v *vendors.Vendor) string {
	switch {
	case v.Silent:
		return "told, and silent"
	case v.Load.Stop != "":
		return "stopped"
	}
	return "ends with a reload"
}

func details(w io.Writer, v *vendors.Vendor) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, text)
		}
	}
	fmt.Fprintln(w)
	line("stile.yaml", v.Line(""))
	line("also", strings.Join(v.Aliases, ", "))
	line("hosts", strings.Join(v.Hosts, ", "))
	var cookies []string
	for _, c := range v.Cookies {
		cookies = append(cookies, c.Name+" ("+c.Lifetime+")")
	}
	line("cookies", strings.Join(cookies, ", "))
	line("storage", strings.Join(v.Storage, ", "))
	line("mode", v.Mode)
	if v.Loads {
		line("loads", "other tags, which cannot be itemised")
	}
	line("policy", v.Policy)
	line("notes", strings.TrimSpace(v.Notes))
}

// markdown is the table of README.md, which a test compares with this.
func markdown(w io.Writer, list []*vendors.Vendor) error {
	byCategory := map[string][]string{}
	for _, v := range list {
		name := v.ID
		if v.Load.Stop != "" {
			name = "**" + name + "**"
		}
		if v.Loads {
			name += "+"
		}
		byCategory[v.Category] = append(byCategory[v.Category], name)
	}
	fmt.Fprintf(w, "| %d vendors | |\n| --- | --- |\n", len(list))
	for _, category := range []string{"necessary", "functional", "analytics", "marketing"} {
		if _, err := fmt.Fprintf(w, "| %s | %s |\n", category, strings.Join(byCategory[category], ", ")); err != nil {
			return err
		}
	}
	return nil
}
