// Package page reads the HTML of a customer's own pages: which third-party tags stand in it, whose they are, and whether
// they wait for consent (Scan), and writes it anew so that they do (Gate). It is pure: no HTTP, no clock, and what it reads
// is bounded.
package page

import (
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

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
	site   *consent.Site // or nil
	signs  []signs       // of the library's vendors
	hosts  index         // of Vendor.Hosts that are one vendor's alone, to signs
	paths  index         // of hosts of which a vendor has some paths, to signs
	tags   index         // of the site's tags, to site.Tags
	homes  []home        // of the site's tags that are at hosts of its own
	matomo int           // of signs, -1 where the library does not have it
	words  map[string][]*word
	first  [256]uint64     // lengths of the words that begin with a letter
	names  map[string]bool // of what may wait
}

// NewJudge makes a judge for the pages of a site; of nil: of any page, whose own hosts are then those that Party is told.
func NewJudge(site *consent.Site, library *vendors.Library) *Judge {
	j := &Judge{site: site, matomo: -1, hosts: newIndex(), paths: newIndex(), tags: newIndex(), words: map[string][]*word{}, names: map[string]bool{}}
	shared, beginnings := map[string]int{}, map[string]int{}
	for _, v := range library.All() {
		for _, host := range v.Hosts {
			shared[usualHost(v, host)]++
		}
	}
	for i, v := range library.All() {
		s := newSigns(v)
		for _, host := range v.Hosts {
			host = usualHost(v, host)
			if shared[host] == 1 && !strings.Contains(host, "{") && !s.hasPaths(host) {
				j.hosts.add(host, i)
			}
		}
		for _, p := range s.paths {
			j.paths.add(p.host, i)
		}
		j.signs = append(j.signs, s)
		for k := range s.paths {
			beginnings[s.paths[k].String()]++
		}
		j.addWords(i, v)
		if v.ID == "matomo" {
			j.matomo = i
		}
	}
	j.addOtherWords()
	j.addNames(library)
	for i := range j.signs {
		for k := range j.signs[i].paths {
			p := &j.signs[i].paths[k]
			p.alone = beginnings[p.String()] == 1
		}
	}
	if site != nil {
		for i := range site.Tags {
			for _, host := range site.Tags[i].Hosts {
				j.tags.add(host, i)
			}
		}
		j.homes = homes(site)
	}
	return j
}

// Address tells whose an address is that stands in a page. It is false for an address of the page's own site (the same
// registrable domain, or a host that the site's file calls its own) that is neither one of the site's tags nor a counter that
// its vendor's customers host themselves, and for one that is asked of no host: "#", "data:", "mailto:", and what is no address.
func (j *Judge) Address(address string, of *url.URL) (Party, bool) {
	if of == nil {
		of = new(url.URL)
	}
	u, host := absolute(address, of)
	if host != "" && !j.own(host, of) {
		return j.party(host, u), true
	}
	if len(j.homes) == 0 && !strings.Contains(address, hostedParam) {
		return Party{}, false
	}
	if host == "" {
		if u = relative(address, of); u == nil {
			return Party{}, false
		}
		host = hosts.Of(u)
	}
	if p, found := j.atHome(host, u.Path, hosts.Of(of)); found {
		return p, true
	}
	if _, found := j.hosted(u); found {
		return j.ofSite([]Party{j.party(host, u)})[0], true
	}
	return Party{}, false
}

func (j *Judge) own(host string, of *url.URL) bool {
	if j.site != nil && hosts.Own(j.site.Origins, j.site.Own, host) {
		return true
	}
	return of.Host != "" && sameSite(strings.ToLower(of.Hostname()), name(host))
}

// sameSite compares registrable domains by the public suffix list: a.shop.example and b.shop.example are one site,
// a.github.io and b.github.io are not. Addresses in numbers are the same only as a whole.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	if lastLabels(a) != lastLabels(b) {
		return false // and no list has to be asked
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil || a[len(a)-1] <= '9' {
		return false
	}
	return b == domain || len(b) > len(domain) && strings.HasSuffix(b, domain) && b[len(b)-len(domain)-1] == '.' && registrable(b, domain)
}

