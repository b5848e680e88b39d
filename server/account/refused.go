package account

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// refused gathers log-ins that were refused into one entry of the audit trail a minute, so that nobody fills the log by
// guessing. Names that no user has are counted and not kept: they may be a password that slipped into the wrong field.
type refused struct {
	note func(n int, detail string) error

	mu    sync.Mutex
	users map[string]int
	n     int // of users and of nobody
	timer *time.Timer
}

const gatherTime = time.Minute

// count counts a log-in of a user, or of nobody who is known.
func (r *refused) count(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		r.users = map[string]int{}
		r.timer = time.AfterFunc(gatherTime, func() { _ = r.flush() }) // it logs what went wrong
	}
	r.n++
	if user != "" {
		r.users[user]++
	}
}

func (r *refused) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return nil
	}
	r.timer.Stop()
	if err := r.note(r.n, r.detail()); err != nil {
		r.timer = time.AfterFunc(gatherTime, func() { _ = r.flush() })
		return err
	}
	r.n, r.users = 0, nil
	return nil
}

// detail says whose names were given: "in the name of ada 3, others and unknown names 12".
func (r *refused) detail() string {
	var parts []string
	known, length := 0, 0
	for _, name := range slices.Sorted(maps.Keys(r.users)) {
		part := fmt.Sprintf("%s %d", speakable(name), r.users[name])
		if length += len(part) + 2; length > 140 {
			break
		}
		known += r.users[name]
		parts = append(parts, part)
	}
	if rest := r.n - known; rest > 0 {
		parts = append(parts, fmt.Sprintf("others and unknown names %d", rest))
	}
	return "in the name of " + strings.Join(parts, ", ")
}

// speakable is a user's name for the detail of an entry of the audit trail, which takes no address.
func speakable(name string) string { return strings.ReplaceAll(name, "@", " at ") }

func (a *Accounts) noteRefused(n int, detail string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	entry := ledger.Audit{Time: a.Now(), Actor: ledger.Somebody, Act: ledger.ActRefuse, Count: n, Detail: detail}
	err := a.Store.WriteNoted(ctx, entry, func(*sql.Tx) error { return nil })
	if err != nil {
		a.Log.Error("refused log-ins are not in the audit trail yet", "count", n, "error", err)
	}
	return err
}
