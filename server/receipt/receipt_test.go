package receipt_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/receipt"
	"github.com/stilehq/stile/server/receipt/receipttest"
)

var update = flag.Bool("update", false, "write the golden receipt again: only for a new receipt.Version")

const golden = "testdata/receipt.json"

var key = receipttest.NewKey("receipt")

// shop is a receipt with three records, the keys that it is checked by, and what it is made of.
func shop(t testing.TB) (doc []byte, keys note.Verifiers, r receipt.Receipt) {
	t.Helper()
	log := receipttest.NewLog("shop")
	r = receipttest.Shop(log)
	doc, err := receipt.Make(r, key)
	if err != nil {
		t.Fatal(err)
	}
	return doc, receipttest.Verifiers(key, log.Key), r
}

// What was handed out must be genuine for ever: a change of this file is a new version of the form, beside this one.
func TestGolden(t *testing.T) {
	doc, keys, _ := shop(t)
	if *update {
		if err := os.WriteFile(golden, doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(doc)); diff != "" {
		t.Errorf("a receipt is written differently:\n%s", diff)
	}
	if _, err := receipt.Check(want, keys); err != nil {
		t.Errorf("the receipt that was handed out is no longer genuine: %v", err)
	}
}

func TestCheck(t *testing.T) {
	doc, keys, r := shop(t)
	got, err := receipt.Check(doc, keys)
	if err != nil {
		t.Fatal(err)
	}
	ignore := []cmp.Option{cmpopts.IgnoreUnexported(receipt.Entry{}), cmpopts.EquateEmpty(), cmp.Comparer(sameRecord)}
	if diff := cmp.Diff(r, got.Receipt, ignore...); diff != "" {
		t.Errorf("what was checked is not what was made:\n%s", diff)
	}
	if got.Size != 7 || got.Log != receipttest.NewLog("shop").Origin || !got.At.Equal(receipttest.Noon) || !strings.Contains(key.Line, got.Key) {
		t.Errorf("log %s of size %d at %v, key %s", got.Log, got.Size, got.At, got.Key)
	}
}

func sameRecord(a, b ledger.Record) bool {
	return a.Subject == b.Subject && a.Leaf == b.Leaf && bytes.Equal(ledger.Leaf(&a), ledger.Leaf(&b))
}

// The order of entries is none of the caller's business.
func TestOrder(t *testing.T) {
	doc, _, r := shop(t)
	slices.Reverse(r.Entries)
	given := slices.Clone(r.Entries)
	again, err := receipt.Make(r, key)
	if err != nil || !bytes.Equal(doc, again) {
		t.Errorf("another order makes another receipt: %v", err)
	}
	if r.Entries[0].Record.ID != given[0].Record.ID {
		t.Error("the caller's entries were moved")
	}
}

// Any byte that is changed, left out or added is found. The receipt has the record that has most in it, alone.
func TestEveryByte(t *testing.T) {
	_, keys, r := shop(t)
	r.Entries = r.Entries[1:2]
	doc, err := receipt.Make(r, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.Check(doc, keys); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(i int) []byte
	}{
		{"a bit", func(i int) []byte { c := bytes.Clone(doc); c[i] ^= 1; return c }},
		{"case", func(i int) []byte { c := bytes.Clone(doc); c[i] ^= 0x20; return c }},
		{"missing", func(i int) []byte { return slices.Delete(bytes.Clone(doc), i, i+1) }},
		{"a space", func(i int) []byte { return slices.Insert(bytes.Clone(doc), i, ' ') }},
		{"the end", func(i int) []byte { return doc[:i] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i := range doc {
				if _, err := receipt.Check(test.change(i), keys); err == nil {
					t.Fatalf("byte %d of %d: a change was not found", i, len(doc))
				} else if strings.ContainsAny(err.Error(), "\x00\x1b\t") {
					t.Fatalf("byte %d: %q is not for a terminal", i, err)
				}
			}
		})
	}
	for name, altered := range map[string][]byte{
		"line ends":      bytes.ReplaceAll(doc, []byte("\n"), []byte("\r\n")),
		"a byte order":   append([]byte("\ufeff"), doc...),
		"more after it":  append(bytes.Clone(doc), '\n'),
		"another member": bytes.Replace(doc, []byte(`"@type": "dpv:ConsentReceipt",`), []byte(`"@type": "dpv:ConsentReceipt", "x": 1,`), 1),
		"escaped":        bytes.Replace(doc, []byte(`"Werbung"`), []byte(`"\u0057erbung"`), 1),
	} {
		if _, err := receipt.Check(altered, keys); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

var value = regexp.MustCompile(`"stile:value": "[^"]*"`)

// signAgain signs an altered receipt, as its operator could.
func signAgain(t *testing.T, doc []byte, k receipttest.Key) []byte {
	t.Helper()
	blank := value.ReplaceAll(doc, []byte(`"stile:value": ""`))
	sig, err := k.Sign(append([]byte("stile receipt v1\n"), blank...))
	if err != nil {
		t.Fatal(err)
	}
	return value.ReplaceAll(blank, fmt.Appendf(nil, `"stile:value": %q`, encode(sig)))
}

func TestNotGenuine(t *testing.T) {
	genuine, keys, r := shop(t)
	elsewhere := receipttest.NewLog("elsewhere")
	elsewhere.AddText([]byte("an entry that the shop's log does not have"))
	other := receipttest.Shop(elsewhere)
	foreign, err := receipt.Make(other, key)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(was, is string) []byte {
		if !bytes.Contains(genuine, []byte(was)) {
			t.Fatalf("%q is not in the receipt", was)
		}
		return bytes.Replace(genuine, []byte(was), []byte(is), 1)
	}
	quoted := func(text []byte) string { return strings.ReplaceAll(string(text), "\n", `\n`) }
	salt, proof := `salt\":\"07`, r.Entries[0].Proof[0].String()
	altered := "was altered after it was signed"
	for _, test := range []struct {
		name string
		doc  []byte
		keys note.Verifiers
		want []string // a line each
	}{
		{
			"a purpose", replace(`"stile:denied": ["analytics"]`, `"stile:denied": []`), keys,
			[]string{`line \d+ \(record 2\) is ".*\[\],", and the log's records make it ".*\[\\"analytics\\"\],": the receipt ` + altered},
		},
		{
			"a purpose, by its signer", signAgain(t, replace(`"stile:denied": ["analytics"]`, `"stile:denied": []`), key), keys,
			[]string{`line \d+ \(record 2\) .*: whoever signed the receipt wrote something else into it than the log has`},
		},
		{
			"the controller", replace("privacy@shop.example", "somebody@else.example"), keys,
			[]string{`line \d+ is ".*", and the log's records make it ".*": the receipt ` + altered},
		},
		{
			"an entry of the log", replace(salt, `salt\":\"17`), keys,
			[]string{`the receipt does not have the signature of stile\+[0-9a-f]{8} that it says: it ` + altered, `record 1 \(.*\) is not entry 1 of the log stile/.*`},
		},
		{
			"an entry of the log, by its signer", signAgain(t, replace(salt, `salt\":\"17`), key), keys,
			[]string{`record 1 \(01000000-0000-0000-0000-000000000001\) is not entry 1 of the log stile/[0-9a-f]{32}: its proof does not lead to the checkpoint; the proof is of another log, or the record was altered`},
		},
		{
			"an entry that is none", replace(salt, `salt\": \"07`), keys,
			[]string{`record 1: the log's entry cannot be read: .*: the receipt was altered, or was never one`},
		},
		{
			"a number", signAgain(t, replace(`"stile:number": 3`, `"stile:number": 4`), key), keys,
			[]string{`record 2 \(.*\) is not entry 4 of the log .*`},
		},
		{
			"a number that the log had not yet", signAgain(t, replace(`"stile:number": 5`, `"stile:number": 7`), key), keys,
			[]string{`record 3 \(.*\) has number 7, and the log had 7 entries at the checkpoint: the proof is of another log, or of another time`},
		},
		{
			"a proof of another log", signAgain(t, replace(proof, other.Entries[2].Proof[0].String()), key), keys,
			[]string{`record 1 \(.*\) is not entry 1 of the log .*: its proof does not lead to the checkpoint; the proof is of another log, or the record was altered`},
		},
		{
			"a checkpoint of another log", signAgain(t, replace(quoted(r.Checkpoint), quoted(elsewhere.Checkpoint())), key),
			receipttest.Verifiers(key, elsewhere.Key),
			[]string{`record 1 .*`, `record 2 .* is not entry 3 of the log ` + elsewhere.Origin + `.*`, `record 3 .*`},
		},
		{
			"a log whose key is not known", foreign, keys,
			[]string{`the log's checkpoint is signed by none of the keys given: it is of another log, or a key is missing; get the keys from /stile/log/keys of the site`},
		},
		{
			"a checkpoint", signAgain(t, replace(`\n7\n`, `\n8\n`), key), keys,
			[]string{`the log's checkpoint does not have the signature of stile\+[0-9a-f]{8} that it says: it ` + altered},
		},
		{
			"a checkpoint that is none", replace(r.Entries[0].Record.Time.Format(`\n2006-`), `\n2O26-`), keys,
			[]string{`the log's checkpoint cannot be read: .*: get the receipt again`},
		},
		{
			"a checkpoint too large to be", replace(`\n7\n`, `\n9223372036854775807\n`), keys,
			[]string{`the log's checkpoint cannot be read: .*: get the receipt again`},
		},
		{
			"a key that nobody knows", signAgain(t, genuine, key), receipttest.Verifiers(receipttest.NewLog("shop").Key),
			[]string{`the receipt is signed by stile\+[0-9a-f]{8}, a key that is not among those given: get the keys from /stile/log/keys of the site`},
		},
		{
			"a signature by another key", signAgain(t, genuine, receipttest.NewKey("forger")), keys,
			[]string{`the receipt does not have the signature of stile\+[0-9a-f]{8} that it says: it ` + altered},
		},
		{
			"words", replace(`Anzeigen, die passen.\"`, `Anzeigen.\"`), keys,
			[]string{`the words of record 01000000-0000-0000-0000-000000000001 are not those that it names, .*`},
		},
		{
			"a vendor list", replace(`"stile:entries": ["chat@functional", `, `"stile:entries": [`), keys,
			[]string{`the vendor list of record .* is not the one that it names, .*`},
		},
		{
			"words that nobody read", replace(`"stile:words": [`, `"stile:words": [{"dct:identifier": "x", "stile:text": "y"},`), keys,
			[]string{`line \d+ is .*: the receipt ` + altered},
		},
		{
			"another site", replace(`"stile:site": "shop"`, `"stile:site": "blog"`), keys,
			[]string{`record 1: .* is of site "shop", the receipt of "blog": the receipt was altered, or was never one`},
		},
		{
			"another address", replace(`"@id": "https://consent.shop.example/`, `"@id": "nowhere/`), keys,
			[]string{`"nowhere" is no address of a consent host, .*`},
		},
		{
			"another visitor", replace("urn:uuid:0909", "urn:uuid:1909"), keys,
			[]string{`line \d+ \(record 1\) is .*: the receipt ` + altered},
		},
		{
			"no visitor", replace("urn:uuid:0909", "uuid:0909"), keys,
			[]string{`dpv:hasDataSubject: "uuid:09.*" is no urn:uuid`},
		},
		{
			"no time", replace(`"dct:created": "2026-11-23T12:00:00Z"`, `"dct:created": "today"`), keys,
			[]string{`dct:created: "today" is no time such as 2026-11-23T12:00:00Z`},
		},
		{
			"a later form", replace("#receipt-v1", "#receipt-v2"), keys,
			[]string{`the receipt is of the form ".*#receipt-v2", and this program knows .*#receipt-v1: take a newer stile`},
		},
		{"nothing", nil, keys, []string{"the file is empty: it is no receipt"}},
		{"white space", []byte(" \n"), keys, []string{"the file ends too early: .*"}},
		{"no JSON", []byte("%PDF-1.7 and so on"), keys, []string{`the file is no JSON \(line 1: .*\): it is no receipt, or was altered`}},
		{"no text", []byte("\xff\xfe{"), keys, []string{`the file is no text: it is no receipt, or was altered`}},
		{"JSON", []byte(`[]`), keys, []string{`the file is JSON, and no receipt of Stile's: .*`}},
		{"another document", []byte(`{"@type": "dpv:ConsentReceipt"}`), keys, []string{`the file is JSON, and no receipt of Stile's: dct:conformsTo is not .*`}},
		{"no records", replace(`"records": [`, `"records": [], "were": [`), keys, []string{`it has no records: .*`}},
		{"far too much", make([]byte, receipt.MaxSize+1), keys, []string{`the file has more than 16777216 bytes: .*`}},
		{"a record twice", twice(t, r), keys, []string{`record 2 \(.*\) is in it twice: .*`}},
		{"no keys at all", genuine, note.VerifierList(), []string{`the receipt is signed by .*, a key that is not among those given.*`, `the log's checkpoint is signed by none .*`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := receipt.Check(test.doc, test.keys)
			if err == nil {
				t.Fatal("it is genuine")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("%d lines, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if !regexp.MustCompile("^" + want + "$").MatchString(lines[i]) {
					t.Errorf("line %d is\n%s\nwant\n%s", i+1, lines[i], want)
				}
			}
		})
	}
}

// twice is a receipt that has its first record twice.
func twice(t *testing.T, r receipt.Receipt) []byte {
	t.Helper()
	doc, err := receipt.Make(r, key)
	if err != nil {
		t.Fatal(err)
	}
	const start = `"records": [`
	i := bytes.Index(doc, []byte(start)) + len(start)
	end := bytes.Index(doc[i:], []byte("\n    {\n      \"@id\": \"urn:uuid:01000000-0000-0000-0000-000000000002\""))
	return slices.Concat(doc[:i+end], doc[i:i+end], doc[i+end:])
}

func TestMakeRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*receipt.Receipt)
		want   string
	}{
		{"another visitor's", func(r *receipt.Receipt) { r.Entries[1].Record.Subject = uuid.New() }, "record 01000000-0000-0000-0000-000000000002 is another visitor's"},
		{"another site's", func(r *receipt.Receipt) { r.Site = "blog" }, `is of site "shop", the receipt of "blog"`},
		{"no records", func(r *receipt.Receipt) { r.Entries = nil }, "it has no records"},
		{"a record twice", func(r *receipt.Receipt) { r.Entries = append(r.Entries, r.Entries[0]) }, "is in it twice"},
		{"another salt", func(r *receipt.Receipt) { r.Entries[0].Record.Salt[0]++ }, "record 1 (01000000-0000-0000-0000-000000000001) is not entry 1 of the log"},
		{"another number", func(r *receipt.Receipt) { r.Entries[2].Record.Leaf++ }, "is not entry 6 of the log"},
		{"a negative number", func(r *receipt.Receipt) { r.Entries[2].Record.Leaf = -1 }, "is not entry -1 of the log"},
		{"an old checkpoint", func(r *receipt.Receipt) { r.Checkpoint = receipttest.NewLog("shop").Checkpoint() }, "the log had 0 entries at the checkpoint"},
		{"no checkpoint", func(r *receipt.Receipt) { r.Checkpoint = nil }, "the log's checkpoint cannot be read"},
		{"no proof", func(r *receipt.Receipt) { r.Entries[0].Proof = nil }, "its proof does not lead to the checkpoint"},
		{"an address with a path", func(r *receipt.Receipt) { r.Address += "/x" }, `"https://consent.shop.example/x" is no address of a consent host`},
		{"no address", func(r *receipt.Receipt) { r.Address = "" }, `"" is no address`},
		{"other words", func(r *receipt.Receipt) { r.Words[r.Entries[0].Record.Notice] = []byte(`{"View":{}}`) }, "are not those that it names"},
		{"another list", func(r *receipt.Receipt) { r.Lists[r.Entries[0].Record.List] = nil }, "is not the one that it names"},
		{"too many purposes", func(r *receipt.Receipt) { r.Entries[0].Record.Granted = make([]string, 1001) }, "names more than 1000 purposes or vendors"},
		{"too long a list", func(r *receipt.Receipt) {
			id := consent.ListID(make([]string, 1001))
			r.Entries[0].Record.List, r.Lists[id] = id, make([]string, 1001)
		}, "has more than 1000 entries"},
		{"words of too much", func(r *receipt.Receipt) {
			hash, words := receipttest.Words(`{"View":{"Categories":[{}` + strings.Repeat(",{}", 1000) + `]}}`)
			r.Entries[0].Record.Notice, r.Words[hash] = hash, words
		}, "there are more than 1000 purposes or vendors in it"},
		{"too much in all", func(r *receipt.Receipt) {
			hash, words := receipttest.Words(`{"View":{"Lang":"` + strings.Repeat("x", receipt.MaxSize) + `"}}`)
			log := receipttest.NewLog("large")
			record := r.Entries[0].Record
			record.Notice = hash
			log.Add(&record)
			*r = log.Receipt([]ledger.Record{record})
			r.Words[hash] = words
		}, "it has more than the 16777216 bytes that one may have"},
		{"no year", func(r *receipt.Receipt) { r.Made = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }, "it is of the year 12026"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, r := shop(t)
			test.change(&r)
			doc, err := receipt.Make(r, key)
			if err == nil || doc != nil || !strings.HasPrefix(err.Error(), "making a receipt of site "+r.Site+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	_, _, r := shop(t)
	for _, s := range []note.Signer{named{key, "other"}, short{key}} {
		if _, err := receipt.Make(r, s); err == nil {
			t.Errorf("%T signs", s)
		}
	}
	hash, words := receipttest.Words("no JSON")
	r.Entries[0].Record.Notice, r.Words[hash] = hash, words
	if _, err := receipt.Make(r, key); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("words that are no notice: %v", err)
	}
}

type named struct {
	note.Signer
	name string
}

func (n named) Name() string { return n.name }

type short struct{ note.Signer }

func (short) Sign([]byte) ([]byte, error) { return []byte("short"), nil }

// What is not kept any more is left out, and said to be.
func TestUnknown(t *testing.T) {
	_, keys, r := shop(t)
	r.Words, r.Lists, r.Entries = nil, nil, r.Entries[1:]
	doc, err := receipt.Make(r, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.Check(doc, keys)
	if err != nil {
		t.Fatal(err)
	}
	s := receipt.Summary(got)
	for _, want := range []string{
		"   granted: marketing, counter\n", "the text is not in this receipt",
		"before:  record 01000000-0000-0000-0000-000000000001, which is not in this receipt",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing:\n%s", want, s)
		}
	}
	for _, unknown := range []string{"stile:model", "dpv:hasLegalBasis", "dpv:hasRecipient", "dpv:hasDataController\""} {
		if bytes.Contains(bytes.ReplaceAll(doc, []byte(`"dpv:hasLegalBasis": {`), nil), []byte(`"`+strings.TrimSuffix(unknown, `"`)+`": `)) {
			t.Errorf("it says %s, which is not known", unknown)
		}
	}
}

// The words are those of the notices that the gate makes.
func TestRealNotices(t *testing.T) {
	options, err := server.ConfigOptions()
	if err != nil {
		t.Fatal(err)
	}
	site, report := config.Load("../../examples/shop/stile.yaml", options)
	if report.HasErrors() {
		t.Fatal(report.Problems)
	}
	g, err := gate.New(site)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	models := map[string]string{ // of analytics
		"gdpr": "opt-in", "uk": "opt-out", "pipl": "opt-in", "us": "opt-out", "other": "opt-in",
	}
	notices, err := g.Notices()
	if err != nil || len(notices) != len(models)*len(site.Languages) {
		t.Fatalf("%d notices: %v", len(notices), err)
	}
	for _, n := range notices {
		d := consent.Decision{}
		for i := range site.Regimes {
			if site.Regimes[i].Name == n.Regime {
				d.Regime = &site.Regimes[i]
			}
		}
		view, err := g.View(&d, n.Language)
		if err != nil {
			t.Fatal(err)
		}
		log := receipttest.NewLog("shop")
		record := ledger.Record{
			ID: uuid.New(), Key: uuid.New(), Site: "shop", Subject: uuid.New(), Time: receipttest.Noon, Action: consent.Custom,
			Granted: []string{"analytics"}, Denied: []string{"functional", "marketing"}, Regime: n.Regime, Language: n.Language,
			Policy: site.Policy.Version, List: site.List(), Notice: n.Hash, Surface: "banner",
		}
		log.Add(&record)
		r := log.Receipt([]ledger.Record{record})
		r.Words[n.Hash], r.Lists[site.List()] = n.Text, site.Entries()
		doc, err := receipt.Make(r, key)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, doc)
		if err := schema(t).Validate(got); err != nil {
			t.Error(err)
		}
		if _, err := receipt.Check(doc, receipttest.Verifiers(key, log.Key)); err != nil {
			t.Error(err)
		}
		at := func(path ...any) any { return dig(t, got, path...) }
		for i, c := range view.Categories {
			of := []any{"records", 0, "dpv:hasProcess", i}
			purpose := append(slices.Clone(of), "dpv:hasPurpose")
			if at(append(purpose, "dct:title")...) != c.Title || at(append(purpose, "dct:description")...) != c.Purpose {
				t.Errorf("%s, %s: %v is not what was read of %s", n.Regime, n.Language, at(purpose...), c.Name)
			}
			model := at(append(of, "stile:model")...)
			if want := models[n.Regime]; c.Name == "analytics" && model != want {
				t.Errorf("%s: analytics is %v, want %s", n.Regime, model, want)
			}
			if (model == "opt-in") != (at(append(of, "dpv:hasLegalBasis")...) == "dpv:ExpressedConsent") {
				t.Errorf("%s: %s is %v without consent, or with it", n.Regime, c.Name, model)
			}
			for j, s := range c.Services {
				to := append(slices.Clone(of), "dpv:hasRecipient", j, "dct:identifier")
				if id, _ := at(to...).(string); !slices.ContainsFunc(c.Services, func(s2 bannerService) bool { return s2.ID == id }) {
					t.Errorf("%s: recipient %v, want %s", n.Regime, id, s.ID)
				}
			}
		}
		// Where each recipient is an act of its own, the purpose alone covers none of them (F2).
		want := "dpv:ConsentGiven"
		if n.Regime == "pipl" {
			want = "dpv:ConsentRefused"
		}
		if got := at("records", 0, "dpv:hasProcess", 2, "dpv:hasRecipient", 0, "dpv:hasConsentStatus"); got != want {
			t.Errorf("%s: the counter is %v, want %s", n.Regime, got, want)
		}
	}
}

// A record that is exported is the one in the receipt, without its proof.
func TestRecord27560(t *testing.T) {
	doc, _, r := shop(t)
	for i, e := range r.Entries {
		line, err := receipt.Record27560(r.Address, &e.Record, r.Words[e.Record.Notice], r.Lists[e.Record.List])
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("record %d is not one line", i+1)
		}
		got := read(t, line)
		if err := schema(t).Validate(got); err != nil {
			t.Error(err)
		}
		want := dig(t, read(t, doc), "records", i).(map[string]any)
		delete(want, "stile:log")
		want["@context"] = dig(t, read(t, doc), "@context")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %d is another than in the receipt:\n%s", i+1, diff)
		}
	}
	e := r.Entries[0]
	if _, err := receipt.Record27560("shop.example", &e.Record, nil, nil); err == nil {
		t.Error("an address that is none was taken")
	}
	if _, err := receipt.Record27560(r.Address, &e.Record, []byte("{}"), nil); err == nil {
		t.Error("words of another hash were taken")
	}
}

