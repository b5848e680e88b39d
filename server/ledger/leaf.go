package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
)

// leaf is what a record's hash in the log is made of. The order and the names of its fields are those of every hash ever
// made: a field may be added at the end, where its zero is left out, and nothing else may change.
//
// A subject is not among them: it only groups what Previous links.
type leaf struct {
	Form     int      `json:"form"` // 1
	Salt     string   `json:"salt"` // 32 hex digits
	ID       string   `json:"id"`
	Key      string   `json:"key"`
	Site     string   `json:"site"`
	Previous string   `json:"previous,omitempty"`
	Time     string   `json:"time"` // RFC 3339 with three digits, UTC
	Action   string   `json:"action"`
	Granted  []string `json:"granted"`
	Denied   []string `json:"denied"`
	Services []string `json:"services"`
	Refused  []string `json:"refused"`
	Regime   string   `json:"regime"`
	Country  string   `json:"country"`
	Language string   `json:"language"`
	Policy   string   `json:"policy"`
	List     string   `json:"list"`
	Notice   string   `json:"notice"`
	Surface  string   `json:"surface"`
	GPC      bool     `json:"gpc"`
	Age      string   `json:"age"`
	Expiry   string   `json:"expiry,omitempty"`
}

const leafTime = "2006-01-02T15:04:05.000Z"

// Leaf is the text that a record's hash in the log is made of: one JSON object, the same bytes for the same record. The
// record is one that Append, Find or History returned.
func Leaf(r *Record) []byte {
	l := leaf{
		Form: 1, Salt: hex.EncodeToString(r.Salt[:]), ID: r.ID.String(), Key: r.Key.String(), Site: r.Site,
		Time: r.Time.UTC().Format(leafTime), Action: string(r.Action),
		Granted: keep(r.Granted), Denied: keep(r.Denied), Services: keep(r.Services), Refused: keep(r.Refused),
		Regime: r.Regime, Country: r.Country, Language: r.Language, Policy: r.Policy, List: r.List, Notice: r.Notice,
		Surface: r.Surface, GPC: r.GPC, Age: r.Age,
	}
	if r.Previous != uuid.Nil {
		l.Previous = r.Previous.String()
	}
	if !r.Expiry.IsZero() {
		l.Expiry = r.Expiry.UTC().Format(leafTime)
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings always marshal
	}
	return text
}

// ParseLeaf reads what Leaf wrote, and refuses any other text. The record has no Subject and no number.
func ParseLeaf(text []byte) (Record, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var l leaf
	if err := d.Decode(&l); err != nil {
		return Record{}, fmt.Errorf("reading a leaf: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("reading a leaf: more follows it")
	}
	r := Record{
		Site: l.Site, Action: consent.Action(l.Action), Granted: keep(l.Granted), Denied: keep(l.Denied), Services: keep(l.Services),
		Refused: keep(l.Refused), Regime: l.Regime, Country: l.Country, Language: l.Language, Policy: l.Policy, List: l.List,
		Notice: l.Notice, Surface: l.Surface, GPC: l.GPC, Age: l.Age,
	}
	var errs []error
	for _, id := range []struct {
		text string
		into *uuid.UUID
	}{{l.ID, &r.ID}, {l.Key, &r.Key}, {l.Previous, &r.Previous}} {
		if id.text != "" {
			errs = append(errs, id.into.UnmarshalText([]byte(id.text)))
		}
	}
	for _, at := range []struct {
		text string
		into *time.Time
	}{{l.Time, &r.Time}, {l.Expiry, &r.Expiry}} {
		if at.text != "" {
			t, err := time.Parse(leafTime, at.text)
			*at.into = t
			errs = append(errs, err)
		}
	}
	_, err := hex.Decode(r.Salt[:], []byte(l.Salt[:min(len(l.Salt), 32)]))
	if err := errors.Join(append(errs, err)...); err != nil {
		return Record{}, fmt.Errorf("reading a leaf: %w", err)
	}
	if !bytes.Equal(Leaf(&r), text) {
		return Record{}, errors.New("reading a leaf: it is not written as Stile writes it")
	}
	return r, nil
}
