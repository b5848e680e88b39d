package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// shopData is a data folder with a visitor who chose twice, and another one.
type shopData struct {
	t                     *testing.T
	folder                string
	first, last, somebody ledger.Record
}

func newShopData(t *testing.T) *shopData {
	t.Helper()
	d := &shopData{t: t, folder: t.TempDir()}
	now := time.Now().UTC().Truncate(time.Millisecond)
	d.ledger(func(l *ledger.Ledger) {
		keep := func(previous uuid.UUID, at time.Time, granted ...string) ledger.Record {
			r, err := l.Append(t.Context(), ledger.Record{
				Key: uuid.New(), Site: "shop", Previous: previous, Time: at, Action: "custom", Granted: granted, Denied: []string{"marketing"},
				Surface: "banner", Expiry: at.AddDate(0, 6, 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		d.first = keep(uuid.Nil, now.Add(-time.Hour), "functional")
		d.last = keep(d.first.ID, now, "analytics", "functional")
		d.somebody = keep(uuid.Nil, now, "analytics")
		for number, due := range map[string]time.Time{"AAAA-AAAA": now.AddDate(0, 0, -2), "BBBB-BBBB": now.AddDate(0, 0, 15)} {
			r := ledger.Request{Number: number, Site: "shop", Kind: "delete", Contact: "a@b.example", Details: "all\nof it", Receipt: d.last.ID, Time: due.AddDate(0, 0, -15), Due: due}
			if err := l.Ask(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	})
	return d
}

func (d *shopData) ledger(use func(*ledger.Ledger)) {
	d.t.Helper()
	l, err := ledger.Open(context.Background(), ledger.Options{Path: filepath.Join(d.folder, "stile.db")})
	if err != nil {
		d.t.Fatal(err)
	}
	use(l)
	if err := l.Close(); err != nil {
		d.t.Error(err)
	}
}

// waiting is an outbox with a message of each visitor, for a vendor who never answers.
func (d *shopData) waiting() {
	d.t.Helper()
	box, err := outbox.Open(d.t.Context(), outbox.Options{Path: filepath.Join(d.folder, "outbox.db"), Transport: silent{}})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, r := range []ledger.Record{d.last, d.somebody} {
		m := outbox.Message{Site: "shop", Tag: "pixel", Subject: r.Subject, Method: http.MethodGet, URL: "https://vendor.example/" + r.ID.String()}
		if err := box.Add(d.t.Context(), m); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := box.Close(); err != nil {
		d.t.Fatal(err)
	}
}

type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// run runs a command on the folder.
func (d *shopData) run(want int, args ...string) (stdout, stderr string) {
	d.t.Helper()
	var out, bad bytes.Buffer
	if code := run(d.t.Context(), append(args, "--data", d.folder), &out, &bad); code != want {
		d.t.Errorf("stile %v exits with %d, want %d: %s%s", args, code, want, &out, &bad)
	}
	return out.String(), bad.String()
}

func (d *shopData) trail() (all []ledger.Audit) {
	d.t.Helper()
	d.ledger(func(l *ledger.Ledger) {
		var err error
		if all, err = l.Trail(d.t.Context(), "", -1, 100); err != nil {
			d.t.Fatal(err)
		}
	})
	return all
}

// named tells in which files some bytes are.
func (d *shopData) named(what []byte) (files []string) {
	d.t.Helper()
	if err := filepath.WalkDir(d.folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, what) {
			files = append(files, e.Name())
		}
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return files
}

// C10: the operator erases by any receipt of the visitor, or by the key of a choice.
func TestRecordsErase(t *testing.T) {
	for name, id := range map[string]func(*shopData) string{
		"the last receipt":  func(d *shopData) string { return d.last.ID.String() },
		"a former receipt":  func(d *shopData) string { return d.first.ID.String() },
		"a key, upper case": func(d *shopData) string { return strings.ToUpper(d.first.Key.String()) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newShopData(t)
			d.waiting()
			for _, r := range []ledger.Record{d.last, d.somebody} {
				if len(d.named(r.ID[:])) == 0 || len(d.named([]byte(r.ID.String()))) == 0 {
					t.Fatal("the files hold no receipt, so that this test tests nothing")
				}
			}
			out, _ := d.run(exitFine, "records", "erase", id(d), "--site", "shop", "--by", "anna", "--request", "aaaa-aaaa", "--yes")
			if out != "erased 2 records of shop\ndropped 1 message that waited to be sent\nrequest AAAA-AAAA is answered\n" {
				t.Errorf("it says %q", out)
			}
			for _, r := range []ledger.Record{d.first, d.last} {
				if files := append(d.named(r.ID[:]), d.named([]byte(r.ID.String()))...); len(files) > 0 {
					t.Errorf("%v still hold a receipt", files)
				}
			}
			if len(d.named(d.somebody.ID[:])) == 0 || len(d.named([]byte(d.somebody.ID.String()))) == 0 {
				t.Error("somebody else's are gone")
			}
			all := d.trail()
			if len(all) != 2 || all[0].Actor != "operator:anna" || all[0].Act != ledger.ActErase || all[0].Leaves.String() != "0-1" || all[0].Detail != "request AAAA-AAAA" || all[1].Act != ledger.ActAnswer {
				t.Errorf("the trail: %+v", all)
			}
			if _, bad := d.run(exitFound, "records", "erase", id(d), "--site", "shop", "--yes"); !strings.Contains(bad, "has no record of") {
				t.Errorf("a second time it says %q", bad)
			}
		})
	}
}

func TestRecordsEraseBadInput(t *testing.T) {
	d := newShopData(t)
	d.waiting()
	receipt := d.last.ID.String()
	for _, test := range []struct {
		name string
		code int
		say  string
		args []string
	}{
		{"no UUID", exitUsage, "it is the id of a consent record", []string{"a@b.example", "--site", "shop", "--yes"}},
		{"no site", exitUsage, "--site", []string{receipt, "--yes"}},
		{"another site", exitFound, "site blog has no record of", []string{receipt, "--site", "blog", "--yes"}},
		{"an unknown receipt", exitFound, "has no record of", []string{uuid.NewString(), "--site", "shop", "--yes"}},
		{"an unknown request", exitFailed, "has no request ZZZZ-ZZZZ", []string{receipt, "--site", "shop", "--yes", "--request", "ZZZZ-ZZZZ"}},
		{"a name of two lines", exitUsage, "the operator (--by, STILE_OPERATOR) is", []string{receipt, "--site", "shop", "--yes", "--by", "a\nb"}},
		{"nobody to ask", exitUsage, "add --yes", []string{receipt, "--site", "shop"}},
	} {
		if test.name == "nobody to ask" {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			before := os.Stdin
			os.Stdin = r
			defer func() { os.Stdin = before; _ = r.Close() }()
		}
		_, bad := d.run(test.code, append([]string{"records", "erase"}, test.args...)...)
		if !strings.Contains(bad, test.say) || strings.Count(bad, "stile: ") != 1 {
			t.Errorf("%s: it says %q", test.name, bad)
		}
	}
	if all := d.trail(); len(all) > 0 {
		t.Errorf("the trail: %+v", all)
	}
	d.ledger(func(l *ledger.Ledger) {
		if n, err := l.Count(t.Context(), "shop"); n != 3 || err != nil {
			t.Errorf("%d records, %v", n, err)
		}
	})
	if files := d.named([]byte(receipt)); len(files) == 0 {
		t.Error("what waits to be sent was dropped")
	}
}

func TestConfirmed(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "yes\r\n": true, "y\n": false, "no\n": false, "\n": false, "": false, "yes": false, "YES\n": false} {
		var asked strings.Builder
		if got := confirmed(strings.NewReader(answer), &asked, "Erase?"); got != want || !strings.HasPrefix(asked.String(), "Erase? ") {
			t.Errorf("%q is taken for %t, after %q", answer, got, &asked)
		}
	}
}

// A record of withdrawal is added, once, and nothing is taken away.
func TestRecordsWithdraw(t *testing.T) {
	d := newShopData(t)
	d.waiting()
	out, _ := d.run(exitFine, "records", "withdraw", d.first.ID.String(), "--site", "shop", "--by", "anna")
	m := regexp.MustCompile(`^withdrawn: receipt (\S+)\ndropped 1 message that waited to be sent\n.*/stile/shop/preferences\n$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("it says %q", out)
	}
	d.ledger(func(l *ledger.Ledger) {
		all, err := l.History(t.Context(), "shop", d.first.Subject)
		if err != nil || len(all) != 3 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		r := all[0]
		if r.ID.String() != m[1] || r.Action != "withdraw" || len(r.Granted) > 0 || strings.Join(r.Denied, " ") != "analytics functional marketing" || r.Surface != "api" || r.Previous != d.last.ID || r.Expiry.Sub(r.Time) != d.last.Expiry.Sub(d.last.Time) {
			t.Errorf("the record is %+v", r)
		}
	})
	all := d.trail()
	if len(all) != 1 || all[0].Act != ledger.ActWithdraw || all[0].Leaves.String() != "3" || all[0].Actor != "operator:anna" {
		t.Errorf("the trail: %+v", all)
	}
	if out, _ := d.run(exitFine, "records", "withdraw", d.first.ID.String(), "--site", "shop"); !strings.Contains(out, "nothing is granted") {
		t.Errorf("a second time it says %q", out)
	}
	d.run(exitFound, "records", "withdraw", uuid.NewString(), "--site", "shop")
	d.run(exitUsage, "records", "withdraw", "me", "--site", "shop")
	if again := d.trail(); len(again) != 2 || again[1].Act != ledger.ActShow || again[1].Leaves.String() != "0-1,3" {
		t.Errorf("the trail, with the look of the second time: %+v", again)
	}
}

// What is asked before an erasure tells of the visitor's records, and is noted, whatever is answered.
func TestRecordsEraseAsks(t *testing.T) {
	d := newShopData(t)
	nobody, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	before := os.Stdin
	os.Stdin = nobody
	defer func() { os.Stdin = before }()
	_, bad := d.run(exitFailed, "records", "erase", d.first.ID.String(), "--site", "shop", "--by", "anna")
	if !strings.Contains(bad, "Erase 2 records of shop for good, the last of ") || !strings.Contains(bad, "nothing was erased") {
		t.Errorf("it says %q", bad)
	}
	if all := d.trail(); len(all) != 1 || all[0].Act != ledger.ActShow || all[0].Actor != "operator:anna" || all[0].Leaves.String() != "0-1" {
		t.Errorf("the trail: %+v", all)
	}
}

func TestRecordsTrail(t *testing.T) {
	d := newShopData(t)
	d.run(exitFine, "records", "erase", d.first.ID.String(), "--site", "shop", "--yes")
	out, _ := d.run(exitFine, "records", "trail")
	if !regexp.MustCompile(`(?m)^3 +\S+Z +operator +erase +shop +2 +0-1 *$`).MatchString(out) {
		t.Errorf("it prints %s", out)
	}
	for args, want := range map[string]int{"": 1, "--site=shop": 1, "--site=blog": 0, "--after=3": 0, "--after=2": 1} {
		out, _ := d.run(exitFine, append([]string{"records", "trail", "--json"}, strings.Fields(args)...)...)
		var list []struct{ Actor, Leaves string }
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != want {
			t.Errorf("%s: %v %s", args, err, out)
		}
	}
}

// F7: requests are listed with the days that are left, and marked as answered.
func TestRequestsAnswer(t *testing.T) {
	d := newShopData(t)
	out, _ := d.run(exitFine, "requests", "shop")
	if !regexp.MustCompile(`(?s)^NUMBER.*\nAAAA-AAAA +overdue for 2 days +\S+ +delete +a@b.example +"all\\nof it"\nBBBB-BBBB +open, 15 days left +\S+ `).MatchString(out) {
		t.Errorf("it prints %s", out)
	}
	d.run(exitFound, "requests", "shop", "--check")
	out, _ = d.run(exitFine, "requests", "answer", " aaaa-aaaa ", "--note", "erased", "--by", "anna")
	if out != "request AAAA-AAAA to shop is answered\n" {
		t.Errorf("it says %q", out)
	}
	if _, bad := d.run(exitFound, "requests", "answer", "AAAA-AAAA"); !strings.Contains(bad, "was answered before") {
		t.Errorf("a second time it says %q", bad)
	}
	if _, bad := d.run(exitFound, "requests", "answer", "ZZZZ-ZZZZ"); !strings.Contains(bad, "there is no request") {
		t.Errorf("of an unknown one it says %q", bad)
	}
	d.run(exitFine, "requests", "shop", "--check")
	if out, _ = d.run(exitFine, "requests", "list", "shop"); strings.Contains(out, "AAAA-AAAA") {
		t.Errorf("it prints %s", out)
	}
	if out, _ = d.run(exitFine, "requests", "shop", "--all"); !regexp.MustCompile(`(?s)BBBB-BBBB.*AAAA-AAAA +answered 20\d\d-\d\d-\d\d "erased"`).MatchString(out) {
		t.Errorf("it prints %s", out)
	}
	out, _ = d.run(exitFine, "requests", "shop", "--all", "--json")
	var list []visitorRequest
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[0].State != "open" || list[0].Days != 15 || list[1].State != "answered" || list[1].Note != "erased" || list[1].Overdue {
		t.Errorf("%v %s", err, out)
	}
	d.run(exitUsage, "requests", "answer")
}

// A list of requests says who asked, and a look at it is on the audit trail, before it is printed.
func TestRequestsAreNoted(t *testing.T) {
	d := newShopData(t)
	d.run(exitFine, "requests", "shop", "--by", "anna")
	d.run(exitFound, "requests", "shop", "--check", "--json")
	d.run(exitFine, "requests", "blog", "--by", "anna") // which has none
	all := d.trail()
	if len(all) != 2 || all[0].Actor != "operator:anna" || all[1].Actor != "operator" {
		t.Fatalf("the trail: %+v", all)
	}
	for _, a := range all {
		if a.Act != ledger.ActShow || a.Site != "shop" || a.Count != 2 || a.Detail != "requests" || len(a.Leaves) != 0 {
			t.Errorf("a look is %+v", a)
		}
	}
	if out, bad := d.run(exitUsage, "requests", "shop", "--by", "a\nb"); out != "" || !strings.Contains(bad, "the operator (--by, STILE_OPERATOR) is") {
		t.Errorf("a name of two lines: %q %q", out, bad)
	}
}

// The day on which a request is due is in time.
func TestRequestState(t *testing.T) {
	due := time.Date(2026, 11, 16, 9, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		now   time.Time
		state string
		days  int
	}{
		{due.AddDate(0, 0, -15), "open", 15},
		{due.Add(-10 * time.Hour), "open", 1},
		{due.Add(-time.Minute), "open", 0},
		{due.Add(14 * time.Hour), "open", 0},
		{due.Add(15 * time.Hour), "overdue", -1},
	} {
		r := printed(&ledger.Request{Due: due}, test.now)
		if r.State != test.state || r.Days != test.days || r.Overdue != (test.state == "overdue") {
			t.Errorf("at %s: %+v", test.now, r)
		}
	}
}
