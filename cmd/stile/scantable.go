package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// row is what is the same on several places of the pages.
type row struct {
	*scannedFind
	page string // where it stands first
	more int    // places beside that
}

// scanTable is what people read: the worst first, what is the same once, and at most 100 characters a line unless a path is
// long.
func scanTable(s *scanned, configured bool) string {
	var b strings.Builder
	table := [][]string{{"WHAT", "VENDOR", "ACCOUNT", "CATEGORY", "WITHOUT JS", "WHERE"}}
	notes := map[int][]string{}
	last := state("")
	for _, r := range rows(s) {
		if r.State != last {
			last = r.State
			table = append(table, []string{titles[last]})
		}
		where := fmt.Sprintf("%s:%d", shortPage(r.page), r.Line)
		if r.more > 0 {
			where += fmt.Sprintf(" and %d more", r.more)
		}
		table = append(table, []string{r.What, r.who(), cmp.Or(r.Account, "-"), cmp.Or(r.Waits, r.Category, "-"), cmp.Or(brief(r.Leaks), "-"), where})
		notes[len(table)-1] = r.notes()
	}
	most := []int{14, 26, 26, 10, 15, 0}
	if tableWidth(table, most) > 100 {
		most = []int{14, 16, 15, 10, 15, 0}
	}
	if len(table) > 1 {
		writeTable(&b, table, most, notes)
		b.WriteString("\n")
	}
	for _, p := range s.Pages {
		if p.Cut {
			b.WriteString(partly(p.Page) + "\n")
		}
		if p.Stile != "" && !p.First {
			fmt.Fprintf(&b, "%s: Stile's script is not the first: what stands above it runs before it\n", p.Page)
		}
	}
	b.WriteString(s.sentence() + "\n")
	if s.Summary[ungated] > 0 && !configured {
		b.WriteString("stile init writes a stile.yaml of them, and says which lines to delete\n")
	}
	return b.String()
}

// titles stand above the rows of a state.
var titles = map[state]string{
	ungated: "UNGATED (asked before consent, and after a refusal)", unknown: "UNKNOWN HOST (decide whether it needs consent)",
	twice: "LOADED TWICE (by the page, and by Stile)", waits: "WAITS", exempt: "NEEDS NO CONSENT, as far as is known",
}

// brief is what leaks, in the width of a column.
func brief(leaks string) string {
	var parts []string
	for _, p := range [][2]string{{"IP address", "IP"}, {"page's address", "page"}, {"cookies", "cookies"}, {"visitor writes", "form"}} {
		if strings.Contains(leaks, p[0]) {
			parts = append(parts, p[1])
		}
	}
	if len(parts) == 0 && leaks != "" {
		return "yes"
	}
	return strings.Join(parts, "+")
}

// rows are the finds, the worst first, each kind of thing of somebody once.
func rows(s *scanned) (list []*row) {
	type same struct {
		state                                    state
		what, who, account, category, text, note string
	}
	seen := map[same]*row{}
	for i := range s.Pages {
		for k := range s.Pages[i].Finds {
			f := &s.Pages[i].Finds[k]
			key := same{f.State, f.What, f.who(), f.Account, f.Category, f.text(), f.Tag + f.Leaks}
			if r := seen[key]; r != nil {
				r.more++
				continue
			}
			r := &row{f, s.Pages[i].Page, 0}
			seen[key] = r
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *row) int { return slices.Index(states, a.State) - slices.Index(states, b.State) })
	return list
}

// notes are said of a row beneath it.
func (r *row) notes() (list []string) {
	switch r.State {
	case waits, exempt:
		return nil
	case unknown:
		list = append(list, r.text())
	}
	if r.Tag != "" {
		list = append(list, "Stile loads the tag "+r.Tag+" already: delete it from the page")
	}
	return list
}

// columns are how wide the columns are, where some are cut; and the whole.
func columns(table [][]string, most []int) (widths []int, all int) {
	widths = make([]int, len(most))
	for _, line := range table {
		for i, cell := range line {
			if len(line) > 1 { // no title
				if most[i] > 0 {
					cell = cut(cell, most[i])
				}
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	for _, w := range widths {
		all += w + 2
	}
	return widths, all - 2
}

func tableWidth(table [][]string, most []int) int {
	_, all := columns(table, most)
	return all
}

func writeTable(b *strings.Builder, table [][]string, most []int, notes map[int][]string) {
	widths, _ := columns(table, most)
	for n, line := range table {
		for i, cell := range line {
			if i == len(line)-1 {
				b.WriteString(cell + "\n")
				continue
			}
			cell = cut(cell, most[i])
			b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		for _, note := range notes[n] {
			b.WriteString("    " + cut(note, 96) + "\n")
		}
	}
}

// cut is a text of at most so many characters, on one line.
func cut(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// shortPage is a page's name without the origin: a walk through a site has but one.
func shortPage(name string) string {
	if u, err := url.Parse(name); err == nil && isWeb(name) {
		return u.RequestURI()
	}
	return name
}

// sentence sums it up.
func (s *scanned) sentence() string {
	text := counted(len(s.Pages), "page", "pages") + ": "
	var parts []string
	for _, p := range []struct {
		state     state
		one, many string
	}{
		{ungated, "ungated", "ungated"},
		{unknown, "of an unknown host", "of unknown hosts"},
		{twice, "loaded twice", "loaded twice"},
		{waits, "waits", "wait"},
		{exempt, "needs no consent", "need no consent"},
	} {
		if n := s.Summary[p.state]; n > 0 {
			parts = append(parts, counted(n, p.one, p.many))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no third party is asked for anything"}
	}
	text += strings.Join(parts, ", ")
	if n := len(s.Errors); n > 0 {
		text += "; " + counted(n, "address", "addresses") + " could not be read"
	} else if s.Partial {
		text += "; not all that was asked for was looked at"
	}
	return text
}
