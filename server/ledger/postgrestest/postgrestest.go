// Package postgrestest is support for tests: PostgreSQL clusters of their own, and ways to hurt them.
//
// [Database] is a fresh database in a cluster that the tests of a binary share; [Main] ends that cluster. [Start] is a
// cluster for one test, which may stop, kill and pause it. [NewProxy] stands between a client and a cluster, and cuts,
// hangs and slows what is between them. [StartRemote] is a cluster behind a network link that can be taken down.
//
// A cluster is made with the programs of an installed PostgreSQL, in a folder of its own below TMPDIR, listens on a port
// of its own, takes one password made for it, and syncs each commit as a server in earnest does. It never runs as root:
// where the tests do, it runs as the user postgres or else nobody, who must be able to get into TMPDIR. Nothing is done
// to any other cluster of the machine. When the test binary dies, its clusters die with it; unless they are paused then.
//
// Where PostgreSQL is missing, and on systems other than Linux, a test is skipped and says why; where the environment
// has CI set it fails instead, since there nobody reads why tests were skipped.
//
// Methods that take no context wait for as long as a minute, and are for the goroutine that runs the test.
package postgrestest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"
)

// patience is how long a cluster may take to start or to stop. On a machine that does nothing else it is a second.
const patience = time.Minute

// shared is the cluster of Database.
var shared struct {
	sync.Mutex
	main   bool // there is somebody who will end it
	closed bool
	server *server
	err    error
}

var errMain = errors.New("TestMain must run the tests by postgrestest.Main(m).Run()")

// Main is m, whose Run ends the shared cluster after the tests. It can be given to goleak.VerifyTestMain.
func Main(m *testing.M) interface{ Run() int } {
	shared.Lock()
	defer shared.Unlock()
	shared.main = true
	return tests{m}
}

type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	if err := closeShared(); err != nil {
		println("ending the tests' PostgreSQL:", err.Error())
		return max(1, code)
	}
	return code
}

func closeShared() error {
	shared.Lock()
	defer shared.Unlock()
	shared.closed = true
	if shared.server == nil {
		return nil
	}
	return shared.server.close()
}

// Database makes a database with nothing in it for the test, and gives its URL. It is dropped at the test's end, even
// where connections are left. The ledger waits for it for longer than for another: how long is tried through a Proxy.
func Database(tb testing.TB) (url string) {
	tb.Helper()
	s, err := sharedServer()
	if err != nil {
		refuse(tb, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name, err := s.create(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			tb.Error(err)
		}
	})
	return s.url(name) + "&connect_timeout=60"
}

func sharedServer() (*server, error) {
	shared.Lock()
	defer shared.Unlock()
	switch {
	case !shared.main || shared.closed:
		return nil, errMain
	case shared.server == nil && shared.err == nil:
		shared.server, shared.err = newServer(loopback, nil)
	}
	return shared.server, shared.err
}

// missing is what a machine lacks, with what to do about it.
type missing string

func (m missing) Error() string { return string(m) }

// refuse ends the test: skipped for what the machine lacks, failed for all else.
func refuse(tb testing.TB, err error) {
	tb.Helper()
	var lack missing
	if errors.As(err, &lack) && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	tb.Fatal(err)
}
