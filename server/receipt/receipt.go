// Package receipt makes a visitor's records into a document that proves itself (C7), and checks one, offline, with nothing
// but the document and the public keys. It is pure: no SQL, no HTTP, no clock.
//
// A receipt is one site's records of one visitor, oldest first, as JSON-LD in the terms of ISO/IEC TS 27560:2023 and of the
// W3C Data Privacy Vocabulary, with an inline context, so that nothing is fetched to read it. What Stile does not know (the
// kinds of personal data, where a vendor stores them, a postal address) is not in it, and so it does not say that it
// conforms to DPV's own profile of 27560 (dpv-27560:record), which wants them: dct:conformsTo names the form below. It
// holds no IP address and no user agent (C5).
//
//	@context, @id, @type dpv:ConsentReceipt
//	dct:conformsTo         Version, the form of the document
//	dct:identifier         id of the newest record: the receipt
//	dct:created            when it was made, UTC, to the second
//	stile:site             and dpv:hasDataSubject, dpv:hasDataController, dpv:hasNotice (the policy)
//	records                dpv:ConsentRecord each; its stile:log holds the entry of the log (stile:leaf, the exact text), its
//	                       number from 0, and the hashes of its inclusion proof (RFC 6962)
//	stile:words            the exact texts that were shown, once each, by the hash that the records name
//	stile:lists            the vendor lists, by the ids that the records name
//	stile:checkpoint       the log's signed checkpoint (golang.org/x/mod/sumdb/note)
//	stile:signature        Ed25519 over "stile receipt v1\n" and the document with an empty stile:value
//
// All that a person reads in it follows from the log's entries and the words. A check makes the document again from those,
// and compares it byte for byte: so a receipt cannot say anything else than the log has, and not even white space can be
// altered.
package receipt

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/merkle"
)

// Version is the form of a receipt.
const Version = own + "receipt-v1"

// MaxSize bounds a receipt, in bytes: about three thousand records.
const MaxSize = 16 << 20

// KeyName is the name of all of Stile's keys in notes and verifier lines: "stile+hash+base64".
const KeyName = "stile"

// signed is written before what is signed, so that a receipt's signature is never one of something else.
const signed = "stile receipt v1\n"

// Receipt is what a receipt is made of.
type Receipt struct {
	Site       string
	Address    string // of the consent host, where the words can be read again: "https://consent.shop.example"
	Subject    uuid.UUID
	Made       time.Time           // to the second
	Entries    []Entry             // in any order
	Words      map[string][]byte   // ledger.Notice.Text by hash; those that are not known are missing
	Lists      map[string][]string // consent.Site.Entries by id; those that are not known are missing
	Checkpoint []byte              // signed by the log, of a size that has all entries
}

// Entry is a record, with its number in the log and its salt, and the proof that the log has it.
type Entry struct {
	Record ledger.Record
	Proof  []tlog.Hash

	leaf []byte // ledger.Leaf of Record
}

// Make makes a signed receipt. A record that is not of the site or of the visitor, or whose proof does not hold, is an
// error, since such a receipt would not be genuine.
func Make(r Receipt, signer note.Signer) ([]byte, error) {
	doc, err := sign(r, signer)
	if err != nil {
		return nil, fmt.Errorf("making a receipt of site %s: %w", r.Site, err)
	}
	return doc, nil
}

func sign(r Receipt, signer note.Signer) ([]byte, error) {
	r.Entries = slices.Clone(r.Entries)
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.Record.Subject != r.Subject {
			return nil, fmt.Errorf("record %s is another visitor's", e.Record.ID)
		}
		e.leaf = ledger.Leaf(&e.Record)
	}
	d, err := newDocument(r)
	if err != nil {
		return nil, err
	}
	point, err := readCheckpoint(r.Checkpoint)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.prove(point)...); err != nil {
		return nil, err
	}
	if signer.Name() != KeyName {
		return nil, fmt.Errorf("it is to be signed by a key named %q, not %q", KeyName, signer.Name())
	}
	key := fmt.Sprintf("%s+%08x", KeyName, signer.KeyHash())
	blank := d.render(key).out.Bytes()
	sig, err := signer.Sign(message(blank))
	if err != nil {
		return nil, fmt.Errorf("signing it: %w", err)
	}
	if len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("signing it: a signature of %d bytes is no Ed25519 signature", len(sig))
	}
	doc := withValue(blank, base64.StdEncoding.EncodeToString(sig))
	if len(doc) > MaxSize {
		return nil, fmt.Errorf("it has more than the %d bytes that one may have", MaxSize)
	}
	return doc, nil
}

// message is what is signed of a document.
func message(doc []byte) []byte { return append([]byte(signed), doc...) }

// tail is what follows a signature's value.
const tail = "\"\n  }\n}\n"

// withValue is a document with its signature's value.
func withValue(blank []byte, value string) []byte {
	return slices.Concat(blank[:len(blank)-len(tail)], []byte(value), []byte(tail))
}

// document is a receipt with its records read out of the log's entries, oldest first.
type document struct {
	Receipt
	place place
	shown []shown // for each entry
}

