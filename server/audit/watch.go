package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/stilehq/stile/server/hosts"
)

// watch notes what a tab, its frames and its workers ask for, and who set what.
type watch struct {
	binding string

	mu       sync.Mutex
	requests []*Request
	last     map[network.RequestID]*Request // the newest of a chain of redirects
	flying   map[network.RequestID]cdp.LoaderID
	setters  map[string]Origin                                             // by what, where and name, the first that set it
	apart    map[string]bool                                               // addresses of workers that are not the page's own
	choices  []*Request                                                    // that were sent to Stile
	early    map[network.RequestID]*network.EventResponseReceivedExtraInfo // that came before their request
	loaded   bool
	document cdp.LoaderID  // of the page
	changed  chan struct{} // closed, and replaced, whenever something happens
}

func newWatch(binding string) *watch {
	return &watch{
		binding: binding, last: map[network.RequestID]*Request{}, flying: map[network.RequestID]cdp.LoaderID{}, setters: map[string]Origin{},
		apart: map[string]bool{}, early: map[network.RequestID]*network.EventResponseReceivedExtraInfo{}, changed: make(chan struct{}),
	}
}

// event takes one of the browser's events. It runs where they are read, so that it does not wait for anything.
func (w *watch) event(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case *network.EventRequestWillBeSent:
		w.sent(e)
	case *network.EventWebSocketCreated:
		w.add(e.RequestID, &Request{URL: e.URL, Method: "GET", Type: "websocket", By: originBy(e.Initiator)})
	case *network.EventWebTransportCreated:
		w.add(e.TransportID, &Request{URL: e.URL, Method: "CONNECT", Type: "webtransport", By: originBy(e.Initiator)})
	case *network.EventResponseReceived:
		if q := w.last[e.RequestID]; q != nil {
			q.Status = e.Response.Status
			q.Cached = q.Cached || e.Response.FromDiskCache
		}
		w.stays(e.RequestID, e.Type)
	case *network.EventRequestServedFromCache:
		if q := w.last[e.RequestID]; q != nil {
			q.Cached = true
		}
	case *network.EventResponseReceivedExtraInfo:
		w.setCookies(e)
	case *network.EventLoadingFinished:
		delete(w.flying, e.RequestID)
	case *network.EventLoadingFailed:
		if q := w.last[e.RequestID]; q != nil {
			q.Failure = e.ErrorText
		}
		delete(w.flying, e.RequestID)
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			w.navigated(e.Frame.LoaderID)
		}
	case *page.EventLoadEventFired:
		w.loaded = true
	case *runtime.EventBindingCalled:
		w.told(e)
	default:
		return
	}
	w.wake()
}

// wake tells everybody who waits that something happened. The caller holds mu.
func (w *watch) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// hold waits for something that is no request, until it is released.
func (w *watch) hold(id network.RequestID, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[id], w.flying[id] = &Request{URL: address}, ""
	w.wake()
}

func (w *watch) release(id network.RequestID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.flying, id)
	w.wake()
}

// started takes a worker's script from what is waited for: nobody tells the page that it is there. It may be asked for later.
func (w *watch) started(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apart[address] = true
	for id := range w.flying {
		if w.last[id].URL == address {
			delete(w.flying, id)
		}
	}
	w.wake()
}

func (w *watch) sent(e *network.EventRequestWillBeSent) {
	by := originBy(e.Initiator)
	if q := w.last[e.RequestID]; q != nil && e.RedirectResponse != nil {
		q.Status = e.RedirectResponse.Status
		by = Origin{Kind: "redirect", URL: q.URL}
	}
	q := &Request{URL: e.Request.URL, Method: e.Request.Method, Type: strings.ToLower(string(e.Type)), Frame: e.DocumentURL, By: by}
	if !w.add(e.RequestID, q) {
		return
	}
	if !w.apart[q.URL] {
		w.flying[e.RequestID] = e.LoaderID
	}
	w.stays(e.RequestID, e.Type)
}

// add notes a request that leaves the browser, and tells whether it is one.
func (w *watch) add(id network.RequestID, q *Request) bool {
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		return false
	}
	q.Host = hosts.Of(u)
	w.requests = append(w.requests, q)
	w.last[id] = q
	if e := w.early[id]; e != nil {
		delete(w.early, id)
		w.setCookies(e)
	}
	if q.Method == "POST" && choicePath.MatchString(u.Path) {
		w.choices = append(w.choices, q)
	}
	return true
}

// choicePath is where choices are sent to.
var choicePath = regexp.MustCompile(`/stile/[a-z0-9-]+/(choice|withdraw)$`)

// stays takes what goes on as long as the page does from what is waited for.
func (w *watch) stays(id network.RequestID, t network.ResourceType) {
	if t == network.ResourceTypeEventSource || t == network.ResourceTypeMedia {
		delete(w.flying, id)
	}
}

