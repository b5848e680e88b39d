package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/receipt"
)

type recordsCommand struct {
	Export   exportRecords   `cmd:"" help:"Write the records of a span of time to a file."`
	Show     showRecords     `cmd:"" help:"Print all that is kept of one record: the choice, the words that were shown, policy, vendors, chain. Exits 1 if there is none."`
	Erase    eraseRecords    `cmd:"" help:"Erase all records of a visitor, for good."`
	Withdraw withdrawRecords `cmd:"" help:"Take back a visitor's consent for them, as far as this server can."`
	Trail    trailRecords    `cmd:"" help:"Print who looked at, exported or erased what."`
	Verify   verifyRecords   `cmd:"" help:"Check a visitor's receipt, offline, or the whole ledger. Exits 1 if something is not genuine."`
}

type verifyRecords struct {
	File       string   `arg:"" optional:"" help:"The receipt, or - for standard input."`
	All        bool     `help:"Check every record of the ledger against its signed checkpoints: finds what was changed, taken away or added."`
	Checkpoint []string `sep:"none" placeholder:"FILE" help:"With --all, a checkpoint that was kept elsewhere (from /stile/log/checkpoint): the log must have grown out of it. May be repeated."`
	Keys       []string `sep:"none" placeholder:"KEY" help:"Public key (stile+hash+base64), a file with one a line, or - for standard input. The site publishes its own at /stile/log/keys. May be repeated; without it, the keys in the data folder."`
	ledgerFlags
}

// Validate refuses to read two things from standard input.
func (c *verifyRecords) Validate() error {
	from := 0
	for _, name := range append([]string{c.File}, c.Keys...) {
		if name == "-" {
			from++
		}
	}
	switch {
	case c.All && c.File != "":
		return errors.New("--all checks the ledger, and a file is checked without it: leave one out")
	case !c.All && c.File == "":
		return errors.New("name the receipt, or use --all to check the whole ledger")
	case !c.All && len(c.Checkpoint) > 0:
		return errors.New("--checkpoint goes with --all")
	}
	if from > 1 {
		return errors.New("standard input is one file: name another for the receipt, or for the keys")
	}
	return nil
}

// Run checks a receipt and prints what it says, or what is wrong with it.
func (c *verifyRecords) Run(ctx context.Context, std streams) error {
	known, err := c.verifiers()
	if err != nil {
		return err
	}
	if c.All {
		return c.all(ctx, std, known)
	}
	doc, err := readSome(c.File, receipt.MaxSize+1)
	if err != nil {
		return err
	}
	genuine, err := receipt.Check(doc, known)
	if err != nil {
		fmt.Fprintf(std.out, "%s is not genuine:\n", c.File)
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(std.out, "  %s\n", strings.TrimSpace(line))
		}
		return errFound
	}
	_, err = io.WriteString(std.out, receipt.Summary(genuine))
	return err
}

// verifiers are the keys that are believed, each once.
func (c *verifyRecords) verifiers() (note.Verifiers, error) {
	lines, err := c.lines()
	if err != nil {
		return nil, err
	}
	slices.Sort(lines)
	var list []note.Verifier
	for _, line := range slices.Compact(lines) {
		v, err := note.NewVerifier(line)
		if err != nil || v.Name() != receipt.KeyName {
			return nil, fmt.Errorf("%q is no public key of Stile's: it is written stile+hash+base64, as at /stile/log/keys of the site", line)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

const maxKeys = 1 << 20 // of a file of keys, in bytes

func (c *verifyRecords) lines() (lines []string, err error) {
	if len(c.Keys) == 0 {
		return machineKeys(filepath.Join(c.Data, "keys"))
	}
	for _, key := range c.Keys {
		if strings.HasPrefix(key, receipt.KeyName+"+") {
			lines = append(lines, key)
			continue
		}
		text, err := readSome(key, maxKeys)
		if err != nil {
			return nil, err
		}
		before := len(lines)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		if len(lines) == before {
			return nil, fmt.Errorf("there are no keys in %s: it has one a line, stile+hash+base64, as at /stile/log/keys of the site", key)
		}
	}
	return lines, nil
}

// machineKeys are the public keys of receipts and log in a folder of keys, the retired ones too.
func machineKeys(folder string) (lines []string, err error) {
	ring, err := keys.Read(folder)
	if err != nil {
		return nil, err
	}
	for _, k := range slices.Concat(ring.Receipt, ring.Log) {
		lines = append(lines, k.Line())
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("there are no keys of receipts or of the log in %s: give the site's with --keys; they are at its /stile/log/keys", folder)
	}
	return lines, nil
}

// readSome reads a file, or standard input for -, up to a number of bytes.
func readSome(name string, most int64) (text []byte, err error) {
	from := os.Stdin
	if name != "-" {
		if from, err = os.Open(name); err != nil {
			return nil, err
		}
		defer from.Close()
	}
	if text, err = io.ReadAll(io.LimitReader(from, most)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return text, nil
}
