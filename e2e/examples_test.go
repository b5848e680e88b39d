package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/hosts"
	"github.com/stilehq/stile/server/vendors"
)

const (
	gtagScript = "https://www.googletagmanager.com/gtag/js?id=G-AB12CD34EF"
	metaScript = "https://connect.facebook.net/en_US/fbevents.js"
	filmFrame  = "https://player.vimeo.com/video/76979871?dnt=1"
	container  = "https://www.googletagmanager.com/gtm.js?id=GTM-ABCD123"
	matomo     = "https://stats.example.org/matomo.js"
	linkedIn   = "https://px.ads.linkedin.com/collect/?pid=987654&fmt=gif"
)

// adoption is an example whose page has Stile's script in it: what the page asks of others once a category is allowed, and
// which of its buttons opens the choices.
type adoption struct {
	name   string
	asks   map[string][]string
	opener string
}

var adoptions = []adoption{
	{"html", map[string][]string{"functional": {filmFrame}, "analytics": {gtagScript}, "marketing": {metaScript}}, "[data-stile-open]"},
	{"from-cookieconsent", map[string][]string{"analytics": {matomo}, "marketing": {metaScript}}, "[data-cc=show-preferencesModal]"},
	{"from-klaro", map[string][]string{"functional": {filmFrame}, "analytics": {gtagScript}, "marketing": {linkedIn}}, "[data-stile-open]"},
	{"gtm", map[string][]string{"analytics": {container}, "marketing": nil}, "[data-stile-open]"},
}

func (a adoption) url() string { return "http://" + a.name + ".shop.test/" }

// world serves the example under a host of its own, and lets stand-ins answer for its vendors.
func (a adoption) world(t *testing.T) *world {
	t.Helper()
	return newWorld(t, settings{
		hosts:   map[string]http.Handler{a.name + ".shop.test": examplePages(a.name)},
		config:  example(t, a.name, "http://127.0.0.1:8080", "http://"+a.name+`.shop.test"]`+"\ncookie_domain: shop.test"),
		vendors: []string{"www.googletagmanager.com", "connect.facebook.net", "player.vimeo.com", "px.ads.linkedin.com", "stats.example.org"},
	})
}

// examplePages serves the folder of an example, whose pages name the consent host of a developer's machine.
func examplePages(name string) http.Handler {
	folder := filepath.Join("..", "examples", name)
	files := http.FileServer(http.Dir(folder))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-cache")
		if !strings.HasSuffix(r.URL.Path, "/") {
			files.ServeHTTP(rw, r)
			return
		}
		page, err := os.ReadFile(filepath.Join(folder, filepath.Clean(r.URL.Path), "index.html"))
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(rw, strings.ReplaceAll(string(page), "http://127.0.0.1:8081", consentURL))
	})
}

// asksOthers waits until the page asked of other hosts what is wanted, and checks that it asked for nothing else.
func (b *tab) asksOthers(when string, want ...string) {
	b.t.Helper()
	var got []string
	b.w.until(fmt.Sprintf("%q %s", want, when), func() bool {
		got = append(got, b.w.loaded()...)
		return len(got) >= len(want)
	})
	got = append(got, b.settle().w.loaded()...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("%s the page asked for, other than expected:\n%s", when, cmp.Diff(want, got))
	}
}

// everyAdoption runs a test on each of the examples.
func everyAdoption(t *testing.T, test func(t *testing.T, a adoption)) {
	for _, a := range adoptions {
		t.Run(a.name, func(t *testing.T) { test(t, a) })
	}
}

// A1, A2, B9: an example's page asks nobody for anything before a choice and after a refusal, stores nothing before, and its
// own button opens the choices. Each category alone lets in what is its own, on that page and the next.
func TestExamples(t *testing.T) {
	everyAdoption(t, func(t *testing.T, a adoption) {
		w := a.world(t)
		b := w.open().visit(a.url())
		thrown := b.errors()
		if !b.shows(banner) {
			t.Error("the visitor is not asked")
		}
		b.asksOthers("before a choice")
		if jar := b.jar(); len(jar) > 0 {
			t.Errorf("cookies before a choice: %q", jar)
		}
		b.decide(reject).asksOthers("after a refusal")
		b.visit(a.url()).asksOthers("on the page after a refusal")
		b.click(a.opener).visible(dialog)

		var all []string
		for category, want := range a.asks {
			all = append(all, want...)
			b.forget().visit(a.url())
			eval[bool](b, `stile.accept([`+fmt.Sprintf("%q", category)+`]).then(() => true)`)
			b.asksOthers("after "+category, slices.Clone(want)...)
			b.visit(a.url()).asksOthers("on the page after "+category, slices.Clone(want)...)
		}
		b.forget().visit(a.url()).decide(accept).asksOthers("after accepting all", all...)
		if got := thrown(); len(got) > 0 {
			t.Errorf("scripts threw %q", got)
		}
	})
}

