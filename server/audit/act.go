package audit

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// act does what a visitor does, and says how.
type act func(*tab) (string, error)

// Of Stile's banner, and of the step in which it asks for the age.
const (
	acceptButton = "stile-banner [value=all]"
	refuseButton = "stile-banner [value=none]"
	olderButton  = "stile-dialog dialog[open][aria-labelledby=stile-age] [value=older]"
)

func refuse(t *tab) (string, error)    { return t.choose(refuseButton, "stile.reject()") }
func acceptAll(t *tab) (string, error) { return t.choose(acceptButton, "stile.accept()") }
func withdraw(t *tab) (string, error)  { return t.choose("", "stile.withdraw()") }

func acceptOnly(category string) act {
	return func(t *tab) (string, error) { return t.choose("", "stile.accept(["+strconv.Quote(category)+"])") }
}

// signal switches Global Privacy Control on, as a visitor does who installs it after having chosen.
func signal(t *tab) (string, error) { return "switched Global Privacy Control on", t.signal() }

// choose presses a button of the banner where it is shown, else calls the API, and waits until the choice is stored and the
// page is quiet again. It may load itself anew meanwhile.
func (t *tab) choose(button, call string) (string, error) {
	before := t.watch.chosen()
	how := "called " + call
	shown, err := t.shows(button)
	switch {
	case err != nil:
	case shown:
		how = "pressed the banner's button"
		err = t.press(button)
	default:
		err = t.eval("void "+call+".catch(() => 0)", nil)
	}
	if err == nil {
		err = t.calm(t.short())
	}
	if err == nil && t.watch.chosen() == before {
		err = t.sayOlder()
	}
	if err != nil {
		return how, t.slow(fmt.Errorf("%s: %w", how, err))
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	if err := t.watch.until(ctx, func() bool { return t.watch.stored(before) }); err != nil {
		return how, t.slow(fmt.Errorf("%s, and no choice was stored%s: %w", how, t.watch.refused(before), err))
	}
	return how, t.calm(t.short())
}

func (t *tab) press(button string) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	return chromedp.Do(ctx, chromedp.Click(chromedp.CSS(button), chromedp.NodeVisible))
}

// sayOlder answers the question for the age, if that is what the page waits for.
func (t *tab) sayOlder() error {
	shown, err := t.shows(olderButton)
	if err != nil || !shown {
		return err
	}
	return t.press(olderButton)
}

// stir does what a visitor does with any page, which many a page waits for before it loads more: it moves the mouse, presses
// a key that writes nothing, and scrolls to the end and back. A page in which that cannot be done is none the worse.
func (t *tab) stir() {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	for i := range 3 {
		_, _ = chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: float64(5 + i), Y: float64(height/2 + i)})
	}
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
		_, _ = chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: "Shift", Code: "ShiftLeft", WindowsVirtualKeyCode: 16})
	}
	for _, to := range []string{"document.documentElement.scrollHeight", "0"} {
		// It stays there for a moment, so that it is drawn, and lazy images load.
		_ = evaluate(ctx, runtime.EvaluateParams{Expression: "scrollTo({top: " + to + ", behavior: 'instant'}); new Promise(done => setTimeout(done, 100))"}, nil)
	}
}

// shows tells whether something is in the page and takes up room.
func (t *tab) shows(selector string) (shown bool, err error) {
	if selector == "" {
		return false, nil
	}
	return shown, t.eval("!!document.querySelector("+strconv.Quote(selector)+")?.getClientRects().length", &shown)
}

// chosen is how many choices were sent.
func (w *watch) chosen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.choices)
}

// stored tells whether one of the choices from the nth on was taken. The caller holds mu.
func (w *watch) stored(from int) bool {
	for _, q := range w.choices[from:] {
		if q.Status >= http.StatusOK && q.Status < http.StatusBadRequest {
			return true
		}
	}
	return false
}

// refused says what the server answered to the last choice.
func (w *watch) refused(from int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.choices) == from {
		return ": nothing was sent"
	}
	return ": the server " + answerOf(*w.choices[len(w.choices)-1])
}

// status is the answer to the page itself; 0 without one.
func (w *watch) status() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.last[network.RequestID(w.document)]; q != nil { // a document's request has the number of its loader
		return q.Status
	}
	return 0
}
