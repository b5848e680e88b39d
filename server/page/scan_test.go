package page

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
)

var update = flag.Bool("update", false, "write what Scan finds in testdata/*.html anew")

// lineOf is a find as the golden file has it.
func lineOf(f *Find, j *Judge) string {
	gated := "runs"
	if f.Gated(j) {
		gated = "gated"
	}
	return fmt.Sprintf("%d:%d\t%s\t%s\t%s\t%s\t%s\t%s", f.Line, f.Column, f.Kind, who(f.Party), gated, f.Waits, f.Selector, f.Address+f.Excerpt)
}

func TestScan(t *testing.T) {
	page, err := os.ReadFile("testdata/shop.html")
	if err != nil {
		t.Fatal(err)
	}
	j := NewJudge(&consent.Site{Name: "shop"}, library(t))
	report, err := Scan(bytes.NewReader(page), address(t, "https://www.shop.example/boots"), j)
	if err != nil {
		t.Fatal(err)
	}
	if report.Stile != "/stile/shop.js" || !report.First {
		t.Errorf("Stile's script is %q, first: %v", report.Stile, report.First)
	}
	var got strings.Builder
	for i := range report.Finds {
		fmt.Fprintln(&got, lineOf(&report.Finds[i], j))
		if f := &report.Finds[i]; (f.Leaks == "") != (f.Waits != "" || f.Kind == Script || f.Kind == Snippet) {
			t.Errorf("%s, which waits for %q, leaks %q", f.Kind, f.Waits, f.Leaks)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/shop.finds", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/shop.finds")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	checkPlaces(t, page, report)
}

// checkPlaces checks that each find's line and column are where its tag begins, and that its selector finds it alone.
func checkPlaces(t interface{ Errorf(string, ...any) }, page []byte, report *Report) {
	root, err := html.ParseWithOptions(bytes.NewReader(page), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	doc := goquery.NewDocumentFromNode(root)
	lines := bytes.SplitAfter(page, []byte("\n"))
	for _, f := range report.Finds {
		found := doc.Find(f.Selector)
		if found.Length() != 1 {
			t.Errorf("%s finds %d elements", f.Selector, found.Length())
			continue
		}
		n := found.Get(0)
		if f.Address != "" && !strings.Contains(text(n), f.Address) {
			has := false
			for _, a := range n.Attr {
				has = has || strings.Contains(a.Val, f.Address)
			}
			if !has {
				t.Errorf("%s finds another element than that with %s", f.Selector, f.Address)
			}
		}
		begins := func(n *html.Node) bool {
			return f.Line <= len(lines) && bytes.HasPrefix(bytes.ToLower(lines[f.Line-1][f.Column-1:]), []byte("<"+strings.ToLower(n.Data)))
		}
		// Inside of SVG that holds scripts it may be the place of what is around it.
		around := bytes.Contains(page, []byte("<svg>")) && (f.Line == 1 && f.Column == 1 || slices.ContainsFunc(slices.Collect(n.Ancestors()), begins))
		if n.Data != "img" && !around && !begins(n) {
			t.Errorf("%d:%d is not where %s begins", f.Line, f.Column, n.Data)
		}
	}
}

// Of any page, well written or not: each selector finds its element alone, each place is that of its tag.
func TestSelectors(t *testing.T) {
	j := NewJudge(nil, library(t))
	parts := []string{
		"<div>", "</div>", "<p>", "</p>", "<ul><li>", "</ul>", "<table><tr><td>", "</table>", `<div id="a">`, `<section id="b">`, "<my-part>", "</my-part>", "<o:p>",
		"<svg>", "</svg>", "<foreignObject>", "<b><i>", "</b>", "<noscript>", "</noscript>", "<head>", "<body>", "<template>", "</template>", "\n", "words", "<!-- x -->",
		`<script src="https://static.hotjar.com/c/hotjar-1234567.js"></script>`, `<script>_paq.push(1)</script>`, `<SCRIPT>_paq.push(1)</SCRIPT>`,
		`<img width=1 height=1 src=https://mc.yandex.ru/watch/1>`, `<img src='https://www.facebook.com/tr?id=1'/>`, `<iframe src="https://www.youtube.com/embed/x"></iframe>`,
		`<link rel=stylesheet href=//fonts.googleapis.com/css>`, `<form action="https://a.example.net/">`, "</form>", `<link rel=preconnect href=//fonts.gstatic.com id="a">`,
		`<script src="https://cdn.segment.com/x.js" id="c">`, "</script>", "<style>", "</style>", "<title>", "</title>", "<select>", "<option>", "</select>", "<", ">", "&amp;", "<a href=",
	}
	rapid.Check(t, func(t *rapid.T) {
		page := "<!DOCTYPE html><p>" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 40).Draw(t, "parts"), "")
		report, err := Scan(strings.NewReader(page), nil, j)
		if err != nil {
			t.Fatal(err)
		}
		checkPlaces(t, []byte(page), report)
	})
}

