package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/consent"
)

// mostCleared bounds how many cookies an answer deletes.
const mostCleared = 40

// leftover are the names of the request's cookies that belong to a tag which the decision withholds: they are of no use
// to anybody but the vendor.
func (st *site) leftover(r *http.Request, d consent.Decision) (names []string) {
	seen := map[string]bool{}
	for _, c := range r.Cookies() {
		if !seen[c.Name] && len(names) < mostCleared && st.ofWithheld(c.Name, d) {
			seen[c.Name] = true
			names = append(names, c.Name)
		}
	}
	return names
}

func (st *site) ofWithheld(name string, d consent.Decision) bool {
	found := false
	for i := range st.Tags {
		for _, c := range st.Tags[i].Cookies {
			prefix, open := strings.CutSuffix(c.Name, "*")
			if name != c.Name && (!open || !strings.HasPrefix(name, prefix)) {
				continue
			}
			if d.Tags[i].Released {
				return false // another tag that uses it may go on
			}
			found = true
		}
	}
	return found
}

// clear deletes those cookies on this host and on each parent domain, those that no script can see among them (C3).
func (st *site) clear(c echo.Context, d consent.Decision) {
	r := c.Request()
	for _, name := range st.leftover(r, d) {
		for domain := hostname(r.Host); ; {
			gone := &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: secure(r)}
			if domain != hostname(r.Host) {
				gone.Domain = domain
			}
			c.SetCookie(gone)
			_, parent, more := strings.Cut(domain, ".")
			if !more || !strings.Contains(parent, ".") {
				break
			}
			domain = parent
		}
		// The host's own, where it was set with its name as the domain.
		c.SetCookie(&http.Cookie{Name: name, Path: "/", Domain: hostname(r.Host), MaxAge: -1, Secure: secure(r)})
	}
}
