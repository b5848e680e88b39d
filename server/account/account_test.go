package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/text/unicode/norm"

	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/ledger/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

const (
	words = "a stile is a step over a fence"
	by    = "operator:test"
)

var home = netip.MustParseAddr("192.0.2.7")

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is accounts over a ledger.
type house struct {
	*Accounts
	*clock
	t      *testing.T
	ledger *ledger.Ledger
	keys   []keys.Secret
}

func newHouse(t *testing.T, o ledger.Options) *house {
	t.Helper()
	db, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := &house{t: t, ledger: db, clock: &clock{now: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)}, keys: secrets(t, 1)}
	h.Accounts = New(Options{Store: db, Keys: func() []keys.Secret { return h.keys }, Now: h.clock.Now})
	h.hasher.cost = cost{16, 1, 1}
	h.hasher.dummy.cost = h.hasher.cost
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func secrets(t *testing.T, seeds ...byte) (list []keys.Secret) {
	t.Helper()
	for _, b := range seeds {
		ring, err := keys.Parse([]string{strings.Repeat(fmt.Sprintf("%02x", b), 32)}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ring.Cookie...)
	}
	return list
}

func (h *house) Now() time.Time { return h.clock.Now() }

func (h *house) add(name string, role Role) {
	h.t.Helper()
	if err := h.Add(h.t.Context(), by, User{Name: name, Role: role}, words); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) login(name string) []byte {
	h.t.Helper()
	token, err := h.Login(h.t.Context(), name, words, home)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// in tells whether a token opens a session.
func (h *house) in(token []byte) bool {
	h.t.Helper()
	_, _, err := h.Find(h.t.Context(), token)
	if err != nil && !errors.Is(err, ErrEnded) {
		h.t.Fatal(err)
	}
	return err == nil
}

// trail is the audit trail as text, one entry a line.
func (h *house) trail() (lines []string) {
	h.t.Helper()
	all, err := h.ledger.Trail(h.t.Context(), "", -1, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range all {
		lines = append(lines, fmt.Sprintf("%s %s %d %s", a.Actor, a.Act, a.Count, a.Detail))
	}
	return lines
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, newHouse(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")}))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, newHouse(t, ledger.Options{URL: postgrestest.Database(t), Spool: filepath.Join(t.TempDir(), "spool.db")}))
	})
}

func file(t *testing.T) *house {
	t.Helper()
	return newHouse(t, ledger.Options{Path: filepath.Join(t.TempDir(), "stile.db")})
}

func TestLogin(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		if any, err := h.Any(ctx); any || err != nil {
			t.Errorf("there is a user: %v, %v", any, err)
		}
		h.add("Ada@Shop.example", Officer)
		for _, wrong := range []struct{ name, password string }{
			{"ada@shop.example", words + "."},
			{"ada@shop.example", ""},
			{"bob", words},
			{"", words},
			{"ada shop", words},
			{"ada@shop.example", words + strings.Repeat("x", 2000)},
		} {
			if token, err := h.Login(ctx, wrong.name, wrong.password, home); token != nil || !errors.Is(err, ErrRefused) {
				t.Errorf("%.60q: %v", wrong, err)
			}
		}
		token := h.login(" ADA@shop.example")
		u, s, err := h.Find(ctx, token)
		if err != nil || u.Name != "ada@shop.example" || u.Role != Officer || !s.Created.Equal(h.Now()) {
			t.Errorf("%+v, %+v, %v", u, s, err)
		}
		if h.in(bytes.Repeat([]byte{7}, tokenLength)) || h.in(nil) || h.in(idOf(token)) {
			t.Error("what is no token opens a session")
		}
		if err := h.End(ctx, "bob", s.ID); !errors.Is(err, ErrEnded) || !h.in(token) {
			t.Errorf("another user ended it: %v", err)
		}
		if err := h.End(ctx, u.Name, s.ID); err != nil || h.in(token) {
			t.Errorf("after its end: %v", err)
		}
		if err := h.End(ctx, u.Name, s.ID); !errors.Is(err, ErrEnded) {
			t.Errorf("ended twice: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"operator:test user 1 made ada at shop.example, officer, logs in by password",
			"operator:ada@shop.example login 1 by password", "operator:ada@shop.example logout 1 ",
			"somebody refuse 6 in the name of ada at shop.example 3, others and unknown names 3",
		}
		if got := h.trail(); !slices.Equal(got, want) {
			t.Errorf("the trail:\n%s", strings.Join(got, "\n"))
		}
	})
}

