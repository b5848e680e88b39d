package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/sqlite"
)

// Bounds of what is read of an archive into memory, or without a copy of its own being made.
const (
	mostManifest = 1 << 20
	mostKey      = 64 << 10
)

// unpack puts the files of an archive into an empty folder, and checks each of them: its hash, and that databases are whole.
func unpack(ctx context.Context, archive, folder string) (m Manifest, err error) {
	f, err := os.Open(archive)
	if err != nil {
		return m, fmt.Errorf("opening the backup: %w", err)
	}
	defer f.Close()
	r := tar.NewReader(f)
	if m, err = readManifest(r); err != nil {
		return m, fmt.Errorf("%s is not a backup of Stile's, or it is damaged: %w", archive, err)
	}
	if err := os.Mkdir(filepath.Join(folder, keysFolder), 0o700); err != nil {
		return m, err
	}
	for _, file := range m.Files {
		if err := unpackFile(r, folder, file); err != nil {
			return m, fmt.Errorf("the backup %s is damaged: %s: %w", archive, file.Name, err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return m, fmt.Errorf("the backup %s is damaged: more is in it than its manifest says", archive)
	}
	if err := check(ctx, folder, &m); err != nil {
		return m, fmt.Errorf("the backup %s cannot be used: %w", archive, err)
	}
	return m, nil
}

func readManifest(r *tar.Reader) (m Manifest, err error) {
	h, err := r.Next()
	if err != nil {
		return m, err
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > mostManifest {
		return m, fmt.Errorf("it does not begin with %s", manifestName)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return m, err
	}
	var form struct{ Form int }
	if err := json.Unmarshal(text, &form); err != nil {
		return m, fmt.Errorf("reading %s: %w", manifestName, err)
	}
	if form.Form != 1 {
		return m, fmt.Errorf("it is of form %d, this stile knows 1: use a newer stile", form.Form)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("reading %s: %w", manifestName, err)
	}
	return m, m.valid()
}

// valid keeps an archive from writing anywhere but where backups are unpacked.
func (m *Manifest) valid() error {
	had := map[string]bool{}
	for _, f := range m.Files {
		key := keyPath.MatchString(f.Name)
		switch {
		case !key && f.Name != ledgerName && f.Name != spoolName:
			return fmt.Errorf("%q is no file of a backup", f.Name)
		case had[f.Name]:
			return fmt.Errorf("%s is in it twice", f.Name)
		case f.Size < 0, key && f.Size > mostKey:
			return fmt.Errorf("%s has %d bytes", f.Name, f.Size)
		}
		had[f.Name] = true
	}
	if len(m.Files) == 0 || m.Leaves < 0 || m.Made.IsZero() {
		return errors.New("nothing is in it")
	}
	return nil
}

func unpackFile(r *tar.Reader, folder string, want File) (err error) {
	h, err := r.Next()
	if errors.Is(err, io.EOF) {
		return errors.New("it is missing")
	}
	if err != nil {
		return err
	}
	if h.Name != want.Name || h.Typeflag != tar.TypeReg || h.Size != want.Size {
		return fmt.Errorf("in its place is %q of %d bytes", h.Name, h.Size)
	}
	f, err := os.OpenFile(filepath.Join(folder, filepath.FromSlash(want.Name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), r, want.Size); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, it was %s", got, want.SHA256)
	}
	return f.Sync()
}

// check opens what was unpacked as Stile would.
func check(ctx context.Context, folder string, m *Manifest) error {
	if m.Has(spoolName) {
		if err := sqlite.Check(ctx, filepath.Join(folder, spoolName), spool, nil); err != nil {
			return err
		}
	}
	if !m.HasLedger() {
		return nil
	}
	log, err := ledger.CheckFile(ctx, filepath.Join(folder, ledgerName))
	if err != nil {
		return err
	}
	if log.Origin != m.Origin || log.Size != m.Leaves {
		return fmt.Errorf("its log is %s with %d leaves, its manifest says %s with %d", log.Origin, log.Size, m.Origin, m.Leaves)
	}
	return nil
}
