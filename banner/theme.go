package banner

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
)

// Look is the colours and shapes that the style sheets draw with.
type Look struct {
	Theme       string // auto, light or dark
	Light, Dark Colours
	Radius      int    // CSS pixels
	Font        string // CSS font-family
}

// Colours are "#rrggbb", or "": then they are chosen so that they can be read.
type Colours struct{ Accent, OnAccent, Background, Text string }

// Theme makes the custom properties that the style sheets draw with: --b background, --f text, --m quiet text, --l lines,
// --a accent, --o what is written on it and --e its edge, --r the radius and --y the typeface.
//
// Black or white on any accent has a contrast of at least 4.58:1, so that the better of the two always passes WCAG 1.4.3
// (B3). The edge is the accent where that stands out from the background by 3:1 (WCAG 1.4.11), else the accent made darker
// or lighter until it does.
func Theme(selector string, look Look) string {
	tint := func(scheme string, c Colours, shape string) string {
		return fmt.Sprintf("%s{color-scheme:%s;%s--b:%s;--a:%s;--o:%s;--e:%s;--f:%s;--m:%s;--l:%s}", selector, scheme, shape, c.Background, c.Accent, c.OnAccent,
			until(c.Accent, c.Background, 3.05), c.Text, quiet(c), mix(c.Background, c.Text, .2))
	}
	shape := fmt.Sprintf("--r:%dpx;--y:%s;", look.Radius, cmp.Or(look.Font, "system-ui, sans-serif"))
	light, dark := look.Light.Fill(false), look.Dark.Fill(true)
	switch look.Theme {
	case "light":
		return tint("light", light, shape)
	case "dark":
		return tint("dark", dark, shape)
	}
	return tint("light", light, shape) + "@media(prefers-color-scheme:dark){" + tint("dark", dark, "") + "}"
}

// Fill chooses what is not given.
func (c Colours) Fill(dark bool) Colours {
	background, text := "#ffffff", "#16181d"
	if dark {
		background, text = "#1b1e24", "#f2f4f7"
	}
	c.Background, c.Text = cmp.Or(c.Background, background), cmp.Or(c.Text, text)
	c.Accent = cmp.Or(c.Accent, "#0b5fff")
	if c.OnAccent == "" {
		c.OnAccent = "#fff"
		if Contrast("#000000", c.Accent) > Contrast("#ffffff", c.Accent) {
			c.OnAccent = "#000"
		}
	}
	return c
}

// Contrast is the contrast ratio of two colours as WCAG 2 defines it, 1 to 21.
func Contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

// quiet is text that stands back a little, and still passes WCAG 1.4.3 wherever the text itself does.
func quiet(c Colours) string {
	part := .28
	for ; part > 0 && Contrast(mix(c.Text, c.Background, part), c.Background) < min(5, Contrast(c.Text, c.Background)); part -= .04 {
	}
	return mix(c.Text, c.Background, max(part, 0))
}

// until makes a colour darker or lighter until it stands out from the background by a ratio.
func until(colour, background string, ratio float64) string {
	towards := "#000000"
	if luminance(background) < .18 {
		towards = "#ffffff"
	}
	for part := 0.; part < 1; part += .05 {
		if mixed := mix(colour, towards, part); Contrast(mixed, background) >= ratio {
			return mixed
		}
	}
	return towards
}

// mix is a colour with a part of another in it.
func mix(colour, other string, part float64) string {
	mixed := "#"
	for i := 1; i < 7; i += 2 {
		mixed += fmt.Sprintf("%02x", int(math.Round(channel(colour, i)*(1-part)+channel(other, i)*part)))
	}
	return mixed
}

// channel is one of the three, 0 to 255, of "#rrggbb" or "#rgb".
func channel(colour string, at int) float64 {
	if len(colour) == len("#rgb") {
		colour = string([]byte{'#', colour[1], colour[1], colour[2], colour[2], colour[3], colour[3]})
	}
	digits := colour[at : at+2]
	n, _ := strconv.ParseUint(digits, 16, 8) // the configuration has checked the form
	return float64(n)
}

// luminance is the relative luminance as WCAG 2 defines it, 0 to 1.
func luminance(colour string) float64 {
	part := func(i int) float64 {
		c := channel(colour, i) / 255
		if c <= .04045 {
			return c / 12.92
		}
		return math.Pow((c+.055)/1.055, 2.4)
	}
	return .2126*part(1) + .7152*part(3) + .0722*part(5)
}
