// Package page reads the HTML of a customer's own pages: which third-party tags stand in it, whose they are, and whether
// they wait for consent (Scan), and writes it anew so that they do (Gate). It is pure: no HTTP, no clock, and what it reads
// is bounded.
package page

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/thirdparty"
	"github.com/stilehq/stile/server/vendors"
)

// Basis is by what a party is known, the surest first.
type Basis string

// The bases.
const (
	BySite    Basis = "site"    // a tag of the site's own file
	ByLibrary Basis = "library" // the vendor library
	ByTable   Basis = "table"   // the table of third-party hosts
	ByNobody  Basis = ""        // an unknown host
)

// Party is whose something in a page is.
type Party struct {
	Host     string // of its address, as hosts.Of writes it; "" for a snippet that names none
	Basis    Basis
	Tag      *consent.Tag    // BySite
	Vendor   *vendors.Vendor // BySite where the tag has one, and ByLibrary
	Name     string          // the tag's, the vendor's or the company's; "" where nobody knows
	Account  string          // the site's account at the vendor, where it could be read
	Category string          // that of the site's tag, else where such tags usually belong; "" for what needs no consent, or may be anything
}

// Judge knows whose addresses and snippets are. It may be used by several goroutines.
type Judge struct {
	site    *consent.Site // or nil
	library *vendors.Library
	vendors []*vendors.Vendor
}

// NewJudge makes a judge for the pages of a site; of nil: of any page, whose own hosts are then those that Party is told.
func NewJudge(site *consent.Site, library *vendors.Library) *Judge {
	return &Judge{site: site, library: library, vendors: library.All()}
}

// Address tells whose an address is that stands in a page. It is false for an address of the page's own site (the same
// registrable domain, or a host that the site's file calls its own), and for one that is asked of no host: "#", "data:",
// "mailto:", and what is no address.
func (j *Judge) Address(address string, of *url.URL) (Party, bool) {
	u, err := of.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return Party{}, false
	}
	host := hosts.Of(u)
	if host == hosts.Of(of) || j.site != nil && hosts.Own(j.site.Origins, j.site.Own, host) {
		return Party{}, false
	}
	return j.party(host, u), true
}

func (j *Judge) party(host string, u *url.URL) Party {
	p := Party{Host: host}
	if j.site != nil {
		best := 0
		for i := range j.site.Tags {
			if n := hosts.Nearest(j.site.Tags[i].Hosts, host); n > best {
				t := &j.site.Tags[i]
				best, p = n, Party{Host: host, Basis: BySite, Tag: t, Vendor: j.library.Find(t.Vendor), Name: t.Name, Account: t.Account, Category: t.Category}
			}
		}
		if best > 0 {
			return p
		}
	}
	best := 0
	for _, v := range j.vendors {
		if n := hosts.Nearest(v.Hosts, host); n > best {
			best, p = n, Party{Host: host, Basis: ByLibrary, Vendor: v, Name: v.Name, Account: account(v, u), Category: v.Category}
		}
	}
	if best > 0 {
		return p
	}
	if e, found := thirdparty.Find(host); found {
		p.Basis, p.Name, p.Category = ByTable, e.Name, e.Category()
	}
	return p
}

func account(v *vendors.Vendor, u *url.URL) string {
	value := u.Query().Get(v.Account.Param)
	if re, err := regexp.Compile("^(?:" + v.Account.Pattern + ")$"); err == nil && v.Account.Pattern != "" && re.MatchString(value) {
		return value
	}
	return ""
}

// Snippet tells whose a snippet of JavaScript is: the vendors whose hosts or globals it names, each once, in the order in
// which they stand in it. Code that is the page's own has none.
func (j *Judge) Snippet(code string) (list []Party) {
	for _, v := range j.vendors {
		for _, host := range v.Hosts {
			if name := strings.TrimPrefix(host, "*."); !strings.Contains(name, "{") && strings.Contains(code, "//"+name) {
				list = append(list, Party{Host: name, Basis: ByLibrary, Vendor: v, Name: v.Name, Category: v.Category})
				break
			}
		}
	}
	return list
}

// Waits tells whether a party has to wait for consent at the site: its category is known, and not one that is required. A
// site that does not have the category takes it as one that is not required.
func (j *Judge) Waits(p Party) bool {
	if p.Category == "" || p.Category == "necessary" {
		return false
	}
	if j.site != nil {
		for i := range j.site.Categories {
			if j.site.Categories[i].Name == p.Category {
				return !j.site.Categories[i].Required
			}
		}
	}
	return true
}
