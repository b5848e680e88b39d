package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stilehq/stile/server/sqlite"
)

// RestoreOptions are what is put where.
type RestoreOptions struct {
	File  string // archive
	Data  string // data folder, made when it is not there
	Force bool   // move what is there aside
	Now   func() time.Time
}

// Restored is what was done.
type Restored struct {
	Manifest
	Aside string   // folder with what was there before, "" where nothing was
	Keys  []string // that were put beside others: one that was retired since is back
}

// Restore puts an archive in place: all of it or, on an error, nothing. It is checked as a whole before anything in the
// data folder changes. A folder that holds a ledger, or what belongs to one, is refused, unless Force has it moved aside.
// Keys that are there stay, beside those of the archive.
func Restore(ctx context.Context, o RestoreOptions) (done Restored, err error) {
	old := holds(o.Data)
	if len(old) > 0 && !o.Force {
		return done, fmt.Errorf("the data folder %s holds %s: name an empty one, or have it moved aside by --force", o.Data, strings.Join(old, ", "))
	}
	made := !there(o.Data)
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return done, fmt.Errorf("making the data folder: %w", err)
	}
	work, err := os.MkdirTemp(o.Data, ".restore-")
	if err != nil {
		return done, fmt.Errorf("making room for the backup: %w", err)
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(work))
		if err != nil && made {
			err = errors.Join(err, os.Remove(o.Data))
		}
	}()
	if done.Manifest, err = unpack(ctx, o.File, work); err != nil {
		return done, err
	}
	err = idle(ctx, o.Data, old, func() error { return done.place(&o, work, old) })
	return done, err
}

// holds are the files of a data folder that a restored ledger must not meet. What SQLite wrote ahead of a file that is gone
// would be read as the new one's.
func holds(data string) (names []string) {
	for _, db := range []string{ledgerName, spoolName, outboxName} {
		for _, part := range []string{"", "-wal", "-shm", "-journal"} {
			if there(filepath.Join(data, db+part)) {
				names = append(names, db+part)
			}
		}
	}
	return names
}

// idle calls fn while nobody uses the databases among the names.
func idle(ctx context.Context, data string, names []string, fn func() error) error {
	for i, name := range names {
		if filepath.Ext(name) == ".db" {
			rest := names[i+1:]
			return sqlite.Idle(ctx, filepath.Join(data, name), sqlite.Kind{Name: "database"}, func() error { return idle(ctx, data, rest, fn) })
		}
	}
	return fn()
}

// place moves the old files aside and the new ones in. The ledger comes last: until it is there, the restore can be done
// again.
func (done *Restored) place(o *RestoreOptions, work string, old []string) (err error) {
	var m moves
	defer func() {
		if err != nil {
			err = errors.Join(err, m.undo())
		}
	}()
	if len(old) > 0 {
		done.Aside = filepath.Join(o.Data, "before-restore-"+o.Now().UTC().Format("20060102T150405.000Z"))
		if err := m.mkdir(done.Aside); err != nil {
			return err
		}
	}
	for _, name := range old {
		err := m.move(filepath.Join(o.Data, name), filepath.Join(done.Aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was folded in, and is gone
			return err
		}
	}
	if err := done.placeKeys(&m, o.Data, work); err != nil {
		return err
	}
	for _, name := range []string{spoolName, ledgerName} {
		if done.Has(name) {
			if err := m.move(filepath.Join(work, name), filepath.Join(o.Data, name)); err != nil {
				return err
			}
		}
	}
	return syncFolder(o.Data)
}

// placeKeys adds keys to those that are there. One whose public half alone was kept is retired, and stays so.
func (done *Restored) placeKeys(m *moves, data, work string) error {
	folder := filepath.Join(data, keysFolder)
	beside := there(folder)
	if !beside && done.Manifest.Keys() > 0 {
		if err := m.mkdir(folder); err != nil {
			return err
		}
	}
	for _, f := range done.Files {
		if !keyPath.MatchString(f.Name) {
			continue
		}
		from, to := filepath.Join(work, f.Name), filepath.Join(data, f.Name)
		if there(strings.TrimSuffix(to, ".key") + ".pub") {
			continue
		}
		if there(to) {
			if err := sameKey(from, to); err != nil {
				return err
			}
			continue
		}
		if err := m.move(from, to); err != nil {
			return err
		}
		if beside {
			done.Keys = append(done.Keys, filepath.Base(to))
		}
	}
	if done.Manifest.Keys() == 0 {
		return nil
	}
	return syncFolder(folder)
}

func sameKey(a, b string) error {
	one, err := os.ReadFile(a)
	if err != nil {
		return err
	}
	other, err := os.ReadFile(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(one, other) {
		return fmt.Errorf("the key %s is another one in the backup: move the one that is not wanted away", b)
	}
	return nil
}

// moves can be taken back.
type moves []func() error

func (m *moves) mkdir(name string) error {
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	*m = append(*m, func() error { return os.Remove(name) })
	return nil
}

func (m *moves) move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	*m = append(*m, func() error { return os.Rename(to, from) })
	return nil
}

func (m *moves) undo() error {
	var errs []error
	for i := len(*m) - 1; i >= 0; i-- {
		errs = append(errs, (*m)[i]())
	}
	return errors.Join(errs...)
}
