package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/page"
)

const mostDraftTags = 64 // that a stile.yaml takes

// file is the stile.yaml.
func (d *draft) file() []byte {
	head := d.head()
	categories := map[string]bool{}
	taken := map[string]bool{"necessary": true, "functional": true, "analytics": true, "marketing": true} // ids
	n := 0
	for _, t := range d.tags {
		d.decide(t, taken)
		if t.active && n == mostDraftTags {
			t.active = false
			t.why = append(t.why, fmt.Sprintf("a site has at most %d tags", mostDraftTags))
		}
		if t.active {
			n++
		}
		categories[t.category()] = true // a line that is a comment may become none, and what is marked in the page needs it too
	}
	if len(categories) == 0 {
		categories = map[string]bool{"analytics": true, "marketing": true}
	}
	var b strings.Builder
	b.WriteString("# Written by stile init as a beginning: look at each line that says \"decide\", then run stile check.\n")
	b.WriteString(head.lines(d.today))
	b.WriteString("categories:   # in the order in which visitors see them\n  necessary: {required: true}\n")
	for _, name := range []string{"functional", "analytics", "marketing"} {
		if categories[name] {
			b.WriteString("  " + name + ": {}\n")
		}
	}
	if n == 0 {
		b.WriteString("tags: []\n")
	} else {
		b.WriteString("tags:\n")
	}
	for _, t := range d.tags {
		t.write(&b)
	}
	if len(d.tags) == 0 {
		b.WriteString("  # decide: what the pages load; stile vendors lists what Stile knows\n" +
			"  # - {vendor: ga4, id: \"G-AB12CD34EF\", category: analytics}\n" +
			"  # - {name: House counter, category: analytics, pixel: \"https://stats.shop.example/p.gif?u={page}\"}\n")
	}
	return []byte(b.String())
}

func (t *draftTag) write(b *strings.Builder) {
	for _, why := range t.why {
		b.WriteString("  # decide: " + cut(seen(why), 200) + "\n")
	}
	switch {
	case t.line == "":
	case t.active:
		b.WriteString("  " + t.line + "\n")
	default:
		b.WriteString("  # " + t.line + "\n")
	}
}

// category is one that the file has.
func (t *draftTag) category() string {
	if slices.Contains([]string{"necessary", "functional", "analytics", "marketing"}, t.Category) {
		return t.Category
	}
	return "marketing" // the most that it can be
}

// decide makes the line of a tag, and says what of it a person has to decide.
func (d *draft) decide(t *draftTag, taken map[string]bool) {
	t.line, t.why, t.active = "", nil, false
	where := t.name()
	if t.Vendor != nil {
		t.vendorLine(taken)
	} else {
		t.customLine(taken)
	}
	if t.line == "" {
		return
	}
	t.active = len(t.missing()) == 0 && t.Basis != page.ByNobody
	if t.active && !d.parses(draftHead{"x", "https://x.example", "x", "x@x.example", "en", false}.lines(d.today)+
		"categories:\n  necessary: {required: true}\n  functional: {}\n  analytics: {}\n  marketing: {}\ntags:\n  "+t.line+"\n") {
		t.active = false
		t.why = append(t.why, where+" does not fit like this: mend the line")
	}
}

func (t *draftTag) name() string {
	if t.Name != "" {
		return t.Name
	}
	return t.Host
}

// missing are what a vendor needs and the page does not tell.
func (t *draftTag) missing() (names []string) {
	if t.Vendor == nil {
		return nil
	}
	if t.Vendor.Account.Pattern != "" && !fits(t.Vendor.Account.Pattern, t.Account) {
		names = append(names, "id")
	}
	for _, o := range t.Vendor.Options {
		if o.Default == "" && t.options[o.Name] == "" {
			names = append(names, o.Name)
		}
	}
	return names
}

func (t *draftTag) vendorLine(taken map[string]bool) {
	v := t.Vendor
	if !slices.ContainsFunc(t.places, func(p draftPlace) bool {
		return p.kind == page.Script || p.kind == page.Snippet || p.kind == page.Pixel || p.kind == page.NoScriptImage
	}) && v.Account.Pattern == "" {
		return // a frame, or a connection: nothing that Stile would load
	}
	values := map[string]string{"id": t.Account}
	maps.Copy(values, t.options)
	missing := t.missing()
	if v.Account.Pattern != "" && slices.Contains(missing, "id") {
		values["id"] = v.Account.Example
	}
	line := "- {vendor: " + v.ID
	if values["id"] != "" {
		line += ", id: " + quoted(values["id"])
	}
	line += ", category: " + t.category()
	for _, o := range v.Options {
		value := t.options[o.Name]
		if slices.Contains(missing, o.Name) {
			value = o.Example
		}
		if value != "" {
			line += ", " + o.Name + ": " + quoted(value)
		}
	}
	if t.waits {
		t.why = append(t.why, t.name()+held)
	}
	if len(missing) > 0 {
		t.why = append(t.why, fmt.Sprintf("%s was found, but not its %s", t.name(), strings.Join(missing, ", ")))
	}
	if v.Loads {
		t.why = append(t.why, t.name()+" loads other tags, which cannot be seen from outside: take the category of the strictest of them")
	}
	if name := t.unique(v.ID, v.Name, taken); name != "" {
		line += ", name: " + quoted(name)
	}
	t.line = line + "}"
}

