package tally

import (
	"time"

	"github.com/stilehq/stile/server/consent"
)

// Day is a day in UTC: "2026-11-22".
type Day string

// DayOf is the day of a moment.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// Period is from one day to another, both included: at most 800 days.
type Period struct{ From, To Day }

// Filter leaves only what has all the values that it names; "" is any. Other stands for what was merged (see Smallest).
type Filter struct {
	Country, Regime, Language, Device, Banner string

	Sightings bool // what pages were seen to load is asked for too: there may be much of it
}

// Dimension is what figures are told apart by.
type Dimension string

// The dimensions. A banner's version is that of the policy, a dash and 6 hexadecimal digits of all words and looks of it.
const (
	Country  Dimension = "country"
	Regime   Dimension = "regime"
	Language Dimension = "language"
	Device   Dimension = "device" // phone, tablet or desktop
	Banner   Dimension = "banner"
)

// Other is the value of a dimension of what was merged, so that no visit can be told from others.
const Other = "other"

// Report is what was counted at a site in a period, under a filter.
type Report struct {
	Total      Figures
	Days       []DayFigures        // every day of the period, also where nothing was counted
	By         map[Dimension][]Row // most views first
	Categories map[string]Category // optional categories, by name
	Tags       map[string]*Tag     // by consent.Tag.ID; also of tags that the site has no more
	Sightings  []Sighting          // most pages first; not under the filter, and only where that asks for them
	Reported   int64               // page views that said what they loaded, if it was nothing; the same
	Missing    []Day               // of which something that was stored cannot be read, and is left out
	Flushed    time.Time           // when this process stored last what it counted
}

// Row is the figures of one value of a dimension.
type Row struct {
	Value string
	Figures
}

// DayFigures is the figures of one day.
type DayFigures struct {
	Day Day
	Figures
}

// Figures is what was counted of visits and choices.
type Figures struct {
	Views    int64 // answers of the script; page views where the site counts those (consent.Site.PageViews)
	Displays int64 // of those, the ones that held the banner
	Unsure   int64 // of Views: asked for from another site's page, which may know of a choice that did not come along; no displays
	Crawlers int64 // of Views: nobody who could choose
	Signals  int64 // of Views: with Sec-GPC, which switched something off

	// Choices of visitors who were being asked.
	AcceptAll, RejectAll, Custom int64

	Changes     int64 // choices of visitors who had chosen before, withdrawals left out
	Withdrawals int64
	OptOuts     int64 // choices of any kind that declined something that the regime had let run: manual opt-outs
	OptIns      int64 // of AcceptAll and Custom: those that granted something
}

// Interactions are the answers to the banner.
func (f Figures) Interactions() int64 { return f.AcceptAll + f.RejectAll + f.Custom }

// Ignores are displays that no choice followed. A visitor who sees the banner on three pages and then chooses has ignored it
// twice.
func (f Figures) Ignores() int64 { return max(f.Displays-f.Interactions(), 0) }

// Category is how often visitors who were asked granted or declined a category.
type Category struct{ Granted, Denied int64 }

// Tag is in how many Views a tag was released and withheld: each is counted as one of the three. What a choice lets out on the
// page on which it was made is released in that view, and withheld is what never was let out.
type Tag struct {
	Released   int64
	Restricted int64 // sent without consent, and told so
	Withheld   int64 // neither

	Because           map[consent.Kind]int64 // of Withheld: the last reason on the page
	RestrictedBecause map[consent.Kind]int64 // of Restricted, likewise

	Last   time.Time // last released, to a minute or so; zero: not in the period
	Errors int64     // deliveries by this server that were given up, and loads that were seen to fail; not under the filter
}

// Sighting is a third-party host that pages were seen to load from, see Sight.
type Sighting struct {
	Host        string
	State       string // what was allowed, as the sighting package writes it; UnknownState
	Chosen      bool   // the visitor had chosen; else the banner was open or consent not asked for
	Tags        string // Ran, Held or "": what became of the site's tags that contact the host
	GPC         bool   // Global Privacy Control was on
	Regime      string // its name; "" where it is not known
	Source      string // Observer or CSP
	As          string // as what it was loaded: Loaded.As
	Pages       int64  // page views on which it was seen
	First, Last Day
}
