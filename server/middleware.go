package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/region"
	"github.com/stilehq/stile/server/vendors"
)

// PageOptions are how the pages of a site are gated. The zero value gates those of the only site there is, with Stile's
// script on the pages' own host.
type PageOptions struct {
	Site    string   // its name, where the configuration has several; "": the only one
	Script  string   // address of Stile's script, as pages name it: "https://consent.shop.example/stile/shop.js"; "": /stile/{site}.js
	Unknown string   // category for which tags of hosts that nobody knows wait; "": they do not wait
	Own     []string // further hosts that are the site's own, "*." for any subdomain
	CSP     CSPMode
	Allow   string // what the pages load by themselves, as a policy has it: "script-src 'unsafe-inline'; font-src https://fonts.shop.example"
}

// CSPMode is what becomes of the content security policy of a visitor's consent state. A page that has it is made for that
// visitor, so that no cache keeps it; and where it is enforced, a page is loaded anew once its visitor has accepted more (unless
// it came from a form that was sent: there it loads from the next page on).
type CSPMode string

// The modes.
const (
	CSPOff     CSPMode = ""        // there is none
	CSPReport  CSPMode = "report"  // browsers report what it would stop
	CSPEnforce CSPMode = "enforce" // browsers stop it, beside what the page's own policy stops
)

// MiddlewareOptions are what a Middleware is made with, in the process of a site that has its Stile elsewhere.
type MiddlewareOptions struct {
	PageOptions
	Config string    // the site's file, or a folder of them
	Keys   keys.Ring // by which choices are signed; of those without any: those in Data
	Data   string    // the data folder of stile serve, of which nothing but the keys is read; "" where Keys has them

	RegionHeader string         // as in Options
	RegionFile   string         // as in Options
	Proxies      region.Proxies // as in Options

	Log *slog.Logger     // nil: the usual one
	Now func() time.Time // nil: the clock
}

// Middleware gates a site's pages on their way to the visitor: their tags wait for consent, and Stile's script stands first.
// All else passes as it is. What it does to a page is the same for every visitor, so that pages may be cached as before,
// unless a CSPMode is on or the page was made by ChoiceFrom.
//
//	stile, err := server.NewMiddleware(server.MiddlewareOptions{Config: "stile.yaml", Data: "data"})
//	http.ListenAndServe(address, stile.Handler(shop)) // or with echo: e.Use(stile.Echo)
type Middleware struct {
	options PageOptions
	log     *slog.Logger
	now     func() time.Time
	config  string
	current func() *gatedSite
	read    func() (*gatedSite, error) // anew; nil where a server does that
	kept    atomic.Pointer[gatedSite]
	reload  sync.Mutex // held while it is read anew
	untold  untold
	broken  http.HandlerFunc // answers where an answer broke off before its first byte; nil: the connection is broken
}

// gatedSite is all that pages are gated by. It never changes.
type gatedSite struct {
	*consent.Site
	judge  *page.Judge
	gate   *page.Gate
	part   *page.Gate // of a page, which a script asked for: without Stile's tag
	codec  *cookie.Codec
	region func(*http.Request) string
	mark   string // in the ETags of its pages: another one where they are gated otherwise
}

// NewMiddleware reads the site and the keys.
func NewMiddleware(o MiddlewareOptions) (*Middleware, error) {
	m := &Middleware{options: o.PageOptions, log: cmp.Or(o.Log, slog.Default()), now: o.Now, config: o.Config}
	if m.now == nil {
		m.now = time.Now
	}
	if err := m.options.check(); err != nil {
		return nil, err
	}
	lists := map[string][]string{}
	m.read = func() (*gatedSite, error) { return m.load(&o, lists) }
	site, err := m.read()
	if err != nil {
		return nil, err
	}
	m.kept.Store(site)
	m.current = m.today
	return m, nil
}

