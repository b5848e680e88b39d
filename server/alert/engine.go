package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Message is what is told of an alert.
type Message struct {
	ID    string    // the same for each attempt; "" for a test
	Ended bool      // it no longer holds
	Alert           // Text is for people
	Since time.Time // when it was raised
	Until time.Time // when it ended
	URL   string    // page to look at, or ""
}

// Way tells somebody.
type Way interface {
	// Name is webhook or mail.
	Name() string

	// Place is what it is and where, without a secret: "webhook to hooks.chat.example".
	Place() string

	// Reaches tells whether anybody is told by it of a site's alerts, or of those of all sites, "".
	Reaches(site string) bool

	// Tell tells, within some seconds, and returns the host that was told. An error says in words what happened, without a
	// secret; trying again is safe, and may tell a second time what was told just before the connection broke.
	Tell(ctx context.Context, site string, all []Message) (place string, err error)
}

// Options are what an engine works with.
type Options struct {
	Database Database
	Process  string                               // name of this process, the same after a restart
	Sites    func(context.Context) (Facts, error) // of all sites
	Here     func(context.Context) Here           // of this process; asked often, without the database
	Ways     []Way
	Address  string // of the dashboard: https://consent.shop.example; "": messages have no links
	Log      *slog.Logger
	Now      func() time.Time
}

// Engine evaluates the rules, and tells what they find. Make it with New.
type Engine struct {
	Options
	store store
	wake  chan struct{}

	mu    sync.Mutex        // one look at a time
	away  time.Time         // since when looks have failed; zero: the last did not
	alone map[string]Record // raised while the database was away, by kind

	failures sync.Mutex         // of what is below: a test does not wait for a look
	failing  map[string]Failure // ways whose last attempt failed, by place
}

const (
	evaluateEvery = 5 * time.Minute
	deliverEvery  = 30 * time.Second // a look at what is due
	claimTime     = 10 * time.Minute // a process that has died holds up the others so long
	tellMost      = 20               // messages in one look; each takes seconds at most
	firstWait     = 30 * time.Second // before the second attempt, doubled for each further one
	longestWait   = time.Hour
	mostTries     = 40 // more than a day
	staleTime     = time.Hour
	keepFor       = 90 * 24 * time.Hour
	answerTime    = 10 * time.Second // of a database that is not away
	claimName     = "alerts"
)

// New makes an engine.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Engine{Options: o, store: store{o.Database}, wake: make(chan struct{}, 1), alone: map[string]Record{}, failing: map[string]Failure{}}
}

// Wake has this process looked at now, and not in a few minutes.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run evaluates and tells until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	holder := uuid.NewString()
	var evaluated time.Time
	said := ""
	for {
		full := evaluated.IsZero() || e.Now().Sub(evaluated) >= evaluateEvery
		err := e.Look(ctx, holder, full)
		if full {
			evaluated = e.Now()
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			e.Log.Error("alerts", "error", err)
		} else if err == nil {
			said = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-time.After(deliverEvery):
		}
	}
}

// Look evaluates this process, where full all sites as well unless another process is at it, and tells what is due.
func (e *Engine) Look(ctx context.Context, holder string, full bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.here(ctx); err != nil {
		if e.away.IsZero() {
			e.away = e.Now()
		}
		e.byItself(ctx)
		return err
	}
	e.away = time.Time{}
	mine, err := e.Database.Claim(ctx, claimName, holder, e.Now(), claimTime)
	if err != nil || !mine {
		return err
	}
	defer func() { _ = e.Database.Unclaim(context.WithoutCancel(ctx), claimName, holder) }() // else it runs out
	if full {
		err = e.everywhere(ctx)
	}
	return errors.Join(err, e.deliver(ctx))
}

// here evaluates what is to be known of this process.
func (e *Engine) here(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for kind, r := range e.alone {
		if err := e.store.adopt(ctx, &r); err != nil {
			return err
		}
		delete(e.alone, kind)
	}
	return e.evaluate(ctx, e.Process, RulesHere(e.Here(ctx)))
}

