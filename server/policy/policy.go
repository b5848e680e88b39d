// Package policy draws a site's cookie policy from Markdown (Render), and shows what changed between two versions of it
// (Compare), so that old versions stay readable and comparable (REQUIREMENTS C6). It is pure: no HTTP, no SQL, no clock,
// and the same texts give the same bytes every time.
//
// The Markdown is CommonMark with tables. What it may become is little, whatever it says: HTML is no part of it, so that
// tags and comments stand in the page as the text that they are; a link leads to http, https, mailto, tel or a place on
// the same host, and is otherwise its own text; an image is its alternative text, because the page that explains what is
// loaded loads nothing itself. There is no style attribute and no script for a content security policy to stop.
package policy

import (
	"bufio"
	"bytes"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	htmlrenderer "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// MaxSize is how many bytes of Markdown are read. A long policy has 50 KB.
const MaxSize = 1 << 20

// Page is a policy as a visitor reads it.
type Page struct {
	HTML    string   // the whole text, safe to stand in any page as it is, as far as what Fill returned is
	Title   string   // text of the first heading, not escaped; "" without one
	Filled  []string // the places that were filled, in order and as often as they stand: "cookies", "cookies:analytics"
	Unknown []string // the places that Fill did not know; they stand in HTML as they were written
}

// Fill returns the HTML that takes a place in the text. A place is a paragraph of nothing but {name} or {name:argument}:
// {cookies} for the tables of all categories, {cookies:analytics} for that of one, {recipients} for who receives data.
// The HTML is not escaped. An empty one with ok leaves the place out; !ok says that there is no such place.
type Fill func(name, argument string) (html string, ok bool)

var place = regexp.MustCompile(`^\{([a-z]+)(?::([^{}\s]+))?\}$`)

// Render draws a policy. A heading's id is its words joined by hyphens ("5. Cookies" is "5-cookies"), followed by -2, -3
// and so on where it came before. A nil fill knows no place. The one error is a text longer than MaxSize.
func Render(markdown []byte, fill Fill) (Page, error) {
	if len(markdown) > MaxSize {
		return Page{}, fmt.Errorf("the policy has %d bytes, and may have %d at most", len(markdown), MaxSize)
	}
	source := bytes.ToValidUTF8(bytes.TrimPrefix(markdown, []byte("\ufeff")), []byte("\ufffd"))
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))

	d := document{source: source, fill: fill, ids: map[string]int{}}
	root := dialect.Parser().Parse(text.NewReader(source))
	for _, n := range nodes(root) {
		switch n := n.(type) {
		case *ast.Heading:
			d.heading(n)
		case *ast.Paragraph:
			d.paragraph(n)
		case *ast.Link:
			d.link(n, util.URLEscape(n.Destination, true))
		case *ast.AutoLink:
			d.link(n, util.URLEscape(n.URL(source), false))
		case *ast.Image:
			unwrap(n)
		}
	}
	var out bytes.Buffer
	if err := dialect.Renderer().Render(&out, source, root); err != nil {
		return Page{}, fmt.Errorf("drawing the policy: %w", err)
	}
	d.page.HTML = out.String()
	return d.page, nil
}

// dialect is CommonMark with tables and without HTML.
var dialect = goldmark.New(
	goldmark.WithParser(parser.NewParser(
		parser.WithBlockParsers(slices.DeleteFunc(parser.DefaultBlockParsers(), isHTML)...),
		parser.WithInlineParsers(slices.DeleteFunc(parser.DefaultInlineParsers(), isHTML)...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
	)),
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
)

func isHTML(v util.PrioritizedValue) bool {
	return v.Value == parser.NewHTMLBlockParser() || v.Value == parser.NewRawHTMLParser()
}

// document is a policy on its way from Markdown to HTML.
type document struct {
	source []byte
	fill   Fill
	ids    map[string]int // of the headings so far: how often each was wanted
	page   Page
}

// nodes lists a tree from the top down, so that it can be changed while one goes through the list.
func nodes(root ast.Node) (list []ast.Node) {
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			list = append(list, n)
		}
		return ast.WalkContinue, nil
	})
	return list
}

func (d *document) heading(n *ast.Heading) {
	title := d.text(n)
	if d.page.Title == "" {
		d.page.Title = title
	}
	base := anchor(title)
	id := base
	for d.ids[id] > 0 {
		d.ids[base]++
		id = base + "-" + strconv.Itoa(d.ids[base])
	}
	d.ids[id]++
	n.SetAttributeString("id", []byte(id))
}

func anchor(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	if len(words) == 0 {
		return "section"
	}
	return strings.Join(words, "-")
}

// text is what a reader sees of a node, without its marks.
func (d *document) text(n ast.Node) string {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	for _, n := range nodes(n) {
		switch n := n.(type) {
		case *ast.Text:
			if value := n.Segment.Value(d.source); n.IsRaw() {
				htmlrenderer.DefaultWriter.RawWrite(w, value)
			} else {
				htmlrenderer.DefaultWriter.Write(w, value)
			}
			if n.SoftLineBreak() || n.HardLineBreak() {
				_ = w.WriteByte(' ')
			}
		case *ast.AutoLink:
			htmlrenderer.DefaultWriter.RawWrite(w, n.Label(d.source))
		}
	}
	_ = w.Flush() // into memory
	return strings.TrimSpace(html.UnescapeString(out.String()))
}

func (d *document) paragraph(n *ast.Paragraph) {
	written := strings.TrimSpace(string(n.Lines().Value(d.source)))
	found := place.FindStringSubmatch(written)
	if found == nil {
		return
	}
	name, filled, ok := strings.Trim(written, "{}"), "", false
	if d.fill != nil {
		filled, ok = d.fill(found[1], found[2])
	}
	if !ok {
		d.page.Unknown = append(d.page.Unknown, name)
		return
	}
	d.page.Filled = append(d.page.Filled, name)
	if filled == "" {
		n.Parent().RemoveChild(n.Parent(), n)
		return
	}
	block, content := ast.NewTextBlock(), ast.NewString([]byte(filled))
	content.SetCode(true) // written as it is
	block.AppendChild(block, content)
	n.Parent().ReplaceChild(n.Parent(), n, block)
}

// link keeps a link to an address that a policy may lead to, and leaves the text of any other. The address is looked at
// as it will be written, with everything in it resolved and escaped.
func (d *document) link(n ast.Node, address []byte) {
	if u, err := url.Parse(string(address)); err == nil && slices.Contains([]string{"", "http", "https", "mailto", "tel"}, u.Scheme) {
		return
	}
	if auto, ok := n.(*ast.AutoLink); ok {
		label := ast.NewString(auto.Label(d.source))
		label.SetRaw(true)
		n.Parent().ReplaceChild(n.Parent(), n, label)
		return
	}
	unwrap(n)
}

// unwrap leaves a node's children where it stood.
func unwrap(n ast.Node) {
	parent := n.Parent()
	for child := n.FirstChild(); child != nil; child = n.FirstChild() {
		parent.InsertBefore(parent, n, child)
	}
	parent.RemoveChild(parent, n)
}
