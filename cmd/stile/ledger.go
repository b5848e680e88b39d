package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stilehq/stile/server/ledger"
)

// ledgerFlags name the ledger that stile serve keeps.
type ledgerFlags struct {
	Data     string `env:"STILE_DATA" default:"data" help:"Data folder."`
	Database string `env:"STILE_DATABASE" placeholder:"URL" help:"PostgreSQL that has the records, where stile serve keeps them there (better by the environment, for its password)."`
}

// open opens it. Records that wait in a spool are the process's that put them there: none are seen here.
func (f ledgerFlags) open(ctx context.Context) (*ledger.Ledger, error) {
	path := filepath.Join(f.Data, "stile.db")
	if f.Database == "" {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no ledger %s: name the folder that stile serve uses with --data, or its PostgreSQL with --database", path)
		}
	}
	return ledger.Open(ctx, ledger.Options{Path: path, URL: f.Database})
}
