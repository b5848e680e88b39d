package page

import (
	"bytes"
	"slices"
)

// run reads b as far as it can be read. It follows the tokenizer of WHATWG HTML (13.2.5), so far as it tells tags from what
// is none.
func (w *Writer) run() {
	for on := true; on && w.err == nil; {
		on = w.step()
		if w.mark >= 0 && w.state != inTag && w.past+int64(w.at) > headMost {
			w.place()
		}
	}
}

// step reads one token or a part of one, and tells whether it got on.
func (w *Writer) step() bool {
	switch w.state {
	case inData:
		return w.data()
	case inTag:
		return w.inTag()
	case inLongTag:
		w.tag.at = 0
		ended := w.tag.read(w.b[w.at:])
		w.at += w.tag.at
		if ended {
			w.after()
		}
		return ended
	case inComment:
		return w.comment()
	case inBogus:
		return w.until(">")
	case inCDATA:
		return w.until("]]>")
	case inText:
		return w.text()
	case inScript:
		return w.scriptText()
	case inAlienScript:
		return w.alienScript()
	default:
		w.at = len(w.b)
		return false
	}
}

// more says that from at on more has to come before it can be read. At the end of the page it is read as text.
func (w *Writer) more() bool {
	if w.last {
		w.at = len(w.b)
	}
	return false
}

// data reads text, and what begins with "<".
func (w *Writer) data() bool {
	if !w.headMark() {
		return false
	}
	rest := w.b[w.at:]
	n := bytes.IndexByte(rest, '<')
	if n < 0 {
		n = len(rest)
	}
	if w.head != headDone {
		w.headText(rest[:n])
	}
	w.at += n
	if rest = rest[n:]; len(rest) < 2 {
		return len(rest) == 1 && w.more()
	}
	switch c := rest[1]; {
	case isLetter(c):
		w.open(false)
	case c == '/':
		if len(rest) < 3 {
			return w.more()
		}
		if isLetter(rest[2]) {
			w.open(true)
		} else { // "</>" is nothing, and other things are a comment
			w.state, w.at = inBogus, w.at+2
		}
	case c == '?':
		w.state, w.at = inBogus, w.at+2
	case c == '!':
		return w.declaration(rest)
	default:
		if w.head != headDone {
			w.headOther(w.at)
		}
		w.at++
	}
	return true
}

func (w *Writer) open(end bool) {
	w.tag.begin(end)
	w.state, w.from = inTag, w.at
}

// declaration reads the beginning of what begins with "<!".
func (w *Writer) declaration(rest []byte) bool {
	const comment, cdata = "<!--", "<![CDATA["
	switch {
	case bytes.HasPrefix(rest, []byte(comment)) && w.maybeText(): // what is in it waits too
		w.at += len(comment)
	case bytes.HasPrefix(rest, []byte(comment)):
		w.state, w.at = inComment, w.at+2 // "<!-->" is a whole comment: its dashes begin and end it
		w.opened = w.past + int64(w.at)
	case w.sections() && bytes.HasPrefix(rest, []byte(cdata)):
		w.state, w.at = inCDATA, w.at+len(cdata)
	case !w.last && (len(rest) < len(comment) && bytes.HasPrefix([]byte(comment), rest) || len(rest) < len(cdata) && bytes.HasPrefix([]byte(cdata), rest)):
		return false
	default:
		w.state, w.at = inBogus, w.at+2
	}
	return true
}

// sections tells whether there may be CDATA: directly in an element of SVG or MathML.
func (w *Writer) sections() bool {
	n := len(w.foreign)
	return n > 0 && w.foreign[n-1].kind != isInner && !w.foreign[n-1].doubt
}

// until reads to after that, and to the end where it does not come.
func (w *Writer) until(what string) bool {
	rest := w.b[w.at:]
	if n := bytes.Index(rest, []byte(what)); n >= 0 {
		w.state, w.at = inData, w.at+n+len(what)
		return true
	}
	w.at += max(0, len(rest)-len(what)+1)
	return w.more()
}

// comment reads to after "-->" or "--!>". It begins at the dashes that opened the comment, of which "-->" may be.
func (w *Writer) comment() bool {
	for {
		rest := w.b[w.at:]
		n := bytes.Index(rest, []byte("--"))
		if n < 0 {
			w.at += max(0, len(rest)-1)
			return w.more()
		}
		w.at += n
		rest = rest[n:]
		switch {
		case len(rest) < 3 || len(rest) < 4 && rest[2] == '!':
			return w.more()
		case len(rest) > 2 && rest[2] == '>':
			w.state, w.at = inData, w.at+3
			return true
		case len(rest) > 3 && rest[2] == '!' && rest[3] == '>' && w.past+int64(w.at) >= w.opened+2: // "<!--!>" does not
			w.state, w.at = inData, w.at+4
			return true
		}
		w.at++
	}
}

