package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
)

// exportForm is what was asked for, and what can be.
type exportForm struct {
	From, To, Format, Action, Regime, Base string
	Wrong                                  string
	Formats, Actions, Regimes              []term
	Today                                  string
}

var formats = []term{
	{"csv", "CSV, for a spreadsheet"},
	{"jsonl", "JSON, a line for each record"},
	{"27560", "ISO/IEC TS 27560, in JSON-LD"},
}

func (f *exportForm) complete(a *ask) {
	f.Formats, f.Actions = formats, actions
	for i := range a.site.Regimes {
		f.Regimes = append(f.Regimes, term{a.site.Regimes[i].Name, a.site.Regimes[i].Name})
	}
	if f.Base == "" {
		f.Base = address(a.Request)
	}
}

// address is where the user sees this host; visitors often do, too.
func address(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// order reads the form, and says in a sentence what is wrong with it.
func (f *exportForm) order(a *ask, now time.Time) (o export.Order, wrong string) {
	o = export.Order{Site: a.site.Name, By: a.user.Name, Kind: f.Format, Action: consent.Action(f.Action), Regime: f.Regime}
	var ok bool
	if o.From, ok = parseDay(f.From); !ok {
		return o, fmt.Sprintf("The first day is %.40q: write it as 2026-11-01, or leave it empty for all from the beginning.", f.From)
	}
	if o.To, ok = parseDay(f.To); !ok {
		return o, fmt.Sprintf("The last day is %.40q: write it as 2026-11-30, or leave it empty for all until now.", f.To)
	}
	if !o.To.IsZero() {
		o.To = o.To.AddDate(0, 0, 1) // the day itself is in it
	}
	base, err := url.Parse(f.Base)
	switch {
	case !o.From.IsZero() && !o.To.IsZero() && !o.From.Before(o.To):
		wrong = fmt.Sprintf("The last day, %s, is before the first, %s: exchange them.", f.To, f.From)
	case o.From.After(now):
		wrong = fmt.Sprintf("The first day, %s, is still to come: there is nothing to export yet.", f.From)
	case called(formats, f.Format) == f.Format:
		wrong = fmt.Sprintf("There is no format %.40q: choose one of the list.", f.Format)
	case f.Action != "" && called(actions, f.Action) == f.Action:
		wrong = fmt.Sprintf("There is no choice %.40q: choose one of the list.", f.Action)
	case f.Regime != "" && !slices.ContainsFunc(a.site.Regimes, func(r consent.Regime) bool { return r.Name == f.Regime }):
		wrong = fmt.Sprintf("There is no regime %.40q at %s: choose one of the list.", f.Regime, a.site.Name)
	case f.Format == "27560" && (err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.User != nil):
		wrong = fmt.Sprintf("The consent host is %.80q: write it as https://consent.shop.example.", f.Base)
	}
	o.Base = strings.TrimRight(f.Base, "/")
	return o, wrong
}

// parseDay reads a day, at its first moment in UTC; none is the zero time.
func parseDay(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.DateOnly, text)
	return t, err == nil && t.Year() >= 1970
}

// startExport answers POST /admin/sites/{site}/records/exports.
func (d *Dashboard) startExport(w http.ResponseWriter, a *ask) error {
	if err := d.canExport(); err != nil {
		return err
	}
	form, err := sent(a)
	if err != nil {
		return err
	}
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	f := exportForm{From: text("from"), To: text("to"), Format: text("format"), Action: text("action"), Regime: text("regime"), Base: text("base")}
	order, wrong := f.order(a, d.Now())
	status := http.StatusBadRequest
	var job export.Job
	if wrong == "" {
		job, err = d.Exports.Start(a.Context(), order)
		if errors.Is(err, export.ErrRunning) || errors.Is(err, export.ErrKept) {
			status, wrong, err = http.StatusTooManyRequests, sentenceOf(err.Error()), nil
		}
	}
	if err != nil {
		return err
	}
	if f.Wrong = wrong; wrong != "" {
		return d.recordsPage(w, a, status, recordsView{Export: f})
	}
	http.Redirect(w, a.Request, jobPath(a.site.Name, job.ID), http.StatusSeeOther)
	return nil
}

func (d *Dashboard) canExport() error {
	if d.Exports == nil {
		return fail(http.StatusNotFound, "this Stile makes no exports here: use stile records export")
	}
	return nil
}

func jobPath(site, id string) string { return sitePath(site, "records/exports/"+id) }

// jobView is an export as it stands.
type jobView struct {
	Path, Name, State, Tone, Wrong string
	By                             string // "" for who looks
	Begun, Until                   at
	Found, Next, End, Size         string
	Percent                        int64
	Running, Ready                 bool
}

var jobTones = map[export.State]term{
	export.Running: {"", "being written"}, export.Ready: {"good", "ready"}, export.Failed: {"bad", "failed"},
}

