package noise

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

var scales = []Scale{{1, 1000}, {7, 1000}, {1, 2000}, {20, 100}, {3, 333}}

const draws = 40_000

// sample is the noise of many cells, sorted, and the same in each run.
func sample(s Scale) []int64 {
	seed := NewSource(Seed{1, 2, 3})
	all := make([]int64, draws)
	for i := range all {
		all[i] = seed.Add(0, s, fmt.Sprint("cell ", i))
	}
	slices.Sort(all)
	return all
}

// below is the probability of k or less, in the distribution that is promised.
func below(s Scale, k int64) float64 {
	a := math.Exp(-1 / s.Width())
	if k < 0 {
		return math.Pow(a, float64(-k)) / (1 + a)
	}
	return 1 - math.Pow(a, float64(k)+1)/(1+a)
}

func TestNoiseIsDistributedAsPromised(t *testing.T) {
	for _, s := range scales {
		all := sample(s)
		a := math.Exp(-1 / s.Width())
		variance := 2 * a / ((1 - a) * (1 - a))
		var sum, squares float64
		for _, k := range all {
			sum += float64(k)
			squares += float64(k) * float64(k)
		}
		// Four standard errors; the fourth moment of Laplace's distribution is 6 times the variance squared.
		if mean, most := sum/draws, 4*math.Sqrt(variance/draws); math.Abs(mean) > most {
			t.Errorf("%v: the mean is %.3f, more than %.3f from 0", s, mean, most)
		}
		if got, most := squares/draws, 4*variance*math.Sqrt(6./draws); math.Abs(got-variance) > most {
			t.Errorf("%v: the variance is %.2f, not %.2f", s, got, variance)
		}
		// Kolmogorov and Smirnov, at 1 in 1000: on whole numbers the test is stricter than it says.
		worst := 0.0
		for i, k := range all {
			if i+1 == draws || all[i+1] != k {
				worst = max(worst, math.Abs(float64(i+1)/draws-below(s, k)))
			}
		}
		if most := 1.95 / math.Sqrt(draws); worst > most {
			t.Errorf("%v: the distribution is %.4f off, more than %.4f", s, worst, most)
		}
	}
}

// What one event changes is hidden: no value is more than e^epsilon times as likely with it as without.
func TestOneEventIsHidden(t *testing.T) {
	s := Scale{1, 1000}
	times := map[int64]float64{}
	for _, k := range sample(s) {
		times[k]++
	}
	for k := int64(-3); k <= 3; k++ {
		with, without := times[k], times[k-1] // a count of 1 is shown as k by a noise of k-1
		bound := math.E * (1 + 4/math.Sqrt(min(with, without)))
		if ratio := max(with/without, without/with); ratio > bound {
			t.Errorf("%d is %.2f times as likely with one event as without, more than e and its error", k, ratio)
		}
	}
}

func TestMarginHolds(t *testing.T) {
	for _, s := range scales {
		for _, n := range []int{1, 2, 8, 56} {
			seed, over, rounds := NewSource(Seed{9}), 0, 4000
			for r := range rounds {
				var sum int64
				for i := range n {
					sum += seed.Add(0, s, fmt.Sprint(r, "|", i))
				}
				if sum < -s.Margin(n) || sum > s.Margin(n) {
					over++
				}
			}
			if most := 0.05 + 4*math.Sqrt(0.05*0.95/float64(rounds)); float64(over)/float64(rounds) > most {
				t.Errorf("%v: %d of %d sums of %d are off by more than %d", s, over, rounds, n, s.Margin(n))
			}
		}
	}
}

func TestLookingAgainShowsTheSame(t *testing.T) {
	s := Scale{7, 1000}
	one, other := NewSource(Seed{1}), NewSource(Seed{2})
	if a, b := one.Add(100, s, "a"), one.Add(100, s, "a"); a != b {
		t.Errorf("the same cell is %d, then %d", a, b)
	}
	same := 0
	for i := range 1000 {
		a := one.Add(0, s, fmt.Sprint(i))
		for _, b := range []int64{one.Add(0, s, fmt.Sprint(i, "'")), other.Add(0, s, fmt.Sprint(i)), one.Add(0, Scale{8, 1000}, fmt.Sprint(i))} {
			if a == b {
				same++
			}
		}
	}
	if same > 450 { // about one in 14 by chance at this width
		t.Errorf("of 3000 pairs of other cells, seeds and scales %d have the same noise", same)
	}
}

// An update must not draw anew: the noise that a site has shown would be averaged with another.
func TestNoiseStays(t *testing.T) {
	want := []int64{2, 7, 0, 13, -3, 9, -2, 15}
	var got []int64
	for i := range want {
		got = append(got, NewSource(Seed{42}).Add(0, Scale{7, 1000}, fmt.Sprint("cell ", i)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the noise was %v, and is %v", want, got)
	}
}

func TestNonnegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noisy := rapid.SliceOfN(rapid.Int64Range(-1000, 1000), 0, 60).Draw(t, "noisy")
		before := slices.Clone(noisy)
		got := Nonnegative(noisy)
		var sum, want int64
		for i := range noisy {
			want += noisy[i]
			sum += got[i]
			if got[i] < 0 || got[i] > max(noisy[i], 0) {
				t.Fatalf("%d became %d", noisy[i], got[i])
			}
			for j := range noisy { // order stays, up to what is rounded
				if noisy[i] > noisy[j]+1 && got[i]+1 < got[j] {
					t.Fatalf("%v became %v: the order is another", noisy, got)
				}
			}
		}
		if sum != max(want, 0) || !slices.Equal(noisy, before) {
			t.Fatalf("%v became %v: the sum is not %d, or what was given was changed", before, got, max(want, 0))
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	seed := NewSource(Seed{})
	for i := range b.N {
		seed.Add(0, Scale{7, 1000}, "shop", "2026-11-02", "country", strconv.Itoa(i%1000), "in")
	}
}
