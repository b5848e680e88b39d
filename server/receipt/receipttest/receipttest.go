// Package receipttest makes logs, keys and receipts for tests: the log in memory, the keys the same at each run.
package receipttest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/merkle"
	"github.com/stilehq/stile/server/receipt"
)

// Noon is when receipts are made.
var Noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Key is a key of receipts or of a log.
type Key struct {
	note.Signer
	Seed []byte // 32 bytes
	Line string // verifier line
}

// NewKey makes the key of a name.
func NewKey(name string) Key {
	seed := sha256.Sum256([]byte(name))
	private := ed25519.NewKeyFromSeed(seed[:])
	line, err := note.NewEd25519VerifierKey(receipt.KeyName, private.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err) // the key has the right length
	}
	hash := strings.Split(line, "+")[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + receipt.KeyName + "+" + hash + "+" + secret)
	if err != nil {
		panic(err)
	}
	return Key{signer, seed[:], line}
}

// Verifiers believe the keys.
func Verifiers(keys ...Key) note.Verifiers {
	var list []note.Verifier
	for _, k := range keys {
		v, err := note.NewVerifier(k.Line)
		if err != nil {
			panic(err)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...)
}

// Log is a log in memory.
type Log struct {
	Origin string
	Key    Key
	hashes []tlog.Hash
	size   int64
}

// NewLog makes the empty log of a name.
func NewLog(name string) *Log {
	sum := sha256.Sum256([]byte(name))
	return &Log{Origin: "stile/" + hex.EncodeToString(sum[:16]), Key: NewKey("log " + name)}
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = l.hashes[n]
		}
		return out, nil
	})
}

// Add gives a record the next number and takes it in.
func (l *Log) Add(r *ledger.Record) {
	r.Leaf = l.size
	l.AddText(ledger.Leaf(r))
}

// AddText takes in the text of an entry.
func (l *Log) AddText(leaf []byte) {
	more, err := tlog.StoredHashes(l.size, leaf, l.reader())
	if err != nil {
		panic(err)
	}
	l.hashes, l.size = append(l.hashes, more...), l.size+1
}

// Prove is the proof of an entry in the log as it is now.
func (l *Log) Prove(number int64) []tlog.Hash {
	proof, err := tlog.ProveRecord(l.size, number, l.reader())
	if err != nil {
		panic(err)
	}
	return proof
}

// Checkpoint signs the log as it is now.
func (l *Log) Checkpoint() []byte {
	root, err := tlog.TreeHash(l.size, l.reader())
	if err != nil {
		panic(err)
	}
	msg, err := merkle.Checkpoint{Origin: l.Origin, Size: l.size, Root: root, Time: Noon}.Sign(l.Key)
	if err != nil {
		panic(err)
	}
	return msg
}

// Receipt is what a receipt of records in the log is made of.
func (l *Log) Receipt(records []ledger.Record) receipt.Receipt {
	r := receipt.Receipt{
		Site: records[0].Site, Subject: records[0].Subject, Address: "https://consent.shop.example", Made: Noon,
		Words: map[string][]byte{}, Lists: map[string][]string{}, Checkpoint: l.Checkpoint(),
	}
	for _, record := range records {
		r.Entries = append(r.Entries, receipt.Entry{Record: record, Proof: l.Prove(record.Leaf)})
	}
	return r
}

// Words are those of a small notice, and their hash.
func Words(text string) (hash string, words []byte) {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16]), []byte(text)
}

// Shop is a visitor of a shop who chose, changed their mind and withdrew, among others in the log.
func Shop(l *Log) receipt.Receipt {
	hash, words := Words(shopWords)
	entries := []string{"chat@functional", "controller=EasyDser", "counter@analytics", "pixel-a@marketing", "pixel-b@marketing"}
	acts := []ledger.Record{
		{Action: consent.AcceptAll, Granted: []string{"analytics", "marketing"}, Surface: "banner"},
		{
			Action: consent.Custom, Granted: []string{"marketing"}, Denied: []string{"analytics"}, Services: []string{"counter"},
			Refused: []string{"pixel-b"}, Surface: "preferences", GPC: true, Age: "older",
		},
		{Action: consent.Withdraw, Denied: []string{"analytics", "marketing"}, Surface: "page"},
	}
	subject := uuid.UUID(bytes.Repeat([]byte{9}, 16))
	var records []ledger.Record
	for i, r := range acts {
		l.AddText(fmt.Appendf(nil, "another visitor's %d", i))
		r.ID, r.Key, r.Site, r.Subject = uuid.UUID{1, 15: byte(i + 1)}, uuid.UUID{2, 15: byte(i + 1)}, "shop", subject
		r.Salt = [16]byte{byte(i + 7)}
		r.Time = Noon.Add(time.Duration(i-10) * time.Hour)
		r.Expiry = r.Time.Add(180 * 24 * time.Hour)
		r.Regime, r.Country, r.Language, r.Policy = "gdpr", "DE", "de", "2026-11-01"
		r.List, r.Notice = consent.ListID(entries), hash
		if i > 0 {
			r.Previous = records[i-1].ID
		}
		l.Add(&r)
		records = append(records, r)
	}
	l.AddText([]byte("one more"))
	r := l.Receipt(records)
	r.Words[hash], r.Lists[consent.ListID(entries)] = words, entries
	return r
}

const shopWords = `{"Site":"shop","Policy":"2026-11-01","List":"x","View":{"Lang":"de","Controller":"EasyDser",` +
	`"Contact":"privacy@shop.example","Categories":[` +
	`{"Name":"functional","Title":"Notwendig","Purpose":"Damit der Laden läuft.","Required":true,"Services":[{"ID":"chat","Name":"Chat","Company":"Chat Desk Ltd"}]},` +
	`{"Name":"analytics","Title":"Statistik","Purpose":"Wir zählen \"Besuche\".","Services":[{"ID":"counter","Name":"House counter","Company":"House Counter Ltd","Policy":"https://counter.example/privacy"}]},` +
	`{"Name":"marketing","Title":"Werbung","Purpose":"Anzeigen, die passen.","Services":[{"ID":"pixel-a","Name":"Pixel A"},{"ID":"pixel-b","Name":"Pixel B"}]}]}}`
