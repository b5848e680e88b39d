package server

import (
	"bufio"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stilehq/stile/server/page"
)

// pageWriter is the answer to one request, gated where it turns out to be a page. Nothing of it is kept but what the gate
// has not decided on yet.
type pageWriter struct {
	http.ResponseWriter
	m        *Middleware
	site     *gatedSite
	visitor  *pageVisitor
	request  *http.Request
	mark     string // in the ETags of pages
	matched  bool   // the request's If-None-Match had that mark
	status   int    // 0 before there is one
	begun    bool   // the header is made
	sent     bool   // and written: that of a page waits for the page's first byte
	hijacked bool
	body     *pageBody // nil: what is written passes as it is
	declared int64     // Content-Length of the handler, -1 without one
	written  int64
	cut      error // why the page cannot be ended as it should
}

// Unwrap is for http.ResponseController.
func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack is for WebSockets.
func (w *pageWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = err == nil
	return conn, rw, err
}

// WriteHeader waits for the first byte of the body where that has to tell what it is.
func (w *pageWriter) WriteHeader(status int) {
	switch h := w.Header(); {
	case w.status != 0 || w.hijacked:
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		w.site.holdLinks(h, w.address(), w.m.options.Unknown) // of early hints
		w.ResponseWriter.WriteHeader(status)
	default:
		w.status = status
		if h.Get("Content-Type") != "" || !w.hasBody() {
			w.begin(nil)
		}
	}
}

func (w *pageWriter) hasBody() bool {
	return w.request.Method != http.MethodHead && w.status != http.StatusNoContent && w.status != http.StatusNotModified && w.status != http.StatusSwitchingProtocols
}

// Write implements io.Writer. What it says that it wrote is what it took.
func (w *pageWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.begun {
		w.begin(p)
	}
	w.written += int64(len(p))
	if w.body == nil {
		return w.ResponseWriter.Write(p)
	}
	if !w.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	return w.body.Write(p)
}

// Flush sends what can be decided already.
func (w *pageWriter) Flush() { _ = w.FlushError() }

