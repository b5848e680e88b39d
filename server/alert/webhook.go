package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/reach"
)

// Webhook tells by POST. The body is JSON: {"type": "alert.raised", "timestamp": ..., "data": {kind, site, text, since, url}},
// with alert.ended and until for what no longer holds, and alert.test. It is signed as standardwebhooks.com has it: the
// header webhook-signature is "v1," and the base64 of HMAC-SHA256(secret, id + "." + timestamp + "." + body), where id and
// timestamp are the headers webhook-id and webhook-timestamp. An id that was seen before is the same message once more.
//
// Only an answer of 2xx counts, and no redirect is followed. Addresses that are not public are refused.
type Webhook struct {
	url    *url.URL
	secret []byte // nil: nothing is signed
	client http.RoundTripper
	now    func() time.Time

	patience time.Duration // of one call
}

const (
	webhookTime = 10 * time.Second
	mostAnswer  = 4 << 10
	shortestKey = 24 // bytes of a secret, as standardwebhooks.com has it
)

// NewWebhook makes a webhook. The networks of allow need not be public, nor to be reached by TLS. The secret is text of 24
// characters or more, or "whsec_" and base64. Errors name the fault, and neither the address nor the secret.
func NewWebhook(address, secret string, allow []netip.Prefix, now func() time.Time) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the webhook's address is not a URL: it is like https://hooks.chat.example/T0/B0") // it is a secret itself
	}
	if u.Scheme == "http" && len(allow) == 0 {
		return nil, errors.New("the webhook's address is http: use https, or name its network in --forward-networks if it is your own")
	}
	if err := reach.CheckHost(u, allow); err != nil {
		return nil, fmt.Errorf("the webhook: %w", err)
	}
	w := &Webhook{url: u, client: reach.NewTransport(allow, webhookTime), now: now, patience: webhookTime}
	if now == nil {
		w.now = time.Now
	}
	if coded, is := strings.CutPrefix(secret, "whsec_"); is {
		if w.secret, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return nil, errors.New("the webhook's secret is not base64 after whsec_")
		}
	} else if secret != "" {
		w.secret = []byte(secret)
	}
	if secret != "" && len(w.secret) < shortestKey {
		return nil, fmt.Errorf("the webhook's secret has %d bytes: at least %d (openssl rand -hex 32)", len(w.secret), shortestKey)
	}
	return w, nil
}

// Name implements Way.
func (w *Webhook) Name() string { return "webhook" }

// Reaches implements Way.
func (w *Webhook) Reaches(string) bool { return true }

// Place implements Way.
func (w *Webhook) Place() string { return "webhook to " + w.url.Host }

// Close lets go of connections.
func (w *Webhook) Close() {
	if t, ok := w.client.(*reach.Transport); ok {
		t.CloseIdle()
	}
}

type hookBody struct {
	Type      string   `json:"type"`
	Timestamp string   `json:"timestamp"`
	Data      hookData `json:"data"`
}

type hookData struct {
	ID      string `json:"id,omitempty"` // of the alert: the same when it ends
	Kind    Kind   `json:"kind"`
	Site    string `json:"site,omitempty"`
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text"`
	Since   string `json:"since"`
	Until   string `json:"until,omitempty"`
	URL     string `json:"url,omitempty"`
}

// Tell implements Way.
func (w *Webhook) Tell(ctx context.Context, _ string, all []Message) (place string, err error) {
	for i := range all {
		if err := w.send(ctx, &all[i]); err != nil {
			return w.url.Host, err
		}
	}
	return w.url.Host, nil
}

func (w *Webhook) send(ctx context.Context, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	r, err := w.request(ctx, m)
	if err != nil {
		return err
	}
	resp, err := w.client.RoundTrip(r) // a Client would follow redirects
	if err != nil {
		return plainly(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, mostAnswer) // the answer is its status
	_ = resp.Body.Close()
	status := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("it answered %s, and redirects are not followed: give the address that it leads to", status)
	case resp.StatusCode == http.StatusGone:
		return fmt.Errorf("it answered %s: nobody is there any more; %w", status, errFinal)
	}
	return fmt.Errorf("it answered %s", status)
}

func (w *Webhook) request(ctx context.Context, m *Message) (*http.Request, error) {
	now := w.now()
	body := hookBody{Type: "alert.raised", Timestamp: now.UTC().Format(time.RFC3339), Data: hookData{
		ID: strings.TrimSuffix(m.ID, "-ended"), Kind: m.Kind, Site: m.Site, Subject: m.Subject, Text: m.Text, Since: m.Since.UTC().Format(time.RFC3339), URL: m.URL,
	}}
	id := m.ID
	switch {
	case id == "":
		id, body.Type = uuid.NewString(), "alert.test"
	case m.Ended:
		body.Type, body.Data.Until = "alert.ended", m.Until.UTC().Format(time.RFC3339)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return nil, fmt.Errorf("writing the message: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(text.Bytes()))
	if err != nil {
		return nil, errors.New("the webhook's address cannot be asked")
	}
	if w.url.User != nil {
		password, _ := w.url.User.Password()
		r.SetBasicAuth(w.url.User.Username(), password)
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Stile")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	if w.secret != nil {
		mac := hmac.New(sha256.New, w.secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(text.Bytes())
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return r, nil
}

// plainly says what became of a connection, without the address that was asked: it is a secret.
func plainly(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, reach.ErrRefused) && errors.As(err, &op):
		return op.Err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it did not answer within %d seconds", webhookTime/time.Second)
	case errors.As(err, &dns):
		return errors.New("its name is not known: look at the address, and at this machine's DNS")
	case errors.As(err, &op):
		return fmt.Errorf("it cannot be reached: %w", op.Err)
	}
	return fmt.Errorf("it cannot be reached: %w", err)
}
