package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// audited is what stile audit --json prints, as far as it is looked at here.
type audited struct {
	Stile, Site, Regime string
	Notes               []string
	Wrong, Warnings     int
	States              []struct {
		ID            string
		Done, Granted []string
		Requests      []struct {
			URL, Host, Type string
			By              origin
		}
		Cookies []struct {
			Name, Domain string
			HTTPOnly     bool
			Days         float64
			By           origin
		}
		Storage []struct {
			Kind, Name, Origin string
			By                 origin
		}
		Findings []struct {
			Verdict, What, Subject, Who, Because string
			By                                   origin
		}
	}
}

type origin struct {
	Kind, URL string
	Line      int
}

// audit runs stile audit on a page of the world, and returns its exit code and what it printed.
func (w *world) audit(address string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), stileBinary, append([]string{
		"audit", address, "--browser", chromium(w.t), "--timeout", patience.String(),
		"--browser-flag", "host-resolver-rules=" + w.resolver(), "--browser-flag", "ignore-certificate-errors",
	}, args...)...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

func (w *world) auditJSON(want int, address string, args ...string) (r audited) {
	w.t.Helper()
	code, out, said := w.audit(address, append(args, "--json")...)
	if code != want {
		w.t.Fatalf("exit %d, want %d\n%s%s", code, want, out, said)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// heard is what the stand-ins were asked for.
func (w *world) heard() (list []string) {
	for _, hit := range w.parties.Log() {
		list = append(list, hit.Host+hit.Path)
	}
	slices.Sort(list)
	return list
}

// The shop with Stile is clean in every state, and what the audit saw of the third parties is what they got.
func TestAuditClean(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	page := filepath.Join(t.TempDir(), "audit.html")
	r := w.auditJSON(0, shopURL+"/", "--config", w.config, "--html", page)
	if r.Site != "shop" || r.Regime == "" || r.Wrong > 0 || r.Warnings != 2 {
		t.Errorf("site %s, regime %q, %d wrong, %d warnings", r.Site, r.Regime, r.Wrong, r.Warnings)
	}
	double := map[string]int{"counter.example": 4, "pixel-a.example": 2, "pixel-b.example": 2, "chat.example": 2}
	want := map[string]map[string]int{ // on the page of the choice and on the next
		"before": {}, "refused": {}, "withdrawn": {}, "signal": {}, "accepted": double,
		"only-functional": {"chat.example": 2}, "only-analytics": {"counter.example": 4}, "only-marketing": {"pixel-a.example": 2, "pixel-b.example": 2},
		"accepted-signal": {"counter.example": 2, "chat.example": 1}, // on the next page alone
	}
	var asked []string
	for _, s := range r.States {
		got := map[string]int{}
		for _, q := range s.Requests {
			if u, err := url.Parse(q.URL); err == nil && strings.HasSuffix(q.Host, ".example") {
				got[q.Host]++
				asked = append(asked, q.Host+u.Path)
			}
		}
		if d := cmp.Diff(want[s.ID], got); d != "" {
			t.Errorf("%s: third parties (-want +got):\n%s", s.ID, d)
		}
		// The pixels' own cookies are left over from what was accepted first: they are warned of, since only they can delete them.
		left := 0
		if s.ID == "withdrawn" || s.ID == "accepted-signal" {
			left = 2
		}
		for _, f := range s.Findings {
			if f.Verdict != "warning" || !strings.HasPrefix(f.Subject, "pixel-") {
				t.Errorf("%s: %+v", s.ID, f)
			}
		}
		if len(s.Findings) != left {
			t.Errorf("%s: %d findings, want %d", s.ID, len(s.Findings), left)
		}
		delete(want, s.ID)
	}
	if len(want) > 0 {
		t.Errorf("not looked at: %v", want)
	}
	// What was accepted before a withdrawal and before the signal reached them too, and is of no state's.
	for range 2 {
		asked = append(asked, "counter.example/counter.js", "counter.example/hit", "pixel-a.example/p.gif", "pixel-b.example/p.gif", "chat.example/widget.js")
	}
	slices.Sort(asked)
	if d := cmp.Diff(w.heard(), asked); d != "" {
		t.Errorf("what the third parties got, and what was seen (-got +seen):\n%s", d)
	}
	for _, s := range r.States {
		switch s.ID {
		case "refused":
			if !slices.Equal(s.Done, []string{"pressed the banner's button"}) || len(s.Cookies) != 2 {
				t.Errorf("refused: %q, cookies %+v", s.Done, s.Cookies)
			}
			for _, c := range s.Cookies {
				if c.Name == "stile_shop" && (!c.HTTPOnly || c.Days < 179 || c.Days > 181 || c.By.Kind != "response") {
					t.Errorf("the choice cookie is %+v", c)
				}
			}
		case "only-functional":
			if len(s.Storage) != 1 || s.Storage[0].Name != "chat_open" || s.Storage[0].By.URL != "http://chat.example/widget.js" && s.Storage[0].By.URL != "https://chat.example/widget.js" {
				t.Errorf("storage %+v", s.Storage)
			}
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `src="data:image/webp;base64,`); n != len(r.States) {
		t.Errorf("%d pictures in the report, want %d", n, len(r.States))
	}
}

// planted is a page with Stile whose own HTML has a pixel and scripts beside it.
func planted() http.Handler {
	return testPages(map[string]testPage{"planted": {body: `<h1>A page</h1><img src="https://pixel-a.example/p.gif?u=planted" alt="">
<script>
document.cookie = 'hc_id=1; max-age=86400; path=/'
localStorage.setItem('chat_open', '1')
new Worker(URL.createObjectURL(new Blob(['fetch("https://nobody.example/from-worker", {mode: "no-cors"})'])))
</script><iframe src="https://video.example/embed/kettle"></iframe>`}})
}

// What stands in the page itself is found in each state in which it was withheld, and named with who put it there.
func TestAuditPlanted(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, pages: planted()})
	r := w.auditJSON(1, shopURL+"/test/planted", "--config", w.config, "--wait", "500ms")
	got := map[string][]string{}
	for _, s := range r.States {
		for _, f := range s.Findings {
			if f.Verdict == "wrong" {
				got[f.Subject+": "+f.Who] = append(got[f.Subject+": "+f.Who], s.ID)
			}
			if strings.HasPrefix(f.Subject, "hc_id") && (f.By.Kind != "script" || f.By.URL != shopURL+"/test/planted" || f.By.Line < 2) {
				t.Errorf("the cookie was set by %+v", f.By)
			}
			if f.Subject == "pixel-a.example" && f.By.Kind != "parser" {
				t.Errorf("the pixel was asked for by %+v", f.By)
			}
		}
	}
	want := map[string][]string{
		"pixel-a.example: Pixel A":                        {"before", "refused", "only-functional", "only-analytics", "withdrawn", "signal", "accepted-signal"},
		"hc_id of www.shop.test: House counter":           {"before", "refused", "only-functional", "only-marketing", "withdrawn", "signal"},
		`localStorage "chat_open" of www.shop.test: Chat`: {"before", "refused", "only-analytics", "only-marketing", "withdrawn", "signal"},
		"pixel-a_id of pixel-a.example: Pixel A":          {"before", "refused", "only-functional", "only-analytics", "withdrawn", "signal", "accepted-signal"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what should not have been there (-want +got):\n%s", d)
	}
	for _, host := range []string{"nobody.example", "video.example"} {
		if !slices.ContainsFunc(r.States[0].Findings, func(f struct {
			Verdict, What, Subject, Who, Because string
			By                                   origin
		},
		) bool {
			return f.Subject == host && f.Verdict == "warning"
		}) {
			t.Errorf("%s, which nobody knows, is not warned of: %+v", host, r.States[0].Findings)
		}
	}
	code, out, said := w.audit(shopURL+"/test/planted", "--config", w.config, "--wait", "500ms")
	if code != 1 || !strings.Contains(out, "request pixel-a.example · Pixel A (marketing): marketing was not chosen yet") || said != "" {
		t.Errorf("exit %d\n%s%s", code, out, said)
	}
}

// Where Stile is on the page's own origin, as behind stile proxy, what else is there is judged all the same.
func TestAuditSameOrigin(t *testing.T) {
	page := http.NewServeMux()
	page.HandleFunc("/{$}", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write([]byte(`<!doctype html><html lang="en"><head><title>A page</title></head><body><h1>A page</h1><script>
localStorage.setItem('chat_open', '1')
sessionStorage.setItem('what', '1')
fetch('/points.js')
</script></body></html>`))
	})
	page.HandleFunc("/points.js", func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Type", "text/javascript") })
	w := newWorld(t, settings{behind: page, config: func(text string) string {
		return text + "  - {name: Points, category: marketing, script: \"https://www.shop.test/points.js\"}\n"
	}})
	r := w.auditJSON(1, shopURL+"/", "--config", w.config, "--wait", "500ms")
	if !strings.HasPrefix(r.Stile, shopURL+"/stile/") {
		t.Errorf("Stile is at %s", r.Stile)
	}
	var got []string
	for _, f := range r.States[0].Findings {
		got = append(got, f.Verdict+" "+f.Subject+": "+f.Who)
	}
	want := []string{"wrong www.shop.test: Points", `wrong localStorage "chat_open" of www.shop.test: Chat`, `warning sessionStorage "what" of www.shop.test: `}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}

// What a page asks for late, when it is touched, and from workers that workers start is seen, and neither a service worker nor
// a window that it opens keeps the audit from its end.
func TestAuditLate(t *testing.T) {
	const asks = `fetch('https://pixel-a.example/%s', {mode: 'no-cors'})`
	scripts := map[string]string{
		"/test/outer.js": "new Worker('/test/inner.js')", "/test/inner.js": fmt.Sprintf(asks, "inner"),
		"/test/service.js": "", "/test/shared.js": "onconnect = () => setTimeout(() => {}, 100)",
	}
	page := `<!doctype html><title>Late</title><style>body {height: 4000px}</style><script>
for (const on of ['mousemove', 'keydown', 'scroll']) addEventListener(on, () => ` + strings.Replace(fmt.Sprintf(asks, "on-"), "on-'", "on-' + on", 1) + `, {once: true})
setTimeout(() => ` + fmt.Sprintf(asks, "late") + `, 2000)
new Worker('/test/outer.js')
new SharedWorker('/test/shared.js')
navigator.serviceWorker.register('/test/service.js')
addEventListener('load', () => open('https://pixel-b.example/opened'))
</script>`
	pages := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if script, found := scripts[r.URL.Path]; found {
			rw.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(rw, script)
			return
		}
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, page)
	})
	w := newWorld(t, settings{pages: pages})
	secure := strings.Replace(shopURL, "http:", "https:", 1) // else there are no service workers
	r := w.auditJSON(0, secure+"/test/late")
	var got []string
	for _, q := range r.States[0].Requests {
		if rest, found := strings.CutPrefix(q.URL, "https://pixel-a.example/"); found {
			got = append(got, rest)
		}
	}
	slices.Sort(got)
	if want := []string{"inner", "late", "on-keydown", "on-mousemove", "on-scroll"}; !slices.Equal(got, want) {
		t.Errorf("seen %q, want %q", got, want)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"has a service worker (" + secure + "/test/service.js)", "has a shared worker (", "opens a window by itself (https://pixel-b.example/opened)", "What comes later still"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the report does not say %q:\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "never got quiet") || slices.ContainsFunc(w.heard(), func(s string) bool { return strings.Contains(s, "opened") }) {
		t.Errorf("third parties got %q\n%s", w.heard(), notes)
	}
}

