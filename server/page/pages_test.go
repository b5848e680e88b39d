package page

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// truth is what stands in the real pages of STILE_PAGES, checked by hand: all that asks, or would ask, a third party for
// more than a library or a picture. Who nobody knows by name stands there by the host. Those that Scan does not find, or
// cannot name, are in it too.
var truth = map[string]string{
	"01.html": "AddToAny; Disqus; Google AdSense; Google Fonts; Yandex Metrica; optAd360; host wwsercher.biz",
	"02.html": "Google Fonts; Google Tag Manager; Confiant; Google Analytics; Google/Doubleclick Ads; Nativo; Taboola; mPulse",
	"03.html": "AddThis; Adobe TypeKit; Google AdSense; Google Analytics; Google reCAPTCHA; Google/Doubleclick Ads; Meta Pixel; YouTube",
	"04.html": "Google AdSense; Google Analytics; JustPremium Ads; Yieldlab; Cookiebot",
	"05.html": "Cloudflare Web Analytics; Google Analytics; Google Tag Manager; Google reCAPTCHA; Infoline; LinkedIn Insight Tag; Meta Pixel; Vimeo; CookieFirst",
	"06.html": "Facebook; Google Analytics; Google Fonts; Google/Doubleclick Ads; Yandex Metrica; FontAwesome CDN",
	"07.html": "Google Ads; Google Analytics; Google Fonts; Google Tag Manager; Mailchimp; Meta Pixel; Pinterest Tag; TikTok Pixel; YouTube",
	"08.html": "Amazon Ads; Avantis Video; Didomi; Facebook; Google AdSense; Google Analytics; Google Fonts; Google Tag Manager; Google/Doubleclick Ads; Index Exchange; Meta Pixel; Nativo; Snap Pixel; Taboola; Protected Media",
	"09.html": "AddThis; Facebook; Google Analytics; Google Tag Manager; Google/Doubleclick Ads; Microsoft Clarity",
	"10.html": "Clickback; Google Analytics; Google Fonts; Google Tag Manager; HubSpot; LinkedIn Insight Tag; Meta Pixel; YouTube; FontAwesome CDN",
	"11.html": "Facebook; Google Ads; Google Analytics; Google Fonts; Google Tag Manager; Google/Doubleclick Ads; Meta Pixel; Microsoft Advertising UET",
	"12.html": "Amazon Ad Tag; Bazaarvoice; Floodlight; ForeSee; Google Ads; Google Analytics; Google Tag Manager; Meta Pixel; Microsoft Advertising UET; host destinilocators.com",
	"13.html": "Ablida; Chartbeat; Criteo; Cxense; Google Ads; Infoline; Meta Pixel; Optimizely; Outbrain; Parse.ly; Taboola; Usabilla; VG Wort; Webtrekk; OneSignal",
	"14.html": "Chartbeat; Facebook; Google Analytics; Google Tag Manager; Google reCAPTCHA; M32; Matomo; New Relic; SlimCut Media Outstream",
	"15.html": "Google Tag Manager; HubSpot; Infoline; Matomo; YouTube",
	"16.html": "Facebook; Google Ads; Google Analytics; Google Fonts; Google Tag Manager; Google reCAPTCHA; Google/Doubleclick Ads; HubSpot; LinkedIn; LinkedIn Insight Tag; Meta Pixel; X embed",
	"17.html": "Connatix; Cxense; FontAwesome CDN; Google/Doubleclick Ads; Hotjar; Meta Pixel; Playoncenter; Protecmedia; Scorecard Research; Taboola; Teads; Yandex Metrica",
	"18.html": "Criteo; Google AdSense; Google Analytics; Google Fonts; Google Tag Manager; Google/Doubleclick Ads; Hotjar; Infoline; Meta Pixel; New Relic; Outbrain; Pinterest; Pinterest Tag; Sourcepoint; host shop.rewe.de",
	"19.html": "Cookiebot; Google Analytics; Google Fonts; Google Tag Manager; Google reCAPTCHA; Gravatar; Hotjar; MailCamp; Mediavine; Meta Pixel; Popupsmart; WordPress Site Stats; host cdn.foodinfluencersunited.nl",
	"20.html": "Amazon Ad Tag; Amazon Ads; Amazon Associates; Audigent; Criteo; Google Analytics; Google IMA; Google Tag Manager; Google reCAPTCHA; Google/Doubleclick Ads; Hotjar; Index Exchange; Integral Ad Science; LinkedIn Insight Tag; LiveRamp; Media.net; Meta Pixel; Minute.ly; OpenX; Optanon; Outbrain; Parse.ly; Permutive; Pubmatic; Quantcast; Rubicon Project; Sailthru; Scorecard Research; Skimbit; Snap Pixel; Snowplow; Taboola; Teads; TikTok Pixel; Trackonomics; TripleLift; Wunderkind; X Pixel; Xandr; YouTube; host player.cnevids.com; host shiverscissors.com; host trx-hub.com",
}

