//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package keys

import (
	"errors"
	"os"
	"syscall"
)

// flock locks an open folder for this process. Where a file system has no such locks we go on: what is lost is that two
// first starts at the same moment agree on one key before their next reload.
func flock(f *os.File) {
	for errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX), syscall.EINTR) {
	}
}
