package dashboard

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/tally"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		most int64
		want []int64
	}{
		{-3, []int64{0}},
		{0, []int64{0}},
		{1, []int64{0, 1}},
		{5, []int64{0, 1, 2, 3, 4, 5}},
		{6, []int64{0, 2, 4, 6}},
		{11, []int64{0, 5, 10, 15}},
		{4135, []int64{0, 1000, 2000, 3000, 4000, 5000}},
		{100000, []int64{0, 20000, 40000, 60000, 80000, 100000}},
	} {
		if got := ticks(c.most); !equal(got, c.want) {
			t.Errorf("ticks(%d): %v, want %v", c.most, got, c.want)
		}
	}
}

func equal(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTicksReachAndAreFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(1, 1e15).Draw(t, "most")
		list := ticks(most)
		if last := list[len(list)-1]; last < most || len(list) < 2 || len(list) > 6 || list[len(list)-2] >= most {
			t.Errorf("ticks(%d): %v", most, list)
		}
	})
}

func TestNumbersOnAnAxis(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 950: "950", 1500: "1.5k", 20000: "20k", 3000000: "3M", 2e9: "2bn"} {
		if got := compact(n); got != want {
			t.Errorf("compact(%d): %q, want %q", n, got, want)
		}
	}
}

func day(d string, displays, accepted, custom, rejected int64) tally.DayFigures {
	return tally.DayFigures{Day: tally.Day(d), Figures: tally.Figures{
		Views: displays, Displays: displays, AcceptAll: accepted, Custom: custom, RejectAll: rejected, OptIns: accepted + custom,
	}}
}

func TestChartOfOneDay(t *testing.T) {
	c := draw(buckets([]tally.DayFigures{day("2026-11-22", 100, 40, 10, 20)}, "day"), "day")
	if len(c.Columns) != 1 || len(c.Line) != 0 || len(c.Dots) != 1 || len(c.Labels) != 1 || c.Gaps {
		t.Fatalf("%+v", c)
	}
	col := c.Columns[0]
	if col.X != "46%" || col.Width != "8%" || col.Hit != "0%" || col.HitWidth != "100%" {
		t.Errorf("the column stands at %s and is %s wide, found at %s over %s", col.X, col.Width, col.Hit, col.HitWidth)
	}
	// The axis goes to 100: 216 pixels, of which each part but for its gap has its share.
	want := []piece{{"accepted", 137.6, 85.4}, {"custom", 116, 20.6}, {"rejected", 72.8, 42.2}, {"ignored", 8, 63.8}}
	for i, p := range col.Parts {
		if p.Class != want[i].Class || math.Abs(p.Y-want[i].Y) > .01 || math.Abs(p.Height-want[i].Height) > .01 {
			t.Errorf("part %d: %+v, want %+v", i, p, want[i])
		}
	}
	if c.Dots[0].X != "50%" || c.Dots[0].Title != "Sunday 22 November 2026: opt-in rate 71.4%" {
		t.Errorf("%+v", c.Dots[0])
	}
	if col.Title != "Sunday 22 November 2026: 100 displays, 40 accepted all, 10 custom, 20 rejected all, 30 ignored, opt-in rate 71.4%" {
		t.Error(col.Title)
	}
}

func TestChartLeavesGaps(t *testing.T) {
	c := draw(buckets([]tally.DayFigures{
		day("2026-11-18", 100, 40, 10, 20), day("2026-11-19", 100, 40, 10, 20), {Day: "2026-11-20"}, day("2026-11-21", 100, 2, 1, 1), day("2026-11-22", 100, 40, 10, 20),
	}, "day"), "day")
	if !c.Gaps || !c.Columns[2].Nothing || len(c.Columns[2].Parts) != 0 || c.Columns[2].Title != "Friday 20 November 2026: nothing was counted" {
		t.Errorf("the day without data: %+v", c.Columns[2])
	}
	if len(c.Line) != 1 || len(c.Dots) != 3 {
		t.Errorf("a line of %d legs and %d dots over a gap and a day with too few answers, want 1 and 3", len(c.Line), len(c.Dots))
	}
}

func TestChartOfNothing(t *testing.T) {
	for _, days := range [][]tally.DayFigures{nil, {{Day: "2026-11-22"}}} {
		c := draw(buckets(days, "day"), "day")
		if len(c.Ticks) != 1 || c.Ticks[0].Text != "0" || c.Ticks[0].Y != columnsHeight || len(c.Dots) != 0 {
			t.Errorf("%d days: %+v", len(days), c)
		}
	}
}

