package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func record() ledger.Record {
	return ledger.Record{Key: uuid.New(), Site: "shop", Time: noon, Action: consent.AcceptAll, Granted: []string{"analytics"}, Language: "de"}
}

func open(t *testing.T, data string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(data, ledgerName)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func mustAppend(t *testing.T, l *ledger.Ledger) ledger.Record {
	t.Helper()
	r, err := l.Append(t.Context(), record())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// served is a data folder in use, with two records.
func served(t *testing.T) (data string, l *ledger.Ledger, stored []ledger.Record) {
	t.Helper()
	data = t.TempDir()
	l = open(t, data)
	stored = []ledger.Record{mustAppend(t, l), mustAppend(t, l)}
	write(t, "one", data, "keys/cookie-1.key")
	write(t, "public", data, "keys/receipt-1.pub")
	write(t, "half", data, "keys/cookie-2.key.new")
	write(t, "what waits", data, outboxName)
	return data, l, stored
}

func mustMake(t *testing.T, data string, change ...func(*Options)) (archive string, m Manifest) {
	t.Helper()
	archive = filepath.Join(t.TempDir(), "stile.tar")
	o := Options{Data: data, To: archive, Stile: "v1", Now: clock}
	for _, f := range change {
		f(&o)
	}
	m, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return archive, m
}

func restore(t *testing.T, archive, data string, force bool) (Restored, error) {
	t.Helper()
	return Restore(t.Context(), RestoreOptions{File: archive, Data: data, Force: force, Now: clock})
}

// tree is all that is in a folder: name to content.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		all[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func TestBackup(t *testing.T) {
	data, _, stored := served(t)
	archive, m := mustMake(t, data)
	info, err := os.Stat(archive)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive: %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(archive)); len(left) != 1 {
		t.Errorf("beside the archive is %v", left)
	}
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"stile.db", "keys/cookie-1.key", "keys/receipt-1.pub"}, names); diff != "" {
		t.Errorf("in it are (-want +got):\n%s", diff)
	}
	if m.Leaves != 2 || !strings.HasPrefix(m.Origin, "stile/") || !m.Made.Equal(noon) || m.Keys() != 2 {
		t.Errorf("manifest: %+v", m)
	}
	if _, err := Make(t.Context(), Options{Data: data, To: archive, Now: clock}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a backup over a backup: %v", err)
	}

	to := filepath.Join(t.TempDir(), "data")
	done, err := restore(t, archive, to, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Restored{Manifest: m}, done); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	got := tree(t, to)
	if got["keys/cookie-1.key"] != "one" || got["keys/receipt-1.pub"] != "public" || len(got) != 3 {
		t.Errorf("there are %d files", len(got))
	}
	for name := range got {
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	l := open(t, to)
	for _, r := range stored {
		if found, err := l.Find(t.Context(), "shop", r.ID); err != nil || !cmp.Equal(r, found) {
			t.Errorf("a restored record: %v\n%s", err, cmp.Diff(r, found))
		}
	}
	if next := mustAppend(t, l); next.Leaf != 2 {
		t.Errorf("the next number is %d", next.Leaf)
	}
}

func TestBackupLeavesOut(t *testing.T) {
	data, _, _ := served(t)
	archive, m := mustMake(t, data, func(o *Options) { o.NoKeys = true })
	raw, err := os.ReadFile(archive)
	if err != nil || m.Keys() != 0 || bytes.Contains(raw, []byte("keys/")) {
		t.Errorf("without keys: %+v, %v", m, err)
	}
	_, m = mustMake(t, data, func(o *Options) { o.PostgreSQL = true })
	if m.HasLedger() || m.Keys() != 2 {
		t.Errorf("with the ledger elsewhere: %+v", m)
	}
	empty := t.TempDir()
	if _, err := Make(t.Context(), Options{Data: empty, To: filepath.Join(empty, "x.tar"), Now: clock}); err == nil || !strings.Contains(err.Error(), "there is no database") {
		t.Errorf("of nothing: %v", err)
	}
	if left, _ := os.ReadDir(empty); len(left) > 0 {
		t.Errorf("a failed backup left %v", left)
	}
}

