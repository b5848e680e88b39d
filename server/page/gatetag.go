package page

import (
	"html"
	"io"
	"strings"
)

// inTag reads a tag to its end, and writes it anew where it has to wait.
func (w *Writer) inTag() bool {
	b := w.b[w.from:]
	large := len(b) > tagMost
	if large {
		b = b[:tagMost]
	}
	ended := w.tag.read(b)
	w.at = w.from + w.tag.at
	if !ended {
		if !large {
			return false
		}
		w.tag.cut()
	}
	w.name = known(w.tag.name.of(b))
	if len(w.foreign) > 0 {
		w.id = nameID(w.tag.name.of(b))
	}
	if w.tag.end {
		w.endTag()
	} else {
		w.startTag(b[:w.tag.at], ended)
	}
	if !ended {
		w.state, w.from = inLongTag, -1
		return true
	}
	w.after()
	return true
}

func (w *Writer) startTag(b []byte, whole bool) {
	w.enter(b)
	w.rich = w.isRich(b)
	if w.head != headDone {
		w.headStart(b)
	}
	if w.inert > 0 {
		return
	}
	w.besides = besides{}
	w.aside(b)
	if w.alien {
		w.alienTag(b, whole)
	} else {
		w.tagOf(b, whole)
	}
	if w.besides.category != "" && w.done <= w.from && !covered(w.name) { // nothing else in the tag waits
		w.anew(b, w.besides.category, w.besides.id)
	}
}

func (w *Writer) tagOf(b []byte, whole bool) {
	switch w.name {
	case "script":
		w.scriptTag(b, whole)
	case "style":
		if whole && !w.doubt {
			w.code = w.at
		}
	case "img":
		w.waitLater(b, w.image(b), "src", "srcset")
	case "image":
		w.waitLater(b, w.image(b), append(w.references(), "src", "srcset")...)
	case "iframe", "frame":
		w.waitLater(b, strangeToo, "src", "srcdoc")
	case "object":
		w.wait(b, everyKnown, "data")
	case "embed", "track":
		w.waitLater(b, everyKnown, "src")
	case "input":
		if kind, _ := w.tag.get(b, "type"); is(kind, "image") {
			w.wait(b, countingOnly, "src")
		}
	case "source":
		w.waitLater(b, everyKnown, "src", "srcset")
	case "video", "audio":
		w.waitLater(b, everyKnown, "src", "poster")
	case "link":
		w.link(b)
	case "base":
		w.rebase(b)
	}
}

// besides is what waits in a tag of any name.
type besides struct {
	waits
	off  []string // attributes
	held []int    // where addresses of the style attribute begin, in bytes from the tag's "<"
}

// handlers are the attributes with code that runs of itself; what others have runs once the visitor does something.
var handlers = []string{"onload", "onerror", "onpageshow"}

// handler is for whom a handler waits. It has to name an address: what it hands to a tracker that is not loaded goes nowhere,
// and the page's own code may stand beside that.
func (j *Judge) handler(code string) []Party {
	if !strings.Contains(code, "//") {
		return nil
	}
	return j.Snippet(code)
}

// covered tells of the elements in whose place stands for what they wait: what the page itself has in them must not go for what
// is beside it.
func covered(name string) bool {
	switch name {
	case "iframe", "frame", "object", "embed", "video", "audio":
		return true
	}
	return false
}

// aside looks at the attributes that may stand in a tag of any name: pictures in its style and behind it, and its handlers.
// Those of scripts and stylesheets stay: without them what the page itself has would not work.
func (w *Writer) aside(b []byte) {
	if w.name == "script" || w.name == "style" || w.name == "link" {
		return
	}
	for i := range w.tag.attrs {
		a := &w.tag.attrs[i]
		n := a.name.to - a.name.from
		if n < len("style") || n > len("onpageshow") || a.value.to-a.value.from < len("//a.b") {
			continue
		}
		switch name := a.name.of(b); name[0] | 0x20 {
		case 's':
			if is(name, "style") && w.besides.held == nil {
				at, waits := w.holdPictures(a.value.of(b), true)
				for k := range at {
					at[k] += a.value.from
				}
				w.besides.held, w.besides.waits = at, w.gate.judge.later(w.besides.waits, waits)
			}
		case 'b':
			if is(name, "background") {
				category, id := w.ofAddress(html.UnescapeString(string(a.value.of(b))), countingOnly)
				w.putOff("background", category, id)
			}
		case 'o':
			for _, handler := range handlers {
				if is(name, handler) && !w.noscript {
					category, id := w.latest(w.gate.judge.handler(html.UnescapeString(string(a.value.of(b)))))
					w.putOff(handler, category, id)
				}
			}
		}
	}
}

