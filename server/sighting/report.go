// Package sighting is what pages were seen to load: it reads the reports that browsers send, and says of each host whose it
// is and whether Stile gates it. It is pure: no HTTP, no SQL, no clock.
//
// A report is either the runtime's own (assets/watch.js), which knows what the visitor allowed, or one of a content security
// policy, which does not. Of neither is anything kept but hosts: no path, no query, no id, and nothing of the page.
package sighting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/tally"
)

// Report is what one page view loaded, or what a security policy reported.
type Report struct {
	Source  string // tally.Observer or tally.CSP
	State   State  // of the observer's; a security policy knows none
	Hosts   []tally.Loaded
	Failed  []string // ids of tags that the runtime could not load
	Origins []string // of the documents that a security policy reports of, each once
}

// State is what a visitor allowed on a page view.
type State struct {
	Regime  string
	Chosen  bool     // and is not asked again; else the banner was open, or nobody was asked
	GPC     bool     // Global Privacy Control was on
	Allowed []string // optional categories
	With    []string // tags that were released though their category was not
	Without []string // tags that were withheld though their category was released
	Denied  []string // optional categories that were declined, as far as that is known
}

// String is what was allowed: optional categories, "+" and the tags beside them, "-" and the tags withheld all the same, and
// "!" and the categories that were declined, sorted, with a space between.
func (s State) String() string {
	words := slices.Clone(s.Allowed)
	for _, id := range s.With {
		words = append(words, "+"+id)
	}
	for _, id := range s.Without {
		words = append(words, "-"+id)
	}
	for _, name := range s.Denied {
		words = append(words, "!"+name)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// mostHosts are in one report. The runtime tells no more.
const mostHosts = 100

// ErrType is of a report in a form that is none.
var ErrType = errors.New("a report is application/csp-report, application/reports+json, or the runtime's text/plain")

// Parse reads a report of a site's page, by its media type, and is strict: the error says what was wrong with it.
func Parse(mediaType string, body []byte, site *consent.Site) (Report, error) {
	switch mediaType {
	case "application/csp-report":
		return parseViolation(body)
	case "application/reports+json":
		return parseViolations(body)
	case "text/plain", "application/json":
		return parseWatched(body, site)
	}
	return Report{}, ErrType
}

// watched is the runtime's own report.
type watched struct {
	Regime  string   `json:"regime"`
	Chosen  bool     `json:"chosen"`
	GPC     bool     `json:"gpc"`
	Allowed []string `json:"allowed"`
	With    []string `json:"with"`
	Without []string `json:"without"`
	Hosts   []struct {
		Host   string `json:"host"`
		As     string `json:"as"`
		Failed bool   `json:"failed"`
	} `json:"hosts"`
	Failed []string `json:"failed"`
}

func parseWatched(body []byte, site *consent.Site) (Report, error) {
	var w watched
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Report{}, fmt.Errorf("it is no report: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Report{}, errors.New("something follows the report")
	}
	if !slices.ContainsFunc(site.Regimes, func(r consent.Regime) bool { return r.Name == w.Regime }) {
		return Report{}, fmt.Errorf("regime %q is none of the site's", w.Regime)
	}
	category := func(name string) bool {
		return slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return c.Name == name && !c.Required })
	}
	tag := func(id string) bool {
		return slices.ContainsFunc(site.Tags, func(t consent.Tag) bool { return t.ID == id })
	}
	// A page may be older than the site's file: a tag that went, and did not run or failed, is left out. What ran under a name
	// that went is not: what it loaded would be held against the tags that are there.
	gone := func(id string) bool { return !tag(id) }
	w.Without, w.Failed = slices.DeleteFunc(w.Without, gone), slices.DeleteFunc(w.Failed, gone)
	for _, field := range []struct {
		name  string
		list  []string
		known func(string) bool
	}{{"allowed", w.Allowed, category}, {"with", w.With, tag}, {"without", w.Without, tag}, {"failed", w.Failed, tag}} {
		if err := distinct(field.name, field.list, field.known); err != nil {
			return Report{}, err
		}
	}
	if i := slices.IndexFunc(w.With, func(id string) bool { return slices.Contains(w.Without, id) }); i >= 0 {
		return Report{}, fmt.Errorf("tag %q is both with and without", w.With[i])
	}
	if len(w.Hosts) > mostHosts {
		return Report{}, fmt.Errorf("it names %d hosts: at most %d", len(w.Hosts), mostHosts)
	}
	r := Report{Source: tally.Observer, State: State{w.Regime, w.Chosen, w.GPC, w.Allowed, w.With, w.Without, nil}, Failed: w.Failed}
	r.State.Denied = r.State.declined(site)
	seen := map[string]bool{}
	for _, h := range w.Hosts {
		switch {
		case !hosts.Valid(h.Host):
			return Report{}, fmt.Errorf("%q is no host as a browser writes it", cut(h.Host))
		case seen[h.Host]:
			return Report{}, fmt.Errorf("host %q is there twice", h.Host)
		case !slices.Contains(classes, h.As):
			return Report{}, fmt.Errorf("host %q was loaded as %q: it is one of %s", h.Host, cut(h.As), strings.Join(classes, ", "))
		}
		seen[h.Host] = true
		r.Hosts = append(r.Hosts, tally.Loaded{Host: h.Host, As: h.As, Failed: h.Failed})
	}
	return r, nil
}