func (m *Middleware) load(o *MiddlewareOptions, lists map[string][]string) (*gatedSite, error) {
	options, err := ConfigOptions()
	if err != nil {
		return nil, err
	}
	sites, report := config.LoadAll(o.Config, options)
	if err := report.Err(); err != nil {
		return nil, err
	}
	site, err := named(sites, o.Site)
	if err != nil {
		return nil, err
	}
	ring := o.Keys
	if o.Data != "" {
		if ring, err = ring.Read(filepath.Join(o.Data, "keys")); err != nil {
			return nil, err
		}
	}
	if len(ring.Cookie) == 0 {
		return nil, errors.New("there is no key that choices are signed with: name the data folder of stile serve, which makes one on its first start")
	}
	codec, err := cookie.NewCodec(ring.Cookie)
	if err != nil {
		return nil, err
	}
	var regions *region.Database
	if o.RegionFile != "" {
		if regions, err = region.Open(o.RegionFile); err != nil {
			return nil, fmt.Errorf("the region file: %w", err)
		}
	}
	lists[site.List()] = site.Entries() // what was known before the last reload is known still
	site.Lists = maps.Clone(lists)
	where := func(r *http.Request) string { return regionOf(r, o.RegionHeader, o.Proxies, regions) }
	g, err := m.options.gated(site, options.Vendors, codec, where)
	if err != nil {
		return nil, err
	}
	return g.under(site.Policy.At(m.now())), nil
}

// under is the site under a policy. Its pages are gated as before.
func (g *gatedSite) under(p consent.Policy) *gatedSite {
	site, with := *g.Site, *g
	site.Policy, site.History = p, p.Versions()
	with.Site = &site
	return &with
}

// today is the site as it was read, from the day on which its next policy comes into force under that (F9).
func (m *Middleware) today() *gatedSite {
	g, now := m.kept.Load(), m.now()
	if next := g.Policy.Next; next == nil || now.Before(next.From) {
		return g
	}
	with := g.under(g.Policy.At(now))
	m.kept.CompareAndSwap(g, with) // unless it was read anew meanwhile
	return with
}

