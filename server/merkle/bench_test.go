package merkle

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// million is a log of a million leaves.
var million = sync.OnceValues(func() (memory, tlog.Tree) {
	leaves := make([]tlog.Hash, 1_000_000)
	for i := range leaves {
		leaves[i] = tlog.RecordHash(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	g, err := Grow(context.Background(), nil, Empty(), leaves)
	if err != nil {
		panic(err)
	}
	m := memory{}
	for _, t := range g.Tiles {
		m[[2]int64{int64(t.Level), t.N}] = t.Data
	}
	return m, g.Tree
})

// BenchmarkGrow adds to a log of a million leaves, as many at once as a second may bring.
func BenchmarkGrow(b *testing.B) {
	m, tree := million()
	stored := 0
	for _, data := range m {
		stored += len(data)
	}
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("leaves=%d", n), func(b *testing.B) {
			leaves := make([]tlog.Hash, n)
			written := 0
			b.ReportAllocs()
			for b.Loop() {
				g, err := Grow(b.Context(), m, tree, leaves)
				if err != nil {
					b.Fatal(err)
				}
				written = 0
				for _, t := range g.Tiles {
					written += len(t.Data)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/leaf")
			b.ReportMetric(float64(written)/float64(n), "written-B/leaf")
			b.ReportMetric(float64(stored)/float64(tree.N), "stored-B/leaf")
		})
	}
}

func BenchmarkProve(b *testing.B) {
	m, tree := million()
	b.ReportAllocs()
	size, leaf := 0, int64(0)
	for b.Loop() {
		p, err := Prove(b.Context(), m, leaf, tree)
		if err != nil {
			b.Fatal(err)
		}
		size = len(p.Hashes) * tlog.HashSize
		leaf = (leaf + 7919) % tree.N
	}
	b.ReportMetric(float64(size), "proof-B")
}

func BenchmarkVerify(b *testing.B) {
	m, tree := million()
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(b.Context(), m, tree); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tree.N), "ns/leaf")
}
