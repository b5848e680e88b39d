package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestDatabases(t *testing.T) {
	a := dial(t, Database(t))
	b := dial(t, Database(t))
	mustExec(t, a, "CREATE TABLE records (id int)")
	_, err := b.Exec(context.Background(), "SELECT FROM records")
	mustHaveCode(t, err, "42P01")
	mustExec(t, b, "CREATE TABLE records (id int)")
	mustExec(t, a, "INSERT INTO records VALUES (1)")
	if n := value[int](t, b, "SELECT count(*) FROM records"); n != 0 {
		t.Errorf("the other database sees %d rows", n)
	}
}

// TestDropped leaves a connection in use.
func TestDropped(t *testing.T) {
	var url string
	t.Run("use", func(t *testing.T) {
		url = Database(t)
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(context.Background(), "CREATE TABLE records (id int)"); err != nil {
			t.Fatal(err)
		}
	})
	if url == "" {
		t.Skip("PostgreSQL is missing: use says what to do")
	}
	_, err := pgx.Connect(context.Background(), url)
	mustHaveCode(t, err, "3D000")
}

func TestSafe(t *testing.T) {
	conn := dial(t, Database(t))
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "127.0.0.1", "server_encoding": "UTF8",
	} {
		if got := value[string](t, conn, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	folder := value[string](t, conn, "SHOW unix_socket_directories")
	if filepath.Dir(folder) != filepath.Clean(os.TempDir()) {
		t.Errorf("the socket is in %s, want a folder below %s", folder, os.TempDir())
	}
	wrong := strings.Replace(conn.Config().ConnString(), shared.server.password, "guess", 1)
	_, err := pgx.Connect(context.Background(), wrong)
	mustHaveCode(t, err, "28P01")
}

func TestPrograms(t *testing.T) {
	root := t.TempDir()
	pattern := filepath.Join(root, "*", "bin")
	t.Setenv("PATH", filepath.Join(root, "path"))
	if _, err := programs(pattern); !errors.Is(err, noPrograms) {
		t.Errorf("with none there the error is %v", err)
	}
	install := func(version string, names ...string) {
		folder := filepath.Join(root, version)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(folder, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		version string
		names   []string
		want    string
	}{
		{"path", []string{"initdb", "postgres"}, "path"},
		{"9.6/bin", []string{"initdb", "postgres"}, "9.6/bin"},
		{"15/bin", []string{"initdb", "postgres"}, "15/bin"},
		{"17/bin", []string{"initdb"}, "15/bin"}, // the client's programs come without a server
		{"later/bin", []string{"initdb", "postgres"}, "15/bin"},
		{"101/bin", []string{"initdb", "postgres"}, "101/bin"},
	} {
		install(step.version, step.names...)
		if got, err := programs(pattern); err != nil || got != filepath.Join(root, step.want) {
			t.Errorf("after %s came: %s, %v, want %s", step.version, got, err, step.want)
		}
	}
}

// verdict is a test that is told to end.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper() {}
func (v *verdict) Skip(args ...any) {
	v.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (v *verdict) Fatal(args ...any) {
	v.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestRefuse(t *testing.T) {
	defect := errors.New("initdb: no space left on device")
	for _, tt := range []struct {
		ci   string
		err  error
		want verdict
	}{
		{"", noPrograms, verdict{skipped: string(noPrograms)}},
		{"true", noPrograms, verdict{failed: string(noPrograms)}},
		{"", fmt.Errorf("starting: %w", noPrograms), verdict{skipped: "starting: " + string(noPrograms)}},
		{"", defect, verdict{failed: defect.Error()}},
		{"true", defect, verdict{failed: defect.Error()}},
	} {
		t.Setenv("CI", tt.ci)
		got := verdict{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			refuse(&got, tt.err)
		}()
		<-done
		if got.skipped != tt.want.skipped || got.failed != tt.want.failed {
			t.Errorf("CI=%s, %v: skipped %q, failed %q", tt.ci, tt.err, got.skipped, got.failed)
		}
	}
	if !strings.Contains(noPrograms.Error(), "apt-get install postgresql") {
		t.Errorf("%s: it does not say what to do", noPrograms)
	}
}

func mustBeGone(tb testing.TB, path string) {
	tb.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		tb.Errorf("%s is left: %v", path, err)
	}
}
