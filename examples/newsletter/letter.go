package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	html "html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"path/filepath"
	"strings"
	text "text/template"
	"time"
)

// letter is the mail to all, a text and an HTML part. In both {{.Name}} is the recipient's, {{link "https://..."}} a link,
// and {{leave}} the page on which consent is taken back; {{beacon}} stands in the HTML part.
type letter struct {
	text *text.Template
	html *html.Template
}

func readLetter(folder string) (l letter, err error) {
	links := map[string]any{"link": func(to string) string { return to }, "leave": func() string { return "" }, "beacon": func() html.HTML { return "" }}
	if l.text, err = text.New("letter.txt").Funcs(links).ParseFiles(filepath.Join(folder, "letter.txt")); err != nil {
		return l, err
	}
	l.html, err = html.New("letter.html").Funcs(links).ParseFiles(filepath.Join(folder, "letter.html"))
	return l, err
}

// links are what one recipient gets for the addresses in a letter. Empty, they are plain.
type links struct {
	click       map[string]string
	open, leave string
}

func (k *links) link(to string) string {
	if tracked := k.click[to]; tracked != "" {
		return tracked
	}
	return to
}

func (k *links) beacon() html.HTML {
	if k.open == "" {
		return ""
	}
	return html.HTML(`<img src="` + html.HTMLEscapeString(k.open) + `" alt="" width="1" height="1">`) //nolint:gosec // escaped
}

// draw fills in a letter for one recipient. Its first line is the subject.
func (l letter) draw(name string, k *links) (subject, plain, page string, err error) {
	funcs := map[string]any{"link": k.link, "leave": func() string { return k.leave }, "beacon": k.beacon}
	who := struct{ Name string }{name}
	drawn, err := l.html.Clone() // html/template is changed by what it draws
	if err != nil {
		return "", "", "", err
	}
	var a, b bytes.Buffer
	err = errors.Join(l.text.Funcs(funcs).Execute(&a, who), drawn.Funcs(funcs).Execute(&b, who))
	subject, plain, _ = strings.Cut(a.String(), "\n")
	return subject, strings.TrimSpace(plain) + "\n", b.String(), err
}

// targets are the addresses that a letter links to.
func (l letter) targets() (all []string, err error) {
	seen := map[string]bool{}
	note := func(to string) string {
		if !seen[to] {
			seen[to] = true
			all = append(all, to)
		}
		return to
	}
	funcs := map[string]any{"link": note}
	drawn, err := l.html.Clone()
	if err != nil {
		return nil, err
	}
	who := struct{ Name string }{}
	return all, errors.Join(l.text.Funcs(funcs).Execute(io.Discard, who), drawn.Funcs(funcs).Execute(io.Discard, who))
}

// write makes the mails, in the order of their recipients.
func write(ctx context.Context, l letter, m *minter, from string, people []recipient, now time.Time) ([][]byte, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("-from %q is no e-mail address", from)
	}
	tracked, err := track(ctx, l, m, people)
	if err != nil {
		return nil, err
	}
	mails := make([][]byte, len(people))
	for i := range people {
		if mails[i], err = compose(l, sender, &people[i], &tracked[i], now); err != nil {
			return nil, err
		}
	}
	return mails, nil
}

// track asks for the tokens of all recipients who have a receipt. Those who do not allow to be counted keep plain links.
func track(ctx context.Context, l letter, m *minter, people []recipient) ([]links, error) {
	targets, err := l.targets()
	if err != nil {
		return nil, err
	}
	var orders []order
	for _, p := range people {
		if p.Receipt == "" {
			continue
		}
		orders = append(orders, order{"open", p.Receipt, m.message, ""}, order{"leave", p.Receipt, m.message, ""})
		for _, to := range targets {
			orders = append(orders, order{"click", p.Receipt, m.message, to})
		}
	}
	tokens, err := m.mint(ctx, orders)
	if err != nil {
		return nil, err
	}
	all := make([]links, len(people))
	for i, p := range people {
		if p.Receipt == "" {
			continue
		}
		mine := tokens[:2+len(targets)]
		tokens = tokens[len(mine):]
		if !mine[0].Granted {
			continue
		}
		all[i] = links{open: m.consent + mine[0].Path, leave: m.consent + mine[1].Path, click: map[string]string{}}
		for j, to := range targets {
			all[i].click[to] = m.consent + mine[2+j].Path
		}
	}
	return all, nil
}

// compose is a mail as it is sent: a text and an HTML part, and for who is counted the one-click withdrawal (RFC 8058).
func compose(l letter, from *mail.Address, to *recipient, k *links, now time.Time) ([]byte, error) {
	subject, plain, page, err := l.draw(to.Address.Name, k)
	if err != nil {
		return nil, err
	}
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	for _, part := range []struct{ kind, body string }{{"text/plain", plain}, {"text/html", page}} {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(p)
		if _, err := io.WriteString(q, part.body); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMIME-Version: 1.0\r\n", from, &to.Address, mime.QEncoding.Encode("utf-8", subject), now.Format(time.RFC1123Z))
	if k.leave != "" {
		fmt.Fprintf(&b, "List-Unsubscribe: <%s>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", k.leave)
	}
	fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=%s\r\n\r\n%s", w.Boundary(), &parts)
	return b.Bytes(), nil
}
