package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/keys"
)

// published are the verifiers that an auditor gets from a server, with nothing but x/mod.
func (w *world) published() (note.Verifiers, string) {
	w.t.Helper()
	resp, body := w.get("/stile/log/keys")
	h := resp.Header
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") ||
		h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cache-Control") != "no-cache" || h.Get("Set-Cookie") != "" {
		w.t.Fatalf("the keys are answered %d %v", resp.StatusCode, h)
	}
	var list []note.Verifier
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		v, err := note.NewVerifier(strings.TrimSpace(line))
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), body
}

// New keys of receipts and log are taken on by a reload, and what older ones signed verifies before and after they retire.
func TestLogKeys(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(w.folder, "data", "keys")
	var signed [][]byte
	verify := func(when string) {
		t.Helper()
		if err := w.s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		ring := w.s.current.Load().keys
		for _, s := range []keys.Signer{ring.Receipt[0], ring.Log[0]} {
			msg, err := note.Sign(&note.Note{Text: when + "\n"}, s.NoteSigner())
			if err != nil {
				t.Fatal(err)
			}
			signed = append(signed, msg)
		}
		known, _ := w.published()
		for _, msg := range signed {
			if _, err := note.Open(msg, known); err != nil {
				t.Errorf("%s this does not verify: %s: %v", when, msg, err)
			}
		}
	}
	verify("at first")
	first := w.s.current.Load().keys
	for _, kind := range []keys.Kind{keys.Receipt, keys.Log} {
		name, err := keys.New(folder, kind, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		verify("after " + name)
	}
	if now := w.s.current.Load().keys; now.Receipt[0].Equal(first.Receipt[0]) || now.Log[0].Equal(first.Log[0]) {
		t.Error("the new keys do not sign")
	}
	for _, s := range []keys.Signer{first.Receipt[0], first.Log[0]} {
		if err := keys.Retire(folder, s.Name()); err != nil {
			t.Fatal(err)
		}
	}
	verify("after the retirement")
	if len(signed) != 8 {
		t.Fatalf("%d were signed", len(signed))
	}
	if _, body := w.published(); strings.Count(body, " retired\n") != 2 || strings.Count(body, " signs\n") != 2 || strings.Count(body, "\n") != 8 {
		t.Errorf("published is\n%s", body)
	}
	if resp, _ := w.send(http.MethodHead, "/stile/log/keys", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD is answered %d", resp.StatusCode)
	}
}

// With keys given, those of the folder are not looked at, and a reload makes none.
func TestGivenKeys(t *testing.T) {
	ring, err := keys.Parse([]string{strings.Repeat("01", 32)}, []string{strings.Repeat("02", 32)}, []string{strings.Repeat("03", 32)})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) { o.Keys = ring })
	if _, body := w.published(); body != ring.Publish() {
		t.Errorf("published is\n%s", body)
	}
	if err := w.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(w.folder, "data", "keys*")); files != nil {
		t.Errorf("the data folder has %q", files)
	}
}

// A key file that is wrong keeps the old keys in service, and the log says which file it is and not what is in it.
func TestBadKeyAtReload(t *testing.T) {
	w := newWorld(t)
	_, before := w.published()
	file := filepath.Join(w.folder, "data", "keys", "log-99991231T000000Z.key")
	writeFile(t, file, "beefbeef\n")
	if err := w.s.Reload(t.Context()); err == nil {
		t.Fatal("a corrupt key is taken on")
	}
	if _, after := w.published(); after != before {
		t.Errorf("published is\n%s", after)
	}
	if log := w.log.String(); !strings.Contains(log, file) || strings.Contains(log, "beefbeef") {
		t.Errorf("the log says\n%s", log)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
