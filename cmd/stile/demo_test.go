package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stilehq/stile/examples/shop"
)

// said is what a command printed, and tells when it printed something.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// bannerVersion is a row of the versions of a banner under a policy.
func bannerVersion(policy string) *regexp.Regexp {
	return regexp.MustCompile(`<bdi>` + policy + `-[0-9a-f]{6}</bdi>`)
}

var demoLogin = regexp.MustCompile(`(http://\S+)/admin/ .*log in as (\S+), password (\S+)`)

// demoRun runs the demo, and calls fn with the dashboard's address, user and password.
func demoRun(t *testing.T, data string, fn func(address, user, password string)) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	out, ended := &said{more: make(chan struct{}, 1)}, make(chan error, 1)
	go func() {
		ended <- (&demoCommand{Listen: "127.0.0.1:0", Data: data}).Run(ctx, streams{out: out, err: out})
	}()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for late := time.After(20 * time.Minute); ; {
		if m := demoLogin.FindStringSubmatch(out.String()); m != nil {
			fn(m[1], m[2], m[3])
			return
		}
		select {
		case <-out.more:
		case err := <-ended:
			ended <- err
			t.Fatalf("the demo ended:\n%s", out)
		case <-late:
			t.Fatalf("the demo does not say where its dashboard is:\n%s", out)
		}
	}
}

// Before its second policy the demo's shop has the first, and neither of the tags that came with the second.
func TestDemoFormerly(t *testing.T) {
	before := string(formerly(shop.Config(shop.Hosts{})))
	for text, want := range map[string]bool{"version: 2026-03-03": true, "2026-11-01": false, "Pixel A": true, "Pixel B": false, "name: Chat": true, "Loyalty": false} {
		if strings.Contains(before, text) != want {
			t.Errorf("%q: want %v in\n%s", text, want, before)
		}
	}
}

// The demo's dashboard opens for who reads its password, shows simulated visitors and says so; kept data are not added to.
func TestDemoDashboard(t *testing.T) {
	data := t.TempDir()
	displays, before := "", ""
	for range 2 {
		demoRun(t, data, func(address, user, password string) {
			if password == before || len(password) < 16 {
				t.Errorf("the password is %q, and was %q", password, before)
			}
			jar, _ := cookiejar.New(nil)
			client := &http.Client{Jar: jar}
			page := func(path string) string {
				t.Helper()
				resp, err := client.Get(address + path)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), simulatedNote) {
					t.Errorf("%s: %d, or it does not say that its figures are simulated", path, resp.StatusCode)
				}
				return string(body)
			}
			login := func(with string) {
				t.Helper()
				resp, err := client.PostForm(address+"/admin/login", url.Values{"name": {user}, "password": {with}})
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			if before != "" {
				login(before)
				if body := page("/admin/sites/shop/"); !strings.Contains(body, "password") {
					t.Error("the password of the first start opens the dashboard of the second")
				}
			}
			before = password
			login(password)
			m := regexp.MustCompile(`Displays[\s\S]*?<b[^>]*>([\d,]+)</b>`).FindStringSubmatch(page("/admin/sites/shop/?period=90d"))
			if m == nil || len(m[1]) < len("1,000") {
				t.Fatalf("in 90 days the banner was displayed %q times", m)
			}
			if displays != "" && m[1] != displays {
				t.Errorf("%s displays became %s when the demo was started again", displays, m[1])
			}
			displays = m[1]
			if body := page("/admin/sites/shop/?period=90d"); !bannerVersion("2026-03-03").MatchString(body) || !bannerVersion("2026-11-01").MatchString(body) {
				t.Error("there is no figure of the banner before and after the second policy")
			}
			if body := page("/admin/health"); !regexp.MustCompile(`for \d+ (second|minute)s?\b`).MatchString(body) || !regexp.MustCompile(`loaded (just now|\d+ (second|minute)s? ago)`).MatchString(body) {
				t.Error("this process runs for longer than it does, or its configuration was loaded before it")
			}
			if body := page("/admin/sites/shop/sightings"); !strings.Contains(body, "Hotjar was seen on") {
				t.Error("nothing was sighted")
			}
		})
	}
}
