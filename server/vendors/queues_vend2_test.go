package vendors

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
)

func TestProductAndMarketingQueues(t *testing.T) {
	l := library(t)
	load := func(id string) consent.Load { return example(t, l.Find(id)).Load }
	// stopped is a tag that ran, was refused as the gate does it, and was accepted again.
	stopped := func(l consent.Load, id string) []step {
		return append(loaded(l, id), step{l.Signal, nil}, step{l.Stop, nil}, step{l.Signal, []string{id}})
	}
	viewed := func(l consent.Load, id string) []step {
		return append(loaded(l, id), step{l.View, []string{id}})
	}
	rudderstack, snowplow, amplitude, mixpanel := load("rudderstack"), load("snowplow"), load("amplitude"), load("mixpanel")
	heap, fullstory, hubspot, braze, intercom := load("heap"), load("fullstory"), load("hubspot"), load("braze"), load("intercom")
	const (
		here = `var location={pathname:'/a',search:'?b=c'};`
		// calls notes what an object that the vendor's script makes is told.
		calls = `var got=[],told=(o,...names)=>{for(let n of names)o[n]=(...a)=>{got.push([n,...a])};return o};`

		// The real Mixpanel remembers an opt-out, also from the page before.
		mixpanelScript = `mixpanel=told({has_opted_out_tracking:()=>out,opt_in_tracking(){out=false;got.push(['opt_in'])},
			opt_out_tracking(o){out=true;got.push(['opt_out',o])}},'track_pageview')`
		brazeScript = `var on=false,braze=told({isInitialized:()=>on,initialize(...a){on=true;got.push(['initialize',...a])},
			disableSDK(){on=false;got.push(['disableSDK'])}},'enableSDK','automaticallyShowInAppMessages','openSession');`
		brazeStarts = `["enableSDK"],["initialize","1a2b3c4d-1a2b-4a2b-8a2b-1a2b3c4d5e6f",{"baseUrl":"sdk.iad-01.braze.com"}],
			["automaticallyShowInAppMessages"],["openSession"]`
	)
	// The vendor's script arrives between Signal and After.
	arrives := func(l consent.Load, script, id string) []step {
		ok := []string{id}
		return []step{{l.Before, ok}, {l.Signal, ok}, {script, ok}, {l.After, ok}}
	}

	tests := []struct {
		name, watch, vendor string
		steps               []step
		want                string // what the last step leaves
	}{
		{
			name: "rudderstack: load, page, and what the page calls", watch: "rudderanalytics",
			steps: append(viewed(rudderstack, "rudderstack"), step{"rudderanalytics.track('Buy',{value:1})", nil}),
			want: `[["load","2abcdefghijKLMNOPQRSTuvwxyz","https://example.dataplane.rudderstack.com"],["page"],["page"],
				["track","Buy",{"value":1}]]`,
		},
		{
			name: "rudderstack: the queue is none once the script is there", watch: rudderstack.Queue,
			vendor: "var rudderanalytics=new class{load(){} page(){}}", steps: loaded(rudderstack, "rudderstack"), want: `false`,
		},
		{
			name: "snowplow: tracker, page view, and one more", watch: "[GlobalSnowplowNamespace,snowplow.q]",
			steps: viewed(snowplow, "snowplow"),
			want: `[["snowplow"],[["newTracker","sp","https://collector.example.org",{"appId":"web"}],["trackPageView"],
				["trackPageView"]]]`,
		},
		{
			name: "amplitude: init in the zone of its host, then stopped and started", watch: "got",
			vendor: calls + "var amplitude=told({},'init','setOptOut')", steps: stopped(amplitude, "amplitude"),
			want: `[["setOptOut",false],["init","0123456789abcdef0123456789abcdef",{"optOut":false,"serverZone":"EU"}],
				["setOptOut",true],["setOptOut",true],["setOptOut",false]]`,
		},
		{
			name: "amplitude's script was blocked", watch: "typeof amplitude", steps: stopped(amplitude, "amplitude"), want: `"undefined"`,
		},
		{
			name: "mixpanel: an instance, and what the page calls", watch: "[mixpanel.__SV,mixpanel._i,mixpanel]",
			steps: append(viewed(mixpanel, "mixpanel"), step{"mixpanel.track('Buy',{value:1})", nil}),
			want: `[1.2,[["0123456789abcdef0123456789abcdef",{"api_host":"https://api-eu.mixpanel.com"},"mixpanel"]],
				[["track_pageview"],["track","Buy",{"value":1}]]]`,
		},
		{
			name: "mixpanel stopped and started", watch: "got", vendor: calls + "var out=false",
			steps: append(arrives(mixpanel, mixpanelScript, "mixpanel"), step{mixpanel.Signal, nil}, step{mixpanel.Stop, nil},
				step{mixpanel.Signal, []string{"mixpanel"}}, step{mixpanel.Signal, []string{"mixpanel"}}),
			want: `[["track_pageview"],["opt_out",{"delete_user":false}],["opt_out",{"delete_user":false}],["opt_in"]]`,
		},
		{
			name: "mixpanel accepted on a page after it was refused", watch: "got", vendor: calls + "var out=true",
			steps: arrives(mixpanel, mixpanelScript, "mixpanel"), want: `[["opt_in"],["track_pageview"]]`,
		},
		{
			name: "mixpanel: the queue is none once the script is there", watch: mixpanel.Queue, vendor: calls + "var out=false",
			steps: arrives(mixpanel, mixpanelScript, "mixpanel"), want: `false`,
		},
		{
			name: "heap: the settings that its script reads", watch: "[heap.envId,heap.clientConfig,heapReadyCb]",
			steps: append(loaded(heap, "heap"), step{"heap.track('Buy',{value:1})", nil}),
			want:  `["1234567890",{"shouldFetchServerConfig":false},[{"name":"track"}]]`,
		},
		{
			name: "heap: what was queued runs on the real one", watch: "got", vendor: calls,
			steps: append(loaded(heap, "heap"), step{"heap.track('Buy',{value:1})", nil},
				step{"window.heap=told({},'track');heapReadyCb.map(x=>x.fn())", nil}),
			want: `[["track","Buy",{"value":1}]]`,
		},
		{
			name: "contentsquare: the next page", watch: "_uxa", vendor: here, steps: viewed(load("contentsquare"), "contentsquare"),
			want: `[["trackPageview","/a?b=c"]]`,
		},
		{
			name: "fullstory: its settings", watch: "[_fs_host,_fs_script,_fs_org,_fs_namespace,FS._v]",
			steps: loaded(fullstory, "fullstory"),
			want:  `["eu1.fullstory.com","edge.eu1.fullstory.com/s/fs.js","o-254FDS-na1","FS","2.0.0"]`,
		},
		{
			name: "fullstory stopped and started", watch: "FS.q", steps: stopped(fullstory, "fullstory"),
			want: `[["restart",null,null,null,null,2],["shutdown",null,null,null,null,2],["shutdown",null,null,null,null,2],
				["restart",null,null,null,null,2]]`,
		},
		{
			name: "fullstory: an asynchronous call leaves two functions", watch: "[FS.q[1].map(x=>typeof x),p instanceof Promise]",
			steps: append(loaded(fullstory, "fullstory"), step{"window.p=FS('getSessionAsync',{a:1})", nil}),
			want:  `[["string","object","undefined","function","function","number"],true]`,
		},
		{
			name: "fullstory's script takes over", watch: "got", vendor: "var got=[]",
			steps: append(loaded(fullstory, "fullstory"), step{"FS._api=(...a)=>{got.push(a)};FS('trackEvent',{name:'x'})", nil}),
			want:  `[["trackEvent",{"name":"x"},null,null,null,2]]`,
		},
		{
			name: "logrocket", watch: "got", vendor: calls + "var LogRocket=told({},'init')", steps: loaded(load("logrocket"), "logrocket"),
			want: `[["init","ab12cd/my-app"]]`,
		},
		{
			name: "adobe: the Web SDK is told, both ways", watch: "got.map(x=>[x[0],x[1].consent[0]])",
			vendor: "var got=[];function alloy(...a){got.push(a)}",
			steps:  append(loaded(load("adobe-analytics"), "adobe-analytics"), step{load("adobe-analytics").Signal, nil}),
			want: `[["setConsent",{"standard":"Adobe","version":"1.0","value":{"general":"in"}}],
				["setConsent",{"standard":"Adobe","version":"1.0","value":{"general":"in"}}],
				["setConsent",{"standard":"Adobe","version":"1.0","value":{"general":"out"}}]]`,
		},
		{
			name: "adobe without the Web SDK", watch: "1", steps: loaded(load("adobe-analytics"), "adobe-analytics"), want: `1`,
		},
		{
			name: "yandex: init, the next page, and the flag when it is refused", watch: "[ym.l,ym.a,disableYaCounter12345678]",
			steps: append(viewed(load("yandex-metrica"), "yandex-metrica"), step{load("yandex-metrica").Signal, nil}),
			want: `[1,[[12345678,"init",{"clickmap":true,"trackLinks":true,"accurateTrackBounce":true}],[12345678,"hit"]],
				true]`,
		},
		{
			name: "yandex: the flag is off while it is allowed", watch: "disableYaCounter12345678",
			steps: loaded(load("yandex-metrica"), "yandex-metrica"), want: `false`,
		},
		{
			name: "baidu: the next page", watch: "_hmt", vendor: here, steps: viewed(load("baidu-tongji"), "baidu-tongji"),
			want: `[["_trackPageview","/a?b=c"]]`,
		},
		{
			name: "piano: settings, page, the next one, stopped and started", watch: "got",
			vendor: here + calls + "var pa=told({privacy:told({},'setMode')},'setConfigurations','sendEvent')",
			steps: append(viewed(load("piano-analytics"), "piano-analytics"), step{load("piano-analytics").Signal, nil},
				step{load("piano-analytics").Stop, nil}, step{load("piano-analytics").Signal, []string{"piano-analytics"}}),
			want: `[["setMode","optin"],
				["setConfigurations",{"site":123456789,"collectDomain":"https://example.pa-cd.com","sendEventWhenOptout":false}],
				["setMode","optin"],["sendEvent","page.display",{"page":"/a"}],["sendEvent","page.display",{"page":"/a"}],
				["setMode","optout"],["setMode","optout"],["setMode","optin"]]`,
		},
		{
			name: "piano's script was blocked", watch: "typeof pa", steps: stopped(load("piano-analytics"), "piano-analytics"),
			want: `"undefined"`,
		},
		{
			name: "hubspot: its banner is off, and analytics follows its category", watch: "[disableHubSpotCookieBanner,_hsp,_hsq]",
			vendor: here, steps: append(viewed(hubspot, "hubspot"), step{hubspot.Signal, []string{"analytics", "marketing", "hubspot"}},
				step{hubspot.Signal, []string{"functional"}}),
			want: `[true,[["setHubSpotConsent",{"analytics":false,"advertisement":true,"functionality":false}],
				["setHubSpotConsent",{"analytics":true,"advertisement":true,"functionality":false}],
				["setHubSpotConsent",{"analytics":false,"advertisement":false,"functionality":true}]],
				[["setPath","/a?b=c"],["trackPageView"]]]`,
		},
		{
			name: "marketo: init and the next page", watch: "got", vendor: here + calls + "var Munchkin=told({},'init','munchkinFunction')",
			steps: viewed(load("marketo"), "marketo"),
			want:  `[["init","123-ABC-456"],["munchkinFunction","visitWebPage",{"url":"/a","params":"b=c"}]]`,
		},
		{
			name: "pardot: tracker, opt-in, page view, stopped and started", watch: "pdt.cq", steps: stopped(load("pardot"), "pardot"),
			want: `[["create",123456,6543,"go.example.com"],["setOptIn",true],["sendPageView"],["setOptIn",false],
				["revokeConsent"],["setOptIn",true]]`,
		},
		{
			name: "pardot: the next page", watch: "pdt.cq.slice(3)", steps: viewed(load("pardot"), "pardot"), want: `[["sendPageView"]]`,
		},
		{
			name: "activecampaign", watch: "[visitorGlobalObjectAlias,vgo.l,vgo.q]",
			steps: loaded(load("activecampaign"), "activecampaign"),
			want:  `["vgo",1,[["setAccount","123456789"],["setTrackByDefault",true],["process"]]]`,
		},
		{
			name: "klaviyo", watch: "_klOnsite", steps: append(loaded(load("klaviyo"), "klaviyo"), step{"_klOnsite.push(['track','x'])", nil}),
			want: `[["track","x"]]`,
		},
		{
			name: "brevo", watch: "Brevo", steps: loaded(load("brevo"), "brevo"),
			want: `[["init",{"client_key":"abcdefghij0123456789klmn"}]]`,
		},
		{
			name: "mautic: a page view and the next", watch: "[MauticTrackingObject,mt.q]", steps: viewed(load("mautic"), "mautic"),
			want: `["mt",[["send","pageview"],["send","pageview"]]]`,
		},
		{
			name: "braze starts once, and again after it was stopped", watch: "got", vendor: calls + brazeScript,
			steps: append(loaded(braze, "braze"), step{braze.Signal, []string{"braze"}}, step{braze.Stop, nil},
				step{braze.Signal, []string{"braze"}}),
			want: `[` + brazeStarts + `,["disableSDK"],` + brazeStarts + `]`,
		},
		{
			name: "braze is told the truth before it is stopped", watch: "got.slice(4)", vendor: calls + brazeScript,
			steps: append(loaded(braze, "braze"), step{braze.Signal, nil}), want: `[["disableSDK"]]`,
		},
		{
			name: "braze's script was blocked", watch: "typeof braze", steps: stopped(braze, "braze"), want: `"undefined"`,
		},
		{
			name: "intercom: settings beside the page's own", watch: "[intercomSettings,Intercom.q]",
			vendor: "var intercomSettings={name:'Ada'}", steps: viewed(intercom, "intercom"),
			want: `[{"name":"Ada","api_base":"https://api-iam.eu.intercom.io","app_id":"ab12cd34"},[["update"]]]`,
		},
		{
			name: "intercom stopped, started, and told again", watch: "Intercom.q",
			steps: append(stopped(intercom, "intercom"), step{intercom.Signal, []string{"intercom"}}),
			want:  `[["shutdown"],["shutdown"],["boot",{"api_base":"https://api-iam.eu.intercom.io","app_id":"ab12cd34"}]]`,
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

// A page that brought its own stub keeps it.
func TestProductAndMarketingStubsAreNotReplaced(t *testing.T) {
	l := library(t)
	names := map[string]string{
		"snowplow": "snowplow", "fullstory": "FS", "yandex-metrica": "ym", "pardot": "pdt", "activecampaign": "vgo", "mautic": "mt",
		"intercom": "Intercom",
	}
	for id, name := range names {
		load := example(t, l.Find(id)).Load
		own := plan{
			Vendor: "var own,had=()=>{};var " + name + "=own=function(){had()}", Watch: name + "===own",
			Steps: []step{{load.Before, []string{id}}},
		}
		if got := run(t, own)[0][0]; got != true {
			t.Errorf("%s: the page's own %s was replaced: %v", id, name, got)
		}
	}
}
