package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// serverFile is how events reach a vendor from this server.
type serverFile struct {
	SecretEnv  string   `json:"secret_env,omitempty" jsonschema:"pattern=^[A-Za-z_][A-Za-z0-9_]*$,example=GA4_API_SECRET" jsonschema_description:"Environment variable that holds the vendor's secret. Or secret_file."`
	SecretFile string   `json:"secret_file,omitempty" jsonschema:"minLength=1,maxLength=2000" jsonschema_description:"File that holds the vendor's secret, relative to this file. Or secret_env."`
	Endpoint   string   `json:"endpoint,omitempty" jsonschema:"pattern=^https?://[^?#]+$" jsonschema_description:"URL of the vendor's server, where it is not the usual one: https://region1.google-analytics.com/mp/collect."`
	Denied     string   `json:"denied,omitempty" jsonschema:"enum=silent,enum=told,default=silent" jsonschema_description:"Without consent. silent: nothing is sent. told: the vendor gets the event with an explicit denial and with nothing that points to the visitor."`
	Only       bool     `json:"only,omitempty" jsonschema_description:"The browser loads nothing for this tag: events come from this server alone."`
	TestCode   string   `json:"test_code,omitempty" jsonschema:"pattern=^[A-Za-z0-9_-]{1\\,64}$,example=TEST12345" jsonschema_description:"Meta's test_event_code: events are shown as a test there."`
	Forward    []string `json:"forward,omitempty" jsonschema:"maxItems=3,uniqueItems=true,enum=ip,enum=user_agent,enum=query" jsonschema_description:"What else of a visitor who agreed goes along: ip, user_agent, query (of the page's address). Default: nothing."`
}

// JSONSchemaExtend says that the secret is in one place.
func (serverFile) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{{Required: []string{"secret_env"}}, {Required: []string{"secret_file"}}}
}

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	testCode = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// delivery reads how events reach a vendor; nil where they do not.
func (r *reader) delivery(v value, vendor *vendors.Vendor) *consent.Delivery {
	if !v.present() {
		return nil
	}
	f := v.mapping()
	literal := f.get("secret")
	if literal.present() {
		literal.fail("put it into the environment, and name the variable: secret_env: VENDOR_SECRET", "a secret never stands in a site's file")
		f.entries = slices.DeleteFunc(f.entries, func(e entry) bool { return e.name == "secret" })
	}
	f.only(keys[serverFile](), "")
	if vendor.Server == nil {
		v.fail("leave it out", "Stile cannot send events to %s from a server; it can to %s", vendor.Name, strings.Join(r.serverVendors(), ", "))
		return nil
	}
	d := &consent.Delivery{Endpoint: vendor.Server.Endpoint, Mode: vendor.Mode, Only: f.get("only").boolean(false)}
	if !literal.present() {
		r.secret(f, d)
	}
	f.get("endpoint").endpoint(d)
	denied := f.get("denied")
	if d.Told = denied.oneOf("silent", "told") == "told"; d.Told && !vendor.Server.Denied {
		denied.fail("write denied: silent", "%s has no way to be told of a refusal", vendor.Name)
	}
	f.get("test_code").testCode(d, vendor)
	d.Forward = passed(f.get("forward"))
	if vendor.ID == "meta-pixel" && f.ok && !slices.Contains(d.Forward, "user_agent") {
		v.warn("add forward: [user_agent], if visitors who agree are told of it",
			"%s documents the user agent as required with events of a website, and may refuse those without it", vendor.Company)
	}
	return d
}

// nothing loads nothing and runs nothing, so that a withdrawal needs no reload.
var nothing = consent.Load{Stop: "return"}

// deliver gives a tag its delivery. One that is the server's alone loads nothing, contacts nothing and stores nothing in the
// browser.
func (t *item) deliver(d *consent.Delivery) {
	t.tag.Server = d
	if d != nil && d.Only {
		t.tag.Load, t.tag.Hosts, t.tag.Cookies, t.tag.Storage, t.tag.Mode, t.tag.Grants = nothing, nil, nil, nil, "", nil
	}
}

func (r *reader) serverVendors() (ids []string) {
	for _, v := range r.opt.Vendors.All() {
		if v.Server != nil {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

func (r *reader) secret(f fields, d *consent.Delivery) {
	env, file := f.get("secret_env"), f.get("secret_file")
	switch {
	case !f.ok:
	case env.present() && file.present():
		file.fail("leave one of them out", "the secret is in secret_env already")
	case !env.present() && !file.present():
		f.fail("name where it is: secret_env: VENDOR_SECRET, or secret_file", "it has no secret: the vendor takes events only with one")
	}
	name, ok := env.line(200)
	if ok && !variable.MatchString(name) {
		env.fail("name the variable, not what is in it: GA4_API_SECRET", "this is not the name of an environment variable")
	}
	d.SecretEnv = name
	if name, ok := file.line(maxLine); ok {
		if d.SecretFile = filepath.FromSlash(name); !filepath.IsAbs(d.SecretFile) {
			d.SecretFile = filepath.Join(r.opt.Dir, d.SecretFile)
		}
	}
}

func (v value) endpoint(d *consent.Delivery) {
	s, ok := v.line(maxLine)
	switch {
	case !ok:
		return
	case strings.ContainsAny(s, "?#"):
		v.fail("leave out what begins with ? or #: Stile adds account and secret", "the address of a vendor's server has no query")
	default:
		v.link(s, s)
	}
	d.Endpoint = s
}

func (v value) testCode(d *consent.Delivery, vendor *vendors.Vendor) {
	s, ok := v.line(200)
	switch {
	case !ok:
	case !vendor.Server.TestCode:
		v.fail("leave it out", "%s has no test code", vendor.Name)
	case !testCode.MatchString(s):
		v.fail("write it as the vendor shows it: TEST12345", "%s is no test code", quote(s))
	}
	d.TestCode = s
}

// passed reads what else of a visitor goes along.
func passed(v value) (list []string) {
	for _, at := range v.list(len(forwardable)) {
		switch name, ok := at.text(); {
		case !ok || !slices.Contains(forwardable, name):
			at.oneOf(forwardable...) // it says what is wrong
		case slices.Contains(list, name):
			at.fail("remove one of them", "%s is there twice", quote(name))
		default:
			list = append(list, name)
		}
	}
	return list
}
