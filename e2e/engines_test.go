//go:build linux

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a tab of a browser that is not Chromium: what a visitor can do with it, and what can be asked of it.
type engine interface {
	open(url string) error                   // goes to an address and waits until the page is loaded
	back() error                             // goes back in history
	eval(js string) (json.RawMessage, error) // the value of an expression, or of the promise that it is
	click(selector string) error             // with the pointer, where the element is to be seen
	cookies() ([]kept, error)                // of the page's host, HttpOnly ones too
	forget(name string) error                // deletes a cookie of the page's host
	tab() (engine, error)                    // another tab of the same browser, behind this one
	close() error                            // closes the tab: the one behind it is looked at
}

// kept is a cookie as a browser keeps it.
type kept struct {
	Name, Value, Domain, Path, SameSite string
	HTTPOnly, Secure                    bool
	Expiry                              int64 // Unix time, zero for a cookie of the session
}

// visitor is somebody who uses an engine in a world.
type visitor struct {
	t *testing.T
	w *world
	e engine
	// How many requests the first page view after a change costs. A driven WebKitGTK keeps nothing on disk, and of what is
	// in memory it does not take for a script what the page fetched.
	changed int
}

// start lets a visitor come to a world.
type start func(w *world) *visitor

func TestFirefox(t *testing.T) {
	f := startFirefox(t)
	inEngine(t, func(w *world) *visitor { return &visitor{t: w.t, w: w, e: f.visitor(w)} })
}

func TestWebKit(t *testing.T) {
	p := findWebKit(t)
	inEngine(t, func(w *world) *visitor { return &visitor{t: w.t, w: w, e: p.visitor(w), changed: 1} })
}

// inEngine is what holds in every engine: the same choice, refusal and withdrawal, kept as long.
func inEngine(t *testing.T, comes start) {
	for scene, play := range map[string]func(*testing.T, start){
		"Accept": engineAccept, "Reject": engineReject, "Withdraw": engineWithdraw, "Lifetime": engineLifetime, "Deleted": engineDeleted,
		"SecondTab": engineSecondTab, "Back": engineBack, "OtherCookies": engineOtherCookies, "CrossSite": engineCrossSite,
	} {
		t.Run(scene, func(t *testing.T) { play(t, comes) })
	}
}

// A1, and what is accepted: nothing before the choice, then each tag its own, on the next page view too.
func engineAccept(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	v := comes(w).visit(shopURL + "/")
	v.asks("the first visit")
	if jar := v.jar(); len(jar) > 0 {
		t.Errorf("cookies before a choice: %+v", jar)
	}
	w.cost("the first visit", "GET /stile/shop.js 200")
	v.decide(accept)
	w.received(all)
	if v.shows(banner) {
		t.Error("the banner is still there")
	}
	v.granted("functional", "analytics", "marketing")
	w.asked()
	v.views(shopURL+"/basket", all)
	v.costs("the page view after the choice", v.changed)
	for _, path := range []string{"/", "/privacy", "/basket"} {
		v.views(shopURL+path, all)
		w.cost(path)
	}
}

// A2: after a refusal nothing is sent, on no later page, and nobody is asked again.
func engineReject(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	v := comes(w).visit(shopURL + "/")
	v.decide(reject)
	w.received(nothing)
	if v.shows(banner) {
		t.Error("the banner is still there")
	}
	for _, url := range []string{shopURL + "/", shopURL + "/product/kettle", mobileURL + "/", shopURL + "/app/"} {
		v.views(url, nothing)
		v.granted()
	}
	if jar := v.jar(); len(jar) != 2 || v.cookie("stile_shop") == nil || v.cookie("stile_shop_state") == nil {
		t.Errorf("after a refusal the browser keeps %+v", jar)
	}
}

// C3: withdrawing holds from the very next page view on, and what the vendors stored is gone.
func engineWithdraw(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	v := comes(w).visit(shopURL + "/")
	v.decide(accept)
	w.received(all)
	v.views(shopURL+"/basket", all)
	vendors := []string{"hc_id", "chat_id"}
	for _, name := range vendors {
		if v.cookie(name) == nil {
			t.Fatalf("%s was not set: %+v", name, v.jar())
		}
	}
	w.reset()
	v.withdraw()
	w.received(nothing)
	w.asked()
	for i, path := range []string{"/", "/basket", "/privacy"} {
		v.views(shopURL+path, nothing)
		v.granted()
		if i > 0 {
			w.cost(path)
		}
		v.costs(path, v.changed)
		for _, name := range vendors {
			if c := v.cookie(name); c != nil {
				t.Errorf("%s: %+v is left", path, *c)
			}
		}
		v.await("!sessionStorage.stile_left") // what the page before left to do is fetched when it is needed
		if keys := read[[]string](v, "[...Object.keys(localStorage), ...Object.keys(sessionStorage)]"); len(keys) > 0 {
			t.Errorf("%s: storage keys are left: %q", path, keys)
		}
	}
	v.visit(shopURL + "/")
	read[bool](v, "stile.accept().then(() => true)")
	v.settle()
	w.received(all)
	v.views(shopURL+"/", all)
}

