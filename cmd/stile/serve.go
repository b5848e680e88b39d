package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/region"
)

type serveCommand struct {
	givenKeys
	oidcFlags
	alertFlags
	Path         string   `arg:"" optional:"" help:"A site's file, or a folder of them."`
	Config       string   `env:"STILE_CONFIG" default:"stile.yaml" help:"The same as PATH."`
	Listen       string   `env:"STILE_LISTEN" default:"127.0.0.1:8081" help:"Address to listen on."`
	Data         string   `env:"STILE_DATA" default:"data" help:"Folder for keys and records; made if it is not there."`
	Database     string   `env:"STILE_DATABASE" placeholder:"URL" help:"PostgreSQL for the records, in place of a file in the data folder: postgres://USER@HOST/NAME (better by the environment, for its password). Choices are kept in the data folder while it is away."`
	RegionHeader string   `env:"STILE_REGION_HEADER" placeholder:"NAME" help:"Header in which your proxy names the visitor's region (CF-IPCountry). Only for a proxy that sets it itself."`
	RegionFile   string   `env:"STILE_REGION_FILE" placeholder:"FILE" help:"MaxMind database (.mmdb) of yours that tells a visitor's region by address, where no header does."`
	Proxies      []string `env:"STILE_TRUSTED_PROXIES" name:"trusted-proxies" placeholder:"CIDR" help:"Proxies that are believed about a visitor's address (X-Forwarded-For): 10.0.0.0/8. It is looked up and not kept."`
	Forward      []string `env:"STILE_FORWARD_NETWORKS" name:"forward-networks" placeholder:"CIDR" help:"Networks of your own that pixels, events and alerts may be sent to, although they are not public: 10.1.0.0/16."`
	EventKeyFile string   `env:"STILE_EVENT_KEY_FILE" placeholder:"FILE" help:"File with the key by which your own server sends events: at least 32 characters. Or STILE_EVENT_KEY in the environment."`
	MailKeyFile  string   `env:"STILE_MAIL_KEY_FILE" placeholder:"FILE" help:"File with the key by which a mailer asks for tokens: at least 32 characters. Or STILE_MAIL_KEY in the environment."`
	LogFormat    string   `env:"STILE_LOG_FORMAT" enum:"text,json" default:"text" help:"Format of the log: text or json."`
}

func (c *serveCommand) Run(ctx context.Context, std streams) error {
	opts, err := c.server(std)
	if err != nil {
		return err
	}
	return c.serve(ctx, opts)
}

// server is what the server is started with.
func (c *serveCommand) server(std streams) (opts server.Options, err error) {
	log := newLog(std.err, c.LogFormat)
	proxies, err := region.ParseProxies(c.Proxies)
	if err != nil {
		return opts, fmt.Errorf("--trusted-proxies: %w", err)
	}
	networks, err := parseNetworks(c.Forward)
	if err != nil {
		return opts, fmt.Errorf("--forward-networks: %w", err)
	}
	opts = server.Options{
		Listen: c.Listen, Config: c.Config, Data: c.Data, Database: c.Database, RegionHeader: c.RegionHeader, RegionFile: c.RegionFile, Proxies: proxies, ForwardNetworks: networks, Log: log,
	}
	if opts.EventKey, err = bearerKey("event", c.EventKeyFile); err != nil {
		return opts, err
	}
	if c.Path != "" {
		opts.Config = c.Path
	}
	if opts.Keys, err = c.ring(); err != nil {
		return opts, err
	}
	if opts.OIDC, err = c.oidc(); err != nil {
		return opts, err
	}
	if opts.MailKey, err = bearerKey("mail", c.MailKeyFile); err != nil {
		return opts, err
	}
	opts.AdminURL = c.AdminURL
	opts.Alerts, err = c.options()
	return opts, err
}

// serve serves until ctx ends, and reloads on SIGHUP.
func (c *serveCommand) serve(ctx context.Context, opts server.Options) error {
	s, err := server.New(ctx, opts)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go func() {
		for {
			select {
			case <-hangup:
				_ = s.Reload(ctx) // it logs what was wrong
			case <-ctx.Done():
				return
			}
		}
	}()
	opts.Log.Info("serving", "address", "http://"+s.Addr().String())
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && !loopback(host) {
		opts.Log.Warn("Stile speaks plain HTTP: put a proxy with TLS in front of it, which sets X-Forwarded-Proto, or the choice cookie goes without Secure")
	}
	return s.Run(ctx)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func newLog(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
