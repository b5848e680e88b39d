package dashboard

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/stilehq/stile/server/ledger"
	shares "github.com/stilehq/stile/server/share"
)

// shareView is what share.templ draws.
type shareView struct {
	path    string // of the page, where its forms go
	made    string // address of the link that was just made, or ""
	trouble string // why none was made, or ""
	label   string // as it was typed
	epsilon string
	days    string
	links   []shares.Link
	spent   string // epsilon, of all links that the site ever had
	most    string
}

// sharing answers GET /admin/sites/{site}/shares.
func (d *Dashboard) sharing(w http.ResponseWriter, a *ask) error {
	return d.showLinks(w, a, http.StatusOK, shareView{epsilon: "1", days: "90"})
}

// shareFigures answers POST /admin/sites/{site}/share: the only answer that has the link's address.
func (d *Dashboard) shareFigures(w http.ResponseWriter, a *ask) error {
	if err := a.form(); err != nil {
		return err
	}
	v := shareView{label: a.PostFormValue("label"), epsilon: a.PostFormValue("epsilon"), days: a.PostFormValue("days")}
	wish := shares.Wish{Site: a.site.Name, Label: v.label}
	var err error
	if wish.Epsilon, err = strconv.ParseFloat(v.epsilon, 64); err != nil {
		wish.Epsilon = 0 // refused below
	}
	if wish.Days, err = strconv.Atoi(v.days); err != nil {
		wish.Days = 0 // likewise
	}
	token, _, err := d.links().Make(a.Context(), wish, ledger.Operator(a.user.Name), d.Now())
	var refused shares.Refused
	if errors.As(err, &refused) {
		v.trouble = string(refused)
		return d.showLinks(w, a, http.StatusBadRequest, v)
	}
	if err != nil {
		return err
	}
	return d.showLinks(w, a, http.StatusOK, shareView{made: origin(a.Request) + "/share/" + token, epsilon: "1", days: "90"})
}

// unshare answers POST /admin/sites/{site}/share/revoke.
func (d *Dashboard) unshare(w http.ResponseWriter, a *ask) error {
	if err := a.form(); err != nil {
		return err
	}
	_, err := d.links().Revoke(a.Context(), a.site.Name, a.PostFormValue("link"), ledger.Operator(a.user.Name), d.Now())
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusNotFound, "that link is over or was revoked already: nothing was changed")
	}
	if err != nil {
		return err
	}
	http.Redirect(w, a.Request, sitePath(a.site.Name, "share"), http.StatusSeeOther)
	return nil
}

func (d *Dashboard) showLinks(w http.ResponseWriter, a *ask, status int, v shareView) error {
	shelf, err := d.links().Site(a.Context(), a.site.Name, d.Now())
	if err != nil {
		return err
	}
	v.path, v.links = sitePath(a.site.Name, "share"), shelf.Live
	v.spent, v.most = shares.Amount(shelf.Millis), shares.Amount(shares.MostSpent)
	return d.draw(w, a, status, frame{
		Title: "Shared view", Nav: "share",
		Lead: "Links to figures of this site that an agency or anybody else may read, with noise that hides each single visit.",
	}, linksOf(v))
}

func (d *Dashboard) links() shares.Links { return shares.Links{Ledger: d.Ledger} }

// origin is where the browser found this page. What is not on loopback is behind a proxy that has the certificate.
func origin(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	ip, err := netip.ParseAddr(host)
	if r.TLS == nil && (host == "localhost" || err == nil && ip.IsLoopback()) {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

func sharedDate(t time.Time) string { return t.Format("2 Jan 2006") }
