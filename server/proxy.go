package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stilehq/stile/server/account"
)

// ProxyOptions say which site is behind the server, that nobody can edit: its pages go out gated, and Stile's own paths
// (/stile/, /.well-known/gpc.json) are answered on the same origin.
type ProxyOptions struct {
	PageOptions
	To       *url.URL      // the site: http or https, a host, and maybe a folder that its pages are under
	KeepHost bool          // the site gets the visitor's Host, not its own
	Admin    string        // host:port on which the dashboard is (/admin/, /share/), since it has no place on the site's own origin; "" for none
	Timeout  time.Duration // for the site to begin its answer, and between the parts of a page; 0: 30 seconds
}

// ParseTarget reads the address of a site.
func ParseTarget(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of a site: write http://10.1.0.5:8080 or https://www.shop.example", text)
	}
	return u, nil
}

// openAdmin binds the dashboard's own port before a site. On the site's origin whatever runs in its pages, tags too, could use
// it in the name of whoever is logged in.
func (s *Server) openAdmin(ctx context.Context) (err error) {
	if s.opts.Proxy == nil || s.opts.Proxy.Admin == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.adminListener, err = lc.Listen(ctx, "tcp", s.opts.Proxy.Admin); err != nil {
		return fmt.Errorf("the dashboard cannot listen on %s: %w; end what uses it, or name another with --admin", s.opts.Proxy.Admin, err)
	}
	s.onStop("the dashboard's listener", func(context.Context) error { _ = s.adminListener.Close(); return nil })
	s.adminHTTP = s.newHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if under(r.URL.Path, "/admin") || under(r.URL.Path, "/share") || ours(r.URL.Path) { // which the simulator draws with
			s.echo.ServeHTTP(w, r)
		} else {
			http.NotFound(w, r)
		}
	}))
	s.log.Info("the dashboard", "address", "http://"+s.adminListener.Addr().String()+"/admin/")
	return nil
}

// under tells whether a path is that of a folder, or in it.
func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// front is all that the server answers: its own routes alone, or before a site that it is the proxy of.
func (s *Server) front() (http.Handler, error) {
	o := s.opts.Proxy
	if o == nil {
		return s.echo, nil
	}
	options := o.PageOptions
	options.Own = append([]string{o.To.Host}, o.Own...)
	m, err := s.Middleware(options)
	if err != nil {
		return nil, err
	}
	p := newProxy(*o, s)
	s.onStop("connections to the site", func(context.Context) error { p.transport.CloseIdleConnections(); return nil })
	m.broken = p.broke
	site := m.Handler(p)
	return patiently(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ours(r.URL.Path) {
			s.echo.ServeHTTP(w, r)
		} else {
			site.ServeHTTP(w, r)
		}
	})), nil
}

// proxy passes requests on to a site, and its answers back.
type proxy struct {
	ProxyOptions
	log       *slog.Logger
	trusted   func(*http.Request) bool
	transport *http.Transport
	reverse   *httputil.ReverseProxy
	name      string // in Via: a request that comes round again has it
}

func newProxy(o ProxyOptions, s *Server) *proxy {
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	p := &proxy{ProxyOptions: o, log: s.log, name: "stile-" + rand.Text()[:8]}
	p.trusted = func(r *http.Request) bool { return s.opts.Proxies.Trusts(r.RemoteAddr) }
	p.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: o.Timeout, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		DisableCompression: true, // what the visitor takes is asked for, and goes out as it came
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: p.transport, ModifyResponse: p.answer, ErrorHandler: p.fail,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // visitors who go away
	}
	return p
}

// ours tells whether a path is Stile's.
func ours(path string) bool {
	return under(path, "/stile") || path == "/.well-known/gpc.json"
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(strings.Join(r.Header.Values("Via"), ","), p.name) {
		p.show(w, r, &fault{status: http.StatusLoopDetected, what: "the address of the site leads back here: it has to be that of the site itself, not of this proxy"})
		return
	}
	p.patience(w, r)
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), incomingKey{}, r)))
}

