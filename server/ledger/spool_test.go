package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger/postgrestest"
)

// servers are processes that share a database, each behind a line of its own.
type servers struct {
	t       *testing.T
	ledgers []*Ledger
	lines   []*postgrestest.Proxy
	options []Options
}

func newServers(t *testing.T, n int) *servers {
	t.Helper()
	s := &servers{t: t}
	url := postgrestest.Database(t)
	for range n {
		line := postgrestest.NewProxy(t, url)
		o := Options{URL: line.URL(), Spool: filepath.Join(t.TempDir(), "spool.db"), Retry: 20 * time.Millisecond}
		s.lines, s.options = append(s.lines, line), append(s.options, o)
		s.ledgers = append(s.ledgers, openWith(t, o))
	}
	return s
}

func (s *servers) cut(lines ...int) {
	s.t.Helper()
	for _, i := range lines {
		s.lines[i].Cut()
	}
}

// heal waits until what was spooled is in the database.
func (s *servers) heal(line int) {
	s.t.Helper()
	s.lines[line].Heal()
	until(func() bool { return !s.ledgers[line].Away() })
}

func next(after Record, granted ...string) Record {
	r := record(after.Site)
	r.Previous, r.Granted = after.ID, granted
	return r
}

// A database that is away costs nobody a choice: it is spooled, answered, found, and brought exactly once.
func TestSpool(t *testing.T) {
	ctx := context.Background()
	s := newServers(t, 1)
	l := s.ledgers[0]
	before := mustAppend(t, l, record("shop"))
	s.cut(0)
	first := mustAppend(t, l, record("shop"))
	second := mustAppend(t, l, next(first, "marketing"))
	of := mustAppend(t, l, next(before, "marketing")) // of somebody whom the database knows
	if !l.Away() || first.Leaf != -1 || second.Subject != first.Subject {
		t.Errorf("away %t, number %d, visitors %s and %s", l.Away(), first.Leaf, first.Subject, second.Subject)
	}
	repeated := record("shop")
	repeated.Key = first.Key
	if again := mustAppend(t, l, repeated); again.ID != first.ID {
		t.Errorf("a repeated act is %s, was %s", again.ID, first.ID)
	}
	if found, err := l.Find(ctx, "shop", second.ID); err != nil || !cmp.Equal(second, found) {
		t.Errorf("%v, found (-want +got):\n%s", err, cmp.Diff(second, found))
	}
	if found, err := l.FindKey(ctx, "shop", first.Key); err != nil || found.ID != first.ID {
		t.Errorf("by its key: %s, %v", found.ID, err)
	}
	if _, err := l.Find(ctx, "shop", before.ID); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a record of a database that is away: %v", err)
	}
	if err := l.Ping(ctx); err != nil {
		t.Errorf("choices can be stored, and yet: %v", err)
	}
	s.heal(0)
	history, err := l.History(ctx, "shop", second.Subject)
	if err != nil || len(history) != 2 || history[0].ID != second.ID || history[1].ID != first.ID || history[0].Previous != first.ID {
		t.Errorf("%v, history is %+v", err, history)
	}
	if found, err := l.Find(ctx, "shop", of.ID); err != nil || found.Subject != before.Subject || found.Previous != before.ID {
		t.Errorf("%v, the record after %s of %s is %+v", err, before.ID, before.Subject, found)
	}
	if n, err := l.Count(ctx, "shop"); n != 4 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	if st := l.Stats(); st.Spooled != 3 || st.Brought != 3 || st.Failed != 0 {
		t.Errorf("stats: %+v", st)
	}
	if after := mustAppend(t, l, record("shop")); after.Leaf != 4 {
		t.Errorf("the number after them is %d", after.Leaf)
	}
}

// What is in the spool when a process ends is brought by the next one, though it was brought already.
func TestSpoolTwice(t *testing.T) {
	ctx := context.Background()
	s := newServers(t, 1)
	s.cut(0)
	kept := mustAppend(t, s.ledgers[0], record("shop"))
	batch, _, err := s.ledgers[0].spool.next(ctx, 10)
	if err != nil || len(batch) != 1 {
		t.Fatal(len(batch), err)
	}
	if err := s.ledgers[0].Close(); err != nil {
		t.Fatal(err)
	}
	s.lines[0].Heal()
	other := openWith(t, Options{URL: s.options[0].URL})
	if err := other.commit(batch); err != nil || batch[0].err != nil {
		t.Fatal(err, batch[0].err)
	}
	l := openWith(t, s.options[0])
	until(func() bool { return !l.Away() })
	if n, err := l.Count(ctx, "shop"); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	if n, err := l.spool.count(ctx); n != 0 || err != nil {
		t.Errorf("%d are left in the spool, %v", n, err)
	}
	if found, err := l.Find(ctx, "shop", kept.ID); err != nil || found.Salt != kept.Salt {
		t.Errorf("%v, %+v", err, found)
	}
}

