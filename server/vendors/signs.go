package vendors

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/stilehq/stile/server/hosts"
)

// global is how Globals are written: a name, or a call of one, perhaps with literals.
var global = regexp.MustCompile(`^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*(\(((\{id\}|'[^'\\]*')(,(\{id\}|'[^'\\]*'))*)?\))?$`)

// checkSigns checks by what the vendor is known in a page.
func (f *file) checkSigns(v *Vendor) error {
	for i, a := range v.Addresses {
		host, _, slash := strings.Cut(a, "/")
		if !slash || !hosts.Valid(strings.TrimPrefix(host, "*.")) || strings.ContainsAny(a, "{}?# ") {
			return f.errorf(fmt.Sprintf("$.addresses[%d]", i), "addresses has %q: it is a host and the beginning of a path, such as www.a.example/tr", a)
		}
	}
	for i, g := range v.Globals {
		switch where := fmt.Sprintf("$.globals[%d]", i); {
		case !global.MatchString(g):
			return f.errorf(where, "globals has %q: it is a name such as _abc, or a call such as abc() or abc('init','{id}')", g)
		case strings.Contains(g, "{id}") && v.Account.Pattern == "":
			return f.errorf(where, "globals has %q: the vendor has no accounts", g)
		}
	}
	return nil
}
