package ledger

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// childEnv makes the test binary a writer that never ends by itself, of the database that it names.
const childEnv = "STILE_LEDGER_TEST_CHILD"

// TestKill kills a process in the midst of writing: each record that it acknowledged is there exactly once.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	acknowledged := map[string]string{} // key to id
	for range 3 {
		killWriter(t, path, 1500, acknowledged)
		check(t, path, acknowledged)
	}
}

// killWriter kills the child after so many acknowledgements, and adds all that it gave to the map.
func killWriter(t *testing.T, path string, after int, acknowledged map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewReader(out); ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what it said of an unfinished line, it did not say
		}
		key, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		acknowledged[key] = id
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed: that is no news
	if n < after {
		t.Fatalf("the child ended by itself after %d records", n)
	}
}

func check(t *testing.T, path string, acknowledged map[string]string) {
	t.Helper()
	ctx := context.Background()
	s := open(t, path)
	there := map[string][]string{} // key to ids
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id, key uuid.UUID
		err := rows.Scan(&id, &key)
		there[key.String()] = append(there[key.String()], id.String())
		return err
	}, `SELECT id, key FROM records`)
	if err != nil {
		t.Fatal(err)
	}
	for key, id := range acknowledged {
		if got := there[key]; len(got) != 1 || got[0] != id {
			t.Fatalf("of key %s there is %q, acknowledged was %s", key, got, id)
		}
	}
	var sound string
	if err := s.engine.reader().QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity: %s, %v", sound, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// appendUntilKilled is the child: it says "key id" of each record once Append has returned.
func appendUntilKilled(path string) {
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 32 {
		go func() {
			for {
				r, err := s.Append(context.Background(), record("shop"))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Fprintf(os.Stdout, "%s %s\n", r.Key, r.ID) // one write: lines do not mix
			}
		}()
	}
	select {}
}
