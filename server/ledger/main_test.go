package ledger

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger/postgrestest"
	"github.com/stilehq/stile/server/sqlite"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		appendUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(postgrestest.Main(m))
}

var byVisitor = By{Actor: Visitor, Time: noon}

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

func open(tb testing.TB, path string) *Ledger {
	tb.Helper()
	return openWith(tb, Options{Path: path})
}

func openWith(tb testing.TB, o Options) *Ledger {
	tb.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	l, err := Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// file is the file of a ledger that is in one.
func file(l *Ledger) *sqlite.File { return l.engine.(*lite).file }

func fresh(tb testing.TB) *Ledger {
	tb.Helper()
	return open(tb, filepath.Join(tb.TempDir(), "stile.db"))
}

// mustAppend is for the test's own goroutine.
func mustAppend(tb testing.TB, l *Ledger, r Record) Record {
	tb.Helper()
	got, err := l.Append(context.Background(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// block holds the database's write lock, as another process might, until the returned function is called.
func block(tb testing.TB, s *Ledger) (release func()) {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+file(s).Path+"?_txlock=immediate")
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
