package audit

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Basis says by what the report was judged.
func (r *Report) Basis() string {
	switch {
	case r.Stile == "" && r.Config:
		return "The page has no Stile. It was judged by the site's file, as before a choice."
	case r.Stile == "":
		return "The page has no Stile. What is known as a tag would have to wait for consent."
	case r.Config && r.Regime != "":
		return fmt.Sprintf("Site %s, shown under regime %s, judged by its file.", r.Site, r.Regime)
	case r.Config:
		return fmt.Sprintf("Site %s, judged by its file.", r.Site)
	}
	return fmt.Sprintf("Site %s, judged by the page's own categories: --config names the site's file, which says more.", r.Site)
}

// Summary is the report in a sentence.
func (r *Report) Summary() string {
	if r.Wrong == 0 {
		return fmt.Sprintf("Nothing was there that should not have been, in %s. %s to be looked at.", count(len(r.States), "state"), count(r.Warnings, "thing"))
	}
	word := "should not have been there"
	if r.Stile == "" {
		word = "would have to wait for consent"
	}
	return fmt.Sprintf("%s %s; %d more to be looked at.", count(r.Wrong, "thing"), word, r.Warnings)
}

// WrongTitle stands over what is Wrong.
func (r *Report) WrongTitle() string {
	if r.Stile == "" {
		return "Would have to wait for consent"
	}
	return "Should not have been there"
}

// Count is how many findings of a state have a verdict.
func (s *State) Count(v Verdict) (n int) {
	for i := range s.Findings {
		if s.Findings[i].Verdict == v {
			n++
		}
	}
	return n
}

// Others is how many of a state's requests went to other hosts than the page's site and its Stile.
func (r *Report) Others(s *State) (n int) {
	for i := range s.Requests {
		if r.other(&s.Requests[i]) {
			n++
		}
	}
	return n
}

// other tells whether a request went to another host than the page's site and its Stile. A tag's is another wherever it is.
func (r *Report) other(q *Request) bool {
	return q.Who != "" || !sameSite(q.Host, hostOf(r.Page)) && (r.Stile == "" || !strings.HasPrefix(q.URL, folderOf(r.Stile)))
}

// longest is of an address for people, in characters.
const longest = 120

// Short is an address that fits on a line.
func Short(address string) string {
	if utf8.RuneCountInString(address) <= longest {
		return address
	}
	return string([]rune(address)[:longest-1]) + "…"
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
