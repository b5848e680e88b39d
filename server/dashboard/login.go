package dashboard

import (
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/stilehq/stile/server/account"
)

// errNobody is the error of who has to log in first.
var errNobody = errors.New("nobody is logged in")

// withUser puts into a request's context whose session it shows, if any.
func (d *Dashboard) withUser(r *http.Request) (*http.Request, error) {
	if d.Accounts == nil || strings.HasPrefix(r.URL.Path, "/admin/assets/") {
		return r, nil
	}
	token := d.Accounts.Token(r, d.secure(r))
	if token == nil {
		return r, nil
	}
	u, s, err := d.Accounts.Find(r.Context(), token)
	switch {
	case errors.Is(err, account.ErrEnded):
		return r, nil
	case err != nil:
		return r, err
	}
	return r.WithContext(account.WithSession(account.WithUser(r.Context(), u), s)), nil
}

// turnAway sends who is nobody to log in, and then back to the page that they asked for. What a form had is lost.
func (d *Dashboard) turnAway(w http.ResponseWriter, a *ask) {
	if a.Method != http.MethodGet && a.Method != http.MethodHead {
		e := entrance{Next: nextPage(""), Wrong: "You are not logged in, and nothing was changed: log in, then send it again."}
		if err := d.entrance(w, a, http.StatusUnauthorized, e); err != nil {
			d.respond(w, a, err)
		}
		return
	}
	w.Header().Set("Location", "/admin/login?next="+url.QueryEscape(a.URL.RequestURI()))
	w.WriteHeader(http.StatusSeeOther)
}

// entrance is the page where users log in.
type entrance struct {
	Next, Name string // where to go afterwards, and the name as it was typed
	Wrong      string // what was wrong, or ""
	Nobody     bool   // there is no user at all
	Unsafe     bool   // the address is no safe one
	Provider   string // host of the OpenID provider, or ""
}

// login answers GET /admin/login.
func (d *Dashboard) login(w http.ResponseWriter, a *ask) error {
	next := nextPage(a.URL.Query().Get("next"))
	if a.user.Role > account.Nobody {
		return redirect(w, next)
	}
	return d.entrance(w, a, http.StatusOK, entrance{Next: next})
}

func (d *Dashboard) entrance(w http.ResponseWriter, a *ask, status int, e entrance) error {
	if d.Accounts == nil {
		return fail(http.StatusNotFound, "nobody logs in here")
	}
	any, err := d.Accounts.Any(a.Context())
	if err != nil {
		return err
	}
	e.Nobody, e.Unsafe = !any, !d.safe(a.Request)
	if d.Accounts.OIDC != nil {
		e.Provider = d.Accounts.OIDC.Host()
	}
	return d.draw(w, a, status, frame{Title: "Log in"}, login(e))
}

// enter answers POST /admin/login.
func (d *Dashboard) enter(w http.ResponseWriter, a *ask) error {
	if d.Accounts == nil {
		return fail(http.StatusNotFound, "nobody logs in here")
	}
	if err := a.form(); err != nil {
		return err
	}
	e := entrance{Next: nextPage(a.PostForm.Get("next")), Name: a.PostForm.Get("name")}
	if !d.safe(a.Request) {
		return d.entrance(w, a, http.StatusForbidden, e)
	}
	token, err := d.Accounts.Login(a.Context(), e.Name, a.PostForm.Get("password"), d.client(a.Request))
	if err != nil {
		d.warnOfProxy(a.Request, err)
		status, wrong := refusal(w, err)
		if wrong == "" {
			return err
		}
		e.Wrong = wrong
		return d.entrance(w, a, status, e)
	}
	return d.begun(w, a, token, e.Next)
}

// warnOfProxy says why everybody waits for what one of them did, where all log-ins seem to come from a proxy.
func (d *Dashboard) warnOfProxy(r *http.Request, err error) {
	var wait *account.Wait
	connection, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero one on an error
	if errors.As(err, &wait) && wait.Address && r.Header.Get("X-Forwarded-For") != "" && d.client(r) == connection.Addr().Unmap() {
		d.Log.Warn("log-ins wait for what others did: all come from one address, which seems to be a proxy's; name it with --trusted-proxies", "address", connection.Addr())
	}
}

// begun gives a browser its session and shows the page that was asked for. Who was logged in there is not any more.
func (d *Dashboard) begun(w http.ResponseWriter, a *ask, token []byte, next string) error {
	if err := d.endOwn(a); err != nil {
		return err
	}
	c, err := d.Accounts.Cookie(token, d.secure(a.Request))
	if err != nil {
		return err
	}
	http.SetCookie(w, c)
	return redirect(w, next)
}

// refusal is what somebody is told whose password was not taken, or "" for an error that is not theirs.
func refusal(w http.ResponseWriter, err error) (status int, what string) {
	var wait *account.Wait
	switch {
	case errors.Is(err, account.ErrRefused):
		return http.StatusUnauthorized, "This name and this password do not go together."
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.For.Seconds()))))
		return http.StatusTooManyRequests, sentence(wait.Error()) + "."
	case errors.Is(err, account.ErrCrowded):
		w.Header().Set("Retry-After", "5")
		return http.StatusServiceUnavailable, "Too many people log in at once: try again in a moment."
	}
	return 0, ""
}

// leave answers POST /admin/logout.
func (d *Dashboard) leave(w http.ResponseWriter, a *ask) error {
	if err := d.endOwn(a); err != nil {
		return err
	}
	http.SetCookie(w, account.Forgotten(d.secure(a.Request)))
	return redirect(w, "/admin/login")
}

// endOwn ends the session that a request shows, if any.
func (d *Dashboard) endOwn(a *ask) error {
	s := account.SessionOf(a.Context())
	if d.Accounts == nil || s.ID == "" {
		return nil
	}
	if err := d.Accounts.End(a.Context(), a.user.Name, s.ID); err != nil && !errors.Is(err, account.ErrEnded) {
		return err
	}
	return nil
}

// form reads the form that was sent.
func (a *ask) form() error {
	err := a.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "the form has more than %d bytes: nothing was changed", large.Limit)
	case err != nil:
		return fail(http.StatusBadRequest, "the form cannot be read: nothing was changed")
	}
	return nil
}

// redirect shows a page of the dashboard by GET.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// nextPage is where to go after a log-in: a page of the dashboard, and nowhere else, whatever a link says.
func nextPage(asked string) string {
	const home = "/admin/"
	u, err := url.Parse(asked)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsFunc(asked, func(c rune) bool { return c <= ' ' || c == '\\' || c > '~' }) {
		return home
	}
	p := path.Clean(u.Path)
	if !strings.HasPrefix(asked, home) || !strings.HasPrefix(p+"/", home) || strings.ContainsRune(u.Path, '\\') || p == "/admin/logout" || strings.HasPrefix(p, "/admin/login") {
		return home
	}
	return asked
}

func (d *Dashboard) secure(r *http.Request) bool { return d.Secure != nil && d.Secure(r) }

func (d *Dashboard) client(r *http.Request) netip.Addr {
	if d.Client == nil {
		return netip.Addr{}
	}
	return d.Client(r)
}

// safe tells whether a password may be sent to the address that the browser shows: by HTTPS, or on the machine itself.
func (d *Dashboard) safe(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return d.secure(r) || host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
