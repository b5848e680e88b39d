package banner

import (
	"fmt"
	"math"
	"strconv"
)

// Theme makes the custom properties that the style sheets draw with: --b background, --f text, --m quiet text, --l lines,
// --a accent, --o what is written on it and --e its edge. Theme is auto, light or dark; accent is "#rrggbb".
//
// Black or white on any accent has a contrast of at least 4.58:1, so that the better of the two always passes WCAG 1.4.3
// (B3). The edge is the accent where that stands out from the background by 3:1 (WCAG 1.4.11), else the accent made darker
// or lighter until it does.
func Theme(selector, theme, accent string) string {
	on := "#fff"
	if l := luminance(accent); (l+.05)/.05 > 1.05/(l+.05) {
		on = "#000"
	}
	tint := func(scheme, background string, towards float64) string {
		return fmt.Sprintf("color-scheme:%s;--b:%s;--a:%s;--o:%s;--e:%s", scheme, background, accent, on, edge(accent, background, towards))
	}
	light := fmt.Sprintf("%s{%s;--f:#16181d;--m:#565c66;--l:#c9ced6}", selector, tint("light", "#ffffff", 0))
	dark := fmt.Sprintf("%s{%s;--f:#f2f4f7;--m:#b3bac5;--l:#4a515d}", selector, tint("dark", "#1b1e24", 255))
	switch theme {
	case "light":
		return light
	case "dark":
		return dark
	}
	return light + "@media(prefers-color-scheme:dark){" + dark + "}"
}

// edge mixes a colour with black (0) or white (255) until it stands out from the background.
func edge(colour, background string, towards float64) string {
	behind := luminance(background)
	for mixed, part := colour, .05; ; part += .05 {
		l := luminance(mixed)
		if (max(l, behind)+.05)/(min(l, behind)+.05) >= 3.05 || part > 1 {
			return mixed
		}
		mixed = "#"
		for i := 1; i < 7; i += 2 {
			n, _ := strconv.ParseUint(colour[i:i+2], 16, 8) // the configuration has checked the form
			mixed += fmt.Sprintf("%02x", int(float64(n)*(1-part)+towards*part))
		}
	}
}

// luminance is the relative luminance of "#rrggbb" as WCAG 2 defines it, 0 to 1.
func luminance(colour string) float64 {
	part := func(i int) float64 {
		n, _ := strconv.ParseUint(colour[i:i+2], 16, 8) // the configuration has checked the form
		c := float64(n) / 255
		if c <= .04045 {
			return c / 12.92
		}
		return math.Pow((c+.055)/1.055, 2.4)
	}
	return .2126*part(1) + .7152*part(3) + .0722*part(5)
}
