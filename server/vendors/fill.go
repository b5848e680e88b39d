package vendors

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// fill puts the values into a load, each escaped for the place where it stands.
func fill(l consent.Load, values map[string]string) consent.Load {
	script := replacer(values, scriptString)
	l.Before = script.Replace(l.Before)
	l.Signal = script.Replace(l.Signal)
	l.After = script.Replace(l.After)
	l.View = script.Replace(l.View)
	l.Queue = script.Replace(l.Queue)
	l.Stop = script.Replace(l.Stop)
	l.Script = fillURL(l.Script, values)
	l.Pixel = fillURL(l.Pixel, values)
	l.Attrs = slices.Clone(l.Attrs)
	plain := replacer(values, func(s string) string { return s }) // whoever sets or writes the attribute escapes it
	for i := range l.Attrs {
		l.Attrs[i].Value = plain.Replace(l.Attrs[i].Value)
	}
	return l
}

// fillURL fills a URL: before the question mark a value may be a host with a path, so that slashes stay.
func fillURL(template string, values map[string]string) string {
	path, query, found := strings.Cut(template, "?")
	path = replacer(values, urlPath).Replace(path)
	if !found {
		return path
	}
	return path + "?" + replacer(values, url.QueryEscape).Replace(query)
}

func replacer(values map[string]string, escape func(string) string) *strings.Replacer {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", escape(value))
	}
	return strings.NewReplacer(pairs...)
}

// scriptString is the content of a JavaScript string literal, in either kind of quotes. What encoding/json escapes keeps
// it inside an HTML script element too.
func scriptString(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil { // a string has no reason to fail; nothing is the safe answer
		return ""
	}
	return strings.ReplaceAll(string(quoted[1:len(quoted)-1]), "'", `\u0027`)
}

func urlPath(s string) string {
	segments := strings.Split(s, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/")
}
