package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite"

	"github.com/stilehq/stile/examples/shop"
	stileserver "github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/merkle"
	"github.com/stilehq/stile/server/tally"
)

// pageGoal is the most that a page of the dashboard takes on the server, in the median (issue 6).
const pageGoal = 100 * time.Millisecond

// dashboardSize is how much the dashboard is measured on.
type dashboardSize struct{ sites, records, days, requests int }

var (
	fullDashboard  = dashboardSize{sites: 50, records: 10_000_000, days: 365, requests: 50}
	smallDashboard = dashboardSize{sites: 5, records: 100_000, days: 365, requests: 20}
)

// measureDashboard builds a year of figures and the records behind them, and prints how long each page of the dashboard takes.
func measureDashboard(ctx context.Context, s settings, folder, binary string) error {
	size := fullDashboard
	if s.small {
		size = smallDashboard
	}
	d := &dashboard{dashboardSize: size, folder: filepath.Join(folder, "dashboard"), binary: binary}
	defer os.RemoveAll(d.folder) // it is large
	fmt.Printf("\ndashboard, %d days of %d sites, %d records, the ledger in %s\n\n", size.days, size.sites, size.records, d.folder)
	if err := d.build(ctx); err != nil {
		return fmt.Errorf("building the set: %w", err)
	}
	p, err := start(ctx, "", binary, "serve", filepath.Join(d.folder, "sites"), "--listen", "127.0.0.1:0", "--data", d.data())
	if err != nil {
		return err
	}
	defer p.stop()
	if err := d.login(ctx, p); err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	return d.pages(ctx, p)
}

type dashboard struct {
	dashboardSize
	folder string
	binary string
	client *http.Client
	cookie string
	link   string // of the shared view: its path
}

func (d *dashboard) data() string { return filepath.Join(d.folder, "data") }

func (d *dashboard) site(i int) string { return fmt.Sprintf("site%02d", i) }

func (d *dashboard) build(ctx context.Context) error {
	began := time.Now()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{{"configuration", d.configure}, {"figures", d.count}, {"records", d.fill}, {"tree of the log", d.seal}, {"users", d.user}} {
		at := time.Now()
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%-16s %v\n", step.name, time.Since(at).Round(time.Millisecond))
	}
	info, err := os.Stat(filepath.Join(d.data(), "stile.db"))
	if err != nil {
		return err
	}
	sheets, err := d.sheets(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("built in %v: %.0f MB, of which figures take %.0f kB a site and year\n\n", time.Since(began).Round(time.Second), float64(info.Size())/1e6,
		float64(sheets)/1e3/float64(d.sites))
	return nil
}

// configure makes the sites, all like the example shop, in two languages: what is compressed at the start is not what is measured.
func (d *dashboard) configure(context.Context) error {
	folder := filepath.Join(d.folder, "sites")
	if err := os.CopyFS(folder, shop.Files()); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "stile.yaml"))
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(folder, "stile.yaml")); err != nil {
		return err
	}
	for i := range d.sites {
		one := strings.NewReplacer("site: shop", "site: "+d.site(i), "languages: [en, de, zh-Hans, ar]", "languages: [en, de]").Replace(string(text))
		one += "\nsightings: 0.05\n"
		if err := os.WriteFile(filepath.Join(folder, d.site(i)+".yaml"), []byte(one), 0o600); err != nil {
			return err
		}
	}
	return os.Mkdir(d.data(), 0o700)
}

// place is where visitors come from, and how many of them.
type place struct {
	region string
	weight int
}

var benchPlaces = []place{
	{"DE", 40},
	{"FR", 22},
	{"GB", 16},
	{"IT", 12},
	{"ES", 10},
	{"NL", 8},
	{"PL", 7},
	{"AT", 6},
	{"CH", 6},
	{"BE", 5},
	{"SE", 4},
	{"US-CA", 9},
	{"US-NY", 6},
	{"BR", 5},
	{"CN", 4},
	{"JP", 2},
	{"DK", 3},
	{"NO", 2},
	{"PT", 2},
	{"IE", 2},
}

