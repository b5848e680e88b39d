package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/stilehq/stile/server/account"
)

var shownNotice = regexp.MustCompile(`[{,]h:"([A-Za-z0-9_-]{22})"`)

// chosen has stand-in visitors see the banner and accept or reject everything.
func (w *world) chosen(accepted, rejected int) {
	w.t.Helper()
	ask := func(method, path string, form url.Values) string {
		req, err := http.NewRequest(method, w.target.String()+path, strings.NewReader(form.Encode()))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			w.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, body)
		}
		return string(body)
	}
	for i := range accepted + rejected {
		m := shownNotice.FindStringSubmatch(ask(http.MethodGet, "/stile/shop.js", nil))
		if m == nil {
			w.t.Fatal("the script names no notice")
		}
		accept := "all"
		if i >= accepted {
			accept = "none"
		}
		ask(http.MethodPost, "/stile/shop/choice", url.Values{"id": {uuid.NewString()}, "notice": {m[1]}, "surface": {"banner"}, "accept": {accept}})
	}
}

// ago moves all that was counted to a day of the past. The server is not to be running.
func (w *world) ago(days int) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.folder, "stile.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE tallies SET day = date(day, ?)`, fmt.Sprintf("-%d days", days)); err != nil {
		w.t.Fatal(err)
	}
}

// figure is the number that a card shows.
func (b *tab) figure(name string) int {
	b.t.Helper()
	text := eval[string](b, fmt.Sprintf(`[...document.querySelectorAll('.stat')].find(s => s.querySelector('dt').innerText.includes(%q)).querySelector('b').innerText`, name))
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		b.t.Fatalf("%s is %q", name, text)
	}
	return n
}

// What an admin shares is read without a session: near the truth, the same at every look, nothing of what is small, and
// nothing at all once it is revoked.
func TestAdminShare(t *testing.T) {
	w := newWorld(t, settings{})
	w.user(account.Admin)
	w.chosen(200, 100)
	w.stop()
	w.ago(21)
	w.start()

	b := w.open()
	b.as(account.Admin, "sites/shop/share")
	themes := func(b *tab, what string) {
		t.Helper()
		for _, theme := range []string{"light", "dark"} {
			b.look(1280, 800, theme)
			b.axe(what+", "+theme, "")
			b.look(390, 844, theme)
			b.axe(what+", phone, "+theme, "")
			if eval[bool](b, "document.documentElement.scrollWidth > innerWidth") {
				t.Errorf("%s, phone: the page is wider than the screen", what)
			}
		}
	}
	themes(b, "no link")
	b.loads(func() {
		b.say(`(document.querySelector('[name=label]').value = 'The agency', document.querySelector('[name=epsilon]').value = '2', document.querySelector('[name=label]').form.requestSubmit())`)
	})
	link := eval[string](b, `document.querySelector('.address').value`)
	if !strings.HasPrefix(link, "https://consent.shop.test/share/") {
		t.Fatalf("the link is %q", link)
	}
	themes(b, "a link that was made")

	anybody := w.open()
	anybody.load(link + "?weeks=4")
	if text := anybody.text(); !strings.Contains(text, "Consent figures of shop") || strings.Contains(text, "agency") {
		t.Fatalf("the link shows:\n%s", text)
	}
	const margin = 64 // 3 widths of 4, times the root of 28 days
	shown := map[string]int{}
	for name, truth := range map[string]int{"Displays": 300, "Accepted all": 200, "Rejected all": 100, "Custom": 0} {
		shown[name] = anybody.figure(name)
		if off := shown[name] - truth; off < -2*margin || off > 2*margin {
			t.Errorf("%s: %d is shown of %d", name, shown[name], truth)
		}
	}
	rows := eval[string](anybody, `[...document.querySelectorAll('.third tr')].map(r => r.innerText.replace(/\s+/g, ' ')).join('\n')`)
	for _, name := range []string{"analytics", "Desktop", "Phone", "Tablet"} {
		if !strings.Contains(rows, name+" fewer than ") {
			t.Errorf("%s is shown, of fewer choices than are told of:\n%s", name, rows)
		}
	}
	themes(anybody, "the shared view")
	again := w.open()
	again.load(link + "?weeks=4")
	for name, n := range shown {
		if got := again.figure(name); got != n {
			t.Errorf("%s is %d, then %d", name, n, got)
		}
	}

	b.load(adminURL + "sites/shop/share")
	b.loads(func() { b.say(`document.querySelector('form[action$=revoke]').requestSubmit()`) })
	anybody.load(link)
	if text := anybody.text(); !strings.Contains(text, "Nothing is shared here") || strings.Contains(text, "shop") {
		t.Errorf("a revoked link shows:\n%s", text)
	}
	themes(anybody, "a revoked link")
}
