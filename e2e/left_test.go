package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// sets puts a cookie into the browser as some server or script set it.
func (b *tab) sets(p network.SetCookieParams) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, network.SetCookie, p); err != nil {
		b.t.Fatal(err)
	}
}

// chats returns the cookies that belong to the chat, as "domain path name".
func (b *tab) chats() (list []string) {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{
		shopURL + "/product/kettle", shopURL + "/basket", consentURL + "/stile/shop/choice", mobileURL, "https://www.shop.test/product/kettle",
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range r.Cookies {
		if strings.HasPrefix(c.Name, "chat_") {
			list = append(list, c.Domain+" "+c.Path+" "+c.Name)
		}
	}
	slices.Sort(list)
	return list
}

// databases are the names of the page's IndexedDB databases, sorted.
const databases = `indexedDB.databases().then(list => list.map(d => d.name).sort())`

// noted are the lines of the note on what is left, empty where there is no note.
const noted = `[...document.querySelectorAll('stile-note li')].map(li => li.textContent)`

const chatCompany = "Chat Desk Ltd can delete it on its own site."

// C3: withdrawing deletes a tag's cookies on the host, on its parents and on deeper paths, those that only a server sees, and
// its storage and databases; what belongs to others stays. Who may hold more is said, once, after the reload that it takes.
func TestC3Clears(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/product/kettle")
	b.decide(accept)
	w.received(map[string]int{"counter": 2, "pixel-a": 1, "pixel-b": 1, "chat": 1, "video": 1})
	for _, p := range []network.SetCookieParams{
		{Name: "chat_host", Value: "1", URL: shopURL + "/"},
		{Name: "chat_parent", Value: "1", Domain: ".shop.test", Path: "/"},
		{Name: "chat_named", Value: "1", Domain: ".www.shop.test", Path: "/"},
		{Name: "chat_folder", Value: "1", URL: shopURL + "/", Path: "/product/"},
		{Name: "chat_deep", Value: "1", URL: shopURL + "/", Path: "/product/kettle"},
		{Name: "chat_secret", Value: "1", Domain: ".shop.test", Path: "/", HTTPOnly: new(true)},
		{Name: "chat_served", Value: "1", URL: consentURL + "/", HTTPOnly: new(true)},
		{Name: "chatty", Value: "1", URL: shopURL + "/"},
		{Name: "own_secret", Value: "1", Domain: ".shop.test", Path: "/", HTTPOnly: new(true)},
	} {
		b.sets(p)
	}
	eval[bool](b, `(async () => {
		for (const s of [localStorage, sessionStorage]) { s.chat_draft = 'x'; s.own = 'x' }
		for (const name of ['chat_db', 'own_db']) await new Promise((done, fail) => { const r = indexedDB.open(name); r.onerror = fail; r.onsuccess = () => { r.result.close(); done() } })
		return true
	})()`)
	if n := len(b.chats()); n != 8 {
		t.Fatalf("the chat's cookies are %q", b.chats())
	}
	w.loaded()
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	if left := b.chats(); len(left) > 0 {
		t.Errorf("cookies are left: %q", left)
	}
	for _, name := range []string{"chatty", "own_secret", "stile_shop"} {
		if b.cookie(name) == nil {
			t.Errorf("%s, which is not the chat's, is gone", name)
		}
	}
	if got := eval[string](b, `Object.keys(localStorage).filter(k => k != 'stile_left') + ' ' + Object.keys(sessionStorage).filter(k => k != 'stile_left')`); got != "own own" {
		t.Errorf("storage after the withdrawal: %q", got)
	}
	if got := eval[[]string](b, databases); !slices.Equal(got, []string{"own_db"}) {
		t.Errorf("databases after the withdrawal: %q", got)
	}

	// The reload stopped the chat; who else may hold something is told on the page that came of it.
	b.visible("stile-note section")
	got, want := eval[[]string](b, noted), []string{chatCompany, "House Counter Ltd can delete it on its own site.", "Pixel A Ads Inc. can delete it on its own site.", "Pixel B Network can delete it on its own site."}
	slices.Sort(got)
	if !cmp.Equal(got, want) {
		t.Errorf("left: %s", cmp.Diff(want, got))
	}
	for _, screen := range screens {
		for _, theme := range []string{"light", "dark"} {
			b.look(screen.width, screen.height, theme).frame().axe("note "+screen.name+" "+theme, "stile-note")
			for _, wrong := range eval[[]string](b, contrast+`(document.querySelector('stile-note'))`) {
				t.Errorf("note %s: %s", theme, wrong)
			}
			b.picture("left-" + screen.name + "-" + theme)
		}
	}
	b.click("stile-note button")
	if b.shows("stile-note") {
		t.Error("OK does not close the note")
	}
	b.visit(shopURL + "/basket").frame()
	if b.shows("stile-note") {
		t.Error("what was read is told again")
	}
	w.reset()
	b.visit(shopURL + "/")
	w.received(nothing)
}

// stubborn is a tag that has no stop, keeps a database open, and sets its cookie and its key again and again.
const stubborn = `
  - name: Stubborn
    category: analytics
    inline: "window.stubborn=function(){document.cookie='stub_a=1;path=/';localStorage.stub_k='1'};stubborn();addEventListener('pagehide',stubborn);indexedDB.open('stub_db').onsuccess=function(e){window.stubDB=e.target.result}"
    cookies: [{name: "stub_*", lifetime: 1 year}]
    storage: ["stub_*"]
    company: Stubborn Ltd
`

// C3: what a running tag puts back until its page is gone, or holds open, is deleted after the reload that stops it.
func TestC3Stubborn(t *testing.T) {
	w := newWorld(t, settings{config: tags(stubborn)})
	b := w.open().visit(shopURL + "/")
	b.decide(accept).await(`window.stubDB`)
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.await(`!document.cookie.includes('stub_') && !localStorage.stub_k`)
	for len(eval[[]string](b, databases)) > 0 {
		b.frame()
	}
	b.frame()
	if got := eval[[]string](b, noted); len(got) > 0 {
		t.Errorf("told as left, although it is gone: %q", got)
	}
	b.visit(shopURL + "/basket")
	if got := b.cookies(); strings.Contains(got, "stub_") {
		t.Errorf("cookies on the next page: %q", got)
	}
}

// C3: nothing is told where nothing is left; a tag of the site's own that can be stopped takes no reload.
func TestC3NothingLeft(t *testing.T) {
	w := newWorld(t, settings{config: tags(strings.Replace(stubborn, "cookies:", `stop: "removeEventListener('pagehide',stubborn);window.stubDB&&stubDB.close()"`+"\n    cookies:", 1))})
	b := w.open().visit(shopURL + "/")
	b.decide(accept).await(`window.stubDB`)
	b.marked()
	eval[bool](b, "stile.withdraw().then(() => true)")
	b.settle().frame()
	if !b.stillMarked() {
		t.Error("the page was loaded anew for a tag that can be stopped")
	}
	for eval[int](b, `indexedDB.databases().then(l => l.length)`) > 0 {
		b.frame()
	}
	if got := b.cookies() + eval[string](b, `Object.keys(localStorage).join()`); strings.Contains(got, "stub_") {
		t.Errorf("left: %q", got)
	}
	if b.shows("stile-note") {
		t.Errorf("told as left: %q", eval[[]string](b, noted))
	}
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	if got := b.text(); strings.Contains(got, "could not be deleted") {
		t.Errorf("the page of preferences tells of leftovers: %q", got)
	}
}

// C3: a cookie that no deletion reaches is named, with who can delete it: in the page, and on the page of preferences for the
// consent host's own.
func TestC3Unreachable(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open().visit(shopURL + "/")
	eval[bool](b, `stile.accept(['functional']).then(() => true)`)
	b.settle()
	// The path of this one is below that of the choice's answer, so that the browser does not take its deletion for it.
	b.sets(network.SetCookieParams{Name: "chat_below", Value: "1", URL: consentURL + "/stile/shop", Path: "/stile/shop", HTTPOnly: new(true)})
	// Stands for what is set again by somebody else: the page's script cannot delete it.
	b.onNewPage(`{
		const own = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
		Object.defineProperty(document, 'cookie', {get() { return own.get.call(document) }, set(v) { if (!/^chat_fixed=;/.test(v)) own.set.call(document, v) }})
	}`)
	b.visit(shopURL + "/")
	b.say(`document.cookie = 'chat_fixed=1;path=/'`)
	b.loads(func() { b.say("stile.withdraw()") }).settle()
	b.visible("stile-note section")
	if got, want := eval[[]string](b, noted), []string{"chat_fixed – You can delete it in your browser's settings.", chatCompany}; !cmp.Equal(got, want) {
		t.Errorf("left: %s", cmp.Diff(want, got))
	}
	b.do(navigate(consentURL + "/stile/shop/preferences"))
	text := b.text()
	for _, part := range []string{"could not be deleted", "chat_below", "in your browser's settings"} {
		if !strings.Contains(text, part) {
			t.Errorf("the page of preferences has no %q: %q", part, text)
		}
	}
	b.axe("preferences with leftovers", "")
	b.picture("left-preferences")
}
