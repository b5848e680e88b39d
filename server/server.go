// Package server answers visitors over HTTP: the script, the choice, the preferences. It reads what a visit is, has
// consent decide it and the gate draw it, and keeps the evidence in the ledger.
//
// A Server is made by New, which binds its port, and serves in Run until its context ends. What can be configured while it
// runs (the sites, the signing keys) is one immutable snapshot: Reload makes a new one, or keeps the old one and says why.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/alert"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
	"github.com/stilehq/stile/server/region"
	"github.com/stilehq/stile/server/tally"
)

// Options are what a server is started with.
type Options struct {
	Listen       string         // host:port
	Config       string         // a site's file, or a folder of them
	Data         string         // folder for keys and database, made if it is not there
	Database     string         // postgres://...: the ledger is there, and not in Data; choices are spooled in Data while it is away
	Keys         keys.Ring      // signing keys; of a kind that has none: those in Data, made on first start
	RegionHeader string         // header in which a trusted proxy names the visitor's region, "" for none
	RegionFile   string         // MaxMind database that tells a region by address, "" for none
	Proxies      region.Proxies // which are believed about the visitor's address
	MailKey      string         // by which a mailer asks for tokens, 32 characters or more; "": none may
	OIDC         *account.OIDC  // where users of the dashboard log in too, or nil
	EventKey     string         // by which a site's own server sends events, "" for none

	ForwardNetworks []netip.Prefix // networks that are not public and that vendors may be in all the same

	AdminURL string // origin of the dashboard, for links in alerts: https://consent.shop.example; "" for none
	Alerts   AlertOptions
	Proxy    *ProxyOptions // the site that is behind this server, or nil
	Note     string        // said on every page of the dashboard: that its figures are made up

	Log *slog.Logger
	Now func() time.Time // nil: the clock
}

// Server serves the sites of a configuration.
type Server struct {
	opts     Options
	log      *slog.Logger
	now      func() time.Time
	echo     *echo.Echo
	handler  http.Handler // echo, and the site behind it
	http     *http.Server
	listener net.Listener

	adminHTTP     *http.Server // nil: the dashboard has no port of its own
	adminListener net.Listener

	ledger   *ledger.Ledger
	merkle   publicLog // nil: no log is published
	outbox   *outbox.Outbox
	figures  *tally.Tally
	metrics  *metrics
	accounts *account.Accounts
	admin    http.Handler // the dashboard
	exports  *export.Jobs // of it
	alerts   *alert.Engine
	observed observed
	refused  atomic.Pointer[refusal] // the last reload, where it failed
	started  time.Time
	guests   http.Handler // what is shared of it
	current  atomic.Pointer[snapshot]
	asking   asking
	saidAway atomic.Int64 // unix nanoseconds, see away
	reload   sync.Mutex   // held while the snapshot is replaced
	stopped  bool         // the last snapshot is closed; guarded by reload
	due      *time.Timer  // reloads when a policy comes into force, or nil; guarded by reload
	cleanups []cleanup    // last in, first out
	stop     sync.Once
	stopErr  error
}

type cleanup struct {
	name string
	run  func(context.Context) error
}

// New opens the ledger, loads keys and sites, and binds the port. On an error everything is as it was.
func New(ctx context.Context, opts Options) (_ *Server, err error) {
	s := &Server{opts: opts, log: opts.Log, now: opts.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.started = s.now()
	defer func() {
		if err != nil {
			_ = s.Stop(ctx) // the error that stopped the start counts
		}
	}()
	if err := opts.checkMailKey(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Data, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w; name one that can be written with --data", err)
	}
	db, err := ledger.Open(ctx, ledger.Options{
		Path: filepath.Join(opts.Data, "stile.db"), URL: opts.Database, Spool: filepath.Join(opts.Data, "spool.db"), Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.ledger, s.merkle = db, db
	s.onStop("ledger", func(context.Context) error { return db.Close() })
	s.figures = tally.Open(tally.Options{Database: db, Now: s.now, Log: s.log})
	s.onStop("tally", s.figures.Close)
	s.metrics = newMetrics(db)
	s.metrics.registry.MustRegister(figuresMetric(s.figures))
	snap, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	s.current.Store(snap)
	s.expect(snap)
	s.ledger.Sign(snap.keys.Log[0].NoteSigner())
	s.onStop("gates", func(context.Context) error {
		s.reload.Lock()
		defer s.reload.Unlock()
		s.stopped = true
		if s.due != nil {
			s.due.Stop()
		}
		s.current.Load().close()
		return nil
	})
	if err := s.openOutbox(ctx); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", opts.Listen); err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; end what uses it, or name another with --listen", opts.Listen, err)
	}
	s.onStop("listener", func(context.Context) error { _ = s.listener.Close(); return nil })
	if err := s.openAlerts(); err != nil {
		return nil, err
	}
	if err := s.openDashboard(); err != nil {
		return nil, err
	}
	s.echo = s.routes()
	if s.handler, err = s.front(); err != nil {
		return nil, err
	}
	s.http = s.newHTTP(s.handler)
	if err := s.openAdmin(ctx); err != nil {
		return nil, err
	}
	s.onStop("requests", s.endRequests)
	return s, nil
}

func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		// Header and body share one deadline, and answers have none, since they fit the socket's buffer: each deadline is
		// paid for on every request.
		Handler: h, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}
}

