//go:build !linux && !darwin && !freebsd

package server

// diskSpace cannot be told here.
func diskSpace(string) (free, size uint64) { return 0, 0 }
