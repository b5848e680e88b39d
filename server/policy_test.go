package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// policyWorld serves a site with policies in files.
func policyWorld(t *testing.T, policy string, change ...func(*Options)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*Options){func(o *Options) {
		folder := filepath.Dir(o.Config)
		for name, text := range map[string]string{"v1.md": "# Policy\n\nWe keep **names**.\n", "v2.md": "# Policy\n\nWe keep **names and ages**.\n\n{cookies}\n"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(o.Config, []byte(withPolicy(policy)), 0o600); err != nil {
			t.Fatal(err)
		}
	}}, change...)...)
	return w
}

func withPolicy(policy string) string {
	return strings.Replace(siteText, "{version: 2026-11-01, material: true}", policy, 1)
}

// A version that left the configuration stays readable, and a text that changed under its version is kept beside the first
// (C6).
func TestC6PolicyArchive(t *testing.T) {
	w := policyWorld(t, "{version: v1, file: v1.md}")
	w.write(withPolicy("{version: v2, material: true, file: v2.md, summary: Ages}"))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, body := w.get("/stile/shop/policy")
	for _, want := range []string{"<strong>names and ages</strong>", "_ga", "/stile/shop/policy/v1", "/stile/shop/policy/v2?against=v1", "Ages"} {
		if !strings.Contains(body, want) {
			t.Errorf("the policy lacks %q", want)
		}
	}
	if _, body := w.get("/stile/shop/policy/v1"); !strings.Contains(body, "<strong>names</strong>") || !strings.Contains(body, "no longer in force") {
		t.Errorf("the old policy is %s", body)
	}
	if _, body := w.get("/stile/shop/policy/v2?against=v1"); !strings.Contains(body, "<ins>") || !strings.Contains(body, "What changed since version v1") {
		t.Errorf("the comparison is %s", body)
	}
	for _, path := range []string{"/stile/shop/policy/v3", "/stile/shop/policy?against=v3"} {
		if resp, body := w.get(path); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "never had a policy") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if err := os.WriteFile(filepath.Join(w.folder, "v2.md"), []byte("Something else.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.log.String(), "the policy's text changed under its version") {
		t.Errorf("the log says %s", w.log)
	}
	if kept, err := w.s.ledger.Policies(t.Context(), "shop"); err != nil || len(kept) != 3 {
		t.Errorf("%d texts are kept (%v), want three", len(kept), err)
	}
}

// A policy that was announced comes into force on its day, without anybody's help (F9).
func TestF9NextPolicy(t *testing.T) {
	day := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var start atomic.Pointer[time.Time] // the clock stands until then
	clock := func(o *Options) {
		o.Now = func() time.Time {
			now := day.Add(-time.Second)
			if from := start.Load(); from != nil {
				now = now.Add(time.Since(*from))
			}
			return now
		}
	}
	w := policyWorld(t, "{version: v1, file: v1.md, next: {version: v2, from: 2027-01-01, material: true, file: v2.md}}", clock)
	_, body := w.get("/stile/shop/policy")
	if !strings.Contains(body, "Version v1") || !strings.Contains(body, "In force from 2027-01-01 on") {
		t.Errorf("before its day: %s", body)
	}
	now := time.Now()
	start.Store(&now)
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for strings.Contains(body, "Version v1") && strings.Contains(body, "In force from") {
		select {
		case <-tick.C:
			_, body = w.get("/stile/shop/policy")
		case <-limit:
			t.Fatal("the day came, and nothing happened")
		}
	}
	if _, body := w.get("/stile/shop/policy"); !strings.Contains(body, "<strong>names and ages</strong>") || strings.Contains(body, "In force from") {
		t.Errorf("on its day: %s", body)
	}
	if _, body := w.get("/stile/shop/policy/v1"); !strings.Contains(body, "no longer in force") {
		t.Errorf("the one before: %s", body)
	}
}

func TestCrawlerNames(t *testing.T) {
	for agent, want := range map[string]bool{
		"": false,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36":        false,
		"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36": false,
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                               true,
		"Mozilla/5.0 (Linux; Android 6.0.1) Chrome/120.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)":                   true,
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)":                                                true,
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)":                                              true,
		"Mozilla/5.0 (compatible; Baiduspider/2.0)":                                                                              true,
		"CCBot/2.0":                      true,
		strings.Repeat("x", 600) + "bot": false, // what is that long is no name
	} {
		if got := crawler(agent); got != want {
			t.Errorf("%q: %v, want %v", agent, got, want)
		}
	}
}

// What came after a choice is told by its title, on the page and to the dialog (B11).
func TestB11NewIsNamed(t *testing.T) {
	w := newWorld(t)
	w.choose("accept=all")
	w.write(strings.Replace(siteText, "  marketing: {}\n", "  marketing: {}\n  games: {title: {en: Games, de: Spiele}, purpose: {en: scores, de: Punkte}}\n", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for lang, want := range map[string]string{"en": "New since your choice:</b> Games", "de": "</b> Spiele"} {
		if _, body := w.get("/stile/shop/preferences?lang=" + lang); !strings.Contains(body, want) {
			t.Errorf("the page in %s lacks %q", lang, want)
		}
	}
	if _, body := w.get("/stile/shop/receipt?brief=1&lang=de"); !strings.Contains(body, `"Spiele"`) {
		t.Errorf("the dialog is told %s", body)
	}
}
