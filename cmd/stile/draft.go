package main

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/language"

	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/vendors"
)

// draft is a stile.yaml in the making.
type draft struct {
	options  config.Options
	today    string
	pages    int
	cut      bool     // not all of the last page was looked at
	address  *url.URL // of the first page whose address is known, or nil
	language string   // of the first page that names one that Stile has words for
	tags     []*draftTag
	stile    bool // Stile's script stands in the first page
}

// draftTag is a tag that was found, once for each account.
type draftTag struct {
	page.Party
	kind    page.Kind
	address string // of a custom tag: absolute, on https
	options map[string]string
	waits   bool // it waits in the page already, wherever it stands
	places  []draftPlace

	line   string   // as stile.yaml has it, once file was asked for
	active bool     // the line is no comment
	why    []string // what a person must decide
}

// draftPlace is a place in a page where something of a tag stands.
type draftPlace struct {
	page, text string
	line, at   int
	kind       page.Kind
	waits      bool
	account    string // "" where it names none
	loader     bool   // it is the vendor's own script, whatever the account
}

func newDraft(options config.Options, now time.Time) *draft {
	return &draft{options: options, today: now.Format(time.DateOnly)}
}

// page adds what stands in a page.
func (d *draft) page(p *readPage, j *page.Judge) error {
	report, err := p.scan(j)
	if err != nil {
		return err
	}
	d.cut = report.Cut
	if d.pages++; d.pages == 1 {
		d.stile = report.Stile != ""
	}
	if d.address == nil && report.Address != nil && report.Address.Host != "" {
		d.address = report.Address
	}
	if d.language == "" {
		d.language = d.spoken(p.body)
	}
	for i := range report.Finds {
		if f := &report.Finds[i]; f.Waits != "" || j.Waits(f.Party) || f.Basis == page.ByNobody && tracks(f.Kind) {
			d.find(f, p, report.Address)
		}
	}
	return nil
}

// find adds a find to the tag that it is of.
func (d *draft) find(f *page.Find, p *readPage, at *url.URL) {
	address := ""
	if u, err := at.Parse(f.Address); err == nil && f.Address != "" && u.Host != "" {
		u.Scheme, u.Fragment = "https", ""
		address = u.String()
	}
	account, found := f.Account, map[string]string(nil)
	if f.Vendor != nil {
		found = fromTemplate(f, address)
		account = cmp.Or(account, found["id"], fontFamilies(f.Vendor, address))
	}
	t := d.tagOf(f, account, address)
	text := f.Address
	if text == "" {
		text = f.Excerpt
	}
	t.places = append(t.places, draftPlace{p.name, text, f.Line, f.Column, f.Kind, f.Waits != "", account, f.Kind == page.Script && found != nil})
	t.waits = t.waits && f.Waits != ""
	if f.Vendor != nil {
		t.learn(f, account, found)
	}
}

// tagOf is the tag that a find is of. What of a vendor has no account goes to the vendor's first.
func (d *draft) tagOf(f *page.Find, account, address string) *draftTag {
	for _, t := range d.tags {
		switch {
		case f.Vendor != nil && t.Vendor == f.Vendor:
			if account == "" || t.Account == "" || t.Account == account {
				return t
			}
		case f.Vendor != nil || t.Vendor != nil || t.Basis != f.Basis || t.Name != f.Name || t.Name == "" && t.Host != f.Host:
		case !loads(f.Kind) || t.address == address:
			return t
		case t.address == "":
			t.kind, t.address, t.Host = f.Kind, address, f.Host
			return t
		}
	}
	t := &draftTag{Party: f.Party, waits: true, options: map[string]string{}}
	d.tags = append(d.tags, t)
	if f.Vendor == nil && loads(f.Kind) {
		t.kind, t.address = f.Kind, address
	}
	return t
}

// loads tells whether a tag of one's own can be made of a kind.
func loads(k page.Kind) bool {
	return k == page.Script || k == page.Pixel || k == page.NoScriptImage
}

// learn takes the account and the options of a find: found is what its address has as the vendor's own script has it.
func (t *draftTag) learn(f *page.Find, account string, found map[string]string) {
	t.Account = cmp.Or(t.Account, account)
	for _, o := range f.Vendor.Options {
		value := found[o.Name]
		if value == "" && o.Name == "host" && slices.Contains(f.Vendor.Hosts, "{host}") {
			value = f.Host
		}
		if t.options[o.Name] == "" && value != o.Default && fits(o.Pattern, value) {
			t.options[o.Name] = value
		}
	}
}

// fontFamilies are the families of a stylesheet's address, as the account of Google Fonts has them; "" of another vendor.
func fontFamilies(v *vendors.Vendor, address string) string {
	u, err := url.Parse(address)
	if err != nil || v.Account.Param != "families" {
		return ""
	}
	families := strings.ReplaceAll(strings.Join(u.Query()["family"], "|"), " ", "+")
	if !fits(v.Account.Pattern, families) {
		return ""
	}
	return families
}

