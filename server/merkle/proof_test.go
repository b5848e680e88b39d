package merkle

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func at(tree tlog.Tree) Checkpoint { return Checkpoint{Origin: origin, Size: tree.N, Root: tree.Hash} }

// TestEachLeaf proves each leaf of each small log, and of logs at the edges of tiles the first and last ones.
func TestEachLeaf(t *testing.T) {
	m, _ := grown(t, 66000)
	sizes := map[int64][]int64{}
	for size := range int64(40) {
		for leaf := range size {
			sizes[size] = append(sizes[size], leaf)
		}
	}
	for _, size := range []int64{255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 66000} {
		sizes[size] = []int64{0, 1, 127, 128, 254, size / 2, size - 2, size - 1}
	}
	for size, leaves := range sizes {
		tree := sampleTree(t, size)
		for _, leaf := range leaves {
			p, err := Prove(t.Context(), m, leaf, tree)
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", leaf, size, err)
			}
			want, err := tlog.ProveRecord(size, leaf, hashes(sample().stored))
			if err != nil || !slices.Equal(p.Hashes, want) {
				t.Errorf("leaf %d of %d: the proof is not that of tlog (%v)", leaf, size, err)
			}
			if err := p.Check(sample().leaves[leaf], at(tree)); err != nil {
				t.Errorf("leaf %d of %d: %v", leaf, size, err)
			}
		}
	}
}

// TestAlteredProof: a proof shows one leaf in its place in one log, and nothing else.
func TestAlteredProof(t *testing.T) {
	m, _ := grown(t, int64(len(sample().leaves)))
	rapid.Check(t, func(t *rapid.T) {
		size := aSize().Filter(func(n int64) bool { return n > 1 }).Draw(t, "size")
		n := rapid.Int64Range(0, size-1).Draw(t, "leaf")
		tree := sampleTree(t, size)
		p, err := Prove(context.Background(), m, n, tree)
		if err != nil {
			t.Fatal(err)
		}
		leaf, c := sample().leaves[n], at(tree)
		if err := p.Check(leaf, c); err != nil {
			t.Fatalf("it is refused as it is: %v", err)
		}
		i, bit := rapid.IntRange(0, tlog.HashSize-1).Draw(t, "byte"), byte(1)<<rapid.IntRange(0, 7).Draw(t, "bit")
		switch what := rapid.SampledFrom([]string{"hash", "leaf", "root", "number", "size", "both sizes", "longer", "shorter", "order"}).Draw(t, "what"); what {
		case "hash":
			p.Hashes[rapid.IntRange(0, len(p.Hashes)-1).Draw(t, "hash")][i] ^= bit
		case "leaf":
			leaf[i] ^= bit
		case "root":
			c.Root[i] ^= bit
		case "number":
			p.Leaf = rapid.Int64().Filter(func(x int64) bool { return x != n }).Draw(t, "number")
		case "size":
			p.Size = rapid.Int64().Filter(func(x int64) bool { return x != size }).Draw(t, "other size")
		case "both sizes": // those of a tree of another shape: a proof does not tell sizes apart that lead the same way
			p.Size = rapid.SampledFrom([]int64{-1, 0, n, 4 * size, 1 << 40, 1<<62 + 1, 1<<63 - 1}).Draw(t, "other size")
			c.Size = p.Size
		case "longer":
			p.Hashes = append(p.Hashes, leaf)
		case "shorter":
			p.Hashes = p.Hashes[:len(p.Hashes)-1]
		case "order":
			slices.Reverse(p.Hashes)
			if len(p.Hashes) == 1 {
				p.Hashes = nil
			}
		}
		if p.Check(leaf, c) == nil {
			t.Fatalf("leaf %d of %d is taken all the same: %+v", n, size, p)
		}
	})
}

