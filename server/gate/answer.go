package gate

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
)

// Answer is the bytes of one answer in each encoding. It is the same for every visitor whose decision is the same.
type Answer struct {
	ETag     string // weak, since the encodings share it
	Identity []byte
	Gzip     []byte
	brotli   atomic.Pointer[Coded]
}

// Coded is an answer in one encoding, with its length in decimal, made once.
type Coded struct {
	Bytes  []byte
	Length []string
}

// Brotli is the answer in its smallest form so far.
func (a *Answer) Brotli() []byte { return a.Coded().Bytes }

// Coded is Brotli with its length.
func (a *Answer) Coded() *Coded { return a.brotli.Load() }

// Best is the answer in its smallest form of all, compressed now if need be: for those who report sizes.
func (a *Answer) Best() []byte {
	a.compress(bestBrotli)
	return a.Brotli()
}

// Brotli at 5 takes a tenth of the time that 11 takes: the first visitor gets 5, and the rest gets 11 when it is done.
const (
	quickBrotli = 5
	bestBrotli  = 11
)

func newAnswer(text string) *Answer {
	sum := sha256.Sum256([]byte(text))
	a := &Answer{
		ETag:     `W/"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`,
		Identity: []byte(text),
		Gzip:     gzipped(text),
	}
	a.compress(quickBrotli)
	return a
}

func (a *Answer) compress(level int) {
	var b bytes.Buffer
	w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: level, LGWin: 16})
	_, _ = w.Write(a.Identity) // a bytes.Buffer takes everything
	_ = w.Close()
	a.brotli.Store(&Coded{b.Bytes(), []string{strconv.Itoa(b.Len())}})
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a constant that it knows
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func (a *Answer) size() int { return len(a.Identity) + len(a.Gzip) + len(a.Brotli()) }

// store keeps the answers that were asked for lately, in two generations: when the young one is full it becomes the old
// one, and what is asked for again moves over. Its worker compresses what was made anew as far as it goes.
type store struct {
	mu         sync.RWMutex
	young, old map[string]*Answer
	size, most int // of young, in bytes
	turn       atomic.Uint64

	work chan *Answer
	done chan struct{}
	wait sync.WaitGroup
}

func newStore(memory int) *store {
	s := &store{
		young: map[string]*Answer{}, old: map[string]*Answer{}, most: memory / 2,
		work: make(chan *Answer, 256), done: make(chan struct{}),
	}
	s.wait.Go(func() {
		for {
			select {
			case a := <-s.work:
				a.compress(bestBrotli)
			case <-s.done:
				return
			}
		}
	})
	return s
}

func (s *store) close() {
	close(s.done)
	s.wait.Wait()
}

// get returns the answer of a key, and makes it if there is none. Two who ask for the same at once may both make it; the
// first one is kept.
func (s *store) get(key string, text func() (string, error)) (*Answer, error) {
	s.mu.RLock()
	a := s.young[key]
	s.mu.RUnlock()
	if a != nil {
		return a, nil
	}
	s.mu.Lock()
	a = s.old[key]
	if a != nil {
		s.keep(key, a)
	}
	s.mu.Unlock()
	if a != nil {
		return a, nil
	}
	made, err := text()
	if err != nil {
		return nil, err
	}
	a = newAnswer(made)
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.young[key]; first != nil {
		return first, nil
	}
	s.keep(strings.Clone(key), a)
	select {
	case s.work <- a:
	default: // the worker is behind: this one stays as it is until it is made again
	}
	return a, nil
}

func (s *store) keep(key string, a *Answer) {
	if _, kept := s.young[key]; kept {
		return
	}
	if s.size+a.size() > s.most {
		s.old, s.young, s.size = s.young, map[string]*Answer{}, 0
		s.turn.Add(1)
	}
	s.young[key] = a
	s.size += a.size()
}
