package postgrestest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main(m)) }

// briefly is longer than any answer takes that comes.
const briefly = 500 * time.Millisecond

// dial connects, and closes at the test's end. Of a connection that is broken by then the close has nothing to say; pgx
// still tries to tell the cluster of a query that was given up, which is waited for.
func dial(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), briefly)
		defer cancel()
		_ = conn.Close(ctx)
		<-conn.PgConn().CleanupDone()
	})
	return conn
}

func mustExec(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](tb testing.TB, conn *pgx.Conn, sql string) (v T) {
	tb.Helper()
	if err := conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return v
}

// mustHang asks for a query's answer, and for a connection: neither comes in time.
func mustHang(tb testing.TB, conn *pgx.Conn, url string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), briefly)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		tb.Errorf("a query gave %v, want none in time", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), briefly)
	defer cancel()
	if late, err := pgx.Connect(ctx, url); err == nil {
		tb.Errorf("a connection was made")
		_ = late.Close(context.Background())
	} else if !pgconn.Timeout(err) { // the context's end, or that of the dial that has its deadline
		tb.Errorf("connecting gave %v, want none in time", err)
	}
}

// asked is a query under way: its answer, or what became of it.
func asked(conn *pgx.Conn) <-chan error {
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var one int
		err := conn.QueryRow(ctx, "SELECT 1").Scan(&one)
		if err == nil && one != 1 {
			err = errors.New("one is another number")
		}
		answer <- err
	}()
	return answer
}

func mustHaveCode(tb testing.TB, err error, code string) {
	tb.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != code {
		tb.Errorf("the error is %v, want SQLSTATE %s", err, code)
	}
}
