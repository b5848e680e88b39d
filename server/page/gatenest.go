package page

import (
	"html"
	"strings"
)

// foreign is an element that is open inside of SVG or MathML, or the root of these.
type foreign struct {
	id         uint64 // of its name
	kind       nesting
	math       bool
	annotation bool // MathML's <annotation-xml>, in which SVG may stand
	doubt      bool // while it is the last, nothing is sure: it may be closed already
	text       bool // it is in doubt, and HTML would take all up to its end tag for text
}

type nesting uint8

const (
	isForeign nesting = iota // it is SVG or MathML, and so is what stands in it
	isPoint                  // it is SVG or MathML, in which HTML stands
	isInner                  // it is HTML that stands in such a point
)

// foreignMost is how deep SVG and MathML are followed: browsers nest no deeper.
const foreignMost = 512

// enter tells whether the start tag is of SVG or MathML, and ends these where it cannot stand in them (WHATWG HTML, 13.2.6.5).
// It is exact while end tags match what is open in the SVG. One that does not may close an element around the SVG and the SVG
// with it, or nothing: to know which would take all open elements of the page, and all rules of how they end. It is in doubt
// then until something comes that is HTML in both cases, and everything waits that would be live in one of them.
func (w *Writer) enter(b []byte) {
	w.alien, w.doubt = false, false
	if len(w.foreign) == 0 {
		return
	}
	top := &w.foreign[len(w.foreign)-1]
	switch {
	case !top.doubt && top.kind != isForeign:
		w.alien = top.kind == isPoint && top.math && !top.annotation && isGlyph(w.tag.name.of(b))
		if closesTables(w.name) {
			w.inDoubt()
		}
	case (breaks(w.name) || w.name == "font" && w.styled(b)) && w.leaveForeign():
	default:
		w.alien, w.doubt = !top.doubt, top.doubt
	}
}

func isGlyph(name []byte) bool { return is(name, "mglyph") || is(name, "malignmark") }

// leaveForeign goes on in HTML for sure, unless it may be text that seemed to begin HTML.
func (w *Writer) leaveForeign() bool {
	if w.maybeText() {
		return false
	}
	for n := len(w.foreign); n > 0; n-- {
		if w.foreign[n-1].kind != isForeign {
			w.foreign[n-1].doubt = false
			break
		}
		w.foreign = w.foreign[:n-1]
	}
	return true
}

// maybeText tells whether an element is open that may hold text: nothing in it makes sure of anything but its end tag. All
// that seems to be open in it is in doubt.
func (w *Writer) maybeText() bool {
	for i := len(w.foreign) - 1; i >= 0 && w.foreign[i].doubt; i-- {
		if w.foreign[i].text {
			return true
		}
	}
	return false
}

// inDoubt takes note that what is open may be closed. What is in doubt is all that is open before something that is not.
func (w *Writer) inDoubt() {
	for i := len(w.foreign) - 1; i >= 0 && !w.foreign[i].doubt; i-- {
		w.foreign[i].doubt = true
	}
}

func (w *Writer) styled(b []byte) bool {
	for _, name := range []string{"color", "face", "size"} {
		if _, found := w.tag.get(b, name); found {
			return true
		}
	}
	return false
}

// endTag looks at an end tag.
func (w *Writer) endTag() {
	if w.head != headDone {
		w.headEnd()
	}
	switch {
	case len(w.foreign) > 0:
		w.endForeign()
	case w.name == "template":
		w.endTemplate()
	}
}

// endForeign closes what the end tag is of: in SVG and MathML the last such element, in HTML there the last element alone.
func (w *Writer) endForeign() {
	for last, i := len(w.foreign)-1, len(w.foreign)-1; i >= 0; i-- {
		f := w.foreign[i]
		if f.id == w.id && (i == last || f.kind != isInner) {
			w.foreign = w.foreign[:i]
			if f.kind == isInner && w.name == "template" {
				w.endTemplate()
			}
			return
		}
		if f.kind == isInner || f.text {
			break
		}
	}
	switch {
	case w.name == "template" && w.endTemplate() && !w.maybeText():
		w.toTemplate()
	case (w.name == "p" || w.name == "br") && w.leaveForeign(): // they become elements of HTML
	default:
		w.inDoubt()
	}
}

// endTemplate tells whether a template of HTML was open.
func (w *Writer) endTemplate() bool {
	switch {
	case w.inert > 0:
		w.inert--
	case w.shadows > 0:
		w.shadows--
	default:
		return false
	}
	return true
}

// toTemplate closes all that is open in the last template, and it.
func (w *Writer) toTemplate() {
	for n := len(w.foreign); n > 0; n-- {
		f := w.foreign[n-1]
		w.foreign = w.foreign[:n-1]
		if f.kind == isInner && f.id == w.id {
			return
		}
	}
}

// after goes on behind a tag, with what its element holds.
func (w *Writer) after() {
	held := w.code >= 0
	w.state = inData
	if !held {
		w.from = -1
	}
	switch {
	case w.tag.end:
	case w.alien, w.doubt:
		w.afterAlien()
	default:
		w.afterHTML()
	}
}

