package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 123e6, time.UTC)

// choice has every field, and each is another one.
func choice(site string) ledger.Record {
	return ledger.Record{
		Key: uuid.New(), Site: site, Time: noon, Action: consent.Custom, Granted: []string{"analytics", "functional"}, Denied: []string{"marketing"},
		Services: []string{"chat"}, Refused: []string{"ads"}, Regime: "gdpr", Country: "DE", Language: "de", Policy: "2026-11-01", List: "-Ab3_x",
		Notice: "c0ffee", Surface: "banner", GPC: true, Age: "older", Expiry: noon.AddDate(0, 6, 0),
	}
}

// filled is a data folder with records, and its ledger.
func filled(t *testing.T, records ...ledger.Record) (data string, db *ledger.Ledger, stored []ledger.Record) {
	t.Helper()
	data = t.TempDir()
	db, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(data, "stile.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, r := range records {
		if r.Previous != uuid.Nil {
			r.Previous = stored[len(stored)-1].ID
		}
		r, err := db.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, r)
	}
	return data, db, stored
}

// stile runs a command and wants its exit code.
func stile(t *testing.T, code int, args ...string) (out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := run(t.Context(), args, &o, &e); got != code {
		t.Fatalf("stile %v exits with %d, want %d: %s", args, got, code, e.String())
	}
	return o.String(), e.String()
}

func TestExportJSONL(t *testing.T) {
	next := choice("shop")
	next.Previous, next.Action, next.Time = uuid.New(), consent.Withdraw, noon.AddDate(0, 0, 1)
	least := ledger.Record{Key: uuid.New(), Site: "blog", Time: noon.AddDate(0, 1, 0), Action: consent.RejectAll}
	data, _, stored := filled(t, choice("shop"), next, least)
	out, _ := stile(t, exitFine, "records", "export", "--data", data)
	want := fmt.Sprintf(`{"leaf":0,"site":"shop","id":"%[1]s","subject":"%[2]s","time":"2026-11-01T12:00:00.123Z","action":"custom","granted":["analytics","functional"],"denied":["marketing"],"services":["chat"],"refused":["ads"],"regime":"gdpr","country":"DE","language":"de","policy":"2026-11-01","vendors":"-Ab3_x","notice":"c0ffee","surface":"banner","gpc":true,"age":"older","expiry":"2027-05-01T12:00:00.123Z"}
{"leaf":1,"site":"shop","id":"%[3]s","subject":"%[2]s","previous":"%[1]s","time":"2026-11-02T12:00:00.123Z","action":"withdraw","granted":["analytics","functional"],"denied":["marketing"],"services":["chat"],"refused":["ads"],"regime":"gdpr","country":"DE","language":"de","policy":"2026-11-01","vendors":"-Ab3_x","notice":"c0ffee","surface":"banner","gpc":true,"age":"older","expiry":"2027-05-01T12:00:00.123Z"}
{"leaf":2,"site":"blog","id":"%[4]s","subject":"%[5]s","time":"2026-12-01T12:00:00.123Z","action":"reject_all","granted":[],"denied":[],"services":[],"refused":[],"regime":"","country":"","language":"","policy":"","vendors":"","notice":"","surface":"","gpc":false,"age":""}
`, stored[0].ID, stored[0].Subject, stored[1].ID, stored[2].ID, stored[2].Subject)
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(out, "\n")); diff != "" {
		t.Errorf("export (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		args string
		want int
	}{
		{"--site blog", 1},
		{"--site shop", 2},
		{"--from 2026-11-01 --to 2026-11-02", 1},
		{"--to 2026-11-01", 0},
		{"--from 2026-11-02T13:00:00.123+01:00 --to 2027-01-01", 2},
		{"--from 2026-11-02T12:00:00.124Z", 1},
	} {
		out, _ := stile(t, exitFine, append([]string{"records", "export", "--data", data}, strings.Fields(test.args)...)...)
		if got := strings.Count(out, "\n"); got != test.want {
			t.Errorf("%s: %d records, want %d", test.args, got, test.want)
		}
	}
}

