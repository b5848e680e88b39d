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
	GPC      bool      // made while Sec-GPC was on: its grants hold against the signal (D5)
}

// Action is the act that a record is of.
type Action string

// The acts of a visitor.
const (
	AcceptAll Action = "accept_all"
	RejectAll Action = "reject_all"
	Custom    Action = "custom"
	Withdraw  Action = "withdraw"
)

// Parse reads the choice out of a form: accept=all, accept=none, or any number of category= and service=. Nothing named
// is a refusal of everything. The error says which field was wrong.
func Parse(form map[string][]string, s *Site) (Choice, Action, error) {
	granted, services := form["category"], form["service"]
	accept := form["accept"]
	if len(accept) > 1 || len(accept) == 1 && accept[0] != "all" && accept[0] != "none" {
		return Choice{}, "", fmt.Errorf("accept is %q: it is one of all, none", strings.Join(accept, ", "))
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
	if len(accept) == 1 { // a plain form sends the ticked boxes beside the button that was pressed: the button counts
		granted, services = nil, nil
	}
	all := len(accept) == 1 && accept[0] == "all"
	c := s.choose(func(name string) bool { return all || slices.Contains(granted, name) })
	c.Services = s.alone(services, c.Granted)
	switch {
	case all:
		return c, AcceptAll, nil
	case len(c.Granted)+len(c.Services) == 0:
		return c, RejectAll, nil
	}
	return c, Custom, nil
}

// Refuse is the choice that declines everything optional.
func (s *Site) Refuse() Choice { return s.choose(func(string) bool { return false }) }

func (s *Site) choose(grants func(category string) bool) Choice {
	c := Choice{Policy: s.Policy.Version, List: s.List(), Granted: []string{}, Denied: []string{}}
	for i := range s.Categories {
		switch cat := &s.Categories[i]; {
		case cat.Required:
		case grants(cat.Name):
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
	separate := slices.ContainsFunc(s.Regimes, func(r Regime) bool { return r.Separate })
	var kept []string
	for _, id := range services {
		if separate || !slices.Contains(granted, s.Tags[s.tag(id)].Category) {
			kept = append(kept, id)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// State is a short name of what a choice says, the same for every visitor who chose the same: the readable mirror beside
// the signed cookie. It is 8 characters of A-Z a-z 0-9 - _, or "" for no choice.
func (c *Choice) State() string {
	if c == nil {
		return ""
	}
	return short(8, "choice", c.Policy, c.List, strings.Join(c.Granted, ","), strings.Join(c.Denied, ","),
		strings.Join(c.Services, ","), fmt.Sprint(c.GPC))
}

// Entries are the site's vendors as a choice knows them, "tag@category", sorted: a tag that moves to another category is
// new to a visitor who chose before.
func (s *Site) Entries() []string {
	list := make([]string, 0, len(s.Tags))
	for i := range s.Tags {
		list = append(list, s.Tags[i].entry())
	}
	slices.Sort(list)
	return list
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
