package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
)

const requestsOnPage = 50

// requestReader reads requests to a site behind a place.
type requestReader func(ctx context.Context, site string, after ledger.Place, limit int) ([]ledger.Request, error)

// requestsView is the list of a site's requests.
type requestsView struct {
	Site           string
	Open, Answered []requestView
	MoreOpen, More string // addresses of the next pages, or ""
	First          string // of the first page, or ""
}

type requestView struct {
	Number, Path, Kind, State, Tone string
	Asked, Due, Answered            at
	Contact, Mail, Details          string
	Receipt, Note, Wrong            string
	Waits                           bool
	Late                            bool
}

func (d *Dashboard) viewRequest(r *ledger.Request) requestView {
	v := requestView{
		Number: r.Number, Path: sitePath(r.Site, "requests/"+r.Number), Kind: called(kinds, r.Kind), Asked: stampOf(r.Time), Due: dayOf(r.Due), Contact: r.Contact,
		Mail: (&url.URL{Scheme: "mailto", Opaque: url.PathEscape(r.Contact), RawQuery: "subject=" + url.PathEscape("Your request "+r.Number)}).String(), Details: r.Details, Note: r.Note,
	}
	if r.Receipt != uuid.Nil {
		v.Receipt = r.Receipt.String()
	}
	days := rights.DaysLeft(r, d.Now())
	switch v.Waits = r.Answered.IsZero(); {
	case !v.Waits:
		v.State, v.Tone, v.Answered = "answered", "good", stampOf(r.Answered)
	case days < 0:
		v.State, v.Tone, v.Late = "overdue for "+rights.Counted(-days, "day"), "bad", true
	case days == 0:
		v.State, v.Tone = "due today", "warn"
	default:
		v.State = rights.Counted(days, "day") + " left"
		if days <= 3 {
			v.Tone = "warn"
		}
	}
	return v
}

// requests answers GET /admin/sites/{site}/requests: those that wait, as they are due, then those that were answered.
func (d *Dashboard) requests(w http.ResponseWriter, a *ask) error {
	v := requestsView{Site: a.site.Name}
	query := a.URL.Query()
	here := sitePath(a.site.Name, "requests")
	for _, part := range []struct {
		name string
		read func() ([]ledger.Request, error)
		list *[]requestView
		more *string
		at   func(*ledger.Request) time.Time
	}{
		{
			"open", func() ([]ledger.Request, error) { return d.readRequests(a, query.Get("open"), d.Ledger.OpenRequests) },
			&v.Open, &v.MoreOpen, func(r *ledger.Request) time.Time { return r.Due },
		},
		{
			"answered", func() ([]ledger.Request, error) {
				return d.readRequests(a, query.Get("answered"), d.Ledger.AnsweredRequests)
			},
			&v.Answered, &v.More, func(r *ledger.Request) time.Time { return r.Answered },
		},
	} {
		page, err := part.read()
		if err != nil {
			return err
		}
		if len(page) > requestsOnPage {
			page = page[:requestsOnPage]
			last := &page[requestsOnPage-1]
			*part.more = fmt.Sprintf("%s?%s=%d.%s", here, part.name, part.at(last).UnixMilli(), last.Number)
		}
		for i := range page {
			*part.list = append(*part.list, d.viewRequest(&page[i]))
		}
	}
	if query.Get("open")+query.Get("answered") != "" {
		v.First = here
	}
	f := frame{Title: "Requests", Nav: "requests", Lead: "What visitors want to see, get, correct or delete. Each is answered within 15 days."}
	return d.page(w, a, f, requestsPage(v))
}

// readRequests reads a page of requests behind a place, and one more, which tells that there is a next page.
func (d *Dashboard) readRequests(a *ask, place string, read requestReader) ([]ledger.Request, error) {
	var after ledger.Place
	if place != "" {
		at, number, _ := strings.Cut(place, ".")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil || number == "" {
			return nil, fail(http.StatusBadRequest, "the address names no place in the list: begin at the first page")
		}
		after = ledger.Place{Time: time.UnixMilli(ms).UTC(), Number: number}
	}
	return read(a.Context(), a.site.Name, after, requestsOnPage+1)
}

// findRequest finds a request of the site.
func (d *Dashboard) findRequest(a *ask, number string) (ledger.Request, error) {
	r, err := d.Ledger.Request(a.Context(), number)
	if errors.Is(err, fs.ErrNotExist) || err == nil && r.Site != a.site.Name {
		return r, fail(http.StatusNotFound, "%s has no request %.40q: its requests are listed under Requests", a.site.Name, number)
	}
	return r, err
}

// request answers GET /admin/sites/{site}/requests/{number}. It says who asked, so that the look is noted.
func (d *Dashboard) request(w http.ResponseWriter, a *ask) error {
	r, err := d.findRequest(a, rights.ParseNumber(a.PathValue("number")))
	if err != nil {
		return err
	}
	return d.requestPage(w, a, http.StatusOK, &r, "", "")
}

func (d *Dashboard) requestPage(w http.ResponseWriter, a *ask, status int, r *ledger.Request, note, wrong string) error {
	if err := d.note(a, ledger.ActShow, nil, 1, "request "+r.Number); err != nil {
		return err
	}
	v := d.viewRequest(r)
	v.Wrong = wrong
	if r.Answered.IsZero() {
		v.Note = note
	}
	return d.draw(w, a, status, frame{Title: "Request " + r.Number, Nav: "requests", Lead: "Your look is on the audit trail."}, requestPage(a.site.Name, v))
}

const mostNote = 4000 // bytes, as the ledger has it

// answerRequest answers POST /admin/sites/{site}/requests/{number}: notes what was answered.
func (d *Dashboard) answerRequest(w http.ResponseWriter, a *ask) error {
	form, err := sent(a)
	if err != nil {
		return err
	}
	r, err := d.findRequest(a, rights.ParseNumber(a.PathValue("number")))
	if err != nil {
		return err
	}
	note := strings.TrimSpace(strings.ReplaceAll(form.Get("note"), "\r\n", "\n"))
	wrong, status := "", http.StatusBadRequest
	switch {
	case note == "":
		wrong = "Write what was answered, and how: it is kept as proof."
	case !utf8.ValidString(note) || strings.ContainsRune(note, 0):
		wrong = "The note is no text: write it anew."
	case len(note) > mostNote:
		wrong = fmt.Sprintf("The note has %s bytes, and %s are kept: write less.", grouped(int64(len(note))), grouped(mostNote))
	default:
		_, err = d.Ledger.Answer(a.Context(), r.Number, note, ledger.By{Actor: ledger.Operator(a.user.Name), Time: d.Now()})
		switch {
		case errors.Is(err, ledger.ErrAnswered):
			if r, err = d.findRequest(a, r.Number); err != nil {
				return err
			}
			wrong, status = "It was answered before: what you wrote was not kept.", http.StatusConflict
		case err != nil:
			return err
		}
	}
	if wrong != "" {
		return d.requestPage(w, a, status, &r, note, wrong)
	}
	http.Redirect(w, a.Request, sitePath(a.site.Name, "requests/"+r.Number), http.StatusSeeOther)
	return nil
}
