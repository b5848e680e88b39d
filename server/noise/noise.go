// Package noise hides one event in a count, by differential privacy: a count with noise added is about as likely with any
// one event as without it, up to a factor of e to the power of epsilon (Dwork, McSherry, Nissim and Smith 2006).
//
// The noise is the Laplace mechanism's on whole numbers, the two-sided geometric distribution: a value of k is as likely as
// exp(-|k| * epsilon / sensitivity), up to a constant. It is sampled by whole numbers alone and exactly (Canonne, Kamath
// and Steinke 2020, algorithm 2), since what sampling by floating point leaves out tells what the count was (Mironov 2012).
//
// Noise is drawn from a secret and the name of what is counted: who looks again sees the same, so that looking often does
// not average it away. Anything made of noisy counts alone hides as much as they do (Nonnegative).
package noise

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"math"
	"math/bits"
	"math/rand/v2"
	"strconv"
)

// Scale is how much noise there is: that of Sensitivity / Epsilon.
type Scale struct {
	Sensitivity int // by how much one event can change all counts of a release together (their L1 distance), from 1
	Millis      int // epsilon in thousandths, from 1
}

// Epsilon is what a release of this scale costs.
func (s Scale) Epsilon() float64 { return float64(s.Millis) / 1000 }

// Width is the scale of the Laplace distribution that the noise is the whole numbers of.
func (s Scale) Width() float64 { return float64(s.Sensitivity) * 1000 / float64(s.Millis) }

// Margin is what the sum of n noisy counts is off by at most, 95 times of 100. One is off by more than three widths once in
// e^3, or 20, times; a sum of many varies by sqrt(2n) widths, of which 1.96 are 95 in 100 again, and that is less.
func (s Scale) Margin(n int) int64 {
	return int64(math.Ceil(3 * s.Width() * math.Sqrt(float64(n))))
}

// Seed is what noise is drawn from: 32 secret, random bytes.
type Seed [32]byte

// Source adds noise. It is not for several goroutines at once.
type Source struct {
	mac  hash.Hash
	name []byte
	bits sampler
}

// NewSource draws from a seed.
func NewSource(s Seed) *Source {
	return &Source{mac: hmac.New(sha256.New, s[:]), bits: sampler{rand.NewChaCha8(s)}}
}

// Add is a count with noise, which may be below zero. The names of a cell tell it from every other, and have no "|": two
// counts that shared them would share their noise, and their difference would be exact.
func (s *Source) Add(count int64, scale Scale, cell ...string) int64 {
	// The scale is part of the name: the same draw at two scales would give both away.
	s.name = append(s.name[:0], "stile noise 1|"...)
	s.name = strconv.AppendInt(s.name, int64(scale.Sensitivity), 10)
	s.name = strconv.AppendInt(append(s.name, '|'), int64(scale.Millis), 10)
	for _, part := range cell {
		s.name = append(append(s.name, '|'), part...)
	}
	s.mac.Reset()
	_, _ = s.mac.Write(s.name) // it never fails
	var key [32]byte
	s.mac.Sum(key[:0])
	s.bits.Seed(key)
	return count + s.bits.geometric(uint64(scale.Sensitivity)*1000, uint64(scale.Millis)) //nolint:gosec // both are 1 or more
}

// sampler samples from random bits, by methods of its own and not those of math/rand: what was shown must not change with
// them.
type sampler struct{ *rand.ChaCha8 }

// geometric samples k with a probability in proportion to exp(-|k| * s / t).
func (b sampler) geometric(t, s uint64) int64 {
	for {
		u := b.below(t)
		if !b.decay(u, t) {
			continue
		}
		x := u
		for b.decay(1, 1) {
			x += t
		}
		k := int64(x / s) //nolint:gosec // it would take 10^12 heads in a row
		if b.below(2) == 0 {
			return k
		}
		if k != 0 { // zero has one sign
			return -k
		}
	}
}

// decay is true with probability exp(-u/t), for u up to t (von Neumann).
func (b sampler) decay(u, t uint64) bool {
	for k := uint64(1); ; k++ {
		if b.below(t*k) >= u {
			return k%2 == 1
		}
	}
}

// below is uniform over the numbers below n, from 1.
func (b sampler) below(n uint64) uint64 {
	mask := uint64(1)<<bits.Len64(n-1) - 1
	for {
		if v := b.Uint64() & mask; v < n {
			return v
		}
	}
}

// Nonnegative is the counts nearest to noisy ones that are not below zero and have the same sum, or 0 where that is below
// zero. To cut each of them off at zero would make their sum too large.
func Nonnegative(noisy []int64) []int64 {
	all := make([]int64, len(noisy))
	var sum int64
	for i, v := range noisy {
		all[i] = v
		sum += v
	}
	if sum <= 0 {
		clear(all)
		return all
	}
	// What those below zero owe is taken from the others in equal parts, again and again: one that has less owes the rest.
	for {
		var owed, left int64
		for i, v := range all {
			if v < 0 {
				owed, all[i] = owed-v, 0
			} else if v > 0 {
				left++
			}
		}
		if owed == 0 {
			return all
		}
		part, rest := owed/left, owed%left
		for i, v := range all {
			if v <= 0 {
				continue
			}
			all[i] -= part
			if rest > 0 {
				all[i]--
				rest--
			}
		}
	}
}
