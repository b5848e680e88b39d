package audit

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a visitor of its own.
type tab struct {
	ctx     context.Context
	b       *chrome
	o       *Options
	watch   *watch
	headers map[string]string
}

// seen is what a page says of itself.
type seen struct {
	Address string
	Stile   bool     // window.stile is there
	Made    bool     // the visitor has chosen
	Granted []string // optional categories
	Denied  []string
	Regime  string

	script, site string // address of Stile's script, and the site's name in it
}

// state opens a page as a new visitor who does what a step says, and tells what they got.
func (b *chrome) state(s *step) (*State, *seen, error) {
	t, end, err := b.open()
	if err != nil {
		return nil, nil, err
	}
	defer end()
	if s.gpc {
		if err := t.signal(); err != nil {
			return nil, nil, err
		}
	}
	if err := t.load(b.o.Address.String()); err != nil {
		return nil, nil, err
	}
	out := &State{ID: s.id, Title: s.title, Done: []string{}}
	var old []*network.Cookie
	for _, act := range s.acts {
		if old, err = t.jar(); err != nil {
			return nil, nil, err
		}
		t.watch.forget()
		how, err := act(t)
		if err != nil {
			return nil, nil, err
		}
		out.Done = append(out.Done, how)
	}
	if len(s.acts) > 0 { // what holds on the next page counts as well
		if err := t.again(); err != nil {
			return nil, nil, err
		}
	}
	t.stir()
	if err := t.calm(t.o.Quiet); err != nil {
		return nil, nil, err
	}
	now, err := t.look()
	if err != nil {
		return nil, nil, err
	}
	out.Granted = now.Granted
	if err := t.collect(out, now, old); err != nil {
		return nil, nil, err
	}
	if s.id == before.id && now.Stile {
		now.Regime, err = t.regime()
	}
	return out, now, err
}

// regime is the one under which the page is shown: what Stile asks its server for says it when the preferences are opened.
// They are opened after everything else, so that nothing of it is in the report.
func (t *tab) regime() (string, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	if err := t.eval("void stile.show()", nil); err != nil {
		return "", fmt.Errorf("opening the preferences: %w", err)
	}
	regime := ""
	err := t.watch.until(ctx, func() bool {
		for _, q := range t.watch.requests {
			if m := inRegime.FindStringSubmatch(q.URL); m != nil {
				regime = m[1]
			}
		}
		return regime != ""
	})
	if err != nil {
		return "", t.slow(fmt.Errorf("the preferences did not open: %w", err))
	}
	return regime, nil
}

var inRegime = regexp.MustCompile(`/stile/[a-z0-9-]+/dialog\.js\?(?:.*&)?regime=([a-z0-9-]+)`)

// collect takes what the browser holds, and a picture of it.
func (t *tab) collect(out *State, now *seen, old []*network.Cookie) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	quality := int64(70)
	picture, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
	if err != nil {
		return fmt.Errorf("taking a picture: %w", err)
	}
	out.Screenshot = picture.Data
	at, err := url.Parse(now.Address)
	if err != nil {
		return err
	}
	cookies, err := t.jar()
	if err != nil {
		return err
	}
	out.Cookies = []Cookie{}
	for _, c := range cookies {
		out.Cookies = append(out.Cookies, Cookie{
			Name: c.Name, Domain: c.Domain, Days: days(c, t.o.Now()), HTTPOnly: c.HTTPOnly, By: t.watch.setter(cookieAt(c.Name, c.Domain)),
			ThirdParty: !sameSite(strings.TrimPrefix(c.Domain, "."), at.Hostname()),
			Left: slices.ContainsFunc(old, func(o *network.Cookie) bool {
				return o.Name == c.Name && o.Domain == c.Domain && o.Path == c.Path && o.Value == c.Value && o.Expires == c.Expires
			}),
		})
	}
	if out.Storage, err = t.keys(ctx); err != nil {
		return err
	}
	out.Requests = t.watch.taken()
	return nil
}

