// Package merkle is the arithmetic of the log: a Merkle tree as of RFC 6962, kept as tiles, and what is signed and proved
// of it. It stores nothing and asks nobody: tiles come from a Tiles, and what Grow makes is given back to be stored.
//
// A log at one of its sizes is a tlog.Tree: how many leaves it has, and its root, which stands for each of them. Every
// function that is given a tree takes it for true, checks what it reads against it, and says ErrDamaged where they differ,
// so that no proof is given that does not hold and nothing grows on what was altered.
//
// Tiles are those of golang.org/x/mod/sumdb/tlog at Height 8: a full one has 256 hashes of 32 bytes. A store keeps one row
// for each level and number, whose data only ever gets longer, until it is full. They come to 32.1 bytes a leaf.
//
//	Grow, Root                          what the log becomes with more leaves
//	Checkpoint, Parse                   what is signed, and published
//	Prove, Proof.Check                  a leaf is in the log
//	ProveConsistency, Consistency.Check a log has only grown
//	Verify, Leaves                      all that is stored is what was signed
package merkle

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// Height is that of the tiles, in levels of the tree.
	Height = 8
	// Width is how many hashes a full tile has.
	Width = 1 << Height
	// MaxSize is how many leaves a log takes, far more than will come: tlog's arithmetic ends, and does not return, beyond
	// 2^62.
	MaxSize = 1 << 40
	// MaxLevel is the highest level of tiles that such a log has.
	MaxLevel = 40 / Height
)

// ErrDamaged is what stored tiles are that do not fit each other or the tree that they are to be of. Trying again does not
// help.
var ErrDamaged = errors.New("the log is damaged")

// Tiles reads what is stored.
type Tiles interface {
	// Tiles returns the data of tiles of height 8, in the order asked for: of each exactly W hashes, the first ones where
	// more are stored. It is only read. One that is not stored, or not as wide, is an error. It is not called for none.
	Tiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error)
}

// Tile is one to store, in the place of what is stored for its level and number: that is how the data begins.
type Tile struct {
	Level int
	N     int64
	Data  []byte // 1 to 256 hashes
}

// Growth is a log with more leaves.
type Growth struct {
	tlog.Tree
	Tiles []Tile // all that are new or longer, once each, by level and number
}

// Grow adds leaves, which are hashes by tlog.RecordHash, to a log of the size and root of from. However many steps it takes
// them in, tiles and root are the same. That takes about one hash a leaf, and twice those of the tiles that are not full.
func Grow(ctx context.Context, tiles Tiles, from tlog.Tree, leaves []tlog.Hash) (Growth, error) {
	if err := checkSize(from.N); err != nil {
		return Growth{}, err
	}
	if int64(len(leaves)) > MaxSize-from.N {
		return Growth{}, fmt.Errorf("a log of %d leaves takes %d more, not %d", from.N, MaxSize-from.N, len(leaves))
	}
	e, err := openEdge(ctx, tiles, from)
	if err != nil {
		return Growth{}, err
	}
	g := Growth{Tree: tlog.Tree{N: from.N + int64(len(leaves))}}
	size := from.N
	for level := 0; len(leaves) > 0; level++ {
		if level == len(e) {
			e = append(e, nil)
		}
		e[level], leaves = g.extend(level, size>>Height, e[level], leaves)
		size >>= Height
	}
	g.Hash = e.root()
	return g, nil
}

// extend adds hashes to a level, whose tile n is the one that is not full. It returns what is then not full, and what the
// full ones come to, which the level above gets.
func (g *Growth) extend(level int, n int64, begun []byte, hashes []tlog.Hash) (rest []byte, above []tlog.Hash) {
	for len(hashes) > 0 {
		w := min(Width-len(begun)/tlog.HashSize, len(hashes))
		data := make([]byte, 0, len(begun)+w*tlog.HashSize)
		data = append(data, begun...)
		for _, h := range hashes[:w] {
			data = append(data, h[:]...)
		}
		g.Tiles = append(g.Tiles, Tile{Level: level, N: n, Data: data})
		hashes = hashes[w:]
		if len(data) < Width*tlog.HashSize {
			return data, above
		}
		above = append(above, subtree(data))
		begun, n = nil, n+1
	}
	return nil, above
}

// Root is the root of what is stored, at a size. Nothing vouches for it: what is known of a log is the root that was signed.
func Root(ctx context.Context, tiles Tiles, size int64) (tlog.Hash, error) {
	if err := checkSize(size); err != nil {
		return tlog.Hash{}, err
	}
	e, err := readEdge(ctx, tiles, size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return e.root(), nil
}

// Empty is a log without leaves.
func Empty() tlog.Tree { return tlog.Tree{Hash: edge{}.root()} }

func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("a log has from 0 to %d leaves, not %d", int64(MaxSize), size)
	}
	return nil
}

// Read reads tiles, and checks that each is as wide as it is to be.
func Read(ctx context.Context, tiles Tiles, want []tlog.Tile) ([][]byte, error) {
	if err := ctx.Err(); err != nil || len(want) == 0 {
		return nil, err
	}
	data, err := tiles.Tiles(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("reading tiles of the log: %w", err)
	}
	if len(data) != len(want) {
		return nil, fmt.Errorf("%w: %d tiles were asked for, and %d came", ErrDamaged, len(want), len(data))
	}
	for i, t := range want {
		if len(data[i]) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrDamaged, t.Path(), len(data[i]), t.W*tlog.HashSize)
		}
	}
	return data, nil
}