func distinct(name string, list []string, known func(string) bool) error {
	for i, word := range list {
		switch {
		case !known(word):
			return fmt.Errorf("%s has %q, which is none of the site's", name, cut(word))
		case slices.Contains(list[:i], word):
			return fmt.Errorf("%s has %q twice", name, word)
		}
	}
	return nil
}

// violation is what a content security policy did not allow, as both forms of reports name it.
type violation struct {
	document, blocked, directive string
}

func parseViolation(body []byte) (Report, error) {
	var old struct {
		Report *struct {
			Document  string `json:"document-uri"`
			Blocked   string `json:"blocked-uri"`
			Effective string `json:"effective-directive"`
			Violated  string `json:"violated-directive"`
		} `json:"csp-report"`
	}
	if err := json.Unmarshal(body, &old); err != nil {
		return Report{}, fmt.Errorf("it is no report: %w", err)
	}
	if old.Report == nil {
		return Report{}, errors.New("it has no csp-report")
	}
	directive := old.Report.Effective
	if directive == "" {
		directive = old.Report.Violated
	}
	return violations([]violation{{old.Report.Document, old.Report.Blocked, directive}})
}

func parseViolations(body []byte) (Report, error) {
	var list []struct {
		Type string          `json:"type"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return Report{}, fmt.Errorf("it is no list of reports: %w", err)
	}
	if len(list) > mostHosts {
		return Report{}, fmt.Errorf("it has %d reports: at most %d", len(list), mostHosts)
	}
	var all []violation
	for _, r := range list {
		if r.Type != "csp-violation" {
			continue // of something else, which the site may report to the same place
		}
		var v struct{ DocumentURL, BlockedURL, EffectiveDirective string }
		if err := json.Unmarshal(r.Body, &v); err != nil {
			return Report{}, fmt.Errorf("it has a csp-violation that is none: %w", err)
		}
		all = append(all, violation{v.DocumentURL, v.BlockedURL, v.EffectiveDirective})
	}
	return violations(all)
}

// violations gathers the hosts, each once. Of the documents only their origins are kept.
func violations(list []violation) (Report, error) {
	r := Report{Source: tally.CSP}
	for _, v := range list {
		document, err := url.Parse(v.document)
		if err != nil || document.Scheme != "https" && document.Scheme != "http" || !hosts.Valid(hosts.Of(document)) {
			return Report{}, errors.New("it does not say which document it is of")
		}
		if origin := document.Scheme + "://" + hosts.Of(document); !slices.Contains(r.Origins, origin) {
			r.Origins = append(r.Origins, origin)
		}
		host, err := blocked(v.blocked)
		if err != nil {
			return Report{}, err
		}
		if host != "" && host != hosts.Of(document) && !slices.ContainsFunc(r.Hosts, func(l tally.Loaded) bool { return l.Host == host }) {
			r.Hosts = append(r.Hosts, tally.Loaded{Host: host, As: classOf(v.directive)})
		}
	}
	return r, nil
}

// words stand in a report for what has no host and is kept; further ones ("self", "wasm-eval") are of no interest here.
var words = []string{"inline", "eval", "data", "blob"}

// IsWord tells whether a host of a security policy's report is none, but such a word.
func IsWord(host string) bool { return slices.Contains(words, host) }

// blocked is the host of what was blocked, or a word for it, or "" for what is of no interest.
func blocked(address string) (string, error) {
	scheme, _, isURL := strings.Cut(address, ":")
	switch {
	case IsWord(scheme):
		return scheme, nil
	case !isURL || !slices.Contains([]string{"https", "http", "wss", "ws"}, strings.ToLower(scheme)):
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil || !hosts.Valid(hosts.Of(u)) {
		return "", errors.New("what was blocked has no host as a browser writes it")
	}
	return hosts.Of(u), nil
}

// classes are what a host was loaded as, the weightiest last.
var classes = []string{"other", "img", "fetch", "iframe", "script"}

func classOf(directive string) string {
	name, _, _ := strings.Cut(directive, " ")
	switch {
	case strings.HasPrefix(name, "script-src"):
		return "script"
	case name == "frame-src", name == "child-src":
		return "iframe"
	case name == "connect-src":
		return "fetch"
	case name == "img-src":
		return "img"
	}
	return "other"
}

func cut(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
