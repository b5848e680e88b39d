package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

func newSigner(tb testing.TB) (note.Signer, note.Verifiers) {
	tb.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "stile")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		tb.Fatal(err)
	}
	return s, note.VerifierList(v)
}

// proved checks that records are in the log, by what an auditor has.
func proved(tb testing.TB, l *Ledger, keys note.Verifiers, all ...Record) merkle.Checkpoint {
	tb.Helper()
	ctx := context.Background()
	leaves := make([]int64, len(all))
	for i, r := range all {
		leaves[i] = r.Leaf
	}
	proofs, msg, err := l.Prove(ctx, leaves...)
	if err != nil {
		tb.Fatal(err)
	}
	origin, err := l.Origin(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := merkle.Parse(msg, origin, keys)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range all {
		if err := proofs[i].Check(tlog.RecordHash(Leaf(&all[i])), c); err != nil {
			tb.Errorf("record %d: %v", all[i].Leaf, err)
		}
	}
	return c
}

func testTree(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	key, known := newSigner(t)
	if _, err := l.Checkpoint(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoint before the first: %v", err)
	}
	if msg, err := l.Seal(ctx); err != nil || msg != nil {
		t.Errorf("sealed without a key: %q, %v", msg, err)
	}
	first := mustAppend(t, l, record("shop"))
	if _, _, err := l.Prove(ctx, first.Leaf); err == nil {
		t.Error("proved by a log that is not signed")
	}
	l.Sign(key)
	var all []Record
	all = append(all, first)
	for range 300 { // more than a tile
		all = append(all, mustAppend(t, l, record("shop")))
	}
	older := proved(t, l, known, all...)
	if older.Size < 301 {
		t.Errorf("the log is signed at %d", older.Size)
	}

	// What is erased leaves the log whole.
	if n, err := l.Erase(ctx, "shop", all[7].Subject, By{Actor: Visitor, Time: noon}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	later := mustAppend(t, l, record("shop"))
	newer := proved(t, l, known, append(append([]Record{later}, all[:7]...), all[8:]...)...)
	if p, err := merkle.ProveConsistency(ctx, l, older.Tree(), newer.Tree()); err != nil {
		t.Error(err)
	} else if err := p.Check(older, newer); err != nil {
		t.Error(err)
	}
	if err := merkle.Verify(ctx, l, newer.Tree()); err != nil {
		t.Error(err)
	}

	// Another key signs the same size anew.
	second, both := newSigner(t)
	l.Sign(second, key)
	if _, err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	proved(t, l, known, later)
	proved(t, l, both, later)
}

// A row that went before the tree was made over it is noticed, and nothing is signed.
func TestTreeOfGone(t *testing.T) {
	ctx := context.Background()
	l := fresh(t)
	mustAppend(t, l, record("shop"))
	gone := mustAppend(t, l, record("shop"))
	mustAppend(t, l, record("shop"))
	if _, err := file(l).ExecContext(ctx, `DELETE FROM records WHERE leaf = $1`, gone.Leaf); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seal(ctx); !errors.Is(err, merkle.ErrDamaged) {
		t.Errorf("sealed: %v", err)
	}
}

// The days before have one checkpoint each.
func TestCheckpointsThin(t *testing.T) {
	ctx := context.Background()
	l := fresh(t)
	key, _ := newSigner(t)
	l.signers.Store(&[]note.Signer{key})
	count := func() (n int) {
		t.Helper()
		if err := file(l).QueryRowContext(ctx, `SELECT count(*) FROM checkpoints`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 5 {
		mustAppend(t, l, record("shop"))
		if _, err := l.Seal(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 1 {
		t.Errorf("a day has %d checkpoints", n)
	}
	if _, err := file(l).ExecContext(ctx, `UPDATE checkpoints SET time = time - 86400000`); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, record("shop"))
	if _, err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Errorf("two days have %d checkpoints", n)
	}
}

func BenchmarkSeal(b *testing.B) {
	l := fresh(b)
	ctx := context.Background()
	got, errs := appendAll(l, records(b.N))()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := l.Seal(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(got)), "leaves")
}