// watched notes what the page's scripts write into document.cookie.
const watched = `(() => {
  const own = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
  window.wrote = []
  Object.defineProperty(document, 'cookie', {get: () => own.get.call(document), set: value => { wrote.push(value); own.set.call(document, value) }})
  return true
})()`

// C1: the choice is kept for 180 days, and its mirror as long, and no script set them: WebKit cuts what scripts set to seven
// days, although not in a session that keeps nothing on disk, as a driven one is, so that the days alone would not show it.
func engineLifetime(t *testing.T, comes start) {
	const days = 180 * 24 * time.Hour
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t, settings{
				config: func(text string) string {
					return sharedCookie(strings.Replace(text, `"http://*.shop.test"`, `"http://*.shop.test", "https://*.shop.test"`, 1))
				},
				pages: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Content-Type", "text/html; charset=utf-8")
					fmt.Fprintf(rw, `<!doctype html><html lang=en><title>A page</title><script src="%s://consent.shop.test/stile/shop.js"></script><p>Words`, scheme)
				}),
			})
			v := comes(w).visit(scheme + "://www.shop.test/test/")
			read[bool](v, watched)
			before := time.Now()
			v.decide(reject)
			after := time.Now()
			if wrote := read[[]string](v, "wrote"); len(wrote) > 0 {
				t.Errorf("a script set the cookies %q", wrote)
			}
			signed, mirror := v.cookie("stile_shop"), v.cookie("stile_shop_state")
			if signed == nil || mirror == nil {
				t.Fatalf("the choice is not kept: %+v", v.jar())
			}
			for _, c := range []*kept{signed, mirror} {
				// A browser counts from the answer's arrival, in whole seconds.
				if end := time.Unix(c.Expiry, 0); end.Before(before.Add(days-2*time.Second)) || end.After(after.Add(days+2*time.Second)) {
					t.Errorf("%s ends in %v, 180 days are promised", c.Name, end.Sub(before))
				}
				if c.Secure != (scheme == "https") || c.HTTPOnly != (c == signed) || !strings.EqualFold(c.SameSite, "Lax") || c.Path != "/" ||
					strings.TrimPrefix(c.Domain, ".") != "shop.test" {
					t.Errorf("the browser keeps %+v", *c)
				}
			}
			if apart := signed.Expiry - mirror.Expiry; apart < -1 || apart > 1 {
				t.Errorf("the mirror ends %d seconds apart from the choice", apart)
			}
			if seen := read[string](v, "document.cookie"); seen != "stile_shop_state="+mirror.Value {
				t.Errorf("the page sees the cookies %q, want the mirror alone", seen)
			}
			// A later page view does not prolong it, nor shorten it.
			v.visit(scheme + "://www.shop.test/test/")
			if c := v.cookie("stile_shop"); c == nil || *c != *signed {
				t.Errorf("after a page view the browser keeps %+v, before it %+v", c, *signed)
			}
		})
	}
}

// The next page view after cookies were deleted asks again; a mirror that is lost is set again.
func engineDeleted(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	v := comes(w).visit(shopURL + "/")
	v.decide(accept)
	w.received(all)
	v.views(shopURL+"/", all)
	mirror := v.cookie("stile_shop_state").Value

	v.forget("stile_shop_state")
	v.views(shopURL+"/basket", all)
	if c := v.cookie("stile_shop_state"); c == nil || c.Value != mirror {
		t.Errorf("the mirror was not set again: %+v", c)
	}
	v.views(shopURL+"/", all)

	v.forget("stile_shop", "stile_shop_state")
	w.reset()
	v.visit(shopURL + "/basket").asks("both cookies deleted")
	v.granted()
	v.visit(shopURL + "/").asks("the page after")

	// Unlike Chromium these two keep to Vary: Cookie, so that a choice which the page cannot see go is missed at once.
	v.decide(accept)
	w.received(all)
	v.views(shopURL+"/", all)
	v.forget("stile_shop")
	w.reset()
	v.visit(shopURL + "/basket").asks("the choice deleted behind its mirror")
	if c := v.cookie("stile_shop_state"); c != nil {
		t.Errorf("the mirror of no choice is left: %+v", *c)
	}
}

