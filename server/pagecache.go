package server

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A gated page is another representation than what the handler wrote, and another one again once the configuration has
// changed. So its ETag has a mark of how it was gated behind the handler's own, and it has no Last-Modified, by which a
// browser would be told that a page that is gated otherwise by now has not changed.

// entityTag is an ETag: weak or not, what it is, and the mark.
var entityTag = regexp.MustCompile(`(W/)?"([^"]*?)(?:\.stile-([0-9a-f]{8}))?"`)

// addMark marks the ETag of a page.
func addMark(h http.Header, mark string) {
	tag := h.Get("Etag")
	if body, found := strings.CutSuffix(tag, `"`); found && strings.Contains(body, `"`) {
		h.Set("Etag", body+".stile-"+mark+`"`)
	} else {
		h.Del("Etag") // it is none
	}
}

// condition is the request as the handler gets it: with its own ETags, without those of pages that were gated otherwise, and
// for nothing that a page could not be gated in. That holds for a script's and a picture's request as well: a cache that many
// share gives the answer to whoever goes to the page next.
func (w *pageWriter) condition(r *http.Request) *http.Request {
	wanted := wantsPage(r)
	if !wanted && r.Header["Accept-Encoding"] == nil && r.Header["If-None-Match"] == nil && r.Header["If-Match"] == nil && r.Header["If-Range"] == nil {
		return r
	}
	r.Header = r.Header.Clone()
	h := r.Header
	if list := h.Values("If-Match"); list != nil { // a change to what the page is made of, however it was gated
		h.Set("If-Match", entityTag.ReplaceAllString(strings.Join(list, ", "), `$1"$2"`))
	}
	marked := false
	if list := h.Values("If-None-Match"); list != nil {
		marked = w.unmark(h, strings.Join(list, ", "), wanted)
	}
	if wanted || marked { // what a browser has of a page by its date alone was not gated
		h.Del("If-Modified-Since")
	}
	if wanted || strings.Contains(h.Get("If-Range"), ".stile-") {
		h.Del("Range")
		h.Del("If-Range")
	}
	accept(h)
	return r
}

// unmark takes the mark from the ETags that have the present one. Those with another go, and where a page is wanted those
// with none too: such a page is from before Stile.
func (w *pageWriter) unmark(h http.Header, list string, wanted bool) (marked bool) {
	if strings.TrimSpace(list) == "*" {
		return false
	}
	var tags []string
	for _, m := range entityTag.FindAllStringSubmatch(list, -1) {
		marked = marked || m[3] != ""
		switch m[3] {
		case w.mark:
			w.matched = true
			tags = append(tags, m[1]+`"`+m[2]+`"`)
		case "":
			if !wanted {
				tags = append(tags, m[0])
			}
		}
	}
	h.Del("If-None-Match")
	if len(tags) > 0 {
		h.Set("If-None-Match", strings.Join(tags, ", "))
	}
	return marked
}

// accept asks for what may be a page in a coding in which it can be gated.
func accept(h http.Header) {
	given := strings.Join(h.Values("Accept-Encoding"), ",")
	if given == "" {
		return
	}
	var codings []string
	for _, coding := range []string{"br", "gzip", "deflate"} {
		if takes(given, coding) {
			codings = append(codings, coding)
		}
	}
	h.Set("Accept-Encoding", strings.Join(append(codings, "identity"), ", "))
}

// places are where browsers put a page that they ask for.
var places = []string{"document", "iframe", "frame", "embed", "object"}

// wantsPage tells whether a request may be a browser's that goes to a page, or takes one into a frame.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "html") || slices.Contains(places, r.Header.Get("Sec-Fetch-Dest"))
}

// navigates tells whether it is one: not a script's, which does with the answer what it likes, be it labelled HTML or not.
// In apps for Android every request has an X-Requested-With, the app's name.
func navigates(r *http.Request) bool {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		return slices.Contains(places, dest)
	}
	return wantsPage(r) && !strings.EqualFold(r.Header.Get("X-Requested-With"), "XMLHttpRequest")
}

// keepPrivate marks an answer as made for one visitor and the state that they are in: it is asked for again each time (D6).
func keepPrivate(h http.Header) {
	control := "private, no-cache"
	if strings.Contains(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), "no-store") {
		control = "private, no-store"
	}
	h.Set("Cache-Control", control)
	for _, name := range []string{"Expires", "Surrogate-Control", "Cdn-Cache-Control"} {
		h.Del(name)
	}
	vary := strings.ToLower(strings.Join(h.Values("Vary"), ","))
	for _, name := range []string{"Cookie", "Sec-GPC"} {
		if !slices.Contains(strings.FieldsFunc(vary, func(r rune) bool { return r == ',' || r == ' ' }), strings.ToLower(name)) {
			h.Add("Vary", name)
		}
	}
}
