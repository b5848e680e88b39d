package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/ledger"
)

// simulatedNote is said on every page of the demo's dashboard.
const simulatedNote = "Simulated figures: made up by stile demo. Nobody visited, nobody chose."

const (
	simulatedDays = 60
	simulatedSeed = 20261101        // the same visitors in each demo
	renewal       = 38              // the simulated day on which the shop's second policy comes into force
	demoRegion    = "X-Demo-Region" // where simulated visitors say where they are
	crowd         = 64              // visitors at a time, who share the ledger's commits
)

// pretend has made-up visitors come to a site on the last days and today, by the handlers of a server of their own and on its
// clock: what the dashboard shows was counted and recorded as that of real ones is. Afterwards the site has its configuration.
func pretend(ctx context.Context, o server.Options, site string, config []byte) error {
	clock := newDemoClock()
	config = inForce.ReplaceAll(config, []byte("${1}"+clock.first.AddDate(0, 0, renewal).Format(time.DateOnly)))
	if err := configure(o, formerly(config)); err != nil {
		return err
	}
	o.Now = clock.now
	s, err := server.New(ctx, o)
	if err != nil {
		return err
	}
	err = visits(ctx, s, clock, site, func() error { return configure(o, config) })
	if err = errors.Join(err, s.Stop(ctx)); err != nil {
		return fmt.Errorf("simulating visitors: %w", err)
	}
	return answer(ctx, site, o.Data)
}

