package page

import (
	"slices"
	"testing"
)

// The text and the visible structure of any page stay as they were, in whatever parts it comes.
func FuzzGate(f *testing.F) {
	for i, piece := range pieces {
		f.Add(piece, uint16(i))
		f.Add(piece+pieces[(i*7+3)%len(pieces)]+pieces[(i*5+1)%len(pieces)], uint16(i))
	}
	g := testGate(f, GateOptions{Script: "/stile/shop.js"})
	f.Fuzz(func(t *testing.T, page string, cut uint16) {
		cuts := []int{int(cut) % (len(page) + 1), int(cut>>8) % (len(page) + 1)}
		slices.Sort(cuts)
		properties(t, g, page, gate(t, g, page), cuts)
	})
}
