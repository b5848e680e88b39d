package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

const logOrigin = "stile/0123456789abcdef0123456789abcdef"

// memoryLog is a log whose leaves are numbered texts, with what a ledger keeps of it.
type memoryLog struct {
	tiles      map[[2]int64][]byte
	tree       tlog.Tree
	checkpoint []byte
	key        note.Verifier
	err        error // of each reading of tiles
	signer     note.Signer
}

func newMemoryLog(size int64) (*memoryLog, error) {
	private, public, err := note.GenerateKey(strings.NewReader(strings.Repeat("k", 32)), "stile")
	if err != nil {
		return nil, err
	}
	l := &memoryLog{tiles: map[[2]int64][]byte{}, tree: merkle.Empty()}
	if l.signer, err = note.NewSigner(private); err != nil {
		return nil, err
	}
	if l.key, err = note.NewVerifier(public); err != nil {
		return nil, err
	}
	if err := l.grow(size); err != nil {
		return nil, err
	}
	return l, l.sign()
}

func recordText(n int64) []byte { return fmt.Appendf(nil, `{"record":%d}`, n) }

func (l *memoryLog) grow(size int64) error {
	var leaves []tlog.Hash
	for n := l.tree.N; n < size; n++ {
		leaves = append(leaves, tlog.RecordHash(recordText(n)))
	}
	g, err := merkle.Grow(context.Background(), l, l.tree, leaves)
	if err != nil {
		return err
	}
	for _, t := range g.Tiles {
		l.tiles[[2]int64{int64(t.Level), t.N}] = t.Data
	}
	l.tree = g.Tree
	return nil
}

func (l *memoryLog) sign() (err error) {
	c := merkle.Checkpoint{Origin: logOrigin, Size: l.tree.N, Root: l.tree.Hash, Time: time.Date(2026, 11, 1, 9, 30, 0, 0, time.UTC)}
	l.checkpoint, err = c.Sign(l.signer)
	return err
}

func (l *memoryLog) Checkpoint(context.Context) ([]byte, error) {
	if l.checkpoint == nil {
		return nil, fs.ErrNotExist
	}
	return l.checkpoint, nil
}

func (l *memoryLog) Tiles(_ context.Context, tiles []tlog.Tile) (list [][]byte, err error) {
	if l.err != nil {
		return nil, l.err
	}
	for _, t := range tiles {
		data := l.tiles[[2]int64{int64(t.L), t.N}]
		if len(data) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: %w", t.Path(), fs.ErrNotExist)
		}
		list = append(list, data[:t.W*tlog.HashSize])
	}
	return list, nil
}

// serveLog serves all routes of a server that has a log, and no site.
func serveLog(l publicLog) (_ *httptest.Server, logged *syncBuffer) {
	logged = &syncBuffer{}
	s := &Server{
		merkle: l, log: slog.New(slog.NewTextHandler(logged, nil)), now: time.Now,
		metrics: &metrics{registry: prometheus.NewRegistry()},
	}
	s.current.Store(&snapshot{})
	return httptest.NewServer(s.routes()), logged
}

// newLog serves a log of a size, and sends requests to it as an auditor's page.
func newLog(t *testing.T, size int64) (l *memoryLog, send func(method, path string) (*http.Response, []byte), logged *syncBuffer) {
	t.Helper()
	l, err := newMemoryLog(size)
	if err != nil {
		t.Fatal(err)
	}
	server, logged := serveLog(l)
	t.Cleanup(server.Close)
	return l, func(method, path string) (*http.Response, []byte) { return sendTo(t, server, method, path) }, logged
}

func sendTo(t *testing.T, server *httptest.Server, method, path string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://auditor.example")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// checkHeaders checks those of an answer of the log's, which is the same for everybody.
func checkHeaders(t *testing.T, what string, resp *http.Response, kind, cache string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": kind, "Cache-Control": cache, "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "",
		"X-Content-Type-Options": "nosniff", "Vary": "", "Set-Cookie": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, not %q", what, name, got, want)
		}
	}
}

func TestLogCheckpoint(t *testing.T) {
	l, send, _ := newLog(t, 1000)
	resp, body := send(http.MethodGet, "/stile/log/checkpoint")
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, l.checkpoint) {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	checkHeaders(t, "checkpoint", resp, "text/plain; charset=UTF-8", "public, max-age=1")
	if c, err := merkle.Parse(body, logOrigin, note.VerifierList(l.key)); err != nil || c.Tree() != l.tree {
		t.Errorf("it says %+v (%v)", c, err)
	}
	head, none := send(http.MethodHead, "/stile/log/checkpoint")
	if head.StatusCode != http.StatusOK || len(none) > 0 || head.ContentLength != int64(len(body)) {
		t.Errorf("HEAD: %s, %d bytes of %d", head.Status, len(none), head.ContentLength)
	}
	if err := errors.Join(l.grow(1001), l.sign()); err != nil {
		t.Fatal(err)
	}
	if _, next := send(http.MethodGet, "/stile/log/checkpoint"); !bytes.HasPrefix(next, []byte(logOrigin+"\n1001\n")) {
		t.Errorf("after the log grew:\n%s", next)
	}
}

