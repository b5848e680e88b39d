package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/server/keys"
)

// patience bounds every wait for something that is to happen.
const patience = 2 * time.Minute

// secrets are the keys that all processes of all tests share.
var secrets = struct{ cookie, receipt, log string }{strings.Repeat("c1", 32), strings.Repeat("e2", 32), strings.Repeat("f3", 32)}

// ring is what the processes sign with.
func ring(t *testing.T) keys.Ring {
	t.Helper()
	r, err := keys.Parse([]string{secrets.cookie}, []string{secrets.receipt}, []string{secrets.log})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// process is one `stile serve`, over its restarts.
type process struct {
	t        *testing.T
	config   string
	data     string
	database string // URL, or "" for a file in data

	mu      sync.Mutex
	changed chan struct{} // closed when what is below changes
	address string        // "" while it does not serve
	said    bytes.Buffer
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the last one that was started has ended
}

// newProcess starts one, which ends with the test.
func newProcess(t *testing.T, data, database string) *process {
	t.Helper()
	site := filepath.Join(t.TempDir(), "site")
	if err := os.CopyFS(site, shop.Files()); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, config: filepath.Join(site, "stile.yaml"), data: data, database: database, changed: make(chan struct{})}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the process of %s said last: %s", data, p.tail())
		}
	})
	p.start()
	return p
}

// launch starts the program, and returns what says that it has ended.
//
// The kernel counts the end of the thread that started a child as the parent's death: one is kept for it.
func (p *process) launch() (ended chan struct{}) {
	p.t.Helper()
	cmd := exec.Command(stileBinary, "serve", p.config, "--listen", "127.0.0.1:0", "--data", p.data)
	cmd.Env = append(os.Environ(), "STILE_DATABASE="+p.database, "STILE_KEYS="+secrets.cookie, "STILE_RECEIPT_KEYS="+secrets.receipt,
		"STILE_LOG_KEYS="+secrets.log)
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = dying()
	started := make(chan error)
	ended = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its state
			p.change(func() { p.address = "" })
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatal(err)
	}
	p.change(func() { p.cmd, p.ended = cmd, ended })
	return ended
}

// start returns when it serves.
func (p *process) start() {
	p.t.Helper()
	ended := p.launch()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		p.mu.Lock()
		address, changed := p.address, p.changed
		p.mu.Unlock()
		if address != "" {
			return
		}
		select {
		case <-changed:
		case <-ended:
			p.t.Fatalf("stile ended at once: %s", p.tail())
		case <-ctx.Done():
			p.t.Fatalf("stile does not serve after %v: %s", patience, p.tail())
		}
	}
}

// refuses starts it, and returns what it says when it ends by itself with an error. Where it serves it goes on: then it
// said nothing.
func (p *process) refuses() (words string, refused bool) {
	p.t.Helper()
	mark := p.mark()
	ended := p.launch()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		p.mu.Lock()
		address, changed := p.address, p.changed
		p.mu.Unlock()
		if address != "" {
			return "", false
		}
		select {
		case <-changed:
		case <-ended:
			if p.cmd.ProcessState.ExitCode() <= 0 {
				p.t.Errorf("it ended by %v", p.cmd.ProcessState)
			}
			return p.since(mark), true
		case <-ctx.Done():
			p.t.Fatalf("it neither serves nor ends: %s", p.tail())
		}
	}
}

// kill ends it at once, whatever it is doing.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop ends it in order.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(by syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	if err := cmd.Process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		p.t.Errorf("it does not end: %s", p.tail())
	}
}

var serving = regexp.MustCompile(`msg=serving address=(\S+)`)

// Write takes what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.change(func() {
		p.said.Write(b)
		if all := serving.FindAllSubmatchIndex(p.said.Bytes(), -1); len(all) > 0 && bytes.Contains(b, []byte("msg=serving")) {
			last := all[len(all)-1]
			p.address = string(p.said.Bytes()[last[2]:last[3]])
		}
	})
	return len(b), nil
}

func (p *process) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

// mark is where it has got to in what it says.
func (p *process) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Len()
}

// What a process says when it can no longer reach its database, and when it can again.
const (
	away = "the database is away: choices are kept in the spool until it is back"
	back = "the database is back, and has all that was spooled"
)

// markWell is a mark at a moment when its database is not away, as it may be for a while on a busy machine: it would not
// say again that it is.
func (p *process) markWell() (mark int) {
	p.t.Helper()
	p.await("its database does not come back", func() bool {
		mark = p.said.Len()
		return bytes.LastIndex(p.said.Bytes(), []byte(away)) <= bytes.LastIndex(p.said.Bytes(), []byte(back))
	})
	return mark
}

func (p *process) since(mark int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.said.Bytes()[mark:])
}

func (p *process) tail() string {
	text := p.since(0)
	return text[max(0, len(text)-3000):]
}

// says waits until it says something after a mark.
func (p *process) says(mark int, words string) {
	p.t.Helper()
	p.await(fmt.Sprintf("it does not say %q", words), func() bool { return bytes.Contains(p.said.Bytes()[mark:], []byte(words)) })
}

// await waits until what it said satisfies a condition.
func (p *process) await(not string, satisfied func() bool) {
	p.t.Helper()
	limit := time.After(patience)
	for {
		p.mu.Lock()
		ok, changed := satisfied(), p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			p.t.Fatalf("%s within %v: %s", not, patience, p.tail())
		}
	}
}

// at waits until it serves, and is "" when ctx ends first.
func (p *process) at(ctx context.Context) string {
	for {
		p.mu.Lock()
		address, changed := p.address, p.changed
		p.mu.Unlock()
		if address != "" {
			return address
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ""
		}
	}
}

// get asks for a page of the operator's.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, body, err := get(ctx, p.at(ctx)+path)
	if err != nil {
		p.t.Errorf("%s: %v", path, err)
	}
	return status, body
}

func get(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", fmt.Errorf("reading the answer: %w", err)
	}
	return res.StatusCode, string(text), nil
}

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
