package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/stilehq/stile/server/account"
)

// oidcFlags say where users of the dashboard log in, beside passwords.
type oidcFlags struct {
	Issuer     string   `env:"STILE_OIDC_ISSUER" name:"oidc-issuer" placeholder:"URL" help:"OpenID provider at which users of the dashboard log in: https://login.example. Register there ADMIN-URL/admin/login/callback as redirect."`
	ClientID   string   `env:"STILE_OIDC_CLIENT_ID" name:"oidc-client-id" placeholder:"ID" help:"How the provider knows Stile."`
	SecretFile string   `env:"STILE_OIDC_SECRET_FILE" name:"oidc-secret-file" placeholder:"FILE" help:"File with the client's secret. Or STILE_OIDC_SECRET in the environment."`
	AdminURL   string   `env:"STILE_ADMIN_URL" name:"admin-url" placeholder:"URL" help:"Address of this Stile as the dashboard's users know it: https://consent.shop.example."`
	RoleClaim  string   `env:"STILE_OIDC_ROLE_CLAIM" name:"oidc-role-claim" placeholder:"NAME" help:"Claim of the provider's token that says who has which role (groups, realm_access.roles)."`
	Roles      []string `env:"STILE_OIDC_ROLES" name:"oidc-roles" placeholder:"ROLE=VALUE" help:"What the claim's values mean: viewer=marketing,officer=privacy. Without it those get in whom stile user add --oidc made."`
}

// oidc reads them; nil where there is no provider.
func (f *oidcFlags) oidc() (*account.OIDC, error) {
	if f.Issuer == "" {
		if f.ClientID != "" || f.SecretFile != "" || f.RoleClaim != "" || len(f.Roles) > 0 {
			return nil, fmt.Errorf("the flags --oidc-... need --oidc-issuer: https://login.example")
		}
		return nil, nil
	}
	secret, err := f.secret()
	if err != nil {
		return nil, err
	}
	roles := map[string]account.Role{}
	for _, text := range f.Roles {
		name, value, found := strings.Cut(text, "=")
		role, err := account.ParseRole(name)
		switch {
		case !found || value == "":
			return nil, fmt.Errorf("--oidc-roles: %q is no ROLE=VALUE, like viewer=marketing", text)
		case err != nil:
			return nil, fmt.Errorf("--oidc-roles: %w", err)
		}
		roles[value] = max(roles[value], role)
	}
	return account.NewOIDC(account.OIDCOptions{
		Issuer: f.Issuer, ClientID: f.ClientID, ClientSecret: secret, Address: f.AdminURL, RoleClaim: f.RoleClaim, Roles: roles,
	})
}

func (f *oidcFlags) secret() (string, error) {
	secret := os.Getenv("STILE_OIDC_SECRET")
	if f.SecretFile == "" {
		return secret, nil
	}
	if secret != "" {
		return "", fmt.Errorf("there are two secrets: leave out STILE_OIDC_SECRET or --oidc-secret-file")
	}
	text, err := os.ReadFile(f.SecretFile)
	if err != nil {
		return "", fmt.Errorf("--oidc-secret-file: %w", err)
	}
	if secret = strings.TrimSpace(string(text)); secret == "" {
		return "", fmt.Errorf("--oidc-secret-file: the file is empty: put the client's secret into it, or leave the flag out for a public client")
	}
	return secret, nil
}