func TestLogTiles(t *testing.T) {
	const size = 66000
	l, send, _ := newLog(t, size)
	tiles := tlog.NewTiles(merkle.Height, 0, size)
	tiles = append(tiles,
		tlog.Tile{H: 8, L: 0, N: 0, W: 1}, tlog.Tile{H: 8, L: 0, N: 3, W: 255}, tlog.Tile{H: 8, L: 0, N: 257, W: 7}, tlog.Tile{H: 8, L: 1, N: 0, W: 100})
	for _, tile := range tiles {
		want, err := l.Tiles(t.Context(), []tlog.Tile{tile})
		if err != nil {
			t.Fatal(err)
		}
		resp, body := send(http.MethodGet, "/stile/log/"+tile.Path())
		if resp.StatusCode != http.StatusOK || !bytes.Equal(body, want[0]) {
			t.Fatalf("%s: %s, %d bytes of %d", tile.Path(), resp.Status, len(body), len(want[0]))
		}
		cache := "public, max-age=31536000, immutable"
		if tile.W < merkle.Width {
			cache = "public, max-age=3600"
		}
		checkHeaders(t, tile.Path(), resp, "application/octet-stream", cache)
	}
}

func TestLogBadInput(t *testing.T) {
	l, send, _ := newLog(t, 66000)
	if err := l.grow(70000); err != nil { // stored, and not yet signed
		t.Fatal(err)
	}
	const shape = "they are tile/8/LEVEL/NUMBER, as tile/8/0/x001/234, and .p/WIDTH where one is not full"
	for path, want := range map[string]string{
		"8/0/257":                     "tile/8/0/257 is beyond the log, which is signed up to size 66000",
		"8/0/257.p/209":               "tile/8/0/257.p/209 is beyond the log, which is signed up to size 66000",
		"8/0/258.p/1":                 "is beyond the log",
		"8/0/x001/000":                "is beyond the log",
		"8/1/001.p/2":                 "is beyond the log",
		"8/2/000":                     "is beyond the log",
		"8/2/000.p/2":                 "is beyond the log",
		"8/3/000.p/1":                 "is beyond the log",
		"8/8/000.p/1":                 "is beyond the log",
		"8/1152921504606846976/000":   "is beyond the log", // times 8 it is negative
		"8/2305843009213693952/000":   "is beyond the log", // times 8 it is 0
		"8/0/x999/x999/x999/x999/999": "is beyond the log",
		"8/data/000":                  "the leaves are not published, since each is a person's",
		"8/data/000.p/5":              "the leaves are not published, since each is a person's",
		"8/-1/000":                    shape,
		"7/0/000":                     shape,
		"9/0/000.p/1":                 shape,
		"8/0/0":                       shape,
		"8/0/000/":                    shape,
		"8/0/x000/000":                shape,
		"8/00/000":                    shape,
		"8/0/000.p/0":                 shape,
		"8/0/000.p/256":               shape,
		"8/0/000.p/05":                shape,
		"8/0/-01":                     shape,
		"8/0/x999/x999/x999/x999/x999/x999/x999/999": shape, // more than a number holds
		"8/0":           shape,
		"":              shape,
		"8/0/%2e%2e":    shape,
		"8/0/000%0a.p/": shape,
	} {
		resp, body := send(http.MethodGet, "/stile/log/tile/"+path)
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), want) || bytes.Count(body, []byte("\n")) != 1 {
			t.Errorf("%s: %s: %s", path, resp.Status, body)
		}
		checkHeaders(t, path, resp, "application/json", "private, no-store")
	}
	for _, path := range []string{"checkpoint", "tile/8/0/000"} {
		if resp, body := send(http.MethodPost, "/stile/log/"+path); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %s: %s", path, resp.Status, body)
		}
	}
	for _, path := range []string{"/stile/logs.js", "/stile/lo.js", "/stile/logs/banner"} { // other sites' paths go where they went
		if resp, body := send(http.MethodGet, path); resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "there is no site") {
			t.Errorf("%s: %s: %s", path, resp.Status, body)
		}
	}
}

// TestLogFails: what goes wrong inside is logged, not shown and not kept.
func TestLogFails(t *testing.T) {
	l, send, logged := newLog(t, 300)
	fails := func(why, path string) {
		t.Helper()
		resp, body := send(http.MethodGet, path)
		if resp.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), why) {
			t.Errorf("%s: %s: %s", why, resp.Status, body)
		}
		checkHeaders(t, why, resp, "application/json", "private, no-store")
		if !strings.Contains(logged.String(), why) {
			t.Errorf("%s is not logged: %s", why, logged)
		}
	}
	l.err = errors.New("the disk is on fire")
	fails("the disk is on fire", "/stile/log/tile/8/0/000")
	l.err = nil
	delete(l.tiles, [2]int64{0, 1})
	fails("tile/8/0/001.p/44: file does not exist", "/stile/log/tile/8/0/001.p/44")
	l.checkpoint = []byte("half a check")
	fails("this is not a checkpoint of Stile's", "/stile/log/tile/8/0/000")

	l.checkpoint = nil
	for _, path := range []string{"/stile/log/checkpoint", "/stile/log/tile/8/0/000"} {
		resp, body := send(http.MethodGet, path)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), "no checkpoint of the log is signed yet") {
			t.Errorf("%s: %s: %s", path, resp.Status, body)
		}
	}
}

// TestNoLog: a server without a log publishes none.
func TestNoLog(t *testing.T) {
	server, _ := serveLog(nil)
	defer server.Close()
	for _, path := range []string{"/stile/log/checkpoint", "/stile/log/tile/8/0/000"} {
		if resp, body := sendTo(t, server, http.MethodGet, path); resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "there is nothing at "+path) {
			t.Errorf("%s: %s: %s", path, resp.Status, body)
		}
	}
}
