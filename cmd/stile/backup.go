package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stilehq/stile/server/backup"
	"github.com/stilehq/stile/server/ledger"
)

type backupCommand struct {
	To       string `arg:"" name:"file" help:"File to write, or a folder, in which it is named by the time."`
	Data     string `env:"STILE_DATA" default:"data" help:"Data folder."`
	Database string `env:"STILE_DATABASE" placeholder:"URL" help:"As stile serve has it: the records are in that PostgreSQL, so the archive holds the spool and the keys, and you back up the database by pg_dump afterwards (better by the environment, for its password)."`
	operator
	WithoutKeys bool `help:"Leave the keys out: the file can then not be used to sign choices. Keep them elsewhere: without them every visitor is asked again."`
}

// Help says what a backup is and is not.
func (*backupCommand) Help() string {
	return `The archive (tar, readable by you alone) holds the ledger, the choices that wait for a database, and the keys; stile serve may run meanwhile. What waits to be sent to vendors is not in it. Until it is written it takes the same room again, beside the file.

A visitor who is erased later is in the backup still: delete backups after a time that you state in your privacy policy, and after a restore erase again.`
}

// Run makes a backup.
func (c *backupCommand) Run(ctx context.Context, std streams) error {
	if _, err := os.Stat(c.Data); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no data folder %s: name the one that stile serve uses with --data", c.Data)
	}
	postgres := c.Database != ""
	if _, err := os.Stat(filepath.Join(c.Data, "stile.db")); errors.Is(err, os.ErrNotExist) && !postgres {
		return fmt.Errorf("there is no ledger %s: name the folder that stile serve uses with --data, or its PostgreSQL with --database", filepath.Join(c.Data, "stile.db"))
	}
	to := c.To
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, "stile-"+time.Now().UTC().Format("20060102T150405Z")+".tar")
	}
	m, err := backup.Make(ctx, backup.Options{Data: c.Data, To: to, Stile: version(), PostgreSQL: postgres, NoKeys: c.WithoutKeys, Now: time.Now})
	if err != nil {
		return err
	}
	if err := c.note(ctx, m); err != nil {
		return err
	}
	fmt.Fprintln(std.out, to)
	switch {
	case m.HasLedger():
		fmt.Fprintf(std.err, "it has %d %s of the log\n", m.Leaves, leaves(m.Leaves))
	case postgres:
		fmt.Fprintln(std.err, "the records are in PostgreSQL: back that up now, by pg_dump --format=custom or a base backup, and restore both together")
	}
	switch n := m.Keys(); {
	case n > 0:
		fmt.Fprintln(std.err, "it holds the keys: whoever reads it can sign choices and receipts, so keep it where nobody else can, or use --without-keys")
	case c.WithoutKeys:
	default:
		fmt.Fprintf(std.err, "there are no keys in %s: keep those of STILE_KEYS yourself\n", filepath.Join(c.Data, "keys"))
	}
	return nil
}

// note puts the backup on the audit trail.
func (c *backupCommand) note(ctx context.Context, m backup.Manifest) error {
	if !m.HasLedger() {
		return nil // of PostgreSQL the operator makes the copy
	}
	return c.auditedIn(ctx, c.Data, ledger.Audit{Act: ledger.ActBackup, Count: int(m.Leaves)})
}

func leaves(n int64) string {
	if n == 1 {
		return "leaf"
	}
	return "leaves"
}

type restoreCommand struct {
	File string `arg:"" help:"Archive of stile backup."`
	Data string `env:"STILE_DATA" default:"data" help:"Data folder, made if it is not there."`
	operator
	Force bool `help:"Move a ledger that is there aside, into a folder of its own; nothing is deleted."`
}

// Help says what a restore cannot know.
func (*restoreCommand) Help() string {
	return `End stile serve first. The archive is checked as a whole before anything is put in place, and keys that are there stay beside those of the archive.

Visitors who were erased after the backup are back, and those who took their consent back after it have given it again in the ledger, whatever their own cookie says: erase and withdraw again what the replaced ledger shows, where it can still be read.`
}

// Run puts a backup in place.
func (c *restoreCommand) Run(ctx context.Context, std streams) error {
	done, err := backup.Restore(ctx, backup.RestoreOptions{File: c.File, Data: c.Data, Force: c.Force, Now: time.Now})
	if err != nil {
		return err
	}
	made := done.Made.Format(showTime)
	if done.HasLedger() {
		// A log that goes on from an older state is another one to whoever watched it: the trail says why.
		if err := c.auditedIn(ctx, c.Data, ledger.Audit{Act: ledger.ActRestore, Count: int(done.Leaves), Detail: "the backup of " + made}); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "restored to %s: %d %s of the log %s, backed up on %s by stile %s\n", c.Data, done.Leaves, leaves(done.Leaves), done.Origin, made, done.Stile)
	} else {
		fmt.Fprintf(std.out, "restored to %s: keys and what waited for PostgreSQL, backed up on %s by stile %s; restore the database of that day beside it\n", c.Data, made, done.Stile)
	}
	if done.Keys != nil {
		fmt.Fprintf(std.err, "put back beside the keys that were there: %s; move away what you had retired since\n", join(done.Keys))
	}
	if done.Manifest.Keys() == 0 {
		fmt.Fprintln(std.err, "it holds no keys: put yours in place before stile serve starts, or every visitor is asked again")
	}
	if done.Aside != "" {
		fmt.Fprintf(std.err, "what was there before is in %s\n", done.Aside)
	}
	fmt.Fprintf(std.err, "who was erased or took consent back after %s is in it as before: do that again\n", made)
	return nil
}