// visits has the visitors of all days come. Renewed writes what is in force from a day in their midst.
func visits(ctx context.Context, s *server.Server, clock *demoClock, site string, renewed func() error) error {
	now := time.Now().UTC()
	sim := &simulation{site: site, origin: "http://" + s.Addr().String(), server: s, notices: map[string]string{}}
	for n := range simulatedDays + 1 {
		day := clock.first.AddDate(0, 0, n)
		clock.set(day.Add(6*time.Hour), earlier(day.AddDate(0, 0, 1), now))
		err := errors.Join(s.Flush(ctx), ctx.Err()) // the day begins
		if err == nil && n == renewal {
			clear(sim.notices)
			err = renewed()
			if err == nil {
				err = s.Reload(ctx)
			}
		}
		if err == nil {
			err = sim.day(ctx, n, day)
		}
		if err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

var (
	inForce      = regexp.MustCompile(`(\n  from: ")[0-9-]+`) // the day of the policy
	formerPolicy = regexp.MustCompile(`(?s)\npolicy:\n.*?\n  former:\n    - ({[^\n]*})\n`)
	addedTags    = regexp.MustCompile(`\n  - name: (Pixel B|Loyalty)\n(    [^\n]*\n)+`) // as the second policy says
)

// formerly is the shop's configuration as it was before its second policy.
func formerly(config []byte) []byte {
	return addedTags.ReplaceAll(formerPolicy.ReplaceAll(config, []byte("\npolicy: $1\n")), nil)
}

// renew gives kept data a configuration with the addresses of this start. Its policy stays in force from the day on which it
// came into force then.
func renew(o server.Options, config []byte) error {
	kept, err := os.ReadFile(filepath.Join(o.Config, "stile.yaml"))
	if err != nil {
		return fmt.Errorf("reading the demo's configuration: %w", err)
	}
	if since := inForce.Find(kept); since != nil {
		config = inForce.ReplaceAllLiteral(config, since)
	}
	return configure(o, config)
}

func configure(o server.Options, config []byte) error {
	if err := os.WriteFile(filepath.Join(o.Config, "stile.yaml"), config, 0o600); err != nil {
		return fmt.Errorf("writing the demo's configuration: %w", err)
	}
	return nil
}

// answer has somebody answer the older requests, so that some are done, some due and one overdue.
func answer(ctx context.Context, site, data string) (err error) {
	now := time.Now()
	db, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(data, "stile.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	all, err := db.Requests(ctx, site)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Time.After(now.AddDate(0, 0, -20)) {
			continue
		}
		_, err := db.Answer(ctx, r.Number, "Sent by e-mail.", ledger.By{Actor: ledger.Operator("demo"), Time: r.Time.AddDate(0, 0, 9)})
		if err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// demoClock is simulated: it goes on by a while whenever it is looked at, until the end of its day.
type demoClock struct {
	first time.Time // the first simulated day

	mu      sync.Mutex
	at, end time.Time
}

func newDemoClock() *demoClock {
	first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -simulatedDays)
	return &demoClock{first: first, at: first, end: first.AddDate(0, 0, 1)}
}

func (c *demoClock) set(at, end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.end = earlier(at, end.Add(-time.Minute)), end
}

func (c *demoClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next := c.at.Add(23 * time.Second); next.Before(c.end) {
		c.at = next
	}
	return c.at
}

// simulation sends visitors to a server.
type simulation struct {
	site    string
	origin  string // where the server would be found
	server  *server.Server
	mu      sync.Mutex
	notices map[string]string // what who reads a language in a region is shown: its hash; guarded by mu
}

// visitor is what one made-up visitor is and will do.
type visitor struct {
	place
	agent     string
	gpc       bool
	key       uuid.UUID // of the choice
	act       url.Values
	pages     int // looked at after that
	withdraws bool
	loads     []loaded   // what its pages report
	reads     bool       // the script, uncompressed
	asks      url.Values // for their data
}

// day has the visitors of a day come. They are decided on one after the other, so that they are the same whoever is first.
func (s *simulation) day(ctx context.Context, n int, day time.Time) error {
	r := rand.New(rand.NewPCG(simulatedSeed, uint64(n))) //nolint:gosec // made up, and the same each time
	size := 80 + 15*math.Sin(float64(n)/9) + float64(n)/4
	if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
		size *= .7
	}
	all := make([]visitor, int(size)+r.IntN(12))
	for i := range all {
		all[i] = visitorOf(r, n)
	}
	if asks := demoRequests[n]; asks != nil {
		all[0] = visitorOf(r, n)
		all[0].asks = asks
	}
	queue := make(chan visitor)
	errs := make(chan error, crowd)
	for range crowd {
		go func() {
			var err error
			for v := range queue {
				if err == nil {
					err = s.visit(ctx, v)
				}
			}
			errs <- err
		}()
	}
	for _, v := range all {
		queue <- v
	}
	close(queue)
	var failed error
	for range crowd {
		if err := <-errs; err != nil {
			failed = err // they are all alike
		}
	}
	return failed
}

// demoRequests are visitors who want their data, by day.
var demoRequests = map[int]url.Values{
	19: {"kind": {"access"}, "contact": {"mara.lind@example.org"}, "details": {"Everything that you have about me, please."}},
	33: {"kind": {"delete"}, "contact": {"t.okafor@example.org"}, "details": {"Delete my account and what belongs to it."}},
	43: {"kind": {"copy"}, "contact": {"jean.p@example.org"}, "details": {"My orders of this year, as a table."}},
	47: {"kind": {"delete"}, "contact": {"h.brandt@example.org"}, "details": {""}},
	57: {"kind": {"correct"}, "contact": {"ines.r@example.org"}, "details": {"My street is spelled wrong on the invoices."}},
}

// weighed picks one of some, each as likely as its weight.
type weighed[T any] []struct {
	of     T
	weight float64
}

func (w weighed[T]) pick(r *rand.Rand) T {
	sum := 0.0
	for _, x := range w {
		sum += x.weight
	}
	at := r.Float64() * sum
	for _, x := range w {
		if at -= x.weight; at < 0 {
			return x.of
		}
	}
	return w[0].of
}

type place struct{ region, language, regime string }

var (
	places = weighed[place]{
		{place{"DE", "de", "gdpr"}, .40},
		{place{"AT", "de", "gdpr"}, .11},
		{place{"CH", "de", "gdpr"}, .06},
		{place{"FR", "en", "gdpr"}, .09},
		{place{"NL", "en", "gdpr"}, .07},
		{place{"GB", "en", "uk"}, .09},
		{place{"US-CA", "en", "us"}, .07},
		{place{"US-NY", "en", "other"}, .02},
		{place{"CN", "zh-Hans", "pipl"}, .03},
		{place{"BR", "en", "gdpr"}, .03},
		{place{"AE", "ar", "other"}, .03},
	}
	agents = weighed[string]{
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1", .27},
		{"Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36", .31},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36", .24},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/19.0 Safari/605.1.15", .09},
		{"Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1", .06},
		{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", .03},
	}
)

const (
	ignores = iota
	acceptsAll
	rejectsAll
	picks
)

func visitorOf(r *rand.Rand, day int) visitor {
	at, agent := places.pick(r), agents.pick(r)
	v := visitor{place: at, agent: agent, gpc: r.Float64() < .03, pages: r.IntN(4)}
	binary.LittleEndian.PutUint64(v.key[:8], r.Uint64())
	binary.LittleEndian.PutUint64(v.key[8:], r.Uint64())
	accepts := .44
	if strings.Contains(agent, "Mobile") {
		accepts = .5
	}
	if day >= renewal {
		accepts += .05 // the new banner does better
	}
	does := weighed[int]{{ignores, .17}, {acceptsAll, accepts}, {rejectsAll, .27}, {picks, .1}}
	if strings.HasPrefix(at.region, "US") {
		does = weighed[int]{{ignores, .82}, {acceptsAll, .06}, {rejectsAll, .12}, {picks, 0}}
		v.gpc = r.Float64() < .2
	}
	switch does.pick(r) {
	case acceptsAll:
		v.act = url.Values{"accept": {"all"}}
	case rejectsAll:
		v.act = url.Values{"accept": {"none"}}
	case picks:
		v.act = url.Values{"category": weighed[[]string]{{[]string{"functional"}, .4}, {[]string{"functional", "analytics"}, .4}, {[]string{"analytics"}, .2}}.pick(r)}
	}
	v.withdraws = r.Float64() < .02
	if r.Float64() < .15 {
		v.loads = weighed[[]loaded]{{nil, .3}, {[]loaded{{"fonts.gstatic.com", "other"}}, .3}, {[]loaded{{"fonts.gstatic.com", "other"}, {"static.hotjar.com", "script"}}, .4}}.pick(r)
	}
	return v
}

var demoNotice = regexp.MustCompile(`[{,]h:"([A-Za-z0-9_-]{22})"`)

// loaded is what stands in the made-up shop's theme, where no gate reaches it.
type loaded struct {
	Host string `json:"host"`
	As   string `json:"as"`
}

// report is what the runtime of a visitor's page tells of what it loaded.
func (v visitor) report() ([]byte, error) {
	allowed := v.act["category"]
	if v.act.Get("accept") == "all" {
		allowed = []string{"analytics", "functional", "marketing"}
	}
	return json.Marshal(map[string]any{"regime": v.regime, "chosen": v.act != nil, "gpc": v.gpc, "allowed": allowed, "hosts": v.loads})
}

// visit is a page with the banner, a choice, and the pages after it.
func (s *simulation) visit(ctx context.Context, v visitor) error {
	base := "/stile/" + s.site
	notice, err := s.notice(ctx, v, base+".js")
	if err != nil || strings.Contains(v.agent, "bot/") {
		return err
	}
	var cookies []*http.Cookie
	if v.act != nil && notice != "" { // else there is nothing to choose in this region
		form := url.Values{"id": {v.key.String()}, "notice": {notice}, "surface": {"banner"}}
		maps.Copy(form, v.act)
		if _, cookies, err = s.send(ctx, v, http.MethodPost, base+"/choice", form, nil); err != nil {
			return err
		}
		if v.withdraws {
			form.Set("id", uuid.NewSHA1(v.key, nil).String())
			form.Set("surface", "preferences")
			if _, cookies, err = s.send(ctx, v, http.MethodPost, base+"/withdraw", form, cookies); err != nil {
				return err
			}
		}
	}
	for range v.pages {
		if _, _, err := s.send(ctx, v, http.MethodGet, base+".js", nil, cookies); err != nil {
			return err
		}
	}
	if v.loads != nil && v.region != "US-CA" { // where what runs hangs on more than the choice
		report, err := v.report()
		if err != nil {
			return err
		}
		if _, _, err := s.post(ctx, v, base+"/reports", "text/plain", string(report), nil); err != nil {
			return err
		}
	}
	if v.asks != nil {
		_, _, err = s.send(ctx, v, http.MethodPost, base+"/request", v.asks, cookies)
	}
	return err
}

// notice asks for the script of a first page, and returns the hash of the words that are on the banner in it.
func (s *simulation) notice(ctx context.Context, v visitor, path string) (string, error) {
	key := fmt.Sprint(v.region, v.language, v.gpc)
	s.mu.Lock()
	hash, known := s.notices[key]
	s.mu.Unlock()
	v.reads = !known
	script, _, err := s.send(ctx, v, http.MethodGet, path, nil, nil)
	if err != nil || known || strings.Contains(v.agent, "bot/") {
		return hash, err
	}
	if m := demoNotice.FindSubmatch(script); m != nil {
		hash = string(m[1])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices[key] = hash
	return hash, nil
}

func (s *simulation) send(ctx context.Context, v visitor, method, path string, form url.Values, cookies []*http.Cookie) ([]byte, []*http.Cookie, error) {
	if method == http.MethodPost {
		return s.post(ctx, v, path, "application/x-www-form-urlencoded", form.Encode(), cookies)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.origin+path, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	if !v.reads {
		r.Header.Set("Accept-Encoding", "br")
	}
	return s.answered(v, r, cookies)
}

func (s *simulation) post(ctx context.Context, v visitor, path, kind, body string, cookies []*http.Cookie) ([]byte, []*http.Cookie, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.origin+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Origin", s.origin)
	return s.answered(v, r, cookies)
}

// answered is what the server's handler answers.
func (s *simulation) answered(v visitor, r *http.Request, cookies []*http.Cookie) ([]byte, []*http.Cookie, error) {
	r.RequestURI, r.RemoteAddr = r.URL.Path, "127.0.0.1:9"
	h := r.Header
	h.Set("User-Agent", v.agent)
	h.Set("Accept-Language", v.language)
	h.Set(demoRegion, v.region)
	h.Set("Sec-Fetch-Site", "same-origin")
	if v.gpc {
		h.Set("Sec-GPC", "1")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(rec, r)
	resp := rec.Result()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s is answered by %d: %s", r.Method, r.URL.Path, resp.StatusCode, body)
	}
	return body, resp.Cookies(), err
}
