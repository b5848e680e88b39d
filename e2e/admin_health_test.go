package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stilehq/stile/server/account"
)

// A configuration that is refused is loud on the page, and told to the webhook; so is its end. A test is sent by a button.
func TestAdminHealth(t *testing.T) {
	told := make(chan string, 20)
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var m struct {
			Type string
			Data struct{ Kind, URL string }
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		if m.Data.Kind == "configuration" || m.Data.Kind == "test" {
			told <- m.Type + " " + m.Data.Kind + " " + m.Data.URL
		}
		rw.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	hears := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("the webhook is told %q, not %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the webhook is never told %q", want)
		}
	}
	w := newWorld(t, settings{
		env:  []string{"STILE_ALERT_WEBHOOK=" + hook.URL, "STILE_ALERT_SECRET=" + strings.Repeat("s", 32)},
		args: []string{"--forward-networks", "127.0.0.0/8", "--admin-url", "https://consent.shop.test"},
	})
	w.user(account.Admin)
	b := w.open()
	b.as(account.Admin, "health")
	if eval[bool](b, `!!document.querySelector('main [role=alert]')`) {
		t.Errorf("the page is loud at the start:\n%s", b.text())
	}
	w.reconfigure(func(text string) string { return strings.Replace(text, "controller:", "controler:", 1) }, "the old one goes on")
	hears("alert.raised configuration https://consent.shop.test/admin/health")
	b.load(adminURL + "health")
	loud := eval[string](b, `document.querySelector('main [role=alert]')?.innerText ?? ''`)
	for _, want := range []string{"Last reload", "the configuration from before goes on", "controler", "stile check"} {
		if !strings.Contains(loud, want) {
			t.Errorf("%q is not in\n%s", want, loud)
		}
	}
	neat := func(page string) {
		t.Helper()
		for _, screen := range screens {
			for _, theme := range []string{"light", "dark"} {
				b.look(screen.width, screen.height, theme)
				b.axe(page+" "+screen.name+" "+theme, "")
				if over := eval[float64](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
					t.Errorf("%s is %v px too wide on a %s", page, over, screen.name)
				}
			}
		}
	}
	neat("health")
	b.load(adminURL + "alerts")
	if got := eval[string](b, `document.querySelector('.raised h2')?.innerText ?? ''`); got != "A configuration was refused" {
		t.Errorf("what holds is %q", got)
	}
	neat("alerts")
	b.loads(func() { b.say(`document.querySelector('form.test').requestSubmit()`) })
	hears("alert.test test https://consent.shop.test/admin/alerts")
	if got := eval[string](b, `document.querySelector('main [role=status]').innerText`); !strings.Contains(got, "taken by "+strings.TrimPrefix(hook.URL, "http://")) {
		t.Errorf("the test is said to be %q", got)
	}
	w.reconfigure(func(text string) string { return strings.Replace(text, "controler:", "controller:", 1) }, "reloaded")
	hears("alert.ended configuration https://consent.shop.test/admin/health")
	b.load(adminURL + "health")
	if eval[bool](b, `!!document.querySelector('main [role=alert]')`) {
		t.Errorf("the page is loud still:\n%s", b.text())
	}
}
