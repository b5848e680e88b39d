package page

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stilehq/stile/server/thirdparty"
	"github.com/stilehq/stile/server/vendors"
)

// word is a variable by which code shows whose it is. Where it has to be called, pattern says how.
type word struct {
	vendor  int    // in Judge.signs, or -1
	host    string // of the table, where the library has no vendor
	pattern *regexp.Regexp
}

// others are variables of parties of which the library has no vendor, each with a host that the table knows.
var others = map[string]string{
	"_sf_async_config":      "static.chartbeat.com",
	"_comscore":             "sb.scorecardresearch.com",
	"NREUM":                 "js-agent.newrelic.com",
	"googletag":             "securepubads.g.doubleclick.net",
	"apstag":                "c.amazon-adsystem.com",
	"_qevents":              "secure.quantserve.com",
	"_gaq":                  oldHost,
	"_gat":                  oldHost,
	"__gaTracker":           oldHost,
	"ga('create')":          oldHost,
	"ga('send')":            oldHost,
	"gtag('config','{id}')": oldHost,
	"iam_data":              "script.ioam.de",
	"iom.c":                 "script.ioam.de",
	"IOMm()":                "script.ioam.de",
	"PARSELY":               "static.parsely.com",
	"webtrekkV3":            "handle.webtrekk.net",
	"BOOMR_lasthit":         "s.go-mpulse.net",
}

// addWords takes in a vendor's globals.
func (j *Judge) addWords(i int, v *vendors.Vendor) {
	for _, g := range v.Globals {
		j.addWord(g, word{vendor: i}, v.Account.Pattern)
	}
}

func (j *Judge) addOtherWords() {
	for g, host := range others {
		j.addWord(g, word{vendor: -1, host: host}, `UA-[0-9]{4,10}-[0-9]{1,4}`)
	}
}

func (j *Judge) addWord(global string, w word, account string) {
	name, _, called := strings.Cut(global, "(")
	first, _, member := strings.Cut(name, ".")
	if called || member {
		w.pattern = callPattern(global, account)
	}
	j.words[first] = append(j.words[first], &w)
	j.first[first[0]] |= 1 << min(len(first), 63)
}

// callPattern finds a call as Vendor.Globals writes it: with these literals first, or with any literal or none.
func callPattern(call, account string) *regexp.Regexp {
	name, args, called := strings.Cut(strings.TrimSuffix(call, ")"), "(")
	pattern := `^` + strings.ReplaceAll(regexp.QuoteMeta(name), `\.`, `\s*\??\.\s*`)
	switch {
	case !called:
		return regexp.MustCompile(pattern + `\b`)
	case args == "":
		return regexp.MustCompile(pattern + `\s*\(\s*(?:['"` + "`" + `\d)])`)
	}
	pattern += `\s*\(`
	for i, arg := range strings.Split(args, ",") {
		if i > 0 {
			pattern += `\s*,`
		}
		if arg == "{id}" || arg == "'{id}'" {
			pattern += `\s*['"]?(` + account + `)['"]?\b`
		} else {
			pattern += `\s*['"]` + regexp.QuoteMeta(strings.Trim(arg, "'")) + `['"]`
		}
	}
	return regexp.MustCompile(pattern)
}

// What stands before the account in our own code for a vendor stands before it in the vendor's: the names are its protocol.
var (
	beforeCall = regexp.MustCompile(`(?:([\w$]+)\(|\[)'([\w$]+)',$`) // fbq('init',  ['setSiteId',
	beforeName = regexp.MustCompile(`([\w$]+)([=:(])\+?'?$`)         // hjid:  _linkedin_partner_id=  ym(
)

