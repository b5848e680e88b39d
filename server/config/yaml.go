package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document parses the text as one YAML document. It is not ok when there is nothing to walk.
func (r *reader) document(src []byte) (value, bool) {
	src = bytes.TrimPrefix(src, []byte(bom))
	if len(src) > MaxSize {
		r.add(Problem{File: r.src.name, Severity: Error, Message: "the file is larger than 1 MiB"})
		return value{}, false
	}
	if !r.plain(string(src)) {
		return value{}, false
	}
	tokens := lexer.Tokenize(string(src))
	if !r.tame(tokens) {
		return value{}, false
	}
	file, err := parseTokens(tokens)
	if err != nil {
		r.syntax(err)
		return value{}, false
	}
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if doc.Body != nil || doc.Start != nil && len(docs) > 0 {
			docs = append(docs, doc)
		}
	}
	switch {
	case len(docs) == 0 || docs[0].Body == nil:
		r.fail(place{1, 1}, "", `begin with "site: NAME"`, "the file is empty")
		return value{}, false
	case len(docs) > 1:
		at := place{1, 1}
		if docs[1].Start != nil {
			at = tokenPlace(docs[1].Start)
		} else if docs[1].Body != nil {
			at = start(docs[1].Body)
		}
		r.fail(at, "", "put each site into a file of its own", "there is a second document")
	}
	r.indented(docs[0].Body, place{0, 0}, true)
	if r.errors > 0 {
		return value{}, false // what the tree says is not what the eye sees
	}
	return value{r: r, node: docs[0].Body, at: start(docs[0].Body)}, true
}

// plain refuses bytes that are not text.
func (r *reader) plain(src string) bool {
	at := place{1, 0}
	for i, c := range src {
		at.column++
		switch {
		case c == '\n':
			at = place{at.line + 1, 0}
		case c == utf8.RuneError && !strings.HasPrefix(src[i:], string(utf8.RuneError)):
			r.fail(at, "", "save the file as UTF-8", "this byte is not UTF-8")
			return false
		case c == '\r' && strings.HasPrefix(src[i+1:], "\n"), c == '\t':
		case unicode.IsControl(c), c == '\u2028', c == '\u2029', c == '\ufeff':
			r.fail(at, "", "delete it", "there is an invisible control character, %U", c)
			return false
		}
	}
	return true
}

// Deeper than any stile.yaml: the parser recurses, and a stack that overflows cannot be recovered from.
const (
	maxDepth  = 16
	maxIndent = 256
	maxItems  = 10_000 // keys and list items: the parser recurses from key to key, in a time quadratic in their number
	maxTokens = 60_000
)

// tame refuses the parts of YAML that a configuration is better off without, and nesting that is only made to hurt.
func (r *reader) tame(tokens token.Tokens) bool {
	depth, line, dashes, items := 0, 0, 0, 0
	for i, t := range tokens {
		at := tokenPlace(t)
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			r.fail(at, "", "write the value out", "anchors, aliases and merge keys of YAML are refused")
		case token.TagType:
			r.fail(at, "", "leave it out, or put the value in quotes", "type tags of YAML are refused: %s", quote(t.Value))
		case token.MappingKeyType:
			r.fail(at, "", `write "key: value", or put the text in quotes`, `"?" keys of YAML are refused`)
		case token.DirectiveType:
			r.fail(at, "", "delete the line", "directives of YAML are refused")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
			items++
		case token.MappingValueType:
			items++
		}
		if depth > maxDepth || dashes > maxDepth || t.Position.Column > maxIndent && t.Position.IndentNum > maxIndent {
			r.fail(at, "", "", "this is nested too deep")
			return false
		}
		if items > maxItems || i > maxTokens {
			r.fail(at, "", "", "the file goes on after %d keys, list items and values", items)
			return false
		}
	}
	return r.errors == 0
}

// parseTokens parses, and takes a panic of the parser for a syntax error: a file that is being edited while the server
// watches it must never take the server down.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // fields tells all duplicates, not the first
}

func (r *reader) syntax(err error) {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		r.fail(place{1, 1}, "", "", "this is not YAML: %v", err)
		return
	}
	at, hint := tokenPlace(syntax.Token), ""
	if strings.Contains(syntax.Message, "'\t'") || strings.Contains(syntax.Message, "tab character") {
		r.fail(at, "", "indent with spaces", "a tab cannot indent YAML")
		return
	}
	switch {
	case strings.Contains(syntax.Message, "mapping value is not allowed"):
		hint = `check the indentation, and put text that has ": " in it in quotes`
	case strings.Contains(syntax.Message, "value is not allowed"), strings.Contains(syntax.Message, "non-map value"):
		hint = "check the indentation"
	case strings.Contains(syntax.Message, "reserved character"):
		hint = "put the text in quotes"
	case strings.Contains(syntax.Message, "not found"), strings.Contains(syntax.Message, "could not find"):
		hint = "close it"
	}
	r.fail(at, "", hint, "this is not YAML: %s", syntax.Message)
}

// indented refuses what the parser takes for a part of something that it is not indented under, such as the line after
// an empty "-". The parent is the key or dash above.
func (r *reader) indented(node ast.Node, parent place, list bool) {
	at := start(node)
	if at.line > parent.line && (at.column < parent.column || at.column == parent.column && !list) {
		r.fail(at, "", "indent it, or give the line above a value", "this belongs to line %d, but is not indented under it", parent.line)
		return
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, pair := range n.Values {
			key := start(pair.Key)
			if !n.IsFlowStyle && key.column != at.column && key.line > at.line {
				r.fail(key, "", "begin the keys of a mapping in the same column", "the indentation is not that of line %d", at.line)
				return
			}
			if !n.IsFlowStyle && !implicit(pair.Value) {
				_, sequence := pair.Value.(*ast.SequenceNode)
				r.indented(pair.Value, key, sequence)
			}
		}
	case *ast.SequenceNode:
		for i, item := range n.Values {
			if n.IsFlowStyle || implicit(item) || i >= len(n.Entries) || n.Entries[i].Start == nil {
				continue
			}
			r.indented(item, tokenPlace(n.Entries[i].Start), false)
		}
	}
}

// implicit tells whether a value is null because nothing was written.
func implicit(node ast.Node) bool {
	null, ok := node.(*ast.NullNode)
	return ok && strings.TrimSpace(null.Token.Origin) != null.Token.Value || node == nil || ok && null.Token.Type == token.ImplicitNullType
}

func tokenPlace(t *token.Token) place { return place{t.Position.Line, t.Position.Column} }

// start is where a node begins: for a mapping that is its first key, not the colon after it.
func start(node ast.Node) place {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	return tokenPlace(node.GetToken())
}
