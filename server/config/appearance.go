package config

import (
	"regexp"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

var (
	colour = regexp.MustCompile(`^#([0-9a-f]{3}|[0-9a-f]{6})$`)
	// Names of fonts and nothing that could end a declaration.
	font = regexp.MustCompile(`^[A-Za-z0-9 ,_'-]{1,200}$`)
)

const (
	defaultAccent = "#0b5fff"
	defaultRadius = 14
	defaultFont   = "system-ui, sans-serif"
)

func (r *reader) appearance(v value) consent.Appearance {
	f := v.fields(keys[appearanceFile]())
	a := consent.Appearance{
		Position: f.get("position").oneOf("bottom", "top", "corner", "top-corner", "centre"),
		Theme:    f.get("theme").oneOf("auto", "light", "dark"),
		Control:  f.get("control").oneOf("auto", "start", "end", "off"),
		Radius:   f.get("radius").integer(0, 32, defaultRadius),
		Font:     defaultFont,
	}
	if at := f.get("font"); at.present() {
		if name, ok := at.line(maxLine); ok && font.MatchString(name) {
			a.Font = name
		} else if ok {
			at.fail("write names with commas between them: Inter, sans-serif", "%s is not a font-family", quote(name))
		}
	}
	main := colours(f)
	if main.Accent == "" {
		main.Accent = defaultAccent
	}
	dark := f.get("dark")
	darkKeys := dark.fields(keys[darkFile]())
	night := colours(darkKeys)
	if night.Accent == "" {
		night.Accent = main.Accent
	}
	if a.Theme == "dark" {
		a.Dark = main
	} else {
		a.Light = main
	}
	if a.Theme == "auto" {
		a.Dark = night
		r.readable(f, a.Light, false)
		r.readable(darkKeys, a.Dark, true)
		return a
	}
	if dark.present() {
		dark.fail("write theme: auto, or leave it out", "with theme %s nobody sees the colours under dark", a.Theme)
	}
	r.readable(f, main, a.Theme == "dark")
	return a
}

func colours(f fields) consent.Colours {
	return consent.Colours{
		Accent: f.get("accent").colour(), OnAccent: f.get("on_accent").colour(),
		Background: f.get("background").colour(), Text: f.get("text").colour(),
	}
}

// colour reads "#rgb" or "#rrggbb" and makes it the long form in lower case.
func (v value) colour() string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	c := strings.ToLower(text)
	switch {
	case !colour.MatchString(c):
		v.fail(`write "#rgb" or "#rrggbb", in quotes`, "%s is not a colour", quote(text))
		return ""
	case len(c) == len("#rgb"):
		return string([]byte{'#', c[1], c[1], c[2], c[2], c[3], c[3]})
	}
	return c
}

// readable refuses colours that cannot be read on each other (B3, WCAG 1.4.3).
func (r *reader) readable(f fields, c consent.Colours, dark bool) {
	if r.opt.Contrast == nil {
		return
	}
	text, button := r.opt.Contrast(dark, c)
	for _, pair := range []struct {
		first, second string // the key that is blamed is the first that is there
		ratio         float64
		what          string
	}{
		{"text", "background", text, "text on its background"},
		{"on_accent", "accent", button, "what is written on the buttons"},
	} {
		if pair.ratio >= 4.5 {
			continue
		}
		at := f.get(pair.first)
		if !at.present() {
			at = f.get(pair.second)
		}
		at.fail("make one of the two darker or lighter, or leave it out", "%s has a contrast of %.1f:1, and needs 4.5:1", pair.what, pair.ratio)
	}
}