// afterAlien is for SVG and MathML, and where that is in doubt: what holds text in HTML holds markup there.
func (w *Writer) afterAlien() {
	if w.code >= 0 {
		w.state = inAlienScript
	}
	text := w.doubt && holdsText(w.name)
	if w.tag.self && !text {
		return
	}
	top := w.foreign[len(w.foreign)-1]
	f := foreign{id: w.id, math: top.math, doubt: w.doubt, text: text}
	switch w.name {
	case "svg":
		f.math = top.math && !top.annotation
		f.doubt = w.doubt && (top.math || w.maybeText())
	case "math":
		f.math = top.math || w.doubt
	case "foreignobject", "desc", "title":
		if !f.math {
			f.kind = isPoint
		}
	case "mi", "mo", "mn", "ms", "mtext":
		if f.math {
			f.kind = isPoint
		}
	case "annotation-xml":
		f.annotation = f.math
		if f.math && w.rich {
			f.kind = isPoint
		}
	}
	w.push(f)
}

func (w *Writer) push(f foreign) {
	if len(w.foreign) == foreignMost {
		w.foreign = w.foreign[:copy(w.foreign, w.foreign[foreignMost/2:])]
	}
	w.foreign = append(w.foreign, f)
}

func (w *Writer) afterHTML() {
	if w.name == "svg" || w.name == "math" {
		if !w.tag.self {
			w.push(foreign{id: nameID([]byte(w.name)), math: w.name == "math"})
		}
		return
	}
	if len(w.foreign) > 0 && !isVoid(w.name) {
		w.push(foreign{id: w.id, kind: isInner})
	}
	switch w.name {
	case "script":
		w.state, w.escape = inScript, unescaped
	case "title", "textarea", "style", "xmp", "iframe", "noembed", "noframes":
		w.state = inText
	case "noscript":
		if w.noscript {
			return // it is open already
		}
		w.state = inText
		if w.inert == 0 {
			w.upTo(w.at)
			w.inner = &Writer{to: w.to, gate: w.gate, address: w.address, base: w.base, moved: w.moved, noscript: true, from: -1, code: -1, mark: -1, depth: w.depth}
		}
	case "plaintext":
		w.state = inPlain
	case "template":
		if w.inert > 0 || !w.rich {
			w.inert++
		} else {
			w.shadows++
		}
	}
}

// isRich tells of a <template> that it is a shadow root, and of MathML's <annotation-xml> that it holds HTML.
func (w *Writer) isRich(b []byte) bool {
	switch w.name {
	case "template":
		mode, _ := w.tag.get(b, "shadowrootmode")
		return is(mode, "open") || is(mode, "closed")
	case "annotation-xml":
		kind, _ := w.tag.get(b, "encoding")
		text := strings.ToLower(html.UnescapeString(string(kind)))
		return text == "text/html" || text == "application/xhtml+xml"
	}
	return false
}

// breaks tells of the HTML elements that end SVG and MathML.
func breaks(name string) bool {
	switch name {
	case "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3", "h4", "h5", "h6",
		"head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s", "small", "span", "strong", "strike",
		"sub", "sup", "table", "tt", "u", "ul", "var":
		return true
	}
	return false
}

// closesTables tells of the start tags that may close a table or its parts, with all that is open in them.
func closesTables(name string) bool {
	switch name {
	case "table", "caption", "col", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr", "frameset":
		return true
	}
	return false
}

// holdsText tells of the elements of HTML in which there is no markup up to their end tag.
func holdsText(name string) bool {
	switch name {
	case "script", "title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "noscript":
		return true
	}
	return false
}

// isVoid tells of the elements of HTML that have no content.
func isVoid(name string) bool {
	switch name {
	case "area", "base", "br", "col", "embed", "hr", "image", "img", "input", "link", "meta", "source", "track", "wbr":
		return true
	}
	return false
}

// nameID stands for a name, in whatever case it is written.
func nameID(name []byte) uint64 {
	id := uint64(14695981039346656037) // FNV-1a
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		id = (id ^ uint64(c)) * 1099511628211
	}
	return id
}

// known is the name of an element that matters here, in lower case, and "" of others.
func known(name []byte) string {
	var lower [16]byte
	if len(name) == 0 || len(name) > len(lower) || lengths[name[0]|0x20]&(1<<len(name)) == 0 {
		return ""
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return interesting[string(lower[:len(name)])]
}

// interesting are the names that matter.
var interesting = byName(strings.Fields(`script img image iframe frame object embed track input source video audio link base
	noscript template html head body meta title style textarea xmp noembed noframes plaintext
	svg math foreignobject desc mi mo mn ms mtext annotation-xml font
	b big blockquote br center code dd div dl dt em h1 h2 h3 h4 h5 h6 hr i li listing menu nobr ol p pre ruby s small span strong strike
	sub sup table tt u ul var
	section article aside header footer main nav form a button label select option td tr th tbody thead tfoot figure
	caption col colgroup frameset area wbr`))

// lengths are those of the names that matter, by their first letter: most others need not be looked up.
var lengths = func() (l [256]uint32) {
	for name := range interesting {
		l[name[0]] |= 1 << len(name)
	}
	return l
}()

func byName(names []string) map[string]string {
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[n] = n
	}
	return m
}
