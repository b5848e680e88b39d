package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"

	"github.com/a-h/templ"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/ledger"
)

// ask is a request for a page: by whom, and about which site.
type ask struct {
	*http.Request
	user account.User
	site *Site // nil where the path names none
}

// problem is an error that the user is told about, in a sentence that says what was wrong and what to do.
type problem struct {
	status int
	what   string
	title  string // over the page; "" for that of the status
}

func (p *problem) Error() string { return p.what }

func fail(status int, format string, args ...any) error {
	return &problem{status: status, what: fmt.Sprintf(format, args...)}
}

// guarded answers those who have a route's role, and finds the site that the path names.
func (d *Dashboard) guarded(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a := &ask{Request: req, user: account.UserOf(req.Context())}
		err := d.admit(r, a)
		if err == nil {
			err = checkAddress(r, a.URL)
		}
		if err == nil {
			err = r.answer(w, a)
		}
		if err != nil {
			d.respond(w, a, err)
		}
	})
}

func (d *Dashboard) admit(r route, a *ask) error {
	if a.user.Role == account.Nobody && r.role > account.Nobody {
		return errNobody
	}
	if a.user.Role < r.role {
		return fail(http.StatusForbidden, "this page is for the role %s, and %s is %s: ask an admin of this Stile", r.role, a.user.Name, a.user.Role)
	}
	name := a.PathValue("site")
	if name == "" {
		return nil
	}
	sites := d.Sites()
	i := slices.IndexFunc(sites, func(s Site) bool { return s.Name == name })
	if i < 0 {
		return fail(http.StatusNotFound, "there is no site %q here", name)
	}
	a.site = &sites[i]
	return nil
}

// respond is the one place where an error becomes a page. What went wrong inside is logged, never shown.
func (d *Dashboard) respond(w http.ResponseWriter, a *ask, err error) {
	if errors.Is(err, errNobody) {
		d.turnAway(w, a)
		return
	}
	var p *problem
	var invalid *account.Invalid
	switch {
	case errors.As(err, &p):
	case errors.As(err, &invalid):
		p = &problem{status: http.StatusBadRequest, what: invalid.Error()}
	case errors.Is(err, fs.ErrNotExist):
		p = &problem{status: http.StatusNotFound, what: "there is nothing like that here"}
	case errors.Is(err, ledger.ErrAway), errors.Is(err, ledger.ErrBusy):
		p = &problem{status: http.StatusServiceUnavailable, what: "the database is away or busy now: try again in a moment"}
	default:
		d.Log.Error("dashboard", "method", a.Method, "path", a.URL.Path, "error", err)
		p = &problem{status: http.StatusInternalServerError, what: "something went wrong here, nothing was changed: try again"}
	}
	site := ""
	if a.site != nil {
		site = a.site.Name
	}
	_ = d.draw(w, a, p.status, frame{Title: cmp.Or(p.title, heading(p.status))}, trouble(p.what, site)) // the connection is all that can fail
}

// page draws a page of the dashboard in its frame.
func (d *Dashboard) page(w http.ResponseWriter, a *ask, f frame, content templ.Component) error {
	return d.draw(w, a, http.StatusOK, f, content)
}

func (d *Dashboard) draw(w http.ResponseWriter, a *ask, status int, f frame, content templ.Component) error {
	f.note, f.user, f.style, f.script = d.Note, a.user, d.assets.path("dashboard.css"), d.assets.path("dashboard.js")
	if a.site != nil {
		f.site = a.site.Name
	}
	if a.user.Role > account.Nobody {
		for _, s := range d.Sites() {
			f.sites = append(f.sites, s.Name)
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	return layout(f, content).Render(a.Context(), w)
}

// nothing answers addresses that no page has.
func (d *Dashboard) nothing(_ http.ResponseWriter, a *ask) error {
	return fail(http.StatusNotFound, "there is no page at %s", a.URL.Path)
}
