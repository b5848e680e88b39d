package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/alert"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
)

// Health is how this process and its database are.
type Health struct {
	Version, Go string
	Started     time.Time

	Loaded    time.Time // the configuration
	Refused   string    // why the last reload was refused; "": it was not
	RefusedAt time.Time
	Keys      []keys.Info

	Ledger  ledger.Health
	Lost    error // why the database does not answer
	Remote  bool  // it is a server, and choices are spooled while it is away
	Spool   ledger.Spool
	Lagging time.Time // since when the log has had entries that no checkpoint covers; zero: it has none
	Busy    uint64    // choices that were refused in the last quarter of an hour
	Flushed time.Time // the figures; zero: never
	Outbox  outbox.Stats

	Free, Size uint64                   // bytes of the data folder's disk; Size of 0: not known
	Ways       []string                 // by which alerts are told: "webhook to hooks.chat.example"
	Untold     map[string]alert.Failure // of Ways, those whose last attempt failed
}

// tone is a state as a badge draws it.
type tone string

const (
	toneGood tone = "good"
	toneWarn tone = "warn"
	toneBad  tone = "bad"
	toneNote tone = "" // neither
)

// Word is the state for people.
func (t tone) Word() string {
	switch t {
	case toneGood:
		return "good"
	case toneWarn:
		return "look at it"
	case toneBad:
		return "act now"
	}
	return "note"
}

func (t tone) rank() int { return slices.Index([]tone{toneGood, toneNote, toneWarn, toneBad}, t) }

// check is a line of the health page.
type check struct {
	Name   string `json:"name"`
	State  tone   `json:"state"`
	Value  string `json:"value"`
	Advice string `json:"advice,omitempty"` // what to do; where it is not good
	Detail string `json:"detail,omitempty"` // an error, as it was
}

type checks struct {
	Title string  `json:"title"`
	Lines []check `json:"checks"`
}

// siteHealth is the configuration of a site.
type siteHealth struct {
	Name     string           `json:"site"`
	Warnings []config.Problem `json:"warnings"`
}

// healthView is all that the page shows, and health.json has.
type healthView struct {
	State  tone         `json:"state"`
	At     time.Time    `json:"at"`
	Loaded time.Time    `json:"loaded"`
	Groups []checks     `json:"groups"`
	Sites  []siteHealth `json:"sites"`

	Pressing []check `json:"-"` // the worst, once more, at the top
}

// health answers GET /admin/health.
func (d *Dashboard) health(w http.ResponseWriter, a *ask) error {
	return d.page(w, a, frame{Title: "Health", Nav: "health", Tools: healthTools()}, health(d.healthView(a)))
}

// healthJSON answers GET /admin/health.json: the same for machines.
func (d *Dashboard) healthJSON(w http.ResponseWriter, a *ask) error {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d.healthView(a))
}

func (d *Dashboard) healthView(a *ask) healthView {
	v := healthView{State: toneGood, At: d.Now().UTC()}
	if d.Health != nil {
		h := d.Health(a.Context())
		v.Loaded, v.Groups = h.Loaded, h.judge(v.At)
	}
	for _, s := range d.Sites() {
		one := siteHealth{s.Name, []config.Problem{}}
		one.Warnings = append(one.Warnings, s.Warnings...)
		v.Sites = append(v.Sites, one)
		if len(one.Warnings) > 0 {
			v.State = toneWarn
		}
	}
	for _, g := range v.Groups {
		for _, c := range g.Lines {
			if c.State.rank() > v.State.rank() {
				v.State = c.State
			}
			if c.State == toneBad {
				v.Pressing = append(v.Pressing, c)
			}
		}
	}
	return v
}

// judge says of each thing how it is, and what to do.
func (h *Health) judge(now time.Time) []checks {
	return []checks{
		{"Configuration", h.configuration(now)},
		{"Records", h.records(now)},
		{"Figures and events", h.figures(now)},
		{"Keys", h.keyLines(now)},
		{"This process", h.process(now)},
	}
}

func (h *Health) configuration(now time.Time) []check {
	loaded := check{Name: "In force", State: toneGood, Value: "loaded " + ago(now, h.Loaded)}
	if h.Refused == "" {
		return []check{loaded}
	}
	return []check{{
		Name: "Last reload", State: toneBad, Value: "refused " + ago(now, h.RefusedAt) + "; the configuration from before goes on", Detail: h.Refused,
		Advice: "Mend the file and check it with stile check. A file that is right is taken at once.",
	}, loaded}
}

