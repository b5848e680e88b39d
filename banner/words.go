// Package banner draws what a visitor reads: the banner, the preferences, and the same as a page of its own. It takes
// view models only, and knows no server.
package banner

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/language"
)

// Words are all that Stile says to a visitor, in one language. In braces stand what is filled in: {controller} for who is
// answerable, {company} for a recipient, {age} in years, {n} for a number, {date}, {number} and {version}.
type Words struct {
	Name                string // of the language, in the language
	Title               string
	IntroOptIn          string `yaml:"intro_opt_in"`
	IntroOptOut         string `yaml:"intro_opt_out"`
	UntilObjection      string `yaml:"until_objection"` // behind a purpose, in brackets (F10)
	Refuse              string
	Recipients          string
	Policy              string
	AcceptAll           string `yaml:"accept_all"`
	RejectAll           string `yaml:"reject_all"`
	Choose              string
	Save                string
	Close               string
	OK                  string `yaml:"ok"`
	PrivacyChoices      string `yaml:"privacy_choices"` // F13
	DoNotSell           string `yaml:"do_not_sell"`     // F13
	NewTitle            string `yaml:"new_title"`
	NewIntro            string `yaml:"new_intro"`
	PolicyMaterial      string `yaml:"policy_material"`
	PolicyUpdated       string `yaml:"policy_updated"`
	ControllerChanged   string `yaml:"controller_changed"`
	Preferences         string
	PreferencesIntro    string `yaml:"preferences_intro"`
	PreferencesSeparate string `yaml:"preferences_separate"`
	Always              string
	Services            string
	NoServices          string `yaml:"no_services"`
	Cookies             string
	Cookie              string // heading of a column, as are the next two and Company
	Purpose             string
	Lifetime            string
	Lifetimes           Lifetimes
	Company             string
	VendorPolicy        string `yaml:"vendor_policy"`
	Saved               string
	Retrying            string
	Failed              string
	Busy                Busy
	GPC                 string
	Receipt             string
	Withdraw            string
	Left                Left
	Back                string
	Contact             string
	Embed               Embed
	Age                 Age
	Guardian            Guardian
	Rights              Rights
	Request             Request
	Versions            Versions
	Categories          Categories
}

// Lifetimes are how long a cookie is kept. Days and months are never one.
type Lifetimes struct{ Session, Seconds, Minutes, Hours, Days, Months string }

// Busy is said where a plain form cannot be stored now.
type Busy struct{ Intro, Again string }

// Left is said after a withdrawal of what could not be deleted, and of who can (C3).
type Left struct{ Intro, Browser, Company string }

// Embed stands where a video, a map or a post waits for consent.
type Embed struct{ Intro, Once, Always string }

// Age is the question for a visitor's age, a step of its own (F4, B12), and what a visitor under it is told.
type Age struct{ Title, Question, Older, Younger, Minor, Guardian, Copy, Copied string }

// Guardian is the page on which a parent or guardian decides (F4).
type Guardian struct{ Title, Intro, Declare, Save, Done string }

// Rights is what a visitor can do with the records of their choices (C10).
type Rights struct {
	Title, Intro, See, Download, Erase string
	EraseWarning                       string `yaml:"erase_warning"`
	Erased, None, Records              string
	Shown                              string // the text of a notice
	Time, Granted, Denied              string
}

// Request is the form for rights over data that only the site can reach (F7).
type Request struct{ Title, Intro, Kind, Access, Copy, Correct, Delete, Contact, Details, Send, Sent string }

// Versions are the words around the policy's versions (C6).
type Versions struct{ Title, Version, Since, Next, Old, Current, Compare, Added, Removed, Same string }

// Categories are the words of the categories that Stile knows.
type Categories struct{ Necessary, Functional, Analytics, Marketing CategoryWords }

// CategoryWords are a category's title and its purpose, which follows the title in a sentence.
type CategoryWords struct{ Title, Purpose string }

// Of returns the words of a category, and whether Stile has any.
func (c Categories) Of(name string) (CategoryWords, bool) {
	switch name {
	case "necessary":
		return c.Necessary, true
	case "functional":
		return c.Functional, true
	case "analytics":
		return c.Analytics, true
	case "marketing":
		return c.Marketing, true
	}
	return CategoryWords{}, false
}

//go:embed words/*.yaml
var wordFiles embed.FS

// Languages lists the languages that there are words in, English first.
func Languages() []string {
	files, err := fs.Glob(wordFiles, "words/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	tags := make([]string, 0, len(files))
	for _, file := range files {
		tags = append(tags, strings.TrimSuffix(path.Base(file), ".yaml"))
	}
	slices.SortStableFunc(tags, func(a, b string) int { return btoi(b == "en") - btoi(a == "en") })
	return tags
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LoadWords reads the words of a language. A word that is missing, empty, unknown or without a placeholder that it has in
// English is an error.
func LoadWords(lang string) (*Words, error) {
	w, err := readWords(lang)
	if err != nil {
		return nil, err
	}
	english, err := English()
	if err != nil {
		return nil, err
	}
	if wrong := w.wrong(english); len(wrong) > 0 {
		return nil, fmt.Errorf("words in %s: missing, or without what is filled in: %s", lang, strings.Join(wrong, ", "))
	}
	return w, nil
}

// wrong are the names of the words that are missing, or do not fill in what the English does.
func (w *Words) wrong(english map[string]string) (names []string) {
	w.each(func(name string, word *string) {
		if strings.TrimSpace(*word) == "" || !slices.Equal(placeholders(*word), placeholders(english[name])) {
			names = append(names, name)
		}
	})
	return names
}

func readWords(lang string) (*Words, error) {
	src, err := wordFiles.ReadFile("words/" + lang + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there are no words in %q", lang)
	}
	var w Words
	if err := yaml.UnmarshalWithOptions(src, &w, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("words in %s: %w", lang, err)
	}
	return &w, nil
}

// English are all words by their name ("accept_all", "embed.once"), in English.
func English() (map[string]string, error) {
	w, err := readWords("en")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	w.each(func(name string, word *string) { all[name] = *word })
	return all, nil
}

// With returns the words with those of a site in place of some, by name.
func (w *Words) With(own map[string]string) *Words {
	changed := *w
	changed.each(func(name string, word *string) {
		if text, given := own[name]; given {
			*word = text
		}
	})
	return &changed
}

// each goes through the words by the names that they have in the files, a group's before a dot.
func (w *Words) each(fn func(name string, word *string)) {
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name := prefix + cmp.Or(field.Tag.Get("yaml"), strings.ToLower(field.Name))
			if field.Type.Kind() == reflect.Struct {
				walk(v.Field(i), name+".")
				continue
			}
			word, _ := v.Field(i).Addr().Interface().(*string) // all that is no group is text
			fn(name, word)
		}
	}
	walk(reflect.ValueOf(w).Elem(), "")
}

var inBraces = regexp.MustCompile(`{\w+}`)

// placeholders are what is filled in in a text, sorted, each once.
func placeholders(text string) []string {
	found := inBraces.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// Dir is the direction of a language's script: ltr or rtl.
func Dir(lang string) string {
	script, _ := language.Make(lang).Script()
	switch script.String() {
	case "Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm":
		return "rtl"
	}
	return "ltr"
}
