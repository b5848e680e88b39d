// Package backup copies what a data folder cannot lose into one file while it is served, and puts it in place again.
//
// In an archive (tar, readable by its owner alone) are, after the manifest:
//
//	spool.db   choices that wait for a PostgreSQL database, where there is one
//	stile.db   the ledger
//	keys/      the keys, without which visitors' choices are not believed, unless they are left out
//
// They are copied in this order: a choice that leaves the spool meanwhile is in the ledger's copy, and delivering it again
// stores nothing, for its key is there; a key that is made meanwhile is in it. What waits to be sent to vendors (outbox.db)
// is not in it: put back, it would send what was forgotten since.
//
// A visitor who is erased after a backup is in the backup still.
package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/sqlite"
)

// Names in a data folder and in an archive.
const (
	ledgerName   = "stile.db"
	spoolName    = "spool.db"
	outboxName   = "outbox.db"
	keysFolder   = "keys"
	manifestName = "manifest.json"
)

// spool is any file of Stile's: what is in it is the spool's own affair.
var spool = sqlite.Kind{Name: "spool", Damaged: "take another backup"}

// Manifest is what an archive says of itself.
type Manifest struct {
	Form   int       `json:"form"`  // 1
	Stile  string    `json:"stile"` // version that made it
	Made   time.Time `json:"made"`  // UTC: what was acknowledged before is in it
	Origin string    `json:"origin,omitempty"`
	Leaves int64     `json:"leaves"`
	Files  []File    `json:"files"` // in their order
}

// File is a file in an archive.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// Has tells whether a file of that name is in it.
func (m *Manifest) Has(name string) bool {
	for _, f := range m.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// HasLedger tells whether the ledger is in it, and not in PostgreSQL.
func (m *Manifest) HasLedger() bool { return m.Has(ledgerName) }

// Keys is how many keys are in it.
func (m *Manifest) Keys() (n int) {
	for _, f := range m.Files {
		if keyPath.MatchString(f.Name) {
			n++
		}
	}
	return n
}

// keyPath is the name of a key in an archive. Nothing else lies in a folder there.
var keyPath = regexp.MustCompile(`^keys/[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(key|pub)$`)

// Options are what is backed up.
type Options struct {
	Data       string // data folder
	To         string // archive, which is not there yet
	Stile      string // version
	PostgreSQL bool   // the ledger is not in the data folder
	NoKeys     bool
	Now        func() time.Time
}

// Make writes an archive, and checks the copies before it gives it its name: all of it or, on an error, nothing. Beside the
// archive it takes as much room again, for the copies.
func Make(ctx context.Context, o Options) (m Manifest, err error) {
	if _, err := os.Lstat(o.To); !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is there already: name another file", o.To)
	}
	work, err := os.MkdirTemp(filepath.Dir(o.To), ".stile-backup-")
	if err != nil {
		return m, fmt.Errorf("making room for the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	m = Manifest{Form: 1, Stile: o.Stile, Made: o.Now().UTC().Truncate(time.Millisecond)}
	if err := gather(ctx, &o, work, &m); err != nil {
		return m, err
	}
	whole := filepath.Join(work, "whole.tar")
	if err := pack(whole, work, &m); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	if err := os.Rename(whole, o.To); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	return m, syncFolder(filepath.Dir(o.To))
}

// gather copies what is to be in an archive into a folder, in the order in which nothing is lost.
func gather(ctx context.Context, o *Options, work string, m *Manifest) error {
	if there(filepath.Join(o.Data, spoolName)) {
		copied := filepath.Join(work, spoolName)
		if err := sqlite.Copy(ctx, filepath.Join(o.Data, spoolName), copied, spool); err != nil {
			return err
		}
		if err := sqlite.Check(ctx, copied, spool, nil); err != nil {
			return err
		}
		if err := m.add(work, spoolName); err != nil {
			return err
		}
	}
	if !o.PostgreSQL {
		copied := filepath.Join(work, ledgerName)
		if err := ledger.CopyFile(ctx, filepath.Join(o.Data, ledgerName), copied); err != nil {
			return err
		}
		log, err := ledger.CheckFile(ctx, copied)
		if err != nil {
			return err
		}
		m.Origin, m.Leaves = log.Origin, log.Size
		if err := m.add(work, ledgerName); err != nil {
			return err
		}
	}
	if o.NoKeys {
		return nil
	}
	return gatherKeys(o, work, m)
}

func gatherKeys(o *Options, work string, m *Manifest) error {
	entries, err := os.ReadDir(filepath.Join(o.Data, keysFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if err := os.Mkdir(filepath.Join(work, keysFolder), 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		name := keysFolder + "/" + e.Name()
		if !keyPath.MatchString(name) {
			continue // half written, or none of Stile's
		}
		text, err := os.ReadFile(filepath.Join(o.Data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(work, name), text, 0o600)
		}
		if err == nil {
			err = m.add(work, name)
		}
		if err != nil {
			return fmt.Errorf("copying the keys: %w", err)
		}
	}
	return nil
}

// add takes a file of the folder into the manifest.
func (m *Manifest) add(folder, name string) error {
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	m.Files = append(m.Files, File{name, size, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// pack writes the archive of the files that a manifest has.
func pack(to, folder string, m *Manifest) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	header := tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(text)), ModTime: m.Made, Typeflag: tar.TypeReg}
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, file := range m.Files {
		if err := packFile(w, folder, file, m.Made); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return errors.Join(w.Close(), f.Sync())
}

func packFile(w *tar.Writer, folder string, file File, made time.Time) (err error) {
	f, err := os.Open(filepath.Join(folder, file.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := w.WriteHeader(&tar.Header{Name: file.Name, Mode: 0o600, Size: file.Size, ModTime: made, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