func (t *draftTag) customLine(taken map[string]bool) {
	if t.address == "" {
		t.why = append(t.why, fmt.Sprintf("%s is asked for in the page by a %s, which Stile does not load: mark it there with data-stile", t.name(), t.places[0].kind))
		return
	}
	key := "script"
	if t.kind != page.Script {
		key = "pixel"
	}
	name := cut(t.name(), 60)
	if other := t.unique("", name, taken); other != "" {
		name = other
	}
	if t.Basis == page.ByNobody {
		t.why = append(t.why, t.Host+" is a host that nobody knows: does it need consent, and for what?")
	} else {
		t.why = append(t.why, t.Name+" is known by its host alone: is "+t.category()+" right?")
	}
	t.line = fmt.Sprintf("- {name: %s, category: %s, %s: %s", quoted(name), t.category(), key, quoted(t.address))
	t.line += "}"
	if t.waits {
		t.why = append(t.why, t.name()+held)
	}
}

const held = " waits in the page already: delete it there, or write markup: true here if its attributes are Stile's, klaro's or vanilla-cookieconsent's"

var notInID = regexp.MustCompile(`[^\p{L}\p{N}]+`)

// unique takes an id, and is the name that the tag needs for it; "" where it needs none but its vendor's.
func (t *draftTag) unique(id, name string, taken map[string]bool) string {
	if id != "" && !taken[id] {
		taken[id] = true
		return ""
	}
	for n := 1; ; n++ {
		try := name
		if n > 1 || id != "" {
			try = fmt.Sprintf("%s %d", name, n+min(1, len(id)))
		}
		if slug := strings.Trim(notInID.ReplaceAllString(strings.ToLower(try), "-"), "-"); !taken[slug] {
			taken[slug] = true
			return try
		}
	}
}

// advice is what is left to do to the pages, after the file was written.
func (d *draft) advice(file string) string {
	var b strings.Builder
	section := func(title string, of func(t *draftTag, p draftPlace) string) {
		var lines []string
		for _, t := range d.tags {
			lines = append(lines, t.lines(of)...)
		}
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, strings.Join(lines, "\n"))
		}
	}
	open := d.open()
	section("Delete from the pages: the file has them now.", func(t *draftTag, p draftPlace) string {
		if t.does(p) && !open[p.where()] {
			return p.text
		}
		return ""
	})
	section("Mark in the pages, so that they wait: data-src in place of src, and data-stile with the category.", func(t *draftTag, p draftPlace) string {
		if !p.waits && t.Basis != page.ByNobody && (p.kind == page.Frame || p.kind == page.Embed) {
			return fmt.Sprintf("data-stile=%q %s", t.category(), p.text)
		}
		return ""
	})
	section("Decide on these.", func(t *draftTag, p draftPlace) string {
		if frame := p.kind == page.Frame || p.kind == page.Embed; !p.waits && (t.Basis == page.ByNobody || p.kind == page.Form || !frame && (!t.does(p) || open[p.where()])) {
			return p.text
		}
		return ""
	})
	if !d.stile {
		fmt.Fprintf(&b, "\nPut this first in <head>, when Stile is served:\n  <script src=\"/stile/%s.js\"></script>\n", d.head().site)
	}
	fmt.Fprintf(&b, "\nThen: stile check %s\n", file)
	return b.String()
}

// open are the places where something stands that the file does not have: a snippet can be of several.
func (d *draft) open() map[draftPlace]bool {
	open := map[draftPlace]bool{}
	for _, t := range d.tags {
		for _, p := range t.places {
			if p.kind == page.Snippet && !t.does(p) {
				open[p.where()] = true
			}
		}
	}
	return open
}

// does tells whether the file's line does what stands at a place of the tag, so that it may go from the page. What of a vendor
// names no account may be of any of its accounts, or an event of the page's own.
func (t *draftTag) does(p draftPlace) bool {
	switch {
	case !t.active || p.kind == page.Frame || p.kind == page.Embed || p.kind == page.Form:
		return false
	case p.kind == page.Connection && p.account == "":
		return true // it is there for the sake of the tag
	case t.Vendor == nil:
		return loads(p.kind)
	case p.account != "" || t.Vendor.Account.Pattern == "":
		return p.account == t.Account
	}
	return p.loader
}

func (p draftPlace) where() draftPlace { return draftPlace{page: p.page, line: p.line, at: p.at} }

// lines are the places of a tag that something is to be done about, the same once.
func (t *draftTag) lines(of func(*draftTag, draftPlace) string) (lines []string) {
	type same struct {
		kind page.Kind
		text string
	}
	more := map[same]int{}
	var first []draftPlace
	for _, p := range t.places {
		if text := of(t, p); text != "" {
			if p.text = text; more[same{p.kind, text}] == 0 {
				first = append(first, p)
			}
			more[same{p.kind, text}]++
		}
	}
	for _, p := range first {
		line := fmt.Sprintf("  %s:%d  %s, %s: ", p.page, p.line, p.kind, t.name())
		line += cut(p.text, max(30, 100-len(line)))
		if n := more[same{p.kind, p.text}] - 1; n > 0 {
			line += fmt.Sprintf(" and %d more", n)
		}
		lines = append(lines, line)
	}
	return lines
}
