package ledger

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/consent"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		appendUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 11, 1, 12, 0, 0, 123e6, time.UTC)

// record has every field that a caller fills in.
func record(site string) Record {
	return Record{
		ID: uuid.Must(uuid.NewV7()), Key: uuid.New(), Site: site, Time: noon, Action: consent.Custom,
		Granted: []string{"analytics"}, Denied: []string{"functional", "marketing"}, Services: []string{"chat"}, Refused: []string{"ads"}, Age: "older",
		Regime: "gdpr", Country: "DE", Language: "de", Policy: "2026-11-01", List: "Ab3-_x", Notice: "c0ffee",
		Surface: "banner", GPC: true, Expiry: noon.AddDate(0, 6, 0),
	}
}

func open(tb testing.TB, path string) *SQLite {
	tb.Helper()
	return openWith(tb, path, limits{queue: 4096, batch: 4096})
}

func openWith(tb testing.TB, path string, l limits) *SQLite {
	tb.Helper()
	s, err := openSQLite(context.Background(), path, l)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func fresh(tb testing.TB) *SQLite {
	tb.Helper()
	return open(tb, filepath.Join(tb.TempDir(), "stile.db"))
}

// mustAppend is for the test's own goroutine.
func mustAppend(tb testing.TB, l Ledger, r Record) Record {
	tb.Helper()
	got, err := l.Append(context.Background(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// block holds the database's write lock, as another process might, until the returned function is called.
func block(tb testing.TB, s *SQLite) (release func()) {
	tb.Helper()
	db, err := dial(s.path)
	if err != nil {
		tb.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	}
}
