//go:build linux || darwin || freebsd

package server

import "golang.org/x/sys/unix"

// diskSpace is how much of the disk that a folder is on can be written by this user, and how large it is; 0 where that
// cannot be told.
func diskSpace(folder string) (free, size uint64) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil || st.Bsize <= 0 {
		return 0, 0
	}
	block := uint64(st.Bsize)
	return max(0, uint64(st.Bavail)) * block, uint64(st.Blocks) * block //nolint:unconvert // these are of other types on other systems
}