func TestBuckets(t *testing.T) {
	r := madeUp("shop", tally.Period{From: "2025-11-22", To: "2026-11-22"}, tally.Filter{})
	for by, want := range map[string]int{"day": 366, "week": 53, "month": 13} {
		list := buckets(r.Days, by)
		var total tally.Figures
		days := 0
		for _, b := range list {
			total, days = sum(total, b.Figures), days+b.Days
		}
		if len(list) != want || total != r.Total || days != 366 {
			t.Errorf("by %s: %d of them, want %d; %d days; %+v, want %+v", by, len(list), want, days, total, r.Total)
		}
		if list[0].From != "2025-11-22" || list[len(list)-1].To != "2026-11-22" {
			t.Errorf("by %s: from %s to %s", by, list[0].From, list[len(list)-1].To)
		}
	}
	if weeks := buckets(r.Days, "week"); weeks[0].To != "2025-11-23" || weeks[1].From != "2025-11-24" {
		t.Error("weeks do not begin on Monday")
	}
	for days, want := range map[int]string{1: "day", 7: "day", 31: "day", 92: "day", 93: "week", 366: "week", 372: "month", 800: "month"} {
		if got := unit(days); got != want {
			t.Errorf("%d days are drawn by %s, want %s", days, got, want)
		}
	}
}

func TestBucketsHaveNames(t *testing.T) {
	for _, c := range []struct{ by, from, to, want string }{
		{"day", "2026-11-22", "2026-11-22", "Sunday 22 November 2026"},
		{"week", "2026-11-16", "2026-11-22", "16 to 22 November 2026"},
		{"week", "2026-10-26", "2026-11-01", "26 October to 1 November 2026"},
		{"week", "2025-12-29", "2026-01-04", "29 December 2025 to 4 January 2026"},
		{"week", "2026-11-22", "2026-11-22", "22 November 2026"},
		{"month", "2026-10-01", "2026-10-31", "October 2026"},
		{"month", "2026-11-01", "2026-11-22", "1 to 22 November 2026"},
	} {
		if got := bucketName(bucket{From: tally.Day(c.from), To: tally.Day(c.to)}, c.by); got != c.want {
			t.Errorf("%s from %s to %s: %q, want %q", c.by, c.from, c.to, got, c.want)
		}
	}
}

// Whatever was counted, nothing is drawn outside of its plot, nothing has a negative size, and parts do not overlap.
func TestChartsStayWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 800).Draw(t, "days")
		first := timeOf("2024-02-28")
		var days []tally.DayFigures
		most := rapid.SampledFrom([]int64{1, 20, 1e4, 1e12}).Draw(t, "most")
		for i := range n {
			v := func() int64 { return rapid.Int64Range(0, most).Draw(t, "n") }
			d := tally.DayFigures{Day: tally.DayOf(first.AddDate(0, 0, i))}
			if i%3 == 0 { // drawing each of 800 takes its time
				d = day(string(d.Day), v(), v(), v(), v())
			}
			days = append(days, d)
		}
		by := unit(n)
		c := draw(buckets(days, by), by)
		for _, col := range c.Columns {
			if x, w := number(t, col.X), number(t, col.Width); x < 0 || w <= 0 || x+w > 100.02 {
				t.Fatalf("a column at %s is %s wide", col.X, col.Width)
			}
			floor := float64(columnsHeight)
			for _, p := range col.Parts {
				if p.Y < 0 || p.Height <= 0 || p.Y+p.Height > floor+.51 {
					t.Fatalf("%+v over %v", p, floor)
				}
				floor = p.Y
			}
		}
		for _, d := range c.Dots {
			if d.Y < 0 || d.Y > lineHeight {
				t.Fatalf("%+v", d)
			}
		}
		if len(c.Labels) > 8 {
			t.Fatalf("%d labels", len(c.Labels))
		}
		narrow := 0
		for _, l := range c.Labels {
			if l.Narrow {
				narrow++
			}
		}
		if narrow > 4 {
			t.Fatalf("%d labels on a phone", narrow)
		}
	})
}

func number(t *rapid.T, percent string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || !strings.HasSuffix(percent, "%") {
		t.Fatalf("%q is no percentage", percent)
	}
	return f
}

func TestSparks(t *testing.T) {
	c := spark([]int64{0, 10, 20, 40}, 2)
	want := []piece{{"nothing", 38, 2}, {"past", 30, 10}, {"present", 20, 20}, {"present", 0, 40}}
	for i := range want {
		if c[i].Parts[0] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, c[i].Parts[0], want[i])
		}
	}
	if len(spark(nil, 7)) != 0 || spark([]int64{0}, 1)[0].Parts[0].Class != "nothing" {
		t.Error("a spark of nothing")
	}
}
