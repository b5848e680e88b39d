package page

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

// shop is where the pages of these tests stand, and gateSite the site of their judge.
var shop = &url.URL{Scheme: "https", Host: "www.shop.example", Path: "/goods/shoes.html"}

var gateSite = &consent.Site{
	Origins: []string{"https://www.shop.example"}, Own: []string{"img.shop-cdn.example"},
	Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "functional"}, {Name: "analytics"}, {Name: "marketing"}},
	Tags:       []consent.Tag{{ID: "films", Name: "Films", Category: "marketing", Hosts: []string{"player.films.example", "*.films-cdn.example"}}},
}

var gateJudge = sync.OnceValues(func() (*Judge, error) {
	library, err := vendors.New()
	if err != nil {
		return nil, err
	}
	return NewJudge(gateSite, library), nil
})

func testGate(t testing.TB, o GateOptions) *Gate {
	t.Helper()
	judge, err := gateJudge()
	if err != nil {
		t.Fatal(err)
	}
	return NewGate(judge, o)
}

// gate gates a page that comes in parts which end at cuts.
func gate(t testing.TB, g *Gate, page string, cuts ...int) string {
	t.Helper()
	var out bytes.Buffer
	w := g.Writer(&out, shop, "")
	at := 0
	for _, cut := range append(slices.Clone(cuts), len(page)) {
		if n, err := w.Write([]byte(page[at:cut])); err != nil || n != cut-at {
			t.Fatalf("Write = %d, %v; want %d", n, err, cut-at)
		}
		at = cut
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// every is all places in a page but its ends.
func every(page string) (cuts []int) {
	for i := 1; i < len(page); i++ {
		cuts = append(cuts, i)
	}
	return cuts
}

const stileTag = `<script src="/stile/shop.js"></script>`

func TestGate(t *testing.T) {
	files, err := filepath.Glob("testdata/gate/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				in, want := archive.Files[i], string(archive.Files[i+1].Data)
				t.Run(in.Name, func(t *testing.T) {
					o := GateOptions{Script: "/stile/shop.js"}
					if strings.Contains(in.Name, "strangers") {
						o.Unknown = "marketing"
					}
					g, page := testGate(t, o), string(in.Data)
					got := gate(t, g, page)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("gated (-want +got):\n%s", diff)
					}
					properties(t, g, page, got, every(page))
					if filepath.Base(file) != "scripts.txtar" {
						return
					}
					for _, f := range ungated(t, g, got) {
						t.Errorf("the scan finds that %s %s of %s does not wait", f.Kind, f.Address+f.Excerpt, f.Name)
					}
				})
			}
		})
	}
}

// properties checks what holds of all pages.
func properties(t testing.TB, g *Gate, page, gated string, cuts []int) {
	t.Helper()
	if parts := gate(t, g, page, cuts...); parts != gated {
		t.Errorf("in parts it is another page:\n%s", cmp.Diff(gated, parts))
	}
	if again := gate(t, g, gated); again != gated {
		t.Errorf("gated again (-once +twice):\n%s", cmp.Diff(gated, again))
	}
	for _, scripting := range []bool{true, false} {
		if diff := cmp.Diff(tree(t, page, scripting), tree(t, gated, scripting)); diff != "" {
			t.Errorf("the tree with scripting %v (-before +after):\n%s", scripting, diff)
		}
	}
}

// tree is a page's tree without what the gate changes in it.
func tree(t testing.TB, page string, scripting bool) string {
	t.Helper()
	root, err := html.ParseWithOptions(strings.NewReader(strings.TrimPrefix(page, bom)), html.ParseOptionEnableScripting(scripting))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	draw(&b, root, 0, scripting)
	if scripting {
		return b.String()
	}
	// What is in a comment inside of <noscript> may be markup to those who run scripts, and the other way around.
	return marks.ReplaceAllString(b.String(), "")
}

var marks = regexp.MustCompile(`about:invalid#| (type="text/plain"|data-(stile|service|embed)="[^"]*"|data-(href|type)="")|\b(data-)?(stile-|rocket-|lazy-|litespeed-|wpmeteor-|pagespeed[-_]orig[-_]|phast-|xlink:)?`)

