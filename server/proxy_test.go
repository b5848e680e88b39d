package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// behind is a world whose server stands before a site.
func behind(t *testing.T, site http.HandlerFunc, change ...func(*ProxyOptions)) (*world, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)
	return before(t, s.URL, change...), s
}

func before(t *testing.T, to string, change ...func(*ProxyOptions)) *world {
	t.Helper()
	target, err := ParseTarget(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &ProxyOptions{To: target}
	for _, c := range change {
		c(p)
	}
	return newWorld(t, func(o *Options) { o.Proxy = p })
}

func TestProxyGates(t *testing.T) {
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/packed":
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, pack(t, "gzip", tagged))
		case r.URL.Path == "/own.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, "own()")
		case strings.HasPrefix(r.URL.Path, "/admin"), r.URL.Path == "/metrics", r.URL.Path == "/healthz":
			fmt.Fprint(w, "the site's own ", r.URL.Path)
		default:
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, tagged)
		}
	})
	_, body := w.get("/a/page?x=1;y", "Accept", "text/html")
	gated(t, body)
	resp, body := w.get("/packed", "Accept", "text/html", "Accept-Encoding", "gzip")
	gated(t, unpack(t, resp.Header.Get("Content-Encoding"), body))
	for path, want := range map[string]string{"/own.js": "own()", "/admin/": "the site's own /admin/", "/metrics": "the site's own /metrics", "/healthz": "the site's own /healthz"} {
		if _, body := w.get(path); body != want {
			t.Errorf("%s is %q", path, body)
		}
	}
	if resp, body := w.get("/stile/shop.js"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "Reject all") {
		t.Errorf("Stile's script: status %d", resp.StatusCode)
	}
	if resp, _ := w.choose("accept=all"); resp.StatusCode != http.StatusOK || w.records() != 1 {
		t.Errorf("a choice on the pages' own origin: status %d", resp.StatusCode)
	}
	if resp, body := w.get("/.well-known/gpc.json"); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"gpc":true`) {
		t.Errorf("gpc.json: status %d, %s", resp.StatusCode, body)
	}
	for _, path := range []string{"/stile/nothing.js", "/stile"} {
		if resp, body := w.get(path); resp.StatusCode != http.StatusNotFound || strings.Contains(body, "Words") {
			t.Errorf("%s: status %d, %s", path, resp.StatusCode, body)
		}
	}
}

// Whatever runs in the site's pages has nothing to do with the dashboard, and the site gets none of its cookies.
func TestProxyKeepsDashboardApart(t *testing.T) {
	got := make(chan string, 1)
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		got <- strings.Join(r.Header["Cookie"], "|")
		fmt.Fprint(w, "the site's own")
	}, func(o *ProxyOptions) { o.Admin = "127.0.0.1:0" })
	for cookies, want := range map[string]string{
		"a=1; __Host-stile-admin=x; stile_shop=y; stile-admin=x; b=\"2\"; __Host-stile-oidc=z; stile-oidc=z": "a=1; stile_shop=y; b=\"2\"",
		"stile-admin=x": "", "a=1;b=2": "a=1; b=2", "": "",
	} {
		for _, path := range []string{"/admin/", "/share/x"} {
			if _, body := w.get(path, "Cookie", cookies); body != "the site's own" {
				t.Errorf("%s on the site's origin is %q", path, body)
			}
			if cookie := <-got; cookie != want {
				t.Errorf("of the cookies %q the site got %q", cookies, cookie)
			}
		}
	}
	w.base = "http://" + w.s.adminListener.Addr().String()
	for _, path := range []string{"/admin/", "/stile/shop.js"} {
		if resp, _ := w.get(path, "Accept", "text/html"); resp.StatusCode >= http.StatusBadRequest {
			t.Errorf("%s with the dashboard: status %d", path, resp.StatusCode)
		}
	}
	for _, path := range []string{"/", "/administrator", "/metrics"} {
		if resp, body := w.get(path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s beside the dashboard: status %d, %q", path, resp.StatusCode, body)
		}
	}
}

// The gate follows a configuration that is reloaded, and keeps the old one where the new one is bad.
func TestProxyFollowsReload(t *testing.T) {
	w, _ := behind(t, writes("text/html", strings.Replace(tagged, "pixel.example", "pixel2.example", 1)))
	if _, body := w.get("/", "Accept", "text/html"); !strings.Contains(body, ` src="https://pixel2.example`) {
		t.Errorf("a tag that nobody knows waits: %s", body)
	}
	w.write(strings.Replace(siteText, "pixel.example", "pixel2.example", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, body := w.get("/", "Accept", "text/html"); strings.Contains(body, ` src="https://pixel2.example`) {
		t.Errorf("after a reload the tag does not wait: %s", body)
	}
}

func TestProxyForwards(t *testing.T) {
	var got *http.Request
	site := func(w http.ResponseWriter, r *http.Request) { got = r.Clone(r.Context()) }
	w, s := behind(t, site)
	public := w.base
	w.get("/a%2Fb?q=1;2", "X-Forwarded-For", "6.6.6.6", "Forwarded", "for=6.6.6.6", "Origin", public, "Referer", public+"/from", "Connection", "X-Hop", "X-Hop", "1")
	if got.Host != strings.TrimPrefix(s.URL, "http://") || got.RequestURI != "/a%2Fb?q=1;2" {
		t.Errorf("the site got %s at %s", got.RequestURI, got.Host)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": strings.TrimPrefix(public, "http://"), "X-Forwarded-Proto": "http", "Forwarded": "",
		"Origin": s.URL, "Referer": s.URL + "/from", "X-Hop": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if via := got.Header.Get("Via"); !strings.HasPrefix(via, "1.1 stile-") {
		t.Errorf("Via is %q", via)
	} else if resp, body := w.get("/", "Via", via); resp.StatusCode != http.StatusLoopDetected {
		t.Errorf("a request that came round: status %d, %s", resp.StatusCode, body)
	}
	w.get("/", "Origin", "https://elsewhere.example")
	if got.Header.Get("Origin") != "https://elsewhere.example" {
		t.Errorf("another site's Origin became %q", got.Header.Get("Origin"))
	}
	kept, _ := behind(t, site, func(o *ProxyOptions) { o.KeepHost = true })
	kept.get("/", "X-Forwarded-Proto", "https")
	if got.Host != strings.TrimPrefix(kept.base, "http://") || got.Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("the site got the host %s by %s", got.Host, got.Header.Get("X-Forwarded-Proto"))
	}
}

func TestProxyRedirects(t *testing.T) {
	var s *httptest.Server
	to := ""
	w, s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}, func(o *ProxyOptions) { o.To.Path = "/base" })
	for from, want := range map[string]string{
		s.URL + "/base/next?x=1#y":                           "/next?x=1#y",
		strings.Replace(s.URL, "http", "https", 1) + "/base": "/",
		strings.TrimPrefix(s.URL, "http:") + "/base/a%2Fb":   "/a%2Fb",
		"/base/here":                   "/here",
		"/elsewhere":                   "/elsewhere",
		"/basement":                    "/basement",
		"here":                         "here",
		"https://other.example/base/":  "https://other.example/base/",
		s.URL + "/outside":             s.URL + "/outside",
		s.URL + "/base//other.example": s.URL + "/base//other.example",
	} {
		to = from
		if resp, _ := w.get("/start"); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != want {
			t.Errorf("%s became %s (status %d), want %s", from, resp.Header.Get("Location"), resp.StatusCode, want)
		}
	}
	to = strings.Replace(s.URL, "http", "https", 1) + "/base/start"
	if resp, body := w.get("/start", "Accept", "text/html"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "without end") || strings.Contains(body, s.URL) {
		t.Errorf("a redirect to itself: status %d, %s", resp.StatusCode, body)
	}
}

