package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestProxyCut(t *testing.T) {
	p := NewProxy(t, Database(t))
	conn, waiting := dial(t, p.URL()), dial(t, p.URL())
	mustExec(t, conn, "CREATE TABLE records (id int)")
	p.Hang() // so that what is asked is under way when the cut comes
	answer := asked(waiting)
	p.Cut()
	if err := <-answer; err == nil {
		t.Error("a query under way was answered through the cut")
	}
	if _, err := conn.Exec(context.Background(), "SELECT 1"); err == nil {
		t.Error("a query was answered through the cut")
	}
	if _, err := pgx.Connect(context.Background(), p.URL()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting: %v, want that it is refused", err)
	}
	p.Heal()
	if n := value[int](t, dial(t, p.URL()), "SELECT count(*) FROM records"); n != 0 {
		t.Error(n)
	}
}

func TestProxyHang(t *testing.T) {
	p := NewProxy(t, Database(t))
	conn, waiting := dial(t, p.URL()), dial(t, p.URL())
	p.Hang()
	answer := asked(waiting)
	mustHang(t, conn, p.URL())
	select {
	case err := <-answer:
		t.Errorf("an answer came: %v", err)
	default:
	}
	p.Heal()
	if err := <-answer; err != nil {
		t.Errorf("what was asked meanwhile: %v", err)
	}
	mustExec(t, dial(t, p.URL()), "SELECT 1")
}

// TestProxyHangKill: who is behind a partition does not learn of the other side's end before the partition's.
func TestProxyHangKill(t *testing.T) {
	c := Start(t)
	p := NewProxy(t, c.URL("postgres"))
	conn := dial(t, p.URL())
	p.Hang()
	answer := asked(conn)
	c.Kill()
	mustStay(t, answer)
	p.Heal()
	if err := <-answer; err == nil {
		t.Error("a killed cluster answered")
	}
	c.Start()
	mustExec(t, dial(t, p.URL()), "SELECT 1")
}

func mustStay(tb testing.TB, answer <-chan error) {
	tb.Helper()
	select {
	case err := <-answer:
		tb.Errorf("an answer came: %v", err)
	case <-time.After(briefly):
	}
}

func TestProxySlow(t *testing.T) {
	const delay = 100 * time.Millisecond
	p := NewProxy(t, Database(t))
	conn := dial(t, p.URL())
	p.Slow(delay)
	began := time.Now()
	mustExec(t, conn, "SELECT 1")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %s, want %s at least", took, 2*delay)
	}
	p.Slow(time.Hour)
	answer := asked(conn)
	mustStay(t, answer)
	p.Heal() // does not wait for the hour
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// TestProxyLarge passes on what is larger than a piece, unchanged.
func TestProxyLarge(t *testing.T) {
	conn := dial(t, NewProxy(t, Database(t)).URL())
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintln(&text, i)
	}
	sent, got := text.String(), ""
	if err := conn.QueryRow(context.Background(), "SELECT $1::text || $1", sent).Scan(&got); err != nil || got != sent+sent {
		t.Errorf("of %d bytes came %d: %v", 2*len(sent), len(got), err)
	}
}

// TestProxyEnd leaves connections open, and a partition: goleak looks for what is left of them.
func TestProxyEnd(t *testing.T) {
	url := Database(t)
	for _, leave := range []func(*Proxy){func(*Proxy) {}, (*Proxy).Hang, (*Proxy).Cut, func(p *Proxy) { p.Slow(time.Hour) }} {
		t.Run("", func(t *testing.T) {
			p := NewProxy(t, url)
			conn := dial(t, p.URL())
			leave(p)
			answer := asked(conn)
			t.Cleanup(func() {
				p.Cut()
				<-answer
			})
		})
	}
}
