package outbox

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/reach"
)

// dispatch starts what is due, until ctx ends. Attempts are made under sends, which ends later.
func (o *Outbox) dispatch(ctx, sends context.Context) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	free := make(chan struct{}, mostSenders)
	for {
		send, expired, again := o.line.take(o.now(), mostSenders-len(free))
		for _, e := range expired {
			o.expire(e)
		}
		for _, e := range send {
			free <- struct{}{} // has room: take was told how much
			o.sends.Go(func() {
				o.send(sends, e)
				<-free
				o.look()
			})
		}
		timer.Stop()
		if !again.IsZero() {
			timer.Reset(again.Sub(o.now()))
		}
		select {
		case <-o.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// outcome is what came of an attempt.
type outcome struct {
	kind  kind
	why   error
	after time.Duration // as the host asks for, or 0
	host  bool          // the host itself does not answer, or asks for patience
}

type kind int

const (
	sent  kind = iota
	final      // given up
	again
	missing // it was forgotten meanwhile, or another process sent it
	lapsed  // the consent that it stands on no longer holds
	stopped // by Close
)

// send makes one attempt.
func (o *Outbox) send(ctx context.Context, e *entry) {
	m, err := o.store.load(ctx, e.seq)
	var out outcome
	switch {
	case errors.Is(err, sql.ErrNoRows):
		out = outcome{kind: missing}
	case ctx.Err() != nil:
		out = outcome{kind: stopped}
	case err != nil:
		o.log.Error("a message cannot be read", "error", err)
		out = outcome{kind: again, why: err}
	default:
		if out, holds := o.holds(ctx, e); !holds {
			o.settle(e, out)
			return
		}
		out = o.attempt(ctx, m)
	}
	o.settle(e, out)
}

// holds asks whether the consent that a message stands on still holds. Where that cannot be told the message waits.
func (o *Outbox) holds(ctx context.Context, e *entry) (outcome, bool) {
	if o.opt.Holds == nil || e.subject == uuid.Nil {
		return outcome{}, true
	}
	ctx, cancel := context.WithTimeout(ctx, o.opt.Timeout)
	defer cancel()
	holds, err := o.opt.Holds(ctx, e.site, e.tag, e.subject)
	if err != nil {
		return outcome{kind: again, why: err}, false
	}
	return outcome{kind: lapsed}, holds
}

// settle notes what came of an attempt. What is to be deleted or postponed is under way until that is written.
func (o *Outbox) settle(e *entry, out outcome) {
	o.line.mu.Lock()
	l := o.line.lanes[e.host]
	l.active--
	gone := e.gone
	e.settled = out.kind == sent || out.kind == final
	if gone && out.kind == sent {
		o.counts.dropped.Add(^uint64(0)) // Forget came too late for it
	}
	switch {
	case out.kind == stopped:
	case out.host:
		l.failures++
		l.until = o.now().Add(min(max(backoff(o.opt.Wait, l.failures), out.after), longestHold))
	default:
		l.failures, l.until = 0, time.Time{}
	}
	speak := out.kind == final && o.now().Sub(l.said) > time.Minute
	if speak {
		l.said = o.now()
	}
	o.line.mu.Unlock()
	if speak { // without the URL, which may name a page, or a person
		o.log.Warn("a message is given up; further ones to that host are for a minute without a word", "site", e.site, "tag", e.tag, "host", e.host, "error", out.why)
	}
	switch {
	case out.kind == sent:
		o.counts.sent.Add(1)
		o.delete(e)
	case out.kind == stopped:
		o.release(e)
	case out.kind == lapsed:
		o.drop(e)
	case out.kind == missing || gone:
		o.delete(e)
	case out.kind == final:
		o.counts.failed.Add(1)
		o.gaveUp(e)
		o.delete(e)
	default:
		o.later(e, out)
	}
}

// later puts a message back.
func (o *Outbox) later(e *entry, out outcome) {
	e.attempts++
	e.due = o.now().Add(min(max(backoff(o.opt.Wait, e.attempts), out.after), longestWait))
	o.log.Debug("a message is sent later", "site", e.site, "tag", e.tag, "host", e.host, "attempts", e.attempts, "due", e.due, "why", out.why)
	if !e.due.Before(e.expires) {
		o.expire(e)
		return
	}
	o.tasks <- &task{
		keep: true,
		run:  func(ctx context.Context, tx *sql.Tx) error { return postpone(ctx, tx, e) },
		after: func(error) {
			o.line.mu.Lock()
			delete(o.line.underway, e)
			if !e.gone {
				o.line.put(e)
			}
			o.line.mu.Unlock()
			o.look()
		},
	}
}

// expire drops a message whose time is over.
func (o *Outbox) expire(e *entry) {
	if o.drop(e) && e.attempts > 0 {
		o.gaveUp(e)
	}
}

func (o *Outbox) gaveUp(e *entry) {
	if o.opt.GaveUp != nil {
		o.opt.GaveUp(e.site, e.tag)
	}
}

// drop deletes a message that is not sent any more, unless it was forgotten already.
func (o *Outbox) drop(e *entry) (dropped bool) {
	o.line.mu.Lock()
	again := e.gone // and counted then
	e.settled = true
	o.line.mu.Unlock()
	if !again {
		o.counts.dropped.Add(1)
	}
	o.delete(e)
	return !again
}

// delete is content with a message that is not there. Where it cannot be deleted it is sent again after a restart.
func (o *Outbox) delete(e *entry) {
	o.tasks <- &task{
		keep:  true,
		run:   func(ctx context.Context, tx *sql.Tx) error { return remove(ctx, tx, e.seq) },
		after: func(error) { o.release(e) },
	}
}

func (o *Outbox) release(e *entry) {
	o.line.mu.Lock()
	defer o.line.mu.Unlock()
	delete(o.line.underway, e)
	o.left(e)
}

// backoff is how long to wait before an attempt after n that failed: doubled each time, and somewhere in its upper half so
// that those which failed together do not come back together.
func backoff(first time.Duration, n int) time.Duration {
	d := longestWait
	if n <= 30 {
		if shifted := first << (n - 1); shifted>>(n-1) == first {
			d = min(d, shifted)
		}
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret
}

// mostRead is how much of an answer is read, and thrown away: a connection is used again when all of it was.
const mostRead = 64 << 10

// attempt sends a message, and says what came of it.
func (o *Outbox) attempt(ctx context.Context, m *Message) outcome {
	ctx, cancel := context.WithTimeout(ctx, o.opt.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, m.Method, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return outcome{kind: final, why: fmt.Errorf("making the request: %w", err)}
	}
	if m.Header != nil {
		r.Header = m.Header
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // else Go names itself
	}
	resp, err := o.transport.RoundTrip(r) // a Client would follow redirects
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return outcome{kind: stopped}
	case errors.Is(err, reach.ErrRefused):
		return outcome{kind: final, why: err}
	case err != nil:
		return outcome{kind: again, why: err, host: true}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, mostRead) // the answer is its status
	_ = resp.Body.Close()
	return o.judge(resp)
}

func (o *Outbox) judge(resp *http.Response) outcome {
	answered := fmt.Errorf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch status := resp.StatusCode; {
	case status >= 200 && status < 400:
		return outcome{kind: sent}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return outcome{kind: again, why: answered, host: true, after: o.retryAfter(resp)}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		return outcome{kind: again, why: answered, after: o.retryAfter(resp)}
	default:
		return outcome{kind: final, why: answered}
	}
}

// retryAfter reads Retry-After, seconds or a date, within bounds: a mistake there is not to cost a day (RFC 9110, 10.2.3).
func (o *Outbox) retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, longestWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(o.now()), 0), longestWait)
	}
	return 0
}
