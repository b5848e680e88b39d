package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/stilehq/stile/server"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/page"
)

// website is a site with a tag on each of its pages, and pages that cannot be read.
func website(t *testing.T) *httptest.Server {
	m := http.NewServeMux()
	m.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "User-agent: *\nDisallow: /private\n")
	})
	m.HandleFunc("/api", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "OK")
	})
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "/a" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-16le")
		for _, c := range `<!doctype html><a href="/a">a</a><a href="/missing">m</a><a href="/private">p</a><a href="/api">o</a>
é<script src="https://static.hotjar.com/c/hotjar-1234567.js?sv=6"></script><script src="/own.js"></script>` {
			_, _ = w.Write([]byte{byte(c), byte(c >> 8)})
		}
	})
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return s
}

func TestScanWalksASite(t *testing.T) {
	s := website(t)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"scan", "--json", "--private", "--rate", "100", s.URL}, &stdout, &stderr); code != exitFound {
		t.Errorf("it exits with %d", code)
	}
	var got scanned
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Pages) != 2 || got.Pages[0].Page != s.URL+"/" || got.Pages[1].Address != s.URL+"/a" || got.Summary[ungated] != 2 || len(got.Errors) != 2 || len(got.Notes) != 1 || got.Partial {
		t.Fatalf("%+v", got)
	}
	if f := got.Pages[0].Finds[0]; f.Line != 2 || f.Column != 2 || f.Vendor != "hotjar" || f.Account != "1234567" || len(got.Pages[0].Finds) != 1 {
		t.Errorf("%+v", got.Pages[0].Finds)
	}
	for _, want := range []string{"/missing: it answers 404 Not Found", "/api: this is no HTML page: it has no element", "1 page was left alone, as robots.txt asks"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("nothing says %q:\n%s", want, &stderr)
		}
	}
	stdout.Reset()
	stderr.Reset()
	if code := run(t.Context(), []string{"scan", "--private", "--rate", "100", "--pages", "2", s.URL}, &stdout, &stderr); code != exitFound {
		t.Errorf("it exits with %d", code)
	}
	if want := "script  Hotjar  1234567  analytics  -           /:2 and 1 more\n"; !strings.Contains(stdout.String(), want) || !strings.Contains(stderr.String(), "it has more than --pages 2") {
		t.Errorf("no\n%s in\n%s%s", want, &stdout, &stderr)
	}
	// What a page links to that is none does not make it fail, and where such a thing is named it does.
	if code := run(t.Context(), []string{"scan", "--private", s.URL + "/api"}, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("it exits with %d where what was named is no page", code)
	}
	// Where a page that was named cannot be read, it is no success.
	if code := run(t.Context(), []string{"scan", "--private", s.URL + "/missing"}, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("it exits with %d where nothing was read", code)
	}
}

func TestInitReadsASite(t *testing.T) {
	s := website(t)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"init", "-o", "-", "--private", "--depth", "1", "--rate", "100", s.URL}, &stdout, &stderr); code != exitFine {
		t.Fatalf("it exits with %d:\n%s", code, &stderr)
	}
	if !strings.Contains(stdout.String(), "\n  - {vendor: hotjar, id: \"1234567\", category: analytics}\n") || !strings.Contains(stdout.String(), `origins: ["`+s.URL+`"]`) {
		t.Error(stdout.String())
	}
}

