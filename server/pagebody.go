package server

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"golang.org/x/net/html/charset"

	"github.com/stilehq/stile/server/page"
)

// pageBody is the body of a page on its way through the gate: unpacked where the handler packed it, gated, and packed again
// in the same coding. It streams: what is flushed comes out at once, as far as the gate can decide.
type pageBody struct {
	to      io.Writer // the answer, or what packs it
	coder   coder     // nil: it is not packed
	unpack  *unpacker // nil: it is not packed
	charset bool      // the header says which, and it can be gated
	fetched bool      // by a script
	odd     bool      // in a coding that no browser knows
	begin   func(head []byte) *page.Writer
	passes  func(why string)

	head    []byte // until it is known whether the page can be gated
	known   bool
	gated   *page.Writer // nil: it passes
	release func()
}

func newPageBody(answer io.Writer, h http.Header, charset, fetched bool, begin func(head []byte) *page.Writer, passes func(string)) *pageBody {
	b := &pageBody{to: answer, charset: charset, fetched: fetched, begin: begin, passes: passes, release: func() {}}
	if c, found := codings[coded(h)]; found {
		b.coder, _ = c.pool.Get().(coder)
		b.coder.Reset(answer)
		b.to = b.coder
		b.unpack = newUnpacker(c.open, writerFunc(b.take))
		b.release = sync.OnceFunc(func() {
			b.unpack.stop()
			b.coder.Reset(io.Discard)
			c.pool.Put(b.coder)
		})
	} else {
		b.odd = h.Get("Content-Encoding") != "" && !strings.EqualFold(h.Get("Content-Encoding"), "identity")
	}
	return b
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Write takes the page as the handler wrote it.
func (b *pageBody) Write(p []byte) (int, error) {
	if b.unpack != nil {
		return b.unpack.Write(p)
	}
	return b.take(p)
}

// headSize is how much of a page browsers search for its charset.
const headSize = 1024

func (b *pageBody) take(p []byte) (int, error) {
	if b.known {
		return b.pass(p)
	}
	if len(b.head) == 0 && len(p) >= headSize {
		b.head = p
		return len(p), b.know()
	}
	b.head = append(b.head, p...)
	if len(b.head) < headSize {
		return len(p), nil
	}
	return len(p), b.know()
}

func (b *pageBody) pass(p []byte) (int, error) {
	if b.gated != nil {
		return b.gated.Write(p)
	}
	return b.to.Write(p)
}

// know decides by the beginning of a page whether it can be gated.
func (b *pageBody) know() error {
	if b.known {
		return nil
	}
	b.known = true
	if why := b.why(); why != "" {
		b.passes(why)
	} else {
		b.gated = b.begin(b.head[:min(len(b.head), headSize)])
	}
	head := b.head
	b.head = nil
	if len(head) == 0 {
		return nil
	}
	_, err := b.pass(head)
	return err
}

// why tells why a page cannot be gated, or "".
func (b *pageBody) why() string {
	wide := bytes.HasPrefix(b.head, []byte("\xfe\xff")) || bytes.HasPrefix(b.head, []byte("\xff\xfe")) // which browsers believe above all
	if wide || !b.charset {
		if _, name, _ := charset.DetermineEncoding(b.head[:min(len(b.head), headSize)], ""); unreadable8(name) {
			return "its charset is " + name
		}
	}
	kind := http.DetectContentType(b.head)
	switch text := bytes.TrimLeft(bytes.TrimPrefix(b.head, []byte("\xef\xbb\xbf")), " \t\r\n\f"); {
	case !strings.HasPrefix(kind, "text/") && (b.odd || kind != "application/octet-stream"): // a picture, a PDF, an archive
		return "it is " + kind
	case b.fetched && len(text) > 0 && (text[0] == '{' || text[0] == '['):
		return "it is data that a script asked for"
	}
	return ""
}

// opening is how a whole page begins: comments and the like may stand before.
var opening = regexp.MustCompile(`(?is)^\x{FEFF}?(?:\s|<!--.*?-->|<\?[^>]*>)*<(?:!doctype|html|head)[\s/>]`)

// unreadable8 tells whether a charset is one in which markup is not written in the bytes of ASCII. In the others that are no
// UTF-8 what is markup is so all the same: no second byte of Shift JIS, GBK or Big5 is one of < > " ' and &.
func unreadable8(name string) bool {
	_, canonical := charset.Lookup(name)
	return slices.Contains([]string{"utf-16be", "utf-16le", "iso-2022-jp", "replacement"}, canonical) || strings.HasPrefix(strings.ToLower(name), "utf-32") || strings.EqualFold(name, "utf-7")
}

// Flush sends what can be decided already.
func (b *pageBody) Flush() error {
	if b.unpack != nil && b.unpack.err != nil {
		return b.unpack.err
	}
	if len(b.head) > 0 {
		if err := b.know(); err != nil {
			return err
		}
	}
	if b.gated != nil {
		if err := b.gated.Flush(); err != nil {
			return err
		}
	}
	if b.coder != nil && b.unpack.out > 0 {
		return b.coder.Flush()
	}
	return nil
}

// Close writes the rest.
func (b *pageBody) Close() error {
	if b.unpack != nil {
		if b.unpack.in == 0 {
			return nil // nothing was packed, and nothing is
		}
		if err := b.unpack.Close(); err != nil {
			return err
		}
	}
	if err := b.know(); err != nil {
		return err
	}
	if b.gated != nil {
		if err := b.gated.Close(); err != nil {
			return err
		}
	}
	if b.coder != nil {
		return b.coder.Close()
	}
	return nil
}

// coder packs.
type coder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// coding is a Content-Encoding in which pages can be gated.
type coding struct {
	open func(io.Reader) (io.Reader, error)
	pool *sync.Pool // of coders
}

// The levels are what servers pack by as they go: about what the gate itself costs.
const (
	gzipLevel   = 5
	brotliLevel = 4
)

func pool(level int, make func(io.Writer, int) (coder, error)) *sync.Pool {
	return &sync.Pool{New: func() any {
		c, err := make(io.Discard, level)
		if err != nil {
			panic(err) // there is such a level
		}
		return c
	}}
}

var codings = func() map[string]coding {
	zipped := coding{gunzip, pool(gzipLevel, func(w io.Writer, n int) (coder, error) { return gzip.NewWriterLevel(w, n) })}
	return map[string]coding{
		"gzip": zipped, "x-gzip": zipped,
		"br": {
			func(r io.Reader) (io.Reader, error) { return brotliReader{brotli.NewReader(r)}, nil },
			pool(brotliLevel, func(w io.Writer, n int) (coder, error) { return brotli.NewWriterLevel(w, n), nil }),
		},
		"deflate": {inflate, pool(gzipLevel, func(w io.Writer, n int) (coder, error) { return zlib.NewWriterLevel(w, n) })},
	}
}()

// gunzip reads the members of a gzip file one by one. What stands behind the last, a line or zeros, is nothing to browsers.
func gunzip(r io.Reader) (io.Reader, error) {
	from := bufio.NewReader(r)
	z, err := gzip.NewReader(from)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipReader{z, from}, nil
}

type gzipReader struct {
	*gzip.Reader
	from *bufio.Reader
}

func (r *gzipReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	switch {
	case !errors.Is(err, io.EOF):
		return n, err
	case n > 0:
		return n, nil // what follows may be long in coming
	}
	if next, _ := r.from.Peek(3); string(next) != "\x1f\x8b\x08" {
		return 0, io.EOF
	}
	if err := r.Reset(r.from); err != nil {
		return 0, ended(err)
	}
	r.Multistream(false)
	return 0, nil
}

// brotliReader takes what stands behind the end of the packed page for nothing. brotli.Reader has an error for it, which it
// gives as well where its input came a few bytes at a time; all has been unpacked by then.
type brotliReader struct{ *brotli.Reader }

func (r brotliReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err.Error() == "brotli: excessive input" {
		err = io.EOF
	}
	return n, err
}

// inflate reads what goes by the name of deflate: zlib's format (RFC 9110, 8.4.1.2), or what some servers take it for.
func inflate(r io.Reader) (io.Reader, error) {
	var first [2]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return nil, err
	}
	r = io.MultiReader(bytes.NewReader(first[:]), r)
	if first[0]&0x0f == 8 && (uint(first[0])<<8|uint(first[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// coded is the Content-Encoding of an answer as browsers read it: of a name that none of them knows (none, utf-8) they take no
// notice.
func coded(h http.Header) string {
	list := strings.ToLower(strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ", ")))
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if codings[name].pool != nil || slices.Contains([]string{"zstd", "dcb", "dcz", "compress", "x-compress"}, name) {
			return list
		}
	}
	return ""
}

// unpacker unpacks what is written to it. What unpacks wants to read, and what answers writes: so the reading is a coroutine,
// which goes on when there is something to read and waits otherwise. When Write returns, all that could be unpacked was.
type unpacker struct {
	data    []byte
	ended   bool
	in, out int64
	err     error // of what was read or written
	done    bool
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
}

func newUnpacker(open func(io.Reader) (io.Reader, error), to io.Writer) *unpacker {
	u := &unpacker{}
	u.resume, u.stop = iter.Pull(func(yield func(struct{}) bool) {
		u.yield = yield
		if err := u.run(open, to); err != nil {
			u.err = fmt.Errorf("unpacking: %w", err)
		}
		u.done = true
	})
	return u
}

// A page may be as large as it likes where it is not packed: it passes at the pace of who sends it. Where it grows out of next
// to nothing it may not: markup comes out at up to 50 times its packed size.
const (
	mostUnpacked = 64 << 20
	mostGrowth   = 200
)

var errBomb = fmt.Errorf("more than %d MB came out of less than 1/%d of it", mostUnpacked>>20, mostGrowth)

func (u *unpacker) run(open func(io.Reader) (io.Reader, error), to io.Writer) error {
	r, err := open(u)
	if err != nil {
		return ended(err)
	}
	buffer := make([]byte, 16<<10)
	for {
		n, err := r.Read(buffer)
		if u.out += int64(n); u.out > mostUnpacked && u.out > mostGrowth*u.in {
			return errBomb
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// ended says of an end that came too early that it did.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errStopped = errors.New("nobody wants it any more")

// Read gives what was written to what unpacks it, and waits for more.
func (u *unpacker) Read(p []byte) (int, error) {
	for len(u.data) == 0 {
		if u.ended {
			return 0, io.EOF
		}
		if !u.yield(struct{}{}) {
			return 0, errStopped
		}
	}
	n := copy(p, u.data)
	u.data = u.data[n:]
	u.in += int64(n)
	return n, nil
}

func (u *unpacker) Write(p []byte) (int, error) {
	if u.data = p; !u.done {
		u.resume()
	}
	u.data = nil // what stands behind the end is nothing
	if u.err != nil {
		return 0, u.err
	}
	return len(p), nil
}

// Close says that there is no more.
func (u *unpacker) Close() error {
	if u.ended = true; !u.done {
		u.resume()
	}
	return u.err
}