func (w *Writer) putOff(name, category, id string) {
	if category != "" {
		w.besides.waits = w.gate.judge.later(w.besides.waits, waits{category, id})
		w.besides.off = append(w.besides.off, name)
	}
}

// alienTag is one of SVG, where these ask for something.
func (w *Writer) alienTag(b []byte, whole bool) {
	switch w.name {
	case "script":
		w.scriptTag(b, whole)
	case "image":
		w.wait(b, w.image(b), w.references()...)
	}
}

// allSources are the attributes in which a script's address may stand, also in SVG.
var allSources, onlySource = append([]string{"href", "xlink:href", "src"}, delayedSources...), []string{"src"}

// references are the attributes that are addresses in SVG, where this may be that.
func (w *Writer) references() []string {
	if w.alien || w.doubt {
		return []string{"href", "xlink:href"}
	}
	return nil
}

// scriptTag lets a script wait by its address. One without is held until its code is there.
func (w *Writer) scriptTag(b []byte, whole bool) {
	kind := w.kind(b)
	if w.noscript || kind == isData {
		return
	}
	_, found := w.tag.get(b, "src")
	names := onlySource
	if !found || kind == isDelayed || w.alien || w.doubt {
		names = allSources
	}
	if w.wait(b, strangeToo, names...) || found && !w.alien {
		return
	}
	if empty := w.alien && w.tag.self; whole && !empty {
		w.code = w.at
	}
}

// judgeScript decides what to do with the script that is held, whose code ends there, or is so long already.
func (w *Writer) judgeScript(to int) {
	code := w.b[w.code:to]
	category, id := w.snippet(string(code[:min(len(code), snippetMost)]))
	if category != "" {
		w.anew(w.b[w.from:w.code], category, id)
	}
	w.from, w.code = -1, -1
}

func (w *Writer) kind(b []byte) scriptKind {
	return kindOf(func(name string) (string, bool) {
		value, found := w.tag.get(b, name)
		return html.UnescapeString(string(value)), found
	})
}

// runs tells whether a browser runs a script of that type.
func (w *Writer) runs(b []byte) bool { return w.kind(b) == isRun }

// link lets hints wait, which make a browser connect or fetch before anything is asked for. A stylesheet or its font waits
// only where the site's file or the library names it.
func (w *Writer) link(b []byte) {
	rel, _ := w.tag.get(b, "rel")
	hint := false
	for r := range strings.FieldsSeq(strings.ToLower(html.UnescapeString(string(rel)))) {
		switch r {
		case "preload", "prefetch":
			if as, _ := w.tag.get(b, "as"); is(as, "style") || is(as, "font") {
				w.wait(b, namedOnly, "href")
				return
			}
			hint = true
		case "preconnect", "dns-prefetch", "prerender", "modulepreload":
			hint = true
		case "stylesheet":
			w.wait(b, namedOnly, "href")
			return
		}
	}
	if hint {
		w.wait(b, everyKnown, "href", "imagesrcset")
	}
}

// rebase takes the page's <base>, of which the first counts.
func (w *Writer) rebase(b []byte) {
	href, found := w.tag.get(b, "href")
	if !found || w.moved || w.noscript {
		return
	}
	w.moved = true
	if u, err := w.address.Parse(strings.TrimSpace(html.UnescapeString(string(href)))); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		w.base = u
	}
}

// image tells of which hosts an image waits: one that nobody can see of all, as well as one for browsers without scripts that
// is not called as pictures are, and a picture of those that count who sees it.
func (w *Writer) image(b []byte) scope {
	if src, _ := w.tag.get(b, "src"); w.noscript && isCounter(string(src)) {
		return strangeToo
	}
	width, _ := w.tag.get(b, "width")
	height, _ := w.tag.get(b, "height")
	style, _ := w.tag.get(b, "style")
	if small(width) && small(height) || len(style) > 0 && hidden.MatchString(html.UnescapeString(string(style))) {
		return strangeToo
	}
	return countingOnly
}

func small(side []byte) bool {
	n := strings.TrimSuffix(strings.TrimSpace(string(side)), "px")
	return n == "0" || n == "1"
}

// scope says of which hosts something waits.
type scope uint8