// patience replaces the deadline for Stile's own short requests: a body may be as long as it takes while it goes on, and an
// answer that goes on is not cut off.
func (p *proxy) patience(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if r.Body == nil || r.Body == http.NoBody {
		_ = c.SetReadDeadline(time.Time{}) // a test's writer has none
		return
	}
	r.Body = &patientBody{r.Body, c, p.Timeout}
}

type patientBody struct {
	io.ReadCloser
	c       *http.ResponseController
	timeout time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.c.SetReadDeadline(time.Now().Add(b.timeout))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// sendTime is how long a visitor may take to read what was sent last, as with nginx.
const sendTime = time.Minute

// patiently lets an answer take as long as it takes while the visitor reads. Who does not read holds it no longer.
func patiently(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patientWriter{w, http.NewResponseController(w)}
		h.ServeHTTP(p, r)
		p.renew() // the end is written when this returns
	})
}

type patientWriter struct {
	http.ResponseWriter
	c *http.ResponseController
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *patientWriter) renew() { _ = w.c.SetWriteDeadline(time.Now().Add(sendTime)) } // a test's writer has none

func (w *patientWriter) Write(p []byte) (int, error) {
	w.renew()
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (w *patientWriter) FlushError() error {
	w.renew()
	return w.c.Flush()
}

// rewrite is the request as the site gets it.
func (p *proxy) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.To)
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it came: the site reads it, not we
	if p.trusted(r.In) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	r.SetXForwarded()
	if secure(r.In) {
		r.Out.Header.Set("X-Forwarded-Proto", "https")
	}
	r.Out.Header.Add("Via", "1.1 "+p.name)
	account.Strip(r.Out.Header)
	if p.KeepHost {
		r.Out.Host = r.In.Host
		return
	}
	// A site that knows itself by another host takes a form from this one for another site's.
	public, own := cameBy(r.In), p.To.Scheme+"://"+p.To.Host
	for _, name := range []string{"Origin", "Referer"} {
		if rest, found := strings.CutPrefix(r.Out.Header.Get(name), public); found && (rest == "" || rest[0] == '/') {
			r.Out.Header.Set(name, own+rest)
		}
	}
}

// cameBy is the origin by which the visitor came.
func cameBy(r *http.Request) string {
	if secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// errLoop is a redirect of the site to the page that it is asked for.
var errLoop = errors.New("the site sends every visitor of this page to the page itself")

// answer is what the site answered as the visitor gets it: under the public address.
func (p *proxy) answer(r *http.Response) error {
	in := incoming(r.Request)
	if to := r.Header.Get("Location"); to != "" {
		moved := p.public(to)
		if moved != to && r.StatusCode >= 300 && r.StatusCode < 400 && in.Method == http.MethodGet && moved == in.URL.RequestURI() && r.Header["Set-Cookie"] == nil {
			return fmt.Errorf("%w: it says %s, where --to may have to lead", errLoop, to)
		}
		r.Header.Set("Location", moved)
	}
	if at := r.Header.Get("Content-Location"); at != "" {
		r.Header.Set("Content-Location", p.public(at))
	}
	if before, to, found := strings.Cut(r.Header.Get("Refresh"), "="); found {
		r.Header.Set("Refresh", before+"="+p.public(strings.Trim(to, ` "'`)))
	}
	p.cookies(r.Header, hostname(in.Host))
	if r.Body == http.NoBody || r.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "text/html" {
		r.Body = newTimedBody(r.Body, p.Timeout)
	}
	r.Body = &toldBody{r.Body, func(err error) {
		if in.Context().Err() == nil { // else the visitor has gone
			p.log.Error("the site broke off its answer", "site", p.To.Redacted(), "path", in.URL.Path, "error", err)
		}
	}}
	return nil
}

// toldBody says that it ends before its end.
type toldBody struct {
	io.ReadCloser
	tell func(error)
}

func (b *toldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.tell(err)
	}
	return n, err
}