func TestProxyCookies(t *testing.T) {
	p := &proxy{ProxyOptions: ProxyOptions{To: &url.URL{Scheme: "https", Host: "www.old.example:8443", Path: "/base/"}}}
	for line, want := range map[string]string{
		"a=1; Domain=old.example; Path=/; HttpOnly": "a=1; Path=/; HttpOnly",
		"a=1;domain=.WWW.old.example":               "a=1",
		"a=1; Domain=other.example":                 "a=1; Domain=other.example",
		"a=1; Domain=shop.example":                  "a=1; Domain=shop.example",
		"a=1; Path=/base/x; Secure":                 "a=1; Path=/x; Secure",
		"a=1; Path=/base":                           "a=1; Path=/",
		"a=\"x;y\"; Max-Age=1":                      "a=\"x;y\"; Max-Age=1",
	} {
		h := http.Header{"Set-Cookie": {line}}
		if p.cookies(h, "www.shop.example"); h.Get("Set-Cookie") != want {
			t.Errorf("%s became %s, want %s", line, h.Get("Set-Cookie"), want)
		}
	}
	same := http.Header{"Set-Cookie": {"a=1; Domain=old.example"}}
	if p.cookies(same, "shop.old.example"); same.Get("Set-Cookie") != "a=1; Domain=old.example" {
		t.Errorf("a cookie that the public host may have became %s", same.Get("Set-Cookie"))
	}
}

