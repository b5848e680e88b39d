// Package hosts compares the names of hosts with patterns, as a site's file, the vendor library and what was seen in pages
// write them: "www.shop.example", with "*." before it any subdomain, with ":8443" after it a port that is not the usual one.
package hosts

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Valid tells whether a host is written as browsers do (WHATWG URL, 3.5 and 4.5): an ASCII name in lower case with
// punycode as it is, an IPv4 address with its dots, an IPv6 address in brackets, each with a port that is not the usual one.
func Valid(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if port, err := strconv.ParseUint(host[i+1:], 10, 16); err != nil || strconv.FormatUint(port, 10) != host[i+1:] {
			return false
		}
		name = host[:i]
	}
	if inner, found := strings.CutPrefix(name, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return found && err == nil && ip.Is6() && ip.Zone() == "" && ip.WithZone("").String() == inner
	}
	return validName(name)
}

// forbidden are the code points of the URL standard that no domain has, beside those that are no printable ASCII.
const forbidden = "#/:<>?@[\\]^|%"

func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(forbidden, c) >= 0 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return false
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" { // then it is an address, or nothing
		ip, err := netip.ParseAddr(name)
		return err == nil && ip.Is4()
	}
	return true
}

// Of is the host of an address, with its port where that is not the usual one.
func Of(u *url.URL) string {
	host := strings.ToLower(u.Host)
	for scheme, usual := range map[string]string{"https": ":443", "wss": ":443", "http": ":80", "ws": ":80"} {
		if strings.EqualFold(u.Scheme, scheme) {
			return strings.TrimSuffix(host, usual)
		}
	}
	return host
}

// Covers tells whether a pattern names a host: that host, or with "*." any subdomain.
func Covers(pattern, host string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return host == pattern || wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix)
}

// Own tells whether a host is the site's own: that of a page that may embed it, or one that the operator says is.
func Own(origins, own []string, host string) bool {
	for _, origin := range origins {
		if _, pattern, _ := strings.Cut(origin, "://"); Covers(pattern, host) {
			return true
		}
	}
	for _, pattern := range own {
		if Covers(pattern, host) {
			return true
		}
	}
	return false
}

// Nearest is how closely a list of patterns names a host, 0 for not at all. "*.hotjar.com" names hotjar.com too here: nobody
// else has it.
func Nearest(patterns []string, host string) (best int) {
	for _, p := range patterns {
		switch {
		case p == host:
			return 1 << 10
		case Covers(p, host), p == "*."+host:
			best = max(best, len(p))
		}
	}
	return best
}
