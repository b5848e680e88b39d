// Package vendors holds facts on known vendors' tags, one embedded YAML file a vendor, and turns a vendor and an account
// id into what the gate runs.
//
//	library, err := vendors.New()
//	tag, err := library.Find("ga4").Tag(consent.Tag{}, "G-AB12CD34EF", nil)
//
// # The files
//
// library/<id>.yaml has the fields of Vendor, in lower snake case, and is read strictly: an unknown key, a missing name,
// a pattern that does not compile or an id that is taken is an error of New that names the file and the line.
//
// # The snippets
//
// The snippets under load are ours, and run as consent.Load says. A vendor's own install snippet also makes the script
// element and often brings an image for browsers without JavaScript; ours only prepare the queue that the vendor's script
// reads (its property names are the vendor's protocol), and speak to the vendor's consent interface. They make no element
// and need neither eval nor innerHTML, so that they run under a strict CSP and under Trusted Types.
//
// # Consent modes
//
// modes/<id>.yaml is a consent interface that several vendors' tags on a page share, Google's above all: a vendor that
// obeys it names it under mode, and under grants the signals that it needs. Its default is queued before the first of
// them, and its update tells it the truth at each change. Which category each signal follows is data, in a mode's follows
// as in a vendor's, and a site may say otherwise.
//
// Signal always tells the vendor the truth of the moment, in both directions: it may be called while the tag is allowed
// and just before Stop when it no longer is, and it undoes what Stop did. A vendor has a Stop only where its script goes
// quiet; where there is none, only a page without the tag is quiet.
//
// # Placeholders
//
// In load and in hosts, {id} stands for the account, {tag} for the tag's id as ok() knows it, and {name} for an option;
// a pixel may have {page}, which is left to the gate. Account and options are matched against their pattern from end to
// end before anything is made of them. In JavaScript a placeholder stands inside a string literal and is filled with
// escaped string content, in a URL it is escaped for its place.
package vendors

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// Vendor is what is known of one vendor's tag.
type Vendor struct {
	ID       string   // what stile.yaml calls it
	Aliases  []string // other names for it in stile.yaml
	Name     string   // the product, for people
	Company  string   // who receives the data
	Category string   // where it usually belongs; the operator may say otherwise
	Account  Account  // without a Pattern where the vendor has none
	Options  []Option // further values that the tag needs, such as the host of a self-hosted Matomo
	Hosts    []string // hosts it contacts, "*." for any subdomain, "{host}" for the option of that name
	// Addresses are beginnings of the vendor's addresses on hosts that others, or ordinary pages, share: "www.facebook.com/tr".
	// "*" is any one part of a path. On those hosts nothing else is the vendor's.
	Addresses []string
	// Globals are how a page's inline JavaScript shows the vendor's tag: a variable that no other code has ("_fbq"), a call
	// with a literal or nothing in it ("fbq()"), or one with these literals ("gtag('config','{id}')").
	Globals []string

	Load     consent.Load
	Mode     string            // the consent mode that it obeys, or ""
	Grants   []string          // signals of the mode that are granted where this tag is accepted by itself
	Follows  map[string]string // the vendor's own consent signals: name to the category that each follows; {name} stands for it
	Cookies  []consent.Cookie  // on the site's own domain, so that the gate can delete them; those elsewhere are in Notes
	Storage  []string
	Policy   string  // URL of the privacy policy
	NoScript string  `yaml:"no_script"` // what the vendor's usual snippet fires without JavaScript: image, iframe, none or unknown
	Loads    bool    // it loads other tags, which cannot be itemised
	Server   *Server // how its servers take events from other servers, or nil
	Silent   bool    // it sends nothing once it was told that consent is denied
	Notes    string
	Sources  []string
}

// Account says how the vendor's account ids look. Pattern matches from end to end.
type Account struct{ Param, Pattern, Example string }

// Option is a further value that a tag needs. With a Default it may be left out: Plausible is plausible.io unless the
// site hosts its own.
type Option struct{ Name, Pattern, Example, Default string }

// Tag fills in a tag's Vendor, Account, Load, Cookies and Storage (and ID, Name, Company, Category and Policy where they
// are empty) from a vendor, an account id and the options. The error names the value that does not fit, and an example
// of one that does.
func (v *Vendor) Tag(t consent.Tag, account string, options map[string]string) (consent.Tag, error) {
	switch {
	case v.Account.Pattern != "":
		if err := v.check("id", account, v.Account.Pattern, v.Account.Example); err != nil {
			return consent.Tag{}, err
		}
	case account != "":
		return consent.Tag{}, fmt.Errorf("%s: it has no accounts, so that it takes no id", v.ID)
	}
	values, err := v.values(options)
	if err != nil {
		return consent.Tag{}, err
	}
	t.ID = cmp.Or(t.ID, v.ID)
	t.Name = cmp.Or(t.Name, v.Name)
	t.Company = cmp.Or(t.Company, v.Company)
	t.Category = cmp.Or(t.Category, v.Category)
	t.Policy = cmp.Or(t.Policy, v.Policy)
	t.Vendor, t.Account = v.ID, account
	for name, category := range v.Follows {
		values[name] = cmp.Or(t.Follows[name], category)
	}
	values["id"], values["tag"] = account, t.ID
	t.Mode, t.Grants = v.Mode, slices.Clone(v.Grants)
	t.Hosts = v.hosts(options)
	t.Load = fill(v.Load, values)
	t.Cookies, t.Storage = slices.Clone(v.Cookies), slices.Clone(v.Storage)
	return t, nil
}

// hosts are those of the tag, with those that an option names.
func (v *Vendor) hosts(options map[string]string) (list []string) {
	for _, host := range v.Hosts {
		for _, o := range v.Options {
			name, _, _ := strings.Cut(cmp.Or(options[o.Name], o.Default), "/")
			host = strings.ReplaceAll(host, "{"+o.Name+"}", name)
		}
		if !slices.Contains(list, host) {
			list = append(list, host)
		}
	}
	return list
}

// values are the options, checked, with their defaults, by the placeholder that they fill.
func (v *Vendor) values(options map[string]string) (map[string]string, error) {
	values := make(map[string]string, len(v.Options)+2)
	var names []string
	for _, o := range v.Options {
		names = append(names, o.Name)
		value := cmp.Or(options[o.Name], o.Default)
		if err := v.check("option "+o.Name, value, o.Pattern, o.Example); err != nil {
			return nil, err
		}
		values[o.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%s: unknown option %q: it takes %s", v.ID, name, cmp.Or(strings.Join(names, ", "), "none"))
		}
	}
	return values, nil
}

func (v *Vendor) check(what, value, pattern, example string) error {
	whole, err := anchored(pattern)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s: %w", v.ID, what, err)
	case value == "":
		return fmt.Errorf("%s: %s is missing: it looks like %s", v.ID, what, example)
	case !whole.MatchString(value):
		return fmt.Errorf("%s: %s %q does not look like %s", v.ID, what, value, example)
	}
	return nil
}

func anchored(pattern string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + pattern + ")$") }
