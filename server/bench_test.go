package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/server/consent"
)

// sink is a ResponseWriter that keeps nothing and is used again, so that a benchmark measures the handler alone.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }
func (s *sink) Write(p []byte) (int, error) {
	s.bytes += len(p)
	return len(p), nil
}

func (s *sink) reset() {
	clear(s.header)
	s.status, s.bytes = 0, 0
}

// benchServer serves the example shop.
func benchServer(tb testing.TB) *Server {
	tb.Helper()
	folder := tb.TempDir()
	site := filepath.Join(folder, "site")
	if err := os.CopyFS(site, shop.Files()); err != nil {
		tb.Fatal(err)
	}
	s, err := New(context.Background(), Options{
		Listen: "127.0.0.1:0", Config: filepath.Join(site, "stile.yaml"), Data: filepath.Join(folder, "data"),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// benchCookie is the cookie of a visitor who accepted everything.
func benchCookie(tb testing.TB, s *Server) string {
	tb.Helper()
	snap := s.current.Load()
	st := snap.sites["shop"]
	choice, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, st.Site, nil)
	if err != nil {
		tb.Fatal(err)
	}
	choice.Receipt, choice.Time = uuid.New(), time.Now()
	token, err := snap.codec.Encode("shop", &choice)
	if err != nil {
		tb.Fatal(err)
	}
	return st.cookie + "=" + token
}

// benchScript is a request for the script as a browser on the site's own pages sends it.
func benchScript(tb testing.TB, cookies string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://consent.shop.example/stile/shop.js", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]string{
		"Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "de-DE,de;q=0.9,en;q=0.8", "Sec-Fetch-Site": "same-origin", "Cookie": cookies,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

func BenchmarkScript(b *testing.B) {
	s := benchServer(b)
	h, cookies := s.Handler(), benchCookie(b, s)
	first := &sink{header: http.Header{}}
	h.ServeHTTP(first, benchScript(b, cookies))
	for _, c := range []struct {
		name, cookies, etag string
		status              int
	}{
		{"returning", "_other=1; " + cookies, "", http.StatusOK},
		{"not-modified", cookies, first.header.Get("Etag"), http.StatusNotModified},
		{"undecided", "", "", http.StatusOK},
		{"forged", cookies[:len(cookies)-8] + "AAAAAAA=", "", http.StatusOK},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := benchScript(b, c.cookies)
			if c.etag != "" {
				r.Header.Set("If-None-Match", c.etag)
			}
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				w.reset()
				h.ServeHTTP(w, r)
			}
			if w.status != c.status {
				b.Fatalf("status %d, want %d", w.status, c.status)
			}
		})
	}
}

// BenchmarkChoice is 64 visitors who choose at once: they share transactions, so that the time of one is far less than
// what one waits.
func BenchmarkChoice(b *testing.B) {
	s := benchServer(b)
	h := s.Handler()
	notices := s.current.Load().sites["shop"].notices
	var notice string
	for notice = range notices {
		break
	}
	b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := &sink{header: http.Header{}}
		for pb.Next() {
			form := url.Values{"id": {uuid.NewString()}, "notice": {notice}, "accept": {"all"}}
			r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://consent.shop.example/stile/shop/choice", strings.NewReader(form.Encode()))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			w.reset()
			if h.ServeHTTP(w, r); w.status != http.StatusOK {
				b.Errorf("a choice is answered by %d", w.status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "choices/s")
}
