package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

const party = "https://party.example/p.gif"

// What is added is sent once, as it is, and nothing is added to it.
func TestSend(t *testing.T) {
	var got []string
	seen := make(chan *http.Request, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		http.Redirect(rw, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	o := open(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	m := message(srv.URL + "/p.gif?u=1")
	m.Header = http.Header{"X-Forwarded-For": {"192.0.2.7"}}
	add(t, o, m)
	r := <-seen
	for name := range r.Header {
		got = append(got, name)
	}
	if fmt.Sprint(got) != "[X-Forwarded-For]" || r.Method != http.MethodGet || r.URL.RequestURI() != "/p.gif?u=1" {
		t.Errorf("%s %s with %q", r.Method, r.URL, got)
	}
	closed(t, o)
	if s := o.Stats(); s.Sent != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	select {
	case r := <-seen:
		t.Errorf("the redirect was followed: %s", r.URL)
	default:
	}
}

// An answer decides what becomes of a message.
func TestAnswers(t *testing.T) {
	const sentOnce, givenUp, again = "sent", "given up", "again"
	for code, want := range map[int]string{
		200: sentOnce, 204: sentOnce, 301: sentOnce, 304: sentOnce, 307: sentOnce, 400: givenUp, 401: givenUp, 404: givenUp, 410: givenUp, 413: givenUp, 422: givenUp,
		408: again, 425: again, 429: again, 500: again, 502: again, 503: again, 504: again,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: status(code)}
				var lost []string
				o := open(t, Options{Transport: r, GaveUp: func(site, tag string) { lost = append(lost, site+" "+tag) }})
				add(t, o, message(party))
				synctest.Wait()
				if m := message(party); want == givenUp != slices.Equal(lost, []string{m.Site + " " + m.Tag}) {
					t.Errorf("%d: told of %q", code, lost)
				}
				s, got := o.Stats(), ""
				switch {
				case s.Sent == 1 && s.Waiting == 0:
					got = sentOnce
				case s.Failed == 1 && s.Waiting == 0:
					got = givenUp
				case s.Waiting == 1 && !s.Oldest.IsZero():
					got = again
				}
				time.Sleep(5 * time.Second) // of the bubble
				if n := len(r.urls()); got != want || n > 1 != (want == again) {
					t.Errorf("%d: %q after %d attempts, want %q: %+v", code, got, n, want, s)
				}
				closed(t, o)
			})
		})
	}
}

// What gets no answer is tried again, less and less often, until it expires; the tries are spread.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		r := &receiver{}
		r.answer = func(req *http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return down(req)
		}
		lost := 0
		o := open(t, Options{Transport: r, GaveUp: func(string, string) { lost++ }})
		start := time.Now()
		add(t, o, message(party))
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if lost != 1 {
			t.Errorf("told %d times of what expired", lost)
		}
		if len(at) < 24 || len(at) > 70 || at[0] != start {
			t.Fatalf("%d attempts, the first after %v", len(at), at[0].Sub(start))
		}
		for i, when := range at[1:] {
			waited, most := when.Sub(at[i]), min(time.Second<<min(i, 20), time.Hour)
			if waited < most/2 || waited > most+time.Millisecond {
				t.Errorf("attempt %d came after %v, want %v to %v", i+2, waited, most/2, most)
			}
		}
		if last := at[len(at)-1].Sub(start); last >= 24*time.Hour {
			t.Errorf("the last attempt was after %v", last)
		}
		if s := o.Stats(); s.Waiting != 0 || s.Dropped != 1 || s.Sent+s.Failed != 0 {
			t.Errorf("%+v", s)
		}
		closed(t, o)
	})
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string][2]time.Duration{ // least and most
		"120":                {2 * time.Minute, 2 * time.Minute},
		"999999999":          {time.Hour, time.Hour},
		"-5":                 {time.Second / 2, time.Second},
		"99999999999999999":  {time.Second / 2, time.Second},
		"soon":               {time.Second / 2, time.Second},
		"date:90s":           {89 * time.Second, 90 * time.Second},
		"date:-90s":          {time.Second / 2, time.Second},
		"date:9000h":         {time.Hour, time.Hour},
		"0":                  {time.Second / 2, time.Second},
		"1; please be quiet": {time.Second / 2, time.Second},
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if ahead, isDate := strings.CutPrefix(text, "date:"); isDate {
					d, err := time.ParseDuration(ahead)
					if err != nil {
						t.Fatal(err)
					}
					text = time.Now().Add(d).UTC().Format(http.TimeFormat)
				}
				var at []time.Time
				r := &receiver{}
				r.answer = func(req *http.Request) (*http.Response, error) {
					if at = append(at, time.Now()); len(at) > 1 {
						return status(200)(req)
					}
					return status(503, "Retry-After", text)(req)
				}
				o := open(t, Options{Transport: r})
				add(t, o, message(party))
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if len(at) != 2 {
					t.Fatalf("%d attempts", len(at))
				}
				if got := at[1].Sub(at[0]); got < want[0] || got > want[1]+time.Millisecond {
					t.Errorf("it was tried again after %v, want %v", got, want)
				}
				closed(t, o)
			})
		})
	}
}

