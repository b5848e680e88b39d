package page

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/thirdparty"
)

// ScanOptions are what is known of a page beside its bytes.
type ScanOptions struct {
	ContentType string // of the answer that it came in: it names the charset, and what is no HTML
}

// Scan finds what a page asks of third parties. address is the page's own, which addresses in it are relative to; of a page
// whose own host nobody knows (nil, or a file's) it is the one that the page says of itself. The charset is found as browsers
// do. An error is one of reading, ErrLarge, ErrDeep or one that wraps ErrNotHTML.
func Scan(r io.Reader, address *url.URL, j *Judge) (*Report, error) {
	return ScanOptions{}.Scan(r, address, j)
}

// Scan is Scan of a page of which more is known.
func (o ScanOptions) Scan(r io.Reader, address *url.URL, j *Judge) (*Report, error) {
	page, err := readPage(r, o.ContentType)
	if err != nil {
		return nil, err
	}
	root, err := parse(page)
	if err != nil {
		return nil, err
	}
	s := newScan(root, address, j)
	s.walk(root, &element{})
	slices.SortStableFunc(s.finds, func(a, b found) int { return a.at - b.at })
	report := &Report{Address: s.page, Stile: s.stile, First: s.stile != "", Cut: s.cut}
	l := newLines(page)
	_, stile := absolute(s.stile, s.base)
	for _, f := range s.finds {
		if f.Host == stile && stile != "" { // the choices for browsers without JavaScript
			continue
		}
		f.Line, f.Column = l.of(f.at)
		report.First = report.First && f.at > s.stileAt
		report.Finds = append(report.Finds, f.Find)
	}
	return report, nil
}

// found is a find and where its tag begins.
type found struct {
	Find
	at int
}

// scan is what is known while a page is looked through.
type scan struct {
	judge   *Judge
	page    *url.URL // its own address
	base    *url.URL // what addresses in it are relative to
	ids     map[string]int
	stile   string
	stileAt int
	finds   []found
	gated   int // of the finds
	cut     bool
	depth   int // of the page in others, as text of frames
}

// MaxFinds is how much Scan finds in a page: no page that was written for people has so much. Half of it is kept for what is
// ungated.
const MaxFinds = 5000

func newScan(root *html.Node, address *url.URL, j *Judge) *scan {
	s := &scan{judge: j, page: address, ids: map[string]int{}}
	var own string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id := attr(n, "id"); id != "" {
			s.ids[id]++
		}
		switch {
		case n.Data == "link" && strings.EqualFold(attr(n, "rel"), "canonical"):
			own = cmp.Or(own, attr(n, "href"))
		case n.Data == "meta" && attr(n, "property") == "og:url":
			own = cmp.Or(own, attr(n, "content"))
		}
	}
	if s.page == nil || s.page.Host == "" {
		if u, err := url.Parse(own); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
			s.page = u
		} else if s.page == nil {
			s.page = new(url.URL)
		}
	}
	s.base = s.page
	s.rebase(root)
	return s
}

// rebase takes the <base> of a page, of which the first counts that has an address.
func (s *scan) rebase(root *html.Node) {
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "base" || n.Namespace != "" || !has(n, "href") || asleep(n) {
			continue
		}
		if u, err := s.base.Parse(clean(attr(n, "href"))); err == nil {
			s.base = u
		}
		return
	}
}

// asleep tells whether an element stands where it does nothing while scripts run.
func asleep(n *html.Node) bool {
	at, in := strings.CutSuffix(attr(n, place), "n")
	for a := range n.Ancestors() {
		in = in || at == "" && a.Data == "noscript"
		if a.Data == "template" && a.Namespace == "" && !shadow(a) {
			return true
		}
	}
	return in
}

// shadow tells of a template that browsers put in place as they read it, as a shadow root.
func shadow(n *html.Node) bool {
	mode := strings.ToLower(attr(n, "shadowrootmode"))
	return mode == "open" || mode == "closed"
}

// element is an element on the way to the one that is looked at.
type element struct {
	parent *element
	node   *html.Node
	nth    int            // among the elements of its name below its parent, or of any name where the name is odd
	names  map[string]int // of the elements below it that were passed
	all    int
	at     int    // where its tag begins
	waits  string // the category for which the template around it waits
	no     bool   // it stands in a noscript
}

