package receipt

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A receipt is rebuilt and compared byte for byte, by programs that are years younger than the one that wrote it. So its
// JSON is written here: what encoding/json escapes, and how, has changed before.

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any // string, int64, bool, object, lazy or list
}

// list is a JSON array.
type list []any

// lazy is an object that is built when it is written.
type lazy func() object

func texts(of []string) list {
	l := make(list, len(of))
	for i, s := range of {
		l[i] = s
	}
	return l
}

func (o *object) put(key string, value any) { *o = append(*o, member{key, value}) }

// putText leaves out what is not known.
func (o *object) putText(key, value string) {
	if value != "" {
		o.put(key, value)
	}
}

// writer writes JSON, in lines with an indent or all in one line. Where each record of a receipt begins is noted, so that
// an altered line can be said to be of one.
type writer struct {
	out    bytes.Buffer
	flat   bool
	depth  int
	starts []int // offsets of what is in the list "records",
	ended  int   // and of its end
}

// record is the record that an offset is in, from 1; 0 where it is in none.
func (w *writer) record(at int) int {
	if at >= w.ended {
		return 0
	}
	n := 0
	for n < len(w.starts) && at >= w.starts[n] {
		n++
	}
	return n
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.text(v)
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case bool:
		w.out.WriteString(strconv.FormatBool(v))
	case object:
		w.object(v)
	case lazy:
		w.object(v())
	case list:
		w.list(v, false)
	default:
		panic(fmt.Sprintf("receipt: %T in a document", v)) // its builder is in this package
	}
}

func (w *writer) object(o object) {
	w.out.WriteByte('{')
	w.depth++
	for i, m := range o {
		w.comma(i)
		w.line()
		w.text(m.key)
		w.out.WriteByte(':')
		if !w.flat {
			w.out.WriteByte(' ')
		}
		if l, ok := m.value.(list); ok {
			w.list(l, m.key == "records")
			continue
		}
		w.value(m.value)
	}
	w.close('}', len(o) > 0)
}

// list writes a list: of objects each on lines of its own, else all on one.
func (w *writer) list(l list, records bool) {
	inline := true
	for _, v := range l {
		switch v.(type) {
		case object, lazy:
			inline = false
		}
	}
	w.out.WriteByte('[')
	w.depth++
	for i, v := range l {
		if w.out.Len() > MaxSize {
			break // it is none already, whatever follows
		}
		w.comma(i)
		if !inline {
			w.line()
		} else if i > 0 && !w.flat {
			w.out.WriteByte(' ')
		}
		if records {
			w.starts = append(w.starts, w.out.Len())
		}
		w.value(v)
	}
	w.close(']', !inline)
	if records {
		w.ended = w.out.Len()
	}
}

func (w *writer) comma(i int) {
	if i > 0 {
		w.out.WriteByte(',')
	}
}

func (w *writer) close(with byte, line bool) {
	w.depth--
	if line {
		w.line()
	}
	w.out.WriteByte(with)
}

func (w *writer) line() {
	if w.flat {
		return
	}
	w.out.WriteByte('\n')
	for range w.depth {
		w.out.WriteString("  ")
	}
}

// text writes a string (RFC 8259, 7). What is no UTF-8 becomes U+FFFD.
func (w *writer) text(s string) {
	w.out.WriteByte('"')
	s = strings.ToValidUTF8(s, "\ufffd")
	from := 0 // of what is not written yet
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || c == '"' || c == '\\' {
			w.out.WriteString(s[from:i])
			w.escape(c)
			from = i + 1
		}
	}
	w.out.WriteString(s[from:])
	w.out.WriteByte('"')
}

func (w *writer) escape(c byte) {
	switch c {
	case '"', '\\':
		w.out.WriteByte('\\')
		w.out.WriteByte(c)
	case '\n':
		w.out.WriteString(`\n`)
	default:
		fmt.Fprintf(&w.out, `\u%04x`, c)
	}
}
