package ledger

import (
	"context"
	"database/sql"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/stilehq/stile/server/ledger/postgrestest"
)

func executeAt(t *testing.T, address, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A database that cannot be used is refused in one line, which never shows the password.
func TestPostgresRefuses(t *testing.T) {
	const secret = "p4ss-w0rd"
	address := postgrestest.Database(t)
	changed := func(change func(*url.URL)) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	unsynced := postgrestest.Start(t, "fsync = off")
	for _, test := range []struct{ name, address, want string }{
		{"no address", "postgres://stile:" + secret + "@host:port/x", "the database's address cannot be read: it is postgres://"},
		{"no URL at all", "password=" + secret + " host=[", "the database's address cannot be read"},
		{"a file", "/var/lib/stile/stile.db", "the database's address cannot be read"},
		{"an escape that is none", "postgres://stile:" + secret + "%zz@127.0.0.1/x", "the database's address cannot be read"},
		{"nobody there", changed(func(u *url.URL) { u.Host, u.User = "127.0.0.1:1", url.UserPassword("stile", secret) }), "cannot be reached: start it, or look at its address"},
		{"a wrong password", changed(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), secret) }), "does not let this user in: look at its name and password"},
		{"no database", changed(func(u *url.URL) { u.Path = "/none" }), "is not there: make it with createdb"},
		{"one that loses records", unsynced.URL("postgres"), "fsync = off"},
	} {
		l, err := Open(context.Background(), Options{URL: test.address, Spool: filepath.Join(t.TempDir(), "spool.db")})
		if err == nil {
			closeOf(t, l)
			t.Errorf("%s was opened", test.name)
			continue
		}
		password, _ := func() (string, bool) {
			u, err := url.Parse(test.address)
			if err != nil || u.User == nil {
				return secret, true
			}
			return u.User.Password()
		}()
		if got := err.Error(); !strings.Contains(got, test.want) || strings.Contains(got, "\n") || strings.Contains(got, secret) || strings.Contains(got, password) {
			t.Errorf("%s: %s", test.name, got)
		}
	}

	closeOf(t, openWith(t, Options{URL: address}))
	executeAt(t, address, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	if _, err := Open(context.Background(), Options{URL: address}); err == nil || !strings.Contains(err.Error(), "is of version 99, this stile knows up to") {
		t.Errorf("a schema of the future: %v", err)
	}
}

// Processes that start together on a new database do not fail each other.
func TestPostgresAtOnce(t *testing.T) {
	address := postgrestest.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l, err := Open(context.Background(), Options{URL: address})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := l.Append(context.Background(), record("shop")); err != nil {
				t.Error(err)
			}
			closeOf(t, l)
		})
	}
	wg.Wait()
	l := openWith(t, Options{URL: address})
	if n, err := l.Count(context.Background(), "shop"); n != 4 || err != nil {
		t.Errorf("%d records, want 4, %v", n, err)
	}
	if v := mustVerify(t, l, nil); v.Size != 4 || v.Records != 4 {
		t.Errorf("the log: %+v", v)
	}
}

// An address may say how long it is waited for.
func TestPostgresPatience(t *testing.T) {
	address := postgrestest.NewProxy(t, postgrestest.Database(t)).URL()
	for more, want := range map[string]time.Duration{"": 2 * time.Second, "&connect_timeout=7": 7 * time.Second} {
		e, err := openRemote(t.Context(), address+more)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := e.patience(t.Context())
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > want || e.patient != want || e.pool.Config().ConnConfig.ConnectTimeout != want {
			t.Errorf("with %q a batch may take %v", more, time.Until(end))
		}
		cancel()
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}
}

// Of processes that all found a new database, one makes its tables, and the others find them made.
func TestPostgresFoundMade(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address := postgrestest.Database(t)
	gate, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close(context.Background()) }()
	// What goose itself makes is there, so that the first statement that waits is a migration's.
	files, err := fs.Sub(migrations, "migrations/postgres")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.GetVersions(ctx); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); END'`,
		`CREATE EVENT TRIGGER wait ON ddl_command_start EXECUTE FUNCTION wait()`,
		`SELECT pg_advisory_lock(1)`,
	} {
		if _, err := gate.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	const processes = 3
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			l, err := Open(ctx, Options{URL: address})
			if err != nil {
				t.Error(err)
				return
			}
			closeOf(t, l)
		})
	}
	for waiting := 0; waiting < processes; {
		if err := gate.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`).Scan(&waiting); err != nil {
			t.Error(err)
			break
		}
	}
	if _, err := gate.Exec(ctx, `SELECT pg_advisory_unlock(1)`); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// A server that does not sync each commit by itself does for Stile.
func TestPostgresSyncs(t *testing.T) {
	c := postgrestest.Start(t, "synchronous_commit = off")
	l := openWith(t, Options{URL: c.URL("postgres")})
	var setting string
	if err := l.engine.reader().QueryRow(`SHOW synchronous_commit`).Scan(&setting); err != nil || setting != "on" {
		t.Errorf("synchronous_commit is %s, %v", setting, err)
	}
}

// C5: as TestColumns.
func TestPostgresColumns(t *testing.T) {
	ctx := context.Background()
	l, lite := openWith(t, Options{URL: postgrestest.Database(t)}), fresh(t)
	columnsOf := func(l *Ledger, query string) (all []string) {
		t.Helper()
		err := l.each(ctx, func(rows *sql.Rows) error {
			var column string
			err := rows.Scan(&column)
			all = append(all, column)
			return err
		}, query)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	got := columnsOf(l, `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`)
	want := columnsOf(lite, `SELECT t.name || '.' || c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'goose%' AND t.name NOT LIKE 'sqlite%'`)
	want = append(want, "awaited.site", "awaited.id", "awaited.subject", "awaited.erased", "awaited.time")
	have := map[string]bool{}
	for _, c := range got {
		have[c] = true
	}
	for _, c := range want {
		if !have[c] {
			t.Errorf("PostgreSQL has no %s", c)
		}
		delete(have, c)
	}
	if len(have) > 0 {
		t.Errorf("PostgreSQL has %v as well", have)
	}
}