func (h *Health) records(now time.Time) []check {
	if h.Lost != nil {
		c := check{Name: "Database", State: toneBad, Value: "does not answer", Detail: h.Lost.Error(), Advice: "Bring it back: nobody's choice can be stored until then."}
		if h.Remote {
			c.Advice = "Bring it back. Choices are kept in the spool until then: leave the data folder alone."
		}
		return []check{c, h.spool(now)}
	}
	list := []check{
		{Name: "Database", State: toneGood, Value: h.Ledger.Engine + ", answers"},
		{Name: "Log", State: toneGood, Value: count(h.Ledger.Size) + " entries"},
		h.checkpoint(now),
	}
	if h.Remote {
		list = append(list, h.spool(now))
	}
	busy := check{Name: "Choices refused", State: toneGood, Value: "none in the last 15 minutes"}
	if h.Busy > 0 {
		busy.State, busy.Value = toneWarn, count(int64(h.Busy))+" in the last 15 minutes, since too many came at once" //nolint:gosec // a count of a quarter of an hour
		busy.Advice = "Pages send them again. If it stays so, look at the load of the database and its disk."
	}
	return append(list, busy)
}

const (
	sealSoon = time.Minute
	sealLate = 15 * time.Minute
)

func (h *Health) checkpoint(now time.Time) check {
	c := check{Name: "Checkpoint", State: toneGood, Value: fmt.Sprintf("covers %s of %s entries, signed %s", count(h.Ledger.Sealed), count(h.Ledger.Size), ago(now, h.Ledger.Signed))}
	switch {
	case h.Ledger.Signed.IsZero() && h.Ledger.Size == 0:
		c.State, c.Value = toneNote, "none yet: it is signed after the first choice"
	case h.Ledger.Signed.IsZero():
		c.Value = fmt.Sprintf("none, of %s entries", count(h.Ledger.Size))
		fallthrough
	case !h.Lagging.IsZero() && now.Sub(h.Lagging) > sealSoon:
		c.State, c.Advice = toneWarn, "It is signed within seconds as a rule. Look into the log of stile serve for \"the log cannot be sealed\"."
		if !h.Lagging.IsZero() && now.Sub(h.Lagging) > sealLate {
			c.State = toneBad
		}
	}
	return c
}

const spoolLate = 10 * time.Minute

func (h *Health) spool(now time.Time) check {
	c := check{Name: "Spool", State: toneGood, Value: "empty"}
	if h.Spool.Waiting == 0 {
		return c
	}
	c.State, c.Value = toneWarn, fmt.Sprintf("%s, the oldest for %s", counted(int64(h.Spool.Waiting), "choice waits", "choices wait"), lasting(now.Sub(h.Spool.Oldest)))
	c.Advice = "They go to the database by themselves when it is back. Do not delete spool.db."
	if now.Sub(h.Spool.Oldest) > spoolLate {
		c.State = toneBad
	}
	return c
}

const (
	flushSoon = time.Minute
	flushLate = 10 * time.Minute
	sendLate  = time.Hour
)

func (h *Health) figures(now time.Time) []check {
	flushed := check{Name: "Figures", State: toneGood, Value: "stored " + ago(now, h.Flushed)}
	last := h.Flushed
	if last.IsZero() {
		flushed.Value, last = "cannot be stored: not once since the start, "+ago(now, h.Started), h.Started
	}
	switch age := now.Sub(last); {
	case h.Flushed.IsZero() && age <= flushSoon:
		flushed.State, flushed.Value = toneNote, "nothing was counted yet"
	case age > flushLate:
		flushed.State, flushed.Advice = toneBad, "They are kept in memory and are lost if this process ends. Look at the database."
	case age > flushSoon:
		flushed.State, flushed.Advice = toneWarn, "They are kept in memory until the database takes them."
	}
	o := h.Outbox
	sent := check{Name: "Events to vendors", State: toneGood, Value: fmt.Sprintf("%s waiting, %s sent", count(int64(o.Waiting)), count(int64(o.Sent)))} //nolint:gosec // a count
	switch {
	case !o.Oldest.IsZero() && now.Sub(o.Oldest) > sendLate:
		sent.State, sent.Value = toneWarn, sent.Value+", the oldest for "+lasting(now.Sub(o.Oldest))
		sent.Advice = "A vendor's host does not answer, and what is for it is dropped after a day. The alerts say which."
	case o.Failed > 0:
		sent.State, sent.Value = toneWarn, sent.Value+", "+count(int64(o.Failed))+" refused since the start" //nolint:gosec // a count
		sent.Advice = "Look at the tags' errors: a wrong account or secret is refused for good."
	}
	return []check{flushed, sent, h.told(now)}
}

