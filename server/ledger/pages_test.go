package ledger

import (
	order "cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

// Whatever the filters and the size of a page, the pages together are the entries that match, newest first, each once.
func testTrailBack(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	var all []Audit
	for i := range 40 {
		a := Audit{
			Time: noon.Add(time.Duration(i) * time.Minute), Act: []Act{ActShow, ActExport, ActErase}[i%3], Site: []string{"shop", "", "blog", "shop"}[i%4],
			Actor: []string{Operator("anna"), Operator("ben"), Visitor}[i/3%3], Count: i,
		}
		a, err := l.Note(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	rapid.Check(t, func(t *rapid.T) {
		q := TrailQuery{
			Site:  rapid.SampledFrom([]string{"", "shop", "blog", "other"}).Draw(t, "site"),
			Act:   rapid.SampledFrom([]Act{"", ActShow, ActErase, ActVerify}).Draw(t, "act"),
			Actor: rapid.SampledFrom([]string{"", Operator("anna"), Visitor, Retention}).Draw(t, "actor"),
			Limit: rapid.IntRange(1, 12).Draw(t, "limit"),
		}
		var want, got []Audit
		for _, a := range slices.Backward(all) {
			if (a.Site == q.Site || a.Site == "") && (q.Act == "" || a.Act == q.Act) && (q.Actor == "" || a.Actor == q.Actor) {
				want = append(want, a)
			}
		}
		for {
			page, err := l.TrailBack(ctx, q)
			if err != nil || len(page) > q.Limit {
				t.Fatalf("a page of %d of %d: %v", len(page), q.Limit, err)
			}
			got = append(got, page...)
			if len(page) < q.Limit || page[len(page)-1].Leaf == 0 {
				break
			}
			q.Before = page[len(page)-1].Leaf
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	})
}

func testRequestPages(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	var waits, done []Request
	for i := range 14 {
		r := Request{
			Number: fmt.Sprintf("AAAA-%04d", 14-i), Site: "shop", Kind: "access", Contact: "a@b.example", Time: noon, Due: noon.AddDate(0, 0, i/3), // some at once
		}
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			waits = append(waits, r)
			continue
		}
		r, err := l.Answer(ctx, r.Number, "sent", By{Actor: Operator("anna"), Time: noon.Add(time.Duration(i/4) * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, r)
	}
	if err := l.Ask(ctx, Request{Number: "BLOG-0001", Site: "blog", Kind: "copy", Contact: "a@b.example", Time: noon, Due: noon}); err != nil {
		t.Fatal(err)
	}
	byNumber := func(a, b Request) int { return strings.Compare(a.Number, b.Number) }
	slices.SortFunc(waits, func(a, b Request) int { return order.Or(a.Due.Compare(b.Due), byNumber(a, b)) })
	slices.SortFunc(done, func(a, b Request) int { return order.Or(b.Answered.Compare(a.Answered), byNumber(b, a)) })
	for _, test := range []struct {
		name string
		read func(context.Context, string, Place, int) ([]Request, error)
		at   func(*Request) time.Time
		want []Request
	}{
		{"open", l.OpenRequests, func(r *Request) time.Time { return r.Due }, waits},
		{"answered", l.AnsweredRequests, func(r *Request) time.Time { return r.Answered }, done},
	} {
		for limit := 1; limit <= len(test.want)+1; limit++ {
			var got []Request
			var after Place
			for {
				page, err := test.read(ctx, "shop", after, limit)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				last := &page[len(page)-1]
				after = Place{test.at(last), last.Number}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s in pages of %d (-want +got):\n%s", test.name, limit, diff)
			}
		}
	}
}

func testCovering(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	for range 3 {
		mustAppend(t, l, record("shop"))
	}
	if _, _, err := l.Covering(ctx, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before anything is signed: %v", err)
	}
	key, _ := newSigner(t)
	l.signers.Store(&[]note.Signer{key})
	if _, err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Minute)
	for leaf, want := range map[int64]int64{0: 3, 2: 3, 3: 0} {
		size, signed, err := l.Covering(ctx, leaf)
		if want == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || size != want || signed.Before(before) {
			t.Errorf("leaf %d is in the checkpoint of %d of %s, %v, want %d", leaf, size, signed, err, want)
		}
	}
}

// A page costs what it shows, whatever there is behind it: no scan, no sorting.
func testPlans(t *testing.T, open opener) {
	l := open(t)
	trail := func(q TrailQuery) string {
		query, _ := q.sql("shop")
		return query
	}
	for _, test := range []struct {
		query string
		args  []any
	}{
		{trail(TrailQuery{}), []any{"shop", 50}},
		{trail(TrailQuery{Before: 9}), []any{"shop", 50, 9}},
		{trail(TrailQuery{Act: ActShow}), []any{"shop", 50, "show"}},
		{trail(TrailQuery{Before: 9, Act: ActShow}), []any{"shop", 50, 9, "show"}},
		{trail(TrailQuery{Before: 9, Actor: Visitor}), []any{"shop", 50, 9, "visitor"}},
		{trail(TrailQuery{Before: 9, Actor: Visitor, Act: ActShow}), []any{"shop", 50, 9, "visitor", "show"}},
		{openSQL, []any{"shop", 9, "AAAA-AAAA", 50}},
		{closedSQL, []any{"shop", 9, "AAAA-AAAA", 50}},
		{coveringSQL, []any{9}},
		{findSQL, []any{make([]byte, 16), "shop"}},
		{byKeySQL, []any{"shop", make([]byte, 16)}},
	} {
		plan := explainPlan(t, l, test.query, test.args...)
		for _, wrong := range []string{"SCAN", "TEMP B-TREE", "Seq Scan", "Sort"} {
			if strings.Contains(plan, wrong) {
				t.Errorf("%s\n%s", test.query, plan)
				break
			}
		}
	}
}

// explainPlan is how an engine reads a query. PostgreSQL is told that it has more than the few rows of a test.
func explainPlan(t *testing.T, l *Ledger, query string, args ...any) (plan string) {
	t.Helper()
	explain, settings := "EXPLAIN QUERY PLAN ", []string{}
	if _, remote := l.engine.(*remote); remote {
		explain, settings = "EXPLAIN ", []string{"enable_seqscan", "enable_sort", "enable_bitmapscan"}
	}
	tx, err := l.engine.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.engine.rollback(tx) }()
	for _, s := range settings {
		if _, err := tx.ExecContext(t.Context(), "SET LOCAL "+s+" = off"); err != nil {
			t.Fatal(err)
		}
	}
	err = rowsOf(t.Context(), tx, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		var line string
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(any)
		}
		into[len(into)-1] = &line
		err = rows.Scan(into...)
		plan += line + "\n"
		return err
	}, explain+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return plan
}