func viewJob(j *export.Job, user string) jobView {
	state := jobTones[j.State]
	v := jobView{
		Path: jobPath(j.Order.Site, j.ID), Name: jobName(&j.Order), State: state.Name, Tone: state.Value, Wrong: j.Wrong, Begun: stampOf(j.Begun), Until: stampOf(j.Until),
		Found: things(j.Found, "record"), Next: grouped(j.Next), End: grouped(j.End), Size: size(j.Bytes), Running: j.State == export.Running, Ready: j.State == export.Ready,
	}
	if j.Order.By != user {
		v.By = j.Order.By
	}
	v.Percent = 100
	if j.End > 0 {
		v.Percent = 100 * j.Next / j.End
	}
	return v
}

func jobName(o *export.Order) string {
	text := "All records"
	switch from, to := dayOf(o.From).Text, dayOf(o.To.AddDate(0, 0, -1)).Text; {
	case !o.From.IsZero() && !o.To.IsZero() && from == to:
		text = "Records of " + from
	case !o.From.IsZero() && !o.To.IsZero():
		text = "Records of " + from + " to " + to
	case !o.From.IsZero():
		text = "Records since " + from
	case !o.To.IsZero():
		text = "Records until " + to
	}
	if o.Action != "" {
		text += ", " + strings.ToLower(called(actions, string(o.Action)))
	}
	if o.Regime != "" {
		text += ", regime " + o.Regime
	}
	return text + ", " + map[string]string{"csv": "CSV", "jsonl": "JSON", "27560": "TS 27560"}[o.Kind]
}

// things are a number of things: "1 record", "1,234 records".
func things(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// size is a number of bytes for people.
func size(n int64) string {
	value, unit := float64(n), "bytes"
	for _, next := range []string{"KB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, next
	}
	if unit == "bytes" {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// found finds the export that a path names.
func (d *Dashboard) findExport(a *ask) (export.Job, error) {
	if err := d.canExport(); err != nil {
		return export.Job{}, err
	}
	j, err := d.Exports.Get(a.site.Name, a.PathValue("id"))
	if err != nil {
		return j, fail(http.StatusNotFound, "there is no such export of %s here: it was deleted, which happens a day after it was made and when Stile stops; "+
			"or another process has it, where several share this address: the load balancer has to keep a browser at one of them (sticky sessions)", a.site.Name)
	}
	return j, nil
}

// export answers GET /admin/sites/{site}/records/exports/{id}: how far it is.
func (d *Dashboard) export(w http.ResponseWriter, a *ask) error {
	j, err := d.findExport(a)
	if err != nil {
		return err
	}
	v := viewJob(&j, a.user.Name)
	return d.page(w, a, frame{Title: "Export", Nav: "records", Lead: v.Name, Again: v.Running}, exportPage(a.site.Name, v))
}

// exportFile answers GET /admin/sites/{site}/records/exports/{id}/file. Who asked for it stands in the audit trail already;
// another officer who takes it does so before it is sent.
func (d *Dashboard) exportFile(w http.ResponseWriter, a *ask) error {
	j, err := d.findExport(a)
	if err != nil {
		return err
	}
	file, err := d.Exports.Open(a.site.Name, j.ID)
	if err != nil {
		return fail(http.StatusConflict, "the export is not ready: look at its page")
	}
	defer file.Close()
	if j.Order.By != a.user.Name {
		what := ledger.Audit{
			Time: d.Now(), Actor: ledger.Operator(a.user.Name), Act: ledger.ActExport, Site: a.site.Name, Count: int(j.Found), Detail: "another's file: " + j.Order.Detail(),
		}
		if j.End > 0 {
			what.Leaves = ledger.Leaves{{First: 0, Last: j.End - 1}}
		}
		if _, err := d.Ledger.Note(a.Context(), what); err != nil {
			return err
		}
	}
	name, kind := fileName(&j.Order)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	http.ServeContent(w, a.Request, "", time.Time{}, file)
	return nil
}

func fileName(o *export.Order) (name, kind string) {
	name = "records-" + o.Site
	if !o.From.IsZero() {
		name += "-from-" + o.From.Format(time.DateOnly)
	}
	if !o.To.IsZero() {
		name += "-to-" + o.To.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	switch o.Kind {
	case "csv":
		return name + ".csv", "text/csv; charset=utf-8"
	case "27560":
		return name + "-27560.jsonl", "application/x-ndjson"
	}
	return name + ".jsonl", "application/x-ndjson"
}

// deleteExport answers POST /admin/sites/{site}/records/exports/{id}/delete: ends it, and deletes its file.
func (d *Dashboard) deleteExport(w http.ResponseWriter, a *ask) error {
	j, err := d.findExport(a)
	if err != nil {
		return err
	}
	if err := d.Exports.Cancel(a.site.Name, j.ID); err != nil {
		return err
	}
	http.Redirect(w, a.Request, sitePath(a.site.Name, "records")+"#exports", http.StatusSeeOther)
	return nil
}