// A host that does not answer holds nobody up but itself: each has two attempts at a time, and one while it is down.
func TestSlowHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy, most atomic.Int32
		r := &receiver{}
		r.answer = func(req *http.Request) (*http.Response, error) {
			if req.URL.Host != "slow.example" {
				return status(204)(req)
			}
			most.Store(max(most.Load(), busy.Add(1)))
			defer busy.Add(-1)
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		o := open(t, Options{Transport: r})
		for range 50 {
			add(t, o, message("https://slow.example/p"))
		}
		start := time.Now()
		for i := range 50 {
			add(t, o, message(fmt.Sprintf("https://fast%d.example/p", i%5)))
		}
		synctest.Wait()
		if s := o.Stats(); s.Sent != 50 || s.Waiting != 50 || time.Since(start) > 0 {
			t.Errorf("after %v: %+v", time.Since(start), s)
		}
		if busy.Load() != mostPerHost {
			t.Errorf("%d attempts at the slow host at once", busy.Load())
		}
		time.Sleep(time.Minute)
		if s := o.Stats(); s.Waiting != 50 || s.Failed+s.Dropped != 0 {
			t.Errorf("a time-out is no answer: %+v", s)
		}
		r.mu.Lock()
		tries := len(r.got) - 50
		r.mu.Unlock()
		if most.Load() != mostPerHost || tries < 3 || tries > 8 {
			t.Errorf("%d attempts in a minute, %d at once", tries, most.Load())
		}
		closed(t, o)
	})
}

// A host that is back gets what waited for it.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		r := &receiver{}
		r.answer = func(req *http.Request) (*http.Response, error) {
			if up.Load() {
				return status(204)(req)
			}
			return down(req)
		}
		o := open(t, Options{Transport: r})
		for range 200 {
			add(t, o, message(party))
		}
		time.Sleep(10 * time.Minute)
		r.mu.Lock()
		tries := len(r.got)
		r.mu.Unlock()
		if tries > 40 {
			t.Errorf("a host that is down was tried %d times in ten minutes", tries)
		}
		up.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := o.Stats(); s.Sent != 200 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		closed(t, o)
	})
}

func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, Options{Transport: &receiver{answer: down}, Max: 5})
		ctx := t.Context()
		add(t, o, message(party), message(party), message(party))
		keyed := message(party)
		keyed.Key = "k"
		if err := o.Add(ctx, keyed, message(party), message(party)); !errors.Is(err, ErrFull) {
			t.Errorf("three more than fit: %v", err)
		}
		if s := o.Stats(); s.Waiting != 3 {
			t.Errorf("some of them were added: %+v", s)
		}
		// What was not added may be tried again, its key is free.
		add(t, o, keyed)
		add(t, o, keyed)
		if s := o.Stats(); s.Waiting != 4 {
			t.Errorf("%+v", s)
		}
		if !o.Offer(message(party)) {
			t.Error("there is room for one")
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if o.Offer(message(party)) {
			t.Error("there is no room")
		}
		if s := o.Stats(); s.Waiting != 5 || s.Dropped != 4 {
			t.Errorf("%+v, want 5 waiting, 3 and 1 dropped", s)
		}
		closed(t, o)
		if err := o.Add(ctx, message(party)); !errors.Is(err, ErrClosed) || o.Offer(message(party)) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// More is offered at once than is taken: what was taken is there, the rest is counted, and nobody waited.
func TestOfferBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	o := open(t, Options{Path: path, Transport: &receiver{answer: down}, Max: 2500})
	taken := 0
	for range 20_000 {
		if o.Offer(message(party)) {
			taken++
		}
	}
	closed(t, o)
	s := o.Stats()
	if s.Waiting > 2500 || s.Waiting+int(s.Dropped) != 20_000 || taken < s.Waiting {
		t.Errorf("%d taken, %+v", taken, s)
	}
	r := open(t, Options{Path: path, Transport: &receiver{answer: down}})
	if got := r.Stats().Waiting; got != s.Waiting {
		t.Errorf("%d are there after opening it again, want %d", got, s.Waiting)
	}
}

