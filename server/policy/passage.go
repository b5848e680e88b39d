package policy

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	nethtml "golang.org/x/net/html"
)

// A passage is a piece of text that is a whole to its reader: a paragraph, a heading, an item of a list, a row of a table.
type passage struct {
	path  []*element // the elements around it, the outermost first
	cell  string     // td or th in a row, otherwise ""
	cells [][]word   // of a row; one of anything else
}

type element struct{ tag string }

// A word is a piece of text that is compared as a whole: a word, a sign, the space between. Where words are not spaced,
// as in Chinese and Thai, it is a letter.
type word struct {
	html        string
	open, close string // its marks: "<strong>" and "</strong>"
	counts      bool   // it is more than a sign or a space
}

// passages reads what Render draws.
func passages(markdown []byte) (list []passage, err error) {
	page, err := Render(markdown, func(string, string) (string, bool) { return "", true })
	if err != nil {
		return nil, err
	}
	var p passage
	end := func() {
		for i, words := range p.cells {
			if n := len(words); n > 0 && words[n-1].html == " " {
				p.cells[i] = words[:n-1]
			}
		}
		if p.cell != "" || len(p.words()) > 0 {
			list = append(list, p)
		}
		p = passage{path: slices.Clone(p.path)}
	}
	marks := []word{{}}
	z := nethtml.NewTokenizer(strings.NewReader(page.HTML))
	for {
		kind, mark := z.Next(), marks[len(marks)-1]
		raw, token := string(z.Raw()), z.Token()
		start, tag := kind == nethtml.StartTagToken, token.Data
		switch {
		case kind == nethtml.ErrorToken: // the end
			return list, nil
		case kind == nethtml.TextToken:
			p.write(token.Data, mark)
		case tag == "br":
			p.add(word{html: "<br>"})
		case tag == "hr":
		case tag == "td", tag == "th":
			if start {
				p.cell, p.cells = tag, append(p.cells, nil)
			}
		case tag == "a", tag == "code", tag == "em", tag == "strong":
			if start {
				marks = append(marks, word{open: mark.open + raw, close: "</" + tag + ">" + mark.close})
			} else {
				marks = marks[:len(marks)-1]
			}
		case start:
			end()
			p.path = append(p.path, &element{tag})
		default:
			end()
			p.path = p.path[:len(p.path)-1]
		}
	}
}

// write adds text, cut into words. Outside of <pre>, white space is one space.
func (p *passage) write(text string, mark word) {
	pre := slices.ContainsFunc(p.path, func(e *element) bool { return e.tag == "pre" })
	for len(text) > 0 {
		first, n := utf8.DecodeRuneInString(text)
		if class := classOf(first); class != sign {
			if n = strings.IndexFunc(text, func(r rune) bool { return classOf(r) != class }); n < 0 {
				n = len(text)
			}
		}
		w := mark
		w.html, w.counts = html.EscapeString(text[:n]), unicode.In(first, unicode.L, unicode.M, unicode.N)
		text = text[n:]
		if unicode.IsSpace(first) && !pre {
			if w.html = " "; len(p.cells) == 0 {
				continue // between two elements
			}
		}
		p.add(w)
	}
}

func (p *passage) add(w word) {
	if len(p.cells) == 0 {
		p.cells = [][]word{nil}
	}
	last := &p.cells[len(p.cells)-1]
	*last = append(*last, w)
}

const (
	sign = iota // stands alone
	space
	letter
)

func classOf(r rune) int {
	switch {
	case unicode.IsSpace(r):
		return space
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		return sign
	case unicode.In(r, unicode.L, unicode.M, unicode.N):
		return letter
	}
	return sign
}

func (p *passage) words() []word { return slices.Concat(p.cells...) }

// kind is what a passage is, whatever it says: "ul li ", "table tbody tr td3".
func (p *passage) kind() string {
	var kind strings.Builder
	for _, e := range p.path {
		kind.WriteString(e.tag + " ")
	}
	if p.cell != "" {
		kind.WriteString(p.cell + strconv.Itoa(len(p.cells)))
	}
	return kind.String()
}

// markup draws a passage, each of its cells by draw.
func (p *passage) markup(draw func(cell int) string) string {
	if p.cell == "" {
		return draw(0)
	}
	var out strings.Builder
	for i := range p.cells {
		out.WriteString("<" + p.cell + ">" + draw(i) + "</" + p.cell + ">\n")
	}
	return out.String()
}

// marked draws words within an element, "" for none, and each run of them that has the same marks within these.
func marked(element string, words []word) string {
	if len(words) == 0 {
		return ""
	}
	var out strings.Builder
	var last word
	for _, w := range words {
		if w.open != last.open {
			out.WriteString(last.close + w.open)
		}
		out.WriteString(w.html)
		last = w
	}
	out.WriteString(last.close)
	if element == "" {
		return out.String()
	}
	return "<" + element + ">" + out.String() + "</" + element + ">"
}

// alike says how much two passages have in common: from 0 to 1, which is the same words in any order, or that one goes on
// from where the other ends.
func alike(a, b *passage) float64 {
	if a.kind() != b.kind() {
		return 0
	}
	one, other := a.counting(), b.counting()
	first, shorter := 0, min(len(one), len(other))
	for first < shorter && one[first] == other[first] {
		first++
	}
	if first > 0 && 4*first >= 3*shorter {
		return 1
	}
	count, both := map[string]int{}, 0
	for _, w := range one {
		count[w]++
	}
	for _, w := range other {
		if count[w]--; count[w] >= 0 {
			both++
		}
	}
	return 2 * float64(both) / float64(max(len(one)+len(other), 1))
}

func (p *passage) counting() (words []string) {
	for _, w := range p.words() {
		if w.counts {
			words = append(words, w.html)
		}
	}
	return words
}