// What was erased is not in a copy, free pages and log included.
func TestBackupHoldsNothingErased(t *testing.T) {
	data, l, _ := served(t)
	r := record()
	r.Services = []string{"a-service-that-nothing-else-names"}
	stored, err := l.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, erased := range []bool{false, true} {
		want := int64(3)
		if erased {
			want++ // the audit trail says so
			if _, err := l.Erase(t.Context(), "shop", stored.Subject, ledger.By{Actor: ledger.Visitor, Time: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		archive, m := mustMake(t, data)
		raw, err := os.ReadFile(archive)
		if err != nil || bytes.Contains(raw, []byte(r.Services[0])) == erased || m.Leaves != want {
			t.Errorf("erased %t: the archive says otherwise (%d leaves, %v)", erased, m.Leaves, err)
		}
	}
}

// Each record that was acknowledged before a backup began is in it, while others are being stored.
func TestBackupUnderLoad(t *testing.T) {
	data := t.TempDir()
	l := open(t, data)
	var mu sync.Mutex
	acknowledged := map[uuid.UUID]bool{}
	stop, enough := make(chan struct{}), make(chan struct{})
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(stop)
	for range 16 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := l.Append(context.Background(), record())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if acknowledged[r.ID] = true; len(acknowledged) == 2000 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	for range 3 {
		mu.Lock()
		var before []uuid.UUID
		for id := range acknowledged {
			before = append(before, id)
		}
		mu.Unlock()
		archive, m := mustMake(t, data)
		to := filepath.Join(t.TempDir(), "data")
		if _, err := restore(t, archive, to, false); err != nil {
			t.Fatal(err)
		}
		got := map[uuid.UUID]bool{}
		err := open(t, to).Export(t.Context(), ledger.Query{}, func(r *ledger.Record) error { got[r.ID] = true; return nil })
		if err != nil || int64(len(got)) != m.Leaves {
			t.Fatalf("%d records of %d, %v", len(got), m.Leaves, err)
		}
		for _, id := range before {
			if !got[id] {
				t.Fatal("an acknowledged record is not in the backup")
			}
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	data, l, _ := served(t)
	archive, _ := mustMake(t, data)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stile.db", "stile.db-wal", "spool.db", "outbox.db"} {
		to := t.TempDir()
		write(t, "something", to, name)
		before := tree(t, to)
		if _, err := restore(t, archive, to, false); err == nil || !strings.Contains(err.Error(), "holds "+name) {
			t.Errorf("beside %s: %v", name, err)
		}
		if diff := cmp.Diff(before, tree(t, to)); diff != "" {
			t.Errorf("beside %s it changed:\n%s", name, diff)
		}
	}
}

func TestRestoreForce(t *testing.T) {
	data, l, stored := served(t)
	archive, _ := mustMake(t, data)
	later := mustAppend(t, l)
	if err := os.Remove(filepath.Join(data, outboxName)); err != nil { // it is none
		t.Fatal(err)
	}
	write(t, "two", data, "keys/cookie-2.key")

	if _, err := restore(t, archive, data, true); err == nil || !strings.Contains(err.Error(), "is in use: end stile serve first") {
		t.Fatalf("under a running server: %v", err)
	}
	if r := mustAppend(t, l); r.Leaf != 3 {
		t.Errorf("the running server stores number %d", r.Leaf)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	done, err := restore(t, archive, data, true)
	if err != nil {
		t.Fatal(err)
	}
	now := open(t, data)
	if n, err := now.Count(t.Context(), "shop"); n != len(stored) || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	old := open(t, done.Aside)
	if _, err := old.Find(t.Context(), "shop", later.ID); err != nil {
		t.Errorf("the ledger that was moved aside: %v", err)
	}
	if text := tree(t, data)["keys/cookie-2.key"]; text != "two" || done.Keys != nil {
		t.Errorf("the newer key is %q; put back: %v", text, done.Keys)
	}
}

// A damaged ledger is why one restores; what was written ahead of it must not be read as the new one's.
func TestRestoreOverDamage(t *testing.T) {
	data, l, stored := served(t)
	archive, _ := mustMake(t, data)
	wal, err := os.ReadFile(filepath.Join(data, ledgerName+"-wal"))
	if err != nil || len(wal) == 0 {
		t.Fatalf("there is no log to leave behind: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(to string){
		func(to string) { write(t, strings.Repeat("garbage", 5000), to, ledgerName) },
		func(to string) { write(t, string(wal), to, ledgerName+"-wal") },
		func(to string) {
			write(t, strings.Repeat("garbage", 5000), to, ledgerName)
			write(t, string(wal), to, ledgerName+"-wal")
			write(t, "", to, outboxName)
		},
	} {
		to := t.TempDir()
		spoil(to)
		before := tree(t, to)
		done, err := restore(t, archive, to, true)
		if err != nil {
			t.Error(err)
			continue
		}
		// What was written ahead may be folded in, as SQLite does with whatever it opens.
		if aside := tree(t, done.Aside); aside[ledgerName] != before[ledgerName] && before[ledgerName+"-wal"] == "" {
			t.Error("the damaged file was not kept as it was")
		}
		now := open(t, to)
		if n, err := now.Count(t.Context(), "shop"); n != len(stored) || err != nil {
			t.Errorf("%d records, %v", n, err)
		}
	}
}

func TestRestoreKeys(t *testing.T) {
	data, _, _ := served(t)
	write(t, "secret", data, "keys/log-1.key")
	archive, _ := mustMake(t, data)

	to := t.TempDir()
	write(t, "newer", to, "keys/cookie-9.key")
	write(t, "retired", to, "keys/log-1.pub")
	done, err := restore(t, archive, to, false)
	if err != nil {
		t.Fatal(err)
	}
	got := tree(t, filepath.Join(to, "keys"))
	want := map[string]string{"cookie-9.key": "newer", "log-1.pub": "retired", "cookie-1.key": "one", "receipt-1.pub": "public"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cookie-1.key", "receipt-1.pub"}, done.Keys); diff != "" {
		t.Errorf("put back (-want +got):\n%s", diff)
	}

	// A key that is another one is found after the old ledger was moved: it goes back.
	to = t.TempDir()
	old := open(t, to)
	kept := mustAppend(t, old)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "another", to, "keys/cookie-1.key")
	if _, err := restore(t, archive, to, true); err == nil || !strings.Contains(err.Error(), "cookie-1.key is another one") {
		t.Errorf("another key of the same name: %v", err)
	}
	if entries, _ := os.ReadDir(to); len(entries) != 2 {
		t.Errorf("left are %v", entries)
	}
	again := open(t, to)
	if _, err := again.Find(t.Context(), "shop", kept.ID); err != nil {
		t.Errorf("the old ledger: %v", err)
	}
}

// Whatever byte of an archive is another one, what is restored is what was backed up, or nothing is.
func TestRestoreDamaged(t *testing.T) {
	data, _, _ := served(t)
	archive, _ := mustMake(t, data)
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "whole")
	if _, err := restore(t, archive, to, false); err != nil {
		t.Fatal(err)
	}
	want := tree(t, to)
	damaged := filepath.Join(t.TempDir(), "damaged.tar")
	try := func(what string, at int, raw []byte) {
		if err := os.WriteFile(damaged, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "data")
		_, err := restore(t, damaged, to, false)
		got := tree(t, to)
		switch {
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s at %d: more than a line: %v", what, at, err)
		case err != nil && (len(got) > 0 || there(to)):
			t.Errorf("%s at %d: refused (%v), and there are %d files", what, at, err, len(got))
		case err == nil && !cmp.Equal(want, got):
			t.Errorf("%s at %d: something else was restored", what, at)
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
	step := max(1, len(whole)/100)
	for at := range whole {
		if at > 1600 && at%step != 0 { // the manifest and the first headers at every byte
			continue
		}
		raw := bytes.Clone(whole)
		raw[at] ^= 0x20
		try("a byte", at, raw)
	}
	for at := 0; at < len(whole)-1024; at += max(512, len(whole)/50) {
		if err := os.WriteFile(damaged, whole[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, damaged, to+"cut", false); err == nil {
			t.Fatalf("cut after %d bytes it was restored", at)
		}
	}
}

func TestRestoreHostile(t *testing.T) {
	pack := func(entries ...tar.Header) string {
		name := filepath.Join(t.TempDir(), "x.tar")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		for _, h := range entries {
			text := h.Linkname
			if h.Typeflag == 0 {
				h.Typeflag, h.Linkname = tar.TypeReg, ""
				h.Size = int64(len(text))
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				if _, err := io.WriteString(w, text); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		return name
	}
	manifest := func(files string) tar.Header {
		return tar.Header{Name: manifestName, Mode: 0o600, Linkname: `{"form":1,"stile":"v1","made":"2026-11-01T12:00:00Z","leaves":0,"files":[` + files + `]}`}
	}
	const sum = `"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"` // x
	for name, test := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"empty":                {nil, "is not a backup of Stile's"},
		"another archive":      {[]tar.Header{{Name: "README", Linkname: "x"}}, "does not begin with manifest.json"},
		"a later form":         {[]tar.Header{{Name: manifestName, Linkname: `{"form":2}`}}, "use a newer stile"},
		"a way out":            {[]tar.Header{manifest(`{"name":"../x","size":1,` + sum + `}`), {Name: "../x", Linkname: "x"}}, `"../x" is no file of a backup`},
		"a way out among keys": {[]tar.Header{manifest(`{"name":"keys/../../x.key","size":1,` + sum + `}`)}, "is no file of a backup"},
		"twice":                {[]tar.Header{manifest(`{"name":"keys/a.key","size":1,` + sum + `},{"name":"keys/a.key","size":1,` + sum + `}`)}, "is in it twice"},
		"missing":              {[]tar.Header{manifest(`{"name":"keys/a.key","size":1,` + sum + `}`)}, "it is missing"},
		"a link":               {[]tar.Header{manifest(`{"name":"keys/a.key","size":0,` + sum + `}`), {Name: "keys/a.key", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}}, "in its place is"},
		"more":                 {[]tar.Header{manifest(`{"name":"keys/a.key","size":1,` + sum + `}`), {Name: "keys/a.key", Linkname: "x"}, {Name: "keys/b.key", Linkname: "x"}}, "more is in it"},
		"nothing":              {[]tar.Header{manifest(``)}, "nothing is in it"},
		"no database":          {[]tar.Header{manifest(`{"name":"stile.db","size":1,` + sum + `}`), {Name: "stile.db", Linkname: "x"}}, "cannot be used"},
		"no spool":             {[]tar.Header{manifest(`{"name":"spool.db","size":1,` + sum + `}`), {Name: "spool.db", Linkname: "x"}}, "cannot be used"},
	} {
		to := filepath.Join(t.TempDir(), "data")
		_, err := restore(t, pack(test.entries...), to, false)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		if there(to) {
			t.Errorf("%s: there is a data folder", name)
		}
	}
}

// A copy of a newer stile's ledger is refused, one of an older stile's is taken as it is.
func TestRestoreVersions(t *testing.T) {
	data, l, _ := served(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(data, ledgerName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x.tar")
	if _, err := Make(t.Context(), Options{Data: data, To: to, Now: clock}); err == nil || !strings.Contains(err.Error(), "use a newer stile") {
		t.Errorf("of a newer stile: %v", err)
	}
}
