package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/html"
	"github.com/tdewolff/minify/v2/js"

	"github.com/stilehq/stile/assets"
)

// parts are the minified pieces that answers are composed of.
type parts struct {
	core, act, banner, note, dialog, age, page, markup, walk, view, sample, watch, again, preview string // JavaScript function expressions
}

func loadParts() (*parts, error) {
	var p parts
	for name, to := range map[string]*string{
		"core": &p.core, "act": &p.act, "banner": &p.banner, "note": &p.note, "dialog": &p.dialog, "age": &p.age, "page": &p.page,
		"markup": &p.markup, "walk": &p.walk, "view": &p.view, "sample": &p.sample, "watch": &p.watch, "again": &p.again, "preview": &p.preview,
	} {
		src, err := assets.Files.ReadFile(name + ".js")
		if err != nil {
			return nil, fmt.Errorf("reading %s.js: %w", name, err)
		}
		_, fn, found := strings.Cut(string(src), "\nexport default ")
		if !found {
			return nil, fmt.Errorf("%s.js exports no default function", name)
		}
		if *to, err = minifyExpr(fn); err != nil {
			return nil, fmt.Errorf("minifying %s.js: %w", name, err)
		}
	}
	return &p, nil
}

// style reads style sheets and minifies them together with what goes before them. In shared.css "stile-x" stands for
// the element.
func style(element, before string, names ...string) (string, error) {
	var b strings.Builder
	b.WriteString(before)
	for _, name := range names {
		src, err := assets.Files.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		b.Write(src)
	}
	return minified(&css.Minifier{}, strings.ReplaceAll(b.String(), "stile-x", element))
}

func minifyHTML(src string) (string, error) { return minified(&html.Minifier{KeepEndTags: true}, src) }

// minifyExpr minifies a JavaScript function expression.
func minifyExpr(src string) (string, error) {
	out, err := minified(&js.Minifier{Version: 2022}, "x="+src)
	return strings.TrimSuffix(strings.TrimPrefix(out, "x="), ";"), err
}

// minified uses the reader form: the form on bytes may rewrite its input.
func minified(m minify.Minifier, src string) (string, error) {
	var out bytes.Buffer
	if err := m.Minify(minify.New(), &out, strings.NewReader(src), nil); err != nil {
		return "", err
	}
	return out.String(), nil
}

// literal is a value as a JavaScript literal.
func literal(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // strings, numbers and slices of them always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}
