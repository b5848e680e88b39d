package alert

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stilehq/stile/server/tally"
)

// Facts are what alerts of sites are made of: the same at each process of a database.
type Facts struct {
	Now      time.Time
	Sites    []SiteFacts
	Unsealed time.Time // when the oldest entry of the log was made that no checkpoint covers; zero: all are
}

// SiteFacts are those of one site.
type SiteFacts struct {
	Name      string
	OptInDrop int                // per cent of itself by which the opt-in rate may fall
	Ahead     time.Duration      // before a request is due
	Days      []tally.DayFigures // that are over, oldest first: the last one and five weeks before it
	Ungated   []HostFacts        // the worst first
	Requests  []RequestFacts     // unanswered
	Tags      []TagFacts
}

// HostFacts is a host that pages load from, and that no tag of the site gates.
type HostFacts struct {
	Name  string
	Pages int64  // page views on which it was seen in the last week
	Text  string // a sentence about it
	Known bool   // it is of a tag of the site's, or of a vendor in the library
}

// RequestFacts is a visitor's request that was not answered.
type RequestFacts struct {
	Number, Kind string
	Due          time.Time
}

// TagFacts is how a tag fared yesterday and today.
type TagFacts struct {
	ID, Name         string
	Released, Errors int64
}

// Here is what is to be known of one process.
type Here struct {
	Now      time.Time
	Away     time.Time // since when the database is away; zero: it is not
	Spooled  int       // choices that wait for it
	Spools   bool      // choices are kept in a spool while it is away
	Reload   string    // why the last reload was refused; "": it was not
	Reloaded time.Time // and when
	Refused  uint64    // choices that were refused in the last quarter of an hour, since too much came at once
	Late     []Late
}

// Late is what has waited long to be sent to a vendor.
type Late struct {
	Site, Tag, Host string
	Waiting         int
	Oldest          time.Time
}

const (
	fewestAnswers = 100 // to the banner on a day, so that its opt-in rate says something
	fewestDays    = 2   // that a day is compared with
	noise         = 3   // standard deviations that a rate moves by itself

	fewestPages  = 5  // that load from a host: one visitor's browser extension is not the site's
	mostHosts    = 10 // that are told one by one, of those that are known and of the others
	fewestErrors = 20 // of a tag
	errorShare   = 20 // one in so many

	sealTime  = 15 * time.Minute
	awayTime  = 10 * time.Minute
	lateTime  = time.Hour
	fewBusy   = 10 // choices, which pages send again by themselves
	longCause = 300
)

// Rules are the alerts of sites that hold.
func Rules(f Facts) (all []Alert) {
	for i := range f.Sites {
		s := &f.Sites[i]
		all = append(all, s.optIn()...)
		all = append(all, s.hosts()...)
		all = append(all, s.requests(f.Now)...)
		all = append(all, s.vendors()...)
	}
	if !f.Unsealed.IsZero() && f.Now.Sub(f.Unsealed) > sealTime {
		all = append(all, Alert{Kind: Checkpoint, Text: fmt.Sprintf("The log has had entries since %s that no checkpoint covers: "+
			"nothing seals it. Look into the server's log for \"the log cannot be sealed\".", moment(f.Unsealed))})
	}
	return all
}

// RulesHere are the alerts of a process that hold.
func RulesHere(h Here) (all []Alert) {
	if !h.Away.IsZero() && h.Now.Sub(h.Away) > awayTime {
		text := "Choices cannot be stored: visitors are told to try again. Look at the disk and at the log of stile serve."
		if h.Spools {
			text = counted(h.Spooled, "choice waits", "choices wait") + " in the spool. Nothing is lost: bring the database back, and leave the data folder of this process alone."
		}
		all = append(all, Alert{Kind: Away, Text: fmt.Sprintf("The database has taken nothing since %s. %s", moment(h.Away), text)})
	}
	if h.Reload != "" {
		all = append(all, Alert{Kind: Reload, Text: fmt.Sprintf("A new configuration was refused at %s, and the old one goes on: %s",
			moment(h.Reloaded), short(h.Reload))})
	}
	if h.Refused >= fewBusy {
		all = append(all, Alert{Kind: Busy, Text: fmt.Sprintf("%d choices were refused in the last quarter of an hour, since too many came at once. "+
			"Pages send them again. Look at the load of the database and its disk.", h.Refused)})
	}
	for _, l := range h.Late {
		if h.Now.Sub(l.Oldest) > lateTime {
			all = append(all, Alert{Site: l.Site, Kind: Vendor, Subject: l.Tag, Text: fmt.Sprintf("%s has taken nothing for %s since %s: %s. "+
				"They are sent once it answers, for a day at most.", l.Host, l.Tag, moment(l.Oldest), counted(l.Waiting, "event waits", "events wait"))})
		}
	}
	return all
}

