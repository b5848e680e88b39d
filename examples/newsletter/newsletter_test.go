package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mailKey  = "0123456789abcdef0123456789abcdef"
	siteText = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01, file: policy.md}
categories: {necessary: {required: true}, analytics: {}, marketing: {}}
mail: {category: analytics}
`
)

// stile is a consent host with a shop.
type stile struct {
	t      *testing.T
	base   string
	data   string
	client *http.Client
}

func newStile(t *testing.T) *stile {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"stile.yaml": siteText, "policy.md": "# Policy\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st := &stile{t: t, data: filepath.Join(folder, "data")}
	s, err := server.New(t.Context(), server.Options{
		Listen: "127.0.0.1:0", Config: filepath.Join(folder, "stile.yaml"), Data: st.data, MailKey: mailKey, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := &http.Transport{}
	st.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	st.base = "http://" + s.Addr().String()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return st
}

// send is what a reader's programs do.
func (st *stile) send(method, address string, form url.Values) (*http.Response, string) {
	st.t.Helper()
	r, err := http.NewRequestWithContext(st.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		st.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := st.client.Do(r)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	return resp, string(body)
}

var noticeField = regexp.MustCompile(`name="notice" value="([^"]+)"`)

// choose is the receipt of a visitor's choice.
func (st *stile) choose(accept string) string {
	st.t.Helper()
	_, page := st.send(http.MethodGet, st.base+"/stile/shop/preferences", nil)
	_, body := st.send(http.MethodPost, st.base+"/stile/shop/choice", url.Values{"id": {uuid.NewString()}, "notice": {noticeField.FindStringSubmatch(page)[1]}, "accept": {accept}})
	var answer struct{ Receipt string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Receipt == "" {
		st.t.Fatalf("the choice is answered %s", body)
	}
	return answer.Receipt
}

func (st *stile) report() []ledger.MailCount {
	st.t.Helper()
	db, err := ledger.Open(st.t.Context(), ledger.Options{Path: filepath.Join(st.data, "stile.db")})
	if err != nil {
		st.t.Fatal(err)
	}
	counts, err := db.MailReport(st.t.Context(), "shop", time.Unix(0, 0))
	if err := errors.Join(err, db.Close()); err != nil {
		st.t.Fatal(err)
	}
	return counts
}

// read is a mail as its reader has it.
func read(t *testing.T, path string) (m *mail.Message, text, page string) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = mail.ReadMessage(bytes.NewReader(src)); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the mail is %s, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, part := range []struct {
		kind string
		into *string
	}{{"text/plain; charset=utf-8", &text}, {"text/html; charset=utf-8", &page}} {
		p, err := parts.NextRawPart()
		if err != nil || p.Header.Get("Content-Type") != part.kind {
			t.Fatalf("the part is %v, %v", p.Header, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		*part.into = string(body)
	}
	return m, text, page
}

var (
	beaconTag = regexp.MustCompile(`<img src="([^"]+/open/[^"]+\.gif)"`)
	anchor    = regexp.MustCompile(`<a href="([^"]+/click/[^"]+)"`)
)

// A mail is counted while its reader allows it, and goes on working when they do not any longer.
func TestNewsletter(t *testing.T) {
	st := newStile(t)
	folder := t.TempDir()
	csv := filepath.Join(folder, "recipients.csv")
	list := "email,name,receipt\n" + `anna@reader.example,"Anna, Ä",` + st.choose("all") + "\nben@reader.example,Ben," + st.choose("none") + "\ncleo@reader.example,Cleo,\n"
	if err := os.WriteFile(csv, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STILE_MAIL_KEY", mailKey)
	out := filepath.Join(folder, "mails")
	if err := run(t.Context(), []string{"-stile", st.base, "-message", "2026-11", "-from", "Shop <news@shop.example>", "-recipients", csv, "-out", out}); err != nil {
		t.Fatal(err)
	}

	for _, plain := range []string{"0002.eml", "0003.eml"} {
		m, text, page := read(t, filepath.Join(out, plain))
		if strings.Contains(text+page, "/stile/") || m.Header.Get("List-Unsubscribe") != "" || !strings.Contains(page, `href="https://www.shop.example/journal"`) || !strings.Contains(text, "https://www.shop.example/teas?season=winter") {
			t.Errorf("%s is not plain: %v\n%s\n%s", plain, m.Header, text, page)
		}
	}
	m, text, page := read(t, filepath.Join(out, "0001.eml"))
	to, err := m.Header.AddressList("To")
	if err != nil || to[0].Name != "Anna, Ä" || m.Header.Get("Subject") != "New teas for the winter" || m.Header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		t.Errorf("the head is %v, %v", m.Header, err)
	}
	leave := strings.Trim(m.Header.Get("List-Unsubscribe"), "<>")
	open, clicks := beaconTag.FindStringSubmatch(page), anchor.FindAllStringSubmatch(page, -1)
	if len(open) == 0 || len(clicks) != 2 || !strings.Contains(text, clicks[0][1]) || !strings.Contains(text, leave) || strings.Contains(text+page, `shop.example/journal`) {
		t.Fatalf("the mail has no beacon or links:\n%s\n%s", text, page)
	}
	fetch := func() {
		t.Helper()
		if resp, body := st.send(http.MethodGet, open[1], nil); resp.StatusCode != http.StatusOK || len(body) != 43 {
			t.Errorf("the beacon is answered %d %q", resp.StatusCode, body)
		}
		if resp, _ := st.send(http.MethodGet, clicks[0][1], nil); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "https://www.shop.example/teas?season=winter" {
			t.Errorf("the link is answered %d %v", resp.StatusCode, resp.Header)
		}
	}
	fetch()
	if diff := cmp.Diff([]ledger.MailCount{{Message: "2026-11", Opens: 1, Openers: 1, Clicks: 1, Clickers: 1}}, st.report()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if resp, body := st.send(http.MethodGet, leave, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("the page of withdrawal is %d %s", resp.StatusCode, body)
	}
	if len(st.report()) != 1 {
		t.Error("looking at the page of withdrawal has withdrawn")
	}
	if resp, body := st.send(http.MethodPost, leave, url.Values{"List-Unsubscribe": {"One-Click"}}); resp.StatusCode != http.StatusOK {
		t.Fatalf("the withdrawal is answered %d %s", resp.StatusCode, body)
	}
	fetch()
	if got := st.report(); len(got) > 0 {
		t.Errorf("counted after the withdrawal: %+v", got)
	}
}

// What is wrong is said in a line, and no mail is written.
func TestBadInput(t *testing.T) {
	st := newStile(t)
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.csv", "email,name,receipt\nanna@reader.example,Anna,"+st.choose("all")+"\n")
	for say, tt := range map[string]struct {
		args []string
		key  string
	}{
		"does not begin with": {args: []string{"-recipients", write("head.csv", "anna@reader.example,Anna,\n")}},
		"no e-mail address":   {args: []string{"-recipients", write("address.csv", "email,name,receipt\nanna,Anna,\n")}},
		"wrong number of":     {args: []string{"-recipients", write("short.csv", "email,name,receipt\nanna@reader.example\n")}},
		"-from":               {args: []string{"-from", "shop"}},
		"item 1: receipt":     {args: []string{"-recipients", write("receipt.csv", "email,name,receipt\na@b.example,A,1\n")}},
		"item 1: message":     {args: []string{"-message", ""}},
		"401":                 {key: "wrong"},
		"404":                 {args: []string{"-site", "blog"}},
	} {
		key := mailKey
		if tt.key != "" {
			key = tt.key
		}
		t.Setenv("STILE_MAIL_KEY", key)
		out := filepath.Join(folder, "mails")
		args := append([]string{"-stile", st.base, "-message", "m", "-from", "news@shop.example", "-recipients", good, "-out", out}, tt.args...)
		err := run(t.Context(), args)
		if err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", say, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: mails were written", say)
		}
	}
}
