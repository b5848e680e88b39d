package server

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// size is how many visits are remembered.
func (v *visits) size() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.young) + len(v.old)
}

// heap is what lives on it.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// However many visitors there are, and however long their headers, what is remembered of them stays under its bound.
func TestVisitsAreBounded(t *testing.T) {
	const bound = 16 << 20
	before := heap()
	v := newVisits()
	o := outcome{etag: []string{`W/"abc"`}}
	for i := range 5 * mostVisits {
		key := visitKey{choice: fmt.Sprintf("%0400d", i), region: "US-CA", lang: strings.Repeat("d", longestText-405)}
		v.put(key, o, 0)
		if n := v.size(); n > 2*mostVisits {
			t.Fatalf("%d visits are remembered, the bound is %d", n, 2*mostVisits)
		}
		if _, found := v.get(key, time.Now()); !found {
			t.Fatal("a visit is forgotten at once")
		}
	}
	if used := heap() - before; used > bound {
		t.Errorf("%d visits take %d bytes, the bound is %d", v.size(), used, bound)
	} else {
		t.Logf("%d visits take %d KB", v.size(), used>>10)
	}
	n := v.size()
	v.put(visitKey{lang: strings.Repeat("d", longestText+1)}, o, 0)
	if v.size() != n {
		t.Error("a key that is too long is kept")
	}
	runtime.KeepAlive(v)
}

// A remembered visit does not keep the request alive that it came with, whose buffers are larger than the key.
func TestVisitsCopyKeys(t *testing.T) {
	v := newVisits()
	before := heap()
	for i := range 64 {
		header := strings.Repeat(fmt.Sprint(i%10), 1<<20)
		v.put(visitKey{choice: header[:10+i], lang: header[20:30]}, outcome{}, 0)
	}
	if used := heap() - before; used > 8<<20 {
		t.Errorf("64 visits keep %d MB alive", used>>20)
	}
	runtime.KeepAlive(v)
}

// What the gate let go of is not kept alive by visits.
func TestVisitsFollowTheGate(t *testing.T) {
	v := newVisits()
	now := time.Now()
	key := func(i int) visitKey { return visitKey{choice: fmt.Sprint(i)} }
	for i := range mostVisits + 10 { // in both generations
		v.put(key(i), outcome{}, 1)
	}
	v.put(key(-1), outcome{}, 2)
	if v.size() != 1 {
		t.Errorf("after the gate's turn %d visits are remembered, want 1", v.size())
	}
	v.put(key(-2), outcome{}, 1)
	if _, found := v.get(key(-2), now); found {
		t.Error("an answer of a former turn is kept")
	}
	if _, found := v.get(key(-1), now); !found {
		t.Error("an answer of the present turn is forgotten")
	}
}

// A remembered choice that has grown too old is not what the visitor chose any more (B10).
func TestVisitsExpire(t *testing.T) {
	v := newVisits()
	now := time.Now()
	v.put(visitKey{}, outcome{until: now.Add(time.Minute)}, 0)
	if _, found := v.get(visitKey{}, now); !found {
		t.Error("forgotten before its time")
	}
	if _, found := v.get(visitKey{}, now.Add(time.Minute)); found {
		t.Error("remembered after its time")
	}
}

// Anybody can make up cookies: those that are no choice leave nothing behind, and push nobody out.
func TestForgedCookiesAreNotRemembered(t *testing.T) {
	s := benchServer(t)
	st := s.current.Load().sites["shop"]
	good := benchCookie(t, s)
	w := &sink{header: http.Header{}}
	ask := func(cookies string) {
		w.reset()
		if s.Handler().ServeHTTP(w, benchScript(t, cookies)); w.status != http.StatusOK {
			t.Fatalf("status %d", w.status)
		}
	}
	ask(good)
	if st.visits.size() != 1 {
		t.Fatalf("after one visit %d are remembered", st.visits.size())
	}
	name, token, _ := strings.Cut(good, "=")
	for i := range 3 * mostVisits {
		ask(fmt.Sprintf("%s=%d%s", name, i, token[8:])) // like a choice, but not signed
	}
	for i := range 100 {
		ask(fmt.Sprintf("%s=%s; %s=%d", name, token, name, i)) // signed, with others of the name beside it
	}
	if n := st.visits.size(); n != 1 {
		t.Errorf("%d visits are remembered, want the one with a choice", n)
	}
	key := visitKey{choice: token, lang: benchScript(t, "").Header.Get("Accept-Language")}
	if _, found := st.visits.get(key, time.Now()); !found {
		t.Error("forged cookies pushed out a visitor with a choice")
	}
}