// text reads to the end tag of the element.
func (w *Writer) text() bool {
	for {
		rest := w.b[w.at:]
		n := bytes.IndexByte(rest, '<')
		if n < 0 {
			w.at = len(w.b)
			w.within(w.at)
			w.large()
			return false
		}
		w.at += n
		switch ends(rest[n:], w.name) {
		case yes:
			if w.code >= 0 {
				w.judgeStyle(w.at)
			}
			w.within(w.at)
			w.leave()
			w.state = inData
			return true
		case unknown:
			w.within(w.at)
			w.large()
			return w.more()
		}
		w.at++
	}
}

type answer uint8

const (
	no answer = iota
	yes
	unknown // more has to come
)

// ends tells whether b begins with the end tag of an element.
func ends(b []byte, name string) answer { return begins(b, "</", name) }

func begins(b []byte, prefix, name string) answer {
	for i := range len(prefix) + len(name) {
		if i >= len(b) {
			return unknown
		}
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if i < len(prefix) && c != prefix[i] || i >= len(prefix) && c != name[i-len(prefix)] {
			return no
		}
	}
	if b = b[len(prefix)+len(name):]; len(b) == 0 {
		return unknown
	}
	if isSpace(b[0]) || b[0] == '/' || b[0] == '>' {
		return yes
	}
	return no
}

// within hands on what is inside a <noscript>.
func (w *Writer) within(to int) {
	if w.inner == nil {
		return
	}
	if to > w.done {
		_, w.err = w.inner.Write(w.b[w.done:to])
		w.done = to
	}
}

// leave ends a <noscript>.
func (w *Writer) leave() {
	if w.inner != nil {
		if err := w.inner.Close(); w.err == nil {
			w.err = err
		}
		if in := w.inner.waits; in.category != "" {
			w.note(in.category, in.id)
		}
		w.inner = nil
	}
}

// escape is where in a script's text a comment of the old kind is open, in which "<script>" may nest (13.2.5.17 to 31).
type escape uint8

const (
	unescaped escape = iota
	escaped
	escapedTwice
)

// scriptText reads to the end tag of the script.
func (w *Writer) scriptText() bool {
	for {
		rest := w.b[w.at:]
		n := w.scriptNext(rest)
		if n < 0 {
			w.at = len(w.b)
			w.large()
			return false
		}
		w.at += n
		switch w.scriptMark(rest[n:]) {
		case yes:
			if w.code >= 0 {
				w.judgeScript(w.at)
			}
			w.state = inData
			return true
		case unknown:
			w.large()
			return w.more()
		}
		w.at++
	}
}

// scriptNext is where the next byte stands that may matter, -1 for nowhere.
func (w *Writer) scriptNext(b []byte) int {
	if w.escape == unescaped {
		return bytes.IndexByte(b, '<')
	}
	return slices.IndexFunc(b, func(c byte) bool { return c == '<' || c == '-' })
}

// scriptMark looks at a "<" or "-" in a script's text, and tells whether the script ends there.
func (w *Writer) scriptMark(b []byte) answer {
	switch {
	case b[0] == '-':
		if len(b) < 3 {
			return ifPrefix("-->", b)
		}
		if b[1] == '-' && b[2] == '>' {
			w.escape = unescaped
		}
		return no
	case w.escape == unescaped:
		switch ifPrefix("<!--", b) {
		case yes:
			w.escape = escaped
			w.at++ // to before the dashes: "<!-->" opens and closes
			return no
		case unknown:
			return unknown
		}
	case w.escape == escaped:
		switch begins(b, "<", "script") {
		case yes:
			w.escape = escapedTwice
			return no
		case unknown:
			return unknown
		}
	default:
		a := ends(b, "script")
		if a == yes {
			w.escape, a = escaped, no
		}
		return a
	}
	return ends(b, "script")
}

func ifPrefix(what string, b []byte) answer {
	n := min(len(what), len(b))
	switch {
	case string(b[:n]) != what[:n]:
		return no
	case n < len(what):
		return unknown
	}
	return yes
}

// large judges a script that is held already for longer than may be.
func (w *Writer) large() {
	if w.code >= 0 && w.at-w.code > snippetMost {
		w.judgeText(w.at)
	}
}

// judgeText decides what to do with the text that is held.
func (w *Writer) judgeText(to int) {
	if w.name == "style" {
		w.judgeStyle(to)
	} else {
		w.judgeScript(to)
	}
}

// alienScript holds a script of SVG until its code is there, and goes back then: the code is read as the markup that it is too.
func (w *Writer) alienScript() bool {
	ended := no
	for ended != yes && w.at < len(w.b) {
		n := bytes.IndexByte(w.b[w.at:], '<')
		if n < 0 {
			w.at = len(w.b)
			break
		}
		w.at += n
		if ended = ends(w.b[w.at:], "script"); ended == unknown {
			break
		}
		if ended == no {
			w.at++
		}
	}
	if ended != yes && !w.last && w.at-w.code <= snippetMost {
		return false
	}
	code := w.code
	w.judgeScript(w.at)
	w.at, w.state = code, inData
	return true
}
