package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// jiffy is the unit of /proc/PID/stat: Linux has had 100 a second for all programs since 2.6.
const jiffy = 10 * time.Millisecond

// processorTime is what a process has used so far, on Linux.
func processorTime(pid int) (used time.Duration, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// Behind the name, which is in brackets and may hold anything: state is the first field, utime the 12th, stime the 13th.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, false
	}
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, false
		}
		used += time.Duration(n) * jiffy
	}
	return used, true
}
