package vendors

import (
	"cmp"
	"fmt"
	"strings"
)

// Line is how a tag of the vendor stands in a stile.yaml, with the examples in place of the site's own account and options;
// category "" is the vendor's usual one.
func (v *Vendor) Line(category string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- {vendor: %s", v.ID)
	if v.Account.Example != "" {
		fmt.Fprintf(&b, ", id: %q", v.Account.Example)
	}
	fmt.Fprintf(&b, ", category: %s", cmp.Or(category, v.Category))
	for _, o := range v.Options {
		b.WriteString(", " + o.Name + ": " + o.Example)
	}
	return b.String() + "}"
}
