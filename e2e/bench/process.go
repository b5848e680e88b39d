package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for another process.
const patience = 20 * time.Second

// process is a server that was started here, and is ended here by its own process handle.
type process struct {
	address string // http://host:port
	pid     int
	end     context.CancelFunc
	ended   chan struct{}
	said    *output
}

// start runs a command until stop, and waits until it is ready: until it said where it serves or, where an address is
// given, until that takes requests.
func start(ctx context.Context, address, name string, args ...string) (*process, error) {
	ctx, end := context.WithCancel(ctx)
	p := &process{address: address, end: end, ended: make(chan struct{}), said: &output{found: make(chan string, 1)}}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = p.said, p.said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	// A pipe that nobody writes to: it closes when this program dies, however it dies, and the echo rival ends with it.
	if _, err := cmd.StdinPipe(); err != nil {
		end()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		end()
		return nil, err
	}
	p.pid = cmd.Process.Pid
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended after it was told to does not matter
	}()
	if err := p.ready(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting %s: %w\n%s", name, err, p.said)
	}
	return p, nil
}

func (p *process) stop() {
	p.end()
	<-p.ended
}

func (p *process) ready(ctx context.Context) error {
	limit := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case address := <-p.said.found:
			p.address = address
			return nil
		case <-p.ended:
			return errors.New("it ended at once")
		case <-limit:
			return fmt.Errorf("not ready after %v", patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if p.address == "" {
				continue
			}
			if _, err := get(ctx, p.address, nil); err == nil {
				return nil
			}
		}
	}
}

// output is what a process said, as far as it is worth keeping, and the address in it.
type output struct {
	mu    sync.Mutex
	text  []byte
	found chan string
}

var serving = regexp.MustCompile(`address=(\S+)`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.text) < 16<<10 {
		o.text = append(o.text, p...)
		if m := serving.FindSubmatch(o.text); m != nil {
			select {
			case o.found <- string(m[1]):
			default:
			}
		}
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.text))
}
