package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/consent"
)

// signedLog is a ledger with records, an erasure and an entry of the audit trail, sealed; and one record that is not.
func signedLog(t *testing.T, l *Ledger) (all []Record, keys note.Verifiers) {
	t.Helper()
	ctx := context.Background()
	key, keys := newSigner(t)
	l.signers.Store(&[]note.Signer{key})
	for i := range 10 {
		r := record("shop")
		if i == 5 {
			r.Previous = all[4].ID
		}
		all = append(all, mustAppend(t, l, r))
	}
	if n, err := l.Erase(ctx, "shop", all[4].Subject, By{Actor: Visitor, Time: noon}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := l.Note(ctx, Audit{Time: noon, Actor: Operator("anna"), Act: ActShow, Site: "shop", Leaves: LeavesOf(1), Count: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	all = append(all, mustAppend(t, l, record("shop")))
	return all, keys
}

func mustVerify(t *testing.T, l *Ledger, keys note.Verifiers, older ...[]byte) *Verified {
	t.Helper()
	v, err := l.VerifyAll(context.Background(), keys, older, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testVerify(t *testing.T, open opener) {
	ctx := context.Background()
	other := open(t)
	if v := mustVerify(t, other, nil); !v.OK() || v.Size != 0 {
		t.Errorf("an empty ledger: %+v", v)
	}
	_, keys := signedLog(t, other)
	v := mustVerify(t, other, keys)
	if !v.OK() || v.Size != 13 || v.Records != 9 || v.Erased != 2 || v.Entries != 2 || v.Unsealed != 1 || v.Checkpoints != 1 {
		t.Errorf("a sound ledger: %+v", v)
	}
	older, err := other.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, other, record("shop"))
	if _, err := other.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if v := mustVerify(t, other, keys, older); !v.OK() || v.Checkpoints != 2 || v.Unsealed != 0 {
		t.Errorf("with an older checkpoint: %+v", v)
	}
	_, strangers := newSigner(t)
	if v := mustVerify(t, other, strangers); v.OK() {
		t.Error("a checkpoint of a key that is not known is genuine")
	}
	gone := mustAppend(t, other, Record{Key: record("").ID, Site: "shop", Time: noon, Action: consent.Withdraw})
	if n, err := other.Erase(ctx, "shop", gone.Subject, By{Actor: Retention, Time: noon}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if v := mustVerify(t, other, keys); !v.OK() || v.Erased != 3 {
		t.Errorf("after an erasure of what was not sealed: %+v", v)
	}
}

// Whatever is done to the database behind Stile's back is found.
func TestVerifyFinds(t *testing.T) {
	for _, test := range []struct{ name, statement, want string }{
		{"a record changed", `UPDATE records SET granted = '["marketing"]' WHERE leaf = 2`, "leaf 2, record"},
		{"a time changed", `UPDATE records SET time = time + 1 WHERE leaf = 2`, "was changed after it was stored"},
		{"a salt changed", `UPDATE records SET salt = randomblob(16) WHERE leaf = 2`, "was changed after it was stored"},
		{"a record deleted", `DELETE FROM records WHERE leaf = 3`, "leaf 3 is missing, and not erased by Stile"},
		{"records deleted", `DELETE FROM records WHERE leaf < 3`, "leaves 0 to 2 are missing, and not erased by Stile"},
		{"the last one deleted", `DELETE FROM records WHERE leaf = 12`, "leaf 12 is missing"},
		{"an entry of the audit trail deleted", `DELETE FROM audit WHERE leaf = 11`, "leaf 11 is missing"},
		{"an erasure hidden", `DELETE FROM audit WHERE leaf = 10`, "leaves 4 to 5 are missing"},
		{"an erasure changed", `UPDATE audit SET leaves = '3-5' WHERE leaf = 10`, "leaf 10, an entry of the audit trail, was changed"},
		{"a record where another was", `UPDATE records SET leaf = 4 WHERE leaf = 2`, "leaf 4 was erased, and is there"},
		{"a record moved past the log", `UPDATE records SET leaf = 99 WHERE leaf = 2`, "has the number 99, which the log has not given out"},
		{"a record added", `INSERT INTO records SELECT 50, salt, randomblob(16), randomblob(16), site, subject, previous, time, action, granted, denied, services,
			refused, regime, country, language, policy, list, notice, surface, gpc, age, expiry FROM records WHERE leaf = 1`, "it was added"},
		{
			"two records exchanged", `UPDATE records SET leaf = -1 WHERE leaf = 1; UPDATE records SET leaf = 1 WHERE leaf = 2; UPDATE records SET leaf = 2 WHERE leaf = -1`,
			"leaf 1, record",
		},
		{"a tile changed", `UPDATE tiles SET data = randomblob(length(data)) WHERE level = 0 AND n = 0`, "the tree does not come to the root"},
		{"the root changed", `UPDATE tree SET root = randomblob(32)`, "the log is not what it was"},
		{"the tree cut", `UPDATE tree SET size = 3`, "leaves were cut off"},
		{"the checkpoint changed", `UPDATE checkpoints SET note = replace(note, char(10) || '20', char(10) || '19')`, "a checkpoint is not genuine"},
		{"the checkpoints gone", `DELETE FROM checkpoints`, "the log was never signed"},
		{"a visitor split", `UPDATE records SET subject = randomblob(16) WHERE leaf = 9`, "is kept as another visitor's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := fresh(t)
			_, keys := signedLog(t, l)
			if test.name == "a visitor split" {
				if _, err := file(l).Exec(`UPDATE records SET previous = (SELECT id FROM records WHERE leaf = 8) WHERE leaf = 9`); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := file(l).Exec(test.statement); err != nil {
				t.Fatal(err)
			}
			v := mustVerify(t, l, keys)
			if got := strings.Join(v.Found, "\n"); !strings.Contains(got, test.want) {
				t.Errorf("found:\n%s\nwant %q", got, test.want)
			}
		})
	}
}

// A log longer than one step, with a look for each.
func TestVerifyLong(t *testing.T) {
	l := fresh(t)
	key, keys := newSigner(t)
	l.signers.Store(&[]note.Signer{key})
	for _, n := range []int{verifyStep / 2, verifyStep / 2, 50} {
		if _, errs := appendAll(l, records(n))(); errors.Join(errs...) != nil {
			t.Fatal(errors.Join(errs...))
		}
	}
	if _, err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := file(l).Exec(`DELETE FROM records WHERE leaf BETWEEN $1 AND $2`, verifyStep-2, verifyStep+2); err != nil {
		t.Fatal(err)
	}
	looks := 0
	v, err := l.VerifyAll(t.Context(), keys, nil, func(int64, int64) { looks++ })
	if err != nil || len(v.Found) != 1 || v.Found[0] != "leaves 4094 to 4098 are missing, and not erased by Stile" || looks != 2 || v.Records != verifyStep+45 {
		t.Errorf("%v, %d looks, %+v", err, looks, v)
	}
}
