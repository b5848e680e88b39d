package fault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver by which the book reads PostgreSQL
	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // and SQLite

	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/merkle"
)

// book is what visitors did, and what they were told.
type book struct {
	mu      sync.Mutex
	people  []*person
	told    int           // how many answers acknowledged something
	refusal map[int]int   // how many answers did not, by status
	slowest time.Duration // of all requests
	errs    []string
	changed chan struct{} // closed when told or refusal changes
}

func newBook() *book { return &book{refusal: map[int]int{}, changed: make(chan struct{})} }

func (b *book) meet() *person {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &person{}
	b.people = append(b.people, p)
	return p
}

func (b *book) acknowledged(a *act, by answer) {
	if !slices.Contains(a.receipts, by.Receipt) {
		a.receipts = append(a.receipts, by.Receipt)
	}
	err := a.same(by.Choice.Granted, by.Choice.Denied)
	b.change(func() {
		b.told++
		if err != nil {
			b.errs = append(b.errs, fmt.Sprintf("the answer to %s %s: %v", a.path, a.key, err))
		}
	})
}

// refused notes an answer that acknowledges nothing: only what says that the server cannot now is expected.
func (b *book) refused(what string, status int, by answer) {
	b.change(func() {
		b.refusal[status]++
		if status != http.StatusServiceUnavailable {
			b.errs = append(b.errs, fmt.Sprintf("%s is answered by %d: %s", what, status, by.Error))
		}
	})
}

func (b *book) wrong(format string, args ...any) {
	b.change(func() { b.errs = append(b.errs, fmt.Sprintf(format, args...)) })
}

func (b *book) took(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slowest = max(b.slowest, d)
}

func (b *book) change(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
	close(b.changed)
	b.changed = make(chan struct{})
}

// awaitTold waits until so many more acts are acknowledged.
func (b *book) awaitTold(t *testing.T, more int) {
	t.Helper()
	b.await(t, more, fmt.Sprintf("%d more acts are not acknowledged", more), func() int { return b.told })
}

// awaitRefused waits until so many more acts are answered by 503.
func (b *book) awaitRefused(t *testing.T, more int) {
	t.Helper()
	b.await(t, more, fmt.Sprintf("%d more acts are not refused", more), func() int { return b.refusal[http.StatusServiceUnavailable] })
}

func (b *book) await(t *testing.T, more int, not string, count func() int) {
	t.Helper()
	limit := time.After(patience)
	first := -1
	for {
		b.mu.Lock()
		n, changed := count(), b.changed
		b.mu.Unlock()
		if first < 0 {
			first = n
		}
		if n >= first+more {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("within %v %s", patience, not)
		}
	}
}

// resetSlowest begins anew to look for the slowest answer, and returns the one so far.
func (b *book) resetSlowest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.slowest
	b.slowest = 0
	return was
}

// row is a record as the database has it.
type row struct {
	leaf                       int64
	id, key, subject, previous uuid.UUID
	granted, denied            []string
}

