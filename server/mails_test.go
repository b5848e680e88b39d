package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/gif"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/mail"
)

const (
	mailText = siteText + `mail: {category: analytics, links: ["https://www.shop.example", "https://*.shop.example"], log: 30d}` + "\n"
	mailKey  = "0123456789abcdef0123456789abcdef"
	reader   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"
)

// newsroom is a world whose site counts its mails.
func newsroom(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	return newWorld(t, append([]func(*Options){func(o *Options) {
		o.MailKey = mailKey
		if err := os.WriteFile(o.Config, []byte(mailText), 0o600); err != nil {
			t.Fatal(err)
		}
	}}, change...)...)
}

// chosen is the receipt of a choice.
func (w *world) chosen(form string) uuid.UUID {
	w.t.Helper()
	var got choiceAnswer
	_, body := w.choose(form)
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		w.t.Fatal(err)
	}
	return uuid.MustParse(got.Receipt)
}

// path mints a token and is where it is fetched.
func (w *world) mailPath(l mail.Link) string {
	w.t.Helper()
	if l.Message == "" {
		l.Message = "2026-11"
	}
	if l.Kind == mail.Click && l.To == "" {
		l.To = "https://www.shop.example/sale?utm=a"
	}
	snap := w.s.current.Load()
	token, err := snap.mail.Mint(snap.sites["shop"].Site, l, w.s.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return mail.Path("shop", l.Kind, token)
}

// fetch is what a mail program does: without the cookies of the world's browser.
func (w *world) fetch(method, path, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	jar := w.client.Jar
	w.client.Jar = nil
	defer func() { w.client.Jar = jar }()
	if !slices.Contains(headers, "User-Agent") {
		headers = append(headers, "User-Agent", reader)
	}
	return w.send(method, path, body, headers...)
}

func (w *world) wantMails(what string, want ...ledger.MailCount) {
	w.t.Helper()
	got, err := w.s.ledger.MailReport(w.t.Context(), "shop", time.Unix(0, 0))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		w.t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
	}
}

func (w *world) wantFetch(kind mail.Kind, outcome string) {
	w.t.Helper()
	_, body := w.get("/metrics")
	if want := fmt.Sprintf(`stile_mail_fetches_total{kind=%q,outcome=%q,site="shop"}`, kind, outcome); !strings.Contains(body, want) {
		w.t.Errorf("%s is not among the metrics", want)
	}
}

// wantGIF holds a beacon's answer against the one that everybody gets.
func wantGIF(t *testing.T, what string, resp *http.Response, body string) {
	t.Helper()
	h := resp.Header
	if resp.StatusCode != http.StatusOK || h.Get("Content-Type") != "image/gif" || h.Get("Content-Length") != "43" || h.Get("Cache-Control") != "private, no-store" ||
		len(h["Set-Cookie"]) > 0 || len(h) != 6 || resp.Request.Method != http.MethodHead && body != string(transparentGIF) {
		t.Errorf("%s: answered %d %v %q", what, resp.StatusCode, h, body)
	}
}

func TestGIF(t *testing.T) {
	picture, err := gif.Decode(bytes.NewReader(transparentGIF))
	if err != nil || len(transparentGIF) != 43 || picture.Bounds().Dx() != 1 || picture.Bounds().Dy() != 1 {
		t.Fatalf("%v, %v", picture, err)
	}
	if _, _, _, alpha := picture.At(0, 0).RGBA(); alpha != 0 {
		t.Error("it can be seen")
	}
}

