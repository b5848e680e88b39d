package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/mail"
)

type mailCommand struct {
	Token  mailToken  `cmd:"" help:"Print the path of a mail's beacon (open), tracked link (click) or page of withdrawal (leave)."`
	Report mailReport `cmd:"" help:"Print how often each mail was opened and its links were followed, by visitors who allow that."`
}

// mailSite is the site whose mails a command is about.
type mailSite struct {
	Site   string `arg:"" help:"Name of the site."`
	Config string `env:"STILE_CONFIG" default:"stile.yaml" help:"The site's file, or a folder of them."`
	ledgerFlags
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *mailSite) load() (*consent.Site, error) {
	sites, report, err := loadSites(c.Config)
	if err := errors.Join(err, report.Err()); err != nil {
		return nil, err
	}
	names := make([]string, len(sites))
	for i, s := range sites {
		if s.Name == c.Site && s.Mail == nil {
			return nil, fmt.Errorf("site %s does not count its mails: add mail: {category: ...} to its stile.yaml", s.Name)
		}
		if s.Name == c.Site {
			return s, nil
		}
		names[i] = s.Name
	}
	return nil, fmt.Errorf("there is no site %q in %s: it has %s", c.Site, c.Config, join(names))
}

type mailToken struct {
	mailSite
	Kind    string   `required:"" help:"open, click or leave."`
	Receipt string   `required:"" help:"Id of a consent record of the recipient's."`
	Message string   `required:"" help:"The newsletter's own name for the mail: letters, digits, dot, dash and underscore."`
	To      string   `placeholder:"URL" help:"Where a click leads."`
	Expires string   `placeholder:"400d" help:"How long it holds, in days; at most 800d."`
	Base    string   `placeholder:"URL" help:"The consent host, https://consent.shop.example, to print the whole URL."`
	Keys    []string `env:"STILE_KEYS" placeholder:"HEX" help:"Signing keys, as stile serve has them. Without any those of the data folder are used."`
}

// mintedToken is a token as it is printed.
type mintedToken struct {
	Token   string    `json:"token"`
	URL     string    `json:"url"` // a path without --base
	Expires time.Time `json:"expires"`
}

// Run mints a token with the keys of the server.
func (c *mailToken) Run(std streams) error {
	site, err := c.load()
	if err != nil {
		return err
	}
	link, err := c.link(time.Now())
	if err != nil {
		return err
	}
	secrets, err := signingKeys(c.Keys, c.Data)
	if err != nil {
		return err
	}
	codec, err := mail.NewCodec(secrets)
	if err != nil {
		return err
	}
	token, err := codec.Mint(site, link, time.Now())
	if err != nil {
		return err
	}
	minted := mintedToken{Token: token, URL: strings.TrimSuffix(c.Base, "/") + mail.Path(site.Name, link.Kind, token), Expires: link.Expires}
	if c.JSON {
		return printJSON(std.out, minted)
	}
	fmt.Fprintln(std.out, minted.URL)
	return nil
}

func (c *mailToken) link(now time.Time) (l mail.Link, err error) {
	if u, err := url.Parse(c.Base); c.Base != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "") {
		return l, fmt.Errorf("--base %q is not an origin: write it like https://consent.shop.example", c.Base)
	}
	if l.Kind, err = mail.ParseKind(c.Kind); err != nil {
		return l, err
	}
	if l.Receipt, err = uuid.Parse(c.Receipt); err != nil || len(c.Receipt) != 36 {
		return l, fmt.Errorf("receipt is %.80q: it is the id of a consent record, a UUID", c.Receipt)
	}
	span, err := mail.ParseExpiry(c.Expires)
	if err != nil {
		return l, err
	}
	l.Message, l.To, l.Expires = c.Message, c.To, now.Add(span).UTC().Truncate(time.Second)
	return l, nil
}

// signingKeys are those that were given, or those of a data folder. None is made: a token that no server believes is of no
// use.
func signingKeys(given []string, data string) ([]keys.Secret, error) {
	ring, err := givenKeys{Keys: given}.ring()
	if err != nil || len(ring.Cookie) > 0 {
		return ring.Cookie, err
	}
	folder := filepath.Join(data, "keys")
	if ring, err = keys.Read(folder); err == nil && len(ring.Cookie) == 0 {
		err = fmt.Errorf("there are no keys in %s: name the folder that stile serve uses with --data", folder)
	}
	return ring.Cookie, err
}

type mailReport struct{ mailSite }

// countedMail is a mail as it is printed.
type countedMail struct {
	Message  string `json:"message"`
	Opens    int    `json:"opens"`
	Openers  int    `json:"openers"`
	Clicks   int    `json:"clicks"`
	Clickers int    `json:"clickers"`
}

// Run prints what the ledger has of each mail, as far back as the site keeps it.
func (c *mailReport) Run(ctx context.Context, std streams) (err error) {
	site, err := c.load()
	if err != nil {
		return err
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.MailReport(ctx, site.Name, time.Now().Add(-site.Mail.Log))
	if err != nil {
		return err
	}
	list := make([]countedMail, len(found))
	for i, m := range found {
		list[i] = countedMail(m)
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tOPENS\tBY\tCLICKS\tBY")
	for _, m := range list {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\n", m.Message, m.Opens, m.Openers, m.Clicks, m.Clickers)
	}
	return t.Flush()
}