// A change of a user ends their sessions, and nobody else's; and the last admin stays one.
func TestChangesEndSessions(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.add("root", Admin)
		h.add("ada", Viewer)
		other := h.login("root")
		for name, change := range map[string]func() error{
			"password": func() error { return h.SetPassword(ctx, by, "ada", words+"!") },
			"role":     func() error { return h.SetRole(ctx, by, "ada", Officer) },
			"end":      func() error { return h.EndAll(ctx, by, "ada") },
			"remove":   func() error { return h.Remove(ctx, by, "ada") },
		} {
			_ = h.Remove(ctx, by, "ada")
			h.add("ada", Viewer)
			one, two := h.login("ada"), h.login("ada")
			if err := change(); err != nil || h.in(one) || h.in(two) {
				t.Errorf("%s: %v, or a session goes on", name, err)
			}
		}
		if _, err := h.Login(ctx, "ada", words, home); !errors.Is(err, ErrRefused) && err != nil {
			t.Error(err)
		}
		if !h.in(other) {
			t.Error("another user was logged out")
		}
		before := len(h.trail())
		for name, change := range map[string]func() error{
			"removed":   func() error { return h.Remove(ctx, by, "root") },
			"made less": func() error { return h.SetRole(ctx, by, "root", Officer) },
		} {
			var invalid *Invalid
			if err := change(); !errors.As(err, &invalid) || !h.in(other) {
				t.Errorf("the last admin was %s: %v", name, err)
			}
		}
		for _, err := range []error{h.Remove(ctx, by, "bob"), h.SetRole(ctx, by, "bob", Admin), h.SetPassword(ctx, by, "bob", words), h.EndAll(ctx, by, "bob")} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nobody was changed: %v", err)
			}
		}
		if got := h.trail(); len(got) != before {
			t.Errorf("what did not happen is on the trail: %v", got[before:])
		}
		users, err := h.Users(ctx)
		if err != nil || users[len(users)-1].Name != "root" || users[len(users)-1].Sessions != 1 || users[len(users)-1].Seen.IsZero() {
			t.Errorf("%+v, %v", users, err)
		}
	})
}

func TestTwoAdminsDoNotRemoveEachOther(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		h.add("ada", Admin)
		h.add("bob", Admin)
		var wg sync.WaitGroup
		for _, name := range []string{"ada", "bob"} {
			wg.Go(func() { _ = h.Remove(t.Context(), by, name) })
		}
		wg.Wait()
		if users, err := h.Users(t.Context()); err != nil || len(users) != 1 {
			t.Errorf("%d admins are left: %v", len(users), err)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	h := file(t)
	h.add("ada", Viewer)
	ada := User{Name: "ada", Role: Viewer}
	for _, test := range []struct {
		u              User
		password, want string
	}{
		{ada, words, "there is a user ada already"},
		{User{Name: "ADA", Role: Admin}, words, "there is a user ada already"},
		{User{Name: "a b", Role: Viewer}, words, "is no name"},
		{User{Name: strings.Repeat("a", 65), Role: Viewer}, words, "is no name"},
		{User{Name: "0192f1c2-7d3e-7abc-8def-0123456789ab", Role: Viewer}, words, "looks like a visitor's id"},
		{User{Name: "bob", Role: Viewer}, "eleven byte", "has at least 12"},
		{User{Name: "bob", Role: Viewer}, strings.Repeat("x", 1025), "has at most 1024"},
		{User{Name: "bob.the.builder", Role: Viewer}, "Bob.The.Builder", "is the user's name"},
	} {
		var invalid *Invalid
		if err := h.Add(t.Context(), by, test.u, test.password); !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.u, err)
		}
	}
	if users, err := h.Users(t.Context()); err != nil || len(users) != 1 || len(h.trail()) != 1 {
		t.Errorf("%+v, %v, %v", users, err, h.trail())
	}
}

func TestSessionEnds(t *testing.T) {
	h := file(t)
	h.add("ada", Viewer)
	idle := h.login("ada")
	h.clock.add(idleTime - time.Second)
	if !h.in(idle) {
		t.Error("it ended before 12 hours were over")
	}
	h.clock.add(idleTime - time.Second) // it was used just now
	if !h.in(idle) {
		t.Error("it ended although it was used")
	}
	h.clock.add(idleTime)
	if h.in(idle) {
		t.Error("it goes on after 12 hours without a request")
	}
	used := h.login("ada")
	for range 13 {
		h.clock.add(idleTime)
		h.clock.add(-time.Minute)
		if !h.in(used) {
			t.Fatal("it ended while it was used")
		}
	}
	h.clock.add(idleTime)
	if h.in(used) {
		t.Error("it goes on after 7 days")
	}
	if list, err := h.Sessions(t.Context(), "ada"); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// That a session is used is written once a minute.
func TestSeenIsWrittenSeldom(t *testing.T) {
	h := file(t)
	h.add("ada", Viewer)
	token := h.login("ada")
	first := h.Now()
	seen := func() time.Time {
		_, s, err := h.Find(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return s.Seen
	}
	h.clock.add(59 * time.Second)
	seen()
	if got := seen(); !got.Equal(first) {
		t.Errorf("after 59 s it was seen %s", got.Sub(first))
	}
	h.clock.add(time.Second)
	seen()
	if got := seen(); !got.Equal(h.Now()) {
		t.Errorf("after a minute it was seen %s ago", h.Now().Sub(got))
	}
}

func request(c *http.Cookie) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "https://consent.shop.example/admin/", http.NoBody)
	if c != nil {
		r.AddCookie(c)
	}
	return r
}

