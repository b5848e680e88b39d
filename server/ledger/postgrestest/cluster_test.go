//go:build linux

package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// pids are the postmaster's and its children's.
func (c *Cluster) pids() []int {
	c.tb.Helper()
	pid := c.server.process.cmd.Process.Pid
	pids, err := children(pid)
	c.check(err)
	return append(pids, pid)
}

// alive are those that run. One that has ended and that init has not reaped yet is init's.
func alive(pids []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
		at, err := stat(pid)
		return err != nil || at.state == 'Z' || at.state == 'X'
	})
}

func TestKill(t *testing.T) {
	c := Start(t)
	conn := dial(t, c.URL("postgres"))
	mustExec(t, conn, "CREATE TABLE records (id int)")
	mustExec(t, conn, "INSERT INTO records VALUES (1)")
	other := dial(t, c.URL("postgres"))
	mustExec(t, other, "BEGIN")
	mustExec(t, other, "INSERT INTO records VALUES (2)")
	pids := c.pids()
	if len(pids) < 4 || len(alive(pids)) != len(pids) {
		t.Fatalf("before the kill there are processes %v, alive %v", pids, alive(pids))
	}
	c.Kill()
	if left := alive(pids); len(left) > 0 {
		t.Errorf("of processes %v the kill left %v", pids, left)
	}
	if err := c.Ready(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the kill: %v, want that it is refused", err)
	}
	if err := conn.Ping(context.Background()); err == nil {
		t.Error("a connection outlived the kill")
	}
	c.Start()
	if n := value[int](t, dial(t, c.URL("postgres")), "SELECT sum(id) FROM records"); n != 1 {
		t.Errorf("after the recovery the sum is %d, want only what was committed: 1", n)
	}
	if !strings.Contains(c.server.process.log(), "not properly shut down") {
		t.Errorf("it did not recover: %s", c.server.process.log())
	}
}

func TestStop(t *testing.T) {
	c := Start(t)
	conn := dial(t, c.URL("postgres"))
	mustExec(t, conn, "CREATE TABLE records (id int)")
	for i, mode := range []Mode{Fast, Immediate, Smart} {
		mustExec(t, conn, "INSERT INTO records VALUES (1)")
		if mode == Smart {
			if err := conn.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		c.Stop(mode)
		if err := c.Ready(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("stopped: %v, want that it is refused", err)
		}
		c.Start()
		conn = dial(t, c.URL("postgres"))
		if n := value[int](t, conn, "SELECT count(*) FROM records"); n != i+1 {
			t.Errorf("after stop %d there are %d rows, want %d", i, n, i+1)
		}
	}
}

// TestAsk stops while a connection is open, which may go on, and new ones may not.
func TestAsk(t *testing.T) {
	c := Start(t)
	conn := dial(t, c.URL("postgres"))
	c.Ask(Smart)
	err := c.Ready(context.Background())
	for err == nil { // until the signal has come
		err = c.Ready(context.Background())
	}
	mustHaveCode(t, err, "57P03")
	if n := value[int](t, conn, "SELECT 1"); n != 1 {
		t.Error(n)
	}
	if err := conn.Close(context.Background()); err != nil {
		t.Error(err)
	}
	c.Ended()
}

func TestPause(t *testing.T) {
	c := Start(t)
	waiting := dial(t, c.URL("postgres"))
	for range 2 { // the second shows that a pause can be had again
		conn := dial(t, c.URL("postgres"))
		c.Pause()
		for _, pid := range c.pids() {
			// One may have ended just before, whom its parent, stopped, has not reaped.
			if at, err := stat(pid); err != nil || at.state != 'T' && at.state != 'Z' {
				t.Errorf("process %d is in state %c, %v, want T", pid, at.state, err)
			}
		}
		answer := asked(waiting)
		mustHang(t, conn, c.URL("postgres"))
		select {
		case err := <-answer:
			t.Errorf("an answer came in the pause: %v", err)
		default:
		}
		c.Resume()
		if err := <-answer; err != nil {
			t.Errorf("what was asked in the pause: %v", err)
		}
		if err := c.Ready(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestKillPaused(t *testing.T) {
	c := Start(t)
	c.Pause()
	pids := c.pids()
	c.Kill()
	if left := alive(pids); len(left) > 0 {
		t.Errorf("of processes %v the kill left %v", pids, left)
	}
	c.Start()
}

func TestReadyInPause(t *testing.T) {
	c := Start(t)
	c.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), briefly)
	defer cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused: %v", err)
	}
	c.Resume()
}

func TestSettings(t *testing.T) {
	c := Start(t, "max_connections = 5", "superuser_reserved_connections = 0")
	conns := 0
	var err error
	for ; err == nil && conns < 10; conns++ {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(context.Background(), c.URL("postgres")); err == nil {
			defer conn.Close(context.Background())
		}
	}
	mustHaveCode(t, err, "53300")
	if conns != 6 {
		t.Errorf("connection %d was the first too many, want 6", conns)
	}
}

func TestNoStart(t *testing.T) {
	v := verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Start(&v, "max_connections = many")
	}()
	<-done
	if v.skipped != "" {
		t.Skip(v.skipped)
	}
	if !strings.Contains(v.failed, "max_connections") {
		t.Errorf("a wrong setting: %q, want what the cluster said of it", v.failed)
	}
}

