package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
)

// recordsView is the page of forms. Wrong stands at the form that it is about.
type recordsView struct {
	Site, Receipt, Wrong string
	Export               exportForm
	Jobs                 []jobView
	Exports              bool
}

// foundView is what there is of one visitor.
type foundView struct {
	Site, Receipt, Request string
	State, Tone            string
	InForce                recordView
	Asked                  recordView // the one that was looked for
	History                []recordView
	More                   int // records that are not shown
	Words                  []wordsView
	Checkpoint             string // "" before there is one
	Signed                 at
	CanSign, CanWithdraw   bool
}

type recordView struct {
	ID, Action, State, Tone    string
	When, Expires              at
	Granted, Denied            string
	Regime, Country, Language  string
	Policy, Surface, Age, Leaf string
	GPC, Asked                 bool
}

// wordsView is a notice as it is read again. View is nil where it cannot be drawn, and Text has what is kept.
type wordsView struct {
	Hash, Language, Regime, Policy string
	Since, Read                    at
	View                           *banner.View
	Text, Dir                      string
	Kept                           bool
}

const (
	mostHistory = 200 // records that are drawn
	mostWords   = 5   // notices, each of some KB
)

// records answers GET /admin/sites/{site}/records: the forms to look records up, and to export them.
func (d *Dashboard) records(w http.ResponseWriter, a *ask) error {
	return d.recordsPage(w, a, http.StatusOK, recordsView{})
}

func (d *Dashboard) recordsPage(w http.ResponseWriter, a *ask, status int, v recordsView) error {
	v.Site, v.Exports = a.site.Name, d.Exports != nil
	v.Export.complete(a)
	if v.Exports {
		for _, j := range d.Exports.List(a.site.Name) {
			v.Jobs = append(v.Jobs, viewJob(&j, a.user.Name))
		}
	}
	f := frame{Title: "Records", Nav: "records", Lead: "What visitors chose, and the words they read. Every look is written to the audit trail."}
	return d.draw(w, a, status, f, recordsPage(v))
}

// lookup answers POST /admin/sites/{site}/records: what there is of the visitor of a receipt. It is a POST so that no receipt
// stands in an address, a history or a log.
func (d *Dashboard) lookup(w http.ResponseWriter, a *ask) error {
	form, err := sent(a)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(form.Get("receipt"))
	found, history, err := d.find(a, text)
	var p *problem
	if errors.As(err, &p) {
		return d.recordsPage(w, a, p.status, recordsView{Receipt: text, Wrong: p.what})
	}
	if err != nil {
		return err
	}
	v, err := d.viewFound(a, &found, history)
	if err != nil {
		return err
	}
	v.Request = form.Get("request")
	if err := d.note(a, ledger.ActShow, history, len(history), ""); err != nil {
		return err
	}
	return d.page(w, a, frame{Title: "Records of a visitor", Nav: "records", Lead: "Your look is on the audit trail."}, foundPage(v))
}

// find returns the record of a receipt as it was typed, and all of its visitor's, newest first.
func (d *Dashboard) find(a *ask, text string) (ledger.Record, []ledger.Record, error) {
	id, err := rights.ParseReceipt(text)
	if err != nil {
		if text == "" {
			return ledger.Record{}, nil, fail(http.StatusBadRequest, "write a receipt: it is %s, and stands on the visitor's own preferences page", rights.Form)
		}
		return ledger.Record{}, nil, fail(http.StatusBadRequest, "%s", err)
	}
	found, history, err := rights.Find(a.Context(), d.Ledger, a.site.Name, id)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil, fail(http.StatusNotFound,
			"there is no record %s of %s: it was erased, or it is of another site, or a character is wrong", id, a.site.Name)
	}
	return found, history, err
}

