package main

import (
	"context"
	"fmt"
	"time"

	"github.com/stilehq/stile/server"
)

type proxyCommand struct {
	serveCommand
	To       string        `required:"" env:"STILE_PROXY_TO" placeholder:"URL" help:"The site: http://10.1.0.5:8080. Private addresses are fine."`
	Site     string        `env:"STILE_PROXY_SITE" placeholder:"NAME" help:"Which of the configuration's sites it is, where there are several."`
	KeepHost bool          `env:"STILE_PROXY_KEEP_HOST" help:"Pass the visitor's Host on to the site, in place of its own."`
	Admin    string        `env:"STILE_PROXY_ADMIN" placeholder:"ADDRESS" help:"Address to listen on for the dashboard: 127.0.0.1:8082. It is never on the pages' own origin, where every tag could use it; publish it on a host of its own."`
	Timeout  time.Duration `env:"STILE_PROXY_TIMEOUT" default:"30s" help:"How long the site may take to begin an answer, and to go on with a page."`
	Unknown  string        `env:"STILE_PROXY_UNKNOWN" placeholder:"CATEGORY" help:"Let tags of hosts that nobody knows wait for this category: marketing. They do not wait otherwise."`
	Own      []string      `env:"STILE_PROXY_OWN" placeholder:"HOST" help:"Further hosts that are the site's own: *.cdn.shop.example."`
	CSP      string        `name:"csp" env:"STILE_PROXY_CSP" enum:"off,report,enforce" default:"off" help:"Add the content security policy of the visitor's consent state, to be reported or enforced. Pages are private to the visitor then; where it is enforced, a page loads anew once its visitor has accepted more."`
	Allow    string        `name:"csp-allow" env:"STILE_PROXY_CSP_ALLOW" placeholder:"POLICY" help:"What the pages load by themselves: script-src 'unsafe-inline'; font-src https://fonts.shop.example"`
}

// Run serves Stile, and the site behind it.
func (c *proxyCommand) Run(ctx context.Context, std streams) error {
	to, err := server.ParseTarget(c.To)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	opts, err := c.server(std)
	if err != nil {
		return err
	}
	pages := server.PageOptions{Site: c.Site, Unknown: c.Unknown, Own: c.Own, Allow: c.Allow}
	if c.CSP != "off" {
		pages.CSP = server.CSPMode(c.CSP)
	}
	opts.Proxy = &server.ProxyOptions{PageOptions: pages, To: to, KeepHost: c.KeepHost, Admin: c.Admin, Timeout: c.Timeout}
	return c.serve(ctx, opts)
}
