package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

var inBraces = regexp.MustCompile(`{\w+}`)

// words reads the site's own words: by language, then by name, where a group's name and its word's have a dot between
// them.
func (r *reader) words(v value, languages []string) map[string]map[string]string {
	if !v.present() {
		return nil
	}
	all := map[string]map[string]string{}
	for _, lang := range v.mapping().entries {
		if !slices.Contains(languages, lang.name) {
			lang.key.fail(suggest(lang.name, languages), "%s is not one of the site's languages", quote(lang.name))
			continue
		}
		own := map[string]string{}
		r.group(lang.value, "", own)
		all[lang.name] = own
	}
	return all
}

func (r *reader) group(v value, prefix string, into map[string]string) {
	for _, e := range v.mapping().entries {
		name := prefix + e.name
		if _, nested := e.value.node.(*ast.MappingNode); nested && prefix == "" {
			r.group(e.value, name+".", into)
			continue
		}
		english, known := r.opt.Words[name]
		switch {
		case strings.HasPrefix(name, "categories."):
			e.key.fail("write it under categories, as title and purpose", "the words of a category stand with the category")
			continue
		case !known && r.opt.Words != nil:
			hint := suggest(name, slices.Collect(maps.Keys(r.opt.Words)))
			if hint == "" {
				hint = "banner/words/en.yaml has them all"
			}
			e.key.fail(hint, "Stile has no word %s", quote(name))
			continue
		}
		text, ok := e.value.line(500)
		if !ok {
			continue
		}
		if want, have := placeholdersOf(english), placeholdersOf(text); known && !slices.Equal(want, have) {
			hint := "it has no place for anything in braces"
			if len(want) > 0 {
				hint = "keep " + strings.Join(want, ", ")
			}
			e.value.fail(hint, "what is in braces is filled in, and differs from %s", quote(english))
			continue
		}
		into[name] = text
	}
}

// placeholdersOf are the places in braces, sorted, each once.
func placeholdersOf(text string) []string {
	found := inBraces.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}
