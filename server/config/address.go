package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// hostName is a host name as browsers send it: lower case, no dot at the end.
var hostName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// loopback tells whether a host (without port) is this machine by its very name.
func loopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// reserved tells whether a name is for tests and examples alone (RFC 6761).
func reserved(host string) bool {
	for _, name := range []string{"test", "example", "localhost"} {
		if host == name || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// placeholders are what a pixel's URL may have filled in.
var placeholders = []string{"{page}", "{referrer}", "{random}"}

var placeholder = regexp.MustCompile(`\{[^{}]*\}?|\}`)

// address reads the URL of a script or an image that visitors' browsers load.
func (v value) address(fill []string) string {
	s, ok := v.line(maxLine)
	if !ok {
		return ""
	}
	bare := s
	for _, p := range placeholder.FindAllStringIndex(s, -1) {
		name := s[p[0]:p[1]]
		known := false
		for _, f := range fill {
			known = known || f == name
		}
		if known {
			bare = strings.Replace(bare, name, "", 1)
			continue
		}
		hint := "only a pixel has placeholders"
		if len(fill) > 0 {
			hint = "a pixel has " + strings.Join(fill, ", ")
		}
		v.within(s, 1, len([]rune(s[:p[0]]))+1).fail(hint, "there is no placeholder %s", quote(name))
		return ""
	}
	v.link(s, bare)
	return s
}

// link checks that an URL is absolute and https, or http on loopback.
func (v value) link(s, bare string) {
	u, err := url.Parse(bare)
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://"), "/")
	switch {
	case err != nil, strings.ContainsAny(s, " \"'`<>\\^|"):
		v.fail("write https://host/path, with %20 for a space", "%s is not a URL", quote(s))
	case u.Scheme != "https" && u.Scheme != "http":
		v.fail("write https://host/path", "%s is not an absolute URL", quote(s))
	case u.User != nil:
		v.fail("leave out what is before the @", "a URL with a password would show it to every visitor")
	case u.Hostname() == "" || strings.ContainsAny(host, "{}"):
		v.fail("write https://host/path", "the URL %s has no fixed host", quote(s))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		v.fail("use https", "http can be read and changed on the way, and pages on https block it")
	}
}