// An open and a click are counted while the recipient allows it: decided when they are fetched.
func TestMailCounts(t *testing.T) {
	w := newsroom(t)
	receipt := w.chosen("category=analytics")
	open, click := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Click, Receipt: receipt})
	other := w.mailPath(mail.Link{Kind: mail.Click, Receipt: receipt, To: "https://blog.shop.example/"})
	fetch := func(what string) {
		t.Helper()
		resp, body := w.fetch(http.MethodGet, open, "")
		wantGIF(t, what, resp, body)
		for path, to := range map[string]string{click: "https://www.shop.example/sale?utm=a", other: "https://blog.shop.example/"} {
			resp, _ := w.fetch(http.MethodGet, path, "")
			h := resp.Header
			if resp.StatusCode != http.StatusSeeOther || h.Get("Location") != to || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "private, no-store" || len(h["Set-Cookie"]) > 0 {
				t.Errorf("%s: the click is answered %d %v", what, resp.StatusCode, h)
			}
		}
	}
	once := ledger.MailCount{Message: "2026-11", Opens: 1, Openers: 1, Clicks: 2, Clickers: 1}
	fetch("allowed")
	w.wantMails("allowed", once)
	fetch("again on that day")
	once.Clicks = 4
	w.wantMails("again on that day", once)
	w.wantFetch(mail.Open, "counted")

	w.choose("category=analytics&category=marketing")
	w.wantMails("a choice that still allows it", once)
	w.choose("category=marketing")
	w.wantMails("nothing is kept of who declined")
	fetch("declined in the browser")
	w.wantMails("declined in the browser")
	w.wantFetch(mail.Click, "withheld")

	w.choose("category=analytics")
	fetch("allowed anew")
	w.send(http.MethodPost, "/stile/shop/erase", "")
	w.wantMails("erased")
	fetch("erased")
	w.wantMails("fetched after the records were erased")
	w.wantFetch(mail.Open, "unknown")
}

// A mail is counted on an act of consent alone: neither silence nor a choice that has expired is one, whatever the law of
// the recipient's region lets a page do.
func TestMailWithoutConsent(t *testing.T) {
	var (
		mu    sync.Mutex
		ahead time.Duration
	)
	w := newsroom(t, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	})
	_, body := w.choose("category=analytics&category=marketing", "X-Region", "US")
	var got choiceAnswer
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	receipt := uuid.MustParse(got.Receipt)
	open, leave := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Leave, Receipt: receipt})
	nobody := w.mailPath(mail.Link{Kind: mail.Open, Receipt: uuid.New()})
	resp, body := w.fetch(http.MethodGet, nobody, "")
	wantGIF(t, "a receipt of nobody", resp, body)
	w.wantMails("a receipt of nobody")
	mu.Lock()
	ahead = 366 * 24 * time.Hour
	mu.Unlock()
	resp, body = w.fetch(http.MethodGet, open, "")
	wantGIF(t, "expired under opt-out", resp, body)
	w.wantMails("expired under opt-out")
	w.wantFetch(mail.Open, "withheld")

	// Declining after that brings nothing back to life.
	if resp, body := w.fetch(http.MethodPost, leave, "List-Unsubscribe=One-Click"); resp.StatusCode != http.StatusOK {
		t.Fatalf("leaving is answered %d %s", resp.StatusCode, body)
	}
	last, err := w.s.recipient(t.Context(), w.s.current.Load().sites["shop"], receipt)
	if err != nil || len(last.Granted) > 0 || last.Action != consent.Withdraw {
		t.Errorf("in force is %+v, %v", last, err)
	}
}

func TestMailMachines(t *testing.T) {
	w := newsroom(t)
	receipt := w.chosen("category=analytics")
	open, click := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Click, Receipt: receipt})
	for outcome, headers := range map[string][]string{
		"apple":    {"User-Agent", "Mozilla/5.0"},
		"gmail":    {"User-Agent", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
		"yahoo":    {"User-Agent", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"},
		"scanner":  {"User-Agent", "Barracuda Sentinel (EE)"},
		"crawler":  {"User-Agent", "Slackbot-LinkExpanding 1.0"},
		"prefetch": {"Sec-Purpose", "prefetch"},
		"nameless": {"User-Agent", ""},
		"head":     nil,
	} {
		method := http.MethodGet
		if outcome == "head" {
			method = http.MethodHead
		}
		resp, body := w.fetch(method, open, "", headers...)
		wantGIF(t, outcome, resp, body)
		if resp, _ := w.fetch(method, click, "", headers...); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") == "" {
			t.Errorf("%s: the click is answered %d %v", outcome, resp.StatusCode, resp.Header)
		}
		w.wantMails(outcome)
		w.wantFetch(mail.Open, outcome)
		w.wantFetch(mail.Click, outcome)
	}
	w.fetch(http.MethodGet, open, "")
	w.wantMails("a person", ledger.MailCount{Message: "2026-11", Opens: 1, Openers: 1})
}

