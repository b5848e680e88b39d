package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/policy"
)

// policies are the versions that a configuration names, as the ledger keeps them, oldest first.
func policies(c *consent.Site, now time.Time) ([]ledger.Policy, error) {
	var list []ledger.Policy
	versions := append(slices.Clone(c.Policy.Former), c.Policy)
	if c.Policy.Next != nil {
		versions = append(versions, *c.Policy.Next)
	}
	for _, v := range versions {
		p := ledger.Policy{
			Site: c.Name, Version: v.Version, Material: v.Material, Summary: v.Summary, Controller: c.Controller.Name, Since: v.From, Text: []byte{},
		}
		if p.Since.IsZero() {
			p.Since = now.UTC()
		}
		if v.File != "" {
			text, err := os.ReadFile(v.File)
			if err != nil {
				return nil, fmt.Errorf("reading the policy: %w", err)
			}
			if len(text) > policy.MaxSize {
				return nil, fmt.Errorf("the policy %s is longer than %d bytes", v.File, policy.MaxSize)
			}
			p.Text = text
		}
		sum := sha256.Sum256(p.Text)
		p.Hash = base64.RawURLEncoding.EncodeToString(sum[:16])
		list = append(list, p)
	}
	return list, nil
}

// history brings a site's versions into their order: those that only the ledger knows, and then the configuration's. Of a
// version whose text was changed the text that was published last counts.
func (s *Server) history(ctx context.Context, c *consent.Site, own []ledger.Policy) ([]ledger.Policy, error) {
	kept, err := s.ledger.Policies(ctx, c.Name)
	if err != nil {
		return nil, fmt.Errorf("reading former policies: %w", err)
	}
	var list []ledger.Policy
	for _, p := range kept {
		named := func(q ledger.Policy) bool { return q.Version == p.Version }
		switch i := slices.IndexFunc(list, named); {
		case slices.ContainsFunc(own, named):
		case i >= 0:
			p.Since = list[i].Since
			list[i] = p
		default:
			list = append(list, p)
		}
	}
	for _, p := range own {
		// The day on which a version was first published stands, unless the configuration says another.
		if i := slices.IndexFunc(kept, func(q ledger.Policy) bool { return q.Version == p.Version }); i >= 0 && !c.Policy.Dated(p.Version) {
			p.Since = kept[i].Since
			if kept[i].Hash != p.Hash && p.Version == c.Policy.Version {
				s.log.Warn("the policy's text changed under its version: both are kept; give the new one a version of its own",
					"site", c.Name, "version", p.Version)
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// policy answers GET /stile/{site}/policy and /policy/{version}: the cookie policy and its archive, with what changed, and
// the visitor's rights (C6, C10, F7).
func (s *Server) policy(c echo.Context) error {
	page := banner.Policy{Erased: c.QueryParam("erased") != "", Sent: sentRequest(c, s.now())}
	return s.showPolicy(c, http.StatusOK, page)
}

// showPolicy draws the policy around what a page has to tell.
func (s *Server) showPolicy(c echo.Context, status int, page banner.Policy) error {
	p, _, st, err := s.visitorsPage(c)
	if err != nil {
		return err
	}
	version := cmp.Or(c.Param("version"), st.Policy.Version)
	i := st.version(version)
	if i < 0 {
		return fail(http.StatusNotFound, "site %s never had a policy %q: its versions stand at the end of %s/policy", st.Name, version, st.base())
	}
	page.Page, page.Version, page.TextLang, page.Current, page.Since = p, version, st.Languages[0], st.Policy.Version, banner.Day(st.policies[i].Since)
	current := st.version(st.Policy.Version)
	for j := range slices.Backward(st.policies) {
		v := &st.policies[j]
		link := banner.PolicyLink{Version: v.Version, Since: banner.Day(v.Since), Summary: cmp.Or(v.Summary[p.Lang], v.Summary[""])}
		if j > 0 {
			link.Before = st.policies[j-1].Version
		}
		if j > current {
			page.Next = &link
			continue
		}
		page.Versions = append(page.Versions, link)
	}
	if against := c.QueryParam("against"); against != "" {
		old := st.version(against)
		if old < 0 {
			return fail(http.StatusNotFound, "site %s never had a policy %q", st.Name, against)
		}
		page.Against = against
		page.HTML, err = st.drawn("compare|"+against+"|"+version+"|"+p.Lang, func() (string, error) {
			html, changed, err := policy.Compare(st.policies[old].Text, st.policies[i].Text, p.Words.Versions.Same)
			if !changed {
				html = "<p>" + p.Words.Versions.Same + "</p>"
			}
			return html, err
		})
	} else {
		page.HTML, err = st.drawn("policy|"+version+"|"+p.Lang+"|"+fmt.Sprint(p.OptOut), func() (string, error) { return draw(st.policies[i].Text, p.View) })
	}
	if err != nil {
		return fmt.Errorf("drawing the policy %s: %w", version, err)
	}
	return s.pageWith(c, status, banner.PolicyPage(page))
}

// drawn keeps what was drawn once: there are as many as versions and languages.
func (st *site) drawn(key string, draw func() (string, error)) (string, error) {
	if html, found := st.pages.Load(key); found {
		return html.(string), nil //nolint:forcetypeassert // nothing else is put there
	}
	html, err := draw()
	if err != nil {
		return "", err
	}
	st.pages.Store(key, html)
	return html, nil
}

// draw is the policy's text with its places filled in from the configuration. Tables that the author gave no place stand
// at the end.
func draw(text []byte, v banner.View) (string, error) {
	page, err := policy.Render(text, func(name, argument string) (string, bool) {
		switch name {
		case "cookies":
			return tables(v, argument)
		case "recipients":
			return component(banner.Recipients(v)), argument == ""
		}
		return "", false
	})
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(page.Filled, func(place string) bool { return strings.HasPrefix(place, "cookies") }) {
		all, _ := tables(v, "")
		page.HTML += all
	}
	return page.HTML, nil
}

// tables are the tables of cookies of one category or, with "", of all.
func tables(v banner.View, category string) (string, bool) {
	var b strings.Builder
	known := category == ""
	for _, c := range v.Categories {
		if category != "" && c.Name != category {
			continue
		}
		known = true
		if category == "" && len(c.Services) > 0 {
			b.WriteString(component(banner.CategoryTitle(c)))
		}
		b.WriteString(component(banner.Cookies(v, c)))
	}
	return b.String(), known
}

func component(c templ.Component) string {
	var b bytes.Buffer
	if err := c.Render(context.Background(), &b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}

var number = regexp.MustCompile(`^[A-Z2-7]{4}-[A-Z2-7]{4}$`)

// sentRequest is the request that a visitor was sent here after, as far as the address can be one that Stile made.
func sentRequest(c echo.Context, now time.Time) *banner.SentRequest {
	sent, due := c.QueryParam("sent"), c.QueryParam("due")
	day, err := time.Parse(time.DateOnly, due)
	if !number.MatchString(sent) || err != nil || day.After(now.AddDate(0, 0, requestDays)) {
		return nil
	}
	return &banner.SentRequest{Number: sent, Due: due}
}

// version is the place of a version in the history, or -1.
func (st *site) version(name string) int {
	return slices.IndexFunc(st.policies, func(p ledger.Policy) bool { return p.Version == name })
}
