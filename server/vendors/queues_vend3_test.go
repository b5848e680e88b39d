package vendors

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
)

// These are chats, experiments, embeds, payments and platforms. What is not named here loads a script and nothing else.
func TestQueuesOfWidgets(t *testing.T) {
	l := library(t)
	load := func(id string) consent.Load { return example(t, l.Find(id)).Load }
	drift, zendesk, crisp, tawk, livechat := load("drift"), load("zendesk"), load("crisp"), load("tawk"), load("livechat")
	kameleoon, wistia, shopify, zaraz := load("kameleoon"), load("wistia"), load("shopify"), load("cloudflare-zaraz")
	tealium, openai := load("tealium"), load("openai-pixel")

	const (
		zE     = "var got=[],zE=(...a)=>{got.push(a)}"
		wisted = "_wq.map(f=>{var said;f({consent:x=>{said=x}});return said})"
		shop   = "var got=[],Shopify={loadFeatures(l,f){got.push(l);Shopify.customerPrivacy={setTrackingConsent:c=>{got.push(c)}};f()}}"
		zone   = `var got=[],zaraz={consent:{APIReady:true,getAll:()=>({xKgF:false,bHzQ:true,other:true,constructor:true}),
			set:p=>{got.push(p)},sendQueuedEvents(){got.push('sent')}}}`
		early = "var got=[],document={addEventListener(n,f){got.push(n);ready=f}},ready"
		utag  = "var got=[],utag={gdpr:{setPreferencesValues:(...a)=>{got.push(a)}}}"
	)
	const none = `{"analytics":"0","big_data":"0","monitoring":"0","personalization":"0","engagement":"0","affiliates":"0",
		"display_ads":"0","search":"0","email":"0","social":"0","misc":"0","cookiematch":"0","cdp":"0","mobile":"0","crm":"0"}`
	some := strings.NewReplacer(`"analytics":"0"`, `"analytics":"1"`, `"big_data":"0"`, `"big_data":"1"`,
		`"monitoring":"0"`, `"monitoring":"1"`).Replace(none)

	tests := []struct {
		name, watch, vendor string
		steps               []step
		want                string // what the last step leaves
	}{
		{
			name: "drift", watch: "[drift===driftt,drift.invoked,drift.SNIPPET_VERSION,drift.methods.length,drift]",
			steps: append(loaded(drift, "drift"), step{"drift.page('/a');drift.on('ready',1).track('x',{y:2})", nil}),
			want:  `[true,true,"0.3.1",11,[["page","/a"],["on","ready",1],["track","x",{"y":2}]]]`,
		},
		{
			name: "drift is there already", watch: "[drift.mine,drift.methods]", vendor: "var drift={init:1,mine:1},driftt=drift",
			steps: loaded(drift, "drift"), want: `[1,null]`,
		},
		{
			name: "zendesk before its script", watch: "typeof zE", steps: []step{{zendesk.Before, nil}, {zendesk.Signal, nil}},
			want: `"undefined"`,
		},
		{
			name: "zendesk: functional, all", watch: "got", vendor: zE,
			steps: []step{{zendesk.After, []string{"zendesk"}}, {zendesk.Signal, []string{"zendesk", "analytics"}}},
			want:  `[["messenger:set","cookies","functional"],["messenger:set","cookies","all"]]`,
		},
		{
			name: "zendesk refused and accepted", watch: "got", vendor: zE,
			steps: []step{{zendesk.Signal, []string{"analytics"}}, {zendesk.Signal, []string{"zendesk"}}},
			want:  `[["messenger:set","cookies","none"],["messenger:set","cookies","functional"]]`,
		},
		{
			name: "crisp", watch: "[CRISP_WEBSITE_ID,$crisp]",
			steps: append(loaded(crisp, "crisp"), step{"$crisp.push(['do','chat:open'])", nil}),
			want:  `["1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f",[["do","chat:open"]]]`,
		},
		{
			name: "crisp keeps the page's queue", watch: "$crisp", vendor: "var $crisp=[['safe',true]]",
			steps: loaded(crisp, "crisp"), want: `[["safe",true]]`,
		},
		{
			name: "tawk keeps the page's callbacks", watch: "[Tawk_API,Tawk_LoadStart]", vendor: "var Tawk_API={customStyle:1}",
			steps: loaded(tawk, "tawk"), want: `[{"customStyle":1},"now"]`,
		},
		{
			name: "livechat", watch: "[__lc,LiveChatWidget]", vendor: "var __lc={group:3}",
			steps: append(loaded(livechat, "livechat"), step{"LiveChatWidget.on('ready',1);LiveChatWidget.call('hide')", nil}),
			want: `[{"group":3,"license":1234567},
				{"_q":[["on",["ready",1]],["call",["hide"]]],"_h":null,"_v":"2.0"}]`,
		},
		{
			name: "livechat's script takes over", watch: "got",
			steps: append(loaded(livechat, "livechat"), step{"window.got=[];LiveChatWidget._h=(...a)=>got.push(a)", nil},
				step{"LiveChatWidget.once('ready',1);LiveChatWidget.get('state')", nil}),
			want: `[["once",["ready",1]],["get",["state"]]]`,
		},
		{
			name: "livechat throws on getters before it has loaded", watch: "threw",
			steps: append(loaded(livechat, "livechat"), step{"try{LiveChatWidget.get('state')}catch(e){window.threw=1}", nil}),
			want:  `1`,
		},
		{
			name: "kameleoon: consent", watch: "kameleoonQueue", steps: loaded(kameleoon, "kameleoon"),
			want: `[["Kameleoon.API.Core.enableLegalConsent"]]`,
		},
		{
			name: "kameleoon refused and accepted", watch: "kameleoonQueue.slice(1)",
			steps: append(loaded(kameleoon, "kameleoon"), step{kameleoon.Signal, []string{"functional"}}, step{kameleoon.Signal, []string{"kameleoon"}}),
			want:  `[["Kameleoon.API.Core.disableLegalConsent"],["Kameleoon.API.Core.enableLegalConsent"]]`,
		},
		{
			name: "wistia: no consent to be recognised", watch: wisted, steps: loaded(wistia, "functional", "wistia"), want: `[false]`,
		},
		{
			name: "wistia accepted and refused", watch: wisted,
			steps: append(loaded(wistia, "analytics", "wistia"), step{wistia.Signal, []string{"wistia"}}), want: `[true,false]`,
		},
		{
			name: "shopify: each choice", watch: "got", vendor: shop,
			steps: append(loaded(shopify, "shopify", "analytics"), step{shopify.Signal, []string{"shopify", "marketing", "functional"}},
				step{shopify.Signal, []string{"shopify"}}),
			want: `[[{"name":"consent-tracking-api","version":"0.1"}],
				{"analytics":true,"marketing":false,"preferences":false,"sale_of_data":false},
				[{"name":"consent-tracking-api","version":"0.1"}],
				{"analytics":false,"marketing":true,"preferences":true,"sale_of_data":true},
				[{"name":"consent-tracking-api","version":"0.1"}],
				{"analytics":false,"marketing":false,"preferences":false,"sale_of_data":false}]`,
		},
		{
			name: "shopify could not load its interface", watch: "got", vendor: "var got=[],Shopify={loadFeatures(l,f){got.push('asked');f(Error('no'))}}",
			steps: loaded(shopify, "shopify"), want: `["asked"]`,
		},
		{
			name: "shopify comes later", watch: "got", vendor: "var got=[],then,addEventListener=(n,f)=>{got.push(n);then=f}",
			steps: append(loaded(shopify, "shopify"), step{"window.Shopify={loadFeatures(){got.push('asked')}};then()", nil}),
			want:  `["load","asked"]`,
		},
		{
			name: "a page without shopify", watch: "typeof Shopify", steps: loaded(shopify, "shopify"), want: `"undefined"`,
		},
		{
			name: "zaraz: what is not named is refused", watch: "got", vendor: zone, steps: loaded(zaraz, "cloudflare-zaraz", "analytics"),
			want: `[{"xKgF":true,"bHzQ":false,"other":false,"constructor":false},"sent"]`,
		},
		{
			name: "zaraz refused and accepted", watch: "got.slice(2)", vendor: zone,
			steps: append(loaded(zaraz, "analytics"), step{zaraz.Signal, []string{"cloudflare-zaraz"}}, step{zaraz.Signal, []string{"marketing", "functional"}}),
			want: `[{"xKgF":false,"bHzQ":false,"other":false,"constructor":false},
				{"xKgF":false,"bHzQ":true,"other":false,"constructor":false},"sent"]`,
		},
		{
			name: "zaraz comes later", watch: "got", vendor: early,
			steps: append(loaded(zaraz, "analytics"), step{`window.zaraz={consent:{APIReady:true,getAll:()=>({xKgF:false}),
				set:p=>{got.push(p)},sendQueuedEvents(){got.push('sent')}}};ready()`, nil}),
			want: `["zarazConsentAPIReady",{"xKgF":true},"sent"]`,
		},
		{
			name: "zaraz is not ready", watch: "got", vendor: early + ",zaraz={consent:{APIReady:false}}",
			steps: loaded(zaraz, "analytics"), want: `["zarazConsentAPIReady"]`,
		},
		{
			name: "tealium before its script, or without its consent manager", watch: "utag", vendor: "var utag={}",
			steps: loaded(tealium, "analytics", "tealium"), want: `{}`,
		},
		{
			name: "tealium: analytics, then nothing", watch: "got", vendor: utag,
			steps: []step{{tealium.After, []string{"tealium", "analytics"}}, {tealium.Signal, []string{"tealium"}}},
			want:  `[[` + some + `,true],[` + none + `,true]]`,
		},
		{
			name: "openai: no consent, init, consent, page", watch: "oaiq.q", steps: loaded(openai, "openai-pixel"),
			want: `[["consent",false],["init",{"pixelId":"A1b2C3d4E5f6G7h8J9k1Lm"}],["consent",true],
				["measure","page_viewed",{"type":"contents"}]]`,
		},
		{
			name: "openai stopped and started, then another page", watch: "oaiq.q.slice(4)",
			steps: append(loaded(openai, "openai-pixel"), step{openai.Stop, nil}, step{openai.Signal, nil},
				step{openai.Signal, []string{"openai-pixel"}}, step{openai.View, nil}),
			want: `[["consent",false],["consent",false],["consent",true],["measure","page_viewed",{"type":"contents"}]]`,
		},
		{
			name: "openai's script is there already", watch: "[got,typeof oaiq.q]", vendor: "var got=[];function oaiq(...a){got.push(a[0])}",
			steps: loaded(openai, "openai-pixel"), want: `[["consent","init","consent","measure"],"undefined"]`,
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

// Two of Tealium's groups may follow one category: neither is lost.
func TestTealiumGroupsOfOneCategory(t *testing.T) {
	v := library(t).Find("tealium")
	follows := map[string]string{"analytics": "optional", "functional": "optional", "marketing": "optional"}
	tag, err := v.Tag(consent.Tag{Follows: follows}, v.Account.Example, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := run(t, plan{
		Vendor: "var got,utag={gdpr:{setPreferencesValues(p){got=p}}}", Watch: "Object.values(got).join('')",
		Steps: []step{{tag.Load.Signal, []string{"optional"}}},
	})
	if seen[0][0] != strings.Repeat("1", 15) {
		t.Errorf("told %v, want all fifteen categories granted", seen[0][0])
	}
}

// The scripts are where the vendors' own snippets find them.
func TestScriptsOfWidgets(t *testing.T) {
	l := library(t)
	for _, test := range []struct {
		vendor  string
		options map[string]string
		script  string
	}{
		{"drift", nil, "https://js.driftt.com/include/0/ab12cd34ef56.js"},
		{"zendesk", nil, "https://static.zdassets.com/ekr/snippet.js?key=1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f"},
		{"tawk", nil, "https://embed.tawk.to/5f1a2b3c4d5e6f7081920a1b/default"},
		{"tawk", map[string]string{"widget": "1hbc2def3"}, "https://embed.tawk.to/5f1a2b3c4d5e6f7081920a1b/1hbc2def3"},
		{"vwo", nil, "https://dev.visualwebsiteoptimizer.com/lib/123456.js"},
		{"vwo", map[string]string{"code": "tag"}, "https://dev.visualwebsiteoptimizer.com/tag/123456.js"},
		{"kameleoon", nil, "https://ab12cd34ef.kameleoon.io/engine.js"},
		{"stripe", nil, "https://js.stripe.com/v3/stripe.js"},
		{"stripe", map[string]string{"version": "dahlia"}, "https://js.stripe.com/dahlia/stripe.js"},
		{"paypal", map[string]string{"currency": "EUR"}, "https://www.paypal.com/sdk/js?client-id=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789&currency=EUR"},
		{"disqus", nil, "https://myblog.disqus.com/embed.js"},
		{"tealium", map[string]string{"env": "qa"}, "https://tags.tiqcdn.com/utag/acme/main/qa/utag.js"},
		{"shopify", nil, ""},
		{"cloudflare-zaraz", nil, ""},
	} {
		v := l.Find(test.vendor)
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, test.options)
		if err != nil || tag.Load.Script != test.script {
			t.Errorf("%s %v: %s, %v, want %s", test.vendor, test.options, tag.Load.Script, err, test.script)
		}
	}
}
