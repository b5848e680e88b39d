package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stilehq/stile/server/config"
)

// FuzzParse: no file makes the reader panic; what it accepts has the invariants; what it refuses, it refuses at a place
// that is in the file.
func FuzzParse(f *testing.F) {
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range good {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	bad, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range bad {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	o := options(f)
	o.Dir = "testdata/good"
	f.Fuzz(func(t *testing.T, src []byte) {
		site, report := config.Parse("x.yaml", src, o)
		if (site == nil) != report.HasErrors() {
			t.Fatalf("site %v, but the report is\n%s", site, report)
		}
		lines := strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n")
		for _, p := range report.Problems {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
				t.Errorf("the place is outside of the file: %s", p)
			}
			if p.Message == "" || strings.Contains(p.Message, "%!") && !strings.Contains(string(src), "%") {
				t.Errorf("the message is %q", p.Message)
			}
		}
		if site != nil {
			invariants(t, site)
		}
	})
}