const (
	everyKnown   scope = iota
	strangeToo         // also of hosts that nobody knows, for GateOptions.Unknown
	namedOnly          // of those that the site's file or the library names
	countingOnly       // of those that the site's file names, and of those that are there to count (Judge.Counts)
)

// lazy are the attributes in which programs that put loading off keep addresses, until the visitor is near.
var lazy = []string{"data-src", "data-lazy-src", "data-litespeed-src", "data-srcset", "data-lazy-srcset"}

// waitLater is wait for what such a program may load as well: but for what waits for a consent platform, this one or another.
func (w *Writer) waitLater(b []byte, s scope, names ...string) {
	if len(w.tag.attrs) > 0 && !w.platform(b) {
		names = append(names, lazy...)
	}
	w.wait(b, s, names...)
}

// platform tells of a tag that waits for what it names.
func (w *Writer) platform(b []byte) bool {
	return w.gate.judge.holder(func(name string) (string, bool) {
		value, found := w.tag.get(b, name)
		return html.UnescapeString(string(value)), found
	}) != ""
}

// wait writes the tag anew if one of these attributes asks for what has to wait. All of one name go, since where the first is
// gone the next would count.
func (w *Writer) wait(b []byte, s scope, names ...string) bool {
	category, id, most := "", "", -1
	off := make([]string, 0, 4)
	for _, name := range names {
		value, found := w.tag.get(b, name)
		if !found {
			continue
		}
		c, i := w.ofAttribute(name, string(value), s)
		if c == "" {
			continue
		}
		off = append(off, name)
		if rank := w.gate.judge.rank(c); rank > most {
			category, id, most = c, i, rank
		}
	}
	if category != "" {
		w.anew(b, category, id, off...)
	}
	return category != ""
}

func (w *Writer) ofAttribute(name, value string, s scope) (category, id string) {
	switch name {
	case "srcset", "imagesrcset", "data-srcset", "data-lazy-srcset":
		if w.name == "source" { // of a picture, where src is of a film
			s = countingOnly
		}
		for _, address := range candidates(html.UnescapeString(value)) {
			if category, id = w.ofAddress(address, s); category != "" {
				return category, id
			}
		}
		return "", ""
	case "srcdoc":
		return w.document(html.UnescapeString(value))
	default:
		value = html.UnescapeString(value)
		if code, inline := inlined(value); inline && w.name == "script" {
			return w.snippet(code)
		}
		if name == "src" && (w.name == "iframe" || w.name == "frame") {
			if code, inline := scriptIn(value); inline {
				return w.snippet(code)
			} else if text, inline := documentIn(value); inline {
				return w.document(text)
			}
		}
		return w.ofAddress(value, s)
	}
}

// document is for what the page inside of a frame waits: for the latest of its categories.
func (w *Writer) document(text string) (category, id string) {
	if w.depth == deepest {
		return w.gate.options.Unknown, ""
	}
	inner := &Writer{to: io.Discard, gate: w.gate, address: w.address, base: w.base, moved: w.moved, from: -1, code: -1, mark: -1, depth: w.depth + 1}
	if _, err := inner.Write([]byte(text)); err != nil || inner.Close() != nil {
		return "", "" // nothing fails that is written to nobody
	}
	return inner.waits.category, inner.waits.id
}

// note keeps for what the page waits.
func (w *Writer) note(category, id string) {
	w.waits = w.gate.judge.later(w.waits, waits{category, id})
}

// later is for what something waits that waits for both: for the later category.
func (j *Judge) later(a, b waits) waits {
	switch {
	case a.category == "":
		return b
	case b.category == "":
	case j.rank(b.category) > j.rank(a.category):
		return waits{b.category, ""}
	case a.id != b.id:
		a.id = ""
	}
	return a
}