// FlushError is for http.ResponseController.
func (w *pageWriter) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.begun {
		if w.Header().Get("Content-Type") == "" {
			return nil // it will be known with the first byte
		}
		w.begin(nil)
	}
	if w.body != nil {
		if err := w.body.Flush(); err != nil {
			return err
		}
	}
	if !w.sent {
		return nil // a page that turns out to be none can still be answered otherwise
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// begin makes the header. What is known of the body stands in the header, or else in its first bytes.
func (w *pageWriter) begin(first []byte) {
	w.begun = true
	h := w.Header()
	if w.visitor.asked.Load() {
		keepPrivate(h)
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		w.declared = n
	}
	switch {
	case w.status == http.StatusNotModified:
		if w.matched {
			w.samePage()
		}
		h.Del("Content-Length")
	case w.isPage(first) && w.status != http.StatusSwitchingProtocols:
		w.beginPage()
	}
	if w.body == nil {
		w.send()
	}
}

func (w *pageWriter) send() {
	if !w.sent {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// pageAnswer takes what came out of the gate.
type pageAnswer struct{ w *pageWriter }

func (a pageAnswer) Write(p []byte) (int, error) {
	a.w.send()
	return a.w.ResponseWriter.Write(p)
}

// isPage tells whether a browser would take an answer for HTML. XHTML is XML, which has one way of being read and no room for
// what is not well-formed: it is not gated, and that is said.
func (w *pageWriter) isPage(first []byte) bool {
	h := w.Header()
	given := h.Get("Content-Type")
	if given == "" && coded(h) == "" {
		if len(first) == 0 {
			return false
		}
		given = http.DetectContentType(first)
		if _, suppressed := h["Content-Type"]; !suppressed {
			h.Set("Content-Type", given)
		}
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		media, _, _ = strings.Cut(strings.ToLower(given), ";") // browsers go by what stands before it
		media = strings.TrimSpace(media)
	}
	switch {
	case media == "application/xhtml+xml":
		w.passes("it is XHTML")
		return false
	case media != "text/html":
		return false
	case w.status == http.StatusPartialContent:
		w.passes("a part of it was asked for")
		return false
	case unreadable8(params["charset"]):
		w.passes("its charset is " + params["charset"])
		return false
	}
	if packed := coded(h); packed != "" && codings[packed].pool == nil {
		w.passes("its Content-Encoding is " + packed)
		return false
	}
	return true
}

// passes says why a page is not gated, once a path.
func (w *pageWriter) passes(why string) {
	if w.m.untold.first(w.request.URL.Path) {
		w.m.log.Warn("a page is not gated", "path", w.request.URL.Path, "because", why)
	}
}

// headPage is for the header of a page: what is said of its bytes does not hold any more.
func (w *pageWriter) headPage(address *url.URL) {
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Last-Modified", "Accept-Ranges"} {
		h.Del(name)
	}
	addMark(h, w.mark)
	w.site.holdLinks(h, address, w.m.options.Unknown)
	if w.m.options.CSP != CSPOff {
		keepPrivate(h)
	}
}

// samePage is for the header by which a browser goes on with the gated page that it has: it takes the place of the one that it
// has, name by name. The page's policy is the same still, or its ETag would be another; beside a new one of the site it is
// said again.
func (w *pageWriter) samePage() {
	w.headPage(w.address())
	if h := w.Header(); w.m.options.CSP != CSPOff && h[w.m.policyName()] != nil {
		w.m.addPolicy(h, w.m.policy(w.visitor, scriptsOf(h)))
	}
}

func (w *pageWriter) beginPage() {
	h := w.Header()
	address := w.address()
	w.headPage(address)
	own := scriptsOf(h)
	if w.m.options.CSP != CSPOff {
		w.m.addPolicy(h, w.m.policy(w.visitor, own))
	}
	if !w.hasBody() {
		return
	}
	charset := strings.Contains(strings.ToLower(h.Get("Content-Type")), "charset")
	fetched := !navigates(w.request)
	w.body = newPageBody(pageAnswer{w}, h, charset, fetched, func(head []byte) *page.Writer {
		if fetched && !opening.Match(head) {
			return w.site.part.Writer(w.body.to, address, "")
		}
		gated := w.site.gate.Writer(w.body.to, address, own.nonce)
		if w.m.options.CSP == CSPEnforce && w.request.Method == http.MethodGet { // a form that was sent is not sent again
			gated.Again()
		}
		if own.nonce != "" && !own.dynamic {
			gated.ByHosts()
		}
		return gated
	}, w.passes)
}

// address is that of the page, as the visitor knows it.
func (w *pageWriter) address() *url.URL {
	u := &url.URL{Scheme: "http", Host: w.request.Host, Path: w.request.URL.Path, RawQuery: w.request.URL.RawQuery}
	if secure(w.request) {
		u.Scheme = "https"
	}
	return u
}

// finish writes what is left when the handler is done. A page that cannot be ended as it should is cut off, and the visitor's
// browser sees that it was: an end that is none would be kept as the whole page.
func (w *pageWriter) finish() {
	if w.hijacked {
		return
	}
	if !w.begun {
		if w.status == 0 && w.request.Method != http.MethodHead && w.Header().Get("Content-Type") == "" && !w.visitor.asked.Load() {
			return // an empty answer, as net/http makes it
		}
		if w.status == 0 {
			w.status = http.StatusOK
		}
		w.begin(nil)
	}
	if w.body == nil {
		return
	}
	if w.declared >= 0 && w.written < w.declared {
		w.cut = fmt.Errorf("%d bytes came of the %d that its header says", w.written, w.declared)
	} else {
		w.cut = w.body.Close()
	}
	if w.cut != nil {
		panic(http.ErrAbortHandler)
	}
	w.send()
}

// broke ends an answer that breaks off, and tells whether it was answered otherwise. What came of it goes out before the
// connection is broken.
func (w *pageWriter) broke() (answered bool) {
	if w.hijacked || w.request.Context().Err() != nil { // the visitor has gone
		return false
	}
	if w.cut == nil && w.body != nil && w.body.unpack != nil {
		w.cut = w.body.unpack.err
	}
	if w.cut != nil {
		w.m.log.Error("a page was cut off", "path", w.request.URL.Path, "error", w.cut)
	}
	if w.sent {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the connection ends in any case
		return false
	}
	if w.m.broken != nil {
		clear(w.Header())
		w.m.broken(w.ResponseWriter, w.request)
	}
	return w.m.broken != nil
}

// release gives back what the body used, however the handler ended.
func (w *pageWriter) release() {
	if w.body != nil {
		w.body.release()
	}
}

// loading are the relations of a Link header by which browsers ask for something at once.
var loading = []string{"preconnect", "dns-prefetch", "preload", "prefetch", "modulepreload", "prerender", "stylesheet"}

// holdLinks takes from a Link header what would be asked of a third party that has to wait: browsers act on it before they
// have seen the page.
func (g *gatedSite) holdLinks(h http.Header, address *url.URL, unknown string) {
	if h["Link"] == nil {
		return
	}
	var kept []string
	for _, line := range h["Link"] {
		for link := range links(line) {
			if !g.waits(link, address, unknown) {
				kept = append(kept, link)
			}
		}
	}
	h.Del("Link")
	for _, link := range kept {
		h.Add("Link", link)
	}
}

func (g *gatedSite) waits(link string, address *url.URL, unknown string) bool {
	target, params, found := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	asks := func(rel string) bool {
		return slices.Contains(loading, strings.ToLower(strings.Trim(rel, `"'`)))
	}
	if !found || !slices.ContainsFunc(strings.FieldsFunc(params, func(r rune) bool { return strings.ContainsRune(" \t;=\"'", r) }), asks) {
		return false
	}
	party, third := g.judge.Address(target, address)
	return third && (g.judge.Waits(party) || unknown != "" && party.Basis == page.ByNobody)
}

// links are the values of one line of a Link header (RFC 8288, 3): commas in addresses and in quotes part nothing.
func links(line string) func(func(string) bool) {
	return func(yield func(string) bool) {
		begin, inside := 0, byte(0)
		for i := 0; i <= len(line); i++ {
			switch {
			case i == len(line) || line[i] == ',' && inside == 0:
				if link := strings.TrimSpace(line[begin:i]); link != "" && !yield(link) {
					return
				}
				begin = i + 1
			case inside == '"' && line[i] == '\\':
				i++
			case inside != 0 && line[i] == inside:
				inside = 0
			case inside == 0 && line[i] == '<':
				inside = '>'
			case inside == 0 && line[i] == '"':
				inside = '"'
			}
		}
	}
}