func TestProveBadInput(t *testing.T) {
	m, tree := grown(t, 70000)
	wrong := tree
	wrong.Hash[31] ^= 0x80
	damaged := m.clone()
	damaged[[2]int64{0, 7}][100] ^= 1
	for _, c := range []struct {
		name  string
		tiles Tiles
		leaf  int64
		tree  tlog.Tree
		want  string
		is    error
	}{
		{"no such leaf", m, 70000, tree, "a log of 70000 leaves has no leaf 70000: they are numbered from 0", nil},
		{"a leaf before the first", m, -1, tree, "has no leaf -1", nil},
		{"of an empty log", m, 0, Empty(), "a log of 0 leaves has no leaf 0", nil},
		{"too large a log", m, 0, tlog.Tree{N: 1 << 62}, "a log has from 0 to", nil},
		{"another root", m, 5, wrong, "the log is damaged: its tiles do not come to the root", ErrDamaged},
		{"an altered tile on the way", damaged, 7*Width + 200, tree, "the log is damaged: its tiles do not come to the root", ErrDamaged},
		{"not stored", memory{}, 5, tree, "reading tiles of the log: ", fs.ErrNotExist},
	} {
		_, err := Prove(t.Context(), c.tiles, c.leaf, c.tree)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Prove(t.Context(), memory{}, 5, tree); errors.Is(err, ErrDamaged) {
		t.Errorf("a store that cannot be read is not a damaged log: %v", err)
	}
	if _, err := Prove(t.Context(), damaged, 5, tree); err != nil {
		t.Errorf("a leaf far from the altered tile: %v", err)
	}
}

func TestConsistency(t *testing.T) {
	m, _ := grown(t, 66000)
	sizes := []int64{254, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 66000}
	for size := range int64(40) {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	for i, old := range sizes {
		for _, size := range sizes[i:] {
			older, newer := sampleTree(t, old), sampleTree(t, size)
			p, err := ProveConsistency(t.Context(), m, older, newer)
			if err != nil {
				t.Fatalf("from %d to %d: %v", old, size, err)
			}
			if err := p.Check(at(older), at(newer)); err != nil {
				t.Errorf("from %d to %d: %v", old, size, err)
			}
			if size > old && p.Check(at(newer), at(older)) == nil {
				t.Errorf("the log of %d leaves has become one of %d", size, old)
			}
		}
	}
}

// TestForkedLog: a log whose leaves were replaced is not taken for one that grew.
func TestForkedLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := aSize().Filter(func(n int64) bool { return n > 0 && n < 3000 }).Draw(t, "old")
		size := old + rapid.Int64Range(0, 600).Draw(t, "more")
		n := rapid.Int64Range(0, old-1).Draw(t, "replaced")
		leaves := slices.Clone(sample().leaves[:size])
		leaves[n] = tlog.RecordHash([]byte("another record"))
		g, err := Grow(context.Background(), nil, Empty(), leaves)
		if err != nil {
			t.Fatal(err)
		}
		m := memory{}
		m.keep(t, g)
		older := sampleTree(t, old)
		p, err := ProveConsistency(context.Background(), m, older, g.Tree)
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("of leaf %d replaced between %d and %d: %v", n, old, size, err)
		}
		if p.Check(at(older), at(g.Tree)) == nil {
			t.Fatalf("what came with the error is a proof: %v", p)
		}
	})
}

func TestAlteredConsistency(t *testing.T) {
	m, tree := grown(t, 66000)
	older := sampleTree(t, 300)
	p, err := ProveConsistency(t.Context(), m, older, tree)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		for j := range p[i] {
			altered := slices.Clone(p)
			altered[i][j] ^= 0x10
			if altered.Check(at(older), at(tree)) == nil {
				t.Errorf("byte %d of hash %d is altered, and it is taken", j, i)
			}
		}
	}
	elsewhere, other, notEmpty := at(tree), older, Empty()
	elsewhere.Origin = "stile/ffffffffffffffffffffffffffffffff"
	other.Hash[3] ^= 1
	notEmpty.Hash[3] ^= 1
	for _, c := range []struct {
		name         string
		p            Consistency
		older, newer Checkpoint
		want         string
	}{
		{"two logs", p, at(older), elsewhere, "the checkpoints are of two logs, stile/0123456789abcdef0123456789abcdef and stile/ffff"},
		{"another root before", p, at(other), at(tree), "at 66000 leaves it is not shown to begin with those that it had at 300"},
		{"a hash more", append(slices.Clone(p), older.Hash), at(older), at(tree), "is not shown"},
		{"a hash less", p[1:], at(older), at(tree), "is not shown"},
		{"the newer first", p, at(tree), at(older), "a log of 66000 leaves is not older than one of 300: give the smaller one first"},
		{"less than nothing", p, at(tlog.Tree{N: -1}), at(tree), "a log has from 0 to"},
		{"sizes that tlog does not count to", p, at(older), at(tlog.Tree{N: 1<<62 + 1}), "a log has from 0 to"},
		{"an empty log that is not", nil, at(notEmpty), at(tree), "is not shown"},
		{"an empty log that was", nil, at(Empty()), at(notEmpty), "is not shown"},
		{"the same size, another root", nil, at(older), at(other), "is not shown"},
		{"something of nothing", p, at(Empty()), at(tree), "is not shown"},
	} {
		if err := c.p.Check(c.older, c.newer); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ProveConsistency(t.Context(), m, tree, older); err == nil || !strings.Contains(err.Error(), "give the smaller one first") {
		t.Errorf("backwards: %v", err)
	}
	if _, err := ProveConsistency(t.Context(), m, older, tlog.Tree{N: 1 << 62}); err == nil {
		t.Error("a log of 2^62 leaves has a proof")
	}
	if _, err := ProveConsistency(t.Context(), memory{}, older, tree); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("a store without tiles: %v", err)
	}
}
