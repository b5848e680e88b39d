// Package banner draws what a visitor reads: the banner, the preferences, and the same as a page of its own. It takes
// view models only, and knows no server.
package banner

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/language"
)

// Words are all that Stile says to a visitor, in one language. "{controller}" stands for who is answerable.
type Words struct {
	Name                string // of the language, in the language
	Title               string
	IntroOptIn          string `yaml:"intro_opt_in"`
	IntroOptOut         string `yaml:"intro_opt_out"`
	Refuse              string
	Recipients          string
	Policy              string
	AcceptAll           string `yaml:"accept_all"`
	RejectAll           string `yaml:"reject_all"`
	Choose              string
	Save                string
	Close               string
	Preferences         string
	PreferencesIntro    string `yaml:"preferences_intro"`
	PreferencesSeparate string `yaml:"preferences_separate"`
	Always              string
	Services            string
	NoServices          string `yaml:"no_services"`
	Cookies             string
	Lifetime            string
	Company             string
	VendorPolicy        string `yaml:"vendor_policy"`
	Saved               string
	Failed              string
	GPC                 string
	Receipt             string
	Withdraw            string
	Back                string
	Contact             string
	Categories          Categories
}

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

// LoadWords reads the words of a language. A word that is missing, empty or unknown is an error.
func LoadWords(lang string) (*Words, error) {
	src, err := wordFiles.ReadFile("words/" + lang + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there are no words in %q", lang)
	}
	var w Words
	if err := yaml.UnmarshalWithOptions(src, &w, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("words in %s: %w", lang, err)
	}
	if missing := missingWords(reflect.ValueOf(w), ""); len(missing) > 0 {
		return nil, fmt.Errorf("words in %s: missing %s", lang, strings.Join(missing, ", "))
	}
	for _, s := range []string{w.IntroOptIn, w.IntroOptOut} {
		if !strings.Contains(s, "{controller}") {
			return nil, errors.New("words in " + lang + ": an introduction without {controller} does not say who asks")
		}
	}
	return &w, nil
}

func missingWords(v reflect.Value, at string) (missing []string) {
	for i := range v.NumField() {
		field, name := v.Field(i), at+v.Type().Field(i).Name
		switch field.Kind() {
		case reflect.Struct:
			missing = append(missing, missingWords(field, name+".")...)
		default:
			if strings.TrimSpace(field.String()) == "" {
				missing = append(missing, name)
			}
		}
	}
	return missing
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