// newDocument takes the entries over.
func newDocument(r Receipt) (*document, error) {
	d := &document{Receipt: r}
	var err error
	if d.place, err = newPlace(r.Address, r.Site); err != nil {
		return nil, err
	}
	if len(r.Entries) == 0 {
		return nil, errors.New("it has no records")
	}
	if y := r.Made.UTC().Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("it is of the year %d", y)
	}
	for i := range d.Entries {
		if err := d.Entries[i].read(r.Site, r.Subject); err != nil {
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		}
	}
	// The newest of a visitor is the one with the highest time, and of several the highest number.
	slices.SortStableFunc(d.Entries, func(a, b Entry) int {
		return cmp.Or(a.Record.Time.Compare(b.Record.Time), cmp.Compare(a.Record.Leaf, b.Record.Leaf))
	})
	seen, known := make(map[any]bool), memory{r.Words, r.Lists, make(map[string]*words), make(map[string]bool)}
	for i := range d.Entries {
		r := &d.Entries[i].Record
		if seen[r.Leaf] || seen[r.ID] {
			return nil, fmt.Errorf("record %d (%s) is in it twice", i+1, r.ID)
		}
		seen[r.Leaf], seen[r.ID] = true, true
		s, err := known.shown(r)
		if err != nil {
			return nil, err
		}
		d.shown = append(d.shown, s)
	}
	return d, nil
}

// read takes the record from the text of the log's entry, so that a receipt is made of nothing that the log does not have.
func (e *Entry) read(site string, subject uuid.UUID) error {
	if !utf8.Valid(e.leaf) {
		return errors.New("the log's entry is no text")
	}
	r, err := ledger.ParseLeaf(e.leaf)
	if err != nil {
		return fmt.Errorf("the log's entry cannot be read: %w", err)
	}
	if r.Site != site {
		return fmt.Errorf("%s is of site %q, the receipt of %q", r.ID, r.Site, site)
	}
	r.Leaf, r.Subject = e.Record.Leaf, subject
	e.Record = r
	return nil
}

// render writes the document, with a signature that has no value yet.
func (d *document) render(key string) *writer {
	newest, shown := &d.Entries[len(d.Entries)-1].Record, &d.shown[len(d.shown)-1]
	o := object{
		{"@context", context()},
		{"@id", string(d.place) + "/receipt#" + newest.ID.String()},
		{"@type", "dpv:ConsentReceipt"},
		{"dct:conformsTo", Version},
		{"dct:identifier", newest.ID.String()},
		{"dct:created", d.Made.UTC().Format(second)},
		{"stile:site", d.Site},
		{"dpv:hasDataSubject", object{{"@id", urn(d.Subject)}, {"@type", "dpv:DataSubject"}}},
	}
	shown.controller(&o)
	o.put("dpv:hasNotice", d.place.policies(newest))
	records, words, lists := list{}, list{}, list{}
	have := make(map[string]bool)
	for i := range d.Entries {
		e := &d.Entries[i]
		records = append(records, lazy(func() object {
			return append(d.place.record(&e.Record, &d.shown[i]), member{"stile:log", e.log()})
		}))
		if text, ok := d.Words[e.Record.Notice]; ok && !have["words "+e.Record.Notice] {
			have["words "+e.Record.Notice] = true
			words = append(words, object{{"dct:identifier", e.Record.Notice}, {"stile:text", string(text)}})
		}
		if entries, ok := d.Lists[e.Record.List]; ok && !have["list "+e.Record.List] {
			have["list "+e.Record.List] = true
			lists = append(lists, object{{"dct:identifier", e.Record.List}, {"stile:entries", texts(entries)}})
		}
	}
	o.put("records", records)
	o.put("stile:words", words)
	o.put("stile:lists", lists)
	o.put("stile:checkpoint", string(d.Checkpoint))
	o.put("stile:signature", object{{"stile:key", key}, {"stile:value", ""}})
	w := &writer{}
	w.object(o)
	w.out.WriteByte('\n')
	return w
}

func (e *Entry) log() object {
	proof := make(list, len(e.Proof))
	for i, h := range e.Proof {
		proof[i] = h.String()
	}
	return object{{"stile:leaf", string(e.leaf)}, {"stile:number", e.Record.Leaf}, {"stile:proof", proof}}
}

// prove checks that each record is in the log, and says which is not.
func (d *document) prove(at merkle.Checkpoint) (wrong []error) {
	for i := range d.Entries {
		e := &d.Entries[i]
		id, number := e.Record.ID, e.Record.Leaf
		switch err := tlog.CheckRecord(e.Proof, at.Size, at.Root, number, tlog.RecordHash(e.leaf)); {
		case number >= at.Size:
			wrong = append(wrong, fmt.Errorf("record %d (%s) has number %d, and the log had %d entries at the checkpoint: the proof is of "+
				"another log, or of another time", i+1, id, number, at.Size))
		case err != nil:
			wrong = append(wrong, fmt.Errorf("record %d (%s) is not entry %d of the log %s: its proof does not lead to the checkpoint; the "+
				"proof is of another log, or the record was altered", i+1, id, number, at.Origin))
		}
	}
	return wrong
}
