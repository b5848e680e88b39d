package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/examples/shop/thirdparty"
	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/ledger"
)

type demoCommand struct {
	Listen string `env:"STILE_LISTEN" default:"127.0.0.1:8080" help:"Address of the shop, on loopback; the others take free ports."`
	Data   string `env:"STILE_DATA" placeholder:"FOLDER" help:"Keep keys and records here; without it they are gone at the end."`
}

func (c *demoCommand) Run(ctx context.Context, std streams) error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || !loopback(host) {
		return fmt.Errorf("the demo stays on loopback: --listen %s is not host:port there", c.Listen)
	}
	data := c.Data
	if data == "" {
		if data, err = os.MkdirTemp("", "stile-demo-"); err != nil {
			return fmt.Errorf("making a folder for the demo: %w", err)
		}
		defer os.RemoveAll(data)
	}
	d := &demo{parties: thirdparty.New(), urls: map[string]string{}}
	defer d.stop()
	if err := d.start(ctx, c.Listen, host, data, std); err != nil {
		return err
	}
	fmt.Fprintf(std.out, `The example shop (made up; nothing is sold) is open:

  %s            the shop: choose in the banner, look around
  %s/received   what the third parties have received, live
  %s/stile/shop/preferences   every choice on one page
  %s/admin/   the dashboard, with simulated visitors: log in as %s, password %s

Stand-ins: counter %s, pixels %s %s, chat %s, video %s
Ctrl-C ends it.
`, d.urls["shop"], d.urls["shop"], d.urls["stile"], d.urls["stile"], demoUser, d.password, d.urls["counter"], d.urls["pixel-a"], d.urls["pixel-b"], d.urls["chat"], d.urls["video"])
	<-ctx.Done()
	return nil
}

// demo is the servers of the demo.
type demo struct {
	parties *thirdparty.Parties
	urls    map[string]string
	// password of the dashboard's user: another one at each start
	password string
	servers  []*http.Server
	running  sync.WaitGroup
	end      context.CancelFunc // of the consent host
}

func (d *demo) start(ctx context.Context, listen, host, data string, std streams) error {
	for _, p := range d.parties.Parties() {
		if err := d.serve(ctx, p.Name, net.JoinHostPort(host, "0"), d.parties.Handler(p.Name)); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; end what uses it, or name another with --listen", listen, err)
	}
	d.urls["shop"] = "http://" + l.Addr().String()
	stile, err := d.consentHost(ctx, host, data, std)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.urls["stile"] = "http://" + stile
	d.accept(l, shop.Handler(shop.Options{
		Script: d.urls["stile"] + "/stile/shop.js", Frame: d.urls["stile"] + "/stile/shop/banner", Policy: d.urls["stile"] + "/stile/shop/policy",
		Video: d.urls["video"], Parties: d.parties,
	}))
	return nil
}

// consentHost starts Stile itself on the shop's own configuration, and returns its address.
func (d *demo) consentHost(ctx context.Context, host, data string, std streams) (string, error) {
	site := filepath.Join(data, "site")
	if err := os.CopyFS(site, shop.Files()); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("writing the demo's configuration: %w", err)
	}
	config := shop.Config(shop.Hosts{
		Shop: d.urls["shop"], Counter: d.urls["counter"], PixelA: d.urls["pixel-a"], PixelB: d.urls["pixel-b"], Chat: d.urls["chat"],
	})
	config = append(config, "\nsightings: 1\n"...) // each page view of the demo reports what it loaded
	quiet := slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelError}))
	options := server.Options{
		Listen: net.JoinHostPort(host, "0"), Config: site, Data: data, Log: quiet, Note: simulatedNote, RegionHeader: demoRegion,
	}
	if _, err := os.Stat(filepath.Join(data, "stile.db")); errors.Is(err, fs.ErrNotExist) {
		if err := pretend(ctx, options, "shop", config); err != nil {
			return "", err
		}
	} else if err := renew(options, config); err != nil {
		return "", err
	}
	s, err := server.New(ctx, options)
	if err != nil {
		return "", err
	}
	if d.password, err = letIn(ctx, s.Accounts()); err != nil {
		return "", errors.Join(err, s.Stop(ctx))
	}
	run, end := context.WithCancel(ctx)
	d.end = end
	d.running.Go(func() {
		if err := s.Run(run); err != nil {
			quiet.Error("the consent host ended", "error", err)
		}
	})
	return s.Addr().String(), nil
}

// demoUser opens the demo's dashboard.
const demoUser = "demo"

// letIn gives the dashboard's user a new password: whoever reads it on this terminal may log in, and nobody else.
func letIn(ctx context.Context, a *account.Accounts) (password string, err error) {
	password = rand.Text()
	users, err := a.Users(ctx)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(users, func(u account.Entry) bool { return u.Name == demoUser }) {
		return password, a.SetPassword(ctx, ledger.Operator(demoUser), demoUser, password)
	}
	return password, a.Add(ctx, ledger.Operator(demoUser), account.User{Name: demoUser, Role: account.Admin}, password)
}

func (d *demo) serve(ctx context.Context, name, listen string, h http.Handler) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", listen, err)
	}
	d.urls[name] = "http://" + l.Addr().String()
	d.accept(l, h)
	return nil
}

func (d *demo) accept(l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	srv.RegisterOnShutdown(d.parties.Close)
	d.servers = append(d.servers, srv)
	d.running.Go(func() { _ = srv.Serve(l) }) // it ends with ErrServerClosed
}

func (d *demo) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, srv := range d.servers {
		_ = srv.Shutdown(ctx) // what is still open after that ends with the process
	}
	if d.end != nil {
		d.end()
	}
	d.running.Wait()
}
