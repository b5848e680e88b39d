package merkle

import (
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right side of a tree: of each level the tile that is not full, or nothing where there is none. The root
// follows from it, and so does all that comes to stand to its right.
type edge [][]byte

// edgeTiles are the tiles of a tree that are not full, from the leaves upwards.
func edgeTiles(size int64) []tlog.Tile {
	var list []tlog.Tile
	for level := 0; size > 0; level++ {
		if w := int(size % Width); w > 0 {
			list = append(list, tlog.Tile{H: Height, L: level, N: size >> Height, W: w})
		}
		size >>= Height
	}
	return list
}

func readEdge(ctx context.Context, tiles Tiles, size int64) (edge, error) {
	list := edgeTiles(size)
	data, err := Read(ctx, tiles, list)
	if err != nil {
		return nil, err
	}
	var e edge
	for i, t := range list {
		for len(e) <= t.L {
			e = append(e, nil)
		}
		e[t.L] = data[i]
	}
	return e, nil
}

// openEdge reads the edge of a tree whose root is known.
func openEdge(ctx context.Context, tiles Tiles, tree tlog.Tree) (edge, error) {
	e, err := readEdge(ctx, tiles, tree.N)
	if err != nil {
		return nil, err
	}
	if root := e.root(); root != tree.Hash {
		return nil, fmt.Errorf("%w: its tiles at size %d come to the root %v, not %v", ErrDamaged, tree.N, root, tree.Hash)
	}
	return e, nil
}

// root joins the complete subtrees, which stand from the largest to the smallest, from right to left.
func (e edge) root() tlog.Hash {
	var root tlog.Hash
	some := false
	for _, data := range e {
		for w := len(data) / tlog.HashSize; w > 0; w &= w - 1 {
			last := w & -w
			h := subtree(data[(w-last)*tlog.HashSize : w*tlog.HashSize])
			if some {
				h = tlog.NodeHash(h, root)
			}
			root, some = h, true
		}
	}
	if !some {
		return sha256.Sum256(nil) // RFC 6962, 2.1
	}
	return root
}

// subtree is what a power of two of hashes comes to.
func subtree(data []byte) tlog.Hash {
	if len(data) == tlog.HashSize {
		return tlog.Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(subtree(data[:half]), subtree(data[half:]))
}