var stray = regexp.MustCompile(`(</(div|table|picture|video|template|title|textarea)|<template shadowroot[^>]*)>\n?`)

// What the gate would hold back in a page Scan reports as ungated, on the line where it stands.
func TestScanFindsWhatTheGateHolds(t *testing.T) {
	judge, err := gateJudge()
	if err != nil {
		t.Fatal(err)
	}
	around := []string{
		"<div>", "</div>", "<p>", "<table><tr><td>", "</table>", "<picture>", "</picture>", "<video>", "</video>", "<svg>", "</svg>",
		"<template>", "</template>", "<template shadowrootmode=open>", `<template shadowrootmode="CLOSED" data-stile="marketing">`, "<!--", "-->", "<title>", "</title>",
		"<textarea>", "</textarea>", `<base href="https://www.facebook.com/x/">`, `<base href="">`, "<head>", "<body>",
	}
	elements := []string{
		`<script src=%q></script>`, `<script type="text/jscript" src=%q></script>`, `<script href="x" data-src="y">var a = %q; fbq('init', '1')</script>`, `<script type="rocketlazyloadscript" src="/x.js" data-rocket-src=%q></script>`,
		`<script>s.src=%q</script>`, `<script type="module">import %q; fetch("https://nobody.example/e")</script>`, `<svg><script xlink:href=%q></script></svg>`, `<svg><image href="/x.png" xlink:href=%q width="1" height="1"/></svg>`, `<svg><image href=%q></image></svg>`,
		`<img src=%q>`, `<img srcset="/a.png 1x, %s 2x">`, `<img src="/a.png" data-src=%q>`, `<img src="/a.png" data-lazy-srcset="%s 2x">`, `<image src=%q>`, `<img width=1 height=1 src=%q>`,
		`<input type="image" src=%q>`, `<source srcset=%q>`, `<source src=%q>`, `<source data-src=%q>`, `<video poster=%q></video>`, `<video src="/a.mp4" data-src=%q></video>`, `<audio src=%q></audio>`, `<track src=%q>`,
		`<iframe src=%q></iframe>`, `<iframe src="/x" data-src=%q></iframe>`, `<iframe data-stile="marketing" src=%q></iframe>`, `<iframe data-stile="marketing" srcdoc="<script src='%s'></script>"></iframe>`,
		`<iframe srcdoc="<base href='https://www.facebook.com/'><img src=tr><a href='%s'>"></iframe>`, `<noscript><img src=%q></noscript>`, `<noscript><p><iframe src=%q></iframe></noscript>`, `<object data=%q></object>`, `<embed src=%q>`,
		`<b background=%q>`, `<div style="a: url('%s')">`, `<b style='a: url( &quot;%s&quot; )'>`, `<b onload="new Image().src='%s'">`, `<iframe src="javascript:new Image().src='%s'"></iframe>`,
		`<iframe src="data:text/html,<img src='%s'>"></iframe>`, `<style>/* x( */ a { b: url( %q ) }</style>`, `<style>@import url(%q); @font-face { src: url(%[1]q) }</style>`, `<noscript><style>a{b:url(%s)}</style></noscript>`,
		`<link rel="preconnect" href=%q>`, `<link rel="preload" as="image" imagesrcset=%q>`, `<link rel="preload" as="style" href=%q>`, `<link rel="stylesheet" href=%q>`,
	}
	addresses := []string{
		"https://www.facebook.com/tr?id=1", "//mc.yandex.ru/watch/1", "https://player.films.example/a.png", "https://www.youtube.com/embed/x", "https://fonts.googleapis.com/css", "https://nobody.example/x",
		"tr?id=1", "/own.png", "https://static.hotjar.com/stile/shop.js",
	}
	piece := rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "around") {
			return rapid.SampledFrom(around).Draw(t, "tag")
		}
		return fmt.Sprintf(rapid.SampledFrom(elements).Draw(t, "element"), rapid.SampledFrom(addresses).Draw(t, "address"))
	})
	rapid.Check(t, func(t *rapid.T) {
		page := "<!doctype html><p>\n" + strings.Join(rapid.SliceOfN(piece, 1, 12).Draw(t, "pieces"), "\n")
		if strings.Contains(page, "<svg>") {
			page = stray.ReplaceAllString(page, "") // with them the gate is in doubt, and holds what may be live
		}
		report, err := Scan(strings.NewReader(page), shop, judge)
		if err != nil {
			t.Fatal(err)
		}
		strange := strings.Contains(page, "<svg>") // Find.Line may be off
		found := func(number int, line string) bool {
			return slices.ContainsFunc(report.Finds, func(f Find) bool {
				there := f.Line == number || strange && (f.Kind == Snippet || strings.Contains(line, f.Address))
				return there && (!f.Gated(judge) || f.Basis == ByNobody && f.Waits == "")
			})
		}
		var gated bytes.Buffer
		w := NewGate(judge, GateOptions{Unknown: rapid.SampledFrom([]string{"", "marketing"}).Draw(t, "unknown")}).Writer(&gated, shop, "")
		if _, err := io.WriteString(w, page); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		after := strings.Split(gated.String(), "\n")
		for i, line := range strings.Split(page, "\n") {
			if line != after[i] && !found(i+1, line) {
				t.Fatalf("%s\nis held, and not found in\n%s", after[i], page)
			}
		}
	})
}

