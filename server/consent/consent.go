// Package consent is the heart of Stile: it decides, for one visit to one site, which tags are released and which are
// withheld, and says why. It is pure: no HTTP, no SQL, no clock. Everything else in Stile draws what Decide decided.
//
// A tag is released only if its category is required, or was granted by a choice that is still in force, or if the law
// of the visitor's region (the Regime) lets it run until the visitor objects. Everything else is withheld: silence is
// refusal (REQUIREMENTS A1), and a signal (Sec-GPC) can only ever take away (D2).
package consent

import (
	"slices"
	"time"
)

// Site is the configuration of one site, as compiled from its stile.yaml. It is never changed after it was made, so it
// may be read by any number of goroutines.
type Site struct {
	Name         string        // in the script's path and the cookie's name: [a-z0-9-]
	Origins      []string      // pages that may embed it: "https://www.shop.example", "https://*.shop.example"
	CookieDomain string        // shares the choice across subdomains; "" for the consent host alone
	Controller   Controller    // who is answerable
	Policy       Policy        // the cookie policy in force
	Languages    []string      // BCP 47; the first is the fallback
	Regimes      []Regime      // first match wins; the last matches everything
	Categories   []Category    // in display order
	Tags         []Tag         // in the order in which they are released
	Modes        []Mode        // consent modes that tags obey
	Memory       time.Duration // how long a choice holds: 180 days unless configured, at most 395 (B10, C1)
	Retention    Retention     // how long records are kept (C10)
	Appearance   Appearance
	Words        map[string]map[string]string // the site's own words: language, then the word's name
	Minors       Minors
	SinglePage   bool // its pages change without being loaded: a page view is what the address says
	PageViews    bool // page views are counted in place of answers: each page sends a request for it
	PerVendor    bool // each vendor can be switched off by itself (B5)

	Sightings float64  // share of page views that report what they loaded, over 0 and at most 1; 0: none does
	Own       []string // hosts that are the site's own or harmless, "*." for any subdomain: no sighting of them is kept

	// Lists holds the vendor lists that this site had before: the list's id (Site.List) to its entries. A choice
	// names the list that its visitor was shown, so that what came later is known to be new (B11).
	Lists map[string][]string

	// History holds the versions that the policy had, oldest first, the one in force last. A grant does not hold over a
	// material one.
	History []Version

	Mail *Mail // how its newsletters are counted; nil: they are not

	Alerts Alerts
}

// Alerts is what a site's team is told of, and where.
type Alerts struct {
	Email     []string      // addresses
	OptInDrop int           // per cent of itself by which the opt-in rate may fall
	Requests  time.Duration // before a request is due
}

// Version is a version of the policy.
type Version struct {
	Name     string
	Material bool
}

// Minors is how visitors under an age are protected (F4).
type Minors struct {
	Age      int  // in years; 0: nobody is asked
	Guardian bool // a parent or guardian can consent for them
}

// Controller is who is answerable for the site (B6).
type Controller struct {
	Name    string
	Contact string // e-mail address or URL
}

// Policy is the version of the cookie policy in force.
type Policy struct {
	Version  string
	Material bool              // a grant given under an older version does not hold (B11)
	File     string            // Markdown
	Summary  map[string]string // what changed, in a line, by language; "" for all of them
	From     time.Time         // the day from which it is in force; zero where that is not said
	Former   []Policy          // versions before this one, oldest first, for the archive (C6)
	Next     *Policy           // a version that comes into force on its day (F9), or nil
}

// Dated tells whether the configuration says from when a version is in force.
func (p Policy) Dated(version string) bool {
	for _, v := range append(slices.Clone(p.Former), p) {
		if v.Version == version {
			return !v.From.IsZero()
		}
	}
	return p.Next != nil && p.Next.Version == version
}

// Versions are those that the configuration names up to the one in force, oldest first.
func (p Policy) Versions() (list []Version) {
	for _, v := range append(slices.Clone(p.Former), p) {
		list = append(list, Version{Name: v.Version, Material: v.Material})
	}
	return list
}

// At is the policy in force at a time: the next one takes the place of this one on its day.
func (p Policy) At(now time.Time) Policy {
	if p.Next == nil || now.Before(p.Next.From) {
		return p
	}
	next, before := *p.Next, p
	before.Former, before.Next = nil, nil
	next.Former = append(slices.Clone(p.Former), before)
	return next
}

// Appearance is how the banner looks.
type Appearance struct {
	Position string // bottom, top, corner, top-corner or centre
	Theme    string // auto, light or dark
	Light    Colours
	Dark     Colours
	Radius   int    // of the corners, CSS pixels
	Font     string // CSS font-family
	Control  string // the small permanent control: auto, start, end or off
}

