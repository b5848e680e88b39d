package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// untouched is a page of a site that nobody can edit, with tags as their vendors tell people to put them there.
const untouched = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="preconnect" href="https://www.googletagmanager.com">
<script>(function(w,d,s,l,i){w[l]=w[l]||[];w[l].push({'gtm.start':new Date().getTime(),event:'gtm.js'});var f=d.getElementsByTagName(s)[0],
j=d.createElement(s),dl=l!='dataLayer'?'&l='+l:'';j.async=true;j.src='https://www.googletagmanager.com/gtm.js?id='+i+dl;f.parentNode.insertBefore(j,f);
})(window,document,'script','dataLayer','GTM-AB12CD3');</script>
<script>!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.queue.push(arguments)};n.queue=[];t=b.createElement(e);t.async=!0;
t.src=v;s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}(window,document,'script','https://connect.facebook.net/en_US/fbevents.js');
fbq('init','123456789012345');fbq('track','PageView');</script>
<noscript><img height="1" width="1" style="display:none" src="https://www.facebook.com/tr?id=123456789012345&ev=PageView&noscript=1"></noscript>
<script src="https://counter.example/counter.js?id=HC-1001" async></script>
<script>window.own = (window.own || 0) + 1</script>
<script src="/own.js"></script></head>
<body><h1 id="words">Words</h1><img src="/own.gif" alt="" width="10" height="10">
<img src="https://pixel-a.example/p.gif?u=x" width="1" height="1" alt="">
<iframe src="https://www.youtube.com/embed/abc" width="560" height="315" title="A film"></iframe>
<iframe class="lazy" data-src="https://player.vimeo.com/video/1" width="560" height="315" title="Another film"></iframe>
<script>for (const el of document.querySelectorAll('.lazy')) if (el.dataset.src) el.src = el.dataset.src; window.lazy = true</script>
<noscript><img src="https://pixel-b.example/p.gif" alt=""></noscript>
</body></html>`

// thirdParties are the hosts that the browser's pages asked, and those that got a request, but for the site's own.
func (w *world) thirdParties() []string {
	w.t.Helper()
	var list []string
	for _, address := range w.loaded() {
		if u, err := url.Parse(address); err == nil && strings.HasPrefix(u.Scheme, "http") {
			list = append(list, u.Hostname())
		}
	}
	w.mu.Lock()
	for _, reached := range w.reached {
		host, _, _ := strings.Cut(reached, "/")
		list = append(list, host)
	}
	w.reached = nil
	w.mu.Unlock()
	for party, n := range w.parties.Counts() {
		if n > 0 {
			list = append(list, party+".example")
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// A1, A2: the tags of a site that nobody edited ask nobody before a choice and after a refusal, and those that are accepted
// do; what is the site's own works all along.
func TestA1ProxyHoldsPage(t *testing.T) {
	page := http.NewServeMux()
	page.HandleFunc("/{$}", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write([]byte(untouched))
	})
	page.HandleFunc("/own.js", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write([]byte("window.own = (window.own || 0) + 1"))
	})
	w := newWorld(t, settings{behind: page, vendors: []string{"*.googletagmanager.com", "*.facebook.net", "*.facebook.com", "*.youtube.com", "*.vimeo.com"}})
	b := w.open().visit(shopURL + "/")
	quiet := func(when string) {
		t.Helper()
		if got := w.thirdParties(); len(got) > 0 {
			t.Errorf("%s the page asked %q", when, got)
		}
		if got := eval[int](b, `window.own`); got != 2 {
			t.Errorf("%s %d of the page's own scripts ran", when, got)
		}
		if !eval[bool](b, `window.lazy`) {
			t.Errorf("%s what loads the page's frames did not run", when)
		}
		if !b.shows("#words") {
			t.Errorf("%s the page does not show its words", when)
		}
	}
	quiet("before a choice")
	if !b.shows(banner) {
		t.Error("nobody is asked")
	}
	b.decide(reject)
	quiet("after a refusal")
	b.visit(shopURL + "/")
	quiet("on the next page")

	b = b.stranger().visit(shopURL + "/")
	eval[bool](b, `stile.accept(["analytics"]).then(() => true)`)
	b.settle()
	w.until("the counter", func() bool { return w.parties.Count("counter") > 0 })
	for _, host := range w.thirdParties() {
		if host != "counter.example" {
			t.Errorf("analytics was accepted, and the page asked %s", host)
		}
	}

	b = b.stranger().visit(shopURL + "/").decide(accept)
	want := []string{"connect.facebook.net", "counter.example", "pixel-a.example", "player.vimeo.com", "www.googletagmanager.com", "www.youtube.com"}
	var got []string
	w.until("the accepted tags", func() bool {
		got = append(got, w.thirdParties()...)
		return !slices.ContainsFunc(want, func(host string) bool { return !slices.Contains(got, host) })
	})
	if slices.Contains(got, "www.facebook.com") {
		t.Error("the image for visitors without JavaScript was fetched")
	}
}

// saved are pages of STILE_PAGES, read by hand: the hosts of the tags that stand in them.
var saved = map[string][]string{
	"07.html": {"www.googletagmanager.com", "connect.facebook.net", "s.pinimg.com", "analytics.tiktok.com"},
	"16.html": {"www.googletagmanager.com", "connect.facebook.net", "snap.licdn.com", "www.google-analytics.com"},
}

// Done when: a saved page of the web asks its tags' hosts for nothing before a choice, and the accepted ones after.
func TestA1ProxyHoldsSavedPages(t *testing.T) {
	folder := os.Getenv("STILE_PAGES")
	if folder == "" {
		t.Skip("skipped: STILE_PAGES names no folder of real pages")
	}
	for name, hosts := range saved {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			page := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/page" {
					http.NotFound(rw, r)
					return
				}
				rw.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = rw.Write(text)
			})
			w := newWorld(t, settings{behind: page, vendors: []string{
				"*.googletagmanager.com", "*.google-analytics.com", "*.doubleclick.net", "*.facebook.net", "*.facebook.com", "*.pinimg.com", "ct.pinterest.com",
				"*.tiktok.com", "*.hs-scripts.com", "*.licdn.com", "*.linkedin.com",
			}})
			b := w.open().visit(shopURL + "/page")
			tags := func() (list []string) {
				for _, host := range w.thirdParties() {
					if slices.ContainsFunc(w.vendors, func(pattern string) bool { return strings.HasSuffix(host, strings.TrimPrefix(pattern, "*")) }) {
						list = append(list, host)
					}
				}
				return list
			}
			if got := tags(); len(got) > 0 {
				t.Errorf("before a choice the page asked %q", got)
			}
			b.decide(reject)
			if got := tags(); len(got) > 0 {
				t.Errorf("after a refusal the page asked %q", got)
			}
			b.stranger().visit(shopURL + "/page").decide(accept)
			var got []string
			w.until("the accepted tags", func() bool {
				got = append(got, tags()...)
				return !slices.ContainsFunc(hosts, func(host string) bool { return !slices.Contains(got, host) })
			})
			t.Logf("after accepting all it asked %q", slices.Compact(got))
		})
	}
}

// A page whose policy goes by hosts beside a nonce keeps its tags, which have none, and what was smuggled into it is held to the
// policy; under 'strict-dynamic', where such tags never ran, nothing is let in without the nonce.
func TestProxyLeavesPolicyItsWord(t *testing.T) {
	page := http.NewServeMux()
	for path, sources := range map[string]string{
		"/hosts":   "'self' 'nonce-n0nce' https://www.googletagmanager.com",
		"/dynamic": "'nonce-n0nce' 'strict-dynamic' https://www.googletagmanager.com",
	} {
		page.HandleFunc(path, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			rw.Header().Set("Content-Security-Policy", "script-src "+sources)
			_, _ = rw.Write([]byte(`<!doctype html><html lang="en"><head><title>A page</title><script nonce=n0nce>window.smuggled = []</script></head><body>
				<script type="text/plain" data-stile="necessary" data-src="https://connect.facebook.net/evil.js"></script>
				<script type="text/plain" data-stile="necessary">smuggled.push("inline")</script>
				<script src="https://www.googletagmanager.com/gtag/js?id=G-ABC1234567" async></script>
				<script nonce=n0nce type="text/plain" data-stile="necessary">window.last = 1</script></body></html>`))
		})
	}
	w := newWorld(t, settings{behind: page, vendors: []string{"*.googletagmanager.com", "*.facebook.net"}})
	for _, test := range []struct{ path, asked string }{{"/dynamic", ""}, {"/hosts", "www.googletagmanager.com"}} {
		b := w.open().visit(shopURL + test.path)
		eval[bool](b, `stile.accept().then(() => true)`)
		b.await(`window.last`)
		asked := func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return strings.Join(w.reached, " ")
		}
		if test.asked != "" {
			w.until("the tag", func() bool { return asked() != "" })
		}
		b.settle()
		if got := asked(); !strings.HasPrefix(got, test.asked) || test.asked == "" && got != "" || strings.Contains(got, "facebook") {
			t.Errorf("%s asked %q, want %q", test.path, got, test.asked)
		}
		if got := eval[[]string](b, `smuggled`); len(got) > 0 {
			t.Errorf("on %s %q ran", test.path, got)
		}
	}
}
