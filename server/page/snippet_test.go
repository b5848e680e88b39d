package page

import (
	"strings"
	"testing"

	"github.com/stilehq/stile/server/consent"
)

func parties(list []Party) string {
	var names []string
	for _, p := range list {
		names = append(names, who(p))
	}
	return strings.Join(names, "; ")
}

func TestSnippet(t *testing.T) {
	j := NewJudge(nil, library(t))
	for _, test := range []struct{ name, code, want string }{
		{"init", `fbq('init', '123456789012345'); fbq('track', 'PageView')`, "meta-pixel 123456789012345 marketing"},
		{"loader", `!function(d,s){if(window.x)return;s=d.createElement('script');s.src='https://connect.facebook.net/en_US/fbevents.js';d.head.append(s)}(document)`, "meta-pixel  marketing"},
		{"container", `(function(w,d,s,l,i){w[l]=w[l]||[];var j=d.createElement(s);j.src='https://www.googletagmanager.com/gtm.js?id='+i;d.head.append(j)})(window,document,'script','dataLayer','GTM-ABCD123')`, "gtm GTM-ABCD123 functional"},
		{"config", `function gtag(){dataLayer.push(arguments)}gtag('js',new Date);gtag("config", "G-AB12CD34EF");gtag('config','AW-123456789')`, "ga4 G-AB12CD34EF analytics; google-ads AW-123456789 marketing"},
		{"universal", `ga('create', 'UA-12345-6', 'auto'); ga('send', 'pageview')`, "Google Analytics (Universal Analytics) UA-12345-6 analytics"},
		{"universal by gtag", `gtag('config','UA-12345-6')`, "Google Analytics (Universal Analytics) UA-12345-6 analytics"},
		{"older", `var _gaq = _gaq || []; _gaq.push(['_setAccount', 'UA-12345-6'])`, "Google Analytics (Universal Analytics) UA-12345-6 analytics"},
		{"settings", `(function(h){h._hjSettings={hjid:1234567,hjsv:6}})(window)`, "hotjar 1234567 analytics"},
		{"matomo", `var _paq = window._paq = window._paq || []; _paq.push(['setSiteId', '7'])`, "matomo 7 analytics"},
		{"clarity", `(function(c,l,a,r,i,t,y){t=l.createElement(r);t.src="https://www.clarity.ms/tag/"+i;l.head.append(t)})(window,document,"clarity","script","abcdef1234")`, "microsoft-clarity abcdef1234 analytics"},
		{"bing", `(function(w,d){var o={ti:"97267979"};w.q=o;var n=d.createElement('script');n.src='//bat.bing.com/bat.js';window.uetq=[]})(window,document)`, "microsoft-uet 97267979 marketing"},
		{"partner", `_linkedin_partner_id = "987654"; window._linkedin_data_partner_ids = [_linkedin_partner_id]`, "linkedin-insight 987654 marketing"},
		{"escaped", `var s=document.createElement("script");s.src="https:\/\/static.hotjar.com\/c\/hotjar-1234567.js"`, "hotjar 1234567 analytics"},
		{"escaped by numbers", `var s=document.createElement("script");s.src="https:\u002F\u002Fstatic.hotjar.com\u002Fc\u002Fhotjar-1234567.js"`, "hotjar 1234567 analytics"},
		{"escaped by short numbers", `s.src='\x2F\x2fconnect.facebook.net\x2fen_US\x2Ffbevents.js'`, "meta-pixel  marketing"},
		{"unescaped", `document.write(unescape("%3Cscript src=%22https%3A%2F%2Fstatic.hotjar.com%2Fc%2Fhotjar-1234567.js%22%3E%3C/script%3E"))`, "hotjar 1234567 analytics"},
		{"the end of a host", `document.write(unescape("%3Cscript src='"+(document.location.protocol=="https:"?"https://sb":"https://b")+".scorecardresearch.com/beacon.js' %3E%3C/script%3E"))`, "Scorecard Research  marketing"},
		{"the end of a pixel's host", `function u(J){x=new Image;x.src=J}u("http"+(a=="s"?"s://sb":"://b")+".scorecardresearch.com/p?c1=2&c2=1")`, "Scorecard Research  marketing"},
		{"the end of an old host", `var ga=document.createElement('script');ga.src=('https:'==l.protocol?'https://ssl':'http://www')+'.google-analytics.com/ga.js'`, "Google Analytics (Universal Analytics)  analytics"},
		{"a name, and the rest of it", `document.write(unescape("%3Cspan id='c'%3E%3C/span%3E%3Cscript src='" + p + "s4.cnzz.com/z_stat.php%3Fid%3D123' %3E%3C/script%3E"))`, "CNZZ  analytics"},
		{"no scheme", `s=document.createElement('script');s.src=('https:'==location.protocol?'https://':'http://')+'static.chartbeat.com/js/chartbeat.js'`, "Chartbeat  analytics"},
		{"number", `ym(12345678, "init", {webvisor:true})`, "yandex-metrica 12345678 analytics"},
		{"member", `ttq.load('C4A1B2C3D4E5F6G7H8I9'); ttq.page()`, "tiktok-pixel C4A1B2C3D4E5F6G7H8I9 marketing"},
		{"pins", "pintrk('load', '2612345678901');\npintrk('page');", "pinterest-tag 2612345678901 marketing"},
		{"after a regular expression", `var r = /["'/]/g; fbq('track', 'Lead')`, "meta-pixel  marketing"},
		{"after a quote that is none", "// don't\nfbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after a comment whose line ends as on old Macs", "// Meta\rfbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after a comment with another end of its line", "// Meta\u2028fbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after a line that ends otherwise", "var a = 1\u2029fbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after a space that does not break", "\u00a0fbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after an open quote", "it's\rfbq('track', 'Lead')", "meta-pixel  marketing"},
		{"after a slash", "a = /b\rfbq('track', 'Lead') / 2", "meta-pixel  marketing"},
		{"in the middle of a division", `var a = b / c; fbq('track', 'Lead'); d = e / f`, "meta-pixel  marketing"},
		{"an image", `new Image().src = "https://mc.yandex.ru/watch/12345678"`, "yandex-metrica  analytics"},
		{"table", `var s = document.createElement('script'); s.src = 'https://cdn.permutive.app/x-web.js'`, "Permutive  marketing"},
		{"a module", `import "https://js.hs-scripts.com/1234567.js"; start()`, "hubspot 1234567 marketing"},
		{"a module's name", "import a, {b} from 'https://cdn.mxpnl.com/libs/mixpanel-2-latest.min.js'", "mixpanel  analytics"},
		{"a module without spaces", `export*from"https://e09.hotjar.com/x.js"`, "hotjar  analytics"},
		{"a request", `fetch("https://plausible.io/api/event", {method: "POST"})`, "plausible  analytics"},
		{"a frame", `f.src = 'https://www.facebook.com/plugins/like.php?href=' + location`, "Facebook  marketing"},
		{"two accounts", `gtag('config','G-AAAAAAAAAA');gtag('config','G-BBBBBBBBBB');gtag('config','G-AAAAAAAAAA')`, "ga4 G-AAAAAAAAAA analytics; ga4 G-BBBBBBBBBB analytics"},
		{"two accounts, one late", `fbq('init','123456789012345');` + strings.Repeat("a();", 4000) + `fbq('init','234567890123456')`, "meta-pixel 123456789012345 marketing; meta-pixel 234567890123456 marketing"},
		{"two accounts by two calls", `twq('config','o1a2b');twq('init','o3c4d')`, "x-pixel o1a2b marketing; x-pixel o3c4d marketing"},
		{"two containers", `c(window,document,'script','dataLayer','GTM-ABCD123');c(window,document,'script','dataLayer','GTM-EFGH456');s.src='https://www.googletagmanager.com/gtm.js?id='+i`, "gtm GTM-ABCD123 functional; gtm GTM-EFGH456 functional"},
		{"one account, and what looks like it", `(function(h){h._hjSettings={hjid:1234567}})(window);ttq.page();var a="C4A1B2C3D4E5F6G7H8I9",b="A4A1B2C3D4E5F6G7H8I9"`, "hotjar 1234567 analytics; tiktok-pixel C4A1B2C3D4E5F6G7H8I9 marketing"},
		{"an account in a query", `s=document.createElement('script');s.src="https://static.klaviyo.com/onsite/js/klaviyo.js?company_id=XyZ789"`, "klaviyo XyZ789 marketing"},
		{"two of one", `snaptr('track','PAGE_VIEW');snaptr('init', '1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f')`, "snap-pixel 1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f marketing"},
	} {
		if got := parties(j.Snippet(test.code)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// The page's own code is nobody's: what only hands data to a tag, asks whether one is there, speaks of one, or lists addresses.
func TestSnippetOfThePage(t *testing.T) {
	j := NewJudge(nil, library(t))
	for name, code := range map[string]string{
		"data":               `window.dataLayer = window.dataLayer || []; dataLayer.push({event: 'basket', value: 3})`,
		"consent":            `function gtag(){dataLayer.push(arguments)} gtag('consent', 'default', {ad_storage: 'denied'})`,
		"an event":           `gtag('event', 'purchase', {value: 3})`,
		"a comment":          "// fbq('init', '123456789012345')\n/* _paq.push(1) https://static.hotjar.com/c/hotjar-1.js */ start()",
		"a comment's end":    "// a – fbq('init', '123456789012345')",
		"prose":              `show("We use fbq('init') and _paq and clarity('set')")`,
		"a key":              `var names = {fbq: 1, _hjSettings: 2, clarity: 3}`,
		"a question":         `button.onclick = function () { if (typeof fbq !== 'undefined') fbq('track', 'Lead') }`,
		"another question":   `window.fbq && fbq('track', 'Lead')`,
		"links":              `el.innerHTML = '<a href="https://www.facebook.com/shop">F</a> <a href="https://www.youtube.com/shop">Y</a>'`,
		"data with links":    `window.state = {"same": ["https:\/\/www.facebook.com\/shop", "https://www.hotjar.com/", "https://t.co/abc"]}; document.createElement("p")`,
		"a list of scripts":  `extend(settings, {"js": {"https:\/\/static.hotjar.com\/c\/hotjar-1234567.js": 1, "//www.googletagservices.com/tag/js/gpt.js": 1}})`,
		"pictures":           `img.src = "https://i.ytimg.com/vi/abc/hq.jpg"`,
		"libraries":          `var s = document.createElement('script'); s.src = 'https://cdn.jsdelivr.net/npm/vue'`,
		"another's function": `function qp(a) { return a } function mt(b) { return b } qp(1); mt('x'); analytics.page()`,
		"a consent platform": `var s = document.createElement('script'); s.src = 'https://consent.cookiebot.com/uc.js'`,
		"a link to a party":  `a.href = "https://plausible.io/shop.example"; b.src = "/x.js"; b.from = "https://plausible.io/"`,
		"a link by name":     `a.innerHTML = x; a.href = "https://" + lang + ".pinterest.com/pin/create/?url=" + here; b.href = "https://www" + ".hotjar.com/"`,
		"an end alone":       `show(".hotjar.com/x.js", a)`,
		"a parameter":        `s.src = "/x.js"; a.href = "/share?u=https%3A%2F%2Fstatic.hotjar.com%2Fc%2Fx.js"; b = decodeURIComponent(c)`,
		"slashes in regexes": `a.replace(/%2F/g, "/").replace(/\x2F\u002F/, "b"); decodeURIComponent("fbq('init')"); b.src = c // fbq('track')`,
		"a comparison":       `if (s.src == "https://plausible.io/js/") s.remove()`,
		"another's request":  `prefetch("https://plausible.io/shop.example"); s.src = a`,
		"own":                `document.querySelector('nav').hidden = location.pathname === '/'`,
		"nothing":            ``,
	} {
		if list := j.Snippet(code); len(list) != 0 {
			t.Errorf("%s: %s", name, parties(list))
		}
	}
}

// Hosts that nobody knows are found where the code loads something from them by an address that is written there as a whole.
func TestSnippetOfStrangers(t *testing.T) {
	j, err := gateJudge()
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{
		`s.src="https://cdn.unknown.example/t.js"`:                                                      "cdn.unknown.example",
		`s.src = 'https:\/\/cdn.unknown.example\/t.js'`:                                                 "cdn.unknown.example",
		"s['src'] = `//cdn.unknown.example:8443/t.js?${n}`":                                             "cdn.unknown.example:8443",
		`new Image().src="https://pixel.unknown.example/p.gif?a=1"`:                                     "pixel.unknown.example",
		`fetch("https://unknown.example/e"); navigator.sendBeacon('https://unknown.example/f')`:         "unknown.example",
		`import "https://cdn.unknown.example/m.js"`:                                                     "cdn.unknown.example",
		`f.setAttribute('src', "https://unknown.example/frame.html")`:                                   "unknown.example",
		`x.open("POST", "https://api.unknown.example/e")`:                                               "api.unknown.example",
		`s.src="https://player.films.example/p.js"`:                                                     "player.films.example as films",
		`fetch("https://player.films.example/e");s.src="https://static.hotjar.com/c/hotjar-1234567.js"`: "player.films.example as films; static.hotjar.com",

		`s.src="https://www.shop.example/t.js";s.src="https://img.shop-cdn.example/t.js";s.src="//cdn.shop.example/t.js"`:       "",
		`s.src="/t.js";s.src="t.js";s.src="data:,";s.src=a+"https://unknown.example/t.js"`:                                      "",
		`i.src="https://cdn.unknown.example/hero.png";i.src="https://cdn.unknown.example/dot.gif"`:                              "",
		`s.src="https://cdn.unknown"+".example/t.js";s.src=` + "`https://${cdn}.unknown.example/t.js`":                          "",
		`var a={src:"https://unknown.example/t.js",from:"https://unknown.example/"};show("fetch('https://unknown.example/e')")`: "",
		`// s.src="https://unknown.example/t.js"`:                                                                               "",
		`s.src="https://cdn.jsdelivr.net/npm/vue"`:                                                                              "",
		`location="https://unknown.example/";a.href="https://unknown.example/";prefetch("https://unknown.example/e")`:           "",
	} {
		var names []string
		for _, p := range j.snippet(code, shop) {
			name := p.Host
			if p.Tag != nil {
				name += " as " + p.Tag.ID
			}
			names = append(names, name)
		}
		if got := strings.Join(names, "; "); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
	if list := j.snippet(`fetch("https://plausible.io/api/event")`, address(t, "https://plausible.io/")); len(list) != 0 {
		t.Errorf("a party's own page asks %s", parties(list))
	}
}

// The gate holds such code only where it is told to, but always where the site's file names the host.
func TestGateStrangers(t *testing.T) {
	const strange, named = `<script>fetch("https://unknown.example/e")</script>`, `<script>fetch("https://player.films.example/e")</script>`
	const both, own = `<script>fetch("https://player.films.example/e");s.src="https://unknown.example/t.js"</script>`, `<script>s.src="https://consent.example/stile/shop.js"</script>`
	for _, test := range []struct{ unknown, page, want string }{
		{"", strange, strange},
		{"marketing", strange, `<script type="text/plain" data-stile="marketing"` + strange[len("<script"):]},
		{"", named, `<script type="text/plain" data-stile="marketing" data-service="films"` + named[len("<script"):]},
		{"", both, `<script type="text/plain" data-stile="marketing" data-service="films"` + both[len("<script"):]},
		{"marketing", both, `<script type="text/plain" data-stile="marketing"` + both[len("<script"):]},
		{"marketing", own, own},
	} {
		g := testGate(t, GateOptions{Unknown: test.unknown, Script: "https://consent.example/stile/shop.js"})
		if got := gate(t, g, "<body>"+test.page); !strings.HasSuffix(got, test.want) {
			t.Errorf("%q: %s\nwant %s", test.unknown, got, test.want)
		}
	}
}

// An account may stand in an attribute of the script.
func TestScanAccounts(t *testing.T) {
	j := NewJudge(nil, library(t))
	for page, want := range map[string]string{
		`<script defer src="https://static.cloudflareinsights.com/beacon.min.js" data-cf-beacon='{"token": "0123456789abcdef0123456789abcdef"}'></script>`:               "cloudflare-wa 0123456789abcdef0123456789abcdef analytics",
		`<script src="https://static.cloudflareinsights.com/beacon.min.js" data-cf-beacon='{"spa":true,"token":"0123456789abcdef0123456789abcdef","v":1}'></script>`:     "cloudflare-wa 0123456789abcdef0123456789abcdef analytics",
		`<script src="https://static.cloudflareinsights.com/beacon.min.js" data-cf-beacon='{"other":"0123456789abcdef0123456789abcdef"}' data-site="ABCDEFGH"></script>`: "cloudflare-wa  analytics",
		`<script defer data-domain="shop.example" src="https://plausible.io/js/script.js"></script>`:                                                                     "plausible shop.example analytics",
		`<script defer data-domain="shop.example,other.example" src="https://plausible.io/js/script.js"></script>`:                                                       "plausible  analytics",
		`<script src="https://static.klaviyo.com/onsite/js/klaviyo.js?company_id=XyZ789"></script>`:                                                                      "klaviyo XyZ789 marketing",
	} {
		report, err := Scan(strings.NewReader(page), shop, j)
		if err != nil || len(report.Finds) != 1 {
			t.Fatalf("%s: %+v %v", page, report, err)
		}
		if got := who(report.Finds[0].Party); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

// What Stile itself runs for a vendor's tag is known as the vendor's, with its account, when a page has the same in it.
func TestLibrarySnippets(t *testing.T) {
	l := library(t)
	j := NewJudge(nil, l)
	for _, v := range l.All() {
		if len(v.Globals) == 0 || v.Load.Script == "" || strings.Contains(v.Load.Script, "//{host}") {
			continue
		}
		options := map[string]string{}
		for _, o := range v.Options {
			options[o.Name] = o.Example
			if o.Default != "" {
				options[o.Name] = o.Default
			}
		}
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
		if err != nil {
			t.Fatal(err)
		}
		code := tag.Load.Before + "\n;var s=document.createElement('script');s.src='" + tag.Load.Script + "';document.head.append(s);\n" + tag.Load.After
		found := false
		for _, p := range j.Snippet(code) {
			if found = p.Vendor == v; found {
				if id := strings.Contains(v.Load.Before+v.Load.Script, "{id}"); id && p.Account != v.Account.Example && !strings.Contains(v.Account.Pattern, "/") {
					t.Errorf("%s has the account %q in\n%s", v.ID, p.Account, code)
				}
				break
			}
		}
		if !found {
			t.Errorf("%s is said to be %q in\n%s", v.ID, parties(j.Snippet(code)), code)
		}
	}
}

func FuzzSnippet(f *testing.F) {
	j := NewJudge(nil, library(f))
	for _, code := range []string{`fbq('init','1`, "`${a}//mc.yandex.ru/", `/[/`, `"\`, `'\/\/static.hotjar.com`, "/*", `gtag('config',`, "//\n//", `x="//a.b`} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		seen := map[string]bool{}
		for _, p := range j.Snippet(code) {
			if p.Name == "" || p.Basis == ByNobody {
				t.Errorf("%+v is nobody's", p)
			}
			if seen[who(p)] {
				t.Errorf("%s is there twice", who(p))
			}
			seen[who(p)] = true
		}
	})
}

func BenchmarkSnippet(b *testing.B) {
	j := NewJudge(nil, library(b))
	code := strings.Repeat(`function total(basket){var sum=0;for(var i=0;i<basket.length;i++){sum+=basket[i].price*basket[i].count}return "Sum: "+sum.toFixed(2)}`+"\n", 1000)
	b.SetBytes(int64(len(code)))
	for b.Loop() {
		if list := j.Snippet(code); len(list) != 0 {
			b.Fatal(list)
		}
	}
}
