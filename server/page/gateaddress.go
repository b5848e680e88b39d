package page

import (
	"net/url"
	"regexp"
	"strings"
)

// asked is an address as a browser reads it from an attribute (WHATWG URL, 4.4), so far as it says of whom it is asked:
// whole, with its scheme and host. It is "" for an address of the page's own host, and for one that is asked of no host.
func asked(value string, base *url.URL, moved bool) string {
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
	if whole := scheme + "://" + rest; strings.IndexByte(rest, '%') < 0 && strings.IndexByte(rest, '@') < 0 || parses(whole) {
		return whole
	}
	// A "%" that stands alone is refused by the standard library and not by browsers.
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	return scheme + "://" + host + loneEscape.ReplaceAllStringFunc(path, func(e string) string {
		if len(e) == 3 {
			return e
		}
		return "%25"
	})
}

// loneEscape finds every "%", with the two digits that belong to it.
var loneEscape = regexp.MustCompile(`%(?:[0-9A-Fa-f]{2})?`)

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