// called is how the library or the table call who is shorter in truth: the first words are the same, in any case.
var called = map[string]string{"Microsoft Universal Pixel (Xandr)": "Xandr"}

func isCalled(name, short string) bool {
	if called[name] == short {
		return true
	}
	rest, found := strings.CutPrefix(strings.ToLower(name), strings.ToLower(short))
	return found && (rest == "" || short == "Google Analytics" || short == "Criteo" || short == "Floodlight" || short == "Optimizely" ||
		short == "Taboola" || short == "Outbrain" || short == "LiveRamp")
}

func realPages(t testing.TB) map[string][]byte {
	t.Helper()
	dir := os.Getenv("STILE_PAGES")
	if dir == "" {
		t.Skip("STILE_PAGES is not set: the real pages are not at hand")
	}
	pages := map[string][]byte{}
	for name := range truth {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = page
	}
	return pages
}

// At least 95 % of who is in the real pages are found, most of them by name, and who waits is in them. The selectors and
// places hold there too.
func TestRealPages(t *testing.T) {
	pages := realPages(t)
	j := NewJudge(nil, library(t))
	all, found, named := 0, 0, 0
	for name, page := range pages {
		report, err := Scan(bytes.NewReader(page), nil, j)
		if err != nil {
			t.Fatal(name, err)
		}
		checkPlaces(t, page, report)
		list := strings.Split(truth[name], "; ")
		for _, want := range list {
			all++
			host, unknown := strings.CutPrefix(want, "host ")
			has := false
			for _, f := range report.Finds {
				has = has || unknown && f.Host == host || !unknown && isCalled(f.Name, want)
			}
			switch {
			case !has:
				t.Logf("%s: %s is missed", name, want)
			case unknown:
				t.Logf("%s: %s is found, and not known", name, want)
				found++
			default:
				found, named = found+1, named+1
			}
		}
		for _, f := range report.Finds {
			real := false
			for _, want := range list {
				real = real || isCalled(f.Name, want)
			}
			if !real && j.Waits(f.Party) {
				t.Errorf("%s:%d: %s is said to be in %s", name, f.Line, f.Name, f.Kind)
			}
		}
	}
	t.Logf("of %d, %d are found (%.1f %%), %d by name (%.1f %%)", all, found, 100*float64(found)/float64(all), named, 100*float64(named)/float64(all))
	if found*100 < all*95 || named*100 < all*90 {
		t.Errorf("%d of %d are found, %d by name", found, all, named)
	}
}

// BenchmarkScan scans a hundred pages: the real ones where they are at hand, else our own.
func BenchmarkScan(b *testing.B) {
	own, err := os.ReadFile("testdata/shop.html")
	if err != nil {
		b.Fatal(err)
	}
	list := [][]byte{own}
	if os.Getenv("STILE_PAGES") != "" {
		list = nil
		for _, page := range realPages(b) {
			list = append(list, page)
		}
	}
	size := 0
	for i := range 100 {
		size += len(list[i%len(list)])
	}
	j := NewJudge(nil, library(b))
	b.SetBytes(int64(size))
	for b.Loop() {
		for i := range 100 {
			if _, err := Scan(bytes.NewReader(list[i%len(list)]), nil, j); err != nil {
				b.Fatal(err)
			}
		}
	}
}