// The fields that code scanning requires of an upload (GitHub, "SARIF support for code scanning", and SARIF 2.1.0).
func TestSARIF(t *testing.T) {
	frame := []scannedFind{{State: ungated, What: "frame", Name: "Maps", Line: 1}}
	s := &scanned{Errors: []string{"x: it answers 500"}, Notes: []string{"y: left alone"}, Pages: []scannedPage{
		{Page: "./pages/a b.html", Stile: "/stile/shop.js", Finds: []scannedFind{
			{State: ungated, What: "script", Name: "Hotjar", Account: "1", Category: "analytics", Line: 3, Column: 5, Address: "https://static.hotjar.com/x"},
			{State: ungated, What: "script", Name: "Hotjar", Account: "1", Category: "analytics", Line: 4, Column: 5, Address: "https://static.hotjar.com/x"},
			{State: unknown, What: "pixel", Host: "nobody.example", Line: 5, Column: 1, Leaks: "a request"},
			{State: twice, What: "script", Name: "Meta Pixel", Tag: "meta-pixel", Line: 6, Column: 1},
			{State: waits, What: "script", Name: "Waits", Line: 7, Column: 1},
			{State: exempt, What: "script", Name: "Exempt", Line: 8, Column: 1},
		}},
		{Page: "http://localhost:9101/tags", Finds: frame},
		{Page: "http://localhost:9101/tags?p=2", Finds: frame},
		{Page: "http://127.0.0.1:8080/", Finds: frame},
		{Page: "http://127.0.0.1:8080/index.html", Finds: frame},
		{Page: "http://[::1]:8080/a%2Fb:c/", Finds: frame},
		{Page: "d:e.html", Finds: frame},
		{Page: "https://www.shop.example/", First: true, Finds: []scannedFind{{State: ungated, What: "frame", Name: "Maps", Category: "functional", Line: 1, Column: 1}}},
	}}
	text, err := json.Marshal(sarif(s))
	if err != nil {
		t.Fatal(err)
	}
	var log map[string]any
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	at := func(v any, path ...any) any {
		for _, key := range path {
			switch k := key.(type) {
			case string:
				m, _ := v.(map[string]any)
				if v = m[k]; v == nil {
					t.Fatalf("%v has no %v", path, key)
				}
			case int:
				v = v.([]any)[k]
			}
		}
		return v
	}
	if at(log, "version") != "2.1.0" || !strings.HasSuffix(at(log, "$schema").(string), "sarif-2.1.0.json") || at(log, "runs", 0, "tool", "driver", "name") != "Stile" {
		t.Error(string(text))
	}
	rules := at(log, "runs", 0, "tool", "driver", "rules").([]any)
	for i := range rules {
		for _, path := range [][]any{{"id"}, {"shortDescription", "text"}, {"fullDescription", "text"}, {"help", "text"}, {"defaultConfiguration", "level"}, {"properties", "precision"}} {
			at(rules[i], path...)
		}
	}
	var told []string
	prints := map[string]bool{}
	for _, r := range at(log, "runs", 0, "results").([]any) {
		rule := rules[int(at(r, "ruleIndex").(float64))]
		location := at(r, "locations", 0, "physicalLocation")
		region := at(location, "region")
		if at(rule, "id") != at(r, "ruleId") || at(rule, "defaultConfiguration", "level") != at(r, "level") || at(r, "message", "text") == "" || at(region, "startLine").(float64) < 1 {
			t.Errorf("%v", r)
		}
		if m := region.(map[string]any); m["startColumn"] == 0.0 {
			t.Errorf("columns begin at 1: %v", r)
		}
		print := fmt.Sprint(at(location, "artifactLocation", "uri"), at(r, "partialFingerprints", "stile/v1"))
		if prints[print] {
			t.Errorf("two results are told apart by nothing: %v", r)
		}
		prints[print] = true
		if u, err := url.Parse(at(location, "artifactLocation", "uri").(string)); err != nil || u.IsAbs() || u.Host != "" || u.RawQuery != "" {
			t.Errorf("it is no relative path: %v", location)
		}
		told = append(told, fmt.Sprint(at(location, "artifactLocation", "uri"), ":", at(region, "startLine"), " ", at(r, "level"), " ", at(r, "ruleId")))
	}
	want := []string{
		"pages/a%20b.html:1 warning stile-not-first", "pages/a%20b.html:3 error ungated-tag", "pages/a%20b.html:4 error ungated-tag", "pages/a%20b.html:5 warning unknown-host",
		"pages/a%20b.html:6 warning loaded-twice", "localhost%3A9101/tags:1 error ungated-tag", "localhost%3A9101/tags%3Fp=2:1 error ungated-tag",
		"127.0.0.1%3A8080/index.html:1 error ungated-tag", "127.0.0.1%3A8080/index.html:1 error ungated-tag",
		"%5B%3A%3A1%5D%3A8080/a%2Fb%3Ac/index.html:1 error ungated-tag", "d%3Ae.html:1 error ungated-tag", "www.shop.example/index.html:1 error ungated-tag",
	}
	if !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
	if n := at(log, "runs", 0, "invocations", 0, "toolExecutionNotifications"); at(log, "runs", 0, "invocations", 0, "executionSuccessful") != true ||
		at(n, 0, "level") != "error" || at(n, 0, "message", "text") != "x: it answers 500" || at(n, 1, "level") != "note" {
		t.Errorf("%v", n)
	}
	if partial, _ := json.Marshal(sarif(&scanned{Partial: true})); !bytes.Contains(partial, []byte(`"invocations":[{"executionSuccessful":false,"toolExecutionNotifications":[]}]`)) {
		t.Errorf("a run that is not whole says so: %s", partial)
	}
	if empty, _ := json.Marshal(sarif(&scanned{})); !bytes.Contains(empty, []byte(`"results":[]`)) {
		t.Errorf("a run without results says so: %s", empty)
	}
}

