package account

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stilehq/stile/server/ledger"
)

// recognise finds whom a provider vouches for among the users, or makes them where the provider says who has which role.
func (a *Accounts) recognise(ctx context.Context, who identity) (User, error) {
	mapped := len(a.OIDC.Roles) > 0
	u, err := a.member(ctx, who)
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return User{}, err
	}
	stranger := &Stranger{a.OIDC.Issuer, who.subject, mapped}
	switch {
	case !mapped && known:
		return u, nil
	case !mapped:
		return User{}, stranger
	case who.role == Nobody && known: // no more
		return User{}, errors.Join(stranger, a.EndAll(ctx, ledger.Operator(""), u.Name))
	case who.role == Nobody:
		return User{}, stranger
	case known && u.Role != who.role:
		return a.assign(ctx, u, who.role)
	case known:
		return u, nil
	}
	return a.admit(ctx, who)
}

// member is the user of a subject, or of the address that was written down for their first log-in.
func (a *Accounts) member(ctx context.Context, who identity) (User, error) {
	u, _, err := a.one(ctx, `issuer = $1 AND subject = $2`, a.OIDC.Issuer, who.subject)
	if !errors.Is(err, fs.ErrNotExist) || who.email == "" {
		return u, err
	}
	u, _, err = a.one(ctx, `issuer = $1 AND subject = $2`, a.OIDC.Issuer, EmailSubject(who.email))
	if err != nil {
		return u, err
	}
	u.Subject = who.subject
	return u, a.change(ctx, ledger.Operator(u.Name), speakable(u.Name)+" logged in for the first time", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE users SET subject = $1 WHERE name = $2`, who.subject, u.Name)
		return err
	})
}

// assign gives a user the role that the provider says, be it the last admin's.
func (a *Accounts) assign(ctx context.Context, u User, role Role) (User, error) {
	err := a.alter(ctx, ledger.Operator(""), u.Name, speakable(u.Name)+" is "+role.String()+", as the provider says", func(tx *sql.Tx, _ User) error {
		_, err := tx.ExecContext(ctx, `UPDATE users SET role = $1 WHERE name = $2`, role.String(), u.Name)
		return err
	})
	u.Role = role
	return u, err
}

// admit makes a user of whom the provider says the role, under the first name that is free. Users can edit their names at many
// providers: one that the audit trail knows stands there for somebody else, who was removed perhaps, and is not free.
func (a *Accounts) admit(ctx context.Context, who identity) (User, error) {
	sum := sha256.Sum256([]byte(who.subject))
	own := "user-" + hex.EncodeToString(sum[:4]) // which is nobody else's
	u := User{Role: who.role, Issuer: a.OIDC.Issuer, Subject: who.subject}
	var err error
	for _, name := range append(who.names, own) {
		if u.Name, err = CanonicalName(name); err != nil {
			continue
		}
		if u.Name != own {
			known, err := a.onTrail(ctx, u.Name)
			if err != nil {
				return User{}, err
			}
			if known {
				continue
			}
		}
		var taken *Invalid
		if err = a.Add(ctx, ledger.Operator(""), u, ""); !errors.As(err, &taken) {
			return u, err
		}
	}
	return User{}, fmt.Errorf("making a user of somebody whom the provider knows: %w", err)
}

const onTrailSQL = `SELECT 1 FROM audit WHERE actor = $1 OR act = $2 AND detail = $3 LIMIT 1`

// onTrail tells whether somebody of a name has done something, or was removed.
func (a *Accounts) onTrail(ctx context.Context, name string) (known bool, err error) {
	err = a.Store.Each(ctx, func(*sql.Rows) error { known = true; return nil }, onTrailSQL, ledger.Operator(name), string(ledger.ActUser), removed(name))
	if err != nil {
		return false, fmt.Errorf("looking for a name in the audit trail: %w", err)
	}
	return known, nil
}
