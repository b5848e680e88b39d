package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger/postgrestest"
	"github.com/stilehq/stile/server/receipt"
)

// several are processes that share a database and keys, as behind a load balancer: what a visitor does goes to any of them.
func several(t *testing.T, n int) (all []*world, line *postgrestest.Proxy) {
	t.Helper()
	ring, err := keys.Parse([]string{strings.Repeat("ab", 32)}, []string{strings.Repeat("cd", 32)}, []string{strings.Repeat("ef", 32)})
	if err != nil {
		t.Fatal(err)
	}
	address := postgrestest.Database(t)
	line = postgrestest.NewProxy(t, address)
	for i := range n {
		all = append(all, newWorld(t, func(o *Options) {
			o.Keys, o.Database = ring, address
			if i == 0 {
				o.Database = line.URL()
			}
		}))
	}
	for _, w := range all[1:] {
		w.client.Jar = moved{w, all[0]}
	}
	return all, line
}

// moved is a jar whose cookies are those of another world's host: the visitor sees one host.
type moved struct{ from, to *world }

func (m moved) host(u *url.URL) *url.URL {
	v, err := url.Parse(m.to.base + u.Path)
	if err != nil {
		panic(err)
	}
	return v
}

func (m moved) SetCookies(u *url.URL, cookies []*http.Cookie) {
	m.to.client.Jar.SetCookies(m.host(u), cookies)
}
func (m moved) Cookies(u *url.URL) []*http.Cookie { return m.to.client.Jar.Cookies(m.host(u)) }

// A visitor's requests may go to any process: their choice holds, their records are one chain, and any can sign a receipt.
func TestSeveralProcesses(t *testing.T) {
	all, _ := several(t, 3)
	a, b, c := all[0], all[1], all[2]
	first := a.accept("accept=all")
	if _, body := b.get("/stile/shop.js"); !strings.Contains(body, "G-AB12CD34EF") || strings.Contains(body, "Reject all") {
		t.Error("a choice made at one process does not hold at another")
	}
	second := b.accept("category=analytics")
	if _, body := c.get("/stile/shop.js"); strings.Contains(body, "pixel.example") {
		t.Error("a choice changed at one process is not known at another")
	}
	c.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+c.notice)
	for _, w := range all {
		_, body := w.get("/stile/shop/receipt")
		got, err := receipt.Check([]byte(body), all[0].publishedKeys())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Entries) != 3 || got.Entries[0].Record.ID.String() != first || got.Entries[1].Record.ID.String() != second ||
			got.Entries[2].Record.Previous.String() != second {
			t.Errorf("the chain is %+v", got.Entries)
		}
	}
	// The same act, sent again to another process.
	form := "id=" + uuid.NewString() + "&notice=" + a.notice + "&accept=none"
	var x, y choiceAnswer
	for w, into := range map[*world]*choiceAnswer{a: &x, b: &y} {
		_, body := w.send(http.MethodPost, "/stile/shop/choice", form)
		if err := json.Unmarshal([]byte(body), into); err != nil {
			t.Fatal(body)
		}
	}
	if x.Receipt != y.Receipt {
		t.Errorf("one act has the receipts %s and %s", x.Receipt, y.Receipt)
	}
	if _, body := b.send(http.MethodPost, "/stile/shop/erase", ""); !strings.Contains(body, `"erased":4`) {
		t.Errorf("erasing at one process: %s", body)
	}
	if n := a.records(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// The process that is cut off from the database goes on answering, and says so; nothing is lost, and nothing that was
// erased comes back.
func TestSeveralProcessesCutOff(t *testing.T) {
	all, line := several(t, 2)
	a, b := all[0], all[1]
	first := b.accept("accept=all")
	line.Cut()
	second := a.accept("category=analytics")
	if resp, body := a.get("/readyz"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "spool") {
		t.Errorf("readyz: %d %s", resp.StatusCode, body)
	}
	if _, body := a.get("/metrics"); !strings.Contains(body, "stile_ledger_away 1") || !strings.Contains(body, "stile_ledger_spooled_total 1") {
		t.Error("the metrics do not say that the database is away")
	}
	if !strings.Contains(a.log.String(), "choices are kept in the spool") {
		t.Error("the log does not say that the database is away")
	}
	if resp, body := a.get("/stile/shop/receipt"); resp.StatusCode == http.StatusOK {
		t.Errorf("a receipt was signed without the log: %s", body)
	}
	third := b.accept("accept=none") // to the other process, which does not know the second yet
	line.Heal()
	for a.s.ledger.Away() {
		if resp, _ := a.get("/readyz"); resp.StatusCode != http.StatusOK {
			t.Fatal("not ready")
		}
	}
	_, body := b.get("/stile/shop/receipt")
	got, err := receipt.Check([]byte(body), b.publishedKeys())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range got.Entries {
		ids[e.Record.ID.String()] = true
	}
	if !ids[first] || !ids[second] || !ids[third] || len(ids) != 3 {
		t.Errorf("the visitor's records are %v, want %s, %s, %s", ids, first, second, third)
	}

	line.Cut()
	a.accept("accept=all")
	if resp, body := b.send(http.MethodPost, "/stile/shop/erase", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("erasing: %s", body)
	}
	line.Heal()
	for a.s.ledger.Away() {
		a.get("/readyz")
	}
	// What the erased receipt was of is gone; what it followed, which nobody could find then, is gone with it.
	if n := b.records(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}
