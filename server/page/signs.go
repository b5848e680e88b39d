package page

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/vendors"
)

// index finds by a host what patterns name it: the host itself first, then the longest domain.
type index struct{ exact, below map[string][]int }

func newIndex() index { return index{map[string][]int{}, map[string][]int{}} }

func (x index) add(pattern string, i int) {
	to, host := x.exact, pattern
	if domain, wild := strings.CutPrefix(pattern, "*."); wild {
		to, host = x.below, domain
	}
	if list := to[host]; len(list) == 0 || list[len(list)-1] != i {
		to[host] = append(list, i)
	}
}

// of returns the lists that name a host, the nearest first. "*.hotjar.com" names hotjar.com too, as hosts.Nearest has it.
func (x index) of(host string) (lists [][]int) {
	if list := x.exact[host]; list != nil {
		lists = append(lists, list)
	}
	for at := host; at != ""; _, at, _ = strings.Cut(at, ".") {
		if list := x.below[at]; list != nil {
			lists = append(lists, list)
		}
	}
	return lists
}

// signs are by what a vendor is known in a page, compiled.
type signs struct {
	vendor *vendors.Vendor
	paths  []prefix
	id     *regexp.Regexp   // a whole account, or nil where the vendor has none
	ids    []*regexp.Regexp // the account in an address without its scheme
	params []string         // of an address that may be the account
	calls  []*regexp.Regexp // the account in code
	own    int              // of calls, and sure: see there
	sure   int
	attrs  map[string]*regexp.Regexp // the account in an attribute of the script element
}

// prefix is the beginning of a vendor's addresses on a host.
type prefix struct {
	host  string   // or a pattern of hosts
	parts []string // of the path, between what stands for any one part of it
	param string   // that has to be an account of the vendor where others have the same beginning
	alone bool     // nobody else has it
}

// plain are parameters that many vendors call their accounts.
var plain = []string{"id", "tid", "pid", "tag_id", "ti", "sdkid", "idsite", "client"}

func newSigns(v *vendors.Vendor) signs {
	s := signs{vendor: v, params: append(slices.Clone(plain), v.Account.Param)}
	if v.Account.Pattern != "" {
		s.id = regexp.MustCompile("^(?:" + v.Account.Pattern + ")$") // the library was read: it compiles
		s.calls, s.own, s.sure = calls(v)
		if strings.Contains(v.Account.Param, "_") { // a name that no vendor shares
			s.addCall(`[?&]` + regexp.QuoteMeta(v.Account.Param) + `=(` + v.Account.Pattern + `)\b`)
		}
		for _, a := range v.Load.Attrs {
			s.addAttribute(a)
		}
	}
	for _, template := range []string{v.Load.Script, v.Load.Pixel} {
		s.addTemplate(template)
	}
	for _, a := range v.Addresses {
		host, path, _ := strings.Cut(a, "/")
		s.paths = append(s.paths, prefix{host: host, parts: strings.Split("/"+path, "*")})
	}
	return s
}

// addTemplate takes in a template of Load: where it begins, and where the account stands in it.
func (s *signs) addTemplate(template string) {
	address, found := strings.CutPrefix(template, "https://")
	if !found {
		return
	}
	path, query, _ := strings.Cut(address, "?")
	host, path, slash := strings.Cut(path, "/")
	if strings.Contains(host+path, "{id}") && s.id != nil {
		if re, err := regexp.Compile(fillPattern(host+"/"+path, s.vendor.Account.Pattern) + `(?:[^\w]|$)`); err == nil {
			s.ids = append(s.ids, re)
			s.calls = append(s.calls, re)
		}
	}
	if query == "{id}" {
		s.addCall(regexp.QuoteMeta(host+"/"+path) + `\?(` + s.vendor.Account.Pattern + `)\b`)
	}
	param := ""
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); value == "{id}" {
			param = key
			s.addCall(regexp.QuoteMeta(host+"/"+path) + `\?(?:[^'"\s]*&)?` + regexp.QuoteMeta(key) + `=(` + s.vendor.Account.Pattern + `)\b`)
			s.params = append(s.params, key)
		}
	}
	host = usualHost(s.vendor, host)
	if beginning, _, _ := strings.Cut(path, "{"); slash && !strings.Contains(host, "{") {
		s.paths = append(s.paths, prefix{host: host, parts: []string{"/" + beginning}, param: param})
	}
}

// addAttribute takes in an attribute of Load's script, in which the account may stand: alone, or in JSON among others.
func (s *signs) addAttribute(a consent.Attr) {
	before, after, found := strings.Cut(a.Value, "{id}")
	if !found {
		return
	}
	if before+after == "" {
		before, after = "^", "$"
	} else {
		before = strings.ReplaceAll(regexp.QuoteMeta(strings.TrimPrefix(before, "{")), ":", `\s*:\s*`)
		after = regexp.QuoteMeta(strings.TrimSuffix(after, "}"))
	}
	if s.attrs == nil {
		s.attrs = map[string]*regexp.Regexp{}
	}
	s.attrs[a.Name] = regexp.MustCompile(before + `\s*(` + s.vendor.Account.Pattern + `)\s*` + after) // the library was read: it compiles
}

