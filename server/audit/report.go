package audit

import (
	_ "embed"
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strings"
)

//go:embed report.css
var reportStyle string

// style is the report's own, in the file itself. It is ours, and has no "<".
func style() string { return "<style>" + reportStyle + "</style>" }

// picture is a state's screenshot as an address.
func (s *State) picture() string {
	return "data:image/webp;base64," + base64.StdEncoding.EncodeToString(s.Screenshot)
}

// doing is how a state was reached, in a line.
func (s *State) doing() string {
	text := "Nothing was pressed."
	if len(s.Done) > 0 {
		text = sentence(strings.Join(s.Done, ", then ")) + "."
	}
	return text
}

// allows says which optional categories the page allowed.
func (r *Report) allows(s *State) string {
	switch {
	case r.Stile == "":
		return ""
	case len(s.Granted) == 0:
		return "The page allows nothing optional."
	}
	return "The page allows " + strings.Join(s.Granted, ", ") + "."
}

// asked is what one host was asked for.
type asked struct {
	Host, Who string
	Times     int
	Types     []string
	First     Request
}

// others are the hosts that a state's page asked beside its own site's, the most often asked first.
func (r *Report) others(s *State) (list []asked) {
	for i := range s.Requests {
		q := &s.Requests[i]
		if !r.other(q) {
			continue
		}
		at := slices.IndexFunc(list, func(a asked) bool { return a.Host == q.Host })
		if at < 0 {
			at = len(list)
			list = append(list, asked{Host: q.Host, Who: q.Who, First: *q})
		}
		list[at].Times++
		if !slices.Contains(list[at].Types, q.Type) {
			list[at].Types = append(list[at].Types, q.Type)
		}
	}
	slices.SortStableFunc(list, func(a, b asked) int { return b.Times - a.Times })
	return list
}

// lasts is for how long a cookie is kept.
func (c *Cookie) lasts() string {
	switch {
	case c.Days <= 0:
		return "until the browser is closed"
	case c.Days < 1.0/24:
		return count(int(math.Round(c.Days*1440)), "minute")
	case c.Days < 1:
		return count(int(math.Round(c.Days*24)), "hour")
	}
	return count(int(math.Round(c.Days)), "day")
}

func (c *Cookie) kind() string {
	words := []string{"first party"}
	if c.ThirdParty {
		words[0] = "third party"
	}
	if c.HTTPOnly {
		words = append(words, "HttpOnly")
	}
	if c.Left {
		words = append(words, "from before")
	}
	return strings.Join(words, ", ")
}

// title is what the report is of, for people.
func (r *Report) title() string {
	u, err := url.Parse(r.Page)
	if err != nil {
		return r.Page
	}
	return u.Host + strings.TrimSuffix(u.Path, "/")
}

func verdictClass(n int, class string) string {
	if n == 0 {
		return "none"
	}
	return "badge " + class
}

// of are the lines of a verdict.
func (r *Report) of(v Verdict) (list []Line) {
	for _, l := range r.Lines() {
		if l.Verdict == v {
			list = append(list, l)
		}
	}
	return list
}

// in are the ids of the states in which something was found.
func (r *Report) in(l *Line) (ids []string) {
	for i := range r.States {
		if slices.Contains(l.States, r.States[i].Title) {
			ids = append(ids, r.States[i].ID)
		}
	}
	return ids
}
