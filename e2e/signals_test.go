package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commands are what the page's dataLayer holds.
const commands = `JSON.stringify([...dataLayer].map(x => Array.from(x)).filter(x => x[0] == 'consent' || x[0] == 'set'))`

// command is one of Google's: what it says, and to which signals.
type command struct {
	kind    string // default, update, or the name of what is set
	signals map[string]any
}

func (b *tab) commands() (list []command) {
	b.t.Helper()
	var raw [][]any
	if err := json.Unmarshal([]byte(eval[string](b, commands)), &raw); err != nil {
		b.t.Fatal(err)
	}
	for _, c := range raw {
		kind, _ := c[1].(string)
		signals, _ := c[2].(map[string]any)
		list = append(list, command{kind, signals})
	}
	return list
}

// updates are the values of a signal in all updates.
func updates(list []command, signal string) (values []any) {
	for _, c := range list {
		if c.kind == "update" {
			values = append(values, c.signals[signal])
		}
	}
	return values
}

// advanced has a Google tag of Stile's beside those that stand in the page.
func advanced(text string) string {
	return tags(`
  - {vendor: google-ads, id: AW-123456789, category: marketing}
`)(text) + "google: {mode: advanced, url_passthrough: true}\n"
}

// G, D: where gtag stands in the page already, the default is queued before anything of it, though its script answers first
// and the consent host late; then the truth is told at each change, and a tag of Stile's is sent denied.
func TestGoogleAdvanced(t *testing.T) {
	page := testPage{
		head: `<script async src="https://www.googletagmanager.com/gtag/js?id=G-PAGE"></script>
<script>window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments) } gtag('js', new Date); gtag('config', 'G-PAGE')</script>`,
	}
	w := newWorld(t, settings{
		config: advanced, pages: testPages(map[string]testPage{"page": page}), vendors: []string{"www.googletagmanager.com"},
		vendorScript: `(window.found = window.found || []).push([...dataLayer].map(x => x[0] + ' ' + x[1]))`,
	})
	w.late(300 * time.Millisecond)
	b := w.open().visit(shopURL + "/test/page")
	for _, found := range eval[[][]string](b, `found`) {
		if len(found) == 0 || found[0] != "consent default" {
			t.Errorf("Google's script found %q: the default is not first", found)
		}
	}
	first := b.commands()
	if len(first) < 2 || first[0].kind != "default" || first[0].signals["ad_storage"] != "denied" || first[0].signals["security_storage"] != "granted" ||
		first[0].signals["wait_for_update"] != 500.0 {
		t.Fatalf("it begins with %v", first)
	}
	if !slices.ContainsFunc(first, func(c command) bool { return c.kind == "url_passthrough" }) {
		t.Error("url_passthrough is not set")
	}
	if !slices.ContainsFunc(first, func(c command) bool { return c.kind == "default" && c.signals["region"] != nil }) {
		t.Error("no default names the regions where tags run until there is an objection")
	}
	if got := updates(first, "ad_storage"); !slices.Equal(got, []any{"denied"}) {
		t.Errorf("before a choice ad_storage is updated to %v", got)
	}
	if eval[bool](b, `stile.allows('google-ads')`) {
		t.Error("what is sent without consent counts as allowed")
	}
	if got := eval[string](b, `stile.tags['google-ads']`); got != "running" {
		t.Errorf("in the advanced mode Stile's own Google tag is %s", got)
	}
	b.decide(accept)
	if got := updates(b.commands(), "ad_storage"); !slices.Equal(got, []any{"denied", "granted"}) {
		t.Errorf("after a grant ad_storage went %v", got)
	}
	if n := strings.Count(strings.Join(w.loaded(), "\n"), "AW-123456789"); n != 1 {
		t.Errorf("the tag was asked for %d times, want once", n)
	}
	b.loads(func() { b.say(`stile.reject()`) }).settle()
	if got := updates(b.commands(), "ad_storage"); !slices.Equal(got, []any{"denied"}) {
		t.Errorf("on the page after a withdrawal ad_storage went %v", got)
	}
}

