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
	wildMost   = 32 << 10         // bytes of rules with "*" or "$": each link is searched for all of them
)

var errRobots = errors.New("robots.txt wants it left alone")

// rules are what robots.txt says to this crawler.
type rules struct {
	group *robotstxt.Group
	none  bool
	more  bool // there are more with wildcards than wildMost
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
	agent, _, _ := strings.Cut(c.o.Agent, "/")
	text, more := readable(text, agent)
	parsed, err := robotstxt.FromBytes(text)
	if err != nil {
		return failed(err)
	}
	group := parsed.FindGroup(agent)
	delay := group.CrawlDelay
	if delay < 0 || delay > mostDelay { // it overflows where the file asks for centuries
		delay = mostDelay
	}
	return &rules{group: group, more: more, delay: delay}, nil
}

// beginning is at most so many bytes of the body.
func (a *answer) beginning(most int64) ([]byte, error) {
	from, err := a.decompressed()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(from, most))
}

// readable are the lines of a robots.txt for this crawler, as the parser takes them: for a rule of nobody, or a delay that is no
// number, it would refuse the whole file (RFC 9309, 2.2.4: what can be read counts). Those for others are left out, since it
// gives each of a group's agents all of its rules, and rules with wildcards beyond wildMost: then there is more.
func readable(text []byte, agent string) (lines []byte, more bool) {
	var b bytes.Buffer
	ours, begun, wild := false, false, 0
	for line := range strings.FieldsFuncSeq(strings.TrimPrefix(string(text), "\ufeff"), func(c rune) bool { return c == '\n' || c == '\r' }) {
		key, value, _ := strings.Cut(line, ":")
		value, _, _ = strings.Cut(value, "#")
		value, _, _ = strings.Cut(strings.TrimSpace(value), " ")
		switch key = strings.ToLower(strings.TrimSpace(key)); key {
		case "user-agent", "useragent":
			us := value == "*" || value != "" && strings.HasPrefix(strings.ToLower(agent), strings.ToLower(value))
			ours, begun = us || ours && !begun, false // agents that follow one another share what follows them
			if !us {
				continue
			}
		case "allow", "disallow":
			begun = true
			if value == "" { // it allows everything, and ends the list of agents: the parser knows only the former
				key, value = "allow", "/robots.txt"
			}
			if !ours {
				continue
			}
			if strings.ContainsAny(value, "*$") {
				if wild += len(value); wild > wildMost {
					more = true
					continue
				}
			}
		case "crawl-delay", "crawldelay":
			begun = true
			if n, err := strconv.ParseFloat(value, 64); err != nil || !ours || !(n >= 0 && n < 1e6) {
				continue
			}
		default:
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return b.Bytes(), more
}
