package vendors

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

//go:embed library/*.yaml modes/*.yaml
var files embed.FS

// Library is the set of known vendors.
type Library struct {
	vendors []*Vendor // by id
	names   map[string]*Vendor
	modes   map[string]*mode
}

// New is the embedded library, which a process reads once. Its error is a mistake in the library itself.
func New() (*Library, error) { return embedded() }

var embedded = sync.OnceValues(func() (*Library, error) { return read(files) })

// Find returns the vendor of an id or alias, or nil. It belongs to the library and is not to be changed.
func (l *Library) Find(id string) *Vendor { return l.names[id] }

// All returns the vendors by id. They belong to the library and are not to be changed.
func (l *Library) All() []*Vendor { return slices.Clone(l.vendors) }

// Search returns the vendors of which an id, alias, name, company, category, host or cookie holds a text, in any case; all of
// them for "". One whose id or alias it is comes alone.
func (l *Library) Search(text string) (found []*Vendor) {
	text = strings.ToLower(strings.TrimSpace(text))
	if v := l.names[text]; v != nil {
		return []*Vendor{v}
	}
	for _, v := range l.vendors {
		words := slices.Concat([]string{v.ID, v.Name, v.Company, v.Category}, v.Aliases, v.Hosts)
		for _, c := range v.Cookies {
			words = append(words, c.Name)
		}
		if strings.Contains(strings.ToLower(strings.Join(words, "\n")), text) {
			found = append(found, v)
		}
	}
	return found
}

func read(fsys fs.FS) (*Library, error) {
	paths, err := fs.Glob(fsys, "library/*.yaml")
	if err != nil {
		return nil, err
	}
	l := &Library{names: map[string]*Vendor{}}
	if l.modes, err = readModes(fsys); err != nil {
		return nil, err
	}
	for _, p := range paths {
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, err
		}
		f := file{name: path.Base(p)}
		v, err := f.read(data)
		if err != nil {
			return nil, err
		}
		if err := l.add(v, &f); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.vendors, func(a, b *Vendor) int { return strings.Compare(a.ID, b.ID) })
	return l, nil
}

func (l *Library) add(v *Vendor, f *file) error {
	if err := l.checkMode(v, f); err != nil {
		return err
	}
	for i, name := range append([]string{v.ID}, v.Aliases...) {
		if other := l.names[name]; other != nil {
			where := "$.id"
			if i > 0 {
				where = fmt.Sprintf("$.aliases[%d]", i-1)
			}
			return f.errorf(where, "the name %q is taken by %s", name, other.ID)
		}
		l.names[name] = v
	}
	l.vendors = append(l.vendors, v)
	return nil
}

// file is one vendor's file, kept parsed so that an error can say which line it is about.
type file struct {
	name string
	tree *ast.File
}

func (f *file) read(data []byte) (*Vendor, error) {
	v := new(Vendor)
	if err := f.parse(data, v); err != nil {
		return nil, err
	}
	return v, f.check(v)
}

func (f *file) parse(data []byte, into any) error {
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return f.decodeError(err)
	}
	f.tree = tree
	if len(tree.Docs) != 1 {
		return fmt.Errorf("%s:1: it has %d documents: a file is one vendor", f.name, len(tree.Docs))
	}
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil {
		return f.decodeError(err)
	}
	return nil
}

func (f *file) check(v *Vendor) error {
	for _, field := range []struct{ key, value string }{
		{"id", v.ID}, {"name", v.Name}, {"company", v.Company}, {"category", v.Category},
	} {
		if field.value == "" {
			return f.errorf("$."+field.key, "%s is missing", field.key)
		}
	}
	if want := strings.TrimSuffix(f.name, ".yaml"); v.ID != want {
		return f.errorf("$.id", "id is %q: the file's name makes it %q", v.ID, want)
	}
	if !slices.Contains([]string{"necessary", "functional", "analytics", "marketing"}, v.Category) {
		return f.errorf("$.category", "category is %q: it is one of necessary, functional, analytics, marketing", v.Category)
	}
	if !slices.Contains([]string{"image", "iframe", "none", "unknown"}, v.NoScript) {
		return f.errorf("$.no_script", "no_script is %q: it is one of image, iframe, none, unknown", v.NoScript)
	}
	if err := f.checkValues(v); err != nil {
		return err
	}
	if err := f.checkServer(v.Server); err != nil {
		return err
	}
	if err := f.checkSigns(v); err != nil {
		return err
	}
	return f.checkURLs(v)
}

// checkValues checks the patterns, and that each example, filled in, is an example.
func (f *file) checkValues(v *Vendor) error {
	if v.Account != (Account{}) {
		if err := f.checkPattern("$.account", v.Account.Pattern, v.Account.Example); err != nil {
			return err
		}
	}
	for i, o := range v.Options {
		where := fmt.Sprintf("$.options[%d]", i)
		if o.Name == "" || slices.Contains([]string{"id", "tag", "page"}, o.Name) {
			return f.errorf(where+".name", "an option cannot be called %q", o.Name)
		}
		if err := f.checkPattern(where, o.Pattern, o.Example); err != nil {
			return err
		}
		if o.Default != "" {
			if err := f.checkPattern(where, o.Pattern, o.Default); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *file) checkPattern(where, pattern, example string) error {
	if pattern == "" {
		return f.errorf(where+".pattern", "pattern is missing")
	}
	whole, err := anchored(pattern)
	if err != nil {
		return f.errorf(where+".pattern", "pattern %q: %w", pattern, err)
	}
	if !whole.MatchString(example) {
		return f.errorf(where+".example", "%q does not match %s", example, pattern)
	}
	return nil
}

// checkURLs checks that what the examples make of the URLs are URLs, on https, with no placeholder left over.
func (f *file) checkURLs(v *Vendor) error {
	values := map[string]string{"id": v.Account.Example, "tag": v.ID}
	for _, o := range v.Options {
		values[o.Name] = o.Example
	}
	load := fill(v.Load, values)
	if load.Script+load.Pixel+load.Before+load.Signal == "" {
		return f.errorf("$.load", "load does nothing: it has a script, a pixel, or a line of JavaScript")
	}
	for _, field := range []struct{ key, url string }{
		{"script", load.Script}, {"pixel", strings.ReplaceAll(load.Pixel, "{page}", "")},
	} {
		if strings.HasPrefix(field.url, "/") && !strings.ContainsAny(field.url, "{}") {
			continue // on the page's own host, where a proxy in front of the site has put it
		}
		u, err := url.Parse(field.url)
		if err != nil {
			return f.errorf("$.load."+field.key, "%s: %w", field.key, err)
		}
		if field.url != "" && (u.Scheme != "https" || u.Host == "" || strings.ContainsAny(field.url, "{}")) {
			return f.errorf("$.load."+field.key, "%s is %q: it is a URL on https, with declared placeholders", field.key, field.url)
		}
	}
	return nil
}

func (f *file) decodeError(err error) error {
	var positioned yaml.Error
	if errors.As(err, &positioned) && positioned.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", f.name, positioned.GetToken().Position.Line, positioned.GetMessage())
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// errorf is an error about a place in the file; what is missing is reported on the first line.
func (f *file) errorf(where, format string, args ...any) error {
	line := 1
	if p, err := yaml.PathString(where); err == nil {
		if node, err := p.FilterFile(f.tree); err == nil && node.GetToken() != nil {
			line = node.GetToken().Position.Line
		}
	}
	return fmt.Errorf("%s:%d: %w", f.name, line, fmt.Errorf(format, args...))
}