// told is whether somebody is told of alerts. What the last attempt of a way met with stays until another one works.
func (h *Health) told(now time.Time) check {
	if len(h.Ways) == 0 {
		return check{Name: "Alerts", State: toneNote, Value: "nobody is told", Advice: "Start stile serve with --alert-webhook-file, or with --smtp and --alert-from."}
	}
	c := check{Name: "Alerts", State: toneGood}
	var ways []string
	for _, way := range h.Ways {
		if f, failed := h.Untold[way]; failed {
			way += " failed " + ago(now, f.At) + " (" + f.Err.Error() + ")"
			c.State, c.Advice = toneWarn, "Mend it, and send a test from the page of alerts: this is good again as soon as one was taken."
		}
		ways = append(ways, way)
	}
	c.Value = strings.Join(ways, ", ")
	return c
}

// keyAge is after how long a new key is advised: what an old backup gives away is over then.
const keyAge = 365 * 24 * time.Hour

func (h *Health) keyLines(now time.Time) (list []check) {
	for _, k := range h.Keys {
		c := check{Name: keyNames[k.Kind], State: toneGood}
		switch k.State {
		case keys.Signs:
			c.Value = "signs, made " + ago(now, k.Made)
			if k.Made.IsZero() {
				c.Value = "signs, given by the environment"
			} else if now.Sub(k.Made) > keyAge {
				c.State, c.Advice = toneWarn, "Make a new one: stile keys new "+string(k.Kind)+", then send SIGHUP to stile serve."
			}
		case keys.Verifies:
			c.Value = "still believed, made " + ago(now, k.Made)
			if until := k.Next.Add(cookie.MaxAge * time.Second); k.Kind == keys.Cookie && !k.Next.IsZero() && now.After(until) {
				c.State, c.Advice = toneNote, "No choice that it signed holds any more: stile keys retire "+k.Name
			}
		default:
			c.Value = "retired, what it signed still verifies"
		}
		list = append(list, c)
	}
	return list
}

var keyNames = map[keys.Kind]string{keys.Cookie: "Choices", keys.Receipt: "Receipts", keys.Log: "Log"}

const (
	giga      = 1 << 30
	diskWarns = 10 // one in so many free
	diskBad   = 50
)

func (h *Health) process(now time.Time) []check {
	list := []check{
		{Name: "Stile", State: toneGood, Value: cmp.Or(h.Version, "unknown") + ", " + h.Go + tables(h.Ledger.Schema)},
		{Name: "Runs", State: toneGood, Value: "for " + lasting(now.Sub(h.Started))},
	}
	if h.Size == 0 {
		return list
	}
	disk := check{Name: "Data folder", State: toneGood, Value: fmt.Sprintf("%s of %s free", bytesOf(h.Free), bytesOf(h.Size))}
	switch {
	case h.Free < giga/4 || h.Free < h.Size/diskBad && h.Free < giga:
		disk.State, disk.Advice = toneBad, "Make room: on a full disk no choice can be stored."
	case h.Free < giga || h.Free < h.Size/diskWarns && h.Free < 10*giga:
		disk.State, disk.Advice = toneWarn, "Make room soon: on a full disk no choice can be stored."
	}
	return append(list, disk)
}

func tables(version int64) string {
	if version == 0 {
		return ""
	}
	return fmt.Sprintf(", tables of version %d", version)
}

// bytesOf is a size for people.
func bytesOf(n uint64) string {
	switch {
	case n >= giga:
		return fmt.Sprintf("%.1f GiB", float64(n)/giga)
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// ago is how long before now something was: "3 minutes ago".
func ago(now, t time.Time) string {
	if d := now.Sub(t); d >= time.Second {
		return lasting(d) + " ago"
	}
	return "just now"
}

// lasting is a length of time in its largest unit: "3 minutes".
func lasting(d time.Duration) string {
	for _, u := range []struct {
		of        time.Duration
		one, many string
	}{
		{365 * 24 * time.Hour, "year", "years"},
		{30 * 24 * time.Hour, "month", "months"},
		{24 * time.Hour, "day", "days"},
		{time.Hour, "hour", "hours"},
		{time.Minute, "minute", "minutes"},
	} {
		if n := int(d / u.of); n > 0 {
			return counted(int64(n), u.one, u.many)
		}
	}
	return counted(int64(max(d, 0)/time.Second), "second", "seconds")
}
