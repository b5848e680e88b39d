package e2e

import (
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"

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
