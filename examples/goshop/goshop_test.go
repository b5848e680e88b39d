package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	stile "github.com/stilehq/stile/server"
)

// F3: without a choice, after a refusal and after a withdrawal there is the general sort; with consent the visitor's own.
func TestF3GeneralSort(t *testing.T) {
	data := t.TempDir()
	s, err := stile.New(t.Context(), stile.Options{Listen: "127.0.0.1:0", Config: "stile.yaml", Data: data, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	shop, err := newShop("stile.yaml", data, "http://"+s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(shop)
	t.Cleanup(front.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	send := func(method, path string, form url.Values) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, front.URL+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 400 {
			t.Fatalf("%s: status %d, %v: %s", path, resp.StatusCode, err, body)
		}
		return resp, string(body)
	}
	get := func(path string) (*http.Response, string) { return send(http.MethodGet, path, nil) }
	first := func(when, slug string) {
		t.Helper()
		get("/product/kettle")
		get("/product/pen")
		resp, body := get("/")
		if i := strings.Index(body, `/product/`); !strings.HasPrefix(body[i:], "/product/"+slug) {
			t.Errorf("%s the list begins with %.30s", when, body[i:])
		}
		if got := resp.Header.Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("%s the page, which is the visitor's, may be kept: %q", when, got)
		}
		if strings.Contains(body, ` src="https://counter.example`) || !strings.Contains(body, `src="/stile/goshop.js"`) {
			t.Errorf("%s the counter does not wait: %s", when, body)
		}
	}
	seen := func() bool {
		base, _ := url.Parse(front.URL)
		for _, c := range jar.Cookies(base) {
			if c.Name == "goshop_seen" {
				return true
			}
		}
		return false
	}
	_, script := get("/stile/goshop.js")
	notice := regexp.MustCompile(`h:"([^"]+)"`).FindStringSubmatch(script)[1]
	choose := func(form url.Values) {
		form.Set("id", uuid.NewString())
		form.Set("notice", notice)
		send(http.MethodPost, "/stile/goshop/choice", form)
	}

	first("before a choice", "caddy")
	choose(url.Values{"accept": {"none"}})
	first("after a refusal", "caddy")
	if seen() {
		t.Error("a cookie was set without consent")
	}
	choose(url.Values{"category": {"functional"}})
	first("with consent", "pen")
	choose(url.Values{"accept": {"none"}})
	first("after a withdrawal", "caddy")
}