// A table fits a terminal of 100 characters where the names of files are short, whatever stands in it.
func TestTableFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &scanned{Pages: []scannedPage{{Page: "a.html"}}, Summary: map[state]int{}}
		for range rapid.IntRange(0, 8).Draw(t, "finds") {
			f := scannedFind{
				State: rapid.SampledFrom(states).Draw(t, "state"), What: string(rapid.SampledFrom([]page.Kind{page.Script, page.NoScriptImage, page.NoScriptFrame}).Draw(t, "kind")),
				Name: rapid.String().Draw(t, "name"), Account: rapid.String().Draw(t, "account"), Category: rapid.SampledFrom([]string{"", "functional"}).Draw(t, "category"),
				Line: rapid.IntRange(1, 99999).Draw(t, "line"), Address: rapid.String().Draw(t, "address"), Tag: rapid.SampledFrom([]string{"", "meta-pixel"}).Draw(t, "tag"),
				Leaks: rapid.SampledFrom([]string{"", "a request with the visitor's IP address, the page's address and the party's cookies"}).Draw(t, "leaks"),
			}
			s.Pages[0].Finds = append(s.Pages[0].Finds, f)
			s.Summary[f.State]++
		}
		for line := range strings.Lines(printable(scanTable(s, false))) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 && !strings.HasPrefix(line, "1 page: ") {
				t.Fatalf("%d characters:\n%s", n, line)
			}
		}
	})
}

// What a page says reaches a terminal as text that does nothing, in the order that it has.
func TestNothingIsToldToATerminal(t *testing.T) {
	const evil = "\x1b]0;x\a\u009b2J\r\u202egpj.exe\u2066\u2028"
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	text := `<!doctype html><html lang="` + evil + `"><script src="https://nobody.example/` + evil + `"></script><script>fbq('init', '1'); // ` + evil + `
</script><iframe src="https://www.youtube.com/embed/` + evil + `"></iframe><script type="text/plain" data-category="` + evil + `" src="https://static.hotjar.com/` + evil + `"></script>`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, args := range [][]string{{"scan", file}, {"init", file, "-o", "-"}, {"init", file, "-o", filepath.Join(dir, "stile.yaml")}} {
		run(t.Context(), args, &out, &out)
	}
	if i := strings.IndexAny(out.String(), "\x1b\a\r\u009b\u202e\u2066\u2028"); i >= 0 || !strings.Contains(out.String(), "gpj.exe") {
		t.Errorf("%q", out.String()[max(0, i-80):])
	}
}

