package e2e

import (
	"os"
	"strings"
	"testing"
)

// B12, and the visitor's own agents: DuckDuckGo's autoconsent, which knows nothing of Stile, finds the banner by its looks and
// words and refuses, wherever it stands, in languages that it reads; a site's question for the age does not make it pass.
func TestB12Autoconsent(t *testing.T) {
	script, err := os.ReadFile("node_modules/@duckduckgo/autoconsent/dist/autoconsent.playwright.js")
	if err != nil {
		t.Fatalf("autoconsent is not installed: run npm ci in e2e: %v", err)
	}
	w := newWorld(t, settings{config: everyLanguage(func(text string) string { return text + "\nminors: {age: 14, guardian: true}\n" }), pages: plain()})
	b := w.open()
	// What DuckDuckGo's browsers do around it: they hand it a configuration, here without any rules for known banners.
	start := `window.told = []
		window.autoconsentSendMessage = m => {
			told.push(m)
			if (m.type == 'init') setTimeout(() => autoconsentReceiveMessage({ type: 'initResp', rules: { autoconsent: [] }, config: {
				enabled: true, autoAction: 'optOut', disabledCmps: [], enablePrehide: false, enableCosmeticRules: false, enableGeneratedRules: false,
				detectRetries: 20, isMainWorld: false, prehideTimeout: 2000, enableHeuristicDetection: true, heuristicMode: 'reject', heuristicPopupSearchTimeout: 60000, visualTest: false, logs: {},
			} }))
			return Promise.resolve()
		}
		` + string(script) + `;true`
	records := 0
	for i, position := range []string{"bottom", "corner", "centre"} {
		if i > 0 {
			w.reconfigure(func(text string) string {
				before, rest, _ := strings.Cut(text, "\nappearance: ")
				_, after, _ := strings.Cut(rest, "\n")
				return before + "\nappearance: {position: " + position + "}\n" + after
			}, "reloaded")
		}
		lang := []string{"en", "de", "fr"}[i]
		what := position + " " + lang
		b.header(map[string]string{"Accept-Language": lang})
		b.forget().emptyCache().look(390, 844, "light").visit(shopURL + "/test/" + lang)
		b.say(`(window.decided = new Promise(done => document.addEventListener('stile:choice', () => done(true), {once: true})))`)
		eval[bool](b, start)
		if end := eval[string](b, `Promise.race([decided.then(() => 'decided'), (async () => {
				for (;;) {
					const end = told.find(m => /autoconsentError|optOutResult/.test(m.type) && !m.result)
					if (end) return JSON.stringify(told)
					await new Promise(done => setTimeout(done, 20))
				}
			})(), new Promise(done => setTimeout(() => done('waited: ' + JSON.stringify(told)), 50000))])`); end != "decided" {
			t.Errorf("%s: autoconsent did not refuse: %s", what, end)
			continue
		}
		records++
		b.settle().granted()
		if b.shows(banner) || b.shows("stile-dialog") {
			t.Errorf("%s: the visitor is still asked", what)
		}
	}
	w.received(nothing)
	if n := w.records(); n != records || n != 3 {
		t.Errorf("%d records, want %d", n, records)
	}
}