// everywhere evaluates all sites.
func (e *Engine) everywhere(ctx context.Context) error {
	facts, err := e.Sites(ctx)
	if err != nil {
		return fmt.Errorf("looking at the sites: %w", err)
	}
	now := e.Now()
	return errors.Join(e.evaluate(ctx, "", Rules(facts)), e.store.retire(ctx, now, now.Add(-staleTime), now.Add(-keepFor)))
}

func (e *Engine) evaluate(ctx context.Context, owner string, holding []Alert) error {
	open, err := e.store.records(ctx, openSQL, owner)
	if err != nil {
		return err
	}
	c := compare(open, holding, owner)
	for _, a := range c.raise {
		e.Log.Warn("alert", "site", a.Site, "kind", a.Kind, "subject", a.Subject, "text", a.Text)
	}
	return e.store.apply(ctx, c, owner, e.Now(), e.ways)
}

// ways are those by which somebody is told of a site's alerts.
func (e *Engine) ways(site string) (names []string) {
	for _, w := range e.Ways {
		if w.Reaches(site) {
			names = append(names, w.Name())
		}
	}
	return names
}

// byItself tells what can only be told without the database: that it is away. Each process does that for itself.
func (e *Engine) byItself(ctx context.Context) {
	h := e.Here(ctx)
	if h.Away.IsZero() || e.away.Before(h.Away) { // nobody may have chosen meanwhile, which is when the ledger finds out
		h.Away = e.away
	}
	for _, a := range RulesHere(h) {
		if a.Kind != Away {
			continue
		}
		r, raised := e.alone[string(a.Kind)]
		if !raised {
			r = Record{ID: uuid.Must(uuid.NewV7()), Alert: a, Owner: e.Process, Raised: e.Now()}
			for _, way := range e.ways(a.Site) {
				r.Tellings = append(r.Tellings, Telling{Way: way, Due: e.Now()})
			}
		}
		r.Seen, r.Text = e.Now(), a.Text
		for i, t := range r.Tellings {
			if !t.Due.IsZero() && !t.Due.After(e.Now()) {
				r.Tellings[i] = e.tell(ctx, []Record{r}, t)
			}
		}
		e.alone[string(a.Kind)] = r
	}
}

