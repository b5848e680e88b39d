package page

import "bytes"

// tag is one start or end tag as it is being read, byte for byte (WHATWG HTML, 13.2.5.8 and 13.2.5.32 to 13.2.5.40). Positions
// are in bytes from its "<". It is told from nothing but the bytes themselves: every encoding that Gatable lets through
// writes the characters that matter as ASCII does.
type tag struct {
	state tagState
	at    int         // read so far
	name  span        // without "<" and "</"
	attrs []attribute // in the order of the tag, doubles too
	open  attribute   // the one that is being read
	end   bool        // "</"
	self  bool        // "/>"
}

// span is from its first byte to before its last.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// attribute is one attribute. Its value is without quotes; character references stand in it as they are written.
type attribute struct{ name, value span }

type tagState uint8

const (
	inTagName tagState = iota
	beforeAttribute
	inName
	afterName
	beforeValue
	inDouble
	inSingle
	inBare
	afterValue
	afterSlash
)

// attributesMost is how many attributes of one tag are looked at.
const attributesMost = 1 << 10

// begin takes a tag anew that begins with "<" and a letter, or "</" and one.
func (t *tag) begin(end bool) {
	at := 1
	if end {
		at = 2
	}
	*t = tag{at: at, name: span{at, at}, attrs: t.attrs[:0], end: end}
}

// read goes on in b, which begins with the tag, and tells whether the tag ends in it: at is then after its ">".
func (t *tag) read(b []byte) bool {
	for ; t.at < len(b); t.at++ {
		c := b[t.at]
		switch t.state {
		case inDouble, inSingle:
			quote := byte('"')
			if t.state == inSingle {
				quote = '\''
			}
			n := bytes.IndexByte(b[t.at:], quote)
			if n < 0 {
				t.at = len(b)
				return false
			}
			t.at += n
			t.done(t.at, afterValue)
			continue
		case beforeValue:
			t.value(c)
			if t.state != afterValue {
				continue
			}
		case inBare:
			if c != '>' && !isSpace(c) {
				continue
			}
			t.done(t.at, beforeAttribute)
		}
		if c == '>' {
			t.close()
			return true
		}
		t.between(c)
	}
	return false
}

// value begins the value of an attribute. One that is missing ends the tag.
func (t *tag) value(c byte) {
	switch {
	case isSpace(c):
	case c == '>':
		t.open.value = span{t.at, t.at}
		t.keep(afterValue)
	case c == '"', c == '\'':
		t.open.value.from, t.state = t.at+1, inDouble
		if c == '\'' {
			t.state = inSingle
		}
	default:
		t.open.value.from, t.state = t.at, inBare
	}
}

// between reads a byte that is of no value and does not end the tag.
func (t *tag) between(c byte) {
	switch t.state {
	case inTagName:
		switch {
		case isSpace(c), c == '/':
			t.name.to, t.state = t.at, beforeAttribute
			if c == '/' {
				t.state = afterSlash
			}
		}
	case inName, afterName:
		t.named(c)
	default:
		switch {
		case c == '/':
			t.state = afterSlash
		case isSpace(c):
			t.state = beforeAttribute
		default: // a "=" too begins a name here
			t.open, t.state = attribute{name: span{t.at, t.at}}, inName
		}
	}
}

// named reads on in the name of an attribute, or after it.
func (t *tag) named(c byte) {
	if t.state == inName && (isSpace(c) || c == '/' || c == '=') {
		t.open.name.to = t.at
	}
	switch {
	case isSpace(c):
		t.state = afterName
	case c == '=':
		t.state = beforeValue
	case c == '/':
		t.keep(afterSlash)
	case t.state == afterName: // it had no value
		t.keep(inName)
		t.open = attribute{name: span{t.at, t.at}}
	}
}

// close ends the tag at its ">".
func (t *tag) close() {
	switch t.state {
	case inTagName:
		t.name.to = t.at
	case inName:
		t.open.name.to = t.at
		t.keep(afterName)
	case afterName:
		t.keep(afterName)
	}
	t.self = t.state == afterSlash
	t.at++
}

// cut ends the reading of attributes where a tag is too long: what is whole is kept, and a value as far as it was read.
func (t *tag) cut() {
	switch t.state {
	case inTagName:
		t.name.to = t.at
	case inDouble, inSingle, inBare:
		state := t.state
		t.done(t.at, state)
	}
}

func (t *tag) done(to int, next tagState) {
	t.open.value.to = to
	t.keep(next)
}

func (t *tag) keep(next tagState) {
	if len(t.attrs) < attributesMost {
		t.attrs = append(t.attrs, t.open)
	}
	t.state = next
}

// value of the first attribute of that name, as it is written; a later one of the same name counts for nothing.
func (t *tag) get(b []byte, name string) ([]byte, bool) {
	for _, a := range t.attrs {
		if is(a.name.of(b), name) {
			return a.value.of(b), true
		}
	}
	return nil, false
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// is tells whether b is the name, which is in lower case; of b only ASCII letters are.
func is(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
