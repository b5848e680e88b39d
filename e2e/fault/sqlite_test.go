package fault

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// kill ends the process in the midst of its work, again and again.
func kill(t *testing.T, rng *rand.Rand) {
	data := t.TempDir()
	p, b := newProcess(t, data, ""), newBook()
	c := newCrowd(t, fleet{p}, b, rng)
	for range 8 {
		b.awaitTold(t, 50+rng.IntN(600))
		p.kill()
		p.start()
	}
	b.awaitTold(t, 50)
	p.kill()
	c.leave()
	b.checkFile(t, data)
}

// diskFull leaves no room: choices are refused, and taken again once there is some. Nothing that was acknowledged before is
// lost, not even where the process ends meanwhile.
func diskFull(t *testing.T, rng *rand.Rand) {
	data := smallDisk(t, 24<<20)
	p, b := newProcess(t, data, ""), newBook()
	c := newCrowd(t, fleet{p}, b, rng)
	for range 2 {
		b.awaitTold(t, 100+rng.IntN(300))
		mark := p.mark()
		ballast(t, data)
		b.awaitRefused(t, 20)
		for status := 0; status != http.StatusServiceUnavailable; { // what is erased, or folded in, makes room for a moment
			ballast(t, data)
			b.awaitRefused(t, 1)
			status, _ = p.get("/readyz")
		}
		p.says(mark, "has no room left: free some space on its disk")
		if status, body := p.get("/stile/shop.js"); status != http.StatusOK || body == "" {
			t.Errorf("the script is answered by %d", status)
		}
		killed := rng.IntN(2) == 0
		if killed {
			p.kill()
		}
		must(t, removeBallast(data))
		if killed {
			p.start()
		}
		b.awaitTold(t, 100)
		if status, body := p.get("/readyz"); status != http.StatusOK {
			t.Errorf("with room again it is not ready: %d %s", status, body)
		}
	}
	c.leave()
	p.stop()
	b.checkFile(t, data)
}

// ballast takes all the room that is left.
func ballast(t *testing.T, folder string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(folder, "ballast"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(t, err)
	defer f.Close()
	for piece := make([]byte, 64<<10); ; {
		_, err := f.Write(piece)
		if errors.Is(err, syscall.ENOSPC) {
			if piece = piece[:len(piece)/2]; len(piece) < 512 {
				return
			}
			continue
		}
		must(t, err)
	}
}

func removeBallast(folder string) error { return os.Remove(filepath.Join(folder, "ballast")) }

// tornWAL writes behind what was synced what a loss of power may leave there: half a commit, or anything.
func tornWAL(t *testing.T, rng *rand.Rand) {
	data := t.TempDir()
	p, b := newProcess(t, data, ""), newBook()
	for range 3 {
		c := newCrowd(t, fleet{p}, b, rng)
		b.awaitTold(t, 50+rng.IntN(300))
		p.kill()
		c.leave()
		tear(t, filepath.Join(data, "stile.db-wal"), rng)
		p.start()
	}
	c := newCrowd(t, fleet{p}, b, rng)
	b.awaitTold(t, 50)
	c.leave()
	p.stop()
	b.checkFile(t, data)
}

// tear adds to a write-ahead log.
func tear(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	whole, err := os.ReadFile(path)
	must(t, err)
	const header, frame = 32, 24 + 4096
	var tail []byte
	if frames := (len(whole) - header) / frame; frames > 0 && rng.IntN(2) == 0 {
		at := header + frame*rng.IntN(frames)
		tail = bytes.Clone(whole[at : at+rng.IntN(frame)]) // a frame of this very log, that never ended
	} else {
		tail = noise(rng, 1+rng.IntN(3*frame))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write(tail)
	must(t, errors.Join(err, f.Close()))
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// damagedPage alters a page that was synced, in a file of each kind: Stile refuses to start in one line and changes
// nothing, or what looks at the whole log finds it.
func damagedPage(t *testing.T, rng *rand.Rand) {
	damage(t, rng, func(path string) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		info, err := f.Stat()
		must(t, err)
		_, err = f.WriteAt(noise(rng, 4096), 4096*rng.Int64N(info.Size()/4096))
		must(t, err)
	})
}

// shortFile takes the end of a file away.
func shortFile(t *testing.T, rng *rand.Rand) {
	damage(t, rng, func(path string) {
		info, err := os.Stat(path)
		must(t, err)
		must(t, os.Truncate(path, info.Size()-4096*(1+rng.Int64N(info.Size()/4096-1))))
	})
}

func damage(t *testing.T, rng *rand.Rand, spoil func(path string)) {
	data := t.TempDir()
	p, b := newProcess(t, data, ""), newBook()
	c := newCrowd(t, fleet{p}, b, rng)
	b.awaitTold(t, 300)
	c.leave()
	p.stop()
	whole := filepath.Join(t.TempDir(), "whole")
	must(t, os.CopyFS(whole, os.DirFS(data)))
	for range 6 {
		must(t, os.RemoveAll(data))
		must(t, os.CopyFS(data, os.DirFS(whole)))
		path := filepath.Join(data, "stile.db")
		spoil(path)
		before, err := os.ReadFile(path)
		must(t, err)
		words, refused := p.refuses()
		if !refused {
			p.stop()
			if err := b.finds(t, data); err == nil {
				t.Errorf("%s was damaged, and nobody finds it", path)
			}
			continue
		}
		if strings.Count(words, "\n") != 1 || !strings.HasPrefix(words, "stile: ") || !strings.Contains(words, path) {
			t.Errorf("it refuses by %q", words)
		}
		after, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(before, after) {
			t.Errorf("it refuses to start, and has changed %s", path)
		}
	}
}

// must is for the test's own goroutine.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
