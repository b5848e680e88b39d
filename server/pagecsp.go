package server

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/gate"
)

// policy is the content security policy of a visitor's state, with what the pages load by themselves. Where the page's own
// policy goes by hosts it does too: 'strict-dynamic' would have browsers take no notice of any host.
func (m *Middleware) policy(v *pageVisitor, own scripts) string {
	script, err := url.Parse(m.options.Script)
	how := gate.Security{Nonce: own.nonce, Hosts: !own.dynamic}
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

// scripts is how a page's own policies let in scripts.
type scripts struct {
	nonce   string // of one that is enforced, or else reported; or ""
	dynamic bool   // all that are enforced go by what was let in ('strict-dynamic'), and not by hosts
}

func scriptsOf(h http.Header) (s scripts) {
	enforced := scriptSources(h["Content-Security-Policy"])
	s.dynamic = len(enforced) > 0
	for _, sources := range enforced {
		s.dynamic = s.dynamic && slices.ContainsFunc(sources, isDynamic)
	}
	for _, sources := range append(enforced, scriptSources(h["Content-Security-Policy-Report-Only"])...) {
		s.nonce = cmp.Or(s.nonce, nonceIn(sources))
	}
	return s
}

// scriptSources are, of each policy that has one, the directive that counts for scripts, in words.
func scriptSources(lines []string) (all [][]string) {
	for policy := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		directives := map[string][]string{}
		for directive := range strings.SplitSeq(policy, ";") {
			if words := strings.Fields(directive); len(words) > 0 && directives[strings.ToLower(words[0])] == nil {
				directives[strings.ToLower(words[0])] = words
			}
		}
		for _, name := range []string{"script-src-elem", "script-src", "default-src"} {
			if words := directives[name]; words != nil {
				all = append(all, words)
				break
			}
		}
	}
	return all
}

func isDynamic(source string) bool { return strings.EqualFold(source, "'strict-dynamic'") }

func nonceIn(sources []string) string {
	for _, source := range sources {
		if len(source) > len("'nonce-'") && strings.EqualFold(source[:len("'nonce-")], "'nonce-") && strings.HasSuffix(source, "'") {
			return source[len("'nonce-") : len(source)-1]
		}
	}
	return ""
}
