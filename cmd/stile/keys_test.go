package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/keys"
)

// lines is a log whose lines can be waited for.
type lines struct {
	mu    sync.Mutex
	all   bytes.Buffer
	lines chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	l.lines <- string(p) // slog writes a line at a time
	return len(p), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// wait returns the next line that matches.
func (l *lines) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(time.Minute)
	for {
		select {
		case line := <-l.lines:
			if found := re.FindStringSubmatch(line); found != nil {
				return found
			}
		case <-late:
			t.Fatalf("the log has no %s:\n%s", pattern, l.text())
		}
	}
}

// served is stile serve as an operator runs it, and one visitor.
type served struct {
	t      *testing.T
	log    *lines
	base   string
	client *http.Client
	said   strings.Builder // by all commands
}

func serve(t *testing.T) *served {
	t.Helper()
	t.Chdir(t.TempDir())
	const site = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
categories: {necessary: {required: true}, analytics: {}}
tags: [{name: Counter, category: analytics, pixel: "https://stats.shop.example/p.gif"}]
`
	if err := os.WriteFile("stile.yaml", []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, log: &lines{lines: make(chan string, 1000)}, client: &http.Client{Jar: jar}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0"}, io.Discard, s.log) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		cancel()
		if code := <-ended; code != exitFine {
			t.Errorf("stile serve exits with %d:\n%s", code, s.log.text())
		}
	})
	s.base = s.log.wait(t, `msg=serving address=(\S+)`)[1]
	return s
}

func (s *served) get(path string) string {
	s.t.Helper()
	resp, err := s.client.Get(s.base + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s is answered %d %s (%v)", path, resp.StatusCode, body, err)
	}
	return string(body)
}

// asked tells whether the script asks the visitor, and whether it has the tag.
func (s *served) asked() (asked, released bool) {
	body := s.get("/stile/shop.js")
	return strings.Contains(body, "Reject all"), strings.Contains(body, "stats.shop.example")
}

func (s *served) accept() {
	s.t.Helper()
	notice := regexp.MustCompile(`h:"([^"]+)"`).FindStringSubmatch(s.get("/stile/shop.js"))[1]
	resp, err := s.client.PostForm(s.base+"/stile/shop/choice", url.Values{"id": {uuid.NewString()}, "notice": {notice}, "accept": {"all"}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("the choice is answered %d", resp.StatusCode)
	}
}

// stile runs another command, which has to exit as wanted, and returns the first line.
func (s *served) stile(want int, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	if code := run(s.t.Context(), args, &out, &out); code != want {
		s.t.Fatalf("stile %q exits with %d: %s", args, code, &out)
	}
	s.said.Write(out.Bytes())
	line, _, _ := strings.Cut(out.String(), "\n")
	return line
}

func (s *served) hangup() {
	s.t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	s.log.wait(s.t, "configuration reloaded")
}

func (s *served) ring() keys.Ring {
	s.t.Helper()
	ring, err := keys.Read(filepath.Join("data", "keys"))
	if err != nil {
		s.t.Fatal(err)
	}
	return ring
}

// A choice holds over a rotation, and until its key is retired; what a retired key of receipts signed still verifies by
// what the server publishes. No command and no line of the log shows a secret on the way.
func TestKeyRotation(t *testing.T) {
	s := serve(t)
	s.accept()
	if asked, released := s.asked(); asked || !released {
		t.Fatalf("after the choice: asked %t, released %t", asked, released)
	}
	first := s.ring()
	signed, err := note.Sign(&note.Note{Text: "a receipt\n"}, first.Receipt[0].NoteSigner())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"cookie", "receipt", "log"} {
		s.stile(exitFine, "keys", "new", kind)
	}
	all := secrets(t)
	s.hangup()
	if asked, released := s.asked(); asked || !released {
		t.Errorf("after the rotation: asked %t, released %t", asked, released)
	}

	old := first.Cookie[0].Name()
	if line := s.stile(exitFailed, "keys", "retire", old); !strings.Contains(line, "or now with --now") {
		t.Errorf("a key that is needed: %s", line)
	}
	s.hangup()
	if asked, _ := s.asked(); asked {
		t.Error("a retirement that was refused asks again")
	}
	s.stile(exitFine, "keys", "retire", "--now", old)
	s.stile(exitFine, "keys", "retire", first.Receipt[0].Name())
	s.hangup()
	if asked, released := s.asked(); !asked || released {
		t.Errorf("after the retirement: asked %t, released %t", asked, released)
	}
	s.accept()
	if asked, released := s.asked(); asked || !released {
		t.Errorf("with the new key: asked %t, released %t", asked, released)
	}

	published := s.get("/stile/log/keys")
	var known []note.Verifier
	for line := range strings.Lines(published) {
		if v, err := note.NewVerifier(strings.TrimSpace(line)); err == nil {
			known = append(known, v)
		}
	}
	if _, err := note.Open(signed, note.VerifierList(known...)); err != nil {
		t.Errorf("what the retired key signed does not verify: %v\n%s", err, published)
	}
	var out bytes.Buffer
	if run(t.Context(), []string{"keys", "public"}, &out, io.Discard); out.String() != published {
		t.Errorf("stile keys public prints\n%s\nthe server publishes\n%s", &out, published)
	}
	s.stile(exitFine, "keys", "list")
	s.stile(exitFine, "keys", "list", "--json")
	for _, secret := range all {
		if shown := s.said.String() + s.log.text() + published; strings.Contains(shown, secret) {
			t.Errorf("a secret is shown:\n%s", shown)
		}
	}
	if len(all) != 6 {
		t.Errorf("there were %d secrets to look for", len(all))
	}
}

// secrets are what is in the key files.
func secrets(t *testing.T) (list []string) {
	t.Helper()
	files, err := filepath.Glob("data/keys/*.key")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(string(text)))
	}
	return list
}
