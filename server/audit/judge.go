package audit

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/thirdparty"
	"github.com/stilehq/stile/server/vendors"
)

// Verdict is what is to be thought of something.
type Verdict string

// The verdicts. What is as it should be has no finding.
const (
	Wrong   Verdict = "wrong"   // it should not have been there
	Warning Verdict = "warning" // nobody has said what it is, or it cannot be helped from here
)

// What is of what kind something found is.
type What string

// The kinds.
const (
	ARequest What = "request"
	ACookie  What = "cookie"
	AKey     What = "storage"
)

// Finding is something that a visitor should not have got, or that somebody should look at.
type Finding struct {
	Verdict  Verdict `json:"verdict"`
	What     What    `json:"what"`
	Subject  string  `json:"subject"`            // a host, a cookie with its domain, a key with its origin
	Who      string  `json:"who,omitempty"`      // the tag's, the vendor's or the company's name
	Category string  `json:"category,omitempty"` // for which it has to wait
	Because  string  `json:"because"`
	Times    int     `json:"times"`
	Example  string  `json:"example,omitempty"` // an address that was asked for
	By       Origin  `json:"by"`                // who asked for the first, or stored it
}

// rules are what may be there in a state.
type rules struct {
	known    *page.Judge // by the site's file
	anyone   *page.Judge // by the library and the table of hosts alone
	library  []*vendors.Vendor
	page     *url.URL
	stile    string // how Stile's own addresses begin, see folderOf
	without  bool   // the page has no Stile
	gpc      bool
	site     *consent.Site       // nil: there is no file
	decision *consent.Decision   // with a file
	granted  []string            // without: categories that may load
	offered  []string            // without: that the page has
	filed    map[string][]string // without: the categories that brought something, each accepted by itself, by its name
	always   map[string]bool     // subjects of cookies that were wrong before the choice already
}

// judge judges all that a visitor got: the worst first, else in the order in which it came.
func (j *rules) judge(s *State) []Finding {
	list := []Finding{}
	add := func(f Finding, found bool) {
		if !found {
			return
		}
		same := func(o Finding) bool {
			return o.Verdict == f.Verdict && o.What == f.What && o.Subject == f.Subject && o.Who == f.Who
		}
		if i := slices.IndexFunc(list, same); i >= 0 {
			list[i].Times++
			return
		}
		f.Times = 1
		list = append(list, f)
	}
	for i := range s.Requests {
		q := &s.Requests[i]
		q.Who = j.whose(q)
		add(j.request(q))
	}
	for i := range s.Cookies {
		add(j.cookie(&s.Cookies[i]))
	}
	for i := range s.Storage {
		add(j.key(&s.Storage[i]))
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(b.Verdict, a.Verdict) })
	return list
}

func (j *rules) request(q *Request) (Finding, bool) {
	f := Finding{What: ARequest, Subject: q.Host, Example: q.URL, By: q.By}
	u, err := url.Parse(q.URL)
	if err != nil || j.isStile(q.URL) {
		return f, false // Stile gates what is asked of itself
	}
	if tags := j.asked(q.Host, u); len(tags) > 0 {
		return j.held(f, tags)
	}
	if j.own(q.Host) {
		return f, false
	}
	p, third := j.anyone.Address(asHTTP(u), j.page)
	if !third {
		return f, false
	}
	return j.party(f, p)
}

// asHTTP is an address whose party is known by its host alone: a web socket has that of the page with the same one.
func asHTTP(u *url.URL) string {
	c := *u
	c.Scheme = strings.Replace(c.Scheme, "ws", "http", 1)
	return c.String()
}

