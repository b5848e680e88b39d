package audit

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/simulate"
	"github.com/stilehq/stile/server/vendors"
)

const siteFile = `
site: shop
origins: ["https://www.shop.example", "https://cdn.shop-files.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
languages: [en]
regimes:
  - {name: us, regions: [US], model: opt-out}
  - {name: other, regions: ["*"], model: opt-in}
categories: {necessary: {required: true}, functional: {}, analytics: {}, marketing: {}}
tags:
  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}
  - {name: Chat, category: functional, script: "https://chat.shop.example/w.js", cookies: ["chat_*"], storage: ["chat_*"]}
  - {name: Pixel A, category: marketing, pixel: "https://pixel-a.example/p.gif"}
  - {name: House counter, category: analytics, script: "https://www.shop.example/count.js"}
  - {name: Clicks, category: marketing, script: "https://static.hotjar.com/c/hotjar-2.js"}
  - {name: Maps, category: functional, script: "https://widgets.example/maps.js"}
  - {name: Votes, category: marketing, script: "https://widgets.example/votes.js"}
  - {vendor: ga4, name: Shop numbers, id: G-ZZ12CD34EF, category: functional}
  - {name: Login, category: necessary, script: "https://login.example/l.js", cookies: ["session"]}
`

// library is what Stile knows of vendors; the site is read as serve reads it.
func testSite(t *testing.T) (*consent.Site, *vendors.Library) {
	t.Helper()
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stile.yaml")
	if err := os.WriteFile(path, []byte(siteFile), 0o600); err != nil {
		t.Fatal(err)
	}
	sites, report := config.LoadAll(path, config.Options{Vendors: library})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return sites[0], library
}

// found says what was found of a state, in words.
func found(list []Finding) (words []string) {
	for _, f := range list {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", f.Verdict, f.What, f.Subject, f.Who)))
	}
	return words
}

