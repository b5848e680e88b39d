package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/dashboard"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/mail"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/region"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// snapshot is all that a request is answered from. It never changes.
type snapshot struct {
	sites   map[string]*site
	report  config.Report // warnings of the files that they were read from
	listed  []dashboard.Site
	loaded  time.Time
	keys    keys.Ring
	codec   *cookie.Codec
	mail    *mail.Codec
	regions *region.Database // nil without one

	previews *preview.Codec
	vendors  *vendors.Library
}

// site is one site as it is served.
type site struct {
	*consent.Site
	gate     *gate.Gate
	visits   *visits
	tally    *tally.Site
	notices  map[string]string // all words that the site ever showed: hash to language
	matcher  language.Matcher
	cookie   string          // name of the choice cookie
	policies []ledger.Policy // all versions, oldest first
	pages    *sync.Map       // drawn policies: key to HTML

	secrets map[string]string // of the vendors that get events, by the tag's id

	previews *preview.Codec
	shown    string // name of the preview's cookie
}

// ConfigOptions are what a site's file is read against: all that this Stile knows.
func ConfigOptions() (config.Options, error) {
	library, err := vendors.New()
	if err != nil {
		return config.Options{}, fmt.Errorf("reading the vendor library: %w", err)
	}
	words, err := banner.English()
	if err != nil {
		return config.Options{}, err
	}
	return config.Options{Vendors: library, Languages: banner.Languages(), Words: words, Contrast: gate.Contrast, Now: time.Now()}, nil
}

func (s *Server) load(ctx context.Context) (*snapshot, error) {
	options, err := ConfigOptions()
	if err != nil {
		return nil, err
	}
	sites, report := config.LoadAll(s.opts.Config, options)
	if err := report.Err(); err != nil {
		return nil, err
	}
	s.warn(report)
	ring, err := s.opts.Keys.Open(filepath.Join(s.opts.Data, "keys"))
	if err != nil {
		return nil, err
	}
	snap := &snapshot{sites: map[string]*site{}, report: report, keys: ring, loaded: s.now(), vendors: options.Vendors}
	if snap.codec, err = cookie.NewCodec(ring.Cookie); err != nil {
		return nil, err
	}
	if snap.mail, err = mail.NewCodec(ring.Cookie); err != nil {
		return nil, err
	}
	if snap.previews, err = preview.NewCodec(ring.Cookie); err != nil {
		return nil, err
	}
	if s.opts.RegionFile != "" {
		if snap.regions, err = region.Open(s.opts.RegionFile); err != nil {
			return nil, fmt.Errorf("--region-file: %w", err)
		}
	}
	for _, c := range sites {
		compiled, err := s.compile(ctx, c)
		if err != nil {
			snap.close()
			return nil, fmt.Errorf("site %s: %w", c.Name, err)
		}
		compiled.previews, compiled.shown = snap.previews, preview.Cookie(c.Name)
		snap.sites[c.Name] = compiled
	}
	snap.listed = snap.list()
	return snap, nil
}

func (snap *snapshot) close() {
	for _, st := range snap.sites {
		st.gate.Close()
	}
	if snap.regions != nil {
		_ = snap.regions.Close() // it was only read
	}
}

// compile makes a site ready to be served: what it shows from now on is in the ledger before anybody sees it.
func (s *Server) compile(ctx context.Context, c *consent.Site) (_ *site, err error) {
	lists, err := s.ledger.Lists(ctx, c.Name)
	if err != nil {
		return nil, fmt.Errorf("reading former vendor lists: %w", err)
	}
	c.Lists = lists
	own, err := policies(c, s.now())
	if err != nil {
		return nil, err
	}
	c.Policy = c.Policy.At(s.now())
	st := &site{Site: c, visits: newVisits(), tally: s.figures.Site(c.Name), pages: &sync.Map{}, cookie: cookie.Name(c.Name)}
	if st.secrets, err = secrets(c); err != nil {
		return nil, err
	}
	if st.policies, err = s.history(ctx, c, own); err != nil {
		return nil, err
	}
	for _, p := range st.policies[:st.version(c.Policy.Version)+1] {
		c.History = append(c.History, consent.Version{Name: p.Version, Material: p.Material})
	}
	if st.gate, err = gate.New(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			st.gate.Close()
		}
	}()
	words, err := st.gate.Notices()
	if err != nil {
		return nil, err
	}
	notices := make([]ledger.Notice, len(words))
	for i, n := range words {
		notices[i] = ledger.Notice{
			Hash: n.Hash, Site: c.Name, Language: n.Language, Regime: n.Regime, Policy: c.Policy.Version, Text: n.Text,
			Time: s.now().UTC(),
		}
	}
	if err := s.ledger.Publish(ctx, c.Name, ledger.Publication{Notices: notices, List: c.List(), Entries: c.Entries(), Policies: own}); err != nil {
		return nil, fmt.Errorf("keeping the words that are shown: %w", err)
	}
	if st.notices, err = s.ledger.Notices(ctx, c.Name); err != nil {
		return nil, fmt.Errorf("reading the words that were shown: %w", err)
	}
	tags := make([]language.Tag, len(c.Languages))
	for i, lang := range c.Languages {
		tags[i] = language.Make(lang)
		if lang == "pt" {
			tags[i] = language.EuropeanPortuguese // without a region it would be taken for Brazil's, which is pt-BR
		}
	}
	st.matcher = language.NewMatcher(tags)
	return st, nil
}

// language picks one of the site's languages: what the page says it is in, then what the browser asks for.
func (st *site) language(page, accept string) string {
	if page != "" {
		for _, lang := range st.Languages {
			if strings.EqualFold(page, lang) {
				return lang // the parts of one answer name the language by which Stile has it
			}
		}
		if tag, err := language.Parse(page); err == nil {
			if _, i, confidence := st.matcher.Match(tag); confidence > language.No {
				return st.Languages[i]
			}
		}
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return st.Languages[0]
	}
	_, i, _ := st.matcher.Match(tags...)
	return st.Languages[i]
}

// embeddable tells whether a page of this origin ("https://www.shop.example") may embed the site.
func (st *site) embeddable(origin string) bool {
	return st.Embeddable(origin)
}