// prefixes are what the gate puts before a name, and takes away for it.
var prefixes = regexp.MustCompile(`^(xlink:|(data-)?(stile-|rocket-|lazy-|litespeed-|wpmeteor-|pagespeed[-_]orig[-_]|phast-)?)`)

// texts are elements whose text the gate takes for markup where it may be that of SVG. There it takes CDATA
// and comments for markup where they may be text.
var texts = map[string]bool{"title": true, "style": true, "textarea": true, "xmp": true, "iframe": true, "noembed": true, "noframes": true, "script": true}

func draw(b *strings.Builder, n *html.Node, depth int, scripting bool) {
	if n.Type == html.ElementNode && n.Data == "script" && slices.Contains(n.Attr, html.Attribute{Key: "src", Val: "/stile/shop.js"}) && len(n.Attr) == 1 {
		return
	}
	if n.Type == html.TextNode && n.Parent != nil && n.Parent.Data == "head" && strings.TrimSpace(n.Data) == "" {
		return // what is before the head is nowhere, unless Stile's tag opens the head before it: nobody sees it
	}
	b.WriteString(strings.Repeat(" ", min(depth, 60)))
	if n.Parent != nil && (n.Type == html.CommentNode || n.Type == html.TextNode && (n.Parent.Namespace != "" || texts[n.Parent.Data])) {
		b.WriteString(marks.ReplaceAllString(n.Data, ""))
	} else {
		b.WriteString(n.Data)
	}
	var list []string
	for _, a := range n.Attr {
		key := strings.Replace(prefixes.ReplaceAllString(a.Key, ""), "pmdelayedscript", "src", 1)
		if a.Key == "data-stile" || a.Key == "data-service" || a.Key == "data-embed" || a.Key == "data-href" && a.Val == "" || n.Data == "script" && key == "type" {
			continue
		}
		list = append(list, " "+key+"="+strings.ReplaceAll(strings.ReplaceAll(a.Val, heldInStyle, ""), "\n", `\n`))
	}
	slices.Sort(list)
	b.WriteString(strings.Join(list, ""))
	b.WriteByte('\n')
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if scripting && n.Data == "noscript" && c.Type == html.TextNode {
			continue // it is markup for those without scripts
		}
		draw(b, c, depth+1, scripting)
	}
}

// pieces are what pages are made of, good and bad.
var pieces = []string{
	"<!doctype html>", "<html lang=en>", "<head>", "</head>", "<body>", "</body>", "</html>", "<meta charset=utf-8>", "<title>A <b> title</title>", " ", "\n", "text &amp; more",
	`<script src="https://www.googletagmanager.com/gtag/js?id=G-ABC1234567"></script>`, `<script>document.write("<img src=https://www.facebook.com/tr>")</script>`,
	`<script async SRC='//connect.facebook.net/en_US/fbevents.js' type=module>`, "</script>", "<script>", "<script/>", "<!--", "-->", "--!>", "<!-->", "<!--->", "<script",
	`<img src=https://www.facebook.com/tr?id=1&ev=PageView width=1>`, `<img src="/own.png" srcset="https://www.facebook.com/tr 2x, a.png">`, `<img/src=//www.facebook.com/tr/>`,
	`<iframe src="https://www.youtube.com/embed/x" width=560 height=315></iframe>`, "<iframe srcdoc='<script src=//connect.facebook.net/x.js></script>'>", "</iframe>",
	"<noscript>", "</noscript>", "</noscript", `<noscript><img src="https://www.facebook.com/tr"></noscript>`, "<template>", "</template>", `<template shadowrootmode=open>`,
	"<svg>", "</svg>", "<g>", "<title>", "</title>", "<desc>", "<foreignObject>", "</foreignObject>", "<style>", "</style>", "<style/>", "<![CDATA[", "]]>", "<math>", "<mi>", "</math>",
	`<svg><image href="https://www.facebook.com/tr"/></svg>`, `<svg><script xlink:href="https://connect.facebook.net/x.js"></script></svg>`, `<image src=//www.facebook.com/tr>`,
	"<div a='", `<div a="`, ">", "'", `"`, "<", "</", "<!", "<?php ?>", "</ x>", "\x00", "&#x3c;", "<textarea>", "</textarea>", "<table><tr><td>", "</table>", "<p>", "</p>", "<div>", "</div>",
	`<link rel=preconnect href=https://www.googletagmanager.com>`, `<object data="https://player.films.example/x"></object>`, `<base href="/x/">`, stileTag,
	`<script type=rocketlazyloadscript data-rocket-src=//connect.facebook.net/x.js></script>`, `<script data-type=lazy data-src=//connect.facebook.net/x.js></script>`, `<iframe class=lazy data-src=//www.youtube.com/embed/x></iframe>`,
	`<td background=//www.facebook.com/tr style='a: url(//www.facebook.com/tr)'>`, `<b onload="new Image().src='https://www.facebook.com/tr?id=1'" style="a: url('//www.facebook.com/tr')" a>`,
	"<style>a { b: url(//www.facebook.com/tr) } @import url(//www.facebook.com/x.css)", "url('https://www.facebook.com/tr')", `<iframe src="javascript:fbq('init', '1')">`,
	`<script type="application/ld+json">{"a":"https://www.facebook.com/tr"}</script>`, "<!--[if IE]><script src=//connect.facebook.net/x.js></script><![endif]-->", "\uFEFF",
}

