package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// names are those under which Chromium is looked for, in this order.
var names = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell",
	"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
}

// Find returns the path of a browser: of the one that was named, else of Chromium or Chrome where they usually are. The
// error says what was looked for.
func Find(name string) (string, error) {
	if name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("there is no browser at %s: %w", name, plain(err))
		}
		return path, nil
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no Chromium: looked for %s; install it (apt-get install chromium), or name one with --browser or CHROME", strings.Join(names, ", "))
}

// plain is an error of LookPath without the name, which is said already.
func plain(err error) error {
	var of *exec.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err
}

// chrome is a running browser.
type chrome struct {
	ctx     context.Context
	o       *Options
	product string
	binding string // what our script in the page calls: a name that no page knows
	folder  string // of its profiles
	cancels []context.CancelFunc

	restless bool // the page did not get quiet once, so that it is not waited for as long again
	mu       sync.Mutex
	notes    []string // for the report
}

func (b *chrome) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

// note notes something for the report, once.
func (b *chrome) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}

// preferences let third parties' cookies in, which a profile that is not kept would block though visitors' own do not.
const preferences = `{"profile": {"cookie_controls_mode": 0}}`

// start starts the browser. Whoever gets one has to stop it.
func start(ctx context.Context, o *Options) (*chrome, error) {
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(o.Browser), chromedp.DisableGPU, chromedp.WindowSize(width, height), chromedp.CombinedOutput(io.Discard),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		// Frames of other sites stay in the page's process, so that their requests are seen from their first on. What the
		// separation protects, the visitor's own data, is not in a profile that is empty.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,SitePerProcess,IsolateOrigins,HttpsUpgrades"),
		chromedp.Flag("disable-site-isolation-trials", true),
		// Visitors' browsers keep a page from opening windows by itself.
		chromedp.Flag("disable-popup-blocking", false), chromedp.Flag("block-new-web-contents", true),
	)
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox) // with it Chromium does not start for root
	}
	for _, f := range o.Flags {
		name, value, found := strings.Cut(strings.TrimLeft(f, "-"), "=")
		if !found {
			flags = append(flags, chromedp.Flag(name, true))
			continue
		}
		flags = append(flags, chromedp.Flag(name, value))
	}
	b := &chrome{o: o, binding: "audit" + rand.Text()}
	if err := b.profile(); err != nil {
		return nil, err
	}
	ctx, cancel := chromedp.NewExecAllocator(ctx, append(flags, chromedp.UserDataDir(b.folder), chromedp.Env("TMPDIR="+b.folder))...) // what it leaves there goes with it
	b.cancels = append(b.cancels, cancel)
	b.ctx, cancel = chromedp.NewContext(ctx, quietly()...)
	b.cancels = append(b.cancels, cancel)
	// The browser lives as long as the context that starts it: so that one has no deadline, and this ends it.
	slow := time.AfterFunc(startTimeout, cancel)
	v, err := chromedp.CallBrowser(b.ctx, browser.GetVersion, cdp.Empty{})
	if err == nil {
		err = chromedp.Do(b.ctx)
	}
	if late := !slow.Stop(); late || err != nil {
		b.stop()
		if late {
			return nil, fmt.Errorf("%s did not start in %v", o.Browser, startTimeout)
		}
		return nil, fmt.Errorf("%s did not start: %w", o.Browser, err)
	}
	b.product = v.Product
	return b, nil
}

func (b *chrome) profile() (err error) {
	if b.folder, err = os.MkdirTemp("", "stile-audit-"); err != nil {
		return fmt.Errorf("making a folder for the browser: %w", err)
	}
	err = os.Mkdir(filepath.Join(b.folder, "Default"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.folder, "Default", "Preferences"), []byte(preferences), 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("making a folder for the browser: %w", err), os.RemoveAll(b.folder))
	}
	return nil
}

// quietly keeps what chromedp would log off the terminal: what counts is returned.
func quietly() []chromedp.ContextOption {
	silent := func(string, ...any) {}
	return []chromedp.ContextOption{chromedp.WithErrorf(silent), chromedp.WithLogf(silent)}
}

// stop ends the browser and waits for its end.
func (b *chrome) stop() {
	for i := len(b.cancels) - 1; i >= 0; i-- {
		b.cancels[i]()
	}
	for range 10 { // a process of the browser's may still write there
		if os.RemoveAll(b.folder) == nil {
			return
		}
	}
}

// startTimeout bounds the start of the browser, which a busy machine takes long for.
const startTimeout = time.Minute

// Of the window, CSS pixels.
const width, height = 1280, 800