// named finds a site by its name.
func named(sites []*consent.Site, name string) (*consent.Site, error) {
	if name == "" && len(sites) == 1 {
		return sites[0], nil
	}
	var names []string
	for _, s := range sites {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if name == "" {
		return nil, fmt.Errorf("the configuration has several sites: say whose the pages are, one of %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("the configuration has no site %q: it has %s", name, strings.Join(names, ", "))
}

func (o *PageOptions) check() error {
	if !slices.Contains([]CSPMode{CSPOff, CSPReport, CSPEnforce}, o.CSP) {
		return fmt.Errorf("there is no mode %q of the content security policy: it is report or enforce, or not given", o.CSP)
	}
	if strings.ContainsAny(o.Allow, ",\r\n") {
		return errors.New("what pages may load is written as one policy, without commas: script-src 'unsafe-inline'; font-src https://fonts.shop.example")
	}
	if u, err := url.Parse(o.Script); err != nil || u.Fragment != "" || u.Host == "" && o.Script != "" && !strings.HasPrefix(u.Path, "/") {
		return fmt.Errorf("%q is no address of Stile's script: write /stile/shop.js or https://consent.shop.example/stile/shop.js", o.Script)
	}
	return nil
}

// gated makes what the pages of a site are gated by.
func (o *PageOptions) gated(site *consent.Site, library *vendors.Library, codec *cookie.Codec, where func(*http.Request) string) (*gatedSite, error) {
	if o.Unknown != "" && !slices.ContainsFunc(site.Categories, func(c consent.Category) bool { return c.Name == o.Unknown && !c.Required }) {
		return nil, fmt.Errorf("site %s has no category %q that unknown tags could wait for", site.Name, o.Unknown)
	}
	own := *site
	own.Own = append(slices.Clone(site.Own), o.Own...)
	script := cmp.Or(o.Script, "/stile/"+site.Name+".js")
	if u, err := url.Parse(script); err == nil && u.Host != "" {
		own.Own = append(own.Own, hosts.Of(u))
	}
	g := &gatedSite{Site: &own, codec: codec, region: where, judge: page.NewJudge(&own, library)}
	g.gate = page.NewGate(g.judge, page.GateOptions{Script: script, Unknown: o.Unknown})
	g.part = page.NewGate(g.judge, page.GateOptions{Unknown: o.Unknown})
	text, err := json.Marshal(&own)
	if err != nil {
		return nil, fmt.Errorf("naming the state of site %s: %w", site.Name, err)
	}
	build := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.String() // another Stile may gate otherwise
	}
	g.mark = markOf(string(text), script, o.Unknown, build)
	return g, nil
}

// markOf is 8 hex digits.
func markOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
}

// Middleware gates the pages of one of the server's sites by what the server knows, in its own process.
func (s *Server) Middleware(o PageOptions) (*Middleware, error) {
	m := &Middleware{options: o, log: s.log, now: s.now}
	if err := m.options.check(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var of *snapshot
	take := func(snap *snapshot) error {
		var sites []*consent.Site
		for _, st := range snap.sites {
			sites = append(sites, st.Site)
		}
		site, err := named(sites, o.Site)
		if err != nil {
			return err
		}
		g, err := m.options.gated(site, snap.vendors, snap.codec, s.region)
		if err != nil {
			return err
		}
		of = snap
		m.kept.Store(g)
		return nil
	}
	m.current = func() *gatedSite {
		mu.Lock()
		defer mu.Unlock()
		if snap := s.current.Load(); snap != of {
			if err := take(snap); err != nil {
				m.log.Error("pages are gated as before", "error", err)
				of = snap
			}
		}
		return m.kept.Load()
	}
	return m, take(s.current.Load())
}

// Reload reads the site and the keys anew. When something is wrong with them the old ones stay, and the error says what.
// Nothing has to be done where a server made the middleware.
func (m *Middleware) Reload() error {
	if m.read == nil {
		return nil
	}
	m.reload.Lock()
	defer m.reload.Unlock()
	site, err := m.read()
	if err != nil {
		m.log.Error("the new configuration is not used; the old one goes on", "error", err)
		return err
	}
	m.kept.Store(site)
	m.log.Info("configuration reloaded", "site", site.Name)
	return nil
}

// Watch reloads whenever the site's file changes, until ctx ends.
func (m *Middleware) Watch(ctx context.Context) error {
	if m.read == nil {
		return nil
	}
	wait, err := watch(ctx, m.config, m.log, func() { _ = m.Reload() }) // it logs what was wrong
	wait()
	return err
}

// Handler gates the pages of a handler: it has the shape that routers take for a middleware.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.serve(w, r, next.ServeHTTP)
	})
}

// Echo gates the pages of an echo handler, the answers to its errors too.
func (m *Middleware) Echo(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		outer := c.Response()
		defer c.SetResponse(outer)
		m.serve(outer, c.Request(), func(w http.ResponseWriter, r *http.Request) {
			c.SetRequest(r)
			c.SetResponse(echo.NewResponse(w, c.Echo()))
			if err = next(c); err != nil {
				c.Error(err) // it is answered while the answer is still gated
			}
		})
		return err
	}
}

func (m *Middleware) serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	site := m.current()
	v := &pageVisitor{site: site, request: r, now: m.now()}
	g := &pageWriter{ResponseWriter: w, m: m, site: site, visitor: v, request: r, mark: site.mark, declared: -1}
	if m.options.CSP != CSPOff {
		g.mark = markOf(site.mark, string(m.options.CSP), m.policy(v, scripts{}))
	}
	defer g.release()
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == http.ErrAbortHandler && g.broke(): //nolint:errorlint // net/http compares it like this
		default:
			panic(p)
		}
	}()
	next(g, g.condition(v.with(r)))
	g.finish()
}

// untold says once a path what cannot be gated there, for as many paths as fit.
type untold struct {
	mu    sync.Mutex
	paths map[string]bool
}

const mostTold = 256

func (u *untold) first(path string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.paths == nil {
		u.paths = map[string]bool{}
	}
	if u.paths[path] || len(u.paths) >= mostTold {
		return false
	}
	u.paths[path] = true
	return true
}
