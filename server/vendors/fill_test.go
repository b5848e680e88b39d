package vendors

import (
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
)

// bodies are the function bodies of a load, by name.
func bodies(l consent.Load) map[string]string {
	return map[string]string{"before": l.Before, "signal": l.Signal, "after": l.After, "view": l.View, "stop": l.Stop}
}

// parses parses a function body.
func parses(body string) error {
	_, err := js.Parse(parse.NewInputString(body), js.Options{Inline: true})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// tokens are the kinds of tokens of a script: what a value that was put in must not change.
func tokens(body string) []js.TokenType {
	var kinds []js.TokenType
	for l := js.NewLexer(parse.NewInputString(body)); ; {
		kind, _ := l.Next()
		kinds = append(kinds, kind)
		if kind == js.ErrorToken {
			return kinds
		}
	}
}

func TestSnippetsParse(t *testing.T) {
	forbidden := []string{"eval", "document.", "createElement", "innerHTML", "new Function", "noscript", "<", "`"}
	for _, v := range library(t).All() {
		load := example(t, v).Load
		size := 0
		for name, body := range bodies(load) {
			size += len(body)
			if err := parses(body); err != nil {
				t.Errorf("%s: %s: %v", v.ID, name, err)
			}
			for _, word := range forbidden {
				if strings.Contains(body, word) && v.ID != "google-fonts" { // which is a style sheet
					t.Errorf("%s: %s has %s", v.ID, name, word)
				}
			}
		}
		if size > 1200 {
			t.Errorf("%s: the snippet is %d bytes", v.ID, size)
		}
		t.Logf("%-17s %4d bytes of script", v.ID, size)
	}
}

// A placeholder elsewhere than in a string literal would make code of a value.
func TestPlaceholdersStandInStrings(t *testing.T) {
	for _, v := range library(t).All() {
		names := append([]string{"id", "tag"}, slices.Collect(maps.Keys(examples(v)))...)
		for name, body := range bodies(v.Load) {
			for l := js.NewLexer(parse.NewInputString(body)); ; {
				kind, text := l.Next()
				if kind == js.ErrorToken {
					break
				}
				if kind == js.StringToken {
					body = strings.Replace(body, string(text), "", 1)
				}
			}
			for _, placeholder := range names {
				if strings.Contains(body, "{"+placeholder+"}") {
					t.Errorf("%s: %s has {%s} outside of a string", v.ID, name, placeholder)
				}
			}
		}
	}
}

var hostile = []string{
	`'`, `"`, "`", `\`, "\n", "\r", "\u2028", "\u2029", "</script>", "<!--", "${1}", "{id}", "{page}", "&x=1", "#", "?", " ", "\x00", "é", "%2F", "@evil.example",
}

func TestHostileValuesAreRefused(t *testing.T) {
	for _, v := range library(t).All() {
		for _, bad := range hostile {
			good := v.Account.Example
			for _, account := range []string{bad, bad + good, good + bad, good[:min(1, len(good))] + bad + good[min(1, len(good)):]} {
				if _, err := v.Tag(consent.Tag{}, account, examples(v)); err == nil {
					t.Errorf("%s took the account %q", v.ID, account)
				}
			}
			for name, value := range examples(v) {
				options := examples(v)
				options[name] = value + bad
				if _, err := v.Tag(consent.Tag{}, good, options); err == nil {
					t.Errorf("%s took the option %s %q", v.ID, name, options[name])
				}
			}
		}
	}
}

// Whatever stands in a tag's id or gets past a pattern, a snippet stays the same program.
func TestValuesNeverMakeCode(t *testing.T) {
	all := library(t).All()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(all).Draw(t, "vendor")
		value := rapid.OneOf(rapid.String(), rapid.SampledFrom(hostile)).Draw(t, "value")
		values := map[string]string{"id": value, "tag": value}
		for _, o := range v.Options {
			values[o.Name] = value
		}
		want := bodies(v.Load)
		load := fill(v.Load, values)
		for name, body := range bodies(load) {
			if diff := cmp.Diff(tokens(want[name]), tokens(body)); diff != "" {
				t.Fatalf("%s: %s became another program:\n%s\n%s", v.ID, name, body, diff)
			}
			if strings.Contains(body, "</") || strings.Contains(body, "<!") {
				t.Fatalf("%s: %s could end its element:\n%s", v.ID, name, body)
			}
		}
	})
}

// Accounts that look right always resolve, and appear as they are.
func TestRightAccountsResolve(t *testing.T) {
	all := library(t).All()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(all).Draw(t, "vendor")
		account := rapid.StringMatching("^(?:"+v.Account.Pattern+")$").Draw(t, "account")
		tag, err := v.Tag(consent.Tag{}, account, examples(v))
		if err != nil {
			t.Fatal(err)
		}
		if tag.Account != account || strings.Contains(tag.Load.Script+tag.Load.Before+tag.Load.Signal, "{id}") {
			t.Fatalf("%s %s: %+v", v.ID, account, tag.Load)
		}
		if !strings.Contains(tag.Load.Script+tag.Load.Before+tag.Load.Signal+tag.Load.After+attrs(tag), account) {
			t.Fatalf("%s: %s is nowhere in it", v.ID, account)
		}
	})
}

func attrs(t consent.Tag) (all string) {
	for _, a := range t.Load.Attrs {
		all += a.Value
	}
	return all
}

func FuzzTag(f *testing.F) {
	all := library(f).All()
	for i, v := range all {
		f.Add(i, v.Account.Example, "stats.example.org", "my-tag")
		f.Add(i, v.Account.Example+"'", "x.example/'+alert(1)+'", "</script>")
	}
	f.Fuzz(func(t *testing.T, i int, account, option, id string) {
		v := all[uint(i)%uint(len(all))]
		options := examples(v)
		for name := range options {
			options[name] = option
		}
		tag, err := v.Tag(consent.Tag{ID: id}, account, options)
		if err != nil {
			return
		}
		want := bodies(v.Load)
		for name, body := range bodies(tag.Load) {
			if err := parses(body); err != nil {
				t.Fatalf("%s: %s: %v\n%s", v.ID, name, err, body)
			}
			if !slices.Equal(tokens(want[name]), tokens(body)) {
				t.Fatalf("%s: %s became another program:\n%s", v.ID, name, body)
			}
		}
		if strings.ContainsAny(tag.Load.Script, "\"'<>\\ \n{}") || !regexp.MustCompile(`^(https:/|/[a-z]|$)`).MatchString(tag.Load.Script) {
			t.Fatalf("%s: %s", v.ID, tag.Load.Script)
		}
	})
}
