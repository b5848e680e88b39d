package page

import (
	"cmp"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

// nests are pieces of pages in which it is hard to say what is markup, and of which language.
var nests = []string{
	"<svg>", "</svg>", "<svg/>", "<math>", "</math>", "<g>", "</g>", "<path/>", "<path>", "<a href=#>", "</a>", "<desc>", "</desc>", "<title>", "</title>", "<title/>",
	"<style>", "</style>", "<style/>", "<script>", "</script>", "<script/>", "<foreignObject>", "</foreignObject>", "<foreignobject/>", "<mi>", "</mi>", "<mtext>", "<mglyph>",
	"<annotation-xml>", "<annotation-xml encoding=text/html>", "</annotation-xml>", "<div>", "</div>", "<p>", "</p>", "<br>", "</br>", "<b>", "</b>", "<span>", "</span>", "<li>", "</li>",
	"<figure>", "<figcaption>", "</figcaption>", "</figure>", "<select>", "<option>", "</select>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<caption>",
	"<button>", "</button>", "<textarea>", "</textarea>", "<textarea/>", "<template>", "</template>", "<noscript>", "</noscript>", "<iframe>", "</iframe>", "<xmp>", "</xmp>",
	"<font>", "<font color=red>", "</font>", "<![CDATA[", "]]>", "<!--", "-->", "<head>", "</head>", "<body>", "</body>", "</html>", "<h1>", "</h1>", "<form>", "</form>", "<input>", "text",
}

// asks are what must not be in a page that was gated.
var asks = []string{
	`<script src="https://connect.facebook.net/en_US/fbevents.js"></script>`, `<script src=https://connect.facebook.net/x.js />`, `<img src="https://www.facebook.com/tr?id=1">`,
	`<img srcset="https://www.facebook.com/tr 2x">`, `<iframe src="https://player.films.example/1"></iframe>`, `<script>fbq("init", "1")</script>`,
	`<script href="https://connect.facebook.net/x.js"></script>`, `<image href="https://www.facebook.com/tr"/>`, `<image src="https://www.facebook.com/tr">`,
	`<source src=https://connect.facebook.net/x.mp4 srcset="https://www.facebook.com/tr 2x">`,
}

// liveIn are the known trackers that a page asks for when a browser with scripts shows it.
func liveIn(t interface{ Fatal(...any) }, j *Judge, page string) (list []string) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "template" && n.Namespace == "" {
			return
		}
		for _, address := range asked(n) {
			if p, found := j.Address(address, shop); found && j.Waits(p) {
				list = append(list, "<"+n.Data+"> "+address)
			}
		}
		// A script of SVG may have elements in it, and its code around them: that is judged up to the first end tag of a script.
		if n.Type == html.ElementNode && n.Data == "script" && n.FirstChild == n.LastChild && running(n) && cmp.Or(attr(n, "src"), attr(n, "href")) == "" && len(j.Snippet(text(n))) > 0 {
			list = append(list, "<script>"+text(n))
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(root)
	return list
}

func running(n *html.Node) bool {
	return kindOf(func(name string) (string, bool) { return lookup(n, name) }) == isRun
}

// asked are the addresses that an element asks for.
func asked(n *html.Node) []string {
	switch {
	case n.Type != html.ElementNode:
	case n.Namespace == "svg" && (n.Data == "image" || n.Data == "script" && running(n)):
		return []string{attr(n, "href")}
	case n.Namespace == "" && n.Data == "script" && running(n), n.Namespace == "" && n.Data == "iframe":
		return []string{attr(n, "src")}
	case n.Namespace == "" && (n.Data == "img" || n.Data == "source"):
		return append(candidates(attr(n, "srcset")), attr(n, "src"))
	}
	return nil
}

// Whatever a page is made of, nothing in it asks for a known tracker once it was gated.
func TestGateLeavesNothing(t *testing.T) {
	g := testGate(t, GateOptions{})
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom(nests), 0, 14).Draw(r, "nests")
		for _, ask := range rapid.SliceOfN(rapid.SampledFrom(asks), 1, 3).Draw(r, "asks") {
			at := rapid.IntRange(0, len(list)).Draw(r, "at")
			list = append(list[:at:at], append([]string{ask}, list[at:]...)...)
		}
		page := strings.Join(list, "") + "--></script>" // a script that is not closed does not run
		if left := liveIn(r, g.judge, gate(t, g, page)); len(left) > 0 {
			r.Fatalf("%s\n%s\nleaves %s", page, gate(t, g, page), left)
		}
	})
}

func TestGateNests(t *testing.T) {
	g := testGate(t, GateOptions{})
	const two = `<script src="https://connect.facebook.net/en_US/fbevents.js"></script><img src="https://www.facebook.com/tr">`
	for name, page := range map[string]string{
		"a link in SVG":                   `<svg><a href=#><path/></a><title/></svg>` + two,
		"a stray end tag":                 `<svg></select></figure><style/></svg>` + two,
		"a caption that ends it":          `<figcaption><svg></figcaption>` + two,
		"a cell that ends it":             `<table><tr><td><svg><foreignObject></table><title/></title>` + two,
		"an end in doubt":                 `<div><svg></div><title><img src="https://www.facebook.com/tr"></title>` + two,
		"code in SVG":                     `<svg><script><![CDATA[ fbq("init", "1") ]]></script></svg>`,
		"code in SVG, not closed":         `<svg><script>fbq("init", "1")`,
		"style that is markup":            `<svg><style><p>` + two,
		"text in doubt":                   `<svg></math><desc><script></svg><title>` + two + two,
		"text in doubt, broken out of":    `<div><svg></div><title><p><style></title>` + two,
		"text in doubt, closed by itself": `<div><svg></div><style/></svg><title></style>` + two,
		"text in doubt, with a template":  `<template></template><svg></math><desc><script></template><title></script>` + two,
		"SVG in text in doubt":            `<div><svg></div><title><svg><![CDATA[</title>` + two,
		"a comment in text in doubt":      `<div><svg></div><title><!--</title>` + two,
		"HTML that is open":               `<svg><foreignObject><p></foreignObject><title></title></svg>` + two,
	} {
		t.Run(name, func(t *testing.T) {
			if len(liveIn(t, g.judge, page)) == 0 {
				t.Fatal("the page asks for nothing")
			}
			gated := gate(t, g, page)
			if left := liveIn(t, g.judge, gated); len(left) > 0 {
				t.Errorf("%s leaves %s", gated, left)
			}
			properties(t, g, page, gated, every(page))
		})
	}
}
