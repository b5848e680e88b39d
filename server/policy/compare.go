package policy

import (
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sergi/go-diff/diffmatchpatch"
)

const (
	tooLong = 10_000 // passages of both texts, or words of two passages: more are taken to have nothing in common
	nearby  = 20     // how many removed passages are looked at for the one that a new passage was
	folded  = 3      // so many unchanged passages or more are folded
)

// Compare shows how a policy became another: the new text's passages in order, in <del> what was removed and in <ins>
// what was added, word by word where a passage was changed. Of what was not changed, the passages beside a change and the
// heading above it are shown, and longer runs stand in <details> under the words unchanged ("Not changed").
//
// The texts are drawn as by Render, with the places left out: what fills them comes from the configuration and not from
// the author. Headings have no ids. changed is false where both have the same words, with the same emphasis and links, in
// the same kinds of passages. The one error is a text longer than MaxSize.
func Compare(before, after []byte, unchanged string) (html string, changed bool, err error) {
	old, err := passages(before)
	if err != nil {
		return "", false, err
	}
	present, err := passages(after)
	if err != nil {
		return "", false, err
	}
	c := comparison{counterpart: map[*element]*element{}}
	for _, h := range align(keys(old), keys(present)) {
		for i := range h.same {
			c.both(&old[i], &present[i])
		}
		old, present = old[h.same:], present[h.same:]
		c.replace(old[:h.old], present[:h.new])
		old, present = old[h.old:], present[h.new:]
	}
	c.settle()
	return c.draw(unchanged), slices.ContainsFunc(c.lines, func(l line) bool { return l.changed }), nil
}

// keys are what tells passages apart.
func keys(list []passage) (out []string) {
	for i := range list {
		p := &list[i]
		out = append(out, p.kind()+p.markup(func(i int) string { return marked("", p.cells[i]) }))
	}
	return out
}

// A hunk is what two sequences have in common, and then how many elements of each are not in the other.
type hunk struct{ same, old, new int }

// align compares two sequences, whose elements become the letters of two texts. It takes no clock into account, so that
// the answer is the same every time.
func align[T comparable](before, after []T) []hunk {
	if slices.Equal(before, after) {
		return []hunk{{same: len(after)}}
	}
	if len(before)+len(after) > tooLong {
		return []hunk{{old: len(before), new: len(after)}}
	}
	letters := map[T]rune{}
	spell := func(list []T) (out []rune) {
		for _, e := range list {
			if letters[e] == 0 {
				letters[e] = rune(len(letters) + 1) //nolint:gosec // tooLong at most
			}
			out = append(out, letters[e])
		}
		return out
	}
	differ := diffmatchpatch.New()
	differ.DiffTimeout = 0
	hunks := []hunk{{}}
	for _, d := range differ.DiffMainRunes(spell(before), spell(after), false) {
		n, last := utf8.RuneCountInString(d.Text), &hunks[len(hunks)-1]
		switch {
		case d.Type == diffmatchpatch.DiffDelete:
			last.old += n
		case d.Type == diffmatchpatch.DiffInsert:
			last.new += n
		case last.old+last.new > 0:
			hunks = append(hunks, hunk{same: n})
		default:
			last.same += n
		}
	}
	return hunks
}

// comparison is gathered as the lines that will be drawn.
type comparison struct {
	lines       []line
	counterpart map[*element]*element // of an element of the old text: what it became in the new one
}

type line struct {
	path    []*element
	html    string
	cells   bool // of a table's row
	changed bool
}

// both adds what became of a passage.
func (c *comparison) both(old, present *passage) {
	for i, e := range old.path {
		c.counterpart[e] = present.path[i]
	}
	l := line{path: present.path, cells: present.cell != ""}
	l.html = present.markup(func(i int) string {
		html, changed := reword(old.cells[i], present.cells[i])
		l.changed = l.changed || changed
		return html
	})
	c.lines = append(c.lines, l)
}

// whole adds passages that were removed or added, as tag says.
func (c *comparison) whole(tag string, list []passage) {
	for i := range list {
		p := &list[i]
		html := p.markup(func(i int) string { return marked(tag, p.cells[i]) })
		c.lines = append(c.lines, line{path: p.path, html: html, cells: p.cell != "", changed: true})
	}
}

