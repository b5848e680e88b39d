package merkle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// memory is a store as Tiles wants it: a row for each level and number, which only ever gets longer.
type memory map[[2]int64][]byte

func (m memory) Tiles(_ context.Context, tiles []tlog.Tile) ([][]byte, error) {
	var list [][]byte
	for _, t := range tiles {
		data := m[[2]int64{int64(t.L), t.N}]
		if t.H != Height || len(data) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: %w", t.Path(), fs.ErrNotExist)
		}
		list = append(list, data[:t.W*tlog.HashSize])
	}
	return list, nil
}

func (m memory) keep(t rapid.TB, g Growth) {
	t.Helper()
	for _, tile := range g.Tiles {
		at := [2]int64{int64(tile.Level), tile.N}
		if old := m[at]; len(old) >= len(tile.Data) || !bytes.HasPrefix(tile.Data, old) {
			t.Fatalf("tile %v of %d bytes does not go on from the %d that are stored", at, len(tile.Data), len(old))
		}
		m[at] = tile.Data
	}
}

func (m memory) clone() memory {
	c := memory{}
	for at, data := range m {
		c[at] = slices.Clone(data)
	}
	return c
}

// sample is a log as tlog keeps it, over two full tiles of the second level, to compare with.
var sample = sync.OnceValue(func() (s struct {
	leaves []tlog.Hash
	stored []tlog.Hash
},
) {
	for n := range int64(2*Width*Width + 300) {
		leaf := tlog.RecordHash(fmt.Appendf(nil, "record %d", n))
		more, err := tlog.StoredHashesForRecordHash(n, leaf, hashes(s.stored))
		if err != nil {
			panic(err)
		}
		s.leaves, s.stored = append(s.leaves, leaf), append(s.stored, more...)
	}
	return s
})

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = h[x]
	}
	return list, nil
}

func sampleTree(t rapid.TB, size int64) tlog.Tree {
	t.Helper()
	root, err := tlog.TreeHash(size, hashes(sample().stored))
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: root}
}

// grown is the sample's log, grown in steps that end at the sizes given.
func grown(t rapid.TB, sizes ...int64) (memory, tlog.Tree) {
	t.Helper()
	m, tree := memory{}, Empty()
	for _, size := range sizes {
		g, err := Grow(context.Background(), m, tree, sample().leaves[tree.N:size])
		if err != nil {
			t.Fatalf("growing from %d to %d: %v", tree.N, size, err)
		}
		var list []tlog.Tile
		for _, tile := range g.Tiles {
			list = append(list, tlog.Tile{H: Height, L: tile.Level, N: tile.N, W: len(tile.Data) / tlog.HashSize})
		}
		if want := tlog.NewTiles(Height, tree.N, size); !slices.Equal(list, want) {
			t.Fatalf("from %d to %d the tiles are %v, not %v", tree.N, size, list, want)
		}
		m.keep(t, g)
		tree = g.Tree
	}
	return m, tree
}

// aSize draws a size of the sample, often one where a tile or a level begins.
func aSize() *rapid.Generator[int64] {
	return rapid.Custom(func(t *rapid.T) int64 {
		around := rapid.SampledFrom([]int64{0, 1, Width, 2 * Width, 3 * Width, Width * Width, 2 * Width * Width}).Draw(t, "around")
		if rapid.Bool().Draw(t, "edge") {
			return max(0, around+rapid.Int64Range(-2, 2).Draw(t, "beside"))
		}
		return rapid.Int64Range(0, int64(len(sample().leaves))).Draw(t, "size")
	})
}

func TestGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(aSize(), 1, 8).Draw(t, "sizes")
		slices.Sort(sizes)
		size := sizes[len(sizes)-1]
		m, tree := grown(t, sizes...)
		once, at := grown(t, size)
		if want := sampleTree(t, size); tree != want || at != want {
			t.Fatalf("the root is %v in steps and %v at once, and %v by tlog", tree, at, want)
		}
		if root, err := Root(context.Background(), m, size); err != nil || root != tree.Hash {
			t.Fatalf("the stored tiles have the root %v (%v)", root, err)
		}
		if len(m) != len(once) {
			t.Fatalf("%d tiles in steps, %d at once", len(m), len(once))
		}
		for at, data := range m {
			if !bytes.Equal(data, once[at]) {
				t.Fatalf("tile %v differs between steps and once", at)
			}
			want, err := tlog.ReadTileData(tlog.Tile{H: Height, L: int(at[0]), N: at[1], W: len(data) / tlog.HashSize}, hashes(sample().stored))
			if err != nil || !bytes.Equal(data, want) {
				t.Fatalf("tile %v is not that of tlog (%v)", at, err)
			}
		}
	})
}

