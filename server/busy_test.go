package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/ledger"
)

// lockLedger holds the ledger's write lock, as a backup would, until it is called.
func lockLedger(t *testing.T, w *world) (release func()) {
	t.Helper()
	if database(t) != "" {
		t.Skip("PostgreSQL has no file to lock: choices go to the spool there")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.folder, "data", "stile.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err == nil {
		_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
}

// post sends a plain form, or one that wants JSON.
func (w *world) post(path, accept string, form url.Values) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Language", "de")
	r.Header.Set("Origin", "https://www.shop.example")
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// formOf is where the form of a page goes, and what it sends.
func formOf(t *testing.T, page string) (action string, fields url.Values) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	fields = url.Values{}
	for n := range root.Descendants() {
		at := map[string]string{}
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		switch n.Data {
		case "form":
			action = at["action"]
		case "input":
			fields.Add(at["name"], strings.ReplaceAll(at["value"], "\n", "\r\n")) // as browsers do
		}
	}
	return action, fields
}

// busyForm is a form, the heading of the page that says that it is to be sent again, and how many records it makes.
type busyForm struct {
	path, title string
	form        url.Values
	records     int
}

// While the ledger is held up every form that acts is answered 503 with Retry-After. The page that a plain form gets
// sends the same once more, and all is stored once.
func TestBusyForms(t *testing.T) {
	t.Run("choices", func(t *testing.T) {
		t.Parallel()
		w, guardian := busyWorld(t)
		proof := func(more ...string) url.Values {
			form := url.Values{"id": {uuid.NewString()}, "notice": {w.notice}, "surface": {"page"}}
			for i := 0; i < len(more); i += 2 {
				form.Add(more[i], more[i+1])
			}
			return form
		}
		w.holdUp([]busyForm{
			{"/stile/shop/choice", "Cookie", proof("accept", "none"), 1},
			{"/stile/shop/withdraw", "Cookie", proof(), 1},
			{guardian, "Sorge", proof("guardian", "yes", "category", "analytics", "category", "marketing"), 1},
		}, "application/json", "text/html")
	})
	t.Run("rights", func(t *testing.T) {
		t.Parallel()
		w, _ := busyWorld(t)
		w.holdUp([]busyForm{
			{"/stile/shop/request", "Anfrage", url.Values{"kind": {"copy"}, "contact": {"a@b.example"}, "details": {"one\r\n<b>\"two\"</b>"}}, 0},
			{"/stile/shop/erase", "Rechte", url.Values{}, -1},
		}, "text/html")
		list, err := w.s.ledger.Requests(t.Context(), "shop")
		if err != nil || len(list) != 2 || list[0].Details != "one\r\n<b>\"two\"</b>" {
			t.Errorf("the requests are %+v, %v", list, err)
		}
	})
}

