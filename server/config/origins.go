package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// origins reads the origins of the pages that may embed the site.
func origins(v value) []string {
	var all []string
	items := v.list(100)
	if len(items) == 0 {
		v.nothing("an origin")
	}
	for _, item := range items {
		s, ok := item.line(maxLine)
		switch {
		case !ok || !item.origin(s):
		case slices.Contains(all, s):
			item.fail("remove one of them", "%s is there twice", quote(s))
		default:
			all = append(all, s)
		}
	}
	return all
}

// origin checks one origin. It has to be written as browsers send it, since it is compared with what they send.
func (v value) origin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "" {
		v.fail("write https://www.shop.example", "%s is not an origin", quote(s))
		return false
	}
	host := u.Hostname()
	bare := strings.TrimPrefix(host, "*.")
	_, ipErr := netip.ParseAddr(bare)
	isName := ipErr != nil
	exact := u.Scheme + "://" + u.Host
	switch {
	case u.User != nil:
		v.fail("leave it out", "an origin has no user name")
	case s != exact && (strings.HasPrefix(s, exact+"/") || strings.HasPrefix(s, exact+"?") || strings.HasPrefix(s, exact+"#")):
		v.fail("write "+exact, "an origin has no path")
	case strings.ContainsFunc(host, func(c rune) bool { return c > 0x7f }):
		ascii, _ := idna.Lookup.ToASCII(bare)
		v.fail("write "+ascii, "%s is not how browsers send it", quote(host))
	case s != strings.ToLower(s):
		v.fail("write "+strings.ToLower(s), "browsers send an origin in lower case")
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http":
		v.fail("write "+strings.TrimSuffix(s, ":"+u.Port()), "browsers leave the default port out")
	case strings.Contains(bare, "*"):
		v.fail("write https://*.shop.example", "a wildcard stands for whole labels at the left, nothing else")
	case isName && !hostName.MatchString(bare) || !isName && bare != host || strings.HasSuffix(u.Host, ":"):
		v.fail("write https://www.shop.example", "%s is not a host", quote(u.Host))
	case bare != host && isPublicSuffix(bare) && !reserved(bare):
		v.fail("name the domain that is yours", "everybody can have a page under %s", quote(bare))
	default:
		if u.Scheme == "http" && !loopback(bare) && !reserved(bare) {
			v.warn("use https", "choices that are sent over http can be read and forged on the way")
		}
		return true
	}
	return false
}

// cookieDomain reads the domain that a choice is shared in.
func cookieDomain(v value, origins []string) string {
	domain, ok := v.line(maxLine)
	if !ok {
		return ""
	}
	_, ipErr := netip.ParseAddr(domain)
	switch {
	case strings.HasPrefix(domain, "."), strings.HasPrefix(domain, "*."):
		v.fail("write "+strings.TrimLeft(domain, "*."), "subdomains are included without a dot or wildcard")
		return ""
	case ipErr == nil, !hostName.MatchString(domain):
		v.fail("write it like shop.example", "%s is not a domain", quote(domain))
		return ""
	case isPublicSuffix(domain):
		v.fail("name the domain that is yours", "%s is a public suffix: browsers refuse cookies for it", quote(domain))
		return ""
	}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil {
			continue
		}
		if host := strings.TrimPrefix(u.Hostname(), "*."); host != domain && !strings.HasSuffix(host, "."+domain) {
			v.fail("leave cookie_domain out, or make a site of its own for that origin", "the origin %s is not under %s", origin, domain)
		}
	}
	return domain
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}
