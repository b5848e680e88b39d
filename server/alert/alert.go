// Package alert tells the team of a site, and whoever runs Stile, what they should look at: a fall of the opt-in rate, a
// request that is nearly due, a database that is away.
//
// What is to be told is decided by rules, which are pure: facts in, alerts out. An alert is raised once and told once, by
// webhook and by e-mail; when it no longer holds it is cleared, and that is told as well. Alerts and what was told of them
// are in the ledger's database, so that a restart tells nothing twice. Nothing in an alert is of a person: a request is its
// number.
package alert

import (
	"slices"
	"time"
)

// Kind is what an alert is about.
type Kind string

// The kinds there are.
const (
	OptIn      Kind = "opt-in"        // the opt-in rate fell
	Host       Kind = "host"          // pages load from a host that no tag of the site gates; subject: the host, "" for many
	Vendor     Kind = "vendor"        // what is for a vendor does not reach it; subject: the tag
	Due        Kind = "request"       // a visitor's request is nearly due (F7); subject: its number
	Overdue    Kind = "overdue"       // a request was due; subject: its number
	Checkpoint Kind = "checkpoint"    // the log grows, and nothing signs it
	Away       Kind = "database"      // the database is away, and choices wait in the spool
	Reload     Kind = "configuration" // a new configuration was not taken
	Busy       Kind = "busy"          // choices were refused: too much at once
)

// Kinds are all of them, those of a site first.
func Kinds() []Kind { return []Kind{OptIn, Host, Vendor, Due, Overdue, Checkpoint, Away, Reload, Busy} }

// Title is what the kind is called, for people.
func (k Kind) Title() string {
	switch k {
	case OptIn:
		return "The opt-in rate fell"
	case Host:
		return "A host that nothing gates"
	case Vendor:
		return "A vendor does not get what is sent"
	case Due:
		return "A request is nearly due"
	case Overdue:
		return "A request is overdue"
	case Checkpoint:
		return "The log is not sealed"
	case Away:
		return "The database is away"
	case Reload:
		return "A configuration was refused"
	case Busy:
		return "Choices were refused"
	}
	return "A test"
}

// Alert is something that holds.
type Alert struct {
	Site    string // "" for all
	Kind    Kind
	Subject string // what it is about, where a site may have several
	Text    string // a sentence or two, for people
}

// key is what makes two alerts the same one.
type key struct {
	site    string
	kind    Kind
	subject string
	owner   string
}

// Record is an alert that was raised.
type Record struct {
	ID [16]byte
	Alert
	Owner    string    // process that it is about; "" for all
	Raised   time.Time // UTC
	Seen     time.Time // when it held last
	Cleared  time.Time // zero: it still holds
	Tellings []Telling // raised before cleared
}

func (r *Record) key() key { return key{r.Site, r.Kind, r.Subject, r.Owner} }

// MostListed is how many that hold, and how many that ended, Engine.List has at most.
const MostListed = 200

// Telling is one way by which an alert was or is to be told.
type Telling struct {
	Ended bool   // that it no longer holds, and not that it was raised
	Way   string // webhook or mail
	Place string // host that was told
	Told  time.Time
	Due   time.Time // of the next attempt; zero: there is none
	Tries int
	Error string // of the last attempt
}

// GivenUp tells whether it was not told, and never will be.
func (t *Telling) GivenUp() bool { return t.Told.IsZero() && t.Due.IsZero() }

// change is what an evaluation found.
type change struct {
	raise []Alert
	keep  []Record // with the text that holds now
	clear []Record
}

// compare finds out what is new and what is over, of alerts that were raised by the same rules.
func compare(open []Record, holding []Alert, owner string) (c change) {
	known := map[key]*Record{}
	for i := range open {
		known[open[i].key()] = &open[i]
	}
	for _, a := range holding {
		k := key{a.Site, a.Kind, a.Subject, owner}
		r := known[k]
		if r == nil {
			c.raise = append(c.raise, a)
			continue
		}
		r.Text = a.Text
		c.keep = append(c.keep, *r)
		delete(known, k)
	}
	for i := range open {
		if known[open[i].key()] != nil {
			c.clear = append(c.clear, open[i])
		}
	}
	return c
}

// quiet tells whether the end of an alert is not worth a word: a request that is no longer nearly due, since it is overdue; a
// host that is told with many others from now on.
func (c *change) quiet(r *Record) bool {
	return slices.ContainsFunc(c.raise, func(a Alert) bool {
		return a.Site == r.Site && (r.Kind == Due && a.Kind == Overdue && a.Subject == r.Subject || r.Kind == Host && a.Kind == Host && a.Subject == "")
	})
}
