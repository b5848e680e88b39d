package banner

import (
	"strconv"
	"strings"
)

// View is what the banner and the preferences show.
type View struct {
	Lang       string // BCP 47
	Words      *Words
	Controller string
	Contact    string
	OptOut     bool       // tags run until the visitor says no
	Separate   bool       // each service is consented to by itself, so that nothing is accepted as a whole
	GPC        bool       // the browser sends Global Privacy Control
	Categories []Category // in display order, required ones too
}

// Category is a category as the visitor sees it.
type Category struct {
	Name, Title, Purpose string
	Required             bool
	Allowed              bool
	Services             []Service
}

// Service is a tag as the visitor sees it.
type Service struct {
	ID, Name, Company string
	Policy            string // URL or ""
	Cookies           []Cookie
	Allowed           bool
}

// Cookie is a cookie as the visitor sees it.
type Cookie struct{ Name, Lifetime string }

// Page is what the page of preferences shows beside the View.
type Page struct {
	View
	Action  string // where the form goes
	Key     string // the form's idempotency key
	Notice  string
	Receipt string // of the choice in force, or ""
	Chosen  string // day of the choice in force, or ""
	Saved   bool
	Style   string // URL of the style sheet
	Back    string // URL to go back to, or ""
}

// Intro says who uses what for which end.
func (v View) Intro() string {
	if v.OptOut {
		return v.fill(v.Words.IntroOptOut)
	}
	return v.fill(v.Words.IntroOptIn)
}

func (v View) fill(s string) string { return strings.ReplaceAll(s, "{controller}", v.Controller) }

func (v View) dir() string { return Dir(v.Lang) }

// optional are the categories that there is a choice on.
func (v View) optional() (list []Category) {
	for _, c := range v.Categories {
		if !c.Required {
			list = append(list, c)
		}
	}
	return list
}

func (c Category) count(w *Words) string {
	if len(c.Services) == 0 {
		return w.NoServices
	}
	return w.Services + ": " + strconv.Itoa(len(c.Services))
}

// contactURL is an address to write to: a URL as it is, else an e-mail address.
func (v View) contactURL() string {
	if strings.Contains(v.Contact, "://") {
		return v.Contact
	}
	return "mailto:" + v.Contact
}
