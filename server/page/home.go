package page

import (
	"net/url"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
)

// home is where a tag is that the site itself hosts, such as its own counter: it waits like any other.
type home struct {
	tag        *consent.Tag
	host, path string
	whole      bool // the host has nothing but the tag, so far as the site's file says
}

func homes(site *consent.Site) (list []home) {
	for i := range site.Tags {
		t := &site.Tags[i]
		for _, address := range []string{t.Load.Script, t.Load.Pixel} {
			address, _, _ = strings.Cut(address, "?")
			u, err := url.Parse(address)
			if err != nil || u.Host == "" {
				continue
			}
			host := hosts.Of(u)
			whole := !slices.ContainsFunc(site.Origins, func(origin string) bool { return strings.HasSuffix(origin, "://"+host) }) && !slices.Contains(site.Own, host)
			list = append(list, home{t, host, u.Path, whole})
		}
	}
	return list
}

// atHome finds the site's tag at an address of the site's own: by its path, or by a host that the page is not on.
func (j *Judge) atHome(host, path, page string) (Party, bool) {
	for i := range j.homes {
		if h := &j.homes[i]; h.host == host && (h.path == path || h.whole && host != page) {
			return j.ofTag(h.tag, Party{Host: host}), true
		}
	}
	return Party{}, false
}

// relative is an address that names no host, as the page makes it; nil for one that is asked of no host.
func relative(address string, of *url.URL) *url.URL {
	address = clean(address)
	if of.Host == "" || address == "" || address[0] == '#' {
		return nil
	}
	u, err := of.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return u
}
