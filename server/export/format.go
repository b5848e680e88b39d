// Package export writes records to files that others read: a line of JSON each, a table, or ISO/IEC TS 27560 in JSON-LD.
package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
)

// Format writes records, each a line or more of its own, and reads where a file of them ends. TS27560 is made for each
// export; the others serve any.
type Format struct {
	Header string
	Write  func(to *bytes.Buffer, r *ledger.Record) error
	// Number is the number in the log of the record on a whole line.
	Number func(line []byte) (int64, error)
}

// JSONL is a JSON object a line.
func JSONL() Format { return Format{Write: WriteJSONL, Number: jsonlNumber} }

// CSV is RFC 4180 with a header line; lists are joined by |, a line break becomes a space, and a cell that a spreadsheet
// would run gets a ' before it.
func CSV() Format { return Format{Header: CSVHeader, Write: writeCSV, Number: csvNumber} }

// Record is a record on a line of JSON: as its visitor gets it, and what links it.
type Record struct {
	Leaf     int64     `json:"leaf"` // its number in the log
	Site     string    `json:"site"`
	ID       string    `json:"id"`
	Subject  string    `json:"subject"`
	Previous string    `json:"previous,omitempty"`
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Granted  []string  `json:"granted"`
	Denied   []string  `json:"denied"`
	Services []string  `json:"services"`
	Refused  []string  `json:"refused"`
	Regime   string    `json:"regime"`
	Country  string    `json:"country"`
	Language string    `json:"language"`
	Policy   string    `json:"policy"`
	Vendors  string    `json:"vendors"` // id of the vendor list
	Notice   string    `json:"notice"`  // hash of the words that were shown
	Surface  string    `json:"surface"`
	GPC      bool      `json:"gpc"`
	Age      string    `json:"age"`
	Expiry   time.Time `json:"expiry,omitzero"`
}

// Of is a record as it is exported.
func Of(r *ledger.Record) Record {
	e := Record{
		Leaf: r.Leaf, Site: r.Site, ID: r.ID.String(), Subject: r.Subject.String(), Time: r.Time, Action: string(r.Action),
		Granted: r.Granted, Denied: r.Denied, Services: r.Services, Refused: r.Refused, Regime: r.Regime, Country: r.Country,
		Language: r.Language, Policy: r.Policy, Vendors: r.List, Notice: r.Notice, Surface: r.Surface, GPC: r.GPC, Age: r.Age,
		Expiry: r.Expiry,
	}
	if r.Previous != uuid.Nil {
		e.Previous = r.Previous.String()
	}
	return e
}

// WriteJSONL writes a record as a line of JSON.
func WriteJSONL(to *bytes.Buffer, r *ledger.Record) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	return e.Encode(Of(r))
}

func jsonlNumber(line []byte) (int64, error) {
	var e struct {
		Leaf *int64 `json:"leaf"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return 0, err
	}
	if e.Leaf == nil {
		return 0, fmt.Errorf("it has no leaf")
	}
	return *e.Leaf, nil
}

// CSVHeader is the first line of a CSV.
const CSVHeader = "leaf,site,id,subject,previous,time,action,granted,denied,services,refused,regime,country,language,policy,vendors,notice," +
	"surface,gpc,age,expiry\r\n"

// csvTime is always as long, so that texts sort as times do.
const csvTime = "2006-01-02T15:04:05.000Z"

// writeCSV writes RFC 4180. No cell holds a line break, so that a line is a record.
func writeCSV(to *bytes.Buffer, r *ledger.Record) error {
	e := Of(r)
	expiry := ""
	if !e.Expiry.IsZero() {
		expiry = e.Expiry.Format(csvTime)
	}
	row := []string{
		strconv.FormatInt(e.Leaf, 10), e.Site, e.ID, e.Subject, e.Previous, e.Time.Format(csvTime), e.Action, cells(e.Granted),
		cells(e.Denied), cells(e.Services), cells(e.Refused), e.Regime, e.Country, e.Language, e.Policy, e.Vendors, e.Notice, e.Surface,
		strconv.FormatBool(e.GPC), e.Age, expiry,
	}
	for i := range row {
		row[i] = cell(row[i])
	}
	w := csv.NewWriter(to)
	w.UseCRLF = true
	if err := w.Write(row); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

var (
	lineBreaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")
	listSigns  = strings.NewReplacer(`\`, `\\`, "|", `\|`)
)

// cell makes a text harmless that a spreadsheet would run as a formula.
func cell(text string) string {
	text = lineBreaks.Replace(text)
	if text != "" && strings.ContainsRune("=+-@\t", rune(text[0])) {
		return "'" + text
	}
	return text
}

// cells joins a list by a sign that no spreadsheet takes for the end of a cell, whatever its language.
func cells(list []string) string {
	escaped := make([]string, len(list))
	for i, item := range list {
		escaped[i] = listSigns.Replace(item)
	}
	return strings.Join(escaped, "|")
}

func csvNumber(line []byte) (int64, error) {
	first, _, ok := bytes.Cut(line, []byte(","))
	if !ok {
		return 0, fmt.Errorf("it is no line of this export")
	}
	return strconv.ParseInt(string(first), 10, 64)
}
