package banner

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func draw(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func view(t *testing.T, lang string) View {
	t.Helper()
	w, err := LoadWords(lang)
	if err != nil {
		t.Fatal(err)
	}
	return View{
		Lang: lang, Words: w, Controller: "EasyDser & <Sons>", Contact: "privacy@shop.example",
		Categories: []Category{
			{Name: "necessary", Title: w.Categories.Necessary.Title, Purpose: w.Categories.Necessary.Purpose, Required: true},
			{
				Name: "analytics", Title: w.Categories.Analytics.Title, Purpose: w.Categories.Analytics.Purpose,
				Services: []Service{{ID: "ga4", Name: "Google Analytics 4", Company: "Google", Policy: "https://policies.google.com/privacy", Cookies: []Cookie{{"_ga", "2 years"}, {"_ga_*", "2 years"}}}},
			},
			{Name: "marketing", Title: w.Categories.Marketing.Title, Purpose: w.Categories.Marketing.Purpose},
		},
	}
}

func TestWords(t *testing.T) {
	languages := Languages()
	if languages[0] != "en" || len(languages) < 4 {
		t.Errorf("languages are %v", languages)
	}
	english, err := LoadWords("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages {
		w, err := LoadWords(lang)
		if err != nil {
			t.Error(err)
			continue
		}
		if lang != "en" && w.AcceptAll == english.AcceptAll {
			t.Errorf("%s says %q as English does", lang, w.AcceptAll)
		}
	}
	if _, err := LoadWords("xx"); err == nil {
		t.Error("there are words in xx")
	}
	english.Save, english.Categories.Marketing.Purpose = "", " "
	if got := missingWords(reflect.ValueOf(*english), ""); !cmp.Equal(got, []string{"Save", "Categories.Marketing.Purpose"}) {
		t.Errorf("missing words are found to be %v", got)
	}
}

func TestDir(t *testing.T) {
	for lang, want := range map[string]string{"en": "ltr", "ar": "rtl", "he": "rtl", "fa": "rtl", "zh-Hans": "ltr", "ur": "rtl"} {
		if got := Dir(lang); got != want {
			t.Errorf("%s is written %s, want %s", lang, got, want)
		}
	}
}

// B1, B2: accept and reject are siblings of the same element and the same looks, in every layer and language.
func TestB1EqualWays(t *testing.T) {
	for _, lang := range Languages() {
		v := view(t, lang)
		for name, c := range map[string]templ.Component{"banner": Banner(v), "dialog": Dialog(v), "page": Preferences(Page{View: v, Action: "/stile/shop"})} {
			doc := draw(t, c)
			all, none := doc.Find("button[value=all]"), doc.Find("button[value=none]")
			if all.Length() != 1 || none.Length() != 1 || all.Parent().Get(0) != none.Parent().Get(0) {
				t.Fatalf("%s, %s: %d ways to accept, %d to reject", lang, name, all.Length(), none.Length())
			}
			if a, b := all.AttrOr("class", ""), none.AttrOr("class", ""); a != b || all.AttrOr("style", "") != "" {
				t.Errorf("%s, %s: accept has the class %q, reject %q", lang, name, a, b)
			}
			// A5: nothing is ticked beforehand.
			if n := doc.Find("input[checked]").Length(); n > 0 {
				t.Errorf("%s, %s: %d boxes are ticked", lang, name, n)
			}
		}
	}
}

// B7: the second layer names each service, who gets the data, and the cookies with their lifetimes.
func TestB7Services(t *testing.T) {
	text := strings.Join(strings.Fields(draw(t, Dialog(view(t, "en"))).Text()), " ")
	for _, want := range []string{"Google Analytics 4", "Recipient: Google", "_ga (2 years)", "_ga_* (2 years)", "Privacy policy", "EasyDser & <Sons>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the dialog lacks %q: %s", want, text)
		}
	}
}

// F2: where each recipient takes an act of its own, nothing accepts as a whole.
func TestF2Separate(t *testing.T) {
	v := view(t, "zh-Hans")
	v.Separate = true
	for name, c := range map[string]templ.Component{"banner": Banner(v), "dialog": Dialog(v)} {
		doc := draw(t, c)
		if doc.Find("[value=all], input[name=category]").Length() > 0 {
			t.Errorf("%s: categories can be accepted as a whole", name)
		}
		if name == "dialog" && doc.Find("input[name=service][value=ga4]").Length() != 1 {
			t.Error("there is no toggle for a service")
		}
	}
}

// B3: what is written on the accent has a contrast of at least 4.5:1, whatever the accent.
func TestB3Contrast(t *testing.T) {
	written := regexp.MustCompile(`--o:(#[0-9a-f]+)`)
	rapid.Check(t, func(t *rapid.T) {
		accent := fmt.Sprintf("#%06x", rapid.IntRange(0, 0xffffff).Draw(t, "accent"))
		on := written.FindStringSubmatch(Theme("x", "auto", accent))[1]
		ink := luminance("#000000")
		if on == "#fff" {
			ink = luminance("#ffffff")
		}
		l := luminance(accent)
		if contrast := (math.Max(l, ink) + .05) / (math.Min(l, ink) + .05); contrast < 4.5 {
			t.Fatalf("%s on %s has %.2f:1", on, accent, contrast)
		}
	})
	for theme, want := range map[string]int{"auto": 2, "light": 1, "dark": 1} {
		if got := strings.Count(Theme("x", theme, "#0b5fff"), "--b:"); got != want {
			t.Errorf("theme %s has %d sets of colours, want %d", theme, got, want)
		}
	}
}
