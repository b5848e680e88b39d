package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/ledger"
)

type userCommand struct {
	Add      addUser      `cmd:"" help:"Let somebody open the dashboard. Asks for their password."`
	List     listUsers    `cmd:"" help:"Print who may."`
	Remove   removeUser   `cmd:"" help:"Let them no more, and end their sessions."`
	Password passwordUser `cmd:"" help:"Give a user another password, and end their sessions."`
	Role     roleUser     `cmd:"" help:"Give a user another role, and end their sessions."`
	Sessions sessionsUser `cmd:"" help:"Print a user's sessions, or end them."`
}

// userFlags are those of all that changes a user.
type userFlags struct {
	By string `env:"STILE_OPERATOR" placeholder:"NAME" help:"Who does it, for the audit trail."`
	ledgerFlags
}

// Validate refuses an operator's name that is none.
func (f *userFlags) Validate() error { return checkOperator(f.By) }

func (f *userFlags) with(ctx context.Context, fn func(a *account.Accounts, by string) error) (err error) {
	db, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(account.New(account.Options{Store: db}), ledger.Operator(f.By))
}

// passwordFlags say where a password comes from: never from an argument or the environment, which others can read.
type passwordFlags struct {
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input, one line, and do not ask."`
}

// read asks for a password twice, without showing it, or reads a line.
func (f passwordFlags) read(std streams) (string, error) {
	if f.PasswordStdin {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 8<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", errors.New("there is no terminal to ask for the password: pass it by standard input with --password-stdin")
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(std.err, prompt)
		text, err := term.ReadPassword(in)
		fmt.Fprintln(std.err)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two are not the same: nothing was changed")
	}
	return typed[0], nil
}

type addUser struct {
	Name    string `arg:"" help:"1 to 64 of a-z, 0-9 and .@_-"`
	Role    string `enum:"viewer,officer,admin" required:"" help:"viewer: figures, tags, the simulator. officer: records, requests and the audit trail too. admin: all."`
	OIDC    string `name:"oidc" placeholder:"ISSUER" help:"They log in at this OpenID provider, and have no password here: https://login.example."`
	Subject string `placeholder:"SUB" help:"With --oidc: who they are there (sub)."`
	Email   string `placeholder:"ADDRESS" help:"With --oidc, in place of --subject: their address there, if the provider says that it is verified."`
	passwordFlags
	userFlags
}

// Validate refuses what does not go together.
func (c *addUser) Validate() error {
	switch {
	case c.OIDC == "" && (c.Subject != "" || c.Email != ""):
		return errors.New("--subject and --email go with --oidc")
	case c.OIDC != "" && (c.Subject == "") == (c.Email == ""):
		return errors.New("--oidc goes with either --subject or --email")
	case c.OIDC != "" && c.PasswordStdin:
		return errors.New("who logs in by --oidc has no password: leave out --password-stdin")
	}
	return c.userFlags.Validate()
}

// Run makes a user.
func (c *addUser) Run(ctx context.Context, std streams) error {
	name, err := account.CanonicalName(c.Name)
	if err != nil {
		return err
	}
	role, err := account.ParseRole(c.Role)
	if err != nil {
		return err
	}
	u := account.User{Name: name, Role: role, Issuer: c.OIDC, Subject: c.Subject}
	if c.Email != "" {
		u.Subject = account.EmailSubject(c.Email)
	}
	return c.with(ctx, func(a *account.Accounts, by string) error {
		password := ""
		if c.OIDC == "" {
			if password, err = c.read(std); err != nil {
				return err
			}
		}
		if err := a.Add(ctx, by, u, password); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "%s may open the dashboard as %s\n", name, role)
		return nil
	})
}

