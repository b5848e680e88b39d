package vendors

import (
	"strings"
	"testing"
)

// The exact forms of REQUIREMENTS, section G: a vendor ignores what is spelt otherwise.
func TestExactConsentForms(t *testing.T) {
	const (
		googleDefault = `gtag('consent','default',{ad_storage:'denied',ad_user_data:'denied',ad_personalization:'denied',` +
			`analytics_storage:'denied',functionality_storage:'denied',personalization_storage:'denied',` +
			`security_storage:'granted',wait_for_update:500})`
		googleUpdate = `gtag('consent','update',{ad_storage:m,ad_user_data:m,ad_personalization:m,analytics_storage:`
		redaction    = `gtag('set','ads_data_redaction',`
		arguments    = `function(){d.push(arguments)}`
	)
	l := library(t)
	for _, test := range []struct{ vendor, body, form string }{
		{"ga4", "before", googleDefault},
		{"ga4", "before", arguments},
		{"ga4", "signal", googleUpdate},
		{"ga4", "signal", redaction},
		{"ga4", "stop", `window['ga-disable-G-AB12CD34EF']=true`},
		{"ga4", "stop", `gtag('consent','update',{analytics_storage:'denied'})`},
		{"google-ads", "before", googleDefault},
		{"google-ads", "before", arguments},
		{"google-ads", "signal", googleUpdate},
		{"google-ads", "signal", redaction},
		{"gtm", "before", googleDefault},
		{"gtm", "before", arguments},
		{"gtm", "signal", googleUpdate},
		{"gtm", "signal", redaction},
		{"microsoft-uet", "before", `uetq.push('consent','default',{'ad_storage':'denied'})`},
		{"microsoft-uet", "signal", `uetq.push('consent','update',{'ad_storage':`},
		{"microsoft-clarity", "signal", `clarity('consentv2',{ad_Storage:y(ok('marketing')),analytics_Storage:`},
		{"microsoft-clarity", "stop", `clarity('consentv2',{ad_Storage:'denied',analytics_Storage:'denied'})`},
		{"meta-pixel", "before", "fbq('consent','revoke');\nfbq('init','123456789012345')"},
		{"meta-pixel", "signal", `fbq('consent',ok('meta-pixel')?'grant':'revoke')`},
		{"meta-pixel", "stop", `fbq('consent','revoke')`},
		{"tiktok-pixel", "before", `ttq.holdConsent()`},
		{"tiktok-pixel", "signal", `ttq.grantConsent()`},
		{"tiktok-pixel", "stop", `ttq.revokeConsent()`},
	} {
		if got := bodies(example(t, l.Find(test.vendor)).Load)[test.body]; !strings.Contains(got, test.form) {
			t.Errorf("%s: %s lacks\n%s\nin\n%s", test.vendor, test.body, test.form, got)
		}
	}
}

// Where the vendor does not go quiet there is no Stop, so that the gate does not believe that it did.
func TestStops(t *testing.T) {
	stops := map[string]bool{
		"ga4": true, "meta-pixel": true, "tiktok-pixel": true, "matomo": true, "microsoft-clarity": true, "pinterest-tag": true,
	}
	for _, v := range library(t).All() {
		if got := v.Load.Stop != ""; got != stops[v.ID] {
			t.Errorf("%s: has a Stop: %v, want %v", v.ID, got, stops[v.ID])
		}
		if v.Silent && v.Load.Stop == "" {
			t.Errorf("%s: it is silent when told, but is never told", v.ID)
		}
	}
}

// The three Google vendors share one queue, so that they must agree on how it begins.
func TestGoogleVendorsBeginAlike(t *testing.T) {
	l := library(t)
	want := l.Find("ga4").Load.Before
	for _, id := range []string{"google-ads", "gtm"} {
		if got := l.Find(id).Load.Before; got != want {
			t.Errorf("%s begins otherwise than ga4:\n%s", id, got)
		}
	}
}
