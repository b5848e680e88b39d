//go:build !linux

package fault

import "testing"

func inOwnMounts() (code int, done bool) { return 0, false }

func smallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a small disk takes Linux")
	return ""
}