// What a page asks for that stands in a frame as text is asked for where the frame is.
func TestScanText(t *testing.T) {
	const page = `<p>
<iframe srcdoc="<img width=1 height=1 src=https://mc.yandex.ru/watch/1><iframe srcdoc='<script src=https://static.hotjar.com/c/hotjar-1234567.js></script>'></iframe>"></iframe>
<iframe data-stile="marketing" data-stile-srcdoc="<img src=https://www.facebook.com/tr>"></iframe>`
	r, err := Scan(strings.NewReader(page), nil, NewJudge(nil, library(t)))
	if err != nil || len(r.Finds) != 2 {
		t.Fatalf("%+v %v", r, err)
	}
	for i, want := range []Kind{Pixel, Script} {
		if f := r.Finds[i]; f.Kind != want || f.Line != 2 || f.Selector != "html > body > p:nth-of-type(1) > iframe:nth-of-type(1)" {
			t.Errorf("%+v", f)
		}
	}
}

// A name says that something waits only where it is one of what may wait.
func TestScanNames(t *testing.T) {
	for page, want := range map[string]string{
		`<iframe class=lazyload data-name="Trailer" data-src="https://www.youtube.com/embed/x"></iframe>`:        "",
		`<iframe class=lazyload data-name="youtube" data-src="https://www.youtube.com/embed/x"></iframe>`:        "",
		`<iframe data-category="Films" data-src="https://www.youtube.com/embed/x"></iframe>`:                     "",
		`<iframe data-name="youtube" data-src="https://www.youtube.com/embed/x"></iframe>`:                       "youtube",
		`<iframe data-category="functional" data-src="https://www.youtube.com/embed/x"></iframe>`:                "functional",
		`<script type="text/plain" data-name="any" data-src="https://static.hotjar.com/c/hotjar-1.js"></script>`: "any",
	} {
		r, err := Scan(strings.NewReader(page), nil, NewJudge(nil, library(t)))
		if err != nil || len(r.Finds) != 1 || r.Finds[0].Waits != want {
			t.Errorf("%s: %+v %v", page, r, err)
		}
	}
}

