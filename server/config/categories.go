package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/stilehq/stile/server/consent"
)

// maxCategories is how many decisions a visitor can be asked for.
const maxCategories = 16

var categoryName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// The categories that Stile has words for, and how much consent they need: one before another is laxer.
var standard = []string{"necessary", "functional", "analytics", "marketing"}

func categories(v value, languages []string) []consent.Category {
	f := v.mapping()
	if f.ok && len(f.entries) == 0 {
		v.fail(`begin with "necessary: {required: true}"`, "it is empty")
	}
	if len(f.entries) > maxCategories {
		v.fail("at most 16", "there are %d categories", len(f.entries))
		f.entries = f.entries[:maxCategories]
	}
	all := make([]consent.Category, 0, len(f.entries))
	for _, e := range f.entries {
		if !categoryName.MatchString(e.name) {
			e.key.fail("use a-z, 0-9 and -, at most 32, a letter first", "%s cannot be the name of a category", quote(e.name))
			continue
		}
		all = append(all, category(e, languages))
	}
	return all
}

func category(e entry, languages []string) consent.Category {
	c := consent.Category{Name: e.name}
	if _, null := e.value.node.(*ast.NullNode); null {
		e.value.node = nil // "functional:" says as much as "functional: {}"
	}
	f := e.value.fields(keys[categoryFile]())
	c.Required = f.get("required").boolean(false)
	c.Sells = f.get("sells").boolean(c.Name == "marketing")
	if c.Required && c.Sells {
		f.get("required").fail("leave required out, or write sells: false if it is so", "what sells data is not strictly necessary")
	}
	own := !slices.Contains(standard, c.Name)
	c.Title = translations(e, f, "title", languages, own)
	c.Purpose = translations(e, f, "purpose", languages, own)
	return c
}

// translations reads words by language; a category of the site's own needs them in every language.
func translations(e entry, f fields, key string, languages []string, all bool) map[string]string {
	v := f.get(key)
	if !v.present() {
		if all {
			e.key.fail("write "+key+": {"+strings.Join(languages, ": ..., ")+": ...}",
				"Stile has no %s for this category", key)
		}
		return nil
	}
	words := map[string]string{}
	m := v.mapping()
	for _, w := range m.entries {
		if !slices.Contains(languages, w.name) {
			w.key.fail(suggest(w.name, languages), "%s is not one of the site's languages", quote(w.name))
			continue
		}
		words[w.name], _ = w.value.line(500)
	}
	for _, l := range languages {
		if _, there := words[l]; m.ok && all && !there {
			v.fail("every language of the site needs words", "there are none for %s", quote(l))
		}
	}
	return words
}

// find returns a category by name, or nil.
func find(all []consent.Category, name string) *consent.Category {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// category reads the name of one of the categories, or reports it and returns nil.
func (v value) category(all []consent.Category) *consent.Category {
	name, ok := v.line(maxLine)
	if !ok {
		return nil
	}
	c := find(all, name)
	if c == nil {
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].Name
		}
		hint := suggest(name, names)
		if hint == "" {
			hint = "they are " + strings.Join(names, ", ")
		}
		v.fail(hint, "%s is not one of the categories", quote(name))
	}
	return c
}
