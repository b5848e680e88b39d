// Package config turns a stile.yaml into a consent.Site. It is strict, and it says everything that is wrong at once: a
// key that it does not know, a wrong type, a second document or a duplicate id is a problem with a file, a line, a
// column, a caret under the place, and what to do about it. The same walk gathers the linter's warnings: what is valid,
// but costs the visitor or the operator something.
//
//	site: shop                              # [a-z0-9-], in the script's path and the cookie's name
//	origins: ["https://www.shop.example"]   # the pages that may embed it; https://*.shop.example for all subdomains
//	cookie_domain: shop.example             # optional: shares the choice across subdomains
//	controller: {name: EasyDser, contact: privacy@shop.example}
//	policy: {version: 2026-11-01, material: true, file: policy.md, summary: Pinterest added}
//	languages: [en, de]                     # the first is the fallback; [en] unless given
//	regimes:                                # first match wins, the last has "*"; opt-in everywhere unless given
//	  - {name: uk, regions: [GB], model: opt-in, notice_only: [analytics]}
//	  - {name: other, regions: ["*"], model: opt-in}
//	categories:                             # in display order
//	  necessary: {required: true}
//	  analytics: {}
//	  games: {title: {en: Games, de: Spiele}, purpose: {en: High scores, de: Bestenlisten}, sells: false}
//	tags:                                   # at most 64, each with a category
//	  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}
//	  - {name: Counter, category: analytics, pixel: "https://stats.shop.example/p.gif?u={page}"}
//	  - {name: Loyalty, category: games, inline: "loyalty=1", stop: "loyalty=0", needs: [Counter], cookies: ["loy_*"]}
//	remember: 180d                          # how long a choice holds: d, w, m (30 days) or y; at most 395d
//	retention: 3y                           # how long records are kept: d, m or y; {keep: 3y, then: anonymise} leaves counts
//	appearance: {position: bottom, theme: auto, accent: "#0b5fff", control: auto}
//	words: {en: {choose: "Choose myself"}}  # words of the site's own
//	per_vendor: true                        # each vendor can be switched off by itself
//	minors: {age: 14, guardian: true}       # visitors under the age cannot consent by themselves
//	sightings: 0.05                         # share of page views that report the third-party hosts they loaded from
//	mail: {category: analytics, links: ["https://*.shop.example"], log: 90d} # opens and clicks of newsletters
//
// What each key means is in the JSON schema (Schema), which is made from the types in file.go. A tag's id is its
// vendor's, or, when the tag has a name, the name in lower case with "-" for whatever is neither letter nor digit. A
// need comes before what needs it: Site.Tags is in that order, and in the file's order otherwise.
//
// YAML is used without its traps: anchors, aliases, merge keys, type tags, "? " keys, directives and tabs as indentation
// are refused, and numbers where text is meant (an account id, a version) arrive as they were written.
package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// Options is what a site's file is read against.
type Options struct {
	Vendors   *vendors.Library // the known vendors; nil knows none
	Languages []string         // BCP 47, as Stile has words for them; empty accepts any
	// Words are the words that a site can replace: name to the English; nil accepts any.
	Words map[string]string
	// Contrast tells the contrast of text on its background and of what is written on buttons, with what Stile chooses
	// for colours that are not given; nil checks none.
	Contrast func(dark bool, c consent.Colours) (text, button float64)
	Now      time.Time // against which the day of the next policy is held; zero: against none
	Dir      string    // where policy.file is relative to; Load and LoadAll set it
}

// MaxSize is how many bytes a site's file may have.
const MaxSize = 1 << 20

// Parse reads a site from src. The name stands for the file in the report. The site is nil if the report has errors.
func Parse(name string, src []byte, o Options) (*consent.Site, Report) {
	site, r := read(name, src, o)
	return site, r.report()
}

// Load reads a site from a file.
func Load(path string, o Options) (*consent.Site, Report) {
	site, r := load(path, o)
	return site, r.report()
}

// LoadAll reads the sites of a file, or of the *.yaml and *.yml files directly in a folder, by file name. There are no
// sites if the report has errors: a server keeps what it had.
func LoadAll(path string, o Options) ([]*consent.Site, Report) {
	files, err := list(path)
	if err != nil {
		return nil, Report{Problems: []Problem{unreadable(path, err)}}
	}
	var sites []*consent.Site
	var report Report
	first := map[string]string{}
	report.Files = first
	for _, file := range files {
		site, r := load(file, o)
		if name := r.siteName; name.ok {
			if other, taken := first[name.text]; taken {
				name.at.fail("give it another name", "%q is the name of the site in %s already", name.text, other)
			} else {
				first[name.text] = file
			}
		}
		sites = append(sites, site)
		report.Problems = append(report.Problems, r.report().Problems...)
	}
	if report.HasErrors() {
		return nil, report
	}
	return sites, report
}

func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue // an editor's or a volume's own files begin with a dot
		}
		file := filepath.Join(path, e.Name())
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			continue
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the folder has no *.yaml or *.yml file: %w", fs.ErrNotExist)
	}
	slices.Sort(files)
	return files, nil
}

func load(path string, o Options) (*consent.Site, *reader) {
	o.Dir = filepath.Dir(path)
	src, err := readFile(path)
	if err != nil {
		r := &reader{opt: o, src: newSource(path, nil)}
		r.add(unreadable(path, err))
		return nil, r
	}
	return read(path, src, o)
}

// readFile reads at most a byte more than a file may have, so that document can tell.
func readFile(path string) (src []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

func unreadable(path string, err error) Problem {
	return Problem{File: path, Severity: Error, Message: fmt.Sprintf("reading it: %v", err)}
}

func read(name string, src []byte, o Options) (*consent.Site, *reader) {
	r := &reader{opt: o, src: newSource(name, src)}
	root, ok := r.document(src)
	if !ok {
		return nil, r
	}
	site := r.site(root)
	if r.errors > 0 {
		return nil, r
	}
	return site, r
}
