package config

import (
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// The types of a stile.yaml. The JSON schema is made from them, and so are the keys that the reader knows; the values
// themselves are read from the syntax tree, which still knows where each of them stands.

type siteFile struct {
	Site         string                  `json:"site" jsonschema:"pattern=^[a-z0-9][a-z0-9-]{0\\,31}$,example=shop" jsonschema_description:"The site's name, in the path of the script (/stile/shop.js) and in the name of the cookie (stile_shop)."`
	Origins      []string                `json:"origins" jsonschema:"minItems=1,maxItems=100,uniqueItems=true,pattern=^https?://[^/]+$" jsonschema_description:"The origins of the pages that may embed the site: https://host or https://host:port. https://*.host stands for all subdomains. http is for loopback and tests."`
	CookieDomain string                  `json:"cookie_domain,omitempty" jsonschema:"example=shop.example" jsonschema_description:"Shares the choice across the subdomains of this host. Every origin has to be under it. Left out, the choice is the consent host's alone."`
	Controller   controllerFile          `json:"controller" jsonschema_description:"Who is answerable for the site."`
	Policy       policyFile              `json:"policy" jsonschema_description:"The cookie policy in force."`
	Languages    []string                `json:"languages,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true" jsonschema_description:"Languages of the banner, BCP 47. The first is the fallback. Default: [en]."`
	Regimes      []regimeFile            `json:"regimes,omitempty" jsonschema:"minItems=1,maxItems=64" jsonschema_description:"What the law asks for, by region. The first that matches counts; the last has to match everything (\"*\"). Default: opt-in everywhere."`
	Categories   map[string]categoryFile `json:"categories" jsonschema_description:"The purposes that a visitor decides on, in display order. Stile has words for necessary, functional, analytics and marketing; others need a title and a purpose in each language of the site."`
	Tags         []tagFile               `json:"tags,omitempty" jsonschema:"maxItems=64" jsonschema_description:"What the site loads, each for a category."`
	Remember     string                  `json:"remember,omitempty" jsonschema:"pattern=^[1-9][0-9]{0\\,3}[dwmy]$,default=180d" jsonschema_description:"How long a choice holds: a number and d, w, m (30 days) or y. At most 395d."`
	Retention    retentionFile           `json:"retention,omitempty" jsonschema_description:"How long consent records are kept, after the choice has ended: a number and d, m or y, or a mapping. Default: 3y."`
	Appearance   appearanceFile          `json:"appearance,omitempty" jsonschema_description:"How the banner looks."`
	Words        map[string]wordsFile    `json:"words,omitempty" jsonschema_description:"Words of the site's own, by language, in place of Stile's: accept_all, embed.once and so on, as banner/words/en.yaml has them."`
	Google       googleFile              `json:"google,omitempty" jsonschema_description:"How Google's consent mode is run. Left out, it is told what the visitor chose, with the first of its tags that is released."`
	SinglePage   bool                    `json:"single_page,omitempty" jsonschema_description:"The site's pages change without being loaded: pixels, and vendors that do not notice by themselves, are told each new address once."`
	PageViews    bool                    `json:"page_views,omitempty" jsonschema_description:"Page views are counted in place of answers of the script, which a browser keeps for an hour: each page sends one more request, without cookie or id."`
	PerVendor    bool                    `json:"per_vendor,omitempty" jsonschema_description:"Each vendor of a category can be switched off by itself in the preferences."`
	Minors       minorsFile              `json:"minors,omitempty" jsonschema_description:"Visitors under an age cannot switch optional categories on by themselves."`
	Sightings    sightingsFile           `json:"sightings,omitempty" jsonschema_description:"Share of page views, over 0 and at most 1, that report which third-party hosts they loaded from, and nothing else of the visitor but what they allow: 0.05. Default: none, since it is one more request from visitors' pages. Or a mapping."`
	Mail         mailFile                `json:"mail,omitempty" jsonschema_description:"Opens and clicks of the site's newsletters are counted, for recipients who allow it at that moment."`
	Alerts       alertsFile              `json:"alerts,omitempty" jsonschema_description:"What the site's team is told of, and where."`
}

// wordsFile is words by name; groups are nested.
type wordsFile map[string]any

type minorsFile struct {
	Age      int  `json:"age" jsonschema:"minimum=1,maximum=21" jsonschema_description:"Under this age, in years, a visitor cannot consent."`
	Guardian bool `json:"guardian,omitempty" jsonschema_description:"A parent or guardian can consent for them, by a signed link that expires."`
}

type googleFile struct {
	Mode           string            `json:"mode,omitempty" jsonschema:"enum=basic,enum=advanced,default=basic" jsonschema_description:"basic: Google's tags are sent with consent only. advanced: they are sent, or stand in the page, before and without it, and are told that it is denied."`
	URLPassthrough bool              `json:"url_passthrough,omitempty" jsonschema_description:"Google may put click identifiers into the site's own links while it may not store them."`
	Signals        map[string]string `json:"signals,omitempty" jsonschema_description:"Which category each signal follows, where that is another than usual: {ad_storage: marketing}."`
}

type controllerFile struct {
	Name    string `json:"name" jsonschema:"minLength=1,maxLength=200" jsonschema_description:"The company or person, as visitors know it."`
	Contact string `json:"contact" jsonschema:"minLength=1,maxLength=2000" jsonschema_description:"An e-mail address, or the URL of a contact page."`
}

type policyFile struct {
	Version  versionFile  `json:"version" jsonschema_description:"The version of the policy: 1 to 32 of letters, digits, dot, dash and underscore. A date is good."`
	Material bool         `json:"material,omitempty" jsonschema_description:"The policy changed in a way that matters: consent that was given under an older version no longer holds, and visitors are asked again."`
	File     string       `json:"file,omitempty" jsonschema:"minLength=1,maxLength=2000" jsonschema_description:"The policy's text, Markdown, relative to this file."`
	Summary  wordFile     `json:"summary,omitempty" jsonschema_description:"What changed, in a line: text, or a mapping of language to text."`
	From     dayFile      `json:"from,omitempty" jsonschema_description:"The day from which it is in force: 2026-11-01."`
	Former   []formerFile `json:"former,omitempty" jsonschema:"maxItems=100" jsonschema_description:"Versions before this one, oldest first, for the archive. Those that Stile served are kept anyhow."`
	Next     nextFile     `json:"next,omitempty" jsonschema_description:"A version that visitors can read now and that comes into force by itself on its day, seven days ahead or more."`
}

type formerFile struct {
	Version  versionFile `json:"version" jsonschema_description:"The version, as policy.version."`
	Material bool        `json:"material,omitempty" jsonschema_description:"It changed the policy in a way that matters."`
	File     string      `json:"file" jsonschema:"minLength=1,maxLength=2000" jsonschema_description:"Its text, Markdown, relative to this file."`
	Summary  wordFile    `json:"summary,omitempty" jsonschema_description:"What it changed: text, or a mapping of language to text."`
	From     dayFile     `json:"from,omitempty" jsonschema_description:"The day from which it was in force."`
}

type nextFile struct {
	Version  versionFile `json:"version" jsonschema_description:"The version, as policy.version."`
	Material bool        `json:"material,omitempty" jsonschema_description:"It changes the policy in a way that matters."`
	File     string      `json:"file" jsonschema:"minLength=1,maxLength=2000" jsonschema_description:"Its text, Markdown, relative to this file."`
	Summary  wordFile    `json:"summary,omitempty" jsonschema_description:"What it changes: text, or a mapping of language to text."`
	From     dayFile     `json:"from" jsonschema_description:"The day on which it comes into force, 00:00 UTC."`
}

type regimeFile struct {
	Name       string   `json:"name" jsonschema:"pattern=^[A-Za-z0-9][A-Za-z0-9._-]{0\\,31}$,example=gdpr" jsonschema_description:"A short name for the law, as records and explanations call it."`
	Regions    []string `json:"regions" jsonschema:"minItems=1,maxItems=300,uniqueItems=true,pattern=^(\\*|EEA|[A-Z]{2}(-[A-Z0-9]{1\\,3})?)$" jsonschema_description:"ISO 3166 countries (DE) and subdivisions (US-CA), EU, EEA, or * for everywhere."`
	Model      string   `json:"model,omitempty" jsonschema:"enum=opt-in,enum=opt-out,default=opt-in" jsonschema_description:"opt-in: nothing optional runs before it was accepted. opt-out: it runs until it is declined."`
	NoticeOnly []string `json:"notice_only,omitempty" jsonschema:"maxItems=16,uniqueItems=true" jsonschema_description:"Categories that need clear information and a free objection, but no consent."`
	Separate   bool     `json:"separate,omitempty" jsonschema_description:"Each recipient is consented to by an act of its own. Only with opt-in."`
}

type categoryFile struct {
	Required bool              `json:"required,omitempty" jsonschema_description:"Strictly necessary: it cannot be declined, and consent is not asked for it."`
	Sells    bool              `json:"sells,omitempty" jsonschema_description:"It sells or shares data, or is for advertising across sites: Sec-GPC turns it off. Default: true for marketing, false for others."`
	Title    map[string]string `json:"title,omitempty" jsonschema_description:"Its name, by language."`
	Purpose  map[string]string `json:"purpose,omitempty" jsonschema_description:"What it is for, by language."`
}

type appearanceFile struct {
	Position   string     `json:"position,omitempty" jsonschema:"enum=bottom,enum=top,enum=corner,enum=top-corner,enum=centre,default=bottom" jsonschema_description:"Where the banner stands: a bar at the bottom or the top, a box in a corner, or a box in the middle. The page can be used beside each."`
	Theme      string     `json:"theme,omitempty" jsonschema:"enum=auto,enum=light,enum=dark,default=auto" jsonschema_description:"Its colours: auto follows the visitor's system."`
	Accent     colourFile `json:"accent,omitempty" jsonschema_description:"The colour of its buttons: #rgb or #rrggbb. Default: #0b5fff."`
	OnAccent   colourFile `json:"on_accent,omitempty" jsonschema_description:"The colour of what is written on its buttons. Default: black or white, whichever reads better."`
	Background colourFile `json:"background,omitempty" jsonschema_description:"Its background."`
	Text       colourFile `json:"text,omitempty" jsonschema_description:"The colour of its text. Contrast has to be 4.5:1 at least."`
	Dark       darkFile   `json:"dark,omitempty" jsonschema_description:"Colours for visitors whose system is dark, with theme: auto."`
	Radius     int        `json:"radius,omitempty" jsonschema:"minimum=0,maximum=32,default=14" jsonschema_description:"How round its corners are, in CSS pixels."`
	Font       string     `json:"font,omitempty" jsonschema:"pattern=^[A-Za-z0-9 \\,_'-]{1\\,200}$,default=system-ui\\, sans-serif" jsonschema_description:"CSS font-family. The page has to load the font itself."`
	Control    string     `json:"control,omitempty" jsonschema:"enum=auto,enum=start,enum=end,enum=off,default=auto" jsonschema_description:"A small permanent button that opens the choices: at the start or the end of the lowest line; auto shows it on pages that have no data-stile-open of their own."`
}

type darkFile struct {
	Accent     colourFile `json:"accent,omitempty" jsonschema_description:"As appearance.accent, which it is unless given."`
	OnAccent   colourFile `json:"on_accent,omitempty" jsonschema_description:"As appearance.on_accent."`
	Background colourFile `json:"background,omitempty" jsonschema_description:"As appearance.background."`
	Text       colourFile `json:"text,omitempty" jsonschema_description:"As appearance.text."`
}

// tagFile is one of vendorFile and customFile.
type tagFile struct{}

// vendorFile takes the vendor's options beside these keys.
type vendorFile struct {
	Vendor   string            `json:"vendor" jsonschema_description:"A vendor that Stile knows."`
	ID       idFile            `json:"id,omitempty" jsonschema_description:"The site's account at the vendor. Nearly all have one."`
	Category string            `json:"category" jsonschema_description:"One of the site's categories."`
	Markup   bool              `json:"markup,omitempty" jsonschema_description:"It stands in the pages' own markup (data-stile, data-service), and Stile loads nothing of it."`
	Signals  map[string]string `json:"signals,omitempty" jsonschema_description:"Which category each of the vendor's own consent signals follows, where that is another than usual."`
	Name     string            `json:"name,omitempty" jsonschema:"minLength=1,maxLength=64" jsonschema_description:"What people call it. Needed when a vendor is there twice."`
	Needs    []string          `json:"needs,omitempty" jsonschema:"maxItems=64,uniqueItems=true" jsonschema_description:"Names or ids of tags that have to be loaded before this one."`
	Company  string            `json:"company,omitempty" jsonschema:"minLength=1,maxLength=200" jsonschema_description:"Who receives the data, where that is not the vendor: a self-hosted Matomo."`
	Policy   string            `json:"policy,omitempty" jsonschema:"pattern=^https?://" jsonschema_description:"URL of the recipient's privacy policy, where it is not the vendor's."`
	Through  string            `json:"through,omitempty" jsonschema:"enum=gate" jsonschema_description:"gate: the visitor's browser asks Stile for the pixel, and Stile asks the vendor. Only for a tag that is a pixel."`
	Forward  []string          `json:"forward,omitempty" jsonschema:"maxItems=3,uniqueItems=true,enum=ip,enum=user_agent,enum=query" jsonschema_description:"What of the visitor goes along through the gate: their address, the name of their browser, the query of the page's address. Default: nothing."`
	Server   serverFile        `json:"server,omitempty" jsonschema_description:"Sends events to the vendor from this server, with the visitor's consent in them."`
}

type customFile struct {
	Name      string       `json:"name" jsonschema:"minLength=1,maxLength=64" jsonschema_description:"What people call it. Its id is made from it."`
	Category  string       `json:"category" jsonschema_description:"One of the site's categories."`
	Script    string       `json:"script,omitempty" jsonschema:"pattern=^https?://" jsonschema_description:"URL of a script."`
	Pixel     string       `json:"pixel,omitempty" jsonschema:"pattern=^https?://" jsonschema_description:"URL of an image. {page}, {referrer} and {random} are filled in."`
	Inline    string       `json:"inline,omitempty" jsonschema:"minLength=1" jsonschema_description:"JavaScript, the body of a function. ok(name) tells whether a category or tag is allowed."`
	Markup    bool         `json:"markup,omitempty" jsonschema_description:"It stands in the pages' own markup (data-stile, data-service, klaro's data-name), and Stile loads nothing of it."`
	Integrity string       `json:"integrity,omitempty" jsonschema:"pattern=^sha(256|384|512)-" jsonschema_description:"Subresource integrity of the script."`
	Stop      string       `json:"stop,omitempty" jsonschema:"minLength=1" jsonschema_description:"JavaScript, the body of a function that takes the tag back when consent is withdrawn."`
	View      string       `json:"view,omitempty" jsonschema:"minLength=1" jsonschema_description:"JavaScript, the body of a function that tells of a page view, run when a single-page site changes its address."`
	Hosts     []string     `json:"hosts,omitempty" jsonschema:"maxItems=64,uniqueItems=true" jsonschema_description:"Further hosts that it contacts, *.host for any subdomain: for the content security policy."`
	Needs     []string     `json:"needs,omitempty" jsonschema:"maxItems=64,uniqueItems=true" jsonschema_description:"Names or ids of tags that have to be loaded before this one."`
	Cookies   []cookieFile `json:"cookies,omitempty" jsonschema:"maxItems=64" jsonschema_description:"Cookies that it sets on the site's own domain, * for any ending. They are deleted when consent is withdrawn."`
	Storage   []string     `json:"storage,omitempty" jsonschema:"maxItems=64,uniqueItems=true" jsonschema_description:"Keys that it uses in localStorage and sessionStorage, * for any ending."`
	Company   string       `json:"company,omitempty" jsonschema:"minLength=1,maxLength=200" jsonschema_description:"Who receives the data."`
	Policy    string       `json:"policy,omitempty" jsonschema:"pattern=^https?://" jsonschema_description:"URL of the recipient's privacy policy."`
	Through   string       `json:"through,omitempty" jsonschema:"enum=gate" jsonschema_description:"gate: the visitor's browser asks Stile for the pixel, and Stile asks the vendor. Only for a tag that is a pixel."`
	Forward   []string     `json:"forward,omitempty" jsonschema:"maxItems=3,uniqueItems=true,enum=ip,enum=user_agent,enum=query" jsonschema_description:"What of the visitor goes along through the gate: their address, the name of their browser, the query of the page's address. Default: nothing."`
}

// retentionFile is a length of time, or a mapping of these.
type retentionFile struct {
	Keep string `json:"keep,omitempty" jsonschema:"pattern=^[1-9][0-9]{0\\,3}[dmy]$,default=3y" jsonschema_description:"How long: a number and d, m or y."`
	Then string `json:"then,omitempty" jsonschema:"enum=delete,enum=anonymise,default=delete" jsonschema_description:"What becomes of them then. anonymise: they are deleted too, and only how many of a kind there were in a month is kept."`
}

// sightingsFile is a share of page views, or a mapping of these.
type sightingsFile struct {
	Share float64  `json:"share" jsonschema:"exclusiveMinimum=0,maximum=1" jsonschema_description:"The share of page views that report."`
	Own   []string `json:"own,omitempty" jsonschema:"maxItems=64,uniqueItems=true" jsonschema_description:"Hosts that are your own or harmless, *.host for any subdomain: no sighting of them is kept."`
}

// cookieFile is a pattern, or a mapping of these.
type cookieFile struct {
	Name     string   `json:"name" jsonschema:"minLength=1" jsonschema_description:"The cookie's name, * for any ending."`
	Lifetime string   `json:"lifetime,omitempty" jsonschema:"minLength=1,maxLength=100" jsonschema_description:"How long it is kept: session, or a number of seconds, minutes, hours, days, months or years, which visitors read in their language."`
	Purpose  wordFile `json:"purpose,omitempty" jsonschema_description:"What it is for: text, or a mapping of language to text. The category's purpose unless given."`
}

// versionFile and idFile are text, or a number that is read as it is written; colourFile and dayFile are text of a form,
// and wordFile is text or a mapping of language to text.
type (
	versionFile string
	idFile      string
	colourFile  string
	dayFile     string
	wordFile    string
)

// keys are the keys of a file type.
func keys[T any]() []string {
	t := reflect.TypeFor[T]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

// JSONSchema says that a version may look like a number.
func (versionFile) JSONSchema() *jsonschema.Schema { return textOrNumber(`^[A-Za-z0-9._-]{1,32}$`) }

// JSONSchema says that an account id may look like a number.
func (idFile) JSONSchema() *jsonschema.Schema { return textOrNumber("") }

// JSONSchema says how a colour is written.
func (colourFile) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$`}
}

// JSONSchema says how a day is written.
func (dayFile) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^\d{4}-\d\d-\d\d$`}
}

// JSONSchema says that words are one for all languages, or one for each.
func (wordFile) JSONSchema() *jsonschema.Schema {
	text := &jsonschema.Schema{Type: "string", MinLength: new(uint64(1)), MaxLength: new(uint64(500))}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text, {Type: "object", AdditionalProperties: text}}}
}

func textOrNumber(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: pattern}, {Type: "number"}}}
}