// Colours are "#rrggbb", or "" for what Stile chooses.
type Colours struct{ Accent, OnAccent, Background, Text string }

// Retention is how long records are kept after they ended, in calendar units, and what becomes of them then.
type Retention struct {
	Years, Months, Days int
	Anonymise           bool // counts by month are kept of them
}

// Before is the moment such that what ended earlier is over.
func (r Retention) Before(now time.Time) time.Time { return now.AddDate(-r.Years, -r.Months, -r.Days) }

// Category is a purpose that the visitor decides on as a whole.
type Category struct {
	Name     string            // [a-z0-9-]
	Required bool              // strictly necessary: cannot be declined, and consent is not asked for it
	Sells    bool              // sale, sharing or cross-site advertising: Sec-GPC turns it off (D2)
	Title    map[string]string // language to words, for categories that Stile has no words for
	Purpose  map[string]string // language to words
}

// Tag is something that a site loads for a category: a vendor's script, a pixel, or a few lines of script.
type Tag struct {
	ID       string            // what the API, the form field "service" and the pixel path call it: lower case, dashes
	Name     string            // what a person reads
	Vendor   string            // id in the vendor library; "" for a custom tag
	Company  string            // who receives the data, for people
	Account  string            // the site's account at the vendor
	Category string            // Category.Name
	Needs    []string          // ids of tags that must have loaded before this one
	Mode     string            // Mode.ID of the consent mode that it obeys, or ""
	Grants   []string          // signals of the mode that are granted where this tag is released though its category is not
	Follows  map[string]string // the vendor's own consent signals that the site maps otherwise: name to category
	Load     Load
	Hosts    []string // that it contacts, "*." for any subdomain
	Cookies  []Cookie
	Storage  []string // localStorage and sessionStorage keys, and IndexedDB databases, "*" for any ending
	Policy   string   // URL of the vendor's privacy policy, or ""

	// Through sends the pixel through the gate: the visitor's browser asks Stile, which asks the vendor later and passes on
	// nothing of the visitor but what Forward names: ip, user_agent, query (of the page's address).
	Through bool
	Forward []string

	Server *Delivery // how events reach the vendor from this server, or nil
}

// Load is how a tag is run, in this order: Before, Signal, Script or Pixel, After. Signal runs again whenever the choice
// changes while the tag runs; Stop takes it back. Before, Signal, After and Stop are JavaScript function bodies in which
// ok(name) tells whether a category or tag is allowed. View runs when a single-page app goes to another page.
type Load struct {
	Before    string
	Signal    string
	Script    string // URL
	Integrity string // subresource integrity of Script, or ""
	Attrs     []Attr // further attributes of the script element
	Pixel     string // URL; {page} stands for the page's address
	After     string
	View      string // page view of a single-page app, where the vendor does not notice by itself; "" where it does
	Queue     string // expression: the queue in the page that the vendor's script will read, dropped after a refusal
	Stop      string // "" when the tag cannot be stopped without a reload
}

// Mode is a consent interface that several tags on a page share, such as Google's consent mode. Update tells it each change,
// and before the first what holds until then: that everything is denied. Default tells that alone, before anything else,
// where it is advanced. Both are JavaScript function bodies in which {defaults} is a list of what is told at first, {always}
// the parts of it that are no choice, and {signals} an object: signal to the names, with a space between, of which any
// grants it.
type Mode struct {
	ID       string
	Default  string
	Update   string
	Queue    string
	Signals  []ModeSignal
	Granted  []string       // signals that are always granted
	Settings map[string]any // further values of what is told at first
	Advanced bool           // its tags are sent before and without consent, and told that it is denied
}

// ModeSignal is what one kind of storage or use is called there, and the category that it follows.
type ModeSignal struct{ Name, Category string }

// Attr is an attribute of a script element.
type Attr struct{ Name, Value string }

// Cookie is a cookie that a tag sets on the site's own domain.
type Cookie struct {
	Name     string            // "*" stands for any ending
	Lifetime string            // as the vendor states it: "session", "90 days"
	Purpose  map[string]string // language to words; the category's purpose where it has none
}

// Visit is what is known of one visit when it is decided.
type Visit struct {
	Choice  *Choice   // nil: no choice, or none that could be believed
	Region  string    // ISO 3166: "DE", "US-CA"; "" when unknown
	GPC     bool      // Sec-GPC: 1
	Crawler bool      // a search engine's or the like: nobody who could choose
	Now     time.Time // when it is decided
}