// calls find the account in code, the surest first. The first own of them are calls of the vendor's that a page may have
// several of, each of another account, and the first sure are nobody else's.
func calls(v *vendors.Vendor) (list []*regexp.Regexp, own, sure int) {
	var rest []*regexp.Regexp
	account := `\s*\+?\s*\\?['"]?(` + v.Account.Pattern + `)(?:[^\w-]|$)`
	for _, g := range v.Globals {
		if strings.Contains(g, "{id}") {
			pattern := callPattern(g, v.Account.Pattern).String()
			list = append(list, regexp.MustCompile(`\b`+pattern[1:]))
		}
	}
	own = len(list)
	code := strings.Join([]string{v.Load.Before, v.Load.Signal, v.Load.After}, "\n")
	for at := range indexes(code, "{id}") {
		before := code[max(0, at-64):at]
		if m := beforeCall.FindStringSubmatch(strings.TrimRight(before, "+'")); m != nil {
			list = append(list, regexp.MustCompile(`\b`+regexp.QuoteMeta(m[2])+`['"]\s*,`+account))
		} else if m := beforeName.FindStringSubmatch(before); m != nil {
			op := regexp.QuoteMeta(m[2])
			if m[2] != "(" {
				op = `['"]?\s*[=:]`
			}
			rest = append(rest, regexp.MustCompile(`\b`+regexp.QuoteMeta(m[1])+`\s*`+op+account))
		}
	}
	if re := regexp.MustCompile(v.Account.Pattern); strings.HasSuffix(literal(re), "-") || strings.HasSuffix(literal(re), "_") {
		list = append(list, regexp.MustCompile(`['"=](`+v.Account.Pattern+`)['"&]`)) // GTM-…: nothing else looks like it
	} else if len(v.Account.Example) >= 20 {
		rest = append(rest, regexp.MustCompile(`['"](`+v.Account.Pattern+`)['"]`)) // nor like what is so long
	}
	sure = len(list)
	return append(append(list, rest...), regexp.MustCompile(`['"]script['"]\s*,(?:\s*['"]\w+['"]\s*,)?\s*['"](`+v.Account.Pattern+`)['"]`)), own, sure // the last of (window, document, 'script', …)
}

func literal(re *regexp.Regexp) string {
	prefix, _ := re.LiteralPrefix()
	return prefix
}

func indexes(s, part string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for from := 0; ; {
			i := strings.Index(s[from:], part)
			if i < 0 || !yield(from+i) {
				return
			}
			from += i + len(part)
		}
	}
}

// Snippet tells whose a snippet of JavaScript is: the parties whose hosts or globals it names, each once, a vendor for each of
// its accounts, in the order in which they stand in it. Code that is the page's own has none, and so has code that only hands
// data to a tag that is loaded elsewhere (dataLayer.push): nothing leaves the browser by it. Words in comments, in strings and
// in JSON do not count.
func (j *Judge) Snippet(code string) []Party { return j.snippet(code, nil) }

// snippet is Snippet of code in a page of that address, with the hosts too from which the code loads something and which
// nobody knows, or which only the site's file knows.
func (j *Judge) snippet(code string, of *url.URL) []Party {
	r := reader{judge: j, code: plainly(code), of: of, askedFor: map[string]bool{}, looked: map[string]looked{}}
	r.read()
	return j.ofSite(r.found)
}

// plainly is code in which the slashes of addresses are not written by their numbers, nor as unescape and its like undo it.
// The backslash stays before them: what is a regular expression ends where it did.
func plainly(code string) string {
	for _, slash := range []string{`\u002F`, `\u002f`, `\x2F`, `\x2f`} {
		if strings.Contains(code, slash) {
			code = strings.ReplaceAll(code, slash, `\/`)
		}
	}
	if (strings.Contains(code, "%2F") || strings.Contains(code, "%2f")) && (strings.Contains(code, "unescape(") || strings.Contains(code, "decodeURI")) {
		code = undone.ReplaceAllStringFunc(code, undo.Replace)
	}
	return code
}

var (
	undone = regexp.MustCompile(`\b(?:unescape|decodeURI(?:Component)?)\(\s*(?:"[^"\r\n]*"|'[^'\r\n]*')`)
	undo   = strings.NewReplacer("%2F", `\/`, "%2f", `\/`, "%3A", ":", "%3a", ":", "%22", `\"`, "%27", `\'`, "%20", " ", "%3C", "<", "%3c", "<",
		"%3E", ">", "%3e", ">", "%3D", "=", "%3d", "=", "%3F", "?", "%3f", "?", "%26", "&")
)