// G: in the basic mode the page's answer says nothing to Google before a grant of one of its tags, and what a category
// stands for can be mapped otherwise.
func TestGoogleBasic(t *testing.T) {
	w := newWorld(t, settings{
		config: func(text string) string {
			return tags("\n  - {vendor: ga4, id: G-AB12CD34EF, category: analytics}\n")(text) +
				"google: {signals: {functionality_storage: analytics, ad_user_data: functional}}\n"
		},
		vendors: []string{"www.googletagmanager.com"},
	})
	b := w.open().visit(shopURL + "/")
	if eval[bool](b, `'dataLayer' in window`) {
		t.Error("before a choice there is a dataLayer")
	}
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.settle()
	want := map[string]any{
		"ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied", "analytics_storage": "granted",
		"functionality_storage": "granted", "personalization_storage": "denied",
	}
	list := b.commands()
	if len(list) != 3 || list[0].kind != "default" || !cmp.Equal(list[1].signals, want) || list[2].kind != "ads_data_redaction" {
		t.Errorf("Google is told %v", list)
	}
}

// What a page does before the visitor has chosen waits for the choice: stile.push and the vendor's own queue are replayed
// after a grant, once, and dropped after a refusal, a later grant on the same page notwithstanding.
func TestQueuedEvents(t *testing.T) {
	page := testPage{body: `<script>
window.got = []
stile.push('analytics', () => got.push('analytics'))
stile.push('Hotjar', () => got.push('hotjar ' + stile.tags.hotjar))
stile.push('marketing', () => { throw Error('mine') })
stile.push('marketing', () => got.push('marketing'))
stile.push('necessary', () => got.push('necessary'))
window.hj = window.hj || function () { (hj.q = hj.q || []).push(arguments) }
hj('event', 'early')
</script>`}
	w := newWorld(t, settings{
		config: tags("\n  - {vendor: hotjar, id: \"1234567\", category: analytics}\n  - {name: Gif, category: marketing, pixel: \"https://pixel-a.example/x.gif\"}\n"),
		pages:  testPages(map[string]testPage{"page": page}), vendors: []string{"static.hotjar.com"},
		vendorScript: `window.replayed = (hj.q || []).map(x => x[1])`,
	})
	b := w.open().visit(shopURL + "/test/page")
	says := func(when string, want ...string) {
		t.Helper()
		b.frame()
		if got := eval[[]string](b, `got`); !slices.Equal(got, want) {
			t.Errorf("%s ran %q, want %q", when, got, want)
		}
	}
	says("before a choice", "necessary")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.settle()
	says("after a grant", "necessary", "analytics", "hotjar running")
	if got := eval[[]string](b, `replayed`); !slices.Equal(got, []string{"early"}) {
		t.Errorf("Hotjar's own queue had %q", got)
	}
	eval[bool](b, `stile.accept(['analytics', 'marketing']).then(() => true)`)
	b.settle()
	says("after one that was refused was granted", "necessary", "analytics", "hotjar running")
	eval[bool](b, `(stile.push('marketing', () => got.push('now')), true)`)
	says("after that", "necessary", "analytics", "hotjar running", "now")

	refuser := b.stranger().visit(shopURL + "/test/page")
	eval[bool](refuser, `stile.reject().then(() => true)`)
	eval[bool](refuser, `stile.accept().then(() => true)`)
	refuser.settle()
	if got := eval[[]string](refuser, `got`); !slices.Equal(got, []string{"necessary"}) {
		t.Errorf("after a refusal ran %q", got)
	}
	if got := eval[[]string](refuser, `replayed`); len(got) > 0 {
		t.Errorf("after a refusal Hotjar's own queue still had %q", got)
	}
}

// late makes the consent host answer late, with events as its clock: it waits as long as a slow network would.
func (w *world) late(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = func(r *http.Request) {
		select {
		case <-time.After(by):
		case <-r.Context().Done():
		}
	}
}
