package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"
)

// largest is how many bytes a message's URL and body may have together.
const largest = 1 << 20

// Add adds messages, all of them or none, and returns once they are durable. When ctx ends first, they may be added or not;
// with a Key the call may be made again. Errors: ErrFull, ErrClosed, or what is wrong with a message.
func (o *Outbox) Add(ctx context.Context, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	list := make([]Message, len(messages))
	for i := range messages {
		list[i] = messages[i]
		if err := o.complete(&list[i]); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	done := make(chan error, 1)
	var full error
	var entries []*entry
	t := &task{
		run: func(ctx context.Context, tx *sql.Tx) error {
			full, entries = nil, nil
			added, err := o.insert(ctx, tx, list, true)
			if err == ErrFull || errors.Is(err, fs.ErrNotExist) { //nolint:errorlint // joined with another it is everybody's
				full = err // of this call alone: nothing was written
				return nil
			}
			entries = added
			return err
		},
		after: func(err error) {
			o.admit(entries, err)
			done <- errors.Join(err, full)
		},
	}
	if err := o.put(ctx, t); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Offer adds a message without waiting for anything, and tells whether it was taken: it is not when too much waits already.
// It is durable soon after, or when Close returns.
func (o *Outbox) Offer(m Message) bool {
	if !o.mu.TryRLock() {
		return false // it is being closed
	}
	defer o.mu.RUnlock()
	if o.closed {
		return false
	}
	if o.waiting.Load() < int64(o.opt.Max) {
		select {
		case o.offers <- m:
			// The writer is not woken: that takes longer than all the rest, and it has more to do at once later.
			if o.armed.CompareAndSwap(false, true) {
				o.soon.Reset(gatherTime)
			}
			return true
		default:
		}
	}
	o.counts.dropped.Add(1)
	return false
}

// Forget drops what waits for a subject's consent, and says how many messages that were; what is under way is not tried
// again. With tags only theirs are meant.
func (o *Outbox) Forget(ctx context.Context, site string, subject uuid.UUID, tags ...string) (int, error) {
	if subject == uuid.Nil {
		return 0, nil // that is what stands on nobody's consent
	}
	type answer struct {
		n   int
		err error
	}
	done := make(chan answer, 1)
	n, taken := 0, uint64(0)
	t := &task{
		run: func(ctx context.Context, tx *sql.Tx) (err error) {
			// First where the senders look: what they took by then is marked.
			taken += o.line.forget(site, subject, tags, o.left)
			n, err = forget(ctx, tx, site, subject, tags)
			return err
		},
		after: func(err error) {
			if err == nil {
				taken += o.line.forget(site, subject, tags, o.left) // and what was offered just before, which is let in just now
				o.counts.dropped.Add(taken)
			}
			done <- answer{n, err}
		},
	}
	if err := o.put(ctx, t); err != nil {
		return 0, err
	}
	select {
	case a := <-done:
		return a.n, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (o *Outbox) put(ctx context.Context, t *task) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return ErrClosed
	}
	select {
	case o.tasks <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complete checks a message and fills in what may be left out.
func (o *Outbox) complete(m *Message) (err error) {
	if err := check(m); err != nil {
		return err
	}
	if m.ID == uuid.Nil {
		if m.ID, err = uuid.NewV7(); err != nil {
			return fmt.Errorf("making an id: %w", err)
		}
	}
	if m.Expires.IsZero() {
		m.Expires = o.now().Add(defaultExpiry)
	}
	if m.Receipt != uuid.Nil && m.Subject == uuid.Nil && o.opt.Subject == nil {
		return errors.New("it has a receipt, and nothing that finds its subject: give the subject")
	}
	return nil
}

func check(m *Message) error {
	u, err := url.Parse(m.URL)
	switch {
	case m.Site == "" || m.Tag == "":
		return errors.New("site or tag is missing: name both")
	case m.Method != http.MethodGet && m.Method != http.MethodPost:
		return fmt.Errorf("the method is %q: it is one of GET, POST", m.Method)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil:
		return errors.New("the URL is not one that can be sent to: write https://host/path") // it is not told: it may name a page
	case len(m.URL)+len(m.Body) > largest:
		return fmt.Errorf("URL and body have %d bytes: at most %d", len(m.URL)+len(m.Body), largest)
	}
	for name, values := range m.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("the header %q has no possible name", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("the header %s has a value that cannot be sent", name)
			}
		}
	}
	return nil
}

// find fills in the subject of a message that names a receipt.
func (o *Outbox) find(ctx context.Context, m *Message) (err error) {
	if m.Receipt == uuid.Nil || m.Subject != uuid.Nil {
		return nil
	}
	if m.Subject, err = o.opt.Subject(ctx, m.Site, m.Receipt); err != nil {
		return fmt.Errorf("finding whose consent the receipt %s is: %w", m.Receipt, err)
	}
	return nil
}

// host is what shares a lane.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// millis is a time as it is stored.
func millis(t time.Time) int64 { return t.UnixMilli() }