// The same act was acknowledged by two processes, one of which was cut off: both receipts are good.
func TestSpoolSameAct(t *testing.T) {
	ctx := context.Background()
	s := newServers(t, 2)
	s.cut(0)
	a := record("shop")
	first := mustAppend(t, s.ledgers[0], a)
	b := record("shop")
	b.Key = a.Key
	second := mustAppend(t, s.ledgers[1], b)
	s.heal(0)
	for _, r := range []Record{first, second} {
		if found, err := s.ledgers[1].Find(ctx, "shop", r.ID); err != nil || found.ID != r.ID {
			t.Errorf("receipt %s: %v", r.ID, err)
		}
	}
	if n, err := s.ledgers[1].Count(ctx, "shop"); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

// A visitor goes to another process while the first is cut off, and is one visitor in the end, in whatever order their
// records arrive.
func TestSpoolsOfOneVisitor(t *testing.T) {
	for name, heal := range map[string][]int{"in order": {0, 1, 2}, "backwards": {2, 1, 0}, "mixed": {1, 2, 0}} {
		for _, known := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				ctx := context.Background()
				s := newServers(t, 4)
				var first Record
				if known {
					first = mustAppend(t, s.ledgers[0], record("shop"))
				}
				s.cut(0, 1, 2)
				x := record("shop")
				x.Previous = first.ID
				x = mustAppend(t, s.ledgers[0], x)
				y := mustAppend(t, s.ledgers[1], next(x))
				z := mustAppend(t, s.ledgers[2], next(y))
				w := next(z, "analytics")
				w.Time = noon.Add(time.Minute)
				w = mustAppend(t, s.ledgers[3], w) // this one is not cut off
				mustMail(t, s.ledgers[3], mailEvent(w, "open", noon))
				for _, line := range heal {
					s.heal(line)
				}
				found, err := s.ledgers[3].Find(ctx, "shop", w.ID)
				if err != nil {
					t.Fatal(err)
				}
				history, err := s.ledgers[3].History(ctx, "shop", found.Subject)
				ids := map[uuid.UUID]bool{}
				for _, r := range history {
					ids[r.ID] = true
				}
				if err != nil || !ids[x.ID] || !ids[y.ID] || !ids[z.ID] || !ids[w.ID] || known && !ids[first.ID] || history[0].ID != w.ID {
					t.Fatalf("%v, %d records of %s: %v", err, len(history), found.Subject, ids)
				}
				wantMails(t, s.ledgers[3], "shop", noon, MailCount{Message: "2026-11", Opens: 1, Openers: 1})
				if n, err := s.ledgers[3].Erase(ctx, "shop", found.Subject, By{Actor: Visitor, Time: noon}); n != len(history) || err != nil {
					t.Errorf("erased %d of %d, %v", n, len(history), err)
				}
			})
		}
	}
}

// C10: a visitor who had everything erased is erased, where a record of theirs was on its way as well.
func TestEraseWhileAway(t *testing.T) {
	ctx := context.Background()
	for name, erase := range map[string]func(l *Ledger, x Record) error{
		"after another choice": func(l *Ledger, x Record) error {
			y, err := l.Append(ctx, next(x))
			if err != nil {
				return err
			}
			_, err = l.Erase(ctx, "shop", y.Subject, By{Actor: Visitor, Time: noon})
			return err
		},
		"by the receipt alone": func(l *Ledger, x Record) error { return l.Disown(ctx, "shop", x.ID) },
	} {
		for _, known := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := newServers(t, 2)
				other := mustAppend(t, s.ledgers[1], record("shop"))
				x := record("shop")
				if known {
					x.Previous = mustAppend(t, s.ledgers[0], record("shop")).ID
				}
				s.cut(0)
				x = mustAppend(t, s.ledgers[0], x)
				if err := erase(s.ledgers[1], x); err != nil {
					t.Fatal(err)
				}
				s.heal(0)
				if n, err := s.ledgers[1].Count(ctx, "shop"); n != 1 || err != nil {
					t.Errorf("%d records are left, %v", n, err)
				}
				if _, err := s.ledgers[1].Find(ctx, "shop", other.ID); err != nil {
					t.Error(err)
				}
			})
		}
	}
	t.Run("of its own spool", func(t *testing.T) {
		s := newServers(t, 1)
		before := mustAppend(t, s.ledgers[0], record("shop"))
		s.cut(0)
		x := mustAppend(t, s.ledgers[0], next(before))
		for range 2 { // again, by the same receipt
			if n, err := s.ledgers[0].Erase(ctx, "shop", x.Subject, byVisitor); n != 0 || !errors.Is(err, ErrAway) {
				t.Errorf("erased %d, %v; it is not known what the database has", n, err)
			}
		}
		s.heal(0)
		found, err := s.ledgers[0].Find(ctx, "shop", x.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.ledgers[0].Erase(ctx, "shop", found.Subject, byVisitor); n != 2 || err != nil {
			t.Errorf("erased %d, %v", n, err)
		}
	})
	t.Run("of its own spool, while it is not brought", func(t *testing.T) {
		s := newServers(t, 1)
		l := s.ledgers[0]
		before := mustAppend(t, l, record("shop"))
		s.cut(0)
		x := mustAppend(t, l, next(before))
		l.spool.mu.Lock() // the courier waits
		s.lines[0].Heal()
		erased := make(chan error, 1)
		go func() {
			n, err := l.Erase(ctx, "shop", x.Subject, byVisitor)
			if err == nil && n != 2 {
				err = fmt.Errorf("erased %d", n)
			}
			erased <- err
		}()
		l.spool.mu.Unlock()
		if err := <-erased; err != nil {
			t.Error(err)
		}
		until(func() bool { return !l.Away() })
		if n, err := l.Count(ctx, "shop"); n != 0 || err != nil {
			t.Errorf("%d records are left, %v", n, err)
		}
	})
}

