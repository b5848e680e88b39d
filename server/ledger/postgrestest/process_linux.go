package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const supported = true

// process is a running postmaster and the children that it makes, each of which is in a process group of its own.
type process struct {
	journal
	cmd   *exec.Cmd
	ended chan struct{} // closed when none is left
}

// attributes of a child: it dies with the test binary, gets no signal that a terminal sends to the tests, and is not root.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: substitute()}
}

// substitute stands in for root, as whom PostgreSQL does not run. It is nil for anybody else.
func substitute() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil // initdb says that it must not be run as root
}

// giveAway gives a file to the one as whom the cluster runs.
func giveAway(path string) error {
	if c := substitute(); c != nil {
		return os.Chown(path, int(c.Uid), int(c.Gid))
	}
	return nil
}

// launch starts a postmaster in a network namespace.
//
// The kernel counts the end of the thread that started a child as the parent's death. So one thread is kept for it, which
// is also the one that is in the namespace.
func launch(cmd *exec.Cmd, namespace string) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = w
	p := &process{journal: journal{ready: make(chan struct{})}, cmd: cmd, ended: make(chan struct{})}
	started, waited := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(waited)
		runtime.LockOSThread() // for ever: what was in a namespace is of no use to others
		err := enter(namespace)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := errors.Join(<-started, w.Close()); err != nil {
		<-waited
		return nil, errors.Join(err, r.Close())
	}
	go func() {
		defer close(p.ended)
		p.follow(r)
		r.Close()
		<-waited
	}()
	return p, nil
}

// enter moves the calling thread into a network namespace made by ip netns.
func enter(namespace string) error {
	if namespace == "" {
		return nil
	}
	f, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("setns", unix.Setns(int(f.Fd()), unix.CLONE_NEWNET))
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill returns when no process is left. It begins with the postmaster's pause: it must not make new children, nor see
// their death and recover.
func (p *process) kill() error {
	pids, err := p.freeze()
	if err != nil {
		return err
	}
	handles, err := open(pids)
	defer closeAll(handles)
	if err != nil {
		return err
	}
	for _, h := range handles {
		if err := unix.PidfdSendSignal(h, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return os.NewSyscallError("pidfd_send_signal", err)
		}
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	for _, h := range handles {
		if err := waitFor(h); err != nil {
			return err
		}
	}
	<-p.ended
	return nil
}

// pause returns when all processes have stopped.
func (p *process) pause() error {
	pids, err := p.freeze()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := signal(pid, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	for i := 0; i < len(pids); {
		if at, _ := stat(pids[i]); at.stopped() {
			i++
			continue
		}
		time.Sleep(time.Millisecond) // nobody but a parent is told of a stop
	}
	return nil
}

func (p *process) resume() error {
	pids, err := p.freeze()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := signal(pid, syscall.SIGCONT); err != nil {
			return err
		}
	}
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling process %d of PostgreSQL: %w", pid, err)
	}
	return nil
}

// freeze stops the postmaster and gives its children. A parent that is stopped reaps nobody, so that their ids are theirs
// until it goes on or is killed. There are none where the postmaster has ended.
func (p *process) freeze() (pids []int, err error) {
	if err := p.stopPostmaster(); errors.Is(err, os.ErrProcessDone) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("pausing the postmaster: %w", err)
	}
	return children(p.cmd.Process.Pid)
}

// open gives handles of processes, which keep their meaning when an id is given to another.
func open(pids []int) (handles []int, err error) {
	for _, pid := range pids {
		h, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return handles, os.NewSyscallError("pidfd_open", err)
		}
		handles = append(handles, h)
	}
	return handles, nil
}

func closeAll(handles []int) {
	for _, h := range handles {
		_ = unix.Close(h) // nothing was written to it
	}
}

// waitFor returns when a process has ended.
func waitFor(handle int) error {
	for {
		fds := []unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0:
			return context.DeadlineExceeded
		}
		return os.NewSyscallError("poll", err)
	}
}

// stopPostmaster returns when it has stopped. It fails with os.ErrProcessDone where it has ended.
func (p *process) stopPostmaster() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD), err == nil && info.Code != cldStopped:
			return os.ErrProcessDone
		}
		return err
	}
}

// cldStopped is CLD_STOPPED of signal.h.
const cldStopped = 5

// status is of /proc/*/stat.
type status struct {
	state  byte
	parent int
}

func (s status) stopped() bool { return bytes.IndexByte([]byte("TtZX\x00"), s.state) >= 0 }

// stat is zero with an error where there is no such process.
func stat(pid int) (status, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return status{}, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before may hold anything
	if len(fields) < 2 {
		return status{}, fmt.Errorf("reading the state of process %d: %q", pid, b)
	}
	parent, err := strconv.Atoi(fields[1])
	return status{fields[0][0], parent}, err
}

func children(of int) (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := stat(pid); err == nil && s.parent == of { // an error: it ended meanwhile
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// removeMemory removes the piece of System V shared memory that a killed cluster leaves, which guards its folder against
// a second postmaster. Its key and id are in the file that is left with it.
func removeMemory(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		var key int32
		var id int
		if n, _ := fmt.Sscanf(line, "%d %d\n", &key, &id); n != 2 {
			continue
		}
		var segment unix.SysvShmDesc
		if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment); err != nil || segment.Perm.Key != key || segment.Nattch != 0 {
			continue // gone, or another's by now
		}
		if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil {
			return os.NewSyscallError("shmctl", err)
		}
	}
	return nil
}