// endRequests waits for those that are under way. What does not end by itself, such as a stream of the site's, is cut off then:
// what has to be stored needs the rest of the time.
func (s *Server) endRequests(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, graceTime)
	defer cancel()
	var errs []error
	for _, h := range []*http.Server{s.http, s.adminHTTP} {
		if h == nil {
			continue
		}
		err := h.Shutdown(ctx)
		if err != nil && ctx.Err() != nil {
			err = h.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Server) onStop(name string, run func(context.Context) error) {
	s.cleanups = append(s.cleanups, cleanup{name, run})
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Handler serves requests without the listener, for tests and benchmarks.
func (s *Server) Handler() http.Handler { return s.handler }

// stopTime bounds how long a stop may take, graceTime how long it waits for requests.
const (
	stopTime  = 10 * time.Second
	graceTime = 5 * time.Second
)

// Run serves until ctx ends, then stops. Meanwhile it reloads when the configuration's files change.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched, err := s.watch(ctx)
	if err != nil {
		s.log.Warn("the configuration is not watched: reload it by SIGHUP", "error", err)
	}
	var jobs sync.WaitGroup
	jobs.Go(func() { s.retain(ctx) })
	jobs.Go(func() { s.alerts.Run(ctx) })
	failed := make(chan error, 2)
	go func() { failed <- s.http.Serve(s.listener) }()
	if s.adminHTTP != nil {
		go func() { failed <- s.adminHTTP.Serve(s.adminListener) }()
	}
	select {
	case err = <-failed:
		if errors.Is(err, http.ErrServerClosed) {
			err = nil // Stop was called
		}
	case <-ctx.Done():
		err = nil
	}
	cancel()
	watched()
	jobs.Wait()
	end, late := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer late()
	return errors.Join(err, s.Stop(end))
}

// Stop ends requests, then what they used, and stores what is waiting. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		var errs []error
		for i := len(s.cleanups) - 1; i >= 0; i-- {
			c := s.cleanups[i]
			if err := c.run(ctx); err != nil {
				errs = append(errs, fmt.Errorf("stopping %s: %w", c.name, err))
			}
		}
		s.stopErr = errors.Join(errs...)
	})
	return s.stopErr
}

// Reload reads keys and sites anew. When something is wrong with them the old ones stay, and the error says what.
func (s *Server) Reload(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.stopped {
		return errors.New("the server has stopped")
	}
	snap, err := s.load(ctx)
	s.refuse(err)
	if err != nil {
		s.log.Error("the new configuration is not used; the old one goes on", "error", err)
		return err
	}
	s.current.Swap(snap).close()
	s.expect(snap)
	s.ledger.Sign(snap.keys.Log[0].NoteSigner())
	s.log.Info("configuration reloaded", "sites", len(snap.sites))
	return nil
}

// expect reloads on the day on which the next policy comes into force (F9).
func (s *Server) expect(snap *snapshot) {
	if s.due != nil {
		s.due.Stop()
		s.due = nil
	}
	var first time.Time
	for _, st := range snap.sites {
		if next := st.Policy.Next; next != nil && (first.IsZero() || next.From.Before(first)) {
			first = next.From
		}
	}
	if !first.IsZero() {
		s.due = time.AfterFunc(first.Sub(s.now()), func() { _ = s.Reload(context.Background()) }) // it logs what was wrong
	}
}

// warn logs a report's warnings, one a line.
func (s *Server) warn(r config.Report) {
	for _, p := range r.Problems {
		if p.Severity == config.Warning {
			s.log.Warn("configuration", "file", p.File, "line", p.Line, "warning", p.Message)
		}
	}
}
