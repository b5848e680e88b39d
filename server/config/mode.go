package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// modes reads how the site runs the consent modes that tags obey. One that the file does not speak of runs as its vendor
// means it, so far as the site has the categories that its signals follow.
func (r *reader) modes(google value, s *consent.Site) (all []consent.Mode) {
	if r.opt.Vendors == nil {
		return nil
	}
	f := google.fields(keys[googleFile]())
	for _, id := range r.opt.Vendors.Modes() {
		used := slices.ContainsFunc(s.Tags, func(t consent.Tag) bool { return t.Mode == id || t.Server != nil && t.Server.Mode == id })
		m := r.opt.Vendors.Mode(id)
		if id == "google" && google.present() {
			used = true
			googleMode(f, m, s.Categories)
		}
		if used {
			all = append(all, *m)
		}
	}
	return all
}

func googleMode(f fields, m *consent.Mode, categories []consent.Category) {
	at := f.get("mode")
	if m.Advanced = at.oneOf("basic", "advanced") == "advanced"; m.Advanced {
		at.warn("write mode: basic, unless you have reason to believe that this is lawful where your visitors are",
			"in the advanced mode Google's scripts are sent before a choice and after a refusal, and report page views without cookies")
	}
	if f.get("url_passthrough").boolean(false) {
		m.Default += "\ngtag('set','url_passthrough',true)"
	}
	names := make([]string, len(m.Signals))
	for i, s := range m.Signals {
		names[i] = s.Name
	}
	for name, category := range f.get("signals").follows(names, categories) {
		m.Signals[slices.Index(names, name)].Category = category
	}
}

// follows reads which category each of some signals follows.
func (v value) follows(names []string, categories []consent.Category) map[string]string {
	f := v.mapping()
	if len(f.entries) == 0 {
		return nil
	}
	given := map[string]string{}
	for _, e := range f.entries {
		if !slices.Contains(names, e.name) {
			hint := suggest(e.name, names)
			if hint == "" {
				hint = "it has " + cmp.Or(strings.Join(names, ", "), "none that can be mapped")
			}
			e.key.fail(hint, "%s is none of its signals", quote(e.name))
			continue
		}
		if c := e.value.category(categories); c != nil {
			given[e.name] = c.Name
		}
	}
	return given
}
