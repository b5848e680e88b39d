package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

var (
	nameForm = regexp.MustCompile(`^[a-z0-9.@_-]{1,64}$`)
	idForm   = regexp.MustCompile(`[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}`)
)

// CanonicalName is a user's name as it is kept: names that differ in case alone are one.
func CanonicalName(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if !nameForm.MatchString(name) {
		return "", invalid("%.80q is no name of a user: it has 1 to 64 of a-z, 0-9 and .@_-", name)
	}
	if idForm.MatchString(name) { // the audit trail takes none
		return "", invalid("%q looks like a visitor's id: take a name by which people know the user", name)
	}
	return name, nil
}

// Entry is a user in a list.
type Entry struct {
	User
	Sessions int       // that have not ended
	Seen     time.Time // in one of those; zero: in none
}

const usersSQL = `SELECT u.name, u.role, u.issuer, u.subject, u.created, count(s.id), coalesce(max(s.seen), 0)
	FROM users u LEFT JOIN sessions s ON s.name = u.name AND s.expires > $1 AND s.seen > $2
	GROUP BY u.name, u.role, u.issuer, u.subject, u.created ORDER BY u.name`

// Users returns all users, by name.
func (a *Accounts) Users(ctx context.Context) ([]Entry, error) {
	var all []Entry
	now := a.Now()
	err := a.Store.Each(ctx, func(rows *sql.Rows) error {
		var (
			e             Entry
			role          string
			created, seen int64
		)
		if err := rows.Scan(&e.Name, &role, &e.Issuer, &e.Subject, &created, &e.Sessions, &seen); err != nil {
			return err
		}
		e.Created = fromMilli(created)
		if seen > 0 {
			e.Seen = fromMilli(seen)
		}
		var err error
		e.Role, err = ParseRole(role)
		all = append(all, e)
		return err
	}, usersSQL, milli(now), milli(now.Add(-idleTime)))
	if err != nil {
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	return all, nil
}

// Any tells whether there is a user at all.
func (a *Accounts) Any(ctx context.Context) (found bool, err error) {
	err = a.Store.Each(ctx, func(*sql.Rows) error { found = true; return nil }, `SELECT 1 FROM users LIMIT 1`)
	return found, err
}

// find returns a user and their password as it is kept, or fs.ErrNotExist.
func (a *Accounts) find(ctx context.Context, name string) (User, string, error) {
	return a.one(ctx, `name = $1`, name)
}

func (a *Accounts) one(ctx context.Context, where string, args ...any) (u User, password string, err error) {
	found := false
	err = a.Store.Each(ctx, func(rows *sql.Rows) error {
		var (
			role    string
			created int64
		)
		if err := rows.Scan(&u.Name, &role, &password, &u.Issuer, &u.Subject, &created); err != nil {
			return err
		}
		found, u.Created = true, fromMilli(created)
		var err error
		u.Role, err = ParseRole(role)
		return err
	}, `SELECT name, role, password, issuer, subject, created FROM users WHERE `+where, args...)
	switch {
	case err != nil:
		return User{}, "", fmt.Errorf("reading a user: %w", err)
	case !found:
		return User{}, "", fmt.Errorf("there is no such user: %w", fs.ErrNotExist)
	}
	return u, password, nil
}

// Add makes a user: with a password, or with the issuer and the subject by which a provider knows them.
func (a *Accounts) Add(ctx context.Context, by string, u User, password string) error {
	name, err := CanonicalName(u.Name)
	if err != nil {
		return err
	}
	kept, how := "", "logs in by OpenID"
	if u.Issuer == "" {
		if err := CheckPassword(name, password); err != nil {
			return err
		}
		if kept, err = a.hasher.keep(ctx, password); err != nil {
			return err
		}
		how = "logs in by password"
	}
	return a.change(ctx, by, fmt.Sprintf("made %s, %s, %s", speakable(name), u.Role, how), func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE name = $1`, name).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return invalid("there is a user %s already: nothing was changed", name)
		}
		if u.Issuer != "" {
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE issuer = $1 AND subject = $2`, u.Issuer, u.Subject).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return invalid("another user logs in as %s of %s already: nothing was changed", u.Subject, u.Issuer)
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO users (name, role, password, issuer, subject, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			name, u.Role.String(), kept, u.Issuer, u.Subject, milli(a.Now()))
		return err
	})
}