// Decision is what Decide decided: for each category and each tag released or withheld, because.
type Decision struct {
	Regime     *Regime
	Choice     *Choice // the choice in force, or nil
	GPC        bool
	Crawler    bool
	Ask        bool      // the visitor must be asked
	Why        Kind      // and why: NotChosen, Added, PolicyChanged or ControllerChanged
	Tell       bool      // the policy changed a little since the choice: a line says so
	New        []string  // names of categories and tags that came after the choice (B11)
	Categories []Verdict // one for each Site.Categories
	Tags       []Verdict // one for each Site.Tags
}

// Verdict is released or withheld, because.
type Verdict struct {
	Released   bool
	Because    Because
	Restricted bool // withheld, and sent all the same with the word that consent is denied: Mode.Advanced
}

// Decide decides a visit. It is the only place in Stile where a tag is released.
func Decide(s *Site, v Visit) Decision {
	d := Decision{Regime: s.Regime(v.Region), GPC: v.GPC, Crawler: v.Crawler}
	expired := false
	if v.Choice != nil {
		switch {
		case v.Now.Sub(v.Choice.Time) >= s.Remembers(d.Regime):
			expired = true
		case v.Choice.Time.Sub(v.Now) > clockSkew:
		default:
			d.Choice = v.Choice
		}
	}
	past := s.since(d.Choice)
	d.Categories = make([]Verdict, len(s.Categories))
	for i := range s.Categories {
		d.Categories[i] = d.category(&s.Categories[i], past, expired)
	}
	d.Tags = make([]Verdict, len(s.Tags))
	for i := range s.Tags {
		d.Tags[i] = d.tag(s, &s.Tags[i], past)
	}
	d.withholdNeedy(s)
	d.restrict(s)
	d.Ask = d.mustAsk(s, past)
	d.Tell = d.Choice != nil && !d.Ask && !d.Crawler && d.Choice.Policy != s.Policy.Version
	return d
}

// restrict marks what is sent without consent because the site runs its consent mode in the advanced form. Nobody who said
// to be a minor gets it, and no crawler.
func (d *Decision) restrict(s *Site) {
	if d.Crawler || d.Choice != nil && d.Choice.Minor {
		return
	}
	for i := range s.Tags {
		m := s.Mode(s.Tags[i].Mode)
		d.Tags[i].Restricted = !d.Tags[i].Released && m != nil && m.Advanced
	}
}

// Mode returns the consent mode of an id, or nil.
func (s *Site) Mode(id string) *Mode {
	for i := range s.Modes {
		if s.Modes[i].ID == id {
			return &s.Modes[i]
		}
	}
	return nil
}

// year is how long an objection holds at least, where tags run until there is one: its end would let them run again, and
// California asks for twelve months.
const year = 365 * 24 * time.Hour

// Remembers is how long a choice holds under a regime.
func (s *Site) Remembers(r *Regime) time.Duration {
	if r.Model == OptOut {
		return max(s.Memory, year)
	}
	return s.Memory
}

// past is what has changed since a choice.
type past struct {
	shown      []string // entries of the vendor list that it was made by
	material   bool     // the policy changed materially: grants no longer hold, refusals always do
	controller bool     // somebody else is answerable: the same
}

// since is what has changed at the site since a choice.
func (s *Site) since(c *Choice) past {
	if c == nil {
		return past{}
	}
	shown := s.shown(c)
	return past{shown: shown, material: s.materialSince(c.Policy), controller: controllerChanged(shown, s.controller())}
}

// clockSkew is how far in the future a choice may be before it is not believed: two servers' clocks differ.
const clockSkew = 5 * time.Minute

// Allows tells whether a category (by name) or a tag (by id) is released.
func (d *Decision) Allows(s *Site, name string) bool {
	for i := range s.Categories {
		if s.Categories[i].Name == name {
			return d.Categories[i].Released
		}
	}
	for i := range s.Tags {
		if s.Tags[i].ID == name {
			return d.Tags[i].Released
		}
	}
	return false
}

