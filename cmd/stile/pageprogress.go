package main

import (
	"fmt"
	"io"
	"time"
)

// pageProgress is the line on a terminal that says how many pages were read. Runs that are over at once have none.
type pageProgress struct {
	progress
	notes io.Writer
}

const quiet = time.Second // before the line appears

func newPageProgress(to io.Writer, now func() time.Time) *pageProgress {
	return &pageProgress{*newProgress(to, now, 0, 0), to}
}

// at says that so many pages of those that are known so far were read.
func (p *pageProgress) at(read, known int) {
	if p.to == nil || p.now().Sub(p.begun) < quiet || p.now().Sub(p.drawn) < redraw && read < known {
		return
	}
	p.draw(fmt.Sprintf("%d of %s read", read, counted(known, "page", "pages")))
}

// aside says something, and keeps it out of the line.
func (p *pageProgress) aside(text string) {
	if p.to != nil && p.width > 0 {
		p.draw("")
		fmt.Fprint(p.to, "\r")
	}
	fmt.Fprintln(p.notes, printable(text))
}
