package page

import (
	"html"
	"io"
	"net/url"
	"strings"

	"github.com/stilehq/stile/server/hosts"
)

// GateOptions are how pages are gated.
type GateOptions struct {
	Script  string // address of Stile's script tag, as the page writes it: "/stile/shop.js"
	Unknown string // category for which scripts, pixels and frames of hosts that nobody knows wait; "": they do not wait
}

// Gate writes pages anew so that their tags wait for consent. It may be used by several goroutines.
type Gate struct {
	judge   *Judge
	options GateOptions
	host    string // of Stile's script; "" where that is the page's
}

// NewGate makes a gate.
func NewGate(j *Judge, o GateOptions) *Gate {
	g := &Gate{judge: j, options: o}
	if u, err := url.Parse(o.Script); err == nil && u.Host != "" {
		g.host = hosts.Of(u)
	}
	return g
}

// How much of a page is held at most until it is decided. What is larger is judged by its beginning, and the rest passes.
const (
	tagMost     = 256 << 10 // of one tag: attributes after it stay as they are
	snippetMost = 1 << 20   // of one inline script
	headMost    = 1 << 10   // of the head, for the place of Stile's tag: browsers look so far for the page's encoding
	partMost    = 32 << 10  // of what is added to what is held, at a time
)

// Writer takes a page in parts of any size and writes it, gated, to another writer. What comes out does not depend on the
// parts. An address of a third party gets a name that no browser and no program of the page knows (data-stile-src, and
// data-src of a script), so that nothing is asked for; a script becomes one of type text/plain; and the element gets the
// category for which it waits (data-stile), with the id of the site's own tag (data-service), which is what Stile's script
// lets in. All other bytes stay as they are, and so does what it does not understand. These stay too:
//
//   - the content of <template>, which does nothing by itself (that of a declarative shadow root does, and waits),
//   - JSON and other scripts that are no JavaScript, comments with their conditions, text, CDATA,
//   - forms, links for people, stylesheets of hosts that neither a tag of the site's file nor the library names, and pictures
//     that people see, of hosts that do not count who sees them (Judge.Counts): a page must not lose its looks because a host
//     belongs to somebody who also tracks,
//   - what waits already, and what has only a "data-" address, which the page's own script may load.
//
// A picture in a style (url) keeps its place there, behind "about:invalid#". A handler that runs of itself (onload, onerror,
// onpageshow) and names a tracker's address loses its name for good: what it waits for has happened once the visitor chooses.
// What a frame or a film has beside its own address is held only where it waits itself, since it is covered then; and handlers of
// scripts and stylesheets stay.
//
// In <noscript> no script ever lets anything in: images and frames lose their address there for good.
//
// Memory is bounded (1.3 MB) whatever the page is. Where an inline script is larger than 1 MB, or a tag than 256 KB, what is
// so far of it decides. Not for several goroutines.
type Writer struct {
	to      io.Writer
	gate    *Gate
	address *url.URL // of the page
	base    *url.URL // that relative addresses are of
	moved   bool     // base is not address
	script  string   // Stile's tag; "" where none is to be placed any more
	err     error    // the first of to; all ends with it

	waits    waits   // all of the page
	depth    int     // of the page in others, as text of frames
	noscript bool    // it writes what is inside a <noscript>
	inner    *Writer // that, while the page is in one

	held []byte // what came and is not written yet
	past int64  // bytes of the page before b
	b    []byte // what is looked at: held, or the part that came
	done int    // of b, written
	at   int    // of b, read
	from int    // of b: the beginning of what is undecided, -1 for nothing
	last bool   // nothing comes any more
	out  []byte // a tag written anew

	state   state
	tag     tag
	code    int     // of b: where the inline script or style begins that is held with its tag
	besides besides // in the tag
	name    string  // of the element whose tag or text is read, "" for one of which nothing is to be known
	id      uint64  // of that name, where SVG or MathML is open
	alien   bool    // it is SVG's or MathML's
	doubt   bool    // it may be
	rich    bool    // a template of a shadow root, or MathML that holds HTML
	opened  int64   // where in the page the comment's dashes are
	escape  escape  // of a script's text
	head    headState
	mark    int // of b: where Stile's tag goes, -1 for not yet known

	inert   int       // templates that are open, from the outermost that is none of a shadow root
	shadows int       // open templates of shadow roots outside of these
	foreign []foreign // SVG and MathML that is open, and what is open in it
}

