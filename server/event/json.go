package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth is deeper than an event: {items: [{...}]} in a list.
const maxDepth = 4

// null is a null of JSON, which is not the same as a key that is not there.
type null struct{}

// tree reads JSON strictly: bytes that are no UTF-8, a key that is there twice, nesting that no event has and what follows
// the value are errors. An object is a map[string]any, a number a json.Number.
func tree(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("this is not UTF-8")
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("this is not JSON, at byte %d: %w", syntax.Offset, err)
		}
		return nil, fmt.Errorf("this is not JSON: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return node(d, "", 0)
}

func node(d *json.Decoder, path string, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("this is not JSON: %w", err)
	}
	delim, nested := t.(json.Delim)
	switch {
	case t == nil:
		return null{}, nil
	case !nested:
		return t, nil
	case depth == maxDepth:
		return nil, fmt.Errorf("%sthis is nested too deep", where(path))
	}
	var list []any
	m := map[string]any{}
	for i := 0; d.More(); i++ {
		at := path + "[" + strconv.Itoa(i) + "]"
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, fmt.Errorf("this is not JSON: %w", err)
			}
			name, _ := key.(string)
			at = join(path, name)
			if _, again := m[name]; again {
				return nil, fmt.Errorf("%sit is there twice: remove one of them", where(at))
			}
			if m[name], err = node(d, at, depth+1); err != nil {
				return nil, err
			}
			continue
		}
		v, err := node(d, at, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("this is not JSON: %w", err)
	}
	if delim == '{' {
		return m, nil
	}
	return list, nil
}

var plainKey = regexp.MustCompile(`^[\pL\pN_-]{1,64}$`)

func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func where(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// quote is what was sent, cut where nobody reads on.
func quote(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "..."
	}
	return strconv.Quote(s)
}

// reader keeps the first thing that is wrong.
type reader struct{ err error }

func (r *reader) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = errors.New(where(path) + fmt.Sprintf(format, args...))
	}
}

// fields is an object; one that is not there has none.
type fields struct {
	r    *reader
	path string
	m    map[string]any
}

// object reads an object of known keys.
func (r *reader) object(v any, path string, keys ...string) fields {
	f := fields{r: r, path: path}
	if v == nil {
		return f
	}
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "this is %s: write an object, {...}", kind(v))
		return f
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(keys, key) {
			r.fail(join(path, key), "unknown key: known here are %s", strings.Join(keys, ", "))
		}
	}
	f.m = m
	return f
}

func (f fields) fail(key, format string, args ...any) { f.r.fail(join(f.path, key), format, args...) }

// text reads text of one line, of 1 to most characters.
func (f fields) text(key string, most int) string {
	v := f.m[key]
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	switch {
	case !ok:
		f.fail(key, "this is %s: write text, in quotes", kind(v))
	case strings.TrimSpace(s) == "":
		f.fail(key, "it is empty: leave it out, or write something")
	case utf8.RuneCountInString(s) > most:
		f.fail(key, "it has %d characters: at most %d", utf8.RuneCountInString(s), most)
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }):
		f.fail(key, "%s has a control character, or half of one", quote(s))
	default:
		return s
	}
	return ""
}

// form reads text that a pattern matches; the groups of the pattern are returned beside it.
func (f fields) form(key string, pattern *regexp.Regexp, looks string) (string, []string) {
	s := f.text(key, maxText)
	if s == "" {
		return "", nil
	}
	groups := pattern.FindStringSubmatch(s)
	if groups == nil {
		f.fail(key, "%s is none: it looks like %s", quote(s), looks)
		return "", nil
	}
	return s, groups
}

// amount reads a sum or price: a number from 0 to a million million.
func (f fields) amount(key string) *float64 {
	v := f.m[key]
	if v == nil {
		return nil
	}
	n, ok := v.(json.Number)
	if !ok {
		f.fail(key, "this is %s: write a number", kind(v))
		return nil
	}
	x, err := n.Float64()
	if err != nil || math.IsNaN(x) || x < 0 || x > 1e12 {
		f.fail(key, "%s is not within bounds: write a number from 0 to 1e12", quote(n.String()))
		return nil
	}
	x = math.Abs(x) // there is a -0
	return &x
}

// count reads a whole number from 1 to most; absent, it is 1.
func (f fields) count(key string, most int) int {
	v := f.m[key]
	if v == nil {
		return 1
	}
	n, ok := v.(json.Number)
	i, err := strconv.Atoi(n.String())
	if !ok || err != nil || i < 1 || i > most {
		f.fail(key, "write a whole number from 1 to %d", most)
		return 1
	}
	return i
}

// list reads a list of at most so many.
func (f fields) list(key string, most int) []any {
	v := f.m[key]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		f.fail(key, "this is %s: write a list, [...]", kind(v))
		return nil
	case len(list) > most:
		f.fail(key, "it has %d entries: at most %d", len(list), most)
		return nil
	}
	return list
}

func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "text"
	case bool:
		return "true or false"
	case null:
		return "null"
	}
	return "a number"
}