func (s *scan) walk(n *html.Node, e *element) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.ElementNode {
			continue
		}
		below := s.below(c, e)
		if c.Data == "template" && c.Namespace == "" && !shadow(c) {
			below.waits = cmp.Or(attr(c, "data-stile"), e.waits)
			if below.waits == "" {
				continue // nothing in it happens until a script takes it out
			}
		}
		s.look(c, below)
		s.walk(c, below)
	}
}

func (s *scan) below(n *html.Node, e *element) *element {
	if e.names == nil {
		e.names = map[string]int{}
	}
	e.names[n.Data]++
	e.all++
	below := &element{parent: e, node: n, nth: e.names[n.Data], at: e.at, waits: e.waits, no: e.no || n.Data == "noscript"}
	if !usual.MatchString(n.Data) {
		below.nth = e.all
	}
	if at := attr(n, place); at != "" {
		digits, no := strings.CutSuffix(at, "n")
		if i, err := strconv.Atoi(digits); err == nil {
			below.at, below.no = i, no // the tree may leave a noscript open
		}
	}
	return below
}

func (s *scan) look(n *html.Node, e *element) {
	s.aside(n, e)
	switch n.Data {
	case "script":
		s.script(n, e)
	case "img", "image": // the latter of SVG: where pages are badly nested nobody is sure which
		s.image(s.sources(n, "src", "srcset", "href"), tiny(n) || e.no && isCounter(attr(n, "src")), e)
	case "input":
		if strings.EqualFold(attr(n, "type"), "image") {
			s.image(s.sources(n, "src"), tiny(n), e)
		}
	case "iframe", "frame":
		s.frame(n, e)
	case "link":
		s.link(n, e)
	case "form":
		s.ask(Form, attr(n, "action"), "", e)
	case "object":
		s.asks(Embed, s.sources(n, "data"), e, nil)
	case "embed", "track":
		s.asks(Embed, s.sources(n, "src"), e, nil)
	case "video", "audio":
		s.asks(Embed, s.sources(n, "src", "poster"), e, nil)
	case "source":
		s.source(n, e)
	case "style":
		s.style(n, e)
	}
}

// aside looks at what an element of any name may have: pictures in its style and behind it, and code that runs of itself.
func (s *scan) aside(n *html.Node, e *element) {
	s.pictures(attr(n, "style"), n, e)
	s.image([]source{{attr(n, "background"), ""}, {attr(n, "data-stile-background"), s.waits(n)}}, false, e)
	if e.no || n.Data == "script" && s.kind(n) == isData {
		return
	}
	for _, name := range handlers {
		s.handler(attr(n, name), e.waits, e)
		if code := attr(n, "data-stile-"+name); code != "" {
			s.handler(code, s.waits(n), e)
		}
	}
}

// pictures finds those that a style asks for.
func (s *scan) pictures(css string, n *html.Node, e *element) {
	var list []source
	for _, at := range pictures([]byte(css)) {
		address, held := strings.CutPrefix(css[at.from:at.to], heldInStyle)
		if held {
			list = append(list, source{address, s.waits(n)})
		} else {
			list = append(list, source{address, ""})
		}
	}
	s.image(list, false, e)
}

func (s *scan) kind(n *html.Node) scriptKind {
	return kindOf(func(name string) (string, bool) { return lookup(n, name) })
}

// ask adds a find, unless the address is no third party's.
func (s *scan) ask(kind Kind, address, waits string, e *element) {
	s.asks(kind, []source{{address, waits}}, e, nil)
}

// source is an address that an element asks for, and the category for which it waits until it does.
type source struct{ address, waits string }

// asks adds a find for each third party of an element's addresses; only for those that count, where that is given.
func (s *scan) asks(kind Kind, list []source, e *element, counts func(Party) bool) {
	type one struct {
		Party
		waits string
	}
	seen := map[one]bool{}
	for _, a := range list {
		p, third := s.party(a.address)
		if kind == Script {
			p = s.judge.fromAttributes(p, func(name string) (string, bool) { return lookup(e.node, name) })
		}
		if !third || counts != nil && !counts(p) || seen[one{p, a.waits}] {
			continue
		}
		seen[one{p, a.waits}] = true
		s.add(Find{Party: p, Kind: kind, Address: strings.TrimSpace(a.address), Waits: a.waits}, e)
	}
}

