package vendors

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/consent"
)

// runner plays the gate in a fake window: it runs the steps of loads in Node and prints what one expression says after
// each. Strict mode and a window without a document are the hardest page that a snippet can meet.
const runner = `
const vm = require('vm'), plans = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const plain = v => JSON.parse(JSON.stringify(v, (k, x) =>
  Object.prototype.toString.call(x) === '[object Arguments]' ? Array.from(x) : x) ?? 'null');
console.log(JSON.stringify(plans.map(plan => {
  const page = vm.createContext({});
  vm.runInContext('var window = globalThis; Date.prototype.toJSON = () => "now"; Date.now = () => 1', page);
  vm.runInContext(plan.vendor, page);
  return plan.steps.map(step => {
    try {
      const allowed = new Set(step.allowed);
      vm.runInContext('"use strict";(function(ok){' + step.body + '\n})', page)(name => allowed.has(name));
    } catch (e) { return 'error: ' + e.message }
    try { return plain(vm.runInContext(plan.watch, page)) } catch (e) { return null } // not there yet
  });
})));
`

// plan is a page: what the vendor's script would have put there, the steps, and the expression to look at.
type plan struct {
	Vendor string `json:"vendor"`
	Watch  string `json:"watch"`
	Steps  []step `json:"steps"`
}

type step struct {
	Body    string   `json:"body"`
	Allowed []string `json:"allowed"`
}

// loaded are the steps of a tag that is released.
func loaded(l consent.Load, allowed ...string) []step {
	return []step{{l.Before, allowed}, {l.Signal, allowed}, {l.After, allowed}}
}

