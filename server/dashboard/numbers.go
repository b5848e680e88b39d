package dashboard

import (
	"math"
	"strconv"
	"strings"

	"github.com/stilehq/stile/server/tally"
)

// fewest is the least that a rate is told of: a percentage of fewer means nothing.
const fewest = 10

const tooFew = "too few"

// count writes a number of things: 1234567 as "1,234,567".
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// counted writes a number of things by name: "1 view", "1,200 views".
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// rate is a part of a whole. Its zero value is of nothing, which is too few to tell.
type rate struct{ part, whole int64 }

// few tells whether there is too little to tell a rate of.
func (r rate) few() bool { return r.whole < fewest }

// percent is from 0 to 100; 0 where there is too little.
func (r rate) percent() float64 {
	if r.few() {
		return 0
	}
	return min(max(100*float64(r.part)/float64(r.whole), 0), 100)
}

// String is "62.1%", or that there is too little.
func (r rate) String() string {
	if r.few() {
		return tooFew
	}
	return percent(r.percent())
}

// length is a share of the width of what it is drawn in: "62.1%", and "0%" where there is too little.
func (r rate) length() string { return strconv.FormatFloat(r.percent(), 'f', 2, 64) + "%" }

func percent(p float64) string { return decimal(p, 1) + "%" }

// decimal writes a number with a fixed number of decimals and thousands separators.
func decimal(f float64, places int) string {
	s := strconv.FormatFloat(math.Abs(f), 'f', places, 64)
	whole, rest, _ := strings.Cut(s, ".")
	n, _ := strconv.ParseInt(whole, 10, 64) // what FormatFloat wrote; beyond 2^63 no figure goes
	if s = count(n); rest != "" {
		s += "." + rest
	}
	if f < 0 {
		s = "−" + s
	}
	return s
}

// signed writes a change with its sign: "+4.2", "−4.2"; "" for one that rounds to nothing.
func signed(f float64) string {
	if math.Round(math.Abs(f)*10) == 0 {
		return ""
	}
	if f > 0 {
		return "+" + decimal(f, 1)
	}
	return decimal(f, 1)
}

// printed is percent as String rounds it.
func (r rate) printed() float64 {
	p, _ := strconv.ParseFloat(strconv.FormatFloat(r.percent(), 'f', 1, 64), 64) // of what FormatFloat wrote
	return p
}

// points is how far a rate moved, in percentage points: "+1.3 points"; "" where either is of too few. It is the difference of
// the rates as they are printed, so that who subtracts one from the other finds the same.
func points(now, then rate) string {
	if now.few() || then.few() {
		return ""
	}
	if s := signed(now.printed() - then.printed()); s != "" {
		return s + " points"
	}
	return "no change"
}

// growth is how far a count moved in percent. From fewer than fewest it says from what, as a percentage would mean nothing.
// Scale is how many times longer the present period is than that before.
func growth(now, then int64, scale float64) string {
	switch {
	case now == 0 && then == 0:
		return ""
	case then == 0:
		return "new"
	case then < fewest:
		return "from " + count(then)
	}
	if s := signed(100 * (float64(now)/(float64(then)*scale) - 1)); s != "" {
		return s + "%"
	}
	return "no change"
}

// The rates that the dashboard knows choices by.

// interacted is the share of displays that were answered.
func interacted(f tally.Figures) rate { return rate{min(f.Interactions(), f.Displays), f.Displays} }

// optIn is the share of answers that allowed something optional.
func optIn(f tally.Figures) rate { return rate{f.OptIns, f.Interactions()} }
