package config

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/stilehq/stile/server/consent"
)

// customTag reads a tag that no vendor's facts stand behind.
func customTag(f fields, s *consent.Site) item {
	hint := ""
	if f.has("id") {
		hint = "an id goes with a vendor: {vendor: ga4, id: ...}"
	}
	f.only(keys[customFile](), hint)
	t := item{}
	t.name(f.need("name", "say what people call it, or name a vendor"))
	if cat := f.need("category", "nothing runs without one: category: marketing").category(s.Categories); cat != nil {
		t.tag.Category = cat.Name
	}
	t.tag.Load = loads(f)
	t.tag.Cookies = cookies(f.get("cookies"), s.Name, s.Languages)
	t.tag.Storage = storage(f.get("storage"))
	t.tag.Hosts = hosts(f.get("hosts"), t.tag.Load)
	t.tag.Company, _ = f.get("company").line(200)
	t.tag.Policy = f.get("policy").webPage()
	t.passes(f.passage())
	return t
}

var hostPattern = regexp.MustCompile(`^(\*\.)?([a-z0-9-]{1,63}\.){1,8}[a-z0-9-]{1,63}(:[0-9]{1,5})?$`)

// hosts are those that a tag contacts: that of its script or pixel, and those that the file names.
func hosts(v value, l consent.Load) (all []string) {
	for _, address := range []string{l.Script, l.Pixel} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			all = append(all, u.Host)
		}
	}
	for _, at := range v.list(64) {
		host, ok := at.line(300)
		if ok && !hostPattern.MatchString(host) {
			at.fail(`write stats.example or "*.stats.example"`, "%s is not a host", quote(host))
			continue
		}
		if ok && !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

func loads(f fields) consent.Load {
	l := consent.Load{
		Before: f.get("inline").script(),
		Script: f.get("script").address(nil),
		Pixel:  f.get("pixel").address(placeholders),
		View:   f.get("view").script(),
		Stop:   f.get("stop").script(),
	}
	var given []value
	markup := f.get("markup")
	for _, key := range []string{"script", "pixel", "inline"} {
		if v := f.get(key); v.present() {
			given = append(given, v)
		}
	}
	switch {
	case markup.boolean(false) && len(given) > 0:
		markup.fail("leave it out, or "+given[0].path, "what stands in the pages' markup is not loaded by Stile too")
	case markup.boolean(false):
	case len(given) == 0:
		f.fail("add a URL (script, pixel), a line of JavaScript (inline), or a vendor", "it loads nothing")
	case len(given) > 1:
		given[1].fail("make a tag of its own of it, and say what it needs", "a tag has one of script, pixel, inline; this has %d", len(given))
	}
	l.Integrity = integrity(f.get("integrity"), f.has("script"))
	if l.Integrity != "" {
		// Without it the browser may not look into a script from elsewhere, and refuses it.
		l.Attrs = []consent.Attr{{Name: "crossorigin", Value: "anonymous"}}
	}
	return l
}

var digestSize = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}

func integrity(v value, script bool) string {
	s, ok := v.line(maxLine)
	if !ok {
		return ""
	}
	if !script {
		v.fail("leave it out", "only a script has an integrity")
	}
	for hash := range strings.FieldsSeq(s) {
		algorithm, digest, _ := strings.Cut(hash, "-")
		sum, err := base64.StdEncoding.DecodeString(digest)
		if size, known := digestSize[algorithm]; err != nil || !known || len(sum) != size {
			v.fail("write sha384- and the base64 of the digest", "%s is not a digest", quote(hash))
			break
		}
	}
	return s
}

var cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z()/:?@\\[\\]{}-]{1,256}$")

// cookies reads what is deleted when consent is withdrawn.
func cookies(v value, site string, languages []string) []consent.Cookie {
	var all []consent.Cookie
	for _, at := range v.list(64) {
		c := consent.Cookie{}
		name := at
		if _, mapping := at.node.(*ast.MappingNode); mapping {
			f := at.fields(keys[cookieFile]())
			name = f.need("name", "the cookie's name, * for any ending")
			c.Lifetime, _ = f.get("lifetime").line(100)
			c.Purpose = f.get("purpose").translated(languages)
		}
		var ok bool
		if c.Name, ok = name.pattern(); !ok {
			continue
		}
		own := "stile_" + site
		prefix, open := strings.CutSuffix(c.Name, "*")
		switch {
		case !cookieName.MatchString(c.Name):
			name.fail("leave spaces, =, ; and , out", "%s cannot be the name of a cookie", quote(c.Name))
		case c.Name == own || open && strings.HasPrefix(own, prefix):
			name.fail("make it longer", "%s matches %s, where the choice itself is kept", quote(c.Name), own)
		case slices.ContainsFunc(all, func(have consent.Cookie) bool { return have.Name == c.Name }):
			name.fail("remove one of them", "%s is there twice", quote(c.Name))
		default:
			all = append(all, c)
		}
	}
	return all
}

func storage(v value) []string {
	var all []string
	for _, at := range v.list(64) {
		name, ok := at.pattern()
		switch {
		case !ok:
		case slices.Contains(all, name):
			at.fail("remove one of them", "%s is there twice", quote(name))
		default:
			all = append(all, name)
		}
	}
	return all
}

// pattern reads a name, where "*" stands for any ending.
func (v value) pattern() (string, bool) {
	s, ok := v.line(256)
	if ok && (s == "*" || strings.Contains(strings.TrimSuffix(s, "*"), "*")) {
		v.fail(`write how it begins: "chat_*"`, `"*" stands for an ending, and not for everything`)
		return "", false
	}
	return s, ok
}

// webPage reads the URL of something that people read.
func (v value) webPage() string {
	s, ok := v.line(maxLine)
	if !ok {
		return ""
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		v.fail("write https://host/path", "%s is not the URL of a page", quote(s))
	}
	return s
}