// count counts a year at all sites, by the tally itself on a clock of its own.
func (d *dashboard) count(ctx context.Context) (err error) {
	options, err := stileserver.ConfigOptions()
	if err != nil {
		return err
	}
	sites, report := config.LoadAll(filepath.Join(d.folder, "sites"), options)
	if err := report.Err(); err != nil {
		return err
	}
	db, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(d.data(), "stile.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	clock := &slowClock{at: time.Now().UTC().AddDate(0, 0, -d.days)}
	figures := tally.Open(tally.Options{Database: db, Now: clock.now})
	defer func() { err = errors.Join(err, figures.Close(ctx)) }()
	r := rand.New(rand.NewPCG(1, 2))
	for range d.days {
		clock.pass(24 * time.Hour)
		if err := figures.Flush(ctx); err != nil { // a new day
			return err
		}
		for _, site := range sites {
			fillDay(figures.Site(site.Name), site, r, clock.now())
		}
	}
	return figures.Flush(ctx)
}

// slowClock goes on when it is told to.
type slowClock struct{ at time.Time }

func (c *slowClock) now() time.Time           { return c.at }
func (c *slowClock) pass(by time.Duration)    { c.at = c.at.Add(by) }
func (p place) country() string               { c, _, _ := strings.Cut(p.region, "-"); return c }
func some(r *rand.Rand, weight, most int) int { return r.IntN(weight*most/10+2) + 1 }

// fillDay counts visits and choices of a day at a site: every kind of answer, from every place, on each device.
func fillDay(to *tally.Site, site *consent.Site, r *rand.Rand, now time.Time) {
	banner := site.Policy.Version + "-3fa9c1"
	for _, p := range benchPlaces {
		for _, accept := range []string{"", "all", "none"} {
			v := consent.Visit{Region: p.region, Now: now}
			if accept != "" {
				choice, action, err := consent.Parse(map[string][]string{"accept": {accept}}, site, nil)
				if err != nil {
					panic(err) // both are choices of any site
				}
				choice.Time, choice.Policy, choice.List = now, site.Policy.Version, site.List()
				v.Choice = &choice
				for class := tally.Desktop; class <= tally.Tablet; class++ {
					for range some(r, p.weight, 2) {
						to.Choice(&tally.Choice{
							Country: p.country(), Regime: site.Regime(p.region).Name, Language: "en", Banner: banner, Device: class.String(), Action: action, Asked: true,
							Grants: accept == "all", Granted: choice.Granted, Denied: choice.Denied,
						})
					}
				}
			}
			decision := consent.Decide(site, v)
			counter := to.Counter(tally.Visit{Country: p.country(), Regime: decision.Regime.Name, Language: "en", Banner: banner, Outcome: tally.OutcomeOf(site, &decision)})
			for class := tally.Desktop; class <= tally.Tablet; class++ {
				for range some(r, p.weight, 10) {
					counter.Add(class)
				}
			}
		}
	}
	for _, host := range []string{"static.hotjar.com", "fonts.gstatic.com", "www.googletagmanager.com"} {
		for range 3 {
			to.Sight(&tally.Seen{Source: tally.Observer, Regime: "gdpr", Chosen: true, Hosts: []tally.Loaded{{Host: host, As: "script"}}})
		}
	}
}

func (d *dashboard) open() (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.data(), "stile.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=cache_size(-400000)&_pragma=wal_autocheckpoint(100000)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// fillSQL makes records inside the database. Keys and subjects ascend: where they are random, as visitors' are, their indexes
// take many times as long to build, and as long to read.
const fillSQL = `WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
	INSERT INTO records (leaf, salt, id, key, site, subject, previous, time, action, granted, denied, services, refused, regime, country, language, policy,
		list, notice, surface, gpc, age, expiry)
	SELECT i, randomblob(16), unhex(printf('%012x7%03x8%015x', at, i % 4096, i)), unhex(printf('%032x', i)), printf('site%02d', i % $3),
		unhex(printf('%032x', i + 1)), NULL, at, CASE WHEN i % 3 = 0 THEN 'reject_all' ELSE 'accept_all' END,
		CASE WHEN i % 3 = 0 THEN '[]' ELSE '["analytics","functional","marketing"]' END, CASE WHEN i % 3 = 0 THEN '["analytics","functional","marketing"]' ELSE '[]' END,
		'[]', '[]', 'gdpr', 'DE', 'en', '2026-11-01', 'Ab3-_x', 'aaaaaaaaaaaaaaaaaaaaaa', 'banner', 0, '', at + 15552000000
	FROM (SELECT i, CAST($4 + i * $5 AS INTEGER) AS at FROM n)`

const fillStep = 500_000

func (d *dashboard) fill(ctx context.Context) (err error) {
	db, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := time.Now().AddDate(0, 0, -d.days)
	each := float64(time.Since(began).Milliseconds()) / float64(d.records)
	for at := 0; at < d.records; at += fillStep {
		if _, err := db.ExecContext(ctx, fillSQL, at, min(at+fillStep, d.records), d.sites, began.UnixMilli(), each); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, `UPDATE log SET size = $1`, d.records)
	return err
}

// seal makes the tree of the log, which the server would do otherwise while it is measured. Its leaves are made up, which
// only a verification could tell: to read all records again takes longer than to make them.
func (d *dashboard) seal(ctx context.Context) (err error) {
	leaves := make([]tlog.Hash, d.records)
	for i := range leaves {
		binary.LittleEndian.PutUint64(leaves[i][:], uint64(i))
	}
	grown, err := merkle.Grow(ctx, nil, merkle.Empty(), leaves)
	if err != nil {
		return err
	}
	db, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	for _, t := range grown.Tiles {
		if _, err := tx.ExecContext(ctx, `INSERT INTO tiles (level, n, data) VALUES ($1, $2, $3)`, t.Level, t.N, t.Data); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE tree SET size = $1, root = $2`, grown.N, grown.Hash[:]); err != nil {
		return err
	}
	return tx.Commit()
}

func (d *dashboard) sheets(ctx context.Context) (n int64, err error) {
	db, err := d.open()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, `SELECT sum(length(sheet)) FROM tallies`).Scan(&n)
	return n, err
}

const benchPassword = "a stile is a step over a fence"

func (d *dashboard) user(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, d.binary, "user", "add", "bench", "--role", "admin", "--password-stdin", "--data", d.data())
	cmd.Stdin = strings.NewReader(benchPassword + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stile user add: %w\n%s", err, out)
	}
	return nil
}

var sharedLink = regexp.MustCompile(`value="[^"]*(/share/[A-Za-z0-9_-]+)"`)

// login begins a session, and makes a link that shows the figures of the first site.
func (d *dashboard) login(ctx context.Context, p *process) error {
	d.client = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, _, err := d.send(ctx, http.MethodPost, p.address+"/admin/login", url.Values{"name": {"bench"}, "password": {benchPassword}})
	if err != nil {
		return err
	}
	for _, c := range resp.Cookies() {
		d.cookie = c.Name + "=" + c.Value
	}
	if d.cookie == "" {
		return fmt.Errorf("no session was begun: %s", resp.Status)
	}
	_, body, err := d.send(ctx, http.MethodPost, p.address+"/admin/sites/"+d.site(0)+"/share", url.Values{"label": {"bench"}, "epsilon": {"1"}, "days": {"1"}})
	if err != nil {
		return err
	}
	m := sharedLink.FindSubmatch(body)
	if m == nil {
		return errors.New("no link was made")
	}
	d.link = string(m[1])
	return nil
}

func (d *dashboard) send(ctx context.Context, method, address string, form url.Values) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if d.cookie != "" {
		req.Header.Set("Cookie", d.cookie)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// menuLink is an entry of the menu.
var menuLink = regexp.MustCompile(`href="(/admin/[^"?#]*)"`)

// addresses are the pages: those that are known, a year of them where they have a period, and what else the menu leads to.
func (d *dashboard) addresses(ctx context.Context, p *process) ([]string, error) {
	site := "/admin/sites/" + d.site(0) + "/"
	list := []string{
		"/admin/", site + "?period=12m", site + "?period=12m&country=DE&device=phone", site + "figures.csv?period=12m", site + "tags", site + "tags?period=12m",
		site + "tags/house-counter", site + "tags/house-counter?period=12m", site + "simulator", site + "simulator?country=DE&accept=none", site + "sightings?period=12m",
		site + "records", site + "requests", site + "trail", site + "share", "/admin/health", "/admin/users", "/admin/account", d.link + "?weeks=52",
	}
	_, body, err := d.send(ctx, http.MethodGet, p.address+site, nil)
	if err != nil {
		return nil, err
	}
	for _, m := range menuLink.FindAllSubmatch(body, -1) {
		path := string(m[1])
		known := slices.ContainsFunc(list, func(a string) bool { a, _, _ = strings.Cut(a, "?"); return a == path })
		of := strings.HasPrefix(path, site) || !strings.HasPrefix(path, "/admin/sites/")
		if !known && of && !strings.HasPrefix(path, "/admin/assets/") {
			list = append(list, path)
		}
	}
	return list, nil
}

// pages asks for each page again and again, and says how long the server took.
func (d *dashboard) pages(ctx context.Context, p *process) error {
	list, err := d.addresses(ctx, p)
	if err != nil {
		return err
	}
	fmt.Printf("%-60s %9s %9s %9s %9s %9s\n", "page", "first", "median", "p99", "processor", "kB")
	var slow []string
	for _, address := range list {
		var took []time.Duration
		var size int
		status := 0
		before, _ := processorTime(p.pid)
		for range d.requests {
			began := time.Now()
			resp, body, err := d.send(ctx, http.MethodGet, p.address+address, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", address, err)
			}
			took = append(took, time.Since(began))
			if size, status = len(body), resp.StatusCode; status != http.StatusOK {
				break
			}
		}
		after, _ := processorTime(p.pid) // what a page costs, whoever else uses the machine
		each := ((after - before) / time.Duration(len(took))).Round(100 * time.Microsecond)
		name := strings.Replace(address, d.link, "/share/{token}", 1)
		switch {
		case status == http.StatusNotFound || status == http.StatusBadRequest:
			fmt.Printf("%-60s %d: not measured\n", name, status)
			continue
		case status != http.StatusOK:
			return fmt.Errorf("%s is answered by %d", address, status)
		}
		first := took[0].Round(10 * time.Microsecond)
		slices.Sort(took)
		verdict := ""
		if at(took, 50) > pageGoal {
			slow, verdict = append(slow, name), "  over"
		}
		fmt.Printf("%-60s %9v %9v %9v %9v %9.0f%s\n", name, first, at(took, 50), at(took, 99), each, float64(size)/1e3, verdict)
	}
	if len(slow) > 0 {
		return fmt.Errorf("over %v in the median: %s", pageGoal, strings.Join(slow, ", "))
	}
	fmt.Printf("each page in less than %v in the median: reached\n", pageGoal)
	return nil
}