// A tab that was open during a choice in another shows the present state as soon as it is looked at.
func engineSecondTab(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	first := comes(w).visit(shopURL + "/")
	second := first.tab()
	second.behind(shopURL + "/basket").asks("before a choice")
	first.decide(accept)
	w.received(all)
	w.reset()
	first.must(first.e.close())
	second.await("document.visibilityState == 'visible' && stile.choice.made")
	second.settle()
	w.received(all)
	second.granted("functional", "analytics", "marketing")
	if second.shows(banner) {
		t.Error("the second tab still asks")
	}

	third := second.tab()
	w.reset()
	third.behind(shopURL + "/")
	w.received(all)
	read[bool](third, "window.marker = true")
	second.withdraw()
	w.reset()
	second.must(second.e.close())
	// The chat runs there, and cannot be stopped otherwise than by loading the page anew.
	third.await("document.visibilityState == 'visible' && !window.marker && window.stile?.choice")
	third.settle().granted()
	third.views(shopURL+"/basket", nothing)
}

// A2: a page that comes back out of the back/forward cache does not bring back what was withdrawn meanwhile.
func engineBack(t *testing.T, comes start) {
	for name, categories := range map[string]string{"stopped": `["analytics"]`, "reloaded": `["analytics", "functional", "marketing"]`} {
		t.Run(name, func(t *testing.T) {
			// Not the shop's own pages: Firefox does not keep those, because they listen to the shop's live counts.
			w := newWorld(t, settings{config: sharedCookie, pages: testPages(map[string]testPage{"one": {}, "two": {}})})
			v := comes(w).visit(shopURL + "/test/one")
			read[bool](v, "stile.accept("+categories+").then(() => true)")
			v.settle()
			// What the page was like when it came back is told by the name of its window, which outlives it.
			read[bool](v, `(addEventListener('pageshow', event => { window.name = event.persisted ? 'kept' : 'new' }), true)`)
			v.visit(shopURL + "/test/two")
			if name == "reloaded" {
				v.withdraw()
			} else {
				read[bool](v, "stile.withdraw().then(() => true)")
				v.settle()
			}
			w.reset()
			w.loaded()
			v.must(v.e.back())
			v.await("location.pathname == '/test/one' && window.stile?.choice?.made && !stile.choice.granted.length")
			v.settle()
			if how := read[string](v, "window.name"); how != "kept" {
				t.Errorf("the back/forward cache was not used (%q): this test saw an ordinary page view", how)
			}
			read[bool](v, "(window.houseCounter && houseCounter.page(), true)")
			v.settle()
			w.received(nothing)
			if n := read[int](v, "localStorage.length"); n > 0 {
				t.Errorf("%d storage keys are left", n)
			}
			v.views(shopURL+"/test/two", nothing)
		})
	}
}

// Other cookies change all the time. Those of the page's host are not sent to the consent host and cost nothing; one that
// all hosts of the site share costs one request for each change, in engines that keep to Vary: Cookie.
func engineOtherCookies(t *testing.T, comes start) {
	w := newWorld(t, settings{config: sharedCookie})
	v := comes(w).visit(shopURL + "/")
	read[bool](v, `stile.accept(["analytics"]).then(() => true)`)
	v.settle()
	counted := map[string]int{"counter": 2}
	w.received(counted)
	v.views(shopURL+"/", counted)
	v.views(shopURL+"/basket", counted)
	w.asked()
	for i := range 2 {
		read[bool](v, fmt.Sprintf("(document.cookie = 'basket=%d;path=/', true)", i))
		v.views(shopURL+"/", counted)
		w.cost("a cookie of the page's host")
	}
	for i := range 2 {
		read[bool](v, fmt.Sprintf("(document.cookie = 'session=%d;path=/;domain=shop.test', true)", i))
		v.views(shopURL+"/basket", counted)
		v.costs("a cookie of all hosts changed", 1)
		v.views(shopURL+"/", counted)
		w.cost("a cookie of all hosts did not change again")
	}
}

