package vendors

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
)

// What stands for the page around a snippet: the consent mode, which the gate runs before its tags, a document,
// and a script that has loaded.
const (
	googlePage = "var dataLayer=[];function gtag(){dataLayer.push(arguments)}"
	fontsPage  = `var links=[],document={
		createElement:name=>({name,remove(){links.splice(links.indexOf(this),1)}}),
		getElementById:id=>links.find(l=>l.id==id),
		head:{append:l=>links.push(l)}}`
	posthogPage = `var posthog={got:[],init(...a){this.__loaded=true;this.got.push(['init',...a])}};
		for(const m of ['capture','opt_in_capturing','opt_out_capturing'])posthog[m]=(...a)=>posthog.got.push([m,...a])`
)

func TestQueuesVend1(t *testing.T) {
	l := library(t)
	load := func(id string) consent.Load { return example(t, l.Find(id)).Load }
	run1 := func(id string, more ...step) []step { return append(loaded(load(id), id), more...) }
	view := func(id string) step { return step{load(id).View, []string{id}} }
	stop := func(id string) step { return step{load(id).Stop, nil} }
	signal := func(id string, allowed ...string) step { return step{load(id).Signal, allowed} }
	js := func(body string) step { return step{body, nil} }
	const hex32, uuid = "0123456789abcdef0123456789abcdef", "1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f"

	tests := []struct {
		name, watch, vendor string
		steps               []step
		want                string // what the last step leaves
	}{
		{
			name: "floodlight: js, config", watch: "dataLayer", vendor: googlePage, steps: run1("floodlight"),
			want: `[["js","now"],["config","DC-12345678"]]`,
		},
		{
			name: "floodlight: a change is no second config", watch: "dataLayer.length", vendor: googlePage,
			steps: run1("floodlight", signal("floodlight"), signal("floodlight", "floodlight")), want: `2`,
		},
		{
			name: "adsense waits", watch: "adsbygoogle.pauseAdRequests", steps: []step{js(load("adsense").Before)}, want: `1`,
		},
		{
			name: "adsense runs", watch: "adsbygoogle.pauseAdRequests", steps: run1("adsense"), want: `0`,
		},
		{
			name: "adsense refused, and the page's ads kept", watch: "[adsbygoogle.pauseAdRequests,adsbygoogle.length]",
			vendor: "var adsbygoogle=[{}]", steps: run1("adsense", signal("adsense")), want: `[1,1]`,
		},
		{
			name: "adsense allowed again", watch: "adsbygoogle.pauseAdRequests",
			steps: run1("adsense", signal("adsense"), signal("adsense", "adsense")), want: `0`,
		},
		{
			name: "google-maps: callback and import", watch: "[typeof google.maps.stile,typeof google.maps.importLibrary]",
			steps: run1("google-maps"), want: `["function","function"]`,
		},
		{
			name: "google-maps: what is there is kept", watch: "google.maps.importLibrary()",
			vendor: "var google={maps:{importLibrary:()=>'mine'}}", steps: run1("google-maps"), want: `"mine"`,
		},
		{
			name: "google-fonts: a stylesheet", watch: "links", vendor: fontsPage, steps: run1("google-fonts"),
			want: `[{"name":"link","id":"stile-google-fonts","rel":"stylesheet",
				"href":"https://fonts.googleapis.com/css2?display=swap&family=Open+Sans:wght@400;700&family=Lora"}]`,
		},
		{
			name: "google-fonts stopped", watch: "links", vendor: fontsPage,
			steps: run1("google-fonts", stop("google-fonts"), stop("google-fonts")), want: `[]`,
		},
		{
			name: "google-fonts started again", watch: "links.length", vendor: fontsPage,
			steps: run1("google-fonts", slices.Concat([]step{stop("google-fonts")}, run1("google-fonts"))...), want: `1`,
		},
		{
			name: "snap: init, view, the app's view", watch: "snaptr.queue", steps: run1("snap-pixel", view("snap-pixel")),
			want: `[["init","` + uuid + `"],["track","PAGE_VIEW"],["track","PAGE_VIEW"]]`,
		},
		{
			name: "snap's script takes over", watch: "got",
			steps: run1("snap-pixel", js("window.got=[];snaptr.handleRequest=(...a)=>got.push(a)"), view("snap-pixel")),
			want:  `[["track","PAGE_VIEW"]]`,
		},
		{
			name: "x: config", watch: "[twq.version,twq.queue]", steps: run1("x-pixel", js("twq('event','tw-1',{value:1})")),
			want: `["1.1",[["config","o1a2b"],["event","tw-1",{"value":1}]]]`,
		},
		{
			name: "x's script takes over", watch: "[got,twq.queue.length]",
			steps: run1("x-pixel", js("window.got=[];twq.exe=(...a)=>got.push(a);twq('event','tw-1')")),
			want:  `[[["event","tw-1"]],1]`,
		},
		{
			name: "reddit: init, visit, the app's visit", watch: "rdt.callQueue", steps: run1("reddit-pixel", view("reddit-pixel")),
			want: `[["init","a2_a1b2c3d4e5f6"],["track","PageVisit"],["track","PageVisit"]]`,
		},
		{
			name: "reddit's script takes over", watch: "got",
			steps: run1("reddit-pixel", js("window.got=[];rdt.sendEvent=(...a)=>got.push(a)"), view("reddit-pixel")),
			want:  `[["track","PageVisit"]]`,
		},
		{
			name: "quora: init, view, the app's view", watch: "qp.queue", steps: run1("quora-pixel", view("quora-pixel")),
			want: `[["init","` + hex32 + `"],["track","ViewContent"],["track","ViewContent"]]`,
		},
		{
			name: "quora's script takes over", watch: "got",
			steps: run1("quora-pixel", js("window.got=[];qp.qp=(...a)=>got.push(a)"), view("quora-pixel")),
			want:  `[["track","ViewContent"]]`,
		},
		{
			name: "spotify: conf, view, the app's view", watch: "spdt.q", steps: run1("spotify-pixel", view("spotify-pixel")),
			want: `[["conf",{"key":"` + hex32 + `"}],["view"],["view"]]`,
		},
		{
			name: "amazon without ConsentJS: region, tag, view, the app's view", watch: "[amzn.version,amzn.q]",
			steps: run1("amazon-ads", view("amazon-ads")),
			want: `["0.0",[[["setRegion","EU"],1],[["addTag","` + uuid + `"],1],
				[["trackEvent","PageView"],1],[["trackEvent","PageView"],1]]]`,
		},
		{
			name: "amazon's ConsentJS is told both ways", watch: "told", vendor: "var told=[];function amznConsent(o){told.push(o)}",
			steps: run1("amazon-ads", signal("amazon-ads"), signal("amazon-ads", "amazon-ads")),
			want: `[{"countryCode":"DE","enableAdStorage":true,"enableUserData":true},
				{"countryCode":"DE","enableAdStorage":false,"enableUserData":false},
				{"countryCode":"DE","enableAdStorage":true,"enableUserData":true}]`,
		},
		{
			name: "criteo: account, site, page", watch: "criteo_q", steps: run1("criteo"),
			want: `[{"event":"setAccount","account":12345},{"event":"setSiteType","type":"d"},{"event":"viewPage"}]`,
		},
		{
			name: "criteo: the page's queue is kept", watch: "criteo_q.map(e=>e.event)", vendor: "var criteo_q=[{event:'viewHome'}]",
			steps: run1("criteo"), want: `["viewHome","setAccount","setSiteType","viewPage"]`,
		},
		{
			name: "taboola: view, the app's view", watch: "_tfa", vendor: "var location={href:'https://shop.example/b'}",
			steps: run1("taboola-pixel", view("taboola-pixel")),
			want: `[{"notify":"event","name":"page_view","id":1234567},
				{"notify":"event","name":"page_view","item-url":"https://shop.example/b","id":1234567}]`,
		},
		{
			name: "outbrain: marketer, view, the app's view", watch: "[obApi.version,obApi.loaded,obApi.marketerId,obApi.queue]",
			steps: run1("outbrain-pixel", view("outbrain-pixel")),
			want:  `["1.1",true,"00a1b2c3d4e5f60718293a4b5c6d7e8f90",[["track","PAGE_VIEW"],["track","PAGE_VIEW"]]]`,
		},
		{
			name: "outbrain's script takes over", watch: "got",
			steps: run1("outbrain-pixel", js("window.got=[];obApi.dispatch=(...a)=>got.push(a)"), view("outbrain-pixel")),
			want:  `[["track","PAGE_VIEW"]]`,
		},
		{
			name: "adroll: ids", watch: "[adroll_adv_id,adroll_pix_id,adroll_version,__adroll_loaded,adroll.f]", steps: run1("adroll"),
			want: `["ABCDEFGHIJKLMNOPQRSTUV","ABCDEFGHIJKLMNOPQRSTUV","2.0",true,["setProperties","identify","track"]]`,
		},
		{
			name: "adroll: view, the app's view", watch: "adroll", steps: run1("adroll", view("adroll")),
			want: `[["track",["pageView"]],["track",["pageView"]]]`,
		},
		{
			name: "thetradedesk: init when the document is there", watch: "got",
			vendor: "var got=[];function ttd_dom_ready(f){f()}function TTDUniversalPixelApi(){this.init=(...a)=>got.push(a)}",
			steps:  run1("thetradedesk"), want: `[["a1b2c3d",["e4f5g6h"],"https://insight.adsrvr.org/track/up"]]`,
		},
		{
			name: "thetradedesk's script was blocked", watch: "typeof ttd_dom_ready", steps: run1("thetradedesk"), want: `"undefined"`,
		},
		{
			name: "xandr: default, init, update, view, the app's view", watch: "pixie.actionQueue",
			steps: run1("xandr", view("xandr")),
			want: `[{"action":"consent","actionValue":"default","params":{"ad_storage":"denied"}},
				{"action":"init","actionValue":"` + uuid + `"},
				{"action":"consent","actionValue":"update","params":{"ad_storage":"granted"}},
				{"action":"event","actionValue":"PageView"},{"action":"event","actionValue":"PageView"}]`,
		},
		{
			name: "xandr refused, and its category allowed", watch: "pixie.actionQueue.slice(4).map(a=>a.params.ad_storage)",
			steps: run1("xandr", signal("xandr"), signal("xandr", "marketing")), want: `["denied","granted"]`,
		},
		{
			name: "umami, which views by itself", watch: "typeof umami", steps: run1("umami"), want: `"undefined"`,
		},
		{
			name: "goatcounter: the app's view", watch: "got",
			vendor: "var got=[],location={pathname:'/a',search:'?b'},goatcounter={count:v=>got.push(v)}",
			steps:  run1("goatcounter", view("goatcounter")), want: `[{"path":"/a?b"}]`,
		},
		{
			name: "goatcounter's script was blocked", watch: "typeof goatcounter", steps: run1("goatcounter", view("goatcounter")),
			want: `"undefined"`,
		},
		{
			name: "fathom: the app's view", watch: "got", vendor: "var got=0,fathom={trackPageview(){got++}}",
			steps: run1("fathom", view("fathom")), want: `1`,
		},
		{
			name: "fathom's script was blocked", watch: "typeof fathom", steps: run1("fathom", view("fathom")), want: `"undefined"`,
		},
		{
			name: "posthog: opted out by default, then in", watch: "posthog.got", vendor: posthogPage, steps: run1("posthog"),
			want: `[["init","phc_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",{"api_host":"https://eu.i.posthog.com",
				"opt_out_capturing_by_default":true,"opt_out_persistence_by_default":true,"remote_config_refresh_interval_ms":0}],
				["opt_in_capturing",{"captureEventName":false}]]`,
		},
		{
			name: "posthog: the app's view, stopped, allowed", watch: "posthog.got.slice(2)", vendor: posthogPage,
			steps: run1("posthog", view("posthog"), stop("posthog"), signal("posthog", "posthog")),
			want:  `[["capture","$pageview"],["opt_out_capturing"],["opt_in_capturing",{"captureEventName":false}]]`,
		},
		{
			name: "posthog is told the truth before it is stopped", watch: "posthog.got[2][0]", vendor: posthogPage,
			steps: run1("posthog", signal("posthog")), want: `"opt_out_capturing"`,
		},
		{
			name: "posthog stopped while it is loaded", watch: "typeof posthog",
			steps: []step{signal("posthog", "posthog"), signal("posthog"), stop("posthog")}, want: `"undefined"`,
		},
		{
			name: "segment: key, page, the app's page", watch: "[analytics._writeKey,analytics.invoked,analytics]",
			steps: run1("segment", view("segment"), js("analytics.track('Buy',{value:1})")),
			want:  `["abcdefghijklmnopqrstuvwxyz012345",true,[["page"],["page"],["track","Buy",{"value":1}]]]`,
		},
		{
			name: "segment is there already", watch: "[pages,analytics.invoked]", vendor: "var pages=0,analytics={page(){pages++}}",
			steps: run1("segment"), want: `[1,null]`,
		},
	}
	plans := make([]plan, len(tests))
	for i, test := range tests {
		plans[i] = plan{Vendor: test.vendor, Watch: test.watch, Steps: test.steps}
	}
	seen := run(t, plans...)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for n, got := range seen[i] {
				if text, _ := got.(string); strings.HasPrefix(text, "error: ") {
					t.Errorf("step %d: %s", n+1, text)
				}
			}
			if diff := cmp.Diff(value(t, test.want), seen[i][len(seen[i])-1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An account or an option goes into the address and the attributes where the vendor's script looks for it.
func TestAddressesVend1(t *testing.T) {
	l := library(t)
	for _, test := range []struct {
		vendor, account string
		options         map[string]string
		script          string
		attrs           []consent.Attr
		hosts           []string
	}{
		{
			vendor: "umami", account: "1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f",
			options: map[string]string{"host": "stats.shop.example/umami"},
			script:  "https://stats.shop.example/umami/script.js",
			attrs:   []consent.Attr{{Name: "data-website-id", Value: "1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f"}},
			hosts:   []string{"stats.shop.example", "*.umami.is", "*.umami.dev"},
		},
		{
			vendor: "goatcounter", options: map[string]string{"host": "mysite.goatcounter.com"},
			script: "https://gc.zgo.at/count.js",
			attrs:  []consent.Attr{{Name: "data-goatcounter", Value: "https://mysite.goatcounter.com/count"}},
			hosts:  []string{"gc.zgo.at", "mysite.goatcounter.com"},
		},
		{
			vendor: "goatcounter", options: map[string]string{"host": "stats.shop.example", "source": "stats.shop.example"},
			script: "https://stats.shop.example/count.js",
			attrs:  []consent.Attr{{Name: "data-goatcounter", Value: "https://stats.shop.example/count"}},
			hosts:  []string{"stats.shop.example"},
		},
		{
			vendor: "posthog", account: "phc_abcdefghijklmnopqrstuvwxyz", options: map[string]string{"region": "us"},
			script: "https://us-assets.i.posthog.com/static/array.js",
			hosts:  []string{"us.i.posthog.com", "us-assets.i.posthog.com"},
		},
		{
			vendor: "cloudflare-wa", account: "0123456789abcdef0123456789abcdef",
			script: "https://static.cloudflareinsights.com/beacon.min.js",
			attrs: []consent.Attr{
				{Name: "type", Value: "module"}, {Name: "data-cf-beacon", Value: `{"token":"0123456789abcdef0123456789abcdef"}`},
			},
			hosts: []string{"static.cloudflareinsights.com", "cloudflareinsights.com"},
		},
		{
			vendor: "recaptcha", account: "explicit", script: "https://www.google.com/recaptcha/api.js?render=explicit",
			hosts: []string{"www.google.com", "www.gstatic.com"},
		},
	} {
		tag, err := l.Find(test.vendor).Tag(consent.Tag{}, test.account, test.options)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(test.script, tag.Load.Script); diff != "" {
			t.Error(test.vendor, diff)
		}
		if diff := cmp.Diff(test.attrs, tag.Load.Attrs); diff != "" {
			t.Error(test.vendor, diff)
		}
		if diff := cmp.Diff(test.hosts, tag.Hosts); diff != "" {
			t.Error(test.vendor, diff)
		}
	}
}