// TestGrowIsPure: what a store gives out is not written to, and the same call gives the same.
func TestGrowIsPure(t *testing.T) {
	m, tree := grown(t, 300)
	wide, rooms := memory{}, memory{}
	for at, data := range m {
		rooms[at] = append(slices.Clone(data), bytes.Repeat([]byte{0xff}, Width*tlog.HashSize)...)
		wide[at] = rooms[at][:len(data)] // with room behind it to write into by mistake
	}
	before := rooms.clone()
	leaves := sample().leaves[300:310]
	first, err1 := Grow(t.Context(), wide, tree, leaves)
	again, err2 := Grow(t.Context(), wide, tree, leaves)
	if err1 != nil || err2 != nil || first.Tree != again.Tree || len(first.Tiles) != len(again.Tiles) {
		t.Fatalf("%v (%v), then %v (%v)", first.Tree, err1, again.Tree, err2)
	}
	for at, room := range rooms {
		if !bytes.Equal(room, before[at]) {
			t.Errorf("tile %v of the store was written to", at)
		}
	}
	for i, tile := range first.Tiles {
		if !bytes.Equal(tile.Data, again.Tiles[i].Data) {
			t.Errorf("tile %d/%d is another the second time", tile.Level, tile.N)
		}
	}
}

func TestGrowBadInput(t *testing.T) {
	m, tree := grown(t, 70000)
	leaves := sample().leaves[70000:70003]
	wrong := tree
	wrong.Hash[0] ^= 1
	for _, c := range []struct {
		name  string
		tiles Tiles
		from  tlog.Tree
		want  string
		is    error
	}{
		{"another root", m, wrong, "the log is damaged: its tiles at size 70000 come to the root", ErrDamaged},
		{"another root of nothing", nil, tlog.Tree{}, "the log is damaged: its tiles at size 0 come to the root 47DEQpj8", ErrDamaged},
		{"less than nothing", m, tlog.Tree{N: -1}, "a log has from 0 to 1099511627776 leaves, not -1", nil},
		{"more than fits", m, tlog.Tree{N: MaxSize + 1}, "leaves, not 1099511627777", nil},
		{"full", m, tlog.Tree{N: MaxSize - 2}, "a log of 1099511627774 leaves takes 2 more, not 3", nil},
		{"not stored", memory{}, tree, "reading tiles of the log: tile/8/0/273.p/112: file does not exist", fs.ErrNotExist},
		{"too few come", answers(nil), tree, "3 tiles were asked for, and 0 came", ErrDamaged},
		{"a narrow one comes", answers{make([]byte, 112*32), make([]byte, 17*32-1), make([]byte, 32)}, tree, "tile/8/1/001.p/17 has 543 bytes, not 544", ErrDamaged},
		{"a wide one comes", answers{make([]byte, 113*32), make([]byte, 17*32), make([]byte, 32)}, tree, "tile/8/0/273.p/112 has 3616 bytes, not 3584", ErrDamaged},
	} {
		g, err := Grow(t.Context(), c.tiles, c.from, leaves)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || len(g.Tiles) > 0 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Grow(ended, m, tree, leaves); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}

// answers is a store that gives the same whatever it is asked for.
type answers [][]byte

func (a answers) Tiles(context.Context, []tlog.Tile) ([][]byte, error) { return a, nil }

// TestAlteredEdge: a log does not grow on tiles that are not those of its root, whichever bit it is.
func TestAlteredEdge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := aSize().Filter(func(n int64) bool { return n > 0 }).Draw(t, "size")
		m, tree := grown(t, size)
		tile := rapid.SampledFrom(edgeTiles(size)).Draw(t, "tile")
		m.alter(t, [2]int64{int64(tile.L), tile.N})
		if _, err := Grow(context.Background(), m, tree, sample().leaves[:1]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("it grew on an altered %s: %v", tile.Path(), err)
		}
		if root, err := Root(context.Background(), m, size); err != nil || root == tree.Hash {
			t.Fatalf("an altered %s has the same root (%v)", tile.Path(), err)
		}
	})
}

// alter changes one bit of a tile.
func (m memory) alter(t *rapid.T, at [2]int64) {
	data := slices.Clone(m[at])
	data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	m[at] = data
}
