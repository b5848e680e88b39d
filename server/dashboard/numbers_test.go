package dashboard

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersAreWritten(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(1234567), "1,234,567"},
		{count(-1234), "−1,234"},
		{counted(1, "view", "views"), "1 view"},
		{counted(0, "view", "views"), "0 views"},
		{rate{}.String(), "too few"},
		{rate{9, 9}.String(), "too few"},
		{rate{0, 10}.String(), "0.0%"},
		{rate{10, 10}.String(), "100.0%"},
		{rate{1, 3000}.String(), "0.0%"},
		{rate{621, 1000}.String(), "62.1%"},
		{rate{1, 3}.length(), "0.00%"},
		{rate{5, 40}.length(), "12.50%"},
		{points(rate{60, 100}, rate{50, 100}), "+10.0 points"},
		{points(rate{50, 100}, rate{60, 100}), "−10.0 points"},
		{points(rate{50, 100}, rate{500, 1000}), "no change"},
		{points(rate{6924, 10000}, rate{6746, 10000}), "+1.7 points"}, // of 69.2% and 67.5%
		{points(rate{6924, 10000}, rate{6916, 10000}), "no change"},
		{points(rate{5, 9}, rate{50, 100}), ""},
		{points(rate{50, 100}, rate{}), ""},
		{growth(110, 100, 1), "+10.0%"},
		{growth(100, 110, 1), "−9.1%"},
		{growth(200, 100, 2), "no change"},
		{growth(100, 100, 1), "no change"},
		{growth(0, 0, 1), ""},
		{growth(7, 0, 1), "new"},
		{growth(70, 3, 1), "from 3"},
		{growth(0, 100, 1), "−100.0%"},
		{growth(200000, 100, 1), "+199,900.0%"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestRatesStayWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate{rapid.Int64Range(-5, 1e15).Draw(t, "part"), rapid.Int64Range(-5, 1e15).Draw(t, "whole")}
		if p := r.percent(); !(p >= 0 && p <= 100) {
			t.Errorf("%v is %v percent", r, p)
		}
	})
}
