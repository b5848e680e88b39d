package banner

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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
				Services: []Service{{ID: "ga4", Name: "Google Analytics 4", Company: "Google", Policy: "https://policies.google.com/privacy", Cookies: []Cookie{{Name: "_ga", Lifetime: "2 years"}, {Name: "_ga_*", Lifetime: "90 days", Purpose: "tell sessions apart"}}}},
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
	own := english.With(map[string]string{"accept_all": "Fine with me", "embed.once": "Just now"})
	if own.AcceptAll != "Fine with me" || own.Embed.Once != "Just now" || own.RejectAll != english.RejectAll || english.AcceptAll != "Accept all" {
		t.Errorf("with words of its own it says %q, %q, %q; without, %q", own.AcceptAll, own.Embed.Once, own.RejectAll, english.AcceptAll)
	}
	names, err := English()
	if err != nil || names["guardian.save"] != english.Guardian.Save || names["accept_all"] != english.AcceptAll {
		t.Errorf("words by name: %q, %v", names["guardian.save"], err)
	}
	own.Save, own.Categories.Marketing.Purpose, own.GPC, own.PreferencesIntro = "", " ", "with {n}", "Decide."
	wrong := own.wrong(names)
	if want := []string{"save", "preferences_intro", "gpc", "categories.marketing.purpose"}; !cmp.Equal(wrong, want) {
		t.Errorf("wrong words are found to be %v", wrong)
	}
}

// Every language that the product promises has all of its words.
func TestLanguages(t *testing.T) {
	promised := "bg hr cs da nl en et fi fr de el hu ga it lv lt mt pl pt ro sk sl es sv " + // of the European Union
		"nb is tr uk ru sr ca eu gl ar he fa hi bn id ms vi th ko ja zh-Hans zh-Hant pt-BR"
	have := Languages()
	for _, lang := range strings.Fields(promised) {
		if !slices.Contains(have, lang) {
			t.Errorf("there are no words in %s", lang)
		}
	}
	names := map[string]string{}
	for _, lang := range have {
		w, err := LoadWords(lang)
		if err != nil {
			t.Fatal(err)
		}
		if other := names[w.Name]; other != "" {
			t.Errorf("%s and %s are both called %s", lang, other, w.Name)
		}
		names[w.Name] = lang
		if w.AcceptAll == w.RejectAll || w.AcceptAll == w.Choose || w.RejectAll == w.Choose {
			t.Errorf("%s: two buttons say the same", lang)
		}
		// B2, B8: neither way is said at much more length than the other.
		if a, r := utf8.RuneCountInString(w.AcceptAll), utf8.RuneCountInString(w.RejectAll); a > 2*r || r > 2*a+4 || a > 28 || r > 28 {
			t.Errorf("%s: %q and %q", lang, w.AcceptAll, w.RejectAll)
		}
	}
}

func TestSpan(t *testing.T) {
	w, err := LoadWords("de")
	if err != nil {
		t.Fatal(err)
	}
	for stated, want := range map[string]string{
		"session": w.Lifetimes.Session, "Session": w.Lifetimes.Session, "90 days": "90 Tage", "1 day": "24 Std.", "2 years": "24 Monate", "1 year": "12 Monate",
		"13 months": "13 Monate", "1 month": "30 Tage", "2 weeks": "14 Tage", "30 minutes": "30 Min.", "30 seconds": "30 Sek.", "24 hours": "24 Std.", "": "",
		"until logout": "until logout", "99999999 years": "99999999 years",
	} {
		if got := w.Span(stated); got != want {
			t.Errorf("%q is %q, want %q", stated, got, want)
		}
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
		for name, c := range map[string]templ.Component{"banner": Banner(v), "dialog": Dialog(v), "page": Preferences(Page{View: v})} {
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
	doc := draw(t, Dialog(view(t, "en")))
	text := strings.Join(strings.Fields(doc.Text()), " ")
	for _, want := range []string{"Google Analytics 4", "Recipient: Google", "Privacy policy", "EasyDser & <Sons>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the dialog lacks %q: %s", want, text)
		}
	}
}

// B7: the table of cookies says name, purpose, lifetime and who, with the category's purpose where a cookie has none.
func TestB7Cookies(t *testing.T) {
	doc := draw(t, Dialog(view(t, "en")))
	var rows []string
	doc.Find("table tr").Each(func(_ int, tr *goquery.Selection) {
		rows = append(rows, strings.Join(tr.Find("th, td").Map(func(_ int, cell *goquery.Selection) string { return strings.TrimSpace(cell.Text()) }), " | "))
	})
	want := []string{
		"Name | Purpose | Lifetime | Recipient", "_ga | measure how the site is used | 24 months | Google",
		"_ga_* | tell sessions apart | 90 days | Google",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the table of cookies (-want +got):\n%s", diff)
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
	written := regexp.MustCompile(`--([a-z]):(#[0-9a-f]+)`)
	rapid.Check(t, func(t *rapid.T) {
		colour := func(label string) string { return fmt.Sprintf("#%06x", rapid.IntRange(0, 0xffffff).Draw(t, label)) }
		c := Colours{Accent: colour("accent")}
		if rapid.Bool().Draw(t, "own background") {
			c.Background, c.Text = colour("background"), colour("text")
			if Contrast(c.Background, c.Text) < 4.5 {
				return // which stile check refuses
			}
		}
		is := map[string]string{}
		for _, m := range written.FindAllStringSubmatch(Theme("x", Look{Theme: "light", Light: c}), -1) {
			is[m[1]] = m[2]
		}
		for _, pair := range []struct {
			a, b  string
			least float64
		}{{"o", "a", 4.5}, {"f", "b", 4.5}, {"m", "b", 4.5}, {"e", "b", 3}} {
			if ratio := Contrast(is[pair.a], is[pair.b]); ratio < pair.least {
				t.Fatalf("--%s %s on --%s %s has %.2f:1", pair.a, is[pair.a], pair.b, is[pair.b], ratio)
			}
		}
	})
	for theme, want := range map[string]int{"auto": 2, "light": 1, "dark": 1} {
		if got := strings.Count(Theme("x", Look{Theme: theme}), "--b:"); got != want {
			t.Errorf("theme %s has %d sets of colours, want %d", theme, got, want)
		}
	}
}
