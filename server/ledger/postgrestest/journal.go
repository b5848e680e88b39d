package postgrestest

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// journal keeps what a cluster says last.
type journal struct {
	ready chan struct{} // closed once it said that it takes connections

	mu    sync.Mutex
	lines []string
}

// follow reads to the end, which comes when the last process that could write is gone.
func (j *journal) follow(r io.Reader) {
	said := false
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		j.keep(line)
		// A standby says "read-only connections".
		if !said && strings.Contains(line, "database system is ready to accept") {
			said = true
			close(j.ready)
		}
		if err != nil {
			return
		}
	}
}

func (j *journal) keep(line string) {
	const most = 50
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lines = append(j.lines, line); len(j.lines) > most {
		j.lines = append(j.lines[:0], j.lines[len(j.lines)-most:]...)
	}
}

func (j *journal) log() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return "\n" + strings.Join(j.lines, "")
}