// replace adds passages of the old text whose place passages of the new one took: of two that are much alike one became
// the other.
func (c *comparison) replace(old, present []passage) {
	added := 0 // so many of present are new
	for added < len(present) {
		best, most := -1, 0.5
		for i := range old[:min(len(old), nearby)] {
			if likeness := alike(&old[i], &present[added]); likeness >= most && (best < 0 || likeness > most) {
				best, most = i, likeness
			}
		}
		if best < 0 {
			added++
			continue
		}
		c.whole("del", old[:best])
		c.whole("ins", present[:added])
		c.both(&old[best], &present[added])
		old, present, added = old[best+1:], present[added+1:], 0
	}
	c.whole("del", old)
	c.whole("ins", present)
}

// settle shows what was removed in the list or table that it was removed from.
func (c *comparison) settle() {
	for _, l := range c.lines {
		for i, e := range l.path {
			if is, ok := c.counterpart[e]; ok {
				l.path[i] = is
			}
		}
	}
}

// reword shows how a passage became another. A single word that stayed between two changes changes with them: that
// reads better than three pieces.
func reword(old, present []word) (string, bool) {
	hunks := align(old, present)
	var out strings.Builder
	for i, h := range hunks {
		out.WriteString(marked("", present[:h.same]))
		old, present = old[h.same:], present[h.same:]
		if i+1 < len(hunks) && h.old+h.new > 0 && hunks[i+1].old+hunks[i+1].new > 0 {
			if next := &hunks[i+1]; counting(present[h.new:][:next.same]) <= 1 {
				*next = hunk{old: h.old + next.same + next.old, new: h.new + next.same + next.new}
				continue
			}
		}
		out.WriteString(marked("del", old[:h.old]) + marked("ins", present[:h.new]))
		old, present = old[h.old:], present[h.new:]
	}
	return out.String(), len(hunks) > 1 || hunks[0].old+hunks[0].new > 0
}

func counting(words []word) (n int) {
	for _, w := range words {
		if w.counts {
			n++
		}
	}
	return n
}

// draw writes the lines within their elements, and folds what is far from any change.
func (c *comparison) draw(unchanged string) string {
	var out strings.Builder
	var open []*element
	within := func(path []*element) {
		same := 0
		for same < min(len(open), len(path)) && open[same] == path[same] {
			same++
		}
		for i := len(open) - 1; i >= same; i-- {
			out.WriteString("</" + open[i].tag + ">\n")
		}
		for _, e := range path[same:] {
			out.WriteString("<" + e.tag + ">")
		}
		open = path
	}
	var last line
	for _, part := range c.fold() {
		if part.folded {
			within(nil)
			out.WriteString("<details><summary>" + html.EscapeString(unchanged) + "</summary>\n")
		}
		for _, l := range part.lines {
			if !l.cells && slices.Equal(l.path, last.path) { // what was removed is shown in an item that has a text of its own
				out.WriteString("<br>\n")
			}
			within(l.path)
			out.WriteString(l.html)
			last = l
		}
		if part.folded {
			within(nil)
			out.WriteString("</details>\n")
		}
	}
	within(nil)
	return out.String()
}

type part struct {
	lines  []line
	folded bool
}

// fold cuts the lines into parts that are shown and parts that are not. An outermost element, such as a list, is never
// cut.
func (c *comparison) fold() (parts []part) {
	var blocks []part
	for i, l := range c.lines {
		if i == 0 || l.path[0] != c.lines[i-1].path[0] {
			blocks = append(blocks, part{folded: true})
		}
		b := &blocks[len(blocks)-1]
		b.lines = append(b.lines, l)
	}
	heading := 0
	for i, b := range blocks {
		if tag := b.lines[0].path[0].tag; len(tag) == 2 && tag[0] == 'h' {
			heading = i
		}
		if slices.ContainsFunc(b.lines, func(l line) bool { return l.changed }) {
			for _, j := range []int{heading, max(i-1, 0), i, min(i+1, len(blocks)-1)} {
				blocks[j].folded = false
			}
		}
	}
	for i := 0; i < len(blocks); {
		n := 1
		for i+n < len(blocks) && blocks[i+n].folded == blocks[i].folded {
			n++
		}
		p := part{folded: blocks[i].folded && n >= folded}
		for _, b := range blocks[i : i+n] {
			p.lines = append(p.lines, b.lines...)
		}
		parts = append(parts, p)
		i += n
	}
	return parts
}
