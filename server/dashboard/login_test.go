package dashboard

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/keys"
)

const words = "a stile is a step over a fence"

// guard is a desk that users log in to, by HTTPS.
func guard(t *testing.T) *desk {
	t.Helper()
	k := newDesk(t)
	ring, err := keys.Parse([]string{strings.Repeat("01", 32)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.d.Accounts = account.New(account.Options{Store: k.ledger, Keys: func() []keys.Secret { return ring.Cookie }})
	t.Cleanup(func() { _ = k.d.Accounts.Close() })
	k.d.Secure = func(r *http.Request) bool { return r.Header.Get("X-Forwarded-Proto") == "https" }
	k.d.Client = func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() }
	return k
}

func (k *desk) user(name string, role account.Role) {
	k.t.Helper()
	if err := k.d.Accounts.Add(k.t.Context(), "operator", account.User{Name: name, Role: role}, words); err != nil {
		k.t.Fatal(err)
	}
}

// caller is a browser: it keeps the session's cookie.
type caller struct {
	k      *desk
	cookie *http.Cookie
}

func (c *caller) do(method, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	c.k.t.Helper()
	r := httptest.NewRequestWithContext(c.k.t.Context(), method, "https://consent.shop.example"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-Proto", "https")
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	for _, fn := range change {
		fn(r)
	}
	rec := httptest.NewRecorder()
	c.k.d.ServeHTTP(rec, r)
	for _, set := range rec.Result().Cookies() {
		if set.Name == "__Host-stile-admin" {
			if c.cookie = set; set.MaxAge < 0 {
				c.cookie = nil
			}
		}
	}
	return rec
}

func (c *caller) login(name string) *caller {
	c.k.t.Helper()
	if rec := c.do(http.MethodPost, "/admin/login", url.Values{"name": {name}, "password": {words}}); rec.Code != http.StatusSeeOther || c.cookie == nil {
		c.k.t.Fatalf("logging in as %s: %d\n%s", name, rec.Code, rec.Body)
	}
	return c
}

func warned(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Find("[role=alert]").Text()
}

// titled is what stands over a page.
func titled(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(rec.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Find("h1").Text()
}

func TestLogInAndOut(t *testing.T) {
	k := guard(t)
	c := &caller{k: k}
	if rec := c.do(http.MethodGet, "/admin/login", nil); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "stile user add") {
		t.Errorf("without a user: %d\n%s", rec.Code, rec.Body)
	}
	k.user("ada", account.Viewer)
	if rec := c.do(http.MethodGet, "/admin/login", nil); strings.Contains(rec.Body.String(), "stile user add") {
		t.Error("with a user the page says that there is none")
	}
	rec := c.do(http.MethodPost, "/admin/login", url.Values{"name": {`<ada">`}, "password": {words}, "next": {"/admin/sites/shop/"}})
	name, next := "", ""
	if doc, err := goquery.NewDocumentFromReader(rec.Body); err == nil {
		name, _ = doc.Find("[name=name]").Attr("value")
		next, _ = doc.Find("[name=next]").Attr("value")
	}
	if rec.Code != http.StatusUnauthorized || name != `<ada">` || next != "/admin/sites/shop/" || c.cookie != nil {
		t.Errorf("a wrong name: %d, the form has %q, %q", rec.Code, name, next)
	}
	rec = c.do(http.MethodPost, "/admin/login", url.Values{"name": {"ada"}, "password": {words}, "next": {"/admin/sites/shop/tags?q=a"}})
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/sites/shop/tags?q=a" {
		t.Errorf("logged in: %d %v", rec.Code, rec.Header())
	}
	stolen := *c.cookie
	if rec := c.do(http.MethodGet, "/admin/", nil); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "ada") {
		t.Errorf("the first page: %d", rec.Code)
	}
	if rec := c.do(http.MethodGet, "/admin/users", nil); rec.Code != http.StatusForbidden || titled(t, rec) != "Not for your role" || !strings.Contains(warned(t, rec), "role admin") {
		t.Errorf("a viewer at an admin's page: %d", rec.Code)
	}
	if rec := c.do(http.MethodPost, "/admin/logout", nil); rec.Code != http.StatusSeeOther || c.cookie != nil {
		t.Errorf("logging out: %d, the browser has %v", rec.Code, c.cookie)
	}
	thief := &caller{k: k, cookie: &stolen}
	if rec := thief.do(http.MethodGet, "/admin/", nil); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/login?next=%2Fadmin%2F" {
		t.Errorf("a stolen cookie after the log-out: %d", rec.Code)
	}
	if rec := thief.do(http.MethodPost, "/admin/account/password", url.Values{"current": {words}}); rec.Code != http.StatusUnauthorized || titled(t, rec) != "Log in" ||
		!strings.Contains(rec.Body.String(), "You are not logged in, and nothing was changed") || !strings.Contains(rec.Body.String(), `action="/admin/login"`) {
		t.Errorf("a form with it: %d\n%s", rec.Code, rec.Body)
	}
}

