package page

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// MaxPage is the size of the largest page that Scan reads, in bytes.
const MaxPage = 16 << 20

// Errors of Scan, beside those of reading.
var (
	ErrLarge   = errors.New("the page is larger than 16 MiB: nothing in it was looked at")
	ErrNotHTML = errors.New("this is no HTML page")
	ErrDeep    = errors.New("the page's elements are nested deeper than 512: nothing in it was looked at")
)

// readPage reads a page and writes it as UTF-8.
func readPage(r io.Reader, contentType string) ([]byte, error) {
	page, err := io.ReadAll(io.LimitReader(r, MaxPage+1))
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	if len(page) > MaxPage {
		return nil, ErrLarge
	}
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && strings.Contains(kind, "/") && kind != "text/html" && kind != "application/xhtml+xml" {
		return nil, fmt.Errorf("%w: its type is %s", ErrNotHTML, kind)
	}
	if page, err = UTF8(page, contentType); err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	if len(page) > 3*MaxPage/2 {
		return nil, ErrLarge
	}
	return page, isHTML(page)
}

// UTF8 writes a page as UTF-8, without a byte order mark. Its charset is that of this mark, of the content type ("" where
// there is none) or of the meta element, in this order; where none says so, UTF-8 if the page can be that, else
// windows-1252 (HTML, 13.2.3.2). What is none in a page that says it is UTF-8 becomes U+FFFD, as in browsers.
func UTF8(page []byte, contentType string) ([]byte, error) {
	encoding, name, certain := charset.DetermineEncoding(page, contentType)
	switch {
	case !certain && utf8.Valid(page):
	case name == "utf-8":
		page = bytes.ToValidUTF8(page, []byte("\ufffd"))
	default:
		text, err := encoding.NewDecoder().Bytes(page)
		if err != nil {
			return nil, fmt.Errorf("it is said to be in %s: %w", name, err)
		}
		page = text
	}
	return bytes.TrimPrefix(page, []byte("\ufeff")), nil
}

// isHTML tells what is no page: nothing, bytes, JSON, another kind of XML, and text without an element.
func isHTML(page []byte) error {
	text := bytes.TrimSpace(page)
	switch {
	case len(text) == 0:
		return fmt.Errorf("%w: it is empty", ErrNotHTML)
	case bytes.IndexByte(text[:min(len(text), 1024)], 0) >= 0:
		return fmt.Errorf("%w: it is binary", ErrNotHTML)
	case text[0] == '{' || text[0] == '[':
		return fmt.Errorf("%w: it looks like JSON", ErrNotHTML)
	}
	z := html.NewTokenizer(bytes.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return fmt.Errorf("%w: it has no element", ErrNotHTML)
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			if bytes.HasPrefix(text, []byte("<?xml")) && string(name) != "html" {
				return fmt.Errorf("%w: it is XML that begins with %s", ErrNotHTML, name)
			}
			return nil
		}
	}
}

// place is an attribute by which an element of the tree tells where its tag begins, and with an n that it stands in a
// noscript: what may not stand in a head's leaves it in the tree. It is put first, so that it counts if a page has it too.
const place = "data-stile-scan-place"

// marked are the elements that may be found.
var marked = map[string]bool{
	"script": true, "img": true, "iframe": true, "frame": true, "link": true, "form": true, "embed": true, "object": true, "video": true,
	"audio": true, "source": true, "template": true, "style": true, "image": true,
	"input": true, "track": true, "base": true,
}

// parse makes the tree of a page as it is without JavaScript, with places in it.
func parse(page []byte) (*html.Node, error) {
	root, err := html.ParseWithOptions(bytes.NewReader(mark(page)), html.ParseOptionEnableScripting(false))
	if err != nil { // the parser has no other reason: reading does not fail here
		return nil, ErrDeep
	}
	return root, nil
}

func mark(page []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(page) + len(page)/8)
	z := html.NewTokenizer(bytes.NewReader(page))
	z.SetMaxBuf(0)
	noscript := false
	for at := 0; ; {
		kind := z.Next()
		raw := z.Raw()
		if kind == html.ErrorToken {
			out.Write(page[min(at, len(page)):])
			return out.Bytes()
		}
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			after := 1 + nameLength(raw[1:])
			name := strings.ToLower(string(raw[1:after]))
			if name == "noscript" {
				noscript = true
				z.NextIsNotRawText()
			}
			if !marked[name] && !hasAside(raw) {
				break
			}
			out.Write(raw[:after])
			out.WriteString(" " + place + "=" + strconv.Itoa(at))
			if noscript {
				out.WriteByte('n')
			}
			if c := raw[after]; c == '/' || c == '>' {
				out.WriteByte(' ')
			}
			out.Write(raw[after:])
			at += len(raw)
			continue
		case html.EndTagToken:
			if len(raw) > 9 && strings.EqualFold(string(raw[2:10]), "noscript") {
				noscript = false
			}
		}
		out.Write(raw)
		at += len(raw)
	}
}

// hasAside tells of a tag of any name that something in it may be found: code and addresses in a style have brackets.
func hasAside(tag []byte) bool {
	return bytes.IndexByte(tag, '(') >= 0 || bytes.Contains(bytes.ToLower(tag), []byte("background"))
}

func nameLength(tag []byte) int {
	if i := bytes.IndexAny(tag, " \n\r\t\f/>"); i >= 0 {
		return i
	}
	return len(tag) - 1
}

// lines knows on which line a place is.
type lines []int

func newLines(page []byte) (l lines) {
	l = lines{0}
	for i, c := range page {
		if c == '\n' {
			l = append(l, i+1)
		}
	}
	return l
}

func (l lines) of(at int) (line, column int) {
	line, found := slices.BinarySearch(l, at)
	if found {
		line++
	}
	return line, at - l[line-1] + 1
}