// What waits is there when the outbox is opened again, its tries are counted on, and what was sent is not sent again.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	synctest.Test(t, func(t *testing.T) {
		first := &receiver{}
		first.answer = func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "up.example" {
				return status(200)(r)
			}
			return down(r)
		}
		o := open(t, Options{Path: path, Transport: first})
		m := message("https://down.example/a")
		m.Method, m.Body, m.Header = http.MethodPost, []byte(`{"n":1}`), http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer x"}}
		add(t, o, m, message("https://up.example/b"))
		for range 3 {
			if !o.Offer(message("https://down.example/offered")) {
				t.Fatal("not taken")
			}
		}
		time.Sleep(30 * time.Second)
		closed(t, o)
		if got := o.Stats(); got.Sent != 1 || got.Waiting != 4 {
			t.Fatalf("%+v", got)
		}

		second := &receiver{answer: status(200)}
		o = open(t, Options{Path: path, Transport: second})
		synctest.Wait() // what is on its way by now arrives: between the two counts it would be in both
		if s := o.Stats(); s.Waiting+int(s.Sent) != 4 {
			t.Errorf("opened again: %+v", s)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		urls := second.urls()
		slices.Sort(urls)
		if fmt.Sprint(urls) != "[https://down.example/a https://down.example/offered https://down.example/offered https://down.example/offered]" {
			t.Errorf("sent: %q", urls)
		}
		for _, g := range second.got {
			if g.url == m.URL && (g.body != `{"n":1}` || g.header.Get("Authorization") != "Bearer x") {
				t.Errorf("it is sent as %+v", g)
			}
		}
		closed(t, o)
	})
}

func TestExpires(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: down}
		o := open(t, Options{Path: path, Transport: r})
		m := message(party)
		m.Expires = time.Now().Add(10 * time.Second)
		add(t, o, m)
		m.Expires = time.Now().Add(-time.Second) // late already
		m.URL = "https://late.example/"
		add(t, o, m)
		closed(t, o)
		time.Sleep(time.Minute)
		r = &receiver{answer: status(200)}
		o = open(t, Options{Path: path, Transport: r})
		synctest.Wait()
		if s := o.Stats(); len(r.urls()) != 0 || s.Waiting != 0 {
			t.Errorf("sent %q, %+v", r.urls(), s)
		}
		closed(t, o)
	})
}

// The same site, tag and key is one message, also when the first was sent long ago; another site's or tag's is another.
func TestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: status(200)}
		o := open(t, Options{Transport: r})
		m := message(party)
		m.Key = "order-1"
		add(t, o, m, m)
		synctest.Wait()
		add(t, o, m)
		o.Offer(m)
		other := m
		other.Tag = "other"
		add(t, o, other)
		other.Site = "outlet"
		add(t, o, other)
		add(t, o, message(party), message(party))
		time.Sleep(gatherTime)
		synctest.Wait()
		if n := len(r.urls()); n != 5 {
			t.Errorf("%d were sent, want one, two of another site or tag, and two without a key", n)
		}
		time.Sleep(24*time.Hour + time.Second)
		add(t, o, m)
		synctest.Wait()
		if n := len(r.urls()); n != 6 {
			t.Errorf("after its time a key is free again: %d were sent", n)
		}
		same := message(party)
		same.ID = uuid.Must(uuid.NewV7())
		same.URL = "https://down.example/"
		r.mu.Lock()
		r.answer = down
		r.mu.Unlock()
		add(t, o, same)
		add(t, o, same)
		if s := o.Stats(); s.Waiting != 1 {
			t.Errorf("the same id twice: %+v", s)
		}
		closed(t, o)
	})
}

