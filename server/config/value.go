package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// reader walks a file's tree and gathers what is wrong with it.
type reader struct {
	opt      Options
	src      source
	problems []Problem
	errors   int
	dropped  int
	siteName located
}

// located is text and where it stands; not ok when it was not there or not valid.
type located struct {
	text string
	at   value
	ok   bool
}

func (r *reader) fail(at place, path, hint, format string, args ...any) {
	r.tell(Error, at, path, hint, format, args...)
}

func (r *reader) tell(s Severity, at place, path, hint, format string, args ...any) {
	if len(r.problems) < maxProblems {
		at = r.src.clamp(at) // which is slow on a long line
	}
	r.add(Problem{
		File: r.src.name, Line: at.line, Column: at.column, Severity: s, Path: path,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// value is a place in the tree. The node is nil where a key is absent; reading that gives nothing and is no problem.
type value struct {
	r    *reader
	node ast.Node
	at   place
	path string
}

func (v value) present() bool { return v.node != nil }

func (v value) fail(hint, format string, args ...any) { v.r.fail(v.at, v.path, hint, format, args...) }

func (v value) warn(hint, format string, args ...any) {
	v.r.tell(Warning, v.at, v.path, hint, format, args...)
}

// wrong reports a value of another type.
func (v value) wrong(want string) {
	switch v.node.(type) {
	case *ast.NullNode:
		v.fail("write "+want+", or leave it out", "there is no value")
	case *ast.MappingNode, *ast.SequenceNode, *ast.StringNode, *ast.LiteralNode:
		v.fail("write "+want, "this is %s", kind(v.node))
	default:
		hint := "write " + want
		if strings.HasPrefix(want, "text") {
			hint = "put it in quotes"
		}
		v.fail(hint, "this is %s, not %s", kind(v.node), want)
	}
}

func kind(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.BoolNode:
		return "true or false"
	}
	return "a number"
}

// text reads any text.
func (v value) text() (string, bool) {
	switch n := v.node.(type) {
	case nil:
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	default:
		v.wrong("text")
	}
	return "", false
}

// words reads text for people, which has to say something.
func (v value) words() (string, bool) {
	s, ok := v.text()
	s = strings.TrimSpace(s)
	if ok && s == "" {
		v.fail("write something, or leave the key out", "it is empty")
	}
	return s, ok && s != ""
}

// line reads words of one line, of at most limit characters.
func (v value) line(limit int) (string, bool) {
	s, ok := v.words()
	switch {
	case !ok:
	case strings.ContainsFunc(s, unicode.IsControl):
		v.fail("write it on one line", "it has more than one line")
		ok = false
	case utf8.RuneCountInString(s) > limit:
		v.fail(fmt.Sprintf("at most %d", limit), "it has %d characters", utf8.RuneCountInString(s))
		ok = false
	}
	return s, ok
}

// literal reads text or a number, as it is written in the file: an account id is no number to calculate with.
func (v value) literal() (string, bool) {
	switch n := v.node.(type) {
	case *ast.IntegerNode:
		return n.Token.Value, true
	case *ast.FloatNode:
		return n.Token.Value, true
	}
	return v.line(maxLine)
}

// maxLine is enough for a URL and too little to hurt.
const maxLine = 2000

func (v value) boolean(otherwise bool) bool {
	switch n := v.node.(type) {
	case nil:
	case *ast.BoolNode:
		return n.Value
	default:
		v.wrong("true or false")
	}
	return otherwise
}

// integer reads a whole number within bounds.
func (v value) integer(least, most, otherwise int) int {
	if v.node == nil {
		return otherwise
	}
	n, ok := v.node.(*ast.IntegerNode)
	if !ok {
		v.wrong("a whole number")
		return otherwise
	}
	i, err := strconv.Atoi(n.Token.Value)
	if err != nil || i < least || i > most {
		v.fail(fmt.Sprintf("write a number from %d to %d", least, most), "%s is not within bounds", quote(n.Token.Value))
		return otherwise
	}
	return i
}

// oneOf reads one of a few words; absent, it is the first.
func (v value) oneOf(words ...string) string {
	s, ok := v.text()
	if ok && !slices.Contains(words, s) {
		v.fail(suggest(s, words), "%s is not one of %s", quote(s), strings.Join(words, ", "))
	}
	if !ok || !slices.Contains(words, s) {
		return words[0]
	}
	return s
}

// list reads a list of at most limit items.
func (v value) list(limit int) []value {
	if v.node == nil {
		return nil
	}
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.wrong("a list")
		return nil
	}
	if len(n.Values) > limit {
		v.fail(fmt.Sprintf("at most %d", limit), "the list has %d items", len(n.Values))
	}
	items := make([]value, 0, min(limit, len(n.Values)))
	for i, node := range n.Values[:min(limit, len(n.Values))] {
		at := start(node)
		if implicit(node) && i < len(n.Entries) && n.Entries[i].Start != nil {
			at = tokenPlace(n.Entries[i].Start)
		}
		items = append(items, value{v.r, node, at, v.path + "[" + strconv.Itoa(i) + "]"})
	}
	return items
}

// within is the place of a line and column (both from 1) inside of a text: exact for a block "|" and for text that
// stands on one line as it is, else where the text begins.
func (v value) within(text string, line, column int) value {
	if block, ok := v.node.(*ast.LiteralNode); ok {
		first := block.Start.Position.Line
		if strings.HasPrefix(block.Start.Value, "|") && first < len(v.r.src.lines) {
			top := v.r.src.lines[first]
			indent := len(top) - len(strings.TrimLeft(top, " "))
			v.at = v.r.src.clamp(place{first + line, indent + column})
		}
		return v
	}
	if v.at.line < 1 || v.at.line > len(v.r.src.lines) || line != 1 {
		return v
	}
	rest := []rune(v.r.src.lines[v.at.line-1])
	skip := 0
	if from := v.at.column - 1; from < len(rest) && (rest[from] == '"' || rest[from] == '\'') {
		skip = 1
	}
	if from := min(v.at.column-1+skip, len(rest)); strings.HasPrefix(string(rest[from:]), text) {
		v.at.column += skip + column - 1
	}
	return v
}

// quote is text for a message, cut where nobody reads on.
func quote(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "..."
	}
	return strconv.Quote(s)
}
