package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/stilehq/stile/server/account"
)

// The dashboard is on the consent host, and takes passwords by HTTPS alone.
const (
	adminURL      = "https://consent.shop.test/admin/"
	adminPassword = "a stile is a step over a fence"
)

// user lets somebody of a role open the dashboard: the name is the role's, and adminPassword the password.
func (w *world) user(role account.Role) {
	w.t.Helper()
	cmd := exec.Command(stileBinary, "user", "add", role.String(), "--role", role.String(), "--password-stdin", "--data", w.folder)
	cmd.Stdin = strings.NewReader(adminPassword + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("stile user add: %v\n%s", err, out)
	}
}

// as logs in as the user of a role, who was made with user, and opens a page of the dashboard: "sites/shop/tags".
func (b *tab) as(role account.Role, page string) *tab {
	b.t.Helper()
	b.load(adminURL + "login?next=" + url.QueryEscape("/admin/"+page))
	b.loads(func() {
		b.say(fmt.Sprintf(`(document.querySelector('[name=name]').value = %q, document.querySelector('[name=password]').value = %q, document.querySelector('.entrance').requestSubmit())`,
			role, adminPassword))
	})
	if got, want := eval[string](b, "location.pathname + location.search"), "/admin/"+page; got != want {
		b.t.Fatalf("logged in as %s, the browser is at %s, not at %s:\n%s", role, got, want, b.text())
	}
	return b
}

// counts loads the page that is open anew until an expression is true in it: its figures are of a second ago at most.
func (b *tab) counts(js string) *tab {
	b.t.Helper()
	b.w.until(js, func() bool {
		if eval[bool](b, js) {
			return true
		}
		b.load(eval[string](b, "location.href"))
		return false
	})
	return b
}

// adminCookie is the session's, or nil.
func (b *tab) adminCookie() *network.Cookie {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{adminURL}})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range r.Cookies {
		if c.Name == "__Host-stile-admin" {
			return c
		}
	}
	return nil
}

// Who has no mouse logs in: the name has the focus.
func TestAdminByKeyboard(t *testing.T) {
	w := newWorld(t, settings{})
	w.user(account.Viewer)
	b := w.open()
	b.load(adminURL + "sites/shop/")
	if got := eval[string](b, "location.pathname + location.search"); got != "/admin/login?next=%2Fadmin%2Fsites%2Fshop%2F" {
		t.Fatalf("nobody is sent to %s", got)
	}
	b.press("viewer" + kb.Tab + "not the password")
	b.loads(func() { b.press(kb.Enter) })
	if got := eval[string](b, `document.querySelector('[role=alert]').innerText`); !strings.Contains(got, "do not go together") {
		t.Errorf("a wrong password is answered with %q", got)
	}
	if got := eval[string](b, "document.activeElement.name"); got != "password" {
		t.Errorf("after a wrong password the focus is on %q", got)
	}
	b.press(adminPassword)
	b.loads(func() { b.press(kb.Enter) })
	if got := eval[string](b, "location.pathname"); got != "/admin/sites/shop/" {
		t.Errorf("logged in at %s", got)
	}
}

// What was stolen of a session is worth nothing after the log-out, and a role that is too small is told so.
func TestAdminSession(t *testing.T) {
	w := newWorld(t, settings{})
	w.user(account.Viewer)
	b := w.open().as(account.Viewer, "")
	if got := eval[string](b, "document.cookie"); got != "" {
		t.Errorf("a script sees %q", got)
	}
	b.load(adminURL + "users")
	if got := b.text(); !strings.Contains(got, "for the role admin") || strings.Contains(got, "officer") {
		t.Errorf("a viewer sees at the users' page:\n%s", got)
	}
	c := b.adminCookie()
	if c == nil || !c.HTTPOnly || !c.Secure || c.Path != "/" || string(c.SameSite) != "Lax" {
		t.Fatalf("the session's cookie is %+v", c)
	}
	opens := func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.target.String()+"/admin/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", c.Name+"="+c.Value)
		r.Header.Set("X-Forwarded-Proto", "https")
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	if !opens() {
		t.Error("the thief tries it in another way than the browser")
	}
	b.load(adminURL)
	b.loads(func() { b.say(`document.querySelector('.who button').click()`) })
	if got := eval[string](b, "location.pathname"); got != "/admin/login" || b.adminCookie() != nil {
		t.Errorf("after the log-out the browser is at %s, with %v", got, b.adminCookie())
	}
	if opens() {
		t.Error("a stolen cookie opens the dashboard after the log-out")
	}
	if got := w.command("records", "trail", "--data", w.folder); !strings.Contains(got, "operator:viewer  login") || !strings.Contains(got, "operator:viewer  logout") {
		t.Errorf("the audit trail:\n%s", got)
	}
}