// The page that came from vanilla-cookieconsent: what asks for the contrary runs after a refusal, the buttons accept and
// refuse, and the snippets find what they prepared.
func TestFromCookieConsent(t *testing.T) {
	a := adoptions[1]
	w := a.world(t)
	b := w.open().visit(a.url())
	counted := func() string { return eval[string](b, `document.documentElement.dataset.counted || ''`) }
	if got := counted(); got != "" {
		t.Errorf("before a choice what asks for a refusal of analytics ran: %q", got)
	}
	b.decide("[data-cc=accept-necessary]").granted()
	if b.await(`document.documentElement.dataset.counted`); counted() != "no" {
		t.Errorf("after a refusal the page is marked %q", counted())
	}
	if eval[bool](b, `'_paq' in window || 'fbq' in window`) {
		t.Error("after a refusal a snippet ran")
	}
	b.decide("[data-cc=accept-all]").granted("analytics", "marketing")
	b.asksOthers("after the button for all", matomo, metaScript)
	if got := eval[[]string](b, `[..._paq.map(x => x[0]), ...fbq.queue.map(x => x[0])]`); !slices.Equal(got, []string{"setTrackerUrl", "setSiteId", "trackPageView", "init", "track"}) {
		t.Errorf("the snippets prepared %q", got)
	}
}

// The page that came from klaro: its own placeholder is seen as long as the film waits, and one service can be allowed alone.
func TestFromKlaro(t *testing.T) {
	a := adoptions[2]
	w := a.world(t)
	b := w.open().visit(a.url()).decide(reject)
	if !b.shows("figcaption") {
		t.Error("while the film waits the page's own placeholder is not seen")
	}
	b.click(a.opener).visible(dialog)
	if n := eval[int](b, `document.querySelectorAll('stile-dialog [name=service]').length`); n != 3 {
		t.Errorf("%d services can be chosen, want three", n)
	}
	b.visit(a.url()).loads(func() { b.say(`stile.accept(['functional']).then(() => location.reload())`) })
	b.asksOthers("after functional", filmFrame, filmFrame)
	if b.shows("figcaption") {
		t.Error("with the film shown the page's own placeholder is still seen")
	}
	if !eval[bool](b, `stile.allows('vimeo') && !stile.allows('linkedin')`) {
		t.Error("stile.allows does not tell by the service's name")
	}
}

// G: the container is told the default first, then what was chosen, and an event from before the choice reaches it, or is
// dropped by a refusal.
func TestGTM(t *testing.T) {
	a := adoptions[3]
	w := a.world(t)
	b := w.open().visit(a.url())
	hold := func() {
		b.say(`document.querySelector('#seats').requestSubmit()`)
		if got := eval[string](b, `document.querySelector('output').textContent`); !strings.Contains(got, "8 seats") {
			t.Errorf("the page's own form says %q", got)
		}
	}
	held := func() int {
		return eval[int](b, `(window.dataLayer || []).filter(x => x.event == 'hold_seats').length`)
	}
	hold()
	if eval[bool](b, `'dataLayer' in window`) {
		t.Error("before a choice there is a dataLayer")
	}
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	b.asksOthers("after analytics", container)
	list := b.commands()
	if len(list) < 2 || list[0].kind != "default" || list[0].signals["ad_storage"] != "denied" || list[0].signals["analytics_storage"] != "denied" {
		t.Fatalf("the consent mode is told %v", list)
	}
	want := map[string]any{
		"ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied", "analytics_storage": "granted",
		"functionality_storage": "denied", "personalization_storage": "denied",
	}
	if got := list[1].signals; !cmp.Equal(got, want) {
		t.Errorf("after analytics the signals are, other than expected:\n%s", cmp.Diff(want, got))
	}
	if first := eval[int](b, `dataLayer.findIndex(x => x['gtm.start'])`); first < 2 {
		t.Errorf("gtm.start is number %d in the dataLayer, before what it is to read", first)
	}
	if n := held(); n != 1 {
		t.Errorf("the event from before the choice is there %d times, want once", n)
	}
	eval[bool](b, `stile.accept(['analytics', 'marketing']).then(() => true)`)
	if got := updates(b.commands(), "ad_storage"); !slices.Equal(got, []any{"denied", "granted"}) {
		t.Errorf("after marketing ad_storage went %v", got)
	}
	b.forget().visit(a.url())
	hold()
	b.decide(reject)
	if n := held(); n != 0 {
		t.Errorf("after a refusal there are %d events", n)
	}
}

