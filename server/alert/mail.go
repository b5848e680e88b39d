package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/idna"
)

// Mail tells by e-mail, in one message for all that is to be told of a site at once. The connection is by TLS, from its
// beginning (smtps) or after STARTTLS (smtp); without TLS only to this machine, and to networks that are allowed. It is the
// standard library's SMTP: one text to a relay asks for no more.
type Mail struct {
	host, port     string
	tls            bool // from the beginning
	user, password string
	from           mail.Address
	to             func(site string) []string
	plain          []netip.Prefix // may be spoken to without TLS
	roots          *x509.CertPool // nil: those of the machine
	now            func() time.Time
	log            *slog.Logger
	patience       time.Duration
}

// MailOptions are what mails are sent with.
type MailOptions struct {
	Server string                     // smtps://user:password@host:465 or smtp://host:587
	From   string                     // address, or NAME <address>
	To     func(site string) []string // who is told of a site's alerts, and of those of all sites, ""
	Allow  []netip.Prefix             // networks in which a server without TLS is used
	Now    func() time.Time
	Log    *slog.Logger
}

const mailTime = 20 * time.Second // of one message, from look-up to answer

// NewMail makes a mailer. Errors name the fault, and no password.
func NewMail(o MailOptions) (*Mail, error) {
	u, err := url.Parse(o.Server)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, errors.New("the mail server is written smtps://USER:PASSWORD@HOST:465 or smtp://HOST:587, with % signs for special characters")
	}
	m := &Mail{host: u.Hostname(), port: u.Port(), tls: u.Scheme == "smtps", to: o.To, plain: o.Allow, now: o.Now, log: o.Log, patience: mailTime}
	if m.port == "" {
		m.port = map[bool]string{true: "465", false: "587"}[m.tls]
	}
	if u.User != nil {
		m.user = u.User.Username()
		m.password, _ = u.User.Password()
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("the sender of alerts %q is no e-mail address: write stile@shop.example", o.From)
	}
	if m.from = *from; m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	return m, nil
}

// Name implements Way.
func (m *Mail) Name() string { return "mail" }

// Reaches implements Way.
func (m *Mail) Reaches(site string) bool { return len(m.to(site)) > 0 }

// Place implements Way.
func (m *Mail) Place() string { return "e-mail by " + m.host }

// Tell implements Way. Where a server refuses some of the addresses, the others are told.
func (m *Mail) Tell(ctx context.Context, site string, all []Message) (place string, err error) {
	to := m.to(site)
	if len(to) == 0 {
		return "", fmt.Errorf("nobody's address is set up; %w", errFinal)
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	err = m.send(ctx, to, m.compose(to, all))
	var late net.Error
	if err != nil && (ctx.Err() != nil || errors.As(err, &late) && late.Timeout()) {
		err = fmt.Errorf("%s did not answer within %d seconds", m.host, mailTime/time.Second)
	}
	return domains(to), err
}

func domains(to []string) string {
	var all []string
	for _, address := range to {
		all = append(all, address[strings.LastIndexByte(address, '@')+1:])
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func (m *Mail) send(ctx context.Context, to []string, text []byte) error {
	c, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if m.user != "" {
		if err := c.Auth(m.auth(c)); err != nil {
			return fmt.Errorf("%s does not let the user in: %w", m.host, err)
		}
	}
	if err := c.Mail(envelope(m.from.Address)); err != nil {
		return fmt.Errorf("%s does not take mails of %s: %w", m.host, m.from.Address, err)
	}
	if err := m.address(c, to); err != nil {
		return err
	}
	w, err := c.Data()
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("%s does not take the message: %w", m.host, err)
	}
	_ = c.Quit() // the message is taken
	return nil
}

// connect returns once the connection is as safe as it has to be. It ends with ctx.
func (m *Mail) connect(ctx context.Context) (*smtp.Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(m.host, m.port))
	if err != nil {
		return nil, plainly(err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // ctx ends it as well
	}
	secure := &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12, RootCAs: m.roots}
	if m.tls {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s does not greet as a mail server does: %w", m.host, err)
	}
	if err := m.secure(c, conn.RemoteAddr(), secure); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (m *Mail) secure(c *smtp.Client, at net.Addr, how *tls.Config) error {
	if err := c.Hello("stile.invalid"); err != nil {
		return fmt.Errorf("%s does not greet as a mail server does: %w", m.host, err)
	}
	if m.tls {
		return nil
	}
	if offered, _ := c.Extension("STARTTLS"); offered {
		if err := c.StartTLS(how); err != nil {
			return fmt.Errorf("no TLS with %s: %w", m.host, err)
		}
		return nil
	}
	if addr, err := netip.ParseAddrPort(at.String()); err == nil {
		ip := addr.Addr().Unmap()
		if ip.IsLoopback() || slices.ContainsFunc(m.plain, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			return nil
		}
	}
	return fmt.Errorf("%s offers no STARTTLS: use one that does, or name its network in --forward-networks if it is your own", m.host)
}

// auth is PLAIN, or LOGIN for servers that know nothing else.
func (m *Mail) auth(c *smtp.Client) smtp.Auth {
	if _, offered := c.Extension("AUTH"); offered != "" {
		if known := strings.Fields(offered); !slices.Contains(known, "PLAIN") && slices.Contains(known, "LOGIN") {
			return &login{user: m.user, password: m.password, host: m.host}
		}
	}
	return smtp.PlainAuth("", m.user, m.password, m.host)
}

// login is the older way (draft-murchison-sasl-login): the name, then the password, each when it is asked for.
type login struct {
	user, password, host string
	asked                int
}

// Start implements smtp.Auth.
func (l *login) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS || s.Name != l.host {
		return "", nil, errors.New("a password is not sent without TLS")
	}
	return "LOGIN", nil, nil
}

// Next implements smtp.Auth.
func (l *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.user), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, errors.New("it asks for more than a name and a password")
}

