package config

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/consent"
)

var siteName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// site reads the whole file. What it returns is only good if there were no errors.
func (r *reader) site(root value) *consent.Site {
	f := root.fields(keys[siteFile]())
	s := &consent.Site{}
	s.Name = r.name(f.need("site", `write "site: NAME"`))
	s.Origins = origins(f.need("origins", `name the pages that may embed the site: origins: ["https://www.shop.example"]`))
	s.CookieDomain = cookieDomain(f.get("cookie_domain"), s.Origins)
	s.Controller = controller(f.need("controller", "say who is answerable: {name: ..., contact: ...}"))
	s.Languages = r.languages(f.get("languages"))
	s.Policy = r.policy(f.need("policy", `write "policy: {version: 2026-11-01}"`), s.Languages)
	s.Categories = categories(f.need("categories", `begin with "necessary: {required: true}"`), s.Languages)
	s.Regimes = regimes(f.get("regimes"), s.Categories)
	s.Tags = r.tags(f.get("tags"), s)
	s.Modes = r.modes(f.get("google"), s)
	s.SinglePage = f.get("single_page").boolean(false)
	s.PageViews = f.get("page_views").boolean(false)
	s.Memory = memory(f.get("remember"))
	s.Retention = retention(f.get("retention"), s.Memory)
	s.Appearance = r.appearance(f.get("appearance"))
	s.Words = r.words(f.get("words"), s.Languages)
	s.PerVendor = f.get("per_vendor").boolean(false)
	s.Minors = minors(f.get("minors"))
	s.Sightings, s.Own = sightings(f.get("sightings"))
	s.Mail = newsletters(f.get("mail"), s)
	s.Alerts = alerts(f.get("alerts"))
	return s
}

// logName is no site's name: its path is that of the log.
const logName = "log"

func (r *reader) name(v value) string {
	s, ok := v.text()
	if ok && !siteName.MatchString(s) {
		v.fail("use a-z, 0-9 and -, at most 32 of them", "%s cannot be the name of a site", quote(s))
		ok = false
	}
	if s == logName {
		v.fail("give it another name", "%s cannot be the name of a site: /stile/%[2]s/ is where the log of all sites is", quote(s), s)
		ok = false
	}
	r.siteName = located{s, v, ok}
	return s
}

func controller(v value) consent.Controller {
	f := v.fields(keys[controllerFile]())
	name, _ := f.need("name", "name the company or person").line(200)
	contact := f.need("contact", "an e-mail address or the URL of a contact page")
	address, ok := contact.line(maxLine)
	if ok && !reachable(address) {
		contact.fail("write privacy@shop.example or https://shop.example/contact", "%s is no e-mail address and no URL", quote(address))
	}
	return consent.Controller{Name: name, Contact: address}
}

func reachable(contact string) bool {
	if a, err := mail.ParseAddress(contact); err == nil && a.Address == contact {
		return true
	}
	u, err := url.Parse(contact)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

func (r *reader) languages(v value) []string {
	if !v.present() {
		return []string{"en"}
	}
	var tags []string
	items := v.list(100)
	if len(items) == 0 {
		v.nothing("a language")
	}
	for _, item := range items {
		name, ok := item.line(maxLine)
		if !ok {
			continue
		}
		tag, err := language.Parse(name)
		switch {
		case slices.Contains(tags, name):
			item.fail("remove one of them", "%s is there twice", quote(name))
		case len(r.opt.Languages) > 0 && !slices.Contains(r.opt.Languages, name):
			hint := suggest(name, r.opt.Languages)
			if hint == "" || err == nil && !slices.Contains(r.opt.Languages, tag.String()) {
				hint = "it has them for " + strings.Join(r.opt.Languages, ", ")
			}
			item.fail(hint, "Stile has no words for %s", quote(name))
		case err != nil:
			item.fail("write it as in BCP 47: en, de, zh-Hans", "%s is not a language", quote(name))
		case tag.String() != name:
			item.fail("write "+tag.String(), "%s is not how BCP 47 writes it", quote(name))
		default:
			tags = append(tags, name)
		}
	}
	return tags
}

// nothing reports a list that is there, but empty.
func (v value) nothing(want string) {
	if list, isList := v.node.(*ast.SequenceNode); isList && len(list.Values) == 0 {
		v.fail("name "+want+" at least", "it is empty")
	}
}

func minors(v value) consent.Minors {
	if !v.present() {
		return consent.Minors{}
	}
	f := v.fields(keys[minorsFile]())
	return consent.Minors{
		Age:      f.need("age", "under which age, in years: age: 14").integer(1, 21, 0),
		Guardian: f.get("guardian").boolean(false),
	}
}
