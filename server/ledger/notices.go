package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

const (
	noticeSQL = `INSERT INTO notices (site, hash, language, regime, policy, text, time) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (site, hash) DO NOTHING`
	listSQL   = `INSERT INTO lists (site, id, entries) VALUES (?, ?, ?) ON CONFLICT (site, id) DO NOTHING`
	policySQL = `INSERT INTO policies (site, version, hash, text, material, summary, controller, since)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (site, version, hash) DO NOTHING`
)

// Publish keeps what a site shows, see Ledger: all of it or, on an error, nothing.
func (s *SQLite) Publish(ctx context.Context, site string, p Publication) error {
	if err := s.publish(ctx, site, p); err != nil {
		return fmt.Errorf("keeping what %s shows: %w", site, explain(s.path, err))
	}
	return nil
}

func (s *SQLite) publish(ctx context.Context, site string, p Publication) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, n := range p.Notices {
		_, err := tx.ExecContext(ctx, noticeSQL, site, n.Hash, n.Language, n.Regime, n.Policy, n.Text, toMilli(n.Time))
		if err != nil {
			return errors.Join(fmt.Errorf("notice %s: %w", n.Hash, err), rollback(tx))
		}
	}
	if _, err := tx.ExecContext(ctx, listSQL, site, p.List, asJSON(keep(p.Entries))); err != nil {
		return errors.Join(fmt.Errorf("vendor list %s: %w", p.List, err), rollback(tx))
	}
	for _, v := range p.Policies {
		summary, err := json.Marshal(v.Summary)
		if err == nil {
			_, err = tx.ExecContext(ctx, policySQL, site, v.Version, v.Hash, append([]byte{}, v.Text...), v.Material, string(summary), v.Controller, toMilli(v.Since))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("policy %s: %w", v.Version, err), rollback(tx))
		}
	}
	return tx.Commit()
}

const policiesSQL = `SELECT site, version, hash, text, material, summary, controller, since FROM policies WHERE site = ? ORDER BY seq`

// Policies returns all versions of a site's policy, see Ledger.
func (s *SQLite) Policies(ctx context.Context, site string) ([]Policy, error) {
	var all []Policy
	err := s.each(ctx, func(rows *sql.Rows) error {
		var (
			p       Policy
			summary []byte
			since   int64
		)
		if err := rows.Scan(&p.Site, &p.Version, &p.Hash, &p.Text, &p.Material, &summary, &p.Controller, &since); err != nil {
			return err
		}
		p.Since, p.Text = fromMilli(since), append([]byte{}, p.Text...) // no text is an empty one
		if err := json.Unmarshal(summary, &p.Summary); err != nil {
			return fmt.Errorf("policy %s: %w", p.Version, err)
		}
		all = append(all, p)
		return nil
	}, policiesSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the policies of %s: %w", site, err)
	}
	return all, nil
}

const noticeByHashSQL = `SELECT hash, site, language, regime, policy, text, time FROM notices WHERE site = ? AND hash = ?`

// Notice returns the words of a hash, or fs.ErrNotExist.
func (s *SQLite) Notice(ctx context.Context, site, hash string) (Notice, error) {
	var (
		n  Notice
		at int64
	)
	err := s.reader.QueryRowContext(ctx, noticeByHashSQL, site, hash).
		Scan(&n.Hash, &n.Site, &n.Language, &n.Regime, &n.Policy, &n.Text, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Notice{}, fmt.Errorf("finding notice %s of %s: %w", hash, site, explain(s.path, err))
	}
	n.Time = fromMilli(at)
	return n, nil
}

const noticesSQL = `SELECT hash, language FROM notices WHERE site = ?`

// Notices returns all notices that a site ever published: hash to language.
func (s *SQLite) Notices(ctx context.Context, site string) (map[string]string, error) {
	languages := make(map[string]string)
	err := s.each(ctx, func(rows *sql.Rows) error {
		var hash, language string
		err := rows.Scan(&hash, &language)
		languages[hash] = language
		return err
	}, noticesSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the notices of %s: %w", site, err)
	}
	return languages, nil
}

const listsSQL = `SELECT id, entries FROM lists WHERE site = ?`

// Lists returns all vendor lists that a site ever published: id to entries.
func (s *SQLite) Lists(ctx context.Context, site string) (map[string][]string, error) {
	lists := make(map[string][]string)
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		var entries []string
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return fmt.Errorf("vendor list %s: %w", id, err)
		}
		lists[id] = entries
		return nil
	}, listsSQL, site)
	if err != nil {
		return nil, fmt.Errorf("reading the vendor lists of %s: %w", site, err)
	}
	return lists, nil
}