// fromAttributes is a party with the account that the attributes of its script say, where its address says none.
func (j *Judge) fromAttributes(p Party, get func(name string) (string, bool)) Party {
	if p.Vendor == nil || p.Account != "" {
		return p
	}
	i := slices.IndexFunc(j.signs, func(s signs) bool { return s.vendor == p.Vendor })
	for name, re := range j.signs[i].attrs {
		value, _ := get(name)
		if m := re.FindStringSubmatch(value); m != nil {
			p.Account = m[1]
		}
	}
	return p
}

func (s *signs) addCall(pattern string) {
	if re, err := regexp.Compile(pattern); err == nil { // one that has a placeholder in it is of no use
		s.calls = append(s.calls, re)
	}
}

// usualHost is a host of the vendor's file with the defaults of its options; who hosts it otherwise is not known by it.
func usualHost(v *vendors.Vendor, host string) string {
	for _, o := range v.Options {
		if name, _, _ := strings.Cut(o.Default, "/"); name != "" {
			host = strings.ReplaceAll(host, "{"+o.Name+"}", name)
		}
	}
	return host
}

var placeholder = regexp.MustCompile(`\\\{\w+\\\}`)

// fillPattern makes of a template a pattern that finds the account in it: any value in place of the options.
func fillPattern(template, account string) string {
	quoted := strings.Replace(regexp.QuoteMeta(template), `\{id\}`, "\x00", 1)
	quoted = placeholder.ReplaceAllString(quoted, `[\w./@:-]+?`)
	return strings.Replace(quoted, "\x00", "("+account+")", 1)
}

// hasPaths tells whether the file says which addresses on a host are the vendor's.
func (s *signs) hasPaths(host string) bool {
	return slices.ContainsFunc(s.vendor.Addresses, func(a string) bool { return strings.HasPrefix(a, host+"/") })
}

// nearest is how much of an address is the beginning of one of the vendor's, in bytes; -1 where none is.
func (s *signs) nearest(host string, u *url.URL) int {
	best := -1
	for i := range s.paths {
		p := &s.paths[i]
		if p.host != host && !hosts.Covers(p.host, host) {
			continue
		}
		if n := p.begins(u.Path); n > best && s.fits(p, u.RawQuery) {
			best = n
		}
	}
	return best
}

// fits tells whether an address, or what code writes of one, is the vendor's and not another's with the same beginning.
func (s *signs) fits(p *prefix, query string) bool {
	if p.alone || p.param == "" || s.id == nil {
		return true
	}
	values, _ := url.ParseQuery(query) // what is wrong in it is left out
	return s.id.MatchString(values.Get(p.param))
}

func (p *prefix) String() string { return p.host + strings.Join(p.parts, "*") }

// begins is the length of the path's beginning that fits, or -1.
func (p *prefix) begins(path string) int {
	path = cmp.Or(path, "/")
	rest, found := strings.CutPrefix(path, p.parts[0])
	for _, part := range p.parts[1:] {
		if !found {
			return -1
		}
		_, after, slash := strings.Cut(rest, "/")
		if !slash {
			return -1
		}
		rest, found = strings.CutPrefix("/"+after, part)
	}
	if !found {
		return -1
	}
	return len(path) - len(rest)
}

// account is the site's account at the vendor, where an address of the vendor's has one.
func (s *signs) account(u *url.URL) string {
	if s.id == nil {
		return ""
	}
	whole := u.Host + u.EscapedPath()
	for _, re := range s.ids {
		if m := re.FindStringSubmatch(whole); m != nil {
			return m[1]
		}
	}
	if u.RawQuery != "" {
		query := u.Query()
		for _, param := range s.params {
			if value := query.Get(param); value != "" && s.id.MatchString(value) {
				return value
			}
		}
		if s.id.MatchString(u.RawQuery) {
			return u.RawQuery
		}
	}
	return s.inPath(u.Path)
}

// inPath is a part of the path that is an account: the vendor's other files have it where its script has it not.
func (s *signs) inPath(path string) string {
	for part := range strings.SplitSeq(path, "/") {
		part, _, _ = strings.Cut(part, ".")
		if digits(part) >= 5 && s.id.MatchString(part) {
			return part
		}
	}
	return ""
}

func digits(s string) (n int) {
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}

// An account of Universal Analytics, which Google switched off in 2024: its tags still stand in many pages, and still ask
// Google. The library has no vendor for what nobody can sign up for.
var universal = regexp.MustCompile(`\bUA-[0-9]{4,10}-[0-9]{1,4}\b`)

const (
	oldName = "Google Analytics (Universal Analytics)"
	oldHost = "www.google-analytics.com"
)

// legacy tells whether an address is one of Universal Analytics.
func legacy(host string, u *url.URL) (Party, bool) {
	analytics := host == oldHost || host == "ssl.google-analytics.com"
	if !analytics && host != "www.googletagmanager.com" {
		return Party{}, false
	}
	account := ""
	if strings.Contains(u.RawQuery, "UA-") {
		account = universal.FindString(u.RawQuery)
	}
	switch u.Path {
	case "/analytics.js", "/ga.js", "/urchin.js", "/__utm.gif", "/cx/api.js", "/plugins/ua/linkid.js":
		if analytics {
			return old(host, account), true
		}
	}
	return old(host, account), account != ""
}

func old(host, account string) Party {
	return Party{Host: host, Basis: ByTable, Name: oldName, Account: account, Category: "analytics"}
}
