package gate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/a-h/templ"

	"github.com/stilehq/stile/assets"
	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// What a security policy without 'unsafe-inline' and 'unsafe-eval' forbids, in scripts and in markup.
var forbidden = map[string]*regexp.Regexp{
	"eval":                      regexp.MustCompile(`\beval\s*\(`),
	"a function made of text":   regexp.MustCompile(`\bnew\s+Function\b|\bFunction\s*\(\s*["'` + "`" + `]`),
	"a timer with text":         regexp.MustCompile(`\bset(Timeout|Interval)\s*\(\s*["'` + "`" + `]`),
	"a style attribute":         regexp.MustCompile(`(?i)setAttribute\(\s*["'` + "`" + `]style|[\s"']style\s*=\s*\\?["'{]`),
	"a handler attribute":       regexp.MustCompile(`(?i)setAttribute\(\s*["'` + "`" + `]on|<[a-z][^>]*\son[a-z]+\s*=`),
	"an inline script or sheet": regexp.MustCompile(`(?i)<style|<script[\s>]|javascript:`),
}

func breaks(text string) (found []string) {
	for what, pattern := range forbidden {
		if at := pattern.FindStringIndex(text); at != nil {
			found = append(found, fmt.Sprintf("%s: %.80s", what, text[max(0, at[0]-20):]))
		}
	}
	return found
}

// H: nothing that a browser gets of Stile needs eval, an inline style or an inline handler: no source, no drawn view in any
// language, no vendor's snippet.
func TestNothingInline(t *testing.T) {
	texts := map[string]string{}
	if err := fs.WalkDir(assets.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := assets.Files.ReadFile(path)
		texts[path] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	views, err := filepath.Glob("../../banner/*.templ")
	if err != nil || len(views) == 0 {
		t.Fatalf("no views: %v", err)
	}
	for _, path := range views {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	s := site(library(t)...)
	s.Languages = banner.Languages()
	s.Minors = consent.Minors{Age: 14, Guardian: true}
	s.SinglePage = true
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i, tag := range g.tags {
		texts["the tag "+s.Tags[i].ID] = tag
	}
	for _, lang := range s.Languages {
		v, err := g.View(&consent.Decision{Regime: &s.Regimes[0]}, lang)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]templ.Component{
			"banner": banner.Banner(v), "note": banner.Note(v), "dialog": banner.Dialog(v), "placeholder": banner.Placeholder(v),
			"control": banner.Control(v), "leftovers": banner.Leftovers(v), "age": banner.AgeStep(v),
		} {
			if texts[lang+" "+name], err = render(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range texts {
		for _, what := range breaks(text) {
			t.Errorf("%s holds %s", name, what)
		}
	}
}

// The test above can fail.
func TestNothingInlineFails(t *testing.T) {
	for _, text := range []string{
		`eval(x)`, `new Function("a", "b")`, `setTimeout("x()")`, `el.setAttribute('style', x)`, `<p class="a" style="color:red">`, `'<p style=\"color:red\">'`,
		`<p style={ x }>`, `el.setAttribute("onclick", x)`, `<button class="c" onclick="x()">`, `<style>p{}</style>`, `<a href="javascript:x()">`,
	} {
		if len(breaks(text)) == 0 {
			t.Errorf("%s is let pass", text)
		}
	}
}
