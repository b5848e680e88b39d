package gate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// View is what a visitor is shown in lang, one of Site.Languages. A decision without verdicts shows everything optional
// as off.
func (g *Gate) View(d *consent.Decision, lang string) (banner.View, error) {
	words := g.words[lang]
	if words == nil {
		return banner.View{}, fmt.Errorf("site %s does not speak %q", g.site.Name, lang)
	}
	v := banner.View{
		Lang: lang, Words: words, Controller: g.site.Controller.Name, Contact: g.site.Controller.Contact,
		OptOut: d.Regime.Model == consent.OptOut, Separate: d.Regime.Separate, PerVendor: g.site.PerVendor, GPC: d.GPC,
		Age: g.site.Minors.Age, Summary: in(g.site.Policy.Summary, lang),
	}
	for i := range g.site.Categories {
		c := &g.site.Categories[i]
		w, known := words.Categories.Of(c.Name)
		if title := c.Title[lang]; title != "" || !known {
			w.Title = title
		}
		if purpose := c.Purpose[lang]; purpose != "" || !known {
			w.Purpose = purpose
		}
		cat := banner.Category{Name: c.Name, Title: w.Title, Purpose: w.Purpose, Required: c.Required, Sells: c.Sells}
		cat.Allowed = d.Categories != nil && d.Categories[i].Released
		cat.Running = !c.Required && slices.Contains(d.Regime.NoticeOnly, c.Name)
		for j := range g.site.Tags {
			if g.site.Tags[j].Category == c.Name {
				s := service(&g.site.Tags[j], lang)
				s.Allowed = d.Tags != nil && d.Tags[j].Released
				cat.Services = append(cat.Services, s)
			}
		}
		v.Categories = append(v.Categories, cat)
	}
	if d.Choice != nil && d.Ask {
		v.Why = map[consent.Kind]banner.Why{
			consent.Added: banner.New, consent.PolicyChanged: banner.Material, consent.ControllerChanged: banner.Controller,
		}[d.Why]
	}
	if v.Why == banner.New {
		v.New = g.added(d, &v)
	}
	return v, nil
}

// added is what came after the choice: a category with its purpose, or a vendor with that of its category.
func (g *Gate) added(d *consent.Decision, v *banner.View) (list []banner.Item) {
	for i, c := range v.Categories {
		if slices.Contains(d.New, c.Name) {
			list = append(list, banner.Item{Title: c.Title, Purpose: c.Purpose})
			continue
		}
		for j := range g.site.Tags {
			t, why := &g.site.Tags[j], d.Tags[j].Because
			if t.Category != g.site.Categories[i].Name || why.Kind != consent.Added || why.Subject != t.Name {
				continue
			}
			title := t.Name
			if t.Company != "" && t.Company != t.Name {
				title += " (" + t.Company + ")"
			}
			list = append(list, banner.Item{Title: title, Purpose: c.Title + " – " + c.Purpose})
		}
	}
	return list
}

func service(t *consent.Tag, lang string) banner.Service {
	s := banner.Service{ID: t.ID, Name: t.Name, Company: t.Company, Policy: t.Policy}
	for _, c := range t.Cookies {
		s.Cookies = append(s.Cookies, banner.Cookie{Name: c.Name, Lifetime: c.Lifetime, Purpose: in(c.Purpose, lang)})
	}
	return s
}

// in is the words of a language, or else those that are for all.
func in(words map[string]string, lang string) string { return cmp.Or(words[lang], words[""]) }

// Notice is the words that a visitor reads in one language under one regime, on both layers, and their hash. The text is
// the View as JSON, from which the same can be drawn again (C6).
type Notice struct {
	Hash, Language, Regime string
	Text                   []byte
}

// Notice returns the notice of a regime and a language.
func (g *Gate) Notice(r *consent.Regime, lang string) (Notice, error) {
	v, err := g.View(&consent.Decision{Regime: r}, lang)
	if err != nil {
		return Notice{}, err
	}
	text, err := json.Marshal(struct {
		Site, Policy, List string
		View               banner.View
	}{g.site.Name, g.site.Policy.Version, g.site.List(), v})
	if err != nil {
		return Notice{}, fmt.Errorf("writing the notice in %s: %w", lang, err)
	}
	sum := sha256.Sum256(text)
	return Notice{base64.RawURLEncoding.EncodeToString(sum[:16]), lang, r.Name, text}, nil
}

// Notices returns all notices of the site: one for each regime and language.
func (g *Gate) Notices() ([]Notice, error) {
	var all []Notice
	for i := range g.site.Regimes {
		for _, lang := range g.site.Languages {
			n, err := g.Notice(&g.site.Regimes[i], lang)
			if err != nil {
				return nil, err
			}
			all = append(all, n)
		}
	}
	return all, nil
}

func render(c templ.Component) (string, error) {
	var b strings.Builder
	if err := c.Render(context.Background(), &b); err != nil {
		return "", err
	}
	return minifyHTML(b.String())
}
