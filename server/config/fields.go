package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// fields is a mapping by key, in the order of the file.
type fields struct {
	value
	entries []entry
	ok      bool // it is a mapping
}

type entry struct {
	name  string
	key   value
	value value
}

// mapping reads any keys; a duplicate is a problem, and its first value stands.
func (v value) mapping() fields {
	f := fields{value: v}
	if v.node == nil {
		return f
	}
	n, ok := v.node.(*ast.MappingNode)
	if !ok {
		v.wrong("a mapping")
		return f
	}
	f.ok = true
	seen := map[string]int{}
	for _, pair := range n.Values {
		name := keyName(pair.Key)
		path := join(v.path, name)
		key := value{v.r, pair.Key, start(pair.Key), path}
		if line, again := seen[name]; again {
			key.fail("remove one of them", "the key is in line %d already", line)
			continue
		}
		seen[name] = key.at.line
		at := key.at
		if !implicit(pair.Value) {
			at = start(pair.Value)
		}
		f.entries = append(f.entries, entry{name, key, value{v.r, pair.Value, at, path}})
	}
	return f
}

// fields reads a mapping of known keys.
func (v value) fields(keys []string) fields {
	f := v.mapping()
	f.only(keys, "")
	return f
}

// only reports keys that are not known. The hint is given where no known key is similar.
func (f fields) only(keys []string, hint string) {
	for _, e := range f.entries {
		if slices.Contains(keys, e.name) {
			continue
		}
		advice := suggest(e.name, keys)
		switch {
		case advice == "" && hint != "":
			advice = hint
		case advice == "":
			advice = "known here: " + strings.Join(keys, ", ")
		}
		e.key.fail(advice, "unknown key")
	}
}

// get is the value of a key, or an absent one.
func (f fields) get(name string) value {
	for _, e := range f.entries {
		if e.name == name {
			return e.value
		}
	}
	return value{r: f.r, at: f.at, path: join(f.path, name)}
}

func (f fields) has(name string) bool { return f.get(name).present() }

// need is the value of a key that has to be there.
func (f fields) need(name, hint string) value {
	v := f.get(name)
	if f.ok && !v.present() {
		v.fail(hint, "it is missing")
	}
	return v
}

func keyName(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	return key.GetToken().Value
}

var plainKey = regexp.MustCompile(`^[\pL\pN_-]{1,64}$`)

func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return fmt.Sprintf("%s[%s]", path, quote(key))
	case path == "":
		return key
	}
	return path + "." + key
}

// suggest is "did you mean" the known word that is nearest, if one is near.
func suggest(word string, known []string) string {
	best, nearest := "", max(1, min(3, len(word)/3))+1
	for _, k := range known {
		if d := distance(word, k, nearest); d < nearest {
			best, nearest = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is how many letters to insert, delete, replace or swap with their neighbour, ignoring case, or at least
// limit.
func distance(a, b string, limit int) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	if len(x)-len(y) >= limit || len(y)-len(x) >= limit {
		return limit
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