// waits is for what something waits: a category, and the site's tag where it is of one alone.
type waits struct{ category, id string }

type state uint8

const (
	inData state = iota
	inTag
	inLongTag // its beginning was written
	inComment
	inBogus // comments of another kind, doctypes: until ">"
	inCDATA
	inText // of an element whose content is no markup
	inScript
	inAlienScript // of SVG
	inPlain       // to the end
)

// Writer begins a page. nonce is that of the page's own scripts under its content security policy, or "".
func (g *Gate) Writer(to io.Writer, address *url.URL, nonce string) *Writer {
	w := &Writer{to: to, gate: g, address: address, base: address, from: -1, code: -1, mark: -1}
	if g.options.Script == "" {
		return w
	}
	w.head = headBefore
	w.script = `<script src="` + html.EscapeString(g.options.Script) + `"`
	if nonce != "" {
		w.script += ` nonce="` + html.EscapeString(nonce) + `"`
	}
	w.script += "></script>"
	return w
}

// ByHosts says in Stile's tag that the page's policy lets in scripts by their hosts beside the nonce, and has the last word on
// those that wait without it.
func (w *Writer) ByHosts() { w.script = strings.Replace(w.script, "></", " data-stile-hosts></", 1) }

// Again puts behind Stile's tag the one of the part that loads the page anew where the page's policy stops what its visitor
// newly allows.
func (w *Writer) Again() {
	address, _, _ := strings.Cut(w.gate.options.Script, "?")
	w.script += strings.Replace(w.script, html.EscapeString(w.gate.options.Script), html.EscapeString(strings.TrimSuffix(address, ".js")+"/again.js"), 1)
}

// Write implements io.Writer. All that is decided is written before it returns.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for w.err == nil && n < len(p) {
		if len(w.held) == 0 {
			w.b, n = p[n:], len(p)
		} else {
			part := p[n:min(n+partMost, len(p))]
			w.held = append(w.held, part...)
			w.b, n = w.held, n+len(part)
		}
		w.run()
		w.hold()
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Flush writes what can be decided already. Write did; what is still held (the rest of a tag, an inline script, the first
// kilobyte of the head) is decided by what follows.
func (w *Writer) Flush() error { return w.err }

// Close writes the rest. It does not close what it writes to.
func (w *Writer) Close() error {
	if w.err == nil {
		w.last, w.b = true, w.held
		w.run()
		w.finish()
		w.held = nil
	}
	return w.err
}

// hold writes what is decided, and keeps the rest of b.
func (w *Writer) hold() {
	keep := w.at
	if w.from >= 0 {
		keep = min(keep, w.from)
	}
	if w.mark >= 0 {
		keep = min(keep, w.mark)
	}
	w.upTo(keep)
	w.past += int64(keep)
	if len(w.held) > 0 && keep == 0 {
		return // b is held already
	}
	w.held = append(w.held[:0], w.b[keep:]...)
	w.at -= keep
	w.done -= keep
	for _, i := range []*int{&w.from, &w.code, &w.mark} {
		if *i >= 0 {
			*i -= keep
		}
	}
}

// upTo writes b as far as that.
func (w *Writer) upTo(to int) {
	if to > w.done {
		w.emit(w.b[w.done:to])
		w.done = to
	}
}

func (w *Writer) emit(b []byte) {
	if w.err == nil && len(b) > 0 {
		_, w.err = w.to.Write(b)
	}
}

// finish decides what the page's end leaves open.
func (w *Writer) finish() {
	if w.inner != nil {
		w.within(len(w.b))
		w.leave()
		return
	}
	if w.code >= 0 {
		w.judgeText(len(w.b))
	}
	w.place()
	w.upTo(len(w.b))
}