// asked are the tags of which an address is one. Where several are at a host, its vendor, its account and its path tell them
// apart, as far as they do.
func (j *rules) asked(host string, u *url.URL) []int {
	p, _ := j.anyone.Address(asHTTP(u), nil)
	list := j.tags(func(t *consent.Tag) bool {
		return j.asks(t, host, u) && (p.Vendor == nil || slices.Contains([]string{"", p.Vendor.ID}, j.vendorOf(t)))
	})
	list = j.closer(list, func(t *consent.Tag) bool { return p.Account != "" && t.Account == p.Account })
	return j.closer(list, func(t *consent.Tag) bool { return loads(t, host, u) })
}

// closer are those of some tags of which more is so, if there are any.
func (j *rules) closer(tags []int, so func(*consent.Tag) bool) []int {
	some := slices.DeleteFunc(slices.Clone(tags), func(i int) bool { return !so(&j.site.Tags[i]) })
	if len(some) == 0 {
		return tags
	}
	return some
}

// vendorOf is the vendor of a tag: as the file says, else by the tag's address.
func (j *rules) vendorOf(t *consent.Tag) string {
	for _, address := range []string{t.Load.Script, t.Load.Pixel} {
		if p, _ := j.anyone.Address(address, nil); t.Vendor == "" && p.Vendor != nil {
			return p.Vendor.ID
		}
	}
	return t.Vendor
}

// asks tells whether a request may be one of a tag's. A tag on a host that serves the page too, or everybody's files, is
// known by its own addresses.
func (j *rules) asks(t *consent.Tag, host string, u *url.URL) bool {
	if host != hosts.Of(j.page) && !shared(host) {
		return hosts.Nearest(t.Hosts, host) > 0
	}
	return loads(t, host, u)
}

// loads tells whether an address is the one of a tag's script or pixel.
func loads(t *consent.Tag, host string, u *url.URL) bool {
	return slices.ContainsFunc([]string{t.Load.Script, t.Load.Pixel}, func(address string) bool {
		l, err := url.Parse(address)
		return err == nil && l.Host != "" && hosts.Of(l) == host && l.Path == u.Path
	})
}

// shared tells whether a host serves whatever anybody puts there, so that it says nothing of what is asked for.
func shared(host string) bool {
	e, _ := thirdparty.Find(host)
	return e.Kind == thirdparty.CDN || e.Kind == thirdparty.Hosting
}

func (j *rules) cookie(c *Cookie) (Finding, bool) {
	f, found := j.kept(c)
	if found && f.Verdict == Wrong && c.Left && !j.always[f.Subject] && (c.ThirdParty || c.HTTPOnly) {
		f.Verdict, f.Because = Warning, "it was set while that was allowed, and only the server that set it can delete it"
	}
	return f, found
}

func (j *rules) kept(c *Cookie) (Finding, bool) {
	host := strings.TrimPrefix(c.Domain, ".")
	f := Finding{What: ACookie, Subject: c.Name + " of " + host, By: c.By}
	if j.ours(c.Name, host) {
		return f, false
	}
	if c.ThirdParty {
		if tags := j.tags(func(t *consent.Tag) bool { return reaches(t.Hosts, host) }); len(tags) > 0 {
			return j.held(f, tags)
		}
		p, _ := j.anyone.Address("https://"+host, j.page)
		return j.party(f, p)
	}
	if tags := j.tags(func(t *consent.Tag) bool { return namesCookie(t.Cookies, c.Name) }); len(tags) > 0 {
		return j.held(f, tags)
	}
	for _, v := range j.library {
		if namesCookie(v.Cookies, c.Name) {
			return j.vendor(f, v)
		}
	}
	return j.by(f)
}

// by finds what was stored on the page's own site under a name that nobody knows: it belongs to whose script or answer did.
func (j *rules) by(f Finding) (Finding, bool) {
	u, err := url.Parse(f.By.URL)
	if err == nil && u.Host != "" && !j.isStile(f.By.URL) {
		host := hosts.Of(u)
		if tags := j.asked(host, u); len(tags) > 0 {
			return j.held(f, tags)
		}
		if p, third := j.anyone.Address(f.By.URL, j.page); third && !j.own(host) && p.Name != "" {
			return j.party(f, p)
		}
	}
	f.Verdict, f.Because = Warning, "nobody has said what it is for"
	return f, true
}

