package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ensure installs Debian packages where something is missing and the user may.
func ensure(ctx context.Context, find func() error, packages ...string) error {
	missing := find()
	if missing == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w (Debian: apt-get install %s)", missing, strings.Join(packages, " "))
	}
	fmt.Printf("%v: installing %s\n", missing, strings.Join(packages, " "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // the service is not to be started
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w, and apt-get %s failed: %w\n%s", missing, args[0], err, out)
		}
	}
	return find()
}