// A new key logs nobody out; one that is gone does. What was not signed is no session, nor what was signed for plain HTTP.
func TestCookie(t *testing.T) {
	h := file(t)
	token := bytes.Repeat([]byte{3}, tokenLength)
	c, err := h.Cookie(token, true)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "__Host-stile-admin" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 7*24*3600 {
		t.Errorf("%+v", c)
	}
	plain, err := h.Cookie(token, false)
	if err != nil || plain.Name != "stile-admin" || plain.Secure || !plain.HttpOnly || plain.Path != "/admin/" {
		t.Errorf("%+v, %v", plain, err)
	}
	if got := h.Token(request(c), true); !bytes.Equal(got, token) {
		t.Errorf("read back %x", got)
	}
	if got := h.Token(request(c), false); got != nil {
		t.Error("a cookie of HTTPS counts elsewhere")
	}
	moved := *plain
	moved.Name = secureCookie
	if got := h.Token(request(&moved), true); got != nil {
		t.Error("a cookie of plain HTTP counts by HTTPS")
	}
	h.keys = secrets(t, 2, 1)
	if got := h.Token(request(c), true); !bytes.Equal(got, token) {
		t.Error("a new key logs out")
	}
	h.keys = secrets(t, 2)
	if got := h.Token(request(c), true); got != nil {
		t.Error("a session is believed that an unknown key signed")
	}
	for _, value := range []string{"", "x", c.Value + "x", c.Value[:len(c.Value)-4]} {
		if got := h.Token(request(&http.Cookie{Name: secureCookie, Value: value}), true); got != nil {
			t.Errorf("%q is taken for %x", value, got)
		}
	}
}

