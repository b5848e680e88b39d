package consent

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Choice is what a visitor chose, as the signed cookie carries it (C2: the choice and a random id, nothing else).
type Choice struct {
	Receipt  uuid.UUID // the record that it was made by
	Time     time.Time // UTC, to the second
	Policy   string    // version of the policy in force then
	List     string    // Site.List then: the vendors that were shown
	Granted  []string  // categories, sorted
	Denied   []string  // categories, sorted
	Services []string  // tags accepted by themselves, by id, sorted
	Refused  []string  // tags declined by themselves in a category that was accepted, by id, sorted
	GPC      bool      // made while Sec-GPC was on: its grants hold against the signal (D5)
	Minor    bool      // the visitor is under the site's age: only a guardian's act adds to the grants (F4)
}

// Action is the act that a record is of.
type Action string

// The acts of a visitor.
const (
	AcceptAll Action = "accept_all"
	RejectAll Action = "reject_all"
	Custom    Action = "custom"
	Withdraw  Action = "withdraw"
	Guardian  Action = "guardian" // a parent or guardian decided for a minor
)

// Parse reads the choice out of a form. Nothing named is a refusal of everything; the error says which field was wrong.
//
//	accept=all, accept=none
//	accept=unsold     everything that neither sells nor shares data (F13)
//	accept=new        what is new since the choice before, which holds beside it; accept=kept: that choice alone (B11)
//	category=, service=    any number of them
//	services=each     with service= for each vendor that is wanted: of a category in which some are named, the rest is
//	                  declined (B5)
//
// before is the choice in force, or nil.
func Parse(form map[string][]string, s *Site, before *Choice) (Choice, Action, error) {
	granted, services := form["category"], form["service"]
	accept, err := one(form, "accept", "all", "none", "unsold", "new", "kept")
	if err != nil {
		return Choice{}, "", err
	}
	each, err := one(form, "services", "each")
	if err != nil {
		return Choice{}, "", err
	}
	for _, name := range granted {
		if !slices.ContainsFunc(s.Categories, func(c Category) bool { return c.Name == name }) {
			return Choice{}, "", fmt.Errorf("category %q is not one of this site's", name)
		}
	}
	for _, id := range services {
		if s.tag(id) < 0 {
			return Choice{}, "", fmt.Errorf("service %q is not one of this site's", id)
		}
	}
	if since := s.since(before); before == nil || since.material || since.controller {
		// There is nothing that could be kept.
		switch accept {
		case "new":
			accept = "all"
		case "kept":
			accept = "none"
		}
	}
	// A plain form sends the ticked boxes beside the button that was pressed: the button counts.
	switch accept {
	case "all":
		return s.choose(func(*Category) bool { return true }), AcceptAll, nil
	case "none":
		return s.Refuse(), RejectAll, nil
	case "unsold":
		return s.choose(func(c *Category) bool { return !c.Sells }), Custom, nil
	case "new", "kept":
		return s.amend(before, accept == "new"), Custom, nil
	}
	c := s.choose(func(c *Category) bool { return slices.Contains(granted, c.Name) })
	if each != "" {
		c.Refused = s.others(services, c.Granted)
	}
	c.Services = s.alone(services, c.Granted)
	if len(c.Granted)+len(c.Services) == 0 {
		return c, RejectAll, nil
	}
	return c, Custom, nil
}

// one reads a field that is there at most once, with one of some values.
func one(form map[string][]string, name string, values ...string) (string, error) {
	switch given := form[name]; {
	case len(given) == 0:
		return "", nil
	case len(given) == 1 && slices.Contains(values, given[0]):
		return given[0], nil
	default:
		return "", fmt.Errorf("%s is %q: it is one of %s", name, strings.Join(given, ", "), strings.Join(values, ", "))
	}
}

// Grants tells whether a choice allows anything optional.
func (c *Choice) Grants() bool { return len(c.Granted)+len(c.Services) > 0 }

// Within tells whether a choice allows nothing that the one before it, which may be nil, did not allow.
func (c *Choice) Within(before *Choice) bool {
	if before == nil {
		return !c.Grants()
	}
	has := func(list []string) func(string) bool {
		return func(name string) bool { return !slices.Contains(list, name) }
	}
	return !slices.ContainsFunc(c.Granted, has(before.Granted)) && !slices.ContainsFunc(before.Refused, has(c.Refused)) &&
		!slices.ContainsFunc(c.Services, has(before.Services))
}

// Limit is a choice without what another does not allow.
func (s *Site) Limit(c, other *Choice) Choice {
	out := *c
	out.Granted, out.Denied, out.Services = []string{}, slices.Clone(c.Denied), nil
	for _, name := range c.Granted {
		if slices.Contains(other.Granted, name) {
			out.Granted = append(out.Granted, name)
		} else {
			out.Denied = append(out.Denied, name)
		}
	}
	for i := range s.Tags {
		t := &s.Tags[i]
		whole := slices.Contains(other.Granted, t.Category) && !slices.Contains(other.Refused, t.ID)
		switch alone := slices.Contains(other.Services, t.ID); {
		case slices.Contains(c.Services, t.ID) && (alone || whole),
			alone && !whole && slices.Contains(c.Granted, t.Category) && !slices.Contains(c.Refused, t.ID):
			out.Services = append(out.Services, t.ID)
		}
	}
	out.Refused = slices.Concat(c.Refused, other.Refused)
	slices.Sort(out.Denied)
	slices.Sort(out.Services)
	slices.Sort(out.Refused)
	out.Refused = slices.Compact(out.Refused)
	return out
}