func (d *Decision) category(c *Category, since past, expired bool) Verdict {
	choice := d.Choice
	switch {
	case c.Required:
		return released(Required, c.Name)
	case d.Crawler:
		return withheld(Crawler, c.Name)
	case d.GPC && c.Sells && (choice == nil || !choice.GPC || !slices.Contains(choice.Granted, c.Name)):
		return withheld(Signal, c.Name)
	case choice != nil && slices.Contains(choice.Denied, c.Name):
		return withheld(Declined, c.Name).at(choice.Time)
	case choice != nil && slices.Contains(choice.Granted, c.Name):
		switch {
		case since.controller:
			return withheld(ControllerChanged, c.Name).at(choice.Time)
		case since.material:
			return withheld(PolicyChanged, c.Name).at(choice.Time)
		case d.Regime.Separate:
			return withheld(Separate, c.Name).in(d.Regime)
		}
		return released(Granted, c.Name).at(choice.Time)
	case d.Regime.Model == OptOut:
		return released(NotObjected, c.Name).in(d.Regime)
	case slices.Contains(d.Regime.NoticeOnly, c.Name):
		return released(NoticeOnly, c.Name).in(d.Regime)
	case choice != nil:
		return withheld(Added, c.Name).at(choice.Time)
	case expired:
		return withheld(Expired, c.Name)
	}
	return withheld(NotChosen, c.Name)
}

func (d *Decision) tag(s *Site, t *Tag, since past) Verdict {
	i := slices.IndexFunc(s.Categories, func(c Category) bool { return c.Name == t.Category })
	if i < 0 {
		return withheld(NotChosen, t.Category) // the configuration refuses it; fail closed all the same
	}
	c, v, choice := &s.Categories[i], d.Categories[i], d.Choice
	if c.Required || choice == nil || d.Crawler {
		return v
	}
	if slices.Contains(choice.Refused, t.ID) {
		return withheld(Declined, t.Name).at(choice.Time)
	}
	seen := slices.Contains(since.shown, t.entry())
	alone := slices.Contains(choice.Services, t.ID) && !since.material && !since.controller && (!d.GPC || !c.Sells || choice.GPC)
	switch {
	case alone && seen:
		return released(GrantedAlone, t.Name).at(choice.Time)
	case alone, !seen && (v.Because.Kind == Granted || v.Because.Kind == Separate):
		return withheld(Added, t.Name).at(choice.Time)
	case !seen && v.Because.Kind == Declined && d.Regime.Separate && s.someAlone(c.Name, choice.Services):
		return withheld(Added, t.Name).at(choice.Time)
	case v.Because.Kind == Separate:
		return withheld(Separate, t.Name).in(d.Regime)
	}
	return v
}

// someAlone tells whether some of a category's tags are among those accepted by themselves: where each recipient is, nobody
// has accepted or declined the category (F2).
func (s *Site) someAlone(category string, services []string) bool {
	return slices.ContainsFunc(s.Tags, func(t Tag) bool { return t.Category == category && slices.Contains(services, t.ID) })
}

// materialSince tells whether the policy changed materially after a version. Of a version that is not known every
// material one is held to be later.
func (s *Site) materialSince(version string) bool {
	if version == s.Policy.Version {
		return false
	}
	for _, v := range slices.Backward(s.History) {
		if v.Name == version {
			return false
		}
		if v.Material {
			return true
		}
	}
	return s.Policy.Material
}

// withholdNeedy withholds what needs a tag that is withheld, until nothing changes: needs may be chained.
func (d *Decision) withholdNeedy(s *Site) {
	for changed := true; changed; {
		changed = false
		for i := range s.Tags {
			if !d.Tags[i].Released {
				continue
			}
			for _, need := range s.Tags[i].Needs {
				if j := s.tag(need); j < 0 || !d.Tags[j].Released {
					d.Tags[i], changed = withheld(Needs, need), true
					break
				}
			}
		}
	}
}

// mustAsk tells whether the visitor must be asked, and notes why.
func (d *Decision) mustAsk(s *Site, since past) bool {
	if d.Crawler {
		return false
	}
	policy := d.Choice != nil && since.material && len(d.Choice.Services) > 0
	open := false // there is a choice to be made at all
	for i, v := range d.Categories {
		if s.Categories[i].Required {
			continue
		}
		open = true
		switch v.Because.Kind {
		case PolicyChanged:
			policy = true
		case Added, NotObjected, NoticeOnly:
			if d.Choice != nil {
				d.New = append(d.New, s.Categories[i].Name)
			}
		}
	}
	for i, v := range d.Tags {
		if v.Because.Kind == Added && v.Because.Subject == s.Tags[i].Name {
			d.New = append(d.New, s.Tags[i].Name)
		}
	}
	switch {
	case d.Choice == nil:
		d.Why = NotChosen
		return open
	case since.controller:
		d.Why = ControllerChanged
		return open
	case policy:
		d.Why = PolicyChanged
		return true
	}
	d.Why = Added
	return len(d.New) > 0
}

func (s *Site) tag(id string) int {
	return slices.IndexFunc(s.Tags, func(t Tag) bool { return t.ID == id })
}
