package page

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// benchPages are the pages of STILE_PAGES, or where there are none the fixtures, over and over.
func benchPages(b *testing.B) (pages [][]byte, size int64) {
	b.Helper()
	folder := os.Getenv("STILE_PAGES")
	files, err := filepath.Glob(filepath.Join(folder, "*.html"))
	if err != nil {
		b.Fatal(err)
	}
	if folder == "" || len(files) == 0 {
		page := []byte(strings.Repeat(strings.Join(pieces[11:50], "<p class='text of the page'>And what it says.</p>\n"), 40))
		return [][]byte{page}, int64(len(page))
	}
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		pages, size = append(pages, page), size+int64(len(page))
	}
	return pages, size
}

// BenchmarkGate is all the pages, in parts of 32 KB; beside it what x/net/html's tokenizer needs to see them.
func BenchmarkGate(b *testing.B) {
	pages, size := benchPages(b)
	b.Run("gate", func(b *testing.B) {
		g := testGate(b, GateOptions{Script: "/stile/shop.js"})
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			for _, page := range pages {
				w := g.Writer(io.Discard, shop, "")
				for part := range bytesParts(page) {
					if _, err := w.Write(part); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("tokenizer", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			for _, page := range pages {
				z := html.NewTokenizer(bytes.NewReader(page))
				for z.Next() != html.ErrorToken {
				}
				if !errors.Is(z.Err(), io.EOF) {
					b.Fatal(z.Err())
				}
			}
		}
	})
}

func bytesParts(page []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for at := 0; at < len(page); at += 32 << 10 {
			if !yield(page[at:min(at+32<<10, len(page))]) {
				return
			}
		}
	}
}
