package ledger

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Leaves are numbers of the log, in ranges that neither touch nor overlap, lowest first. As text they are "5,17,20-25", and
// each set has one such text.
type Leaves []Range

// Range is a run of numbers, both ends in it.
type Range struct{ First, Last int64 }

// LeavesOf is the set of some numbers, in any order; none is negative.
func LeavesOf(numbers ...int64) (l Leaves) {
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	for _, n := range sorted {
		if last := len(l) - 1; last >= 0 && n <= l[last].Last+1 {
			l[last].Last = n
			continue
		}
		l = append(l, Range{n, n})
	}
	return l
}

// ParseLeaves reads what String wrote, and refuses any other text.
func ParseLeaves(text string) (l Leaves, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		var r Range
		if r.First, err = strconv.ParseInt(first, 10, 64); err == nil {
			r.Last = r.First
			if isRange {
				r.Last, err = strconv.ParseInt(last, 10, 64)
			}
		}
		n := len(l)
		if err != nil || r.First < 0 || r.Last < r.First || r.Last == math.MaxInt64 || n > 0 && r.First <= l[n-1].Last+1 {
			return nil, fmt.Errorf("%.80q are no leaves: they are written like 5,17,20-25, lowest first", text)
		}
		l = append(l, r)
	}
	if l.String() != text {
		return nil, fmt.Errorf("%.80q are leaves that Stile writes otherwise", text)
	}
	return l, nil
}

// String is the text of a set, "" of none.
func (l Leaves) String() string {
	var b []byte
	for i, r := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.First, 10)
		if r.Last > r.First {
			b = strconv.AppendInt(append(b, '-'), r.Last, 10)
		}
	}
	return string(b)
}

// Contains tells whether a number is in the set.
func (l Leaves) Contains(leaf int64) bool {
	_, found := slices.BinarySearchFunc(l, leaf, func(r Range, leaf int64) int {
		switch {
		case r.Last < leaf:
			return -1
		case r.First > leaf:
			return 1
		}
		return 0
	})
	return found
}

// Count is how many numbers are in the set.
func (l Leaves) Count() (n int64) {
	for _, r := range l {
		n += r.Last - r.First + 1
	}
	return n
}

// unite is the set of all numbers of some ranges, in any order.
func unite(ranges []Range) (l Leaves) {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	for _, r := range sorted {
		if last := len(l) - 1; last >= 0 && r.First <= l[last].Last+1 {
			l[last].Last = max(l[last].Last, r.Last)
			continue
		}
		l = append(l, r)
	}
	return l
}

// covering is the range of a set that a number is in.
func covering(l Leaves, n int64) (Range, bool) {
	i := sort.Search(len(l), func(i int) bool { return l[i].Last >= n })
	if i == len(l) || l[i].First > n {
		return Range{}, false
	}
	return l[i], true
}

// following is where a set begins again after a number.
func following(l Leaves, n int64) (int64, bool) {
	i := sort.Search(len(l), func(i int) bool { return l[i].First > n })
	if i == len(l) {
		return 0, false
	}
	return l[i].First, true
}
