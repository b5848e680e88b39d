package main

import (
	"fmt"
	"os"
	"strings"
)

// shortestKey keeps out keys that can be guessed.
const shortestKey = 32

// bearerKey reads the key by which another server of the site's may do something (event, mail): out of a file, or out of the
// environment and never out of an argument, which every user of the machine can read. It is "" where there is none.
func bearerKey(what, file string) (string, error) {
	env, flag := "STILE_"+strings.ToUpper(what)+"_KEY", "--"+what+"-key-file"
	key, where := os.Getenv(env), env
	if file != "" {
		if key != "" {
			return "", fmt.Errorf("there are two keys: leave out %s or %s", env, flag)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		key, where = strings.TrimSpace(string(text)), flag
		if key == "" {
			return "", fmt.Errorf("%s: the file is empty: put a key of at least 32 characters into it (openssl rand -hex 32)", flag)
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