// days is how long a cookie will be kept: to a tenth, and under a day to a minute, of which there is at least one.
func days(c *network.Cookie, now time.Time) float64 {
	if c.Session {
		return 0
	}
	left := c.Expires - float64(now.Unix())
	if left < 86400 {
		return max(1, math.Round(left/60)) / 1440
	}
	return math.Round(left/8640) / 10
}

func (t *tab) jar() ([]*network.Cookie, error) {
	r, err := chromedp.CallBrowser(t.ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: chromedp.FromContext(t.ctx).BrowserContextID})
	if err != nil {
		return nil, fmt.Errorf("reading the cookies: %w", err)
	}
	return r.Cookies, nil
}

//go:embed page.js
var pageScript string

// open opens a tab with a profile of its own, in which everything is noted.
func (b *chrome) open() (*tab, context.CancelFunc, error) {
	t := &tab{b: b, o: b.o, watch: newWatch(b.binding), headers: map[string]string{}}
	for name, value := range b.o.Headers {
		t.headers[name] = value
	}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(func(e any) {
		t.watch.event(e)
		t.answer(e)
	}))
	t.ctx = ctx
	err := chromedp.Do(ctx) // opens the tab, which lives as long as this context
	if err == nil {
		_, err = chromedp.Call(ctx, runtime.AddBinding, runtime.AddBindingParams{Name: b.binding})
	}
	if err == nil {
		_, script, _ := strings.Cut(pageScript, "\n((") // what is before is for people
		_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: "((" + strings.TrimSpace(script) + "(" + fmt.Sprintf("%q", b.binding) + ")",
		})
	}
	if err == nil {
		// Past a service worker, which would answer in the network's place, so that nothing were seen.
		_, err = chromedp.Call(ctx, network.SetBypassServiceWorker, network.SetBypassServiceWorkerParams{Bypass: true})
	}
	if err == nil {
		err = holdWorkers(ctx)
	}
	if err == nil {
		err = t.sendHeaders()
	}
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, cancel, nil
}

func (t *tab) sendHeaders() error {
	headers := network.Headers{}
	for name, value := range t.headers {
		headers[name] = value
	}
	_, err := chromedp.Call(t.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
	return err
}

// holdWorkers lets each worker that a page or a worker starts wait until it is listened to. A service or a shared worker
// would not answer while it is held, and a window would have its opener wait with it: those are not.
func holdWorkers(ctx context.Context) error {
	flat := true
	_, err := chromedp.Call(ctx, target.SetAutoAttach, target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat, Filter: target.Filter{
		{Exclude: true, Type: "browser"}, {Exclude: true, Type: "tab"}, {Exclude: true, Type: "page"}, {Exclude: true, Type: "service_worker"}, {Exclude: true, Type: "shared_worker"}, {},
	}})
	return err
}

// answer does what some events ask for. It runs where they are read, so that what takes a command gets a goroutine, which
// ends with the tab.
func (t *tab) answer(e any) {
	switch e := e.(type) {
	case *page.EventJavascriptDialogOpening: // the page stands still until it is closed
		go func() {
			_, _ = chromedp.Call(t.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	case *target.EventAttachedToTarget:
		if strings.HasSuffix(e.TargetInfo.Type, "worker") {
			id := network.RequestID("worker " + e.SessionID)
			t.watch.hold(id, e.TargetInfo.URL)
			go t.worker(e.TargetInfo.TargetID, id)
		}
	case *target.EventTargetCreated:
		kind, _ := strings.CutSuffix(e.TargetInfo.Type, "_worker") // a worker of the page's own is just a "worker"
		if kind != e.TargetInfo.Type && e.TargetInfo.BrowserContextID == chromedp.FromContext(t.ctx).BrowserContextID {
			t.b.note("The page has a " + kind + " worker (" + Short(e.TargetInfo.URL) + "). What that asks for at its start may not have been seen.")
			t.watch.started(e.TargetInfo.URL)
			go t.worker(e.TargetInfo.TargetID, "")
		}
	case *page.EventWindowOpen:
		t.b.note("The page opens a window by itself (" + Short(e.URL) + "), which was kept from opening, as browsers do.")
	}
}

// worker listens to a worker of the page, and to those that it starts, until the tab ends. One that ended before is none. The
// page is not quiet before a worker that is held may begin.
func (t *tab) worker(id target.ID, held network.RequestID) {
	defer t.watch.release(held)
	ctx, cancel := chromedp.NewContext(t.ctx, chromedp.WithTargetID(id), chromedp.WithListener(func(e any) {
		t.watch.event(e)
		t.answer(e)
	}))
	defer cancel()
	err := chromedp.Do(ctx)
	if err == nil {
		_ = holdWorkers(ctx) // of a kind that can start none it is refused
		_, err = chromedp.Call(ctx, runtime.RunIfWaitingForDebugger, cdp.Empty{})
	}
	t.watch.release(held)
	if err == nil {
		<-ctx.Done()
	}
}

// signal switches Global Privacy Control on for what is loaded from now on: the header and the property.
func (t *tab) signal() error {
	t.headers["Sec-GPC"] = "1"
	err := t.sendHeaders()
	if err == nil {
		_, err = chromedp.Call(t.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true, configurable: true, enumerable: true})",
		})
	}
	if err != nil {
		return fmt.Errorf("sending the signal: %w", err)
	}
	return nil
}