// deliver tells what is due. What goes the same way about the same site goes together.
func (e *Engine) deliver(ctx context.Context) error {
	due, err := e.store.due(ctx, e.Now(), tellMost)
	if err != nil {
		return err
	}
	for len(due) > 0 && ctx.Err() == nil {
		first := due[0]
		together := func(r Record) bool { return r.Site == first.Site && r.Tellings[0].Way == first.Tellings[0].Way }
		if first.Tellings[0].Way == "webhook" {
			together = func(r Record) bool { return r.ID == first.ID && r.Tellings[0] == first.Tellings[0] }
		}
		var group []Record
		for _, r := range due {
			if together(r) {
				group = append(group, r)
			}
		}
		due = slices.DeleteFunc(due, together)
		t := e.tell(ctx, group, first.Tellings[0])
		if ctx.Err() != nil && t.Told.IsZero() {
			return ctx.Err()
		}
		for i := range group {
			mine := group[i].Tellings[0]
			mine.Place, mine.Told, mine.Due, mine.Tries, mine.Error = t.Place, t.Told, t.Due, mine.Tries+1, t.Error
			if err := e.store.note(context.WithoutCancel(ctx), &group[i], mine); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell makes one attempt to tell alerts of one site by one way, and says what came of it.
func (e *Engine) tell(ctx context.Context, group []Record, t Telling) Telling {
	t.Tries++
	i := slices.IndexFunc(e.Ways, func(w Way) bool { return w.Name() == t.Way })
	if i < 0 || !e.Ways[i].Reaches(group[0].Site) {
		t.Due, t.Error = time.Time{}, "it is not set up any more"
		return t
	}
	var all []Message
	for i := range group {
		all = append(all, e.message(&group[i]))
	}
	place, err := e.attempt(ctx, e.Ways[i], group[0].Site, all)
	t.Place = place
	if err == nil {
		t.Told, t.Due, t.Error = e.Now(), time.Time{}, ""
		return t
	}
	t.Error, t.Due = err.Error(), e.Now().Add(wait(t.Tries))
	if t.Tries >= mostTries || errors.Is(err, errFinal) {
		t.Due = time.Time{}
	}
	e.Log.Warn("an alert could not be told", "way", t.Way, "to", place, "attempts", t.Tries, "error", err)
	return t
}

// attempt tells by a way, and keeps whether it worked.
func (e *Engine) attempt(ctx context.Context, w Way, site string, all []Message) (place string, err error) {
	place, err = w.Tell(ctx, site, all)
	e.failures.Lock()
	defer e.failures.Unlock()
	if err == nil {
		delete(e.failing, w.Place())
	} else if ctx.Err() == nil { // else it was broken off here
		e.failing[w.Place()] = Failure{e.Now(), err}
	}
	return place, err
}

// errFinal is part of errors after which another attempt makes no sense.
var errFinal = errors.New("it is not tried again")

func wait(tries int) time.Duration {
	return min(longestWait, firstWait<<min(tries-1, 16))
}

func (e *Engine) message(r *Record) Message {
	t := r.Tellings[0]
	m := Message{ID: uuid.UUID(r.ID).String(), Ended: t.Ended, Alert: r.Alert, Since: r.Raised, Until: r.Cleared, URL: e.link(r.Alert)}
	if t.Ended {
		m.ID += "-ended"
	}
	return m
}

func (e *Engine) link(a Alert) string {
	if e.Address == "" {
		return ""
	}
	return e.Address + Path(a)
}

// Path is the page of the dashboard to look at.
func Path(a Alert) string {
	site := "/admin/sites/" + a.Site + "/"
	switch {
	case a.Site == "":
		return "/admin/health"
	case a.Kind == Host:
		return site + "sightings"
	case a.Kind == Vendor:
		return site + "tags/" + a.Subject
	case a.Kind == Due, a.Kind == Overdue:
		return site + "requests"
	}
	return site
}

// List is what holds, and what ended in the last 90 days, each newest first; bounded.
func (e *Engine) List(ctx context.Context) ([]Record, error) {
	return e.store.list(ctx, e.Now().Add(-keepFor), MostListed)
}

// Holding is what holds, newest first, without what was told of it; bounded.
func (e *Engine) Holding(ctx context.Context) ([]Record, error) {
	return e.store.records(ctx, holdSQL, MostListed)
}

// Places are where alerts are told: "webhook to hooks.chat.example".
func (e *Engine) Places() (all []string) {
	for _, w := range e.Ways {
		all = append(all, w.Place())
	}
	return all
}

// Failure is that an attempt to tell failed, and that none worked since.
type Failure struct {
	At  time.Time
	Err error // in words
}

// Failing are the places whose last attempt failed, be it a test, since this process started.
func (e *Engine) Failing() map[string]Failure {
	e.failures.Lock()
	defer e.failures.Unlock()
	return maps.Clone(e.failing)
}

// Result is what came of a test.
type Result struct {
	Way, Place string
	Took       time.Duration
	Err        error // in words
}

// Test sends a message that says that it is a test, by every way that reaches somebody of a site, or of all sites, "".
func (e *Engine) Test(ctx context.Context, site, by string) (all []Result) {
	for _, w := range e.Ways {
		if !w.Reaches(site) {
			continue
		}
		began := time.Now()
		m := Message{Alert: Alert{Site: site, Kind: "test", Text: "This is a test, which " + by + " sent from Stile's dashboard. Nothing is wrong."}, Since: e.Now()}
		if e.Address != "" {
			m.URL = e.Address + "/admin/alerts"
		}
		place, err := e.attempt(ctx, w, site, []Message{m})
		all = append(all, Result{w.Name(), place, time.Since(began), err})
	}
	return all
}
