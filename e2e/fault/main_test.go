package fault

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/ledger/postgrestest"
)

var (
	seed = flag.Uint64("seed", 0, "of what is drawn; 0: another one each time")
	soak = flag.Duration("soak", 0, "go round all faults for so long")
)

// stileBinary is the program under test, built once. TestMain alone writes it.
var stileBinary string

func TestMain(m *testing.M) {
	if code, done := inOwnMounts(); done {
		os.Exit(code)
	}
	folder, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(postgrestest.Main(m), goleak.Cleanup(func(code int) {
		client.CloseIdleConnections()
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(1, code)
		}
		os.Exit(code)
	}))
}

func build() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "stile-fault-"); err != nil {
		return "", err
	}
	stileBinary = filepath.Join(folder, "stile")
	if out, err := exec.Command("go", "build", "-o", stileBinary, "../../cmd/stile").CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("building stile: %w\n%s", err, out), os.RemoveAll(folder))
	}
	return folder, nil
}

// scenario is one fault, or several of a kind, under load.
type scenario struct {
	name string
	run  func(t *testing.T, rng *rand.Rand)
}

var scenarios = []scenario{
	{"Kill", kill},
	{"DiskFull", diskFull},
	{"TornWAL", tornWAL},
	{"DamagedPage", damagedPage},
	{"ShortFile", shortFile},
	{"PostgreSQL", postgres},
	{"Partition", partition},
	{"PostgreSQLDiskFull", postgresFull},
}

func (s scenario) test(t *testing.T, seed uint64) {
	t.Run(s.name, func(t *testing.T) {
		t.Logf("-seed %d", seed)
		s.run(t, rand.New(rand.NewPCG(seed, 0)))
	})
}

func firstSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64N(1 << 32)
}

// TestFaults has each fault once.
func TestFaults(t *testing.T) {
	for _, s := range scenarios {
		s.test(t, firstSeed())
	}
}

// TestSoak goes on with other seeds until the time is up, or something is lost.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("make soak runs it")
	}
	end := time.Now().Add(*soak)
	for round, seed := 1, firstSeed(); time.Now().Before(end); round, seed = round+1, seed+1 {
		for _, s := range scenarios {
			if time.Now().Before(end) && !t.Failed() {
				s.test(t, seed)
			}
		}
		if t.Failed() {
			t.Fatalf("round %d, -seed %d", round, seed)
		}
		t.Logf("round %d is through", round)
	}
}