func TestGateProperties(t *testing.T) {
	g := testGate(t, GateOptions{Script: "/stile/shop.js"})
	rapid.Check(t, func(r *rapid.T) {
		page := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(r, "pieces"), "")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(page)), 0, 8).Draw(r, "cuts")
		slices.Sort(cuts)
		gated := gate(t, g, page)
		if parts := gate(t, g, page, cuts...); parts != gated {
			r.Fatalf("in parts it is another page:\n%s\n%s", gated, parts)
		}
		if again := gate(t, g, gated); again != gated {
			r.Fatalf("gated again\n%s\n%s", gated, again)
		}
		for _, scripting := range []bool{true, false} {
			if !scripting && strings.Contains(page, "<noscript>") && strings.Contains(page, "<div a=") {
				continue // where nothing runs, a value in <noscript> may go on behind its end
			}
			if diff := cmp.Diff(tree(t, page, scripting), tree(t, gated, scripting)); diff != "" {
				r.Fatalf("%s\n%s\nscripting %v (-before +after):\n%s", page, gated, scripting, diff)
			}
		}
	})
}

func TestGatePages(t *testing.T) {
	folder := os.Getenv("STILE_PAGES")
	if folder == "" {
		t.Skip("skipped: STILE_PAGES names no folder of real pages")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.html"))
	if err != nil || len(files) == 0 {
		t.Fatal("STILE_PAGES has no pages", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g := testGate(t, GateOptions{Script: "/stile/shop.js"})
			page := string(b)
			var cuts []int
			for at := 977; at < len(page); at += 977 {
				cuts = append(cuts, at)
			}
			gated := gate(t, g, page)
			if strings.Count(gated, stileTag) != 1 {
				t.Error("Stile's tag is not in the page once")
			}
			properties(t, g, page, gated, cuts)
		})
	}
}

// What the scan finds waits once the page was gated, but for what the gate leaves: looks, forms, and what the page's own
// script loads later.
func TestGatedScan(t *testing.T) {
	folder := os.Getenv("STILE_PAGES")
	if folder == "" {
		t.Skip("skipped: STILE_PAGES names no folder of real pages")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.html"))
	if err != nil || len(files) == 0 {
		t.Fatal("STILE_PAGES has no pages", err)
	}
	g := testGate(t, GateOptions{Script: "/stile/shop.js"})
	before, after := 0, 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before += len(ungated(t, g, string(b)))
		for _, f := range ungated(t, g, gate(t, g, string(b))) {
			after++
			t.Errorf("%s:%d: %s %s of %s does not wait: %s", filepath.Base(file), f.Line, f.Kind, f.Address, f.Name, f.Excerpt)
		}
	}
	if before < 100 {
		t.Errorf("only %d finds before", before)
	}
	t.Logf("%d things ran at once before, %d after", before, after)
}

func ungated(t *testing.T, g *Gate, page string) (list []Find) {
	t.Helper()
	report, err := Scan(strings.NewReader(page), shop, g.judge)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Finds {
		if f.Kind != Stylesheet && f.Kind != Font && !f.Gated(g.judge) {
			list = append(list, f)
		}
	}
	return list
}