// A withdrawal drops what waits, wherever it is by then: offered, waiting, or under way.
func TestForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	synctest.Test(t, func(t *testing.T) {
		her, him, receipt := uuid.New(), uuid.New(), uuid.New()
		release := make(chan struct{})
		r := &receiver{}
		r.answer = func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "slow.example" {
				<-release
			}
			return down(req)
		}
		finds := func(_ context.Context, site string, id uuid.UUID) (uuid.UUID, error) {
			if id != receipt || site != "shop" {
				return uuid.Nil, fs.ErrNotExist
			}
			return her, nil
		}
		o := open(t, Options{Path: path, Transport: r, Subject: finds})
		of := func(subject uuid.UUID, tag, address string) Message {
			m := message(address)
			m.Subject, m.Tag = subject, tag
			return m
		}
		add(t, o, of(her, "counter", "https://slow.example/under-way"))
		synctest.Wait() // it is under way
		add(t, o, of(her, "counter", party), of(her, "ads", party), of(him, "counter", party), of(uuid.Nil, "counter", party))
		elsewhere := of(her, "counter", party)
		elsewhere.Site = "outlet"
		add(t, o, elsewhere)
		if n, err := o.Forget(t.Context(), "shop", her, "ads", "no-such"); n != 1 || err != nil {
			t.Errorf("by tag: %d, %v", n, err)
		}
		offered := message(party)
		offered.Receipt = receipt
		if !o.Offer(offered) {
			t.Fatal("not taken")
		}
		if n, err := o.Forget(t.Context(), "shop", her); n != 3 || err != nil {
			t.Errorf("%d were dropped (%v), want what is under way, what waits and what was offered", n, err)
		}
		if n, err := o.Forget(t.Context(), "shop", uuid.Nil); n != 0 || err != nil {
			t.Errorf("of nobody: %d, %v", n, err)
		}
		unknown := message(party)
		unknown.Receipt = uuid.New()
		if err := o.Add(t.Context(), unknown); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a receipt that is not known: %v", err)
		}
		before := len(r.urls())
		close(release)
		synctest.Wait()
		if s := o.Stats(); s.Waiting != 3 || s.Dropped != 4 {
			t.Errorf("%+v, want his, that on nobody's consent, and the other site's", s)
		}
		time.Sleep(time.Hour)
		for _, u := range r.urls()[before:] {
			if strings.Contains(u, "slow") {
				t.Error("what was under way was tried again")
			}
		}
		closed(t, o)
		if s := open(t, Options{Path: path, Transport: r}); s.Stats().Waiting != 3 {
			t.Errorf("opened again: %+v", s.Stats())
		} else {
			closed(t, s)
		}
	})
}

// Whatever is added, forgotten, answered and restarted: each message ends in exactly one way, or waits.
func TestModel(t *testing.T) {
	path := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		file := filepath.Join(path, fmt.Sprint(n, ".db"))
		synctest.Test(t, func(t *testing.T) {
			var code atomic.Int32
			code.Store(200)
			r := &receiver{answer: func(req *http.Request) (*http.Response, error) {
				if c := code.Load(); c != 0 {
					return status(int(c))(req)
				}
				return down(req)
			}}
			subjects := []uuid.UUID{uuid.New(), uuid.New(), uuid.Nil}
			o := open(t, Options{Path: file, Transport: r, Max: 20})
			var added, ended int
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				switch rapid.IntRange(0, 5).Draw(rt, "step") {
				case 0, 1:
					m := message(party)
					m.Subject = subjects[rapid.IntRange(0, 2).Draw(rt, "subject")]
					list := slices.Repeat([]Message{m}, rapid.IntRange(1, 8).Draw(rt, "n"))
					room := o.Stats().Waiting+len(list) <= 20
					if err := o.Add(context.Background(), list...); err == nil != room || err != nil && !errors.Is(err, ErrFull) {
						rt.Fatalf("room: %v, Add says %v", room, err)
					}
					if room {
						added += len(list)
					} else {
						ended -= len(list) // they are counted as dropped
					}
				case 2:
					code.Store(rapid.SampledFrom([]int32{0, 200, 302, 404, 429, 500}).Draw(rt, "code"))
				case 3:
					if _, err := o.Forget(context.Background(), "shop", subjects[rapid.IntRange(0, 1).Draw(rt, "whose")]); err != nil {
						rt.Fatal(err)
					}
				case 4:
					time.Sleep(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "s")) * time.Second)
				case 5:
					if err := o.Close(); err != nil {
						rt.Fatal(err)
					}
					s := o.Stats()
					ended += int(s.Sent + s.Failed + s.Dropped)
					o = open(t, Options{Path: file, Transport: r, Max: 20})
				}
				synctest.Wait()
				s := o.Stats()
				if got := ended + int(s.Sent+s.Failed+s.Dropped) + s.Waiting; got != added {
					rt.Fatalf("of %d messages %d are accounted for: %+v", added, got, s)
				}
			}
			closed(t, o)
		})
	})
}

