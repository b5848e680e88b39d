package ledger

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.Int64Range(0, 40)
		list := rapid.SliceOf(rapid.OneOf(near, rapid.Int64Range(0, math.MaxInt64-1))).Draw(t, "leaves")
		l := LeavesOf(list...)
		back, err := ParseLeaves(l.String())
		if err != nil || !cmp.Equal(l, back) {
			t.Fatalf("%v is %q, and read back %v, %v", l, l, back, err)
		}
		distinct := slices.Clone(list)
		slices.Sort(distinct)
		distinct = slices.Compact(distinct)
		if l.Count() != int64(len(distinct)) {
			t.Fatalf("%q counts %d, want %d", l, l.Count(), len(distinct))
		}
		for _, leaf := range append(slices.Clone(list), near.Draw(t, "another")) {
			for _, leaf := range []int64{leaf - 1, leaf, leaf + 1} {
				if _, want := slices.BinarySearch(distinct, leaf); l.Contains(leaf) != want {
					t.Fatalf("%q contains %d: %t", l, leaf, !want)
				}
			}
		}
	})
	if got := LeavesOf(22, 5, 21, 17, 20, 5).String(); got != "5,17,20-22" {
		t.Errorf("written %s", got)
	}
}

func TestParseLeavesRefuses(t *testing.T) {
	for _, text := range []string{
		",", "5,", ",5", "5,5", "6,5", "5,6", "5-5", "6-5", "5-6,7", "5-9,8", "-5", "5-", "+5", "05", "5-06", " 5", "5 ", "5, 6", "a", "5-6-7", "0x5",
		"9223372036854775807", "0-9223372036854775807", "9223372036854775808", "5\n",
	} {
		if l, err := ParseLeaves(text); err == nil {
			t.Errorf("%q was read as %v", text, l)
		}
	}
}

func FuzzParseLeaves(f *testing.F) {
	f.Add("5,17,20-25")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := ParseLeaves(text); err == nil && l.String() != text {
			t.Errorf("%q was read, and is written %q", text, l)
		}
	})
}

// entry has every field that a caller fills in.
func entry() Audit {
	return Audit{Time: noon, Actor: Operator("anna"), Act: ActShow, Site: "shop", Leaves: LeavesOf(5, 17, 20, 21, 22), Count: 5, Detail: "request 7KQ4-M2XD"}
}

const auditLeafOfAll = `{"form":1,"audit":{"salt":"000102030405060708090a0b0c0d0e0f","time":"2026-11-01T12:00:00.123Z","actor":"operator:anna",` +
	`"act":"show","site":"shop","leaves":"5,17,20-22","count":5,"detail":"request 7KQ4-M2XD"}}`

// The text of a leaf never changes: it is what hashes that were given out are made of.
func TestAuditLeaf(t *testing.T) {
	a := entry()
	for i := range a.Salt {
		a.Salt[i] = byte(i)
	}
	if got := string(AuditLeaf(&a)); got != auditLeafOfAll {
		t.Errorf("the leaf is\n%s, want\n%s", got, auditLeafOfAll)
	}
	back, err := ParseAuditLeaf([]byte(auditLeafOfAll))
	if diff := cmp.Diff(a, back); diff != "" || err != nil {
		t.Errorf("%v, read back (-want +got):\n%s", err, diff)
	}
	for _, wrong := range []string{
		"", "{}", leafOfAll, auditLeafOfAll + " ", auditLeafOfAll + "{}", strings.Replace(auditLeafOfAll, `"form":1`, `"form":2`, 1),
		strings.Replace(auditLeafOfAll, `"site"`, `"who":"x","site"`, 1), strings.Replace(auditLeafOfAll, `20-22`, `20,21,22`, 1),
		strings.Replace(auditLeafOfAll, `"count":5`, `"count":5.0`, 1), strings.Replace(auditLeafOfAll, "0d0e0f", "0d0e0f10", 1),
		strings.Replace(auditLeafOfAll, "00.123Z", "00.1239Z", 1), strings.Replace(auditLeafOfAll, `,"detail":"request 7KQ4-M2XD"`, ``, 1),
	} {
		if a, err := ParseAuditLeaf([]byte(wrong)); err == nil {
			t.Errorf("%q was read as %+v", wrong, a)
		}
	}
	if r, err := ParseLeaf([]byte(auditLeafOfAll)); err == nil {
		t.Errorf("an entry of the audit trail was read as the record %+v", r)
	}
}

