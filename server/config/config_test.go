package config_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/vendors"
)

var update = flag.Bool("update", false, "rewrite the expected reports and sites")

func options(t testing.TB) config.Options {
	t.Helper()
	library, err := vendors.New()
	if err != nil {
		t.Fatalf("the vendor library: %v", err)
	}
	words, err := banner.English()
	if err != nil {
		t.Fatal(err)
	}
	return config.Options{
		Vendors: library, Languages: []string{"en", "de", "zh-Hans", "ar"}, Words: words, Contrast: gate.Contrast,
		Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
}

// A bad case is an archive: a word on what is wrong, the files, and the report that stile.yaml has to give.
func TestBad(t *testing.T) {
	t.Chdir("testdata/bad")
	cases, err := filepath.Glob("*.txtar")
	if err != nil || len(cases) < 45 {
		t.Fatalf("there are %d cases: %v", len(cases), err)
	}
	o := options(t)
	for _, name := range cases {
		t.Run(strings.TrimSuffix(name, ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			o.Dir = t.TempDir()
			var src, want []byte
			for _, f := range archive.Files {
				switch f.Name {
				case "stile.yaml":
					src = f.Data
				case "report":
					want = f.Data
				default:
					if err := os.WriteFile(filepath.Join(o.Dir, f.Name), f.Data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			site, report := config.Parse("stile.yaml", src, o)
			warns := strings.HasPrefix(name, "warn-")
			if report.HasErrors() == warns || (site == nil) == warns || (report.Err() == nil) != warns {
				t.Errorf("site %v, errors %v", site, report.Err())
			}
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "report" })
				archive.Files = append(archive.Files, txtar.File{Name: "report", Data: []byte(report.String())})
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), report.String()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGood(t *testing.T) {
	t.Chdir("testdata/good")
	cases, err := filepath.Glob("*.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("there are %d cases: %v", len(cases), err)
	}
	o := options(t)
	for _, name := range cases {
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			site, report := config.Load(name, o)
			if len(report.Problems) > 0 {
				t.Fatalf("a good site has problems:\n%s", report)
			}
			invariants(t, site)
			got, err := json.MarshalIndent(site, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".json"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("site (-want +got):\n%s", diff)
			}
		})
	}
}

// invariants are what the rest of Stile takes for granted of a site.
func invariants(t *testing.T, s *consent.Site) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range s.Categories {
		names[c.Name] = true
	}
	before := map[string]bool{}
	for _, tag := range s.Tags {
		if !names[tag.Category] {
			t.Errorf("tag %q has the category %q", tag.ID, tag.Category)
		}
		if tag.ID == "" || before[tag.ID] || names[tag.ID] {
			t.Errorf("the id %q is empty or taken", tag.ID)
		}
		for _, need := range tag.Needs {
			if !before[need] {
				t.Errorf("tag %q needs %q, which does not come before it", tag.ID, need)
			}
		}
		before[tag.ID] = true
		if tag.Load.Before == "" && tag.Load.Script == "" && tag.Load.Pixel == "" && (tag.Server == nil || !tag.Server.Only) {
			t.Errorf("tag %q loads nothing", tag.ID)
		}
	}
	if last := s.Regimes[len(s.Regimes)-1]; !slices.Contains(last.Regions, "*") {
		t.Errorf("the last regime matches %v", last.Regions)
	}
	if s.Name == "" || len(s.Origins) == 0 || len(s.Categories) == 0 || len(s.Languages) == 0 || s.Policy.Version == "" {
		t.Errorf("something is missing: %+v", s)
	}
	if days := s.Memory.Hours() / 24; days < 1 || days > 395 {
		t.Errorf("memory is %v", s.Memory)
	}
}

func TestLoadAll(t *testing.T) {
	site := func(name string) string {
		return "site: " + name + "\norigins: [\"https://www." + name + ".example\"]\n" +
			"controller: {name: N, contact: a@b.example}\npolicy: {version: 1, file: p.md}\ncategories: {necessary: {required: true}}\n"
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string // sites
		fails string   // part of the report
	}{
		{name: "sorted, and nothing else", files: map[string]string{
			"b.yaml": site("b"), "a.yml": site("a"), ".c.yaml": "]", "d.txt": "]", "sub.yaml/e.yaml": "]",
		}, want: []string{"a", "b"}},
		{name: "empty", files: map[string]string{"readme": "x"}, fails: "the folder has no *.yaml"},
		{name: "same name", files: map[string]string{"a.yaml": site("a"), "b.yaml": site("a")}, fails: `b.yaml:1:7: error: site: "a" is the name of the site in `},
		{name: "all problems of all files", files: map[string]string{"a.yaml": "site: A", "b.yaml": "[]"}, fails: "b.yaml:1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			test.files["p.md"] = "# Policy\n"
			for name, data := range test.files {
				name = filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sites, report := config.LoadAll(dir, options(t))
			var got []string
			for _, s := range sites {
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("sites (-want +got):\n%s", diff)
			}
			if report.HasErrors() != (test.fails != "") || !strings.Contains(report.String(), test.fails) {
				t.Errorf("report:\n%s", report)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "stile.yaml")
	if site, report := config.Load(missing, config.Options{}); site != nil || report.Err() == nil {
		t.Errorf("Load of a missing file: %v, %v", site, report)
	}
	if sites, report := config.LoadAll(missing, config.Options{}); sites != nil || report.Err() == nil {
		t.Errorf("LoadAll of a missing file: %v, %v", sites, report)
	}
	big := []byte("site: " + strings.Repeat("x", config.MaxSize))
	if _, report := config.Parse("big.yaml", big, config.Options{}); !strings.Contains(report.String(), "larger than 1 MiB") {
		t.Errorf("a file that is too large: %s", report)
	}
}

// Many problems are told up to a limit, and a hostile file costs no more than a moment.
func TestHostile(t *testing.T) {
	for name, src := range map[string]string{
		"unknown keys": manyKeys(),
		"flow":         strings.Repeat("[", config.MaxSize),
		"dashes":       strings.Repeat("- ", config.MaxSize/2),
		"mappings":     strings.Repeat("a: ", config.MaxSize/3),
		"questions":    strings.Repeat("? ", config.MaxSize/2),
		"anchors":      strings.Repeat("&a ", config.MaxSize/3),
		"empty items":  "origins:\n" + strings.Repeat("-\n", config.MaxSize/2-8),
		"duplicates":   strings.Repeat("a: b\n", config.MaxSize/5),
		"documents":    strings.Repeat("---\n", config.MaxSize/4),
		"comments":     strings.Repeat("# c\n", config.MaxSize/4),
		"one script":   "tags: [{name: x, category: y, inline: \"" + strings.Repeat("(", config.MaxSize-60) + "\"}]",
	} {
		t.Run(name, func(t *testing.T) {
			site, report := config.Parse("x.yaml", []byte(src), config.Options{})
			if site != nil || report.Err() == nil || len(report.Problems) > 101 {
				t.Errorf("%d problems, site %v", len(report.Problems), site)
			}
		})
	}
}

func manyKeys() string {
	var b strings.Builder
	for i := 0; b.Len() < config.MaxSize-20; i++ {
		b.WriteString(strings.Repeat("k", i%7+1))
		b.WriteString(strings.Map(func(r rune) rune { return r - '0' + 'a' }, itoa(i)))
		b.WriteString(": 1\n")
	}
	return b.String()
}

func itoa(i int) string {
	out, _ := json.Marshal(i)
	return string(out)
}

// The example in the package's doc is a site without problems.
func TestDoc(t *testing.T) {
	src, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(src)) {
		if text, found := strings.CutPrefix(line, "//\t"); found {
			example.WriteString(text)
		}
	}
	o := options(t)
	o.Dir = "testdata/good" // where policy.md is
	site, report := config.Parse("doc.yaml", []byte(example.String()), o)
	if len(report.Problems) > 0 || len(site.Tags) != 3 {
		t.Errorf("%d bytes:\n%s", example.Len(), report)
	}
}
