package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/stilehq/stile/server/tally"
)

// A chart is drawn as SVG without a viewBox: across it has percentages, so that it is as wide as the screen lets it be while
// its words keep their size; down it has pixels.

// Heights of the two plots of a chart, in pixels.
const (
	columnsHeight = 224
	lineHeight    = 96
	headroom      = 8 // above the highest tick, for its words
)

// bucket is a day, a week or a month of a period, as far as it lies in it.
type bucket struct {
	From, To tally.Day
	Days     int
	tally.Figures
}

// nothing tells whether nothing was counted, which is not the same as that nobody came.
func (b bucket) nothing() bool { return b.Figures == tally.Figures{} }

// unit is what a period of so many days is drawn by, so that a column stays wide enough to be seen on a phone.
func unit(days int) string {
	switch {
	case days <= 92:
		return "day"
	case days <= 371:
		return "week"
	}
	return "month"
}

// buckets adds days up by unit. Weeks begin on Monday.
func buckets(days []tally.DayFigures, by string) []bucket {
	var list []bucket
	last := ""
	for _, d := range days {
		if key := bucketKey(d.Day, by); key != last || len(list) == 0 {
			list, last = append(list, bucket{From: d.Day}), key
		}
		b := &list[len(list)-1]
		b.To, b.Days, b.Figures = d.Day, b.Days+1, sum(b.Figures, d.Figures)
	}
	return list
}

func bucketKey(d tally.Day, by string) string {
	switch by {
	case "week":
		year, week := timeOf(d).ISOWeek()
		return fmt.Sprint(year, week)
	case "month":
		return string(d)[:len("2026-11")]
	}
	return string(d)
}

func sum(a, b tally.Figures) tally.Figures {
	a.Views += b.Views
	a.Displays += b.Displays
	a.Unsure += b.Unsure
	a.Crawlers += b.Crawlers
	a.Signals += b.Signals
	a.AcceptAll += b.AcceptAll
	a.RejectAll += b.RejectAll
	a.Custom += b.Custom
	a.Changes += b.Changes
	a.Withdrawals += b.Withdrawals
	a.OptOuts += b.OptOuts
	a.OptIns += b.OptIns
	return a
}

// timeOf is the midnight with which a day begins; the zero time for what is no day.
func timeOf(d tally.Day) time.Time {
	t, _ := time.Parse(time.DateOnly, string(d))
	return t
}

// series is what a stack is made of, from the bottom to the top.
var series = []struct {
	class, name string
	of          func(tally.Figures) int64
}{
	{"accepted", "Accepted all", func(f tally.Figures) int64 { return f.AcceptAll }},
	{"custom", "Custom", func(f tally.Figures) int64 { return f.Custom }},
	{"rejected", "Rejected all", func(f tally.Figures) int64 { return f.RejectAll }},
	{"ignored", "Ignored", func(f tally.Figures) int64 { return f.Ignores() }},
}

// chart is the geometry of what visitors did with the banner over a period.
type chart struct {
	Unit    string
	Columns []column
	Ticks   []rung  // of the columns
	Line    []leg   // opt-in rate
	Dots    []dot   // likewise
	Labels  []label // under both
	Gaps    bool    // some columns have nothing
}

// column is a stack of parts. X and Width are percentages.
type column struct {
	X, Width, Hit, HitWidth string // Hit is where the pointer finds it
	Parts                   []piece
	Nothing                 bool
	Title                   string
}

// piece is of a column, in pixels.
type piece struct {
	Class     string
	Y, Height float64
}

// rung is a line across, in pixels from above.
type rung struct {
	Y    float64
	Text string
}

// leg is a piece of a line; dot is a point on it.
type (
	leg struct {
		X1, X2 string
		Y1, Y2 float64
	}
	dot struct {
		X     string
		Y     float64
		Title string
	}
)

// label stands under a column. Those that are not Narrow are left out on a phone.
type label struct {
	X, Text, Anchor string
	Narrow          bool
}

// draw makes a chart of buckets. Without any it has none of its parts.
func draw(list []bucket, by string) chart {
	c := chart{Unit: by}
	var most int64
	for _, b := range list {
		most = max(most, height(b.Figures))
	}
	values := ticks(most)
	top := float64(values[len(values)-1])
	for _, v := range values {
		c.Ticks = append(c.Ticks, rung{scale(float64(v), top, columnsHeight), compact(v)})
	}
	slot := 100 / float64(max(len(list), 1))
	for i, b := range list {
		c.Columns = append(c.Columns, columnOf(b, by, slot*float64(i), slot, top))
		c.Gaps = c.Gaps || b.nothing()
	}
	c.Line, c.Dots = line(list, by, slot)
	c.Labels = labels(list, by, slot)
	return c
}

// height is how high a stack is.
func height(f tally.Figures) (n int64) {
	for _, s := range series {
		n += s.of(f)
	}
	return n
}

func columnOf(b bucket, by string, x, slot, top float64) column {
	wide := min(slot*.76, 8) // a single day is no wall
	c := column{
		X: across(x + (slot-wide)/2), Width: across(wide), Hit: across(x), HitWidth: across(slot),
		Nothing: b.nothing(), Title: spelled(b, by),
	}
	below := int64(0)
	for _, s := range series {
		n := s.of(b.Figures)
		if n <= 0 {
			continue
		}
		bottom, y := scale(float64(below), top, columnsHeight), scale(float64(below+n), top, columnsHeight)
		gap := 1.0 // of a pixel between the parts
		if bottom-y <= 2*gap {
			gap = 0
		}
		c.Parts = append(c.Parts, piece{s.class, round(y), round(max(bottom-y-gap, .5))})
		below += n
	}
	return c
}

