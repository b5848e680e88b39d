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
	Memory       time.Duration // how long a choice holds: 180 days unless configured, at most 395 (B10, C1)
	Retention    Retention     // how long records are kept (C10)
	Appearance   Appearance

	// Lists holds the vendor lists that this site had before: the list's id (Site.List) to its entries. A choice
	// names the list that its visitor was shown, so that what came later is known to be new (B11).
	Lists map[string][]string
}

// Controller is who is answerable for the site (B6).
type Controller struct {
	Name    string
	Contact string // e-mail address or URL
}

// Policy is the version of the cookie policy in force.
type Policy struct {
	Version  string
	Material bool   // a grant given under an older version does not hold (B11)
	File     string // Markdown
	Summary  string // what changed, in a line
}

// Appearance is how the banner looks.
type Appearance struct {
	Position string // bottom, top or corner
	Theme    string // auto, light or dark
	Accent   string // "#rrggbb"
}

// Retention is how long records are kept, in calendar units.
type Retention struct{ Years, Months, Days int }

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
	ID       string   // what the API, the form field "service" and the pixel path call it: lower case, dashes
	Name     string   // what a person reads
	Vendor   string   // id in the vendor library; "" for a custom tag
	Company  string   // who receives the data, for people
	Account  string   // the site's account at the vendor
	Category string   // Category.Name
	Needs    []string // ids of tags that must have loaded before this one
	Load     Load
	Cookies  []Cookie
	Storage  []string // localStorage and sessionStorage keys, "*" for any ending
	Policy   string   // URL of the vendor's privacy policy, or ""
}

// Load is how a tag is run, in this order: Before, Signal, Script or Pixel, After. Signal runs again whenever the choice
// changes while the tag runs; Stop takes it back. Before, Signal, After and Stop are JavaScript function bodies in which
// ok(name) tells whether a category or tag is allowed.
type Load struct {
	Before    string
	Signal    string
	Script    string // URL
	Integrity string // subresource integrity of Script, or ""
	Attrs     []Attr // further attributes of the script element
	Pixel     string // URL; {page} stands for the page's address
	After     string
	Stop      string // "" when the tag cannot be stopped without a reload
}

// Attr is an attribute of a script element.
type Attr struct{ Name, Value string }

// Cookie is a cookie that a tag sets on the site's own domain.
type Cookie struct {
	Name     string // "*" stands for any ending
	Lifetime string // as the vendor states it, for people
}

// Visit is what is known of one visit when it is decided.
type Visit struct {
	Choice *Choice   // nil: no choice, or none that could be believed
	Region string    // ISO 3166: "DE", "US-CA"; "" when unknown
	GPC    bool      // Sec-GPC: 1
	Now    time.Time // when it is decided
}

// Decision is what Decide decided: for each category and each tag released or withheld, because.
type Decision struct {
	Regime     *Regime
	Choice     *Choice // the choice in force, or nil
	GPC        bool
	Ask        bool      // the visitor must be asked, or told
	New        []string  // names of categories and tags that came after the choice (B11)
	Categories []Verdict // one for each Site.Categories
	Tags       []Verdict // one for each Site.Tags
}

// Verdict is released or withheld, because.
type Verdict struct {
	Released bool
	Because  Because
}

// Decide decides a visit. It is the only place in Stile where a tag is released.
func Decide(s *Site, v Visit) Decision {
	d := Decision{Regime: s.Regime(v.Region), GPC: v.GPC}
	expired := false
	if v.Choice != nil {
		switch {
		case v.Now.Sub(v.Choice.Time) >= s.Memory:
			expired = true
		case v.Choice.Time.Sub(v.Now) > clockSkew:
		default:
			d.Choice = v.Choice
		}
	}
	d.Categories = make([]Verdict, len(s.Categories))
	for i := range s.Categories {
		d.Categories[i] = d.category(s, &s.Categories[i], expired)
	}
	shown := s.shown(d.Choice)
	d.Tags = make([]Verdict, len(s.Tags))
	for i := range s.Tags {
		d.Tags[i] = d.tag(s, &s.Tags[i], shown)
	}
	d.withholdNeedy(s)
	d.Ask = d.mustAsk(s)
	return d
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

func (d *Decision) category(s *Site, c *Category, expired bool) Verdict {
	choice := d.Choice
	switch {
	case c.Required:
		return released(Required, c.Name)
	case d.GPC && c.Sells && (choice == nil || !choice.GPC || !slices.Contains(choice.Granted, c.Name)):
		return withheld(Signal, c.Name)
	case choice != nil && slices.Contains(choice.Denied, c.Name):
		return withheld(Declined, c.Name).at(choice.Time)
	case choice != nil && slices.Contains(choice.Granted, c.Name):
		if outdated(s, choice) {
			return withheld(PolicyChanged, c.Name).at(choice.Time)
		}
		if d.Regime.Separate {
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

// tag decides a tag; shown are the entries of the vendor list that the choice was made by.
func (d *Decision) tag(s *Site, t *Tag, shown []string) Verdict {
	i := slices.IndexFunc(s.Categories, func(c Category) bool { return c.Name == t.Category })
	if i < 0 {
		return withheld(NotChosen, t.Category) // the configuration refuses it; fail closed all the same
	}
	c, v, choice := &s.Categories[i], d.Categories[i], d.Choice
	if c.Required {
		return v
	}
	if choice != nil && slices.Contains(choice.Services, t.ID) && !outdated(s, choice) && (!d.GPC || !c.Sells || choice.GPC) {
		return released(GrantedAlone, t.Name).at(choice.Time)
	}
	if v.Because.Kind == Separate {
		return withheld(Separate, t.Name).in(d.Regime)
	}
	if v.Released && v.Because.Kind == Granted && !slices.Contains(shown, t.entry()) {
		return withheld(Added, t.Name).at(choice.Time)
	}
	return v
}

// outdated tells whether the policy changed materially after the choice, so that its grants no longer hold; its
// refusals always do.
func outdated(s *Site, c *Choice) bool { return s.Policy.Material && c.Policy != s.Policy.Version }

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

func (d *Decision) mustAsk(s *Site) bool {
	for i, v := range d.Categories {
		switch {
		case s.Categories[i].Required:
		case d.Choice == nil:
			return true
		case v.Because.Kind == PolicyChanged:
			return true
		case v.Because.Kind == Added, v.Because.Kind == NotObjected, v.Because.Kind == NoticeOnly:
			d.New = append(d.New, s.Categories[i].Name)
		}
	}
	for i, v := range d.Tags {
		if v.Because.Kind == Added && v.Because.Subject == s.Tags[i].Name {
			d.New = append(d.New, s.Tags[i].Name)
		}
	}
	return len(d.New) > 0
}

func (s *Site) tag(id string) int {
	return slices.IndexFunc(s.Tags, func(t Tag) bool { return t.ID == id })
}