func fits(pattern, text string) bool {
	whole, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && text != "" && whole.MatchString(text)
}

var placeholderName = regexp.MustCompile(`\\\{([a-z_]+)\\\}`)

// fromTemplate reads the values of placeholders from an address that is like the vendor's script, up to the query; nil where
// it is another.
func fromTemplate(f *page.Find, address string) map[string]string {
	patterns := map[string]string{"id": f.Vendor.Account.Pattern}
	for _, o := range f.Vendor.Options {
		patterns[o.Name] = o.Pattern
	}
	template, _, _ := strings.Cut(f.Vendor.Load.Script, "?")
	address, _, _ = strings.Cut(address, "?")
	var names []string
	expression := placeholderName.ReplaceAllStringFunc(regexp.QuoteMeta(template), func(name string) string {
		name = strings.Trim(name, `\{}`)
		pattern := patterns[name]
		if pattern == "" {
			pattern = `[^/]+`
		}
		names = append(names, name)
		return fmt.Sprintf("(?P<%s>%s)", name, pattern)
	})
	whole, err := regexp.Compile("^" + expression + "$")
	if err != nil || template == "" {
		return nil
	}
	match := whole.FindStringSubmatch(address)
	if match == nil {
		return nil
	}
	found := map[string]string{}
	for _, name := range names {
		found[name] = match[whole.SubexpIndex(name)]
	}
	return found
}

// spoken is the language of a page in which Stile has words, or "".
func (d *draft) spoken(body []byte) string {
	t := html.NewTokenizer(bytes.NewReader(body))
	for kind := t.Next(); kind != html.ErrorToken; kind = t.Next() {
		if kind != html.StartTagToken {
			continue
		}
		token := t.Token()
		if token.DataAtom != atom.Html {
			return ""
		}
		for _, a := range token.Attr {
			if a.Key == "lang" {
				return d.words(a.Val)
			}
		}
		return ""
	}
	return ""
}

func (d *draft) words(lang string) string {
	want, err := language.Parse(strings.TrimSpace(lang))
	if err != nil {
		return ""
	}
	var have []language.Tag
	for _, name := range d.options.Languages {
		have = append(have, language.Make(name))
	}
	_, i, confidence := language.NewMatcher(have).Match(want)
	if confidence < language.High {
		return ""
	}
	return d.options.Languages[i]
}

// quoted is a text as YAML takes it in double quotes, which knows the escapes of Go: on one line, and all of it to be seen.
func quoted(text string) string { return strconv.Quote(text) }

// seen is a text for a comment.
func seen(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// draftHead is what stands above the tags.
type draftHead struct {
	site, origin, name, contact, language string
	guessed                               bool // the page said where it stands
}

var notInName = regexp.MustCompile(`[^a-z0-9-]+`)

// head says whose site it is, as far as the page's address tells.
func (d *draft) head() draftHead {
	h := draftHead{"shop", "https://www.shop.example", "Shop", "privacy@shop.example", d.language, false}
	if h.language == "" {
		h.language = "en"
	}
	if d.address == nil {
		return h
	}
	host := strings.ToLower(d.address.Hostname())
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		domain = host
	}
	label, _, _ := strings.Cut(domain, ".")
	found := h
	found.site = strings.Trim(notInName.ReplaceAllString(label, "-"), "-")
	found.site = found.site[:min(len(found.site), 32)]
	if found.site == "" || found.site == "log" || regexp.MustCompile(`^[0-9]+$`).MatchString(found.site) {
		found.site = h.site
	}
	found.origin, found.name, found.contact, found.guessed = d.address.Scheme+"://"+strings.ToLower(d.address.Host), domain, "https://"+d.address.Host+"/", true
	if err == nil {
		found.contact = "privacy@" + domain
	}
	if d.parses(found.lines(d.today) + "categories:\n  necessary: {required: true}\n") {
		return found
	}
	return h
}

func (d *draft) parses(text string) bool {
	_, report := config.Parse("stile.yaml", []byte(text), d.options)
	return !report.HasErrors()
}

func (h draftHead) lines(today string) string {
	where := "   # decide: the pages that may embed it, https://*.shop.example for all subdomains"
	return fmt.Sprintf(`site: %s   # the name in the script's path: /stile/%[8]s.js
origins: [%[2]s]%[3]s
controller: {name: %s, contact: %s}   # decide: the company as visitors know it, and where they can write to
policy: {version: %s}   # decide: add the text, file: policy.md, and a new version whenever it changes
languages: [%s]   # decide: the first is the fallback
regimes:   # decide: asking everywhere is the strictest; stile explain --region DE tells what holds where
  - {name: everywhere, regions: ["*"], model: opt-in}
`, quoted(h.site), quoted(h.origin), where, quoted(h.name), quoted(h.contact), quoted(today), quoted(h.language), h.site)
}