// Whatever stands in a page, the file that init writes passes stile check.
func TestInitIsRight(t *testing.T) {
	options, err := server.ConfigOptions()
	if err != nil {
		t.Fatal(err)
	}
	judge := page.NewJudge(nil, options.Vendors)
	check := func(t interface{ Fatalf(string, ...any) }, body, from string) string {
		d := newDraft(options, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
		p := &readPage{name: "page.html", body: []byte(body)}
		if u, err := webAddress(from); err == nil {
			p.address = u
		}
		if err := d.page(p, judge); err != nil {
			return ""
		}
		file := string(d.file())
		if _, report := config.Parse("stile.yaml", []byte(file), options); report.HasErrors() {
			t.Fatalf("%s\n%s\n%s\n%s", report, file, from, body)
		}
		d.advice("stile.yaml")
		return file
	}
	t.Run("vendors", func(t *testing.T) {
		for _, v := range options.Vendors.All() {
			values := map[string]string{}
			told := v.Category != "necessary" && strings.Contains(v.Load.Script, "{id}") // all that the line needs stands in the address
			for _, o := range v.Options {
				values[o.Name] = o.Example
				told = told && (o.Default != "" || strings.Contains(v.Load.Script, "{"+o.Name+"}"))
			}
			tag, err := v.Tag(consent.Tag{}, v.Account.Example, values)
			if err != nil {
				t.Fatal(err)
			}
			if tag.Load.Script == "" {
				continue
			}
			file := check(t, fmt.Sprintf("<!doctype html><script src=%q></script>", tag.Load.Script), "https://www.shop.example/")
			if want := fmt.Sprintf("\n  - {vendor: %s, id: %q, ", v.ID, v.Account.Example); told && !strings.Contains(file, want) {
				t.Errorf("%s: %s tells the account, and is not in\n%s", v.ID, tag.Load.Script, file)
			}
		}
	})
	t.Run("saved pages", func(t *testing.T) {
		folder := os.Getenv("STILE_PAGES")
		if folder == "" {
			t.Skip("STILE_PAGES names no folder of saved pages")
		}
		files, err := filepath.Glob(filepath.Join(folder, "*.html"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v %v", files, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check(t, string(body), "")
		}
	})
	t.Run("any", func(t *testing.T) {
		hosts := []string{"connect.facebook.net/en_US/fbevents.js", "www.googletagmanager.com/gtag/js?id=", "widgets.outbrain.com/", "nobody.example/", "a_b.example/", "[::1]/", "stats.nobody.example/matomo.js"}
		rapid.Check(t, func(t *rapid.T) {
			var b strings.Builder
			fmt.Fprintf(&b, "<!doctype html><html lang=%q>", rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"de-CH", "zh-TW", "tlh"})).Draw(t, "lang"))
			for range rapid.IntRange(0, 12).Draw(t, "tags") {
				form := rapid.SampledFrom([]string{
					`<script src="https://%s%s"></script>`, `<img width=1 height=1 src="//%s%s">`, `<iframe src="http://%s%s"></iframe>`, `<link rel=stylesheet href="https://%s%s">`,
					`<script>var u="https://%s%s";_paq.push(['setSiteId','7'])</script>`, `<script type="text/plain" data-stile="marketing" data-src="https://%s%s"></script>`, `<form action="https://%s%s"></form>`,
				}).Draw(t, "form")
				fmt.Fprintf(&b, form, rapid.SampledFrom(hosts).Draw(t, "host"), rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"G-AB12CD34EF", "{page}", "x\n- evil", `"}`, "#"})).Draw(t, "rest"))
			}
			from := rapid.OneOf(rapid.StringMatching(`https?://[a-z0-9_.-]{1,12}(\.example|\.co\.uk|\.github\.io)?(:[0-9]{1,5})?/`), rapid.SampledFrom([]string{"", "http://127.0.0.1:8080/", "http://[::1]/", "https://log.example/", "https://bücher.example/"})).Draw(t, "from")
			check(t, b.String(), from)
		})
	})
}