// reader goes over code once.
type reader struct {
	judge *Judge
	code  string
	of    *url.URL // the page, or nil
	found []Party

	open     int  // where the string begins that is read
	argument bool // it is the first of a call

	asks, askedOnce bool              // for asksAnything
	askedFor        map[string]bool   // by name
	looked          map[string]looked // where the accounts of a party were looked for
}

// looked is how often the accounts of a party were looked for, and up to where.
type looked struct{ tries, to int }

// maxTries bounds how often the accounts of one party are looked for in a snippet, maxAccounts how many are found at a time
// (a site's file takes no more tags), and maxRegexp how far the end of a regular expression is: nobody's code may make the
// reading take longer than it is long.
const (
	maxTries    = 8
	maxAccounts = 64
	maxRegexp   = 400
)

// asking are words by which code asks for something. Code with none of them is data, as of a program that lists the
// scripts which are in the page already.
var asking = []string{
	"createElement", ".src", "document.write", "sendBeacon", "fetch(", "Image(", "import(", "importScripts", "XMLHttpRequest", ".ajax",
	"getScript", "insertAdjacentHTML", "innerHTML", "setAttribute(",
}

func (r *reader) asksAnything() bool {
	if !r.askedOnce {
		r.askedOnce = true
		r.asks = slices.ContainsFunc(asking, func(word string) bool { return strings.Contains(r.code, word) })
	}
	return r.asks
}

// Kinds of bytes.
const (
	other = iota
	letter
	space
	quote
	slash
	wide // begins a character that is no letter: a space or an end of a line beyond ASCII, or a sign
)

var kinds = func() (k [256]byte) {
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '$', c >= 0x80:
			k[c] = letter
		case c <= ' ':
			k[c] = space
		}
	}
	k['"'], k['\''], k['`'], k['/'] = quote, quote, quote, slash
	k[0xc2], k[0xe2], k[0xef] = wide, wide, wide
	return k
}()

func (r *reader) read() {
	code := r.code
	last := byte('(') // the last byte that is no space: what a slash after it means
	for i := 0; i < len(code); {
		c := code[i]
		switch kinds[c] {
		case letter:
			start := i
			for i++; i < len(code) && kinds[code[i]] == letter; i++ {
			}
			if n := i - start; r.judge.first[c]&(1<<min(n, 63)) != 0 {
				r.word(start, i, last)
			}
			last = code[i-1]
			if last == 'n' && code[start:i] == "return" {
				last = '('
			}
			continue
		case quote:
			i = r.literal(i, last == '(')
			last = c
			continue
		case slash:
			if next := r.slash(i, last); next > i {
				i = next
				continue
			}
			last = c
		case wide:
			_, size := utf8.DecodeRuneInString(code[i:])
			i += size
			continue
		case other:
			last = c
		}
		i++
	}
}

// slash passes a comment or a regular expression; it returns i for a division.
func (r *reader) slash(i int, last byte) int {
	rest := r.code[i:]
	switch {
	case strings.HasPrefix(rest, "//"):
		for k := i + 2; k < len(r.code); k++ {
			if lineEnd(r.code[k:]) {
				return k
			}
		}
		return len(r.code)
	case strings.HasPrefix(rest, "/*"):
		if end := strings.Index(rest[2:], "*/"); end >= 0 {
			return i + 2 + end + 2
		}
		return len(r.code)
	case strings.IndexByte("(,=:[!&|?{};+-*%<>~^", last) < 0:
		return i
	}
	for class, k := false, i+1; k < min(len(r.code), i+maxRegexp); k++ {
		switch c := r.code[k]; {
		case c == '\\':
			k++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '/' && !class:
			return k + 1
		case lineEnd(r.code[k:]):
			return i
		}
	}
	return i
}

// lineEnd tells whether a line of JavaScript ends there: it knows two ends that are no bytes of ASCII.
func lineEnd(code string) bool {
	return code[0] == '\n' || code[0] == '\r' || code[0] == 0xe2 && (strings.HasPrefix(code, "\u2028") || strings.HasPrefix(code, "\u2029"))
}