func request(address string) Request {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return Request{URL: address, Host: u.Host}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	site, library := testSite(t)
	anyone := page.NewJudge(nil, library)
	at, _ := url.Parse("https://www.shop.example/")
	for name, tt := range map[string]struct {
		visit  simulate.Visit
		region string
		none   bool     // there is no file
		same   bool     // Stile is on the page's own origin
		offers []string // without a file: the page's categories, if others than the library's
		filed  map[string][]string
		always string // subject of a cookie that was wrong before the choice already
		state  State
		want   []string
	}{
		"own, and Stile's": {state: State{
			Requests: []Request{request("https://www.shop.example/a.js"), request("https://img.shop.example/b.png"), request("https://cdn.shop-files.example/c.css"), request("https://consent.other.example/stile/shop/watch.js"), request("wss://www.shop.example/live")},
			Cookies:  []Cookie{{Name: "stile_shop", Domain: ".shop.example"}, {Name: "stile_shop_state", Domain: "www.shop.example"}},
			Storage:  []Key{{Kind: Session, Name: "stile_left", Origin: "https://www.shop.example"}},
		}},
		"a tag's host before a choice":        {state: State{Requests: []Request{request("https://pixel-a.example/other.js")}}, want: []string{"wrong request pixel-a.example: Pixel A"}},
		"a tag's own host before a choice":    {state: State{Requests: []Request{request("https://chat.shop.example/w.js")}}, want: []string{"wrong request chat.shop.example: Chat"}},
		"a tag on the page's own host":        {state: State{Requests: []Request{request("https://www.shop.example/count.js?x=1")}}, want: []string{"wrong request www.shop.example: House counter"}},
		"a tag's host, accepted":              {visit: only("marketing"), state: State{Requests: []Request{request("https://pixel-a.example/p.gif")}}},
		"a tag's host, another accepted":      {visit: only("analytics"), state: State{Requests: []Request{request("https://pixel-a.example/p.gif")}}, want: []string{"wrong request pixel-a.example: Pixel A"}},
		"a tag's web socket":                  {state: State{Requests: []Request{request("wss://pixel-a.example/live")}}, want: []string{"wrong request pixel-a.example: Pixel A"}},
		"a necessary tag":                     {state: State{Requests: []Request{request("https://login.example/l.js")}, Cookies: []Cookie{{Name: "session", Domain: "www.shop.example"}}}},
		"opt-out, before a choice":            {region: "US-NY", state: State{Requests: []Request{request("https://pixel-a.example/p.gif")}}},
		"opt-out, with the signal":            {region: "US-NY", visit: simulate.Visit{GPC: true}, state: State{Requests: []Request{request("https://pixel-a.example/p.gif"), request("https://chat.shop.example/w.js")}}, want: []string{"wrong request pixel-a.example: Pixel A"}},
		"a vendor that the file lacks":        {state: State{Requests: []Request{request("https://www.clarity.ms/tag/abc")}}, want: []string{"wrong request www.clarity.ms: Microsoft Clarity"}},
		"the same, everything accepted":       {visit: simulate.Visit{Choice: simulate.All}, state: State{Requests: []Request{request("https://www.clarity.ms/tag/abc")}}, want: []string{"warning request www.clarity.ms: Microsoft Clarity"}},
		"nobody knows it":                     {visit: simulate.Visit{Choice: simulate.All}, state: State{Requests: []Request{request("https://nobody.invalid/x.js"), request("https://nobody.invalid/y.js")}}, want: []string{"warning request nobody.invalid:"}},
		"a library that is no tag":            {state: State{Requests: []Request{request("https://cdn.jsdelivr.net/npm/x.js")}}},
		"a tag's cookie after a refusal":      {visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Cookies: []Cookie{{Name: "_ga", Domain: ".shop.example"}, {Name: "chat_id", Domain: "www.shop.example"}}}, want: []string{"wrong cookie _ga of shop.example: Google Analytics 4", "wrong cookie chat_id of www.shop.example: Chat"}},
		"a tag's cookie elsewhere":            {state: State{Cookies: []Cookie{{Name: "id", Domain: ".pixel-a.example", ThirdParty: true}}}, want: []string{"wrong cookie id of pixel-a.example: Pixel A"}},
		"a cookie elsewhere, left from then":  {visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Cookies: []Cookie{{Name: "id", Domain: ".pixel-a.example", ThirdParty: true, Left: true}}}, want: []string{"warning cookie id of pixel-a.example: Pixel A"}},
		"an own cookie, left from then":       {visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Cookies: []Cookie{{Name: "chat_id", Domain: "www.shop.example", Left: true}}}, want: []string{"wrong cookie chat_id of www.shop.example: Chat"}},
		"a cookie that nobody named":          {state: State{Cookies: []Cookie{{Name: "what", Domain: "www.shop.example"}}}, want: []string{"warning cookie what of www.shop.example:"}},
		"a vendor's cookie of no tag":         {state: State{Cookies: []Cookie{{Name: "_clck", Domain: ".shop.example"}}}, want: []string{"wrong cookie _clck of shop.example: Microsoft Clarity"}},
		"a tag's key":                         {state: State{Storage: []Key{{Kind: Local, Name: "chat_open", Origin: "https://www.shop.example"}}}, want: []string{`wrong storage localStorage "chat_open" of www.shop.example: Chat`}},
		"a key that a vendor's script made":   {state: State{Storage: []Key{{Kind: Local, Name: "x", Origin: "https://www.shop.example", By: Origin{Kind: "script", URL: "https://www.clarity.ms/tag/abc", Line: 3}}}}, want: []string{`wrong storage localStorage "x" of www.shop.example: Microsoft Clarity`}},
		"a cookie that a tag's server set":    {visit: only("marketing"), state: State{Cookies: []Cookie{{Name: "x", Domain: "www.shop.example", By: Origin{Kind: "response", URL: "https://pixel-a.example/p.gif"}}}}},
		"the same, not deletable":             {visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Cookies: []Cookie{{Name: "x", Domain: "www.shop.example", HTTPOnly: true, Left: true, By: Origin{Kind: "response", URL: "https://pixel-a.example/p.gif"}}}}, want: []string{"warning cookie x of www.shop.example: Pixel A"}},
		"a tag's key, accepted":               {visit: only("functional"), state: State{Storage: []Key{{Kind: Local, Name: "chat_open", Origin: "https://www.shop.example"}}}},
		"a key in a tag's frame":              {state: State{Storage: []Key{{Kind: IndexedDB, Name: "any", Origin: "https://pixel-a.example"}}}, want: []string{`wrong storage IndexedDB "any" of pixel-a.example: Pixel A`}},
		"no file, nothing accepted":           {none: true, state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js"), request("https://pixel-a.example/p.gif")}}, want: []string{"wrong request static.hotjar.com: Hotjar", "warning request pixel-a.example:"}},
		"no file, its category accepted":      {none: true, visit: only("analytics"), state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}},
		"no file, the page grants by itself":  {none: true, state: State{Granted: []string{"analytics"}, Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}},
		"no file, refused, the page grants":   {none: true, visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Granted: []string{"analytics"}, Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}, want: []string{"wrong request static.hotjar.com: Hotjar"}},
		"no file, other names, accepted":      {none: true, offers: []string{"statistics", "ads"}, visit: simulate.Visit{Choice: simulate.All}, state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}, Cookies: []Cookie{{Name: "_ga", Domain: ".shop.example"}}}},
		"no file, other names, one accepted":  {none: true, offers: []string{"statistics", "ads"}, visit: only("statistics"), state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}, Cookies: []Cookie{{Name: "_ga", Domain: ".shop.example"}}}},
		"no file, other names, refused":       {none: true, offers: []string{"statistics", "ads"}, visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}, Cookies: []Cookie{{Name: "_ga", Domain: ".shop.example"}}}, want: []string{"wrong request static.hotjar.com: Hotjar", "wrong cookie _ga of shop.example: Google Analytics 4"}},
		"no file, filed otherwise":            {none: true, filed: map[string][]string{"Hotjar": {"marketing"}}, visit: only("marketing"), state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}},
		"no file, whatever is accepted":       {none: true, filed: map[string][]string{"Hotjar": {"analytics", "marketing"}}, visit: only("marketing"), state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}, want: []string{"wrong request static.hotjar.com: Hotjar"}},
		"no file, filed otherwise, refused":   {none: true, filed: map[string][]string{"Hotjar": {"marketing"}}, visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-1.js")}}, want: []string{"wrong request static.hotjar.com: Hotjar"}},
		"not deletable, and there before":     {always: "x of www.shop.example", visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Cookies: []Cookie{{Name: "x", Domain: "www.shop.example", HTTPOnly: true, Left: true, By: Origin{Kind: "response", URL: "https://pixel-a.example/p.gif"}}}}, want: []string{"wrong cookie x of www.shop.example: Pixel A"}},
		"stile_ of a page of somebody else's": {state: State{Storage: []Key{{Kind: Local, Name: "stile_x", Origin: "https://pixel-a.example"}}}, want: []string{`wrong storage localStorage "stile_x" of pixel-a.example: Pixel A`}},
		"another vendor at a tag's host":      {visit: only("analytics"), state: State{Requests: []Request{request("https://www.googletagmanager.com/gtag/js?id=AW-123456789"), request("https://www.googletagmanager.com/gtm.js?id=GTM-ABCD123"), request("https://www.googletagmanager.com/gtag/js?id=G-AB12CD34EF")}}, want: []string{"wrong request www.googletagmanager.com: Google Ads", "wrong request www.googletagmanager.com: Google Tag Manager"}},
		"the same after refusal":              {visit: simulate.Visit{Choice: simulate.Rejected}, state: State{Requests: []Request{request("https://www.googletagmanager.com/gtm.js?id=GTM-ABCD123")}}, want: []string{"wrong request www.googletagmanager.com: Google Tag Manager"}},
		"another account at a vendor":         {visit: only("functional"), state: State{Requests: []Request{request("https://www.googletagmanager.com/gtag/js?id=G-ZZ12CD34EF"), request("https://region1.google-analytics.com/g/collect?tid=G-AB12CD34EF")}}, want: []string{"wrong request region1.google-analytics.com: Google Analytics 4"}},
		"another tag at a host":               {visit: only("functional"), state: State{Requests: []Request{request("https://widgets.example/maps.js"), request("https://widgets.example/tile.png"), request("https://widgets.example/votes.js")}}, want: []string{"wrong request widgets.example: Votes"}},
		"a vendor that the file files":        {visit: only("marketing"), state: State{Requests: []Request{request("https://static.hotjar.com/c/hotjar-2.js"), request("https://vars.hotjar.com/x")}, Cookies: []Cookie{{Name: "_hjSession_1", Domain: ".shop.example"}}}},
		"the same, another accepted":          {visit: only("analytics"), state: State{Requests: []Request{request("https://vars.hotjar.com/x")}, Cookies: []Cookie{{Name: "_hjSession_1", Domain: ".shop.example"}}}, want: []string{"wrong request vars.hotjar.com: Clicks", "wrong cookie _hjSession_1 of shop.example: Clicks"}},
		"same origin, Stile's own": {same: true, state: State{
			Requests: []Request{request("https://www.shop.example/stile/shop/watch.js"), request("https://www.shop.example/a.js")},
			Cookies:  []Cookie{{Name: "stile_shop", Domain: "www.shop.example"}},
			Storage:  []Key{{Kind: Session, Name: "stile_left", Origin: "https://www.shop.example"}},
		}},
		"same origin, a tag":                 {same: true, state: State{Requests: []Request{request("https://www.shop.example/count.js")}}, want: []string{"wrong request www.shop.example: House counter"}},
		"same origin, a tag's key":           {same: true, state: State{Storage: []Key{{Kind: Local, Name: "chat_open", Origin: "https://www.shop.example"}}}, want: []string{`wrong storage localStorage "chat_open" of www.shop.example: Chat`}},
		"same origin, a vendor's key":        {same: true, state: State{Storage: []Key{{Kind: Session, Name: "_gcl_ls", Origin: "https://www.shop.example"}}}, want: []string{`wrong storage sessionStorage "_gcl_ls" of www.shop.example: Google Ads`}},
		"same origin, a key that a tag made": {same: true, state: State{Storage: []Key{{Kind: IndexedDB, Name: "x", Origin: "https://www.shop.example", By: Origin{Kind: "script", URL: "https://www.shop.example/count.js"}}}}, want: []string{`wrong storage IndexedDB "x" of www.shop.example: House counter`}},
		"the consent host's other addresses": {state: State{Requests: []Request{request("https://consent.other.example/x.js")}}, want: []string{"warning request consent.other.example:"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := &rules{anyone: anyone, library: library.All(), page: at, stile: "https://consent.other.example/stile/"}
			j.always = map[string]bool{tt.always: true}
			if tt.same {
				j.stile = "https://www.shop.example/stile/"
			}
			if tt.none {
				j.known = anyone
				j.offered, j.filed = []string{"functional", "analytics", "marketing"}, tt.filed
				if tt.offers != nil {
					j.offered = tt.offers
				}
				j.granted = permitted(tt.visit, &tt.state, &seen{Denied: j.offered})
			} else {
				v, err := tt.visit.Of(site, noon)
				if err != nil {
					t.Fatal(err)
				}
				v.Region = tt.region
				d := consent.Decide(site, v)
				j.site, j.known, j.decision = site, page.NewJudge(site, library), &d
			}
			got := j.judge(&tt.state)
			if d := cmp.Diff(tt.want, found(got)); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			for _, f := range got {
				if f.Because == "" || f.Times < 1 || f.Verdict == Wrong && (f.Who == "" || f.Category == "") {
					t.Errorf("not all is said: %+v", f)
				}
			}
		})
	}
}

