package crawl

import (
	"bytes"
	"iter"
	"net/url"
	"path"
	"regexp"
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

// links are the addresses that a page leads to, as canonical writes them, in its order, and how many links away they are: 0
// of its frames and of where it takes its visitors by itself. Some may be there more than once.
func links(body []byte, at *url.URL) iter.Seq2[*url.URL, int] {
	return func(yield func(*url.URL, int) bool) {
		base, based := at, false
		t := html.NewTokenizer(bytes.NewReader(body))
		for kind := t.Next(); kind != html.ErrorToken; kind = t.Next() {
			if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
				continue
			}
			name, has := t.TagName()
			tag := atom.Lookup(name)
			href, away := "", 0
			switch {
			case !has:
			case tag == atom.Base && !based, tag == atom.A, tag == atom.Area:
				href, away = attributes(t)["href"], 1
			case tag == atom.Iframe, tag == atom.Frame:
				href = attributes(t)["src"]
			case tag == atom.Meta:
				href = refresh(attributes(t))
			}
			u := resolve(href, base)
			switch {
			case u == nil:
			case tag == atom.Base: // the first counts (HTML, 4.2.3)
				base, based = u, true
			case !slices.Contains(noPages, strings.ToLower(path.Ext(u.Path))) && !yield(canonical(u), away):
				return
			}
		}
	}
}

// attributes are those of a tag that may lead somewhere. Of two of a name the first counts.
func attributes(t *html.Tokenizer) map[string]string {
	found := map[string]string{}
	for more := true; more; {
		var name, text []byte
		name, text, more = t.TagAttr()
		switch key := string(name); key {
		case "href", "src", "http-equiv", "content":
			if found[key] == "" {
				found[key] = string(text)
			}
		}
	}
	return found
}

var refreshes = regexp.MustCompile(`(?i)^\s*[\d.]+[\s;,]*(?:url\s*=\s*)?(?:"([^"]*)|'([^']*)|(.*))`)

// refresh is where a <meta> takes the visitor (HTML, 4.2.5.3), or "".
func refresh(meta map[string]string) string {
	if !strings.EqualFold(meta["http-equiv"], "refresh") {
		return ""
	}
	m := refreshes.FindStringSubmatch(meta["content"])
	if m == nil {
		return ""
	}
	return m[1] + m[2] + m[3]
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