func FuzzParseAuditLeaf(f *testing.F) {
	f.Add([]byte(auditLeafOfAll))
	f.Add([]byte(leafOfAll))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseAuditLeaf(text)
		if err != nil {
			return
		}
		if !bytes.Equal(AuditLeaf(&a), text) {
			t.Errorf("%q was read, and is written as %q", text, AuditLeaf(&a))
		}
		if _, err := ParseLeaf(text); err == nil {
			t.Errorf("%q is a record's leaf too", text)
		}
	})
}

func trail(tb testing.TB, l *Ledger, site string) []Audit {
	tb.Helper()
	all, err := l.Trail(context.Background(), site, -1, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func testAudit(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	mustAppend(t, l, record("shop"))
	want := entry()
	want.Time = noon.Add(456 * time.Microsecond).In(time.FixedZone("", 3600))
	got, err := l.Note(ctx, want)
	if err != nil || got.Leaf != 1 || got.Salt == [16]byte{} {
		t.Fatalf("%+v, %v", got, err)
	}
	want.Leaf, want.Salt, want.Time = 1, got.Salt, noon
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if next := mustAppend(t, l, record("shop")); next.Leaf != 2 {
		t.Errorf("the record after it is leaf %d", next.Leaf)
	}
	everywhere := Audit{Time: noon, Actor: "operator", Act: ActBackup}
	if everywhere, err = l.Note(ctx, everywhere); err != nil || everywhere.Leaf != 3 {
		t.Fatalf("%+v, %v", everywhere, err)
	}
	blog := entry()
	blog.Site = "blog"
	if blog, err = l.Note(ctx, blog); err != nil || blog.Salt == got.Salt {
		t.Fatalf("%+v, %v", blog, err)
	}
	for _, test := range []struct {
		site  string
		after int64
		limit int
		want  []Audit
	}{
		{"", -1, 10, []Audit{want, everywhere, blog}},
		{"shop", -1, 10, []Audit{want, everywhere}},
		{"blog", 1, 10, []Audit{everywhere, blog}},
		{"", 1, 1, []Audit{everywhere}},
		{"", 4, 10, nil},
	} {
		got, err := l.Trail(ctx, test.site, test.after, test.limit)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%q after %d: %v\n%s", test.site, test.after, err, diff)
		}
	}
	leaf := AuditLeaf(&want)
	if back, err := ParseAuditLeaf(leaf); err != nil || back.Act != ActShow {
		t.Errorf("%s: %+v, %v", leaf, back, err)
	}
}

func testAuditRefused(t *testing.T, open opener) {
	l := open(t)
	for name, spoil := range map[string]func(*Audit){
		"no actor":           func(a *Audit) { a.Actor = "" },
		"another actor":      func(a *Audit) { a.Actor = "anna" },
		"no act":             func(a *Audit) { a.Act = "" },
		"another act":        func(a *Audit) { a.Act = "read" },
		"no time":            func(a *Audit) { a.Time = time.Time{} },
		"less than nothing":  func(a *Audit) { a.Count = -1 },
		"leaves in disorder": func(a *Audit) { a.Leaves = Leaves{{7, 7}, {5, 5}} },
		"a negative leaf":    func(a *Audit) { a.Leaves = Leaves{{-1, 3}} },
		"a receipt":          func(a *Audit) { a.Detail = "erased " + uuid.NewString() },
		"an id in hex":       func(a *Audit) { a.Detail = "ID " + strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")) },
		"an address":         func(a *Audit) { a.Detail = "for visitor@mail.example" },
		"two lines":          func(a *Audit) { a.Actor = "operator:a\nb" },
		"a long name":        func(a *Audit) { a.Actor = Operator(strings.Repeat("ä", 92)) },
		"long details":       func(a *Audit) { a.Detail = strings.Repeat("a", 201) },
		"not UTF-8":          func(a *Audit) { a.Detail = "\xff" },
		"a NUL":              func(a *Audit) { a.Site = "a\x00" },
	} {
		a := entry()
		spoil(&a)
		if got, err := l.Note(context.Background(), a); err == nil {
			t.Errorf("%s: stored %+v", name, got)
		}
	}
	if all := trail(t, l, ""); len(all) > 0 {
		t.Errorf("stored: %+v", all)
	}
	if r := mustAppend(t, l, record("shop")); r.Leaf != 0 {
		t.Errorf("the first record is leaf %d", r.Leaf)
	}
}

func testEraseTrail(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	first := mustAppend(t, l, record("shop"))
	mustAppend(t, l, record("shop"))
	next := record("shop")
	next.Previous = first.ID
	second := mustAppend(t, l, next)
	asked := Request{Number: "AAAA-BBBB", Site: "shop", Kind: "delete", Contact: "a@b.example", Receipt: second.ID, Time: noon, Due: noon.AddDate(0, 0, 15)}
	other := asked
	other.Number, other.Site = "CCCC-DDDD", "blog"
	for _, r := range []Request{asked, other} {
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.Erase(ctx, "shop", uuid.New(), byVisitor); n != 0 || err != nil || len(trail(t, l, "")) > 0 {
		t.Errorf("erasing nobody: %d, %v, on the trail %+v", n, err, trail(t, l, ""))
	}
	if n, err := l.Erase(ctx, "shop", first.Subject, By{Actor: "nobody", Time: noon}); n != 0 || err == nil {
		t.Errorf("erased by nobody: %d, %v", n, err)
	}
	if _, err := l.Find(ctx, "shop", first.ID); err != nil {
		t.Errorf("an erasure that failed: %v", err)
	}
	if n, err := l.Erase(ctx, "shop", first.Subject, By{Actor: Operator("anna"), Time: noon, Detail: "request AAAA-BBBB"}); n != 2 || err != nil {
		t.Fatalf("erased %d, %v", n, err)
	}
	all := trail(t, l, "shop")
	want := []Audit{{Leaf: 3, Time: noon, Actor: "operator:anna", Act: ActErase, Site: "shop", Leaves: LeavesOf(0, 2), Count: 2, Detail: "request AAAA-BBBB"}}
	if len(all) == 1 {
		want[0].Salt = all[0].Salt
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
	// The request still has to be answered, and no longer says whose choice it came with.
	asked.Receipt = uuid.Nil
	if got, err := l.Requests(ctx, "shop"); err != nil || !cmp.Equal(got, []Request{asked}) {
		t.Errorf("requests: %v\n%s", err, cmp.Diff([]Request{asked}, got))
	}
	if got, err := l.Requests(ctx, "blog"); err != nil || !cmp.Equal(got, []Request{other}) {
		t.Errorf("requests to another site: %v\n%s", err, cmp.Diff([]Request{other}, got))
	}
	if again := mustAppend(t, l, record("shop")); again.Leaf != 4 {
		t.Errorf("the next record is leaf %d: a number was given twice, or left out", again.Leaf)
	}
}

func testAnswers(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	var want []Request
	for i, number := range []string{"AAAA-AAAA", "BBBB-BBBB", "CCCC-CCCC"} {
		r := Request{Number: number, Site: "shop", Kind: "access", Contact: "a@b.example", Time: noon, Due: noon.AddDate(0, 0, i)}
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	by := By{Actor: Operator("anna"), Time: noon.Add(time.Hour)}
	got, err := l.Answer(ctx, "AAAA-AAAA", "sent by post", by)
	want[0].Answered, want[0].Note = by.Time, "sent by post"
	if diff := cmp.Diff(want[0], got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if found, err := l.Request(ctx, "AAAA-AAAA"); err != nil || !cmp.Equal(found, want[0]) {
		t.Errorf("%v\n%s", err, cmp.Diff(want[0], found))
	}
	if _, err := l.Answer(ctx, "AAAA-AAAA", "again", by); !errors.Is(err, ErrAnswered) {
		t.Errorf("answering again: %v", err)
	}
	if _, err := l.Answer(ctx, "ZZZZ-ZZZZ", "", by); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("answering what nobody asked: %v", err)
	}
	if _, err := l.Request(ctx, "ZZZZ-ZZZZ"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("finding what nobody asked: %v", err)
	}
	if _, err := l.Answer(ctx, "BBBB-BBBB", "\xff", by); err == nil {
		t.Error("a note that is no text was kept")
	}
	all, err := l.Requests(ctx, "shop")
	if diff := cmp.Diff([]Request{want[1], want[2], want[0]}, all); diff != "" || err != nil {
		t.Errorf("open ones first: %v\n%s", err, diff)
	}
	entries := trail(t, l, "shop")
	if len(entries) != 1 || entries[0].Act != ActAnswer || entries[0].Detail != "request AAAA-AAAA" || entries[0].Actor != "operator:anna" {
		t.Errorf("the trail: %+v", entries)
	}
}
