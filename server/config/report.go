package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity is how bad a problem is.
type Severity string

// The severities: an error keeps the site from being served, a warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with a site's file, or that the linter advises against.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`   // from 1; 0 when the problem is the file itself
	Column   int      `json:"column,omitempty"` // in characters, from 1
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"` // of the value: "tags[2].id"
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`    // what to do about it
	Excerpt  string   `json:"excerpt,omitempty"` // the line, and a caret under the place
}

// String is the problem as a compiler prints it, without a newline at the end.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	fmt.Fprintf(&b, ": %s: ", p.Severity)
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

// Report is everything that was found, by file and place.
type Report struct {
	Problems []Problem `json:"problems"`

	Files map[string]string `json:"-"` // of the sites that LoadAll read, by name
}

// HasErrors tells whether something is worse than a warning.
func (r Report) HasErrors() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Severity == Error })
}

// Err is nil, or the errors of the report without the warnings.
func (r Report) Err() error {
	var all []string
	for _, p := range r.Problems {
		if p.Severity == Error {
			all = append(all, p.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "\n"))
}

// WriteTo prints the report.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

// String is each problem, with a newline after it.
func (r Report) String() string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// maxProblems is how many problems of a file are told: a file that is no stile.yaml at all can have one a line.
const maxProblems = 100

// report returns what the reader found, in the order of the file.
func (r *reader) report() Report {
	found := slices.Clone(r.problems)
	slices.SortStableFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for i := range found {
		found[i].Excerpt = r.src.excerpt(found[i].Line, found[i].Column)
	}
	if r.dropped > 0 {
		severity := Warning
		if r.errors > 0 {
			severity = Error
		}
		found = append(found, Problem{
			File: r.src.name, Severity: severity,
			Message: fmt.Sprintf("%d more problems are not shown", r.dropped),
		})
	}
	return Report{Problems: found}
}

func (r *reader) add(p Problem) {
	if p.Severity == Error {
		r.errors++
	}
	if len(r.problems) >= maxProblems {
		r.dropped++
		return
	}
	r.problems = append(r.problems, p)
}
