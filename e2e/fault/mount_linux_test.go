package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// ownMounts marks the process that has mounts of its own.
const ownMounts = "STILE_FAULT_OWN_MOUNTS"

// inOwnMounts runs the tests in a child whose mounts nobody else sees, and which end with it. done is false in that child,
// and where there is no leave to have one.
func inOwnMounts() (code int, done bool) {
	if os.Getenv(ownMounts) != "" || os.Geteuid() != 0 {
		return 0, false
	}
	runtime.LockOSThread() // the kernel counts the end of this thread as the parent's death
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownMounts+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		return 0, false
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "running the tests with mounts of their own:", err)
		return 1, true
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "running the tests with mounts of their own:", err)
		return 1, true
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 { // by a signal
		code = 1
	}
	return code, true
}

// smallDisk is a folder on a disk of so many bytes, for the rest of the test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	if os.Getenv(ownMounts) == "" {
		t.Skip("a small disk takes root, and leave to mount one")
	}
	folder, err := os.MkdirTemp("", "stile-fault-disk-") //nolint:usetesting // t.TempDir lets no other user in, as whom PostgreSQL runs
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("stile-fault", folder, "tmpfs", 0, "mode=755,size="+strconv.Itoa(size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}
