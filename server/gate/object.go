package gate

import (
	"fmt"
	"net/url"
	"slices"
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

// function writes a function of the runtime's, where it does something.
func (o *object) function(key, body string) error {
	if body == "" {
		return nil
	}
	args := "ok"
	if strings.HasPrefix(body, "late") {
		args = "ok,late"
	}
	// The line break ends a comment in the body's last line.
	fn, err := minifyExpr("function(" + args + "){" + body + "\n}")
	if err == nil {
		o.raw(key, fn)
	}
	return err
}

// dropped empties the queue of a vendor that the visitor refused on this page before: what the page put there meanwhile is
// not sent. The runtime says so in late.
func dropped(queue string) string {
	if queue == "" {
		return ""
	}
	return "late&&((" + queue + ")||[]).splice?.(0);"
}

// ordered is an object literal whose keys stay in the order in which they were added.
type ordered []pair

type pair struct {
	name  string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var out object
	for _, p := range o {
		out.raw(literal(p.name), literal(p.value))
	}
	return []byte(out.String()), nil
}

// pixel is what the page asks for. Through the gate that is a path under the site's, which names the tag alone: where the
// vendor is, and what the site is called there, is for the server to know.
func pixel(t *consent.Tag) string {
	if !t.Through {
		return t.Load.Pixel
	}
	path := "/pixel/" + url.PathEscape(t.ID) + ".gif?page={page}"
	if slices.Contains(t.Forward, "query") {
		path += "{query}"
	}
	if strings.Contains(t.Load.Pixel, "{referrer}") {
		path += "&referrer={referrer}"
	}
	return path + "&choice={choice}&r={random}" // the same page again is another view
}

// tagObject is a tag as the runtime takes it: see Tag in assets/types.d.ts.
func tagObject(t *consent.Tag) (string, error) {
	var o object
	o.text("i", t.ID)
	o.text("k", t.Category)
	o.list("d", t.Needs)
	o.text("u", t.Load.Script)
	o.text("p", pixel(t))
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
		{"b", dropped(t.Load.Queue) + t.Load.Before}, {"g", t.Load.Signal}, {"a", t.Load.After}, {"v", t.Load.View}, {"x", t.Load.Stop},
	} {
		if err := o.function(f.key, f.body); err != nil {
			return "", fmt.Errorf("tag %s: its script cannot be read: %w", t.ID, err)
		}
	}
	names := make([]string, len(t.Cookies))
	for i, c := range t.Cookies {
		names[i] = c.Name
	}
	o.list("c", names)
	o.list("m", t.Storage)
	return o.String(), nil
}
