package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/dashboard"
	"github.com/stilehq/stile/server/keys"
)

// openDashboard makes the pages under /admin/, and what keeps others out of them.
func (s *Server) openDashboard() (err error) {
	s.accounts = account.New(account.Options{
		Store: s.ledger, Now: s.now, Log: s.log, OIDC: s.opts.OIDC, Keys: func() []keys.Secret { return s.current.Load().keys.Cookie },
	})
	s.onStop("accounts", func(context.Context) error { return s.accounts.Close() })
	officer, err := s.officer()
	if err != nil {
		return err
	}
	d, err := dashboard.New(dashboard.Options{
		Sites: func() []dashboard.Site { return s.current.Load().listed }, Figures: s.figures, Ledger: s.ledger, Now: s.now, Log: s.log,
		Accounts: s.accounts, Secure: secure, Client: s.opts.Proxies.Client,
		Officer: officer,
		Alerts:  s.pressing, Watch: s.alerts, Health: s.condition, Note: s.opts.Note,
		Vendors: s.current.Load().vendors, Choice: s.readChoice, Preview: s.mintPreview, Answer: s.answerTo,
	})
	if err != nil {
		return err
	}
	s.admin, s.guests = d, d.Shared()
	return nil
}

// Accounts are the users of the dashboard.
func (s *Server) Accounts() *account.Accounts { return s.accounts }

// adminRoutes has the dashboard on a path of its own, which a proxy publishes on purpose or not at all, and what is shared of
// it on another.
func (s *Server) adminRoutes(e *echo.Echo) {
	e.Any("/admin/*", echo.WrapHandler(s.admin))
	e.Any("/share/*", echo.WrapHandler(s.guests))
	e.GET("/admin", func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/admin/") })
}

// list is the sites of a snapshot as the dashboard shows them, by name.
func (snap *snapshot) list() []dashboard.Site {
	var all []dashboard.Site
	for name, st := range snap.sites {
		all = append(all, dashboard.Site{Site: st.Site, Gate: st.gate, Policies: st.policies, Warnings: snap.warnings(name)})
	}
	slices.SortFunc(all, func(a, b dashboard.Site) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// warnings are the linter's of a site's file.
func (snap *snapshot) warnings(site string) (list []config.Problem) {
	for _, p := range snap.report.Problems {
		if p.File == snap.report.Files[site] {
			list = append(list, p)
		}
	}
	return list
}