func TestWrongMessages(t *testing.T) {
	o := open(t, Options{Transport: &receiver{answer: status(200)}})
	for want, change := range map[string]func(*Message){
		"site or tag is missing":              func(m *Message) { m.Site = "" },
		"the method is \"PUT\"":               func(m *Message) { m.Method = "PUT" },
		"write https://host/path":             func(m *Message) { m.URL = "ftp://x.example/" },
		"the URL is not one":                  func(m *Message) { m.URL = "https://user:password@x.example/" },
		"URL and body have":                   func(m *Message) { m.Body = make([]byte, largest) },
		"header X has a value that cannot be": func(m *Message) { m.Header = http.Header{"X": {"a\r\nb"}} },
		"no possible name":                    func(m *Message) { m.Header = http.Header{"X Y": {"a"}} },
		"nothing that finds its subject":      func(m *Message) { m.Receipt = uuid.New() },
	} {
		m := message(party)
		change(&m)
		if err := o.Add(t.Context(), message(party), m); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "message 2") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	closed(t, o)
	if s := o.Stats(); s.Sent != 0 {
		t.Errorf("something was sent: %+v", s)
	}
}

func TestOpenErrors(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "other.db")
	if err := os.WriteFile(other, []byte(strings.Repeat("not a database at all ", 99)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none", "outbox.db"): "is not there: make it",
		other: "is not a Stile outbox",
	} {
		_, err := Open(t.Context(), Options{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q in one line", err, want)
		}
	}
	o := open(t, Options{Path: filepath.Join(folder, "outbox.db")})
	info, err := os.Stat(o.store.db.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v (%v)", info.Mode(), err)
	}
}

func BenchmarkOffer(b *testing.B) {
	o := open(b, Options{Transport: &receiver{answer: status(200)}, Max: 1 << 20})
	m := message(party)
	b.ReportAllocs()
	for b.Loop() {
		o.Offer(m)
	}
}

// What stands on a consent that was taken back elsewhere is not sent; while that cannot be told it waits.
func TestHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	synctest.Test(t, func(t *testing.T) {
		her, him, them := uuid.New(), uuid.New(), uuid.New()
		r := &receiver{answer: status(http.StatusOK)}
		var away atomic.Bool
		away.Store(true)
		o := open(t, Options{Path: path, Transport: r, Holds: func(_ context.Context, site, tag string, subject uuid.UUID) (bool, error) {
			if site != "shop" || tag != "counter" {
				t.Errorf("asked about %s of %s", tag, site)
			}
			if subject == them && away.Load() {
				return false, errDown
			}
			return subject != him, nil
		}})
		for name, subject := range map[string]uuid.UUID{"her": her, "him": him, "them": them, "nobody": uuid.Nil} {
			m := message("https://" + name + ".example/")
			m.Subject = subject
			add(t, o, m)
		}
		synctest.Wait()
		got := r.urls()
		slices.Sort(got)
		if !slices.Equal(got, []string{"https://her.example/", "https://nobody.example/"}) {
			t.Errorf("sent: %q", got)
		}
		if st := o.Stats(); st.Dropped != 1 || st.Waiting != 1 {
			t.Errorf("stats: %+v", st)
		}
		away.Store(false)
		time.Sleep(time.Minute) // of the test's own clock
		synctest.Wait()
		if st := o.Stats(); st.Sent != 3 || st.Waiting != 0 {
			t.Errorf("stats: %+v", st)
		}
		closed(t, o)
	})
}