func (j *rules) key(k *Key) (Finding, bool) {
	f := Finding{What: AKey, Subject: fmt.Sprintf("%s %q of %s", k.Kind, k.Name, hostOf(k.Origin)), By: k.By}
	host := hostOf(k.Origin)
	if j.ours(k.Name, host) {
		return f, false
	}
	if !j.own(host) {
		if tags := j.tags(func(t *consent.Tag) bool { return hosts.Nearest(t.Hosts, host) > 0 }); len(tags) > 0 {
			return j.held(f, tags)
		}
		p, third := j.anyone.Address(k.Origin, j.page)
		if !third {
			return f, false
		}
		return j.party(f, p)
	}
	if tags := j.tags(func(t *consent.Tag) bool { return matches(t.Storage, k.Name) }); len(tags) > 0 {
		return j.held(f, tags)
	}
	for _, v := range j.library {
		if matches(v.Storage, k.Name) {
			return j.vendor(f, v)
		}
	}
	return j.by(f)
}

// isStile tells whether an address is Stile's own. Its host may be the page's too, and then has anything else beside it.
func (j *rules) isStile(address string) bool {
	return j.stile != "" && strings.HasPrefix(address, j.stile)
}

// ours tells whether something that is kept in the browser is Stile's own.
func (j *rules) ours(name, host string) bool {
	return !j.without && strings.HasPrefix(name, "stile_") && (j.own(host) || host == j.page.Hostname() || withoutPort(host) == withoutPort(hostOf(j.stile)))
}

// own tells whether a host belongs to the page's site: the same registrable domain, or one that the site's file calls its own.
func (j *rules) own(host string) bool {
	return sameSite(host, hosts.Of(j.page)) || j.site != nil && hosts.Own(j.site.Origins, j.site.Own, host)
}

func (j *rules) tags(which func(*consent.Tag) bool) (list []int) {
	if j.site == nil {
		return nil
	}
	for i := range j.site.Tags {
		if which(&j.site.Tags[i]) {
			list = append(list, i)
		}
	}
	return list
}

// held finds what belongs to tags of the site of which none was released, or sent with the word that consent is denied.
func (j *rules) held(f Finding, tags []int) (Finding, bool) {
	for _, i := range tags {
		if v := j.decision.Tags[i]; v.Released || v.Restricted {
			return f, false
		}
	}
	t := &j.site.Tags[tags[0]]
	f.Verdict, f.Who, f.Category, f.Because = Wrong, t.Name, t.Category, j.decision.Tags[tags[0]].Because.String()
	return f, true
}

func (j *rules) vendor(f Finding, v *vendors.Vendor) (Finding, bool) {
	return j.party(f, page.Party{Basis: page.ByLibrary, Vendor: v, Name: v.Name, Category: v.Category})
}

// party finds what belongs to no tag of the site.
func (j *rules) party(f Finding, p page.Party) (Finding, bool) {
	// The site's file has the vendor, under a category of its own choice, though not this host or name of the vendor's.
	if tags := j.tags(func(t *consent.Tag) bool { return p.Vendor != nil && j.vendorOf(t) == p.Vendor.ID }); len(tags) > 0 {
		return j.held(f, tags)
	}
	f.Who, f.Category = p.Name, p.Category
	switch {
	case p.Name == "":
		f.Verdict, f.Because = Warning, "nobody has said what it is"
	case !j.known.Waits(p), p.Basis == page.ByLibrary && shared(p.Host):
		return f, false
	case !j.permits(p):
		f.Verdict, f.Because = Wrong, j.why(p.Category)
	case j.site != nil:
		f.Verdict, f.Because = Warning, "stile.yaml does not name it, so that nothing holds it back after a refusal"
	default:
		return f, false
	}
	return f, true
}

