package outbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		addUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// receiver stands in for the network: it answers by its function, and keeps what it got.
type receiver struct {
	answer func(*http.Request) (*http.Response, error)

	mu  sync.Mutex
	got []received
}

type received struct {
	url, body string
	header    http.Header
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, received{req.URL.String(), string(body), req.Header.Clone()})
	r.mu.Unlock()
	return r.answer(req)
}

// urls are what was received, in its order.
func (r *receiver) urls() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.got {
		list = append(list, g.url)
	}
	return list
}

func status(code int, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("thank you"))}
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

var errDown = errors.New("nobody answers")

func down(*http.Request) (*http.Response, error) { return nil, errDown }

func message(address string) Message {
	return Message{Site: "shop", Tag: "counter", Method: http.MethodGet, URL: address}
}

func open(tb testing.TB, opt Options) *Outbox {
	tb.Helper()
	if opt.Path == "" {
		opt.Path = filepath.Join(tb.TempDir(), "outbox.db")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	o, err := Open(context.Background(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := o.Close(); err != nil {
			tb.Error(err)
		}
	})
	return o
}

func add(tb testing.TB, o *Outbox, list ...Message) {
	tb.Helper()
	if err := o.Add(context.Background(), list...); err != nil {
		tb.Fatal(err)
	}
}

func closed(tb testing.TB, o *Outbox) {
	tb.Helper()
	if err := o.Close(); err != nil {
		tb.Fatal(err)
	}
}
