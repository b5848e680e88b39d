package gate

import (
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// Security is how a site's content security policy is written.
type Security struct {
	Host         string // origin of the consent host: "https://consent.shop.example"; "" where it is the page's own
	Nonce        string // "" for a list of hosts; else scripts are let in by this nonce and what they load in turn
	Hosts        bool   // beside the nonce they are let in by that list: what they load in turn is not
	TrustedTypes bool   // require them; the gate's own policy is called stile
}

// ContentSecurityPolicy is the policy under which everything that a decision releases works, and nothing that it withholds
// can load: its hosts are not named. What the page loads by itself has to be added to it.
func ContentSecurityPolicy(s *consent.Site, d *consent.Decision, how Security) string {
	var hosts []string
	for i, v := range d.Tags {
		if !v.Released && !v.Restricted || s.Tags[i].Through { // which the page does not ask for at its vendor's
			continue
		}
		for _, host := range s.Tags[i].Hosts {
			if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	slices.Sort(hosts)
	own := strings.TrimSpace("'self' " + how.Host)
	list := strings.Join(append([]string{own}, hosts...), " ")
	scripts := list
	switch {
	case how.Nonce == "":
	case how.Hosts:
		scripts += " 'nonce-" + how.Nonce + "'"
	default:
		scripts = "'nonce-" + how.Nonce + "' 'strict-dynamic'"
	}
	directives := []string{
		"default-src 'self'", "script-src " + scripts, "connect-src " + list, "img-src " + list, "frame-src " + list,
		"style-src " + own, "object-src 'none'", "base-uri 'self'",
	}
	if how.TrustedTypes {
		directives = append(directives, "require-trusted-types-for 'script'", "trusted-types stile")
	}
	return strings.Join(directives, "; ")
}