// busyWorld is a world with a visitor under the site's age, who has chosen and has a link for a guardian.
func busyWorld(t *testing.T) (w *world, guardian string) {
	t.Helper()
	w = newWorld(t)
	w.write(strings.Replace(siteText, "categories:", "minors: {age: 14, guardian: true}\ncategories:", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, script := w.get("/stile/shop.js")
	w.notice = regexp.MustCompile(`h:"([^"]+)"`).FindStringSubmatch(script)[1]
	_, body := w.choose("accept=all&age=younger")
	var first choiceAnswer
	if err := json.Unmarshal([]byte(body), &first); err != nil || first.Guardian == nil {
		t.Fatalf("%v: %s", err, body)
	}
	return w, first.Guardian.Path
}

// holdUp sends all forms at once while the ledger is locked, and then what the pages that they get send.
func (w *world) holdUp(forms []busyForm, accepts ...string) {
	w.t.Helper()
	t := w.t
	want, pages := w.records(), make([]string, len(forms))
	release := lockLedger(t, w)
	defer release()
	var wg sync.WaitGroup
	for i, f := range forms {
		for _, accept := range accepts {
			wg.Go(func() {
				resp, body, err := w.post(f.path, accept, f.form)
				if err != nil {
					t.Error(err)
					return
				}
				h := resp.Header
				if resp.StatusCode != http.StatusServiceUnavailable || h.Get("Retry-After") != "2" || !strings.Contains(h.Get("Cache-Control"), "no-store") {
					t.Errorf("%s, %s: answered %d, %v: %s", f.path, accept, resp.StatusCode, h, body)
				}
				if h.Get("Access-Control-Expose-Headers") != "Retry-After" {
					t.Errorf("%s, %s: a page of the site cannot read Retry-After: %v", f.path, accept, h)
				}
				if len(resp.Cookies()) > 0 {
					t.Errorf("%s, %s: set %v", f.path, accept, resp.Cookies())
				}
				if accept == "text/html" {
					pages[i] = body
				} else if !strings.Contains(body, "stored") {
					t.Errorf("%s: answered %s", f.path, body)
				}
			})
		}
	}
	wg.Wait()
	if slices.ContainsFunc(forms, func(f busyForm) bool { return f.records > 0 }) {
		// An operator is told what holds the ledger up. On a busy machine SQLite finds out later than the visitors leave,
		// since it counts how long it means to sleep.
		w.log.await(t, "no choice can be stored now")
		if log := w.log.String(); strings.Count(log, "no choice can be stored now") > 1 || !strings.Contains(log, "locked by another process") {
			t.Errorf("an operator is not told once what holds the ledger up: %s", log)
		}
	}
	release()
	if list, err := w.s.ledger.Requests(t.Context(), "shop"); err != nil || len(list) > 0 {
		t.Errorf("requests were kept: %v, %v", list, err)
	}
	words, err := banner.LoadWords("de")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range forms {
		if !strings.Contains(pages[i], words.Busy.Intro) || !strings.Contains(pages[i], words.Busy.Again) || !strings.Contains(pages[i], f.title) {
			t.Errorf("%s: the page is %s", f.path, pages[i])
		}
		action, again := formOf(t, pages[i])
		if action != f.path || again.Encode() != f.form.Encode() {
			t.Errorf("%s: the page sends %v to %s, want %v", f.path, again, action, f.form)
		}
		for range 2 {
			if resp, body, err := w.post(action, "text/html", again); err != nil || resp.StatusCode >= 500 {
				t.Errorf("%s: sent again it is answered %v, %v: %s", f.path, resp, err, body)
			}
		}
		want += f.records
	}
	// What waited for longer than its visitor did may have been stored meanwhile: once all the same.
	if n := w.records(); n != want {
		t.Errorf("%d records, want %d", n, want)
	}
}

// A full queue is answered at once, in the frame of the page without JavaScript as well, and is no line in the log.
func TestBusyQueue(t *testing.T) {
	w := newWorld(t)
	form := url.Values{"id": {uuid.NewString()}, "notice": {w.notice}, "accept": {"all"}, "to": {"banner"}, "frame": {"cross"}}
	answer := func(accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/stile/shop/choice", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", accept)
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		c := w.s.echo.NewContext(r, rec)
		c.SetPath("/stile/:site/choice")
		c.SetParamNames("site")
		c.SetParamValues("shop")
		w.s.respond(fmt.Errorf("storing a record of shop: %w", ledger.ErrBusy), c)
		return rec
	}
	page := answer("text/html")
	policy := page.Header().Get("Content-Security-Policy")
	if page.Code != http.StatusServiceUnavailable || page.Header().Get("Retry-After") != "2" || !strings.Contains(policy, "frame-ancestors 'self' https://www.shop.example") {
		t.Errorf("answered %d, %v", page.Code, page.Header())
	}
	if action, again := formOf(t, page.Body.String()); action != "/stile/shop/choice" || again.Encode() != form.Encode() {
		t.Errorf("the page sends %v to %s", again, action)
	}
	if rec := answer("application/json"); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "nothing was stored, try again") {
		t.Errorf("answered %d: %s", rec.Code, rec.Body)
	}
	if strings.Contains(w.log.String(), "held up") || strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("the log is %s", w.log)
	}
}
