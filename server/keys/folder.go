package keys

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The endings of files.
const (
	private = ".key"
	public  = ".pub"
)

// The time in the name of a file, as it is written and as it is read: with a fraction or without.
const (
	written  = "20060102T150405.000000000Z"
	readable = "20060102T150405Z"
)

// Open reads the keys of a folder, and makes one of each kind of which there is none to sign with.
func Open(folder string) (Ring, error) { return Ring{}.Open(folder) }

// Open is the ring with the keys of the folder for the kinds of which it has none. Of those, one to sign with is made
// where there is none.
func (r Ring) Open(folder string) (Ring, error) {
	all, err := r.Read(folder)
	if err != nil || all.complete() {
		return all, err
	}
	unlock, err := lockMade(folder)
	if err != nil {
		return Ring{}, err
	}
	defer unlock()
	if all, err = r.Read(folder); err != nil { // another process may have made them meanwhile
		return Ring{}, err
	}
	for _, kind := range kinds {
		if !all.signs(kind) {
			if _, err := create(folder, kind, time.Now()); err != nil {
				return Ring{}, err
			}
		}
	}
	return r.Read(folder)
}

func (r *Ring) complete() bool {
	return !slices.ContainsFunc(kinds, func(k Kind) bool { return !r.signs(k) })
}

// Read reads the keys of a folder and makes none. A folder that is not there has none.
func Read(folder string) (Ring, error) { return Ring{}.Read(folder) }

// Read is the ring with the keys of the folder for the kinds of which it has none.
func (r Ring) Read(folder string) (Ring, error) {
	files, err := list(folder)
	if err != nil {
		return Ring{}, err
	}
	given := r
	for _, f := range files {
		if given.has(f.kind) {
			continue
		}
		if err := r.load(f); err != nil {
			return Ring{}, err
		}
	}
	r.order()
	if err := r.check(); err != nil {
		return Ring{}, fmt.Errorf("in %s: %w", folder, err)
	}
	return r, nil
}

// file is where a key is kept.
type file struct {
	label
	folder  string
	private bool // its private part is there
	public  bool // it is retired
}

func (f file) path(ending string) string { return filepath.Join(f.folder, stem(f.name)+ending) }

// list finds the keys of a folder, newest first.
func list(folder string) ([]file, error) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for keys: %w", err)
	case exposed(info, 0o022):
		return nil, fmt.Errorf("others can put keys into the folder %s (mode %04o): run chmod 700 %[1]s", folder, info.Mode().Perm())
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for keys: %w", err)
	}
	found := map[string]file{}
	for _, e := range entries {
		f, ours, err := named(folder, e.Name())
		if err != nil {
			return nil, err
		}
		if ours {
			other := found[stem(f.name)]
			f.private, f.public = f.private || other.private, f.public || other.public
			found[stem(f.name)] = f
		}
	}
	files := make([]file, 0, len(found))
	for name, f := range found {
		if f.name = name + private; f.public {
			f.name = name + public
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(b.made.Compare(a.made), strings.Compare(b.name, a.name))
	})
	return files, nil
}

// named reads the name of a file. Those that are not named like a key are no business of ours.
func named(folder, name string) (f file, ours bool, err error) {
	kind, when, _ := strings.Cut(stem(name), "-")
	ending := name[len(stem(name)):]
	f = file{label: label{kind: Kind(kind), name: name}, folder: folder, private: ending == private, public: ending == public}
	if !slices.Contains(kinds, f.kind) || !f.private && (!f.public || f.kind == Cookie) {
		return file{}, false, nil
	}
	if f.made, err = time.Parse(readable, when); err != nil {
		return file{}, false, fmt.Errorf("%s is not named like a key of Stile's (%s-%s%s): move it elsewhere, or name it by when it was made",
			filepath.Join(folder, name), kind, "20261123T120000Z", ending)
	}
	return f, true, nil
}

// load reads a key into the ring. Of one whose retirement was broken off the public part counts.
func (r *Ring) load(f file) error {
	ending, read := private, parseSeed
	if f.public {
		ending, read = public, parsePublic
	}
	text, err := readKey(f.path(ending))
	if err != nil {
		return err
	}
	if f.kind == Cookie {
		var s Secret
		if s, err = parseSecret(f.label, text); err == nil {
			r.Cookie = append(r.Cookie, s)
		}
	} else {
		var s Signer
		if s, err = read(f.label, text); err == nil {
			r.put(s)
		}
	}
	if err != nil {
		return fmt.Errorf("the key file %s is corrupt: %w; %s", f.path(ending), err, f.remedy(ending))
	}
	if f.public && f.private {
		return f.halves(strings.TrimSpace(text))
	}
	return nil
}

