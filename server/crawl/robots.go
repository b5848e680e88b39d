package crawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/temoto/robotstxt"
)

const (
	robotsSize = 500 << 10        // bytes that are read of it (RFC 9309, 2.5)
	mostDelay  = 10 * time.Second // of what Crawl-delay may ask for
)

var errRobots = errors.New("robots.txt wants it left alone")

// rules are what robots.txt says to this crawler.
type rules struct {
	group *robotstxt.Group
	none  bool
	delay time.Duration
}

func (r *rules) allow(u *url.URL) bool { return !r.none && r.group.Test(u.RequestURI()) }

// robots reads the rules of the origin (RFC 9309, 2.3.1): one that is not there allows everything, one that cannot be read
// nothing; the error says that.
func (c *Crawl) robots(ctx context.Context) (*rules, error) {
	u, err := url.Parse(c.origin + "/robots.txt")
	if err != nil {
		return &rules{none: true}, err
	}
	failed := func(err error) (*rules, error) {
		return &rules{none: true}, &Error{u.String(), fmt.Errorf("no link is followed, since the rules cannot be read: %w", err)}
	}
	a, err := c.fetch(ctx, u, func(to *url.URL) error {
		if domain(to) != domain(u) {
			return fmt.Errorf("it redirects to %s, which is another site", to)
		}
		return nil
	})
	if err != nil {
		return failed(err)
	}
	defer a.close()
	switch {
	case a.status >= 400 && a.status < 500:
		return &rules{group: &robotstxt.Group{}}, nil
	case a.status != 200:
		return failed(fmt.Errorf("it answers %d", a.status))
	}
	text, err := a.beginning(robotsSize)
	if err != nil {
		return failed(c.worded(err))
	}
	parsed, err := robotstxt.FromBytes(readable(text))
	if err != nil {
		return failed(err)
	}
	agent, _, _ := strings.Cut(c.o.Agent, "/")
	group := parsed.FindGroup(agent)
	delay := group.CrawlDelay
	if delay < 0 || delay > mostDelay { // it overflows where the file asks for centuries
		delay = mostDelay
	}
	return &rules{group: group, delay: delay}, nil
}

// beginning is at most so many bytes of the body.
func (a *answer) beginning(most int64) ([]byte, error) {
	from, err := a.decompressed()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(from, most))
}

// readable leaves out the lines that the parser would refuse the whole file for: rules of nobody, and delays that are no
// numbers (RFC 9309, 2.2.4: what can be read counts).
func readable(text []byte) []byte {
	var b bytes.Buffer
	begun := false
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		key, value, _ := strings.Cut(string(line), ":")
		value, _, _ = strings.Cut(value, "#")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "user-agent", "useragent":
			begun = true
		case "allow", "disallow":
			if !begun {
				continue
			}
		case "crawl-delay", "crawldelay":
			if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil || !begun || !(n >= 0 && n < 1e6) {
				continue
			}
		}
		b.Write(line)
	}
	return b.Bytes()
}
