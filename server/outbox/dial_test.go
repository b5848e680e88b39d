package outbox

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// What goes to this machine is given up at once, before a byte is sent, and the log says how to allow it.
func TestRefused(t *testing.T) {
	hit := make(chan struct{}, 9)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit <- struct{}{} }))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	defer srv.Close()
	// No proxy of the environment is asked instead.
	t.Setenv("HTTP_PROXY", srv.URL)
	t.Setenv("HTTPS_PROXY", srv.URL)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{more: make(chan struct{}, 99)}
	o := open(t, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	urls := []string{}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"} {
		if host == "[::1]" && !hasIPv6() {
			continue
		}
		urls = append(urls, fmt.Sprintf("http://%s:%s/", host, port), fmt.Sprintf("https://%s:%s/", host, port))
	}
	for i, u := range urls {
		m := message(u)
		m.Tag = fmt.Sprint("tag-", i)
		add(t, o, m)
	}
	for o.Stats().Waiting > 0 {
		<-log.more // one line for each host
		if strings.Count(log.String(), "\n") >= len(urls)/2 {
			break
		}
	}
	closed(t, o)
	if s := o.Stats(); s.Failed+uint64(s.Waiting) != uint64(len(urls)) || s.Failed == 0 {
		t.Errorf("%+v", s)
	}
	if text := log.String(); !strings.Contains(text, "the address is not public: 127.0.0.1; name its network in --forward-networks") {
		t.Errorf("the log says %s", text)
	}
	if len(hit) > 0 {
		t.Error("it was reached")
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// lines is a log that tells of each line.
type lines struct {
	mu   sync.Mutex
	b    strings.Builder
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.b.Write(p)
	l.more <- struct{}{}
	return n, err
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*lines)(nil)