// rows reads all records by other means than the ledger's own.
func rows(db *sql.DB) (all []row, err error) {
	res, err := db.Query(`SELECT leaf, id, key, subject, previous, granted, denied FROM records ORDER BY leaf`)
	if err != nil {
		return nil, err
	}
	defer res.Close()
	for res.Next() {
		var r row
		var granted, denied []byte
		if err := res.Scan(&r.leaf, &r.id, &r.key, &r.subject, &r.previous, &granted, &denied); err != nil {
			return nil, err
		}
		if err := errors.Join(json.Unmarshal(granted, &r.granted), json.Unmarshal(denied, &r.denied)); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, res.Err()
}

// checkFile holds the book against the database of a data folder that no process uses.
func (b *book) checkFile(t *testing.T, data string) {
	t.Helper()
	path := filepath.Join(data, "stile.db")
	b.check(t, ledger.Options{Path: path}, "sqlite", "file:"+path, 1)
	if err := sound(path); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

// finds says what is found to be wrong with a file.
func (b *book) finds(t *testing.T, data string) error {
	t.Helper()
	path := filepath.Join(data, "stile.db")
	if err := sound(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := rows(db)
	if err != nil {
		return err
	}
	l, err := ledger.Open(t.Context(), ledger.Options{Path: path})
	if err != nil {
		return err
	}
	defer l.Close()
	return verify(t.Context(), l, ring(t), all)
}

// sound tells what SQLite finds wrong with a file.
func sound(path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	var words string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&words); err != nil {
		return err
	}
	if words != "ok" {
		return errors.New(words)
	}
	return nil
}

// check is the end of each scenario. processes is how many there were, each with a spool of its own.
func (b *book) check(t *testing.T, o ledger.Options, driver, address string, processes int) {
	t.Helper()
	for _, e := range b.errs[:min(10, len(b.errs))] {
		t.Error(e)
	}
	l, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Sign(ring(t).Log[0].NoteSigner())
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := rows(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), l, ring(t), all); err != nil {
		t.Errorf("the log: %v", err)
	}
	wrongs := b.compare(all, processes)
	for _, w := range wrongs[:min(10, len(wrongs))] {
		t.Error(w)
	}
	if len(wrongs) > 10 {
		t.Errorf("and %d more", len(wrongs)-10)
	}
	t.Logf("%d acts were acknowledged, %d answers were refusals, %d records are there", b.told, b.refusal[http.StatusServiceUnavailable], len(all))
}

// compare says what is missing, what is there twice, what was invented, and what was to be erased.
func (b *book) compare(all []row, processes int) (wrongs []string) {
	wrong := func(format string, args ...any) { wrongs = append(wrongs, fmt.Sprintf(format, args...)) }
	acts, ids := map[uuid.UUID]*act{}, map[uuid.UUID]*row{}
	for _, p := range b.people {
		for _, a := range p.acts {
			acts[a.key] = a
			for _, id := range a.receipts {
				acts[secondKey(a.key, id)] = a
			}
		}
	}
	stored := map[*act][]*row{}
	for i := range all {
		r := &all[i]
		if ids[r.id] != nil {
			wrong("receipt %s is there twice", r.id)
		}
		ids[r.id] = r
		a := acts[r.key]
		if a == nil && processes > 1 {
			a = b.behind(r)
		}
		if a == nil {
			wrong("record %s with key %s was invented", r.id, r.key)
			continue
		}
		stored[a] = append(stored[a], r)
	}
	for _, p := range b.people {
		for _, w := range p.compare(stored, ids, processes) {
			wrong("%s", w)
		}
	}
	return wrongs
}

// behind finds the act of a record that another one of the same act had the key of, when it arrived.
func (b *book) behind(r *row) *act {
	for _, p := range b.people {
		for _, a := range p.acts {
			if secondKey(a.key, r.id) == r.key {
				return a
			}
		}
	}
	return nil
}

// secondKey is the key of a record whose act was acknowledged under another receipt by another process.
func secondKey(key, id uuid.UUID) uuid.UUID { return uuid.NewSHA1(key, id[:]) }

func (p *person) compare(stored map[*act][]*row, ids map[uuid.UUID]*row, processes int) (wrongs []string) {
	wrong := func(a *act, format string, args ...any) {
		wrongs = append(wrongs, fmt.Sprintf("%s %s, sent to %v with %v, acknowledged by %v: ", a.path, a.key, a.at, a.previous, a.receipts)+fmt.Sprintf(format, args...))
	}
	subjects := map[uuid.UUID]bool{}
	for i, a := range p.acts {
		most := 1
		if processes > 1 {
			most = a.sent // what is away cannot be asked whether it has an act already
		}
		if len(stored[a]) > most {
			wrong(a, "%d records of it are there", len(stored[a]))
		}
		for _, r := range stored[a] {
			if err := a.same(r.granted, r.denied); err != nil {
				wrong(a, "%v", err)
			}
			if !a.follows(r, processes) {
				wrong(a, "the record before it is %s", r.previous)
			}
		}
		for _, id := range a.receipts {
			r := ids[id]
			switch {
			case p.state == present && r == nil:
				wrong(a, "record %s is lost", id)
			case p.state == erased && r != nil && a.heard[id]: // nobody can have erased what they never heard of
				wrong(a, "record %s was to be erased; it is act %d of %d of its person, number %d of the log", id, i+1, len(p.acts), r.leaf)
			case p.state == present && a.heard[id]:
				subjects[r.subject] = true
			}
		}
	}
	if len(subjects) > 1 {
		wrong(p.acts[0], "with the acts after it it is of %d visitors", len(subjects))
	}
	return wrongs
}

// follows tells whether a record follows one that its act was sent with. Where there are spools, that one may not have
// arrived: then there is no link.
func (a *act) follows(r *row, processes int) bool {
	if r.previous == uuid.Nil {
		return a.previous[""] || processes > 1
	}
	return a.previous[r.previous.String()]
}

// verify looks at the whole log: it is signed, its tiles are what was signed, every record and every entry of the audit
// trail is the leaf that its number says, and every number without either is named by an erasure.
func verify(ctx context.Context, l *ledger.Ledger, by keys.Ring, all []row) error {
	msg, err := l.Seal(ctx)
	if err != nil {
		return err
	}
	origin, err := l.Origin(ctx)
	if err != nil {
		return err
	}
	c, err := merkle.Parse(msg, origin, by.Verifiers(keys.Log))
	if err != nil {
		return err
	}
	if err := merkle.Verify(ctx, l, c.Tree()); err != nil {
		return err
	}
	var signed []tlog.Hash
	for hash, err := range merkle.Leaves(ctx, l, c.Tree()) {
		if err != nil {
			return err
		}
		signed = append(signed, hash)
	}
	return leaves(ctx, l, signed, all)
}

// leaves holds what is stored against the hashes that were signed.
func leaves(ctx context.Context, l *ledger.Ledger, signed []tlog.Hash, all []row) error {
	found := make([]bool, len(signed))
	same := func(leaf int64, text []byte) error {
		switch {
		case leaf < 0 || leaf >= int64(len(signed)):
			return fmt.Errorf("leaf %d is beyond the log", leaf)
		case found[leaf]:
			return fmt.Errorf("leaf %d is there twice", leaf)
		case tlog.RecordHash(text) != signed[leaf]:
			return fmt.Errorf("leaf %d is not what was signed", leaf)
		}
		found[leaf] = true
		return nil
	}
	for i := range all {
		r, err := l.Find(ctx, "shop", all[i].id)
		if err == nil {
			err = same(r.Leaf, ledger.Leaf(&r))
		}
		if err != nil {
			return err
		}
	}
	trail, err := l.Trail(ctx, "", -1, 1<<30)
	if err != nil {
		return err
	}
	var gone []ledger.Leaves
	for i := range trail {
		if err := same(trail[i].Leaf, ledger.AuditLeaf(&trail[i])); err != nil {
			return err
		}
		if trail[i].Act == ledger.ActErase {
			gone = append(gone, trail[i].Leaves)
		}
	}
	for leaf, there := range found {
		lawful := func(l ledger.Leaves) bool { return l.Contains(int64(leaf)) }
		if erased := slices.ContainsFunc(gone, lawful); erased == there {
			return fmt.Errorf("leaf %d is there: %t, was erased: %t", leaf, there, erased)
		}
	}
	return nil
}
