package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// put writes a file into a folder of keys, which it makes.
func put(t testing.TB, folder, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(folder, name)
	err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func files(t testing.TB, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func names(list []Info) (names []string) {
	for _, info := range list {
		names = append(names, info.Name+" "+string(info.State))
	}
	return names
}

func TestFirstStart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "keys")
	if r, err := Read(folder); err != nil || r.List() != nil {
		t.Fatalf("a folder that is not there has %v, %v", r, err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("reading makes the folder")
	}
	first, err := Open(folder)
	if err != nil || len(first.Cookie) != 1 || len(first.Receipt) != 1 || len(first.Log) != 1 {
		t.Fatalf("the first start has %v, %v", first, err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v), want 0700", info.Mode(), err)
	}
	made := files(t, folder)
	if len(made) != 3 {
		t.Errorf("the folder has %q", made)
	}
	for _, name := range made {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 2*length+1 {
			t.Errorf("%s has mode %v and %d bytes (%v)", name, info.Mode(), info.Size(), err)
		}
	}
	again, err := Open(folder)
	if err != nil || !cmp.Equal(first, again) {
		t.Errorf("the second start has other keys: %v", err)
	}
	if got := files(t, folder); !slices.Equal(made, got) {
		t.Errorf("the second start made %q", got)
	}
}

// A file that an earlier Stile made is read byte for byte, and the kinds that it did not know are made beside it.
func TestEarlierFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	put(t, folder, "cookie-20251123T120000.000000001Z.key", text(0xa1)+"\n", 0o600)
	put(t, folder, "cookie-20260102T120000.123456789Z.key", text(0xa2)+"\n", 0o600)
	put(t, folder, "cookie-20260102T120000.123456789Z.key.new", text(0xa3)[:20], 0o600)
	put(t, folder, ".DS_Store", "of somebody else", 0o644)
	r, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cookie) != 2 || r.Cookie[0].Name() != "cookie-20260102T120000.123456789Z.key" || !bytes.Equal(r.Cookie[0].Bytes(), bytes.Repeat([]byte{0xa2}, 32)) ||
		r.Cookie[1].Bytes()[31] != 0xa1 || !r.Cookie[0].Made().Equal(time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.UTC)) {
		t.Errorf("the keys are %v", r.Cookie)
	}
	if len(r.Receipt) != 1 || len(r.Log) != 1 || r.Receipt[0].Retired() {
		t.Errorf("what an earlier Stile did not know is %v, %v", r.Receipt, r.Log)
	}
	if got := r.List()[1]; got.Next != r.Cookie[0].Made() {
		t.Errorf("the older key was followed at %v", got.Next)
	}
}

// Kinds that are given are not looked for in the folder, and the others are.
func TestGivenKinds(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	put(t, folder, "cookie-20251123T120000Z.key", "corrupt", 0o600)
	given, err := Parse([]string{text(1)}, nil, []string{text(2)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := given.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cookie) != 1 || len(r.Log) != 1 || len(r.Receipt) != 1 || len(files(t, folder)) != 2 || given.Receipt != nil {
		t.Errorf("the ring is %+v, the folder %q", r, files(t, folder))
	}
	all, err := Parse([]string{text(1)}, []string{text(3)}, []string{text(2)})
	if err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "keys")
	if _, err := all.Open(nowhere); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(nowhere); !errors.Is(err, os.ErrNotExist) {
		t.Error("with all kinds given a folder is made")
	}
}