// Remove removes a user and ends their sessions. The last admin stays: with nobody to make another the dashboard would be
// open to the command line alone.
func (a *Accounts) Remove(ctx context.Context, by, name string) error {
	return a.alter(ctx, by, name, removed(name), func(tx *sql.Tx, u User) error {
		if err := notLast(ctx, tx, u); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM users WHERE name = $1`, u.Name)
		return err
	})
}

// removed is what the audit trail says of it.
func removed(name string) string { return "removed " + speakable(name) }

// SetRole gives a user another role and ends their sessions. The last admin stays one.
func (a *Accounts) SetRole(ctx context.Context, by, name string, role Role) error {
	return a.alter(ctx, by, name, speakable(name)+" is "+role.String(), func(tx *sql.Tx, u User) error {
		if role < Admin {
			if err := notLast(ctx, tx, u); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE users SET role = $1 WHERE name = $2`, role.String(), u.Name)
		return err
	})
}

// SetPassword gives a user another password and ends their sessions.
func (a *Accounts) SetPassword(ctx context.Context, by, name, password string) error {
	if err := CheckPassword(name, password); err != nil {
		return err
	}
	kept, err := a.hasher.keep(ctx, password)
	if err != nil {
		return err
	}
	return a.alter(ctx, by, name, "a new password for "+speakable(name), func(tx *sql.Tx, u User) error {
		if u.Issuer != "" {
			return invalid("%s logs in by %s and has no password", u.Name, u.Issuer)
		}
		_, err := tx.ExecContext(ctx, `UPDATE users SET password = $1 WHERE name = $2`, kept, u.Name)
		return err
	})
}

// EndAll ends a user's sessions.
func (a *Accounts) EndAll(ctx context.Context, by, name string) error {
	return a.alter(ctx, by, name, "ended all sessions of "+speakable(name), func(*sql.Tx, User) error { return nil })
}

// alter changes a user and ends their sessions, or returns fs.ErrNotExist.
func (a *Accounts) alter(ctx context.Context, by, name, detail string, fn func(*sql.Tx, User) error) error {
	return a.change(ctx, by, detail, func(tx *sql.Tx) error {
		u := User{Name: name}
		var role string
		err := tx.QueryRowContext(ctx, `SELECT role, issuer FROM users WHERE name = $1`, name).Scan(&role, &u.Issuer)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("there is no user %s: %w", name, fs.ErrNotExist)
		}
		if err == nil {
			u.Role, err = ParseRole(role)
		}
		if err == nil {
			err = fn(tx, u)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE name = $1`, name)
		}
		return err
	})
}

func (a *Accounts) change(ctx context.Context, by, detail string, fn func(*sql.Tx) error) error {
	entry := ledger.Audit{Time: a.Now(), Actor: by, Act: ledger.ActUser, Count: 1, Detail: detail}
	if err := a.Store.WriteNoted(ctx, entry, fn); err != nil {
		return fmt.Errorf("changing the users: %w", err)
	}
	return nil
}

// notLast refuses to go on where the user is the only admin.
func notLast(ctx context.Context, tx *sql.Tx, u User) error {
	var others int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE role = 'admin' AND name <> $1`, u.Name).Scan(&others); err != nil {
		return err
	}
	if u.Role == Admin && others == 0 {
		return invalid("%s is the only admin: make another one first", u.Name)
	}
	return nil
}

// EmailSubject stands in place of a subject until the user's first log-in, at which the provider says that the address is
// theirs: from then on the subject counts, and whoever gets the address next is somebody else. No provider has such a
// subject: theirs are ASCII.
func EmailSubject(address string) string {
	return "✉ " + strings.ToLower(strings.TrimSpace(address))
}