// No page of another origin changes anything, nor logs anybody in.
func TestForeignForms(t *testing.T) {
	k := guard(t)
	k.user("root", account.Admin)
	k.user("ada", account.Viewer)
	c := (&caller{k: k}).login("root")
	for name, from := range map[string]func(*http.Request){
		"another site":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"the shop":              func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an old browser's shop": func(r *http.Request) { r.Header.Set("Origin", "https://www.shop.example") },
		"a page without origin": func(r *http.Request) { r.Header.Set("Origin", "null") },
	} {
		for path, form := range map[string]url.Values{
			"/admin/users": {"do": {"sessions"}, "name": {"ada"}}, "/admin/logout": nil, "/admin/login": {"name": {"ada"}, "password": {words}},
		} {
			rec := c.do(http.MethodPost, path, form, from)
			if title := titled(t, rec); rec.Code != http.StatusForbidden || title != "Not from this dashboard" || !strings.Contains(warned(t, rec), "another site") || len(rec.Result().Cookies()) > 0 {
				t.Errorf("from %s to %s: %d, %s", name, path, rec.Code, title)
			}
		}
	}
	own := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "https://consent.shop.example")
	}
	if rec := c.do(http.MethodPost, "/admin/users", url.Values{"do": {"role"}, "name": {"ada"}, "role": {"officer"}}, own); rec.Code != http.StatusSeeOther {
		t.Errorf("from here: %d", rec.Code)
	}
}

// On the trail, who was refused is somebody who gave a name, and nobody who has it.
func TestTrailOfRefused(t *testing.T) {
	k := guard(t)
	k.user("ada", account.Viewer)
	c := &caller{k: k}
	for _, name := range []string{"ada", "ada", "root"} {
		c.do(http.MethodPost, "/admin/login", url.Values{"name": {name}, "password": {"guessed"}})
	}
	if err := k.d.Accounts.Close(); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?act=refuse", "?who=somebody", "?who=Somebody&act=refuse"} {
		row := textOf(k.page(account.Officer, "/admin/sites/shop/trail"+query).Find("tbody tr").First())
		if !strings.Contains(row, " Somebody Was refused a log-in all sites 3 in the name of ada 2, others and unknown names 1 ") {
			t.Errorf("%q: the line says %q", query, row)
		}
	}
	for _, query := range []string{"?who=operator&act=refuse", "?who=ada&act=refuse"} {
		if rows := k.page(account.Officer, "/admin/sites/shop/trail"+query).Find("tbody tr").Length(); rows != 0 {
			t.Errorf("%q: %d lines", query, rows)
		}
	}
}

// Passwords go by HTTPS, or nowhere but to the machine itself.
func TestPlainHTTP(t *testing.T) {
	k := guard(t)
	k.user("ada", account.Viewer)
	for host, want := range map[string]int{
		"consent.shop.example": http.StatusForbidden, "192.0.2.1:8081": http.StatusForbidden, "localhost.evil.example": http.StatusForbidden,
		"localhost:8081": http.StatusSeeOther, "127.0.0.1:8081": http.StatusSeeOther, "[::1]:8081": http.StatusSeeOther, "stile.localhost": http.StatusSeeOther,
	} {
		c := &caller{k: k}
		rec := c.do(http.MethodPost, "/admin/login", url.Values{"name": {"ada"}, "password": {words}}, func(r *http.Request) {
			r.Header.Del("X-Forwarded-Proto")
			r.Host = host
		})
		if rec.Code != want {
			t.Errorf("at http://%s: %d", host, rec.Code)
		}
	}
}