func (m *Mail) address(c *smtp.Client, to []string) error {
	taken := 0
	var last error
	for _, address := range to {
		if err := c.Rcpt(envelope(address)); err != nil {
			var said *textproto.Error
			if last = err; !errors.As(err, &said) {
				return fmt.Errorf("%s broke off: %w", m.host, err)
			}
			m.log.Warn("an alert's address was refused", "host", m.host, "domain", domains([]string{address}), "error", err)
			continue
		}
		taken++
	}
	if taken == 0 {
		return fmt.Errorf("%s takes mails for none of the addresses: %w", m.host, last)
	}
	return nil
}

// envelope is an address with its domain as the mail system writes it.
func envelope(address string) string {
	at := strings.LastIndexByte(address, '@')
	if domain, err := idna.Lookup.ToASCII(address[at+1:]); err == nil {
		return address[:at+1] + domain
	}
	return address
}

// compose writes the message (RFC 5322), each line ended as the protocol wants.
func (m *Mail) compose(to []string, all []Message) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", (&mail.Address{Name: m.from.Name, Address: envelope(m.from.Address)}).String())
	recipients := make([]string, len(to))
	for i, address := range to {
		recipients[i] = "<" + envelope(address) + ">"
	}
	header("To", strings.Join(recipients, ",\r\n "))
	header("Subject", mime.QEncoding.Encode("utf-8", subject(all)))
	header("Date", m.now().UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+uuid.NewString()+"@"+envelope(m.from.Address)[strings.LastIndexByte(envelope(m.from.Address), '@')+1:]+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834: nobody's out-of-office answers it
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(letter(all))) // into memory
	_ = w.Close()
	return b.Bytes()
}

func subject(all []Message) string {
	site := "Stile"
	if all[0].Site != "" {
		site = all[0].Site
	}
	if len(all) > 1 {
		return fmt.Sprintf("[%s] %d alerts: %s, …", site, len(all), heading(&all[0]))
	}
	return fmt.Sprintf("[%s] %s", site, heading(&all[0]))
}

func heading(m *Message) string {
	if m.Ended {
		return "Over: " + m.Kind.Title()
	}
	return m.Kind.Title()
}

func letter(all []Message) string {
	var b strings.Builder
	for i := range all {
		m := &all[i]
		fmt.Fprintf(&b, "%s\n%s\n", heading(m), m.Text)
		if m.Ended {
			fmt.Fprintf(&b, "This held from %s until %s.\n", moment(m.Since), moment(m.Until))
		} else if m.ID != "" {
			fmt.Fprintf(&b, "Since %s.\n", moment(m.Since))
		}
		if m.URL != "" {
			b.WriteString(m.URL + "\n")
		}
		b.WriteString("\n")
	}
	b.WriteString("Sent by Stile. Who gets this: alerts in stile.yaml, and --alert-to of stile serve.\n")
	return b.String()
}
