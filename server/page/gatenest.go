package page

import (
	"html"
	"strings"
)

// foreign is an element of SVG or MathML that is open, of those that matter: the roots, and those in which HTML stands again.
type foreign struct {
	name string
	math bool
	html bool // HTML stands in it
}

// foreignMost is how deep SVG and MathML are followed.
const foreignMost = 64

// enter tells whether the start tag is of SVG or MathML, and ends these where it cannot stand in them (WHATWG HTML, 13.2.6.5).
func (w *Writer) enter(b []byte) bool {
	if !w.inForeign() {
		return false
	}
	if breaks(w.name) || w.name == "font" && w.styled(b) {
		w.leaveForeign()
		return false
	}
	return true
}

func (w *Writer) inForeign() bool {
	n := len(w.foreign)
	return n > 0 && !w.foreign[n-1].html
}

func (w *Writer) leaveForeign() {
	for w.inForeign() {
		w.foreign = w.foreign[:len(w.foreign)-1]
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
	if w.name == "template" {
		switch {
		case w.inert > 0:
			w.inert--
		case w.shadows > 0:
			w.shadows--
		}
	}
	if w.name == "" || len(w.foreign) == 0 {
		return
	}
	for i := len(w.foreign) - 1; i >= 0; i-- {
		if w.foreign[i].name == w.name {
			w.foreign = w.foreign[:i]
			return
		}
	}
	if !foreignName(w.name) { // the end of an HTML element ends what is open in it
		w.leaveForeign()
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
	case w.tag.end, w.name == "":
	case w.alien:
		w.afterAlien()
	default:
		w.afterHTML()
	}
}

func (w *Writer) afterAlien() {
	if w.tag.self {
		return
	}
	top := w.foreign[len(w.foreign)-1]
	switch w.name {
	case "svg", "math":
		w.push(foreign{name: w.name, math: top.math})
	case "foreignobject", "desc", "title":
		if !top.math {
			w.push(foreign{name: w.name, html: true})
		}
	case "mi", "mo", "mn", "ms", "mtext", "annotation-xml":
		if top.math && (w.name != "annotation-xml" || w.rich) {
			w.push(foreign{name: w.name, math: true, html: true})
		}
	case "script", "style":
		// Their content is markup here, of which nobody writes any. What looks like it is code: it stays.
		w.state = inText
	}
}

func (w *Writer) push(f foreign) {
	if len(w.foreign) < foreignMost {
		w.foreign = append(w.foreign, f)
	}
}

func (w *Writer) afterHTML() {
	switch w.name {
	case "svg", "math":
		if !w.tag.self {
			w.push(foreign{name: w.name, math: w.name == "math"})
		}
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

// foreignName tells of the names that SVG and MathML have, of those that known knows.
func foreignName(name string) bool {
	switch name {
	case "svg", "math", "foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext", "annotation-xml", "script", "style", "image",
		"video", "audio", "iframe", "font":
		return true
	}
	return false
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
	section article aside header footer main nav form a button label select option td tr th tbody thead tfoot figure`))

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
