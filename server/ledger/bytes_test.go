package ledger

import (
	"os"
	"sync"
	"testing"
)

// mostBytes is what a record may take on disk, with its indexes and its part of the tree (issue 5).
const mostBytes = 600

func TestBytes(t *testing.T) {
	const n = 8192
	l := fresh(t)
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			for range n / 32 {
				if _, err := l.Append(t.Context(), record("shop")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if _, err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Purge(t.Context()); err != nil { // the log that is written ahead goes into the file
		t.Fatal(err)
	}
	info, err := os.Stat(file(l).Path)
	if err != nil {
		t.Fatal(err)
	}
	each := info.Size() / n
	t.Logf("%d bytes a record", each)
	if each > mostBytes {
		t.Errorf("a record takes %d bytes on disk, at most %d are wanted", each, mostBytes)
	}
}