func (d *Dashboard) viewFound(a *ask, found *ledger.Record, history []ledger.Record) (foundView, error) {
	v := foundView{Site: a.site.Name, Receipt: found.ID.String(), CanSign: d.Sign != nil}
	for i := range history {
		if i == mostHistory {
			v.More = len(history) - i
			break
		}
		row := d.viewRecord(a, &history[i], i == 0)
		row.Asked = history[i].ID == found.ID
		if row.Asked {
			v.Asked = row
		}
		v.History = append(v.History, row)
	}
	v.InForce = v.History[0]
	v.State, v.Tone = v.InForce.State, v.InForce.Tone
	v.CanWithdraw = len(history[0].Granted)+len(history[0].Services) > 0
	var err error
	if v.Words, err = d.viewWords(a, found, history); err != nil {
		return v, err
	}
	size, signed, err := d.Ledger.Covering(a.Context(), found.Leaf)
	if err == nil && found.Leaf >= 0 {
		v.Checkpoint, v.Signed = grouped(size), stampOf(signed)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	return v, nil
}

var tones = map[string]string{"in force": "good", "taken back": "warn", "expired": "warn"}

func (d *Dashboard) viewRecord(a *ask, r *ledger.Record, newest bool) recordView {
	state := rights.State(r, newest, d.Now())
	leaf := "waits to be stored"
	if r.Leaf >= 0 {
		leaf = grouped(r.Leaf)
	}
	return recordView{
		ID: r.ID.String(), Action: called(actions, string(r.Action)), State: state, Tone: tones[state],
		When: stampOf(r.Time), Expires: stampOf(r.Expiry),
		Granted: names(a.site, r.Granted, r.Services), Denied: names(a.site, r.Denied, r.Refused),
		Regime: r.Regime, Country: country(r.Country), Language: tongue(r.Language), Policy: r.Policy,
		Surface: called(surfaces, r.Surface), Age: r.Age, Leaf: leaf, GPC: r.GPC,
	}
}

// names are categories, and services by the names that the site has for them now.
func names(s *Site, categories, services []string) string {
	list := append([]string{}, categories...)
	for _, id := range services {
		for i := range s.Tags {
			if s.Tags[i].ID == id {
				id = s.Tags[i].Name
				break
			}
		}
		list = append(list, id)
	}
	return strings.Join(list, ", ")
}

// viewWords are the words of the record that was looked for, then those of the others, newest first, each once.
func (d *Dashboard) viewWords(a *ask, found *ledger.Record, history []ledger.Record) (list []wordsView, err error) {
	seen := map[string]bool{}
	for _, r := range append([]ledger.Record{*found}, history...) {
		if seen[r.Notice] || len(list) == mostWords {
			continue
		}
		seen[r.Notice] = true
		n, err := d.Ledger.Notice(a.Context(), r.Site, r.Notice)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		words := wordsView{Hash: r.Notice, Read: stampOf(r.Time), Policy: r.Policy, Language: tongue(r.Language), Regime: r.Regime}
		if err == nil {
			words = readNotice(&n)
			words.Read = stampOf(r.Time)
		}
		list = append(list, words)
	}
	return list, nil
}

// readNotice is a notice as it can be drawn. A form that this Stile does not know is shown as it is kept.
func readNotice(n *ledger.Notice) wordsView {
	v := wordsView{
		Hash: n.Hash, Language: tongue(n.Language), Regime: n.Regime, Policy: n.Policy, Since: stampOf(n.Time), Dir: banner.Dir(n.Language),
		Kept: true, Text: string(n.Text),
	}
	var text struct{ View *banner.View }
	if err := json.Unmarshal(n.Text, &text); err == nil && text.View != nil && text.View.Words != nil {
		v.View = text.View
	}
	return v
}

// signedReceipt answers POST /admin/sites/{site}/records/receipt: the document that proves a visitor's records (C7).
func (d *Dashboard) signedReceipt(w http.ResponseWriter, a *ask) error {
	form, err := sent(a)
	if err != nil {
		return err
	}
	if d.Sign == nil {
		return fail(http.StatusNotFound, "this Stile signs no receipts")
	}
	_, history, err := d.find(a, form.Get("receipt"))
	if err != nil {
		return err
	}
	for i := range history {
		if history[i].Leaf < 0 {
			if err := d.note(a, ledger.ActShow, history, len(history), ""); err != nil {
				return err
			}
			return fail(http.StatusServiceUnavailable, "a record waits for the database, and a receipt of it can be signed once that is back: try again in a moment")
		}
	}
	doc, err := d.Sign(a.Request, a.site.Name, history)
	if err != nil {
		return err
	}
	if err := d.note(a, ledger.ActExport, history, len(history), "signed receipt"); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="consent-`+a.site.Name+`.json"`)
	_, _ = w.Write(doc) // the connection is all that can fail
	return nil
}

// behalf is what an operator does for a visitor, before it is done.
type behalf struct {
	Site, Receipt, Request string
	Do                     string // withdraw or erase
	Records                string // "2 records"
	Last                   at
	Reasons                []term
	Reason, Wrong          string
}

// reasons go to the audit trail, which is kept for good: they are fixed, so that no name gets there.
var reasons = []term{
	{"asked in writing", "The visitor asked in writing"},
	{"asked by telephone", "The visitor asked by telephone"},
	{"request", "The visitor sent a request (its number below)"},
	{"order of an authority", "A court or an authority ordered it"},
	{"record of a test", "It is the record of a test"},
}

var errNoAct = fail(http.StatusBadRequest, "what is to be done is withdraw or erase: go back to the records, and use the buttons there")

// confirm answers POST /admin/sites/{site}/records/confirm: asks before something is done for a visitor.
func (d *Dashboard) confirm(w http.ResponseWriter, a *ask) error {
	form, err := sent(a)
	if err != nil {
		return err
	}
	return d.confirmPage(w, a, http.StatusOK, behalf{Receipt: form.Get("receipt"), Request: form.Get("request"), Do: form.Get("do")})
}

// confirmTitles are the questions, by what is to be done: nothing else can be.
var confirmTitles = map[string]string{"withdraw": "Take consent back for a visitor?", "erase": "Erase all records of a visitor?"}

func (d *Dashboard) confirmPage(w http.ResponseWriter, a *ask, status int, b behalf) error {
	title, known := confirmTitles[b.Do]
	if !known {
		return errNoAct
	}
	_, history, err := d.find(a, b.Receipt)
	if err != nil {
		return err
	}
	b.Site, b.Reasons = a.site.Name, reasons
	if b.Reason == "" && b.Request != "" {
		b.Reason = "request"
	}
	b.Records, b.Last = rights.Counted(len(history), "record"), stampOf(history[0].Time)
	if err := d.note(a, ledger.ActShow, history, len(history), "before "+b.Do); err != nil {
		return err
	}
	return d.draw(w, a, status, frame{Title: title, Nav: "records", Lead: "Your look is on the audit trail."}, confirmPage(b))
}

// done is what was done.
type doneView struct{ Site, What, Receipt, Request string }

// act answers POST /admin/sites/{site}/records/act: takes consent back for a visitor, or erases what is kept of them.
func (d *Dashboard) act(w http.ResponseWriter, a *ask) error {
	form, err := sent(a)
	if err != nil {
		return err
	}
	b := behalf{Receipt: form.Get("receipt"), Request: rights.ParseNumber(form.Get("request")), Do: form.Get("do"), Reason: form.Get("reason")}
	if _, known := confirmTitles[b.Do]; !known {
		return errNoAct
	}
	d.acts.Lock()
	defer d.acts.Unlock()
	_, history, err := d.find(a, b.Receipt)
	if err != nil {
		return err
	}
	by := ledger.By{Actor: ledger.Operator(a.user.Name), Time: d.Now()}
	if by.Detail, err = d.reason(a, &b); err != nil {
		var p *problem
		if !errors.As(err, &p) {
			return err
		}
		b.Wrong = p.what
		return d.confirmPage(w, a, p.status, b)
	}
	if b.Do == "withdraw" {
		return d.withdraw(w, a, history, by)
	}
	return d.erase(w, a, history[0].Subject, by, b.Request)
}

// reason is what the audit trail says of why; a request has to be one that waits.
func (d *Dashboard) reason(a *ask, b *behalf) (string, error) {
	if called(reasons, b.Reason) == b.Reason {
		return "", fail(http.StatusBadRequest, "choose why: it goes to the audit trail")
	}
	if b.Reason != "request" {
		if b.Request != "" {
			return "", fail(http.StatusBadRequest, "the number of a request goes with the reason that the visitor sent one: choose that, or leave the number out")
		}
		return b.Reason, nil
	}
	if b.Request == "" {
		return "", fail(http.StatusBadRequest, "write the number of the request: 7KQ4-M2XD")
	}
	r, err := d.findRequest(a, b.Request)
	switch {
	case err != nil:
		return "", err
	case !r.Answered.IsZero():
		return "", fail(http.StatusConflict, "request %s was answered on %s: nothing was changed", r.Number, dayOf(r.Answered).Text)
	}
	return "request " + r.Number, nil
}

func (d *Dashboard) withdraw(w http.ResponseWriter, a *ask, history []ledger.Record, by ledger.By) error {
	last := &history[0]
	done, err := rights.Withdraw(a.Context(), d.Ledger, d.Forget, last, by)
	if errors.Is(err, rights.ErrNothingGranted) {
		if err := d.note(a, ledger.ActShow, history, len(history), "before withdraw"); err != nil {
			return err
		}
		return fail(http.StatusConflict, "nothing is granted that could be taken back: nothing was changed. The last record is of %s", stampOf(last.Time).Text)
	}
	if done.Record.ID == uuid.Nil {
		return err
	}
	if err != nil {
		return d.half("the consent is taken back", err)
	}
	v := doneView{Site: a.site.Name, Receipt: done.Record.ID.String(), What: "The consent is taken back" + dropped(done.Dropped) +
		". In the visitor's browser it holds until they take it back there: give them the address /stile/" + a.site.Name + "/preferences."}
	return d.page(w, a, frame{Title: "Taken back", Nav: "records"}, donePage(v))
}

func (d *Dashboard) erase(w http.ResponseWriter, a *ask, subject uuid.UUID, by ledger.By, request string) error {
	done, err := rights.Erase(a.Context(), d.Ledger, d.Forget, a.site.Name, subject, by)
	if done.Records == 0 {
		if err == nil {
			return fail(http.StatusNotFound, "nothing was left to erase: the visitor was faster")
		}
		return err
	}
	if d.Exports != nil {
		d.Exports.Erased(a.site.Name)
	}
	what := rights.Counted(done.Records, "record")
	if err != nil {
		return d.half(what+" of the visitor: erased", err)
	}
	v := doneView{Site: a.site.Name, What: fmt.Sprintf("%s of the visitor: erased for good%s.", what, dropped(done.Dropped))}
	if request != "" {
		by.Detail = ""
		if _, err := d.Ledger.Answer(a.Context(), request, rights.Answered(done.Records), by); err != nil && !errors.Is(err, ledger.ErrAnswered) {
			return d.half(what+" of the visitor: erased", err)
		}
		v.Request = request
	}
	return d.page(w, a, frame{Title: "Erased", Nav: "records"}, donePage(v))
}

// half is an act that is done, and something beside it that is not.
func (d *Dashboard) half(done string, err error) error {
	d.Log.Error("dashboard", "done", done, "error", err)
	return fail(http.StatusInternalServerError, "%s, but not all of what belongs to it could be done: an admin finds what is missing in the log of this Stile", done)
}

func dropped(n int) string {
	if n == 0 {
		return ""
	}
	return ", and " + rights.Counted(n, "message") + " that waited to be sent: dropped"
}

// grouped is a number for people: 1,234,567.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
