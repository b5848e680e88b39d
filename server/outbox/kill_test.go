package outbox

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// childEnv makes the test binary one that adds and sends and never ends by itself, with the outbox that it names.
const childEnv = "STILE_OUTBOX_TEST_CHILD"

// TestKill kills a process in the midst of adding and sending: each message that it acknowledged was sent by it, or is sent
// by the next.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	acknowledged, sent := map[string]bool{}, map[string]bool{}
	for range 3 {
		killSender(t, path, 400, acknowledged, sent)
	}
	r := &receiver{answer: status(200)}
	o := open(t, Options{Path: path, Transport: r, Max: 1 << 20})
	waited := o.Stats().Waiting
	ended := make(chan struct{})
	go func() { // what is sent wakes nobody here: ask until nothing waits
		defer close(ended)
		for o.Stats().Waiting > 0 {
			if err := o.put(context.Background(), &task{run: func(context.Context, *sql.Tx) error { return nil }, after: func(error) {}}); err != nil {
				return
			}
		}
	}()
	<-ended
	for _, u := range r.urls() {
		sent[u] = true
	}
	lost := 0
	for u := range acknowledged {
		if !sent[u] {
			lost++
		}
	}
	if lost > 0 || waited == 0 {
		t.Errorf("%d of %d were lost; %d waited", lost, len(acknowledged), waited)
	}
}

func killSender(t *testing.T, path string, after int, acknowledged, sent map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		what, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		if what == "sent" {
			sent[address] = true
			continue
		}
		acknowledged[address] = true
		if n++; n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed: that is no news
	if n < after {
		t.Fatalf("the child ended by itself after %d messages", n)
	}
}

// addUntilKilled is the child: it says "added URL" once Add has returned, and "sent URL" when it sends.
func addUntilKilled(path string) {
	var mu sync.Mutex
	say := func(what, address string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, "%s %s\n", what, address)
	}
	r := roundTripper(func(req *http.Request) (*http.Response, error) {
		say("sent", req.URL.String())
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
	})
	o, err := Open(context.Background(), Options{Path: path, Max: 1 << 20, Transport: r, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range 8 {
		go func() {
			for j := 0; ; j++ {
				m := message(fmt.Sprintf("https://host%d.example/%d-%d-%d", j%4, os.Getpid(), i, j))
				if err := o.Add(context.Background(), m); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				say("added", m.URL)
			}
		}()
	}
	select {}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
