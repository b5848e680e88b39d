package page

import (
	"html"
	"net/url"
	"strings"
)

// plain is an address as a browser reads it from an attribute (WHATWG URL, 4.4), so far as it says of whom it is asked:
// whole, with its scheme and host. It is "" for an address of the page's own host, and for one that is asked of no host.
func plain(value string, base *url.URL, moved bool) string {
	if strings.IndexByte(value, '&') >= 0 {
		value = html.UnescapeString(value)
	}
	value = strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(value, "\t\n\r") {
		value = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(value)
	}
	if i := strings.IndexAny(value, "?#"); strings.IndexByte(value, '\\') >= 0 {
		if i < 0 {
			i = len(value)
		}
		value = strings.ReplaceAll(value[:i], `\`, "/") + value[i:]
	}
	scheme, rest := base.Scheme, value
	if i := strings.IndexAny(value, ":/?#"); i > 0 && value[i] == ':' {
		scheme, rest = strings.ToLower(value[:i]), value[i+1:]
		if scheme != "http" && scheme != "https" {
			return ""
		}
		if scheme != base.Scheme { // then no slash is needed
			rest = "//" + strings.TrimLeft(rest, "/")
		}
	}
	if !strings.HasPrefix(rest, "//") {
		if !moved {
			return ""
		}
		u, err := base.Parse(rest)
		if err != nil {
			return base.String()
		}
		return u.String()
	}
	rest = strings.TrimLeft(rest, "/")
	if whole := scheme + "://" + rest; parses(whole) {
		return whole
	}
	// What the standard library refuses in a path, such as a "%" that stands alone, no browser minds.
	host := rest
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	return scheme + "://" + host + "/"
}

func parses(address string) bool {
	_, err := url.Parse(address)
	return err == nil
}

// candidates are the addresses in a srcset (WHATWG HTML, 4.8.4.2.2).
func candidates(srcset string) (list []string) {
	for {
		srcset = strings.TrimLeft(srcset, ", \t\n\f\r")
		if srcset == "" {
			return list
		}
		end := strings.IndexAny(srcset, " \t\n\f\r")
		if end < 0 {
			end = len(srcset)
		}
		address := srcset[:end]
		srcset = srcset[end:]
		if bare := strings.TrimRight(address, ","); len(bare) == len(address) {
			srcset = afterDescriptors(srcset)
			list = append(list, address)
		} else {
			list = append(list, bare)
		}
	}
}

// afterDescriptors is what follows the comma that is in no brackets.
func afterDescriptors(s string) string {
	open := false
	for i := range len(s) {
		switch {
		case s[i] == '(':
			open = true
		case s[i] == ')':
			open = false
		case s[i] == ',' && !open:
			return s[i+1:]
		}
	}
	return ""
}
