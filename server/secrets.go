package server

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/stilehq/stile/server/consent"
)

// longestSecret is more than any vendor's, in bytes.
const longestSecret = 4096

// secrets are what the site's vendors know this server by, by the tag's id. A secret that is not there is an error, which
// names the variable or the file and never what is in it.
func secrets(c *consent.Site) (map[string]string, error) {
	all := map[string]string{}
	for i := range c.Tags {
		t := &c.Tags[i]
		if t.Server == nil {
			continue
		}
		secret, err := readSecret(t.Server)
		if err != nil {
			return nil, fmt.Errorf("tag %s: %w", t.ID, err)
		}
		all[t.ID] = secret
	}
	return all, nil
}

func readSecret(d *consent.Delivery) (string, error) {
	if d.SecretFile == "" {
		return checkSecret("the environment variable "+d.SecretEnv, os.Getenv(d.SecretEnv))
	}
	f, err := os.Open(d.SecretFile)
	if err != nil {
		return "", fmt.Errorf("its secret cannot be read: %w; put it there, or name another file under secret_file", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err != nil {
		return "", fmt.Errorf("its secret cannot be read: %w", err)
	}
	return checkSecret("the file "+d.SecretFile, string(text))
}

func checkSecret(where, secret string) (string, error) {
	secret = strings.TrimSpace(secret)
	switch {
	case secret == "":
		return "", fmt.Errorf("its secret is missing: put it into %s", where)
	case len(secret) > longestSecret, strings.ContainsFunc(secret, func(c rune) bool { return c > unicode.MaxASCII || unicode.IsControl(c) || c == ' ' }):
		return "", fmt.Errorf("%s holds no secret: it is one word of at most %d letters, digits and signs", where, longestSecret)
	}
	return secret, nil
}
