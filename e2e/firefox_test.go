//go:build linux

package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// firefox is a running Firefox. It listens for WebDriver BiDi itself, so that no further driver stands between.
type firefox struct {
	conn        *websocket.Conn
	certificate tls.Certificate // of the worlds

	mu      sync.Mutex
	last    int                         // id of the last command
	waiting map[int]chan bidiMessage    // for the answer to a command; nil when Firefox is gone
	sent    map[string]func(url string) // by tab: is told what its pages ask for
}

type bidiMessage struct {
	ID             int
	Result         json.RawMessage
	Error, Message string
	Method         string
	Params         struct {
		Context string
		Request struct{ URL string }
	}
}

// asking is the event that a page asks for something.
const asking = "network.beforeRequestSent"

// firefoxTab is a tab of a visitor, who shares nothing but the program with other visitors.
type firefoxTab struct {
	*firefox
	visitor string
	context string
	note    func(url string)
}

var bidiAddress = regexp.MustCompile(`WebDriver BiDi listening on (\S+)`)

// startFirefox starts a Firefox in which some settings are switched on.
func startFirefox(t *testing.T, on ...string) *firefox {
	t.Helper()
	path := installed(t, "firefox-esr", "nothing is known of Firefox", "firefox-esr")
	// Firefox adds what makes for a quiet browser when it is driven. What it asks for by itself all the same finds no
	// proxy; visitors have one each. HTTPS is not to be tried first.
	prefs := `user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("dom.security.https_first", false);
user_pref("intl.accept_languages", "en");
`
	for _, name := range on {
		prefs += fmt.Sprintf("user_pref(%q, true);\n", name)
	}
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}

	const origin = "http://localhost" // the library sends one, and Firefox wants to know it
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile,
		"--remote-debugging-port", "0", "--remote-allow-origins", origin, "--remote-allow-system-access")
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, cmd)
	conn, err := websocket.Dial(listening(t, cmd, bufio.NewScanner(stderr))+"/session", "", origin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	f := &firefox{conn: conn, certificate: certificate(t), waiting: map[int]chan bidiMessage{}, sent: map[string]func(string){}}
	go f.listen()
	if err := f.call("session.new", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.call("session.subscribe", map[string]any{"events": []string{asking}}, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// listening waits until Firefox says where it listens.
func listening(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner) string {
	t.Helper()
	address, said := make(chan string, 1), make(chan string, 1)
	go func() {
		defer close(address)
		var log strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
			if m := bidiAddress.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		said <- log.String()
	}()
	select {
	case found, ok := <-address:
		if ok {
			return found
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill() // so that its standard error ends
	}
	t.Fatalf("Firefox did not start:\n%s", <-said)
	return ""
}

// listen hands out what Firefox says, until it is gone.
func (f *firefox) listen() {
	for {
		var m bidiMessage
		err := websocket.JSON.Receive(f.conn, &m)
		f.mu.Lock()
		if err != nil {
			for _, c := range f.waiting {
				close(c)
			}
			f.waiting = nil
			f.mu.Unlock()
			return
		}
		c, note := f.waiting[m.ID], f.sent[m.Params.Context]
		delete(f.waiting, m.ID)
		f.mu.Unlock()
		if c != nil {
			c <- m
		} else if note != nil && m.Method == asking {
			note(m.Params.Request.URL)
		}
	}
}

// call sends a command and waits for its answer.
func (f *firefox) call(method string, params map[string]any, result any) error {
	c := make(chan bidiMessage, 1)
	f.mu.Lock()
	if f.waiting == nil {
		f.mu.Unlock()
		return fmt.Errorf("%s: Firefox is gone", method)
	}
	f.last++
	id := f.last
	f.waiting[id] = c
	f.mu.Unlock()
	if err := websocket.JSON.Send(f.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: Firefox is gone", method)
		case m.Error != "":
			return fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer in %v", method, patience)
	}
}

// visitor opens a window for somebody who has no cookies and an empty cache.
func (f *firefox) visitor(w *world) engine {
	w.t.Helper()
	proxy := w.proxy(f.certificate, func(string) {})
	var r struct{ UserContext string }
	if err := f.call("browser.createUserContext", map[string]any{
		"proxy": map[string]any{"proxyType": "manual", "httpProxy": proxy, "sslProxy": proxy},
	}, &r); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = f.call("browser.removeUserContext", map[string]any{"userContext": r.UserContext}, nil) })
	tab, err := (&firefoxTab{firefox: f, visitor: r.UserContext, note: w.sent}).create(map[string]any{"type": "window"})
	if err != nil {
		w.t.Fatal(err)
	}
	return tab
}

func (f *firefoxTab) create(params map[string]any) (engine, error) {
	params["userContext"] = f.visitor
	var r struct{ Context string }
	if err := f.call("browsingContext.create", params, &r); err != nil {
		return nil, err
	}
	other := *f
	other.context = r.Context
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[other.context] = f.note
	return &other, nil
}

func (f *firefoxTab) tab() (engine, error) {
	return f.create(map[string]any{"type": "tab", "referenceContext": f.context, "background": true})
}

func (f *firefoxTab) close() error {
	return f.call("browsingContext.close", map[string]any{"context": f.context}, nil)
}

func (f *firefoxTab) open(url string) error {
	return f.call("browsingContext.navigate", map[string]any{"context": f.context, "url": url, "wait": "complete"}, nil)
}

func (f *firefoxTab) back() error {
	return f.call("browsingContext.traverseHistory", map[string]any{"context": f.context, "delta": -1}, nil)
}

func (f *firefoxTab) eval(js string) (json.RawMessage, error) {
	var r struct {
		Result           struct{ Value string }
		ExceptionDetails *struct{ Text string }
	}
	err := f.call("script.evaluate", map[string]any{
		"expression": "(async () => JSON.stringify(await (" + js + ")) ?? 'null')()", "target": map[string]any{"context": f.context}, "awaitPromise": true,
	}, &r)
	if err == nil && r.ExceptionDetails != nil {
		err = fmt.Errorf("thrown: %s", r.ExceptionDetails.Text)
	}
	return json.RawMessage(r.Result.Value), err
}

func (f *firefoxTab) click(selector string) error {
	raw, err := f.eval(fmt.Sprintf(`(() => {
  const el = document.querySelector(%q)
  if (!el) return null
  el.scrollIntoView({block: 'nearest', behavior: 'instant'})
  const r = el.getBoundingClientRect(), x = Math.round(r.x + r.width / 2), y = Math.round(r.y + r.height / 2)
  return el.contains(document.elementFromPoint(x, y)) ? [x, y] : null
})()`, selector))
	if err != nil {
		return err
	}
	var at []int
	if err := json.Unmarshal(raw, &at); err != nil || at == nil {
		return fmt.Errorf("a pointer does not reach %s (%s)", selector, raw)
	}
	return f.call("input.performActions", map[string]any{"context": f.context, "actions": []any{map[string]any{
		"type": "pointer", "id": "mouse", "actions": []any{
			map[string]any{"type": "pointerMove", "x": at[0], "y": at[1]},
			map[string]any{"type": "pointerDown", "button": 0},
			map[string]any{"type": "pointerUp", "button": 0},
		},
	}}}, nil)
}

func (f *firefoxTab) cookies() (list []kept, err error) {
	raw, err := f.eval("location.hostname")
	if err != nil {
		return nil, err
	}
	host := strings.Trim(string(raw), `"`)
	var r struct {
		Cookies []struct {
			kept
			Value struct{ Value string }
		}
	}
	err = f.call("storage.getCookies", map[string]any{"partition": f.partition()}, &r)
	for _, c := range r.Cookies {
		if c.Domain == host || strings.HasPrefix(c.Domain, ".") && strings.HasSuffix(host, c.Domain) {
			c.kept.Value = c.Value.Value
			list = append(list, c.kept)
		}
	}
	return list, err
}

func (f *firefoxTab) forget(name string) error {
	return f.call("storage.deleteCookies", map[string]any{"filter": map[string]any{"name": name}, "partition": f.partition()}, nil)
}

func (f *firefoxTab) partition() any { return map[string]any{"type": "context", "context": f.context} }

// pref changes a setting, as the browser's own dialog does.
func (f *firefox) pref(name string, value bool) error {
	var tree struct{ Contexts []struct{ Context string } }
	if err := f.call("browsingContext.getTree", map[string]any{"moz:scope": "chrome"}, &tree); err != nil {
		return err
	}
	_, err := (&firefoxTab{firefox: f, context: tree.Contexts[0].Context}).eval(fmt.Sprintf("Services.prefs.setBoolPref(%q, %t)", name, value))
	return err
}
