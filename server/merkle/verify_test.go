package merkle

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// watched counts what is asked of a store.
type watched struct {
	store     Tiles
	most, all int
}

func (w *watched) Tiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	w.most, w.all = max(w.most, len(tiles)), w.all+len(tiles)
	return w.store.Tiles(ctx, tiles)
}

func TestLeaves(t *testing.T) {
	m, _ := grown(t, int64(len(sample().leaves)))
	for _, size := range []int64{0, 1, 255, 256, 257, 65535, 65536, 65537, 2*Width*Width + 300} {
		w := &watched{store: m}
		var got []tlog.Hash
		for leaf, err := range Leaves(t.Context(), w, sampleTree(t, size)) {
			if err != nil {
				t.Fatalf("of %d: %v", size, err)
			}
			got = append(got, leaf)
		}
		if !slices.Equal(got, sample().leaves[:size]) {
			t.Errorf("of %d leaves %d came, or others", size, len(got))
		}
		if tiles := len(tlog.NewTiles(Height, 0, size)); w.all != tiles || w.most > readAhead {
			t.Errorf("of %d leaves: %d of %d tiles were read, up to %d at once", size, w.all, tiles, w.most)
		}
	}
}

// TestLeavesInPart: who stops has read no more than it took.
func TestLeavesInPart(t *testing.T) {
	m, tree := grown(t, int64(len(sample().leaves)))
	w := &watched{store: m}
	taken := 0
	for range Leaves(t.Context(), w, tree) {
		if taken++; taken == 10 {
			break
		}
	}
	if w.all > len(edgeTiles(tree.N))+2*readAhead {
		t.Errorf("%d tiles were read for 10 leaves", w.all)
	}
}

// TestAlteredTile: whichever bit of whichever tile is altered, it is found, and the tile is named where its own parent
// says what it was.
func TestAlteredTile(t *testing.T) {
	whole := map[int64]memory{}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int64{1, 200, 256, 257, 1000, 65536, 65537 + Width}).Draw(t, "size")
		tree := sampleTree(t, size)
		if whole[size] == nil {
			whole[size], _ = grown(t, size)
		}
		m := whole[size].clone()
		if err := Verify(context.Background(), m, tree); err != nil {
			t.Fatalf("as it is: %v", err)
		}
		var rows [][2]int64
		for at := range m {
			rows = append(rows, at)
		}
		slices.SortFunc(rows, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		at := rapid.SampledFrom(rows).Draw(t, "tile")
		m.alter(t, at)
		err := Verify(context.Background(), m, tree)
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("tile %v is altered: %v", at, err)
		}
		full := tlog.Tile{H: Height, L: int(at[0]), N: at[1], W: Width}
		if named := full.Path() + " was altered"; len(m[at]) == Width*tlog.HashSize && !strings.Contains(err.Error(), named) {
			t.Fatalf("%q does not name %s", err, full.Path())
		}
	})
}

func TestVerifyBadInput(t *testing.T) {
	m, tree := grown(t, 70000)
	gone, short := m.clone(), m.clone()
	delete(gone, [2]int64{0, 200})
	short[[2]int64{1, 0}] = short[[2]int64{1, 0}][:32]
	for _, c := range []struct {
		name  string
		tiles Tiles
		tree  tlog.Tree
		is    error
	}{
		{"another size", m, tlog.Tree{N: 69999, Hash: tree.Hash}, ErrDamaged},
		{"no root", m, tlog.Tree{N: 70000}, ErrDamaged},
		{"no root of nothing", m, tlog.Tree{}, ErrDamaged},
		{"a tile that is gone", gone, tree, fs.ErrNotExist},
		{"a tile that is cut", short, tree, fs.ErrNotExist},
		{"more than is stored", m, tlog.Tree{N: 70001, Hash: tree.Hash}, fs.ErrNotExist},
	} {
		if err := Verify(t.Context(), c.tiles, c.tree); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Verify(t.Context(), m, tlog.Tree{N: -5}); err == nil {
		t.Error("a log of -5 leaves is right")
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var last error
	for _, err := range Leaves(ctx, m, tree) {
		end()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("after its context ended: %v", last)
	}
}