// load goes to an address and waits until the page is quiet.
func (t *tab) load(address string) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	t.watch.begin()
	r, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: address})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in %v", address, t.o.Timeout)
	case err != nil:
		return fmt.Errorf("opening %s: %w", address, err)
	case r.IsDownload:
		return fmt.Errorf("%s is no page, but a file to be downloaded", address)
	case r.ErrorText != "":
		return fmt.Errorf("%s %s", address, trouble(r.ErrorText))
	}
	if err := t.calm(t.short()); err != nil {
		return err
	}
	if status := t.watch.status(); status >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %d %s", address, status, http.StatusText(int(status)))
	}
	return nil
}

// calm waits until the page is quiet. One that does not get quiet is taken as it is then, which the report says; it is not
// waited for as long again.
func (t *tab) calm(long time.Duration) error {
	bound := t.o.Timeout
	if t.b.restless {
		bound = min(bound, long+restlessTime)
	}
	ctx, cancel := context.WithTimeout(t.ctx, bound)
	defer cancel()
	if err := t.watch.quiet(ctx, long); err == nil || t.ctx.Err() != nil {
		return err
	}
	if !t.b.restless {
		t.b.restless = true
		t.b.note(fmt.Sprintf("The page never got quiet in %v (--timeout): %s. It was taken as it was then, and what it asked for later is not here.", bound, t.watch.busy()))
	}
	return nil
}

// restlessTime is how much longer is waited for a page that is known not to get quiet.
const restlessTime = 3 * time.Second

// short is how long a page has to be quiet before something is done with it.
func (t *tab) short() time.Duration { return min(t.o.Quiet, 500*time.Millisecond) }

// slow says how long was waited where that is why something failed.
func (t *tab) slow(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s; waited %v (--timeout)", strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error()), t.o.Timeout)
	}
	return err
}

// again leaves the page and comes back, as on the visitor's next page view.
func (t *tab) again() error {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	t.watch.begin()
	if _, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: "about:blank"}); err != nil { // else "#..." would be no page view
		return err
	}
	if err := t.calm(0); err != nil {
		return err
	}
	return t.load(t.o.Address.String())
}

// trouble says what a network error of Chromium's means.
func trouble(text string) string {
	code := strings.TrimPrefix(text, "net::")
	switch {
	case code == "ERR_NAME_NOT_RESOLVED":
		return "cannot be opened: no such host is known"
	case code == "ERR_TOO_MANY_REDIRECTS":
		return "redirects in a circle"
	case strings.HasPrefix(code, "ERR_CERT_"), strings.HasPrefix(code, "ERR_SSL_"):
		return "has a certificate that the browser does not accept (" + code + "); of a test site it is let through by --browser-flag ignore-certificate-errors"
	case code == "ERR_CONNECTION_REFUSED":
		return "does not answer: nothing listens there"
	case strings.HasPrefix(code, "ERR_CONNECTION_"), strings.HasPrefix(code, "ERR_ADDRESS_"), code == "ERR_TIMED_OUT", code == "ERR_EMPTY_RESPONSE":
		return "does not answer (" + code + ")"
	case code == "ERR_INTERNET_DISCONNECTED":
		return "cannot be opened: this machine has no network"
	}
	return "cannot be opened (" + code + ")"
}

