package crawl

import (
	"bytes"
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/stilehq/stile/server/hosts"
)

const longest = 2048 // bytes of an address

// noPages are the endings of what is no page, so that it need not be asked for.
var noPages = []string{
	".7z", ".avi", ".avif", ".bmp", ".css", ".csv", ".dmg", ".doc", ".docx", ".epub", ".exe", ".gif", ".gz", ".ico", ".ics", ".jpeg", ".jpg", ".js", ".json",
	".m4a", ".mov", ".mp3", ".mp4", ".ogg", ".pdf", ".png", ".ppt", ".pptx", ".rar", ".rss", ".svg", ".tar", ".txt", ".wav", ".webm", ".webp", ".woff",
	".woff2", ".xls", ".xlsx", ".xml", ".zip",
}

// links are the addresses that a page links to, as canonical writes them, in its order. Some may be there more than once.
func links(body []byte, at *url.URL) iter.Seq[*url.URL] {
	return func(yield func(*url.URL) bool) {
		base, based := at, false
		t := html.NewTokenizer(bytes.NewReader(body))
		for kind := t.Next(); kind != html.ErrorToken; kind = t.Next() {
			if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
				continue
			}
			name, has := t.TagName()
			tag := atom.Lookup(name)
			if !has || tag != atom.A && tag != atom.Area && tag != atom.Base {
				continue
			}
			u := resolve(attribute(t, "href"), base)
			switch {
			case u == nil:
			case tag == atom.Base && !based: // the first counts (HTML, 4.2.3)
				base, based = u, true
			case tag != atom.Base && !slices.Contains(noPages, strings.ToLower(path.Ext(u.Path))) && !yield(canonical(u)):
				return
			}
		}
	}
}

func attribute(t *html.Tokenizer, want string) (value string) {
	for more := true; more; {
		var name, text []byte
		if name, text, more = t.TagAttr(); string(name) == want && value == "" {
			value = string(text)
		}
	}
	return value
}

// resolve is the address that a link stands for, or nil.
func resolve(href string, base *url.URL) *url.URL {
	href = strings.TrimSpace(href)
	if href == "" || len(href) > longest {
		return nil
	}
	u, err := base.Parse(href)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil
	}
	return u
}

// canonical writes an address in the one way in which it is compared: no fragment, no user, the host in ASCII and lower
// case without the usual port, a path.
func canonical(of *url.URL) *url.URL {
	u := *of
	u.Fragment, u.RawFragment, u.User, u.ForceQuery = "", "", nil, false
	u.Host = hosts.Of(&u)
	if ascii, err := idna.Lookup.ToASCII(u.Hostname()); err == nil && !strings.Contains(u.Host, "[") {
		u.Host = ascii + strings.TrimPrefix(u.Host, u.Hostname())
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return &u
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// domain is the registrable domain of an address; its host where that is none.
func domain(u *url.URL) string {
	name, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		return u.Host
	}
	return name
}