// lastLabels are the last two labels of a name, which all of a registrable domain have in common.
func lastLabels(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[strings.LastIndexByte(name[:i], '.')+1:]
	}
	return name
}

// registrable tells whether b's registrable domain is not a longer one: what hangs below a suffix may be a site of its own.
func registrable(b, domain string) bool {
	of, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && of == domain
}

// name is a host without its port.
func name(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[:i]
	}
	return host
}

func (j *Judge) party(host string, u *url.URL) Party {
	p := Party{Host: host}
	if e, old := legacy(host, u); old {
		p = e
	} else if i, found := j.vendor(host, u); found {
		p = j.known(i, host, j.signs[i].account(u))
	} else if i, found := j.hosted(u); found {
		p = j.known(i, host, j.signs[i].account(u))
	}
	if t := j.tag(host, p); t != nil {
		return j.ofTag(t, p)
	}
	if p.Name == "" {
		p = table(host)
	}
	return p
}

func (j *Judge) known(i int, host, account string) Party {
	v := j.signs[i].vendor
	return Party{Host: host, Basis: ByLibrary, Vendor: v, Name: v.Name, Account: account, Category: v.Category}
}

func table(host string) Party {
	p := Party{Host: host}
	if e, found := thirdparty.Find(host); found {
		p.Basis, p.Name, p.Category = ByTable, e.Name, e.Category()
	}
	return p
}

func (j *Judge) ofTag(t *consent.Tag, p Party) Party {
	if p.Vendor == nil || p.Vendor.ID != t.Vendor {
		p.Vendor = j.byID(t.Vendor)
	}
	account := p.Account
	if account == "" {
		account = t.Account
	}
	return Party{Host: p.Host, Basis: BySite, Tag: t, Vendor: p.Vendor, Name: t.Name, Account: account, Category: t.Category}
}

func (j *Judge) byID(id string) *vendors.Vendor {
	for i := range j.signs {
		if j.signs[i].vendor.ID == id {
			return j.signs[i].vendor
		}
	}
	return nil
}

// tag is the site's tag that has the host: one of the vendor, of the same account before another; a tag of another vendor
// only shares the host.
func (j *Judge) tag(host string, p Party) (best *consent.Tag) {
	for _, list := range j.tags.of(host) {
		for _, i := range list {
			t := &j.site.Tags[i]
			switch {
			case p.Vendor != nil && t.Vendor != "" && t.Vendor != p.Vendor.ID:
			case best == nil, p.Vendor != nil && t.Account == p.Account && best.Account != p.Account:
				best = t
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// tagOf is the site's tag of a snippet's party: its vendor's, of the same account before another, or one that has its host.
func (j *Judge) tagOf(p Party) (best *consent.Tag) {
	for i := range j.site.Tags {
		t := &j.site.Tags[i]
		if p.Vendor != nil && t.Vendor == p.Vendor.ID && (best == nil || t.Account == p.Account && best.Account != p.Account) {
			best = t
		}
	}
	if best == nil && p.Host != "" {
		best = j.tag(p.Host, p)
	}
	return best
}

// vendor is whose an address is by the library: paths decide before hosts, and of those the longest.
func (j *Judge) vendor(host string, u *url.URL) (found int, ok bool) {
	best := -1
	for _, list := range j.paths.of(host) {
		for _, i := range list {
			if n := j.signs[i].nearest(host, u); n > best {
				found, best = i, n
			}
		}
	}
	if best >= 0 {
		return found, true
	}
	for _, list := range j.hosts.of(host) {
		return list[0], true
	}
	return 0, false
}

// hosted is whose an address is that the vendor's customers host themselves, and that nobody else has: Matomo's counter, which
// was called Piwik.
func (j *Judge) hosted(u *url.URL) (int, bool) {
	file := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	return j.matomo, j.matomo >= 0 && (file == "matomo.php" || file == "piwik.php") && strings.Contains(u.RawQuery, hostedParam)
}

// hostedParam is what such an address has.
const hostedParam = "idsite="

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
