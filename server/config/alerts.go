package config

import (
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
)

type alertsFile struct {
	Email     []string `json:"email,omitempty" jsonschema:"minItems=1,maxItems=20,uniqueItems=true" jsonschema_description:"Who is told by e-mail what the site's team should look at. stile serve needs --smtp for it."`
	OptInDrop string   `json:"opt_in_drop,omitempty" jsonschema:"pattern=^[1-9][0-9]?%$,default=20%" jsonschema_description:"By which share of itself the opt-in rate may fall, against the same weekdays before, until somebody is told."`
	Requests  string   `json:"requests,omitempty" jsonschema:"pattern=^[1-9][0-9]{0\\,3}[dw]$,default=3d" jsonschema_description:"How long before a visitor's request is due somebody is told: a number and d or w. At most 14d."`
}

const (
	defaultDrop    = 20 // per cent
	defaultAhead   = 3 * day
	longestAhead   = 14 * day
	mostAddressees = 20
)

var (
	dropShare = regexp.MustCompile(`^([1-9][0-9]?)%$`)
	aheadSpan = regexp.MustCompile(`^([1-9][0-9]{0,3})([dw])$`)
)

// alerts reads what a site's team is told of, and where.
func alerts(v value) consent.Alerts {
	if !v.present() {
		return consent.Alerts{OptInDrop: defaultDrop, Requests: defaultAhead}
	}
	f := v.fields(keys[alertsFile]())
	a := consent.Alerts{OptInDrop: drop(f.get("opt_in_drop")), Requests: ahead(f.get("requests"))}
	if to := f.get("email"); to.present() {
		a.Email = addresses(to)
	}
	return a
}

// addresses reads e-mail addresses, each without a name.
func addresses(v value) (all []string) {
	items := v.list(mostAddressees)
	if len(items) == 0 {
		v.nothing("an address")
	}
	for _, item := range items {
		text, ok := item.line(254) // RFC 5321, 4.5.3.1.3
		if !ok {
			continue
		}
		a, err := mail.ParseAddress(text)
		switch {
		case err != nil || a.Address != text || strings.ContainsAny(text, ` "`):
			item.fail("write team@shop.example", "%s is no e-mail address", quote(text))
		case strings.ContainsFunc(text[:strings.LastIndexByte(text, '@')], func(c rune) bool { return c > '~' }):
			item.fail("use letters of ASCII before the @", "few mail servers take %s", quote(text))
		case slices.Contains(all, text):
			item.fail("remove one of them", "%s is there twice", quote(text))
		default:
			all = append(all, text)
		}
	}
	return all
}

func drop(v value) int {
	text, ok := v.literal()
	if !ok {
		return defaultDrop
	}
	m := dropShare.FindStringSubmatch(text)
	if m == nil {
		v.fail("write it like 20%, from 1% to 99%", "%s is not a share", quote(text))
		return defaultDrop
	}
	n, _ := strconv.Atoi(m[1]) // one or two digits
	if n < 5 {
		v.warn("10% or more", "an opt-in rate goes up and down by %d %% on its own", n)
	}
	return n
}

func ahead(v value) time.Duration {
	n, unit, ok := v.span(aheadSpan, "3d or 1w")
	if !ok {
		return defaultAhead
	}
	d := time.Duration(n) * day * map[string]time.Duration{"d": 1, "w": 7}[unit]
	if d > longestAhead {
		v.fail("at most 14d: a request is due 15 days after it came", "nobody can be told %d days before a request is due", d/day)
	}
	return d
}
