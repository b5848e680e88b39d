package config

import (
	"slices"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// lintVendor warns of a category that asks for less consent than the vendor's tag usually needs, and of tags that bring
// others along.
func lintVendor(name, category value, v *vendors.Vendor, c *consent.Category) {
	usual := slices.Index(standard, v.Category)
	switch have := strictness(c); {
	case c.Required && usual > 0:
		category.warn("put it under "+v.Category,
			"%s is required, so that %s runs for everybody, without consent and against a refusal; it is usually %s", quote(c.Name), v.Name, v.Category)
	case have >= 0 && have < usual:
		category.warn("put it under "+v.Category+", unless you know that this site's use of it is less",
			"%s is usually %s: who accepts %s has not agreed to that", v.Name, v.Category, c.Name)
	}
	if v.Loads {
		name.warn("name those tags here instead, where Stile has them",
			"%s loads other tags, which the banner cannot name and Stile cannot withhold one by one", v.Name)
	}
}

// strictness is where a category stands among the standard ones, or -1 when that cannot be said.
func strictness(c *consent.Category) int {
	if c.Sells {
		return len(standard) - 1
	}
	return slices.Index(standard, c.Name)
}