func TestTooMany(t *testing.T) {
	k := guard(t)
	c := &caller{k: k}
	for i := range 11 {
		rec := c.do(http.MethodPost, "/admin/login", url.Values{"name": {"bob"}, "password": {"guess"}})
		if i < 10 && rec.Code != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, rec.Code)
		}
		if i == 10 && (rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" || !strings.Contains(warned(t, rec), "wait 15 minutes")) {
			t.Errorf("the last guess: %d, %v", rec.Code, rec.Header())
		}
	}
}

// Where no proxy is trusted, all users behind one wait together: the log says why.
func TestProxyIsNamed(t *testing.T) {
	for trusted, want := range map[bool]int{false: 1, true: 0} {
		k := guard(t)
		var log strings.Builder
		k.d.Log = slog.New(slog.NewTextHandler(&log, nil))
		if trusted {
			k.d.Client = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Forwarded-For")) }
		}
		for range 11 {
			(&caller{k: k}).do(http.MethodPost, "/admin/login", url.Values{"name": {"bob"}}, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.1") })
		}
		if got := strings.Count(log.String(), "--trusted-proxies"); got != want {
			t.Errorf("trusted is %v, and the log says %q", trusted, log.String())
		}
	}
}

func TestNextPage(t *testing.T) {
	for asked, want := range map[string]string{
		"/admin/sites/shop/tags?q=a%20b&x=1": "/admin/sites/shop/tags?q=a%20b&x=1", "/admin/": "/admin/", "/admin/sites/shop/../": "/admin/sites/shop/../",
		"": "/admin/", "/": "/admin/", "//evil.example/admin/": "/admin/", `/\evil.example`: "/admin/", `\\evil.example`: "/admin/", "https://evil.example/admin/": "/admin/",
		"/admin/../../evil": "/admin/", "/admin/..%2f..%2fevil": "/admin/", "/admin/%2e%2e/evil": "/admin/", `/admin/..%5c..%5cevil`: "/admin/", "/%2fevil.example": "/admin/",
		"/admin//evil.example": "/admin//evil.example", "javascript:alert(1)": "/admin/", "/administrator": "/admin/", " /admin/x": "/admin/", "/admin/\r\nSet-Cookie: a=b": "/admin/",
		"/admin/logout": "/admin/", "/admin/login?next=/admin/x": "/admin/", "/admin/login/oidc": "/admin/", "/admin/ä": "/admin/", "/admin/%zz": "/admin/", "%2F%2Fevil.example": "/admin/",
	} {
		if got := nextPage(asked); got != want {
			t.Errorf("%q leads to %q, want %q", asked, got, want)
		}
	}
}

func FuzzNextPage(f *testing.F) {
	f.Add("/admin/x")
	f.Add(`/\evil.example`)
	f.Add("/admin/..%2f..%2f")
	home, err := url.Parse("https://consent.shop.example/admin/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		to, err := home.Parse(strings.ReplaceAll(nextPage(asked), `\`, "/")) // as browsers do
		if err != nil || to.Host != home.Host || to.Scheme != "https" || !strings.HasPrefix(to.Path+"/", "/admin/") {
			t.Errorf("%q leads to %v, %v", asked, to, err)
		}
	})
}

