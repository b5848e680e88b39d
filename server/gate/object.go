package gate

import (
	"fmt"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// object writes a JavaScript object literal, leaving out what is empty.
type object struct{ b strings.Builder }

func (o *object) raw(key, value string) {
	if o.b.Len() > 0 {
		o.b.WriteByte(',')
	}
	o.b.WriteString(key)
	o.b.WriteByte(':')
	o.b.WriteString(value)
}

func (o *object) text(key, value string) {
	if value != "" {
		o.raw(key, literal(value))
	}
}

func (o *object) list(key string, values []string) {
	if len(values) > 0 {
		o.raw(key, literal(values))
	}
}

func (o *object) String() string { return "{" + o.b.String() + "}" }

// tagObject is a tag as the runtime takes it: see Tag in assets/types.d.ts.
func tagObject(t *consent.Tag) (string, error) {
	var o object
	o.text("i", t.ID)
	o.text("k", t.Category)
	o.list("d", t.Needs)
	o.text("u", t.Load.Script)
	o.text("p", t.Load.Pixel)
	attrs := t.Load.Attrs
	if t.Load.Integrity != "" {
		attrs = append(attrs[:len(attrs):len(attrs)], consent.Attr{Name: "integrity", Value: t.Load.Integrity})
	}
	if len(attrs) > 0 {
		pairs := make([][2]string, len(attrs))
		for i, a := range attrs {
			pairs[i] = [2]string{a.Name, a.Value}
		}
		o.raw("h", literal(pairs))
	}
	for _, f := range []struct{ key, body string }{
		{"b", t.Load.Before}, {"g", t.Load.Signal}, {"a", t.Load.After}, {"x", t.Load.Stop},
	} {
		if f.body == "" {
			continue
		}
		// The line break ends a comment in the body's last line.
		fn, err := minifyExpr("function(ok){" + f.body + "\n}")
		if err != nil {
			return "", fmt.Errorf("tag %s: its script cannot be read: %w", t.ID, err)
		}
		o.raw(f.key, fn)
	}
	names := make([]string, len(t.Cookies))
	for i, c := range t.Cookies {
		names[i] = c.Name
	}
	o.list("c", names)
	o.list("m", t.Storage)
	return o.String(), nil
}
