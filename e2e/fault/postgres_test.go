package fault

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/ledger/postgrestest"
)

// answeredWithin is the longest that a visitor may wait while the database is away: behind an attempt to bring the last of
// the spool and behind the batch in front, and with their own. Each has the patience of a batch and of a connection, 2 s both;
// as much again is for a machine that is busy.
const answeredWithin = 25 * time.Second

// shared is several processes that share a database, each behind a line of its own.
type shared struct {
	t     *testing.T
	rng   *rand.Rand
	fleet fleet
	lines []*postgrestest.Proxy
	url   string
	book  *book
}

func newShared(t *testing.T, rng *rand.Rand, url string, n int) *shared {
	t.Helper()
	s := &shared{t: t, rng: rng, url: url, book: newBook()}
	for range n {
		line := postgrestest.NewProxy(t, url)
		s.lines = append(s.lines, line)
		s.fleet = append(s.fleet, newProcess(t, t.TempDir(), line.URL()))
	}
	return s
}

// endure has visitors choose before, while and after something is wrong with the database of some processes, all where none
// is named. They go on being answered, and it is said that the database is away; it may be back already before that.
func (s *shared) endure(hurt, heal func(), of ...*process) {
	s.t.Helper()
	if len(of) == 0 {
		of = s.fleet
	}
	c := newCrowd(s.t, s.fleet, s.book, s.rng)
	s.book.awaitTold(s.t, 50+s.rng.IntN(200))
	var marks []int
	for _, p := range of {
		marks = append(marks, p.markWell())
	}
	s.book.resetSlowest()
	hurt()
	for i, p := range of {
		p.says(marks[i], away)
		status, ready := p.get("/readyz")
		_, metrics := p.get("/metrics")
		if strings.Contains(p.since(marks[i]), back) {
			continue // what only slows it may let one through
		}
		if status != http.StatusOK || !strings.Contains(ready, "away") {
			s.t.Errorf("while the database is away /readyz answers %d %q", status, ready)
		}
		if !strings.Contains(metrics, "stile_ledger_away 1\n") {
			s.t.Error("while the database is away the metrics do not say so")
		}
	}
	s.book.awaitTold(s.t, 200)
	heal()
	for i, p := range of {
		p.says(marks[i], back)
	}
	s.book.awaitTold(s.t, 50)
	c.leave()
	if slowest := s.book.resetSlowest(); slowest > answeredWithin {
		s.t.Errorf("a visitor waited for %v", slowest)
	}
}

// end brings everything to rest, and holds the book against the database.
func (s *shared) end() {
	s.t.Helper()
	for _, p := range s.fleet {
		p.markWell() // the last batch may have taken too long
		if _, body := p.get("/metrics"); !strings.Contains(body, "stile_ledger_away 0\n") {
			s.t.Error("the database is back, and the metrics do not say so")
		}
		p.stop()
		if n := spooled(s.t, p.data); n != 0 {
			s.t.Errorf("%d records are left in the spool", n)
		}
	}
	s.book.check(s.t, ledger.Options{URL: s.url}, "pgx", s.url, len(s.fleet))
}

func spooled(t *testing.T, data string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "spool.db"))
	must(t, err)
	defer db.Close()
	must(t, db.QueryRow(`SELECT count(*) FROM spool`).Scan(&n))
	return n
}

// postgres has all that can happen to a cluster, and to the lines to it.
func postgres(t *testing.T, rng *rand.Rand) {
	cluster := postgrestest.Start(t)
	s := newShared(t, rng, cluster.URL("postgres"), 3)
	stop := func(mode postgrestest.Mode) func() { return func() { cluster.Stop(mode) } }
	some := rng.IntN(len(s.fleet))
	faults := []struct {
		name       string
		hurt, heal func()
		of         []*process
	}{
		{"a fast restart", stop(postgrestest.Fast), cluster.Start, nil},
		{"an immediate restart", stop(postgrestest.Immediate), cluster.Start, nil},
		{"kill -9", cluster.Kill, cluster.Start, nil},
		{"a pause", cluster.Pause, cluster.Resume, nil},
		{"a line that is cut", s.lines[some].Cut, s.lines[some].Heal, s.fleet[some : some+1]},
		{"a line that hangs", s.lines[some].Hang, s.lines[some].Heal, s.fleet[some : some+1]},
		{"a line that is too slow", func() { s.lines[some].Slow(time.Second) }, s.lines[some].Heal, s.fleet[some : some+1]},
		{"the end of a process with a spool", s.lines[some].Cut, func() {
			s.fleet[some].kill()
			s.lines[some].Heal()
			s.fleet[some].start()
		}, s.fleet[some : some+1]},
	}
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	if *soak == 0 {
		faults = faults[:3] // of these, each run has others
	}
	for _, f := range faults {
		began := time.Now()
		s.endure(f.hurt, f.heal, f.of...)
		t.Logf("%s took %v", f.name, time.Since(began).Round(time.Millisecond))
	}
	s.end()
}

// partition takes the network away between processes and the database. Neither side is told.
func partition(t *testing.T, rng *rand.Rand) {
	cluster := postgrestest.StartRemote(t)
	s := newShared(t, rng, cluster.URL("postgres"), 2)
	s.endure(cluster.Partition, cluster.Heal)
	s.end()
}

// postgresFull leaves the cluster no room for its files.
func postgresFull(t *testing.T, rng *rand.Rand) {
	disk := smallDisk(t, 160<<20)
	t.Setenv("TMPDIR", disk)
	cluster := postgrestest.Start(t, "max_wal_size = 32MB", "min_wal_size = 32MB")
	t.Setenv("TMPDIR", filepath.Dir(disk))
	s := newShared(t, rng, cluster.URL("postgres"), 2)
	s.endure(func() { ballast(t, disk) }, func() {
		must(t, removeBallast(disk))
		if ctx, cancel := context.WithTimeout(t.Context(), patience); cluster.Ready(ctx) != nil { // it may have given up
			cancel()
			cluster.Ended()
			cluster.Start()
		} else {
			cancel()
		}
	})
	s.end()
}
