package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/stilehq/stile/server/consent"
)

const (
	day           = 24 * time.Hour
	defaultMemory = 180 * day
	longestMemory = 395 * day // C1: 13 months
)

var (
	memorySpan    = regexp.MustCompile(`^([1-9][0-9]{0,3})([dwmy])$`)
	retentionSpan = regexp.MustCompile(`^([1-9][0-9]{0,3})([dmy])$`)
)

// memory is how long a choice holds. A month is 30 days and a year 365: a cookie's age is in seconds.
func memory(v value) time.Duration {
	n, unit, ok := v.span(memorySpan, "180d, 26w, 6m or 1y")
	if !ok {
		return defaultMemory
	}
	d := time.Duration(n) * day * map[string]time.Duration{"d": 1, "w": 7, "m": 30, "y": 365}[unit]
	switch {
	case d > longestMemory:
		v.fail("at most 395d", "a choice is not remembered for %d days", d/day)
	case d < defaultMemory:
		v.warn("180d is what CNIL and Garante expect",
			"visitors are asked again after %d days, those who refused too", d/day)
	}
	return d
}

// retention is how long records are kept, and what becomes of them then: 3y, or {keep: 3y, then: anonymise}.
func retention(v value, memory time.Duration) consent.Retention {
	if _, isMapping := v.node.(*ast.MappingNode); !isMapping {
		return retained(v, memory)
	}
	f := v.fields(keys[retentionFile]())
	keep := retained(f.get("keep"), memory)
	keep.Anonymise = f.get("then").oneOf("delete", "anonymise") == "anonymise"
	return keep
}

func retained(v value, memory time.Duration) consent.Retention {
	n, unit, ok := v.span(retentionSpan, "3y, 36m or 1095d")
	if !ok {
		return consent.Retention{Years: 3}
	}
	var keep consent.Retention
	days := n
	switch unit {
	case "y":
		keep.Years, days = n, 365*n
	case "m":
		keep.Months, days = n, 365*n/12
	default:
		keep.Days = n
	}
	switch {
	case days > 100*366:
		v.fail("at most 100y", "records are not kept for %d years", days/365)
	case time.Duration(days)*day < memory:
		v.fail(fmt.Sprintf("keep records for %dd at least, as long as choices are remembered", memory/day),
			"the record of a choice would be deleted while the choice still holds")
	case days < 3*365:
		v.warn("3y or more", "records are kept for less than three years: consent may have to be shown for longer")
	}
	return keep
}

// span reads a number and a unit.
func (v value) span(form *regexp.Regexp, like string) (n int, unit string, ok bool) {
	s, ok := v.literal()
	if !ok {
		return 0, "", false
	}
	m := form.FindStringSubmatch(s)
	if m == nil {
		v.fail("write it like "+like, "%s is not a length of time", quote(s))
		return 0, "", false
	}
	n, err := strconv.Atoi(m[1])
	return n, m[2], err == nil
}