// Ten refusals and an address waits; a user is not kept out by what others do elsewhere.
func TestLimit(t *testing.T) {
	l, now := newLimit(), time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	waits := func(name, from string) *Wait {
		var wait *Wait
		errors.As(l.take(name, netip.MustParseAddr(from), now), &wait)
		return wait
	}
	for i := range mostRefused {
		if w := waits(fmt.Sprint("user", i), "192.0.2.1"); w != nil {
			t.Fatalf("attempt %d waits: %v", i, w)
		}
	}
	if w := waits("ada", "192.0.2.1"); w == nil || !w.Address || w.For != refusedFor || !strings.Contains(w.Error(), "from this address were refused: wait 15 minutes") {
		t.Errorf("an address that was refused ten times: %v", w)
	}
	if w := waits("user1", "192.0.2.2"); w != nil {
		t.Errorf("a user whom another address tried: %v", w)
	}
	for i := range 50 { // many addresses guess at one user
		if w := waits("root", fmt.Sprintf("198.51.100.%d", i)); w != nil {
			t.Fatalf("the first attempt of address %d waits: %v", i, w)
		}
	}
	if w := waits("root", "198.51.100.3"); w == nil || w.Address {
		t.Errorf("a second guess at a user who is guessed at: %v", w)
	}
	if w := waits("root", "203.0.113.9"); w != nil {
		t.Errorf("the user's own address is locked out: %v", w)
	}
	if w := waits("eve", "198.51.100.3"); w != nil {
		t.Errorf("another user from that address: %v", w)
	}
	for i := range mostRefused {
		if w := waits(fmt.Sprint("v6", i), fmt.Sprintf("2001:db8:0:1:%x::1", i+1)); w != nil {
			t.Fatal(w)
		}
	}
	if waits("ada", "2001:db8:0:1:ffff::2") == nil || waits("ada", "2001:db8:0:2::1") != nil {
		t.Error("an IPv6 address does not count as its /64")
	}
	now = now.Add(refusedFor)
	if w := waits("ada", "192.0.2.1"); w != nil {
		t.Errorf("after quarter of an hour: %v", w)
	}
	for i := range 2 * mostCounts {
		_ = l.take(fmt.Sprint("made-up", i), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(l.counts) > mostCounts {
		t.Errorf("%d counts are kept", len(l.counts))
	}
}

// Many log-ins at once are no way around the limit, and one that succeeds does not count.
func TestLimitAtOnce(t *testing.T) {
	h := file(t)
	h.add("ada", Viewer)
	for range 20 {
		h.login("ada")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	looked := 0
	for range 40 {
		wg.Go(func() {
			if _, err := h.Login(t.Context(), "ada", "wrong", home); errors.Is(err, ErrRefused) {
				mu.Lock()
				looked++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if looked != mostRefused {
		t.Errorf("%d of 40 guesses were looked at", looked)
	}
	if _, err := h.Login(t.Context(), "ada", words, home); err == nil {
		t.Error("after them the address does not wait")
	}
	if _, err := h.Login(t.Context(), "ada", words, netip.MustParseAddr("192.0.2.200")); err != nil {
		t.Errorf("elsewhere the user is kept out: %v", err)
	}
	_ = h.Close()
	if got := h.trail(); got[len(got)-1] != "somebody refuse 41 in the name of ada 41" {
		t.Errorf("the trail ends with %q", got[len(got)-1])
	}
}

// A full house answers that it is full, after a bounded wait.
func TestCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		for range mostHashes {
			h.slots <- struct{}{}
		}
		begin := time.Now()
		if _, err := h.keep(t.Context(), words); !errors.Is(err, ErrCrowded) || time.Since(begin) != hashWait {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := h.check(ctx, "", words); !errors.Is(err, context.Canceled) {
			t.Errorf("who hung up: %v", err)
		}
	})
}

// Refused log-ins are one entry a minute.
func TestRefusedAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var noted []string
		broken := errors.New("away")
		failing := broken // set before a count, whose lock the timer takes too
		r := &refused{note: func(n int, detail string) error {
			if failing == nil {
				noted = append(noted, fmt.Sprint(n, " ", detail))
			}
			return failing
		}}
		for range 300 {
			r.count("")
		}
		r.count("ada")
		time.Sleep(gatherTime + time.Second)
		synctest.Wait()
		failing = nil
		r.count("ada")
		time.Sleep(gatherTime)
		synctest.Wait()
		for i := range 60 {
			r.count(fmt.Sprint("somebody", i))
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if len(noted) != 2 || noted[0] != "302 in the name of ada 2, others and unknown names 300" || len(noted[1]) > 200 || !strings.HasSuffix(noted[1], " names 50") {
			t.Errorf("%q", noted)
		}
	})
}

func TestPasswords(t *testing.T) {
	h := newHasher()
	h.cost = cost{16, 1, 1}
	kept, err := h.keep(t.Context(), "Grüße vom Zaun")
	if err != nil || !strings.HasPrefix(kept, "$argon2id$v=19$m=16,t=1,p=1$") {
		t.Fatal(kept, err)
	}
	again, _ := h.keep(t.Context(), "Grüße vom Zaun")
	if again == kept {
		t.Error("the same password is kept as the same twice")
	}
	for password, want := range map[string]bool{"Grüße vom Zaun": true, norm.NFD.String("Grüße vom Zaun"): true, "Gruße vom Zaun": false, "": false} {
		if same, old, err := h.check(t.Context(), kept, password); same != want || old || err != nil {
			t.Errorf("%q: %v %v %v", password, same, old, err)
		}
	}
	if same, _, err := h.check(t.Context(), "", ""); same || err != nil {
		t.Error("a password of nobody is right")
	}
	h.cost.passes = 2
	if same, old, err := h.check(t.Context(), kept, "Grüße vom Zaun"); !same || !old || err != nil {
		t.Errorf("kept at an older cost: %v %v %v", same, old, err)
	}
	if got := newHasher(); got.cost != (cost{19456, 2, 1}) || got.dummy.cost != got.cost {
		t.Errorf("the cost is %+v, of unknown names %+v", got.cost, got.dummy.cost)
	}
}

// A password that was kept at another cost is kept anew at the next log-in, and goes on to open.
func TestRenewed(t *testing.T) {
	h := file(t)
	h.add("ada", Viewer)
	h.hasher.cost = cost{32, 1, 1}
	if !h.in(h.login("ada")) {
		t.Error("not logged in")
	}
	if _, kept, err := h.find(t.Context(), "ada"); err != nil || !strings.Contains(kept, "$m=32,") {
		t.Errorf("it is kept as %q: %v", kept, err)
	}
	if !h.in(h.login("ada")) {
		t.Error("not logged in again")
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	f.Add("$argon2i$v=19$m=19456,t=2,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSecret(text)
		if err != nil {
			return
		}
		if s.String() != text || s.memory > 1<<20 || s.passes > 64 || s.passes == 0 || s.lanes == 0 || len(s.hash) < 16 {
			t.Errorf("%q was read as %+v", text, s)
		}
	})
}

func BenchmarkPassword(b *testing.B) {
	h := newHasher()
	for b.Loop() {
		if _, err := h.keep(b.Context(), words); err != nil {
			b.Fatal(err)
		}
	}
}
