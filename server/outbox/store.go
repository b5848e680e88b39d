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
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/sqlite"
)

//go:embed migrations
var migrations embed.FS

// store is the file. It has one connection: the writer's transactions and the senders' reads take turns.
type store struct {
	db *sqlite.File
}

func openStore(ctx context.Context, path string) (*store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	db, err := sqlite.Open(ctx, path, sqlite.Kind{
		Name: "outbox", ID: 0x5374696f, Migrations: files, // "Stio"
		Damaged: "move it away, and a new one is made; what waited in it is not sent",
	})
	if err != nil {
		return nil, err
	}
	return &store{db}, nil
}

func (s *store) explain(err error) error { return s.db.Explain(err) }

// transact runs tasks in one transaction, which no caller's context ends.
func (s *store) transact(batch []*task) error {
	ctx := context.Background()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", s.explain(err))
	}
	for _, t := range batch {
		if err := t.run(ctx, tx); err != nil {
			return errors.Join(s.explain(err), sqlite.Rollback(tx))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", errors.Join(s.explain(err), sqlite.Rollback(tx)))
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

func (s *store) close() error { return s.db.Close() }