// looking asks the page what it says of itself.
const looking = `(async () => {
	const stile = window.stile
	if (!stile?.ready || !stile.accept) return {address: location.href}
	const c = await stile.ready
	return {address: location.href, stile: true, made: c.made, granted: c.granted, denied: c.denied}
})()`

func (t *tab) look() (*seen, error) {
	s := &seen{}
	if err := t.eval(looking, s); err != nil {
		return nil, fmt.Errorf("asking the page what it allows: %w", err)
	}
	for _, q := range t.watch.taken() {
		u, err := url.Parse(q.URL)
		if err != nil || q.Type != "script" {
			continue
		}
		if m := scriptPath.FindStringSubmatch(u.Path); m != nil && s.script == "" {
			if !s.Stile {
				return nil, fmt.Errorf("the page has Stile's script (%s), but it did not run: %s", q.URL, answerOf(q))
			}
			s.script, s.site = q.URL, m[1]
		}
	}
	if s.Granted == nil {
		s.Granted = []string{}
	}
	return s, nil
}

func answerOf(q Request) string {
	switch {
	case q.Failure != "":
		return trouble(q.Failure)
	case q.Status >= http.StatusBadRequest:
		return fmt.Sprintf("the server answers %d %s", q.Status, http.StatusText(int(q.Status)))
	}
	return "see the browser's console"
}

// eval evaluates an expression in the page, and waits for the promise that it may be. To nil nothing is written.
func (t *tab) eval(js string, to any) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	return evaluate(ctx, runtime.EvaluateParams{Expression: js}, to)
}

func evaluate(ctx context.Context, p runtime.EvaluateParams, to any) error {
	yes := true
	p.AwaitPromise, p.ReturnByValue = &yes, &yes
	r, err := chromedp.Call(ctx, runtime.Evaluate, p)
	switch {
	case err != nil:
		return err
	case r.ExceptionDetails != nil:
		return &chromedp.ExceptionError{ExceptionDetails: r.ExceptionDetails}
	case to == nil || len(r.Result.Value) == 0:
		return nil
	}
	return json.Unmarshal(r.Result.Value, to)
}

// keeping lists what a document's origin keeps. One that may keep nothing has nothing.
const keeping = `(async () => {
	const list = []
	const of = (kind, store) => { try { for (const name of Object.keys(store())) list.push({kind, name, origin: self.origin}) } catch (e) {} }
	of('localStorage', () => localStorage)
	of('sessionStorage', () => sessionStorage)
	try { for (const {name} of await indexedDB.databases()) list.push({kind: 'IndexedDB', name, origin: self.origin}) } catch (e) {}
	return list
})()`

// keys are what the origins of all frames keep.
func (t *tab) keys(ctx context.Context) ([]Key, error) {
	r, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return nil, fmt.Errorf("listing the frames: %w", err)
	}
	list := []Key{}
	for _, id := range frames(r.FrameTree) {
		var found []Key
		// A world of its own: the page's scripts may have put something else in place of localStorage.
		w, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: id})
		if err == nil {
			err = evaluate(ctx, runtime.EvaluateParams{Expression: keeping, ContextID: w.ExecutionContextID}, &found)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("reading what is kept: %w", ctx.Err())
		}
		if err != nil {
			continue // the frame has gone meanwhile
		}
		for _, k := range found {
			k.By = t.watch.setter(string(k.Kind) + " " + k.Origin + " " + k.Name)
			if !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	return list, nil
}

func frames(tree *page.FrameTree) []cdp.FrameID {
	list := []cdp.FrameID{tree.Frame.ID}
	for _, child := range tree.ChildFrames {
		list = append(list, frames(child)...)
	}
	return list
}