// C10: the same act under two receipts, one of which was on its way when its visitor had everything erased.
func TestEraseTwin(t *testing.T) {
	s := newServers(t, 2)
	s.cut(0)
	first := mustAppend(t, s.ledgers[0], record("shop"))
	again := record("shop")
	again.Key = first.Key
	second := mustAppend(t, s.ledgers[1], again)
	if n, err := s.ledgers[1].Erase(t.Context(), "shop", second.Subject, byVisitor); n != 1 || err != nil {
		t.Errorf("erased %d, %v", n, err)
	}
	s.heal(0)
	if n, err := s.ledgers[1].Count(t.Context(), "shop"); n != 0 || err != nil {
		t.Errorf("%d records are left, %v", n, err)
	}
}

// C10: what was on its way when its visitor had everything erased is not kept, whatever arrives first, and by whichever
// receipt they were known.
func TestEraseOnTheWay(t *testing.T) {
	ctx := context.Background()
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			s := newServers(t, 3)
			first := mustAppend(t, s.ledgers[2], record("shop"))
			s.cut(0, 1)
			a := mustAppend(t, s.ledgers[0], next(first))
			again := next(a) // the page sent it again, with the cookie that it had got meanwhile
			again.Key = a.Key
			b := mustAppend(t, s.ledgers[1], again)
			mustAppend(t, s.ledgers[1], next(b))
			other := mustAppend(t, s.ledgers[2], record("shop"))
			if err := s.ledgers[2].Disown(ctx, "shop", a.ID); err != nil {
				t.Fatal(err)
			}
			for _, line := range order {
				s.heal(line)
			}
			if n, err := s.ledgers[2].Count(ctx, "shop"); n != 1 || err != nil {
				t.Errorf("%d records are left, %v", n, err)
			}
			if _, err := s.ledgers[2].Find(ctx, "shop", other.ID); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("of what is here", func(t *testing.T) { // its follower came first
		s := newServers(t, 2)
		s.cut(0)
		a := mustAppend(t, s.ledgers[0], record("shop"))
		mustAppend(t, s.ledgers[1], next(a))
		if err := s.ledgers[1].Disown(ctx, "shop", a.ID); err != nil {
			t.Fatal(err)
		}
		s.heal(0)
		if n, err := s.ledgers[1].Count(ctx, "shop"); n != 0 || err != nil {
			t.Errorf("%d records are left, %v", n, err)
		}
	})
	t.Run("of what it follows", func(t *testing.T) { // by the receipt of another device
		s := newServers(t, 2)
		first := mustAppend(t, s.ledgers[1], record("shop"))
		s.cut(0)
		a := mustAppend(t, s.ledgers[0], next(first))
		if n, err := s.ledgers[1].Erase(ctx, "shop", first.Subject, byVisitor); n != 1 || err != nil {
			t.Errorf("erased %d, %v", n, err)
		}
		later := next(a) // and they come back after that
		later.Time = time.Now().Add(time.Hour)
		mustAppend(t, s.ledgers[0], later)
		s.heal(0)
		if n, err := s.ledgers[1].Count(ctx, "shop"); n != 1 || err != nil {
			t.Errorf("%d records are left, want the last, %v", n, err)
		}
	})
}

// A withdrawal that was spooled ends what stood on the grant when it arrives.
func TestSpooledWithdrawal(t *testing.T) {
	s := newServers(t, 2)
	granted := mustAppend(t, s.ledgers[0], record("shop"))
	mustMail(t, s.ledgers[0], mailEvent(granted, "open", noon))
	s.cut(0)
	gone := next(granted)
	gone.Action = consent.Withdraw
	mustAppend(t, s.ledgers[0], gone)
	s.heal(0)
	wantMails(t, s.ledgers[1], "shop", noon)
}
