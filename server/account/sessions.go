package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// How long a session lasts: without a request, and in all. That it was used is written down once a minute.
const (
	idleTime  = 12 * time.Hour
	wholeTime = 7 * 24 * time.Hour
	seenEvery = time.Minute
)

const tokenLength = 32

// Session is a log-in that has not ended.
type Session struct {
	ID            string // hex digits; it opens nothing
	Created, Seen time.Time
}

func idOf(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

type sessionKey struct{}

// WithSession is a context of a session.
func WithSession(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}

// SessionOf is the session of a context, or the zero one.
func SessionOf(ctx context.Context) Session {
	s, _ := ctx.Value(sessionKey{}).(Session)
	return s
}

// Login begins a session of a user who says their password from an address, and returns what their browser is to show for
// it. Errors: ErrRefused, *Wait, ErrCrowded.
func (a *Accounts) Login(ctx context.Context, name, password string, from netip.Addr) (token []byte, err error) {
	u, kept, err := a.known(ctx, name, password, from)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, u, kept, "by password")
}

// known is the user whose name and password these are, and the password as it is kept.
func (a *Accounts) known(ctx context.Context, name, password string, from netip.Addr) (User, string, error) {
	if canonical, err := CanonicalName(name); err == nil {
		name = canonical
	} else {
		name = "?" // nobody's, and all such names count as one
	}
	if err := a.limit.take(name, from, a.Now()); err != nil {
		var wait *Wait
		if errors.As(err, &wait) {
			a.refuse(ctx, name)
		}
		return User{}, "", err
	}
	u, kept, err := a.find(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.limit.give(name, from, a.Now())
		return User{}, "", err
	}
	same, old, err := a.hasher.check(ctx, kept, password)
	switch {
	case err != nil:
		a.limit.give(name, from, a.Now())
		return User{}, "", err
	case !same:
		a.refused.count(u.Name)
		return User{}, "", ErrRefused
	}
	a.limit.give(name, from, a.Now())
	if old {
		kept = a.renew(ctx, u, kept, password)
	}
	return u, kept, nil
}

// refuse counts a log-in that was not looked at.
func (a *Accounts) refuse(ctx context.Context, name string) {
	u, _, err := a.find(ctx, name)
	if err != nil {
		u = User{}
	}
	a.refused.count(u.Name)
}

// renew keeps a password at today's cost, and returns what is kept of it then. That it fails is no reason to keep the user
// out.
func (a *Accounts) renew(ctx context.Context, u User, before, password string) string {
	kept, err := a.hasher.keep(ctx, password)
	if err == nil {
		err = a.Store.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE users SET password = $1 WHERE name = $2 AND password = $3`, kept, u.Name, before)
			return err
		})
	}
	if err != nil {
		a.Log.Warn("a password is kept at an older cost still", "user", u.Name, "error", err)
		return before
	}
	return kept
}

// begin begins a session. The user may have been removed or changed since they were found: then it is refused.
func (a *Accounts) begin(ctx context.Context, u User, kept, how string) ([]byte, error) {
	token := make([]byte, tokenLength)
	_, _ = rand.Read(token) // it never fails
	now := a.Now()
	entry := ledger.Audit{Time: now, Actor: ledger.Operator(u.Name), Act: ledger.ActLogin, Count: 1, Detail: how}
	err := a.Store.WriteNoted(ctx, entry, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires <= $1 OR seen <= $2`, milli(now), milli(now.Add(-idleTime)))
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, name, created, seen, expires)
			SELECT $1, name, $2, $3, $4 FROM users WHERE name = $5 AND role = $6 AND password = $7`,
			idOf(token), milli(now), milli(now), milli(now.Add(wholeTime)), u.Name, u.Role.String(), kept)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrRefused)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("beginning a session: %w", err)
	}
	return token, nil
}

const sessionSQL = `SELECT u.name, u.role, u.issuer, u.subject, u.created, s.created, s.seen
	FROM sessions s JOIN users u ON u.name = s.name WHERE s.id = $1 AND s.expires > $2 AND s.seen > $3`

// Find returns whose session a token is, or ErrEnded.
func (a *Accounts) Find(ctx context.Context, token []byte) (u User, s Session, err error) {
	id, now := idOf(token), a.Now()
	err = a.Store.Each(ctx, func(rows *sql.Rows) error {
		var (
			role                string
			made, created, seen int64
		)
		if err := rows.Scan(&u.Name, &role, &u.Issuer, &u.Subject, &made, &created, &seen); err != nil {
			return err
		}
		u.Created = fromMilli(made)
		s = Session{hex.EncodeToString(id), fromMilli(created), fromMilli(seen)}
		var err error
		u.Role, err = ParseRole(role)
		return err
	}, sessionSQL, id, milli(now), milli(now.Add(-idleTime)))
	switch {
	case err != nil:
		return User{}, Session{}, fmt.Errorf("reading a session: %w", err)
	case s.ID == "":
		return User{}, Session{}, ErrEnded
	}
	if now.Sub(s.Seen) >= seenEvery {
		a.see(ctx, id, now)
	}
	return u, s, nil
}

// see writes down that a session was used. Where that fails it ends earlier, and nothing else is lost.
func (a *Accounts) see(ctx context.Context, id []byte, now time.Time) {
	err := a.Store.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen = $1 WHERE id = $2 AND seen < $3`, milli(now), id, milli(now))
		return err
	})
	if err != nil {
		a.Log.Warn("the use of a session is not written down", "error", err)
	}
}

// Sessions returns a user's sessions, the one that was used last first.
func (a *Accounts) Sessions(ctx context.Context, name string) ([]Session, error) {
	var all []Session
	now := a.Now()
	err := a.Store.Each(ctx, func(rows *sql.Rows) error {
		var (
			id            []byte
			created, seen int64
		)
		if err := rows.Scan(&id, &created, &seen); err != nil {
			return err
		}
		all = append(all, Session{hex.EncodeToString(id), fromMilli(created), fromMilli(seen)})
		return nil
	}, `SELECT id, created, seen FROM sessions WHERE name = $1 AND expires > $2 AND seen > $3 ORDER BY seen DESC, id`,
		name, milli(now), milli(now.Add(-idleTime)))
	if err != nil {
		return nil, fmt.Errorf("reading the sessions of %s: %w", name, err)
	}
	return all, nil
}

// End ends a session of a user, as they log out or end another one. One that has ended already is ErrEnded.
func (a *Accounts) End(ctx context.Context, name, id string) error {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return ErrEnded
	}
	entry := ledger.Audit{Time: a.Now(), Actor: ledger.Operator(name), Act: ledger.ActLogout, Count: 1}
	err = a.Store.WriteNoted(ctx, entry, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1 AND name = $2`, raw, name)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrEnded)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// ChangePassword gives a user who knows their password another one. All their sessions end, and a new one is begun. Errors
// are those of Login, and *Invalid.
func (a *Accounts) ChangePassword(ctx context.Context, name, current, next string, from netip.Addr) ([]byte, error) {
	if err := CheckPassword(name, next); err != nil {
		return nil, err
	}
	if _, _, err := a.known(ctx, name, current, from); err != nil {
		return nil, err
	}
	if err := a.SetPassword(ctx, ledger.Operator(name), name, next); err != nil {
		return nil, err
	}
	u, kept, err := a.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, u, kept, "after a new password")
}
