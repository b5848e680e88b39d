package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stilehq/stile/server/config"
)

func schema(t *testing.T, o config.Options) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(o)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("stile.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("stile.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is the YAML as a validator sees it; not ok when it is no YAML.
func instance(t *testing.T, src []byte) (any, bool) {
	t.Helper()
	out, err := yaml.YAMLToJSON(src)
	if err != nil {
		return nil, false
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
	return v, err == nil
}

// The schema accepts what the reader accepts. What it accepts beyond that is listed: no schema can say it.
func TestSchemaAgrees(t *testing.T) {
	withNames, bare := schema(t, options(t)), schema(t, config.Options{})
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) == 0 {
		t.Fatalf("%d good cases: %v", len(good), err)
	}
	for _, name := range good {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := instance(t, src)
		if !ok {
			t.Fatalf("%s is not YAML", name)
		}
		if err := withNames.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "testdata/good/minimal.yaml" && bare.Validate(v) == nil != !strings.Contains(string(src), "host:") {
			t.Errorf("%s: without a library the options of vendors are not known: %v", name, bare.Validate(v))
		}
	}

	bad, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(bad) == 0 {
		t.Fatalf("%d bad cases: %v", len(bad), err)
	}
	var beyond []string
	for _, name := range bad {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name != "stile.yaml" {
				continue
			}
			v, ok := instance(t, f.Data)
			if !ok {
				continue
			}
			err := withNames.Validate(v)
			name = strings.TrimSuffix(filepath.Base(name), ".txtar")
			if warns := strings.HasPrefix(name, "warn-"); warns && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !warns && err == nil {
				beyond = append(beyond, name)
			}
		}
	}
	const golden = "testdata/beyond-schema.txt"
	got := strings.Join(beyond, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("cases that only the reader refuses (-want +got):\n%s", diff)
	}
}

type object struct {
	Properties map[string]struct {
		Description string `json:"description"`
	} `json:"properties"`
	AnyOf       []object          `json:"anyOf"`
	Definitions map[string]object `json:"$defs"`
}

// Every key of the schema is read: a value of a wrong type is a problem there. No other key is.
func TestKeys(t *testing.T) {
	var root object
	if err := json.Unmarshal(config.Schema(config.Options{}), &root); err != nil {
		t.Fatal(err)
	}
	within := func(name string) object {
		def := root.Definitions[name]
		if len(def.AnyOf) > 0 {
			for _, one := range def.AnyOf {
				if len(one.Properties) > 0 {
					return one
				}
			}
		}
		return def
	}
	for _, test := range []struct {
		object object
		src    string // with KEY: VALUE in place of %
		path   string
		also   string // what else has to be there for the key to be read
	}{
		{object: root, src: "{%}", path: ""},
		{object: within("controller"), src: "controller: {%}", path: "controller."},
		{object: within("policy"), src: "policy: {%}", path: "policy."},
		{object: within("regime"), src: "regimes: [{%}]", path: "regimes[0]."},
		{object: within("category"), src: "categories: {analytics: {%}}", path: "categories.analytics."},
		{object: within("appearance"), src: "appearance: {%}", path: "appearance."},
		{object: within("dark"), src: "appearance: {dark: {%}}", path: "appearance.dark."},
		{object: within("minors"), src: "minors: {%}", path: "minors."},
		{object: within("mail"), src: "mail: {%}", path: "mail."},
		{object: within("alerts"), src: "alerts: {%}", path: "alerts."},
		{object: within("former"), src: "policy: {former: [{%}]}", path: "policy.former[0]."},
		{object: within("next"), src: "policy: {next: {%}}", path: "policy.next."},
		{object: within("custom"), src: "tags: [{%}]", path: "tags[0]."},
		{object: within("vendor"), src: "tags: [{%}]", path: "tags[0].", also: "vendor: ga4, "},
		{object: within("cookie"), src: "tags: [{cookies: [{%}]}]", path: "tags[0].cookies[0]."},
	} {
		if len(test.object.Properties) == 0 {
			t.Fatalf("no properties for %s", test.src)
		}
		for key, property := range test.object.Properties {
			also := test.also
			if key == "vendor" {
				also = ""
			}
			at := problemsAt(t, strings.Replace(test.src, "%", also+key+": [[{x: {}}]]", 1), test.path+key)
			if len(at) == 0 || strings.Contains(at[0].Message, "unknown key") {
				t.Errorf("%s%s is not read: %v", test.path, key, at)
			}
			if property.Description == "" {
				t.Errorf("%s%s has no description", test.path, key)
			}
		}
		if at := problemsAt(t, strings.Replace(test.src, "%", test.also+"zzzzzz: 1", 1), test.path+"zzzzzz"); len(at) != 1 {
			t.Errorf("%szzzzzz: %v", test.path, at)
		}
	}
}

// problemsAt are the problems with a value or within it.
func problemsAt(t *testing.T, src, path string) []config.Problem {
	t.Helper()
	_, report := config.Parse("x.yaml", []byte(src+"\n"), options(t))
	var at []config.Problem
	for _, p := range report.Problems {
		if p.Path == path || strings.HasPrefix(p.Path, path+"[") {
			at = append(at, p)
		}
	}
	return at
}
