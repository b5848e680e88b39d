package crawl

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/reach"
)

const mostHops = 10 // redirects in a row

var (
	errCircle = errors.New("it redirects in a circle")
	errCut    = errors.New("it is cut short")
)

// answer is what an address said in the end.
type answer struct {
	at     *url.URL
	status int
	header http.Header
	body   io.Reader
	close  func()
}

// fetch asks for an address and follows redirects to where they may go.
func (c *Crawl) fetch(ctx context.Context, at *url.URL, mayGo func(*url.URL) error) (*answer, error) {
	seen := map[string]bool{}
	for range mostHops {
		if seen[at.String()] {
			return nil, errCircle
		}
		seen[at.String()] = true
		a, err := c.ask(ctx, at)
		if err != nil {
			return nil, c.worded(err)
		}
		to := a.header.Get("Location")
		if a.status < 300 || a.status > 399 || to == "" {
			return a, nil
		}
		a.close()
		target, err := at.Parse(to)
		if err != nil || target.Scheme != "https" && target.Scheme != "http" || target.Host == "" {
			return nil, fmt.Errorf("it redirects to %.100q, which is no address", to)
		}
		at = canonical(target)
		if err := mayGo(at); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("it redirects more than %d times", mostHops)
}

// ask makes one request, when its turn has come.
func (c *Crawl) ask(ctx context.Context, at *url.URL) (*answer, error) {
	if err := c.pace(ctx); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, c.o.Page)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		stop()
		return nil, err
	}
	r.Header.Set("User-Agent", c.o.Agent)
	r.Header.Set("Accept", "text/html, application/xhtml+xml;q=0.9, */*;q=0.1")
	r.Header.Set("Accept-Encoding", "gzip")     // so that it is decompressed here, within the bound
	response, err := c.o.Transport.RoundTrip(r) //nolint:bodyclose // whoever takes the answer closes it
	if err != nil {
		stop()
		return nil, err
	}
	return &answer{at, response.StatusCode, response.Header, response.Body, func() { _ = response.Body.Close(); stop() }}, nil
}

// pace waits until the next request may be made.
func (c *Crawl) pace(ctx context.Context) error {
	if wait := time.Until(c.next); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	every := time.Duration(float64(time.Second) / c.o.Rate)
	if c.rules != nil {
		every = max(every, c.rules.delay)
	}
	c.next = time.Now().Add(every)
	return nil
}

// worded says what happened in words for whoever named the address.
func (c *Crawl) worded(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no whole answer came within %s", c.o.Page)
	case errors.Is(err, reach.ErrRefused):
		return reach.ErrRefused // what it says beside that is for a server's operator
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	}
	return err
}

// html is the body of a page in UTF-8.
func (a *answer) html(most int64) ([]byte, error) {
	kind := a.header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); err == nil && media != "text/html" && media != "application/xhtml+xml" {
		return nil, fmt.Errorf("it is %.60s, not HTML", media)
	}
	body, err := a.plain(most)
	if err != nil {
		return nil, err
	}
	if sniffed := http.DetectContentType(body); kind == "" && !strings.HasPrefix(sniffed, "text/") {
		return nil, fmt.Errorf("it is %s, not HTML", sniffed)
	}
	return page.UTF8(body, kind)
}

// plain is the body, decompressed, if it is not larger than most.
func (a *answer) plain(most int64) ([]byte, error) {
	from, err := a.decompressed()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) > most:
		return nil, fmt.Errorf("it is larger than %s", Size(most))
	}
	return body, nil
}

func (a *answer) decompressed() (io.Reader, error) {
	switch coding := strings.ToLower(a.header.Get("Content-Encoding")); coding {
	case "", "identity":
		return a.body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(a.body)
		if err != nil {
			return nil, fmt.Errorf("it is said to be gzip: %w", err)
		}
		return z, nil
	default:
		return nil, fmt.Errorf("it is compressed by %.30q, which was not asked for", coding)
	}
}

// Size is a number of bytes for people.
func Size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d MB", n>>20)
}
