package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
)

type mailFile struct {
	Category string   `json:"category" jsonschema_description:"The category whose consent counts: one that is not required."`
	Links    []string `json:"links,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true,pattern=^https?://[^/]+$" jsonschema_description:"The origins that a tracked link may lead to, written as in origins. http is for loopback. Default: the site's origins."`
	Log      string   `json:"log,omitempty" jsonschema:"pattern=^[1-9][0-9]{0\\,3}[dwmy]$,default=90d" jsonschema_description:"How long opens and clicks are kept: a number and d, w, m (30 days) or y. At most 2y."`
}

const (
	defaultLog = 90 * day
	longestLog = 2 * 365 * day
)

// newsletters reads how mails are counted; nil where they are not.
func newsletters(v value, s *consent.Site) *consent.Mail {
	if !v.present() {
		return nil
	}
	f := v.fields(keys[mailFile]())
	m := &consent.Mail{Links: s.Origins, Log: mailLog(f.get("log"))}
	category := f.need("category", "say whose consent counts: category: analytics")
	if c := category.category(s.Categories); c != nil {
		if c.Required {
			category.fail("name one that can be declined", "nobody is asked for consent to %s", quote(c.Name))
		}
		m.Category = c.Name
	}
	if f.has("links") {
		m.Links = mailLinks(f.get("links"))
	}
	return m
}

// mailLinks reads the destinations' origins. A link that is followed over http tells everybody on the way.
func mailLinks(v value) []string {
	all := origins(v)
	for _, item := range v.list(100) {
		s, ok := item.text()
		if !ok || !slices.Contains(all, s) || strings.HasPrefix(s, "https:") {
			continue
		}
		if u, err := url.Parse(s); err != nil || !loopback(u.Hostname()) {
			item.fail("write https", "a mail does not lead to http")
		}
	}
	return all
}

func mailLog(v value) time.Duration {
	n, unit, ok := v.span(memorySpan, "90d, 12w, 3m or 1y")
	if !ok {
		return defaultLog
	}
	d := time.Duration(n) * day * map[string]time.Duration{"d": 1, "w": 7, "m": 30, "y": 365}[unit]
	if d > longestLog {
		v.fail("at most 2y", "opens and clicks are not kept for %d days", d/day)
	}
	return d
}