// sources are what an element asks for by these attributes, and by those in which programs of the page keep addresses until
// the visitor is near. For what a consent platform holds it waits, where it asks for nothing by the first.
func (s *scan) sources(n *html.Node, names ...string) (list []source) {
	held := s.waits(n)
	if held == "" {
		names = append(names, lazy...)
	}
	for _, address := range values(n, names...) {
		list = append(list, source{address, ""})
	}
	if first := attr(n, names[0]); first == "" || strings.HasPrefix(first, "about:") || strings.HasPrefix(first, "data:") {
		list = append(list, source{later(n), held})
	}
	return list
}

// values are the addresses in these attributes; there may be two of a name in SVG, as href and xlink:href.
func values(n *html.Node, names ...string) (list []string) {
	for _, name := range names {
		for i := range n.Attr {
			a := &n.Attr[i]
			switch {
			case a.Key != name, slices.IndexFunc(n.Attr, func(b html.Attribute) bool { return b.Key == name && b.Namespace == a.Namespace }) < i: // the first counts
			case strings.HasSuffix(name, "srcset"):
				list = append(list, candidates(a.Val)...)
			default:
				list = append(list, a.Val)
			}
		}
	}
	return list
}

func (s *scan) party(address string) (Party, bool) {
	if strings.TrimSpace(address) == "" {
		return Party{}, false
	}
	p, third := s.judge.Address(address, s.page)
	if third || s.base == s.page {
		return p, third
	}
	u, err := s.base.Parse(clean(address))
	if err != nil {
		return Party{}, false
	}
	return s.judge.Address(u.String(), s.page)
}

func (s *scan) add(f Find, e *element) {
	f.Waits = cmp.Or(f.Waits, e.waits)
	gated := f.Gated(s.judge)
	if len(s.finds) == MaxFinds || gated && s.gated == MaxFinds/2 {
		s.cut = true
		return
	}
	if gated {
		s.gated++
	}
	f.Selector = s.selector(e)
	if f.Waits == "" {
		f.Leaks = leaks[f.Kind]
	}
	s.finds = append(s.finds, found{f, e.at})
}

// leaks are what browsers send of themselves, by the kind of what asks them to.
var leaks = map[Kind]string{
	Pixel:         "a request with the visitor's IP address, the page's address and the party's cookies",
	NoScriptImage: "a request with the visitor's IP address, the page's address and the party's cookies",
	Frame:         "a page of the party, with its cookies, the visitor's IP address and the page's address",
	NoScriptFrame: "a page of the party, with its cookies, the visitor's IP address and the page's address",
	Connection:    "the visitor's IP address, or that of the name server",
	Stylesheet:    "a request with the visitor's IP address and the page's address",
	Font:          "a request with the visitor's IP address and the page's address",
	Form:          "what the visitor writes in it, once it is sent",
	Embed:         "a request with the visitor's IP address, the page's address and the party's cookies",
}

func (s *scan) script(n *html.Node, e *element) {
	kind := s.kind(n)
	runs := kind != isData
	waits := e.waits
	if !runs {
		if waits = cmp.Or(e.waits, category(n)); waits == "" && strings.EqualFold(attr(n, "type"), "text/plain") {
			waits = Unnamed
		}
		if waits == "" {
			return // data, or what another program runs
		}
	}
	list := values(n, "src", "href") // the latter in SVG
	inline := attr(n, "src") == ""
	switch {
	case kind == isDelayed:
		list = append(list, values(n, delayedSources...)...)
	case inline, !runs:
		list = append(list, later(n))
	}
	var asked []source
	for _, address := range list {
		if code, inline := inlined(address); inline {
			s.snippet(code, waits, e)
		} else if s.own(address) {
			if s.stile == "" {
				s.stile, s.stileAt = address, e.at
			}
			return
		}
		asked = append(asked, source{address, waits})
	}
	s.asks(Script, asked, e, nil)
	if inline {
		s.snippet(text(n), waits, e)
	}
}

func (s *scan) snippet(code, waits string, e *element) {
	s.code(s.judge.snippet(code, s.page), code, waits, e)
}

func (s *scan) handler(code, waits string, e *element) {
	s.code(s.judge.handler(code), code, waits, e)
}

func (s *scan) code(of []Party, code, waits string, e *element) {
	for _, p := range of {
		s.add(Find{Party: p, Kind: Snippet, Excerpt: excerpt(code), Waits: waits}, e)
	}
}

// deepest is how many pages are looked at that stand in one another as text of frames.
const deepest = 4