// What is wrong with a file is said in one line, with what to do, and without what is in it.
func TestBadFiles(t *testing.T) {
	signer, err := parseSeed(label{}, text(0xa4))
	if err != nil {
		t.Fatal(err)
	}
	const (
		cookie, receipt, logs = "cookie-20261123T120000Z.key", "receipt-20261123T120000Z.key", "log-20261123T120000Z.key"
		pub                   = "receipt-20261123T120000Z.pub"
		secret                = "beefbeef"
	)
	for name, tt := range map[string]struct {
		file, content string
		mode          os.FileMode
		says          string
	}{
		"empty":                  {cookie, "", 0o600, " is corrupt: a key is 64 hex digits; restore it from a backup, or delete it (visitors whose choice it signed are asked again)"},
		"half":                   {cookie, text(0xbe)[:62] + "\n", 0o600, "is corrupt"},
		"words":                  {receipt, secret + " words\n", 0o600, "is corrupt: a key is 64 hex digits; restore it from a backup, or delete it and put its public line, which /stile/log/keys had, into"},
		"two lines":              {logs, text(1) + "\n" + text(2) + "\n", 0o600, "is corrupt"},
		"huge":                   {logs, strings.Repeat(secret, 1<<20), 0o600, "is corrupt"},
		"null bytes":             {logs, strings.Repeat("\x00", 65), 0o600, "is corrupt"},
		"a public key as .key":   {receipt, signer.Line() + "\n", 0o600, "is corrupt: a key is 64 hex digits"},
		"a seed as .pub":         {pub, text(0xbe), 0o600, "is corrupt: a public key is a line like stile+"},
		"somebody else's":        {pub, "sum.example+" + signer.Line()[6:], 0o600, "is corrupt: a public key is a line like"},
		"for the group":          {cookie, text(0xbe), 0o640, "others can read the key file"},
		"for all":                {receipt, text(0xbe), 0o604, "(mode 0604): run chmod 600"},
		"writable by others":     {logs, text(0xbe), 0o602, "(mode 0602): run chmod 600"},
		"named otherwise":        {"cookie-old.key", text(0xbe), 0o600, "cookie-old.key is not named like a key of Stile's (cookie-20261123T120000Z.key): move it elsewhere"},
		"named with no time":     {"log.key", text(0xbe), 0o600, "log.key is not named like a key of Stile's"},
		"named of no known time": {"receipt-20261399T120000Z.pub", signer.Line(), 0o600, "is not named like a key of Stile's"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "keys")
			path := put(t, folder, tt.file, tt.content, tt.mode)
			for _, read := range []func(string) (Ring, error){Read, Open} {
				r, err := read(folder)
				if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("it says: %v", err)
				}
				if strings.Contains(err.Error(), secret) || r.List() != nil {
					t.Errorf("it shows the key, or has one: %v, %v", err, r)
				}
			}
			if got := files(t, folder); !slices.Equal(got, []string{tt.file}) {
				t.Errorf("the folder has %q after it", got)
			}
		})
	}
}

func TestBadFolders(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	if _, err := Open(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(folder); err == nil || !strings.Contains(err.Error(), "run chmod 700 "+folder) {
		t.Errorf("a folder that others write to: %v", err)
	}
	file := put(t, t.TempDir(), "keys", "", 0o600)
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a folder: %v", err)
	}
	folder = filepath.Join(t.TempDir(), "keys")
	if err := os.MkdirAll(filepath.Join(folder, "log-20261123T120000Z.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "log-20261123T120000Z.key is no file") {
		t.Errorf("a folder for a file: %v", err)
	}
	folder = filepath.Join(t.TempDir(), "keys")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Symlink("nowhere", filepath.Join(folder, "log-20261123T120000Z.key"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "reading a key: ") {
		t.Errorf("a link to nowhere: %v", err)
	}
	// A copy under another name, which would make two keys of one.
	folder = filepath.Join(t.TempDir(), "keys")
	put(t, folder, "log-20261123T120000Z.key", text(1), 0o600)
	put(t, folder, "log-20261124T120000Z.key", text(1), 0o600)
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "in "+folder+": log-20261124T120000Z.key and log-20261123T120000Z.key are the same key") {
		t.Errorf("a copy: %v", err)
	}
}

// A link to a file elsewhere is a key, as secrets are mounted into containers.
func TestLinkedFile(t *testing.T) {
	elsewhere := put(t, t.TempDir(), "secret", text(1), 0o400)
	folder := filepath.Join(t.TempDir(), "keys")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Symlink(elsewhere, filepath.Join(folder, "cookie-20261123T120000Z.key"))); err != nil {
		t.Fatal(err)
	}
	if r, err := Read(folder); err != nil || len(r.Cookie) != 1 {
		t.Errorf("%v, %v", r, err)
	}
}

