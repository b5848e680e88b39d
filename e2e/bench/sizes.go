package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/vendors"
)

// size is what one answer weighs, in bytes: as it is, and compressed as far as each coding goes.
type size struct{ raw, gzip, brotli int }

func (s size) less(by size) size { return size{s.raw - by.raw, s.gzip - by.gzip, s.brotli - by.brotli} }

// shelf measures the answers of the example shop.
type shelf struct {
	library *vendors.Library
	site    consent.Site
	table   *tabwriter.Writer
}

// sizes prints what the answers weigh.
func sizes(w io.Writer) error {
	s := &shelf{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	if err := s.load(); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		print func() error
	}{
		{"first visit, position bottom, theme auto, by language", s.languages},
		{"first visit, the largest of all languages, by position and theme", s.looks},
		{"later visits, and the preferences", s.later},
		{"a vendor's tag, added to a returning visitor's answer as the only one", s.vendors},
	} {
		fmt.Fprintf(w, "\n%s, in bytes\n\n", part.title)
		fmt.Fprintln(s.table, "\traw\tgzip\tbrotli\t")
		if err := part.print(); err != nil {
			return err
		}
		if err := s.table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) load() (err error) {
	if s.library, err = vendors.New(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "stile-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := os.CopyFS(folder, shop.Files()); err != nil {
		return err
	}
	site, report := config.Load(filepath.Join(folder, "stile.yaml"), config.Options{Vendors: s.library, Languages: banner.Languages()})
	if err := report.Err(); err != nil {
		return err
	}
	s.site = *site
	s.site.Languages = banner.Languages()
	return nil
}

func (s *shelf) row(name string, z size) {
	fmt.Fprintf(s.table, "%s\t%d\t%d\t%d\t\n", name, z.raw, z.gzip, z.brotli)
}

// now is when the measured visits are; answers do not depend on it.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// measure returns what a visitor of a site from Germany gets.
func measure(site *consent.Site, choice *consent.Choice, langs ...string) ([]size, error) {
	g, err := gate.New(site)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	d := consent.Decide(site, consent.Visit{Choice: choice, Region: "DE", Now: now})
	var all []size
	for _, lang := range langs {
		a, err := g.Answer(&d, lang)
		if err != nil {
			return nil, err
		}
		all = append(all, weigh(a))
	}
	return all, nil
}

func weigh(a *gate.Answer) size { return size{len(a.Identity), len(a.Gzip), len(a.Best())} }

func (s *shelf) languages() error {
	all, err := measure(&s.site, nil, s.site.Languages...)
	if err != nil {
		return err
	}
	for i, lang := range s.site.Languages {
		s.row(lang, all[i])
	}
	return nil
}

func (s *shelf) looks() error {
	for _, position := range []string{"bottom", "top", "corner"} {
		for _, theme := range []string{"auto", "light", "dark"} {
			site := s.site
			site.Appearance.Position, site.Appearance.Theme = position, theme
			all, err := measure(&site, nil, site.Languages...)
			if err != nil {
				return err
			}
			largest := slices.MaxFunc(all, func(a, b size) int { return a.brotli - b.brotli })
			lang := site.Languages[slices.Index(all, largest)]
			s.row(fmt.Sprintf("%s, %s (%s)", position, theme, lang), largest)
		}
	}
	return nil
}

func (s *shelf) later() error {
	for _, c := range []struct{ name, accept string }{{"returning, refused: no tags", "none"}, {"returning, accepted: all of the shop's tags", "all"}} {
		z, err := returning(&s.site, c.accept)
		if err != nil {
			return err
		}
		s.row(c.name, z)
	}
	g, err := gate.New(&s.site)
	if err != nil {
		return err
	}
	defer g.Close()
	a, err := g.Dialog(s.site.Regime("DE"), false, "en")
	if err != nil {
		return err
	}
	s.row("the dialog (en)", weigh(a))
	if a, err = g.Style(); err != nil {
		return err
	}
	s.row("the style of the preferences page", weigh(a))
	return nil
}

// returning is the answer for a visitor who chose before.
func returning(site *consent.Site, accept string) (size, error) {
	choice, _, err := consent.Parse(map[string][]string{"accept": {accept}}, site, nil)
	if err != nil {
		return size{}, err
	}
	choice.Time = now
	all, err := measure(site, &choice, "en")
	if err != nil {
		return size{}, err
	}
	return all[0], nil
}

func (s *shelf) vendors() error {
	site := s.site
	site.Tags = nil
	bare, err := returning(&site, "all")
	if err != nil {
		return err
	}
	for _, v := range s.library.All() {
		options := map[string]string{}
		for _, o := range v.Options {
			options[o.Name] = o.Example
		}
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
		if err != nil {
			return err
		}
		site.Tags = []consent.Tag{tag}
		with, err := returning(&site, "all")
		if err != nil {
			return err
		}
		s.row(v.ID, with.less(bare))
	}
	return nil
}