// A receipt is shown on a terminal: what it says cannot move the cursor.
func TestSummaryIsPlain(t *testing.T) {
	log := receipttest.NewLog("shop")
	record := ledger.Record{
		ID: uuid.New(), Key: uuid.New(), Site: "shop", Subject: uuid.New(), Time: receipttest.Noon, Action: "x\x1b[2J",
		Granted: []string{"a\r\x1b]0;b\a"}, Language: "\u202e",
	}
	log.Add(&record)
	doc, err := receipt.Make(log.Receipt([]ledger.Record{record}), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.Check(doc, receipttest.Verifiers(key, log.Key))
	if err != nil {
		t.Fatal(err)
	}
	if s := receipt.Summary(got); strings.ContainsAny(s, "\x1b\a\r\u202e") {
		t.Errorf("%q", s)
	}
}

// records draws a visitor's records, in a log among others.
func records(t *rapid.T, l *receipttest.Log) []ledger.Record {
	texts := rapid.SliceOfN(rapid.String(), 0, 3)
	subject, all := uuid.UUID{1, 15: 1}, []ledger.Record(nil)
	for i := range rapid.IntRange(1, 5).Draw(t, "records") {
		for range rapid.IntRange(0, 9).Draw(t, "others") {
			l.AddText(fmt.Appendf(nil, "another %d", i))
		}
		at := func(what string) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, what)).UTC()
		}
		r := ledger.Record{
			ID: uuid.UUID{6: 0x70, 15: byte(i)}, Key: uuid.UUID{2, 15: byte(i)}, Site: "shop", Subject: subject, Time: at("time"),
			Action:  rapid.SampledFrom([]consent.Action{consent.AcceptAll, consent.RejectAll, consent.Custom, consent.Withdraw, consent.Guardian}).Draw(t, "action"),
			Granted: texts.Draw(t, "granted"), Denied: texts.Draw(t, "denied"), Services: texts.Draw(t, "services"), Refused: texts.Draw(t, "refused"),
			Regime: rapid.String().Draw(t, "regime"), Country: rapid.SampledFrom([]string{"", "DE", "T1", "é"}).Draw(t, "country"),
			Language: rapid.String().Draw(t, "language"), Policy: rapid.String().Draw(t, "policy"), List: rapid.String().Draw(t, "list"),
			Notice: rapid.String().Draw(t, "notice"), Surface: rapid.String().Draw(t, "surface"), GPC: rapid.Bool().Draw(t, "gpc"),
			Age: rapid.String().Draw(t, "age"),
		}
		rapid.Make[[16]byte]().Draw(t, "salt")
		if rapid.Bool().Draw(t, "expires") {
			r.Expiry = at("expiry")
		}
		if len(all) > 0 && rapid.Bool().Draw(t, "linked") {
			r.Previous = all[len(all)-1].ID
		}
		l.Add(&r)
		all = append(all, r)
	}
	return all
}