type incomingKey struct{}

func incoming(out *http.Request) *http.Request {
	r, _ := out.Context().Value(incomingKey{}).(*http.Request)
	return r
}

// public is an address of the site as visitors know it: without scheme and host where it has those of the site, whichever of
// http and https, and without the folder that its pages are under. All others stay.
func (p *proxy) public(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return address
	}
	if u.Host != "" && (!p.isSite(u.Host) || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https") {
		return address
	}
	if folder := strings.TrimSuffix(p.To.EscapedPath(), "/"); folder != "" {
		rest, found := strings.CutPrefix(u.EscapedPath(), folder)
		if !found || rest != "" && rest[0] != '/' {
			return address
		}
		if u.Path, err = url.PathUnescape(rest); err != nil {
			return address
		}
		u.RawPath = rest
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	u.Scheme, u.Host = "", ""
	if strings.HasPrefix(u.Path, "//") {
		return address // without its host it would name another
	}
	return u.String()
}

// isSite tells whether a host is the site's, with the port that it has or a usual one: sites send from http to https.
func (p *proxy) isSite(host string) bool {
	u := url.URL{Host: host}
	if !strings.EqualFold(u.Hostname(), p.To.Hostname()) {
		return false
	}
	port := u.Port()
	return port == p.To.Port() || port == "" || port == "80" || port == "443"
}

// cookies makes the site's cookies those of the public host: a domain that is the site's is left out, and so is the folder
// that its pages are under.
func (p *proxy) cookies(h http.Header, public string) {
	for i, line := range h["Set-Cookie"] {
		parts := strings.Split(line, ";")
		kept := parts[:1]
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			value = strings.TrimSpace(value)
			switch domain := strings.ToLower(strings.TrimPrefix(value, ".")); {
			case strings.EqualFold(name, "domain") && inDomain(p.To.Hostname(), domain) && !inDomain(public, domain):
				continue
			case strings.EqualFold(name, "path"):
				part = " Path=" + p.public(value)
			}
			kept = append(kept, part)
		}
		h["Set-Cookie"][i] = strings.Join(kept, ";")
	}
}

func inDomain(host, domain string) bool {
	host = strings.ToLower(host)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// fail answers where the site did not.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the visitor has gone
	}
	p.log.Error("the site did not answer", "site", p.To.Redacted(), "path", r.URL.Path, "error", err)
	f := &fault{status: http.StatusBadGateway, what: "the site behind this gate cannot be reached: try again in a while"}
	var timeout net.Error
	switch {
	case errors.Is(err, errLoop):
		f.what = "the site behind this gate sends this page's visitors to the page itself, without end: whoever runs the gate finds in its log what to do"
	case errors.As(err, &timeout) && timeout.Timeout():
		f = &fault{status: http.StatusGatewayTimeout, what: "the site behind this gate takes too long to answer: try again in a while"}
	}
	p.show(w, r, f)
}

// broke answers where what the site answered cannot be passed on. Why it cannot is in the log.
func (p *proxy) broke(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, &fault{status: http.StatusBadGateway, what: "the site behind this gate broke off its answer, or sent one that cannot be read: try again in a while"})
}

func (p *proxy) show(w http.ResponseWriter, r *http.Request, f *fault) {
	text, kind := f.what+"\n", "text/plain; charset=utf-8"
	if wantsHTML(r) {
		text, kind = f.page(), "text/html; charset=utf-8"
	}
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = neverKept, noSniff
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, text) // whoever has gone does not read it
}

// timedBody ends where nothing comes for a while: the page is cut off then.
type timedBody struct {
	io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
}

func newTimedBody(body io.ReadCloser, timeout time.Duration) *timedBody {
	return &timedBody{body, time.AfterFunc(timeout, func() { _ = body.Close() }), timeout}
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	return n, err
}

func (b *timedBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}
