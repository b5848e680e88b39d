package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

const loopback = "127.0.0.1"

// server is a cluster, running or not. Its methods return what went wrong.
type server struct {
	place
	programs  string // folder
	folder    string // everything of the cluster is in it
	password  string
	process   *process // the last that was started, or nil
	databases atomic.Int64
}

// place is where a cluster listens.
type place struct {
	host      string
	port      int
	namespace string // of the network; "" is the test's own
}

// newServer makes a cluster on a host of the test's own network, and starts it. A port can be taken between the moment
// that it was found free and the start: then another is tried.
func newServer(host string, settings []string) (*server, error) {
	for attempt := 0; ; attempt++ {
		l, err := listen(host)
		if err != nil {
			return nil, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return nil, err
		}
		s, err := newServerAt(place{host: host, port: port}, settings)
		if err == nil || attempt == 2 || !strings.Contains(err.Error(), "could not create any TCP/IP sockets") {
			return s, err
		}
	}
}

// listen takes a random port below those that the kernel gives to outgoing connections (32768 and up), so that it can be
// had again after it was given up.
func listen(host string) (net.Listener, error) {
	for attempt := 0; ; attempt++ {
		port := 10000 + mathrand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil || attempt == 100 {
			return l, err
		}
	}
}

func newServerAt(at place, settings []string) (*server, error) {
	if !supported {
		return nil, missing("the tests' own PostgreSQL runs on Linux only")
	}
	folder, err := programs(debian)
	if err != nil {
		return nil, err
	}
	s := &server{place: at, programs: folder, password: rand.Text()}
	if s.folder, err = os.MkdirTemp("", "stile-postgres-"); err != nil {
		return nil, err
	}
	if err = s.init(settings); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = s.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// init makes the cluster's files. They need no sync: a test that lost power is run again.
func (s *server) init(settings []string) error {
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	for _, path := range []string{s.folder, password} {
		if err := giveAway(path); err != nil {
			return err
		}
	}
	cmd := s.command("initdb", "--pgdata", s.data(), "--username", "postgres", "--pwfile", password, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster in %s: %w\n%s", s.folder, err, out)
	}
	if err := os.Remove(password); err != nil {
		return err
	}
	return s.configure(settings)
}

// configure keeps the memory small, and what is shared in files of the cluster's folder, so that a kill leaves none of it
// in /dev/shm.
func (s *server) configure(settings []string) error {
	lines := append([]string{
		"listen_addresses = '" + s.host + "'",
		"port = " + strconv.Itoa(s.port),
		"unix_socket_directories = '" + strings.ReplaceAll(s.folder, "'", "''") + "'",
		"shared_buffers = 16MB",
		"max_wal_size = 256MB",
		"dynamic_shared_memory_type = mmap",
		"fsync = on",
		"synchronous_commit = on",
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
	}, settings...)
	if err := appendTo(filepath.Join(s.data(), "postgresql.conf"), lines); err != nil {
		return err
	}
	return appendTo(filepath.Join(s.data(), "pg_hba.conf"), []string{"host all all " + benchmarking + " scram-sha-256"})
}

func appendTo(path string, lines []string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

func (s *server) data() string { return filepath.Join(s.folder, "data") }

// command has nothing of the test's environment, where PGPORT and the like may be set.
func (s *server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, program), args...)
	cmd.Dir = s.folder
	cmd.Env = []string{"PATH=" + s.programs + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + s.folder, "TZ=UTC"}
	cmd.SysProcAttr = attributes()
	return cmd
}

func (s *server) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", s.password),
		Host: net.JoinHostPort(s.host, strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *server) running() bool { return s.process != nil && !s.process.hasEnded() }

// start returns once connections are taken, after recovery where the cluster was killed.
func (s *server) start(ctx context.Context) (err error) {
	if s.running() {
		return errors.New("starting PostgreSQL: it is running")
	}
	if s.process, err = launch(s.command("postgres", "-D", s.data()), s.namespace); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	select {
	case <-s.process.ready:
		return nil
	case <-s.process.ended:
		return fmt.Errorf("starting PostgreSQL: it ended: %s", s.process.log())
	case <-ctx.Done():
		return fmt.Errorf("starting PostgreSQL: %w: %s", ctx.Err(), s.process.log())
	}
}

// ended waits for the end of all processes.
func (s *server) ended(ctx context.Context) error {
	select {
	case <-s.process.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for PostgreSQL's end: %w: %s", ctx.Err(), s.process.log())
	}
}

// close ends the cluster and removes all that is left of it.
func (s *server) close() error {
	var err error
	if s.running() {
		err = s.process.kill()
	}
	return errors.Join(err, removeMemory(filepath.Join(s.data(), "postmaster.pid")), os.RemoveAll(s.folder))
}

func (s *server) create(ctx context.Context) (database string, err error) {
	database = "test" + strconv.FormatInt(s.databases.Add(1), 10)
	return database, s.execute(ctx, "CREATE DATABASE "+database+" TEMPLATE template0")
}

func (s *server) drop(ctx context.Context, database string) error {
	return s.execute(ctx, "DROP DATABASE "+database+" WITH (FORCE)")
}

// execute runs one statement in the database that each cluster has.
func (s *server) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	if _, err = conn.Exec(ctx, sql); err != nil {
		err = fmt.Errorf("%s: %w", sql, err)
	}
	return errors.Join(err, conn.Close(ctx))
}
