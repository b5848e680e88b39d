package page

import (
	"bytes"
	"html"
	"strings"
)

// headState is how far the place of Stile's tag is known.
type headState uint8

const (
	headDone   headState = iota // it is placed, or none is to be
	headBefore                  // no head is open yet
	headOpen                    // mark is the place, unless the page has the tag there already
)

const bom = "\uFEFF"

// headMark reads the byte order mark, and tells whether it is known if there is one.
func (w *Writer) headMark() bool {
	if w.head != headBefore || w.past > 0 || w.at > 0 || len(w.b) == 0 {
		return true
	}
	if bytes.HasPrefix(w.b, []byte(bom)) {
		w.at = len(bom)
		return true
	}
	return w.last || !strings.HasPrefix(bom, string(w.b[:min(len(w.b), len(bom))]))
}

// headText looks at text: before the head only white space may stand, and in it.
func (w *Writer) headText(text []byte) {
	for i, c := range text {
		if isSpace(c) {
			continue
		}
		w.headOther(w.at + i)
		return
	}
}

// headOther places the tag, at the latest there: what stands there would open the head, or close it.
func (w *Writer) headOther(at int) {
	if w.head == headBefore {
		w.head, w.mark = headOpen, at
	}
	w.place()
}

// place writes Stile's tag to its place.
func (w *Writer) place() {
	if w.head == headOpen {
		w.upTo(w.mark)
		w.emit([]byte(w.script))
	}
	w.head, w.mark = headDone, -1
}

// headStart looks at a start tag. The place is after <head>, or where the first thing stands that opens a head. What names the
// page's encoding goes before, where it would come too late for browsers otherwise.
func (w *Writer) headStart(b []byte) {
	if w.head == headBefore {
		switch w.name {
		case "html":
			return
		case "head":
			w.head, w.mark = headOpen, w.at
			return
		}
		w.head, w.mark = headOpen, w.from
	}
	start, end := w.past+int64(w.from), w.past+int64(w.at)
	switch {
	case start > headMost:
		w.place()
	case w.name == "meta":
		if w.names(b) && end <= headMost && end+int64(len(w.script)) > headMost {
			w.mark = w.at
		}
	case w.name == "script" && w.stile(b):
		w.head, w.mark = headDone, -1
	case w.name != "title" && w.name != "base":
		w.place()
	}
}

// headEnd looks at an end tag.
func (w *Writer) headEnd() {
	switch {
	case w.head == headOpen && w.name == "title":
	case w.head == headOpen, w.name == "head", w.name == "body", w.name == "html", w.name == "br":
		w.headOther(w.from)
	}
}

// names tells whether a <meta> names the page's encoding.
func (w *Writer) names(b []byte) bool {
	if _, found := w.tag.get(b, "charset"); found {
		return true
	}
	equiv, _ := w.tag.get(b, "http-equiv")
	return is(equiv, "content-type")
}

// stile tells whether a script is Stile's.
func (w *Writer) stile(b []byte) bool {
	src, found := w.tag.get(b, "src")
	if !found || !w.runs(b) {
		return false
	}
	theirs, err := w.base.Parse(strings.TrimSpace(html.UnescapeString(string(src))))
	if err != nil {
		return false
	}
	ours, err := w.address.Parse(w.gate.options.Script)
	return err == nil && ours.Host == theirs.Host && ours.Path == theirs.Path
}
