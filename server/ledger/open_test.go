package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string) string // returns what to open
		want string                                 // PATH is what was opened
	}{
		{"a folder", func(_ *testing.T, path string) string {
			return filepath.Dir(path)
		}, "PATH is a folder: name a file in it, such as PATH/stile.db"},
		{"no folder", func(_ *testing.T, path string) string {
			return filepath.Join(filepath.Dir(path), "none", "stile.db")
		}, "/none is not there: make it"},
		{"a folder that cannot be written", func(t *testing.T, path string) string {
			if os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			chmod(t, filepath.Dir(path), 0o500)
			return path
		}, "PATH cannot be written: let this user write the folder"},
		{"a folder that can no more be written", func(t *testing.T, path string) string {
			if os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			closeOf(t, open(t, path))
			chmod(t, filepath.Dir(path), 0o500)
			return path
		}, "the database PATH cannot be written: let this user write the file and its folder"},
		{"a file that cannot be written", func(t *testing.T, path string) string {
			if os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			closeOf(t, open(t, path))
			chmod(t, path, 0o400)
			return path
		}, "the database PATH cannot be written: let this user write the file and its folder"},
		{"a text", func(t *testing.T, path string) string {
			write(t, path, bytes.Repeat([]byte("site: shop\n"), 500))
			return path
		}, "the database PATH is not a Stile database: name another file"},
		{"a database of another program", func(t *testing.T, path string) string {
			execute(t, path, `CREATE TABLE moz_places (id INTEGER)`)
			return path
		}, "PATH is not a Stile database: name another file"},
		{"a newer database", func(t *testing.T, path string) string {
			closeOf(t, open(t, path))
			execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (7, 1)`)
			return path
		}, "the database PATH is of version 7, this stile knows up to 6: use a newer stile"},
		{"a damaged database", func(t *testing.T, path string) string {
			closeOf(t, open(t, path))
			raw := read(t, path)
			write(t, path, append(raw[:100:100], bytes.Repeat([]byte{0xa5}, len(raw)-100)...))
			return path
		}, "the database PATH is damaged: restore it from a backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.make(t, filepath.Join(t.TempDir(), "stile.db"))
			before, _ := os.ReadFile(path)
			s, err := Open(context.Background(), Options{Path: path})
			if err == nil {
				closeOf(t, s)
				t.Fatal("it was opened")
			}
			want := strings.ReplaceAll(test.want, "PATH", path)
			if got := err.Error(); !strings.Contains(got, want) || strings.Contains(got, "\n") {
				t.Errorf("error is\n%s\nwant one line with\n%s", got, want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%41;.db")
	s := open(t, path)
	kept := mustAppend(t, s, record("shop"))
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
	second := open(t, path) // while the first is open
	if _, err := second.Find(context.Background(), "shop", kept.ID); err != nil {
		t.Error(err)
	}
	later := mustAppend(t, second, record("shop"))
	if _, err := s.Find(context.Background(), "shop", later.ID); err != nil {
		t.Error(err)
	}
	closeOf(t, second)
	closeOf(t, s)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("after Close there are %q", left)
	}
}

// Processes that start together on a new database do not fail each other.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(context.Background(), Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Append(context.Background(), record("shop")); err != nil {
				t.Error(err)
			}
			closeOf(t, s)
		})
	}
	wg.Wait()
	if n, err := open(t, path).Count(context.Background(), "shop"); n != 4 || err != nil {
		t.Errorf("%d records, want 4, %v", n, err)
	}
}

// An open that was interrupted before the schema was there is taken up again.
func TestOpenAfterInterruption(t *testing.T) {
	for name, sql := range map[string]string{
		"marked":   `PRAGMA application_id = 1400138092`,
		"unmarked": `PRAGMA user_version = 0`,
	} {
		path := filepath.Join(t.TempDir(), name)
		execute(t, path, sql)
		mustAppend(t, open(t, path), record("shop"))
	}
}

func TestPragmas(t *testing.T) {
	s := fresh(t)
	got := map[string]string{}
	for _, name := range []string{"journal_mode", "synchronous", "foreign_keys", "busy_timeout", "application_id", "secure_delete"} {
		var value string
		if err := file(s).QueryRow("PRAGMA " + name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		got[name] = value
	}
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "application_id": "1400138092", "secure_delete": "1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pragmas (-want +got):\n%s", diff)
	}
}

func TestPing(t *testing.T) {
	s := fresh(t)
	release := block(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan error)
	go func() { answered <- s.Ping(ctx) }()
	until(func() bool { return file(s).Stats().InUse == 1 })
	cancel()
	if err := <-answered; err == nil {
		t.Error("a database that another process holds can be written")
	}
	release()
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	mustAppend(t, s, record("shop"))

	if err := os.Rename(file(s).Path, file(s).Path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(context.Background()); err == nil {
		t.Error("a database that is gone can be written")
	}
	write(t, file(s).Path, nil)
	if err := s.Ping(context.Background()); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("another file in its place: %v", err)
	}
}

// C5: there is no place for an IP address, a user agent or a URL. A new column is added here on purpose or not at all.
func TestColumns(t *testing.T) {
	s := fresh(t)
	got := map[string]string{}
	err := s.each(context.Background(), func(rows *sql.Rows) error {
		var table, columns string
		err := rows.Scan(&table, &columns)
		got[table] = columns
		return err
	}, `SELECT t.name, group_concat(c.name, ' ') FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'goose%' AND t.name NOT LIKE 'sqlite%' GROUP BY t.name`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"records":     "leaf salt id key site subject previous time action granted denied services refused regime country language policy list notice surface gpc age expiry",
		"log":         "origin size",
		"tree":        "id size root",
		"tiles":       "level n data",
		"checkpoints": "size time note",
		"notices":     "site hash language regime policy text time",
		"lists":       "site id entries",
		"policies":    "seq site version hash text material summary controller since",
		// contact is what the visitor asks to be answered at.
		"requests": "number site kind contact details receipt time due answered note",
		// kept on a grant alone, and no longer than it holds.
		"mail_events": "site message kind subject day category times",
		// names records by their numbers, and nobody.
		"audit":   "leaf salt time actor act site leaves count detail",
		"history": "site month action granted denied regime policy surface times",
		"claims":  "name holder until",
		// counts, of which small ones are merged before they are stored.
		"tallies": "site day writer sheet",
		// of the dashboard, and not of visitors.
		"users":    "name role password issuer subject created",
		"sessions": "id name created seen expires",
		"alerts":   "id site kind subject owner text raised seen cleared",
		"tellings": "alert ended way place told due tries error",
		"shares":   "id site label epsilon seed created expires",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

// TestErasedFromDisk is C10: what was erased is not left in the files either.
func TestErasedFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, path)
	r := record("shop")
	r.Services = []string{"a-service-that-nothing-else-names"}
	stored := mustAppend(t, s, r)
	named := func() bool {
		t.Helper()
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte(r.Services[0])) {
				return true
			}
		}
		return false
	}
	if !named() {
		t.Fatal("the record is not in the files, so that this test tests nothing")
	}
	if _, err := s.Erase(t.Context(), "shop", stored.Subject, byVisitor); err != nil {
		t.Fatal(err)
	}
	if named() {
		t.Error("the erased record is still in the files")
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statement); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func closeOf(t *testing.T, s *Ledger) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) // so that it can be removed
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
