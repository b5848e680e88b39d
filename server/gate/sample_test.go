package gate

import (
	"strings"
	"testing"

	"github.com/stilehq/stile/server/consent"
)

// Where sightings are off an answer is what it is without them, and where they are on it is that and an end.
func TestSampled(t *testing.T) {
	for _, single := range []bool{false, true} {
		answer := func(share float64) string {
			t.Helper()
			s := site()
			s.Sightings, s.SinglePage = share, single
			g, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			refused := s.Refuse()
			refused.Time = now
			d := consent.Decide(s, consent.Visit{Choice: &refused, Now: now})
			text, err := g.compose(&d, "en", "")
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		off, on := answer(0), answer(0.05)
		if strings.Contains(off, "watch.js") || strings.Contains(off, "performance") {
			t.Errorf("single page %v: the answer samples page views where sightings are off", single)
		}
		tail, found := strings.CutPrefix(on, strings.TrimSuffix(off, "\n"))
		if !found || !strings.HasPrefix(tail, ";stile._(0,0,k=>(") || !strings.HasSuffix(tail, ")(k,0.05))\n") {
			t.Errorf("single page %v: what sightings add is %q", single, tail)
		}
	}
}

func TestWatchBudget(t *testing.T) {
	s := site()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	bare := allGranted(t, s)
	s.Sightings = 0.05
	added := allGranted(t, s) - bare
	a, err := g.Watch()
	if err != nil {
		t.Fatal(err)
	}
	watch := len(a.Best())
	t.Logf("sightings add %d bytes to an answer; watch.js is %d", added, watch)
	if added > 100 || watch > 1100 {
		t.Errorf("sightings add %d bytes to an answer, the budget is 100; watch.js is %d, the budget is 1100", added, watch)
	}
}
