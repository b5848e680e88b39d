package banner

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// View is what the banner and the preferences show.
type View struct {
	Lang       string // BCP 47
	Words      *Words
	Base       string // of the links to Stile's pages: "/stile/shop"; "" where the script fills it in
	Controller string
	Contact    string
	OptOut     bool       // tags run until the visitor says no
	Separate   bool       // each service is consented to by itself, so that nothing is accepted as a whole
	PerVendor  bool       // each service can be switched off by itself (B5)
	GPC        bool       // the browser sends Global Privacy Control
	Age        int        // under which a visitor cannot consent; 0: nobody is asked (F4)
	Why        Why        // the visitor is asked
	Summary    string     // what changed in the policy, or ""
	New        []Item     // what is new, where Why is New
	Categories []Category // in display order, required ones too
}

// Why is the reason why a visitor is asked.
type Why string

// The reasons there are.
const (
	First      Why = ""
	New        Why = "new"        // something came after the choice, which holds (B11)
	Material   Why = "material"   // the policy changed in a way that matters
	Controller Why = "controller" // somebody else is answerable (F9)
)

// Item is a category or a service that is new, with its purpose.
type Item struct{ Title, Purpose string }

// Category is a category as the visitor sees it.
type Category struct {
	Name, Title, Purpose string
	Required             bool
	Sells                bool
	Allowed              bool
	Running              bool // unless the visitor objects
	Services             []Service
}

// Service is a tag as the visitor sees it.
type Service struct {
	ID, Name, Company string
	Policy            string // URL or ""
	Cookies           []Cookie
	Allowed           bool
}

// Cookie is a cookie as the visitor sees it. Purpose is that of the category where it is "".
type Cookie struct{ Name, Lifetime, Purpose string }

// Page is what the pages show beside the View.
type Page struct {
	View
	Key     string // the forms' idempotency key
	Notice  string
	Receipt string   // of the choice in force, or ""
	Chosen  string   // day of the choice in force, or ""
	Fresh   []string // titles of what came after the choice (B11)
	Saved   bool
	Left    []string // cookies that could not be deleted (C3)
	Pixels  []string // URLs of images that are released, for browsers without script (A7)
	Back    string   // URL to go back to, or ""
	Cross   bool     // in a frame on another site's page
}

// Title is what the first layer is headed with.
func (v View) Title() string {
	switch {
	case v.Why == New:
		return v.Words.NewTitle
	case v.OptOut:
		return v.Words.PrivacyChoices
	}
	return v.Words.Title
}

// Reason says why the visitor is asked again, or is "".
func (v View) Reason() string {
	switch v.Why {
	case Material:
		return strings.TrimSpace(v.Words.PolicyMaterial + " " + v.Summary)
	case Controller:
		return v.fill(v.Words.ControllerChanged)
	case First, New:
	}
	return ""
}

// group is a list on the first layer, under the sentence that says on which terms.
type group struct {
	intro string
	items []Item
}

// groups say who uses what for which end, and on which terms: what waits for consent, and what runs until an objection
// (F10), or what is new.
func (v View) groups() (list []group) {
	if v.Why == New {
		return []group{{v.Words.NewIntro, v.New}}
	}
	waits, runs := group{intro: v.fill(v.Words.IntroOptIn)}, group{intro: v.fill(v.Words.IntroOptOut)}
	for _, c := range v.Categories {
		switch {
		case c.Required:
		case v.OptOut, c.Running:
			runs.items = append(runs.items, Item{c.Title, c.Purpose})
		default:
			waits.items = append(waits.items, Item{c.Title, c.Purpose})
		}
	}
	for _, g := range []group{waits, runs} {
		if len(g.items) > 0 {
			list = append(list, g)
		}
	}
	return list
}

// ways are the values of the buttons that reject and accept.
func (v View) ways() (reject, accept string) {
	if v.Why == New {
		return "kept", "new"
	}
	return "none", "all"
}

