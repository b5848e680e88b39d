// Package account keeps who may open the dashboard: users, by password or by an OpenID provider, and their sessions.
// Nobody may by default: stile user add makes the first.
//
// A password is kept as argon2id makes it. A session is 32 random bytes that the browser has in a signed cookie; the ledger's
// database has their SHA-256 alone, so that who reads it has nobody's session, and a row that is deleted ends one at once.
// Every log-in, log-out and change of a user is in the audit trail, in the transaction that makes it.
package account

import (
	"context"
	"fmt"
	"time"
)

// Role is what a user may do. Each may do what the one before it may.
type Role uint8

// The roles.
const (
	Nobody  Role = iota
	Viewer       // figures, tags, the simulator: a marketer
	Officer      // records, requests, the audit trail: a privacy officer
	Admin        // health, users' sessions, shared links
)

var roles = [...]string{"nobody", "viewer", "officer", "admin"}

func (r Role) String() string { return roles[r] }

// ParseRole reads the name of a role.
func ParseRole(name string) (Role, error) {
	for i, n := range roles {
		if i > 0 && n == name {
			return Role(i), nil
		}
	}
	return Nobody, fmt.Errorf("there is no role %q: it is one of viewer, officer, admin", name)
}

// User is one who may open the dashboard.
type User struct {
	Name    string // 1 to 64 of a-z, digits, and .@_-
	Role    Role
	Issuer  string // of the OpenID provider that says who it is; "": a password does
	Subject string // there
	Created time.Time
}

type userKey struct{}

// WithUser is a context in which a user asks.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserOf is who asks in a context; of a context without one, nobody.
func UserOf(ctx context.Context) User {
	u, _ := ctx.Value(userKey{}).(User)
	return u
}
