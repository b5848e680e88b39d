package dashboard

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/simulate"
)

// simulated is a visit that somebody made up, decided.
type simulated struct {
	visit    simulate.Visit
	lang     string
	decision consent.Decision
	answer   *gate.Answer
}

// simulation reads a visit out of a form and decides it, as a request for the script is. Of a visit that cannot be the error
// is a problem.
func (d *Dashboard) simulation(site *Site, q url.Values) (_ *simulated, err error) {
	s := simulated{}
	if s.visit, err = simulate.Parse(q); err != nil {
		return nil, fail(http.StatusBadRequest, "%v", err)
	}
	v, err := s.visit.Of(site.Site, d.Now())
	if err != nil {
		return nil, fail(http.StatusBadRequest, "%v", err)
	}
	s.lang = cmp.Or(s.visit.Language, site.Languages[0])
	s.decision = consent.Decide(site.Site, v)
	if d.Answer != nil {
		s.answer, err = d.Answer(site.Name, &s.decision, s.lang)
	} else {
		s.answer, err = site.Gate.Answer(&s.decision, s.lang)
	}
	return &s, err
}

// simulatorView is the page of the simulator.
type simulatorView struct {
	site     *Site
	visit    simulate.Visit // what the form says
	problem  string
	regions  []regionChoice
	policies []string
	optional []consent.Category
	services []consent.Tag

	done    *simulated // nil: a visit that cannot be
	rows    []simulatedTag
	asked   string
	query   string // of the visit
	preview previewForm
}

type regionChoice struct{ code, regime string }

type simulatedTag struct {
	id, name, path, category, tone, verdict, because string
}

// previewForm is what a preview link is made of.
type previewForm struct {
	possible         bool
	host, page, link string
	hours            int
	until            string
	problem          string
}

// previewHours are the spans that a preview can hold.
var previewHours = []struct {
	hours int
	name  string
}{{1, "1 hour"}, {8, "8 hours"}, {24, "1 day"}, {7 * 24, "7 days"}}

// simulator answers GET /admin/sites/{site}/simulator: what a visitor would get, and why.
func (d *Dashboard) simulator(w http.ResponseWriter, a *ask) error {
	v, err := d.simulatorPage(a, a.URL.Query())
	if err != nil {
		return err
	}
	return d.drawSimulator(w, a, v)
}

func (d *Dashboard) drawSimulator(w http.ResponseWriter, a *ask, v *simulatorView) error {
	status := http.StatusOK
	if v.problem != "" || v.preview.problem != "" {
		status = http.StatusBadRequest
	}
	return d.draw(w, a, status, frame{
		Title: "Simulator", Nav: "simulator", Lead: "Make up a visitor, and see what the gate lets through to them, and why. Nobody is counted, and nothing is stored.",
	}, simulatorPage(v))
}

func (d *Dashboard) simulatorPage(a *ask, q url.Values) (*simulatorView, error) {
	site := a.site
	v := &simulatorView{site: site, preview: d.previewForm(a)}
	v.offer()
	done, err := d.simulation(site, q)
	var told *problem
	switch {
	case errors.As(err, &told):
		v.problem = told.what
		v.visit, _ = simulate.Parse(q) // as much of it as can be shown again
		return v, nil
	case err != nil:
		return nil, err
	}
	v.done = done
	v.visit, v.query, v.asked = done.visit, done.visit.Values().Encode(), askedWords(&done.decision)
	for i := range site.Tags {
		t, verdict := &site.Tags[i], done.decision.Tags[i]
		row := simulatedTag{id: t.ID, name: t.Name, path: sitePath(site.Name, "tags/") + url.PathEscape(t.ID), category: t.Category, because: verdict.Because.String()}
		row.tone, row.verdict = verdictWords(verdict)
		v.rows = append(v.rows, row)
	}
	return v, nil
}

// offer fills in what the form has to choose from.
func (v *simulatorView) offer() {
	site := v.site
	for i := range site.Regimes {
		for _, code := range site.Regimes[i].Codes() {
			v.regions = append(v.regions, regionChoice{code, site.Regimes[i].Name})
		}
	}
	for _, p := range site.History {
		v.policies = append(v.policies, p.Name)
	}
	for i := range site.Categories {
		if c := site.Categories[i]; !c.Required {
			v.optional = append(v.optional, c)
		}
	}
	for i := range site.Tags {
		if slices.ContainsFunc(v.optional, func(c consent.Category) bool { return c.Name == site.Tags[i].Category }) {
			v.services = append(v.services, site.Tags[i])
		}
	}
}

func verdictWords(v consent.Verdict) (tone, word string) {
	switch {
	case v.Released:
		return "good", "released"
	case v.Restricted:
		return "warn", "restricted"
	}
	return "", "withheld"
}

// askedWords says whether the visitor is asked, and why.
func askedWords(d *consent.Decision) string {
	switch {
	case d.Crawler:
		return "is not asked: nobody is there who could choose"
	case d.Ask && d.Why == consent.Added:
		return "is asked about what is new: " + strings.Join(d.New, ", ")
	case d.Ask && d.Why == consent.PolicyChanged:
		return "is asked again: the policy changed materially after the choice"
	case d.Ask && d.Why == consent.ControllerChanged:
		return "is asked again: somebody else is answerable since the choice"
	case d.Ask:
		return "is asked: no choice is in force"
	case d.Tell:
		return "is not asked: a line says that the policy changed a little"
	}
	return "is not asked"
}