// optIn compares the last day with the same weekdays of the four weeks before it. The rate is that of the overview: of those
// who answered, who allowed something.
func (s *SiteFacts) optIn() []Alert {
	if len(s.Days) == 0 || s.OptInDrop == 0 {
		return nil
	}
	last := s.Days[len(s.Days)-1]
	n := last.Interactions()
	if n < fewestAnswers {
		return nil
	}
	sum, days := 0.0, 0
	for i := len(s.Days) - 8; i >= 0 && i >= len(s.Days)-29; i -= 7 {
		if before := s.Days[i]; before.Interactions() >= fewestAnswers {
			sum += share(before.Figures)
			days++
		}
	}
	if days < fewestDays {
		return nil
	}
	mean, now := sum/float64(days), share(last.Figures)
	if now >= mean*(1-float64(s.OptInDrop)/100) || mean-now < noise*math.Sqrt(mean*(1-mean)/float64(n)) {
		return nil
	}
	date, err := time.Parse(time.DateOnly, string(last.Day))
	if err != nil {
		return nil
	}
	return []Alert{{Site: s.Name, Kind: OptIn, Text: fmt.Sprintf("The opt-in rate fell to %s on %s; on the %ss before it was %s. "+
		"Look at what changed: the banner, its words, where visitors come from.", percent(now), date.Format("Monday 2 January 2006"), date.Weekday(), percent(mean))}}
}

func share(f tally.Figures) float64 { return float64(f.OptIns) / float64(f.Interactions()) }

// hosts tells hosts one by one while they are few. Anybody can post reports: many are told as one, so that made-up ones are
// no flood, and so that none comes and goes as others are seen more often.
func (s *SiteFacts) hosts() (all []Alert) {
	const where = " This is of the last week; the page of sightings has the lines for stile.yaml."
	var more []HostFacts
	for _, known := range []bool{true, false} {
		var list []HostFacts
		for _, h := range s.Ungated {
			if h.Known == known && h.Pages >= fewestPages {
				list = append(list, h)
			}
		}
		if len(list) > mostHosts {
			more = append(more, list...)
			continue
		}
		for _, h := range list {
			all = append(all, Alert{Site: s.Name, Kind: Host, Subject: h.Name, Text: h.Text + where})
		}
	}
	if len(more) > 0 {
		all = append(all, Alert{Site: s.Name, Kind: Host, Text: fmt.Sprintf("Pages were seen to load from %d hosts and vendors that nothing gates, "+
			"which may be reports that somebody made up. The first: %s%s", len(more), more[0].Text, where)})
	}
	return all
}

func (s *SiteFacts) requests(now time.Time) (all []Alert) {
	for _, r := range s.Requests {
		switch {
		case now.After(r.Due):
			all = append(all, Alert{Site: s.Name, Kind: Overdue, Subject: r.Number, Text: fmt.Sprintf("Request %s (%s) was due on %s and is not answered.",
				r.Number, r.Kind, date(r.Due))})
		case r.Due.Sub(now) <= s.Ahead:
			all = append(all, Alert{Site: s.Name, Kind: Due, Subject: r.Number, Text: fmt.Sprintf("Request %s (%s) is due on %s and is not answered.",
				r.Number, r.Kind, date(r.Due))})
		}
	}
	return all
}

func (s *SiteFacts) vendors() (all []Alert) {
	for _, t := range s.Tags {
		if t.Errors >= fewestErrors && t.Errors*errorShare >= t.Released {
			all = append(all, Alert{Site: s.Name, Kind: Vendor, Subject: t.ID, Text: fmt.Sprintf("%s failed %d times since yesterday, of %d times that it was released. "+
				"Look at its account, and at whether its host answers.", t.Name, t.Errors, t.Released)})
		}
	}
	return all
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", share*100) }
func moment(t time.Time) string    { return t.UTC().Format("15:04 UTC on 2 January 2006") }
func date(t time.Time) string      { return t.UTC().Format("Monday 2 January 2006") }

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// short is the first line of a cause, which may hold pages of errors.
func short(cause string) string {
	line, rest, _ := strings.Cut(cause, "\n")
	if runes := []rune(line); len(runes) > longCause {
		return string(runes[:longCause]) + "…"
	}
	if strings.Contains(rest, ": error: ") {
		line += " (and more)"
	}
	return line
}
