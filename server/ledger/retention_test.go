package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
)

// appendAt stores a record of a moment, which holds for half a year.
func appendAt(tb testing.TB, l *Ledger, site string, at time.Time, previous uuid.UUID) Record {
	tb.Helper()
	r := record(site)
	r.Time, r.Expiry, r.Previous = at, at.AddDate(0, 6, 0), previous
	return mustAppend(tb, l, r)
}

// retire walks over the whole log.
func retire(tb testing.TB, l *Ledger, term Term) (total Retired) {
	tb.Helper()
	for step := (Retired{}); step.Next >= 0; {
		var err error
		if step, err = l.Retire(context.Background(), term, step.Next); err != nil {
			tb.Fatal(err)
		}
		total.Visitors, total.Records = total.Visitors+step.Visitors, total.Records+step.Records
	}
	return total
}

func has(tb testing.TB, l *Ledger, r Record) bool {
	tb.Helper()
	_, err := l.Find(context.Background(), r.Site, r.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return err == nil
}

func testRetire(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	if got := retire(t, l, Term{Site: "shop", Before: noon, Now: noon}); got != (Retired{}) {
		t.Errorf("of nothing: %+v", got)
	}
	years := func(n int) time.Time { return noon.AddDate(-n, 0, 0) }
	gone1 := appendAt(t, l, "shop", years(5), uuid.Nil)
	gone2 := appendAt(t, l, "shop", years(4), gone1.ID)
	// Each record of the chain but the last is as old as those: what held when has to stay provable to the end.
	kept1 := appendAt(t, l, "shop", years(5), uuid.Nil)
	kept2 := appendAt(t, l, "shop", years(4), kept1.ID)
	kept3 := appendAt(t, l, "shop", years(3), kept2.ID) // ended two and a half years ago
	elsewhere := appendAt(t, l, "blog", years(5), uuid.Nil)
	forever := record("shop")
	forever.Time, forever.Expiry = years(2), time.Time{}
	recent := mustAppend(t, l, forever)
	forever.ID, forever.Key, forever.Time = uuid.Must(uuid.NewV7()), uuid.New(), years(4)
	old := mustAppend(t, l, forever) // without an end it is over at once
	asked := Request{Number: "AAAA-BBBB", Site: "shop", Kind: "delete", Contact: "a@b.example", Receipt: gone1.ID, Time: noon, Due: noon}
	if err := l.Ask(ctx, asked); err != nil {
		t.Fatal(err)
	}
	term := Term{Site: "shop", Before: years(3), Now: noon}
	if got, want := retire(t, l, term), (Retired{Visitors: 2, Records: 3}); got != want {
		t.Errorf("retired %+v, want %+v", got, want)
	}
	for _, test := range []struct {
		name   string
		record Record
		want   bool
	}{
		{"the first of one that is over", gone1, false},
		{"the last of one that is over", gone2, false},
		{"one without an end", old, false},
		{"the first of one that is not over", kept1, true},
		{"the second of one that is not over", kept2, true},
		{"the last of one that is not over", kept3, true},
		{"another site's", elsewhere, true},
		{"a recent one without an end", recent, true},
	} {
		if got := has(t, l, test.record); got != test.want {
			t.Errorf("%s is there: %t", test.name, got)
		}
	}
	var erased []int64
	for _, a := range trail(t, l, "shop") {
		if a.Actor != Retention || a.Act != ActErase || int64(a.Count) != a.Leaves.Count() || !a.Time.Equal(noon) {
			t.Errorf("on the trail: %+v", a)
		}
		for _, r := range a.Leaves {
			for n := r.First; n <= r.Last; n++ {
				erased = append(erased, n)
			}
		}
	}
	if diff := cmp.Diff(LeavesOf(gone1.Leaf, gone2.Leaf, old.Leaf), LeavesOf(erased...)); diff != "" {
		t.Errorf("on the trail (-want +got):\n%s", diff)
	}
	if got, err := l.Requests(ctx, "shop"); err != nil || len(got) != 1 || got[0].Receipt != uuid.Nil {
		t.Errorf("the open request: %+v, %v", got, err)
	}
	if past, err := l.Past(ctx, "shop"); len(past) > 0 || err != nil {
		t.Errorf("what was to be deleted was counted: %+v, %v", past, err)
	}
	if got := retire(t, l, term); got != (Retired{}) {
		t.Errorf("a second time: %+v", got)
	}
	// To the millisecond: a choice that ends now is not over.
	term.Before = kept3.Expiry
	if got := retire(t, l, term); got.Records != 0 {
		t.Errorf("at the very end: %+v", got)
	}
	term.Before = kept3.Expiry.Add(time.Millisecond)
	if got := retire(t, l, term); got.Records != 3 {
		t.Errorf("after the end: %+v", got)
	}
}

// Somebody whose records are over chooses in the moment in which they are looked at.
func testRetireReturning(t *testing.T, open opener) {
	l := open(t)
	first := appendAt(t, l, "shop", noon.AddDate(-5, 0, 0), uuid.Nil)
	other := appendAt(t, l, "shop", noon.AddDate(-5, 0, 0), uuid.Nil)
	appendAt(t, l, "shop", noon, first.ID)
	term := Term{Site: "shop", Before: noon.AddDate(-3, 0, 0), Now: noon}
	// As if the query had run before.
	done, all, err := l.retireAll(context.Background(), term, []uuid.UUID{first.Subject, other.Subject, uuid.New()})
	if done.Records != 1 || all || err != nil || !has(t, l, first) || has(t, l, other) {
		t.Errorf("retired %+v, %t, %v", done, all, err)
	}
}

// One step is bounded, whatever there is to do, and the walk ends.
func testRetireSteps(t *testing.T, open opener) {
	if testing.Short() {
		t.Skip("skipped with -short: 3,400 records take minutes under the race detector, and TestBytes has as many writers")
	}
	l := open(t)
	const visitors, each = 30, 80 // 2,400 records
	old := noon.AddDate(-9, 0, 0)
	done := make(chan error, visitors)
	for range visitors {
		go func() {
			previous := uuid.Nil
			for i := range each {
				r := record("shop")
				r.Time, r.Expiry, r.Previous = old.Add(time.Duration(i)*time.Hour), old.AddDate(0, 6, 0), previous
				got, err := l.Append(context.Background(), r)
				if err != nil {
					done <- err
					return
				}
				previous = got.ID
			}
			done <- nil
		}()
	}
	for range visitors {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	kept := appendAt(t, l, "shop", noon, uuid.Nil)
	term := Term{Site: "shop", Before: noon, Now: noon}
	total, steps := Retired{}, 0
	for next := int64(0); next >= 0; steps++ {
		step, err := l.Retire(context.Background(), term, next)
		if err != nil {
			t.Fatal(err)
		}
		if step.Records > retireMost || steps > visitors+2 { // a step ends early on a slow machine, and each gets on
			t.Fatalf("step %d: %+v", steps, step)
		}
		total.Records, total.Visitors, next = total.Records+step.Records, total.Visitors+step.Visitors, step.Next
	}
	if total.Records != visitors*each || total.Visitors != visitors || !has(t, l, kept) || steps < 3 {
		t.Errorf("%+v in %d steps", total, steps)
	}
	// What one visitor has goes as one, however much it is.
	first := appendAt(t, l, "blog", old, uuid.Nil)
	queue := make(chan error, retireMost+1)
	for i := range retireMost + 1 {
		r := record("blog")
		r.Time, r.Expiry, r.Previous = old.Add(time.Duration(i)*time.Minute), old.AddDate(0, 6, 0), first.ID
		go func() {
			_, err := l.Append(context.Background(), r)
			queue <- err
		}()
	}
	for range retireMost + 1 {
		if err := <-queue; err != nil {
			t.Fatal(err)
		}
	}
	if got := retire(t, l, Term{Site: "blog", Before: noon, Now: noon}); got.Records != retireMost+2 || got.Visitors != 1 {
		t.Errorf("of one visitor: %+v", got)
	}
}

func testAnonymise(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	at := time.Date(2020, 1, 31, 23, 59, 0, 0, time.UTC)
	for i, granted := range [][]string{{"analytics", "functional"}, {"functional", "analytics"}, nil} {
		r := record("shop")
		r.Time, r.Expiry, r.Granted, r.Denied = at, at.AddDate(0, 6, 0), granted, []string{"marketing"}
		if i == 2 {
			r.Action, r.Regime, r.Surface = consent.RejectAll, "uk", "page"
		}
		first := mustAppend(t, l, r)
		if i == 0 {
			r.ID, r.Key, r.Previous, r.Time = uuid.Must(uuid.NewV7()), uuid.New(), first.ID, at.Add(time.Minute)
			mustAppend(t, l, r)
		}
	}
	term := Term{Site: "shop", Before: at.AddDate(3, 0, 0), Anonymise: true, Now: noon}
	if got := retire(t, l, term); got.Records != 4 || got.Visitors != 3 {
		t.Errorf("retired %+v", got)
	}
	analytics := Past{
		Site: "shop", Month: "2020-01", Action: "custom", Granted: []string{"analytics", "functional"}, Denied: []string{"marketing"},
		Regime: "gdpr", Policy: "2026-11-01", Surface: "banner", Times: 2,
	}
	february, none := analytics, analytics
	none.Action, none.Granted, none.Regime, none.Surface, none.Times = "reject_all", []string{}, "uk", "page", 1
	february.Month, february.Times = "2020-02", 1
	got, err := l.Past(ctx, "shop")
	if diff := cmp.Diff([]Past{analytics, none, february}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n, err := l.Count(ctx, "shop"); n != 0 || err != nil {
		t.Errorf("%d records are left, %v", n, err)
	}
	for _, a := range trail(t, l, "shop") {
		if a.Act != ActAnonymise {
			t.Errorf("on the trail: %+v", a)
		}
	}
	// A second lot is added to the first.
	again := record("shop")
	again.Time, again.Expiry, again.Granted, again.Denied = at, at, []string{"analytics", "functional"}, []string{"marketing"}
	mustAppend(t, l, again)
	retire(t, l, term)
	if got, err := l.Past(ctx, "shop"); err != nil || got[0].Times != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := l.Past(ctx, "blog"); len(got) > 0 || err != nil {
		t.Errorf("of another site: %+v, %v", got, err)
	}
}

func testRetireRequests(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	for i, answered := range []int{-4, -2, 0} { // years; the last one never
		r := Request{Number: fmt.Sprintf("AAAA-AAA%d", i), Site: "shop", Kind: "access", Contact: "a@b.example", Time: noon.AddDate(-5, 0, 0), Due: noon.AddDate(-5, 0, 15)}
		if err := l.Ask(ctx, r); err != nil {
			t.Fatal(err)
		}
		if answered == 0 {
			continue
		}
		if _, err := l.Answer(ctx, r.Number, "", By{Actor: "operator", Time: noon.AddDate(answered, 0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	term := Term{Site: "shop", Before: noon.AddDate(-3, 0, 0), Now: noon}
	for _, want := range []int{1, 0} {
		if n, err := l.RetireRequests(ctx, term); n != want || err != nil {
			t.Errorf("retired %d, %v, want %d", n, err, want)
		}
	}
	left, err := l.Requests(ctx, "shop")
	if err != nil || len(left) != 2 || left[0].Number != "AAAA-AAA2" || left[1].Number != "AAAA-AAA1" {
		t.Errorf("left: %+v, %v", left, err)
	}
	if all := trail(t, l, "shop"); len(all) != 3 || all[2].Actor != Retention || all[2].Count != 1 || len(all[2].Leaves) > 0 {
		t.Errorf("on the trail: %+v", all)
	}
}

func testClaims(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	step := func(what, holder string, after time.Duration, want bool) {
		t.Helper()
		if got, err := l.Claim(ctx, "retention", holder, noon.Add(after), time.Minute); got != want || err != nil {
			t.Errorf("%s: %t, %v", what, got, err)
		}
	}
	step("a first one", "a", 0, true)
	step("another one", "b", 30*time.Second, false)
	step("the first one again", "a", 50*time.Second, true)
	step("another one, after the first end", "b", 70*time.Second, false)
	step("another one, after the second end", "b", 2*time.Minute, true)
	if err := l.Unclaim(ctx, "retention", "a"); err != nil {
		t.Error(err)
	}
	step("what is no longer a's was given back by a", "c", 2*time.Minute, false)
	if err := l.Unclaim(ctx, "retention", "b"); err != nil {
		t.Error(err)
	}
	step("after it was given back", "c", 2*time.Minute, true)
	if got, err := l.Claim(ctx, "other", "b", noon, time.Minute); !got || err != nil {
		t.Errorf("another piece of work: %t, %v", got, err)
	}
}
