package server

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/tally"
)

// C6: the words are had as they are stored, so that their hash can be checked, and as a page; anybody may keep both.
func TestNotice(t *testing.T) {
	w := newWorld(t)
	path := "/stile/shop/notice/" + w.notice
	resp, body := w.send(http.MethodGet, path, "", "Accept", "application/json")
	sum := sha256.Sum256([]byte(body))
	if got := base64.RawURLEncoding.EncodeToString(sum[:16]); resp.StatusCode != http.StatusOK || got != w.notice {
		t.Errorf("answered %d, with the hash %s, want %s", resp.StatusCode, got, w.notice)
	}
	page, html := w.send(http.MethodGet, path, "", "Accept", "text/html")
	for _, part := range []string{
		`lang="en"`, "Your choice on cookies", "EasyDser uses cookies", "Reject all", "Accept all", "Choose", "Cookie choices", "Save choices",
		"Always on", "Analytics", "Google Analytics", "Pixel", "2026-11-01", w.notice,
	} {
		if !strings.Contains(html, part) {
			t.Errorf("the page has no %q", part)
		}
	}
	for _, part := range []string{"<button", "<input", "<form", "<script"} {
		if strings.Contains(html, part) {
			t.Errorf("the page has %s: it is to be read", part)
		}
	}
	for _, r := range []*http.Response{resp, page} {
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("it may be kept: %q", got)
		}
		if got := r.Header.Get("Vary"); got != "Accept" || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("it varies by %q, and sets %q", got, r.Header.Get("Set-Cookie"))
		}
	}
	for _, wrong := range []string{"unknown", strings.ToLower(w.notice), w.notice + "A", "..%2f" + w.notice, "%3Cb%3E", strings.Repeat("a", 5000)} {
		for _, accept := range []string{"application/json", "text/html"} {
			resp, body := w.send(http.MethodGet, "/stile/shop/notice/"+wrong, "", "Accept", accept)
			if resp.StatusCode != http.StatusNotFound || strings.Contains(body, "<b>") || len(body) > 400 || resp.Header.Get("Cache-Control") != "private, no-store" {
				t.Errorf("%.40s: answered %d %q %.400s", wrong, resp.StatusCode, resp.Header.Get("Cache-Control"), body)
			}
		}
	}
	// A former one stays readable after the site's words changed, and after a restart would.
	w.write(strings.Replace(siteText, "EasyDser", "HardDser", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after := w.send(http.MethodGet, path, "", "Accept", "application/json"); after != body {
		t.Error("the words of a hash changed")
	}
	if _, after := w.send(http.MethodGet, path, "", "Accept", "text/html"); !strings.Contains(after, "EasyDser uses cookies") || strings.Contains(after, "HardDser") {
		t.Errorf("the page has the words of today: %s", after)
	}
}

// C10: the records page leads to the words of each record.
func TestRecordsLeadToTheirWords(t *testing.T) {
	w := newWorld(t)
	w.accept("accept=none")
	_, html := w.send(http.MethodGet, "/stile/shop/receipt", "", "Accept", "text/html")
	if !strings.Contains(html, `href="/stile/shop/notice/`+w.notice+`"`) {
		t.Errorf("no way to the words: %s", html)
	}
}

// C10: the visitor's erasure stands on the audit trail, by numbers alone.
func TestEraseIsAudited(t *testing.T) {
	w := newWorld(t)
	w.accept("accept=none")
	w.accept("accept=all")
	if resp, body := w.send(http.MethodPost, "/stile/shop/erase", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"erased":2`) {
		t.Fatalf("erasing is answered %d %s", resp.StatusCode, body)
	}
	all, err := w.s.ledger.Trail(t.Context(), "shop", -1, 10)
	if err != nil || len(all) != 1 || all[0].Actor != ledger.Visitor || all[0].Act != ledger.ActErase || all[0].Leaves.String() != "0-1" || all[0].Count != 2 {
		t.Errorf("the trail: %+v, %v", all, err)
	}
}

// An export that an officer has ready goes soon after a visitor who is in it.
func TestEraseShortensExports(t *testing.T) {
	w := newWorld(t)
	w.accept("accept=all")
	job, err := w.s.exports.Start(t.Context(), export.Order{Site: "shop", Kind: "csv", By: "ada"})
	for err == nil && job.State == export.Running {
		job, err = w.s.exports.Get("shop", job.ID)
	}
	if err != nil || time.Until(job.Until) <= export.KeptErased {
		t.Fatalf("%+v, %v", job, err)
	}
	if resp, _ := w.send(http.MethodPost, "/stile/shop/erase", ""); resp.StatusCode != http.StatusOK {
		t.Fatalf("erasing is answered %d", resp.StatusCode)
	}
	if job, err = w.s.exports.Get("shop", job.ID); err != nil || time.Until(job.Until) > export.KeptErased {
		t.Errorf("afterwards: %+v, %v", job, err)
	}
}

// C10: after an erasure by the operator nothing is recorded, which the visitor is told; the choice itself is in the
// visitor's own cookie and holds until they change it. A new one begins anew.
func TestErasedByTheOperator(t *testing.T) {
	w := newWorld(t)
	receipt := uuid.MustParse(w.accept("accept=all"))
	record, err := w.s.ledger.Find(t.Context(), "shop", receipt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.ledger.Erase(t.Context(), "shop", record.Subject, ledger.By{Actor: ledger.Operator("anna"), Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, html := w.send(http.MethodGet, "/stile/shop/receipt", "", "Accept", "text/html"); !strings.Contains(html, "There are no records of your choices.") {
		t.Errorf("the visitor reads %s", html)
	}
	if _, script := w.get("/stile/shop.js"); !strings.Contains(script, "G-AB12CD34EF") {
		t.Error("the choice does not hold any longer")
	}
	if resp, _ := w.send(http.MethodGet, "/stile/shop/preferences", "", "Accept", "text/html"); resp.StatusCode != http.StatusOK {
		t.Errorf("the preferences are answered %d", resp.StatusCode)
	}
	next, err := w.s.ledger.Find(t.Context(), "shop", uuid.MustParse(w.accept("accept=none")))
	if err != nil || next.Previous != uuid.Nil || next.Subject == record.Subject {
		t.Errorf("the next record is %+v, %v", next, err)
	}
}

// A receipt stands for nothing once its visitor took back everything where their cookie does not know of it.
func TestSubjectAfterWithdrawal(t *testing.T) {
	w := newWorld(t)
	receipt := uuid.MustParse(w.accept("accept=all"))
	her, err := w.s.subject(t.Context(), "shop", receipt)
	if err != nil || her == uuid.Nil {
		t.Fatal(her, err)
	}
	last, err := w.s.ledger.Find(t.Context(), "shop", receipt)
	if err != nil {
		t.Fatal(err)
	}
	withdrawal := last
	withdrawal.ID, withdrawal.Key, withdrawal.Previous, withdrawal.Action = uuid.Nil, uuid.New(), last.ID, "withdraw"
	withdrawal.Granted, withdrawal.Denied = nil, []string{"analytics", "marketing"}
	stored, err := w.s.ledger.Append(t.Context(), withdrawal)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.s.subject(t.Context(), "shop", receipt); err == nil {
		t.Errorf("after the withdrawal it is %s's", got)
	}
	if got, err := w.s.subject(t.Context(), "shop", stored.ID); err != nil || got != her {
		t.Errorf("the withdrawal's own receipt is %s's, %v", got, err)
	}
}

// retained waits until the server's own first run is over.
func (w *world) retained() {
	w.t.Helper()
	until(w.t, func() bool {
		_, metrics := w.get("/metrics")
		return strings.Contains(metrics, "stile_retention_last_run_timestamp_seconds 1")
	}, func() string { return "nothing is retired at the start: " + w.log.String() })
}

// C10: records go when their time is over, at the start and then daily, by one process at a time.
func TestRetention(t *testing.T) {
	var ahead atomic.Int64
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	w.retained()
	w.write(strings.Replace(siteText, "languages:", "retention: {keep: 3y, then: anonymise}\nlanguages:", 1))
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := uuid.MustParse(w.accept("accept=all"))
	form := url.Values{"kind": {"access"}, "contact": {"a@b.example"}}
	if resp, body := w.send(http.MethodPost, "/stile/shop/request", form.Encode()); resp.StatusCode != http.StatusCreated {
		t.Fatal(body)
	}
	run := func(holder string, want bool) {
		t.Helper()
		if done, err := w.s.retainOnce(t.Context(), holder); done != want || err != nil {
			t.Errorf("%s: %t, %v", holder, done, err)
		}
	}
	left := func() int {
		n, err := w.s.ledger.Count(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const year = 365 * 24 * time.Hour
	for _, d := range []time.Duration{0, 3 * year} { // 3 years after the choice it is 2.5 after its end
		ahead.Store(int64(d))
		if run("a", true); left() != 1 {
			t.Fatalf("%s ahead %d records are left", d, left())
		}
	}
	ahead.Store(int64(4 * year))
	if mine, err := w.s.ledger.Claim(t.Context(), "retention", "b", w.s.now(), time.Hour); !mine || err != nil {
		t.Fatal(mine, err)
	}
	if run("a", false); left() != 1 {
		t.Error("two were at it at once")
	}
	if err := w.s.ledger.Unclaim(t.Context(), "retention", "b"); err != nil {
		t.Fatal(err)
	}
	if run("a", true); left() != 0 {
		t.Error("the record is left")
	}
	past, err := w.s.ledger.Past(t.Context(), "shop")
	if err != nil || len(past) != 1 || past[0].Times != 1 || past[0].Action != "accept_all" {
		t.Errorf("counted: %+v, %v", past, err)
	}
	if list, err := w.s.ledger.Requests(t.Context(), "shop"); err != nil || len(list) != 1 || list[0].Receipt != uuid.Nil {
		t.Errorf("an open request: %+v, %v", list, err)
	}
	if log := w.log.String(); !strings.Contains(log, "records were anonymised: their time is over") || strings.Contains(log, first.String()) {
		t.Errorf("the log says %s", log)
	}
	if _, metrics := w.get("/metrics"); !strings.Contains(metrics, `stile_retention_records_total{act="anonymised",site="shop"} 1`) {
		t.Errorf("the metrics say %s", metrics)
	}
	// Words and policies are nobody's.
	if resp, _ := w.send(http.MethodGet, "/stile/shop/notice/"+w.notice, "", "Accept", "text/html"); resp.StatusCode != http.StatusOK {
		t.Errorf("the words are answered %d", resp.StatusCode)
	}
}

// The job runs at once, and goes on: what is over later is deleted within a day and an hour.
func TestRetentionDaily(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(folder, "stile.db")})
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{ledger: l, metrics: newMetrics(l), log: slog.New(slog.DiscardHandler), now: time.Now}
		s.figures = tally.Open(tally.Options{Database: l})
		keep := consent.Retention{Years: 3}
		s.current.Store(&snapshot{sites: map[string]*site{"shop": {Site: &consent.Site{Name: "shop", Retention: keep}}}})
		began := time.Now()
		for _, days := range []int{-1, 1, 10} { // when it is over
			at := keep.Before(began).AddDate(0, 0, days)
			if _, err := l.Append(ctx, ledger.Record{Key: uuid.New(), Site: "shop", Time: at.AddDate(0, -6, 0), Expiry: at}); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan struct{})
		go func() { s.retain(ctx); close(ended) }()
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{time.Second, 2}, {23 * time.Hour, 2}, {49 * time.Hour, 1}, {9 * 24 * time.Hour, 1}, {12 * 24 * time.Hour, 0}} {
			time.Sleep(time.Until(began.Add(step.at)))
			synctest.Wait()
			if n, err := l.Count(ctx, "shop"); n != step.want || err != nil {
				t.Errorf("after %s %d records are left, want %d, %v", step.at, n, step.want, err)
			}
		}
		// Another process takes over, and dies: this one goes on when its time is up.
		if mine, err := l.Claim(ctx, "retention", "dead", time.Now(), 26*time.Hour); !mine || err != nil {
			t.Fatal(mine, err)
		}
		if _, err := l.Append(ctx, ledger.Record{Key: uuid.New(), Site: "shop", Time: began.AddDate(-9, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		if n, err := l.Count(ctx, "shop"); n != 1 || err != nil {
			t.Errorf("while another has the claim: %d, %v", n, err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n, err := l.Count(ctx, "shop"); n != 0 || err != nil {
			t.Errorf("after the other's time: %d, %v", n, err)
		}
		cancel()
		<-ended
		if err := errors.Join(s.figures.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Figures that nobody can merge do not keep what was erased from being cleared away.
func TestRetentionGoesOn(t *testing.T) {
	var ahead atomic.Int64
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	w.retained()
	err := w.s.ledger.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO tallies (site, day, writer, sheet) VALUES ('shop', $1, 'x', $2)`, w.s.now().UTC().Format(time.DateOnly), []byte{1, 0, 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(20 * 24 * time.Hour))
	if done, err := w.s.retainOnce(t.Context(), "a"); !done || err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%t, %v", done, err)
	}
}