func TestAnyRecords(t *testing.T) {
	valid := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		log := receipttest.NewLog("any")
		r := log.Receipt(records(t, log))
		for i := range r.Entries {
			e := &r.Entries[i].Record
			if rapid.Bool().Draw(t, "listed") {
				// The list's id is of the entries: the record takes it, and goes into the log anew.
				entries := rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "entries")
				e.List = consent.ListID(entries)
				r.Lists[e.List] = entries
			}
			if rapid.Bool().Draw(t, "worded") {
				name, title := rapid.String().Draw(t, "name"), rapid.String().Draw(t, "title")
				hash, words := receipttest.Words(fmt.Sprintf(`{"View":{"Controller":"C","OptOut":%v,"Categories":[{"Name":%s,"Title":%s}]}}`,
					rapid.Bool().Draw(t, "model"), quote(name), quote(title)))
				e.Notice, r.Words[hash] = hash, words
			}
			log.Add(e)
		}
		r.Checkpoint = log.Checkpoint()
		for i := range r.Entries {
			r.Entries[i].Proof = log.Prove(r.Entries[i].Record.Leaf)
		}
		doc, err := receipt.Make(r, key)
		if err != nil {
			t.Fatal(err)
		}
		keys := receipttest.Verifiers(key, log.Key)
		got, err := receipt.Check(doc, keys)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if len(got.Entries) != len(r.Entries) {
			t.Fatalf("%d records, want %d", len(got.Entries), len(r.Entries))
		}
		for i := range got.Entries {
			j := slices.IndexFunc(r.Entries, func(e receipt.Entry) bool { return e.Record.ID == got.Entries[i].Record.ID })
			if !sameRecord(got.Entries[i].Record, r.Entries[j].Record) {
				t.Fatalf("record %d is another", i+1)
			}
			if i > 0 && got.Entries[i].Record.Time.Before(got.Entries[i-1].Record.Time) {
				t.Fatalf("record %d is older than the one before", i+1)
			}
		}
		receipt.Summary(got)
		if err := valid.Validate(read(t, doc)); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		i := rapid.IntRange(0, len(doc)-1).Draw(t, "at")
		doc[i] ^= rapid.Byte().Filter(func(b byte) bool { return b != 0 }).Draw(t, "bits")
		if _, err := receipt.Check(doc, keys); err == nil {
			t.Fatalf("byte %d was changed, and not found", i)
		}
	})
}

// Without the keys nobody can make a receipt that is genuine, or crash what checks it.
func FuzzCheck(f *testing.F) {
	doc, keys, _ := shop(f)
	f.Add(doc)
	f.Add(doc[:len(doc)/2])
	f.Add(bytes.Replace(doc, []byte(`"stile:number": 3`), []byte(`"stile:number": 9223372036854775807`), 1))
	f.Add(bytes.Replace(doc, []byte(`\n7\n`), []byte(`\n1152921504606846976\n`), 1))
	f.Add([]byte(`{"dct:conformsTo":"` + receipt.Version + `"}`))
	f.Fuzz(func(t *testing.T, given []byte) {
		if _, err := receipt.Check(given, keys); (err == nil) != bytes.Equal(given, doc) {
			t.Errorf("%v", err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	doc, keys, _ := shop(b)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := receipt.Check(doc, keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	_, _, r := shop(b)
	for b.Loop() {
		if _, err := receipt.Make(r, key); err != nil {
			b.Fatal(err)
		}
	}
}