// permits tells whether something may be there. Of a category that the site does not have, it may where everything optional
// may. Without a file nobody says under which category the site has it: of one that the page does not offer, or that does not
// bring it though another one does, it may be there as soon as anything may.
func (j *rules) permits(p page.Party) bool {
	if j.site == nil {
		filed, others := j.filed[p.Name]
		if !slices.Contains(j.offered, p.Category) || others && !slices.Contains(filed, p.Category) {
			return len(j.granted) > 0
		}
		return slices.Contains(j.granted, p.Category)
	}
	if v := j.verdict(p.Category); v != nil {
		return v.Released
	}
	return !slices.ContainsFunc(j.decision.Categories, func(v consent.Verdict) bool { return !v.Released })
}

func (j *rules) verdict(category string) *consent.Verdict {
	for i := range j.decision.Categories {
		if j.site.Categories[i].Name == category {
			return &j.decision.Categories[i]
		}
	}
	return nil
}

func (j *rules) why(category string) string {
	switch {
	case j.without:
		return "it would have to wait for consent to " + category
	case j.site == nil && j.gpc:
		return category + " was not accepted, or Sec-GPC switches it off"
	case j.site == nil:
		return category + " was not accepted"
	}
	if v := j.verdict(category); v != nil {
		return v.Because.String()
	}
	return "the site has no category " + category + ", and not everything was accepted"
}

// whose is the name of whom a request goes to; "" for the page's own site, and where nobody knows.
func (j *rules) whose(q *Request) string {
	u, err := url.Parse(q.URL)
	if err != nil || j.isStile(q.URL) {
		return ""
	}
	if tags := j.asked(q.Host, u); len(tags) > 0 {
		return j.site.Tags[tags[0]].Name
	}
	if j.own(q.Host) {
		return ""
	}
	p, _ := j.anyone.Address(asHTTP(u), j.page)
	return p.Name
}

// namesCookie tells whether a list of cookies has one of this name.
func namesCookie(list []consent.Cookie, name string) bool {
	return slices.ContainsFunc(list, func(c consent.Cookie) bool { return match(c.Name, name) })
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// match tells whether a pattern has a name: "*" at its end stands for any ending.
func match(pattern, name string) bool {
	start, any := strings.CutSuffix(pattern, "*")
	return pattern == name || any && start != "" && strings.HasPrefix(name, start)
}

// reaches tells whether a cookie of a domain is sent to one of these hosts.
func reaches(patterns []string, domain string) bool {
	return hosts.Nearest(patterns, domain) > 0 || slices.ContainsFunc(patterns, func(p string) bool {
		return strings.HasSuffix(strings.TrimPrefix(p, "*."), "."+domain)
	})
}

// sameSite tells whether two hosts are under one registrable domain. Those without a name, as on a developer's machine, have
// a port for each party.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	x, err := publicsuffix.EffectiveTLDPlusOne(withoutPort(a))
	if err != nil || net.ParseIP(x) != nil {
		return false
	}
	y, err := publicsuffix.EffectiveTLDPlusOne(withoutPort(b))
	return err == nil && x == y
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// hostOf is the host of an origin, as hosts.Of writes it.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return hosts.Of(u)
}

// Line is a finding of all the states that have it.
type Line struct {
	Finding
	States []string // titles
}

// Lines are the findings of all states, each once: the worst first, then those of most states.
func (r *Report) Lines() (list []Line) {
	for i := range r.States {
		s := &r.States[i]
		for _, f := range s.Findings {
			same := func(l Line) bool {
				return l.Verdict == f.Verdict && l.What == f.What && l.Subject == f.Subject && l.Who == f.Who
			}
			if at := slices.IndexFunc(list, same); at >= 0 {
				list[at].States = append(list[at].States, s.Title)
				list[at].Times += f.Times
				continue
			}
			list = append(list, Line{Finding: f, States: []string{s.Title}})
		}
	}
	slices.SortStableFunc(list, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(len(b.States), len(a.States)))
	})
	return list
}
