package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const columns = `leaf, salt, id, key, site, subject, previous, time, action, granted, denied, services, refused, regime, country,
	language, policy, list, notice, surface, gpc, age, expiry`

// row is a record that can be stored, with what costs time done beforehand, outside of the one writer.
type row struct {
	record                             Record // shares nothing with its caller, who may give up and go on
	granted, denied, services, refused string
}

func newRow(r Record) (row, error) {
	switch {
	case r.Site == "":
		return row{}, errors.New("it has no site")
	case r.Key == uuid.Nil:
		return row{}, errors.New("it has no key")
	case r.Time.IsZero():
		return row{}, errors.New("it has no time")
	}
	if err := checkText(&r); err != nil {
		return row{}, err
	}
	if r.ID == uuid.Nil {
		r.ID = uuid.Must(uuid.NewV7())
	}
	if r.Salt == [16]byte{} {
		r.Salt = uuid.Must(uuid.NewRandom()) // 122 random bits
	}
	r.Subject = uuid.Must(uuid.NewV7()) // led by time: an index of random ids is four times slower at two million
	r.Time, r.Expiry = fromMilli(toMilli(r.Time)), fromMilli(toMilli(r.Expiry))
	r.Granted, r.Denied, r.Services, r.Refused = keep(r.Granted), keep(r.Denied), keep(r.Services), keep(r.Refused)
	return row{r, asJSON(r.Granted), asJSON(r.Denied), asJSON(r.Services), asJSON(r.Refused)}, nil
}

// checkText refuses what PostgreSQL would refuse, so that a record that was taken can be delivered anywhere.
func checkText(r *Record) error {
	text := []string{r.Site, string(r.Action), r.Regime, r.Country, r.Language, r.Policy, r.List, r.Notice, r.Surface, r.Age}
	for _, list := range [][]string{r.Granted, r.Denied, r.Services, r.Refused, text} {
		for _, s := range list {
			if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
				return fmt.Errorf("%q in it is not text", s)
			}
		}
	}
	return nil
}

// args are the values of columns, in their order.
func (w *row) args(r *Record) []any {
	var previous, expiry any
	if r.Previous != uuid.Nil {
		previous = r.Previous[:]
	}
	if !r.Expiry.IsZero() {
		expiry = toMilli(r.Expiry)
	}
	return []any{
		r.Leaf, r.Salt[:], r.ID[:], r.Key[:], r.Site, r.Subject[:], previous, toMilli(r.Time), string(r.Action), w.granted, w.denied,
		w.services, w.refused, r.Regime, r.Country, r.Language, r.Policy, r.List, r.Notice, r.Surface, r.GPC, r.Age, expiry,
	}
}

// scan reads columns from a row of a result.
func scan(from interface{ Scan(into ...any) error }) (Record, error) {
	var (
		r                                  Record
		salt                               []byte
		granted, denied, services, refused []byte
		at                                 int64
		expiry                             *int64
	)
	err := from.Scan(&r.Leaf, &salt, &r.ID, &r.Key, &r.Site, &r.Subject, &r.Previous, &at, &r.Action, &granted, &denied, &services,
		&refused, &r.Regime, &r.Country, &r.Language, &r.Policy, &r.List, &r.Notice, &r.Surface, &r.GPC, &r.Age, &expiry)
	if err != nil {
		return Record{}, err
	}
	r.Time = fromMilli(at)
	copy(r.Salt[:], salt)
	if expiry != nil {
		r.Expiry = fromMilli(*expiry)
	}
	err = errors.Join(json.Unmarshal(granted, &r.Granted), json.Unmarshal(denied, &r.Denied), json.Unmarshal(services, &r.Services),
		json.Unmarshal(refused, &r.Refused))
	if err != nil {
		return Record{}, fmt.Errorf("reading the lists of record %s: %w", r.ID, err)
	}
	return r, nil
}

// keep copies a list; none becomes an empty one, as it is read back.
func keep(list []string) []string { return append([]string{}, list...) }

func asJSON(of []string) string {
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

func toMilli(t time.Time) int64 { return t.UnixMilli() }

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
