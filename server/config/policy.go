package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/stilehq/stile/server/consent"
)

var policyVersion = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

func (r *reader) policy(v value, languages []string) consent.Policy {
	f := v.fields(keys[policyFile]())
	p := r.policyVersion(f, languages)
	if f.ok && !f.has("file") {
		v.warn("write it in Markdown and name it here as file", "no policy.file: visitors find no cookie policy")
	}
	taken := []string{p.Version}
	for _, at := range f.get("former").list(100) {
		of := at.fields(keys[formerFile]())
		of.need("file", "its text is what the archive is for")
		old := r.policyVersion(of, languages)
		if slices.Contains(taken, old.Version) && old.Version != "" {
			of.get("version").fail("give each version a name of its own", "%s is there twice", quote(old.Version))
		}
		taken = append(taken, old.Version)
		p.Former = append(p.Former, old)
	}
	if at := f.get("next"); at.present() {
		of := at.fields(keys[nextFile]())
		of.need("file", "its text is what visitors can read beforehand")
		of.need("from", "the day on which it comes into force: 2026-12-01")
		next := r.policyVersion(of, languages)
		if slices.Contains(taken, next.Version) && next.Version != "" {
			of.get("version").fail("give it a name of its own", "%s is there twice", quote(next.Version))
		}
		if left := next.From.Sub(r.opt.Now); !r.opt.Now.IsZero() && left > 0 && left < notice {
			of.get("from").warn("China's E-Commerce Law asks for seven days", "visitors can read it for less than seven days before it comes into force")
		}
		p.Next = &next
	}
	return p
}

// notice is how long before it comes into force a policy is published (F9).
const notice = 7 * 24 * time.Hour

func (r *reader) policyVersion(f fields, languages []string) consent.Policy {
	p := consent.Policy{Material: f.get("material").boolean(false), From: f.get("from").day()}
	version := f.need("version", "a date is good: 2026-11-01")
	var ok bool
	if p.Version, ok = version.literal(); ok && !policyVersion.MatchString(p.Version) {
		version.fail("use 1 to 32 letters, digits, dots, dashes and underscores", "%s cannot be a version", quote(p.Version))
	}
	p.Summary = f.get("summary").translated(languages)
	file := f.get("file")
	name, ok := file.line(maxLine)
	if !ok {
		return p
	}
	p.File = filepath.FromSlash(name)
	if !filepath.IsAbs(p.File) {
		p.File = filepath.Join(r.opt.Dir, p.File)
	}
	switch info, err := os.Stat(p.File); {
	case err != nil:
		file.fail("the path is relative to this file", "there is no file %s", quote(name))
	case !info.Mode().IsRegular():
		file.fail("name a Markdown file", "%s is not a file", quote(name))
	case info.Size() > MaxSize:
		file.fail("at most 1 MiB", "%s is too long for a policy", quote(name))
	}
	return p
}

// translated reads words for people: text for all languages, which has the key "", or a mapping of language to text.
func (v value) translated(languages []string) map[string]string {
	if _, isMapping := v.node.(*ast.MappingNode); !isMapping {
		if text, ok := v.line(500); ok {
			return map[string]string{"": text}
		}
		return nil
	}
	words := map[string]string{}
	for _, w := range v.mapping().entries {
		if !slices.Contains(languages, w.name) {
			w.key.fail(suggest(w.name, languages), "%s is not one of the site's languages", quote(w.name))
			continue
		}
		words[w.name], _ = w.value.line(500)
	}
	return words
}

// day reads a day; absent, it is zero.
func (v value) day() time.Time {
	text, ok := v.line(10)
	if !ok {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		v.fail("write it as 2026-11-01", "%s is not a day", quote(text))
	}
	return day
}