// halves checks that the two files of a key are of one key: Retire will delete the private one.
func (f file) halves(line string) error {
	text, err := readKey(f.path(private))
	if err != nil {
		return err
	}
	if s, err := parseSeed(f.label, text); err != nil || s.line != line {
		return fmt.Errorf("%s is not the public part of %s: move one of them elsewhere", f.path(public), f.path(private))
	}
	return nil
}

// remedy is what helps when a file is lost.
func (f file) remedy(ending string) string {
	switch {
	case f.kind == Cookie:
		return "restore it from a backup, or delete it (visitors whose choice it signed are asked again)"
	case ending == public:
		return "restore it from a backup (without it what it signed does not verify)"
	}
	return fmt.Sprintf("restore it from a backup, or delete it and put its public line, which /stile/log/keys had, into %s "+
		"(without that what it signed does not verify)", f.path(public))
}

// longest is more than any key has, in bytes.
const longest = 1 << 10

// readKey reads a file that only its owner may read, unless it is public.
func readKey(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("reading a key: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("reading a key: %s is no file: move it elsewhere", path)
	case strings.HasSuffix(path, private) && exposed(info, 0o077):
		return "", fmt.Errorf("others can read the key file %s (mode %04o): run chmod 600 %[1]s, and make a new key if somebody may have",
			path, info.Mode().Perm())
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading a key: %w; it has to belong to the user that runs stile", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longest))
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	return string(text), nil
}

// exposed tells whether others have a right that they should not have. Windows tells nothing of that here.
func exposed(info fs.FileInfo, rights fs.FileMode) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&rights != 0
}

// New makes a key in a folder and returns its name. It signs from the server's next reload on, and the older ones are still
// believed.
func New(folder string, kind Kind, now time.Time) (name string, err error) {
	unlock, err := lockMade(folder)
	if err != nil {
		return "", err
	}
	defer unlock()
	return create(folder, kind, now)
}

// create makes a key that is newer than all others of its kind, though a clock may have said otherwise when they were
// made: or it would not sign.
func create(folder string, kind Kind, now time.Time) (string, error) {
	files, err := list(folder)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if f.kind == kind && !now.After(f.made) {
			now = f.made.Add(1)
		}
	}
	secret := make([]byte, length)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	name := string(kind) + "-" + now.UTC().Format(written) + private
	return name, write(filepath.Join(folder, name), hex.EncodeToString(secret)+"\n")
}

// ErrNewest is returned by Retire for the key that signs.
var ErrNewest = errors.New("it is the newest of its kind, which signs: make a new one first")

// ErrRetired is returned by Retire for a key that is retired already.
var ErrRetired = errors.New("it is retired already")

// Retire takes a key out of use, from the server's next reload on. The file of a cookie key is deleted: what it signed is
// not believed any more. That of another is replaced by its public part: what it signed still verifies.
func Retire(folder, name string) error {
	unlock, err := lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	ring, err := Read(folder)
	if err != nil {
		return err
	}
	info, err := ring.Find(name)
	if err != nil {
		return err
	}
	if info.State == Signs {
		return fmt.Errorf("%s cannot be retired: %w with stile keys new %s, then send SIGHUP to stile serve", info.Name, ErrNewest, info.Kind)
	}
	f := file{label: label{name: info.Name}, folder: folder}
	if info.State == Verifies && info.Kind != Cookie {
		if err := write(f.path(public), info.Public+"\n"); err != nil {
			return err
		}
	}
	err = os.Remove(f.path(private))
	switch {
	case info.State == Retired && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", info.Name, ErrRetired)
	case err != nil:
		return fmt.Errorf("deleting the key %s: %w", info.Name, err)
	}
	return syncFolder(folder)
}

// write puts a file in its place whole, so that nobody ever reads half a key, and none is lost once it was told of.
func write(path, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing a key: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes what was renamed or deleted in a folder last. Windows cannot, and need not.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockMade locks a folder that may have to be made.
func lockMade(folder string) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for keys: %w", err)
	}
	return lock(folder)
}

// lock keeps other processes from changing a folder until unlock is called.
func lock(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("opening the folder for keys: %w", err)
	}
	flock(f)
	return func() { _ = f.Close() }, nil // which unlocks it
}
