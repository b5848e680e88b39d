// Package vendors holds facts on known vendors' tags, one embedded YAML file a vendor, and turns a vendor and an account
// id into what the gate runs.
package vendors

import (
	"errors"

	"github.com/stilehq/stile/server/consent"
)

// Vendor is what is known of one vendor's tag.
type Vendor struct {
	ID       string   // what stile.yaml calls it
	Aliases  []string // other names for it in stile.yaml
	Name     string   // the product, for people
	Company  string   // who receives the data
	Category string   // where it usually belongs; the operator may say otherwise
	Account  Account
	Options  []Option // further values that the tag needs, such as the host of a self-hosted Matomo
	Hosts    []string // hosts it contacts, "*." for any subdomain
	Load     consent.Load
	Cookies  []consent.Cookie
	Storage  []string
	Policy   string // URL of the privacy policy
	NoScript string // what the vendor's usual snippet fires without JavaScript: image, iframe, none or unknown
	Loads    bool   // it loads other tags, which cannot be itemised
	Silent   bool   // it sends nothing once it was told that consent is denied
	Notes    string
	Sources  []string
}

// Account says how the vendor's account ids look.
type Account struct{ Param, Pattern, Example string }

// Option is a further value that a tag needs.
type Option struct{ Name, Pattern, Example string }

// Library is the set of known vendors.
type Library struct{}

// New reads the embedded library. Its error is a mistake in the library itself.
func New() (*Library, error) { return nil, errors.New("not written yet") }

// Find returns the vendor of an id or alias, or nil.
func (l *Library) Find(id string) *Vendor { return nil }

// All returns the vendors by id.
func (l *Library) All() []*Vendor { return nil }

// Tag fills in a tag's Vendor, Company, Account, Load, Cookies, Storage and Policy (and Name, ID and Category where they
// are empty) from a vendor, an account id and the options. The error names the value that does not fit, and an example
// of one that does.
func (v *Vendor) Tag(t consent.Tag, account string, options map[string]string) (consent.Tag, error) {
	return t, errors.New("not written yet")
}
