// Package audit opens a page in Chromium as visitors would who have not chosen, refused, accepted one category or all of
// them, took that back, or send Global Privacy Control, and tells what each of them got that they should not have: requests,
// cookies and what is kept in the browser. Each visitor has a profile of their own, which is empty.
//
// What may load in a state is decided by consent.Decide, by the site's own file. Without it the categories that the page
// itself offers are all that is known, and a page without Stile is looked at as it is: what there would have to wait.
//
// Each state ends with what visitors do with any page: the mouse moves, a key is pressed, the page is scrolled to its end and
// back, and nothing is on its way for a while.
//
// What it cannot see: what comes later than that, or after a click; connections that are opened and carry no request
// (preconnect, DNS prefetch, WebRTC); what a shared or a service worker asks for before it can be listened to; windows that the
// page opens; and the reason for a request that an image or a style sheet makes.
package audit

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/simulate"
	"github.com/stilehq/stile/server/vendors"
)

// Options are of an audit.
type Options struct {
	Address *url.URL
	Sites   []*consent.Site // the operator's files; the one whose script the page has is used. None: nothing is known of the site
	Library *vendors.Library
	Browser string            // path of Chromium, see Find
	Flags   []string          // further flags of it: "proxy-server=localhost:3128"
	Quiet   time.Duration     // a state is done when nothing was on its way for so long
	Timeout time.Duration     // bounds each load of the page, and each choice
	Region  string            // where the visitor is, for the decision; "": as the page's regime says, else unknown
	Headers map[string]string // that the browser sends beside its own
	Now     func() time.Time
	// Progress is called when a state begins: its title, how many are done, and how many there are.
	Progress func(title string, done, of int)
}

// Report is what an audit found.
type Report struct {
	Address  string    `json:"address"` // that was asked for
	Page     string    `json:"page"`    // where that led
	Time     time.Time `json:"time"`
	Browser  string    `json:"browser"`
	Stile    string    `json:"stile,omitempty"`  // address of Stile's script in the page; "" without
	Site     string    `json:"site,omitempty"`   // its site
	Config   bool      `json:"config"`           // it was judged by the site's file
	Regime   string    `json:"regime,omitempty"` // under which the page was shown
	Notes    []string  `json:"notes"`
	Wrong    int       `json:"wrong"`    // Lines that should not have been there
	Warnings int       `json:"warnings"` // Lines that somebody should look at
	States   []State   `json:"states"`
}

// State is what a visitor got who had done something.
type State struct {
	ID         string    `json:"id"` // before, refused, accepted, withdrawn, signal, accepted-signal, present, or only-CATEGORY
	Title      string    `json:"title"`
	Done       []string  `json:"done"`    // how it was reached: "pressed the banner's button"
	Granted    []string  `json:"granted"` // optional categories that the page says are allowed
	Requests   []Request `json:"requests"`
	Cookies    []Cookie  `json:"cookies"`
	Storage    []Key     `json:"storage"`
	Findings   []Finding `json:"findings"`
	Screenshot []byte    `json:"-"` // WebP
}

// Request is something that a page asked for.
type Request struct {
	URL     string `json:"url"`
	Host    string `json:"host"` // as hosts.Of writes it
	Method  string `json:"method"`
	Type    string `json:"type"`             // script, image, ping, websocket and so on, as Chromium calls it
	Frame   string `json:"frame"`            // address of the document or worker that asked
	By      Origin `json:"by"`               // who asked
	Who     string `json:"who,omitempty"`    // the tag's, the vendor's or the company's name, where it is known
	Status  int64  `json:"status,omitempty"` // 0: no answer
	Failure string `json:"failure,omitempty"`
	Cached  bool   `json:"cached,omitempty"` // the browser had a copy, and asked nobody
}

// Origin is who asked for something or stored it, as far as the browser tells.
type Origin struct {
	Kind string `json:"kind"` // parser, script, preload, redirect, response (a header of an answer), other; "" where nobody knows
	URL  string `json:"url,omitempty"`
	Line int    `json:"line,omitempty"` // from 1
}

