package postgrestest

import (
	"context"
	"syscall"
	"testing"
)

// Mode is how a cluster is stopped, by the words of pg_ctl.
type Mode syscall.Signal

// How a cluster can be stopped.
const (
	Smart     = Mode(syscall.SIGTERM) // takes no connection any more, and ends when the last one was closed
	Fast      = Mode(syscall.SIGINT)  // breaks connections off, and ends in order
	Immediate = Mode(syscall.SIGQUIT) // ends without a checkpoint, so that the next start recovers
)

// Cluster is one test's own.
type Cluster struct {
	tb     testing.TB
	server *server
}

// Start makes and starts a cluster, which ends with the test. Settings are lines of postgresql.conf, as
// "max_connections = 5". A test that failed logs what the cluster said last.
func Start(tb testing.TB, settings ...string) *Cluster {
	tb.Helper()
	s, err := newServer(loopback, settings)
	if err != nil {
		refuse(tb, err)
	}
	return own(tb, s)
}

func own(tb testing.TB, s *server) *Cluster {
	tb.Cleanup(func() {
		if err := s.close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("PostgreSQL said last: %s", s.process.log())
		}
	})
	return &Cluster{tb, s}
}

// URL is that of a database; each cluster has one by the name of postgres. It stays the same over stops and starts.
func (c *Cluster) URL(database string) string { return c.server.url(database) }

// Ready returns once the cluster answered a query, and an error where it does not run or ctx ends first.
func (c *Cluster) Ready(ctx context.Context) error { return c.server.execute(ctx, "SELECT 1") }

// Stop returns when the cluster is stopped and no process of it is left.
func (c *Cluster) Stop(mode Mode) {
	c.tb.Helper()
	c.Ask(mode)
	c.Ended()
}

// Ask is Stop that does not wait, as for a Smart stop while connections are open.
func (c *Cluster) Ask(mode Mode) {
	c.tb.Helper()
	c.mustRun("stopping")
	c.check(c.server.process.cmd.Process.Signal(syscall.Signal(mode)))
}

// Ended waits until no process of the cluster is left.
func (c *Cluster) Ended() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.check(c.server.ended(ctx))
}

// Start starts a cluster that was stopped or killed, and returns when it takes connections again.
func (c *Cluster) Start() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.check(c.server.start(ctx))
}

// Kill ends all processes at once, whatever they are doing, and returns when none is left. It is what a host's end is to
// PostgreSQL, but for what the kernel has yet to write: that is not lost.
func (c *Cluster) Kill() {
	c.tb.Helper()
	c.mustRun("killing")
	c.check(c.server.process.kill())
}

// Pause freezes all processes: connections stay open, new ones are taken by the kernel, and nothing is answered.
func (c *Cluster) Pause() {
	c.tb.Helper()
	c.mustRun("pausing")
	c.check(c.server.process.pause())
}

// Resume has the processes go on where Pause froze them.
func (c *Cluster) Resume() {
	c.tb.Helper()
	c.mustRun("resuming")
	c.check(c.server.process.resume())
}

func (c *Cluster) mustRun(doing string) {
	c.tb.Helper()
	if !c.server.running() {
		c.tb.Fatalf("%s PostgreSQL: it is not running", doing)
	}
}

func (c *Cluster) check(err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatal(err)
	}
}
