package page

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// scriptKind is what becomes of a script.
type scriptKind uint8

const (
	isData    scriptKind = iota // nothing
	isRun                       // the browser runs it
	isDelayed                   // a program of the page runs it, which puts it off for speed's sake
)

// delayedSources are the attributes in which such programs keep a script's address: WP Rocket, LiteSpeed Cache and Flying Scripts,
// Perfmatters, WP Meteor, PageSpeed (the newer and the older), Phast. The first that a script has counts.
var delayedSources = []string{
	"data-rocket-src", "data-src", "data-pmdelayedscript", "data-wpmeteor-src", "data-pagespeed-orig-src", "pagespeed_orig_src", "data-phast-src",
	"data-lazy-src", "data-litespeed-src",
}

// kindOf tells what becomes of a script by its attributes.
func kindOf(get func(name string) (string, bool)) scriptKind {
	text, found := get("type")
	if !found {
		if text, found = get("language"); found && text != "" {
			text = "text/" + text
		}
	}
	text = strings.ToLower(strings.Trim(text, " \t\n\f\r"))
	switch {
	case text == "", isJavaScript(text):
		return isRun
	case isDelayedType(text):
		return isDelayed
	case text == "javascript/blocked": // consent platforms have this type too
		if _, found := get("data-wpmeteor-type"); found {
			return isDelayed
		}
		if _, found := get("data-wpmeteor-src"); found {
			return isDelayed
		}
	}
	return isData
}

// isJavaScript tells whether a browser runs a script of that type (WHATWG HTML, 4.12.1.1).
func isJavaScript(text string) bool {
	switch text {
	case "module", "text/javascript", "application/javascript", "application/ecmascript", "application/x-ecmascript", "application/x-javascript",
		"text/ecmascript", "text/javascript1.0", "text/javascript1.1", "text/javascript1.2", "text/javascript1.3", "text/javascript1.4",
		"text/javascript1.5", "text/jscript", "text/livescript", "text/x-ecmascript", "text/x-javascript":
		return true
	}
	return false
}

// isDelayedType tells the types by which such programs know what they put off. Rocket Loader writes a number before the type.
func isDelayedType(text string) bool {
	for _, part := range []string{"lazyload", "delay", "litespeed", "psajs", "nitropack/", "text/phast", "swift/javascript", "text/debloat-script", "text/partytown"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	_, rest, found := strings.Cut(text, "-")
	return found && isJavaScript(rest)
}

// scriptIn is the code of an address that is a script: a frame runs it as it is read.
func scriptIn(address string) (string, bool) {
	const scheme = "javascript:"
	address = strings.TrimSpace(address)
	if len(address) < len(scheme) || !strings.EqualFold(address[:len(scheme)], scheme) {
		return "", false
	}
	code := address[len(scheme):]
	if plain, err := url.PathUnescape(code); err == nil {
		code = plain
	}
	return code, true
}

// documentIn is the page of an address that is one.
func documentIn(address string) (string, bool) {
	head, data, found := strings.Cut(strings.TrimSpace(address), ",")
	head = strings.ToLower(head)
	if !found || !strings.HasPrefix(head, "data:text/html") {
		return "", false
	}
	plain, err := url.PathUnescape(data)
	if err != nil {
		plain = data
	}
	if strings.HasSuffix(head, ";base64") {
		text, err := base64.StdEncoding.DecodeString(plain)
		return string(text), err == nil
	}
	return plain, true
}