// What is altered or expired counts nothing and leads nowhere; a picture stays a picture.
func TestMailBadTokens(t *testing.T) {
	var (
		mu    sync.Mutex
		ahead time.Duration
	)
	w := newsroom(t, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	})
	receipt := w.chosen("category=analytics")
	until := time.Now().Add(24 * time.Hour)
	paths := map[mail.Kind]string{}
	for _, kind := range []mail.Kind{mail.Open, mail.Click, mail.Leave} {
		paths[kind] = w.mailPath(mail.Link{Kind: kind, Receipt: receipt, Expires: until})
	}
	records := w.records()
	try := func(what string, status int, paths map[mail.Kind]string) {
		t.Helper()
		resp, body := w.fetch(http.MethodGet, paths[mail.Open], "")
		wantGIF(t, what, resp, body)
		for _, kind := range []mail.Kind{mail.Click, mail.Leave} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if kind == mail.Click && method == http.MethodPost {
					continue
				}
				resp, body := w.fetch(method, paths[kind], "List-Unsubscribe=One-Click", "Accept", "text/html")
				if resp.StatusCode != status || resp.Header.Get("Location") != "" || !strings.Contains(body, "link") || strings.Contains(body, receipt.String()) {
					t.Errorf("%s: %s %s is answered %d %s", what, method, kind, resp.StatusCode, body)
				}
			}
		}
		w.wantMails(what)
		w.wantFetch(mail.Open, "invalid")
		if n := w.records(); n != records {
			t.Errorf("%s: there are %d records more", what, n-records)
		}
	}
	altered := map[mail.Kind]string{}
	for kind, path := range paths {
		i := strings.LastIndexByte(path, '/') + 40
		letter := byte('A')
		if path[i] == 'A' {
			letter = 'B'
		}
		altered[kind] = path[:i] + string(letter) + path[i+1:]
	}
	try("altered", http.StatusBadRequest, altered)
	swapped := func(from, to mail.Kind) string {
		token := strings.TrimSuffix(paths[from][strings.LastIndexByte(paths[from], '/')+1:], ".gif")
		return mail.Path("shop", to, token)
	}
	try("of another kind", http.StatusBadRequest, map[mail.Kind]string{
		mail.Open: swapped(mail.Click, mail.Open), mail.Click: swapped(mail.Leave, mail.Click), mail.Leave: swapped(mail.Open, mail.Leave),
	})
	mu.Lock()
	ahead = 24*time.Hour + time.Second
	mu.Unlock()
	try("expired", http.StatusGone, paths)
}

// The stricter configuration wins over what was signed: a destination, a category, the whole of it.
func TestMailStricterConfiguration(t *testing.T) {
	w := newsroom(t)
	receipt := w.chosen("category=analytics")
	open, click := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Click, Receipt: receipt})
	reload := func(line string) {
		t.Helper()
		w.write(siteText + line + "\n")
		if err := w.s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload(`mail: {category: analytics, links: ["https://blog.shop.example"]}`)
	resp, body := w.fetch(http.MethodGet, click, "", "Accept", "text/html")
	if resp.StatusCode != http.StatusGone || resp.Header.Get("Location") != "" || !strings.Contains(body, "www.shop.example") || strings.Contains(body, "href") {
		t.Errorf("a destination that is not allowed any longer is answered %d %v %s", resp.StatusCode, resp.Header, body)
	}
	w.wantMails("a destination that is not allowed any longer")
	reload("mail: {category: marketing}")
	w.fetch(http.MethodGet, open, "")
	w.wantMails("another category's consent counts now")
	reload("")
	for _, path := range []string{open, click, mail.Path("shop", mail.Leave, "a")} {
		if resp, body := w.fetch(http.MethodGet, path, ""); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "does not count its mails") {
			t.Errorf("%s is answered %d %s", path, resp.StatusCode, body)
		}
	}
}

