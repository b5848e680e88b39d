package outbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The schema, one numbered file a change. A file that was released is never edited.
//
//go:embed migrations
var migrations embed.FS

// applicationID is in the header of every outbox ("Stio"), so that no other file is written to, the ledger's included.
const applicationID = 0x5374696f

// store is the file. It has one connection: the writer's transactions and the senders' reads take turns.
type store struct {
	path string
	db   *sql.DB
}

func openStore(ctx context.Context, path string) (_ *store, err error) {
	s := &store{}
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening the outbox %s: %w", path, err)
	}
	// Before SQLite would, with a mode of its own: -wal and -shm inherit it.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the folder %s is not there: make it, or name another", filepath.Dir(s.path))
	default:
		return nil, fmt.Errorf("the outbox cannot be made: %w; let this user write its folder, or name another", err)
	}
	if err := s.connect(ctx); err != nil {
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, err
	}
	return s, nil
}

func (s *store) connect(ctx context.Context) error {
	plain, err := s.dial()
	if err != nil {
		return err
	}
	// It is looked at before anything that changes it: going over to WAL is a write.
	if err := errors.Join(s.claim(ctx, plain), plain.Close()); err != nil {
		return err
	}
	if s.db, err = s.dial("journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)"); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	return s.migrate(ctx)
}

func (s *store) dial(pragmas ...string) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(s.path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the outbox %s: %w", s.path, err)
	}
	return db, nil
}

func (s *store) claim(ctx context.Context, db *sql.DB) error {
	var id, tables int
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)`).Scan(&id, &tables)
	switch {
	case err != nil:
		return s.explain(err)
	case id == applicationID:
		return nil
	case tables > 0 || id != 0:
		return fmt.Errorf("%s is not an outbox of Stile: name another file", s.path)
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
	return s.explain(err)
}

func (s *store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithDisableGlobalRegistry(true), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of %s: %w", s.path, s.explain(err))
	case have > known:
		return fmt.Errorf("the outbox %s is of version %d, this stile knows up to %d: use a newer stile", s.path, have, known)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bringing %s to version %d: %w", s.path, known, s.explain(err))
	}
	return nil
}

// explain says in one line what an operator can do about an error of the file.
func (s *store) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	var words string
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		words = "is not an outbox of Stile: name another file"
	case sqlite3.SQLITE_CORRUPT:
		words = "is damaged: move it away, and a new one is made; what waited in it is not sent"
	case sqlite3.SQLITE_FULL:
		words = "has no room left: free some space on its disk"
	case sqlite3.SQLITE_BUSY:
		words = "is locked by another process: end that process or wait for it"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		words = "cannot be written: let this user write the file and its folder"
	default:
		return err
	}
	return fmt.Errorf("the outbox %s %s (%w)", s.path, words, err)
}

// transact runs tasks in one transaction, which no caller's context ends.
func (s *store) transact(batch []*task) error {
	ctx := context.Background()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", s.explain(err))
	}
	for _, t := range batch {
		if err := t.run(ctx, tx); err != nil {
			return errors.Join(s.explain(err), rollback(tx))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", errors.Join(s.explain(err), rollback(tx)))
	}
	return nil
}

// rollback is content when it was done already: by Commit, or by SQLite, as when the disk is full.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", err)
	}
	return nil
}

// fresh returns the messages whose keys are new, and notes those keys; it forgets keys that have expired.
func fresh(ctx context.Context, tx *sql.Tx, list []Message, now time.Time) (left []Message, err error) {
	if _, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE expires <= ?`, millis(now)); err != nil {
		return nil, fmt.Errorf("forgetting old keys: %w", err)
	}
	for i := range list {
		m := &list[i]
		if m.Key == "" {
			left = append(left, *m)
			continue
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO keys (hash, expires) VALUES (?, ?) ON CONFLICT DO NOTHING`, keyHash(m), millis(m.Expires))
		if err != nil {
			return nil, fmt.Errorf("noting the key of a message: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return nil, fmt.Errorf("noting the key of a message: %w", err)
		} else if n == 1 {
			left = append(left, *m)
		}
	}
	return left, nil
}

// free takes back the keys of messages that were not added.
func free(ctx context.Context, tx *sql.Tx, list []Message) error {
	for i := range list {
		if list[i].Key == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE hash = ?`, keyHash(&list[i])); err != nil {
			return fmt.Errorf("taking back the key of a message: %w", err)
		}
	}
	return nil
}

