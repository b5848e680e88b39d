package banner

import (
	"fmt"
	"math"
	"strconv"
)

// Theme makes the custom properties that the style sheets draw with: --b background, --f text, --m quiet text, --l lines,
// --a accent and --o what is written on it. Theme is auto, light or dark; accent is "#rrggbb".
//
// Black or white on any accent has a contrast of at least 4.58:1, so that the better of the two always passes WCAG 1.4.3
// (B3).
func Theme(selector, theme, accent string) string {
	on := "#fff"
	if l := luminance(accent); (l+.05)/.05 > 1.05/(l+.05) {
		on = "#000"
	}
	tint := fmt.Sprintf("--a:%s;--o:%s", accent, on)
	light := fmt.Sprintf("%s{--b:#fff;--f:#16181d;--m:#565c66;--l:#c9ced6;%s}", selector, tint)
	dark := fmt.Sprintf("%s{--b:#1b1e24;--f:#f2f4f7;--m:#b3bac5;--l:#4a515d;%s}", selector, tint)
	switch theme {
	case "light":
		return light
	case "dark":
		return dark
	}
	return light + "@media(prefers-color-scheme:dark){" + dark + "}"
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
