package merkle

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows that a leaf is in a log: whoever has the leaf and a signed checkpoint can check it with nothing more.
type Proof struct {
	Leaf   int64 // its number, from 0
	Size   int64 // of the log, at the checkpoint
	Hashes tlog.RecordProof
}

// Prove makes the proof of a leaf, which holds: a tree that the tiles do not come to is ErrDamaged.
func Prove(ctx context.Context, tiles Tiles, leaf int64, tree tlog.Tree) (Proof, error) {
	if err := checkSize(tree.N); err != nil {
		return Proof{}, err
	}
	if err := checkLeaf(leaf, tree.N); err != nil {
		return Proof{}, err
	}
	r := &reader{ctx: ctx, tiles: tiles}
	hashes, err := tlog.ProveRecord(tree.N, leaf, tlog.TileHashReader(tree, r))
	if err != nil {
		return Proof{}, r.explain(err, tree)
	}
	return Proof{Leaf: leaf, Size: tree.N, Hashes: hashes}, nil
}

// Check checks that the log of a checkpoint has a leaf, given by its hash (tlog.RecordHash), where the proof says. The
// checkpoint is taken for genuine: Parse makes sure of it.
func (p Proof) Check(leaf tlog.Hash, c Checkpoint) error {
	if p.Size != c.Size {
		return fmt.Errorf("the proof is for a log of %d leaves, and the checkpoint of one of %d: a proof goes with the checkpoint that it was made for", p.Size, c.Size)
	}
	if err := checkSize(p.Size); err != nil {
		return err
	}
	if err := checkLeaf(p.Leaf, p.Size); err != nil {
		return err
	}
	if tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Leaf, leaf) != nil {
		return fmt.Errorf("this is not leaf %d of the log: the leaf or its proof was altered, or is of another log", p.Leaf)
	}
	return nil
}

func checkLeaf(leaf, size int64) error {
	if leaf < 0 || leaf >= size {
		return fmt.Errorf("a log of %d leaves has no leaf %d: they are numbered from 0", size, leaf)
	}
	return nil
}

// Consistency shows that a log has only grown between two checkpoints: all leaves of the older are in the newer, in
// their places.
type Consistency tlog.TreeProof

// ProveConsistency makes the proof that a log at newer has what it had at older. Where it does not, that is ErrDamaged.
func ProveConsistency(ctx context.Context, tiles Tiles, older, newer tlog.Tree) (Consistency, error) {
	if err := errors.Join(checkSize(older.N), checkSize(newer.N)); err != nil {
		return nil, err
	}
	if older.N == 0 || older.N >= newer.N {
		return nil, checkGrowth(nil, older, newer)
	}
	r := &reader{ctx: ctx, tiles: tiles}
	p, err := tlog.ProveTree(newer.N, older.N, tlog.TileHashReader(newer, r))
	if err != nil {
		return nil, r.explain(err, newer)
	}
	return Consistency(p), checkGrowth(p, older, newer)
}

// Check checks that the log of the newer checkpoint has grown out of that of the older one. Both are taken for genuine.
func (p Consistency) Check(older, newer Checkpoint) error {
	if older.Origin != newer.Origin {
		return fmt.Errorf("the checkpoints are of two logs, %s and %s", older.Origin, newer.Origin)
	}
	if err := errors.Join(checkSize(older.Size), checkSize(newer.Size)); err != nil {
		return err
	}
	return checkGrowth(tlog.TreeProof(p), older.Tree(), newer.Tree())
}

// checkGrowth is tlog.CheckTree, and knows that every log begins empty.
func checkGrowth(p tlog.TreeProof, older, newer tlog.Tree) error {
	var grown bool
	switch {
	case older.N > newer.N:
		return fmt.Errorf("a log of %d leaves is not older than one of %d: give the smaller one first", older.N, newer.N)
	case older.N == 0:
		grown = len(p) == 0 && older == Empty() && (newer.N > 0 || newer == older)
	default:
		grown = tlog.CheckTree(p, newer.N, newer.Hash, older.N, older.Hash) == nil
	}
	if !grown {
		return fmt.Errorf("%w: at %d leaves it is not shown to begin with those that it had at %d: leaves or the proof were altered, or one is of another log",
			ErrDamaged, newer.N, older.N)
	}
	return nil
}

// reader reads tiles for tlog, which checks them against the tree.
type reader struct {
	ctx    context.Context // of the one call that a reader is made for
	tiles  Tiles
	failed error
}

// Height is that of the tiles.
func (r *reader) Height() int { return Height }

// ReadTiles reads tiles, and keeps what went wrong.
func (r *reader) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	data, r.failed = Read(r.ctx, r.tiles, list)
	return data, r.failed
}

// SaveTiles is told which tiles are right: they are stored already.
func (r *reader) SaveTiles([]tlog.Tile, [][]byte) {}

// explain tells an error of reading from tiles that are wrong.
func (r *reader) explain(err error, tree tlog.Tree) error {
	if r.failed != nil {
		return r.failed
	}
	return fmt.Errorf("%w: its tiles do not come to the root %v at size %d: %w", ErrDamaged, tree.Hash, tree.N, err)
}
