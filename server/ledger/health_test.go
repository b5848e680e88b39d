package ledger

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/ledger/postgrestest"
)

func testHealth(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	mustAppend(t, l, record("shop"))
	h, err := l.Health(ctx)
	if err != nil || h.Size != 1 || h.Sealed != 0 || h.Schema < 3 || (h.Engine == "PostgreSQL") != l.Remote() {
		t.Errorf("%+v: %v", h, err)
	}
	key, _ := newSigner(t)
	l.signers.Store(&[]note.Signer{key})
	began := time.Now()
	if _, err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if h, err = l.Health(ctx); err != nil || h.Sealed != 1 || h.Signed.Before(began.Add(-time.Second)) {
		t.Errorf("%+v: %v", h, err)
	}
	if s, err := l.Spool(ctx); err != nil || s != (Spool{}) {
		t.Errorf("%+v: %v", s, err)
	}
}

func testDue(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	for i, number := range []string{"late", "soon", "later", "answered", "elsewhere"} {
		r := Request{Number: number, Site: "shop", Kind: "access", Contact: "a@b.example", Time: noon, Due: noon.Add(time.Duration(i) * time.Hour)}
		if number == "elsewhere" {
			r.Site = "blog"
		}
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Answer(ctx, "answered", "", By{Actor: Operator(""), Time: noon}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		before time.Time
		most   int
		want   []string
	}{{noon.Add(2 * time.Hour), 9, []string{"late", "soon"}}, {noon.Add(99 * time.Hour), 9, []string{"late", "soon", "later"}}, {noon.Add(99 * time.Hour), 1, []string{"late"}}} {
		got, err := l.Due(ctx, "shop", test.before, test.most)
		var numbers []string
		for _, r := range got {
			numbers = append(numbers, r.Number)
			if r.Contact != "" {
				t.Error("a contact was read")
			}
		}
		if diff := cmp.Diff(test.want, numbers); diff != "" || err != nil {
			t.Errorf("%v -want +got\n%s", err, diff)
		}
	}
}

func TestSpoolTellsWhatWaits(t *testing.T) {
	ctx := context.Background()
	line := postgrestest.NewProxy(t, postgrestest.Database(t))
	l := openWith(t, Options{URL: line.URL(), Spool: filepath.Join(t.TempDir(), "spool.db"), Retry: time.Hour})
	line.Cut()
	first := record("shop")
	first.Previous = uuid.Nil
	mustAppend(t, l, first)
	mustAppend(t, l, record("shop"))
	if s, err := l.Spool(ctx); err != nil || s.Waiting != 2 || !s.Oldest.Equal(first.Time) {
		t.Errorf("%+v: %v", s, err)
	}
	if _, err := l.Health(ctx); err == nil {
		t.Error("a database that is away is well")
	}
}
