package page

import "net/url"

// Kind is what in a page asks for something.
type Kind string

// The kinds.
const (
	Script        Kind = "script"
	Snippet       Kind = "snippet" // inline JavaScript
	Pixel         Kind = "pixel"
	Frame         Kind = "frame"
	NoScriptImage Kind = "noscript image"
	NoScriptFrame Kind = "noscript frame"
	Connection    Kind = "connection" // preconnect, dns-prefetch, preload and the like
	Stylesheet    Kind = "stylesheet"
	Font          Kind = "font"
	Form          Kind = "form"  // its action
	Embed         Kind = "embed" // object, embed, video with its picture, audio, track
)

// Report is what Scan found in a page.
type Report struct {
	Address *url.URL
	Stile   string // address of Stile's own script tag, "" where the page has none
	First   bool   // it stands before everything that asks for something
	Finds   []Find // in the order of the page
	Cut     bool   // not all is in Finds: there is more than MaxFinds, or it stands in too many frames within one another
}

// Find is one thing in a page that is asked of a third party, or would be.
type Find struct {
	Party
	Kind     Kind
	Line     int    // from 1; inside of an SVG that holds scripts it may be that of what is around it
	Column   int    // in bytes, from 1
	Selector string // CSS, which finds it in the page as it is where no JavaScript runs (what is in a noscript are elements)
	Address  string // as the page writes it; "" of a snippet
	Excerpt  string // the beginning of a snippet, on one line
	Waits    string // the category for which it waits in the page already (data-stile and the like); "" where it runs at once
	Leaks    string // what it asks of the third party where no JavaScript runs; "" for nothing
}

// Gated tells whether nothing of it happens before consent: it waits, or needs none. A form sends nothing before the visitor
// sends it.
func (f *Find) Gated(j *Judge) bool { return f.Waits != "" || f.Kind == Form || !j.Waits(f.Party) }
