package config

import (
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/consent"
)

var (
	siteName      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	policyVersion = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
	accent        = regexp.MustCompile(`^#([0-9a-f]{3}|[0-9a-f]{6})$`)
)

// site reads the whole file. What it returns is only good if there were no errors.
func (r *reader) site(root value) *consent.Site {
	f := root.fields(keys[siteFile]())
	s := &consent.Site{}
	s.Name = r.name(f.need("site", `write "site: NAME"`))
	s.Origins = origins(f.need("origins", `name the pages that may embed the site: origins: ["https://www.shop.example"]`))
	s.CookieDomain = cookieDomain(f.get("cookie_domain"), s.Origins)
	s.Controller = controller(f.need("controller", "say who is answerable: {name: ..., contact: ...}"))
	s.Policy = r.policy(f.need("policy", `write "policy: {version: 2026-11-01}"`))
	s.Languages = r.languages(f.get("languages"))
	s.Categories = categories(f.need("categories", `begin with "necessary: {required: true}"`), s.Languages)
	s.Regimes = regimes(f.get("regimes"), s.Categories)
	s.Tags = r.tags(f.get("tags"), s)
	s.Memory = memory(f.get("remember"))
	s.Retention = retention(f.get("retention"), s.Memory)
	s.Appearance = appearance(f.get("appearance"))
	return s
}

func (r *reader) name(v value) string {
	s, ok := v.text()
	if ok && !siteName.MatchString(s) {
		v.fail("use a-z, 0-9 and -, at most 32 of them", "%s cannot be the name of a site", quote(s))
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

func (r *reader) policy(v value) consent.Policy {
	f := v.fields(keys[policyFile]())
	p := consent.Policy{Material: f.get("material").boolean(false)}
	version := f.need("version", "a date is good: 2026-11-01")
	var ok bool
	if p.Version, ok = version.literal(); ok && !policyVersion.MatchString(p.Version) {
		version.fail("use 1 to 32 letters, digits, dots, dashes and underscores", "%s cannot be a version", quote(p.Version))
	}
	p.Summary, _ = f.get("summary").line(500)
	file := f.get("file")
	name, ok := file.line(maxLine)
	if !ok {
		if f.ok && !file.present() {
			v.warn("write it in Markdown and name it here as file", "no policy.file: visitors find no cookie policy")
		}
		return p
	}
	p.File = filepath.FromSlash(name)
	if !filepath.IsAbs(p.File) {
		p.File = filepath.Join(r.opt.Dir, p.File)
	}
	if info, err := os.Stat(p.File); err != nil {
		file.fail("the path is relative to this file", "there is no file %s", quote(name))
	} else if !info.Mode().IsRegular() {
		file.fail("name a Markdown file", "%s is not a file", quote(name))
	}
	return p
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

func appearance(v value) consent.Appearance {
	f := v.fields(keys[appearanceFile]())
	a := consent.Appearance{
		Position: f.get("position").oneOf("bottom", "top", "corner"),
		Theme:    f.get("theme").oneOf("auto", "light", "dark"),
		Accent:   "#0b5fff",
	}
	colour := f.get("accent")
	text, ok := colour.text()
	if !ok {
		return a
	}
	a.Accent = strings.ToLower(text)
	if !accent.MatchString(a.Accent) {
		colour.fail(`write "#rgb" or "#rrggbb", in quotes`, "%s is not a colour", quote(text))
	} else if len(a.Accent) == len("#rgb") {
		c := a.Accent
		a.Accent = string([]byte{'#', c[1], c[1], c[2], c[2], c[3], c[3]})
	}
	return a
}
