package page

import (
	"bytes"
	"html"
	"strings"
)

// heldInStyle stands before an address in a style that waits: browsers ask nobody for it, and all else in the style holds.
const heldInStyle = "about:invalid#"

// pictures are where the addresses of pictures stand in a style: what url() has, but for what is imported and for fonts. In an
// attribute quotes may be written as references.
func pictures(css []byte) (list []span) {
	for at := 0; ; {
		n := bytes.IndexByte(css[at:], '(')
		if n < 0 {
			return list
		}
		from, begin := at+n+1, at
		if n = bytes.Index(css[begin:from], []byte("/*")); n >= 0 {
			if at = begin + n + 2; at > from-1 {
				at = from
			}
			if n = bytes.Index(css[at:], []byte("*/")); n < 0 {
				return list
			}
			at += n + 2
			continue
		}
		at = from
		name := css[begin : from-1]
		if len(name) < 3 || !is(name[len(name)-3:], "url") || imports(name[:len(name)-3]) {
			continue
		}
		if s := addressIn(css, from); s.to > s.from && !isFont(s.of(css)) {
			list = append(list, s)
			at = s.to
		}
	}
}

// imports tells whether what stands before url() makes its address that of a stylesheet.
func imports(before []byte) bool {
	before = bytes.TrimRight(before, " \t\r\n\f")
	const word = "@import"
	return len(before) >= len(word) && is(before[len(before)-len(word):], word)
}

// quotes are what may stand around an address.
var quotes = []string{`"`, `'`, "&quot;", "&#34;", "&#39;", "&#x27;", "&#x22;", "&apos;"}

// addressIn is where an address stands in the brackets that open there.
func addressIn(css []byte, from int) span {
	for from < len(css) && isSpace(css[from]) {
		from++
	}
	end := ")"
	for _, quote := range quotes {
		if bytes.HasPrefix(css[from:], []byte(quote)) {
			from, end = from+len(quote), quote
			break
		}
	}
	to := bytes.Index(css[from:], []byte(end))
	if to < 0 {
		to = len(css) - from
	}
	return span{from, from + to}
}

func isFont(address []byte) bool {
	path, _, _ := bytes.Cut(address, []byte("?"))
	path, _, _ = bytes.Cut(path, []byte("#"))
	path = bytes.TrimRight(path, " \t\r\n")
	switch strings.ToLower(string(path[bytes.LastIndexByte(path, '.')+1:])) {
	case "woff", "woff2", "ttf", "otf", "eot":
		return true
	}
	return false
}

// holdPictures is for what the pictures in a style wait that are of hosts which count who sees them, and where their addresses
// begin.
func (w *Writer) holdPictures(css []byte, attribute bool) (at []int, latest waits) {
	for _, s := range pictures(css) {
		address := string(s.of(css))
		if attribute {
			address = html.UnescapeString(address)
		}
		if category, id := w.ofAddress(address, countingOnly); category != "" {
			at = append(at, s.from)
			latest = w.gate.judge.later(latest, waits{category, id})
		}
	}
	return at, latest
}

// judgeStyle holds pictures in the style that is held, whose text ends there, or is so long already.
func (w *Writer) judgeStyle(to int) {
	css := w.b[w.code:to]
	at, waits := w.holdPictures(css[:min(len(css), snippetMost)], false)
	if waits.category != "" {
		w.anew(w.b[w.from:w.code], waits.category, waits.id)
		for _, i := range at {
			w.upTo(w.code + i)
			w.emit([]byte(heldInStyle))
		}
	}
	w.from, w.code = -1, -1
}