// Mails that were sent before the keys were rotated hold.
func TestMailRotation(t *testing.T) {
	w := newsroom(t)
	open := w.mailPath(mail.Link{Kind: mail.Open, Receipt: w.chosen("category=analytics")})
	if _, err := keys.New(filepath.Join(w.folder, "data", "keys"), keys.Cookie, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fetch(http.MethodGet, open, "")
	w.wantMails("after a rotation", ledger.MailCount{Message: "2026-11", Opens: 1, Openers: 1})
}

// RFC 8058: one POST without a cookie takes back the consent to one category; a GET changes nothing.
func TestMailLeave(t *testing.T) {
	w := newsroom(t)
	receipt := w.chosen("category=analytics&category=marketing")
	open, leave := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Leave, Receipt: receipt})
	w.fetch(http.MethodGet, open, "")
	counted := ledger.MailCount{Message: "2026-11", Opens: 1, Openers: 1}
	records := w.records()

	for range 2 {
		resp, body := w.fetch(http.MethodGet, leave, "", "Accept", "text/html")
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<b>Allowed</b>") || !strings.Contains(body, "Take back all consent: Analytics") ||
			!strings.Contains(body, `action="`+leave+`"`) || !strings.Contains(body, `href="/stile/shop/preferences"`) || strings.Contains(body, "<script") ||
			resp.Header.Get("Referrer-Policy") != "no-referrer" || len(resp.Header["Set-Cookie"]) > 0 {
			t.Fatalf("the page is %d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
	w.wantMails("looked at", counted)
	for _, body := range []string{"", "List-Unsubscribe=Two-Click", "list-unsubscribe=One-Click"} {
		if resp, answer := w.fetch(http.MethodPost, leave, body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(answer, "List-Unsubscribe=One-Click is missing") {
			t.Errorf("%q is answered %d %s", body, resp.StatusCode, answer)
		}
	}
	if resp, answer := w.fetch(http.MethodPost, leave+"?List-Unsubscribe=One-Click", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("in the address it is answered %d %s", resp.StatusCode, answer)
	}
	if n := w.records(); n != records {
		t.Fatalf("%d records more, of nothing", n-records)
	}

	form := "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+leave, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	resp, err := (&http.Client{Transport: w.client.Transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Location") != "" {
		t.Fatalf("a mail program's multipart is answered %d", resp.StatusCode)
	}
	st := w.s.current.Load().sites["shop"]
	last, err := w.s.recipient(t.Context(), st, receipt)
	if err != nil {
		t.Fatal(err)
	}
	if last.Action != consent.Withdraw || last.Surface != "mail" || fmt.Sprint(last.Granted, last.Denied) != "[marketing] [analytics]" || last.Previous != receipt ||
		last.Policy != "2026-11-01" || last.Notice != w.notice || last.Regime != "other" {
		t.Errorf("in force is %+v", last)
	}
	w.wantMails("nothing is kept of who left")
	w.fetch(http.MethodGet, open, "")
	w.wantMails("a mail that was sent before")

	// Once more, and many at once: one record of one withdrawal.
	done := make(chan int, 8)
	for range cap(done) {
		go func() {
			r, _ := http.NewRequest(http.MethodPost, w.base+leave, strings.NewReader("List-Unsubscribe=One-Click"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := w.client.Transport.RoundTrip(r)
			if err != nil {
				done <- 0
				return
			}
			_ = resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	for range cap(done) {
		if status := <-done; status != http.StatusOK {
			t.Errorf("again it is answered %d", status)
		}
	}
	if n := w.records(); n != records+1 {
		t.Errorf("%d withdrawals were recorded, want 1", n-records)
	}
	resp, body := w.fetch(http.MethodPost, leave, "List-Unsubscribe=One-Click", "Accept", "text/html")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<b>Declined</b>") || !strings.Contains(body, "Your choice was saved.") || strings.Contains(body, "<form") {
		t.Errorf("the page afterwards is %d %s", resp.StatusCode, body)
	}

	// Whose records were erased has nothing to take back, and is told so.
	w.send(http.MethodPost, "/stile/shop/erase", "")
	if resp, body := w.fetch(http.MethodGet, leave, "", "Accept", "text/html"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "There are no records") {
		t.Errorf("the page of who was erased is %d %s", resp.StatusCode, body)
	}
	if resp, body := w.fetch(http.MethodPost, leave, "List-Unsubscribe=One-Click"); resp.StatusCode != http.StatusOK || w.records() != 0 {
		t.Errorf("leaving after that is answered %d %s", resp.StatusCode, body)
	}
}

// Two withdrawals that saw the same record in force are one record, by the key that they share.
func TestMailLeaveAtOnce(t *testing.T) {
	w := newsroom(t)
	st := w.s.current.Load().sites["shop"]
	last, err := w.s.recipient(t.Context(), st, w.chosen("category=analytics"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.s.withdrawCategory(t.Context(), st, &last, "analytics")
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.s.withdrawCategory(t.Context(), st, &last, "analytics")
	if err != nil || second.ID != first.ID || w.records() != 2 {
		t.Errorf("the second is %s after %s (%v), of %d records", second.ID, first.ID, err, w.records())
	}
}

// What is taken back is one category, with its services, and nothing else.
func TestMailDeclined(t *testing.T) {
	w := newsroom(t)
	st := w.s.current.Load().sites["shop"]
	for name, tt := range map[string]struct {
		before, after ledger.Record
		same          bool
	}{
		"granted":           {before: ledger.Record{Granted: []string{"analytics", "marketing"}}, after: ledger.Record{Granted: []string{"marketing"}, Denied: []string{"analytics"}}},
		"a service refused": {before: ledger.Record{Granted: []string{"analytics", "marketing"}, Refused: []string{"ga4", "pixel"}}, after: ledger.Record{Granted: []string{"marketing"}, Denied: []string{"analytics"}, Refused: []string{"pixel"}}},
		"a service by itself": {
			before: ledger.Record{Denied: []string{"analytics", "marketing"}, Services: []string{"ga4", "pixel"}},
			after:  ledger.Record{Denied: []string{"analytics", "marketing"}, Services: []string{"pixel"}},
		},
		"neither": {before: ledger.Record{Granted: []string{"marketing"}}, after: ledger.Record{Granted: []string{"marketing"}, Denied: []string{"analytics"}}},
		"denied":  {before: ledger.Record{Granted: []string{"marketing"}, Denied: []string{"analytics"}}, same: true},
	} {
		tt.before.Time = time.Now()
		got, changed := w.s.declined(st, &tt.before, "analytics")
		want := tt.after
		if tt.same {
			want = tt.before
		}
		if changed == tt.same || fmt.Sprint(got.Granted, got.Denied, got.Services, got.Refused) != fmt.Sprint(want.Granted, want.Denied, want.Services, want.Refused) {
			t.Errorf("%s: became %+v, changed %t", name, got, changed)
		}
	}
}

func (w *world) ask(body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/stile/shop/mail/token", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+mailKey)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) (*http.Response, string) {
	w.t.Helper()
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		w.t.Fatal(err)
	}
	return resp, b.String()
}

func TestMailTokens(t *testing.T) {
	w := newsroom(t)
	yes := w.chosen("category=analytics")
	order := func(kind string, receipt uuid.UUID, more string) string {
		return fmt.Sprintf(`{"kind":%q,"receipt":%q,"message":"2026-11"%s}`, kind, receipt, more)
	}
	resp, body := w.ask(order("open", yes, ""))
	var one mailToken
	if err := json.Unmarshal([]byte(body), &one); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answered %d %s", resp.StatusCode, body)
	}
	if left := time.Until(one.Expires); !one.Granted || left < mail.DefaultExpiry-time.Minute || left > mail.DefaultExpiry {
		t.Errorf("one is %+v", one)
	}
	w.fetch(http.MethodGet, one.Path, "")
	w.wantMails("the beacon that was asked for", ledger.MailCount{Message: "2026-11", Opens: 1, Openers: 1})

	_, body = w.ask("[" + order("click", yes, `,"to":"https://www.shop.example/a?b=c","expires":"30d"`) + "," + order("leave", uuid.New(), "") + "]")
	var list []mailToken
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 2 {
		t.Fatalf("the list is %s", body)
	}
	if !list[0].Granted || list[1].Granted || !strings.HasPrefix(list[1].Path, "/stile/shop/leave/") {
		t.Errorf("the list is %+v", list)
	}
	if resp, _ := w.fetch(http.MethodGet, list[0].Path, ""); resp.Header.Get("Location") != "https://www.shop.example/a?b=c" {
		t.Errorf("the link leads to %q", resp.Header.Get("Location"))
	}
	w.send(http.MethodPost, "/stile/shop/withdraw", "id="+uuid.NewString()+"&notice="+w.notice)
	if _, body := w.ask(order("open", yes, "")); !strings.Contains(body, `"granted":false`) {
		t.Errorf("after a withdrawal the answer is %s", body)
	}

	good := order("open", yes, "")
	for name, tt := range map[string]struct {
		body    string
		headers []string
		status  int
		say     string
	}{
		"no key":            {good, []string{"Authorization", ""}, http.StatusUnauthorized, "STILE_MAIL_KEY"},
		"another key":       {good, []string{"Authorization", "Bearer " + strings.Repeat("0", 32)}, http.StatusUnauthorized, "wrong"},
		"part of the key":   {good, []string{"Authorization", "Bearer " + mailKey[:31]}, http.StatusUnauthorized, "wrong"},
		"a form":            {good, []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType, "application/json"},
		"nothing":           {"", nil, http.StatusBadRequest, "EOF"},
		"no JSON":           {"[{", nil, http.StatusBadRequest, "not JSON"},
		"an empty list":     {"[]", nil, http.StatusBadRequest, "empty"},
		"a list in a list":  {"[[]]", nil, http.StatusBadRequest, "item 1"},
		"two bodies":        {good + good, nil, http.StatusBadRequest, "behind it"},
		"another key in it": {order("open", yes, `,"email":"a@b.example"`), nil, http.StatusBadRequest, `unknown field \"email\"`},
		"a number":          {`{"kind":1}`, nil, http.StatusBadRequest, "kind"},
		"another kind":      {order("read", yes, ""), nil, http.StatusBadRequest, "open, click, leave"},
		"no receipt":        {`{"kind":"open","message":"a"}`, nil, http.StatusBadRequest, "receipt"},
		"an address":        {`{"kind":"open","message":"a","receipt":"a@b.example"}`, nil, http.StatusBadRequest, "UUID"},
		"no destination":    {order("click", yes, ""), nil, http.StatusBadRequest, "to is missing"},
		"a foreign place":   {order("click", yes, `,"to":"https://evil.example/"`), nil, http.StatusBadRequest, "mail.links"},
		"a day too many":    {order("open", yes, `,"expires":"801d"`), nil, http.StatusBadRequest, "800d"},
		"the second of two": {"[" + good + "," + order("click", yes, "") + "]", nil, http.StatusBadRequest, "item 2: to is missing"},
		"too many":          {"[" + strings.Repeat(good+",", 1000) + good + "]", nil, http.StatusRequestEntityTooLarge, "at most 1000"},
		"too large":         {strings.Repeat(" ", 4<<20+1), nil, http.StatusRequestEntityTooLarge, "4194304"},
	} {
		resp, body := w.ask(tt.body, tt.headers...)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.say) || strings.Contains(body, "token\":") || strings.Contains(body, "\n  ") {
			t.Errorf("%s: answered %d %.300s", name, resp.StatusCode, body)
		}
		if tt.status == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: the headers are %v", name, resp.Header)
		}
	}
}

func TestMailTokensClosed(t *testing.T) {
	w := newsroom(t, func(o *Options) { o.MailKey = "" })
	for _, header := range []string{"", "Bearer ", "Bearer " + mailKey} {
		if resp, body := w.ask("{}", "Authorization", header); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "STILE_MAIL_KEY") {
			t.Errorf("%q: without a key the endpoint answers %d %s", header, resp.StatusCode, body)
		}
	}
	_, err := New(t.Context(), Options{MailKey: "short"})
	if err == nil || !strings.Contains(err.Error(), "32 or more") {
		t.Errorf("a short key: %v", err)
	}
}

// A ledger that cannot be written spoils neither a picture nor a redirect.
func TestMailLedgerDown(t *testing.T) {
	w := newsroom(t)
	receipt := w.chosen("category=analytics")
	open, click := w.mailPath(mail.Link{Kind: mail.Open, Receipt: receipt}), w.mailPath(mail.Link{Kind: mail.Click, Receipt: receipt})
	if err := w.s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	resp, body := w.fetch(http.MethodGet, open, "")
	wantGIF(t, "without a ledger", resp, body)
	if resp, _ := w.fetch(http.MethodGet, click, ""); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the click is answered %d", resp.StatusCode)
	}
	w.wantFetch(mail.Open, "failed")
	if !strings.Contains(w.log.String(), "was not counted") {
		t.Errorf("the log is %s", w.log)
	}
}
