package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// shortestKey keeps out keys that can be guessed.
const shortestKey = 32

// eventKey reads the key by which a site's own server sends events: out of a file, or out of the environment and never out
// of an argument, which every user of the machine can read. It is "" where there is none.
func eventKey(file string) (string, error) {
	key, where := os.Getenv("STILE_EVENT_KEY"), "STILE_EVENT_KEY"
	if file != "" {
		if key != "" {
			return "", errors.New("there are two keys for events: leave out STILE_EVENT_KEY or --event-key-file")
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--event-key-file: %w", err)
		}
		key, where = strings.TrimSpace(string(text)), "--event-key-file"
		if key == "" {
			return "", errors.New("--event-key-file: the file is empty: put a key of at least 32 characters into it (openssl rand -hex 32)")
		}
	}
	switch {
	case key == "":
		return "", nil
	case len(key) < shortestKey:
		return "", fmt.Errorf("%s: the key has %d characters: at least %d (openssl rand -hex 32)", where, len(key), shortestKey)
	case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", fmt.Errorf("%s: the key has a character that no header takes: use letters and digits (openssl rand -hex 32)", where)
	}
	return key, nil
}