// navigated forgets what the document before still waited for: the browser may never tell how that ended.
func (w *watch) navigated(to cdp.LoaderID) {
	w.loaded, w.document = false, to
	for id, of := range w.flying {
		if of != to && of != "" {
			delete(w.flying, id)
		}
	}
}

func (w *watch) setCookies(e *network.EventResponseReceivedExtraInfo) {
	q := w.last[e.RequestID]
	if q == nil {
		w.early[e.RequestID] = e
		return
	}
	for name, value := range e.Headers {
		text, ok := value.(string)
		if !ok || !strings.EqualFold(name, "Set-Cookie") {
			continue
		}
		for line := range strings.Lines(text) {
			w.setCookie(line, q.URL, Origin{Kind: "response", URL: q.URL})
		}
	}
}

// setCookie notes who set a cookie, as it is written in a header or to document.cookie, at an address.
func (w *watch) setCookie(text, address string, by Origin) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	name, rest, _ := strings.Cut(text, "=")
	domain := u.Hostname()
	for part := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(part, "=")
		if value = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(value), ".")); value != "" && strings.EqualFold(strings.TrimSpace(key), "domain") {
			domain = value
		}
	}
	w.set(cookieAt(strings.TrimSpace(name), domain), by)
}

// cookieAt is how a cookie is named among the setters.
func cookieAt(name, domain string) string {
	return "cookie " + strings.TrimPrefix(domain, ".") + " " + name
}

func (w *watch) set(what string, by Origin) {
	if _, found := w.setters[what]; !found {
		w.setters[what] = by
	}
}

// told takes what our script in the page says that somebody stores.
func (w *watch) told(e *runtime.EventBindingCalled) {
	var said struct{ Kind, Name, Origin, Stack string }
	if e.Name != w.binding || json.Unmarshal([]byte(e.Payload), &said) != nil {
		return
	}
	by := Origin{Kind: "script"}
	if m := inStack.FindStringSubmatch(said.Stack); m != nil {
		by.URL = m[1]
		by.Line, _ = strconv.Atoi(m[2])
	}
	if said.Kind == "cookie" {
		w.setCookie(said.Name, said.Origin, by)
		return
	}
	w.set(said.Kind+" "+said.Origin+" "+said.Name, by)
}

// inStack is the innermost place in a stack that has an address: those of our own script have none.
var inStack = regexp.MustCompile(`(https?://[^\s()]+?):([0-9]+):[0-9]+`)

// originBy is who made a request. Lines are counted from 1, as people do.
func originBy(i *network.Initiator) Origin {
	if i == nil {
		return Origin{Kind: "other"}
	}
	o := Origin{Kind: string(i.Type), URL: i.URL}
	if i.URL != "" {
		o.Line = int(i.LineNumber) + 1
	}
	for s := i.Stack; s != nil && o.URL == ""; s = s.Parent {
		for _, f := range s.CallFrames {
			if f.URL != "" {
				o.URL, o.Line = f.URL, int(f.LineNumber)+1
				break
			}
		}
	}
	return o
}

// begin is called before the page is loaded anew.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loaded = false
}

// forget forgets the requests so far, and keeps who set what.
func (w *watch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = nil
}

// until waits until something is so, which is asked after each event. The error is of the context.
func (w *watch) until(ctx context.Context, so func() bool) error {
	for {
		w.mu.Lock()
		yes, changed := so(), w.changed
		w.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// quiet waits until the page has loaded and nothing was on its way for a while.
func (w *watch) quiet(ctx context.Context, long time.Duration) error {
	for {
		if err := w.until(ctx, func() bool { return w.loaded && len(w.flying) == 0 }); err != nil {
			return err
		}
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		rest := time.NewTimer(long)
		select {
		case <-rest.C:
			return nil
		case <-changed:
			rest.Stop()
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
}

// busy says what a page that does not get quiet is about.
func (w *watch) busy() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var waits []string
	for id := range w.flying {
		waits = append(waits, Short(w.last[id].URL))
	}
	slices.Sort(waits)
	switch {
	case len(waits) > 1:
		return fmt.Sprintf("it waits for %s and %d more", waits[0], len(waits)-1)
	case len(waits) == 1:
		return "it waits for " + waits[0]
	case !w.loaded || len(w.requests) == 0:
		return "it does not finish loading"
	}
	return "it asks again and again, at last for " + Short(w.requests[len(w.requests)-1].URL)
}

// taken are the requests so far, the caller's own.
func (w *watch) taken() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Request, 0, len(w.requests))
	for _, q := range w.requests {
		list = append(list, *q)
	}
	return list
}

// setter is who set something first; the zero value where that is not known.
func (w *watch) setter(what string) Origin {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.setters[what]
}
