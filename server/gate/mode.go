package gate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// modes are the consent modes that an answer speaks to: a script that runs before everything else, and what goes with the
// released tags and is told each change like one of them. A mode of which nothing is released stays silent, unless it is
// advanced: then its tags stand in the page already, or are sent restricted.
func (g *Gate) modes(d *consent.Decision) (first string, tags []string, err error) {
	for i := range g.site.Modes {
		m := &g.site.Modes[i]
		if !m.Advanced && !g.speaks(d, m) {
			continue
		}
		var o object
		o.text("i", m.ID+"_consent_mode") // no id of a tag and no name of a category has an underscore
		o.raw("k", `""`)
		begin := dropped(m.Queue)
		if m.Advanced {
			// What the page itself queued is for the tags in the page.
			begin = ""
			fn, err := minifyExpr("function(){" + strings.ReplaceAll(m.Default, "{defaults}", literal(g.defaults(d, m))) + "\n}")
			if err != nil {
				return "", nil, fmt.Errorf("consent mode %s: %w", m.ID, err)
			}
			first += "(" + fn + ")();"
		}
		update := strings.NewReplacer("{signals}", literal(g.signals(d, m)), "{always}", literal(always(m))).Replace(m.Update)
		if err := errors.Join(o.function("b", begin), o.function("g", update)); err != nil {
			return "", nil, fmt.Errorf("consent mode %s: %w", m.ID, err)
		}
		o.raw("x", "Date") // it ends with its tags, and that takes no reload
		tags = append(tags, o.String())
	}
	return first, tags, nil
}

func (g *Gate) speaks(d *consent.Decision, m *consent.Mode) bool {
	for i, v := range d.Tags {
		if v.Released && g.site.Tags[i].Mode == m.ID {
			return true
		}
	}
	return false
}

// signals are the names, with a space between, of which any grants a signal: its category, and the released tags that need
// it though they are of another.
func (g *Gate) signals(d *consent.Decision, m *consent.Mode) (list ordered) {
	for _, s := range m.Signals {
		names := []string{s.Category}
		for i, v := range d.Tags {
			if t := &g.site.Tags[i]; v.Released && t.Mode == m.ID && slices.Contains(t.Grants, s.Name) && !g.granted(d, s.Category) {
				names = append(names, t.ID)
			}
		}
		list = append(list, pair{s.Name, strings.Join(names, " ")})
	}
	return list
}

func (g *Gate) granted(d *consent.Decision, category string) bool {
	for i := range g.site.Categories {
		if g.site.Categories[i].Name == category {
			return d.Categories[i].Released
		}
	}
	return false
}

// defaults are what the mode is told before anything: denied, and granted in the regions in which tags run until there is
// an objection. The latter only where the mode has to answer before Stile does, and never over the visitor's own signal.
func (g *Gate) defaults(d *consent.Decision, m *consent.Mode) []ordered {
	list := []ordered{defaults(m, func(string) bool { return false }, nil)}
	if !m.Advanced || d.GPC {
		return list
	}
	for i := range g.site.Regimes {
		r := &g.site.Regimes[i]
		granted := func(category string) bool {
			return r.Model == consent.OptOut || slices.Contains(r.NoticeOnly, category)
		}
		some := slices.ContainsFunc(m.Signals, func(s consent.ModeSignal) bool { return granted(s.Category) })
		if codes := r.Codes(); some && len(codes) > 0 {
			list = append(list, defaults(m, granted, codes))
		}
	}
	return list
}

func defaults(m *consent.Mode, granted func(category string) bool, regions []string) (o ordered) {
	for _, s := range m.Signals {
		o = append(o, pair{s.Name, told[granted(s.Category)]})
	}
	o = append(o, always(m)...)
	if len(regions) > 0 {
		o = append(o, pair{"region", regions})
	}
	return o
}

// always are the parts of a default that are no choice.
func always(m *consent.Mode) (o ordered) {
	for _, name := range m.Granted {
		o = append(o, pair{name, told[true]})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		o = append(o, pair{name, m.Settings[name]})
	}
	return o
}

var told = map[bool]string{true: "granted", false: "denied"}