// The shop's pages are of the same site as the dashboard, and their forms come with its cookie: nothing comes of them.
func TestAdminForeignForms(t *testing.T) {
	pages := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(rw, `<!doctype html><html lang=en><title>Trap</title><form method=post action=%q><input name=do value=sessions><input name=name value=admin></form>`,
			adminURL+strings.TrimPrefix(r.URL.Path, "/test/"))
	})
	w := newWorld(t, settings{pages: pages})
	w.user(account.Admin)
	b := w.open().as(account.Admin, "")
	for _, shop := range []string{"https://www.shop.test", shopURL, "https://www.outlet.test"} {
		for _, path := range []string{"logout", "users"} {
			b.load(shop + "/test/" + path)
			b.loads(func() { b.say(`document.forms[0].submit()`) })
			if got := b.text(); eval[string](b, "location.href") != adminURL+path || !strings.Contains(strings.ToLower(got), "sent from another site") {
				t.Errorf("a form of %s to %s leads to %s:\n%s", shop, path, eval[string](b, "location.href"), got)
			}
		}
	}
	b.load(adminURL)
	if got := eval[string](b, "location.pathname"); got != "/admin/" {
		t.Errorf("the admin was logged out, and is at %s", got)
	}
	if got := w.command("user", "sessions", "admin", "--data", w.folder); strings.Count(got, "\n") != 2 {
		t.Errorf("the admin's sessions:\n%s", got)
	}
}

// An admin changes a user by mouse, and themself the password; axe-core finds nothing on these pages.
func TestAdminPages(t *testing.T) {
	w := newWorld(t, settings{})
	b := w.open()
	each := func(what string) {
		t.Helper()
		for _, screen := range screens {
			for _, theme := range []string{"light", "dark"} {
				b.look(screen.width, screen.height, theme)
				b.axe(what+" "+screen.name+" "+theme, "")
				if wide := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
					t.Errorf("%s %s: the page is %d px too wide", what, screen.name, wide)
				}
				b.picture("admin " + what + " " + screen.name + " " + theme)
			}
		}
	}
	b.load(adminURL + "login")
	each("no user")
	for _, role := range []account.Role{account.Viewer, account.Officer, account.Admin} {
		w.user(role)
	}
	b.load(adminURL + "login")
	b.press("admin" + kb.Tab + "not the password")
	b.loads(func() { b.press(kb.Enter) })
	each("refused")
	b.as(account.Admin, "users")
	w.open().as(account.Admin, "")
	eval[bool](b, `(document.querySelectorAll('details.person')[2].open = true)`)
	each("users")
	b.look(1280, 800, "light")
	eval[bool](b, `(document.querySelectorAll('details.person')[2].querySelector('select').value = 'officer', true)`)
	b.loads(func() { b.click("details[open] button[value=role]") })
	if got := b.text(); !strings.Contains(got, "The user has another role") {
		t.Errorf("after another role:\n%s", got)
	}
	if got := w.command("user", "list", "--data", w.folder); !regexp.MustCompile(`(?m)^viewer +officer `).MatchString(got) {
		t.Errorf("the users:\n%s", got)
	}
	b.load(adminURL + "account")
	each("account")
}
