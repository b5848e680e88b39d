package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func findWrk() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is not installed")
	}
	return nil
}

var (
	perSecond = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkErrors = regexp.MustCompile(`Socket errors:.*|Non-2xx or 3xx responses:.*`)
)

// wrk returns how many requests a second a server answers. An answer that is an error counts as a failed measurement.
func wrk(ctx context.Context, url string, header http.Header, d time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, d+patience)
	defer cancel()
	args := []string{"-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", int(d.Seconds()))}
	for name, values := range header {
		args = append(args, "-H", name+": "+strings.Join(values, ", "))
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	if m := wrkErrors.Find(out); m != nil {
		return 0, fmt.Errorf("wrk on %s: %s", url, m)
	}
	m := perSecond.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk says something new:\n%s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
