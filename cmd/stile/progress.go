package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress is one line on a terminal, drawn over and over: how far an export is, how fast, and how long it will take.
type progress struct {
	to      io.Writer // nil: nobody looks
	now     func() time.Time
	begun   time.Time
	drawn   time.Time
	first   int64 // the numbers of the log that are looked at
	end     int64
	records int64
	width   int // of what is on the line
}

// redraw is how often the line is drawn.
const redraw = 200 * time.Millisecond

func newProgress(to io.Writer, now func() time.Time, first, end int64) *progress {
	p := &progress{now: now, begun: now(), first: first, end: end}
	if terminal(to) {
		p.to = to
	}
	return p
}

// terminal tells whether somebody looks. /dev/null passes for one, and nothing is lost there: so no library is needed.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// at draws the line, unless it was drawn just now. Percent and time left go by the numbers of the log: how many records a
// filter leaves nobody knows before they are read.
func (p *progress) at(next int64) {
	if p.to == nil || p.now().Sub(p.drawn) < redraw && next < p.end {
		return
	}
	p.draw(p.line(next))
}

// draw puts a text in place of what is on the line.
func (p *progress) draw(text string) {
	p.drawn = p.now()
	pad := max(0, p.width-len(text))
	p.width = len(text)
	fmt.Fprint(p.to, "\r", text, strings.Repeat(" ", pad))
}

func (p *progress) line(next int64) string {
	part := 1.0
	if p.end > p.first {
		part = float64(next-p.first) / float64(p.end-p.first)
	}
	spent := p.now().Sub(p.begun)
	rate := float64(p.records) / max(spent.Seconds(), 0.001)
	left := "-"
	if part > 0 {
		left = time.Duration(float64(spent) * (1 - part) / part).Round(time.Second).String()
	}
	return fmt.Sprintf("%d records  %3.0f%%  %.0f/s  %s left", p.records, 100*part, rate, left)
}

// done leaves the line as it is and goes to the next.
func (p *progress) done() {
	if p.to != nil && p.width > 0 {
		fmt.Fprintln(p.to)
		p.width = 0
	}
}
