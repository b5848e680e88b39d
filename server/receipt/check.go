package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/ledger"
)

// Genuine is a receipt that held.
type Genuine struct {
	Receipt           // its entries oldest first
	Key     string    // that signed it: "stile+0a1b2c3d"
	Log     string    // name of the log that its records are in: "stile/" and 32 hex digits
	Size    int64     // of the log, in entries,
	At      time.Time // at the checkpoint
	doc     *document
}

// Check tells whether a document is a genuine receipt: that it is what its records and words make, byte for byte; that it
// is signed by one of the keys; that a checkpoint of the log is; and that each record is in that log. keys are those of
// receipts and of the log, the retired ones too; all are named KeyName. An error has a line for each thing that is wrong,
// which says what it means.
func Check(doc []byte, keys note.Verifiers) (*Genuine, error) {
	r, key, value, err := parse(doc)
	if err != nil {
		return nil, err
	}
	d, err := newDocument(r)
	if err != nil {
		return nil, fmt.Errorf("%w: the receipt was altered, or was never one", err)
	}
	again := d.render(key)
	if want := withValue(again.out.Bytes(), value); !bytes.Equal(want, doc) {
		return nil, altered(doc, want, again, verifyAltered(doc, key, value, keys))
	}
	point, err := readCheckpoint(r.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: get the receipt again", err)
	}
	wrong := []error{verify(again.out.Bytes(), key, value, keys), verifyCheckpoint(r.Checkpoint, keys)}
	if err := errors.Join(append(wrong, d.prove(point)...)...); err != nil {
		return nil, err
	}
	return &Genuine{Receipt: d.Receipt, Key: key, Log: point.Origin, Size: point.Size, At: point.Time, doc: d}, nil
}

// file is what a receipt is made again from: the rest of it follows.
type file struct {
	ID      string `json:"@id"`
	Version string `json:"dct:conformsTo"`
	Receipt string `json:"dct:identifier"`
	Made    string `json:"dct:created"`
	Site    string `json:"stile:site"`
	Subject struct {
		ID string `json:"@id"`
	} `json:"dpv:hasDataSubject"`
	Records []struct {
		Log struct {
			Leaf   string      `json:"stile:leaf"`
			Number int64       `json:"stile:number"`
			Proof  []tlog.Hash `json:"stile:proof"`
		} `json:"stile:log"`
	} `json:"records"`
	Words []struct {
		Hash string `json:"dct:identifier"`
		Text string `json:"stile:text"`
	} `json:"stile:words"`
	Lists []struct {
		ID      string   `json:"dct:identifier"`
		Entries []string `json:"stile:entries"`
	} `json:"stile:lists"`
	Checkpoint string `json:"stile:checkpoint"`
	Signature  struct {
		Key   string `json:"stile:key"`
		Value string `json:"stile:value"`
	} `json:"stile:signature"`
}

// parse reads a receipt. What it takes too lightly differs when the document is made again.
func parse(doc []byte) (r Receipt, key, value string, err error) {
	fail := func(format string, args ...any) (Receipt, string, string, error) {
		return Receipt{}, "", "", fmt.Errorf(format, args...)
	}
	switch {
	case len(doc) == 0:
		return fail("the file is empty: it is no receipt")
	case len(doc) > MaxSize:
		return fail("the file has more than %d bytes: it is no receipt of Stile's", MaxSize)
	case !utf8.Valid(doc):
		return fail("the file is no text: it is no receipt, or was altered")
	}
	var f file
	if err := json.Unmarshal(doc, &f); err != nil {
		return fail("%s", unreadable(doc, err))
	}
	if f.Version != Version {
		if strings.HasPrefix(f.Version, own) {
			return fail("the receipt is of the form %q, and this program knows %s: take a newer stile", f.Version, Version)
		}
		return fail("the file is JSON, and no receipt of Stile's: dct:conformsTo is not %s", Version)
	}
	if r.Made, err = moment(f.Made); err != nil {
		return fail("dct:created: %w", err)
	}
	subject, urn := strings.CutPrefix(f.Subject.ID, "urn:uuid:")
	if r.Subject, err = uuid.Parse(subject); err != nil || !urn {
		return fail("dpv:hasDataSubject: %q is no urn:uuid", f.Subject.ID)
	}
	r.Site, r.Checkpoint = f.Site, []byte(f.Checkpoint)
	r.Address, _, _ = strings.Cut(f.ID, "/stile/")
	for _, e := range f.Records {
		r.Entries = append(r.Entries, Entry{Record: ledger.Record{Leaf: e.Log.Number}, Proof: e.Log.Proof, leaf: []byte(e.Log.Leaf)})
	}
	r.Words, r.Lists = make(map[string][]byte), make(map[string][]string)
	for _, w := range f.Words {
		r.Words[w.Hash] = []byte(w.Text)
	}
	for _, l := range f.Lists {
		r.Lists[l.ID] = l.Entries
	}
	return r, f.Signature.Key, f.Signature.Value, nil
}