// sizes are of the answer in each encoding.
func (s *simulated) sizes() (identity, gzip, brotli string) {
	return count(int64(len(s.answer.Identity))), count(int64(len(s.answer.Gzip))), count(int64(len(s.answer.Brotli())))
}

// shows tells whether the visitor sees something of Stile's at once.
func (s *simulated) shows() bool { return s.decision.Ask || s.decision.Tell }

// simulatedAnswer answers GET /admin/sites/{site}/simulator/answer.js: the exact bytes.
func (d *Dashboard) simulatedAnswer(w http.ResponseWriter, a *ask) error {
	s, err := d.simulation(a.site, a.URL.Query())
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8") // to be read and kept, never to be run from here
	h.Set("Content-Disposition", `attachment; filename="`+a.site.Name+`.js"`)
	h.Set("Content-Length", strconv.Itoa(len(s.answer.Identity)))
	_, err = w.Write(s.answer.Identity)
	return err
}

// hostName is what a security policy can name without another meaning.
var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

// simulatedBanner answers GET /admin/sites/{site}/simulator/banner: a page with nothing on it but what the visitor would see.
// It runs the very bytes that the visitor would get, where they can neither load, store nor send anything: without an origin
// (sandbox), with no host in its policy but Stile's own path for the dialog, and with the state that the answer was made for
// where a page has its cookies. Other scripts than Stile's are blocked, released or not.
func (d *Dashboard) simulatedBanner(w http.ResponseWriter, a *ask) error {
	s, err := d.simulation(a.site, a.URL.Query())
	if err != nil {
		return err
	}
	nonce, own := rand.Text(), ""
	if hostName.MatchString(a.Host) {
		own = " " + a.Host + "/stile/" + a.site.Name + "/"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-scripts; default-src 'none'; script-src 'nonce-"+nonce+"'"+own+"; style-src 'nonce-"+nonce+
		"'; img-src data:; font-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	setting, err := json.Marshal(map[string]any{
		"answer": string(s.answer.Identity), "src": "/stile/" + a.site.Name + ".js", "gpc": s.visit.GPC,
		"cookie": "stile_" + a.site.Name + "_state=" + s.decision.Choice.State(),
	})
	if err != nil {
		return err
	}
	return bannerPage(s.lang, nonce, string(setting)).Render(a.Context(), w)
}

func (d *Dashboard) previewForm(a *ask) previewForm {
	f := previewForm{possible: d.Preview != nil, hours: 1, host: "https://" + a.Host}
	for _, origin := range a.site.Origins {
		if !strings.Contains(origin, "*") {
			f.page = origin + "/"
			scheme, _, _ := strings.Cut(origin, "://")
			f.host = scheme + "://" + a.Host
			break
		}
	}
	return f
}

// makePreview answers POST /admin/sites/{site}/simulator: a signed link that shows the visit on the real site for a while.
func (d *Dashboard) makePreview(w http.ResponseWriter, a *ask) error {
	if err := readForm(w, a); err != nil {
		return err
	}
	v, err := d.simulatorPage(a, a.PostForm)
	if err != nil {
		return err
	}
	if v.problem == "" {
		if err := d.mintPreview(a, v); err != nil {
			v.preview.problem = err.Error()
		}
	}
	return d.drawSimulator(w, a, v)
}

func (d *Dashboard) mintPreview(a *ask, v *simulatorView) error {
	f := &v.preview
	f.page, f.host = strings.TrimSpace(a.PostForm.Get("page")), strings.TrimRight(strings.TrimSpace(a.PostForm.Get("host")), "/")
	hours, err := strconv.Atoi(a.PostForm.Get("hours"))
	host, odd := url.Parse(f.host)
	switch {
	case !f.possible:
		return fail(http.StatusNotFound, "previews are switched off here")
	case err != nil || hours < 1 || hours > int(preview.Longest/time.Hour):
		return fail(http.StatusBadRequest, "hours is %.20q: a preview holds for 1 to %d", a.PostForm.Get("hours"), preview.Longest/time.Hour)
	case odd != nil || host.Scheme != "https" && host.Scheme != "http" || !hostName.MatchString(host.Host) || host.Path != "" || host.RawQuery != "":
		return fail(http.StatusBadRequest, "the consent host %.80q is no address: write it like https://consent.shop.example", f.host)
	}
	f.hours = hours
	if err := preview.CheckPage(a.site.Site, f.page); err != nil {
		return err
	}
	if !preview.Reaches(f.page, host.Host) || !strings.HasPrefix(f.page, host.Scheme+"://") {
		return fmt.Errorf("%s and %s are two sites to a browser, which sends no cookie from one to the other: a preview can be shown where both share a domain, and both have https or neither", f.page, f.host)
	}
	until := d.Now().Add(time.Duration(hours) * time.Hour)
	token, err := d.Preview(a.site.Name, preview.Link{Visit: v.visit, Page: f.page, Until: until})
	if err != nil {
		return err
	}
	f.link, f.until = f.host+"/stile/"+a.site.Name+"/preview?token="+url.QueryEscape(token), until.UTC().Format("2 January 15:04 UTC")
	return nil
}

// formLimit is more than the largest form of the simulator, of 16 categories and 64 services.
const formLimit = 16 << 10

func readForm(w http.ResponseWriter, a *ask) error {
	a.Body = http.MaxBytesReader(w, a.Body, formLimit)
	if err := a.ParseForm(); err != nil {
		return fail(http.StatusBadRequest, "the form cannot be read: it is larger than %d bytes, or no form", formLimit)
	}
	return nil
}
