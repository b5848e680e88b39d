package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// The part of SARIF 2.1.0 (OASIS, sections 3.13 to 3.58) that code scanning reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		InformationURI  string      `json:"informationUri"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID            string          `json:"id"`
		Name          string          `json:"name"`
		Short         sarifText       `json:"shortDescription"`
		Full          sarifText       `json:"fullDescription"`
		Help          sarifText       `json:"help"`
		Configuration sarifDefault    `json:"defaultConfiguration"`
		Properties    sarifProperties `json:"properties"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		Tags      []string `json:"tags"`
		Precision string   `json:"precision"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// The rules, by what is to be said of a find; the last is of a page.
var sarifRules = []sarifRule{
	rule("ungated-tag", "UngatedTag", "error", "high", "A third-party tag that does not wait for consent",
		"It is asked for before the visitor has chosen, and after a refusal.",
		"Delete it from the page and name it in stile.yaml (stile init writes the lines), or mark it with data-stile and its category."),
	rule("unknown-host", "UnknownHost", "warning", "medium", "A script, picture or frame of a host that nobody knows",
		"It may need consent: what it is for has to be decided.",
		"Name it in stile.yaml as a tag, with a category, or name its host under sightings.own where it is your own or harmless."),
	rule("loaded-twice", "LoadedTwice", "warning", "high", "A tag that stands in the page, and that Stile loads as well",
		"With consent it runs twice, and counts everything twice.",
		"Delete it from the page, or write markup: true at the tag in stile.yaml."),
	rule("stile-not-first", "StileNotFirst", "warning", "high", "Stile's script does not stand first",
		"What stands above it runs before it.", "Put it first in head, neither async nor defer."),
}

func rule(id, name, level, precision, short, full, help string) sarifRule {
	return sarifRule{id, name, sarifText{short}, sarifText{full}, sarifText{help}, sarifDefault{level}, sarifProperties{[]string{"privacy", "consent"}, precision}}
}

// sarif is what was found as code scanning takes it: what is as it should be is left out.
func sarif(s *scanned) *sarifLog {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{"Stile", "https://github.com/stilehq/stile", strings.TrimPrefix(semantic(version()), "v"), sarifRules}},
		Invocations: []sarifInvocation{s.invocation()},
		ColumnKind:  "unicodeCodePoints", Results: []sarifResult{},
	}
	for i := range s.Pages {
		p := &s.Pages[i]
		uri, part := sarifURI(p.Page)
		seen := map[string]int{} // so that equal ones of a page are told apart
		add := func(ruleIndex int, text, identity string, line, column int) {
			r := &sarifRules[ruleIndex]
			seen[r.ID+identity]++
			sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d%s", r.ID, identity, seen[r.ID+identity], part))
			run.Results = append(run.Results, sarifResult{
				r.ID, ruleIndex, r.Configuration.Level,
				sarifText{text},
				[]sarifLocation{{sarifPhysical{sarifArtifact{uri}, sarifRegion{line, column}}}},
				map[string]string{"stile/v1": hex.EncodeToString(sum[:16])},
			})
		}
		if p.Stile != "" && !p.First {
			add(3, "Stile's script is not the first: what stands above it runs before it.", "", 1, 0)
		}
		for k := range p.Finds {
			f := &p.Finds[k]
			for rule, state := range []state{ungated, unknown, twice} {
				if f.State == state {
					add(rule, f.message(), strings.Join([]string{f.What, f.who(), f.Account, f.text()}, "\n"), f.Line, f.Column)
				}
			}
		}
	}
	return &sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}

// invocation says what was not read. Where something is missing that was asked for the run is no success: what was found
// there before is not gone.
func (s *scanned) invocation() sarifInvocation {
	run := sarifInvocation{!s.Partial, []sarifNotification{}}
	for _, text := range s.Errors {
		run.Notifications = append(run.Notifications, sarifNotification{"error", sarifText{text}})
	}
	for _, text := range s.Notes {
		run.Notifications = append(run.Notifications, sarifNotification{"note", sarifText{text}})
	}
	return run
}

// message is a sentence on a find.
func (f *scannedFind) message() string {
	text := fmt.Sprintf("%s of %s", f.What, f.who())
	if f.Account != "" {
		text += " (" + f.Account + ")"
	}
	switch f.State {
	case ungated:
		text += fmt.Sprintf(" does not wait for consent to %s.", f.Category)
	case unknown:
		text += " is of an unknown host: decide whether it needs consent."
	case twice:
		text += " waits here."
	}
	if f.Tag != "" {
		text += fmt.Sprintf(" Stile loads the tag %s as well.", f.Tag)
	}
	if f.Leaks != "" {
		text += " Without JavaScript: " + cut(f.Leaks, 200) + "."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// sarifURI is where a page is, relative to the repository. A page of the web has no place there: code scanning refuses
// addresses, so that it gets a path that looks like its own. part is the address within its site, which tells "/" and
// "/index.html" apart; "" of a file.
func sarifURI(name string) (uri, part string) {
	u, err := url.Parse(name)
	if err != nil || !isWeb(name) {
		return relative((&url.URL{Path: strings.TrimPrefix(filepath.ToSlash(filepath.Clean(name)), "./")}).EscapedPath()), ""
	}
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	if path == "" || strings.HasSuffix(path, "/") {
		path += "index.html"
	}
	if u.RawQuery != "" {
		path += url.PathEscape("?" + u.RawQuery)
	}
	return relative(url.PathEscape(u.Host) + "/" + path), "\n" + u.RequestURI()
}

// relative is a path as a reference: what stands before a colon would be a scheme (RFC 3986, 4.2).
func relative(path string) string { return strings.ReplaceAll(path, ":", "%3A") }

// semantic is a version, where it is one: a build of a working tree has none.
func semantic(v string) string {
	if strings.HasPrefix(v, "v") {
		return v
	}
	return ""
}