// Where the consent host is another site than the page, the page keeps the choice itself.
func engineCrossSite(t *testing.T, comes start) {
	w := newWorld(t, settings{})
	v := comes(w).visit(outletURL + "/")
	v.asks("the first visit")
	v.decide(accept)
	w.received(all)
	for _, path := range []string{"/basket", "/", "/privacy"} {
		v.views(outletURL+path, all)
	}
	v.withdraw()
	for _, path := range []string{"/basket", "/"} {
		v.views(outletURL+path, nothing)
		v.granted()
	}
	v.forget("stile_shop", "stile_shop_state")
	v.visit(outletURL + "/").asks("both cookies deleted")
}

// D2, D3: the signal of Firefox itself grants nothing, is shown, and switched on over a grant holds on the very next page
// view.
func TestFirefoxGPC(t *testing.T) {
	const pref = "privacy.globalprivacycontrol.enabled"
	f := startFirefox(t, pref) // of its own: a setting is every visitor's
	w := newWorld(t, settings{config: sharedCookie})
	v := (&visitor{t: t, w: w, e: f.visitor(w)}).visit(shopURL + "/")
	v.asks("with the signal")
	w.cost("the signal is in the first request", "GET /stile/shop.js 200")
	words := func() string { return read[string](v, "document.querySelector('stile-banner').innerText") }
	if got := words(); !strings.Contains(got, honoured) {
		t.Errorf("the banner reads %q", got)
	}
	if !read[bool](v, "navigator.globalPrivacyControl && stile.choice.gpc && !stile.choice.made") {
		t.Error("the page is not told of the signal")
	}
	if jar := v.jar(); len(jar) > 0 {
		t.Errorf("the signal alone set cookies: %+v", jar)
	}
	v.must(f.pref(pref, false))
	v.visit(shopURL + "/basket").asks("the signal switched off")
	if got := words(); strings.Contains(got, honoured) {
		t.Errorf("the signal is off, and the banner reads %q", got)
	}

	v.decide(accept)
	w.received(all)
	v.views(shopURL+"/", all)
	w.asked()
	for _, on := range []bool{true, false, true} {
		want := map[bool]map[string]int{true: {"counter": 2, "chat": 1}, false: all}[on]
		v.must(f.pref(pref, on))
		v.views(shopURL+"/basket", want)
		// The page that is left sees the change as well, when it is hidden.
		v.costs(fmt.Sprint("the signal is ", on), 2)
		v.views(shopURL+"/", want)
		w.cost(fmt.Sprint("the signal is still ", on))
		if got := read[bool](v, "stile.choice.gpc"); got != on {
			t.Errorf("the signal is %t, the page is told %t", on, got)
		}
	}
}

// proxy is where browsers that have no rules for host names find the world's hosts, and none besides. It notes what it is
// asked for; of what goes over TLS that is the host. Worlds that share a browser share a certificate: Firefox does not
// take two of one name and number.
func (w *world) proxy(certificate tls.Certificate, note func(url string)) (address string) {
	secure := httptest.NewUnstartedServer(w.secure.Config.Handler)
	secure.TLS, secure.Config.ErrorLog = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, w.secure.Config.ErrorLog
	secure.StartTLS()
	w.t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		note(r.URL.String())
		if r.Method != http.MethodConnect {
			w.plain.Config.Handler.ServeHTTP(rw, r)
			return
		}
		if host := r.URL.Hostname(); !strings.HasSuffix(host, ".test") && !strings.HasSuffix(host, ".example") {
			http.Error(rw, "the world has no such host", http.StatusBadGateway)
			return
		}
		server, err := net.Dial("tcp", secure.Listener.Addr().String())
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		client, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			server.Close()
			return
		}
		fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
		for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
			go func() {
				_, _ = io.Copy(to, from)
				client.Close()
				server.Close()
			}()
		}
	}))
	w.t.Cleanup(plain.Close)
	return plain.Listener.Addr().String()
}

// installed is where the first of some programs is, or skips the test and says why.
func installed(t *testing.T, pkg, without string, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skipf("skipped: %s is not installed, so that %s; apt-get install %s", paths[0], without, pkg)
	return ""
}

// run starts a program that ends, with all that it starts, when the test does.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed
	})
}

// read returns the value of an expression.
func read[T any](v *visitor, js string) (value T) {
	v.t.Helper()
	raw, err := v.e.eval(js)
	if err == nil {
		err = json.Unmarshal(raw, &value)
	}
	if err != nil {
		v.t.Fatalf("%s: %v", js, err)
	}
	return value
}