// anew writes the tag with a category, and "data-stile-" before the names that are off: programs of the page that load what
// has "data-src" once it comes near do not know that. No such program looks at scripts and links, where it is "data-". A script
// becomes one that waits.
func (w *Writer) anew(b []byte, category, id string, off ...string) {
	both := w.gate.judge.later(waits{category, id}, w.besides.waits)
	category, id, off = both.category, both.id, append(off, w.besides.off...)
	w.note(category, id)
	w.upTo(w.from)
	at := w.tag.name.to
	w.out = append(w.out[:0], b[:at]...)
	if w.name == "script" {
		w.out = append(w.out, ` type="text/plain"`...)
		off = append(off, "type")
		if _, found := w.tag.get(b, "data-type"); found || w.kind(b) == isDelayed { // once let in it runs at once
			kind, _ := w.tag.get(b, "type")
			w.give("data-type", map[bool]string{true: "module"}[strings.HasSuffix(strings.ToLower(string(kind)), "module")])
		}
	}
	if _, found := w.tag.get(b, "data-stile"); !found {
		w.give("data-stile", category)
		if _, found := w.tag.get(b, "data-service"); !found && id != "" {
			w.give("data-service", id)
		}
	}
	prefix := "data-"
	if w.name != "script" && w.name != "link" || w.alien {
		prefix = "data-stile-"
		w.give("data-href", "") // by which Stile's script finds what waits
	}
	if w.name == "object" || w.name == "embed" {
		if _, found := w.tag.get(b, "data-embed"); !found {
			w.out = append(w.out, ` data-embed=""`...)
		}
	}
	for _, a := range w.tag.attrs {
		for _, i := range w.besides.held {
			if a.value.from <= i && i <= a.value.to {
				w.out = append(append(w.out, b[at:i]...), heldInStyle...)
				at = i
			}
		}
		for _, name := range off {
			if is(a.name.of(b), name) {
				rest := bare(name)
				w.out = append(append(w.out, b[at:a.name.from]...), prefix...)
				if at = a.name.to - len(rest); !strings.HasSuffix(name, rest) {
					w.out, at = append(w.out, rest...), a.name.to
				}
			}
		}
	}
	w.out = append(w.out, b[at:]...)
	w.emit(w.out)
	w.done = w.from + len(b)
}

// bare is the name of an attribute under which Stile's script knows it.
func bare(name string) string {
	if name == "data-pmdelayedscript" {
		return "src"
	}
	return name[strings.LastIndexAny(name, "-_:")+1:]
}

func (w *Writer) give(name, value string) {
	w.out = append(w.out, ' ')
	w.out = append(append(w.out, name...), `="`...)
	w.out = append(append(w.out, html.EscapeString(value)...), '"')
}

// ofAddress is for what something of that address waits, and the id of the site's tag that it is of; "" where it does not wait.
func (w *Writer) ofAddress(value string, s scope) (category, id string) {
	if w.moved {
		value = w.rebased(value)
	}
	p, found := w.gate.judge.Address(value, w.address)
	switch {
	case !found, p.Host == w.gate.host:
		return "", ""
	case s == namedOnly && p.Basis != BySite && p.Basis != ByLibrary:
		return "", ""
	case s == countingOnly && p.Basis != BySite && !w.gate.judge.Counts(p):
		return "", ""
	case w.gate.judge.Waits(p):
		return p.Category, service(p)
	case s == strangeToo && p.Basis == ByNobody:
		return w.gate.options.Unknown, ""
	}
	return "", ""
}

// rebased is an address as the page's <base> makes it.
func (w *Writer) rebased(value string) string {
	if _, host := absolute(value, w.base); host != "" {
		return value
	}
	if u, err := w.base.Parse(clean(value)); err == nil {
		return u.String()
	}
	return value
}

func service(p Party) string {
	if p.Basis == BySite && p.Tag != nil {
		return p.Tag.ID
	}
	return ""
}

// snippet is for what an inline script waits. Where it is of several parties it waits for all: for the category that comes
// last at the site, since a site names the harmless ones first.
func (w *Writer) snippet(code string) (category, id string) {
	return w.latest(w.gate.judge.snippet(code, w.address))
}

func (w *Writer) latest(parties []Party) (category, id string) {
	most, first := -1, true
	for _, p := range parties {
		if p.Basis == ByNobody {
			if p.Category = w.gate.options.Unknown; p.Category == "" || p.Host == w.gate.host {
				continue
			}
		}
		if rank := w.gate.judge.rank(p.Category); w.gate.judge.Waits(p) && rank > most {
			most, category = rank, p.Category
		}
		if first {
			id, first = service(p), false
		} else if service(p) != id {
			id = ""
		}
	}
	if category == "" {
		id = ""
	}
	return category, id
}

// rank is how late a category comes.
func (j *Judge) rank(category string) int {
	if j.site != nil {
		for i := range j.site.Categories {
			if j.site.Categories[i].Name == category {
				return i
			}
		}
		return len(j.site.Categories)
	}
	return max(0, strings.Index("functional analytics marketing", category))
}
