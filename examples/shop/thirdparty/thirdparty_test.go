package thirdparty

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		party, target string
		status        int
		contentType   string
		cookie        string
		body          string
	}{
		{party: "counter", target: "/counter.js?id=HC-1001", status: 200, contentType: "text/javascript; charset=utf-8", body: "houseCounter"},
		{party: "counter", target: "/hit?site=HC-1001&u=%2F", status: 204},
		{party: "counter", target: "/p.gif", status: 404, contentType: "text/plain; charset=utf-8", body: "not found"},
		{party: "pixel-a", target: "/p.gif?u=x", status: 200, contentType: "image/gif", cookie: "pixel-a_id", body: "GIF89a"},
		{party: "pixel-b", target: "/p.gif", status: 200, contentType: "image/gif", cookie: "pixel-b_id", body: "GIF89a"},
		{party: "chat", target: "/widget.js", status: 200, contentType: "text/javascript; charset=utf-8", body: "chat_open"},
		{party: "video", target: "/embed/kettle", status: 200, contentType: "text/html; charset=utf-8", cookie: "video_id", body: "kettle, from water"},
		{party: "video", target: "/embed/%3Cscript%3E", status: 200, contentType: "text/html; charset=utf-8", cookie: "video_id", body: "&lt;script&gt;"},
		{party: "video", target: "/embed/", status: 404, contentType: "text/plain; charset=utf-8"},
	} {
		t.Run(tt.party+tt.target, func(t *testing.T) {
			p := New()
			r := httptest.NewRequest("GET", "http://any.host.example"+tt.target, nil)
			w := httptest.NewRecorder()
			p.Handler(tt.party).ServeHTTP(w, r)

			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if got := w.Header().Get("Content-Type"); got != tt.contentType {
				t.Errorf("content type %q, want %q", got, tt.contentType)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
			if got, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), "="); got != tt.cookie {
				t.Errorf("cookie %q, want %q", got, tt.cookie)
			}
			if !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("body lacks %q", tt.body)
			}
			if p.Count(tt.party) != 1 || len(p.Log()) != 1 {
				t.Errorf("%d requests counted and %d logged, want one", p.Count(tt.party), len(p.Log()))
			}
		})
	}
}

func TestTransparentGIF(t *testing.T) {
	if len(transparentGIF) != 43 {
		t.Errorf("the pixel is %d bytes, want 43", len(transparentGIF))
	}
}

func TestHit(t *testing.T) {
	p := New()
	r := httptest.NewRequest("POST", "https://pixel-a.example/anything?a=1&b", nil)
	r.Header.Set("Referer", "https://www.shop.example/")
	r.Header.Set("Cookie", "pixel-a_id=1")
	p.Handler("pixel-a").ServeHTTP(httptest.NewRecorder(), r)

	got := p.Log()[0]
	if got.Time.IsZero() {
		t.Error("the hit has no time")
	}
	got.Time = time.Time{}
	want := Hit{
		Party: "pixel-a", Method: "POST", Path: "/anything", Query: "a=1&b", Host: "pixel-a.example",
		Referer: "https://www.shop.example/", Cookie: true,
	}
	if got != want {
		t.Errorf("hit %+v, want %+v", got, want)
	}
}

func TestFaviconIsNotLogged(t *testing.T) {
	p := New()
	w := httptest.NewRecorder()
	p.Handler("video").ServeHTTP(w, httptest.NewRequest("GET", "/favicon.ico", nil))
	if w.Code != http.StatusNotFound || len(p.Log()) != 0 {
		t.Errorf("status %d and %d hits, want 404 and none", w.Code, len(p.Log()))
	}
}

func TestUnknownParty(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a party that does not exist has a handler")
		}
	}()
	New().Handler("nobody")
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		done := make(chan error, 1)
		go func() { done <- p.Wait(t.Context(), "chat", 2) }()

		p.record(Hit{Party: "chat"})
		p.record(Hit{Party: "video"})
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Wait returned early: %v", err)
		default:
		}
		p.record(Hit{Party: "chat"})
		if err := <-done; err != nil {
			t.Errorf("Wait: %v", err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Wait(ctx, "chat", 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v, want the context's error", err)
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	p := New()
	const n = 3*kept + 7
	for range n {
		p.record(Hit{Party: "chat"})
	}
	if got := p.Count("chat"); got != n {
		t.Errorf("count %d, want %d", got, n)
	}
	if got := len(p.Log()); got < kept || got > 2*kept {
		t.Errorf("the log holds %d, want between %d and %d", got, kept, 2*kept)
	}
}

func TestServeJSON(t *testing.T) {
	p := New()
	p.record(Hit{Party: "chat", Path: "/widget.js"})
	w := httptest.NewRecorder()
	p.ServeJSON(w, httptest.NewRequest("GET", "/", nil))
	var got news
	if err := json.NewDecoder(w.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !got.Reset || len(got.Hits) != 1 || got.Counts["chat"] != 1 {
		t.Errorf("state %+v", got)
	}
	if n, ok := got.Counts["video"]; n != 0 || !ok {
		t.Error("a party without a hit is left out of the counts")
	}
}

func TestServeEvents(t *testing.T) {
	p := New()
	server := httptest.NewServer(http.HandlerFunc(p.ServeEvents))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}

	lines := bufio.NewScanner(resp.Body)
	next := func() (n news) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &n); err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return n
	}

	if n := next(); !n.Reset || len(n.Hits) != 0 {
		t.Errorf("first event %+v", n)
	}
	p.record(Hit{Party: "chat"})
	if n := next(); n.Reset || len(n.Hits) != 1 || n.Counts["chat"] != 1 {
		t.Errorf("after a hit %+v", n)
	}
	p.Reset()
	if n := next(); !n.Reset || len(n.Hits) != 0 || n.Counts["chat"] != 0 {
		t.Errorf("after a reset %+v", n)
	}
	p.Close()
	p.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream did not end well: %v", err)
	}
}
