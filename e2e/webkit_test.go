//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// webkit speaks WebDriver to WebKitGTK's own driver.
type webkit struct {
	session string  // its address
	handle  string  // of the tab
	current *string // of the tab that the driver talks to
}

// webkitGTK are its programs.
type webkitGTK struct{ driver, browser, screen string }

func findWebKit(t *testing.T) webkitGTK {
	t.Helper()
	const without = "nothing is known of WebKit, the engine of Safari"
	browsers, _ := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	return webkitGTK{
		driver:  installed(t, "webkit2gtk-driver", without, "WebKitWebDriver"),
		browser: installed(t, "webkit2gtk-driver", without, append(browsers, "MiniBrowser")...),
		screen:  installed(t, "xvfb", without, "Xvfb"),
	}
}

// visitor starts a browser for somebody who has no cookies and an empty cache.
func (p webkitGTK) visitor(w *world) engine {
	t := w.t
	t.Helper()
	display := screen(t, p.screen)
	host := freePort(t) // the driver does not choose one by itself
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(p.driver, "--port="+port)
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "GDK_BACKEND=x11", "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home,
		"XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "LIBGL_ALWAYS_SOFTWARE=1", "WEBKIT_DISABLE_COMPOSITING_MODE=1", "NO_AT_BRIDGE=1",
		"GIO_USE_VFS=local", "GSETTINGS_BACKEND=memory")
	run(t, cmd)
	w.until("WebKitWebDriver", func() bool {
		conn, err := net.Dial("tcp", host)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})

	proxy := w.proxy(certificate(t), w.sent)
	k := &webkit{session: "http://" + host + "/session", current: new(string)}
	var r struct{ SessionID string }
	err = k.call(http.MethodPost, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"acceptInsecureCerts": true, "timeouts": map[string]any{"script": patience.Milliseconds(), "pageLoad": patience.Milliseconds()},
		"webkitgtk:browserOptions": map[string]any{"binary": p.browser, "args": []string{"--automation", "--proxy=http://" + proxy}},
	}}}, &r)
	if err != nil {
		t.Fatalf("WebKit did not start: %v", err)
	}
	k.session += "/" + r.SessionID
	// The driver's own end leaves the browser behind.
	t.Cleanup(func() { _ = k.call(http.MethodDelete, "", nil, nil) })
	if err := k.call(http.MethodGet, "/window", nil, &k.handle); err != nil {
		t.Fatal(err)
	}
	*k.current = k.handle
	return k
}

// screen starts an X server and returns the display that it chose.
func screen(t *testing.T, path string) string {
	t.Helper()
	r, chosen, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(path, "-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{chosen}
	run(t, cmd)
	chosen.Close()
	number, err := io.ReadAll(r)
	if err != nil || len(number) == 0 {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return ":" + strings.TrimSpace(string(number))
}

// call sends a command and reads its answer.
func (k *webkit) call(method, path string, body, result any) error {
	if method == http.MethodPost && body == nil {
		body = struct{}{}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, k.session+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	client := http.Client{Timeout: patience}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var m struct{ Value json.RawMessage }
	if err := json.NewDecoder(answer.Body).Decode(&m); err != nil {
		return fmt.Errorf("the answer to %s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, m.Value)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(m.Value, result)
}

// do sends a command to this tab: the driver has one at a time that it talks to.
func (k *webkit) do(method, path string, body, result any) error {
	if *k.current != k.handle {
		if err := k.call(http.MethodPost, "/window", map[string]any{"handle": k.handle}, nil); err != nil {
			return err
		}
		*k.current = k.handle
	}
	return k.call(method, path, body, result)
}

func (k *webkit) open(url string) error {
	return k.do(http.MethodPost, "/url", map[string]any{"url": url}, nil)
}

func (k *webkit) back() error { return k.do(http.MethodPost, "/back", nil, nil) }

func (k *webkit) eval(js string) (json.RawMessage, error) {
	var r struct{ Value, Error string }
	err := k.do(http.MethodPost, "/execute/async", map[string]any{"args": []any{}, "script": `const done = arguments[0];
(async () => JSON.stringify(await (` + js + `)) ?? 'null')().then(value => done({value}), error => done({error: String(error)}))`}, &r)
	if err == nil && r.Error != "" {
		err = fmt.Errorf("thrown: %s", r.Error)
	}
	return json.RawMessage(r.Value), err
}

func (k *webkit) click(selector string) error {
	var r map[string]string
	if err := k.do(http.MethodPost, "/element", map[string]any{"using": "css selector", "value": selector}, &r); err != nil {
		return err
	}
	for _, id := range r {
		return k.do(http.MethodPost, "/element/"+id+"/click", nil, nil)
	}
	return fmt.Errorf("%s was not found", selector)
}

func (k *webkit) cookies() (list []kept, err error) {
	err = k.do(http.MethodGet, "/cookie", nil, &list)
	return list, err
}

func (k *webkit) forget(name string) error { return k.do(http.MethodDelete, "/cookie/"+name, nil, nil) }

func (k *webkit) tab() (engine, error) {
	var r struct{ Handle string }
	if err := k.do(http.MethodPost, "/window/new", map[string]any{"type": "tab"}, &r); err != nil {
		return nil, err
	}
	other := *k
	other.handle = r.Handle
	return &other, nil
}

func (k *webkit) close() error { return k.do(http.MethodDelete, "/window", nil, nil) }