// literal passes a string and looks at the addresses in it. One in plain quotes ends with its line, so that a quote which
// was none does no harm beyond it.
func (r *reader) literal(i int, argument bool) int {
	code, q := r.code, r.code[i]
	r.open, r.argument = i, argument
	start := i + 1
	k := start
	for ; k < len(code); k++ {
		switch c := code[k]; {
		case c == '\\':
			k++
			if strings.HasPrefix(code[k:], `/\/`) {
				k += 2
				r.address(k + 1)
			}
		case c == '/' && k+1 < len(code) && code[k+1] == '/':
			k++
			r.address(k + 1)
		case c == q, (c == '\n' || c == '\r') && q != '`':
			r.bare(start, k)
			return k + 1
		}
	}
	return len(code)
}

// bare looks at a string that is an address without its scheme, which the code puts before it.
func (r *reader) bare(from, to int) {
	dot := false
	for k := from; k < to; k++ {
		switch c := r.code[k]; {
		case c == '.':
			dot = k > from
		case c == '/':
			if dot && k > from+3 {
				r.address(from)
			}
			return
		case !hostByte(c):
			return
		}
	}
}

func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || 'A' <= c && c <= 'Z'
}

// word looks at a variable in code.
func (r *reader) word(from, to int, last byte) {
	words := r.judge.words[r.code[from:to]]
	if words == nil {
		return
	}
	around := r.code[from:min(len(r.code), from+256)]
	for _, w := range words {
		if w.pattern != nil {
			if !w.pattern.MatchString(around) || r.asked(r.code[from:to]) {
				continue
			}
		} else if !used(r.code[to:], last) {
			continue
		}
		if w.vendor >= 0 {
			r.add(w.vendor, from, "")
		} else {
			r.addOther(w.host, from)
		}
	}
}

// used tells whether a variable is written or used, and not a key or a question whether it is there.
func used(after string, last byte) bool {
	after = strings.TrimLeft(after, " \t\r\n")
	if after == "" || last == 'f' { // typeof
		return false
	}
	switch after[0] {
	case '=':
		return !strings.HasPrefix(after, "==")
	case '.', '[', '(':
		return true
	}
	return false
}

// asked tells whether the code asks first if a function is there: it then is the page's own code, which works without.
func (r *reader) asked(name string) bool {
	is, known := r.askedFor[name]
	if !known {
		is = slices.ContainsFunc([]string{"typeof %", "typeof window.%", "window.%)", "window.% &&", "window.%&&"}, func(form string) bool {
			return strings.Contains(r.code, strings.Replace(form, "%", name, 1))
		})
		r.askedFor[name] = is
	}
	return is
}

// address looks at an address in a string, from its host on.
func (r *reader) address(from int) {
	code := r.code
	to := from
	for to < len(code) && hostByte(code[to]) {
		to++
	}
	if to-from < 4 || to-from > 253 || strings.IndexByte(code[from:to], '.') < 0 || r.linked(from) {
		return
	}
	if code[from] == '.' {
		r.domain(strings.ToLower(code[from+1:to]), pathAt(code, to), from)
		return
	}
	host := strings.TrimSuffix(strings.ToLower(code[from:to]), ".")
	if sink := r.sink(from); sink || r.argument || r.asksAnything() {
		r.load(host, pathAt(code, to), from, sink)
	}
}

// domain looks at the end of an address whose first part the code puts before it, as "https://sb" or "http://b". It may be
// one that people visit: a script is none, nor is what is asked for with a query of a party that is not there to be visited.
func (r *reader) domain(domain, address string, at int) {
	path, query, _ := strings.Cut(address, "?")
	e, _ := thirdparty.Find(domain)
	if strings.IndexByte(domain, '.') > 0 && r.asksAnything() && (strings.HasSuffix(path, ".js") || query != "" && e.Kind != thirdparty.Social) {
		had := len(r.found)
		r.load("-."+domain, address, at, false) // a name that nobody has
		for i := range r.found[had:] {
			r.found[had+i].Host = domain
		}
	}
}

