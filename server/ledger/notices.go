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
	noticeSQL = `INSERT INTO notices (site, hash, language, regime, policy, text, time) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (site, hash) DO NOTHING`
	listSQL   = `INSERT INTO lists (site, id, entries) VALUES ($1, $2, $3) ON CONFLICT (site, id) DO NOTHING`
	policySQL = `INSERT INTO policies (site, version, hash, text, material, summary, controller, since)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (site, version, hash) DO NOTHING`
)

// Publish keeps what a site shows: all of it or, on an error, nothing.
func (l *Ledger) Publish(ctx context.Context, site string, p Publication) error {
	if err := l.publish(ctx, site, p); err != nil {
		return fmt.Errorf("keeping what %s shows: %w", site, l.engine.explain(err))
	}
	return nil
}

func (l *Ledger) publish(ctx context.Context, site string, p Publication) error {
	return l.transact(ctx, func(tx *sql.Tx) error {
		for _, n := range p.Notices {
			_, err := tx.ExecContext(ctx, noticeSQL, site, n.Hash, n.Language, n.Regime, n.Policy, n.Text, toMilli(n.Time))
			if err != nil {
				return fmt.Errorf("notice %s: %w", n.Hash, err)
			}
		}
		if _, err := tx.ExecContext(ctx, listSQL, site, p.List, asJSON(keep(p.Entries))); err != nil {
			return fmt.Errorf("vendor list %s: %w", p.List, err)
		}
		for _, v := range p.Policies {
			summary, err := json.Marshal(v.Summary)
			if err == nil {
				_, err = tx.ExecContext(ctx, policySQL, site, v.Version, v.Hash, append([]byte{}, v.Text...), v.Material, string(summary), v.Controller, toMilli(v.Since))
			}
			if err != nil {
				return fmt.Errorf("policy %s: %w", v.Version, err)
			}
		}
		return nil
	})
}

const policiesSQL = `SELECT site, version, hash, text, material, summary, controller, since FROM policies WHERE site = $1 ORDER BY seq`

// Policies returns all versions of a site's policy.
func (l *Ledger) Policies(ctx context.Context, site string) ([]Policy, error) {
	var all []Policy
	err := l.each(ctx, func(rows *sql.Rows) error {
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

const noticeByHashSQL = `SELECT hash, site, language, regime, policy, text, time FROM notices WHERE site = $1 AND hash = $2`

// Notice returns the words of a hash, or fs.ErrNotExist.
func (l *Ledger) Notice(ctx context.Context, site, hash string) (Notice, error) {
	var (
		n  Notice
		at int64
	)
	err := l.engine.reader().QueryRowContext(ctx, noticeByHashSQL, site, hash).
		Scan(&n.Hash, &n.Site, &n.Language, &n.Regime, &n.Policy, &n.Text, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Notice{}, fmt.Errorf("finding notice %s of %s: %w", hash, site, l.engine.explain(err))
	}
	n.Time = fromMilli(at)
	return n, nil
}

const noticesSQL = `SELECT hash, language FROM notices WHERE site = $1`

// Notices returns all notices that a site ever published: hash to language.
func (l *Ledger) Notices(ctx context.Context, site string) (map[string]string, error) {
	languages := make(map[string]string)
	err := l.each(ctx, func(rows *sql.Rows) error {
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

const listsSQL = `SELECT id, entries FROM lists WHERE site = $1`

// Lists returns all vendor lists that a site ever published: id to entries.
func (l *Ledger) Lists(ctx context.Context, site string) (map[string][]string, error) {
	lists := make(map[string][]string)
	err := l.each(ctx, func(rows *sql.Rows) error {
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