// Where else a tracker may stand: one find for each party, on its own line.
func TestScanAttributes(t *testing.T) {
	for page, want := range map[string]string{
		`<p><template shadowrootmode=open><script src=//mc.yandex.ru/a></script></template>`:             "script",
		`<template shadowrootmode=open data-stile=x><img src=//mc.yandex.ru/a></template>`:               "pixel",
		`<template><img src=//mc.yandex.ru/a></template>`:                                                "",
		`<img srcset="/a.png 1x, //mc.yandex.ru/a 2x,//mc.yandex.ru/b 3x">`:                              "pixel",
		`<img srcset="//cdn.nobody.example/a 2x"><input type=image src=//cdn.nobody.example/b>`:          "",
		`<input type=image src=//mc.yandex.ru/a><input src=//mc.yandex.ru/a>`:                            "pixel",
		`<video poster=//mc.yandex.ru/a></video>`:                                                        "embed",
		`<picture><source srcset=//mc.yandex.ru/a><source src=//cdn.nobody.example/a></picture>`:         "pixel",
		`<audio><source src=//mc.yandex.ru/a><track src=//mc.yandex.ru/b></audio>`:                       "embed embed",
		`<svg><image xlink:href=//mc.yandex.ru/a /></svg>`:                                               "pixel",
		`<noscript><img src=//nobody.example/a><img src=//nobody.example/a.png></noscript>`:              "noscript image",
		`<body onload="new Image().src='https://mc.yandex.ru/watch/1'">`:                                 "snippet",
		`<body onload="fbq('init', '1')">`:                                                               "",
		`<b onclick="new Image().src='https://mc.yandex.ru/watch/1'">`:                                   "",
		`<my-part onerror="i('//mc.yandex.ru/watch/1')" background=//mc.yandex.ru/a>`:                    "pixel snippet",
		`<iframe src="JavaScript:new Image().src='https://mc.yandex.ru/watch/1'"></iframe>`:              "snippet",
		`<iframe src="data:text/html;base64,PGltZyBzcmM9Imh0dHBzOi8vbWMueWFuZGV4LnJ1L2EiPg=="></iframe>`: "pixel",
		`<p style="background: url( '//mc.yandex.ru/watch/1' )"><p style="a: b(//mc.yandex.ru/)">`:       "pixel",
		`<style>a{b:URL(//mc.yandex.ru/a)}/* url(//mc.yandex.ru/b) */</style>`:                           "pixel",
		`<style>a{b:url("//nobody.example/a")} @import url(//mc.yandex.ru/a.css);</style>`:               "stylesheet",
		`<noscript><img data-src=//nobody.example/a></noscript><img src=//nobody.example/a>`:             "",
		`<noscript><img src=//nobody.example/m/matomo.php?idsite=1></noscript>`:                          "noscript image",
		`<link rel=preload as=image imagesrcset="//mc.yandex.ru/a 2x">`:                                  "connection",
		`<iframe data-stile=marketing srcdoc="<img src=//mc.yandex.ru/a>"></iframe>`:                     "pixel",
		`<iframe data-src=//mc.yandex.ru/a src=/own></iframe>`:                                           "frame",
		`<base href=""><base href=//mc.yandex.ru/><script src=a></script>`:                               "",
		`<template><base href=/></template><base href=//mc.yandex.ru/><script src=a></script>`:           "script",
		`<script src=//mc.yandex.ru/stile/shop.js></script>`:                                             "script",
		`<script data-src=/own.js>var a = "//mc.yandex.ru/watch"; ym(1234567, "init")</script>`:          "snippet",
	} {
		r, err := Scan(strings.NewReader(page), shop, NewJudge(nil, library(t)))
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, f := range r.Finds {
			if kinds = append(kinds, string(f.Kind)); f.Waits != "" {
				t.Errorf("%s: it waits for %s", page, f.Waits)
			}
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

// What the page asks of Stile itself is no third party's, also on a host of its own.
func TestScanStilesOwn(t *testing.T) {
	const page = `<script src="https://c.example/stile/shop.js"></script><noscript><iframe src="https://c.example/stile/shop/banner"></iframe></noscript>`
	r, err := Scan(strings.NewReader(page), address(t, "https://www.shop.example/"), NewJudge(nil, library(t)))
	if err != nil || len(r.Finds) > 0 || r.Stile == "" || !r.First {
		t.Errorf("%+v %v", r, err)
	}
}

func TestScanStile(t *testing.T) {
	site := &consent.Site{Name: "shop"}
	for _, test := range []struct {
		page, stile string
		first       bool
	}{
		{`<script src="/stile/shop.js"></script><script src="https://cdn.segment.com/a.js"></script>`, "/stile/shop.js", true},
		{`<script src="https://cdn.segment.com/a.js"></script><script src="https://c.shop.example/stile/shop.js?v=1"></script>`, "https://c.shop.example/stile/shop.js?v=1", false},
		{`<link rel=preconnect href="https://fonts.gstatic.com"><script src="/stile/shop.js"></script>`, "/stile/shop.js", false},
		{`<script src="/own.js"></script><script src="/stile/shop.js"></script>`, "/stile/shop.js", true},
		{`<script src="/stile/other.js"></script>`, "", false},
		{`<p>none</p>`, "", false},
	} {
		r, err := Scan(strings.NewReader(test.page), address(t, "https://www.shop.example/"), NewJudge(site, library(t)))
		if err != nil || r.Stile != test.stile || r.First != test.first {
			t.Errorf("%s: %+v %v", test.page, r, err)
		}
	}
}

// What a page's addresses are relative to, and whose the page is where nobody says so.
func TestScanAddresses(t *testing.T) {
	j := NewJudge(nil, library(t))
	for _, test := range []struct{ page, address, want string }{
		{`<base href="https://cdn.example.net/x/"><script src="a.js"></script>`, "https://shop.example/", "cdn.example.net"},
		{`<base href="/x/"><script src="a.js"></script>`, "https://shop.example/", ""},
		{`<link rel="canonical" href="https://shop.example/a"><script src="https://cdn.shop.example/a.js"></script>`, "", ""},
		{`<meta property="og:url" content="https://shop.example/a"><script src="//cdn.shop.example/a.js"></script>`, "file:///tmp/a.html", ""},
		{`<link rel="canonical" href="https://other.example/a"><script src="https://cdn.shop.example/a.js"></script>`, "https://shop.example/", ""},
		{`<script src="//cdn.example.net/a.js"></script><script src="b.js"></script>`, "", "cdn.example.net"},
		{`<script src="https://%zz/"></script><img src="http://[::1" width=1 height=1>`, "https://shop.example/", ""},
	} {
		of := address(t, test.address)
		if test.address == "" {
			of = nil
		}
		r, err := Scan(strings.NewReader(test.page), of, j)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, f := range r.Finds {
			hosts = append(hosts, f.Host)
		}
		if got := strings.Join(hosts, " "); got != test.want {
			t.Errorf("%s of %q: %s, want %s", test.page, test.address, got, test.want)
		}
	}
}

// repeated is a page of any length that no memory holds.
type repeated struct {
	part string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.left > 0 {
		c := copy(p[n:], r.part)
		n, r.left = n+c, r.left-c
	}
	return n, nil
}

func TestScanRefuses(t *testing.T) {
	j := NewJudge(nil, library(t))
	broken := errors.New("the line is cut")
	for _, test := range []struct {
		name, kind string
		page       io.Reader
		want       error
		words      string
	}{
		{"50 MB of one tag", "", &repeated{"<div " + strings.Repeat("a=b ", 1000), 50 << 20}, ErrLarge, "larger than 16 MiB"},
		{"deep", "", strings.NewReader(strings.Repeat("<div>", 5000)), ErrDeep, "deeper than 512"},
		{"empty", "", strings.NewReader(" \n"), ErrNotHTML, "it is empty"},
		{"words", "", strings.NewReader("no page at all, 1 < 2"), ErrNotHTML, "it has no element"},
		{"JSON", "", strings.NewReader(`{"a": "<b>"}`), ErrNotHTML, "it looks like JSON"},
		{"a picture", "", strings.NewReader("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR<b>"), ErrNotHTML, "it is binary"},
		{"a feed", "", strings.NewReader(`<?xml version="1.0"?><rss><channel/></rss>`), ErrNotHTML, "it is XML that begins with rss"},
		{"another type", "application/pdf", strings.NewReader("<p>"), ErrNotHTML, "its type is application/pdf"},
		{"a broken line", "", io.MultiReader(strings.NewReader("<p>"), &failing{broken}), broken, "reading the page: the line is cut"},
	} {
		r, err := ScanOptions{ContentType: test.kind}.Scan(test.page, nil, j)
		if r != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %+v %v", test.name, r, err)
		}
	}
}

// No page takes longer than it is long: what was made to is read in time too, and cut where it finds no end.
func TestScanIsBounded(t *testing.T) {
	j := NewJudge(nil, library(t))
	for name, page := range map[string]string{
		"finds":               strings.Repeat("<div>", 400) + strings.Repeat("<script src=//t.co/i/adsct></script>", 50000),
		"calls":               "<script>" + strings.Repeat("fbq('a');", 200000),
		"addresses":           "<script>" + strings.Repeat("fetch('//mc.yandex.ru/');", 100000),
		"regular expressions": "<script>" + strings.Repeat("=/[", 500000),
		"old calls":           "<script>" + strings.Repeat("ga('send');", 200000),
		"slashes":             "<script>'" + strings.Repeat("//", 500000),
		"siblings":            strings.Repeat("<a-b-c></a-b-c><img width=1 height=1 src=//t.co/i/adsct>", 20000),
		"attributes":          "<img " + strings.Repeat("a=b ", 500000) + ">",
	} {
		start := time.Now()
		r, err := Scan(strings.NewReader(page), nil, j)
		if err != nil || len(r.Finds) > MaxFinds || r.Cut != (name == "finds" || name == "siblings") {
			t.Errorf("%s: %v, cut %v", name, err, r != nil && r.Cut)
		}
		if d := time.Since(start); d > 30*time.Second { // a quadratic reader takes many minutes
			t.Errorf("%s took %v", name, d)
		}
	}
}

// What is harmless never takes the place of what is not.
func TestScanKeepsWhatIsUngated(t *testing.T) {
	const ga4 = `<script src="https://www.googletagmanager.com/gtag/js?id=G-AB12CD34EF"></script>`
	r, err := Scan(strings.NewReader(strings.Repeat("<embed src=//nobody.example/a>", 5000)+ga4), nil, NewJudge(nil, library(t)))
	if err != nil || !r.Cut || len(r.Finds) != MaxFinds/2+1 || r.Finds[MaxFinds/2].Account != "G-AB12CD34EF" {
		t.Errorf("%d finds, cut %v, %v", len(r.Finds), r.Cut, err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// Pages that are odd, but pages.
func TestScanTakes(t *testing.T) {
	j := NewJudge(nil, library(t))
	const tag = `<script src="https://static.hotjar.com/c/hotjar-1234567.js" title="é"></script>`
	encode := func(s string, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	latin := encode(charmap.ISO8859_1.NewEncoder().String("<p>é</p>" + tag))
	wide := encode(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("<p>é</p>" + tag))
	for _, test := range []struct{ name, kind, page string }{
		{"UTF-8", "", "<p>é</p>" + tag},
		{"a byte order mark", "", "\ufeff<p>é</p>" + tag},
		{"UTF-16", "", wide},
		{"windows-1252 that does not say so", "", latin},
		{"by the header", "text/html; charset=iso-8859-1", latin},
		{"by meta", "", `<meta charset="iso-8859-1">` + latin},
		{"no charset that is known", "text/html; charset=nonsense", latin},
		{"XHTML", "application/xhtml+xml", `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>é</p>` + tag + `</body></html>`},
		{"cut short", "", tag + `<script src="https://a.exa`},
		{"cut in a comment", "", tag + `<!-- a `},
		{"a type that is none", "nonsense", tag},
		{"many siblings", "", strings.Repeat("<p>x", 20000) + tag},
	} {
		r, err := ScanOptions{ContentType: test.kind}.Scan(strings.NewReader(test.page), nil, j)
		if err != nil || len(r.Finds) != 1 || r.Finds[0].Vendor == nil || r.Finds[0].Account != "1234567" {
			t.Errorf("%s: %+v %v", test.name, r, err)
		}
	}
}

func TestUTF8(t *testing.T) {
	for _, test := range []struct{ name, body, kind, want string }{
		{"by header", "<p>caf\xe9", "text/html; charset=iso-8859-1", "<p>café"},
		{"by meta", "<meta charset=shift_jis><p>\x93\xfa\x96\x7b", "text/html", "<meta charset=shift_jis><p>日本"},
		{"by mark", "\xff\xfe<\x00p\x00>\x00\xe9\x00", "", "<p>é"},
		{"the header wins", "<meta charset=koi8-r><p>é", "text/html; charset=utf-8", "<meta charset=koi8-r><p>é"},
		{"none, but UTF-8", strings.Repeat(" ", 2000) + "é", "", strings.Repeat(" ", 2000) + "é"},
		{"none, and no UTF-8", "<p>caf\xe9", "", "<p>café"},
		{"what is none in UTF-8", "<p>caf\xe9 <b>\xff\xfe</b>", "text/html; charset=utf-8", "<p>caf\ufffd <b>\ufffd</b>"},
		{"unknown", "<p>caf\xe9", "text/html; charset=klingon", "<p>café"},
	} {
		got, err := UTF8([]byte(test.body), test.kind)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q %v", test.name, got, err)
		}
	}
}

func FuzzScan(f *testing.F) {
	j := NewJudge(nil, library(f))
	page, err := os.ReadFile("testdata/shop.html")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	for _, p := range []string{"<script/src=//a.b>", "<noscript><p><img src=//mc.yandex.ru>", "<svg><script><p>", "<table><img src=//t.co/i/adsct>", "<a/", "<img/>", "<p \x00>"} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if r, err := Scan(bytes.NewReader(page), nil, j); err == nil {
			for _, f := range r.Finds {
				if f.Line < 1 || f.Column < 1 || f.Selector == "" {
					t.Errorf("%+v", f)
				}
			}
		}
	})
}