// run runs plans and returns what was seen after each step.
func run(t *testing.T, plans ...plan) [][]any {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed, so the snippets are parsed but not run")
	}
	input, err := json.Marshal(plans)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "-e", runner)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, cmd.Stderr)
	}
	var seen [][]any
	if err := json.Unmarshal(output, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// value reads JSON as run returns it.
func value(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// google are the steps of a Google tag: its consent mode, filled in as the gate does, and then its own.
func google(t *testing.T, l consent.Load, allowed ...string) []step {
	t.Helper()
	m := library(t).Mode("google")
	always, signals := map[string]any{}, map[string]string{}
	for _, s := range m.Signals {
		signals[s.Name] = s.Category
	}
	for _, name := range m.Granted {
		always[name] = "granted"
	}
	maps.Copy(always, m.Settings)
	body := m.Update
	for placeholder, v := range map[string]any{"{signals}": signals, "{always}": always} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		body = strings.ReplaceAll(body, placeholder, string(text))
	}
	return append([]step{{body, allowed}}, loaded(l, allowed...)...)
}

// googleDefault and googleUpdate are what consent mode is told.
const googleDefault = `["consent","default",{"ad_storage":"denied","ad_user_data":"denied","ad_personalization":"denied",
	"analytics_storage":"denied","functionality_storage":"denied","personalization_storage":"denied",
	"security_storage":"granted","wait_for_update":500}]`

func googleUpdate(analytics, ads, functional string) string {
	redact := "false"
	if ads == "denied" {
		redact = "true"
	}
	return `["consent","update",{"ad_storage":"` + ads + `","ad_user_data":"` + ads + `","ad_personalization":"` + ads + `",
	"analytics_storage":"` + analytics + `","functionality_storage":"` + functional + `",
	"personalization_storage":"` + functional + `"}],["set","ads_data_redaction",` + redact + `]`
}

func TestQueues(t *testing.T) {
	l := library(t)
	load := func(id string) consent.Load { return example(t, l.Find(id)).Load }
	ga4, ads, gtm, meta := load("ga4"), load("google-ads"), load("gtm"), load("meta-pixel")
	tiktok, uet, clarity, matomo := load("tiktok-pixel"), load("microsoft-uet"), load("microsoft-clarity"), load("matomo")
	pinterest, linkedin, hotjar, plausible := load("pinterest-tag"), load("linkedin-insight"), load("hotjar"), load("plausible")

	type queueTest struct {
		name, watch, vendor string
		steps               []step
		want                string // what the last step leaves
	}
	tests := []queueTest{
		{
			name: "ga4: default, update, js, config", watch: "dataLayer",
			steps: google(t, ga4, "analytics"),
			want: `[` + googleDefault + `,` + googleUpdate("granted", "denied", "denied") + `,
				["js","now"],["config","G-AB12CD34EF"]]`,
		},
		{
			name: "two Google tags: one default, each its config", watch: "dataLayer",
			steps: append(google(t, ga4, "analytics", "marketing", "functional"), google(t, ads, "analytics", "marketing", "functional")...),
			want: `[` + googleDefault + `,` + googleUpdate("granted", "granted", "granted") + `,
				["js","now"],["config","G-AB12CD34EF"],` + googleUpdate("granted", "granted", "granted") + `,
				["js","now"],["config","AW-123456789"]]`,
		},
		{
			name: "ga4 stopped", watch: "window['ga-disable-G-AB12CD34EF']",
			steps: append(google(t, ga4, "analytics"), step{ga4.Stop, nil}), want: `true`,
		},
		{
			name: "ga4 stopped and started", watch: "[window['ga-disable-G-AB12CD34EF'],dataLayer.length]",
			steps: append(google(t, ga4, "analytics"), step{ga4.Stop, nil}, step{ga4.Signal, []string{"analytics", "ga4"}}), want: `[false,5]`,
		},
		{
			name: "the page's own gtag is used", watch: "mine", vendor: "var mine=0;function gtag(){mine++}",
			steps: google(t, ga4, "ga4"), want: `5`,
		},
		{
			name: "gtm: default, update, start", watch: "dataLayer",
			steps: google(t, gtm, "functional"),
			want: `[` + googleDefault + `,` + googleUpdate("denied", "denied", "granted") + `,
				{"gtm.start":1,"event":"gtm.js"}]`,
		},
		{
			name: "meta: revoke, init, grant, PageView", watch: "fbq.queue", steps: loaded(meta, "meta-pixel"),
			want: `[["consent","revoke"],["init","123456789012345"],["consent","grant"],["track","PageView"]]`,
		},
		{
			name: "meta's protocol", watch: "[fbq.loaded,fbq.version,fbq.push===fbq,_fbq===fbq]",
			steps: loaded(meta, "meta-pixel"), want: `[true,"2.0",true,true]`,
		},
		{
			name: "meta's script takes over", watch: "got", steps: append(loaded(meta, "meta-pixel"),
				step{"window.got=[];fbq.callMethod=(...a)=>got.push(a)", nil}, step{meta.Stop, nil}, step{meta.Signal, []string{"meta-pixel"}}),
			want: `[["consent","revoke"],["consent","grant"]]`,
		},
		{
			name: "tiktok: hold, grant, page", watch: "ttq", steps: loaded(tiktok, "tiktok-pixel"),
			want: `[["holdConsent"],["grantConsent"],["page"]]`,
		},
		{
			name: "tiktok's protocol", watch: "[TiktokAnalyticsObject,ttq._i.C4A1B2C3D4E5F6G7H8I9._u,ttq._t,ttq._o,ttq.methods.length]",
			steps: loaded(tiktok, "tiktok-pixel"),
			want: `["ttq","https://analytics.tiktok.com/i18n/pixel/events.js",{"C4A1B2C3D4E5F6G7H8I9":1},
				{"C4A1B2C3D4E5F6G7H8I9":{}},7]`,
		},
		{
			name: "tiktok stopped and started", watch: "ttq.slice(3)",
			steps: append(loaded(tiktok, "tiktok-pixel"), step{tiktok.Stop, nil}, step{tiktok.Signal, []string{"tiktok-pixel"}}),
			want:  `[["revokeConsent"],["grantConsent"]]`,
		},
		{
			name: "uet: default, update, then the object and its page load", watch: "[options,uetq.sent]",
			vendor: "var options;function UET(o){options=o;this.sent=[];this.push=x=>this.sent.push(x)}",
			steps:  loaded(uet, "microsoft-uet"),
			want: `[{"ti":"97267979","enableAutoSpaTracking":true,"q":["consent","default",{"ad_storage":"denied"},
				"consent","update",{"ad_storage":"granted"}]},["pageLoad"]]`,
		},
		{
			name: "uet's script was blocked", watch: "uetq.length", steps: loaded(uet, "microsoft-uet"), want: `6`,
		},
		{
			name: "clarity: consent for what was accepted", watch: "clarity.q", steps: loaded(clarity, "analytics", "microsoft-clarity"),
			want: `[["consentv2",{"ad_Storage":"denied","analytics_Storage":"granted"}]]`,
		},
		{
			name: "clarity stopped and started", watch: "clarity.q.slice(1)",
			steps: append(loaded(clarity, "microsoft-clarity"), step{clarity.Stop, nil},
				step{clarity.Signal, []string{"microsoft-clarity"}}, step{clarity.Signal, []string{"marketing", "microsoft-clarity"}}),
			want: `[["consentv2",{"ad_Storage":"denied","analytics_Storage":"denied"}],["stop"],["start"],
				["consentv2",{"ad_Storage":"denied","analytics_Storage":"granted"}],
				["consentv2",{"ad_Storage":"granted","analytics_Storage":"granted"}]]`,
		},
		{
			name: "matomo: consent is required first, then given", watch: "_paq", steps: loaded(matomo, "matomo"),
			want: `[["requireConsent"],["setTrackerUrl","https://stats.example.org/matomo.php"],["setSiteId","1"],
				["trackPageView"],["enableLinkTracking"],["setConsentGiven"]]`,
		},
		{
			name: "matomo stopped and started", watch: "_paq.slice(6)",
			steps: append(loaded(matomo, "matomo"), step{matomo.Stop, nil}, step{matomo.Signal, []string{"matomo"}}),
			want:  `[["forgetConsentGiven"],["setConsentGiven"]]`,
		},
		{
			name: "pinterest: load, consent, page", watch: "[pintrk.version,pintrk.queue]", steps: loaded(pinterest, "pinterest-tag"),
			want: `["3.0",[["load","2612345678901"],["setconsent",true],["page"]]]`,
		},
		{
			name: "pinterest stopped and started", watch: "pintrk.queue.slice(3)",
			steps: append(loaded(pinterest, "pinterest-tag"), step{pinterest.Stop, nil}, step{pinterest.Signal, []string{"pinterest-tag"}}),
			want:  `[["setconsent",false],["setconsent",true]]`,
		},
		{
			name: "linkedin", watch: "[_linkedin_partner_id,_linkedin_data_partner_ids,lintrk.q]",
			steps: append(loaded(linkedin, "linkedin-insight"), step{"lintrk('track',{conversion_id:1})", nil}),
			want:  `["987654",["987654"],[["track",{"conversion_id":1}]]]`,
		},
		{
			name: "hotjar", watch: "[_hjSettings,hj.q]",
			steps: append(loaded(hotjar, "hotjar"), step{"hj('event','x')", nil}),
			want:  `[{"hjid":1234567,"hjsv":6},[["event","x"]]]`,
		},
		{
			name: "plausible", watch: "plausible.q",
			steps: append(loaded(plausible, "plausible"), step{"plausible('Signup')", nil}), want: `[["Signup"]]`,
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
