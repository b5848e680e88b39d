package page

import (
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/stilehq/stile/server/hosts"
)

// absolute takes an address in a page apart as browsers do (WHATWG URL, 4.4), and not as strictly as net/url: what is wrong
// behind the host does not hide the host. host is "" for an address that is relative, or asked of no host.
func absolute(address string, of *url.URL) (u *url.URL, host string) {
	address = clean(address)
	scheme, rest, found := strings.Cut(address, ":")
	switch {
	case strings.HasPrefix(address, "//"):
		scheme, rest = of.Scheme, address
	case !found:
		return nil, ""
	}
	scheme = strings.ToLower(scheme)
	if scheme != "http" && scheme != "https" {
		if !strings.HasPrefix(address, "//") {
			return nil, ""
		}
		scheme = "https" // of a file: what the page will be served by
	}
	rest = strings.TrimLeft(rest, "/")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, rest = rest[strings.LastIndexByte(rest[:end], '@')+1:end], rest[end:]
	if host = canonical(host, scheme); host == "" {
		return nil, ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	u = &url.URL{Scheme: scheme, Host: host, Path: path, RawQuery: query}
	if strings.IndexByte(path, '%') >= 0 {
		if plain, err := url.PathUnescape(path); err == nil {
			u.Path, u.RawPath = plain, path
		}
	}
	return u, host
}

// clean leaves out what browsers leave out: space around an address, line ends and tabs in it; and turns backslashes before
// the query.
func clean(address string) string {
	address = strings.TrimFunc(address, func(c rune) bool { return c <= ' ' })
	if strings.ContainsAny(address, "\t\r\n") {
		address = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(address)
	}
	if at := strings.IndexByte(address, '\\'); at >= 0 {
		end := strings.IndexAny(address, "?#")
		if end < 0 {
			end = len(address)
		}
		address = strings.ReplaceAll(address[:end], `\`, "/") + address[end:]
	}
	return address
}

// canonical is a host as hosts.Of writes it, or "" for what is none.
func canonical(host, scheme string) string {
	host = strings.ToLower(host)
	usual := ":443"
	if scheme == "http" {
		usual = ":80"
	}
	host = strings.TrimSuffix(strings.TrimSuffix(host, usual), ".")
	if !ascii(host) {
		plain, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return ""
		}
		host = plain
	}
	if !hosts.Valid(host) {
		return ""
	}
	return host
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
