package gate

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
		OptOut: d.Regime.Model == consent.OptOut, Separate: d.Regime.Separate, GPC: d.GPC,
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
		cat := banner.Category{Name: c.Name, Title: w.Title, Purpose: w.Purpose, Required: c.Required}
		cat.Allowed = d.Categories != nil && d.Categories[i].Released
		for j := range g.site.Tags {
			if g.site.Tags[j].Category == c.Name {
				s := service(&g.site.Tags[j])
				s.Allowed = d.Tags != nil && d.Tags[j].Released
				cat.Services = append(cat.Services, s)
			}
		}
		v.Categories = append(v.Categories, cat)
	}
	return v, nil
}

func service(t *consent.Tag) banner.Service {
	s := banner.Service{ID: t.ID, Name: t.Name, Company: t.Company, Policy: t.Policy}
	for _, c := range t.Cookies {
		s.Cookies = append(s.Cookies, banner.Cookie{Name: c.Name, Lifetime: c.Lifetime})
	}
	return s
}

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
