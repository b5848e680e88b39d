package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

// A record gets its number in the log when it is stored. The tree over the numbered leaves is made afterwards, off the
// visitor's path, by whichever process comes first: that changes nothing, since the leaves are what they are.

const (
	keepEvery = time.Second // at most, with something new
	lookEvery = time.Minute // without: what another process added, such as an operator's command, is sealed too
	growMost  = 4096        // leaves in one transaction
)

// Sign has the tree made and checkpoints of it signed from now on, by each of the keys.
func (l *Ledger) Sign(keys ...note.Signer) {
	l.signers.Store(&keys)
	l.keeping.Do(func() { go l.keeper() })
	l.noteGrowth()
}

// noteGrowth wakes the keeper.
func (l *Ledger) noteGrowth() {
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// keeper keeps the tree up to the log until the ledger is closed.
func (l *Ledger) keeper() {
	defer close(l.kept)
	said := ""
	for {
		select {
		case <-l.stop:
			return
		case <-l.grown:
		case <-time.After(lookEvery):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, err := l.Seal(ctx)
		cancel()
		switch {
		case err == nil:
			said = ""
		case l.spool != nil && gone(err): // that was said by the first choice to be spooled
		case err.Error() != said:
			said = err.Error()
			l.log.Error("the log cannot be sealed", "error", err)
		}
		select {
		case <-l.stop:
			return
		case <-time.After(keepEvery):
		}
		if err != nil {
			l.noteGrowth()
		}
	}
}

// Seal makes the tree over all leaves that the log has, and returns a signed checkpoint of it. Without keys to sign with
// the checkpoint is the newest that there is, or nil.
func (l *Ledger) Seal(ctx context.Context) ([]byte, error) {
	for {
		var left int64
		err := l.transact(ctx, func(tx *sql.Tx) (err error) {
			left, err = l.grow(ctx, tx, growMost)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("making the tree of the log: %w", l.engine.explain(err))
		}
		if left == 0 {
			break
		}
	}
	msg, err := l.checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing the log: %w", l.engine.explain(err))
	}
	return msg, nil
}

// cover makes the tree over all leaves before some of them are erased, in the transaction that erases them.
func (l *Ledger) cover(ctx context.Context, tx *sql.Tx) error {
	for {
		left, err := l.grow(ctx, tx, growMost)
		if left == 0 || err != nil {
			return err
		}
	}
}

// grow adds up to so many leaves to the tree, and returns how many are left.
func (l *Ledger) grow(ctx context.Context, tx *sql.Tx, most int64) (left int64, err error) {
	tree, err := l.engine.lockTree(ctx, tx)
	if err != nil {
		return 0, err
	}
	var size int64
	if err := tx.QueryRowContext(ctx, sizeSQL).Scan(&size); err != nil {
		return 0, err
	}
	end := min(size, tree.N+most)
	if end == tree.N {
		return 0, nil
	}
	hashes, err := leafHashes(ctx, tx, tree.N, end)
	if err != nil {
		return 0, err
	}
	grown, err := merkle.Grow(ctx, tiles{tx}, tree, hashes)
	if err != nil {
		return 0, err
	}
	for _, t := range grown.Tiles {
		if _, err := tx.ExecContext(ctx, tileSQL, t.Level, t.N, t.Data); err != nil {
			return 0, fmt.Errorf("storing a tile: %w", err)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE tree SET size = $1, root = $2`, grown.N, grown.Hash[:])
	return size - end, err
}

const treeSQL = `SELECT size, root FROM tree`

// scanTree reads the tree that there is.
func scanTree(from *sql.Row) (tlog.Tree, error) {
	var size int64
	var root []byte
	if err := from.Scan(&size, &root); err != nil {
		return tlog.Tree{}, err
	}
	if size == 0 {
		return merkle.Empty(), nil
	}
	tree := tlog.Tree{N: size}
	if copy(tree.Hash[:], root) != len(tree.Hash) {
		return tree, fmt.Errorf("%w: its root has %d bytes", merkle.ErrDamaged, len(root))
	}
	return tree, nil
}

const tileSQL = `INSERT INTO tiles (level, n, data) VALUES ($1, $2, $3) ON CONFLICT (level, n) DO UPDATE SET data = excluded.data`

// leafHashes are those of the leaves from one number to before another.
func leafHashes(ctx context.Context, tx *sql.Tx, from, end int64) ([]tlog.Hash, error) {
	hashes, found := make([]tlog.Hash, end-from), make([]bool, end-from)
	err := rowsOf(ctx, tx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		if err == nil {
			hashes[r.Leaf-from], found[r.Leaf-from] = tlog.RecordHash(Leaf(&r)), true
		}
		return err
	}, `SELECT `+columns+` FROM records WHERE leaf >= $1 AND leaf < $2`, from, end)
	if err != nil {
		return nil, err
	}
	err = rowsOf(ctx, tx, func(rows *sql.Rows) error {
		a, err := scanAudit(rows)
		if err == nil {
			hashes[a.Leaf-from], found[a.Leaf-from] = tlog.RecordHash(AuditLeaf(&a)), true
		}
		return err
	}, `SELECT `+auditColumns+` FROM audit WHERE leaf >= $1 AND leaf < $2`, from, end)
	if err != nil {
		return nil, err
	}
	for i, ok := range found {
		if !ok {
			return nil, fmt.Errorf("%w: leaf %d is gone, and was not erased by Stile", merkle.ErrDamaged, from+int64(i))
		}
	}
	return hashes, nil
}

// tiles reads tiles where queries are answered.
type tiles struct {
	from interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
}

// Tiles returns the data of tiles, see merkle.Tiles.
func (t tiles) Tiles(ctx context.Context, list []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(list))
	for i, tile := range list {
		err := t.from.QueryRowContext(ctx, `SELECT data FROM tiles WHERE level = $1 AND n = $2`, tile.L, tile.N).Scan(&all[i])
		if errors.Is(err, sql.ErrNoRows) || err == nil && len(all[i]) < tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%w: %s is not stored", merkle.ErrDamaged, tile.Path())
		}
		if err != nil {
			return nil, err
		}
		all[i] = all[i][:tile.W*tlog.HashSize]
	}
	return all, nil
}

// Tiles returns the data of tiles, see merkle.Tiles.
func (l *Ledger) Tiles(ctx context.Context, list []tlog.Tile) ([][]byte, error) {
	all, err := tiles{l.engine.reader()}.Tiles(ctx, list)
	return all, l.engine.explain(err)
}

// Origin is the name of the log: the first line of its checkpoints.
func (l *Ledger) Origin(ctx context.Context) (name string, err error) {
	if err := l.engine.reader().QueryRowContext(ctx, `SELECT origin FROM log`).Scan(&name); err != nil {
		return "", fmt.Errorf("reading the name of the log: %w", l.engine.explain(err))
	}
	return name, nil
}

// Checkpoint returns the newest signed checkpoint, or fs.ErrNotExist before the first.
func (l *Ledger) Checkpoint(ctx context.Context) (msg []byte, err error) {
	err = l.engine.reader().QueryRowContext(ctx, newestSQL).Scan(&msg)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint of the log: %w", l.engine.explain(err))
	}
	return msg, nil
}

const (
	newestSQL = `SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1`
	signedSQL = `INSERT INTO checkpoints (size, time, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO UPDATE SET time = excluded.time, note = excluded.note`
	thinSQL   = `DELETE FROM checkpoints WHERE time >= $1 AND size < $2`
)

// checkpoint signs the tree, unless it is signed by these keys already.
func (l *Ledger) checkpoint(ctx context.Context) (msg []byte, err error) {
	signers := l.signers.Load()
	err = l.transact(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, newestSQL).Scan(&msg)
		if err != nil && !errors.Is(err, sql.ErrNoRows) || signers == nil || len(*signers) == 0 {
			return ignoreNone(err)
		}
		tree, err := l.engine.lockTree(ctx, tx)
		if err != nil {
			return err
		}
		if signed(msg, tree, *signers) {
			return nil
		}
		c := merkle.Checkpoint{Size: tree.N, Root: tree.Hash, Time: time.Now().UTC()}
		if err := tx.QueryRowContext(ctx, `SELECT origin FROM log`).Scan(&c.Origin); err != nil {
			return err
		}
		if msg, err = c.Sign(*signers...); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, signedSQL, c.Size, toMilli(c.Time), string(msg)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, thinSQL, toMilli(c.Time.Truncate(24*time.Hour)), c.Size)
		return err
	})
	return msg, err
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// signed tells whether a checkpoint is of a tree, and by the first of the keys.
func signed(msg []byte, tree tlog.Tree, keys []note.Signer) bool {
	c, err := merkle.Unverified(msg)
	if err != nil || c.Tree() != tree {
		return false
	}
	var by *note.UnverifiedNoteError
	if _, err := note.Open(msg, nil); !errors.As(err, &by) {
		return false
	}
	for _, s := range by.Note.UnverifiedSigs {
		if s.Name == keys[0].Name() && s.Hash == keys[0].KeyHash() {
			return true
		}
	}
	return false
}

// Prove proves that leaves are in the log, against the signed checkpoint that it returns with the proofs. Leaves that are
// not sealed yet are sealed first.
func (l *Ledger) Prove(ctx context.Context, leaves ...int64) (proofs []merkle.Proof, checkpoint []byte, err error) {
	checkpoint, err = l.Checkpoint(ctx)
	var c merkle.Checkpoint
	if err == nil {
		c, err = merkle.Unverified(checkpoint)
	}
	for _, leaf := range leaves {
		if err == nil && leaf < c.Size {
			continue
		}
		if checkpoint, err = l.Seal(ctx); err != nil {
			return nil, nil, err
		}
		if c, err = merkle.Unverified(checkpoint); err != nil {
			return nil, nil, fmt.Errorf("the log is not signed: %w", err)
		}
	}
	for _, leaf := range leaves {
		p, err := merkle.Prove(ctx, l, leaf, c.Tree())
		if err != nil {
			return nil, nil, fmt.Errorf("proving that leaf %d is in the log: %w", leaf, err)
		}
		proofs = append(proofs, p)
	}
	return proofs, checkpoint, nil
}
