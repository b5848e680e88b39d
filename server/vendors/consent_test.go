package vendors

import (
	"strings"
	"testing"
)

// The exact forms of REQUIREMENTS, section G: a vendor ignores what is spelt otherwise.
func TestExactConsentForms(t *testing.T) {
	l := library(t)
	for _, test := range []struct{ vendor, body, form string }{
		{"ga4", "stop", `window['ga-disable-G-AB12CD34EF']=true`},
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

// Google's own forms: arguments is pushed, since gtag.js does not read an array.
func TestGoogleMode(t *testing.T) {
	m := library(t).Mode("google")
	for _, form := range []string{`function(){d.push(arguments)}`, `gtag('consent','default',o)`} {
		if !strings.Contains(m.Default, form) {
			t.Errorf("the default lacks %s", form)
		}
	}
	for _, form := range []string{`function(){d.push(arguments)}`, `gtag('consent','default',o)`, `gtag('consent','update',s)`, `gtag('set','ads_data_redaction',s.ad_storage=='denied')`} {
		if !strings.Contains(m.Update, form) {
			t.Errorf("the update lacks %s", form)
		}
	}
}

// Who is silent once it was told is told, and has a Stop.
func TestStops(t *testing.T) {
	for _, v := range library(t).All() {
		if v.Silent && v.Load.Stop == "" {
			t.Errorf("%s: it is silent when told, but is never told", v.ID)
		}
	}
}