// amend is the choice before, with what came after it allowed or declined.
func (s *Site) amend(before *Choice, allow bool) Choice {
	shown := s.shown(before)
	c := s.choose(func(c *Category) bool {
		return slices.Contains(before.Granted, c.Name) || allow && !slices.Contains(before.Denied, c.Name)
	})
	c.Refused = slices.DeleteFunc(slices.Clone(before.Refused), func(id string) bool { return s.tag(id) < 0 })
	c.Services = slices.DeleteFunc(slices.Clone(before.Services), func(id string) bool {
		i := s.tag(id)
		return i < 0 || !slices.Contains(shown, s.Tags[i].entry()) && !allow
	})
	for i := range s.Tags {
		t := &s.Tags[i]
		isNew := !slices.Contains(shown, t.entry())
		switch {
		case !isNew || !slices.Contains(before.Granted, t.Category):
		case !allow && !slices.Contains(c.Refused, t.ID):
			c.Refused = append(c.Refused, t.ID)
		case allow && s.separates():
			c.Services = append(c.Services, t.ID)
		}
	}
	slices.Sort(c.Refused)
	slices.Sort(c.Services)
	c.Services = slices.Compact(c.Services)
	return c
}

// others are the tags of accepted categories that were not among the services named, where some of the category were.
func (s *Site) others(services, granted []string) []string {
	named := map[string]bool{}
	for _, id := range services {
		named[s.Tags[s.tag(id)].Category] = true
	}
	var out []string
	for i := range s.Tags {
		t := &s.Tags[i]
		if named[t.Category] && slices.Contains(granted, t.Category) && !slices.Contains(services, t.ID) {
			out = append(out, t.ID)
		}
	}
	slices.Sort(out)
	return out
}

// Refuse is the choice that declines everything optional.
func (s *Site) Refuse() Choice { return s.choose(func(*Category) bool { return false }) }

func (s *Site) choose(grants func(*Category) bool) Choice {
	c := Choice{Policy: s.Policy.Version, List: s.List(), Granted: []string{}, Denied: []string{}}
	for i := range s.Categories {
		switch cat := &s.Categories[i]; {
		case cat.Required:
		case grants(cat):
			c.Granted = append(c.Granted, cat.Name)
		default:
			c.Denied = append(c.Denied, cat.Name)
		}
	}
	slices.Sort(c.Granted)
	slices.Sort(c.Denied)
	return c
}

// alone keeps of the services those that a granted category does not cover already; where some regime wants an act for
// each recipient, all of them are kept, since there the category covers nothing.
func (s *Site) alone(services, granted []string) []string {
	separate := s.separates()
	var kept []string
	for _, id := range services {
		if separate || !slices.Contains(granted, s.Tags[s.tag(id)].Category) {
			kept = append(kept, id)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

func (s *Site) separates() bool {
	return slices.ContainsFunc(s.Regimes, func(r Regime) bool { return r.Separate })
}

// State is a short name of what a choice says, the same for every visitor who chose the same: the readable mirror beside
// the signed cookie. It is 8 characters of A-Z a-z 0-9 - _, or "" for no choice.
func (c *Choice) State() string {
	if c == nil {
		return ""
	}
	return short(8, "choice", c.Policy, c.List, strings.Join(c.Granted, ","), strings.Join(c.Denied, ","),
		strings.Join(c.Services, ","), strings.Join(c.Refused, ","), fmt.Sprint(c.GPC, c.Minor))
}

// Entries are what a choice knows of the site, sorted: its vendors, "tag@category", so that a tag that moves to another
// category is new to a visitor who chose before; and who is answerable.
func (s *Site) Entries() []string {
	list := make([]string, 0, len(s.Tags)+1)
	for i := range s.Tags {
		list = append(list, s.Tags[i].entry())
	}
	list = append(list, s.controller())
	slices.Sort(list)
	return list
}

const controllerEntry = "controller="

func (s *Site) controller() string { return controllerEntry + s.Controller.Name }

// controllerChanged tells whether a list names another controller. One that names none says nothing.
func controllerChanged(entries []string, now string) bool {
	i := slices.IndexFunc(entries, func(e string) bool { return strings.HasPrefix(e, controllerEntry) })
	return i >= 0 && entries[i] != now
}

// List is the id of the site's present vendor list: 6 characters.
func (s *Site) List() string { return ListID(s.Entries()) }

// ListID is the id of a vendor list given by its entries.
func ListID(entries []string) string { return short(6, append([]string{"list"}, entries...)...) }

func (t *Tag) entry() string { return t.ID + "@" + t.Category }

// shown are the entries of the vendor list that a choice was made by. A list that is not known had nothing on it.
func (s *Site) shown(c *Choice) []string {
	if c == nil {
		return nil
	}
	if now := s.Entries(); c.List == ListID(now) {
		return now
	}
	return s.Lists[c.List]
}

func short(n int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:n]
}