func TestOwnAccount(t *testing.T) {
	k := guard(t)
	k.user("ada", account.Viewer)
	c, other, third := (&caller{k: k}).login("ada"), (&caller{k: k}).login("ada"), (&caller{k: k}).login("ada")
	in := func(c *caller) bool { return c.do(http.MethodGet, "/admin/", nil).Code == http.StatusOK }
	doc, err := goquery.NewDocumentFromReader(c.do(http.MethodGet, "/admin/account", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	ids := doc.Find("td [name=id]")
	if ids.Length() != 2 || doc.Find("tbody tr").Length() != 3 {
		t.Errorf("%d of %d sessions can be ended", ids.Length(), doc.Find("tbody tr").Length())
	}
	id, _ := ids.Attr("value")
	if rec := c.do(http.MethodPost, "/admin/account/sessions", url.Values{"id": {id}}); rec.Code != http.StatusSeeOther || in(other) == in(third) || !in(c) {
		t.Errorf("ending one: %d", rec.Code)
	}
	if rec := c.do(http.MethodPost, "/admin/account/sessions", url.Values{"id": {"others"}}); rec.Code != http.StatusSeeOther || in(other) || in(third) || !in(c) {
		t.Errorf("ending all others: %d", rec.Code)
	}
	other.login("ada")
	for want, form := range map[string]url.Values{
		"is another one":   {"current": {"guess"}, "new": {words + "!"}, "again": {words + "!"}},
		"are not the same": {"current": {words}, "new": {words + "!"}, "again": {words + "?"}},
		"at least 12":      {"current": {words}, "new": {"short"}, "again": {"short"}},
	} {
		if rec := c.do(http.MethodPost, "/admin/account/password", form); rec.Code < 400 || !strings.Contains(warned(t, rec), want) || !in(other) {
			t.Errorf("%s: %d", want, rec.Code)
		}
	}
	rec := c.do(http.MethodPost, "/admin/account/password", url.Values{"current": {words}, "new": {words + "!"}, "again": {words + "!"}})
	if rec.Code != http.StatusSeeOther || in(other) || !in(c) {
		t.Errorf("a new password: %d, the other session goes on: %v", rec.Code, in(other))
	}
}

func TestUsersPage(t *testing.T) {
	k := guard(t)
	k.user("root", account.Admin)
	k.user("ada", account.Viewer)
	c, ada := (&caller{k: k}).login("root"), (&caller{k: k}).login("ada")
	post := func(form url.Values) *httptest.ResponseRecorder { return c.do(http.MethodPost, "/admin/users", form) }
	for want, form := range map[string]url.Values{
		"tick the box":     {"do": {"removed"}, "name": {"ada"}},
		"only admin":       {"do": {"removed"}, "name": {"root"}, "sure": {"on"}},
		"no role":          {"do": {"role"}, "name": {"ada"}, "role": {"king"}},
		"nothing like":     {"do": {"sessions"}, "name": {"bob"}},
		"nothing that can": {"do": {"fly"}, "name": {"ada"}},
	} {
		if rec := post(form); rec.Code < 400 || rec.Code >= 500 || !strings.Contains(strings.ToLower(warned(t, rec)), want) {
			t.Errorf("%s: %d", want, rec.Code)
		}
	}
	if rec := ada.do(http.MethodPost, "/admin/users", url.Values{"do": {"role"}, "name": {"ada"}, "role": {"admin"}}); rec.Code != http.StatusForbidden {
		t.Errorf("a viewer makes themself an admin: %d", rec.Code)
	}
	if rec := post(url.Values{"do": {"role"}, "name": {"ada"}, "role": {"officer"}}); rec.Code != http.StatusSeeOther {
		t.Errorf("a role: %d", rec.Code)
	}
	if rec := ada.do(http.MethodGet, "/admin/", nil); rec.Code != http.StatusSeeOther {
		t.Errorf("after another role the session goes on: %d", rec.Code)
	}
	if rec := post(url.Values{"do": {"removed"}, "name": {"ada"}, "sure": {"on"}}); rec.Code != http.StatusSeeOther {
		t.Errorf("removing: %d", rec.Code)
	}
	if rec := c.do(http.MethodGet, "/admin/users?done=removed", nil); strings.Contains(rec.Body.String(), "ada") || !strings.Contains(rec.Body.String(), "The user was removed") {
		t.Errorf("after it:\n%s", rec.Body)
	}
}
