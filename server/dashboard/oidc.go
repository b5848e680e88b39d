package dashboard

import (
	"errors"
	"net/http"

	"github.com/stilehq/stile/server/account"
)

// depart answers GET /admin/login/oidc: it sends a user to the provider. It is a link, since the pages' policy lets no form
// lead away from here; nobody is logged in by it who does not come back with what only they have.
func (d *Dashboard) depart(w http.ResponseWriter, a *ask) error {
	if d.Accounts == nil || d.Accounts.OIDC == nil {
		return fail(http.StatusNotFound, "users log in by password here: no OpenID provider is configured (--oidc-issuer)")
	}
	to, c, err := d.Accounts.Depart(a.Context(), nextPage(a.URL.Query().Get("next")), d.secure(a.Request))
	if err != nil {
		return d.noEntry(w, a, err)
	}
	http.SetCookie(w, c)
	return redirect(w, to)
}

// callback answers GET /admin/login/callback, where the provider sends users back to.
func (d *Dashboard) callback(w http.ResponseWriter, a *ask) error {
	if d.Accounts == nil || d.Accounts.OIDC == nil {
		return fail(http.StatusNotFound, "users log in by password here: no OpenID provider is configured (--oidc-issuer)")
	}
	secure := d.secure(a.Request)
	http.SetCookie(w, account.Returned(secure))
	token, next, err := d.Accounts.Return(a.Context(), a.Request, secure)
	if err != nil {
		return d.noEntry(w, a, err)
	}
	return d.begun(w, a, token, nextPage(next))
}

// noEntry says why a log-in at the provider came to nothing.
func (d *Dashboard) noEntry(w http.ResponseWriter, a *ask, err error) error {
	var (
		e        entrance
		status   = http.StatusForbidden
		away     *account.Away
		refusal  *account.Refusal
		stranger *account.Stranger
	)
	e.Next = nextPage("")
	switch {
	case errors.As(err, &stranger) && stranger.Mapped:
		e.Wrong = "The provider knows you, and gives you no role in this Stile: ask whoever keeps the groups there."
	case errors.As(err, &stranger):
		e.Wrong = "The provider knows you, and this Stile does not: an admin makes you a user with stile user add NAME --role ROLE --oidc " + stranger.Issuer + " --subject " + stranger.Subject
	case errors.Is(err, account.ErrStray):
		status, e.Wrong = http.StatusBadRequest, "This log-in was not begun in this browser, or more than ten minutes ago: begin it again."
	case errors.As(err, &refusal):
		d.Log.Warn("a log-in at the OpenID provider was refused", "error", err)
		e.Wrong = "The provider does not vouch for you: begin the log-in again. The server's log says what was wrong."
	case errors.As(err, &away):
		d.Log.Error("the OpenID provider cannot be used", "error", err)
		status, e.Wrong = http.StatusBadGateway, "The provider cannot be reached, or does not answer as one: try again in a moment. The server's log says what was wrong."
	case errors.Is(err, account.ErrRefused):
		e.Wrong = "You were changed or removed just now: begin the log-in again."
	default:
		return err
	}
	return d.entrance(w, a, status, e)
}