func (o Origin) String() string {
	switch {
	case o.URL == "":
		return o.Kind
	case o.Line > 0:
		return fmt.Sprintf("%s %s:%d", o.Kind, o.URL, o.Line)
	}
	return o.Kind + " " + o.URL
}

// Cookie is one that the browser held at the end.
type Cookie struct {
	Name       string  `json:"name"`
	Domain     string  `json:"domain"` // with a dot before it: and all below
	Days       float64 `json:"days"`   // that it has left; 0: until the browser is closed
	ThirdParty bool    `json:"thirdParty"`
	HTTPOnly   bool    `json:"httpOnly"`
	Left       bool    `json:"left"` // it was there before the last choice already, and is the same
	By         Origin  `json:"by"`
}

// Kind is where a key is kept in the browser.
type Kind string

// The kinds.
const (
	Local     Kind = "localStorage"
	Session   Kind = "sessionStorage"
	IndexedDB Kind = "IndexedDB"
)

// Key is a name under which something was kept in the browser at the end.
type Key struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Origin string `json:"origin"`
	By     Origin `json:"by"`
}

// step is how a state is reached.
type step struct {
	id, title string
	visit     simulate.Visit // how it is decided
	acts      []act
	gpc       bool // from the beginning
}

// before is the first step, after which it is known what the page is.
var before = step{id: "before", title: "Before a choice"}

// steps are those after it, of a site with these optional categories.
func steps(categories []string) []step {
	list := []step{{id: "refused", title: "After refusal", visit: simulate.Visit{Choice: simulate.Rejected}, acts: []act{refuse}}}
	for _, c := range categories {
		list = append(list, step{
			id: "only-" + c, title: "Only " + c + " accepted", visit: simulate.Visit{Choice: simulate.Some, Categories: []string{c}}, acts: []act{acceptOnly(c)},
		})
	}
	return append(list,
		step{id: "accepted", title: "Everything accepted", visit: simulate.Visit{Choice: simulate.All}, acts: []act{acceptAll}},
		step{id: "withdrawn", title: "After withdrawal", visit: simulate.Visit{Choice: simulate.Rejected}, acts: []act{acceptAll, withdraw}},
		step{id: "signal", title: "With Global Privacy Control", visit: simulate.Visit{GPC: true}, gpc: true},
		step{id: "accepted-signal", title: "Accepted, then Global Privacy Control", visit: simulate.Visit{Choice: simulate.All, GPC: true}, acts: []act{acceptAll, signal}},
	)
}

// Run audits a page. The browser has ended when it returns. The error is a line that says what went wrong and, where that is
// known, what to do.
func Run(ctx context.Context, o Options) (*Report, error) {
	b, err := start(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	r := &Report{Address: o.Address.String(), Time: o.Now().UTC(), Browser: b.product, Notes: []string{}}
	list := []step{before}
	o.Progress(before.title, 0, 0)
	first, seen, err := b.state(&before)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.ToLower(before.title), err)
	}
	r.Page, r.Stile, r.Site, r.Regime = seen.Address, seen.script, seen.site, seen.Regime
	site, err := r.site(o.Sites)
	if err != nil {
		return nil, err
	}
	r.States = append(r.States, *first)
	if r.Stile == "" {
		r.States[0].ID, r.States[0].Title = "present", "The page as it is"
		r.Notes = append(r.Notes, "The page has no Stile, so that it was opened once, as it is. Other consent banners on it are not pressed.")
	} else {
		list = append(list, steps(categories(site, seen))...)
	}
	for i := 1; i < len(list); i++ {
		o.Progress(list[i].title, i, len(list))
		state, _, err := b.state(&list[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(list[i].title), err)
		}
		r.States = append(r.States, *state)
	}
	r.Notes = append(r.Notes, b.noted()...)
	r.Notes = append(r.Notes, fmt.Sprintf("Each state was watched until nothing was on its way for %v after the mouse was moved, a key pressed and the page scrolled. What comes later still, or after a click, is not here, nor a connection without a request.", o.Quiet))
	return r, r.judge(&o, site, list, seen)
}