func TestProxyWithoutSite(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	_ = l.Close()
	gone := before(t, dead)
	resp, body := gone.get("/secret/path", "Accept", "text/html")
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "cannot be reached") || strings.Contains(body, l.Addr().String()) {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
	if !strings.Contains(gone.log.String(), l.Addr().String()) {
		t.Error("the log does not say which site")
	}
	if resp, body := gone.get("/"); resp.StatusCode != http.StatusBadGateway || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") || !strings.Contains(body, "cannot be reached") {
		t.Errorf("for a program: status %d, %s", resp.StatusCode, body)
	}
	if resp, _ := gone.get("/stile/shop.js"); resp.StatusCode != http.StatusOK {
		t.Errorf("Stile's own script: status %d", resp.StatusCode)
	}
	slow, _ := behind(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(o *ProxyOptions) { o.Timeout = 100 * time.Millisecond })
	if resp, body := slow.get("/", "Accept", "text/html"); resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "too long") {
		t.Errorf("a slow site: status %d, %s", resp.StatusCode, body)
	}
}

// A page that is cut short is cut short for the visitor too, and so is one that does not go on.
func TestProxyCutsShort(t *testing.T) {
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", strconv.Itoa(20*len(tagged)))
			_, _ = io.WriteString(w, strings.Repeat(tagged, 10))
		case "/stuck":
			_, _ = io.WriteString(w, tagged)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		_, _ = io.WriteString(w, tagged)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, func(o *ProxyOptions) { o.Timeout = 200 * time.Millisecond })
	for _, path := range []string{"/length", "/chunked", "/stuck"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.client.Do(r)
		if err != nil {
			t.Errorf("of %s nothing came: %v", path, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err == nil || !strings.Contains(string(body), "Words") {
			t.Errorf("%s ended as if it were whole, or without what came: %q", path, body)
		}
		if !strings.Contains(w.log.String(), path) {
			t.Errorf("the log does not have %s: %s", path, w.log)
		}
	}
}

// What breaks off before there is anything to show is an error of the site's, and looks like one.
func TestProxyAnswersForBrokenPages(t *testing.T) {
	packed := pack(t, "gzip", tagged)
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html")
		h.Set("Set-Cookie", "of=the_site")
		switch r.URL.Path {
		case "/length":
			h.Set("Content-Length", strconv.Itoa(2*len(tagged)))
			_, _ = io.WriteString(w, tagged)
		case "/nameless":
			h["Content-Type"] = nil
			h.Set("Content-Length", "10")
		case "/plain":
			h.Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, tagged)
		case "/plain/chunked":
			h.Set("Content-Encoding", "gzip")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, tagged)
		case "/short":
			h.Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, packed[:len(packed)-12])
		}
	})
	for _, path := range []string{"/length", "/nameless", "/plain", "/plain/chunked", "/short"} {
		resp, body := w.get(path, "Accept", "text/html", "Accept-Encoding", "gzip")
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "<p>the site behind this gate broke off its answer") {
			t.Errorf("%s: status %d, %q", path, resp.StatusCode, body)
		}
		if h := resp.Header; h["Set-Cookie"] != nil || h["Content-Encoding"] != nil {
			t.Errorf("%s: the header is still the site's: %v", path, h)
		}
		if !strings.Contains(w.log.String(), "path="+path) && !strings.Contains(w.log.String(), `"path":"`+path+`"`) {
			t.Errorf("the log does not have %s: %s", path, w.log)
		}
	}
}