func keyHash(m *Message) []byte {
	sum := sha256.Sum256([]byte(m.Site + "\x00" + m.Tag + "\x00" + m.Key))
	return sum[:16]
}

// insert stores a message. The entry is nil where one of that id is there.
func insert(ctx context.Context, tx *sql.Tx, m *Message, now time.Time) (*entry, error) {
	header, err := json.Marshal(m.Header)
	if err != nil {
		return nil, fmt.Errorf("writing its header: %w", err)
	}
	var subject []byte
	if m.Subject != uuid.Nil {
		subject = m.Subject[:]
	}
	body := m.Body
	if body == nil {
		body = []byte{}
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO messages (id, site, tag, subject, method, url, header, body, added, expires, due)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		m.ID[:], m.Site, m.Tag, subject, m.Method, m.URL, string(header), body, millis(now), millis(m.Expires), millis(now))
	if err != nil {
		return nil, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, err
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return nil, err
	}
	return &entry{seq: seq, site: m.Site, tag: m.Tag, subject: m.Subject, host: host(m.URL), added: now, due: now, expires: m.Expires}, nil
}

// entries are all that waits, as the line has them.
func (s *store) entries(ctx context.Context) (list []*entry, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, site, tag, subject, url, added, expires, attempts, due FROM messages ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("reading what waits: %w", s.explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		e := &entry{}
		var address string
		var subject []byte
		var added, expires, due int64
		if err := rows.Scan(&e.seq, &e.site, &e.tag, &subject, &address, &added, &expires, &e.attempts, &due); err != nil {
			return nil, fmt.Errorf("reading what waits: %w", s.explain(err))
		}
		copy(e.subject[:], subject)
		e.host, e.added, e.expires, e.due = host(address), time.UnixMilli(added), time.UnixMilli(expires), time.UnixMilli(due)
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading what waits: %w", s.explain(err))
	}
	return list, nil
}

// load reads what is sent, or gives sql.ErrNoRows.
func (s *store) load(ctx context.Context, seq int64) (*Message, error) {
	m := &Message{}
	var header string
	err := s.db.QueryRowContext(ctx, `SELECT id, site, tag, method, url, header, body FROM messages WHERE seq = ?`, seq).
		Scan(&m.ID, &m.Site, &m.Tag, &m.Method, &m.URL, &header, &m.Body)
	if err != nil {
		return nil, s.explain(err)
	}
	if err := json.Unmarshal([]byte(header), &m.Header); err != nil {
		return nil, fmt.Errorf("reading the header of message %s: %w", m.ID, err)
	}
	return m, nil
}

func remove(ctx context.Context, tx *sql.Tx, seq int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM messages WHERE seq = ?`, seq); err != nil {
		return fmt.Errorf("deleting a message: %w", err)
	}
	return nil
}

func postpone(ctx context.Context, tx *sql.Tx, e *entry) error {
	if _, err := tx.ExecContext(ctx, `UPDATE messages SET attempts = ?, due = ? WHERE seq = ?`, e.attempts, millis(e.due), e.seq); err != nil {
		return fmt.Errorf("postponing a message: %w", err)
	}
	return nil
}

// forget deletes a subject's messages, those of some tags alone where any are named.
func forget(ctx context.Context, tx *sql.Tx, site string, subject uuid.UUID, tags []string) (int, error) {
	only, err := json.Marshal(tags)
	if err != nil {
		return 0, fmt.Errorf("dropping messages: %w", err)
	}
	res, err := tx.ExecContext(ctx, `DELETE FROM messages WHERE site = ? AND subject = ? AND (? = 0 OR tag IN (SELECT value FROM json_each(?)))`,
		site, subject[:], len(tags), string(only))
	if err != nil {
		return 0, fmt.Errorf("dropping messages: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func (s *store) close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the outbox %s: %w", s.path, err)
	}
	return nil
}