// The words and the vendors are those that the record names; what is not kept is left out.
func TestExport27560(t *testing.T) {
	r := choice("shop")
	text := []byte(`{"View":{"Controller":"EasyDser","Categories":[{"Name":"analytics","Title":"Statistik","Purpose":"zählt Besuche"}]}}`)
	sum := sha256.Sum256(text)
	r.Notice = base64.RawURLEncoding.EncodeToString(sum[:16])
	r.List = consent.ListID([]string{"ga4@analytics"})
	data, db, stored := filled(t, r, choice("blog"))
	err := db.Publish(t.Context(), "shop", ledger.Publication{
		Notices: []ledger.Notice{{Hash: r.Notice, Language: "de", Text: text, Time: noon}}, List: r.List, Entries: []string{"ga4@analytics"},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := stile(t, exitFine, "records", "export", "--data", data, "--format", "27560", "--base", "https://consent.shop.example")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc["dct:identifier"] != stored[i].ID.String() || doc["@type"] != "dpv:ConsentRecord" {
			t.Errorf("line %d (%v): %s", i, err, line)
		}
		for _, word := range []string{"zählt Besuche", "EasyDser", `"ga4"`} {
			if got, want := strings.Contains(line, word), i == 0; got != want {
				t.Errorf("line %d has %s: %t", i, word, got)
			}
		}
	}
	if _, said := stile(t, exitFailed, "records", "export", "--data", data, "--format", "27560", "--base", "shop"); strings.Count(said, "\n") != 1 {
		t.Errorf("a base that is none: %s", said)
	}
}

// A cell never begins as a formula does, and a line is a record, whatever is in it.
func TestExportCSV(t *testing.T) {
	evil := choice("shop")
	evil.Language, evil.Country, evil.Age, evil.Surface = `=HYPERLINK("http://x";"y")`, "+1", "@SUM(1)", "\tx"
	evil.Policy, evil.Regime = "a\r\nb,\"c\"", "-1"
	evil.Granted = []string{"=1|2", `a\b`}
	evil.Site = "a,b"
	data, _, stored := filled(t, choice("shop"), evil)
	out, _ := stile(t, exitFine, "records", "export", "--format", "csv", "--data", data)
	if n := strings.Count(out, "\r\n"); n != 3 || strings.Count(out, "\n") != 3 {
		t.Errorf("%d lines, want 3 that end in CRLF:\n%q", n, out)
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		strings.Split(strings.TrimSpace(csvHeader), ","),
		{
			"0", "shop", stored[0].ID.String(), stored[0].Subject.String(), "", "2026-11-01T12:00:00.123Z", "custom", "analytics|functional",
			"marketing", "chat", "ads", "gdpr", "DE", "de", "2026-11-01", "'-Ab3_x", "c0ffee", "banner", "true", "older", "2027-05-01T12:00:00.123Z",
		},
		{
			"1", "a,b", stored[1].ID.String(), stored[1].Subject.String(), "", "2026-11-01T12:00:00.123Z", "custom", `'=1\|2|a\\b`,
			"marketing", "chat", "ads", "'-1", "'+1", `'=HYPERLINK("http://x";"y")`, `a b,"c"`, "'-Ab3_x", "c0ffee", "'\tx", "true", "'@SUM(1)",
			"2027-05-01T12:00:00.123Z",
		},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Wherever an export was cut, it goes on to the same file: none is lost, none is twice.
func TestExportResume(t *testing.T) {
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			_, db, _ := filled(t, choice("shop"), choice("blog"), choice("shop"), choice("blog"))
			if name == "27560" {
				f = format27560(t.Context(), db, "https://consent.shop.example")
			}
			folder := t.TempDir()
			c := exportRecords{Format: name, Output: filepath.Join(folder, "whole"), Resume: true}
			std := streams{io.Discard, io.Discard}
			size, err := db.Size(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			q := ledger.Query{Site: "shop", End: size}
			if err := c.toFile(t.Context(), std, db, q, f); err != nil {
				t.Fatal(err)
			}
			want := readFile(t, c.Output)
			if n := bytes.Count(want, []byte("\n")); n < 2 {
				t.Fatalf("%d lines", n)
			}
			for cut := range len(want) + 1 {
				c.Output = filepath.Join(folder, fmt.Sprint(cut))
				p := part{name: c.Output + ".part"}
				if err := p.describe(partQuery{Site: "shop", Format: name, End: size}); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p.name, want[:cut], 0o600); err != nil {
					t.Fatal(err)
				}
				if err := c.toFile(t.Context(), std, db, q, f); err != nil {
					t.Fatalf("cut after %d bytes: %v", cut, err)
				}
				if got := readFile(t, c.Output); !bytes.Equal(want, got) {
					t.Fatalf("cut after %d bytes:\n%s\nwant\n%s", cut, got, want)
				}
				if err := os.Remove(c.Output); err != nil {
					t.Fatal(err)
				}
			}
			if left, _ := os.ReadDir(folder); len(left) != 1 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// An interrupt leaves whole lines, and says how to go on. Records that come until then are not in it.
func TestExportInterrupted(t *testing.T) {
	records := make([]ledger.Record, 1500)
	for i := range records {
		records[i] = choice("shop")
	}
	data, db, _ := filled(t, records...)
	output := filepath.Join(t.TempDir(), "out.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	f := formats["jsonl"]
	f.write = func(to *bytes.Buffer, r *ledger.Record) error {
		if n++; n == 700 {
			cancel()
		}
		return writeJSONL(to, r)
	}
	c := exportRecords{Format: "jsonl", Output: output}
	err := c.toFile(ctx, streams{io.Discard, io.Discard}, db, ledger.Query{End: 1500}, f)
	if err == nil || err.Error() != "stopped; "+output+".part has what was written: give the same command with --resume to go on" {
		t.Errorf("the interrupted command says %v", err)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("the file is there, and is not whole")
	}
	if got := bytes.Count(readFile(t, output+".part"), []byte("\n")); got != 1000 {
		t.Errorf("%d lines were written, want a page", got)
	}
	if _, err := db.Append(t.Context(), choice("shop")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "out.jsonl.part is there: go on with it by --resume, or delete it and "},
		{"--resume --format csv", "was begun with --format jsonl: give the same"},
		{"--resume --site shop", "was begun with --format jsonl: give the same"},
		{"--resume --from 2026-01-01", "was begun with --format jsonl: give the same"},
	} {
		args := append([]string{"records", "export", "--data", data, "--output", output}, strings.Fields(test.args)...)
		if _, err := stile(t, exitFailed, args...); !strings.Contains(err, test.want) || strings.Count(err, "\n") != 1 {
			t.Errorf("%s: %s", test.args, err)
		}
	}
	_, said := stile(t, exitFine, "records", "export", "--data", data, "--output", output, "--resume")
	if said != "500 records written to "+output+"\n" {
		t.Errorf("at the end it says %q", said)
	}
	lines := bytes.Split(bytes.TrimSpace(readFile(t, output)), []byte("\n"))
	if len(lines) != 1500 {
		t.Fatalf("%d records", len(lines))
	}
	for i, line := range lines {
		var r exportedRecord
		if err := json.Unmarshal(line, &r); err != nil || r.Leaf != int64(i) {
			t.Fatalf("line %d is of number %d, %v", i, r.Leaf, err)
		}
	}
	if info, err := os.Stat(output); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if _, err := stile(t, exitFailed, "records", "export", "--data", data, "--output", output, "--resume"); !strings.Contains(err, "is there already") {
		t.Errorf("once more: %s", err)
	}
}

func TestExportResumeRefuses(t *testing.T) {
	data, _, _ := filled(t, choice("shop"))
	for name, files := range map[string][2]string{ // .part and .part.json
		"no query":            {"", ""},
		"half a query":        {"", `{"site"`},
		"a query of more":     {"", `{"site":"","from":"0001-01-01T00:00:00Z","to":"0001-01-01T00:00:00Z","format":"jsonl","end":9}`},
		"a line of something": {"hello\n", `{"site":"","from":"0001-01-01T00:00:00Z","to":"0001-01-01T00:00:00Z","format":"jsonl","end":1}`},
		"a number too high":   {`{"leaf":1}` + "\n", `{"site":"","from":"0001-01-01T00:00:00Z","to":"0001-01-01T00:00:00Z","format":"jsonl","end":1}`},
	} {
		output := filepath.Join(t.TempDir(), "out")
		for suffix, text := range map[string]string{".part": files[0], ".part.json": files[1]} {
			if err := os.WriteFile(output+suffix, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := stile(t, exitFailed, "records", "export", "--data", data, "-o", output, "--resume")
		if !strings.Contains(err, "begin anew") || strings.Count(err, "\n") != 1 {
			t.Errorf("%s: %s", name, err)
		}
		if got := string(readFile(t, output+".part")); got != files[0] {
			t.Errorf("%s: the file was changed to %q", name, got)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := noon
	p := newProgress(&out, func() time.Time { return now }, 0, 4000)
	if p.at(1000); p.to != nil || out.Len() > 0 {
		t.Fatal("it is drawn where nobody looks")
	}
	p.to = &out
	now = now.Add(10 * time.Second)
	p.records = 900
	p.at(1000)
	p.at(1001) // just now
	now = now.Add(time.Second)
	p.records = 3
	p.at(4000)
	p.done()
	want := "\r900 records   25%  90/s  30s left\r3 records  100%  0/s  0s left    \n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("drawn (-want +got):\n%s", diff)
	}
}

func TestShow(t *testing.T) {
	next := choice("shop")
	next.Previous, next.Action, next.Granted, next.Denied = uuid.New(), consent.Withdraw, nil, []string{"analytics"}
	next.Language = "d\x1b[2Je"
	data, db, stored := filled(t, choice("shop"), next)
	text := []byte(`{"Site":"shop","View":{"Lang":"de","Words":{"Title":"Ihre Wahl","IntroOptIn":"{controller} nutzt Cookies:","Refuse":"Sie können ablehnen.",
		"Recipients":"Empfänger","AcceptAll":"Alle","RejectAll":"Keine","Choose":"Wählen"},"Controller":"EasyDser",
		"Categories":[{"Name":"analytics","Title":"Statistik","Purpose":"zählt Besuche","Services":[{"ID":"ga4","Name":"GA4","Company":"Google",
		"Cookies":[{"Name":"_ga","Lifetime":"2 fortnights","Purpose":""}]}]}]}}`)
	err := db.Publish(t.Context(), "shop", ledger.Publication{
		Notices: []ledger.Notice{{Hash: "c0ffee", Language: "de", Regime: "gdpr", Policy: "2026-11-01", Text: text, Time: noon}},
		List:    "-Ab3_x", Entries: []string{"ga4@analytics"},
		Policies: []ledger.Policy{{Site: "shop", Version: "2026-11-01", Hash: "h1", Controller: "EasyDser", Since: noon, Material: true}, {Site: "shop", Version: "2", Hash: "h2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := stored[0]
	byID, _ := stile(t, exitFine, "records", "show", first.ID.String(), "--data", data)
	byKey, _ := stile(t, exitFine, "records", "show", first.Key.String(), "--data", data, "--site", "shop")
	if byID != byKey {
		t.Errorf("by id and by key:\n%s", cmp.Diff(byID, byKey))
	}
	for _, want := range []string{
		"RECORD " + first.ID.String() + ": superseded\n", "country            DE\n", "services refused   ads\n", "number in the log  0\n",
		"notice c0ffee, language de, regime gdpr", "  | Ihre Wahl\n  | EasyDser nutzt Cookies:\n  | - Statistik: zählt Besuche\n", "| [Keine] [Alle] [Wählen]",
		"|   GA4, Google\n  |     _ga, 2 fortnights: zählt Besuche\n", "version 2026-11-01, hash h1, since 2026-11-01 12:00:00 UTC, controller EasyDser, material\n",
		"VENDORS (list -Ab3_x)\n  ga4@analytics\n", "> 2026-11-01 12:00:00 UTC  " + first.ID.String() + "  custom",
		"  2026-11-01 12:00:00 UTC  " + stored[1].ID.String() + "  withdraw  granted -                      denied analytics  taken back\n",
	} {
		if !strings.Contains(byID, want) {
			t.Errorf("there is no %q in\n%s", want, byID)
		}
	}
	if strings.Contains(byID, "h2") {
		t.Error("another version's policy is shown")
	}
	if out, _ := stile(t, exitFine, "records", "show", stored[1].ID.String(), "--data", data); strings.Contains(out, "\x1b") || !strings.Contains(out, ": taken back\n") {
		t.Errorf("the withdrawal is\n%q", out)
	}
	var got shownRecord
	out, _ := stile(t, exitFine, "records", "show", first.ID.String(), "--data", data, "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.State != "superseded" || len(got.Chain) != 2 || got.Notice.Hash != "c0ffee" || got.Key != first.Key.String() || !cmp.Equal(exported(&first), got.Record) {
		t.Errorf("as JSON (%v): %s", err, out)
	}
}

func TestShowRefuses(t *testing.T) {
	one, other := choice("shop"), choice("blog")
	other.Key = one.Key
	data, _, _ := filled(t, one, other)
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b", exitFound, "there is no record 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b"},
		{"anna@shop.example", exitFailed, `"anna@shop.example" is no id of a record`},
		{one.Key.String(), exitFailed, "is of records of blog, shop: name one with --site"},
		{one.Key.String() + " --site news", exitFailed, `there is no site "news" in the ledger: it has blog, shop`},
	} {
		out, err := stile(t, test.code, append([]string{"records", "show", "--data", data}, strings.Fields(test.args)...)...)
		if out != "" || !strings.Contains(err, test.want) || strings.Count(err, "\n") != 1 {
			t.Errorf("%s: %s%s", test.args, out, err)
		}
	}
	stile(t, exitFine, "records", "show", one.Key.String(), "--site", "blog", "--data", data)
}

func TestBackupCommand(t *testing.T) {
	data, db, stored := filled(t, choice("shop"))
	if err := os.Mkdir(filepath.Join(data, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	stile(t, exitFine, "keys", "new", "--data", data)
	folder := t.TempDir()
	out, said := stile(t, exitFine, "backup", folder, "--data", data)
	if !strings.HasPrefix(out, filepath.Join(folder, "stile-20")) || !strings.Contains(said, "it has 1 leaf of the log\n") || !strings.Contains(said, "it holds the keys") {
		t.Errorf("backup says %s%s", out, said)
	}
	archive := strings.TrimSpace(out)
	if _, said := stile(t, exitFailed, "backup", archive, "--data", data); !strings.Contains(said, "is there already") {
		t.Errorf("a second time: %s", said)
	}
	to := filepath.Join(folder, "new")
	out, said = stile(t, exitFine, "restore", archive, "--data", to)
	if !strings.Contains(out, "1 leaf of the log stile/") || !strings.Contains(said, "who was erased or took consent back after 20") {
		t.Errorf("restore says %s%s", out, said)
	}
	stile(t, exitFine, "records", "show", stored[0].ID.String(), "--data", to)
	if _, said := stile(t, exitFailed, "restore", archive, "--data", data, "--force"); !strings.Contains(said, "is in use: end stile serve first") {
		t.Errorf("in use: %s", said)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, said := stile(t, exitFine, "restore", archive, "--data", data, "--force"); !strings.Contains(said, "what was there before is in "+data) {
		t.Errorf("over the old one: %s", said)
	}
	pg := filepath.Join(folder, "pg.tar")
	if _, said := stile(t, exitFine, "backup", pg, "--data", data, "--database", "postgres://db.example/stile"); !strings.Contains(said, "the records are in PostgreSQL: back that up now, by pg_dump") {
		t.Errorf("with PostgreSQL: %s", said)
	}
	if out, _ := stile(t, exitFine, "restore", pg, "--data", filepath.Join(folder, "pg")); !strings.Contains(out, "keys and what waited for PostgreSQL") {
		t.Errorf("with PostgreSQL: %s", out)
	}
}