// Server-sent events come as they are sent, for longer than a request of Stile's own may take to arrive.
func TestProxyStreamsEvents(t *testing.T) {
	next := make(chan bool)
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 2 {
			fmt.Fprint(w, "data: <img src=https://pixel.example/p.gif>\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				t.Error("the proxy hung up")
				return
			}
		}
	})
	w.s.http.ReadTimeout = time.Second
	resp := w.events()
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for range 2 {
		if !lines.Scan() || lines.Text() != "data: <img src=https://pixel.example/p.gif>" {
			t.Fatalf("an event is %q, %v", lines.Text(), lines.Err())
		}
		lines.Scan()
		<-time.After(1200 * time.Millisecond) // longer than the deadline, which is what is tried
		next <- true
	}
}

// An answer may pause for as long as it likes; a visitor who does not read it holds it for a minute.
func TestProxyLeavesWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		visitor, conn := net.Pipe()
		ended := make(chan error, 1)
		s := &http.Server{Handler: patiently(http.HandlerFunc(func(p http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/choice" {
				p.WriteHeader(http.StatusNoContent)
				return
			}
			for range 2 {
				fmt.Fprint(p, "data: 1\n\n")
				if err := http.NewResponseController(p).Flush(); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * sendTime)
			}
			var err error
			for err == nil {
				_, err = p.Write(make([]byte, 32<<10))
			}
			ended <- err
		}))}
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		l.conns <- conn
		go func() { _ = s.Serve(l) }()
		lines := bufio.NewScanner(visitor)
		for range 2 { // the time runs for each answer anew
			fmt.Fprint(visitor, "GET /choice HTTP/1.1\r\nHost: shop.example\r\n\r\n")
			for lines.Scan() && lines.Text() != "" {
			}
			time.Sleep(3 * sendTime)
		}
		fmt.Fprint(visitor, "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
		for n := 0; n < 2 && lines.Scan(); {
			if lines.Text() == "data: 1" {
				n++
			}
		}
		start := time.Now()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended by %v", err)
		}
		if took := time.Since(start); took != 4*sendTime {
			t.Errorf("it was held for %v", took)
		}
		_ = s.Close()
		_ = visitor.Close()
	})
}

// pipeListener has one visitor.
type pipeListener struct{ conns chan net.Conn }

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, more := <-l.conns; more {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error {
	close(l.conns)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// events opens a stream of the site's, which the caller closes.
func (w *world) events() *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.base+"/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// A visitor's stream does not keep the server from storing what it counted, and is nothing to report when it stops.
func TestProxyStopsDespiteStream(t *testing.T) {
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	resp := w.events()
	defer resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.s.Stop(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("stopping: %v, %v", err, ctx.Err())
	}
	if strings.Contains(w.log.String(), "are lost") {
		t.Errorf("the log says %s", w.log)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stream ended as if it were whole")
	}
}

// What is sent up may take longer than a request of Stile's own, as long as it goes on.
func TestProxyTakesSlowUpload(t *testing.T) {
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, string(body), err)
	})
	w.s.http.ReadTimeout = time.Second
	from, to := io.Pipe()
	go func() {
		for _, part := range []string{"a", "b", "c"} {
			_, _ = io.WriteString(to, part)
			<-time.After(500 * time.Millisecond) // all of it longer than the deadline
		}
		_ = to.Close()
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/upload", from)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "abc<nil>" {
		t.Errorf("the site got %q, %v", body, err)
	}
}

func TestProxyPassesWebSockets(t *testing.T) {
	w, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			t.Errorf("the site is asked for the upgrade %q", r.Header.Get("Upgrade"))
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "you said <html> ", line)
		_ = rw.Flush()
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAccept: text/html\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "you said <html> hello\n" {
		t.Errorf("the socket said %q, %v", line, err)
	}
}

func TestParseTarget(t *testing.T) {
	for _, text := range []string{"", "shop.example", "ftp://shop.example", "http://", "http://u:p@shop.example", "http://shop.example/?a", "http://shop.example/#a", "http://[::1"} {
		if u, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), "write http") {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
	if u, err := ParseTarget("http://10.1.0.5:8080/shop"); err != nil || u.Host != "10.1.0.5:8080" {
		t.Errorf("%v, %v", u, err)
	}
}
