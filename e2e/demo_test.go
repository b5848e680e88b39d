package e2e

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDemoDashboard opens the dashboard of stile demo, with its made-up visitors, and takes the README's pictures of it.
func TestDemoDashboard(t *testing.T) {
	chromium(t)
	address, password := demo(t)
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).
		PostForm(address+"/admin/login", url.Values{"name": {"demo"}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) == 0 {
		t.Fatalf("logging in: %s", resp.Status)
	}
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, settings{hosts: map[string]http.Handler{"demo.shop.test": &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.AddCookie(resp.Cookies()[0])
	}}}})
	b := w.open()
	for _, shot := range []struct{ page, picture, theme, says string }{
		{"", "dashboard", "light", "Interaction rate"},
		{"sightings", "sightings", "dark", "Hotjar was seen on"},
	} {
		b.look(1280, 900, shot.theme).load("http://demo.shop.test/admin/sites/shop/" + shot.page)
		if text := b.text(); !strings.Contains(text, "Simulated figures") || !strings.Contains(text, shot.says) {
			t.Errorf("%s says:\n%s", shot.picture, text)
		}
		b.axe(shot.picture, "")
		b.picture(shot.picture)
	}
	for _, page := range []string{
		"sites/shop/", "sites/shop/tags", "sites/shop/tags/pixel-a", "sites/shop/simulator?region=DE&choice=none", "sites/shop/sightings", "sites/shop/requests", "sites/shop/trail", "users", "account",
	} {
		b.load("http://demo.shop.test/admin/" + page)
		for _, width := range []int64{390, 1024, 1280} {
			b.look(width, 844, "light").showsAllColumns(page, width)
		}
		b.look(390, 844, "dark").axe(page+" on a phone", "")
	}
}

// showsAllColumns finds no table that is cut, but for one of figures on a phone, which says so by a shadow; and each value has the
// label of its column beside it.
func (b *tab) showsAllColumns(page string, width int64) {
	b.t.Helper()
	for _, cut := range eval[[]string](b, `[...document.querySelectorAll('.scroll, main pre')].filter(e => e.scrollWidth > e.clientWidth + 1)
		.filter(e => innerWidth > 390 || !e.querySelector('table:not(.stack)')).map(e => e.ariaLabel)`) {
		b.t.Errorf("%s is cut at %d px: %s", page, width, cut)
	}
	for _, wrong := range eval[[]string](b, `[...document.querySelectorAll('.stack')].flatMap(t => [...t.tBodies[0].rows].flatMap(r => [...r.cells].flatMap((c, i) => {
		const over = t.tHead.rows[0].cells[i].innerText.trim(), label = c.tagName == 'TH' || c.querySelector('button') || !c.textContent.trim() ? over : c.dataset.label
		return label == over && c.role && r.role == 'row' && t.role == 'table' ? [] : [label + ' under ' + over]
	})))`) {
		b.t.Errorf("%s: %s", page, wrong)
	}
}

// demo starts stile demo, and says where its dashboard is and the password that it printed.
func demo(t *testing.T) (address, password string) {
	t.Helper()
	cmd := exec.Command(stileBinary, "demo", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = out.Close() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := regexp.MustCompile(`(http://\S+)/admin/ .* password (\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			return m[1], m[2]
		}
	}
	t.Fatal("stile demo prints no address of a dashboard")
	return "", ""
}
