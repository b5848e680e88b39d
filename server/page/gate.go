package page

import (
	"io"
	"net/url"
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
}

// NewGate makes a gate.
func NewGate(j *Judge, o GateOptions) *Gate { return &Gate{j, o} }

// Writer takes a page in parts of any size and writes it, gated, to another writer.
type Writer struct{ to io.Writer }

// Writer begins a page. nonce is that of the page's own scripts under its content security policy, or "".
func (g *Gate) Writer(to io.Writer, address *url.URL, nonce string) *Writer { return &Writer{to} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) { return w.to.Write(p) }

// Flush writes what can be decided already.
func (w *Writer) Flush() error { return nil }

// Close writes the rest. It does not close what it writes to.
func (w *Writer) Close() error { return nil }
