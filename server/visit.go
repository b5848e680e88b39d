package server

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/region"
)

// query is what the runtime adds to an address when it asks again.
type query struct {
	state  string // the state that the page sees: the mirror's value, and "!" behind it when it sees GPC
	named  bool   // state was given, if only to say that the page sees none
	lang   string
	choice string // the signed choice, where the cookie does not reach this host
}

func readQuery(r *http.Request) query {
	if r.URL.RawQuery == "" {
		return query{}
	}
	q := r.URL.Query()
	return query{state: q.Get("s"), named: q.Has("s"), lang: q.Get("lang"), choice: q.Get("choice")}
}

// visit reads what is known of a request. Of several choices that can be believed the latest counts.
func (s *Server) visit(r *http.Request, st *site, codec *cookie.Codec, q query) consent.Visit {
	if link := s.previewed(r, st); link != nil {
		return s.simulated(st, link)
	}
	v := consent.Visit{Region: s.region(r), GPC: hasGPC(r) || strings.HasSuffix(q.state, "!"), Crawler: crawler(r.UserAgent()), Now: s.now()}
	v.Choice = believed(codec, st.Name, append(cookieValues(r, st.cookie), q.choice, r.Header.Get("X-Stile-Choice")))
	return v
}

// believed is the latest of the choices that are signed for a site, or nil.
func believed(codec *cookie.Codec, site string, tokens []string) (latest *consent.Choice) {
	for _, token := range tokens {
		if token == "" {
			continue
		}
		choice, err := codec.Decode(site, token)
		if err == nil && (latest == nil || choice.Time.After(latest.Time)) {
			latest = choice
		}
	}
	return latest
}

// hasGPC tells whether the request carries Global Privacy Control: only the exact value 1 counts, in any of several
// headers (D1).
func hasGPC(r *http.Request) bool {
	for _, value := range r.Header["Sec-Gpc"] {
		if value == "1" {
			return true
		}
	}
	return false
}

func (s *Server) region(r *http.Request) string {
	return regionOf(r, s.opts.RegionHeader, s.opts.Proxies, s.current.Load().regions)
}

// regionOf is what the trusted proxy says, or else the region database, or "" where neither knows.
func regionOf(r *http.Request, header string, proxies region.Proxies, database *region.Database) string {
	if header != "" {
		if found := region.Parse(r.Header.Get(header)); found != "" {
			return found
		}
	}
	if database != nil {
		return database.Region(proxies.Client(r))
	}
	return ""
}

// cookieValues returns the values of all cookies of a name, as they were sent.
func cookieValues(r *http.Request, name string) []string {
	var values []string
	for _, c := range r.CookiesNamed(name) {
		values = append(values, c.Value)
	}
	return values
}

// oneCookie finds a cookie without an allocation. It is sure only where the name stands once, and no preview stands beside it.
func oneCookie(r *http.Request, name string) (value string, sure bool) {
	headers := r.Header["Cookie"]
	if len(headers) == 0 {
		return "", true
	}
	if len(headers) > 1 {
		return "", false
	}
	found := false
	for rest := headers[0]; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, ";")
		pair = strings.TrimLeft(pair, " ")
		if len(pair) <= len(name) || pair[:len(name)] != name {
			continue
		}
		switch {
		case pair[len(name)] == '=' && !found:
			value, found = pair[len(name)+1:], true
		case pair[len(name)] == '=', strings.HasPrefix(pair[len(name):], "_preview="):
			return "", false
		}
	}
	return value, true
}

// sameView tells whether a page that asks with this request can see the mirror cookie that this host sets: then its copy
// of the script may be kept, since the script compares the two.
func (st *site) sameView(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "same-origin" {
		return true
	}
	if site == "cross-site" {
		return false
	}
	page := r.Header.Get("Origin")
	if page == "" || page == "null" {
		page = r.Header.Get("Referer")
	}
	_, page, found := strings.Cut(page, "://")
	if !found {
		return false
	}
	if i := strings.IndexAny(page, "/?#"); i >= 0 {
		page = page[:i]
	}
	page, own := hostname(page), hostname(r.Host)
	return page == own || st.shares(page) && st.shares(own)
}

// crossSite tells whether a request comes from another site's page. No cookie of this host comes with it then, since they
// are SameSite=Lax: all that is known of the visitor is in the address.
func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

// shares tells whether a host gets the cookies of the site's cookie domain.
func (st *site) shares(host string) bool {
	domain := st.CookieDomain
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

func hostname(hostport string) string {
	if strings.IndexByte(hostport, ':') < 0 {
		return hostport
	}
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// visits keeps what came of visits lately, by all that it depended on, so that a returning visitor costs one look-up: no
// signature is checked twice and nothing is decided twice. A choice that has grown too old is decided anew, and so is what
// names an outcome that would be forgotten (nameAgain).
type visits struct {
	mu         sync.RWMutex
	young, old map[visitKey]outcome
	turn       uint64 // of the gate, when these answers were got
}

type visitKey struct {
	choice, region, lang, page string // page: its language, where the script's address names it
	gpc, crawler               bool
}

type outcome struct {
	answer *gate.Answer
	etag   []string // as a header's value
	asked  bool
	until  time.Time // when it is decided anew; zero: never

	counters counters
	shown    *preview.Link // a preview, or nil
}

const (
	mostVisits  = 8192 // in each of two generations
	longestText = 512  // of a key: what is longer is not kept, so that all of it stays under 16 MB (the answers are the gate's)
)

func newVisits() *visits {
	return &visits{young: map[visitKey]outcome{}, old: map[visitKey]outcome{}}
}

func (v *visits) get(key visitKey, now time.Time) (outcome, bool) {
	v.mu.RLock()
	o, found := v.young[key]
	if !found {
		o, found = v.old[key]
	}
	v.mu.RUnlock()
	return o, found && (o.until.IsZero() || now.Before(o.until))
}

// put keeps an outcome whose answer was got from the gate in this turn or later. Answers that the gate dropped are not to
// live on here, or they would be as many as there are visits.
func (v *visits) put(key visitKey, o outcome, turn uint64) {
	if len(key.choice)+len(key.region)+len(key.lang)+len(key.page) > longestText {
		return
	}
	// The strings are parts of a request's headers, which they would keep alive.
	key.choice, key.region = strings.Clone(key.choice), strings.Clone(key.region)
	key.lang, key.page = strings.Clone(key.lang), strings.Clone(key.page)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case turn < v.turn:
		return
	case turn > v.turn:
		v.young, v.old, v.turn = map[visitKey]outcome{}, map[visitKey]outcome{}, turn
	case len(v.young) >= mostVisits:
		v.old, v.young = v.young, make(map[visitKey]outcome, mostVisits)
	}
	v.young[key] = o
}