func unreadable(doc []byte, err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && int(syntax.Offset) >= len(doc):
		return "the file ends too early: it is no receipt, or a part of one; get it again"
	case syntax != nil:
		return fmt.Sprintf("the file is no JSON (line %d: %v): it is no receipt, or was altered", lineAt(doc, int(syntax.Offset)), err)
	case errors.As(err, &kind):
		return fmt.Sprintf("the file is JSON, and no receipt of Stile's: line %d has a %s where it has something else", lineAt(doc, int(kind.Offset)), kind.Value)
	}
	return fmt.Sprintf("the file is no receipt, or was altered: %v", err)
}

// verify checks the signature over a document whose value is empty.
func verify(doc []byte, key, value string, keys note.Verifiers) error {
	name, hex, _ := strings.Cut(key, "+")
	hash, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || name != KeyName || key != fmt.Sprintf("%s+%08x", KeyName, hash) {
		return fmt.Errorf("stile:key is %q, which is no name of a key such as stile+0a1b2c3d: the receipt was altered after it was signed", key)
	}
	v, err := keys.Verifier(KeyName, uint32(hash))
	if err != nil {
		return fmt.Errorf("the receipt is signed by %s, a key that is not among those given: get the keys from /stile/log/keys of the site", key)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || !v.Verify(message(doc), sig) {
		return fmt.Errorf("the receipt does not have the signature of %s that it says: it was altered after it was signed", key)
	}
	return nil
}

// verifyAltered checks the signature over a document that is not what its records make.
func verifyAltered(doc []byte, key, value string, keys note.Verifiers) error {
	before, after := doc, []byte(nil)
	if i := bytes.LastIndex(doc, []byte(value)); i >= 0 {
		before, after = doc[:i], doc[i+len(value):]
	}
	return verify(slices.Concat(before, after), key, value, keys)
}

// altered says where a document differs from the one that its records make, and what that means.
func altered(doc, want []byte, again *writer, signature error) error {
	at := 0
	for at < len(doc) && at < len(want) && doc[at] == want[at] {
		at++
	}
	where := fmt.Sprintf("line %d", lineAt(want, at))
	if i := again.record(at); i > 0 {
		where += fmt.Sprintf(" (record %d)", i)
	}
	means := "the receipt was altered after it was signed"
	if signature == nil {
		means = "whoever signed the receipt wrote something else into it than the log has"
	}
	return fmt.Errorf("%s is %s, and the log's records make it %s: %s", where, excerpt(doc, at), excerpt(want, at), means)
}

func lineAt(doc []byte, at int) int { return 1 + bytes.Count(doc[:min(at, len(doc))], []byte("\n")) }

// excerpt is the part of a line around an offset, quoted.
func excerpt(doc []byte, at int) string {
	if at >= len(doc) {
		return "missing"
	}
	start := max(bytes.LastIndexByte(doc[:at], '\n')+1, at-30)
	end := len(doc)
	if i := bytes.IndexByte(doc[at:], '\n'); i >= 0 {
		end = at + i
	}
	return strconv.QuoteToASCII(strings.TrimSpace(strings.ToValidUTF8(string(doc[start:min(end, at+50)]), "")))
}
