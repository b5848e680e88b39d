package alert

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"
)

// relay is a mail server of a few lines.
type relay struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	at       sync.WaitGroup

	implicit, starttls bool
	auth               string   // mechanisms that it offers
	refuse             []string // recipients

	mu    sync.Mutex
	lines []string // commands
	texts []string // messages
	safe  bool     // the message came by TLS
}

func newRelay(t *testing.T, set func(*relay)) *relay {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS() // for its certificate, of 127.0.0.1 and example.com
	defer srv.Close()
	r := &relay{t: t, tls: &tls.Config{Certificates: srv.TLS.Certificates, MinVersion: tls.VersionTLS12}, roots: x509.NewCertPool()}
	r.roots.AddCert(srv.Certificate())
	set(r)
	var err error
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r.at.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.at.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = r.listener.Close(); r.at.Wait() })
	return r
}

func (r *relay) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	safe := r.implicit
	if r.implicit {
		conn = tls.Server(conn, r.tls)
	}
	in := bufio.NewReader(conn)
	say := func(lines ...string) { _, _ = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n") }
	read := func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			return "QUIT"
		}
		line = strings.TrimRight(line, "\r\n")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, line)
		return line
	}
	say("220 relay.example")
	for {
		line := read()
		switch command, _, _ := strings.Cut(strings.ToUpper(line), " "); command {
		case "EHLO":
			lines := []string{"250-relay.example"}
			if r.starttls && !safe {
				lines = append(lines, "250-STARTTLS")
			}
			if r.auth != "" {
				lines = append(lines, "250-AUTH "+r.auth)
			}
			say(append(lines, "250 8BITMIME")...)
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, r.tls)
			in, safe = bufio.NewReader(conn), true
		case "AUTH":
			if strings.HasSuffix(line, "LOGIN") {
				say("334 VXNlcm5hbWU6")
				line = line + " " + read()
				say("334 UGFzc3dvcmQ6")
				line = line + " " + read()
			}
			if !strings.Contains(line, base64.StdEncoding.EncodeToString([]byte("\x00stile\x00hush"))) && !strings.HasSuffix(line, " c3RpbGU= aHVzaA==") {
				say("535 5.7.8 no")
				continue
			}
			say("235 come in")
		case "RCPT":
			refused := false
			for _, to := range r.refuse {
				refused = refused || strings.Contains(line, "<"+to+">")
			}
			if refused {
				say("550 5.1.1 nobody of that name")
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			r.mu.Lock()
			r.texts, r.safe = append(r.texts, b.String()), safe
			r.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// mailer sends by a relay.
func (r *relay) mailer(t *testing.T, scheme, user string, to ...string) *Mail {
	t.Helper()
	m, err := NewMail(MailOptions{
		Server: scheme + "://" + user + r.listener.Addr().String(), From: "Stile <stile@shop.example>", To: func(string) []string { return to },
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.roots = r.roots
	return m
}

var twoMessages = []Message{
	{ID: "1", Alert: Alert{Site: "shop", Kind: OptIn, Text: "The opt-in rate fell to 30.0% – zu wenig."}, Since: now, URL: "https://consent.shop.example/admin/sites/shop/"},
	{ID: "2-ended", Ended: true, Alert: Alert{Site: "shop", Kind: Host, Text: "static.hotjar.com was seen."}, Since: now.Add(-time.Hour), Until: now},
}

func TestMail(t *testing.T) {
	for _, test := range []struct {
		name, scheme, user string
		relay              func(*relay)
		plain              bool
	}{
		{"STARTTLS and PLAIN", "smtp", "stile:hush@", func(r *relay) { r.starttls, r.auth = true, "LOGIN PLAIN" }, false},
		{"TLS and LOGIN", "smtps", "stile:hush@", func(r *relay) { r.implicit, r.auth = true, "LOGIN" }, false},
		{"this machine, without TLS", "smtp", "", func(*relay) {}, true},
		{"one of the addresses is refused", "smtp", "", func(r *relay) { r.starttls, r.refuse = true, []string{"gone@shop.example"} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRelay(t, test.relay)
			m := r.mailer(t, test.scheme, test.user, "gone@shop.example", "team@shop.example", "dsb@müller.example")
			place, err := m.Tell(t.Context(), "shop", twoMessages)
			if err != nil || place != "müller.example, shop.example" {
				t.Fatal(place, err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.texts) != 1 || r.safe == test.plain {
				t.Fatalf("%d messages, by TLS: %v", len(r.texts), r.safe)
			}
			if commands := strings.Join(r.lines, "\n"); !strings.Contains(commands, "RCPT TO:<dsb@xn--mller-kva.example>") || !strings.Contains(commands, "MAIL FROM:<stile@shop.example>") {
				t.Error(commands)
			}
			checkLetter(t, r.texts[0])
		})
	}
}

func checkLetter(t *testing.T, text string) {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || subject != "[shop] 2 alerts: The opt-in rate fell, …" {
		t.Error(subject, err)
	}
	if to, err := msg.Header.AddressList("To"); err != nil || len(to) != 3 {
		t.Error(to, err)
	}
	if _, err := msg.Header.Date(); err != nil || msg.Header.Get("Message-ID") == "" || msg.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error(msg.Header, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The opt-in rate fell to 30.0% – zu wenig.", "https://consent.shop.example/admin/sites/shop/", "Over: A host that nothing gates",
		"This held from 08:30 UTC on 23 November 2026 until 09:30 UTC on 23 November 2026.",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 78+2 || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line of %d: %q", len(line), line)
		}
	}
}

func TestMailFails(t *testing.T) {
	for _, test := range []struct {
		name, scheme, user string
		relay              func(*relay)
		to                 string
		want               string
	}{
		{"a wrong password", "smtp", "stile:wrong@", func(r *relay) { r.starttls, r.auth = true, "PLAIN" }, "team@shop.example", "does not let the user in: 535"},
		{"a password, and no TLS elsewhere", "smtp", "stile:hush@", func(r *relay) { r.auth = "LOGIN" }, "team@shop.example", "a password is not sent without TLS"},
		{"all addresses are refused", "smtp", "", func(r *relay) { r.refuse = []string{"team@shop.example"} }, "team@shop.example", "takes mails for none of the addresses: 550"},
		{"a certificate of nobody's", "smtp", "", func(r *relay) { r.starttls, r.roots = true, x509.NewCertPool() }, "team@shop.example", "no TLS with 127.0.0.1"},
		{"no server", "smtp", "", func(*relay) {}, "team@shop.example", "it cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRelay(t, test.relay)
			m := r.mailer(t, test.scheme, test.user, test.to)
			if test.name == "no server" {
				_ = r.listener.Close()
			}
			_, err := m.Tell(t.Context(), "shop", twoMessages)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.texts) > 0 {
				t.Error("a message was sent")
			}
		})
	}
}

// Without STARTTLS only this machine is spoken to, and what is allowed.
func TestMailNeedsTLS(t *testing.T) {
	r := newRelay(t, func(*relay) {})
	for _, test := range []struct {
		allow []netip.Prefix
		want  bool
	}{{nil, false}, {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true}} {
		conn, err := net.Dial("tcp", r.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		m := r.mailer(t, "smtp", "", "team@shop.example")
		m.plain = test.allow
		c, err := smtp.NewClient(conn, m.host)
		if err != nil {
			t.Fatal(err)
		}
		err = m.secure(c, &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 25}, nil)
		if err == nil != test.want || err != nil && !strings.Contains(err.Error(), "offers no STARTTLS") {
			t.Error(err)
		}
		_ = c.Close()
	}
}

// A server that takes the connection and says nothing holds nobody up for long.
func TestMailThatHangs(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := NewMail(MailOptions{Server: "smtp://" + l.Addr().String(), From: "stile@shop.example", To: func(string) []string { return []string{"team@shop.example"} }})
	if err != nil {
		t.Fatal(err)
	}
	m.patience = 50 * time.Millisecond
	if _, err := m.Tell(t.Context(), "", twoMessages); err == nil || !strings.Contains(err.Error(), "did not answer within") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.patience = time.Hour
	done := make(chan error)
	go func() { _, err := m.Tell(ctx, "", twoMessages); done <- err }()
	conn, err := l.Accept() // that of the first attempt or the second
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-done; err == nil {
		t.Error("a server that is stopped waits for its mails")
	}
}

func TestNewMail(t *testing.T) {
	for server, want := range map[string]string{
		"smtps://u:hush@mail.shop.example": "mail.shop.example:465", "smtp://mail.shop.example": "mail.shop.example:587", "smtp://[::1]:25": "::1:25",
		"mail.shop.example:25": "", "https://u:hush@mail.shop.example": "", "smtp://": "", "smtp://u:hush@mail.shop.example/path": "",
	} {
		m, err := NewMail(MailOptions{Server: server, From: "stile@shop.example"})
		if err == nil && m.host+":"+m.port != want || err != nil && (want != "" || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %+v %v", server, m, err)
		}
	}
	if _, err := NewMail(MailOptions{Server: "smtp://mail.shop.example", From: "nobody"}); err == nil || !strings.Contains(fmt.Sprint(err), `"nobody" is no e-mail address`) {
		t.Error(err)
	}
}