// document looks at a page that stands in a frame as text: what it asks for stands where the frame does.
func (s *scan) document(text string, e *element) {
	if s.depth == deepest {
		s.cut = s.cut || text != ""
		return
	}
	root, err := html.ParseWithOptions(strings.NewReader(text), html.ParseOptionEnableScripting(false))
	if err != nil {
		return // it is nested so deeply that no browser shows it as it is written
	}
	inner := &scan{judge: s.judge, page: s.page, base: s.base, ids: map[string]int{}, depth: s.depth + 1}
	inner.rebase(root)
	inner.walk(root, &element{})
	for _, f := range inner.finds {
		s.add(f.Find, e)
	}
	s.cut = s.cut || inner.cut
}

// Unnamed is the category of a script that waits (type=text/plain) for something that its markup does not name.
const Unnamed = "unnamed"

// later is the address that an element gets from a program in the page: a consent platform's, or one that puts loading off.
func later(n *html.Node) string {
	if value := attr(n, "data-stile-src"); value != "" {
		return value
	}
	for _, name := range delayedSources {
		if value := attr(n, name); value != "" {
			return value
		}
	}
	return cmp.Or(attr(n, "data-cookieconsent-src"), attr(n, "data-cmp-src"))
}

// inlined is the code of a data URL: programs that make pages faster put snippets into them.
func inlined(address string) (string, bool) {
	head, data, found := strings.Cut(address, ",")
	if !found || !strings.HasPrefix(head, "data:") || !strings.Contains(head, "javascript") {
		return "", false
	}
	if strings.HasSuffix(head, ";base64") {
		code, err := base64.StdEncoding.DecodeString(data)
		return string(code), err == nil
	}
	code, err := url.PathUnescape(data)
	return code, err == nil
}

var stilePath = regexp.MustCompile(`(?:^|/)stile/([a-z0-9-]+)\.js$`)

// own tells whether a script is Stile's: what has to wait for consent is not.
func (s *scan) own(address string) bool {
	path, _, _ := strings.Cut(strings.TrimSpace(address), "?")
	m := stilePath.FindStringSubmatch(path)
	if p, third := s.party(address); third && s.judge.Waits(p) {
		return false
	}
	return m != nil && (s.judge.site == nil || s.judge.site.Name == m[1])
}

// image finds what is there to be counted: images nobody sees, and those of parties that count.
func (s *scan) image(list []source, tiny bool, e *element) {
	kind := Pixel
	if e.no {
		kind = NoScriptImage
	}
	s.asks(kind, list, e, func(p Party) bool { return tiny || p.Basis == BySite || s.judge.Counts(p) })
}

// source is one of a film, or of a picture.
func (s *scan) source(n *html.Node, e *element) {
	film := n.Parent != nil && (n.Parent.Data == "video" || n.Parent.Data == "audio")
	s.asks(Embed, s.sources(n, "src"), e, func(p Party) bool { return film || s.judge.Waits(p) })
	var pictures []source
	for _, address := range values(n, "srcset") {
		pictures = append(pictures, source{address, ""})
	}
	s.image(pictures, false, e)
}

// Counts tells whether an image of a party is there for its request and not to be seen: the party analyses or advertises.
func (j *Judge) Counts(p Party) bool {
	if p.Vendor == nil {
		e, found := thirdparty.Find(p.Host)
		return found && (e.Kind == thirdparty.Ad || e.Kind == thirdparty.Analytics || e.Kind == thirdparty.Marketing)
	}
	return p.Vendor.Category == "analytics" || p.Vendor.Category == "marketing"
}

var hidden = regexp.MustCompile(`(?i)display\s*:\s*none|visibility\s*:\s*hidden|(?:^|[;\s])(?:width|height)\s*:\s*[01](?:px)?\s*(?:;|$|!)`)

// tiny tells whether nobody sees an image.
func tiny(n *html.Node) bool {
	w, h := attr(n, "width"), attr(n, "height")
	small := func(v string) bool { v = strings.TrimSuffix(strings.TrimSpace(v), "px"); return v == "0" || v == "1" }
	return small(w) && small(h) || hidden.MatchString(attr(n, "style"))
}

// isCounter tells of the address of an image in a <noscript> that it may be there for its request: it is not called as the
// pictures are that a script of the page shows in its place.
func isCounter(address string) bool {
	path, _, _ := strings.Cut(strings.TrimSpace(address), "?")
	switch strings.ToLower(path[strings.LastIndexByte(path, '.')+1:]) {
	case "jpg", "jpeg", "png", "webp", "avif", "svg":
		return false
	}
	return path != "" && !strings.HasPrefix(path, "data:")
}