// TestExamplePictures draws the examples on phone and desktop, light and dark, before a choice and after; with -pictures. No
// page is wider than its screen, and nothing is covered by the banner for good.
func TestExamplePictures(t *testing.T) {
	everyAdoption(t, func(t *testing.T, a adoption) {
		b := a.world(t).open()
		for _, size := range []struct {
			name          string
			width, height int64
		}{{"phone", 390, 844}, {"desktop", 1280, 800}} {
			for _, theme := range []string{"light", "dark"} {
				name := fmt.Sprintf("example-%s-%s-%s", a.name, size.name, theme)
				b.look(size.width, size.height, theme).forget().visit(a.url()).picture(name)
				b.decide(reject).frame().picture(name + "-after")
				if wide := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("%s is %d pixels wider than the screen", name, wide)
				}
			}
		}
	})
}

var (
	listens = regexp.MustCompile(`stile (?:serve|proxy) stile\.yaml.* --listen (\S+)`)
	serves  = regexp.MustCompile(`python3 -m http\.server (\d+) --bind (\S+)`)
	address = regexp.MustCompile(`https?://([A-Za-z0-9.:-]+)`)
	scripts = regexp.MustCompile(`<script src="(http://[^/"]+)/stile/shop\.js"`)
)

// TestExampleFiles: each stile.yaml passes stile check, and the README, the page and the configuration of an example agree on
// who listens where. What they link is there.
func TestExampleFiles(t *testing.T) {
	files, err := filepath.Glob("../examples/*/stile.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		if out, err := exec.Command(stileBinary, "check", file).CombinedOutput(); err != nil {
			t.Errorf("stile check %s: %v\n%s", file, err, out)
		}
	}
	for _, name := range append([]string{"proxied"}, names(adoptions)...) {
		t.Run(name, func(t *testing.T) {
			readme, yaml := exampleFile(t, name, "README.md"), exampleFile(t, name, "stile.yaml")
			shown := blocks(readme, "sh")
			if len(shown) != 1 || strings.Count(shown[0], "\n") != 2 {
				t.Fatalf("the README does not begin with two commands: %q", shown)
			}
			gate, site := listens.FindStringSubmatch(shown[0]), serves.FindStringSubmatch(shown[0])
			if gate == nil || site == nil {
				t.Fatalf("the README's commands are not read: %q", shown)
			}
			origin := "http://" + site[2] + ":" + site[1]
			if name == "proxied" {
				if !strings.Contains(shown[0], "--to "+origin+" ") {
					t.Errorf("the gate is not in front of %s: %q", origin, shown)
				}
				origin = "http://" + gate[1]
			} else if m := scripts.FindStringSubmatch(exampleFile(t, name, "index.html")); m == nil || m[1] != "http://"+gate[1] {
				t.Errorf("the page's script is that of %q, and stile serve listens on %s", m, gate[1])
			}
			if !strings.Contains(yaml, `origins: ["`+origin+`"]`) {
				t.Errorf("stile.yaml does not name %s as origin", origin)
			}
			for _, link := range linksOf(readme) {
				if _, err := os.Stat(filepath.Join("../examples", name, link)); err != nil {
					t.Errorf("the README links %s: %v", link, err)
				}
			}
		})
	}
}

// No example names a site that is somebody's: hosts are reserved names, a vendor's own, this machine, or nginx's name for Stile.
func TestExampleHosts(t *testing.T) {
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, v := range library.All() {
		for _, host := range v.Hosts {
			if !strings.Contains(host, "{") {
				known = append(known, host)
			}
		}
	}
	reserved := regexp.MustCompile(`^(127\.0\.0\.1|localhost|stile|([a-z0-9-]+\.)*example(\.(org|com|net))?)$`)
	for _, name := range append([]string{"proxied/site", "deploy"}, names(adoptions)...) {
		files, err := os.ReadDir(filepath.Join("../examples", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file.IsDir() || strings.HasSuffix(file.Name(), ".svg") { // whose namespace is an address
				continue
			}
			for _, m := range address.FindAllStringSubmatch(exampleFile(t, name, file.Name()), -1) {
				u, err := url.Parse(m[0])
				if err != nil {
					t.Errorf("%s/%s: %v", name, file.Name(), err)
					continue
				}
				host := u.Hostname()
				if !reserved.MatchString(host) && !slices.ContainsFunc(known, func(pattern string) bool { return hosts.Covers(pattern, host) }) {
					t.Errorf("%s/%s names %s", name, file.Name(), host)
				}
			}
		}
	}
}

func names(list []adoption) (names []string) {
	for _, a := range list {
		names = append(names, a.name)
	}
	return names
}

func exampleFile(t *testing.T, name, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../examples", name, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// linksOf are the files that a README links.
func linksOf(readme string) (list []string) {
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
		list = append(list, m[1])
	}
	return list
}