type listUsers struct {
	ledgerFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// listedUser is a user as printed.
type listedUser struct {
	Name     string     `json:"name"`
	Role     string     `json:"role"`
	Issuer   string     `json:"issuer,omitempty"`
	Subject  string     `json:"subject,omitempty"`
	Created  time.Time  `json:"created"`
	Sessions int        `json:"sessions"`
	Seen     *time.Time `json:"seen,omitempty"`
}

// Run prints the users.
func (c *listUsers) Run(ctx context.Context, std streams) (err error) {
	return (&userFlags{ledgerFlags: c.ledgerFlags}).with(ctx, func(a *account.Accounts, _ string) error {
		found, err := a.Users(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			list := []listedUser{}
			for _, u := range found {
				l := listedUser{Name: u.Name, Role: u.Role.String(), Issuer: u.Issuer, Subject: u.Subject, Created: u.Created, Sessions: u.Sessions}
				if !u.Seen.IsZero() {
					l.Seen = &u.Seen
				}
				list = append(list, l)
			}
			return printJSON(std.out, list)
		}
		t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tROLE\tLOGS IN BY\tSESSIONS\tSEEN")
		for _, u := range found {
			by, seen := "password", "-"
			if u.Issuer != "" {
				by = u.Issuer
			}
			if !u.Seen.IsZero() {
				seen = u.Seen.Format(time.RFC3339)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", u.Name, u.Role, by, u.Sessions, seen)
		}
		return t.Flush()
	})
}

// oneUser is who a command is about.
type oneUser struct {
	Name string `arg:"" help:"Name of the user."`
	userFlags
}

// change does something about a user, and says what was done.
func (c *oneUser) change(ctx context.Context, std streams, done string, fn func(a *account.Accounts, by, name string) error) error {
	name := strings.ToLower(strings.TrimSpace(c.Name))
	err := c.with(ctx, func(a *account.Accounts, by string) error { return fn(a, by, name) })
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(std.err, "stile: there is no user %q: stile user list lists them\n", name)
		return errFound
	}
	if err == nil && done != "" {
		fmt.Fprintf(std.out, done+"\n", name)
	}
	return err
}

type removeUser struct{ oneUser }

// Run removes a user.
func (c *removeUser) Run(ctx context.Context, std streams) error {
	return c.change(ctx, std, "%s may open the dashboard no more", func(a *account.Accounts, by, name string) error { return a.Remove(ctx, by, name) })
}

type passwordUser struct {
	oneUser
	passwordFlags
}

// Run gives a user another password.
func (c *passwordUser) Run(ctx context.Context, std streams) error {
	return c.change(ctx, std, "%s has another password, and no sessions", func(a *account.Accounts, by, name string) error {
		password, err := c.read(std)
		if err != nil {
			return err
		}
		return a.SetPassword(ctx, by, name, password)
	})
}

type roleUser struct {
	oneUser
	Role string `arg:"" enum:"viewer,officer,admin" help:"viewer, officer or admin."`
}

// Run gives a user another role.
func (c *roleUser) Run(ctx context.Context, std streams) error {
	role, err := account.ParseRole(c.Role)
	if err != nil {
		return err
	}
	return c.change(ctx, std, "%s is "+role.String()+", and has no sessions", func(a *account.Accounts, by, name string) error {
		return a.SetRole(ctx, by, name, role)
	})
}

type sessionsUser struct {
	oneUser
	End bool `help:"End them all."`
}

// Run prints a user's sessions, or ends them.
func (c *sessionsUser) Run(ctx context.Context, std streams) error {
	if c.End {
		return c.change(ctx, std, "%s has no sessions", func(a *account.Accounts, by, name string) error { return a.EndAll(ctx, by, name) })
	}
	return c.change(ctx, std, "", func(a *account.Accounts, _, name string) error {
		found, err := a.Sessions(ctx, name)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "BEGUN\tLAST USED")
		for _, s := range found {
			fmt.Fprintf(t, "%s\t%s\n", s.Created.Format(time.RFC3339), s.Seen.Format(time.RFC3339))
		}
		return t.Flush()
	})
}
