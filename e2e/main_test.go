package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stileBinary is the program under test, built once. TestMain alone writes it.
var stileBinary string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	folder, err := os.MkdirTemp("", "stile-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	stileBinary = filepath.Join(folder, "stile")
	if out, err := exec.Command("go", "build", "-o", stileBinary, "../cmd/stile").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building stile: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// chromium is where the browser is, or skips the test and says so.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("Chromium is not installed: make test installs it")
	}
	t.Skip("skipped: Chromium is not installed; apt-get install chromium")
	return ""
}