func (v *visitor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) settle() *visitor {
	v.t.Helper()
	read[bool](v, settled)
	return v
}

func (v *visitor) visit(url string) *visitor {
	v.t.Helper()
	v.must(v.e.open(url))
	return v.settle()
}

// views goes to a page, on which third parties get what is wanted and no more, and nobody is asked.
func (v *visitor) views(url string, want map[string]int) {
	v.t.Helper()
	v.w.reset()
	v.visit(url)
	v.w.received(want)
	if v.shows(banner) {
		v.t.Errorf("%s asks again", url)
	}
}

// asks checks that the visitor is asked and nothing was released.
func (v *visitor) asks(when string) {
	v.t.Helper()
	if !v.shows(banner) {
		v.t.Errorf("%s: the visitor is not asked", when)
	}
	v.w.received(nothing)
}

func (v *visitor) shows(selector string) bool {
	v.t.Helper()
	return read[bool](v, fmt.Sprintf(`!!document.querySelector(%q)?.getClientRects().length`, selector))
}

// granted checks what the page is told to be granted.
func (v *visitor) granted(want ...string) {
	v.t.Helper()
	if got := read[[]string](v, "stile.choice.granted"); !slices.Equal(got, want) {
		v.t.Errorf("stile.choice.granted is %q, want %q", got, want)
	}
}

// decide clicks a button that ends in a choice, and waits until the choice is in force.
func (v *visitor) decide(selector string) *visitor {
	v.t.Helper()
	read[bool](v, `(window.decided = new Promise(done => document.addEventListener('stile:choice', () => done(true), {once: true})), true)`)
	v.must(v.e.click(selector))
	read[bool](v, "decided")
	// The copy that later pages use is fetched behind the page's back.
	v.await("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/stile/shop.js')).length > 1")
	return v.settle()
}

// reloads does something after which the page is loaded anew.
func (v *visitor) reloads(step func()) *visitor {
	v.t.Helper()
	read[bool](v, "window.marker = true")
	step()
	v.await("!window.marker")
	return v.settle()
}

// await waits until an expression is true, on whatever page is there by then: a page that goes cannot tell.
func (v *visitor) await(js string) {
	v.t.Helper()
	v.w.until(js, func() bool {
		raw, err := v.e.eval("!!(" + js + ")")
		return err == nil && string(raw) == "true"
	})
}

// withdraw takes everything back. The chat cannot be stopped otherwise than by loading the page anew, which then says what
// could not be deleted.
func (v *visitor) withdraw() *visitor {
	v.t.Helper()
	v.reloads(func() { read[bool](v, "(stile.withdraw(), true)") })
	v.await("!sessionStorage.stile_left")
	return v
}

// jar are the cookies that the browser keeps for the page's host.
func (v *visitor) jar() []kept {
	v.t.Helper()
	list, err := v.e.cookies()
	v.must(err)
	return list
}

func (v *visitor) cookie(name string) *kept {
	v.t.Helper()
	for _, c := range v.jar() {
		if c.Name == name {
			return &c
		}
	}
	return nil
}

func (v *visitor) forget(names ...string) {
	v.t.Helper()
	for _, name := range names {
		if v.cookie(name) == nil {
			v.t.Fatalf("there is no cookie %s to delete", name)
		}
		v.must(v.e.forget(name))
		if c := v.cookie(name); c != nil {
			v.t.Fatalf("%+v was not deleted", *c)
		}
	}
}

// tab opens another tab behind this one.
func (v *visitor) tab() *visitor {
	v.t.Helper()
	e, err := v.e.tab()
	v.must(err)
	second := *v
	second.e = e
	return &second
}

// behind opens a page that nobody looks at: nothing is drawn there that could be waited for.
func (v *visitor) behind(url string) *visitor {
	v.t.Helper()
	v.must(v.e.open(url))
	v.await(`document.visibilityState == 'hidden' && document.readyState == 'complete' && stile.choice &&
    !Object.values(stile.tags).some(s => s == 'waiting' || s == 'loading')`)
	return v
}

// costs checks how many requests for the script reached the consent host since the last look at them, and that there were
// no others.
func (v *visitor) costs(when string, most int) {
	v.t.Helper()
	got := v.w.asked()
	for _, request := range got {
		if !strings.HasPrefix(request, "GET /stile/shop.js") {
			v.t.Errorf("%s: the consent host got %s", when, request)
		}
	}
	if len(got) > most {
		v.t.Errorf("%s: the consent host got %q, want %d requests for the script at most", when, got, most)
	}
}