func only(category string) simulate.Visit {
	return simulate.Visit{Choice: simulate.Some, Categories: []string{category}}
}

// On a developer's machine the parties differ by their port alone.
func TestSameSite(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"www.shop.example", "shop.example", true},
		{"www.shop.example:8443", "img.shop.example", true},
		{"www.shop.example", "shop.other.example", false},
		{"a.github.io", "b.github.io", false},
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1", "10.0.0.1", false},
		{"localhost:1", "localhost:2", false},
		{"[::1]:1", "[::1]:2", false},
		{"co.uk", "a.co.uk", false},
	} {
		if got := sameSite(tt.a, tt.b); got != tt.want {
			t.Errorf("sameSite(%q, %q) is %v", tt.a, tt.b, got)
		}
	}
}

// Findings of several states are one line, the worst first, then those of most states.
func TestLines(t *testing.T) {
	f := func(v Verdict, subject string) Finding {
		return Finding{Verdict: v, What: ARequest, Subject: subject, Times: 1}
	}
	r := &Report{States: []State{
		{Title: "one", Findings: []Finding{f(Wrong, "b"), f(Warning, "c")}},
		{Title: "two", Findings: []Finding{f(Wrong, "a"), f(Warning, "c")}},
		{Title: "three", Findings: []Finding{f(Wrong, "a")}},
	}}
	var got []string
	for _, l := range r.Lines() {
		got = append(got, fmt.Sprintf("%s %s %d %s", l.Verdict, l.Subject, l.Times, strings.Join(l.States, "+")))
	}
	if want := []string{"wrong a 2 two+three", "wrong b 1 one", "warning c 2 one+two"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

// Who made something is read from a stack whose innermost frames, which are ours, have no address.
func TestInStack(t *testing.T) {
	stack := "Error\n    at note (<anonymous>:9:60)\n    at set (<anonymous>:15:7)\n    at https://chat.example/w.js?v=1:9:3\n    at https://www.shop.example/:2:1"
	if m := inStack.FindStringSubmatch(stack); m == nil || m[1] != "https://chat.example/w.js?v=1" || m[2] != "9" {
		t.Errorf("found %q", m)
	}
}

func TestTrouble(t *testing.T) {
	for code, want := range map[string]string{
		"net::ERR_NAME_NOT_RESOLVED": "no such host", "net::ERR_TOO_MANY_REDIRECTS": "in a circle", "net::ERR_CERT_DATE_INVALID": "ignore-certificate-errors",
		"net::ERR_CONNECTION_REFUSED": "nothing listens", "net::ERR_CONNECTION_TIMED_OUT": "does not answer", "net::ERR_INVALID_RESPONSE": "(ERR_INVALID_RESPONSE)",
	} {
		if got := trouble(code); !strings.Contains(got, want) {
			t.Errorf("%s: %s", code, got)
		}
	}
}

// A cookie has whoever set it where it is: others have one of the same name elsewhere.
func TestSetters(t *testing.T) {
	w := newWatch("b")
	w.setCookie("id=1; Path=/; Domain=.Shop.example; HttpOnly", "https://www.shop.example/a", Origin{Kind: "response", URL: "https://www.shop.example/a"})
	w.setCookie("id=2", "https://pixel-a.example:8443/p.gif", Origin{Kind: "response", URL: "https://pixel-a.example:8443/p.gif"})
	w.setCookie("id=;", "https://www.shop.example", Origin{Kind: "script", URL: "https://www.shop.example/b.js"})
	for domain, want := range map[string]string{
		".shop.example": "https://www.shop.example/a", "pixel-a.example": "https://pixel-a.example:8443/p.gif", "www.shop.example": "https://www.shop.example/b.js", "other.example": "",
	} {
		if got := w.setter(cookieAt("id", domain)); got.URL != want {
			t.Errorf("id of %s was set by %q, want %q", domain, got.URL, want)
		}
	}
}

func TestDays(t *testing.T) {
	for after, want := range map[time.Duration]float64{time.Second: 1.0 / 1440, 30 * time.Minute: 30.0 / 1440, 71 * time.Minute: 71.0 / 1440, 180 * 24 * time.Hour: 180} {
		c := &network.Cookie{Expires: float64(noon.Add(after).Unix())}
		if got := days(c, noon); got != want {
			t.Errorf("%v are %v days, want %v", after, got, want)
		}
	}
	if got := days(&network.Cookie{Session: true, Expires: -1}, noon); got != 0 {
		t.Errorf("a session's cookie has %v days", got)
	}
}
