package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stilehq/stile/server/cookie"
)

type keysCommand struct {
	List listKeys `cmd:"" help:"List the keys, newest first; the first one signs."`
	New  newKey   `cmd:"" help:"Make a new key. It signs from the next reload (SIGHUP) on; older ones are still believed."`
}

type keyFolder struct {
	Data string `env:"STILE_DATA" default:"data" help:"Data folder."`
}

func (k keyFolder) path() string { return filepath.Join(k.Data, "keys") }

type listKeys struct{ keyFolder }

func (c *listKeys) Run(std streams) error {
	keys, err := cookie.ReadKeys(c.path())
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("there are no keys in %s: stile serve makes one on its first start", c.path())
	}
	for _, k := range keys {
		fmt.Fprintln(std.out, k.Name)
	}
	return nil
}

type newKey struct{ keyFolder }

func (c *newKey) Run(std streams) error {
	if _, err := os.Stat(c.Data); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no data folder %s: name the one that stile serve uses with --data", c.Data)
	}
	k, err := cookie.NewKey(c.path(), time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s\nsend SIGHUP to stile serve to sign with it\n", k.Name)
	return nil
}
