package merkle

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// readAhead is how many tiles are read at once for each level above the leaves: 256 KB.
const readAhead = 32

// Verify checks every tile of a tree, from its root down, so that an error names the one that is wrong.
func Verify(ctx context.Context, tiles Tiles, tree tlog.Tree) error {
	for _, err := range Leaves(ctx, tiles, tree) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Leaves are the hashes of a tree's leaves from 0 on, each checked before it is given, and after them or instead of them
// what is wrong. It takes no more memory for a large log than readAhead tiles for each of its levels.
func Leaves(ctx context.Context, tiles Tiles, tree tlog.Tree) iter.Seq2[tlog.Hash, error] {
	return func(yield func(tlog.Hash, error) bool) {
		if err := checkSize(tree.N); err != nil {
			yield(tlog.Hash{}, err)
			return
		}
		e, err := openEdge(ctx, tiles, tree)
		if err != nil {
			yield(tlog.Hash{}, err)
			return
		}
		d := descent{ctx, tiles, yield}
		list := edgeTiles(tree.N)
		for i := len(list) - 1; i >= 0; i-- { // the oldest leaves are below the highest level
			if !d.below(list[i], e[list[i].L]) {
				return
			}
		}
	}
}

type descent struct {
	ctx   context.Context // of the one walk that it is made for
	tiles Tiles
	yield func(tlog.Hash, error) bool
}

// below gives the leaves below a tile that is known to be right, and tells whether to go on.
func (d descent) below(t tlog.Tile, data []byte) bool {
	if t.L == 0 {
		for i := range t.W {
			if !d.yield(hashAt(data, i), nil) {
				return false
			}
		}
		return true
	}
	for first := 0; first < t.W; first += readAhead {
		list := make([]tlog.Tile, min(readAhead, t.W-first))
		for i := range list {
			list[i] = tlog.Tile{H: Height, L: t.L - 1, N: t.N<<Height + int64(first+i), W: Width}
		}
		got, err := Read(d.ctx, d.tiles, list)
		if err != nil {
			d.yield(tlog.Hash{}, err)
			return false
		}
		for i := range list {
			if subtree(got[i]) != hashAt(data, first+i) {
				d.yield(tlog.Hash{}, fmt.Errorf("%w: %s was altered", ErrDamaged, list[i].Path()))
				return false
			}
			if !d.below(list[i], got[i]) {
				return false
			}
		}
	}
	return true
}

func hashAt(tile []byte, i int) tlog.Hash {
	return tlog.Hash(tile[i*tlog.HashSize:][:tlog.HashSize])
}