// waits is for what an element waits of which a program of the page may know the address, too.
func (s *scan) waits(n *html.Node) string {
	return s.judge.holder(func(name string) (string, bool) { return lookup(n, name) })
}

func (s *scan) frame(n *html.Node, e *element) {
	s.document(attr(n, "srcdoc"), e)
	if code, inline := scriptIn(attr(n, "src")); inline && !e.no {
		s.snippet(code, "", e)
	}
	if text, inline := documentIn(attr(n, "src")); inline {
		s.document(text, e)
	}
	kind := Frame
	if e.no {
		kind = NoScriptFrame
	}
	s.asks(kind, s.sources(n, "src"), e, nil)
}

func (s *scan) link(n *html.Node, e *element) {
	rels := strings.Fields(strings.ToLower(attr(n, "rel")))
	var kind Kind
	switch {
	case slices.Contains(rels, "stylesheet"):
		kind = Stylesheet
	case slices.Contains(rels, "preload") && strings.EqualFold(attr(n, "as"), "font"):
		kind = Font
	case slices.ContainsFunc(rels, func(rel string) bool { return connections[rel] }):
		kind = Connection
	default:
		return
	}
	list := []source{{attr(n, "href"), ""}}
	for _, address := range values(n, "imagesrcset") {
		list = append(list, source{address, ""})
	}
	if list[0].address == "" {
		list = append(list, source{attr(n, "data-href"), category(n)})
	}
	s.asks(kind, list, e, nil)
}

var connections = map[string]bool{
	"preconnect": true, "dns-prefetch": true, "preload": true, "modulepreload": true, "prefetch": true, "prerender": true,
}

var (
	imported = regexp.MustCompile(`(?i)@import\s+(?:url\(\s*)?['"]?([^'")\s;]+)`)
	fontFile = regexp.MustCompile(`(?i)url\(\s*['"]?([^'")\s]+\.(?:woff2?|ttf|otf|eot)[^'")\s]*)`)
)

// style finds the stylesheets that a style element takes in, and fonts: each host once.
func (s *scan) style(n *html.Node, e *element) {
	css := text(n)
	seen := map[string]bool{}
	find := func(kind Kind, re *regexp.Regexp) {
		for _, m := range re.FindAllStringSubmatch(css, -1) {
			if p, third := s.party(m[1]); third && !seen[p.Host] {
				seen[p.Host] = true
				s.ask(kind, m[1], "", e)
			}
		}
	}
	find(Stylesheet, imported)
	find(Font, fontFile)
	s.pictures(css, n, e)
}

// usual are names that mean the same in CSS as they do in HTML.
var usual = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

var plainID = regexp.MustCompile(`^[A-Za-z_][\w-]*$`)

// selector is the shortest way to an element: by an id that no other has, its own or that of the nearest element around it.
func (s *scan) selector(e *element) string {
	var steps []string
	for ; e.node != nil; e = e.parent {
		if id := attr(e.node, "id"); s.ids[id] == 1 && plainID.MatchString(id) {
			steps = append(steps, "#"+id)
			break
		}
		switch name := e.node.Data; {
		case name == "html" || name == "head" || name == "body":
			steps = append(steps, name)
		case usual.MatchString(name):
			steps = append(steps, name+":nth-of-type("+strconv.Itoa(e.nth)+")")
		default:
			steps = append(steps, ":nth-child("+strconv.Itoa(e.nth)+")")
		}
	}
	slices.Reverse(steps)
	return strings.Join(steps, " > ")
}

// excerpt is the beginning of a snippet, on one line.
func excerpt(code string) string {
	words := strings.Fields(code[:min(len(code), 400)])
	line := []rune(strings.ToValidUTF8(strings.Join(words, " "), ""))
	if len(line) > 100 {
		return string(line[:100]) + "…"
	}
	return string(line)
}

func attr(n *html.Node, name string) string {
	value, _ := lookup(n, name)
	return value
}

func lookup(n *html.Node, name string) (string, bool) {
	for i := range n.Attr {
		if n.Attr[i].Key == name { // xlink:href of SVG too
			return n.Attr[i].Val, true
		}
	}
	return "", false
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func text(n *html.Node) string {
	if c := n.FirstChild; c != nil && c.NextSibling == nil && c.Type == html.TextNode {
		return c.Data
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}
