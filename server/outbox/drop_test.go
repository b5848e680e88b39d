package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// C10: an operator's erasure is another process than the one that sends.
func TestDropBesideASender(t *testing.T) {
	const hers, his = "https://vendor.example/hers-7c1d", "https://vendor.example/his"
	folder := t.TempDir()
	path := filepath.Join(folder, "outbox.db")
	her, him := uuid.New(), uuid.New()
	synctest.Test(t, func(t *testing.T) {
		if n, err := Drop(t.Context(), path, "shop", her); n != 0 || err != nil {
			t.Errorf("where there is no outbox: %d, %v", n, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("one was made")
		}
		r := &receiver{answer: down}
		o := open(t, Options{Path: path, Transport: r})
		for address, subject := range map[string]uuid.UUID{hers: her, his: him} {
			m := message(address)
			m.Subject = subject
			add(t, o, m)
		}
		synctest.Wait() // the first attempts have failed, and the messages wait in memory
		if n, err := Drop(t.Context(), path, "outlet", her); n != 0 || err != nil {
			t.Errorf("of another site: %d, %v", n, err)
		}
		if n, err := Drop(t.Context(), path, "shop", her); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte("hers-7c1d")) {
				t.Errorf("%s holds what was dropped (%v)", filepath.Base(file), err)
			}
		}
		before := len(r.urls())
		time.Sleep(2 * time.Hour)
		after := r.urls()[before:]
		if slices.ContainsFunc(after, func(u string) bool { return strings.Contains(u, "hers") }) || !slices.Contains(after, his) {
			t.Errorf("sent afterwards: %q", after)
		}
		if s := o.Stats(); s.Waiting != 1 {
			t.Errorf("%+v, want his alone", s)
		}
		closed(t, o)
	})
}