// site is the file of the page's site; nil without one.
func (r *Report) site(sites []*consent.Site) (*consent.Site, error) {
	if len(sites) == 0 {
		return nil, nil //nolint:nilnil // nothing is known of it, and that is fine
	}
	var names []string
	for _, s := range sites {
		if s.Name == r.Site || r.Site == "" && len(sites) == 1 {
			r.Config = true
			return s, nil
		}
		names = append(names, s.Name)
	}
	if r.Site == "" {
		return nil, fmt.Errorf("the page has no Stile, so that nothing says which site it is: name one of %s with --site", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("the page is of site %s (%s), and the configuration has %s: name the file of that site", r.Site, r.Stile, strings.Join(names, ", "))
}

// categories are the optional ones: of the file, else as the page tells.
func categories(site *consent.Site, seen *seen) (list []string) {
	if site == nil {
		return append(slices.Clone(seen.Granted), seen.Denied...)
	}
	for i := range site.Categories {
		if !site.Categories[i].Required {
			list = append(list, site.Categories[i].Name)
		}
	}
	return list
}

// judge judges all states.
func (r *Report) judge(o *Options, site *consent.Site, list []step, seen *seen) error {
	at, err := url.Parse(r.Page)
	if err != nil {
		return err
	}
	known, anyone := page.NewJudge(site, o.Library), page.NewJudge(nil, o.Library)
	j := &rules{
		site: site, known: known, anyone: anyone, page: at, library: o.Library.All(), stile: folderOf(r.Stile), without: r.Stile == "",
		offered: categories(site, seen), always: map[string]bool{},
	}
	j.filed = j.filing(r.States, list)
	for i := range r.States {
		s := &r.States[i]
		j.gpc = list[i].visit.GPC
		if site != nil {
			region := o.Region
			if region == "" {
				region = site.RegionUnder(r.Regime)
			}
			v, err := list[i].visit.Of(site, r.Time)
			if err != nil {
				return err
			}
			v.Region = region
			d := consent.Decide(site, v)
			j.decision = &d
		} else {
			j.granted = permitted(list[i].visit, s, seen)
		}
		s.Findings = j.judge(s)
		for _, f := range s.Findings {
			if list[i].id == before.id && f.Verdict == Wrong && f.What == ACookie {
				j.always[f.Subject] = true
			}
		}
	}
	for _, l := range r.Lines() {
		if l.Verdict == Wrong {
			r.Wrong++
		} else {
			r.Warnings++
		}
	}
	return nil
}

// filing is which category, accepted by itself, brought whose requests: so the page has it filed.
func (j *rules) filing(states []State, list []step) map[string][]string {
	filed := map[string][]string{}
	for i := range states {
		for k := range states[i].Requests {
			if name := j.whose(&states[i].Requests[k]); list[i].visit.Choice == simulate.Some && name != "" {
				filed[name] = append(filed[name], list[i].visit.Categories...)
			}
		}
	}
	return filed
}

// permitted are the categories that may load where nothing but the page tells: what the visitor accepted. Before a choice it
// is what the page says, because the regime may let things run until there is one.
func permitted(v simulate.Visit, s *State, seen *seen) []string {
	switch v.Choice {
	case simulate.Some:
		return v.Categories
	case simulate.All:
		if v.GPC {
			return s.Granted
		}
		return append(slices.Clone(seen.Granted), seen.Denied...)
	case simulate.Rejected:
		return nil
	}
	return s.Granted
}

// folderOf is how all of Stile's addresses begin, by that of its script: "https://www.shop.example/stile/".
func folderOf(script string) string {
	u, err := url.Parse(script)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path[:strings.LastIndexByte(u.Path, '/')+1]
}

// scriptPath is that of Stile's script, with the site's name.
var scriptPath = regexp.MustCompile(`/stile/([a-z0-9-]+)\.js$`)
