package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// source is the text of a file by line, for excerpts.
type source struct {
	name  string
	lines []string // without line ends
}

func newSource(name string, src []byte) source {
	if len(src) > MaxSize {
		return source{name: name}
	}
	lines := strings.Split(string(src), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	lines[0] = strings.TrimPrefix(lines[0], bom)
	return source{name, lines}
}

// bom may stand before the text, as some editors put it there.
const bom = "\ufeff"

// place is a line and a column, both from 1, the column in characters. The zero place is the file as a whole.
type place struct{ line, column int }

// clamp moves a place into the text: an error at the end of a file is shown after its last character.
func (s source) clamp(p place) place {
	if len(s.lines) == 0 || p.line < 1 {
		return place{}
	}
	if p.line > len(s.lines) {
		p = place{len(s.lines), 1 << 30}
	}
	return place{p.line, min(max(p.column, 1), utf8.RuneCountInString(s.lines[p.line-1])+1)}
}

// How much of a long line an excerpt shows, and how much of that before the place.
const (
	shownLine   = 120
	shownBefore = 80
)

// excerpt is the line with a caret under the place.
func (s source) excerpt(line, column int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	text := []rune(s.lines[line-1])
	at := min(column-1, len(text))
	from, to := 0, len(text)
	var head, tail string
	if to > shownLine {
		from = max(0, min(at-shownBefore, to-shownLine))
		to = from + shownLine
	}
	if from > 0 {
		head = "..."
	}
	if to < len(text) {
		tail = "..."
	}
	number := fmt.Sprintf("%5d", line)
	caret := strings.Repeat(" ", len(head)+cells(text[from:at])) + "^"
	return fmt.Sprintf("%s | %s%s%s\n%s | %s", number, head, shown(text[from:to]), tail,
		strings.Repeat(" ", len(number)), caret)
}

// shown is text as it can be printed on one line: a tab as two spaces, what is invisible as a box.
func shown(text []rune) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\t':
			b.WriteString("  ")
		case !unicode.IsPrint(c):
			b.WriteRune('\u25a1')
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// cells is how many columns of a terminal the text takes.
func cells(text []rune) int {
	n := 0
	for _, c := range text {
		kind := width.LookupRune(c).Kind()
		switch {
		case c == '\t', kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
			n += 2
		case unicode.Is(unicode.Mn, c) && unicode.IsPrint(c):
		default:
			n++
		}
	}
	return n
}