// A new key is the newest, whatever the clock said before.
func TestNewSigns(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	var made []string
	for _, now := range []time.Time{noon, noon, noon.Add(-time.Hour), noon.Add(time.Hour)} {
		for _, kind := range kinds {
			name, err := New(folder, kind, now)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Read(folder)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.List(), func(i Info) bool { return i.Name == name && i.State == Signs && i.Kind == kind }) {
				t.Errorf("%s does not sign: %q", name, names(r.List()))
			}
			made = append(made, name)
		}
	}
	slices.Sort(made)
	if got := files(t, folder); !slices.Equal(made, got) {
		t.Errorf("made were %q, the folder has %q", made, got)
	}
}

// At the same moment each gets a key of its own, and no file is half-written or left.
func TestNewAtOnce(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	const n = 16
	made := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var err error
			if made[i], err = New(folder, kinds[i%2], noon); err != nil {
				t.Error(err)
			}
			if _, err := Read(folder); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	slices.Sort(made)
	if got := files(t, folder); !slices.Equal(made, got) || len(slices.Compact(made)) != n {
		t.Errorf("made were %q, the folder has %q", made, got)
	}
}

// First starts at the same moment agree on one key of each kind.
func TestOpenAtOnce(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	rings := make([]Ring, 16)
	var all sync.WaitGroup
	for i := range rings {
		all.Go(func() {
			var err error
			if rings[i], err = Open(folder); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, r := range rings {
		if len(r.List()) != len(kinds) || !cmp.Equal(r, rings[0]) {
			t.Fatalf("one has %v, another %v", r, rings[0])
		}
	}
}

func TestRetire(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	message := []byte("stile test\n")
	for _, kind := range kinds {
		old, err := New(folder, kind, noon)
		if err != nil {
			t.Fatal(err)
		}
		if err := Retire(folder, old); !errors.Is(err, ErrNewest) || !strings.Contains(err.Error(), "make a new one first with stile keys new "+string(kind)) {
			t.Errorf("the only key of kind %s: %v", kind, err)
		}
		if _, err := New(folder, kind, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	sig := before.Receipt[1].Sign(message)
	for _, name := range []string{
		"cookie-20261123T120000.000000000Z.key", "receipt-20261123T120000.000000000Z", "log-20261123T120000.000000000Z.key",
	} {
		if err := Retire(folder, name); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"cookie-20261123T130000.000000000Z.key", "log-20261123T120000.000000000Z.pub", "log-20261123T130000.000000000Z.key",
		"receipt-20261123T120000.000000000Z.pub", "receipt-20261123T130000.000000000Z.key",
	}
	if d := cmp.Diff(want, files(t, folder)); d != "" {
		t.Error(d)
	}
	after, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	retired := after.Receipt[1]
	if !retired.Retired() || retired.Line() != before.Receipt[1].Line() || !ed25519.Verify(retired.Public(), message, sig) || !retired.Made().Equal(noon) {
		t.Errorf("what %v signed does not verify", retired)
	}
	for name, want := range map[string]error{
		"cookie-20261123T120000.000000000Z.key": ErrUnknown, "": ErrUnknown, "../keys/log-20261123T130000.000000000Z": ErrUnknown,
		"log-20261123T120000.000000000Z.pub": ErrRetired, "log-20261123T120000.000000000Z.key": ErrRetired, "log-20261123T130000.000000000Z": ErrNewest,
	} {
		if err := Retire(folder, name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if err := Retire(filepath.Join(folder, "nowhere"), "x"); err == nil || strings.Contains(strings.Join(files(t, folder), " "), "nowhere") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A retirement that was broken off in the middle signs nothing more, and is finished by the next.
func TestRetireBrokenOff(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	put(t, folder, "log-20261123T120000Z.key", text(1), 0o600)
	put(t, folder, "log-20261124T120000Z.key", text(2), 0o600)
	before, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	public := put(t, folder, "log-20261123T120000Z.pub", before.Log[1].Line()+"\n", 0o600)
	after, err := Read(folder)
	if err != nil || len(after.Log) != 2 || !after.Log[1].Retired() || after.Log[1].Name() != "log-20261123T120000Z.pub" {
		t.Fatalf("%v, %v", after.Log, err)
	}
	// A public key that is another's is not what stays of it.
	put(t, folder, "log-20261123T120000Z.pub", before.Log[0].Line(), 0o600)
	if err := Retire(folder, "log-20261123T120000Z"); err == nil || !strings.Contains(err.Error(), "is not the public part of") {
		t.Errorf("another's public key: %v", err)
	}
	put(t, folder, filepath.Base(public), before.Log[1].Line(), 0o600)
	if err := Retire(folder, "log-20261123T120000Z"); err != nil {
		t.Error(err)
	}
	if got := files(t, folder); !slices.Equal(got, []string{"log-20261123T120000Z.pub", "log-20261124T120000Z.key"}) {
		t.Errorf("the folder has %q", got)
	}
}

// However keys are made and retired: the newest of each kind signs, all that are there are listed as the model has them,
// and what any key of receipts or log ever signed verifies.
func TestModel(t *testing.T) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		folder := filepath.Join(root, fmt.Sprint(runs))
		if _, err := Open(folder); err != nil {
			t.Fatal(err)
		}
		signed := map[string][]byte{} // by line
		public := map[string]ed25519.PublicKey{}
		model := map[string]State{} // by stem
		newest := map[Kind]string{}
		message := []byte("stile test\n")
		check := func() {
			r, err := Open(folder)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]State{}
			for _, info := range r.List() {
				got[stem(info.Name)] = info.State
			}
			if d := cmp.Diff(model, got); d != "" {
				t.Fatal(d)
			}
			clear(public)
			for _, s := range slices.Concat(r.Receipt, r.Log) {
				public[s.Line()] = s.Public()
				if signed[s.Line()] == nil {
					signed[s.Line()] = s.Sign(message)
				}
			}
		}
		first, err := Read(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range first.List() {
			model[stem(info.Name)], newest[info.Kind] = Signs, stem(info.Name)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"new": func(t *rapid.T) {
				kind := rapid.SampledFrom(kinds).Draw(t, "kind")
				name, err := New(folder, kind, noon.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "hours"))*time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				model[newest[kind]] = Verifies
				model[stem(name)], newest[kind] = Signs, stem(name)
			},
			"retire": func(t *rapid.T) {
				all := make([]string, 0, len(model))
				for name := range model {
					all = append(all, name)
				}
				slices.Sort(all)
				name := rapid.SampledFrom(all).Draw(t, "name")
				err := Retire(folder, name)
				switch {
				case model[name] == Signs:
					if !errors.Is(err, ErrNewest) {
						t.Fatalf("retiring the newest: %v", err)
					}
				case model[name] == Retired:
					if !errors.Is(err, ErrRetired) {
						t.Fatalf("retiring a retired one: %v", err)
					}
				case err != nil:
					t.Fatal(err)
				case strings.HasPrefix(name, "cookie-"):
					delete(model, name)
				default:
					model[name] = Retired
				}
			},
		})
		for line, sig := range signed {
			if !ed25519.Verify(public[line], message, sig) {
				t.Fatalf("what %s signed does not verify any more", line)
			}
		}
	})
}