// TestNothingLeft looks for processes, files and shared memory after a test's end, however it left its cluster.
func TestNothingLeft(t *testing.T) {
	for name, leave := range map[string]func(*Cluster){
		"running": func(*Cluster) {}, "paused": (*Cluster).Pause, "killed": (*Cluster).Kill,
		"stopped": func(c *Cluster) { c.Stop(Fast) }, "ended by itself": func(c *Cluster) {
			conn := dial(c.tb, c.URL("postgres"))
			_, _ = conn.Exec(context.Background(), "COPY (SELECT 1) TO PROGRAM 'kill -QUIT $(head -1 postmaster.pid)'")
			c.Ended()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pids []int
			var folder string
			var memory int
			t.Run("test", func(t *testing.T) {
				c := Start(t)
				pids, folder, memory = c.pids(), c.server.folder, c.memory()
				leave(c)
			})
			if folder == "" {
				t.Skip("PostgreSQL is missing: test says what to do")
			}
			if left := alive(pids); len(left) > 0 {
				t.Errorf("of processes %v there are left %v", pids, left)
			}
			mustBeGone(t, folder)
			if _, err := unix.SysvShmCtl(memory, unix.IPC_STAT, new(unix.SysvShmDesc)); err == nil {
				t.Errorf("shared memory %d is left", memory)
			}
		})
	}
}

// memory is the id of the cluster's System V shared memory, which must be there.
func (c *Cluster) memory() int {
	c.tb.Helper()
	b, err := os.ReadFile(filepath.Join(c.server.data(), "postmaster.pid"))
	c.check(err)
	lines := strings.Split(string(b), "\n")
	var key, id int
	_, err = fmt.Sscan(lines[6], &key, &id)
	c.check(err)
	_, err = unix.SysvShmCtl(id, unix.IPC_STAT, new(unix.SysvShmDesc))
	c.check(err)
	return id
}

// childEnv has the test binary be one that comes to a bad end: "fails" or "dies".
const childEnv = "STILE_POSTGRESTEST_CHILD"

// TestChild is the child's only test. It says who and what is to be gone after its end, a line each.
func TestChild(t *testing.T) {
	end := os.Getenv(childEnv)
	if end == "" {
		t.Skip("for the tests that start it")
	}
	if end == "fails" {
		r := StartRemote(t)
		fmt.Println("ended:", r.server.folder, "/run/netns/"+r.namespace, "/sys/class/net/"+r.here.device)
		t.FailNow()
	}
	c := Start(t)
	fmt.Println("ended:", c.server.folder, strings.Trim(fmt.Sprint(c.pids()), "[]"))
	select {}
}

// start runs the child and gives what it said.
func start(t *testing.T, end string) (cmd *exec.Cmd, said []string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+end)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if words, ok := strings.CutPrefix(lines.Text(), "ended: "); ok {
			return cmd, strings.Fields(words)
		}
	}
	t.Fatalf("the child said nothing: %v", cmd.Wait())
	return nil, nil
}

func TestFailed(t *testing.T) {
	connect(t) // or skips
	cmd, paths := start(t, "fails")
	if err := cmd.Wait(); err == nil {
		t.Error("the child did not fail")
	}
	if len(paths) != 3 {
		t.Fatal(paths)
	}
	for _, path := range paths {
		mustBeGone(t, path)
	}
}

// TestDeath kills a test binary: its cluster dies. Its files are left.
func TestDeath(t *testing.T) {
	Database(t) // or skips
	cmd, words := start(t, "dies")
	if len(words) < 4 {
		t.Fatal(words)
	}
	defer os.RemoveAll(words[0])
	var pids []int
	for _, word := range words[1:] {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	handles, err := open(pids)
	defer closeAll(handles)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for i, h := range handles {
		if err := waitFor(h); err != nil {
			t.Errorf("process %d lives on: %v", pids[i], err)
		}
	}
	if err := removeMemory(filepath.Join(words[0], "data", "postmaster.pid")); err != nil {
		t.Error(err)
	}
}