// A page without Stile is looked at as it is: what would have to wait.
func TestAuditWithoutStile(t *testing.T) {
	pages := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/test/plain":
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprint(rw, `<!doctype html><title>Plain</title><script src="https://static.hotjar.com/c/hotjar-1.js"></script><script>document.cookie = '_ga=GA1.1.1; max-age=86400'</script>`)
		case "/test/clean":
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprint(rw, `<!doctype html><title>Clean</title><h1>Nothing here</h1>`)
		case "/test/circle":
			http.Redirect(rw, r, "/test/circle", http.StatusFound)
		case "/test/hangs":
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprint(rw, `<!doctype html><title>Hangs</title><img src="/test/never.gif">`)
		case "/test/never.gif":
			<-r.Context().Done()
		default:
			http.NotFound(rw, r)
		}
	})
	w := newWorld(t, settings{pages: pages, vendors: []string{"*.hotjar.com"}})
	r := w.auditJSON(1, shopURL+"/test/plain")
	if len(r.States) != 1 || r.States[0].ID != "present" || r.Stile != "" {
		t.Fatalf("%+v", r)
	}
	var got []string
	for _, f := range r.States[0].Findings {
		got = append(got, f.Verdict+" "+f.Subject+": "+f.Who+", "+f.Because)
	}
	const wait = ", it would have to wait for consent to analytics"
	want := []string{"wrong static.hotjar.com: Hotjar" + wait, "wrong _ga of www.shop.test: Google Analytics 4" + wait}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	if code, out, _ := w.audit(shopURL + "/test/clean"); code != 0 || !strings.Contains(out, "The page has no Stile") {
		t.Errorf("a clean page: exit %d\n%s", code, out)
	}
	for address, say := range map[string]string{
		shopURL + "/test/circle":     "redirects in a circle",
		shopURL + "/test/missing":    "answers 404 Not Found",
		"http://nobody.invalid/":     "no such host is known",
		consentURL + "/stile/x/none": "answers 404",
	} {
		if code, out, said := w.audit(address); code != 3 || !strings.Contains(said, say) || strings.Count(said, "\n") != 1 || out != "" {
			t.Errorf("%s: exit %d\n%s%s", address, code, out, said)
		}
	}
	if code, _, said := w.audit("ftp://www.shop.test/"); code != 2 || !strings.Contains(said, "is no address of a page") {
		t.Errorf("no page: exit %d\n%s", code, said)
	}
	if code, out, said := w.audit(shopURL+"/test/hangs", "--timeout", "5s"); code != 0 || !strings.Contains(out, "never got quiet in 5s (--timeout): it waits for "+shopURL+"/test/never.gif") {
		t.Errorf("a page that hangs: exit %d\n%s%s", code, out, said)
	}
	if code, _, said := w.audit(shopURL+"/", "--browser", "/nowhere/chromium"); code != 3 || !strings.Contains(said, "there is no browser at /nowhere/chromium") {
		t.Errorf("no browser: exit %d\n%s", code, said)
	}
}
