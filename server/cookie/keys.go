package cookie

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Key signs choices.
type Key struct {
	Name   string // of its file, without the folder
	Secret []byte // 32 bytes
}

const keyLength = 32

// Keys reads the signing keys of a folder, newest first, and makes one when there is none. A folder holds one file a key,
// named cookie-TIME.key, of 64 hex digits, readable by its owner alone.
func Keys(folder string) ([]Key, error) {
	keys, err := ReadKeys(folder)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	key, err := NewKey(folder, time.Now())
	if err != nil {
		return nil, err
	}
	return []Key{key}, nil
}

// ReadKeys reads the signing keys of a folder, newest first. A folder that is not there has none.
func ReadKeys(folder string) ([]Key, error) {
	files, err := filepath.Glob(filepath.Join(folder, "cookie-*.key"))
	if err != nil {
		return nil, fmt.Errorf("looking for keys in %s: %w", folder, err)
	}
	slices.Sort(files)
	slices.Reverse(files)
	var keys []Key
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a key: %w", err)
		}
		key, err := ParseKey(filepath.Base(file), string(src))
		if err != nil {
			return nil, fmt.Errorf("the key file %s is corrupt: %w; restore it from a backup, or delete it (visitors whose "+
				"choice it signed are asked again)", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ParseKey reads a key from its 64 hex digits. The error never shows them.
func ParseKey(name, text string) (Key, error) {
	secret, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != keyLength {
		return Key{}, fmt.Errorf("a key is %d hex digits", 2*keyLength)
	}
	return Key{Name: name, Secret: secret}, nil
}

// NewKey makes a key in a folder. From the next reload on it signs, and the older ones are still believed.
func NewKey(folder string, now time.Time) (Key, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Key{}, fmt.Errorf("making the folder for keys: %w", err)
	}
	secret := make([]byte, keyLength)
	if _, err := rand.Read(secret); err != nil {
		return Key{}, fmt.Errorf("making a key: %w", err)
	}
	name := "cookie-" + now.UTC().Format("20060102T150405.000000000Z") + ".key"
	file := filepath.Join(folder, name)
	// Written beside its place and renamed, so that nobody ever reads half a key.
	if err := os.WriteFile(file+".new", []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return Key{}, fmt.Errorf("writing a key: %w", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return Key{}, fmt.Errorf("writing a key: %s is there already", file)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return Key{}, fmt.Errorf("writing a key: %w", err)
	}
	return Key{Name: name, Secret: secret}, nil
}
