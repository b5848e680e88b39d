package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/gate"
)

// policy is the content security policy of a visitor's state, with what the pages load by themselves.
func (m *Middleware) policy(v *pageVisitor, nonce string) string {
	script, err := url.Parse(m.options.Script)
	how := gate.Security{Nonce: nonce}
	if err == nil && script.Host != "" {
		how.Host = script.Scheme + "://" + script.Host
	}
	p := extend(gate.ContentSecurityPolicy(v.site.Site, v.decide(), how), m.options.Allow)
	if v.site.Sightings > 0 {
		p += "; report-uri " + how.Host + "/stile/" + v.site.Name + "/reports"
	}
	return p
}

// addPolicy adds a policy beside those that the page has: browsers hold to each.
func (m *Middleware) addPolicy(h http.Header, policy string) {
	h.Add(m.policyName(), policy)
}

func (m *Middleware) policyName() string {
	if m.options.CSP == CSPReport {
		return "Content-Security-Policy-Report-Only"
	}
	return "Content-Security-Policy"
}

// extend adds the sources of another policy's directives to those of a policy. A directive that it has not begins with what
// its default is.
func extend(policy, with string) string {
	list := strings.Split(policy, "; ")
	for directive := range strings.SplitSeq(with, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		name := strings.ToLower(words[0])
		sources := strings.Join(append([]string{""}, words[1:]...), " ")
		i := slices.IndexFunc(list, func(d string) bool { own, _, _ := strings.Cut(d, " "); return own == name })
		switch {
		case i < 0:
			list = append(list, name+" 'self'"+sources)
		case strings.HasSuffix(list[i], " 'none'"):
			list[i] = name + sources
		default:
			list[i] += sources
		}
	}
	return strings.Join(list, "; ")
}

// nonceOf is the nonce of a page's scripts under its own policy, enforced or else reported, or "".
func nonceOf(h http.Header) string {
	for _, name := range []string{"Content-Security-Policy", "Content-Security-Policy-Report-Only"} {
		for _, directive := range []string{"script-src-elem", "script-src", "default-src"} {
			for _, line := range h[name] {
				if nonce := nonceIn(line, directive); nonce != "" {
					return nonce
				}
			}
		}
	}
	return ""
}

func nonceIn(line, directive string) string {
	for d := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ';' || r == ',' }) {
		words := strings.Fields(d)
		if len(words) == 0 || !strings.EqualFold(words[0], directive) {
			continue
		}
		for _, source := range words[1:] {
			if len(source) > len("'nonce-'") && strings.EqualFold(source[:len("'nonce-")], "'nonce-") && strings.HasSuffix(source, "'") {
				return source[len("'nonce-") : len(source)-1]
			}
		}
	}
	return ""
}
