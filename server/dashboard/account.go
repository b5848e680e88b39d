package dashboard

import (
	"errors"
	"net/http"
	"time"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/ledger"
)

// done are the sentences that a page begins with after something was changed.
var done = map[string]string{
	"password": "Your password was changed, and your other sessions were ended.",
	"ended":    "The session was ended.",
	"others":   "Your other sessions were ended.",
	"role":     "The user has another role, and no sessions: they log in again.",
	"sessions": "The user's sessions were ended.",
	"removed":  "The user was removed, and their sessions were ended.",
}

// own is what a user sees of themself.
type own struct {
	Done     string
	Wrong    string // about a password
	User     account.User
	Sessions []ownSession
}

type ownSession struct {
	ID, Begun, Seen string
	This            bool
}

// moment is a time for people.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006, 15:04")
}

// account answers GET /admin/account: the user's sessions, and their password.
func (d *Dashboard) account(w http.ResponseWriter, a *ask) error {
	return d.own(w, a, http.StatusOK, "")
}

func (d *Dashboard) own(w http.ResponseWriter, a *ask, status int, wrong string) error {
	if d.Accounts == nil {
		return d.nothing(w, a)
	}
	found, err := d.Accounts.Sessions(a.Context(), a.user.Name)
	if err != nil {
		return err
	}
	view := own{Done: done[a.URL.Query().Get("done")], Wrong: wrong, User: a.user}
	this := account.SessionOf(a.Context()).ID
	for _, s := range found {
		view.Sessions = append(view.Sessions, ownSession{s.ID, moment(s.Created), moment(s.Seen), s.ID == this})
	}
	return d.draw(w, a, status, frame{Title: "Your account", Nav: "account", Lead: "You are logged in as " + a.user.Name + ", in the role " + a.user.Role.String() + ". Times are UTC."}, ownPage(view))
}

// endSession answers POST /admin/account/sessions: a user ends one of their sessions, or all but this one.
func (d *Dashboard) endSession(w http.ResponseWriter, a *ask) error {
	if err := a.form(); err != nil {
		return err
	}
	id, this := a.PostForm.Get("id"), account.SessionOf(a.Context()).ID
	if id != "others" {
		if err := d.Accounts.End(a.Context(), a.user.Name, id); err != nil && !errors.Is(err, account.ErrEnded) {
			return err
		}
		return redirect(w, "/admin/account?done=ended")
	}
	found, err := d.Accounts.Sessions(a.Context(), a.user.Name)
	if err != nil {
		return err
	}
	for _, s := range found {
		if s.ID == this {
			continue
		}
		if err := d.Accounts.End(a.Context(), a.user.Name, s.ID); err != nil && !errors.Is(err, account.ErrEnded) {
			return err
		}
	}
	return redirect(w, "/admin/account?done=others")
}

// changePassword answers POST /admin/account/password. All sessions end, and this browser gets a new one.
func (d *Dashboard) changePassword(w http.ResponseWriter, a *ask) error {
	if err := a.form(); err != nil {
		return err
	}
	if !d.safe(a.Request) {
		return fail(http.StatusForbidden, "a password sent to this address can be read on its way: open the dashboard by HTTPS")
	}
	if a.PostForm.Get("new") != a.PostForm.Get("again") {
		return d.own(w, a, http.StatusBadRequest, "The new password and its repetition are not the same: nothing was changed.")
	}
	token, err := d.Accounts.ChangePassword(a.Context(), a.user.Name, a.PostForm.Get("current"), a.PostForm.Get("new"), d.client(a.Request))
	var invalid *account.Invalid
	switch {
	case errors.Is(err, account.ErrRefused):
		return d.own(w, a, http.StatusForbidden, "Your current password is another one: nothing was changed.")
	case errors.As(err, &invalid):
		return d.own(w, a, http.StatusBadRequest, sentence(invalid.Error())+".")
	case err != nil:
		if status, what := refusal(w, err); what != "" {
			return d.own(w, a, status, what)
		}
		return err
	}
	c, err := d.Accounts.Cookie(token, d.secure(a.Request))
	if err != nil {
		return err
	}
	http.SetCookie(w, c)
	return redirect(w, "/admin/account?done=password")
}

// everybody is the page of all users.
type everybody struct {
	Done     string
	Provided bool // the provider says who has which role
	Roles    []string
	Users    []someone
}

type someone struct {
	Name, Role, By, Seen string
	Sessions             int
	Self                 bool
}

// users answers GET /admin/users.
func (d *Dashboard) users(w http.ResponseWriter, a *ask) error {
	if d.Accounts == nil {
		return d.nothing(w, a)
	}
	found, err := d.Accounts.Users(a.Context())
	if err != nil {
		return err
	}
	view := everybody{Roles: []string{"viewer", "officer", "admin"}, Done: done[a.URL.Query().Get("done")], Provided: d.Accounts.OIDC != nil && len(d.Accounts.OIDC.Roles) > 0}
	for _, u := range found {
		by := "password"
		if u.Issuer != "" {
			by = u.Issuer
		}
		view.Users = append(view.Users, someone{u.Name, u.Role.String(), by, moment(u.Seen), u.Sessions, u.Name == a.user.Name})
	}
	return d.page(w, a, frame{Title: "Users", Nav: "users", Lead: "Who may open this dashboard. Times are UTC."}, usersPage(view))
}

// alterUser answers POST /admin/users: an admin changes a user's role, ends their sessions or removes them.
func (d *Dashboard) alterUser(w http.ResponseWriter, a *ask) error {
	if err := a.form(); err != nil {
		return err
	}
	if d.Accounts == nil {
		return d.nothing(w, a)
	}
	ctx, by, name, did := a.Context(), ledger.Operator(a.user.Name), a.PostForm.Get("name"), a.PostForm.Get("do")
	var err error
	switch did {
	case "role":
		var role account.Role
		if role, err = account.ParseRole(a.PostForm.Get("role")); err != nil {
			return fail(http.StatusBadRequest, "%s", err.Error())
		}
		err = d.Accounts.SetRole(ctx, by, name, role)
	case "sessions":
		err = d.Accounts.EndAll(ctx, by, name)
	case "removed":
		if a.PostForm.Get("sure") == "" {
			return fail(http.StatusBadRequest, "tick the box to remove %s: nothing was changed", name)
		}
		err = d.Accounts.Remove(ctx, by, name)
	default:
		return fail(http.StatusBadRequest, "%q is nothing that can be done to a user: role, sessions or removed", did)
	}
	if err != nil {
		return err
	}
	return redirect(w, "/admin/users?done="+did)
}