// scale is where a value stands, in pixels from above, when top stands under the headroom.
func scale(v, top, height float64) float64 {
	if top <= 0 {
		return height
	}
	return height - min(max(v/top, 0), 1)*(height-headroom)
}

func line(list []bucket, by string, slot float64) (legs []leg, dots []dot) {
	before, x0, y0 := false, "", 0.0
	for i, b := range list {
		r := optIn(b.Figures)
		if r.few() {
			before = false // a gap, and not a line to somewhere
			continue
		}
		x, y := across(slot*(float64(i)+.5)), round(scale(r.percent(), 100, lineHeight))
		if before {
			legs = append(legs, leg{x0, x, y0, y})
		}
		dots = append(dots, dot{x, y, bucketName(b, by) + ": opt-in rate " + r.String()})
		before, x0, y0 = true, x, y
	}
	return legs, dots
}

// labels are at most eight, and four of them on a phone, at even distances.
func labels(list []bucket, by string, slot float64) (all []label) {
	every := max(1, int(math.Ceil(float64(len(list))/8)))
	for i := 0; i < len(list); i += every {
		anchor := "middle"
		if slot < 8 && i == 0 {
			anchor = "start" // the words are wider than the column
		}
		x := slot * (float64(i) + .5)
		if x > 96 && slot < 8 {
			anchor = "end"
		}
		all = append(all, label{X: across(x), Text: brief(list[i], by), Anchor: anchor, Narrow: len(list) <= 4 || (i/every)%2 == 0})
	}
	return all
}

// ticks are whole numbers from 0 to at least most, at a distance of 1, 2 or 5 times a power of ten, at most six of them.
func ticks(most int64) []int64 {
	if most <= 0 {
		return []int64{0}
	}
	step := int64(1)
	for i := 0; most > 5*step; i++ {
		step = [...]int64{2, 5, 10}[i%3] * int64(math.Pow10(i/3))
	}
	list := []int64{0}
	for v := step; ; v += step {
		list = append(list, v)
		if v >= most {
			return list
		}
	}
}

// compact writes a number in few letters: 950, 1.2k, 3M.
func compact(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1e9, "bn"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.size {
			return strconv.FormatFloat(float64(n)/float64(u.size), 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func across(f float64) string { return strconv.FormatFloat(round(f), 'f', -1, 64) + "%" }

func round(f float64) float64 { return math.Round(f*100) / 100 }

// px writes a length for SVG.
func px(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// bucketName names a bucket: "Sunday 22 November 2026", "2 to 8 November 2026", "November 2026".
func bucketName(b bucket, by string) string {
	switch {
	case by == "day":
		return timeOf(b.From).Format("Monday 2 January 2006")
	case by == "month" && whole(b):
		return timeOf(b.From).Format("January 2006")
	}
	return between(tally.Period{From: b.From, To: b.To})
}

// short is the same, for a table.
func short(b bucket, by string) string {
	if by == "day" {
		return timeOf(b.From).Format("Mon 2 Jan 2006")
	}
	return bucketName(b, by)
}

// whole tells whether a month lies in the period with all of its days.
func whole(b bucket) bool {
	return timeOf(b.From).Day() == 1 && timeOf(b.To).AddDate(0, 0, 1).Day() == 1
}

func brief(b bucket, by string) string {
	if by == "month" {
		return timeOf(b.From).Format("Jan 2006")
	}
	return timeOf(b.From).Format("2 Jan")
}

func spelled(b bucket, by string) string {
	if b.nothing() {
		return bucketName(b, by) + ": nothing was counted"
	}
	return fmt.Sprintf("%s: %s, %s accepted all, %s custom, %s rejected all, %s ignored, opt-in rate %s",
		bucketName(b, by), counted(b.Displays, "display", "displays"), count(b.AcceptAll), count(b.Custom), count(b.RejectAll), count(b.Ignores()), optIn(b.Figures))
}

// between writes a period: "22 November 2026", "2 to 8 November 2026", "26 October to 22 November 2026".
func between(p tally.Period) string {
	from, to := timeOf(p.From), timeOf(p.To)
	last := to.Format("2 January 2006")
	switch {
	case p.From == p.To:
		return last
	case from.Year() != to.Year():
		return from.Format("2 January 2006") + " to " + last
	case from.Month() != to.Month():
		return from.Format("2 January") + " to " + last
	}
	return from.Format("2") + " to " + last
}

// spark is the columns of a small chart of counts, of which the last are the present.
func spark(list []int64, present int) []column {
	var most int64
	for _, n := range list {
		most = max(most, n)
	}
	slot := 100 / float64(max(len(list), 1))
	var columns []column
	for i, n := range list {
		c := column{X: across(slot * (float64(i) + .12)), Width: across(slot * .76)}
		class := "past"
		if i >= len(list)-present {
			class = "present"
		}
		h := 2.0 // nothing is a line on the ground
		if most > 0 && n > 0 {
			h = max(round(sparkHeight*float64(n)/float64(most)), 3)
		} else {
			class = "nothing"
		}
		c.Parts = []piece{{class, sparkHeight - h, h}}
		columns = append(columns, c)
	}
	return columns
}

const sparkHeight = 40