// sink tells whether the code loads what the string is the address of: x.src = "…", fetch("…"), import "…" and the like.
func (r *reader) sink(from int) bool {
	if scheme := r.code[r.open+1 : from]; from-r.open > len(`"https:\/\/`) || scheme == "" ||
		!slices.Contains(schemes, strings.TrimRight(scheme, `/\`)) {
		return false
	}
	before := trimRight(r.code[max(0, r.open-40):r.open])
	if before == "" {
		return false
	}
	rest := trimRight(before[:len(before)-1])
	switch before[len(before)-1] {
	case '=':
		return strings.HasSuffix(rest, ".src") || strings.HasSuffix(rest, `["src"]`) || strings.HasSuffix(rest, `['src']`)
	case ',':
		return slices.ContainsFunc(afterComma, func(end string) bool { return strings.HasSuffix(rest, end) })
	case '(':
		return slices.Contains(loaders, lastWord(rest))
	case 't', 'm':
		return lastWord(before) == "import" || lastWord(before) == "from"
	}
	return false
}

var (
	schemes    = []string{"", "http:", "https:"}
	afterComma = []string{`.setAttribute("src"`, `.setAttribute('src'`, `.open("GET"`, `.open('GET'`, `.open("POST"`, `.open('POST'`}
	loaders    = []string{"fetch", "sendBeacon", "import", "importScripts", "getScript"}
)

func trimRight(code string) string { return strings.TrimRight(code, " \t\r\n") }

func lastWord(code string) string {
	at := len(code)
	for at > 0 && kinds[code[at-1]] == letter {
		at--
	}
	return code[at:]
}

// linked tells whether an address is that of a link in a piece of HTML: nobody is asked until it is clicked.
func (r *reader) linked(at int) bool {
	before := strings.TrimRight(r.code[max(0, at-16):at], `/\:htps'"`)
	return strings.HasSuffix(before, "ref=") && !strings.HasSuffix(before, ".href=") || strings.HasSuffix(before, "hre")
}

// pathAt is the path of an address in a string, with the slashes that were escaped.
func pathAt(code string, from int) string {
	end := from
	for end < len(code) && end-from < 1024 && kinds[code[end]] != quote && kinds[code[end]] != space && code[end] != '<' {
		end++
	}
	return strings.ReplaceAll(strings.TrimSuffix(code[from:end], `\`), `\/`, "/")
}

// load adds whose an address in code is, if the code loads something from there, as well as that can be told.
func (r *reader) load(host, address string, at int, sink bool) {
	path, query, _ := strings.Cut(address, "?")
	sink = sink && (r.of == nil || !r.judge.own(host, r.of)) // a party's own pages ask the party
	if p, found := oldAddress(host, path); found {
		p.Account = r.universal(at)
		r.addParty(p)
		return
	}
	if i, sure, found := r.judge.inCode(host, path, query); found {
		if sure || loads(host, path, r.judge.signs[i].vendor.Category, sink) {
			r.add(i, at, host)
		}
	} else if e, known := thirdparty.Find(host); known && loads(host, path, e.Category(), sink) {
		r.addParty(table(host))
	} else if sink && r.of != nil {
		r.strange(host, address, known)
	}
}

// strange adds a host that the code loads something from, where the library does not know it: if the site's file does, or if
// nobody does and it is more than a picture.
func (r *reader) strange(name, address string, known bool) {
	if address == "" || strings.IndexByte("/?#:", address[0]) < 0 {
		return // more of the name may come
	}
	u, host := absolute("https://"+name+address, r.of)
	if host == "" || r.judge.own(host, r.of) {
		return
	}
	p := Party{Host: host}
	switch {
	case r.judge.site != nil && r.judge.tag(host, p) != nil:
		r.addParty(p) // ofSite knows it
	case !known && !looks(u.Path) && (u.RawQuery != "" || !strings.HasSuffix(u.Path, ".gif")):
		r.addParty(p)
	}
}

func oldAddress(host, path string) (Party, bool) {
	if strings.HasSuffix(host, "google-analytics.com") && (path == "/analytics.js" || path == "/ga.js" || path == "/urchin.js") {
		return old(host, ""), true
	}
	return Party{}, false
}

// inCode is whose an address in code is by the library. It is sure where the path says so.
func (j *Judge) inCode(host, path, query string) (found int, sure, ok bool) {
	best := 1 // of a path, more than a slash
	for _, list := range j.paths.of(host) {
		for _, i := range list {
			for k := range j.signs[i].paths {
				p := &j.signs[i].paths[k]
				n := p.begins(path)
				if n < 0 || p.host != host && !strings.HasPrefix(p.host, "*.") || !j.signs[i].fits(p, query) {
					continue
				}
				if found, ok = i, true; n > best {
					best, sure = n, true
				}
			}
		}
		if sure {
			return found, true, true
		}
	}
	for _, list := range j.hosts.of(host) {
		return list[0], false, true
	}
	return found, false, ok
}

// pages are names of hosts that people visit, so that code which names them more often links to them.
var pages = map[string]bool{
	"www": true, "app": true, "help": true, "support": true, "docs": true, "developers": true, "developer": true, "blog": true, "status": true,
	"info": true, "go": true, "my": true, "community": true, "legal": true, "buy": true, "trust": true, "m": true, "popup": true,
}

// loads tells whether code that names an address of a tracker loads something from there: a script, or something on a host
// that nobody visits, or on any where the code says so.
func loads(host, path, category string, sink bool) bool {
	if category == "" {
		return false
	}
	if strings.HasSuffix(path, ".js") {
		return true
	}
	first, rest, _ := strings.Cut(host, ".")
	if category == "functional" || !sink && (pages[first] || !strings.Contains(rest, ".")) {
		return false
	}
	return !looks(path) && (sink || !strings.HasSuffix(path, ".html"))
}

// looks tells whether a path is that of something which is there to be seen.
func looks(path string) bool {
	for _, ending := range []string{".jpg", ".jpeg", ".png", ".webp", ".svg", ".avif", ".mp4", ".woff", ".woff2", ".css"} {
		if strings.HasSuffix(path, ending) {
			return true
		}
	}
	return false
}

// near is the code around a place, in which the accounts of what stands there are looked for; "" where that was done.
func (r *reader) near(name string, at int) string {
	had, end := r.looked[name], min(len(r.code), at+8192)
	if had.tries == maxTries || had.tries > 0 && min(len(r.code), at+4096) <= had.to {
		return ""
	}
	r.looked[name] = looked{had.tries + 1, end}
	return strings.ReplaceAll(r.code[max(0, at-4096):end], `\/`, "/")
}

// add adds a vendor, once for each of its accounts.
func (r *reader) add(i, at int, host string) {
	s := &r.judge.signs[i]
	for _, account := range s.inCode(r.near(s.vendor.ID, at)) {
		p := r.judge.known(i, host, account)
		k := slices.IndexFunc(r.found, func(have Party) bool {
			return have.Vendor == p.Vendor && (have.Account == "" || have.Account == account)
		})
		if k < 0 {
			r.found = append(r.found, p)
		} else {
			r.found[k].Account = account
		}
	}
	r.addParty(r.judge.known(i, host, ""))
}

// inCode are the accounts of a vendor in code.
func (s *signs) inCode(code string) (list []string) {
	if code == "" {
		return nil
	}
	for i, re := range s.calls {
		most := 1
		switch {
		case i < s.own:
			most = maxAccounts
		case len(list) > 0:
			return list
		case i < s.sure:
			most = maxAccounts
		}
		for _, m := range re.FindAllStringSubmatch(code, most) {
			if !slices.Contains(list, m[1]) {
				list = append(list, m[1])
			}
		}
	}
	return list
}

func (r *reader) universal(at int) string { return universal.FindString(r.near(oldName, at)) }

// addOther adds a party that the table knows by one of its hosts.
func (r *reader) addOther(host string, at int) {
	p := table(host)
	if host == oldHost {
		p = old("", r.universal(at))
	}
	p.Host = ""
	r.addParty(p)
}

// addParty adds a party once, whatever its account, as the site knows it where it does.
func (r *reader) addParty(p Party) {
	if slices.ContainsFunc(r.found, func(have Party) bool {
		return have.Name == p.Name && have.Vendor == p.Vendor && (p.Name != "" || have.Host == p.Host)
	}) {
		return
	}
	r.found = append(r.found, p)
}

// ofSite are the parties as the site's file has them.
func (j *Judge) ofSite(list []Party) []Party {
	if j.site == nil {
		return list
	}
	for i, p := range list {
		if t := j.tagOf(p); t != nil {
			list[i] = j.ofTag(t, p)
		}
	}
	return list
}