func (v View) fill(s string) string { return strings.ReplaceAll(s, "{controller}", v.Controller) }

func (v View) age(s string) string { return strings.ReplaceAll(s, "{age}", strconv.Itoa(v.Age)) }

func (v View) dir() string { return Dir(v.Lang) }

// sells tells whether there is something to opt out of under California's law (F13).
func (v View) sells() bool {
	for _, c := range v.Categories {
		if v.OptOut && c.Sells && !c.Required {
			return true
		}
	}
	return false
}

// each tells whether the services of a category have toggles of their own.
func (v View) each(c Category) bool { return (v.Separate || v.PerVendor) && !c.Required }

func (c Category) count(w *Words) string { return w.Services + ": " + strconv.Itoa(len(c.Services)) }

func (c Category) hasCookies() bool {
	for _, s := range c.Services {
		if len(s.Cookies) > 0 {
			return true
		}
	}
	return false
}

// who receives what a service gathers.
func (s Service) who() string {
	if s.Company != "" {
		return s.Company
	}
	return s.Name
}

// contactURL is an address to write to: a URL as it is, else an e-mail address.
func (v View) contactURL() string {
	if strings.Contains(v.Contact, "://") {
		return v.Contact
	}
	return "mailto:" + v.Contact
}

var span = regexp.MustCompile(`^(\d{1,5}) ?(s|second|min|minute|h|hour|d|day|week|month|year)s?$`)

// Span is a cookie's lifetime, which vendors state as "session", "90 days" or "2 years", in the visitor's words; what is
// stated otherwise stays as it is. Days and months are never one, so that no language needs its singular.
func (w *Words) Span(stated string) string {
	stated = strings.TrimSpace(stated)
	if strings.EqualFold(stated, "session") {
		return w.Lifetimes.Session
	}
	m := span.FindStringSubmatch(strings.ToLower(stated))
	if m == nil {
		return stated
	}
	n, _ := strconv.Atoi(m[1]) // the pattern has checked it
	form := ""
	switch m[2] {
	case "s", "second":
		form = w.Lifetimes.Seconds
	case "min", "minute":
		form = w.Lifetimes.Minutes
	case "h", "hour":
		form = w.Lifetimes.Hours
	case "week":
		n, form = 7*n, w.Lifetimes.Days
	case "d", "day":
		form = w.Lifetimes.Days
		if n == 1 {
			n, form = 24, w.Lifetimes.Hours
		}
	case "month":
		form = w.Lifetimes.Months
		if n == 1 {
			n, form = 30, w.Lifetimes.Days
		}
	case "year":
		n, form = 12*n, w.Lifetimes.Months
	}
	return strings.ReplaceAll(form, "{n}", strconv.Itoa(n))
}

// Day is a day as every language can read it: 2026-11-22.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func fillIn(s, name, value string) string { return strings.ReplaceAll(s, "{"+name+"}", value) }

// heading is what the second layer is headed with, and what opens it is called (F13).
func (v View) heading() string {
	if v.OptOut {
		return v.Words.PrivacyChoices
	}
	return v.Words.Preferences
}

// Titles are what people read for categories and services, by the names that records have; what is neither stays as it is.
func (v View) Titles(names []string) []string {
	titles := make([]string, 0, len(names))
	for _, name := range names {
		title := name
		for _, c := range v.Categories {
			if c.Name == name {
				title = c.Title
			}
			for _, s := range c.Services {
				if s.ID == name {
					title = s.Name
				}
			}
		}
		titles = append(titles, title)
	}
	return titles
}

// named are titles in a line, or a dash.
func named(v View, names []string) string { return cmp.Or(strings.Join(v.Titles(names), ", "), "–") }

// shown heads the text of a notice; those from before there was a word for it are headed as the banner was.
func (v View) shown() string { return cmp.Or(v.Words.Rights.Shown, v.Title()) }
