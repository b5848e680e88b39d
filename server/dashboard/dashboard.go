// Package dashboard is the marketer's and the privacy officer's pages, under /admin/. It reads the figures, the ledger and
// the snapshot that is served, and draws them on the server: every page works without a script.
//
// A page is a file: a handler that reads the request and makes a view, and a template of the same name that draws it. What
// a page needs of the rest of Stile stands in Options. routes.go is the table of them all, with the role that each asks for.
package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// Site is a site as it is served now.
type Site struct {
	*consent.Site
	Gate     *gate.Gate
	Policies []ledger.Policy  // all versions, oldest first
	Warnings []config.Problem // the linter's, of its file
}

// Figures are what was counted: a *tally.Tally.
type Figures interface {
	// Report adds up what was counted at a site in a period. Without an error it is never nil.
	Report(ctx context.Context, site string, p tally.Period, f tally.Filter) (*tally.Report, error)
}

// Options are what a dashboard shows.
type Options struct {
	Sites   func() []Site // by name
	Figures Figures
	Ledger  *ledger.Ledger
	Now     func() time.Time
	Log     *slog.Logger
	Note    string // said on every page: that the figures are simulated; "": nothing

	// Alerts are what somebody should look at now, the most pressing first; nil: there are none.
	Alerts func(context.Context) ([]Alert, error)

	Accounts *account.Accounts              // nil: the request's context says who asks, and nobody logs in here
	Secure   func(*http.Request) bool       // tells whether a request came by HTTPS
	Client   func(*http.Request) netip.Addr // whose address it came from

	Officer // what only the privacy officer's pages need

	Watch  Watch                        // raises alerts; nil: nothing does
	Health func(context.Context) Health // nil: nobody knows

	Vendors *vendors.Library                                          // nil: read when a page first asks for it, which takes 0.2 s
	Choice  func(site, token string) (*consent.Choice, error)         // reads a visitor's cookie, see cookie.Codec.Decode; nil: none is read
	Preview func(site string, l preview.Link) (token string, _ error) // signs a preview; nil: there are none

	// Answer is the script that a decision gets; nil: what the gate composes, which is the same where answers are counted and
	// not page views.
	Answer func(site string, d *consent.Decision, lang string) (*gate.Answer, error)
}

// Alert is something that somebody should look at.
type Alert struct {
	Site string // "": all
	Text string // a sentence, with its full stop
	Path string // of the page to look at: "/admin/sites/shop/sightings"; "" for the site's overview
}

// Dashboard answers requests under /admin/. Make it with New.
type Dashboard struct {
	Options
	assets  assets
	mux     *http.ServeMux
	origin  *http.CrossOriginProtection
	library func() (*vendors.Library, error) // read when a page first asks for it
	acts    sync.Mutex                       // one act on a visitor's behalf at a time, so that one that is sent twice is done once
}

// New makes a dashboard. Requests carry the user who asks in their context (account.WithUser); who is nobody sees nothing.
func New(o Options) (*Dashboard, error) {
	d := &Dashboard{Options: o, origin: http.NewCrossOriginProtection(), library: sync.OnceValues(vendors.New)}
	if o.Vendors != nil {
		d.library = func() (*vendors.Library, error) { return o.Vendors, nil }
	}
	var err error
	if d.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	d.mux = d.routes()
	return d, nil
}

// policy lets a page of the dashboard load its own style, script and pictures, and nothing else from anywhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// mostBody is more than any form of the dashboard has.
const mostBody = 64 << 10

// ServeHTTP answers a request.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	harden(w.Header(), policy)
	r.Body = http.MaxBytesReader(w, r.Body, mostBody)
	known, err := d.withUser(r)
	if err == nil && d.origin.Check(r) != nil {
		err = &problem{http.StatusForbidden, "this form was sent from another site: nothing was changed", "Not from this dashboard"}
	}
	if err != nil {
		d.respond(w, &ask{Request: known, user: account.UserOf(known.Context())}, err)
		return
	}
	d.mux.ServeHTTP(w, known)
}

// harden sets the headers that all pages have.
func harden(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
